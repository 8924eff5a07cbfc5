"""A run: read, group, and screen part by part; what is finished is kept, so that a run can be taken up again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import msgspec

from mscprotocol.errors import RequestError
from mscprotocol.screening.exports import check_counts, check_manifests, origins_of, with_origins
from mscprotocol.screening.inputs import Block, Source, blocks_of, find_sources, unread_files
from mscprotocol.screening.manifest import PARTS, PREVIOUS, READ, Manifest, open_run, write_manifest
from mscprotocol.screening.options import Options
from mscprotocol.screening.pieces import Counts, Problem
from mscprotocol.screening.progress import Reporter
from mscprotocol.screening.stages import Done, Read, hash_file, part_name, read_block, screen_part, write_whole
from mscprotocol.screening.workers import Engine

DATABASE = "pieces"


class Staged(msgspec.Struct, frozen=True):
    """What reading found: how many patients in how many parts, what was wrong, and how much there was by file.

    `fates` counts the resources that were read and do not count, or are in doubt, by why.
    """

    run: str
    parts: int
    patients: int
    problems: list[Problem]
    counts: dict[str, Counts]
    same_identifier: list[list[str]]
    fates: dict[str, int] = {}


@dataclass(frozen=True)
class Finished:
    """A run whose parts are all there; `why` counts the reasons for which patients were screened, or were not."""

    folder: Path
    options: Options
    sources: Sequence[Source]
    staged: Staged
    rules: str
    why: dict[str, int] = field(default_factory=dict)

    @property
    def parts(self) -> list[Path]:
        """The files of the parts, in their order."""
        return [self.folder / "work" / PARTS / part_name(part) for part in range(self.staged.parts)]


def run_screening(
    inputs: Sequence[Path], folder: Path, options: Options, engine: Engine, reporter: Reporter, *, resume: bool = False
) -> Finished:
    """Screen everything in some files and folders.

    Raises RequestError for inputs without any file and for a folder that holds something else or a run that was cut
    short, KnowledgeError, and OSError when the disk does not take what is written.
    """
    sources = with_origins(find_sources(inputs))
    if not sources:
        raise RequestError("nothing_to_read", "there is no file to read: name the files of an export, or its folder")
    wanted = Manifest(options, sources, options.rules(options.knowledge()))
    manifest = open_run(folder, wanted, reporter, resume=resume)
    staged = _stage(folder / "work", manifest, engine, reporter)
    done = _screen(folder / "work", manifest, staged, engine, reporter)
    why = sum((Counter(one.why) for one in done), Counter[str]())
    return Finished(folder, manifest.options, sources, staged, manifest.rules, dict(sorted(why.items())))


# -- reading -----------------------------------------------------------------------------------------


def _stage(work: Path, manifest: Manifest, engine: Engine, reporter: Reporter) -> Staged:
    """Read and group all files, unless that is done."""
    path = work / READ / "staged.json"
    if path.exists():
        found = msgspec.json.decode(path.read_bytes(), type=Staged)
        if found.run == manifest.run and (work / READ / DATABASE).exists():
            return found
    staged = _read(work / READ, manifest, engine, reporter)
    write_whole(path, msgspec.json.encode(staged))
    manifest.parts = staged.parts
    write_manifest(work, manifest)
    return staged


def _read(folder: Path, manifest: Manifest, engine: Engine, reporter: Reporter) -> Staged:
    blocks = blocks_of(manifest.sources)
    function = partial(read_block, msgspec.json.encode(manifest.options), str(folder))
    reads = sorted(reporter.follow("files read", engine.map(function, blocks), len(blocks)), key=lambda one: one.spool)
    counts, problems = _settle(blocks, reads)
    spools = [Path(one.spool) for one in reads]
    grouped = engine.group(spools, folder / DATABASE, [block.source for block in blocks], manifest.parts)
    for spool in spools:
        spool.unlink()
    problems += [
        *unread_files(manifest.sources),
        *check_manifests(manifest.sources),
        *check_counts(manifest.sources, counts),
        *grouped.problems,
    ]
    for problem in grouped.problems:
        counts[problem.file].kept -= 1
        counts[problem.file].bad += 1
    problems.sort(key=lambda one: (one.file, one.line or 0, one.code, one.message))
    return Staged(
        manifest.run, grouped.parts, grouped.patients, problems, counts, grouped.same_identifier, grouped.fates
    )


def _settle(blocks: Sequence[Block], reads: Sequence[Read]) -> tuple[dict[str, Counts], list[Problem]]:
    """The counts of each file, and the problems with the number of their line in it."""
    counts: dict[str, Counts] = {}
    problems: list[Problem] = []
    for block, read in zip(blocks, reads, strict=True):
        known = counts.setdefault(block.source.name, Counts())
        before = known.lines
        for one in read.problems:
            line = None if one.line is None else one.line + before
            problems.append(msgspec.structs.replace(one, line=line))
        known.add(read.counts)
    return counts, problems


# -- screening ---------------------------------------------------------------------------------------


def _screen(work: Path, manifest: Manifest, staged: Staged, engine: Engine, reporter: Reporter) -> list[Done]:
    """Screen the parts that are not finished."""
    finished = {part: done for part in range(staged.parts) if (done := _done(work, part, manifest.run)) is not None}
    function = partial(
        screen_part,
        msgspec.json.encode(manifest.options),
        manifest.run,
        str(work / READ / DATABASE),
        str(work / PARTS),
        str(work / PREVIOUS),
        origins_of(manifest.sources, staged.counts),
    )
    left = [part for part in range(staged.parts) if part not in finished]
    made = reporter.follow("patients screened", engine.map(function, left), staged.patients, _size)
    return [*finished.values(), *made]


def _size(done: Done) -> int:
    return sum(done.why.values())


def _done(work: Path, part: int, run: str) -> Done | None:
    """A part that this very run finished, with the bytes that it wrote."""
    path = work / PARTS / part_name(part)
    marker = path.with_suffix(".json")
    if not (path.exists() and marker.exists()):
        return None
    done = msgspec.json.decode(marker.read_bytes(), type=Done)
    return done if done.run == run and hash_file(path) == done.sha256 else None
