"""Which of several entries answers a question, and why the others do not."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import TypeVar

import msgspec
from msgspec.structs import replace

from mscprotocol.reasons import Reason
from mscprotocol.record import Entry, Measurement
from mscprotocol.timespan import TimeSpan, Window
from mscprotocol.truth import Truth

E = TypeVar("E", bound=Entry)
# Whether a value was taken under a state, with the entries that tell.
Taken = tuple[Truth, tuple[Measurement, ...]]
# What single values say about a question, with the reason of what they leave open.
Judged = list[tuple[Measurement, Truth, Reason | None]]


class Evidence(msgspec.Struct, frozen=True):
    """An entry that was looked at: used, or not and why."""

    entry: Entry
    used: bool
    why_not: Reason | None = None


class Selection(msgspec.Struct, frozen=True):
    """The entry that answers, or the reason why none does; `expires` is when the answer would become stale."""

    chosen: Measurement | None
    reason: Reason | None
    evidence: tuple[Evidence, ...]
    expires: datetime | None = None


NOTHING = Selection(None, Reason.MISSING, ())


def within_window(time: TimeSpan, window: Window | None, at: datetime) -> Truth:
    """Whether an instant known in part lies in the window that ends at `at`."""
    if window is None:
        return Truth.MET
    start = window.start(at)
    if time.earliest >= start:
        return Truth.MET
    return Truth.NOT_MET if time.latest < start else Truth.UNKNOWN


def find_latest(points: Sequence[Measurement], window: Window | None, at: datetime) -> Selection:
    """The newest value in its shelf life. A newer value that cannot be used leaves the question open.

    `points` come newest first. Values that were absent by their own word are passed over. Values whose
    times overlap cannot be ordered, so all of them stay possible.
    """
    if not points:
        return NOTHING
    present = [point for point in points if point.problem is not Reason.MISSING]
    timed = [point for point in present if point.time is not None]
    if not timed:
        reason = _untimed_reason(present) or (Reason.PARTIAL_DATE if present else Reason.MISSING)
        return Selection(None, reason, _unused(points, reason))
    newest = timed[0]
    assert newest.time is not None
    rivals = [point for point in timed[1:] if point.time is not None and point.time.latest >= newest.time.earliest]
    undated = [point for point in present if point.time is None]
    hindrance = _first_reason(newest, rivals, window, at)
    if hindrance is None and any(point.problem is not None or _differs(point, newest) for point in undated):
        hindrance, rivals = Reason.PARTIAL_DATE, [*rivals, *undated]  # one of these may be the newest
    if hindrance is not None:
        return Selection(None, hindrance, _unused((newest, *rivals), hindrance))
    chosen = _joined(newest, rivals)
    expires = None if window is None else window.expiry(newest.time.earliest)
    return Selection(chosen, None, (Evidence(newest, used=True), *_unused(rivals, None)), expires)


def doubt_contradicted(judged: Judged) -> Judged:
    """What single values of a window say, but for a worst one that another of the same instant denies: unknown."""
    denied = {point.time for point, truth, _ in judged if truth is Truth.NOT_MET}
    return [
        (point, Truth.UNKNOWN, Reason.CONFLICT)
        if truth is Truth.MET and point.time in denied and point.time is not None and point.time.is_instant
        else (point, truth, reason)
        for point, truth, reason in judged
    ]


def pair(found: Selection, points: Sequence[Measurement], taken: Callable[[Measurement], Taken]) -> Selection:
    """A selected value, if it was surely taken under a state; where it was not, or none was, nothing answers."""
    if found.chosen is None:
        is_bare = found.reason is Reason.MISSING and points
        return Selection(None, Reason.UNPAIRED, _unused(points, Reason.UNPAIRED)) if is_bare else found
    truth, beside = taken(found.chosen)
    if truth is Truth.MET:
        return replace(found, evidence=(*found.evidence, *(Evidence(one, used=True) for one in beside)))
    return Selection(None, Reason.UNPAIRED, _unused((found.chosen, *beside), Reason.UNPAIRED))


def _first_reason(
    newest: Measurement, rivals: Sequence[Measurement], window: Window | None, at: datetime
) -> Reason | None:
    assert newest.time is not None
    fresh = within_window(newest.time, window, at)
    if fresh is not Truth.MET:
        return Reason.STALE if fresh is Truth.NOT_MET else Reason.PARTIAL_DATE
    for point in (newest, *rivals):
        if point.problem is not None:
            return point.problem
    if any(point.time == newest.time and newest.time.is_instant and _differs(point, newest) for point in rivals):
        return Reason.CONFLICT
    if newest.value is None and newest.answer is None:
        return Reason.MISSING
    if any(point.answer != newest.answer for point in rivals):
        return Reason.CONFLICT
    return None


def _differs(one: Measurement, other: Measurement) -> bool:
    return (one.value, one.answer) != (other.value, other.answer)


def _joined(newest: Measurement, rivals: Iterable[Measurement]) -> Measurement:
    value = newest.value
    for point in rivals:
        if value is not None and point.value is not None:
            value = value.hull(point.value)
    return newest if value == newest.value else replace(newest, value=value)


def _untimed_reason(present: Sequence[Measurement]) -> Reason | None:
    return next((point.problem for point in present if point.problem is not None), None)


def _unused(points: Iterable[Measurement], reason: Reason | None) -> tuple[Evidence, ...]:
    return tuple(Evidence(point, used=False, why_not=point.problem or reason) for point in points)
