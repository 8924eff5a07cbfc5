"""What a check of the rules has to say: where, about what, and what to do."""

from __future__ import annotations

from dataclasses import dataclass

from mscprotocol.authoring.entries import Entry, Place


@dataclass(frozen=True, order=True)
class Problem:
    """One problem of the rules."""

    file: str
    line: int
    name: str
    text: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.name}: {self.text}; {self.remedy}"


def problem(entry: Entry, place: Place, text: str, remedy: str) -> Problem:
    """A problem at a place of an entry."""
    return Problem(entry.file, entry.line(place), entry.name, text, remedy)
