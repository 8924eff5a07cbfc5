"""One block of a file to pieces: whatever cannot be read is a problem with its line, and every line is counted."""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Raw

from fhir_adapters.bulk_export import BUNDLE, Left, Pick, Picker, find_deletions, glance
from fhir_adapters.bundle_owners import owners_of
from fhir_adapters.hl7v2_files import split_file
from fhir_adapters.hl7v2_mapping import identity_of
from fhir_adapters.hl7v2_parsing import MessageError, parse_message
from fhir_adapters.patient_list import ColumnMap
from fhir_adapters.times import is_after
from fhir_adapters.unpacking import MAX_BYTES, NOT_FOLLOWED, Unit, open_bundles, refuse_doubled_keys
from mscprotocol.errors import DataError
from mscprotocol.knowledge import KnowledgeBase
from mscprotocol.record import Identifier
from mscprotocol.screening.inputs import Block
from mscprotocol.screening.lines import Line, check_text, open_file, read_lines
from mscprotocol.screening.pieces import (
    ALIAS,
    DELETED,
    ENTRY,
    FHIR,
    IDENTIFIER,
    MESSAGE,
    MESSAGES,
    NOTE,
    PAGE,
    RESOURCE,
    SEEN,
    VERSION,
    Counts,
    Piece,
    Problem,
    wrap,
)
from mscprotocol.screening.tables import TableReader

Found = Iterator[Piece | Problem]
_DELETE = re.compile(rb'"delete"', re.IGNORECASE)
# What a bulk export may hold beside resources: the log of the export itself.
_LOG = ("exportId", "eventId")


