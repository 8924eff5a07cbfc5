"""The parts that a printed checklist is made of: cells, rows, facts, questions, and how values are worded."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Literal

from mscprotocol.answer import (
    CriterionResult,
)

BANNER = "EVD-01"
MARKS = {
    "paper": "stands in the paper that the protocol comes from",
    "read": "stands in another named source, which was read",
    "recalled": "not verified against any source: a clinician must confirm it",
    "site": "choice of the site or of this software: no evidence behind the number",
}
REASONS = {
    "missing": "not in the record",
    "stale": "too old for this stage",
    "implausible": "value is implausible",
    "unit_unknown": "no usable unit",
    "unit_ambiguous": "unit can be read in two ways",
    "specimen_mismatch": "wrong specimen",
    "status_excluded": "result is not final",
    "code_unmapped": "code is not in the dictionary",
    "confounded": "distorted by a treatment",
    "conflict": "sources contradict each other",
    "needs_review": "a clinician must look at it",
    "conflicting_signals": "signals point in different directions",
    "qualifier_missing": "a needed detail is missing",
    "unpaired": "no second value close enough in time",
    "partial_date": "date is incomplete",
    "comparator": "only a bound is known (< or >)",
    "insufficient_points": "too few values over time",
    "after_evaluation": "dated after the evaluation",
}
VERDICTS = {
    "eligible": ("Eligible, for clinician review", "No criterion of this stage speaks against it; none is open."),
    "ineligible": ("Ineligible", "At least one criterion definitely speaks against it."),
    "undetermined": ("Undetermined", "Nothing definite speaks against it; the open items below stand in the way."),
}
OUTLOOKS = {
    "possible": "possible: every open item can be answered at the bedside",
    "needs_data": "needs data: at least one open item must be measured or ordered",
    "no_indication": "no indication: the record holds no evidence of the disease",
    None: "settled at this stage",
}
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_PRINTED = re.compile(
    rf"(?:{'|'.join(_DAYS)}) (\d{{1,2}}) ({'|'.join(_MONTHS)}) (\d{{4}}) (\d\d:\d\d) ([+-]\d\d:\d\d)", re.ASCII
)
_ABBREVIATIONS = {"ards": "ARDS", "sofa": "SOFA", "inr": "INR"}
LONGEST_NAME = 90
MOST_UNUSED = 3
MOST_KNOWN = 3
MOST_LINES = 8

Entry = Literal["", "boxes", "value", "words", "time", "sign"]
Tone = Literal["", "open", "against"]


@dataclass(frozen=True, slots=True)
class Line:
    """A line of text with the provenance mark of the number or rule that it states."""

    text: str
    mark: str = ""


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell: text, smaller lines under it, and what a person is to write in it."""

    text: str = ""
    notes: tuple[Line, ...] = ()
    mark: str = ""
    entry: Entry = ""


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a table; `tone` repeats for the eye what a cell says in words."""

    cells: tuple[Cell, ...]
    tone: Tone = ""


@dataclass(frozen=True, slots=True)
class Table:
    """A table whose head repeats on each page; `empty` is printed when it has no rows."""

    head: tuple[str, ...]
    rows: tuple[Row, ...]
    empty: str = ""


@dataclass(frozen=True, slots=True)
class Fact:
    """A labelled value."""

    label: str
    value: str
    notes: tuple[Line, ...] = ()


@dataclass(frozen=True, slots=True)
class Question:
    """One line that a person answers; `known` is what the record says of it, or why it says nothing."""

    text: str
    mark: str
    criterion: str
    entry: str
    known: str


@dataclass(frozen=True, slots=True)
class QuestionGroup:
    """The questions before, during or after an infusion."""

    title: str
    rule: str
    questions: tuple[Question, ...]


@dataclass(frozen=True, slots=True)
class InfusionSheet:
    """The questions of one infusion."""

    title: str
    lines: tuple[Line, ...]
    groups: tuple[QuestionGroup, ...]


def print_instant(text: str | None, *, seconds: bool = False) -> str:
    """An ISO instant (or span `a / b`) with weekday and offset; text that is no instant stays as it is."""
    if text is None:
        return "unknown (no time)"
    return " to ".join(_print_one_instant(part, "%H:%M:%S" if seconds else "%H:%M") for part in text.split(" / "))


def split_at_instants(text: str) -> Iterator[str | datetime]:
    """A text in pieces: the instants that stand in it as `print_instant` prints them, and what is between them."""
    rest = 0
    for found in _PRINTED.finditer(text):
        day, month, year, clock, offset = found.groups()
        yield text[rest : found.start()]
        yield datetime.fromisoformat(f"{year}-{_MONTHS.index(month) + 1:02}-{int(day):02}T{clock}{offset}")
        rest = found.end()
    yield text[rest:]


def _print_one_instant(text: str, clock: str) -> str:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return text
    offset = moment.isoformat()[-6:] if moment.utcoffset() is not None else "unknown zone"
    return f"{print_date(moment)} {moment:{clock}} {offset}"


def print_date(moment: date) -> str:
    """A date that no reader can take for another: the weekday, and the month as a word, never by locale."""
    return f"{_DAYS[moment.weekday()]} {moment.day} {_MONTHS[moment.month - 1]} {moment.year}"


def in_zone_of(at: str, text: str) -> str:
    """A time in the zone of another one."""
    return datetime.fromisoformat(text).astimezone(datetime.fromisoformat(at).tzinfo).isoformat()


def utc(text: str) -> Line:
    """A time in UTC."""
    moment = datetime.fromisoformat(text).astimezone(UTC)
    return Line(f"{print_date(moment)} {moment:%H:%M} UTC")


def in_words(token: str) -> str:
    """A token as a person would say it."""
    return _ABBREVIATIONS.get(token, token.replace("_", " "))


def reasons(criterion: CriterionResult) -> str:
    """The reasons of a criterion in words."""
    tokens = [one for one in (criterion.reason, *criterion.other_reasons) if one is not None]
    return "; ".join(REASONS.get(token, in_words(token)) for token in tokens) or "no reason stated"


def graded(found: str, at_least: str | None) -> str:
    """A class, or the gravest one proven."""
    if found != "unknown":
        return in_words(found)
    return f"unknown (at least {in_words(at_least)})" if at_least else "unknown (nothing is proven)"


def cells(number: str) -> str:
    """A number of cells, in groups of three."""
    return f"{int(number):,}".replace(",", "\N{NO-BREAK SPACE}") if number.isdecimal() else number


def or_unknown(value: str | None) -> str:
    """A value, or the word unknown."""
    return value or "unknown (not in the record)"
