"""One patient: from the pieces of whatever source, through the one record builder, to the answers of `assess_all`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from msgspec import Raw

from fhir_adapters.bulk_export import ENCOUNTER, NOT_OBSERVED
from fhir_adapters.bundle import Item, PatientBundle, assemble
from fhir_adapters.encounters import find_start
from fhir_adapters.hl7v2_patients import read_patient, sent_time
from fhir_adapters.plain_forms import PlainRecord
from fhir_adapters.plain_record import write_units
from fhir_adapters.record_builder import build_record
from fhir_adapters.resources import Clinical, Observation
from fhir_adapters.times import is_after, parse_time, time_of
from fhir_adapters.unpacking import Unit, make_unit
from mscprotocol.answer import Assessment, to_json
from mscprotocol.assessment import assess_all
from mscprotocol.case import Request
from mscprotocol.errors import DataError
from mscprotocol.record import Entry, Identifier, PatientRecord, QualityNote
from mscprotocol.rulebook import Rulebook
from mscprotocol.screening.doubts import Fates, with_doubts, without_fallen
from mscprotocol.screening.moments import Moment
from mscprotocol.screening.pieces import (
    ENTRY,
    FHIR,
    LIST,
    MESSAGE,
    NOTE,
    NOWHERE,
    PAGE,
    RESOURCE,
    ROW,
    SEEN,
    VERSION,
    Origin,
    Piece,
    Problem,
    unwrap,
)
from mscprotocol.screening.results import Change, Screened, row_of
from mscprotocol.screening.servers import check_servers

Draw = Callable[[str, Assessment], None]
_LATE = (
    "dated after its export or message, after it was last updated, or after the screening began: it is no last"
    " observation, unless all of the patient are so"
)


@dataclass(frozen=True)
class Screen:
    """How patients are screened: by which rulebooks, when, and by which other rules besides, by name.

    `begun` is when the run began; `zone` is where times without one were written; `rules` is the hash of all that an
    answer depends on but the data and a fixed time, `base` stands for the part of it that no option chooses; `origins`
    tells by block what is known of the export that it is of.
    """

    books: Sequence[Rulebook]
    moment: Moment
    rules: str
    base: str = ""
    zone: ZoneInfo | None = None
    scenarios: Sequence[tuple[str, Sequence[Rulebook]]] = ()
    draw: Draw | None = None
    origins: Mapping[int, Origin] = field(default_factory=dict)
    begun: str = ""


def fingerprint(pieces: Iterable[Piece], screen: Screen) -> str:
    """SHA-256 of what came of a patient and of its exports, whatever its order and packaging."""
    pieces = list(pieces)
    said = {f"{one.kind} {one.text}" for one in pieces} | set(_said_of_exports(pieces, screen))
    digests = sorted(hashlib.sha256(one.encode()).hexdigest() for one in said)
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()


def _said_of_exports(pieces: Iterable[Piece], screen: Screen) -> Iterable[str]:
    """What an answer takes from the manifests of exports: their times only where they bound its own."""
    for number in {one.block for one in pieces} & screen.origins.keys():
        origin = screen.origins[number]
        yield f"origin {origin.server} {origin.is_incomplete}"
        if screen.moment.kind == "last-observation":
            yield f"exported {origin.exported}"


def screen_patient(owner: str, pieces: Sequence[Piece], screen: Screen) -> Screened:
    """Assess one patient; a patient who cannot be assessed is a problem that says why."""
    source, _, patient = owner.partition("/")
    data = fingerprint(pieces, screen)
    at: datetime | None = None
    try:
        pieces, fates = without_fallen(pieces, screen.moment)
        bundle = _with_late(gather(owner, pieces, screen, fates), pieces, screen)
        record = build_record(bundle, screen.books[0].knowledge)
        at = find_time(screen.moment, bundle, record, pieces)
        request = _request(at)
        answers = assess_all(record, screen.books, request, brief=True)
        changes = [change for one in screen.scenarios for change in _compare(one, answers, bundle, request)]
        _draw(owner, screen, answers, record, request)
    except DataError as error:
        problem = Problem("patient", error.code, str(error), patient=patient)
        known = None if at is None else at.isoformat()
        return Screened(owner, data, screen.rules, known, None, problem=problem, base=screen.base)
    except Exception as error:  # noqa: BLE001 - a defect met with one patient must not lose the others
        problem = Problem("patient", "defect", f"a defect of this program: {type(error).__name__}", patient=patient)
        return Screened(owner, data, screen.rules, None, None, problem=problem, base=screen.base)
    return Screened(
        owner, data, screen.rules, at.isoformat(), _holds_until(record, answers, at),
        answers=[Raw(to_json(one)) for one in answers],
        rows=[row_of(one, source) for one in answers],
        changes=changes, base=screen.base, ahead=_ahead(bundle, screen),
    )  # fmt: skip


# -- data ------------------------------------------------------------------------------------------


def gather(owner: str, pieces: Sequence[Piece], screen: Screen, fates: Fates = frozenset()) -> PatientBundle:
    """All that came of a patient as one bundle; `fates` tells what does not surely stand. Raises DataError."""
    source = owner.partition("/")[0]
    if source == FHIR:
        _follow_pages(pieces)
        check_servers(pieces, screen.origins)
        notes = [QualityNote(*json.loads(one.text)) for one in pieces if one.kind == NOTE]
        notes += _of_incomplete(pieces, screen.origins)
        units = [unit for one in pieces if (unit := _unit(one)) is not None and unit.type != ENCOUNTER]
        return with_doubts(assemble(units, notes), units, fates)
    if source == LIST:
        return assemble(_rows(pieces, screen), _remarks(pieces))
    messages = dict.fromkeys(json.loads(one.text).encode("latin-1") for one in pieces if one.kind == MESSAGE)
    system, _, value = owner.partition("/")[2].rpartition("|")
    return read_patient(messages, screen.zone, Identifier(system, value))


def _of_incomplete(pieces: Sequence[Piece], origins: Mapping[int, Origin]) -> list[QualityNote]:
    """That an export of which there are data did not come whole."""
    if any(origins.get(one.block, NOWHERE).is_incomplete for one in pieces):
        text = "the export did not come whole, by its own manifest: data may be missing, also such that would exclude"
        return [QualityNote("Export", text)]
    return []


def _follow_pages(pieces: Sequence[Piece]) -> None:
    pages = {(one.name, one.text) for one in pieces if one.kind == PAGE}
    if {text for name, text in pages if name == "next"} - {text for name, text in pages if name == "self"}:
        raise DataError("incomplete_page", "a bundle is one page of several, and the next one did not come")


def _unit(piece: Piece) -> Unit | None:
    if piece.kind == RESOURCE:
        return make_unit(Raw(piece.text.encode()))
    if piece.kind in (ENTRY, VERSION):
        full_url, resource = unwrap(piece.text) or (None, piece.text)
        return make_unit(Raw(resource.encode()), full_url)
    return None


def _rows(pieces: Sequence[Piece], screen: Screen) -> Iterable[Unit]:
    """The rows of a patient as resources: what they say of him has to agree."""
    knowledge = screen.books[0].knowledge
    records = [(one, json.loads(one.text)["record"]) for one in pieces if one.kind == ROW]
    patient: dict[str, Any] = {}
    for _, record in records:
        for name, said in record["patient"].items():
            if patient.setdefault(name, said) != said:
                text = f"rows of one patient id contradict each other: {name}"
                raise DataError("mixed_patients", text)
    yield from write_units(PlainRecord.model_validate({"patient": patient}), knowledge)
    for piece, record in records:
        place = f"{_slug(piece.name)}-{piece.line}-"
        yield from list(write_units(PlainRecord.model_validate(record), knowledge, place))[1:]


def _remarks(pieces: Sequence[Piece]) -> Iterable[QualityNote]:
    """What is to be said of the rows of a patient."""
    for piece in (one for one in pieces if one.kind == ROW):
        for text in json.loads(piece.text).get("remarks", ()):
            yield QualityNote(f"{piece.name} line {piece.line}", text)


def _slug(name: str) -> str:
    return "".join(letter if letter.isalnum() and letter.isascii() else "-" for letter in name.rpartition("/")[2])[:30]


# -- time ------------------------------------------------------------------------------------------


def find_time(moment: Moment, bundle: PatientBundle, record: PatientRecord, pieces: Sequence[Piece]) -> datetime:
    """When a patient is assessed. Raises DataError `no_time`."""
    match moment.kind:
        case "time":
            assert moment.at is not None
            return moment.at
        case "last-observation":
            return _last(bundle, record, pieces)
        case "encounter-start":
            resources = [one for one in pieces if one.name.startswith(f"{ENCOUNTER}/")]
            start = find_start(unit.content for one in resources if (unit := _unit(one)) is not None)
            if start is None:
                raise DataError("no_time", "no encounter states when it began")
            return start + moment.after
        case _:
            return _stated(pieces)


def _request(at: datetime) -> Request:
    try:
        return Request(at=at)
    except ValueError as error:
        raise DataError("no_time", f"the record states a time that cannot be: {error}") from None


def _with_late(bundle: PatientBundle, pieces: Sequence[Piece], screen: Screen) -> PatientBundle:
    """Note the observations that are dated after their export, or after they were last updated."""
    if screen.moment.kind != "last-observation":
        return bundle
    stated = {_stated_by(one, screen) for one in pieces}
    bounds = max(stated, key=_instant, default=""), screen.begun
    late = [one for one in _observed(bundle) if _is_late(one.resource, bounds)]
    return replace(bundle, notes=(*bundle.notes, *(QualityNote(one.reference, _LATE) for one in late)))


def _stated_by(piece: Piece, screen: Screen) -> str:
    """Until when a piece may speak, as its export or its message says; nothing if neither does."""
    if piece.kind == MESSAGE:
        return sent_time(json.loads(piece.text).encode("latin-1"), screen.zone) or ""
    return screen.origins.get(piece.block, NOWHERE).exported


def _observed(bundle: PatientBundle) -> list[Item]:
    return [one for one in bundle.items if isinstance(one.resource, Observation)]


def _ahead(bundle: PatientBundle, screen: Screen) -> str | None:
    """The first time of an observation that lay after the run began: once it has passed, the answer may be another."""
    if screen.moment.kind != "last-observation" or not screen.begun:
        return None
    times = [time for one in _observed(bundle) if is_after(time := time_of(one.resource), screen.begun)]
    return min((one.earliest.astimezone(UTC).isoformat() for one in times if one is not None), default=None)


def _instant(text: str) -> datetime:
    """Until when an export may hold observations: for ever, if its time is not known."""
    time = parse_time(text)
    return datetime.max.replace(tzinfo=UTC) if time is None else time.latest


def _is_late(one: Clinical, bounds: Iterable[str]) -> bool:
    return is_after(time_of(one), *bounds, one.meta.last_updated if one.meta else None)


def _last(bundle: PatientBundle, record: PatientRecord, pieces: Sequence[Piece]) -> datetime:
    """The newest observation of any kind that can be true; without any, the newest of what else the record holds."""
    late = {one.reference for one in bundle.notes if one.text == _LATE}
    observations = [one for one in _observed(bundle) if getattr(one.resource, "status", "") not in NOT_OBSERVED]
    # Where every time lies after the export, all were shifted, and the export's own says nothing of them.
    true = [one for one in observations if one.reference not in late]
    observed = [time_of(one.resource) for one in true]
    times = [one.latest for one in observed if one is not None]
    times += [datetime.fromisoformat(one.text) for one in pieces if one.kind == SEEN]
    times = times or [one.latest for one in map(time_of, (item.resource for item in observations)) if one is not None]
    times = times or [one.time.latest for one in _entries(record) if one.time is not None]
    if not times:
        raise DataError("no_time", "nothing in the record states a time: give --at TIME")
    return max(times)


def _entries(record: PatientRecord) -> list[Entry]:
    groups = (record.measurements, record.presences, record.attestations)
    return [*(one for group in groups for entries in group.values() for one in entries), *record.infusions]


def _stated(pieces: Sequence[Piece]) -> datetime:
    """The newest time that the column of a list states."""
    spans = [parse_time(json.loads(one.text).get("at")) for one in pieces if one.kind == ROW]
    times = [span.latest for span in spans if span is not None and span.is_instant]
    if not times:
        raise DataError("no_time", "the column of --at states no time with its zone")
    return max(times)


def _holds_until(record: PatientRecord, answers: Sequence[Assessment], at: datetime) -> str | None:
    """When a verdict may change without new data: something lapses, or data that lay ahead begin to count.

    What is undetermined holds for its own instant only: what is open may close as windows move.
    """
    if any(one.verdict == "undetermined" for one in answers):
        return at.isoformat()
    ends = [datetime.fromisoformat(one.valid_until) for one in answers if one.valid_until is not None]
    ends += [one.time.earliest for one in _entries(record) if one.time is not None and one.time.latest > at]
    return min(ends).astimezone(UTC).isoformat() if ends else None


# -- other rules, and paper ------------------------------------------------------------------------


def _compare(
    scenario: tuple[str, Sequence[Rulebook]], answers: Sequence[Assessment], bundle: PatientBundle, request: Request
) -> Iterable[Change]:
    """What other rules would change: the record is built by them too, for they may name other codes."""
    name, books = scenario
    record = build_record(bundle, books[0].knowledge)
    for before, after in zip(answers, assess_all(record, books, request, brief=True), strict=True):
        old = {one.id: one.status for one in before.criteria}
        moved = [(one.id, old.get(one.id, ""), one.status) for one in after.criteria if old.get(one.id) != one.status]
        if moved or before.verdict != after.verdict:
            yield Change(name, before.protocol.id, before.verdict, after.verdict, moved)


def _draw(owner: str, screen: Screen, answers: Sequence[Assessment], record: PatientRecord, request: Request) -> None:
    if screen.draw is None:
        return
    wanted = [one.protocol.id for one in answers if row_of(one, "").has_checklist]
    books = [book for book in screen.books if book.protocol.id in wanted]
    for answer in assess_all(record, books, request) if books else ():
        screen.draw(owner, answer)
