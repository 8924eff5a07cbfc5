"""The points of one course: usable values of the look-back, under the support and assay of the latest one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from itertools import pairwise

from mscprotocol.definitions import Signal, Trend
from mscprotocol.findings import Findings
from mscprotocol.record import Measurement
from mscprotocol.slopes import Point, median


def find_points(signal: Signal, trend: Trend, findings: Findings) -> tuple[Point, ...]:
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


def find_shortage(signal: Signal, points: Sequence[Point], at: datetime) -> str:
    """What a signal still needs before it says anything, or nothing."""
    assert signal.span is not None
    short = signal.points - len(points)
    if short > 0:
        return f"{short} more {signal.text} over at least {signal.span.text}"
    if signal.latest_within is not None and points[-1].at < signal.latest_within.start(at):
        return f"a new {signal.text}: the latest is older than {signal.latest_within.text}"
    if points[0].at > signal.span.start(points[-1].at):
        return f"1 more {signal.text}: the values span less than {signal.span.text}"
    if signal.gap is not None and any(earlier.at < signal.gap.start(later.at) for earlier, later in pairwise(points)):
        return f"{signal.text} without a gap longer than {signal.gap.text}"
    return ""
