"""The planned infusions of a course as a calendar file: the number of the subject and no name."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from icalendar import Calendar, Event

from mscprotocol.answer import Assessment, ScheduleRow
from mscprotocol.schedule import TAKEN_PLACE

_OPEN = ("proposed", "conditional", "released")


def has_open_rows(answer: Assessment) -> bool:
    """Whether any infusion is still to come."""
    return any(_is_open(row) for row in answer.schedule)


def _is_open(row: ScheduleRow) -> bool:
    return row.status in _OPEN and row.status not in TAKEN_PLACE


def write_calendar(answer: Assessment, number: str, duration: timedelta) -> bytes:
    """One event for each infusion that is still to come, at its planned start in UTC; none of it is an order."""
    calendar = Calendar()
    calendar.add("prodid", "-//mscprotocol//course of infusions//EN")
    calendar.add("version", "2.0")
    for row in answer.schedule:
        if _is_open(row):
            calendar.add_component(_event(answer, row, number, duration))
    content: bytes = calendar.to_ical()
    return content


def _event(answer: Assessment, row: ScheduleRow, number: str, duration: timedelta) -> Event:
    event, planned = Event(), datetime.fromisoformat(row.planned).astimezone(UTC)
    event.add("uid", f"{number}-{answer.protocol.id}-{row.infusion}@mscprotocol")
    event.add("dtstamp", datetime.fromisoformat(answer.at).astimezone(UTC))
    event.add("dtstart", planned)
    event.add("dtend", planned + duration)
    event.add("summary", f"{number}: infusion {row.infusion} ({row.status}), draft - not an order")
    event.add("status", "TENTATIVE")
    event.add(
        "description",
        f"Planned {row.planned}, earliest {row.earliest}, latest {row.latest}. Protocol {answer.protocol.id}. "
        "The gate is judged anew before each infusion.",
    )
    return event
