"""Filled-in forms to attestations and attested values: each item by the id of what it answers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from fhir_adapters.bundle import Item as Sourced
from fhir_adapters.datatypes import CodeableConcept, Reference
from fhir_adapters.dictionary import codings
from fhir_adapters.draft import Draft
from fhir_adapters.quantities import Reading, read_bare, read_quantity, write_number
from fhir_adapters.resources import Answer, Item, QuestionnaireResponse
from fhir_adapters.times import parse_time
from fhir_adapters.values import answers_of, read_answer, read_moment
from mscprotocol.codes import Coding
from mscprotocol.data_dictionary import Measurement as Definition
from mscprotocol.reasons import Reason
from mscprotocol.record import Attestation, Measurement
from mscprotocol.timespan import TimeSpan
from mscprotocol.truth import Truth

_COMPLETE = ("completed", "amended")
# SNOMED CT, LOINC and HL7's own codes for yes, no and unknown.
_ANSWERS = {
    "yes": Truth.MET,
    "no": Truth.NOT_MET,
    "unknown": Truth.UNKNOWN,
    "y": Truth.MET,
    "n": Truth.NOT_MET,
    "373066001": Truth.MET,
    "373067005": Truth.NOT_MET,
    "261665006": Truth.UNKNOWN,
    "la33-6": Truth.MET,
    "la32-8": Truth.NOT_MET,
    "la4489-6": Truth.UNKNOWN,
    "unk": Truth.UNKNOWN,
    "asku": Truth.UNKNOWN,
    "asked-unknown": Truth.UNKNOWN,
}
# Answers of these are no named person's at the bedside.
_NO_ATTESTER = ("Patient", "RelatedPerson", "Device", "Organization")
_NAMED_ITEMS = 5


@dataclass(frozen=True, slots=True)
class _Form:
    """Who answered, and when."""

    source: Sourced
    by: str
    time: TimeSpan | None


def read_form(draft: Draft, source: Sourced, response: QuestionnaireResponse) -> None:
    """Add the answers of a completed form that a named person gave."""
    if response.status not in _COMPLETE:
        draft.note(source, "the form is not completed and was left out")
        return
    by = _attester(response, draft.bundle.patient.id or "")
    if by is None:
        draft.note(source, "the form names no person who answered and was left out")
        return
    form = _Form(source, by, parse_time(response.authored))
    if form.time is None:
        draft.note(source, "the form does not say when it was answered")
    strange = sorted({link for link, answers in _walk(response) if not _read_item(draft, form, link, answers)})
    if strange:
        more = f" and {len(strange) - _NAMED_ITEMS} more" if len(strange) > _NAMED_ITEMS else ""
        names = ", ".join(_shown(link) for link in strange[:_NAMED_ITEMS])
        draft.note(source, f"items that answer nothing that can be attested: {names}{more}")


def _shown(link: str) -> str:
    return link if len(link) <= 40 and link.isprintable() else "one with a long name"


def _attester(response: QuestionnaireResponse, patient: str) -> str | None:
    """Who answers for the form; what patients say of themselves is no attestation."""
    for reference in (response.author, response.source):
        if reference is None or _is_no_attester(reference, patient):
            continue
        name = reference.display or reference.reference or (reference.identifier and reference.identifier.value)
        if name:
            return name
    return None


def _is_no_attester(reference: Reference, patient: str) -> bool:
    text = reference.reference or ""
    is_patient = bool(patient) and text == f"urn:uuid:{patient}"
    return is_patient or reference.type in _NO_ATTESTER or any(kind in _NO_ATTESTER for kind in text.split("/"))


def _walk(response: QuestionnaireResponse) -> Iterator[tuple[str, tuple[Answer, ...]]]:
    """Every item that was answered, however deep, without recursion."""
    left: list[Item] = list(response.item)
    while left:
        item = left.pop()
        left.extend(item.item)
        left.extend(nested for answer in item.answer for nested in answer.item)
        if item.answer:
            yield item.link_id or "", item.answer


def _read_item(draft: Draft, form: _Form, link: str, answers: tuple[Answer, ...]) -> bool:
    """Add the answers to one item; whether it names something that can be attested."""
    knowledge = draft.knowledge
    condition, criterion = knowledge.conditions.get(link), knowledge.criteria.get(link)
    definition = knowledge.measurements.get(link)
    if (condition is not None and condition.attestable) or (criterion is not None and criterion.attestable):
        for answer in answers:
            _attest(draft, form, link, answer)
        return True
    if definition is None or (definition.kind == "derived" and not definition.codes):
        return False
    for answer in answers:
        _measure(draft, form, link, definition, answer)
    return True


def _attest(draft: Draft, form: _Form, link: str, answer: Answer) -> None:
    truth = _truth(answer)
    attestation = Attestation(
        name=link,
        reference=form.source.reference,
        time=form.time,
        as_received=_written(answer),
        problem=Reason.NEEDS_REVIEW if truth is None else None,
        attested_by=form.by,
        answer=Truth.UNKNOWN if truth is None else truth,
    )
    draft.attest(form.source, attestation)


def _truth(answer: Answer) -> Truth | None:
    if answer.value_boolean is not None:
        return Truth.MET if answer.value_boolean else Truth.NOT_MET
    text = answer.value_coding.code if answer.value_coding is not None else answer.value_string
    return truth_in_words(text or "")


def truth_in_words(text: str) -> Truth | None:
    """What yes, no and unknown mean, in words or codes; None for any other text."""
    return _ANSWERS.get(text.strip().lower())


def _measure(draft: Draft, form: _Form, link: str, definition: Definition, answer: Answer) -> None:
    reading = _read(draft, definition, answer)
    measurement = Measurement(
        name=link,
        reference=form.source.reference,
        time=form.time,
        as_received=reading.as_received,
        problem=reading.problem,
        attested_by=form.by,
        value=reading.value,
        answer=reading.answer,
        unit=definition.unit,
        native_unit=reading.native_unit,
        assay=reading.assay,
    )
    draft.measure(form.source, measurement)


def _read(draft: Draft, definition: Definition, answer: Answer) -> Reading:
    received = _written(answer)
    if definition.kind == "time":
        moment = answer.value_date_time or answer.value_date
        return read_moment(moment, moment or received)
    if definition.kind in ("quantity", "derived"):
        if answer.value_quantity is not None:
            return read_quantity(draft.knowledge, definition, answer.value_quantity)
        number = answer.value_decimal if answer.value_decimal is not None else answer.value_integer
        if number is not None:
            return read_bare(definition, Decimal(number), received)
        return Reading(received, problem=Reason.NEEDS_REVIEW if received else Reason.MISSING)
    named = _named_answer(definition, answer)
    if named is not None:
        return read_answer(definition, named, received)
    is_coded = answer.value_coding is not None and answer.value_coding.code
    return Reading(received, problem=Reason.CODE_UNMAPPED if is_coded else Reason.NEEDS_REVIEW)


def _named_answer(definition: Definition, answer: Answer) -> str | None:
    """An answer by its name in the dictionary, or by one of its codes."""
    if answer.value_boolean is not None:
        written = "yes" if answer.value_boolean else "no"
    elif answer.value_coding is not None:
        coded = [name for code in _codings(answer) for name in answers_of(definition, code)]
        written = coded[0] if len(set(coded)) == 1 else answer.value_coding.code or ""
    else:
        written = (answer.value_string or "").strip()
    return written if written in (definition.levels or tuple(definition.answers)) else None


def _codings(answer: Answer) -> tuple[Coding, ...]:
    return () if answer.value_coding is None else codings(CodeableConcept(coding=(answer.value_coding,)))


def _written(answer: Answer) -> str:
    if answer.value_boolean is not None:
        return "yes" if answer.value_boolean else "no"
    if answer.value_coding is not None:
        return answer.value_coding.display or answer.value_coding.code or ""
    if answer.value_quantity is not None:
        unit = answer.value_quantity.unit or answer.value_quantity.code or ""
        return f"{_number(answer.value_quantity.value)} {unit}".strip()
    if answer.value_decimal is not None:
        return _number(answer.value_decimal)
    return answer.value_string or ("" if answer.value_integer is None else str(answer.value_integer))


def _number(value: Decimal | None) -> str:
    return "" if value is None else write_number(value)
