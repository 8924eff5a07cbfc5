"""What the manifests of bulk exports say of the files beside them: which there are, how long, from when, and whose."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, takewhile
from pathlib import Path
from typing import Any

import msgspec

from mscprotocol.screening.inputs import Source, blocks_of, unread_files
from mscprotocol.screening.pieces import NOWHERE, Counts, Origin, Problem

_LISTS = ("output", "deleted")
# The export of everything, of all patients, or of a group.
_REQUEST = re.compile(r"https?://([^?#]+?)/(?:Patient/|Group/[^/?#]+/)?\$export(?:[?#].*)?")


@dataclass(frozen=True)
class _Manifest:
    """A manifest, and the files below its folder by name; without a tree it is no JSON."""

    source: Source
    tree: Mapping[str, Any] | None
    files: Mapping[str, list[Source]]

    def named(self) -> Iterator[tuple[str, Mapping[str, Any], list[Source]]]:
        """Each file that it names, what it says of it, and the files that this may be."""
        tree = self.tree or {}
        for said in (one for key in _LISTS for one in tree.get(key) or () if isinstance(one, dict)):
            place = str(said.get("url", "")).partition("?")[0].removesuffix(".gz").split("/")
            yield place[-1], said, self._nearest(place)

    def _nearest(self, place: list[str]) -> list[Source]:
        """The files whose place is most like that of the URL; of those, one beside the manifest."""
        found = self.files.get(place[-1], [])
        alike = [_shared_end(place, list(Path(one.path).parts[:-1])) for one in found]
        found = [one for one, number in zip(found, alike, strict=True) if number == max(alike)]
        folder = Path(self.source.path).parent
        return [one for one in found if Path(one.path).parent == folder] or found

    @property
    def server(self) -> str:
        """The server that was asked, as far as the manifest tells."""
        match = _REQUEST.fullmatch(str((self.tree or {}).get("request", "")))
        return match[1] if match else ""


def _shared_end(place: list[str], folders: list[str]) -> int:
    """How many folders before the name of a file are those of a URL."""
    pairs = zip(reversed(place[:-1]), reversed(folders), strict=False)
    return len(list(takewhile(lambda pair: pair[0] == pair[1], pairs)))


def _manifests(sources: Sequence[Source]) -> Iterator[_Manifest]:
    for manifest in (one for one in sources if one.kind == "manifest"):
        folder = Path(manifest.path).parent
        files: dict[str, list[Source]] = {}
        for one in sources:
            if one is not manifest and Path(one.path).is_relative_to(folder):
                files.setdefault(Path(one.path).name.removesuffix(".gz"), []).append(one)
        try:
            tree = json.loads(Path(manifest.path).read_bytes())
        except ValueError:
            tree = None
        yield _Manifest(manifest, tree, files)


def with_origins(sources: Sequence[Source]) -> list[Source]:
    """The files with the time and the server of the export that each is of; with none where manifests disagree."""
    said: dict[str, set[tuple[str, str]]] = {}
    for manifest in _manifests(sources):
        exported = str((manifest.tree or {}).get("transactionTime", ""))
        for _, _, found in manifest.named():
            if len(found) == 1:
                said.setdefault(found[0].path, set()).add((exported, manifest.server))
    known = {path: next(iter(origins)) for path, origins in said.items() if len(origins) == 1}
    return [
        msgspec.structs.replace(one, exported=known[one.path][0], server=known[one.path][1])
        if one.path in known
        else one
        for one in sources
    ]


def check_manifests(sources: Sequence[Source]) -> Iterator[Problem]:
    """What a manifest of an export names and is not there is said: resources, deletions, or errors of the export."""
    for manifest in _manifests(sources):
        name = manifest.source.name
        if manifest.tree is None:
            yield Problem("file", "unreadable", "the manifest is not JSON", name)
            continue
        for file, _, found in manifest.named():
            if not found:
                text = f"the manifest names {file or 'a file without name'}, which is not there: data are missing"
                yield Problem("file", "incomplete_page", text, name)
        if manifest.tree.get("error"):
            text = "the manifest names files of errors: the export itself was not complete"
            yield Problem("file", "incomplete_page", text, name)


def promised_lines(sources: Sequence[Source]) -> dict[str, int]:
    """How many lines manifests state for files, by the path of the file."""
    return {
        found[0].path: said["count"]
        for manifest in _manifests(sources)
        for _, said, found in manifest.named()
        if len(found) == 1 and isinstance(said.get("count"), int)
    }


def check_counts(sources: Sequence[Source], counts: Mapping[str, Counts]) -> Iterator[Problem]:
    """Files that hold another number of lines than the manifest of their export states."""
    stated = promised_lines(sources)
    for source in sources:
        found = counts.get(source.name)
        if source.path in stated and found is not None and found.lines - found.blank != stated[source.path]:
            text = f"the manifest states {stated[source.path]} lines, the file holds {found.lines - found.blank}"
            yield Problem("file", "incomplete_page", text, source.name)


def origins_of(sources: Sequence[Source], counts: Mapping[str, Counts]) -> dict[int, Origin]:
    """What is known of the export that each block is of, by the number of the block; nothing of any other."""
    incomplete = _incomplete_files(sources, counts)
    found = {
        block.number: Origin(block.source.server, block.source.exported, block.source.path in incomplete)
        for block in blocks_of(sources)
    }
    return {number: origin for number, origin in found.items() if origin != NOWHERE}


def _incomplete_files(sources: Sequence[Source], counts: Mapping[str, Counts]) -> set[str]:
    """The paths of the files of exports that did not come whole."""
    wrong = {one.file for one in (*check_manifests(sources), *check_counts(sources, counts), *unread_files(sources))}
    found: set[str] = set()
    for manifest in _manifests(sources):
        files = [one for _, _, some in manifest.named() for one in some] or [*chain(*manifest.files.values())]
        if wrong & {manifest.source.name, *(one.name for one in files)}:
            found |= {one.path for one in files}
    return found
