"""Four infusions 72 h of elapsed time apart, whatever the clocks on the wall do."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mscprotocol.knowledge_loader import load_knowledge
from mscprotocol.schedule import course_state, length, plan_schedule
from tests.properties.strategies import LAWS

FIRST = datetime(2020, 4, 6, 10, tzinfo=UTC)
SECOND = timedelta(seconds=1)


@pytest.fixture(scope="module")
def schedule():
    return load_knowledge().protocols["seed-covid-4x"].schedule


def plan(schedule, start, zone="UTC", given=(), status="proposed"):
    zone = ZoneInfo(zone)
    return plan_schedule(schedule, datetime.fromisoformat(start).replace(tzinfo=zone), zone, given, status)


@pytest.mark.parametrize(
    ("zone", "start", "planned"),
    [
        (
            "Asia/Shanghai",
            "2020-04-06T10:00",
            ["2020-04-06T10:00+08:00", "2020-04-09T10:00+08:00", "2020-04-12T10:00+08:00", "2020-04-15T10:00+08:00"],
        ),
        (  # the clocks go forward on 29 March
            "Europe/Berlin",
            "2020-03-27T10:00",
            ["2020-03-27T10:00+01:00", "2020-03-30T11:00+02:00", "2020-04-02T11:00+02:00", "2020-04-05T11:00+02:00"],
        ),
        (  # the clocks go back on 1 November
            "America/New_York",
            "2020-10-30T10:00",
            ["2020-10-30T10:00-04:00", "2020-11-02T09:00-05:00", "2020-11-05T09:00-05:00", "2020-11-08T09:00-05:00"],
        ),
        (
            "UTC",
            "2020-12-28T22:00",
            ["2020-12-28T22:00+00:00", "2020-12-31T22:00+00:00", "2021-01-03T22:00+00:00", "2021-01-06T22:00+00:00"],
        ),
    ],
)
def test_golden_vectors(schedule, zone, start, planned):
    rows = plan(schedule, start, zone)
    assert [row.planned.isoformat(timespec="minutes") for row in rows] == planned
    assert [row.infusion for row in rows] == [1, 2, 3, 4]
    assert {row.status for row in rows} == {"proposed"}


def test_both_ways_to_number_days(schedule):
    rows = plan(schedule, "2020-03-27T10:00", "Europe/Berlin")
    assert [row.day_from_0 for row in rows] == [0, 3, 6, 9]
    assert [row.day_from_1 for row in rows] == [1, 4, 7, 10]


def test_the_window_of_each_infusion(schedule):
    first, second, *_ = plan(schedule, "2020-04-06T10:00")
    assert first.earliest == first.planned == first.latest
    assert second.earliest - first.planned == timedelta(hours=66)
    assert second.latest - first.planned == timedelta(hours=120)


def test_infusions_given_anchor_those_to_come(schedule):
    given = [FIRST, FIRST + timedelta(hours=100)]
    rows = plan(schedule, "2020-05-01T10:00", given=given)
    assert [row.status for row in rows] == ["given", "given", "proposed", "proposed"]
    assert [row.planned for row in rows] == [*given, given[1] + timedelta(hours=72), given[1] + timedelta(hours=144)]
    assert rows[1].earliest == rows[1].latest == given[1]
    assert rows[2].earliest == given[1] + timedelta(hours=66)
    assert rows[2].latest == given[1] + timedelta(hours=120)


def test_infusions_given_are_put_in_order_and_in_the_zone_of_the_ward(schedule):
    given = [FIRST + timedelta(hours=72), FIRST.astimezone(ZoneInfo("Asia/Tokyo"))]
    rows = plan(schedule, "2020-04-06T10:00", "Europe/Berlin", given=given)
    assert [row.planned.isoformat() for row in rows[:2]] == ["2020-04-06T12:00:00+02:00", "2020-04-09T12:00:00+02:00"]


def test_a_course_has_four_rows_and_one_for_what_was_given_beyond_it(schedule):
    given = [FIRST + number * timedelta(hours=72) for number in range(5)]
    rows = plan(schedule, "2020-04-06T10:00", given=given)
    assert [(row.infusion, row.status) for row in rows] == [(number, "given") for number in range(1, 6)]


@pytest.mark.parametrize("status", ["proposed", "conditional", "withheld"])
def test_the_status_of_what_is_to_come(schedule, status):
    rows = plan(schedule, "2020-04-06T10:00", given=[FIRST], status=status)
    assert [row.status for row in rows] == ["given", status, status, status]


@LAWS
@given(
    st.datetimes(datetime(2000, 1, 1), datetime(2050, 1, 1)),  # noqa: DTZ001 - naive on purpose
    st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"]),
    st.lists(st.integers(66, 120), max_size=3),
)
def test_infusions_are_never_closer_than_66_elapsed_hours(start, zone, gaps):
    schedule = load_knowledge().protocols["seed-covid-4x"].schedule
    zone = ZoneInfo(zone)
    given = [start.replace(tzinfo=UTC)]
    for gap in gaps:
        given.append(given[-1] + timedelta(hours=gap))
    rows = plan_schedule(schedule, start.replace(tzinfo=UTC), zone, given[1:] and given, "proposed")
    moments = [row.planned.astimezone(UTC) for row in rows]
    assert all(later - earlier >= timedelta(hours=66) for earlier, later in pairwise(moments))
    assert all(
        row.earliest.astimezone(UTC) <= row.planned.astimezone(UTC) <= row.latest.astimezone(UTC) for row in rows
    )
    assert {row.planned.tzinfo for row in rows} == {zone}


# -- where a course stands --


def closes():
    return load_knowledge().practices["site-default"].closes


def state_of(schedule, given, at):
    return course_state(schedule, closes(), given, at)


def hours(number):
    return timedelta(hours=number)


DAY_18 = FIRST + timedelta(days=18)


@pytest.mark.parametrize(
    ("given", "at", "state"),
    [
        ([], FIRST, "open"),
        ([FIRST], FIRST, "too_early"),
        ([FIRST], FIRST + hours(66) - SECOND, "too_early"),
        ([FIRST], FIRST + hours(66), "open"),
        ([FIRST], FIRST + hours(72), "open"),
        ([FIRST], FIRST + hours(120), "open"),
        ([FIRST], FIRST + hours(120) + SECOND, "missed"),
        ([FIRST], FIRST + timedelta(days=21), "missed"),
        ([FIRST], FIRST + timedelta(days=21) + SECOND, "closed"),
        ([FIRST, DAY_18], FIRST + timedelta(days=21), "open"),
        ([FIRST, DAY_18], FIRST + timedelta(days=21) + SECOND, "closed"),
        ([FIRST, DAY_18], DAY_18 + hours(65), "too_early"),
        ([DAY_18, FIRST], DAY_18 + hours(65), "too_early"),
    ],
)
def test_the_state_of_a_course(schedule, given, at, state):
    assert state_of(schedule, given, at) == state
    assert state_of(schedule, [one.astimezone(ZoneInfo("Asia/Tokyo")) for one in given], at) == state


@pytest.mark.parametrize("count", [4, 5])
@pytest.mark.parametrize("later", [0, 72, 1000])
def test_there_is_no_fifth_infusion(schedule, count, later):
    given = [FIRST + number * hours(72) for number in range(count)]
    assert state_of(schedule, given, given[-1] + hours(later)) == "complete"
    assert state_of(schedule, given[:3], given[2] + hours(72)) == "open"


def test_a_day_is_24_hours(schedule):
    assert length(schedule.interval) == timedelta(hours=72)
    assert length(closes()) == timedelta(days=21)
