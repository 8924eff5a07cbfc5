"""What a checklist prints of the sign-offs of its answer: name, meaning, time, and whether they still hold."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Protocol

from mscprotocol.checklist_parts import Fact, Line, print_instant


class Signed(Protocol):
    """A sign-off as whoever keeps it shows it; `words` say why it does not hold, if so."""

    @property
    def name(self) -> str: ...
    @property
    def meaning(self) -> str: ...
    @property
    def at(self) -> datetime: ...
    @property
    def words(self) -> str: ...


def build_signatures(signed: Sequence[Signed]) -> tuple[Fact, ...]:
    """A fact for each sign-off: its meaning, who signed and when."""
    return tuple(
        Fact(one.meaning, f"{one.name}, {print_instant(_written(one.at))}", (Line(one.words),) if one.words else ())
        for one in signed
    )


def _written(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds")