@dataclass
class Reader:
    """Reads blocks of any kind; `at_column` names the column of a list that holds the times of evaluation.

    `begun` is when the run began.
    """

    knowledge: KnowledgeBase
    columns: ColumnMap = field(default_factory=ColumnMap)
    zone: ZoneInfo | None = None
    with_encounters: bool = False
    with_times: bool = False
    at_column: str | None = None
    begun: str = ""

    def __post_init__(self) -> None:
        self._picker = Picker(self.knowledge, with_encounters=self.with_encounters, with_times=self.with_times)
        self._tables = TableReader(self.knowledge, self.columns, self.zone, self.at_column)
        self._readers: dict[str, Callable[[Block, Counts], Found]] = {
            "ndjson": self._read_ndjson, "bundle": self._read_bundle, "csv": self._tables.read,
            "hl7v2": self._read_messages,
        }  # fmt: skip

    def read(self, block: Block, counts: Counts) -> Found:
        """The pieces and problems of a block, in order; `counts` is filled on the way."""
        try:
            yield from self._readers[block.source.kind](block, counts)
        except (DataError, OSError, EOFError, zlib.error) as error:
            code = error.code if isinstance(error, DataError) else "unreadable"
            reason = str(error) if isinstance(error, DataError) else "the file cannot be read, or is cut short"
            counts.lines += 1
            counts.bad += 1
            yield Problem("file", code, reason, block.source.name)

    # -- FHIR --------------------------------------------------------------------------------------

    def _read_ndjson(self, block: Block, counts: Counts) -> Found:
        seen = _Seen(block.source.exported, self.begun)
        for line in read_lines(Path(block.source.path), block.start, block.end):
            counts.lines += 1
            counts.bytes += len(line.content) + 1
            if line.problem is None and not line.content.strip():
                counts.blank += 1
                continue
            try:
                if line.problem is not None:
                    raise line.problem
                refuse_doubled_keys(line.content)
                picked = self._picker.pick(line.content)
                if isinstance(picked, Left):
                    if picked.kind == BUNDLE:
                        yield from _deleted(line, block)
                    yield from _versions(picked, block, line.number)
                    counts.leave("deletions" if picked.kind == BUNDLE else picked.kind)
                    seen.add(picked)
                    continue
                text = check_text(line.content)
            except DataError as error:
                if _is_of_log(line.content):
                    counts.leave("log of the export")
                    continue
                counts.bad += 1
                yield Problem("line", error.code, _reason(error, line), block.source.name, line.number)
                if error.code == "foreign_subject":
                    yield from _versions(glance(line.content), block, line.number)
                continue
            counts.kept += 1
            yield from _pieces(picked, block, line.number, RESOURCE, text)
        yield from seen.pieces(block)

    def _read_bundle(self, block: Block, counts: Counts) -> Found:
        with open_file(Path(block.source.path)) as file:
            content = file.read(MAX_BYTES + 1)
        counts.bytes += len(content)
        if not _is_bundle(content):
            yield from self._read_single(block, counts, content)
            return
        opened = open_bundles([content])
        owners = owners_of(opened.units)
        seen = _Seen(block.source.exported, self.begun)
        patients: dict[str, None] = {}
        for number, unit in enumerate(opened.units, 1):
            counts.lines += 1
            try:
                picked = self._picker.pick(unit.content)
                if isinstance(picked, Left):
                    picked = picked._replace(owner=owners.get(number - 1) or picked.owner)
                    yield from _versions(picked, block, number, unit)
                    counts.leave(picked.kind)
                    seen.add(picked)
                    continue
                text = check_text(msgspec.json.format(bytes(unit.content), indent=-1))
                owner = owners.get(number - 1) or picked.owner
            except DataError as error:
                owner = owners.get(number - 1, "")
                if error.code != "foreign_subject" or not owner:
                    counts.bad += 1
                    yield Problem("line", error.code, f"{unit.reference}: {error}", block.source.name, number)
                    continue
                picked, text = Pick(unit.reference, owner), bytes(unit.content).decode()
            counts.kept += 1
            entry = wrap(unit.full_url, text)
            patients.setdefault(owner)
            mine = Pick(picked.name, owner if picked.owner else "", picked.uses, picked.aliases)
            yield from _pieces(mine, block, number, ENTRY, entry, unit.full_url)
        yield from seen.pieces(block)
        yield from _deleted_in(content, block, counts)
        known = [f"{FHIR}/{owner}" for owner in patients if owner and not owner.startswith(IDENTIFIER)]
        for owner in known:
            for note in (one for one in opened.notes if one.text != NOT_FOLLOWED):
                yield Piece(owner, NOTE, block.number, 0, "", (), json.dumps([note.reference, note.text]))
        for place, page in [("self", one) for one in opened.pages] + [("next", one) for one in opened.next_pages]:
            for owner in known:
                yield Piece(owner, PAGE, block.number, 0, place, (), json.dumps(page))

    def _read_single(self, block: Block, counts: Counts, content: bytes) -> Found:
        """A file of one resource."""
        if len(content) > MAX_BYTES:
            raise DataError("too_large", f"the file is larger than {MAX_BYTES // 1024 // 1024} MiB")
        refuse_doubled_keys(content)
        picked = self._picker.pick(content)
        if isinstance(picked, Left):
            counts.lines += 1
            yield from _versions(picked, block, 1)
            counts.leave(picked.kind)
            return
        text = check_text(msgspec.json.format(content, indent=-1))
        counts.lines += 1
        counts.kept += 1
        yield from _pieces(picked, block, 1, RESOURCE, text)

    # -- HL7 v2 ------------------------------------------------------------------------------------

    def _read_messages(self, block: Block, counts: Counts) -> Found:
        with open_file(Path(block.source.path)) as file:
            content = file.read(MAX_BYTES + 1)
        counts.bytes += len(content)
        for number, message in enumerate(split_file(content), 1):
            counts.lines += 1
            try:
                identities = identity_of(parse_message(message))
            except MessageError as error:
                if error.is_rejected:
                    counts.leave("HL7 v2 message of another type")
                else:
                    counts.bad += 1
                    yield Problem("line", error.code, f"message: {error}", block.source.name, number)
                continue
            counts.kept += 1
            text = json.dumps(message.decode("latin-1"))
            for names in identities:
                first, *others = sorted(map(_message_owner, names))
                yield Piece(first, MESSAGE, block.number, number, "", (), text)
                for other in others:
                    yield Piece(first, ALIAS, block.number, number, other, (), "")


