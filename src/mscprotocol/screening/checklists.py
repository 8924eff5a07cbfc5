"""The checklists of a run: one file a patient of one source and protocol, and none that this run does not stand by."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from mscprotocol.screening.results import Screened
from mscprotocol.screening.stages import FOLDER, checklist_name, write_whole

_WRITTEN = "checklists.json"


def settle_checklists(folder: Path, results: Iterable[Screened], *, are_wanted: bool) -> None:
    """Delete the checklists of an earlier run that this one did not write or confirm; no other file is touched."""
    record = folder / "work" / _WRITTEN
    before: set[str] = set(msgspec.json.decode(record.read_bytes())) if record.exists() else set()
    now = {name for one in results for name in _names_of(one)} if are_wanted else set()
    for name in sorted(before - now):
        (folder / FOLDER / name).unlink(missing_ok=True)
    write_whole(record, msgspec.json.encode(sorted(now)))
    if not now and (folder / FOLDER).is_dir() and not any((folder / FOLDER).iterdir()):
        (folder / FOLDER).rmdir()


def _names_of(one: Screened) -> Iterable[str]:
    return (checklist_name(one.owner, row.patient, row.protocol) for row in one.rows if row.has_checklist)
