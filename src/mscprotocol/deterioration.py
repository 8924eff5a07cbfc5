"""Is the patient getting worse? Each signal by a robust slope over the look-back, with four guards.

The guards: a minimal meaningful change in both its parts; a direction on which most pairs of points agree; a latest
value that is not better than the median; and no recent reversal. The signals become tokens; the trend itself is
concluded from them by a ruleset.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import combinations, pairwise
from typing import Literal

from mscprotocol.definitions import Signal, Trend
from mscprotocol.findings import Findings
from mscprotocol.interval import EXACT
from mscprotocol.knowledge_forms import Quantity
from mscprotocol.oxygen import is_level
from mscprotocol.record import Measurement
from mscprotocol.scores import Scores
from mscprotocol.timespan import Window
from mscprotocol.truth import Truth
from mscprotocol.units import to_canonical

SignalState = Literal["worse", "better", "reversing", "stable", "insufficient"]
_HOUR = Decimal(3600)
_TWO = Decimal(2)


@dataclass(frozen=True, slots=True)
class Point:
    """One value of a course: hours are counted from its first point."""

    at: datetime
    value: Decimal
    entry: Measurement | None = None


@dataclass(frozen=True, slots=True)
class Slope:
    """A robust slope: the median of all pairwise slopes, and how many pairs rise less how many fall."""

    per_hour: Decimal
    projected: Decimal
    agreement: int
    pairs: int


@dataclass(frozen=True, slots=True)
class SignalResult:
    """What one signal says, with the points that were used and what more it would need."""

    name: str
    signal: Signal
    state: SignalState
    points: tuple[Point, ...] = ()
    slope: Slope | None = None
    needs: str = ""
    since: datetime | None = None

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


def robust_slope(points: Sequence[Point]) -> Slope:
    """Theil-Sen slope over the points (oldest first), projected over their span, with Mann-Kendall agreement."""
    pairs = [(one, other) for one, other in combinations(points, 2) if one.at != other.at]
    slopes = [EXACT.divide(EXACT.subtract(b.value, a.value), _hours(b.at - a.at)) for a, b in pairs]
    per_hour = median(slopes)
    rising = sum((b.value > a.value) - (b.value < a.value) for a, b in combinations(points, 2))
    projected = EXACT.multiply(per_hour, _hours(points[-1].at - points[0].at))
    return Slope(per_hour, projected, rising, len(points) * (len(points) - 1) // 2)


def median(values: Sequence[Decimal]) -> Decimal:
    """The middle value, or the mean of the two middle ones."""
    ordered = sorted(values)
    middle = len(ordered) // 2
    if len(ordered) % 2:
        return ordered[middle]
    return EXACT.divide(EXACT.add(ordered[middle - 1], ordered[middle]), _TWO)


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
    if signal.not_after is not None and findings.series.is_running(signal.not_after):
        return _insufficient(name, signal, (), f"not read while {signal.not_after.replace('_', ' ')} acts")
    points = _usable_points(signal, trend, findings)
    needs = _what_is_needed(signal, points, findings.at)
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


# -- points ----------------------------------------------------------------------------------------


def _usable_points(signal: Signal, trend: Trend, findings: Findings) -> tuple[Point, ...]:
    """Exact values of the look-back, oldest first: one a time, hourly medians for monitors, latest segment only."""
    start = trend.look_back.start(findings.at)
    entries = [
        entry
        for entry in reversed(findings.series.points(signal.measurement))
        if entry.time is not None
        and entry.time.is_instant
        and entry.time.earliest >= start
        and entry.problem is None
        and entry.value is not None
        and entry.value.exact is not None
        and (signal.beside is None or _is_beside(signal.beside, entry, findings))
    ]
    if entries:
        latest = entries[-1]
        entries = [entry for entry in entries if (entry.assay, entry.code) == (latest.assay, latest.code)]
        entries = _latest_segment(signal, trend, entries, findings)
    points = [
        Point(e.time.earliest, e.value.exact, e) for e in entries if e.time and e.value and e.value.exact is not None
    ]
    distinct = {(point.at, point.value): point for point in points}
    ordered = sorted(distinct.values(), key=lambda point: (point.at, point.value))
    return tuple(_hourly_medians(ordered) if signal.hourly else _one_a_time(ordered))


def _is_beside(name: str, entry: Measurement, findings: Findings) -> bool:
    """Whether another measurement was charted within its pairing window: oxygen given says little without SpO2."""
    pairing = findings.knowledge.measurements["sf_ratio"].pairing
    if entry.time is None or pairing is None:
        return False
    time = entry.time.earliest
    return any(
        other.time is not None
        and other.value is not None
        and pairing.start(time) <= other.time.earliest
        and pairing.start(other.time.earliest) <= time
        for other in findings.series.charted(name)
    )


def _latest_segment(
    signal: Signal, trend: Trend, entries: Sequence[Measurement], findings: Findings
) -> list[Measurement]:
    """Values under the support (and pressure) of the latest one: raising support can raise P/F in a sicker patient."""
    if signal.measurement not in ("pf_ratio", "sf_ratio", "fio2", "respiratory_rate"):
        return list(entries)
    kept: list[Measurement] = []
    reference: tuple[object, Decimal | None] | None = None
    for entry in reversed(entries):
        state = _support_of(entry, findings)
        if reference is not None and not _is_same_support(reference, state, trend):
            break
        reference = reference or state
        kept.append(entry)
    return kept[::-1]


def _support_of(entry: Measurement, findings: Findings) -> tuple[object, Decimal | None]:
    assert entry.time is not None
    return _value_before("oxygen_support", entry, findings), _pressure_before(entry, findings)


def _value_before(name: str, entry: Measurement, findings: Findings) -> object:
    assert entry.time is not None
    earlier = [p for p in findings.series.points(name) if p.time is not None and p.time.latest <= entry.time.latest]
    return earlier[0].value if earlier else None


def _pressure_before(entry: Measurement, findings: Findings) -> Decimal | None:
    value = _value_before("peep", entry, findings)
    return getattr(value, "exact", None)


def _is_same_support(one: tuple[object, Decimal | None], other: tuple[object, Decimal | None], trend: Trend) -> bool:
    if one[0] != other[0]:
        return False
    if one[1] is None or other[1] is None:
        return True
    return abs(one[1] - other[1]) <= trend.support_band.value


def _hourly_medians(points: Sequence[Point]) -> list[Point]:
    hours: dict[datetime, list[Point]] = {}
    for point in points:
        hours.setdefault(point.at.replace(minute=0, second=0, microsecond=0), []).append(point)
    return [Point(group[-1].at, median([p.value for p in group]), group[-1].entry) for group in hours.values()]


def _one_a_time(points: Sequence[Point]) -> list[Point]:
    """Values at the same instant that differ contradict each other, so neither counts."""
    return [point for point in points if sum(other.at == point.at for other in points) == 1]


def _what_is_needed(signal: Signal, points: Sequence[Point], at: datetime) -> str:
    short = signal.points - len(points)
    if short > 0:
        return f"{short} more {signal.text} over at least {signal.span.text}"
    if points[-1].at < signal.latest_within.start(at):
        return f"a new {signal.text}: the latest is older than {signal.latest_within.text}"
    if points[0].at > signal.span.start(points[-1].at):
        return f"1 more {signal.text}: the values span less than {signal.span.text}"
    if signal.gap is not None and any(earlier.at < signal.gap.start(later.at) for earlier, later in pairwise(points)):
        return f"{signal.text} without a gap longer than {signal.gap.text}"
    return ""


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
    if latest.time.earliest < signal.latest_within.start(findings.at):
        return _insufficient(name, signal, points, f"the {signal.text} now")
    changed = _last_change(states)
    if changed is None:
        return SignalResult(name, signal, "stable", points)
    before, after = changed
    rose = _is_surely_above(after, before)
    if findings.series.is_running("planned_procedure"):
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
    if answer is None:
        return _insufficient(name, signal, (), f"{signal.text} compared with before")
    state: SignalState = "worse" if answer in signal.worse else "better" if answer in signal.better else "stable"
    return SignalResult(name, signal, state)


def _score_change(
    name: str, signal: Signal, findings: Findings, scores_at: Callable[[datetime], Scores]
) -> SignalResult:
    """A score now against the same score a span ago, where both are complete."""
    then = signal.span.start(findings.at)
    now = scores_at(findings.at).result(signal.measurement).total.exact
    before = None if now is None else scores_at(then).result(signal.measurement).total.exact
    if now is None or before is None:
        return _insufficient(name, signal, (), f"a complete {signal.text} now and {signal.span.text} ago")
    points = (Point(then, before), Point(findings.at, now))
    step = signal.absolute.value if signal.absolute is not None else Decimal(1)
    state: SignalState = "worse" if now - before >= step else "better" if before - now >= step else "stable"
    return SignalResult(name, signal, state, points)


def _insufficient(name: str, signal: Signal, points: Sequence[Point], needs: str) -> SignalResult:
    return SignalResult(name, signal, "insufficient", tuple(points), needs=needs)


def _canonical(signal: Signal, quantity: Quantity, findings: Findings) -> Decimal:
    return to_canonical(findings.knowledge.measurements[signal.measurement], quantity.value, quantity.unit)


def _length(window: Window) -> timedelta:
    zero = datetime.fromisoformat("2000-01-01T00:00:00+00:00")
    return window.expiry(zero) - zero


def _hours(length: timedelta) -> Decimal:
    return EXACT.divide(Decimal(int(length.total_seconds())), _HOUR)


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
    for state in ("reversing", "better", "stable"):
        if state in states:
            return state
    return "insufficient"
