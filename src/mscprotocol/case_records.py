"""From what a row of a table says is given to a patient record: in words a clinician can read, exact to the second.

A measurement is written `95000 /uL @ 47 h`, with modifiers after the time: `upper 0.5` (upper limit of normal, in the
same unit), `assay DDU`, `flag antigen`, `since 13 h` (when its period began), `but status_excluded` (why it cannot be
used). A time is an age (`2 d 3 h`), a date or month (`2020-04-05`, known in part), `in 10 min`, or `undated`; without
one a datum is one hour old.

A condition is written `active @ 5 d`, `resolved @ 40 d until 30 d`, `refuted @ 1 h`, `provisional @ 1 h` or
`unclear @ 5 d` (whether it still holds is not said); `charted @ 5 d` is an act that was done and only by its words
may be it. A named person's answer is `yes @ 1 h`, `no @ 1 h`, `unsure`.
A datum that is a time is written like one: `2 h` ago, `in 90 min`, `2020-04-30`.
`unmapped` is a code that looks like the datum and is not in the dictionary.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TypeVar

from mscprotocol.codes import CodeSystem, Coding
from mscprotocol.data_dictionary import Measurement as Datum
from mscprotocol.interval import Interval, between, exactly
from mscprotocol.knowledge import KnowledgeBase
from mscprotocol.reasons import Reason
from mscprotocol.record import (
    Attestation,
    Deviation,
    Entry,
    Infusion,
    Measurement,
    Patient,
    PatientRecord,
    Presence,
    Unmapped,
)
from mscprotocol.timespan import TimeSpan, instant, whole_days
from mscprotocol.truth import Truth
from mscprotocol.units import convert, find_unit, is_plausible, on_time_axis

E = TypeVar("E", bound=Entry)
AT = datetime(2020, 4, 6, 10, tzinfo=UTC)
Given = Mapping[str, object]

_AGE = re.compile(r"(\d+(?:\.\d+)?) (min|h|d)")
_PER_UNIT = {"min": "minutes", "h": "hours", "d": "days"}
_NUMBER = re.compile(
    r"(?P<sign><=|>=|<|>)?(?P<low>-?\d+(?:\.\d+)?)(?:\.\.(?P<high>-?\d+(?:\.\d+)?))?(?: (?P<unit>.+))?"
)
_ANSWERS = {"yes": Truth.MET, "no": Truth.NOT_MET, "unsure": Truth.UNKNOWN}
_MET, _NOT, _OPEN = Truth.MET, Truth.NOT_MET, Truth.UNKNOWN
_STATES = {  # present, active
    "active": (_MET, _MET),
    "resolved": (_MET, _NOT),
    "unclear": (_MET, _OPEN),
    "refuted": (_NOT, _NOT),
    "provisional": (_OPEN, _MET),
    "charted": (_OPEN, _OPEN),
}
_MODIFIERS = ("upper", "assay", "but", "flag", "until", "recorded", "by", "since", "despite")


def build_record(knowledge: KnowledgeBase, given: Given, at: datetime = AT) -> PatientRecord:
    """The record of everything that a row says is given."""
    entries: list[Entry] = []
    unmapped: list[Unmapped] = []
    for name, said in given.items():
        for number, text in enumerate(_texts(said)):
            reference = f"{name}/{number}"
            if text == "unmapped":
                unmapped.append(Unmapped(reference, Coding(CodeSystem.LOCAL, "local-1", name), (name,)))
            elif name not in ("born", "sex"):
                entries.append(_read_entry(knowledge, name, reference, text, at))
    return PatientRecord(
        _read_patient(given),
        measurements=_by_name(one for one in entries if isinstance(one, Measurement)),
        presences=_by_name(one for one in entries if isinstance(one, Presence)),
        attestations=_by_name(one for one in entries if isinstance(one, Attestation)),
        infusions=tuple(one for one in entries if isinstance(one, Infusion)),
        unmapped=tuple(unmapped),
    )


def _read_patient(given: Given) -> Patient:
    """The person of a row; `sex: contradicted` stands for sources that disagree."""
    sex = _text_or_none(given.get("sex"))
    is_contradicted = sex == "contradicted"
    born = _read_birth(given.get("born"))
    return Patient("p1", born=born, sex=None if is_contradicted else sex, sex_contradicted=is_contradicted)


def _texts(said: object) -> list[str]:
    return [str(one) for one in said] if isinstance(said, list) else [str(said)]


def _text_or_none(said: object) -> str | None:
    return None if said is None else str(said)


def _by_name(entries: Iterator[E]) -> dict[str, tuple[E, ...]]:
    found: dict[str, tuple[E, ...]] = {}
    for entry in entries:
        found[entry.name] = (*found.get(entry.name, ()), entry)
    return found


def _read_birth(said: object) -> tuple[date, date] | None:
    return None if said is None else read_dates(str(said))


def _read_entry(knowledge: KnowledgeBase, name: str, reference: str, text: str, at: datetime) -> Entry:
    said, time, more = _split(text, at)
    if name == "infusions":
        against = Deviation("hold", (), more["despite"]) if "despite" in more else None
        return Infusion(name=name, reference=reference, time=time, as_received=text, status=said, deviation=against)
    if name in knowledge.measurements:
        return _read_measurement(knowledge, name, reference, said, time, more, at)
    if said in _ANSWERS:
        return Attestation(
            name=name, reference=reference, time=time, as_received=said,
            attested_by=more.get("by", "Dr. Example"), answer=_ANSWERS[said],
        )  # fmt: skip
    if name not in knowledge.conditions:
        raise ValueError(f"no datum or condition is named {name!r}")
    return _read_presence(name, reference, said, time, more, at)


def _split(text: str, at: datetime) -> tuple[str, TimeSpan | None, dict[str, str]]:
    """What is said, when, and the modifiers after the time."""
    said, _, rest = text.partition(" @ ")
    words = re.split(rf" ({'|'.join(_MODIFIERS)}) ", f" {rest}" if rest.startswith(_MODIFIERS) else rest)
    time = read_time(words[0].strip() or "1 h", at)
    return said.strip(), time, dict(zip(words[1::2], words[2::2], strict=True))


def read_time(text: str, at: datetime) -> TimeSpan | None:
    """The span of a time as a table writes it."""
    if text == "undated":
        return None
    if re.fullmatch(r"\d{4}(-\d\d){0,2}", text):
        return whole_days(*read_dates(text))
    sign = 1 if text.startswith("in ") else -1
    parts = _AGE.findall(text)
    if " ".join(f"{number} {unit}" for number, unit in parts) != text.removeprefix("in "):
        raise ValueError(f"not a time: {text!r}")
    return instant(at + sign * sum((timedelta(**{_PER_UNIT[unit]: float(n)}) for n, unit in parts), timedelta()))


def read_dates(text: str) -> tuple[date, date]:
    """The first and last date that a date, month or year may stand for."""
    parts = [int(part) for part in text.split("-")]
    first = date(parts[0], parts[1] if len(parts) > 1 else 1, parts[2] if len(parts) > 2 else 1)
    if len(parts) == 3:
        return first, first
    after = date(parts[0] + 1, 1, 1) if len(parts) == 1 else date(parts[0] + parts[1] // 12, parts[1] % 12 + 1, 1)
    return first, after - timedelta(days=1)


def _read_measurement(
    knowledge: KnowledgeBase,
    name: str,
    reference: str,
    said: str,
    time: TimeSpan | None,
    more: dict[str, str],
    at: datetime,
) -> Measurement:
    datum = knowledge.measurements[name]
    problem = Reason(more["but"]) if "but" in more else None
    value, answer, unit, upper = None, None, "", None
    if datum.kind == "ordinal":
        levels = [datum.levels.index(level) for level in said.split("..")]
        value = between(levels[0], levels[-1])
    elif datum.kind == "time":
        span = read_time(said, at)
        value, problem = (None, problem or Reason.MISSING) if span is None else (on_time_axis(span), problem)
    elif datum.kind == "coded":
        answer = said if said in datum.answers else None
        problem = problem or (Reason.NEEDS_REVIEW if answer is None else None)
    else:
        value, unit, trouble = _read_quantity(knowledge, datum, said)
        problem = problem or trouble
        if "upper" in more and unit:
            upper = convert(datum, exactly(Decimal(more["upper"])), unit)
    return Measurement(
        name=name, reference=reference, time=time, as_received=said, problem=problem,
        value=None if problem else value, answer=None if problem else answer,
        unit=datum.unit, native_unit=unit, upper_limit=upper, assay=more.get("assay"),
        flags=frozenset({more["flag"]} if "flag" in more else ()),
        began=read_time(more["since"], at) if "since" in more else None,
    )  # fmt: skip


def _read_quantity(knowledge: KnowledgeBase, datum: Datum, said: str) -> tuple[Interval | None, str, Reason | None]:
    """The value in canonical unit, the unit it was read in, and the problem with it."""
    match = _NUMBER.fullmatch(said)
    if match is None:
        raise ValueError(f"not a quantity: {said!r}")
    low, sent = Decimal(match["low"]), match["unit"]
    unit = find_unit(datum, knowledge.unit_aliases.get(sent, sent) if sent else None, low)
    if isinstance(unit, Reason):
        return None, "", unit
    value = convert(datum, _interval(match["sign"], low, Decimal(match["high"] or match["low"])), unit)
    return (value, unit, None) if is_plausible(datum, value) else (None, unit, Reason.IMPLAUSIBLE)


def _interval(sign: str | None, low: Decimal, high: Decimal) -> Interval:
    match sign:
        case "<" | "<=":
            return Interval(None, high, high_open=sign == "<")
        case ">" | ">=":
            return Interval(low, None, low_open=sign == ">")
        case _:
            return between(low, high)


def _read_presence(
    name: str, reference: str, said: str, time: TimeSpan | None, more: dict[str, str], at: datetime
) -> Presence:
    present, active = _STATES[said]
    ended = read_time(more["until"], at) if "until" in more else None
    recorded = read_time(more["recorded"], at) if "recorded" in more else None
    is_charted = said == "charted"
    if present is not Truth.MET and not is_charted:
        time, recorded = None, recorded or time
    return Presence(
        name=name, reference=reference, time=time, as_received=said,
        present=present, active=active, ended=ended, recorded=recorded, charted=is_charted,
        problem=Reason.QUALIFIER_MISSING if is_charted else None,
    )  # fmt: skip
