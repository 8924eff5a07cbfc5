"""Numbers, dates and times as they are written in one place, in the writing that everything else reads.

What may mean two things is never guessed: it stays unread, with a remark that says which option settles it.
"""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo

from fhir_adapters.times import offset_in

DecimalMark = Literal["point", "comma"]
DateOrder = Literal["dmy", "mdy", "ymd"]

_NUMBER = r"-?[0-9][0-9.,]*"
_QUANTITY = re.compile(rf"(?:[<>]=?|[≤≥])?\s*({_NUMBER})(?:\s*[-–]\s*({_NUMBER}))?(?:\s.*|[^0-9.,\s].*)?")
_WITH = {
    "point": re.compile(r"-?(?:[0-9]+|[1-9][0-9]{0,2}(?:,[0-9]{3})+)(?:\.[0-9]+)?"),
    "comma": re.compile(r"-?(?:[0-9]+|[1-9][0-9]{0,2}(?:\.[0-9]{3})+)(?:,[0-9]+)?"),
}
_LIKE_THOUSANDS = re.compile(r"-?[1-9][0-9]{0,2}\.[0-9]{3}")
_PLAIN = re.compile(r"-?[0-9]+(?:\.[0-9]+)?")
_TYPED = re.compile(r"([<>]?=?\s*-?)([0-9]+),([0-9]+)")
_ISO = re.compile(r"[0-9]{4}(?:-[0-9]{2}(?:-[0-9]{2}(?:[T ].*)?)?)?")
_DAY = re.compile(r"([0-9]{1,4})([./-])([0-9]{1,2})\2([0-9]{1,4})(?:,?[T ]\s*(\S.*))?")
# Without anything between its parts, as messages write it: 20200406, 202004060805+0800.
_COMPACT = re.compile(
    r"([0-9]{4})([0-9]{2})([0-9]{2})(?:([0-9]{2})([0-9]{2})([0-9]{2}(?:\.[0-9]+)?)?(?:(Z)|([+-][0-9]{2})([0-9]{2}))?)?"
)
_CLOCK = re.compile(
    r"([0-9]{1,2})(:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]+)?)?)\s*(?:([AP])\.?M\.?)?\s*(Z|[+-][0-9]{2}:[0-9]{2})?",
    re.IGNORECASE,
)

COMMA = (
    "a number with a comma was not read: `decimal: comma` or `decimal: point` in the map of columns says what it means"
)
POINT = (
    "a number like 1.234 in a table cut by semicolons was not read: `decimal: comma` or `decimal: point` in the map of"
    " columns says what it means"
)
OTHER_MARK = "a number is not written with the decimal mark that the map of columns states, and was not read"
ORDER = "a date was not read: `dates: dmy`, `mdy` or `ymd` in the map of columns says in which order it is written"
OTHER_ORDER = (
    "a date is not written in the order that the map of columns states, with four digits of the year: not read"
)
TYPED_COMMA = (
    "A comma before three digits may mark thousands or decimals: type all digits, like 1500, or a point, like 1.5."
)
TYPED_MARKS = "Type a number with digits and at most one point, like 1500 or 1.5."
CLOCK_CHANGE = "a local time in an hour that a change of the clocks repeats or leaves out: its zone is left open"


class Written(NamedTuple):
    """A text as everything else reads it, and what is to be said of it."""

    text: str
    remark: str = ""


def write_number(text: str, mark: DecimalMark | None, *, is_cut_by_semicolons: bool = False) -> Written:
    """The numbers of a quantity or a range with a decimal point; other text stays as it is.

    Where the mark is not stated, a comma is not read; nor is 1.234 where semicolons stand between the cells, as they do
    where the comma is the decimal mark.
    """
    match = _QUANTITY.fullmatch(text)
    if match is None:
        return Written(text)
    numbers = [one for one in match.groups() if one]
    if mark is not None:
        return _with_mark(text, match, mark)
    if any("," in one for one in numbers):
        return Written(text, COMMA)
    if is_cut_by_semicolons and any(_LIKE_THOUSANDS.fullmatch(one) for one in numbers):
        return Written(_unread(text), POINT)
    return Written(text)


def write_typed(text: str) -> Written:
    """A number as a person types it, with a decimal point; one comma that can only be the decimal mark is read as it.

    A remark says what to type where the comma may mean two things; then, and where it is no number, the text stays.
    """
    if "," not in text:
        return Written(text)
    match = _TYPED.fullmatch(text.strip())
    if match is None:
        return Written(text, TYPED_MARKS)
    if _LIKE_THOUSANDS.fullmatch(f"{match[2]}.{match[3]}"):
        return Written(text, TYPED_COMMA)
    return Written(f"{match[1]}{match[2]}.{match[3]}")


def _with_mark(text: str, match: re.Match[str], mark: DecimalMark) -> Written:
    for group in (2, 1):
        number = match[group]
        if number is None:
            continue
        if _WITH[mark].fullmatch(number):
            plain = number.replace(",", "") if mark == "point" else number.replace(".", "").replace(",", ".")
            text = text[: match.start(group)] + plain + text[match.end(group) :]
        else:
            return Written(_unread(text) if _PLAIN.fullmatch(number) else text, OTHER_MARK)
    return Written(text)


def _unread(text: str) -> str:
    """The text so that nothing takes it for a number."""
    return f"not read: {text}"


def write_time(text: str, order: DateOrder | None, zone: ZoneInfo | None) -> Written:
    """A date or time in FHIR's writing, with its offset where it was written in a zone; other text stays as it is."""
    if not _ISO.fullmatch(text):
        match = _DAY.fullmatch(_spread(text))
        if match is None or order is None:
            return Written(text, ORDER if match is not None else "")
        found = _in_order(match, order)
        if found is None:
            return Written(text, OTHER_ORDER)
        text = found
    return _zoned(f"{text[:10]}T{text[11:]}" if text[10:11] == " " else text, zone)


def _spread(text: str) -> str:
    """A time whose parts stand close together, apart; other text stays as it is."""
    match = _COMPACT.fullmatch(text)
    if match is None:
        return text
    year, month, day, hour, minute, second, utc, hours, minutes = match.groups()
    clock = f" {hour}:{minute}" if hour else ""
    clock += f":{second}" if second else ""
    return f"{year}-{month}-{day}{clock}{utc or ''}{f'{hours}:{minutes}' if hours else ''}"


def _in_order(match: re.Match[str], order: DateOrder) -> str | None:
    parts = dict(zip(order, (match[1], match[3], match[4]), strict=True))
    clock = "" if match[5] is None else _clock(match[5])
    if len(parts["y"]) != 4 or clock is None:
        return None
    try:
        day = date(int(parts["y"]), int(parts["m"]), int(parts["d"]))
    except ValueError:
        return None
    return f"{day.isoformat()}{clock}"


def _clock(text: str) -> str | None:
    """The time of day with its T and its offset if it states one; None for what is none."""
    match = _CLOCK.fullmatch(text)
    if match is None:
        return None
    hour = int(match[1])
    if match[3]:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if match[3].upper() == "P" else 0)
    return f"T{hour:02}{match[2]}{(match[4] or '').upper()}"


def _zoned(text: str, zone: ZoneInfo | None) -> Written:
    if zone is None or "T" not in text:
        return Written(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return Written(text)
    if moment.tzinfo is not None:
        return Written(text)
    offset = offset_in(zone, moment)
    return Written(moment.isoformat() + offset, "" if offset else CLOCK_CHANGE)
