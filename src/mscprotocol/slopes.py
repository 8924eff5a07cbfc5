"""Robust slopes over a few points: the median of all pairs, which one outlier cannot turn."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import combinations

import msgspec

from mscprotocol.interval import EXACT
from mscprotocol.record import Measurement

_HOUR = Decimal(3600)
_TWO = Decimal(2)


class Point(msgspec.Struct, frozen=True):
    """One value of a course: hours are counted from its first point."""

    at: datetime
    value: Decimal
    entry: Measurement | None = None


class Slope(msgspec.Struct, frozen=True):
    """A robust slope: the median of all pairwise slopes, and how many pairs rise less how many fall."""

    per_hour: Decimal
    projected: Decimal
    agreement: int
    pairs: int


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


def _hours(length: timedelta) -> Decimal:
    return EXACT.divide(Decimal(int(length.total_seconds())), _HOUR)
