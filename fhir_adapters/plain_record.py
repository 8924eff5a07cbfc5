"""Our own JSON record of a patient as FHIR resources, which the one record builder then reads like any others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any

import msgspec
from msgspec import Raw
from pydantic import ValidationError

from fhir_adapters.bundle import PatientBundle, assemble
from fhir_adapters.datatypes import Head, parse_decimal
from fhir_adapters.decoding import UNREADABLE, decode_tolerantly
from fhir_adapters.dictionary import DRUG_SYSTEMS, INFUSION, index
from fhir_adapters.marks import note_of_ours
from fhir_adapters.plain_forms import (
    AnswerForm,
    ConditionForm,
    DatumForm,
    DeviationForm,
    InfusionForm,
    Named,
    PatientForm,
    PlainRecord,
)
from fhir_adapters.product_lot import read_product_lot
from fhir_adapters.quantities import split_quantity, unit_of_bare
from fhir_adapters.unpacking import Unit, make_unit, refuse_doubled_keys
from fhir_adapters.writing import (
    DATUM,
    DEVIATION,
    RECORDED_EVENT,
    RECORDED_INFUSION,
    TERMINOLOGY,
    Json,
    coding,
    element,
)
from mscprotocol.codes import CodeSystem, Coding, find_system, parse_code
from mscprotocol.data_dictionary import Measurement
from mscprotocol.errors import DataError, RequestError
from mscprotocol.knowledge import KnowledgeBase
from mscprotocol.units import is_readable

SEX_FOR_CLINICAL_USE = "http://hl7.org/fhir/StructureDefinition/patient-sexParameterForClinicalUse"
_NAMED_ERRORS = 5
_decoder = msgspec.json.Decoder(float_hook=parse_decimal)
_encoder = msgspec.json.Encoder(decimal_format="number")
# What a status of a condition means in FHIR: clinical status, verification status.
STATES = {
    "active": ("active", "confirmed"),
    "resolved": ("resolved", "confirmed"),
    "refuted": (None, "refuted"),
    "suspected": ("active", "provisional"),
    "confirmed": (None, "confirmed"),
}
_TAKEN = {"active": "active", "resolved": "completed", "refuted": "not-taken"}


def parse_record(content: bytes) -> PlainRecord:
    """The record that some JSON holds.

    Raises DataError `unreadable` for bytes that are no JSON object, and RequestError `invalid_request` for a wrong
    shape; its text names fields, never what stands in them.
    """
    try:
        tree: Any = _decoder.decode(content)
    except UNREADABLE:
        raise DataError("unreadable", "the record is not JSON, or is nested too deeply") from None
    if not isinstance(tree, dict):
        raise DataError("unreadable", "the record is not a JSON object")
    refuse_doubled_keys(content)
    try:
        return PlainRecord.model_validate(tree)
    except ValidationError as error:
        raise RequestError("invalid_request", describe_errors(error)) from None


def describe_errors(error: ValidationError) -> str:
    """Where a shape is wrong; a field that is not known is not repeated, for what stands there may be anything."""
    found = []
    for one in error.errors(include_url=False, include_input=False, include_context=False)[:_NAMED_ERRORS]:
        place = one["loc"][:-1] if one["type"] == "extra_forbidden" else one["loc"]
        text = "a field here is not known" if one["type"] == "extra_forbidden" else one["msg"]
        found.append(f"{'.'.join(map(str, place)) or 'record'}: {text}")
    return "; ".join(found)


def read_plain(content: bytes, knowledge: KnowledgeBase) -> PatientBundle:
    """The resources of one patient that a record states. Raises what `parse_record` and `assemble` do."""
    record = parse_record(content)
    bundle = assemble(write_units(record, knowledge))
    if record.product is None:
        return bundle
    try:
        lot = read_product_lot(_encoder.encode(record.product), "product", knowledge)
    except RecursionError:
        raise DataError("unreadable", "product: nested too deeply") from None
    return lot.added_to(bundle)


def write_units(record: PlainRecord, knowledge: KnowledgeBase, place: str = "") -> Iterator[Unit]:
    """The resources that a record states, the patient first; `place` begins the ids of the others."""
    return _Writer(record, knowledge, place).units()


def is_fhir(content: bytes) -> bool:
    """Whether some JSON says that it is a FHIR resource."""
    read = decode_tolerantly(Head, content)
    return read is not None and read[0].resource_type is not None


class _Writer:
    """Writes one record as resources."""

    def __init__(self, record: PlainRecord, knowledge: KnowledgeBase, place: str) -> None:
        self.record, self.knowledge, self.place = record, knowledge, place
        self.subject = {"reference": f"Patient/{record.patient.id}"}

    def units(self) -> Iterator[Unit]:
        """Each part of the record as a resource with an id by its place."""
        record = self.record
        yield _unit(write_patient(record.patient))
        yield from self._placed("data", map(self.write_datum, record.data))
        yield from self._placed("condition", map(self.write_condition, record.conditions))
        yield from self._placed("answer", map(self.write_answer, record.answers))
        yield from self._placed("infusion", map(self.write_infusion, record.infusions))

    def _placed(self, name: str, resources: Iterable[Json]) -> Iterator[Unit]:
        for number, resource in enumerate(resources):
            yield _unit(resource | {"id": f"{self.place}{name}-{number}", "subject": self.subject})

    def write_datum(self, datum: DatumForm) -> Json:
        """A value as an Observation."""
        code = _code(datum)
        measurement = self._measured(datum, code)
        specimen = {"resourceType": "Specimen", "id": "s", "type": _concept(CodeSystem.SPECIMEN.value, datum.specimen)}
        return element(
            resourceType="Observation",
            status=datum.status,
            code={"coding": [_assayed(measurement, datum, code)]},
            contained=[] if datum.specimen is None else [specimen],
            specimen=None if datum.specimen is None else {"reference": "#s"},
            effectiveDateTime=datum.at if datum.since is None else None,
            effectivePeriod=None if datum.since is None else element(start=datum.since, end=datum.at),
            referenceRange=_upper_limit(datum),
            note=None if datum.note is None else [note_of_ours(datum.note)],
            **_value_of(measurement, datum),
        )

    def _measured(self, datum: DatumForm, code: Json) -> Measurement | None:
        """What a datum is, by its name or its code."""
        system = find_system(code.get("system"))
        found = index(self.knowledge).data.get((system, code.get("code", "")), ())
        return self.knowledge.measurements[found[0][0]] if found else None

    def write_condition(self, condition: ConditionForm) -> Json:
        """What is there or not, as the resource that can say so."""
        code = {"coding": [_code(condition)]}
        return (
            _medication(condition, code)
            if self._is_medication(condition, code["coding"][0])
            else _state(condition, code)
        )

    def _is_medication(self, condition: ConditionForm, code: Json) -> bool:
        definition = self.knowledge.conditions.get(condition.name or "")
        is_drug = find_system(code.get("system")) in DRUG_SYSTEMS
        return is_drug or (definition is not None and definition.kind in ("medication", "therapy"))

    def write_answer(self, answer: AnswerForm) -> Json:
        """An answer as a form of one item."""
        value = write_value(self.knowledge.measurements.get(answer.name), answer.answer, as_words=True)
        return element(
            resourceType="QuestionnaireResponse",
            status="completed",
            authored=answer.at,
            author=element(display=answer.by),
            item=[{"linkId": answer.name, "answer": [value]}],
        )

    def write_infusion(self, infusion: InfusionForm) -> Json:
        """An infusion of the product as an administration; its lot is contained in it."""
        product, number = {"coding": [coding(DATUM, INFUSION)]}, infusion.recorded_as
        lot = {"resourceType": "Medication", "id": "lot", "code": product, "batch": {"lotNumber": infusion.lot}}
        return element(
            resourceType="MedicationAdministration",
            identifier=[] if not number else [element(system=RECORDED_INFUSION, value=number)],
            contained=[lot] if infusion.lot else [],
            status=infusion.status,
            medicationCodeableConcept=None if infusion.lot else product,
            medicationReference={"reference": "#lot"} if infusion.lot else None,
            effectiveDateTime=infusion.started,
            dosage=_given_volume(infusion.volume),
            reasonCode=[] if infusion.deviation is None else _deviation(infusion.deviation),
        )


def _given_volume(text: str | None) -> Json | None:
    """The dosage of an administration whose volume is stated; what cannot be read as one is not stated."""
    quantity = None if text is None else _quantity(None, text)
    return None if quantity is None else {"dose": quantity}


def write_patient(patient: PatientForm) -> Json:
    """The person; the sex is that which weights are predicted by."""
    died = patient.deceased
    return element(
        resourceType="Patient",
        id=patient.id,
        identifier=[element(system=one.system, value=one.value) for one in patient.identifiers],
        name=[] if not patient.name else [{"text": patient.name}],
        birthDate=patient.born,
        extension=[] if patient.sex is None else [{"url": SEX_FOR_CLINICAL_USE, "valueCode": patient.sex}],
        deceasedBoolean=died if isinstance(died, bool) else None,
        deceasedDateTime=died if isinstance(died, str) else None,
    )


def _deviation(deviation: DeviationForm) -> list[Json]:
    """The gate's answer with the reason of who gave it, then each reason of the gate."""
    said = [{"coding": [element(system=DEVIATION, code=deviation.gate)], "text": deviation.reason}]
    return [*said, *({"coding": [{"system": DEVIATION}], "text": one} for one in deviation.because)]


