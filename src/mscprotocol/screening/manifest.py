"""Where a run stands: what its folder is the output of, and whether it may be taken up or stood on."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import msgspec

from mscprotocol.errors import RequestError
from mscprotocol.screening.inputs import Source
from mscprotocol.screening.options import Options, differences
from mscprotocol.screening.progress import Reporter
from mscprotocol.screening.stages import write_whole

PARTS, PREVIOUS, READ, FINISHED = "parts", "previous", "read", "finished"
_encoder = msgspec.json.Encoder(order="sorted")


class Manifest(msgspec.Struct):
    """What a folder of output is the output of, and how far it came; `run` names all that the answers depend on."""

    options: Options
    sources: list[Source]
    rules: str
    run: str = ""
    parts: int = 0
    state: str = "begun"


def name_run(manifest: Manifest) -> str:
    """A name for the options, files and rules of a run."""
    return hashlib.sha256(_encoder.encode([manifest.options, manifest.sources, manifest.rules])).hexdigest()


def open_run(folder: Path, wanted: Manifest, reporter: Reporter, *, resume: bool) -> Manifest:
    """The manifest of a new run, of one that is taken up, or of one that stands on a finished one.

    Raises RequestError for a folder that holds something else, or a run that cannot be taken up.
    """
    work = folder / "work"
    wanted.run = name_run(wanted)
    known = read_manifest(work)
    if known is None:
        if folder.exists() and any(one != work for one in folder.iterdir()):
            raise RequestError("folder_in_use", f"{folder} holds something else: name an empty or a new folder")
        if resume:
            reporter.say("There is no run to take up: a new one begins.")
        _begin(work, wanted)
        return wanted
    if known.state != FINISHED:
        return _take_up(work, known, wanted, resume, reporter)
    if resume and (differing := differences(known.options, wanted.options)):
        text = f"the run is finished, and was made with other options ({', '.join(differing)})"
        raise RequestError("other_options", f"{text}: leave --resume out to bring it up to date with these")
    reporter.say("The folder holds a finished run: only patients whose answer may differ are screened again.")
    wanted.parts = known.parts
    if not (work / PREVIOUS).exists():
        (work / PARTS).replace(work / PREVIOUS)
    _begin(work, wanted)
    return wanted


def _take_up(work: Path, known: Manifest, wanted: Manifest, resume: bool, reporter: Reporter) -> Manifest:
    if not resume:
        raise RequestError("unfinished", "the folder holds a run that was cut short: add --resume, or name another")
    if differing := differences(known.options, wanted.options):
        raise RequestError(
            "other_options",
            f"the run was begun with other options ({', '.join(differing)}): give those, or name another folder",
        )
    if known.rules != wanted.rules:
        raise RequestError("other_rules", "the rules changed since the run was begun: start anew in another folder")
    if known.sources != wanted.sources:
        raise RequestError("other_data", "the files changed since the run was begun: start anew in another folder")
    reporter.say("The run is taken up where it was cut short.")
    _begin(work, known)
    return known


def _begin(work: Path, manifest: Manifest) -> None:
    for name in (PARTS, READ):
        (work / name).mkdir(parents=True, exist_ok=True)
    write_manifest(work, manifest)


def close_run(folder: Path) -> None:
    """Mark a run as finished, and forget what only it needed: the pieces of patients' data."""
    manifest = read_manifest(folder / "work")
    assert manifest is not None
    manifest.state = FINISHED
    write_manifest(folder / "work", manifest)
    for name in (READ, PREVIOUS):
        shutil.rmtree(folder / "work" / name, ignore_errors=True)


def read_manifest(work: Path) -> Manifest | None:
    """The manifest of a folder, if it has one."""
    path = work / "run.json"
    return msgspec.json.decode(path.read_bytes(), type=Manifest) if path.exists() else None


def write_manifest(work: Path, manifest: Manifest) -> None:
    """Write it whole."""
    write_whole(work / "run.json", _encoder.encode(manifest))
