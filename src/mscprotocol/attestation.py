"""The newest valid answer of a named person to one question, and what may be at work by record or answer."""

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
    answers = series.record.attestations.get(name)
    if not answers:
        return None
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


def may_act(series: Series, name: str) -> bool:
    """Whether something may be at work, or still act after its end: by the record, or by what a named person answered.

    Whoever is not sure whether it is leaves open what it would disturb; who denies it does not undo that it still acts.
    """
    if series.is_silent_on(name):
        return False
    definition = series.knowledge.conditions[name]
    if series.may_run(name):
        return True
    if definition.acts_for is not None:
        affirmed = (one for one in series.record.attestations.get(name, ()) if one.answer is Truth.MET)
        if any(_is_recent(one, definition.acts_for, series.at) for one in affirmed):
            return True
    newest = latest_attestation(series, name, definition.attested_for, series.at)
    return newest is not None and newest[0] is not Truth.NOT_MET


def _is_recent(entry: Attestation, window: Window, at: datetime) -> bool:
    """Whether an answer was, or may have been, given in a window that has begun by `at`."""
    if entry.time is None:
        return True
    return not entry.time.is_after(at) and within_window(entry.time, window, at) is not Truth.NOT_MET


def _when(entry: Attestation) -> tuple[datetime, str]:
    assert entry.time is not None
    return entry.time.latest, entry.reference
