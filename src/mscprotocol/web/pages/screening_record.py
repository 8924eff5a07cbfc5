"""A filled-in screening form as our own record of a patient: what any other program would send of the same patient.

Nothing is guessed: a value stays as it was typed, a time that the clocks showed twice is only a day, and what was left
empty is not said at all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from fhir_adapters.local_writing import write_typed
from fhir_adapters.quantities import split_quantity
from mscprotocol.units import is_readable
from mscprotocol.web.pages.local_times import NO_TIME, OFFSET, Doubt, is_day, read_time
from mscprotocol.web.pages.screening_fields import ConditionField, DatumField, ScreeningForm

Fragment = dict[str, Any]
NOT_DONE, UNKNOWN = "not_done", "unknown"
MOST_ROWS = 40
DRAFT_ID = "screening"
LOT_UNDATED = "Say when this was true of the lot: a day and a time, as on its certificate."
NO_NUMBER = "This is no number: write it like 0.5, or <0.5 for a bound."


@dataclass(frozen=True)
class Typed:
    """What was typed into the form, by field; `zone` is where its times were read off a clock."""

    fields: Mapping[str, str]
    zone: ZoneInfo
    at: datetime
    by: str

    def text(self, *parts: object) -> str:
        """One field, without space at its ends; empty if nothing was typed."""
        return self.fields.get(".".join(map(str, parts)), "").strip()

    def rows(self, name: str) -> int:
        """How many lines a datum has in the form: one at least, one more where another value is asked for."""
        prefix = f"d.{name}."
        numbers = [int(key.split(".")[2]) for key in self.fields if key.startswith(prefix) and _is_row(key)]
        return min(1 + max(numbers, default=0) + (self.text("more") == name), MOST_ROWS)

    def time(self, *parts: object) -> str | None:
        """A time with its offset; one of a doubtful hour is the day alone, a day stays a day; None if empty."""
        text = self.text(*parts)
        if not text or is_day(text):
            return text or None
        found = read_time(text, self.text(*parts, OFFSET), self.zone)
        if isinstance(found, datetime):
            return found.isoformat()
        return text if found.text == NO_TIME else text[: len("2020-04-06")]  # what is none is refused with its reason

    def doubt(self, *parts: object) -> Doubt | None:
        """Why a time counts as its day only: the clocks show it twice, or never."""
        text = self.text(*parts)
        found = read_time(text, self.text(*parts, OFFSET), self.zone) if text and not is_day(text) else None
        return found if isinstance(found, Doubt) and found.text != NO_TIME else None


def _is_row(key: str) -> bool:
    parts = key.split(".")
    return len(parts) == 4 and parts[2].isdecimal() and len(parts[2]) <= 2


def write_record(typed: Typed, form: ScreeningForm, patient_id: str = DRAFT_ID) -> bytes:
    """The record that the form says."""
    born, sex = typed.text("born"), typed.text("sex")
    patient = {"id": patient_id} | ({"born": born} if born else {}) | ({"sex": sex} if sex else {})
    findings = [*form.conditions, *form.criteria]
    record: Fragment = {
        "patient": patient,
        "data": [datum for panel in form.panels for one in panel.data for datum in _data(typed, one, panel.id)],
        "conditions": [one for field in form.conditions for one in _conditions(typed, field)],
        "answers": [one for field in findings for one in _answers(typed, field)],
    }
    lot = write_lot(typed, form)
    return msgspec.json.encode(record | ({"product": lot} if lot else {}))


def says_anything(record: bytes) -> bool:
    """Whether anything but the id was filled in."""
    read = msgspec.json.decode(record)
    return any(read[name] for name in ("data", "conditions", "answers")) or len(read["patient"]) > 1


def _data(typed: Typed, field: DatumField, panel: str) -> Iterator[Fragment]:
    for row in range(typed.rows(field.name)):
        datum = _datum(typed, field, row, panel)
        if datum is not None:
            yield datum


def _datum(typed: Typed, field: DatumField, row: int, panel: str) -> Fragment | None:
    """One line of the form: a value, `not done`, or `unknown`; nothing if it was left empty."""
    said, value = typed.text("d", field.name, row, "said"), typed.text("d", field.name, row, "value")
    if not said and not value:
        return None
    at = typed.time("d", field.name, row, "at") or typed.time("at", panel)
    datum: Fragment = {"name": field.name} | ({"at": at} if at else {})
    if said == NOT_DONE:
        return datum | {"status": "cancelled"}
    if said == UNKNOWN:
        return datum
    return datum | _value(typed, field, row, value)


def _value(typed: Typed, field: DatumField, row: int, value: str) -> Fragment:
    if field.answers:
        return {"answer": value}
    if field.kind == "time":
        return {"value": typed.time("d", field.name, row, "value")}
    unit = typed.text("d", field.name, row, "unit")
    said: Fragment = {"value": _with_unit(value, unit)}
    upper, assay = typed.text("d", field.name, row, "upper"), typed.text("d", field.name, row, "assay")
    since = typed.time("d", field.name, row, "since")
    more = {"upper_limit": _with_unit(upper, unit) if upper else "", "assay": assay, "since": since}
    return said | {name: one for name, one in more.items() if one}


def read_number(text: str) -> Decimal | str:
    """A number as it was typed, perhaps with a sign of comparison; else what to type instead."""
    written = write_typed(text)
    parts = split_quantity(written.text)
    if parts is None or parts[2] or not is_readable(parts[1]):
        return written.remark or NO_NUMBER
    return parts[1]


def _with_unit(value: str, unit: str) -> str:
    """What a comma leaves open stays as it is written, for the reader to refuse."""
    return f"{write_typed(value).text} {unit}".strip()


def _conditions(typed: Typed, field: ConditionField) -> Iterator[Fragment]:
    """What is there, with when it began and ended; said without any date it is an answer instead.

    Dates without a yes are dates of something: it stands beside the no as its contradiction, else as a suspicion.
    """
    since, until = typed.text("c", field.name, "since"), typed.text("c", field.name, "until")
    said = typed.text("c", field.name, "said")
    if since or until:
        recorded = typed.time("c", field.name, "recorded") or typed.at.isoformat()
        held = "resolved" if until else "active"
        found: Fragment = {"name": field.name, "status": held if said in ("yes", "no") else "suspected"}
        dates = {one: typed.time("c", field.name, one) for one in ("since", "until")} | {"recorded": recorded}
        yield found | {name: one for name, one in dates.items() if one}


def _answers(typed: Typed, field: ConditionField) -> Iterator[Fragment]:
    said = typed.text("c", field.name, "said")
    if said not in ("yes", "no", UNKNOWN) or (said == "yes" and any(_conditions(typed, field))):
        return
    at = typed.time("c", field.name, "at") or typed.at.isoformat()
    yield {"name": field.name, "answer": said, "at": at} | ({"by": typed.by} if typed.by else {})


def is_lot_undated(typed: Typed, form: ScreeningForm) -> bool:
    """Whether something is said of a lot, and not when it was true."""
    said = (one.name for one in form.lot if typed.text("d", one.name, 0, "value"))
    return not typed.text("at", "lot") and any(not typed.text("d", name, 0, "at") for name in said)


def write_lot(typed: Typed, form: ScreeningForm) -> Fragment:
    """The product lot in the words of a lot file; a lot without a number is none, and without a time it has none."""
    number = typed.text("lot")
    if not number:
        return {}
    at = typed.time("at", "lot")
    said: Fragment = {"lot": number} | ({"at": at} if at else {})
    for field in form.lot:
        value = typed.text("d", field.name, 0, "value")
        if value:
            own = typed.time("d", field.name, 0, "at")
            text = value if field.answers else _value(typed, field, 0, value)["value"]
            said[field.name] = {"value": text, "at": own} if own else text
    return said