def _assayed(measurement: Measurement | None, datum: DatumForm, code: Json) -> Json:
    """The code of a datum; an assay picks the public code that states it."""
    found = _codes_of_assay(measurement, datum)
    return coding(found[0].system.value, found[0].code) if found else code


def _codes_of_assay(measurement: Measurement | None, datum: DatumForm) -> list[Coding]:
    if measurement is None or datum.assay is None or datum.code is not None:
        return []
    return [one.code for one in measurement.codes if one.assay == datum.assay and one.flag is None]


def _value_of(measurement: Measurement | None, datum: DatumForm) -> Json:
    """The value; one of an assay that the rules do not know is for a person to read."""
    said = datum.value if datum.value is not None else datum.answer
    if datum.assay is None or _codes_of_assay(measurement, datum):
        return write_value(measurement, said)
    return {"valueString": f"{_written(said)} (assay {datum.assay})"}


def write_value(measurement: Measurement | None, said: object, *, as_words: bool = False) -> Json:
    """A value in the FHIR form that its datum demands; what does not fit stays text, for a person to read.

    `as_words` writes a coded answer as text, as the items of forms are answered.
    """
    if isinstance(said, bool):
        return {"valueBoolean": said}
    text = _written(said)
    if not text:
        return {}
    kind = None if measurement is None else measurement.kind
    if kind == "time":
        return {"valueDateTime": text}
    if kind in ("coded", "ordinal") and not as_words:
        return {"valueCodeableConcept": {"coding": [coding(DATUM, text)], "text": text}}
    quantity = None if measurement is None or kind in ("coded", "ordinal") else _quantity(measurement, text)
    return {"valueString": text} if quantity is None else {"valueQuantity": quantity}


