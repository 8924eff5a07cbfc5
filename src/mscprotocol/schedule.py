"""The course of infusions in elapsed time: a day is 24 hours, whatever the clocks on the wall do."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec

from mscprotocol.protocols import Schedule, Sourced

# What a row of the schedule says of an infusion that took place.
TAKEN_PLACE = ("given", "stopped")
CLOSED = "closed"
_MINUTES = {"min": 1, "h": 60, "d": 24 * 60}


class ScheduledInfusion(msgspec.Struct, frozen=True):
    """One infusion of the course; times are aware, in the zone of the ward."""

    infusion: int
    earliest: datetime
    planned: datetime
    latest: datetime
    status: str
    day_from_0: int
    day_from_1: int


def plan_schedule(
    schedule: Schedule, start: datetime, zone: ZoneInfo, given: Sequence[datetime], status: str
) -> list[ScheduledInfusion]:
    """The infusions of a course, `given` ones at their actual start, later ones at fixed elapsed times after it.

    More may have been given than the protocol has: those have a row too.
    """
    interval, earliest, latest = (_length(one) for one in (schedule.interval, schedule.earliest, schedule.latest))
    rows: list[ScheduledInfusion] = []
    done = sorted(moment.astimezone(UTC) for moment in given)
    first = done[0] if done else start.astimezone(UTC)
    previous: datetime | None = None
    for number in range(1, max(schedule.count, len(done)) + 1):
        if number <= len(done):
            planned = done[number - 1]
            window, state = (planned, planned), "given"
        elif previous is None:
            planned, window, state = first, (first, first), status
        else:
            planned = previous + interval
            window, state = (previous + earliest, previous + latest), status
        day = _elapsed_days(first, planned)
        rows.append(
            ScheduledInfusion(
                number,
                window[0].astimezone(zone),
                planned.astimezone(zone),
                window[1].astimezone(zone),
                state,
                day,
                day + 1,
            )
        )
        previous = planned
    return rows


def course_state(schedule: Schedule, closes: Sourced, given: Sequence[datetime], at: datetime) -> str:
    """Where a course stands: open for the next infusion, too_early, missed, complete or closed."""
    done = sorted(moment.astimezone(UTC) for moment in given)
    if len(done) >= schedule.count:
        return "complete"
    if not done:
        return "open"
    now = at.astimezone(UTC)
    if now > done[0] + length(closes):
        return CLOSED
    if now < done[-1] + _length(schedule.earliest):
        return "too_early"
    return "missed" if now > done[-1] + _length(schedule.latest) else "open"


def length(number: Sourced) -> timedelta:
    """A length of the protocol as elapsed time."""
    return timedelta(minutes=int(number.value.value) * _MINUTES[number.value.unit])


def _length(number: Sourced | None) -> timedelta:
    """A length between infusions; a single infusion has none, and nothing is reckoned with it."""
    return timedelta(0) if number is None else length(number)


def _elapsed_days(first: datetime, moment: datetime) -> int:
    return round((moment - first) / timedelta(days=1))
