"""The two stages of a run, as functions of plain values that any worker on any engine can call."""

from __future__ import annotations

import gzip
import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from functools import lru_cache, partial
from pathlib import Path
from typing import NamedTuple

import msgspec

from mscprotocol.answer import Assessment
from mscprotocol.rendering import render_html
from mscprotocol.screening.grouping import read_part, write_spool
from mscprotocol.screening.inputs import Block
from mscprotocol.screening.options import Options
from mscprotocol.screening.patients import Screen, fingerprint, screen_patient
from mscprotocol.screening.pieces import Counts, Origin, Piece, Problem
from mscprotocol.screening.reading import Reader
from mscprotocol.screening.results import Screened

_decoder = msgspec.json.Decoder(Screened)
_encoder = msgspec.json.Encoder()
FOLDER = "checklists"


class Read(NamedTuple):
    """What came of a block: where its pieces are, what was wrong, and how much there was."""

    spool: str
    problems: list[Problem]
    counts: Counts


class Done(msgspec.Struct, frozen=True):
    """A part that is finished: by which run, with which bytes, and why its patients were screened or not."""

    run: str
    sha256: str
    why: dict[str, int]


@lru_cache(maxsize=1)
def reader_of(options: bytes) -> Reader:
    """The reader of a worker, made once."""
    return msgspec.json.decode(options, type=Options).reader()


@lru_cache(maxsize=1)
def screen_of(options: bytes) -> Screen:
    """The rules of a worker, compiled once."""
    return msgspec.json.decode(options, type=Options).screen()


def read_block(options: bytes, folder: str, block: Block) -> Read:
    """Read one block into a spool of pieces."""
    counts = Counts()
    spool = Path(folder) / f"block-{block.number:06}.spool"
    problems = write_spool(reader_of(options).read(block, counts), spool)
    return Read(str(spool), problems, counts)


def screen_part(
    options: bytes, run: str, database: str, folder: str, previous: str, origins: Mapping[int, Origin], part: int
) -> Done:
    """Screen the patients of one part, or take what an earlier run found of them if it still holds.

    The part and then its marker appear whole or not at all.
    """
    screen = replace(_drawing(screen_of(options), options, folder), origins=origins)
    earlier = {one.owner: one for one in read_results(Path(previous) / part_name(part))}
    why: dict[str, int] = {}
    target = Path(folder) / part_name(part)
    found = screen_all(read_part(Path(database), part), screen, earlier, why)
    sha256 = write_results(target, found)
    done = Done(run, sha256, dict(sorted(why.items())))
    write_whole(target.with_suffix(".json"), _encoder.encode(done))
    return done


def screen_all(
    patients: Iterable[tuple[str, list[Piece]]], screen: Screen, earlier: Mapping[str, Screened], why: dict[str, int]
) -> Iterator[Screened]:
    """The results of some patients, in their order; `why` counts the reasons for which they were screened."""
    for owner, pieces in patients:
        known = earlier.get(owner)
        reason = _reason(known, fingerprint(pieces, screen), screen)
        why[reason] = why.get(reason, 0) + 1
        yield known if known is not None and reason == "unchanged" else screen_patient(owner, pieces, screen)


def _reason(known: Screened | None, data: str, screen: Screen) -> str:
    """Why a patient is screened; `unchanged` if an earlier answer holds."""
    if known is None:
        return "new"
    if known.data != data:
        return "data changed"
    if known.rules != screen.rules:
        return "options changed" if known.base == screen.base else "rules changed"
    at = screen.moment.at
    if at is None and _has_come(known, screen):
        return "time has passed"
    if at is None or known.at == at.isoformat() or _holds(known, at):
        return "unchanged"
    is_later = known.at is not None and datetime.fromisoformat(known.at) < at
    return "time has passed" if is_later else "another time"


def _has_come(known: Screened, screen: Screen) -> bool:
    """Whether a time that lay ahead, and could be no last observation, does so no more."""
    if known.ahead is None or not screen.begun:
        return False
    return datetime.fromisoformat(known.ahead) <= datetime.fromisoformat(screen.begun)


def _holds(known: Screened, at: datetime) -> bool:
    if known.at is None or known.problem is not None:
        return False
    is_over = known.holds_until is not None and datetime.fromisoformat(known.holds_until) <= at
    return datetime.fromisoformat(known.at) <= at and not is_over


# -- files that appear whole ------------------------------------------------------------------------


def part_name(part: int) -> str:
    """The name of a part's file."""
    return f"part-{part:04}.ndjson.gz"


def write_results(path: Path, results: Iterable[Screened]) -> str:
    """Write results as packed lines, atomically; the SHA-256 of the packed bytes, which are the same for the same."""
    temporary = path.with_name(path.name + ".tmp")
    with temporary.open("wb") as raw:
        with gzip.GzipFile("", "wb", compresslevel=1, fileobj=raw, mtime=0) as file:
            for one in results:
                file.write(_encoder.encode(one) + b"\n")
        raw.flush()
        os.fsync(raw.fileno())
    sha256 = hash_file(temporary)
    temporary.replace(path)
    return sha256


def read_results(path: Path) -> Iterator[Screened]:
    """The results of a part, if there is one."""
    if not path.exists():
        return
    with gzip.open(path, "rb") as file:
        for line in file:
            yield _decoder.decode(line)


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that it is there whole or not at all."""
    temporary = path.with_name(path.name + ".tmp")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def hash_file(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# -- checklists ------------------------------------------------------------------------------------


def _drawing(screen: Screen, options: bytes, folder: str) -> Screen:
    if not msgspec.json.decode(options, type=Options).checklists:
        return screen
    target = Path(folder).parent.parent / FOLDER
    target.mkdir(parents=True, exist_ok=True)
    return replace(screen, draw=partial(_write_checklist, screen, target))


def checklist_name(owner: str, patient: str, protocol: str) -> str:
    """The name of a checklist: an id alone may be that of two patients, of different sources."""
    safe = "".join(letter if letter.isalnum() or letter in "-." else "_" for letter in patient)[:60]
    return f"{safe}-{hashlib.sha256(owner.encode()).hexdigest()[:12]}-{protocol}.html"


def _write_checklist(screen: Screen, folder: Path, owner: str, answer: Assessment) -> None:
    name = checklist_name(owner, answer.patient.id, answer.protocol.id)
    write_whole(folder / name, render_html(answer, screen.books[0].knowledge).encode())