def _quantity(measurement: Measurement | None, text: str) -> Json | None:
    parts = split_quantity(text)
    if parts is None:
        return None
    comparator, number, unit = parts
    bare = None if measurement is None else unit_of_bare(measurement)
    return element(value=number, comparator=comparator, unit=unit or bare) | {"value": number}


def _written(said: object) -> str:
    if isinstance(said, Decimal):
        return f"{said:f}" if is_readable(said) else str(said)
    return "" if said is None else str(said).strip()


def _upper_limit(datum: DatumForm) -> list[Json]:
    if datum.upper_limit is None:
        return []
    text = _written(datum.upper_limit)
    high = _quantity(None, text)
    return [{"text": text} if high is None else {"high": high}]


def _code(named: Named) -> Json:
    """The code of a name or of a code with its system; text that is no such code has none, and stays as it is."""
    if named.name is not None:
        return coding(DATUM, named.name)
    text = named.code or ""
    system, bar, code = text.partition("|")
    if bar:
        return coding(system, code)
    try:
        found = parse_code(text)
    except ValueError:
        return coding(DATUM, text)
    return coding(found.system.value, found.code)


def _concept(system: str, code: str | None) -> Json:
    return {"coding": [element(system=system, code=code)]}


def _state(condition: ConditionForm, code: Json) -> Json:
    clinical, verified = STATES.get(condition.status or "", (None, None))
    base = f"{TERMINOLOGY}/condition-"
    unread = None if condition.status is None or verified is not None else {"text": condition.status}
    return element(
        resourceType="Condition",
        code=code,
        clinicalStatus=None if clinical is None else _concept(f"{base}clinical", clinical),
        verificationStatus=unread if verified is None else _concept(f"{base}ver-status", verified),
        onsetDateTime=condition.since,
        abatementDateTime=condition.until,
        recordedDate=condition.recorded,
        identifier=[element(system=RECORDED_EVENT, value=condition.recorded_as)] if condition.recorded_as else None,
    )


def _medication(condition: ConditionForm, code: Json) -> Json:
    return element(
        resourceType="MedicationStatement",
        status=_TAKEN.get(condition.status or "", "unknown"),
        medicationCodeableConcept=code,
        effectivePeriod=element(start=condition.since, end=condition.until),
        dateAsserted=condition.recorded,
    )


def _unit(resource: Json) -> Unit:
    unit = make_unit(Raw(_encoder.encode(resource)))
    assert unit is not None  # every resource that is written here names its type
    return unit
