"""The newest valid answer of a named person to one question."""

from __future__ import annotations

from datetime import datetime

from mscprotocol.reasons import Reason
from mscprotocol.record import Attestation
from mscprotocol.selection import Evidence, within_window
from mscprotocol.series import Series
from mscprotocol.timespan import Window
from mscprotocol.truth import Truth


def latest_attestation(
    series: Series, name: str, window: Window | None, at: datetime
) -> tuple[Truth, Evidence, datetime | None] | None:
    """The newest answer that is still valid: the answer, its evidence, its expiry.

    The answer is unknown, with the reason in the evidence, where answers of one time contradict each other, or where
    one without a usable time says otherwise.
    """
    answers = series.record.attestations.get(name, ())
    given, undated = [], []
    for entry in answers:
        valid = Truth.UNKNOWN if entry.time is None else within_window(entry.time, window, at)
        if entry.time is not None and entry.time.is_after(at):
            continue
        if valid is Truth.MET:
            given.append(entry)
        elif valid is Truth.UNKNOWN:
            undated.append(entry)
    if not given:
        return (Truth.UNKNOWN, Evidence(undated[0], used=False, why_not=Reason.PARTIAL_DATE), None) if undated else None
    newest = max(given, key=_when)
    rivals = {entry.answer for entry in given if entry.time == newest.time} | {entry.answer for entry in undated}
    if len(rivals) > 1:
        return Truth.UNKNOWN, Evidence(newest, used=False, why_not=Reason.CONFLICT), None
    assert newest.time is not None
    expires = None if window is None else window.expiry(newest.time.earliest)
    return newest.answer, Evidence(newest, used=newest.answer is not Truth.UNKNOWN), expires


def _when(entry: Attestation) -> tuple[datetime, str]:
    assert entry.time is not None
    return entry.time.latest, entry.reference
