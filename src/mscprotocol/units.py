"""From units as received to the canonical unit of a datum: by the dictionary's own table, never by a guess."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from mscprotocol.data_dictionary import Conversion, Measurement
from mscprotocol.interval import EXACT, MAX_DIGITS, Interval, between
from mscprotocol.reasons import Reason
from mscprotocol.timespan import TimeSpan

LARGEST_EXPONENT = 20
# Where the time axis starts. On it an instant is a quantity like any other: seconds, known exactly or as an interval.
_ORIGIN = datetime(1970, 1, 1, tzinfo=UTC)
_MILLION = Decimal(1_000_000)


class UnitError(ValueError):
    """A unit that the dictionary does not accept for a datum."""


def to_canonical(measurement: Measurement, value: Decimal, unit: str) -> Decimal:
    """One number in the canonical unit. Raises UnitError for a unit that is not in the dictionary."""
    conversion = measurement.units.get(unit)
    if conversion is None:
        if unit == measurement.unit:
            return value
        raise UnitError(f"{measurement.text}: unit {unit!r} is not accepted")
    shifted = EXACT.subtract(value, conversion.offset)
    return EXACT.divide(EXACT.multiply(shifted, conversion.factor), conversion.divisor)


def convert(measurement: Measurement, value: Interval, unit: str) -> Interval:
    """An interval in the canonical unit; every conversion of the dictionary rises with its input."""
    ends = [None if end is None else to_canonical(measurement, end, unit) for end in (value.low, value.high)]
    return Interval(ends[0], ends[1], value.low_open, value.high_open)


def is_accepted(measurement: Measurement, unit: str) -> bool:
    """Whether the dictionary lists a unit for a datum."""
    return unit in measurement.units or unit == measurement.unit


def find_unit(measurement: Measurement, unit: str | None, value: Decimal) -> str | Reason:
    """The unit to read a value in, or why there is none.

    Without a unit, a value is read only where the dictionary lists ranges that cannot be confused
    (an inspired oxygen of 0.4 or of 40), or where it has one meaning in every unit that is accepted, as a ratio or a
    score by definition (an INR, a coma scale); the unit of a bare number is otherwise unknown.
    """
    if unit:
        return unit if is_accepted(measurement, unit) else Reason.UNIT_UNKNOWN
    if is_unitless(measurement) and all(one == Conversion() for one in measurement.units.values()):
        return measurement.unit
    fitting = [name for name, limits in measurement.unitless_ranges.items() if limits.low <= value <= limits.high]
    if len(fitting) == 1:
        return fitting[0]
    if measurement.unitless_ranges:
        return Reason.UNIT_AMBIGUOUS
    return Reason.UNIT_UNKNOWN


def is_unitless(measurement: Measurement) -> bool:
    """Whether the canonical unit of a datum is a pure number."""
    return measurement.unit == "1" or measurement.unit.startswith("{")


def is_readable(value: Decimal) -> bool:
    """Whether a number can have come from an instrument: finite, and not more digits than can be exact."""
    if not value.is_finite():
        return False
    _, digits, exponent = value.as_tuple()
    return len(digits) <= MAX_DIGITS and isinstance(exponent, int) and abs(exponent) <= LARGEST_EXPONENT


def is_plausible(measurement: Measurement, value: Interval) -> bool:
    """Whether the value may lie within the hard limits; a censored value may reach into them."""
    if measurement.hard is None:
        return True
    return Interval(measurement.hard.low, measurement.hard.high).intersection(value) is not None


def is_unusual(measurement: Measurement, value: Interval) -> bool:
    """Whether the value lies wholly outside the soft limits."""
    if measurement.soft is None:
        return False
    return Interval(measurement.soft.low, measurement.soft.high).intersection(value) is None


# -- the time axis ---------------------------------------------------------------------------------


def on_time_axis(span: TimeSpan) -> Interval:
    """An instant known in part as seconds on the time axis, exact to the microsecond."""
    return between(*(_seconds(moment) for moment in (span.earliest, span.latest)))


def write_instant(value: Interval) -> str:
    """Seconds on the time axis as people write instants, in UTC to the minute."""
    ends = [_write(end) for end in (value.low, value.high)]
    return ends[0] if ends[0] == ends[1] else " to ".join(ends)


def _seconds(moment: datetime) -> Decimal:
    return EXACT.divide(Decimal((moment - _ORIGIN) // timedelta(microseconds=1)), _MILLION)


def _write(seconds: Decimal | None) -> str:
    if seconds is None:
        return "open"
    return (_ORIGIN + timedelta(seconds=int(seconds))).isoformat(timespec="minutes")
