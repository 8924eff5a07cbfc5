"""Instants known in part, and windows that look back: hours are elapsed time, months are the calendar's."""

from datetime import UTC, date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mscprotocol.selection import within_window
from mscprotocol.timespan import TimeSpan, add_months, instant, parse_window, unzoned, whole_days
from mscprotocol.truth import Truth
from tests.properties.strategies import LAWS

UTC_PLUS_14, UTC_MINUS_12 = timezone(timedelta(hours=14)), timezone(timedelta(hours=-12))
moments = st.datetimes(datetime(1950, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - naive on purpose
windows = st.sampled_from(["45 min", "2 h", "72 h", "90 d", "2 wk", "3 mo", "24 mo", "120 a", "90 d or 3 mo"])


def utc(*parts):
    return datetime(*parts, tzinfo=UTC)


@pytest.mark.parametrize(
    ("window", "at", "start"),
    [
        ("30 min", utc(2020, 3, 1, 0, 10), utc(2020, 2, 29, 23, 40)),
        ("72 h", utc(2020, 3, 2), utc(2020, 2, 28)),
        ("90 d", utc(2020, 5, 30), utc(2020, 3, 1)),
        ("2 wk", utc(2020, 3, 14), utc(2020, 2, 29)),
        ("3 mo", utc(2020, 7, 6, 10), utc(2020, 4, 6, 10)),
        ("3 mo", utc(2020, 2, 6), utc(2019, 11, 6)),
        ("24 mo", utc(2020, 4, 6), utc(2018, 4, 6)),
        ("1 a", utc(2021, 2, 28), utc(2020, 2, 28)),
        # a shorter month ends the window at its last day
        ("3 mo", utc(2020, 5, 31, 8), utc(2020, 2, 29, 8)),
        ("3 mo", utc(2021, 5, 31, 8), utc(2021, 2, 28, 8)),
        ("1 mo", utc(2020, 12, 31), utc(2020, 11, 30)),
        ("1 a", utc(2020, 2, 29), utc(2019, 2, 28)),
        ("4 a", utc(2020, 2, 29), utc(2016, 2, 29)),
        ("120 a", utc(2020, 2, 29), utc(1900, 2, 28)),
    ],
)
def test_the_start_of_a_window(window, at, start):
    assert parse_window(window).start(at) == start


@pytest.mark.parametrize(
    ("at", "start", "longer"),
    [
        (utc(2020, 10, 1), utc(2020, 7, 1), "3 mo"),  # 92 days
        (utc(2021, 5, 1), utc(2021, 1, 31), "90 d"),  # three months are 89 days
        (utc(2021, 5, 31), utc(2021, 2, 28), "3 mo"),  # clamped to 92 days
        (utc(2020, 5, 29), utc(2020, 2, 29), "both"),
        (utc(2021, 3, 15), utc(2020, 12, 15), "both"),
    ],
)
def test_of_90_days_and_3_months_the_longer_counts(at, start, longer):
    assert parse_window("90 d or 3 mo").start(at) == start
    parts = {name for name in ("90 d", "3 mo") if parse_window(name).start(at) == start}
    assert parts == ({"90 d", "3 mo"} if longer == "both" else {longer})


@pytest.mark.parametrize(
    ("since", "expiry"), [(utc(2021, 1, 31), utc(2021, 5, 1)), (utc(2020, 7, 1), utc(2020, 10, 1))]
)
def test_the_expiry_of_a_window(since, expiry):
    assert parse_window("90 d or 3 mo").expiry(since) == expiry


@pytest.mark.parametrize(
    "text",
    [
        "",
        "90",
        "1:30",
        "1.5 h",
        "-1 d",
        "3 months",
        "3 m",
        "90 d or",
        "90 d and 3 mo",
        " 90 d",
        "90  d",
        "1e2 h",
        "90 d\n",
    ],
)
def test_a_length_without_its_unit_is_refused(text):
    with pytest.raises(ValueError, match="not a length of time"):
        parse_window(text)


def test_daylight_saving_does_not_move_a_window():
    berlin = ZoneInfo("Europe/Berlin")
    at = datetime(2020, 3, 30, 11, tzinfo=berlin)  # the clocks went forward the day before
    assert parse_window("72 h").start(at) == datetime(2020, 3, 27, 10, tzinfo=berlin)
    for text in ("72 h", "3 d", "3 mo", "90 d or 3 mo", "1 a"):
        assert parse_window(text).start(at) == parse_window(text).start(at.astimezone(UTC))
        assert parse_window(text).expiry(at) == parse_window(text).expiry(at.astimezone(ZoneInfo("America/New_York")))


def test_the_hour_that_comes_twice():
    berlin = ZoneInfo("Europe/Berlin")
    second = datetime(2020, 10, 25, 2, 30, tzinfo=berlin, fold=1)
    assert parse_window("1 h").start(second) == datetime(2020, 10, 25, 2, 30, tzinfo=berlin, fold=0).astimezone(UTC)
    assert instant(second).earliest == utc(2020, 10, 25, 1, 30)


@LAWS
@given(moments, windows)
def test_a_window_lies_before_its_end_and_expiry_after_its_start(at, text):
    window = parse_window(text)
    assert window.start(at) < at < window.expiry(at)


@LAWS
@given(moments, st.sampled_from(["45 min", "2 h", "72 h", "90 d", "2 wk"]))
def test_elapsed_windows_expire_just_when_they_no_longer_hold(at, text):
    window = parse_window(text)
    assert window.expiry(window.start(at)) == at
    assert window.start(window.expiry(at)) == at


@LAWS
@given(moments, st.integers(-30, 30))
def test_months_keep_the_day_or_end_the_month(day, months):
    moved = add_months(day, months)
    assert (moved.year * 12 + moved.month) - (day.year * 12 + day.month) == months
    assert moved.timetz() == day.timetz()
    assert moved.day == day.day or (moved.day < day.day and (moved + timedelta(days=1)).month != moved.month)


@LAWS
@given(moments, st.integers(0, 100), windows)
def test_what_still_lies_in_a_window_has_not_expired(at, days, text):
    window = parse_window(text)
    event = at - timedelta(days=days)
    if within_window(instant(event), window, at) is Truth.MET:
        assert window.expiry(event) >= at


def test_what_still_lies_in_a_window_of_clamped_months_has_not_expired():
    window, at = parse_window("90 d or 3 mo"), utc(2021, 5, 31)
    assert within_window(instant(utc(2021, 2, 28)), window, at) is Truth.MET
    assert window.expiry(utc(2021, 2, 28)) >= at


# -- spans --


def test_a_span_needs_a_zone_and_an_order():
    with pytest.raises(ValueError, match="time zone"):
        TimeSpan(datetime(2020, 4, 6), utc(2020, 4, 6))  # noqa: DTZ001 - naive on purpose
    with pytest.raises(ValueError, match="time zone"):
        TimeSpan(utc(2020, 4, 6), datetime(2020, 4, 6))  # noqa: DTZ001 - naive on purpose
    with pytest.raises(ValueError, match="must not end"):
        TimeSpan(utc(2020, 4, 6, 1), utc(2020, 4, 6))


def test_an_instant_is_kept_in_utc():
    found = instant(datetime(2020, 4, 6, 10, tzinfo=ZoneInfo("Asia/Shanghai")))
    assert found == TimeSpan(utc(2020, 4, 6, 2), utc(2020, 4, 6, 2))
    assert found.is_instant
    assert found.earliest.utcoffset() == timedelta(0)


def test_a_local_time_without_a_zone_may_have_been_anywhere():
    found = unzoned(datetime(2020, 4, 6, 10), datetime(2020, 4, 6, 11))  # noqa: DTZ001 - naive on purpose
    assert found.earliest == datetime(2020, 4, 6, 10, tzinfo=UTC_PLUS_14)
    assert found.latest == datetime(2020, 4, 6, 11, tzinfo=UTC_MINUS_12)
    assert not found.is_instant


def test_a_day_may_have_been_anywhere():
    found = whole_days(date(2020, 2, 1), date(2020, 2, 29))
    assert found.earliest == datetime(2020, 2, 1, tzinfo=UTC_PLUS_14)
    assert found.latest == datetime(2020, 3, 1, tzinfo=UTC_MINUS_12)


@LAWS
@given(st.dates(), st.integers(-12 * 60, 14 * 60), st.integers(0, 24 * 60 - 1))
def test_a_day_holds_all_its_instants_in_every_zone(day, offset, minute):
    found = whole_days(day, day)
    try:
        moment = (datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(minutes=minute)) - timedelta(
            minutes=offset
        )
    except OverflowError:
        return
    assert found.earliest <= moment <= found.latest


def test_the_first_and_the_last_days_of_the_calendar_are_held_where_every_zone_can_show_them():
    for found in (
        whole_days(date.min, date.min),
        whole_days(date.max, date.max),
        instant(datetime.max.replace(tzinfo=UTC)),
    ):
        for hours in (-12, 14):
            zone = timezone(timedelta(hours=hours))
            assert found.earliest.astimezone(zone) <= found.latest.astimezone(zone)
    assert add_months(utc(9999, 12, 31), 1).year == 9999
    assert add_months(utc(1, 1, 1), -1).year == 1
    assert parse_window("120 a").start(utc(100, 1, 1)).year == 1
    assert parse_window("120 a").expiry(utc(9950, 1, 1)).year == 9999


@pytest.mark.parametrize(
    "edge",
    [
        lambda: unzoned(datetime.min, datetime.min),  # noqa: DTZ901 - naive on purpose
        lambda: unzoned(datetime.max, datetime.max),  # noqa: DTZ901 - naive on purpose
        lambda: instant(datetime.min.replace(tzinfo=UTC_PLUS_14)),
        lambda: instant(datetime.max.replace(tzinfo=UTC_MINUS_12)),
        lambda: parse_window("90 d").start(utc(1, 1, 31)),
        lambda: parse_window("90 d").expiry(utc(9999, 12, 1)),
    ],
    ids=["unzoned min", "unzoned max", "instant min", "instant max", "start", "expiry"],
)
def test_the_ends_of_the_calendar_raise_nothing(edge):
    edge()


def test_a_clock_may_run_five_minutes_ahead():
    at = utc(2020, 4, 6, 10)
    assert not instant(at + timedelta(minutes=5)).is_after(at)
    assert instant(at + timedelta(minutes=5, seconds=1)).is_after(at)
    assert not TimeSpan(at, at + timedelta(days=1)).is_after(at), "it may have been earlier"


def test_ages_of_a_span():
    at = utc(2020, 4, 6, 10)
    found = TimeSpan(at - timedelta(hours=5), at - timedelta(hours=2))
    assert found.oldest_age(at) == timedelta(hours=5)
    assert found.youngest_age(at) == timedelta(hours=2)
    assert TimeSpan(at, at + timedelta(minutes=4)).youngest_age(at) == timedelta(0)


@pytest.mark.parametrize(
    ("earliest", "latest", "truth"),
    [
        (0, 0, "MET"),
        (24, 24, "MET"),
        (24.01, 24.01, "NOT_MET"),
        (25, 23, "UNKNOWN"),
        (24, 23, "MET"),
        (30, 24, "UNKNOWN"),
        (30, 24.5, "NOT_MET"),
    ],
)
def test_within_a_window_known_in_part(earliest, latest, truth):
    at = utc(2020, 4, 6, 10)
    time = TimeSpan(at - timedelta(hours=earliest), at - timedelta(hours=latest))
    assert within_window(time, parse_window("24 h"), at) is Truth[truth]
    assert within_window(time, None, at) is Truth.MET
