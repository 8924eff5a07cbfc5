"""Interval arithmetic encloses the arithmetic of points, and refining a value never turns an answer round."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from mscprotocol.interval import ANY, EXACT, Interval, exactly, is_between, plain, total
from mscprotocol.truth import Truth, known
from tests.properties.strategies import (
    LAWS,
    decimals,
    holds,
    intervals,
    nested_intervals,
    points_and_intervals,
)

COMPARISONS = {"gte": Decimal.__ge__, "gt": Decimal.__gt__, "lte": Decimal.__le__, "lt": Decimal.__lt__}
# All that units.is_readable lets in: 20 digits, and an exponent of at most 20 either way.
readable = st.builds(
    lambda digits, exponent: Decimal(digits).scaleb(exponent, EXACT),
    st.integers(1, 10**20 - 1),
    st.integers(-20, 20),
)


# -- arithmetic --


@LAWS
@given(points_and_intervals(), points_and_intervals())
def test_sum_and_difference_enclose(one, other):
    (a, left), (b, right) = one, other
    assert holds(left + right, EXACT.add(a, b))
    assert holds(left - right, EXACT.subtract(a, b))
    assert holds(-left, EXACT.minus(a))


@LAWS
@given(points_and_intervals(), decimals().filter(bool))
def test_multiples_enclose(one, factor):
    a, interval = one
    assert holds(interval.times(factor), EXACT.multiply(a, factor))


@LAWS
@given(points_and_intervals(low=0), points_and_intervals(low=0))
@example((Decimal(1), Interval(Decimal(0), Decimal(2))), (Decimal(1), Interval(Decimal(0), None)))
@example((Decimal(1), exactly(1)), (Decimal("0.5"), Interval(Decimal(0), Decimal(1), True)))
def test_quotient_of_what_cannot_be_negative_encloses(one, other):
    (a, dividend), (b, divisor) = one, other
    assume(b > 0)
    assert holds(dividend.over(divisor), EXACT.divide(a, b))


@LAWS
@given(st.lists(points_and_intervals(), max_size=6))
def test_total_encloses(parts):
    points = [point for point, _ in parts]
    assert holds(total(interval for _, interval in parts), sum(points, Decimal(0)))


@LAWS
@given(readable, readable, readable)
@example(Decimal(1), Decimal(3), Decimal("0.33333333333333333333"))
@example(Decimal("99999999999999999999E20"), Decimal("1E-20"), Decimal("99999999999999999999E20"))
def test_a_rounded_quotient_compares_like_the_true_one(a, b, threshold):
    true = Fraction(a) / Fraction(b)
    quotient = exactly(a).over(exactly(b))
    assert quotient.gte(threshold) is known(true >= Fraction(threshold))
    assert quotient.gt(threshold) is known(true > Fraction(threshold))


@LAWS
@given(readable, readable, st.integers(-2, 2))
def test_a_quotient_close_to_its_threshold_compares_like_the_true_one(b, threshold, last_place):
    # a = b x threshold, a step in the last of 20 digits away: the hardest quotients that can be written.
    a = (b * threshold).normalize(EXACT)
    a = Decimal(f"{a:.19E}") + last_place * Decimal(f"1E{a.adjusted() - 19}")
    assume(a > 0)
    assert exactly(a).over(exactly(b)).gte(threshold) is known(Fraction(a) / Fraction(b) >= Fraction(threshold))


@LAWS
@given(readable, readable)
def test_sums_and_products_are_exact(a, b):
    assert Fraction((exactly(a) + exactly(b)).exact) == Fraction(a) + Fraction(b)
    assert Fraction(exactly(a).times(b).exact) == Fraction(a) * Fraction(b)


# -- comparison --


@LAWS
@given(points_and_intervals(), decimals(), st.sampled_from(sorted(COMPARISONS)))
def test_a_decided_comparison_holds_for_every_point(one, threshold, name):
    point, interval = one
    answer = getattr(interval, name)(threshold)
    assert answer in (Truth.UNKNOWN, known(COMPARISONS[name](point, threshold)))


@LAWS
@given(nested_intervals(), decimals(), st.sampled_from(sorted(COMPARISONS)))
def test_narrowing_never_turns_a_comparison_round(nested, threshold, name):
    wide, narrow = (getattr(interval, name)(threshold) for interval in nested)
    assert wide in (Truth.UNKNOWN, narrow)


@LAWS
@given(nested_intervals(), decimals(), st.sampled_from(sorted(COMPARISONS)))
def test_narrowing_never_turns_a_comparison_round_at_its_own_end(nested, _, name):
    for end in (nested[1].low, nested[1].high, nested[0].low, nested[0].high):
        if end is not None:
            wide, narrow = (getattr(interval, name)(end) for interval in nested)
            assert wide in (Truth.UNKNOWN, narrow)


@LAWS
@given(decimals(), decimals(), st.sampled_from(sorted(COMPARISONS)))
def test_a_point_is_always_decided(point, threshold, name):
    assert getattr(exactly(point), name)(threshold) is known(COMPARISONS[name](point, threshold))


@LAWS
@given(nested_intervals(), nested_intervals())
def test_narrowing_never_widens_what_is_computed(one, other):
    for operation in (Interval.__add__, Interval.__sub__, Interval.hull):
        wide, narrow = operation(one[0], other[0]), operation(one[1], other[1])
        assert _is_within(narrow, wide)


@LAWS
@given(nested_intervals(), intervals())
def test_narrowing_never_turns_plausibility_round(nested, limits):
    wide, narrow = (is_between(value, limits) for value in nested)
    assert wide in (Truth.UNKNOWN, narrow)


# -- sets --


@LAWS
@given(points_and_intervals(), intervals())
def test_intersection_holds_what_both_hold(one, other):
    point, interval = one
    shared = interval.intersection(other)
    assert (shared is not None and holds(shared, point)) is holds(other, point)
    assert shared == other.intersection(interval)
    assert interval.intersection(interval) == interval


@LAWS
@given(points_and_intervals(), intervals())
def test_hull_holds_both_and_nothing_is_smaller(one, other):
    point, interval = one
    hull = interval.hull(other)
    assert holds(hull, point)
    assert hull == other.hull(interval)
    assert hull.contains(interval)
    assert hull.contains(other)
    ends = {(interval.low, interval.low_open), (other.low, other.low_open)}
    assert (hull.low, hull.low_open) in ends
    assert (hull.high, hull.high_open) in {(interval.high, interval.high_open), (other.high, other.high_open)}


@LAWS
@given(intervals(), intervals(), intervals())
def test_hull_is_associative(a, b, c):
    assert a.hull(b).hull(c) == a.hull(b.hull(c))


@LAWS
@given(nested_intervals())
def test_contains_is_the_order_of_intervals(nested):
    wide, narrow = nested
    assert wide.contains(narrow)
    assert narrow.contains(wide) is (wide == narrow)
    assert ANY.contains(wide)
    assert wide.hull(narrow) == wide
    assert wide.intersection(narrow) == narrow


# -- printing --


@LAWS
@given(st.one_of(readable, decimals(places=6), st.sampled_from([Decimal("1E+16"), Decimal("1E-16"), Decimal("7.0E7")])))
def test_a_number_is_printed_without_an_exponent(number):
    text = plain(number)
    assert "E" not in text.upper()
    assert Decimal(text) == number
    assert not (("." in text) and text.endswith("0"))


@LAWS
@given(intervals(), readable)
def test_an_interval_is_printed_without_an_exponent(interval, scale):
    text = str(interval.times(scale))
    assert "E" not in text.upper()
    assert interval.is_unbounded == (text == "any")


@pytest.mark.parametrize(
    ("number", "text"), [("70.0", "70"), ("1E+2", "100"), ("0.10", "0.1"), ("100", "100"), ("0E-7", "0")]
)
def test_plain_numbers(number, text):
    assert plain(Decimal(number)) == text


def _is_within(narrow, wide):
    """Containment by the ends alone: an unbounded end carries no mark of being open."""
    low = wide.low is None or (narrow.low is not None and (narrow.low, narrow.low_open) >= (wide.low, wide.low_open))
    high = wide.high is None or (
        narrow.high is not None and (narrow.high, not narrow.high_open) <= (wide.high, not wide.high_open)
    )
    return low and high
