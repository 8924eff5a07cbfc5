"""A value that is known in part against a threshold of 30: decided only if all of it agrees."""

from decimal import Decimal

import pytest

from mscprotocol.interval import ANY, Interval, between, is_between
from mscprotocol.truth import Truth
from tests.specs.grid import TRUTHS, read_grid, read_interval

AGAINST_30 = """
  value      | gte  gt   lt  lte
-------------+------------------
  29         |  F    F    T    T
  30         |  T    F    F    T
  31         |  T    T    F    F
  [30, 40]   |  T    ?    F    ?
  [30, 40)   |  T    ?    F    ?
  (30, 40]   |  T    T    F    F
  (30, 40)   |  T    T    F    F
  [31, 40]   |  T    T    F    F
  [20, 30]   |  ?    F    ?    T
  (20, 30]   |  ?    F    ?    T
  [20, 30)   |  F    F    T    T
  (20, 30)   |  F    F    T    T
  [20, 29]   |  F    F    T    T
  [29, 31]   |  ?    ?    ?    ?
  (29, 31)   |  ?    ?    ?    ?
  [20, 40]   |  ?    ?    ?    ?
  <29        |  F    F    T    T
  <30        |  F    F    T    T
  <=30       |  ?    F    ?    T
  <31        |  ?    ?    ?    ?
  >29        |  ?    ?    ?    ?
  >=30       |  T    ?    F    ?
  >30        |  T    T    F    F
  >31        |  T    T    F    F
  any        |  ?    ?    ?    ?
"""

# Plausibility: a closed range from 20 to 40.
WITHIN_20_TO_40 = """
  value      | inside
-------------+--------
  20         |   T
  40         |   T
  30         |   T
  [20, 40]   |   T
  (20, 40)   |   T
  19         |   F
  41         |   F
  <20        |   F
  <=20       |   ?
  >40        |   F
  >=40       |   ?
  [10, 20)   |   F
  [10, 20]   |   ?
  (40, 50]   |   F
  [30, 50]   |   ?
  any        |   ?
"""


@pytest.mark.parametrize(("value", "comparison", "result"), read_grid(AGAINST_30))
def test_comparison_with_a_threshold(value, comparison, result):
    compare = getattr(read_interval(value), comparison)
    assert compare(Decimal(30)) is TRUTHS[result]
    assert compare(Decimal("30.00")) is TRUTHS[result], "trailing zeros carry no meaning"


@pytest.mark.parametrize(("value", "_", "result"), read_grid(WITHIN_20_TO_40))
def test_a_value_within_limits(value, _, result):
    assert is_between(read_interval(value), between(20, 40)) is TRUTHS[result]


@pytest.mark.parametrize("text", list(dict.fromkeys(value for value, _, _ in read_grid(AGAINST_30))))
def test_an_interval_is_printed_as_it_is_written(text):
    assert str(read_interval(text)) == text


@pytest.mark.parametrize("ends", [(5, 4, False, False), (4, 4, True, False), (4, 4, False, True)])
def test_an_interval_holds_at_least_one_value(ends):
    low, high, low_open, high_open = ends
    with pytest.raises(ValueError, match="at least one value"):
        Interval(Decimal(low), Decimal(high), low_open, high_open)


def test_only_a_single_value_is_exact():
    assert read_interval("30").exact == 30
    assert read_interval("[30, 31]").exact is None
    assert read_interval("<30").exact is None
    assert Interval().exact is None
    assert Interval().gte(Decimal(-(10**9))) is Truth.UNKNOWN


# No wider than it must be: an end is open where either end is, and unbounded where either is.
@pytest.mark.parametrize(
    ("one", "other", "total", "difference"),
    [
        ("[1, 2]", "[10, 20]", "[11, 22]", "[-19, -8]"),
        ("(1, 2]", "[10, 20]", "(11, 22]", "(-19, -8]"),
        ("[1, 2]", "[10, 20)", "[11, 22)", "(-19, -8]"),
        ("(1, 2)", "(10, 20)", "(11, 22)", "(-19, -8)"),
        ("5", "3", "8", "2"),
        ("5", "<3", "<8", ">2"),
        (">=5", "<=3", "any", ">=2"),
        ("[1, 2]", "any", "any", "any"),
    ],
)
def test_sums_and_differences(one, other, total, difference):
    one, other = read_interval(one), read_interval(other)
    assert str(one + other) == total
    assert str(one - other) == difference


@pytest.mark.parametrize(
    ("dividend", "divisor", "quotient"),
    [
        ("[60, 80]", "[2, 4]", "[15, 40]"),
        ("(60, 80]", "[2, 4]", "(15, 40]"),
        ("[60, 80]", "[2, 4)", "(15, 40]"),
        ("[60, 80)", "(2, 4]", "[15, 40)"),
        ("<60", "2", "[0, 30)"),
        (">60", "2", ">30"),
        ("60", "[0, 2]", ">=30"),
        ("60", "0", ">=0"),
        ("60", "any", ">=0"),
    ],
)
def test_quotients(dividend, divisor, quotient):
    assert str(read_interval(dividend).over(read_interval(divisor))) == quotient


@pytest.mark.parametrize(("one", "other", "total"), [("(1, 5]", "<=3", "<=8"), ("[1, 5)", ">=3", ">=4")])
def test_an_unbounded_end_is_never_open(one, other, total):
    found = read_interval(one) + read_interval(other)
    assert found == read_interval(total)
    assert found.contains(read_interval(total))
    assert ANY.contains(found)
