"""Times as they are typed off a clock: an hour that the clocks show twice is asked for its offset, never guessed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from fhir_adapters.times import write_offset

OFFSET = "offset"  # what the choice beside a time is named: the time's own name, and this
NO_TIME = "A time is a day and a time of day, like 2020-03-27T10:00."
SHOWN_TWICE = "The clocks were put back and show this time twice: choose which of the two it was."
NEVER_SHOWN = "The clocks were put forward and never showed this time: type {} or {}."


@dataclass(frozen=True)
class Doubt:
    """Why a typed time is no instant; `choices` are the offsets that it may have, each with its words."""

    text: str
    choices: tuple[tuple[str, str], ...] = ()


def read_time(text: str, offset: str, zone: ZoneInfo) -> datetime | Doubt:
    """The instant of a time on the clocks of a zone; `offset` tells the two instants of a repeated hour apart."""
    local = _parse(text)
    if local is None:
        return Doubt(NO_TIME)
    if local.tzinfo is not None:
        return local
    moments = find_moments(local, zone)
    if len(moments) == 1:
        return moments[0]
    chosen = next((one for one in moments if _offset(one) == offset), None)
    return _doubt(local, moments, zone) if chosen is None else chosen


def _parse(text: str) -> datetime | None:
    """A day and a time of day; None for a day alone, and for what no calendar of ours goes to."""
    try:
        local = datetime.fromisoformat(text)
    except ValueError:
        return None
    return local if not is_day(text) and date.min.year < local.year < date.max.year else None


def is_day(text: str) -> bool:
    """Whether a day was typed, without a time of day."""
    return len(text) <= len(date.min.isoformat())


def find_moments(local: datetime, zone: ZoneInfo) -> list[datetime]:
    """The instants at which the clocks of a zone show a time: two where they are put back, none if they skip it."""
    readings = [local.replace(tzinfo=zone, fold=fold) for fold in (0, 1)]
    shown = [one for one in readings if _is_shown(one)]
    return shown[:1] if len({one.utcoffset() for one in shown}) == 1 else shown


def offsets_of(text: str, zone: str) -> tuple[tuple[str, str], ...]:
    """The offsets to choose from beside a typed time; none unless the clocks show it twice."""
    found = read_time(text, "", ZoneInfo(zone)) if text else None
    return found.choices if isinstance(found, Doubt) else ()


def write_local(moment: datetime, zone: ZoneInfo) -> tuple[str, str]:
    """A time as it is typed, and its offset where that has to be chosen."""
    local = moment.astimezone(zone)
    text = local.replace(tzinfo=None).isoformat(timespec="minutes" if local.second == 0 else "seconds")
    return text, _offset(local) if len(find_moments(local.replace(tzinfo=None), zone)) > 1 else ""


def _is_shown(moment: datetime) -> bool:
    """Whether an instant is read off its own clock as it is written."""
    back = moment.astimezone(ZoneInfo("UTC")).astimezone(moment.tzinfo)
    return back.replace(tzinfo=None, fold=0) == moment.replace(tzinfo=None, fold=0)


def _doubt(local: datetime, moments: list[datetime], zone: ZoneInfo) -> Doubt:
    if moments:
        words = ("before the clocks were put back", "after the clocks were put back")
        return Doubt(
            SHOWN_TWICE,
            tuple(
                (_offset(one), f"{one:%H:%M} {_offset(one)}, {word}") for one, word in zip(moments, words, strict=True)
            ),
        )
    # Read with either offset, a time that never was is the one as long before the gap, or after it.
    readings = (local.replace(tzinfo=zone, fold=fold).astimezone(ZoneInfo("UTC")).astimezone(zone) for fold in (1, 0))
    return Doubt(NEVER_SHOWN.format(*(one.strftime("%Y-%m-%d %H:%M") for one in readings)))


def _offset(moment: datetime) -> str:
    return write_offset(moment.utcoffset() or timedelta(0))
