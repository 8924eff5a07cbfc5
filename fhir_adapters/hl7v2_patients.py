"""Patients as they accumulate from HL7 v2 messages: who is who, merges and cancellations, and each one's resources.

A chart keeps what the messages said; what holds now is worked out of all of it, so the order of arrival is of no
account except where senders state nothing else.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Raw

from fhir_adapters.bundle import PatientBundle, assemble
from fhir_adapters.hl7v2_datatypes import Json, code, has_authority, message_clock, write_identifier
from fhir_adapters.hl7v2_facts import Fact, Statement, in_versions, sent_last, with_marks
from fhir_adapters.hl7v2_files import split_file
from fhir_adapters.hl7v2_mapping import Demographics, Mapped, effect_of, map_message
from fhir_adapters.hl7v2_marks import UNMARKED
from fhir_adapters.hl7v2_parsing import Message, MessageError, parse_message
from fhir_adapters.marks import mark_as_infusion, mark_in_error
from fhir_adapters.unpacking import Unit
from mscprotocol.errors import DataError
from mscprotocol.record import Identifier, QualityNote

_NO_ID = re.compile(r"[^A-Za-z0-9.-]")
_IDENTIFYING = ("birthDate", "gender")
_CONTRADICTIONS = {
    "birthDate": "merged records state different birth dates: the age is open until an update states one",
    "gender": "merged records state different sexes: the sex is open until an update states one",
}
_NAMESAKE = (
    "another chart has this number, and one of the two does not say who assigned it: they stay apart, and if it is one "
    "person a merge (A40) joins them"
)
CANCELLED = "the admission that brought it was cancelled: it is open"
_UNCONFIRMED = code("http://terminology.hl7.org/CodeSystem/condition-ver-status", "unconfirmed")


class _Description(NamedTuple):
    """Who a message says that the patient is, and whether it is a message for that."""

    is_administrative: bool
    born: str
    sex: str


@dataclass(slots=True)
class Chart:
    """All that messages said of one patient; nothing once it was merged into another chart.

    `number` names the chart where nothing about the patient may stand.
    """

    number: int
    identifiers: dict[Identifier, None] = field(default_factory=dict)
    former: set[Identifier] = field(default_factory=set)
    messages: dict[tuple[str, tuple[Identifier, ...]], Mapped] = field(default_factory=dict)
    described: set[_Description] = field(default_factory=set)

    @property
    def patient_id(self) -> str:
        """The id under which answers name the patient; empty once it was merged into another chart."""
        return self._patient_id() if self.identifiers else ""

    def bundle(self) -> PatientBundle:
        """The patient for the record builder. Raises DataError `mixed_patients`."""
        return assemble(*self.units())

    def units(self) -> tuple[list[Unit], list[QualityNote]]:
        """The patient's resources in all their versions, and what was odd about the messages.

        Raises DataError `mixed_patients` if messages of one identifier describe different persons.
        """
        if any(self.contradicts(one) for one in self.described):
            raise DataError("mixed_patients", "messages with one identifier give different birth dates or sexes")
        patient_id = self._patient_id()
        units = [*self._patients(patient_id)]
        facts = self._versions()
        units += [_unit(fact, number, patient_id) for fact, number in facts]
        notes = [QualityNote(place, text) for one in self.messages.values() for place, text in one.notes]
        notes += [QualityNote(_refer(fact), fact.doubt) for fact, _ in facts if fact.doubt and not fact.mark.aside]
        notes += [QualityNote("PID", _CONTRADICTIONS[name]) for name in _IDENTIFYING if self._is_disputed(name)]
        if any(one.is_test for one in self.messages.values()):
            notes.append(QualityNote("MSH^1^11", "a message is marked as a test or as training (MSH-11)"))
        return units, notes

    def statements(self) -> Iterator[tuple[str, Statement]]:
        """The reference of each resource, with what states it."""
        return ((_refer(fact), fact.statement) for fact, _ in self._versions())

    def contradicts(self, description: _Description) -> bool:
        """Whether results describe another person than any administrative message, or else than any result, did."""
        known = [one for one in self.described if one.is_administrative] or list(self.described)
        if description.is_administrative or not known:
            return False
        born, sex = {one.born for one in known}, {one.sex for one in known}
        return not (_agrees(description.born, born) and _agrees(description.sex, sex))

    # -- what holds now ----------------------------------------------------------------------------

    def _patient_id(self) -> str:
        known = list(self.identifiers)  # at once, for another thread may be adding to them
        current = [one for one in known if one not in self.former] or known
        return write_identifier(min(current, key=lambda one: (one.system, one.value)))

    def _versions(self) -> list[tuple[Fact, int]]:
        stated = list(self._facts())
        return with_marks(in_versions(stated), stated)

    def _facts(self) -> Iterator[Fact]:
        cancelled = [one for one in self.messages.values() if one.effect == "cancel"]
        for message in self.messages.values():
            for fact in message.facts:
                is_doubted = any(_is_cancelled(fact, cancel) for cancel in cancelled)
                yield replace(fact, doubt=CANCELLED) if is_doubted else fact

    def _is_disputed(self, name: str) -> bool:
        """Whether a merge joined two records that differ in a field, of which no administrative message spoke since."""
        messages = list(self.messages.values())
        merges = [one for one in messages if one.effect == "merge"]
        said = [one for one in messages if one.demographics.is_administrative and name in one.demographics.fields]
        return any(
            _differ(name, merge, messages) and not any(merge.sent.is_before(one.sent) for one in said)
            for merge in merges
        )

    def _patients(self, patient_id: str) -> Iterator[Unit]:
        """The patient, field by field as stated last; twice, if who it is cannot be told from the messages."""
        stated = [one.demographics for one in self.messages.values()]
        digests = sorted({one.digest for one in stated})
        identifiers = [{"system": one.system, "value": one.value} for one in self.identifiers]
        shared: Json = {"resourceType": "Patient", "id": patient_id, "identifier": identifiers}
        contending = {name: _latest(name, stated) for name in ("name", "deceasedDateTime", "deceasedBoolean")}
        contending |= {name: _latest(name, stated) for name in _IDENTIFYING if not self._is_disputed(name)}
        for turn in range(max(1, *(len(values) for values in contending.values()))):
            chosen = {name: values[min(turn, len(values) - 1)] for name, values in contending.items() if values}
            content = msgspec.json.encode(shared | {name: one for name, one in chosen.items() if one is not None})
            yield Unit("Patient", patient_id, None, Raw(content), _short(*digests, str(turn), length=64))


class Patients:
    """Every patient that messages told of, by identifier."""

    def __init__(self) -> None:
        self._charts: dict[Identifier, Chart] = {}
        self._numbers: dict[str, set[Identifier]] = {}
        self._count = 0

    def __iter__(self) -> Iterator[Chart]:
        return iter({chart.number: chart for chart in self._charts.values()}.values())

    def check(self, mapped: Sequence[Mapped]) -> None:
        """Raise MessageError `mixed_patients` if a message cannot be about one known patient."""
        for one in mapped:
            charts = self._known(one.identity)
            if len(charts) > 1 and one.effect != "merge":
                text = "its identifiers belong to different patients: a merge (A40) has to come first"
                raise MessageError("mixed_patients", text, "204", "PID^1^3")
            if any(chart.contradicts(_description(one)) for chart in charts):
                text = "birth date or sex are not those of the patient with this identifier"
                raise MessageError("mixed_patients", text, "204", "PID^1^7")

    def namesakes(self, mapped: Sequence[Mapped]) -> Iterator[tuple[str, str]]:
        """Where a number is also that of another chart, and only one of the two says by whom it was assigned."""
        for one in mapped:
            for identifier in one.identity:
                alike = self._numbers.get(identifier.value, set())
                others = {each for each in alike if has_authority(each) is not has_authority(identifier)}
                if any(self._charts[each] not in self._known(one.identity) for each in others):
                    yield "PID^1^3", _NAMESAKE

    def take(self, mapped: Sequence[Mapped]) -> list[Chart]:
        """Add what a message says, which `check` has let pass. The charts that it changed."""
        return [self._take(one) for one in mapped]

    def _take(self, mapped: Mapped) -> Chart:
        named = (*mapped.identity, *mapped.former)
        charts = self._known(named)
        chart = charts[0] if charts else self._open()
        for other in charts[1:]:
            chart.messages |= other.messages
            chart.former |= other.former
            chart.identifiers |= other.identifiers
            # Whoever is merged is the same person by the sender's word, however he was described before.
            chart.described = {one._replace(is_administrative=True) for one in chart.described | other.described}
            other.messages = {}
        chart.identifiers |= dict.fromkeys(named)
        if mapped.effect == "merge":
            # Old numbers go on being used by senders that have not heard: only a merge puts one to rest or back.
            chart.former = (chart.former | set(mapped.former)) - set(mapped.identity)
        chart.messages[mapped.digest, mapped.former] = mapped
        chart.described.add(_description(mapped))
        self._charts |= dict.fromkeys(chart.identifiers, chart)
        for one in named:
            self._numbers.setdefault(one.value, set()).add(one)
        return chart

    def _open(self) -> Chart:
        self._count += 1
        return Chart(self._count)

    def _known(self, identity: Iterable[Identifier]) -> list[Chart]:
        found = {chart.number: chart for one in identity if (chart := self._charts.get(one)) is not None}
        return [chart for _, chart in sorted(found.items())]


def read_patients(contents: Iterable[bytes], zone: ZoneInfo | None = None) -> tuple[Patients, list[QualityNote]]:
    """The patients of files of HL7 v2 messages, and what was not read of them. Raises DataError."""
    patients = Patients()
    notes = []
    # A merge tells who is who, so it is heard before the rest.
    messages = [parse_message(one) for content in contents for one in split_file(content)]
    for message in sorted(messages, key=_is_no_merge):
        try:
            effect_of(message)
        except MessageError as refused:
            notes.append(QualityNote(refused.place, f"a message was not read: {refused}"))
            continue
        mapped = map_message(message, zone)
        patients.check(mapped)
        patients.take(mapped)
    return patients, list(dict.fromkeys(notes))


def read_patient(
    contents: Iterable[bytes], zone: ZoneInfo | None = None, named: Identifier | None = None
) -> PatientBundle:
    """The one patient of files of HL7 v2 messages, or the one who goes by an identifier.

    Raises DataError, as `bundle.read_bundle` does for FHIR.
    """
    patients, notes = read_patients(contents, zone)
    charts = [chart for chart in patients if named is None or named in chart.identifiers]
    if not charts:
        raise DataError("no_patient", "the file holds no message of a patient that is read")
    if len(charts) > 1:
        raise DataError("mixed_patients", "the file holds messages of more than one patient")
    units, found = charts[0].units()
    return assemble(units, [*notes, *found])


def sent_time(content: bytes, zone: ZoneInfo | None = None) -> str | None:
    """When a message was sent (MSH-7), as FHIR writes it. Raises MessageError."""
    message = parse_message(content)
    return message_clock(message, zone).read(message.header.value(7))


def restore_patient(contents: Sequence[bytes], zone: ZoneInfo | None, assumed_encoding: str) -> PatientBundle:
    """The patient whom messages made known that a receiver took, in the order in which they came.

    Raises DataError, `unreadable` if they are not all the messages of one chart.
    """
    patients = Patients()
    messages = [parse_message(one, assumed_encoding) for one in contents]
    for message in messages:
        patients.take(map_message(message, zone))
    wanted = {message.digest for message in messages}
    charts = [chart for chart in patients if {digest for digest, _ in chart.messages} == wanted]
    if len(charts) != 1:
        raise DataError("unreadable", "the messages are not those of one patient")
    return charts[0].bundle()


def _is_no_merge(message: Message) -> bool:
    try:
        return effect_of(message) != "merge"
    except MessageError:
        return True


# -- resources -------------------------------------------------------------------------------------


def _unit(fact: Fact, number: int, patient_id: str) -> Unit:
    """A fact as a resource; its version number says what stands over what."""
    resource_id = _name_resource(fact)
    owner = "patient" if fact.kind == "AllergyIntolerance" else "subject"
    head = {"id": resource_id, "meta": {"versionId": str(number)}, owner: {"reference": f"Patient/{patient_id}"}}
    stated = _doubted(fact.resource) if fact.doubt else dict(fact.resource)
    if fact.mark.aside:
        mark_in_error(stated, fact.mark.aside)
    if fact.mark.separate:
        mark_as_infusion(stated, fact.mark.separate)
    content = Raw(msgspec.json.encode(stated | head))
    # The URL tells apart one segment that stands for several values, as a correction of all of them does.
    return Unit(fact.kind, resource_id, f"urn:x-hl7v2:{resource_id}", content, _digest(fact))


def _digest(fact: Fact) -> str:
    """What an answer rests on: the segments, and what a person said of them."""
    mark = fact.mark
    return fact.digest if mark == UNMARKED else _short(fact.digest, mark.aside, mark.separate, length=64)


def _refer(fact: Fact) -> str:
    return f"{fact.kind}/{_name_resource(fact)}"


def _name_resource(fact: Fact) -> str:
    """The id of the resource that a fact becomes."""
    named = _NO_ID.sub("", fact.key[0])[:40] if fact.kind == "Observation" else ""
    return "-".join(part for part in (named, _short(*fact.name, fact.time)) if part)


def _short(*parts: str, length: int = 16) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:length]


def _is_cancelled(fact: Fact, cancel: Mapped) -> bool:
    return fact.event == "admit" and fact.visit == cancel.visit and not cancel.sent.is_before(fact.sent)


def _doubted(resource: Json) -> Json:
    """What may have been taken back: neither there nor not there, until somebody says so."""
    if resource["resourceType"] in ("Condition", "AllergyIntolerance"):
        return resource | {"verificationStatus": _UNCONFIRMED}
    return resource | {"status": "unknown"}


# -- demographics ----------------------------------------------------------------------------------


def _latest(name: str, stated: Iterable[Demographics]) -> list[Any]:
    """The values of a field that nothing newer replaces: administrative messages before results."""
    given = [one for one in stated if name in one.fields]
    trusted = [one for one in given if one.is_administrative] or given
    last = sent_last(trusted, lambda one: one.sent)
    values = {msgspec.json.encode(one.fields[name]): one.fields[name] for one in last}
    return [value for _, value in sorted(values.items())]


def _differ(name: str, merge: Mapped, messages: Iterable[Mapped]) -> bool:
    """Whether what the two sides of a merge said of a field before cannot both be so."""
    before = [one for one in messages if one.effect != "merge" and not merge.sent.is_before(one.sent)]
    old, kept = (
        {str(value or "") for value in _latest(name, [one.demographics for one in before if side & {*one.identity}])}
        for side in ({*merge.former}, {*merge.identity})
    )
    return not all(_agrees(one, kept) for one in old)


def _description(mapped: Mapped) -> _Description:
    fields = mapped.demographics.fields
    born, sex = (fields.get(name) or "" for name in _IDENTIFYING)
    return _Description(mapped.demographics.is_administrative, born, sex)


def _agrees(said: str, known: set[str]) -> bool:
    """Whether a description is silent, or says what was said before, perhaps less exactly."""
    silent = {"", "unknown", "other"}
    if said in silent or not known - silent:
        return True
    return any(said.startswith(other) or other.startswith(said) for other in known - silent)
