"""Is the patient getting worse? Each signal by a robust slope over the look-back, with four guards.

The guards: a minimal meaningful change in both its parts; a direction on which most pairs of points agree; a latest
value that is not better than the median; and no recent reversal. The signals become tokens; the trend itself is
concluded from them by a ruleset.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Literal

import msgspec

from mscprotocol.attestation import may_act
from mscprotocol.courses import find_points, find_shortage
from mscprotocol.definitions import Signal, Trend
from mscprotocol.findings import Findings
from mscprotocol.interval import EXACT
from mscprotocol.knowledge_forms import Quantity
from mscprotocol.oxygen import is_level
from mscprotocol.record import Measurement
from mscprotocol.scores import Scores
from mscprotocol.slopes import Point, Slope, median, robust_slope
from mscprotocol.timespan import Window
from mscprotocol.truth import Truth
from mscprotocol.units import to_canonical

SignalState = Literal["worse", "better", "reversing", "stable", "insufficient"]


class SignalResult(msgspec.Struct, frozen=True):
    """What one signal says, with the points that were used and what more it would need."""

    name: str
    signal: Signal
    state: SignalState
    points: tuple[Point, ...] = ()
    slope: Slope | None = None
    needs: str = ""
    since: datetime | None = None
    until: datetime | None = None

    def expiry(self, trend: Trend) -> datetime | None:
        """The first instant at which the signal would lose a point that it rests on; none while it says nothing."""
        if self.state == "insufficient" or not self.points:
            return None
        if self.signal.latest_within is None:
            return self.until
        return min(self.signal.latest_within.expiry(self.points[-1].at), trend.look_back.expiry(self.points[0].at))

    @property
    def text(self) -> str:
        return self.signal.text

    @property
    def domain(self) -> str:
        return self.signal.domain

    @property
    def measurement(self) -> str:
        return self.signal.measurement


def find_signals(trend: Trend, findings: Findings, scores_at: Callable[[datetime], Scores]) -> list[SignalResult]:
    """Every signal of the trend at the instant of the findings."""
    return [_find_signal(name, signal, trend, findings, scores_at) for name, signal in trend.signals.items()]


def _find_signal(
    name: str, signal: Signal, trend: Trend, findings: Findings, scores_at: Callable[[datetime], Scores]
) -> SignalResult:
    match signal.form:
        case "step":
            return _oxygen_step(name, signal, trend, findings)
        case "answer":
            return _reported_change(name, signal, findings)
        case "score":
            return _score_change(name, signal, findings, scores_at)
        case _:
            return _course(name, signal, trend, findings)


def _course(name: str, signal: Signal, trend: Trend, findings: Findings) -> SignalResult:
    if signal.not_after is not None and may_act(findings.series, signal.not_after):
        return _insufficient(name, signal, (), f"not read while {signal.not_after.replace('_', ' ')} acts")
    points = find_points(signal, trend, findings)
    needs = find_shortage(signal, points, findings.at)
    if needs:
        return _insufficient(name, signal, points, needs)
    slope = robust_slope(points)
    return SignalResult(name, signal, _judge(signal, trend, points, slope, findings), points, slope)


# -- the four guards -------------------------------------------------------------------------------


def _judge(signal: Signal, trend: Trend, points: Sequence[Point], slope: Slope, findings: Findings) -> SignalState:
    if _has_reversed(signal, trend, points, findings):
        return "reversing"
    directions: tuple[tuple[SignalState, int], ...] = (("worse", 1), ("better", -1))
    for state, sign in directions:
        towards = sign if signal.bad == "up" else -sign
        if not _is_meaningful(signal, EXACT.multiply(slope.projected, Decimal(towards)), points, findings):
            continue
        if slope.agreement * towards * 100 < trend.agreement.value * slope.pairs:
            continue
        if (points[-1].value - median([point.value for point in points])) * towards < 0:
            continue
        if state == "worse" and not _is_above_floor(signal, points[-1], findings):
            continue
        return state
    return "stable"


def _is_meaningful(signal: Signal, change: Decimal, points: Sequence[Point], findings: Findings) -> bool:
    """Whether a change towards one direction is as large as the minimal meaningful change, in both its parts."""
    if change <= 0:
        return False
    if signal.absolute is not None and change < _canonical(signal, signal.absolute, findings):
        return False
    if signal.relative is None:
        return True
    base = median([point.value for point in points[:2]])
    return base > 0 and change * 100 >= signal.relative.value * base


def _is_above_floor(signal: Signal, latest: Point, findings: Findings) -> bool:
    if signal.floor is not None and latest.value < _canonical(signal, signal.floor, findings):
        return False
    return signal.above is None or latest.value > _canonical(signal, signal.above, findings)


def _has_reversed(signal: Signal, trend: Trend, points: Sequence[Point], findings: Findings) -> bool:
    """Whether the course got meaningfully worse and has turned back by as much within the last day.

    The worst level is one that two points in a row have reached, so that a single outlier is no turning point.
    """
    start = trend.reversal.start(points[-1].at)
    if sum(point.at >= start for point in points) < 2:
        return False
    towards = 1 if signal.bad == "up" else -1
    badness = [point.value * towards for point in points]
    worst = max(min(pair) for pair in pairwise(badness))
    fell, recovered = worst - badness[0], worst - badness[-1]
    return all(_is_meaningful(signal, change, points, findings) for change in (fell, recovered))


# -- other forms -----------------------------------------------------------------------------------


def _oxygen_step(name: str, signal: Signal, trend: Trend, findings: Findings) -> SignalResult:
    """A step of the oxygen support that is surely up or down and was held long enough."""
    start = trend.look_back.start(findings.at)
    states = [
        entry
        for entry in reversed(findings.series.points(signal.measurement))
        if entry.time is not None and entry.time.is_instant and entry.time.earliest >= start and entry.value is not None
    ]
    points = tuple(
        Point(e.time.earliest, e.value.low, e) for e in states if e.time and e.value and e.value.low is not None
    )
    if len(states) < signal.points:
        return _insufficient(name, signal, points, f"{signal.points - len(states)} more {signal.text}")
    latest = states[-1]
    assert latest.time is not None
    assert signal.latest_within is not None
    assert signal.span is not None
    if latest.time.earliest < signal.latest_within.start(findings.at):
        return _insufficient(name, signal, points, f"the {signal.text} now")
    changed = _last_change(states)
    if changed is None:
        return SignalResult(name, signal, "stable", points)
    before, after = changed
    rose = _is_surely_above(after, before)
    if signal.not_during is not None and may_act(findings.series, signal.not_during):
        return _insufficient(name, signal, points, "the support changed for a planned procedure")
    assert after.time is not None
    held = findings.at - after.time.earliest
    at_once = is_level(findings.series, after, ("imv", "ecmo")) is Truth.MET
    if rose and not at_once and held < _length(signal.span):
        return _insufficient(name, signal, points, f"the new support held for {signal.span.text}")
    return SignalResult(name, signal, "worse" if rose else "better", points, since=after.time.earliest)


def _last_change(states: Sequence[Measurement]) -> tuple[Measurement, Measurement] | None:
    """The latest pair of states that surely differ: the last before the change, and the first after it."""
    latest = states[-1]
    after = latest
    for state in reversed(states[:-1]):
        if _is_surely_above(after, state) or _is_surely_above(state, after):
            return state, after
        after = state
    return None


def _is_surely_above(one: Measurement, other: Measurement) -> bool:
    if one.value is None or other.value is None or one.value.low is None or other.value.high is None:
        return False
    return one.value.low > other.value.high


def _reported_change(name: str, signal: Signal, findings: Findings) -> SignalResult:
    selection = findings.select(signal.measurement, signal.latest_within)
    answer = None if selection.chosen is None else selection.chosen.answer
    states: tuple[SignalState, ...] = ("worse", "better", "stable")
    state = next((one for one in states if answer in getattr(signal, one)), None)
    if state is None:
        return _insufficient(name, signal, (), f"{signal.text} compared with before")
    return SignalResult(name, signal, state)


def _score_change(
    name: str, signal: Signal, findings: Findings, scores_at: Callable[[datetime], Scores]
) -> SignalResult:
    """A score now against the same score a span ago: complete, or without the same items at both times."""
    assert signal.span is not None
    assert signal.absolute is not None
    then = signal.span.start(findings.at)
    incomplete = _insufficient(name, signal, (), f"a complete {signal.text} now and {signal.span.text} ago")
    now = scores_at(findings.at).result(signal.measurement)
    known = [item for item in now.items if item not in now.missing]
    # Most records hold no such score: then the one of a span ago, which costs a third of an assessment, is not asked.
    if not known or not (earlier_scores := scores_at(then)).are_known(signal.measurement, known):
        return incomplete
    before = earlier_scores.result(signal.measurement)
    after, earlier = now.sum_of(known).exact, before.sum_of(known).exact
    if now.missing != before.missing or after is None or earlier is None:
        return incomplete
    step = signal.absolute.value
    state: SignalState = "worse" if after - earlier >= step else "better" if earlier - after >= step else "stable"
    ends = [now.expires, None if before.expires is None else signal.span.expiry(before.expires)]
    until = min((end for end in ends if end is not None), default=None)
    return SignalResult(name, signal, state, (Point(then, earlier), Point(findings.at, after)), until=until)


def _insufficient(name: str, signal: Signal, points: Sequence[Point], needs: str) -> SignalResult:
    return SignalResult(name, signal, "insufficient", tuple(points), needs=needs)


def _canonical(signal: Signal, quantity: Quantity, findings: Findings) -> Decimal:
    return to_canonical(findings.knowledge.measurements[signal.measurement], quantity.value, quantity.unit)


def _length(window: Window) -> timedelta:
    zero = datetime.fromisoformat("2000-01-01T00:00:00+00:00")
    return window.expiry(zero) - zero


def summarise(signals: Sequence[SignalResult]) -> dict[str, str]:
    """Signals -> the tokens from which the trend is concluded."""
    step = next((s for s in signals if s.name == "oxygen_step"), None)
    # That the support did not change says nothing of the lung: it alone does not make a course stable.
    respiratory: set[str] = {
        s.state for s in signals if s.domain == "respiratory" and (s is not step or s.state != "stable")
    }
    others = {s.domain for s in signals if s.domain != "respiratory" and s.state == "worse"}
    return {
        "oxygen_step": "worse" if step is not None and step.state == "worse" else "other",
        "respiratory": _respiratory_token(respiratory),
        "other_worse": ("none", "one", "many")[min(len(others), 2)],
    }


def _respiratory_token(states: set[str]) -> str:
    if "worse" in states:
        return "worse_and_better" if states & {"better", "reversing"} else "worse"
    for state in ("better", "reversing", "stable"):
        if state in states:
            return state
    return "insufficient"
