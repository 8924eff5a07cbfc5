"""The clocks of a product lot: how long before its expiry, and after its thawing, an infusion would end.

Each clock is a derived quantity in minutes, reckoned at `at`. What is stated twice and differently has two values at
one instant, which the common rule of selection calls a conflict.
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from mscprotocol.interval import EXACT, Interval, exactly
from mscprotocol.reasons import Reason
from mscprotocol.record import Measurement
from mscprotocol.series import PARTIAL, Derivation, Series
from mscprotocol.timespan import CLOCK_TOLERANCE, instant
from mscprotocol.truth import Truth
from mscprotocol.units import on_time_axis, write_instant

_MINUTE = exactly(60)  # seconds


def derive_state(series: Series) -> Iterator[Measurement]:
    """The state of the product as charted; a fresh one with a time of thawing contradicts itself."""
    was_thawed = bool(_stated(series, "product_thawed_at"))
    for entry in series.charted("product_state"):
        contradicts = was_thawed and entry.answer == "fresh_culture"
        yield replace(entry, answer=None, problem=Reason.CONFLICT) if contradicts else entry


def derive_expiry_margin(series: Series) -> Iterator[Measurement]:
    """Minutes from the planned end of the infusion to the expiry of the lot; below zero it would end too late."""
    for entry in _stated(series, "product_expiry"):
        yield _margin(series, "product_expiry_margin", entry, entry.value)


def derive_thaw_margin(series: Series) -> Iterator[Measurement]:
    """Minutes from the planned end to the expiry of the thawed product: as its certificate states, else the limit."""
    thawed, stated = _stated(series, "product_thawed_at"), _stated(series, "product_thaw_expiry")
    for entry in stated:
        is_impossible = any(_is_before(entry.value, one.value) for one in thawed)
        checked = replace(entry, problem=Reason.CONFLICT) if is_impossible else entry
        yield _margin(series, "product_thaw_margin", checked, checked.value)
    minutes = series.knowledge.measurements["product_thaw_margin"].parameters["minutes_after_thawing"]
    limit = _MINUTE.times(minutes)
    for entry in () if stated else thawed:
        checked = replace(entry, problem=Reason.AFTER_EVALUATION) if _is_to_come(series, entry) else entry
        yield _margin(series, "product_thaw_margin", checked, None if entry.value is None else entry.value + limit)


def derive_ace2_lead(series: Series) -> Iterator[Measurement]:
    """Minutes from the test for ACE2 to the thawing; above zero the cells were thawed after they were tested."""
    for tested in _stated(series, "product_ace2_tested_at"):
        for thawed in _stated(series, "product_thawed_at"):
            lead = None if tested.value is None or thawed.value is None else thawed.value - tested.value
            received = f"tested {tested.as_received}, thawed {thawed.as_received}"
            yield _clock(series, "product_ace2_lead", tested, lead, received, tested.problem or thawed.problem)


PRODUCT_DERIVATIONS: dict[str, Derivation] = {
    "product_state": derive_state,
    "product_expiry_margin": derive_expiry_margin,
    "product_thaw_margin": derive_thaw_margin,
    "product_ace2_lead": derive_ace2_lead,
}


def _stated(series: Series, name: str) -> list[Measurement]:
    """The entries that state a time; what is absent by its own word states none."""
    return [entry for entry in series.charted(name) if entry.problem is not Reason.MISSING]


def _margin(series: Series, name: str, entry: Measurement, ends: Interval | None) -> Measurement:
    if series.planned_end is None:
        return _clock(series, name, entry, None, entry.as_received, entry.problem)
    planned = on_time_axis(instant(series.planned_end))
    received = f"{entry.as_received} (planned end {write_instant(planned)})"
    return _clock(series, name, entry, None if ends is None else ends - planned, received, entry.problem)


def _clock(
    series: Series, name: str, entry: Measurement, seconds: Interval | None, received: str, problem: Reason | None
) -> Measurement:
    return replace(
        entry,
        name=name,
        time=instant(series.at),
        as_received=received,
        value=None if problem is not None or seconds is None else _in_minutes(seconds),
        problem=problem or (Reason.MISSING if seconds is None else None),
        flags=frozenset() if seconds is None or seconds.exact is not None else frozenset({PARTIAL}),
    )


def _in_minutes(seconds: Interval) -> Interval:
    assert _MINUTE.exact is not None
    ends = [None if end is None else EXACT.divide(end, _MINUTE.exact) for end in (seconds.low, seconds.high)]
    return Interval(ends[0], ends[1])


def _is_before(one: Interval | None, other: Interval | None) -> bool:
    """Whether one time surely lies before another."""
    if one is None or other is None or one.high is None or other.low is None:
        return False
    return one.high < other.low


def _is_to_come(series: Series, entry: Measurement) -> bool:
    """Whether a thawing lies after the evaluation: its clock does not run yet."""
    now = on_time_axis(instant(series.at + CLOCK_TOLERANCE)).exact
    return entry.value is not None and now is not None and entry.value.gt(now) is Truth.MET
