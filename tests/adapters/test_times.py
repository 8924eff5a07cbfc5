from datetime import UTC, date, datetime, timedelta

import pytest

from fhir_adapters.datatypes import Period
from fhir_adapters.times import parse_birth, parse_time, period_hull, period_time
from mscprotocol.timespan import TimeSpan, instant, whole_days


def at(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type, misc]  # the parts come as they are written in a row


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2020-04-06T10:00:00Z", at(2020, 4, 6, 10)),
        ("2020-04-06T10:00:00+08:00", at(2020, 4, 6, 2)),
        ("2020-04-06T10:00:00-05:30", at(2020, 4, 6, 15, 30)),
        ("2020-04-06T10:00Z", at(2020, 4, 6, 10)),
        ("2020-04-06T10:00:00.5Z", at(2020, 4, 6, 10, 0, 0, 500000)),
        ("2020-04-06T10:00:00.1234567Z", at(2020, 4, 6, 10, 0, 0, 123456)),
    ],
)
def test_an_instant_is_read_to_utc(text: str, expected: datetime) -> None:
    assert parse_time(text) == instant(expected)


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("2020", date(2020, 1, 1), date(2020, 12, 31)),
        ("2020-02", date(2020, 2, 1), date(2020, 2, 29)),
        ("2020-02-29", date(2020, 2, 29), date(2020, 2, 29)),
        ("0001", date(1, 1, 1), date(1, 12, 31)),
        ("9999", date(9999, 1, 1), date(9999, 12, 31)),
    ],
)
def test_a_partial_date_spans_its_days(text: str, first: date, last: date) -> None:
    assert parse_time(text) == whole_days(first, last)
    assert parse_birth(text) == (first, last)


def test_a_time_without_zone_may_be_anywhere() -> None:
    span = parse_time("2020-04-06T10:00:00")
    assert span == TimeSpan(at(2020, 4, 6, 10) - timedelta(hours=14), at(2020, 4, 6, 10) + timedelta(hours=12))


NO_TIMES = ["", None, "2020-04-06T10:00:60Z", "2020-04-06T24:00:00Z", "2020-02-30", "2020-13", "0000", "20200406"]
NO_TIMES += ["now", "T", "2020-04-06T10Z", "2020-04-06T10:00:00+15:00", "2020-04-06 10:00:00Z", "2020-04-06\n"]
NO_TIMES += ["２０２０", "2020-04T1", "2020-04-06T10:00:00.Z"]


@pytest.mark.parametrize("text", NO_TIMES)
def test_what_is_no_time_gives_none(text: str | None) -> None:
    assert parse_time(text) is None


@pytest.mark.parametrize("text", ["", None, "1961-02-30", "1961-02-01T00:00:00Z", "61", "1961-1"])
def test_what_is_no_birth_date_gives_none(text: str | None) -> None:
    assert parse_birth(text) is None


def test_a_period_counts_by_its_end_else_its_start() -> None:
    start, end = "2020-04-06T10:00:00Z", "2020-04-06T12:00:00Z"
    assert period_time(Period(start=start, end=end)) == parse_time(end)
    assert period_time(Period(start=start)) == parse_time(start)
    assert period_time(Period()) is None
    assert period_time(None) is None


def test_a_period_of_onset_leaves_all_of_it_open() -> None:
    start, end = "2020-04-06T10:00:00Z", "2020-04-06T12:00:00Z"
    both = TimeSpan(at(2020, 4, 6, 10), at(2020, 4, 6, 12))
    assert period_hull(Period(start=start, end=end)) == both
    assert period_hull(Period(start=end, end=start)) == both
    assert period_hull(Period(end=end)) == parse_time(end)
