"""One screening as it stands in the browser: what was asked, typed and uploaded, and what follows from it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal, InvalidOperation
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from fhir_adapters.record_builder import build_record
from fhir_adapters.setting_aside import set_aside
from fhir_adapters.sources import read_parts
from mscprotocol.answer import Assessment
from mscprotocol.assessment import assess
from mscprotocol.case import Request
from mscprotocol.checklist_parts import REASONS, print_instant
from mscprotocol.dosing import choose_level
from mscprotocol.errors import DataError, RequestError
from mscprotocol.knowledge import KnowledgeBase
from mscprotocol.protocols import STAGES, Stage
from mscprotocol.reasons import Reason
from mscprotocol.record import Entry, Patient, PatientRecord
from mscprotocol.rulebook import Rulebook, compile_rulebook
from mscprotocol.web.pages.local_times import OFFSET, Doubt, read_time
from mscprotocol.web.pages.screening_fields import ScreeningForm, build_form
from mscprotocol.web.pages.screening_hints import Clock, find_clocks, find_hints
from mscprotocol.web.pages.screening_record import Typed, says_anything, write_record
from mscprotocol.web.pages.screening_slips import Slip, find_slips

DEFAULT_PROTOCOL = "seed-covid-4x"
_SHOWN = 4


@dataclass(frozen=True)
class Received:
    """An entry of the upload as it stands beside its field: what it says, when, and where it comes from."""

    said: str
    when: str
    reference: str
    problem: str = ""


@dataclass(frozen=True)
class Aside:
    """An uploaded entry that a person set aside, and what was typed instead; `is_done` unless it cannot be marked."""

    name: str
    text: str
    original: Received
    reason: str
    by: str
    is_done: bool


@dataclass
class Screening:
    """All of one screening. `answer` is none while nothing was said or nothing can be assessed; `error` says why.

    `at_fault` is the field that the error is about, if it is about one.
    """

    book: Rulebook
    form: ScreeningForm
    typed: Typed
    request: Request | None = None
    error: str = ""
    at_fault: str = ""
    patient: Patient | None = None
    received: dict[str, list[Received]] = field(default_factory=dict)
    hints: dict[str, list[str]] = field(default_factory=dict)
    clocks: dict[str, list[Clock]] = field(default_factory=dict)
    asides: list[Aside] = field(default_factory=list)
    upload: bytes | None = None
    parts: list[bytes] = field(default_factory=list)
    answer: Assessment | None = None


def judge(
    knowledge: KnowledgeBase, fields: Mapping[str, str], upload: bytes | None, now: datetime, zone: str, by: str
) -> Screening:
    """Everything that follows from a form at an instant; the same form and instant give the same.

    Raises RequestError for a protocol that is not known; all else that is wrong becomes the screening's `error`.
    """
    book = _book(knowledge, fields)
    local = _zone(fields.get("zone", ""), zone)
    # A name that was taken out is none: answers without a person do not count.
    typed = Typed(fields, local, now.astimezone(local), fields["by"].strip() if "by" in fields else by)
    screening = Screening(book, build_form(book), typed, upload=upload)
    try:
        screening.request = _request(typed, book)
        screening.typed = Typed(fields, local, screening.request.at, typed.by)
        record = None if upload is None else _read([upload], knowledge, local)
        _show_received(screening, record, knowledge)
        _set_aside(screening, knowledge, upload)
        _assess(screening, knowledge)
    except RequestError as error:
        screening.error, screening.at_fault = str(error), error.field
    except DataError as error:
        screening.error = str(error)
    known = {} if screening.error or upload is None else _numbers(_read([upload], knowledge, local))
    screening.hints = find_hints(screening.typed, screening.form, knowledge, known)
    screening.clocks = find_clocks(screening.typed, screening.form)
    return screening


def find_unreadable(content: bytes, knowledge: KnowledgeBase, fields: Mapping[str, str], zone: str) -> str:
    """Why an export cannot be read; empty if it can."""
    try:
        _read([content], knowledge, _zone(fields.get("zone", ""), zone))
    except (DataError, RequestError) as error:
        return str(error)
    return ""


def _book(knowledge: KnowledgeBase, fields: Mapping[str, str]) -> Rulebook:
    name = fields.get("protocol") or DEFAULT_PROTOCOL
    if name not in knowledge.protocols:
        raise RequestError("unknown_protocol", "There is no protocol of that name that patients are assessed by.")
    return compile_rulebook(knowledge, name)


def _zone(text: str, site: str) -> ZoneInfo:
    try:
        return ZoneInfo(text.strip() or site)
    except (ValueError, OSError, ZoneInfoNotFoundError):
        return ZoneInfo(site)


def _request(typed: Typed, book: Rulebook) -> Request:
    zone = typed.text("zone")
    if zone and typed.zone.key != zone:
        raise RequestError("invalid_request", "There is no time zone of that name; write it like Europe/Berlin.")
    try:
        return Request(
            at=_moment(typed, "at") or typed.at,
            stage=_stage(typed.text("stage")),
            start=_moment(typed, "start"),
            zone=typed.zone.key,
            dose_level=read_level(typed.text("dose_level"), book),
        )
    except ValueError:
        raise RequestError("invalid_request", "The times asked for lie between the years 1900 and 2200.") from None


def _moment(typed: Typed, name: str) -> datetime | None:
    text = typed.text(name)
    if not text:
        return None
    found = read_time(text, typed.text(name, OFFSET), typed.zone)
    if isinstance(found, Doubt):
        raise RequestError("invalid_request", found.text, name)
    return found


def _stage(text: str) -> Stage:
    return next((stage for stage in STAGES if stage == text), "screening")


def read_level(text: str, book: Rulebook) -> Decimal | None:
    """The level that was chosen; one of another protocol is none, and waits on the page for that one."""
    try:
        level = Decimal(text) if text else None
    except InvalidOperation:
        return None
    return None if level is None or choose_level(book.protocol.dose, level)[0] == "refused" else level


def _read(parts: Sequence[bytes], knowledge: KnowledgeBase, zone: ZoneInfo) -> PatientRecord:
    return build_record(read_parts(parts, knowledge, zone), knowledge)


# -- what was uploaded ---------------------------------------------------------------------------------


def _show_received(screening: Screening, record: PatientRecord | None, knowledge: KnowledgeBase) -> None:
    """What the upload says of each field, the latest first; what is asked as a whole, by its parts too."""
    if record is None:
        return
    screening.patient = record.patient
    times = {one.name for one in (*screening.form.data, *screening.form.lot) if one.kind == "time"}
    for kind in (record.measurements, record.presences, record.attestations):
        beside: dict[str, list[Entry]] = {}
        for name, found in kind.items():
            beside.setdefault(_field_of(name, screening.form, knowledge), []).extend(found)
        for name, entries in beside.items():
            latest = sorted(entries, key=_when, reverse=True)
            shown = screening.received.setdefault(name, [])
            shown.extend(_received(entry, screening.typed, is_time=name in times) for entry in latest[:_SHOWN])


def _field_of(name: str, form: ScreeningForm, knowledge: KnowledgeBase) -> str:
    """The field that a finding stands beside: its own, else that of what it is a part of."""
    asked = [one.name for one in form.conditions]
    wholes = (one for one in asked if name in knowledge.conditions[one].parts)
    return name if name in asked else next(wholes, name)


def _when(entry: Entry) -> datetime:
    return datetime.min.replace(tzinfo=ZoneInfo("UTC")) if entry.time is None else entry.time.latest


def _received(entry: Entry, typed: Typed, *, is_time: bool) -> Received:
    when = "time unknown" if entry.time is None else print_instant(entry.time.latest.astimezone(typed.zone).isoformat())
    is_later = entry.time is not None and entry.time.is_after(typed.at)
    problem = Reason.AFTER_EVALUATION if is_later else entry.problem
    said = print_instant(entry.as_received) if is_time else entry.as_received
    return Received(said, when, entry.reference, "" if problem is None else REASONS[problem.value])


def _set_aside(screening: Screening, knowledge: KnowledgeBase, upload: bytes | None) -> None:
    """Mark the latest uploaded entry of each field for which a reason was chosen, and show all that goes with it."""
    if upload is None:
        return
    chosen = {
        shown[0].reference: knowledge.override_reasons[code].text
        for name, shown in screening.received.items()
        if shown and (code := screening.typed.text("aside", name)) in knowledge.override_reasons
    }
    by = screening.typed.by
    words = {one: f"set aside: {reason} ({by}, {_stamp(screening)})" for one, reason in chosen.items()}
    amended, done = set_aside(upload, words, screening.typed.zone) if words else (upload, frozenset[str]())
    texts = {one.name: one.text for one in screening.form.data} | {
        one.name: one.text for one in screening.form.conditions
    }
    screening.asides = [
        Aside(name, texts.get(name, name), one, chosen[one.reference], by, one.reference in done)
        for name, shown in screening.received.items()
        for one in shown
        if one.reference in chosen
    ]
    screening.parts.append(amended)


def _stamp(screening: Screening) -> str:
    return screening.typed.at.isoformat(timespec="minutes")


def _numbers(record: PatientRecord) -> dict[str, list[Decimal]]:
    """The exact numbers of the upload by datum, in canonical units."""
    return {
        name: [one.value.exact for one in entries if one.value is not None and one.value.exact is not None]
        for name, entries in record.measurements.items()
    }


# -- what follows --------------------------------------------------------------------------------------


def _assess(screening: Screening, knowledge: KnowledgeBase) -> None:
    refuse(slip for slip in find_slips(screening.typed, screening.form) if slip.is_grave)
    record = write_record(screening.typed, screening.form)
    if says_anything(record) or not screening.parts:
        screening.parts.append(record)
    if screening.parts == [record] and not says_anything(record):
        return
    assert screening.request is not None
    read = _read(screening.parts, knowledge, screening.typed.zone)
    screening.answer = assess(read, screening.book, screening.request)


def refuse(slips: Iterable[Slip]) -> None:
    """Raise RequestError for the first slip, if there is one."""
    for slip in slips:
        raise RequestError("invalid_request", f"{slip.about}: {slip.text[0].lower()}{slip.text[1:]}", slip.field)
