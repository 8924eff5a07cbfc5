"""Which copies of a resource stand: not those that a server deleted, nor those that a newer version gives to another.

Where the order of events cannot be known, a copy is in doubt: what it says stays open, whatever that is good for.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from msgspec import Raw

from fhir_adapters.datatypes import Element, Meta
from fhir_adapters.decoding import decode_tolerantly
from fhir_adapters.subjects import split_url
from fhir_adapters.times import parse_time
from fhir_adapters.versions import version_number
from mscprotocol.screening.inputs import Source
from mscprotocol.screening.pieces import DELETED, ENTRY, RESOURCE, STANDING, VERSION, Piece, unwrap
from mscprotocol.timespan import TimeSpan

COPIES = (RESOURCE, ENTRY, VERSION)
GONE, MOVED, PERHAPS_GONE, PERHAPS_MOVED = "deleted", "of another patient", "perhaps deleted", "perhaps of another"
STANDS = ""
FALLEN, DOUBTFUL = (GONE, MOVED), (PERHAPS_GONE, PERHAPS_MOVED)


class Copy(NamedTuple):
    """One copy of a resource, as far as it tells when it was: `server` is None if its id counts in its bundle only."""

    owner: str
    block: int
    line: int
    server: str | None
    exported: str
    number: int | None
    changed: str


class Deletion(NamedTuple):
    """That a server no longer had a resource at the time of an export; `made` is when the list of such was written."""

    server: str
    exported: str
    made: str


class _Versioned(Element, frozen=True):
    """A resource, as far as it tells which version it is."""

    meta: Meta | None = None


def read_copy(piece: Piece, source: Source) -> Copy | Deletion:
    """What a piece tells of the order of events; `source` is the file that it came in."""
    if piece.kind == DELETED:
        return Deletion(source.server, source.exported, piece.text)
    full_url, resource = unwrap(piece.text) or ("", piece.text)
    read = decode_tolerantly(_Versioned, Raw(resource.encode()))
    meta = None if read is None else read[0].meta
    changed = (meta.last_updated if meta else None) or ""
    number = version_number(meta)
    server = source.server if full_url == "" else _server(full_url, piece.name, is_versioned=bool(number or changed))
    return Copy(piece.owner, piece.block, piece.line, server, source.exported, number, changed)


def _server(full_url: str | None, name: str, *, is_versioned: bool) -> str | None:
    """The server of an entry; ids that were made up for one bundle come without a server, or without versions."""
    parts = split_url(full_url)
    return parts[0] if is_versioned and parts is not None and f"{parts[1]}/{parts[2]}" == name else None


def judge(name: str, found: Iterable[Copy | Deletion]) -> Iterator[Piece]:
    """Why some copies of one name do not count, or are in doubt: a piece in the place of each."""
    copies, deletions = [], []
    for one in found:
        if isinstance(one, Copy):
            copies.append(one)
        else:
            deletions.append(one)
    fates = {one: _after(one, deletions) for one in copies}
    # A server that made a resource again may count its versions anew.
    is_ordered = PERHAPS_GONE not in fates.values()
    if deletions and STANDS in fates.values():
        # One is known to be there still: the others are versions of it like any.
        fates = {one: STANDS if fate == PERHAPS_GONE else fate for one, fate in fates.items()}
    for same in _by_server([one for one, fate in fates.items() if fate != GONE and one.server is not None]):
        fates.update(
            (one, fate) for one, fate in _between_patients(same, is_ordered) if fates[one] == STANDS or fate == MOVED
        )
    for one, fate in fates.items():
        if fate != STANDS:
            said = json.dumps([fate, name, one.number, one.changed, one.exported])
            yield Piece(one.owner, STANDING, one.block, one.line, name, (), said)


def fate_of(piece: Piece) -> str:
    """What a `standing` says."""
    said: list[Any] = json.loads(piece.text)
    return str(said[0])


# -- deletions -------------------------------------------------------------------------------------


def _after(copy: Copy, deletions: Sequence[Deletion]) -> str:
    """What is left of a copy after all deletions of its name."""
    fates = {_after_one(copy, one) for one in deletions if not (copy.server and one.server not in ("", copy.server))}
    return next((fate for fate in (GONE, PERHAPS_GONE) if fate in fates), STANDS)


def _after_one(copy: Copy, deletion: Deletion) -> str:
    """An export states what is there at its time: what changed or came later stands, what changed before is gone."""
    exported = parse_time(deletion.exported)
    known = exported or parse_time(deletion.made)
    changed, came = parse_time(copy.changed), parse_time(copy.exported)
    is_later = known is not None and any(one is not None and one.earliest > known.latest for one in (changed, came))
    # An export that holds what it says is deleted contradicts itself.
    is_before = exported is not None and came != exported and _is_before(changed or came, exported)
    if is_later == is_before:
        return PERHAPS_GONE
    return GONE if is_before else STANDS


def _is_before(one: TimeSpan | None, other: TimeSpan) -> bool:
    return one is not None and one.latest <= other.earliest


# -- patients --------------------------------------------------------------------------------------


def _by_server(copies: Sequence[Copy]) -> list[list[Copy]]:
    """Resources of the same id on different servers are different ones, if the servers are known."""
    servers = {one.server for one in copies}
    if len(servers - {""}) < 2:
        return [list(copies)]
    return [[one for one in copies if one.server == server] for server in sorted(servers, key=str)]


def _between_patients(copies: Sequence[Copy], is_ordered: bool) -> Iterator[tuple[Copy, str]]:
    """A resource is of one patient: of the one whom its newest version names."""
    if len({one.owner for one in copies}) < 2:
        return
    owner = _newest(copies) if is_ordered else None
    for one in copies:
        if owner is None:
            yield one, PERHAPS_MOVED
        elif one.owner != owner:
            yield one, MOVED


def _newest(copies: Sequence[Copy]) -> str | None:
    """Whose the newest version is: by its number, the time of its change, or that of its export; None if none tells."""
    orders = (lambda one: one.number, lambda one: _instant(one.changed), lambda one: _instant(one.exported))
    for order in orders:
        keys = [order(one) for one in copies]
        known = [key for key in keys if key is not None]
        if len(known) == len(keys):
            owners = {one.owner for one, key in zip(copies, keys, strict=True) if key == max(known)}
            if len(owners) == 1:
                return owners.pop()
    return None


def _instant(text: str) -> float | None:
    time = parse_time(text)
    return time.earliest.timestamp() if time is not None and time.is_instant else None
