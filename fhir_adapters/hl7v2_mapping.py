"""One HL7 v2 message as what it says of one patient: identity, demographics, and facts as FHIR resources.

Nothing clinical is decided here: codes, units and values go on as they were sent, to the one record builder.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal
from zoneinfo import ZoneInfo

from fhir_adapters.hl7v2_datatypes import Clock, Json, code, concept, identifiers, message_clock, names
from fhir_adapters.hl7v2_definitions import required_fields
from fhir_adapters.hl7v2_facts import FINAL, RETRACTED, Fact, Number, Sent, sent_at
from fhir_adapters.hl7v2_marks import UNMARKED, read_marks
from fhir_adapters.hl7v2_parsing import Message, MessageError, Segment, Value, digest
from fhir_adapters.hl7v2_results import Notes, read_number, read_results
from mscprotocol.record import Identifier

Effect = Literal["admit", "update", "cancel", "merge", "result"]
# What a trigger event does to what is known. Events that are not here are not taken: what they do is not done.
EFFECTS: dict[tuple[str, str], Effect] = {
    ("ORU", "R01"): "result",
    ("ORU", ""): "result",  # versions 2.1 and 2.2 state no event
    **{("ADT", event): "admit" for event in ("A01", "A04", "A05")},
    **{
        ("ADT", event): "update"
        for event in ("A02", "A03", "A06", "A07", "A08", "A09", "A10", "A12", "A13", "A15", "A16", "A25", "A28", "A31")
    },
    **{("ADT", event): "cancel" for event in ("A11", "A38")},
    **{("ADT", event): "merge" for event in ("A18", "A30", "A34", "A40", "A47")},
}
_VERIFICATION = "http://terminology.hl7.org/CodeSystem/condition-ver-status"
_CLINICAL = "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical"
# DG1-6 (HL7 table 0052): only a final diagnosis is a confirmed one.
_VERIFIED = {"F": "confirmed", "A": "provisional", "W": "provisional"}
_GENDERS = {"M": "male", "F": "female", "O": "other", "A": "other", "U": "unknown", "N": "unknown"}
_SEVERITIES = {"SV": "severe", "MO": "moderate", "MI": "mild"}


@dataclass(frozen=True, slots=True)
class Demographics:
    """What PID says, field by field; a field that is there with None asks to delete what was known."""

    fields: dict[str, Any]
    sent: Sent
    is_administrative: bool
    digest: str


@dataclass(frozen=True, slots=True)
class Mapped:
    """What one message says of one patient; `former` are the identifiers that a merge puts to rest.

    `is_test` when the message says that it is for tests or training (MSH-11).
    """

    effect: Effect
    identity: tuple[Identifier, ...]
    demographics: Demographics
    sent: Sent
    facts: tuple[Fact, ...] = ()
    notes: tuple[tuple[str, str], ...] = ()
    former: tuple[Identifier, ...] = ()
    visit: str = ""
    digest: str = ""
    is_test: bool = False


def map_message(message: Message, zone: ZoneInfo | None = None) -> tuple[Mapped, ...]:
    """What a message says: of one patient, or, where it merges several pairs, of each pair.

    Raises MessageError: `unreadable` for a type or event that is not taken, `no_patient` without a usable PID,
    `mixed_patients` if it is about several.
    """
    effect = effect_of(message)
    clock = message_clock(message, zone)
    parts = [_map_part(message, part, effect, clock) for part in _parts(message)]
    if effect != "merge" and len({part.identity for part in parts}) > 1:
        raise MessageError("mixed_patients", "the message holds results of more than one patient", "102", "PID^2^3")
    return tuple(parts) if effect == "merge" else (_joined(parts),)


def identity_of(message: Message) -> list[tuple[Identifier, ...]]:
    """The identifiers by which a message names each of its patients, those that a merge puts to rest among them.

    Raises MessageError as `map_message` does.
    """
    is_merge = effect_of(message) == "merge"
    return [
        (*_identity(message, part[0], 3), *(_former(message, part) if is_merge else ())) for part in _parts(message)
    ]


def effect_of(message: Message) -> Effect:
    """What the message does to what is known. Raises MessageError for a type or event that is not taken."""
    effect = EFFECTS.get((message.kind, message.event))
    if effect is not None:
        return effect
    is_known = any(kind == message.kind for kind, _ in EFFECTS)
    text = "this trigger event is not taken" if is_known else "messages of this type are not taken"
    condition, place = ("201", "MSH^1^9^1^2") if is_known else ("200", "MSH^1^9^1^1")
    raise MessageError("unreadable", text, condition, place, is_rejected=True)


def _parts(message: Message) -> list[list[Segment]]:
    """The segments of a message, apart by PID; those before the first one belong to all."""
    parts: list[list[Segment]] = []
    for segment in message.segments[1:]:
        if segment.name == "PID":
            parts.append([segment])
        elif parts:
            parts[-1].append(segment)
    if not parts:
        raise MessageError("no_patient", "the message has no PID segment", "100", "PID")
    return parts


def _joined(parts: Sequence[Mapped]) -> Mapped:
    first, *further = parts
    facts = tuple(fact for part in parts for fact in part.facts)
    notes = tuple(note for part in parts for note in part.notes)
    return replace(first, facts=facts, notes=notes) if further else first


def _map_part(message: Message, segments: Sequence[Segment], effect: Effect, clock: Clock) -> Mapped:
    notes = Notes([("MSH", text) for text in message.oddities])
    for segment in segments:
        missing = [number for number in required_fields(segment.name, message.version) if not segment.values(number)]
        for number in missing if segment.name in _READ else ():
            notes.add(segment.place(number), "a required field is empty")
    sent = sent_at(clock.read(message.header.value(7)))
    person = segments[0]
    visit = next((segment.text(19) for segment in segments if segment.name == "PV1"), "")
    sender = "^".join((message.header.text(3), message.header.text(4)))
    marks = read_marks(message)
    facts = [*_facts(segments, clock, sent, sender), *read_results(segments, clock, sent, sender, notes)]
    return Mapped(
        effect=effect,
        identity=_identity(message, person, 3),
        demographics=_demographics(person, clock, sent, is_administrative=message.kind == "ADT"),
        sent=sent,
        facts=tuple(replace(fact, visit=visit, event=effect, mark=marks.get(fact.place, UNMARKED)) for fact in facts),
        notes=tuple(dict.fromkeys(notes.found)),
        former=_former(message, segments) if effect == "merge" else (),
        visit=visit,
        digest=message.digest,
        is_test=message.header.text(11).upper() in ("D", "T"),
    )


# -- who -------------------------------------------------------------------------------------------


def _identity(message: Message, segment: Segment, field: int) -> tuple[Identifier, ...]:
    """The record numbers of PID-3, in old versions of PID-2; the same for MRG-1."""
    facility = message.header.text(4)
    found = identifiers(segment.values(field), facility)
    if not found and segment.name == "PID":
        found = identifiers(segment.values(2), facility)
    if not found:
        place = segment.place(field)
        raise MessageError("no_patient", "no identifier names the record of the patient", "101", place)
    return found


def _former(message: Message, segments: Sequence[Segment]) -> tuple[Identifier, ...]:
    merged = [segment for segment in segments if segment.name == "MRG"]
    if not merged:
        raise MessageError("no_patient", "a merge needs an MRG segment after its PID", "100", "MRG")
    return tuple(one for segment in merged for one in _identity(message, segment, 1))


def _demographics(person: Segment, clock: Clock, sent: Sent, *, is_administrative: bool) -> Demographics:
    fields: dict[str, Any] = {}
    for number, name, read in _PERSON:
        if person.is_null(number):
            fields[name] = None
        elif person.values(number):
            fields[name] = read(person, clock)
    return Demographics(fields, sent, is_administrative, digest(person))


def _birth_date(person: Segment, clock: Clock) -> str | None:
    written = clock.read(person.value(7))
    return None if written is None else written.partition("T")[0]


_PERSON: tuple[tuple[int, str, Callable[[Segment, Clock], Any]], ...] = (
    (5, "name", lambda person, _: list(names(person.values(5)))),
    (7, "birthDate", _birth_date),
    (8, "gender", lambda person, _: _GENDERS.get(person.text(8).upper(), "unknown")),
    (29, "deceasedDateTime", lambda person, clock: clock.read(person.value(29))),
    (30, "deceasedBoolean", lambda person, _: person.text(30).upper() == "Y"),
)


# -- diagnoses, allergies, procedures --------------------------------------------------------------


def _facts(segments: Sequence[Segment], clock: Clock, sent: Sent, sender: str) -> Iterator[Fact]:
    for segment in segments:
        made = _READERS[segment.name](segment, clock) if segment.name in _READERS else None
        if made is None:
            continue
        number, key, time, resource, is_retraction = made
        yield Fact(
            kind=str(resource["resourceType"]),
            number=Number("", "", "") if number is None else read_number(number, sender),
            key=key,
            time=time,
            rank=RETRACTED if is_retraction else FINAL,
            sent=sent,
            digest=digest(segment),
            resource=resource,
            place=(segment.name, segment.number),
        )


# Its own number if it has one, the key, the time that tells apart what shares it, the resource, and whether it takes
# something back.
_Made = tuple[Value | None, tuple[str, ...], str, Json, bool]


def _diagnosis(segment: Segment, clock: Clock) -> _Made | None:
    """DG1; the date of a diagnosis stands for its onset, as the mapping of HL7 has it."""
    words = segment.text(4) or segment.text(3, 2)
    named = concept(segment.value(3), method=segment.text(2), words=words) or ({"text": words} if words else None)
    if named is None:
        return None
    is_retraction = segment.text(21).upper() == "D"
    status = "entered-in-error" if is_retraction else _VERIFIED.get(segment.text(6).upper(), "")
    resource: Json = {"resourceType": "Condition", "code": named}
    if status:
        resource["verificationStatus"] = code(_VERIFICATION, status)
    date = clock.read(segment.value(5)) or ""
    if date:
        resource["onsetDateTime"] = date
    if segment.text(20):
        return segment.value(20), (), "", resource, is_retraction
    return None, (segment.text(3) or words, segment.text(6).upper()), date, resource, is_retraction


def _allergy(segment: Segment, clock: Clock) -> _Made | None:
    """AL1: active, as the mapping of HL7 has it; that it was verified the segment cannot say."""
    named = concept(segment.value(3), words=segment.text(3, 2))
    if named is None:
        return None
    resource: Json = {"resourceType": "AllergyIntolerance", "code": named, "clinicalStatus": code(_CLINICAL, "active")}
    reactions: Json = {}
    if segment.values(5):
        reactions["manifestation"] = [concept(one) or {"text": one.text} for one in segment.values(5)]
    severity = _SEVERITIES.get(segment.text(4).upper())
    if severity:
        reactions["severity"] = severity
    if reactions:
        resource["reaction"] = [reactions]
    date = clock.read(segment.value(6))
    if date:
        resource["onsetDateTime"] = date
    return None, (segment.text(3) or segment.text(3, 2),), "", resource, False


def _procedure(segment: Segment, clock: Clock) -> _Made | None:
    words = segment.text(4) or segment.text(3, 2)
    named = concept(segment.value(3), method=segment.text(2), words=words) or ({"text": words} if words else None)
    if named is None:
        return None
    is_retraction = segment.text(20).upper() == "D"
    status = "entered-in-error" if is_retraction else "completed"
    resource: Json = {"resourceType": "Procedure", "status": status, "code": named}
    date = clock.read(segment.value(5)) or ""
    if date:
        resource["performedDateTime"] = date
    if segment.text(19):
        return segment.value(19), (), "", resource, is_retraction
    return None, (segment.text(3) or words,), date, resource, is_retraction


_READERS: dict[str, Callable[[Segment, Clock], _Made | None]] = {
    "DG1": _diagnosis,
    "AL1": _allergy,
    "PR1": _procedure,
}
_READ = ("PID", "MRG", "PV1", "OBR", "OBX", *_READERS)
