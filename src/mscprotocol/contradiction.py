"""What contradicts a test that shows a disease: that somebody refuted or denied the disease, or charted its end."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from mscprotocol.attestation import latest_attestation
from mscprotocol.ballot import is_settled, known_since
from mscprotocol.knowledge_forms import MeasurementLeaf
from mscprotocol.reasons import Reason
from mscprotocol.record import Measurement, Presence
from mscprotocol.selection import Evidence, within_window
from mscprotocol.series import Series
from mscprotocol.timespan import Window
from mscprotocol.truth import Truth


def find_contradictions(
    series: Series, leaf: MeasurementLeaf, shown: Sequence[Evidence], at: datetime
) -> list[Evidence]:
    """What stands against the answers `shown` that met a leaf, each with why; nothing once a person affirmed it later.

    A person's denial from before the newest of these answers says nothing of them.
    """
    name = leaf.contradicted_by
    if name is None:
        return []
    newest = _newest(leaf, shown)
    charted = [(one, _why(one, leaf.within, newest, at)) for one in series.presences(name)]
    found = [Evidence(one, used=False, why_not=why) for one, why in charted if why]
    attested = latest_attestation(series, name, series.knowledge.conditions[name].attested_for, at)
    if attested is None:
        return found
    answer, said, _ = attested
    if answer is Truth.MET:
        return [one for one in found if not is_settled(one, [said])]
    is_before = said.entry.time is not None and newest is not None and said.entry.time.latest < newest
    if not is_before and (answer is Truth.NOT_MET or said.why_not is Reason.CONFLICT):
        found.append(Evidence(said.entry, used=False, why_not=Reason.CONFLICT))
    return found


def _newest(leaf: MeasurementLeaf, shown: Sequence[Evidence]) -> datetime | None:
    """Since when the newest answer that met the leaf may stand."""
    values = [one.entry for one in shown if isinstance(one.entry, Measurement)]
    times = [one.time for one in values if one.answer in (leaf.answer or ())]
    return max((time.earliest for time in times if time is not None), default=None)


def _why(entry: Presence, window: Window | None, newest: datetime | None, at: datetime) -> Reason | None:
    """Why an entry of the record contradicts, if it does.

    A refuted entry is dated when it was first charted and was refuted who knows when since; so is an end that nobody
    dated. Both count unless the entry is surely of an episode before the window.
    """
    charted = known_since(entry) if entry.present is Truth.NOT_MET else entry.time or entry.recorded
    is_old = charted is not None and within_window(charted, window, at) is Truth.NOT_MET
    if entry.present is Truth.NOT_MET:
        return None if is_old else Reason.CONFLICT
    if entry.present is not Truth.MET:
        return None
    if entry.ended is not None:
        is_before = newest is not None and entry.ended.latest < newest
        return None if is_before else Reason.NEEDS_REVIEW
    return Reason.NEEDS_REVIEW if entry.active is Truth.NOT_MET and not is_old else None
