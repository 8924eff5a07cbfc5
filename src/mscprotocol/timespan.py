"""Instants known in part, and look-back windows. All instants are aware and kept in UTC."""

from __future__ import annotations

import re
from calendar import monthrange
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache

import msgspec

# A date without a zone may have been written anywhere: from UTC+14 to UTC-12.
EASTERNMOST, WESTERNMOST = timedelta(hours=14), timedelta(hours=12)
# A clock may run ahead by this much before a datum counts as later than the evaluation (decision 5).
CLOCK_TOLERANCE = timedelta(minutes=5)
_FIRST, _LAST = datetime(1, 1, 3, tzinfo=UTC), datetime(9999, 12, 29, tzinfo=UTC)
_UNITS = {"min": "minutes", "h": "hours", "d": "days", "wk": "weeks"}
_WINDOW = re.compile(r"(\d+) (min|h|d|wk|mo|a)")


class TimeSpan(msgspec.Struct, frozen=True, order=True):
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
        return self.earliest > _tolerated(at)

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
        return _start(self.parts, at)

    def around(self, time: TimeSpan) -> tuple[datetime, datetime]:
        """The instants from a window before a time to a window after it."""
        return self.start(time.earliest), self.expiry(time.latest)

    def expiry(self, since: datetime) -> datetime:
        """The last instant at which something that happened at `since` still lies in the window."""
        return _expiry(self.parts, since)


@lru_cache(maxsize=1024)
def _tolerated(at: datetime) -> datetime:
    return _shifted(at, CLOCK_TOLERANCE)


@lru_cache(maxsize=65536)
def _expiry(parts: tuple[tuple[int, str], ...], since: datetime) -> datetime:
    return max([_forward(since, amount, unit) for amount, unit in parts])


@lru_cache(maxsize=65536)
def _start(parts: tuple[tuple[int, str], ...], at: datetime) -> datetime:
    return min([_back(at, amount, unit) for amount, unit in parts])


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
    try:
        moment = _held(moment.astimezone(UTC))
    except OverflowError:
        moment = _held(moment.replace(tzinfo=UTC))
    return TimeSpan(moment, moment)


def unzoned(earliest: datetime, latest: datetime) -> TimeSpan:
    """The span of local times whose zone is not known."""
    return TimeSpan(
        _shifted(earliest.replace(tzinfo=UTC), -EASTERNMOST), _shifted(latest.replace(tzinfo=UTC), WESTERNMOST)
    )


def whole_days(first: date, last: date) -> TimeSpan:
    """The span from the start of one date to the end of another, wherever they were written."""
    midnight = time(tzinfo=UTC)
    end = _shifted(datetime.combine(last, midnight), timedelta(days=1))
    return TimeSpan(_shifted(datetime.combine(first, midnight), -EASTERNMOST), _shifted(end, WESTERNMOST))


def add_months(day: datetime, months: int) -> datetime:
    """The same day and time some calendar months later (or earlier), at the month's last day if shorter."""
    index = day.year * 12 + day.month - 1 + months
    year, month = divmod(index, 12)
    if not _FIRST.year <= year <= _LAST.year:
        return _LAST if months > 0 else _FIRST
    return day.replace(year=year, month=month + 1, day=min(day.day, monthrange(year, month + 1)[1]))


def whole_days_around(at: datetime) -> tuple[date, date]:
    """The dates that it may be at an instant, in the westernmost and the easternmost zone."""
    at = at.astimezone(UTC)
    return _shifted(at, -WESTERNMOST).date(), _shifted(at, EASTERNMOST).date()


def _shifted(moment: datetime, by: timedelta) -> datetime:
    """A moment earlier or later, held at the ends of the calendar."""
    try:
        return _held(moment + by)
    except OverflowError:
        return _LAST if by > timedelta(0) else _FIRST


def _held(moment: datetime) -> datetime:
    """A moment within the calendar less its first and last days, so that every zone can show it."""
    return min(max(moment, _FIRST), _LAST)


def _back(at: datetime, amount: int, unit: str) -> datetime:
    at = at.astimezone(UTC)
    if unit in _UNITS:
        return _shifted(at, -timedelta(**{_UNITS[unit]: amount}))
    return add_months(at, -amount * (12 if unit == "a" else 1))


def _forward(at: datetime, amount: int, unit: str) -> datetime:
    at = at.astimezone(UTC)
    if unit in _UNITS:
        return _shifted(at, timedelta(**{_UNITS[unit]: amount}))
    months = amount * (12 if unit == "a" else 1)
    last = add_months(at, months)
    # From the end of a long month the look-back is cut to the end of a short one, so a few more days reach it.
    while (later := _shifted(last, timedelta(days=1))) > last and add_months(later, -months) <= at:
        last = later
    return last
