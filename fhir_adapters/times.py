"""FHIR dates and times as time spans; what cannot be read is no time, never an error."""

from __future__ import annotations

import re
from calendar import monthrange
from datetime import date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from fhir_adapters.datatypes import Period
from mscprotocol.timespan import TimeSpan, instant, unzoned, whole_days

_DATE = re.compile(r"([0-9]{4})(?:-([0-9]{2})(?:-([0-9]{2}))?)?")
_TIME = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})T([0-9]{2}:[0-9]{2}(?::[0-9]{2})?)(?:\.([0-9]+))?(Z|[+-](?:0[0-9]|1[0-4]):[0-5][0-9])?"
)


@lru_cache(maxsize=65536)
def parse_time(text: str | None) -> TimeSpan | None:
    """The span of a FHIR date, dateTime or instant.

    A partial date spans its days wherever they were written, a time without zone every zone; a leap second, 24:00
    or anything else that is no time gives None.
    """
    if not text:
        return None
    try:
        return _parse_instant(text) if "T" in text else _parse_days(text)
    except (ValueError, OverflowError):
        return None


def parse_birth(text: str | None) -> tuple[date, date] | None:
    """The first and last date that a birth date, perhaps partial, may mean."""
    try:
        return _days(text or "")
    except ValueError:
        return None


def period_time(period: Period | None) -> TimeSpan | None:
    """When a period was last known to hold: its end, else its start."""
    if period is None:
        return None
    return parse_time(period.end if period.end else period.start)


def period_hull(period: Period | None) -> TimeSpan | None:
    """Some instant within a period whose ends are both given; else the end that is."""
    if period is None:
        return None
    start, end = parse_time(period.start), parse_time(period.end)
    if start is None or end is None:
        return start or end
    return TimeSpan(min(start.earliest, end.earliest), max(start.latest, end.latest))


def _parse_instant(text: str) -> TimeSpan | None:
    match = _TIME.fullmatch(text)
    if match is None:
        return None
    day, clock, fraction, zone = match.groups()
    moment = datetime.fromisoformat(f"{day}T{clock}{zone or 'Z'}")
    if fraction:
        moment = moment.replace(microsecond=int(fraction[:6].ljust(6, "0")))
    return unzoned(moment, moment) if zone is None else instant(moment)


def _parse_days(text: str) -> TimeSpan | None:
    days = _days(text)
    return None if days is None else whole_days(*days)


def _days(text: str) -> tuple[date, date] | None:
    match = _DATE.fullmatch(text)
    if match is None:
        return None
    year, month, day = (None if part is None else int(part) for part in match.groups())
    if year is None or month is None:
        return (date(int(match[1]), 1, 1), date(int(match[1]), 12, 31))
    if day is None:
        return date(year, month, 1), date(year, month, monthrange(year, month)[1])
    return date(year, month, day), date(year, month, day)


# -- local times ------------------------------------------------------------------------------------


def offset_in(zone: ZoneInfo, local: datetime) -> str:
    """The offset of a local time; none for the hour that a clock change leaves out or repeats."""
    offsets = {local.replace(tzinfo=zone, fold=fold).utcoffset() for fold in (0, 1)}
    offset = offsets.pop()
    return "" if offsets or offset is None or offset.total_seconds() % 60 else write_offset(offset)


def write_offset(offset: timedelta) -> str:
    """An offset from UTC as FHIR writes it."""
    minutes = int(offset.total_seconds()) // 60
    return f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}"


# -- resources --------------------------------------------------------------------------------------

_TIMES = (
    "effective_date_time", "effective_instant", "recorded_date", "onset_date_time", "performed_date_time",
    "authored_on", "date_asserted", "timing_date_time",
)  # fmt: skip
_PERIODS = ("effective_period", "onset_period", "performed_period", "timing_period")


def is_after(time: TimeSpan | None, *stated: str | None) -> bool:
    """Whether a time surely lies after one at which it was already on record, as that is written: it cannot be true."""
    known = [span for span in map(parse_time, stated) if span is not None]
    return time is not None and any(time.earliest > span.latest for span in known)


def time_of(resource: object) -> TimeSpan | None:
    """The latest time that a resource states of itself; a resource that is silent about it gives None."""
    times = [parse_time(getattr(resource, name, None)) for name in _TIMES]
    times += [period_time(getattr(resource, name, None)) for name in _PERIODS]
    return max((time for time in times if time is not None), key=lambda time: time.latest, default=None)
