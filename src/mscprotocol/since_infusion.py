"""How values have moved since the infusion before: each one after its start against the last one up to it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal

from mscprotocol.interval import Interval, exactly
from mscprotocol.record import Measurement
from mscprotocol.series import Derivation, Series, compute

_ALL = Decimal(100)


def derive_weight_change(series: Series) -> Iterator[Measurement]:
    """Per cent of the weight before the last infusion by which the weight has changed; below zero it fell."""
    yield from _per_cent(series, "weight", "weight_change")


def derive_platelets_change(series: Series) -> Iterator[Measurement]:
    """Per cent of the platelets before the last infusion by which they have changed; below zero they fell."""
    yield from _per_cent(series, "platelets", "platelets_change")


def derive_d_dimer_rise(series: Series) -> Iterator[Measurement]:
    """D-dimer as a multiple of that before the last infusion, each in multiples of its own upper limit."""
    for now, before, ratio in _pairs(series, "d_dimer_ratio"):
        yield compute("d_dimer_rise", (now, before), ratio, now.problem)


CHANGES_SINCE_INFUSION: dict[str, Derivation] = {
    "weight_change": derive_weight_change,
    "platelets_change": derive_platelets_change,
    "d_dimer_rise": derive_d_dimer_rise,
}


def _per_cent(series: Series, name: str, change: str) -> Iterator[Measurement]:
    for now, before, ratio in _pairs(series, name):
        value = None if ratio is None else (ratio - exactly(1)).times(_ALL)
        yield compute(change, (now, before), value, now.problem)


def _pairs(series: Series, name: str) -> Iterator[tuple[Measurement, Measurement, Interval | None]]:
    """Each value after the start of the last infusion, the last usable one up to it, and their ratio."""
    starts = series.record.infusion_starts(series.at)
    points = series.points(name) if starts else ()
    before = next((one for one in points if one.problem is None and _is_up_to(one, starts[-1])), None)
    if before is None or before.value is None:
        return
    for one in points:
        if one.time is not None and one.time.latest > starts[-1]:
            yield one, before, None if one.value is None else one.value.over(before.value)


def _is_up_to(entry: Measurement, moment: datetime) -> bool:
    return entry.value is not None and entry.time is not None and entry.time.latest <= moment
