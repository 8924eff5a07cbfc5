"""What screening passes on: pieces of patients' data, what could not be read, and how much there was."""

from __future__ import annotations

import json
from typing import NamedTuple

import msgspec

# An owner is a kind of source and an id in it: ids of different kinds of source are not told to be one person.
FHIR, LIST, MESSAGES = "fhir", "list", "hl7v2"
IDENTIFIER = "identifier/"
ALIAS, RESOURCE, ENTRY, NOTE, ROW, MESSAGE, PAGE = "alias", "resource", "entry", "note", "row", "message", "page"
SEEN, VERSION, DELETED, STANDING = "seen", "version", "deleted", "standing"
_WRAPPED, _INNER = '{"fullUrl": ', ', "resource": '


class Piece(msgspec.Struct, frozen=True, array_like=True):
    """Something of one patient: a resource, an entry of a bundle, a row, a message, a note about its packaging.

    `uses` names what it refers to; a piece without owner is such a thing, by its `name`. An `alias` says by which
    other name its owner goes; a `version` is of a resource that is not read, and stays only beside one of the same
    owner and name that is; a `deleted` says that a server no longer has what goes by its name; a `standing` says of
    the piece in the same place why it does not count, or is in doubt. Sorted by `block` and `line`, pieces stand as
    they came.
    """

    owner: str
    kind: str
    block: int
    line: int
    name: str
    uses: tuple[str, ...]
    text: str


def wrap(full_url: str | None, resource: str) -> str:
    """A resource as the text of an entry."""
    return f"{_WRAPPED}{json.dumps(full_url)}{_INNER}{resource}}}"


def unwrap(text: str) -> tuple[str | None, str] | None:
    """The URL and the resource of an entry; None for the text of a resource by itself."""
    if not text.startswith(_WRAPPED):
        return None
    head, _, resource = text.partition(_INNER)
    return json.loads(head.removeprefix(_WRAPPED)), resource[:-1]


class Origin(NamedTuple):
    """What the manifest of its export tells of a file: the server, the time it speaks for, and whether all came."""

    server: str = ""
    exported: str = ""
    is_incomplete: bool = False


NOWHERE = Origin()


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """Something that was not assessed: a file, a line, or a whole patient; `code` as at every door."""

    level: str
    code: str
    message: str
    file: str = ""
    line: int | None = None
    patient: str = ""


class Counts(msgspec.Struct):
    """How many lines, rows or messages there were in one block, and what became of them."""

    lines: int = 0
    blank: int = 0
    kept: int = 0
    bad: int = 0
    bytes: int = 0
    not_read: dict[str, int] = {}

    def leave(self, kind: str) -> None:
        """Count one that the rules do not read."""
        self.not_read[kind] = self.not_read.get(kind, 0) + 1

    def add(self, other: Counts) -> None:
        """Add what another block counted."""
        self.lines += other.lines
        self.blank += other.blank
        self.kept += other.kept
        self.bad += other.bad
        self.bytes += other.bytes
        for kind, number in other.not_read.items():
            self.not_read[kind] = self.not_read.get(kind, 0) + number

    @property
    def is_whole(self) -> bool:
        """Whether every line is accounted for."""
        return self.lines == self.blank + self.kept + self.bad + sum(self.not_read.values())
