"""Instants known in part, and look-back windows. All instants are aware and kept in UTC."""

from __future__ import annotations

import re
from calendar import monthrange
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

# A date without a zone may have been written anywhere: from UTC+14 to UTC-12.
EASTERNMOST, WESTERNMOST = timedelta(hours=14), timedelta(hours=12)
# A clock may run ahead by this much before a datum counts as later than the evaluation (decision 5).
CLOCK_TOLERANCE = timedelta(minutes=5)
_UNITS = {"min": "minutes", "h": "hours", "d": "days", "wk": "weeks"}
_WINDOW = re.compile(r"(\d+) (min|h|d|wk|mo|a)")


@dataclass(frozen=True, slots=True, order=True)
class TimeSpan:
    """The instants at which something may have happened, both ends included."""

    earliest: datetime
    latest: datetime

    def __post_init__(self) -> None:
        if self.earliest.tzinfo is None or self.latest.tzinfo is None:
            raise ValueError("an instant needs a time zone")
        if self.earliest > self.latest:
            raise ValueError("a time span must not end before it starts")

    @property
    def is_instant(self) -> bool:
        return self.earliest == self.latest

    def is_after(self, at: datetime) -> bool:
        """Whether it surely lies after `at`, beyond what a clock may run ahead."""
        return self.earliest > at + CLOCK_TOLERANCE

    def oldest_age(self, at: datetime) -> timedelta:
        return at - self.earliest

    def youngest_age(self, at: datetime) -> timedelta:
        return max(at - self.latest, timedelta(0))


@dataclass(frozen=True, slots=True)
class Window:
    """A length of time to look back, in exact hours or in calendar months; the longer of several counts."""

    parts: tuple[tuple[int, str], ...]
    text: str

    def start(self, at: datetime) -> datetime:
        """The instant from which the window that ends at `at` looks back."""
        return min(_back(at, amount, unit) for amount, unit in self.parts)

    def expiry(self, since: datetime) -> datetime:
        """The last instant at which something that happened at `since` still lies in the window."""
        return max(_forward(since, amount, unit) for amount, unit in self.parts)


def parse_window(text: str) -> Window:
    """Read `72 h`, `90 d` or `90 d or 3 mo`; units are those of UCUM (min h d wk mo a)."""
    parts = []
    for part in text.split(" or "):
        match = _WINDOW.fullmatch(part)
        if match is None:
            raise ValueError(f"not a length of time: {text!r}; write it like '72 h' or '90 d or 3 mo'")
        parts.append((int(match[1]), match[2]))
    return Window(tuple(parts), text)


def instant(moment: datetime) -> TimeSpan:
    """The span of an instant that is exactly known."""
    moment = moment.astimezone(UTC)
    return TimeSpan(moment, moment)


def unzoned(earliest: datetime, latest: datetime) -> TimeSpan:
    """The span of local times whose zone is not known."""
    return TimeSpan(earliest.replace(tzinfo=UTC) - EASTERNMOST, latest.replace(tzinfo=UTC) + WESTERNMOST)


def whole_days(first: date, last: date) -> TimeSpan:
    """The span from the start of one date to the end of another, wherever they were written."""
    midnight = time(tzinfo=UTC)
    after_last = datetime.combine(last, midnight)
    # The year 9999 has no day after its last one; a microsecond less keeps it in range.
    end = after_last + min(timedelta(days=1), datetime.max.replace(tzinfo=UTC) - after_last)
    start = datetime.combine(first, midnight)
    floor, ceiling = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
    return TimeSpan(
        start - min(EASTERNMOST, start - floor),
        end + min(WESTERNMOST, ceiling - end),
    )


def add_months(day: datetime, months: int) -> datetime:
    """The same day and time some calendar months later (or earlier), at the month's last day if shorter."""
    index = day.year * 12 + day.month - 1 + months
    year, month = divmod(index, 12)
    if not datetime.min.year <= year <= datetime.max.year:
        limit = datetime.max if months > 0 else datetime.min
        return limit.replace(tzinfo=UTC)
    return day.replace(year=year, month=month + 1, day=min(day.day, monthrange(year, month + 1)[1]))


def _back(at: datetime, amount: int, unit: str) -> datetime:
    at = at.astimezone(UTC)
    if unit in _UNITS:
        return at - timedelta(**{_UNITS[unit]: amount})
    return add_months(at, -amount * (12 if unit == "a" else 1))


def _forward(at: datetime, amount: int, unit: str) -> datetime:
    at = at.astimezone(UTC)
    if unit in _UNITS:
        return at + timedelta(**{_UNITS[unit]: amount})
    return add_months(at, amount * (12 if unit == "a" else 1))
