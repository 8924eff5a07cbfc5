"""Which files there are to read, recognised by their content, and in which blocks they are read."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from fhir_adapters.hl7v2_files import is_hl7v2
from mscprotocol.screening.lines import LONGEST_LINE, is_packed, read_head
from mscprotocol.screening.pieces import Problem

Kind = Literal["ndjson", "bundle", "csv", "hl7v2", "manifest", "denied", "other"]
BLOCK = 64 * 1024 * 1024
_HEAD = 64 * 1024
_BLANK = b"\xef\xbb\xbf \t\r\n"
_TYPE = re.compile(rb'"resourceType"\s*:\s*"([A-Za-z]+)"')
_ZIP = b"PK"
_FIRST_FIELD = re.compile(rb'^[\w "$.-]{1,80}[,;\t]')


class Source(msgspec.Struct, frozen=True):
    """A file: how it is named in messages, what it holds, and what it looked like when it was found.

    Of a file that the manifest of an export names also the time that the export speaks for, as it is written there,
    and its server.
    """

    number: int
    path: str
    name: str
    kind: Kind
    size: int
    changed: int
    exported: str = ""
    server: str = ""


class Block(msgspec.Struct, frozen=True):
    """A part of a file that is read at once: lines that begin between two places."""

    number: int
    source: Source
    start: int = 0
    end: int | None = None


def find_sources(inputs: Sequence[Path]) -> list[Source]:
    """The files of some folders and files, in one order. Raises FileNotFoundError for what does not exist."""
    found: dict[Path, str] = {}
    for given in inputs:
        if not given.exists():
            raise FileNotFoundError(given)
        for path in [given] if given.is_file() else sorted(_below(given)):
            inner = path.name if path == given else path.relative_to(given).as_posix()
            found.setdefault(path.resolve(), f"{given.name}/{inner}" if len(inputs) > 1 and path != given else inner)
    named = sorted((name, path) for path, name in found.items() if not path.name.startswith("."))
    return [_source(number, path, name) for number, (name, path) in enumerate(named)]


def _below(folder: Path) -> Iterator[Path]:
    """The files below a folder, and the folders that may not be looked into."""
    denied: list[OSError] = []
    for place, _, names in os.walk(folder, onerror=denied.append):
        yield from (path for name in names if (path := Path(place, name)).is_file())
    yield from (Path(error.filename) for error in denied)


def _source(number: int, path: Path, name: str) -> Source:
    status = path.stat()
    return Source(number, str(path), name, recognise(path), status.st_size, status.st_mtime_ns)


def recognise(path: Path) -> Kind:
    """What a file holds, by its first bytes; its name only tells tables of values from other text."""
    try:
        head = read_head(path, _HEAD).lstrip(_BLANK)
    except (PermissionError, IsADirectoryError):
        return "denied"  # a folder is among the files if it may not be looked into
    if is_hl7v2(head):
        return "hl7v2"
    if head.startswith(b"{"):
        return _recognise_json(path, head)
    if head.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in head[:1024] or not head:
        return _by_name(path)
    is_table = ".csv" in path.suffixes or ".tsv" in path.suffixes
    return "csv" if is_table and _FIRST_FIELD.match(head) else _by_name(path)


def _by_name(path: Path) -> Kind:
    """A file whose first bytes say nothing may still be what its name says, with the damage at its beginning."""
    suffixes = {one.lower() for one in path.suffixes}
    if ".ndjson" in suffixes or ".jsonl" in suffixes:
        return "ndjson"
    return "bundle" if ".json" in suffixes else "csv" if {".csv", ".tsv"} & suffixes else "other"


def _recognise_json(path: Path, head: bytes) -> Kind:
    first, is_all = _first_line(path, head)
    if _is_whole(first):
        if not is_all or ".ndjson" in path.suffixes:
            return "ndjson"
        return "manifest" if _is_manifest(first) else "bundle" if b'"resourceType"' in first else "other"
    if _TYPE.search(head):
        return "ndjson" if ".ndjson" in path.suffixes else "bundle"
    content = read_head(path, 1024 * 1024)
    return "manifest" if _is_manifest(content) else "ndjson" if ".ndjson" in path.suffixes else "other"


def _first_line(path: Path, head: bytes) -> tuple[bytes, bool]:
    """The first line of a file, however long it is, and whether nothing follows it."""
    first, end, rest = head.partition(b"\n")
    if end:
        return first, not rest.strip()
    long = read_head(path, LONGEST_LINE + 1).lstrip(_BLANK)
    first, _, rest = long.partition(b"\n")
    return first, not rest.strip()


def _is_whole(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


def _is_manifest(content: bytes) -> bool:
    try:
        tree = json.loads(content)
    except ValueError:
        return False
    return isinstance(tree, dict) and "transactionTime" in tree and isinstance(tree.get("output"), list)


def blocks_of(sources: Iterable[Source]) -> list[Block]:
    """The blocks of all files: plain files of lines in parts, anything else whole."""
    found: list[Block] = []
    for source in sources:
        if source.kind in ("manifest", "denied", "other"):
            continue
        is_parted = source.kind == "ndjson" and not is_packed(Path(source.path))
        starts = range(0, max(source.size, 1), BLOCK) if is_parted else [0]
        for start in starts:
            end = start + BLOCK if is_parted else None
            found.append(Block(len(found), source, start, end))
    return found


def unread_files(sources: Iterable[Source]) -> Iterator[Problem]:
    """The files and folders of which nothing is read, each with what would make it readable."""
    for source in sources:
        if source.kind == "denied":
            text = "there is no permission to read it: what it holds is missing; allow it, and run the command again"
            yield Problem("file", "unreadable", text, source.name)
        if source.kind == "other":
            yield Problem("file", "unreadable", _why_other(Path(source.path)), source.name)


def _why_other(path: Path) -> str:
    head = read_head(path, _HEAD).lstrip(_BLANK)
    if not head:
        return "the packed file is damaged" if is_packed(path) else "the file is empty"
    if head.startswith(_ZIP):
        return "a workbook or a ZIP file: unpack it, and save each sheet as CSV in UTF-8"
    if head.startswith(b"["):
        return "a list of JSON values: write one resource a line (NDJSON), or one Bundle"
    return (
        "neither FHIR (a first line of JSON), HL7 v2 (MSH first), nor a table: a table needs .csv or .tsv in its name,"
        " and no comments before the line of column names"
    )