class _Seen:
    """When each patient was last observed by what the rules do not read: his last observation may be one of these."""

    def __init__(self, *bounds: str) -> None:
        """When all of it was on record, as far as that is known: the time of the export, that of the run."""
        self._bounds = bounds
        self._latest: dict[tuple[str, str], datetime] = {}

    def add(self, left: Left) -> None:
        if left.time is not None and left.owner and not is_after(left.time, *self._bounds):
            key = left.owner, left.server
            self._latest[key] = max(left.time.latest, self._latest.get(key, left.time.latest))

    def pieces(self, block: Block) -> Iterator[Piece]:
        for (owner, server), time in self._latest.items():
            yield Piece(f"{FHIR}/{owner}", SEEN, block.number, 0, server, (), time.isoformat())


def _pieces(
    picked: Pick, block: Block, line: int, kind: str, text: str, full_url: str | None = None
) -> Iterator[Piece]:
    owner = f"{FHIR}/{picked.owner}" if picked.owner else ""
    yield Piece(owner, kind, block.number, line, picked.name or (full_url or ""), picked.uses, text)
    if not owner and full_url and full_url != picked.name:
        yield Piece("", kind, block.number, line, full_url, picked.uses, text)
    for alias in picked.aliases:
        yield Piece(owner, ALIAS, block.number, line, f"{FHIR}/{alias}", (), "")


def _versions(left: Left, block: Block, line: int, unit: Unit | None = None) -> Iterator[Piece]:
    """What is not read may be the newer version of what is: then the older one must not count."""
    name = left.name or (unit.full_url if unit else None) or ""
    if left.text and name:
        text = left.text.decode()
        owner = f"{FHIR}/{left.owner or IDENTIFIER}"
        yield Piece(owner, VERSION, block.number, line, name, (), wrap(unit.full_url, text) if unit else text)


def _deleted(line: Line, block: Block) -> list[Piece]:
    """The deletions that a line holds, and nothing else."""
    made, names = find_deletions(line.content)
    if not all(names):
        text = "a Bundle in one line: of such only deletions are read; give bundles as files of their own"
        raise DataError("not_a_bundle", text)
    return [Piece("", DELETED, block.number, line.number, name, (), made) for name in names if name]


def _deleted_in(content: bytes, block: Block, counts: Counts) -> Found:
    """The deletions among the entries of a bundle, each counted as a line of its own."""
    made, names = find_deletions(content) if _DELETE.search(content) else ("", [])
    for name in (one for one in names if one is not None):
        counts.lines += 1
        if name:
            counts.leave("deletions")
            yield Piece("", DELETED, block.number, counts.lines, name, (), made)
            continue
        counts.bad += 1
        text = "a request to delete that does not name one resource: it was not followed"
        yield Problem("line", "not_a_bundle", text, block.source.name, counts.lines)


def _message_owner(identifier: Identifier) -> str:
    return f"{MESSAGES}/{identifier.system}|{identifier.value}"


def _is_bundle(content: bytes) -> bool:
    try:
        return msgspec.json.decode(content, type=_Head).resource_type == "Bundle"
    except (ValueError, RecursionError):
        return True  # says what is wrong with it


class _Head(msgspec.Struct, rename="camel"):
    resource_type: str | None = None


def _reason(error: DataError, line: Line) -> str:
    """What is wrong with a line: that it is no text goes before what follows from that."""
    try:
        check_text(b"" if line.problem is not None else line.content)
    except DataError as first:
        return str(first)
    return str(error)


def _is_of_log(content: bytes) -> bool:
    try:
        tree = msgspec.json.decode(content, type=dict[str, Raw])
    except (ValueError, RecursionError):
        return False
    return all(name in tree for name in _LOG)
