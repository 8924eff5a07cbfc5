"""What Hypothesis draws: decimals as an instrument writes them, intervals around points, tokens."""

from decimal import Decimal

from hypothesis import settings
from hypothesis import strategies as st

from mscprotocol.interval import EXACT, Interval
from mscprotocol.truth import Truth

# Derandomised: a check must not come out differently on another day.
LAWS = settings(max_examples=150)
ENGINE_LAWS = settings(LAWS, max_examples=60)

truths = st.sampled_from(Truth)
tokens = st.sampled_from(["met", "not_met", "unknown"])


def decimals(low=-1000, high=1000, places=3):
    return st.decimals(low, high, places=places, allow_nan=False, allow_infinity=False)


gaps = st.one_of(st.just(Decimal(0)), decimals(0, 50))


@st.composite
def intervals_around(draw, inner):
    """An interval that holds another one: each end is kept, moved outwards, opened behind it, or unbounded."""
    low, low_open = draw(_outer_ends(inner.low, inner.low_open, -1))
    high, high_open = draw(_outer_ends(inner.high, inner.high_open, 1))
    return Interval(low, high, low_open, high_open)


@st.composite
def _outer_ends(draw, end, is_open, direction):
    if end is None or draw(st.booleans()):
        return None, False
    gap = draw(gaps)
    if gap == 0:
        return end, is_open and draw(st.booleans())
    return EXACT.add(end, gap * direction), draw(st.booleans())


@st.composite
def points_and_intervals(draw, low=-1000):
    """A value, and an interval that holds it."""
    point = draw(decimals(low))
    return point, draw(intervals_around(Interval(point, point)))


@st.composite
def intervals(draw):
    return draw(points_and_intervals())[1]


@st.composite
def nested_intervals(draw):
    """A wider interval and a narrower one within it."""
    narrow = draw(intervals())
    return draw(intervals_around(narrow)), narrow


@st.composite
def refined(draw, wide, unknown, known):
    """The same answers, some of the unknown ones by now known."""
    return [draw(st.sampled_from([unknown, *known])) if one == unknown else one for one in wide]


def holds(interval, point):
    """Membership in plain words, apart from the code under test."""
    above = interval.low is None or point > interval.low or (point == interval.low and not interval.low_open)
    below = interval.high is None or point < interval.high or (point == interval.high and not interval.high_open)
    return above and below
