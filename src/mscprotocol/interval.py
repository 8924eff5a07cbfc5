"""Exact decimal intervals with open and closed ends: every quantity, as far as it is known."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import ROUND_HALF_EVEN, Context, Decimal, DivisionByZero, InvalidOperation, Overflow
from functools import reduce

import msgspec
from msgspec.structs import force_setattr

from mscprotocol.truth import Truth, known

# Inputs carry at most MAX_DIGITS digits (units.py), so sums and products below are exact and a
# quotient is close enough to its true value that no comparison with a threshold can come out wrong.
MAX_DIGITS = 20
EXACT = Context(prec=80, rounding=ROUND_HALF_EVEN, traps=[InvalidOperation, DivisionByZero, Overflow])
ZERO = Decimal(0)


class Interval(msgspec.Struct, frozen=True):
    """All values that a quantity may have; `None` is an unbounded end. Both ends carry the same unit."""

    low: Decimal | None = None
    high: Decimal | None = None
    low_open: bool = False
    high_open: bool = False

    def __post_init__(self) -> None:
        if self.low is None and self.low_open:
            force_setattr(self, "low_open", False)
        if self.high is None and self.high_open:
            force_setattr(self, "high_open", False)
        if self.low is None or self.high is None:
            return
        if self.low > self.high or (self.low == self.high and (self.low_open or self.high_open)):
            raise ValueError("an interval must hold at least one value")

    @property
    def exact(self) -> Decimal | None:
        """The one value that the interval holds, if it holds just one."""
        return self.low if self.low is not None and self.low == self.high else None

    @property
    def is_unbounded(self) -> bool:
        return self.low is None and self.high is None

    # -- comparison with a threshold: decided only if the whole interval agrees --

    def gte(self, threshold: Decimal) -> Truth:
        if self.low is not None and self.low >= threshold:
            return Truth.MET
        if self.high is not None and (self.high < threshold or (self.high_open and self.high == threshold)):
            return Truth.NOT_MET
        return Truth.UNKNOWN

    def gt(self, threshold: Decimal) -> Truth:
        if self.low is not None and (self.low > threshold or (self.low_open and self.low == threshold)):
            return Truth.MET
        if self.high is not None and self.high <= threshold:
            return Truth.NOT_MET
        return Truth.UNKNOWN

    def lt(self, threshold: Decimal) -> Truth:
        return ~self.gte(threshold)

    def lte(self, threshold: Decimal) -> Truth:
        return ~self.gt(threshold)

    # -- arithmetic --

    def __add__(self, other: Interval) -> Interval:
        return Interval(
            _add(self.low, other.low),
            _add(self.high, other.high),
            self.low_open or other.low_open,
            self.high_open or other.high_open,
        )

    def __neg__(self) -> Interval:
        return Interval(_negated(self.high), _negated(self.low), self.high_open, self.low_open)

    def __sub__(self, other: Interval) -> Interval:
        return self + -other

    def times(self, factor: Decimal) -> Interval:
        """The interval times a factor other than zero."""
        if factor < 0:
            return -self.times(EXACT.minus(factor))
        scaled = [None if end is None else EXACT.multiply(end, factor) for end in (self.low, self.high)]
        return Interval(scaled[0], scaled[1], self.low_open, self.high_open)

    def over(self, divisor: Interval) -> Interval:
        """The quotient of two quantities that cannot be negative; `divisor` of zero leaves it unbounded."""
        low = high = None
        low_open = high_open = False
        if self.low is not None and divisor.high is not None and divisor.high > 0:
            low, low_open = (
                EXACT.divide(max(self.low, ZERO), divisor.high),
                self.low_open or divisor.high_open,
            )
        if self.high is not None and divisor.low is not None and divisor.low > 0:
            high, high_open = EXACT.divide(self.high, divisor.low), self.high_open or divisor.low_open
        return Interval(ZERO if low is None else low, high, low_open, high_open)

    # -- sets --

    def contains(self, other: Interval) -> bool:
        """Whether every value of `other` is a value of this interval."""
        return self.intersection(other) == other

    def intersection(self, other: Interval) -> Interval | None:
        """The values in both intervals, or `None` if they share none."""
        low, low_open = max((self._lower_key(), other._lower_key()))[1:]
        high, high_open = min((self._upper_key(), other._upper_key()))[1:]
        try:
            return Interval(low, high, bool(low_open), not high_open)
        except ValueError:
            return None

    def hull(self, other: Interval) -> Interval:
        """The smallest interval that holds both."""
        low, low_open = min((self._lower_key(), other._lower_key()))[1:]
        high, high_open = max((self._upper_key(), other._upper_key()))[1:]
        return Interval(low, high, bool(low_open), not high_open)

    def _lower_key(self) -> tuple[tuple[int, Decimal], Decimal | None, int]:
        return ((0, ZERO) if self.low is None else (1, self.low)), self.low, int(self.low_open)

    def _upper_key(self) -> tuple[tuple[int, Decimal], Decimal | None, int]:
        return ((1, ZERO) if self.high is None else (0, self.high)), self.high, int(not self.high_open)

    def __str__(self) -> str:
        if self.exact is not None:
            return plain(self.exact)
        if self.is_unbounded:
            return "any"
        if self.low is None and self.high is not None:
            return f"{'<' if self.high_open else '<='}{plain(self.high)}"
        if self.high is None and self.low is not None:
            return f"{'>' if self.low_open else '>='}{plain(self.low)}"
        assert self.low is not None and self.high is not None
        left, right = "(" if self.low_open else "[", ")" if self.high_open else "]"
        return f"{left}{plain(self.low)}, {plain(self.high)}{right}"


ANY = Interval()


def exactly(value: Decimal | int) -> Interval:
    """The interval that holds one value."""
    number = Decimal(value)
    return Interval(number, number)


def between(low: Decimal | int, high: Decimal | int) -> Interval:
    """The closed interval from `low` to `high`."""
    return Interval(Decimal(low), Decimal(high))


def total(parts: Iterable[Interval]) -> Interval:
    """The sum of intervals, as for a score whose items are known in part."""
    return reduce(Interval.__add__, parts, exactly(0))


def is_between(value: Interval, limits: Interval) -> Truth:
    """Whether the value lies within the limits."""
    if limits.contains(value):
        return Truth.MET
    return known(False) if limits.intersection(value) is None else Truth.UNKNOWN


def plain(number: Decimal) -> str:
    """A decimal as people write it: never an exponent, no trailing zeros that carry no meaning."""
    text = format(number, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _add(left: Decimal | None, right: Decimal | None) -> Decimal | None:
    return None if left is None or right is None else EXACT.add(left, right)


def _negated(end: Decimal | None) -> Decimal | None:
    return None if end is None else EXACT.minus(end)
