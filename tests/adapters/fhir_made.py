"""Small FHIR resources for the tests of the adapter, made by hand."""

from __future__ import annotations

import json
from typing import Any

from fhir_adapters.bundle import read_bundle
from fhir_adapters.record_builder import build_record
from mscprotocol.knowledge_loader import load_knowledge
from mscprotocol.record import PatientRecord

Json = dict[str, Any]
SYSTEMS = {
    "loinc": "http://loinc.org",
    "snomed": "http://snomed.info/sct",
    "icd10": "http://hl7.org/fhir/sid/icd-10-cm",
    "rxnorm": "http://www.nlm.nih.gov/research/umls/rxnorm",
    "atc": "http://www.whocc.no/atc",
    "unii": "http://fdasis.nlm.nih.gov",
    "local": "http://hospital.example/codes",
}
UCUM = "http://unitsofmeasure.org"
NOON = "2020-04-06T12:00:00Z"
SUBJECT = {"reference": "Patient/p"}


def concept(*codes: str, text: str | None = None, display: str | None = None) -> Json:
    """A concept from codes written like `loinc 777-3`."""
    made: Json = {"coding": [_coding(code, display) for code in codes]} if codes else {}
    return made if text is None else made | {"text": text}


def _coding(code: str, display: str | None) -> Json:
    name, _, value = code.partition(" ")
    made = {"system": SYSTEMS[name], "code": value}
    return made if display is None else made | {"display": display}


def quantity(value: object, unit: str | None = None, **more: object) -> Json:
    made: Json = {"value": value} if value is not None else {}
    if unit is not None:
        made |= {"unit": unit, "system": UCUM, "code": unit}
    return made | more


def patient(**more: object) -> Json:
    return {"resourceType": "Patient", "id": "p"} | more


def observation(code: str | Json, value: object = None, unit: str | None = None, **more: object) -> Json:
    made: Json = {
        "resourceType": "Observation",
        "id": "o",
        "status": "final",
        "subject": SUBJECT,
        "code": concept(code) if isinstance(code, str) else code,
        "effectiveDateTime": NOON,
    }
    if value is not None:
        made["valueQuantity"] = quantity(value, unit)
    return {key: item for key, item in (made | more).items() if item is not None}


def _status(code: str | None) -> Json | None:
    return None if code is None else {"coding": [{"code": code}]}


def condition(
    code: str | Json, verification: str | None = "confirmed", clinical: str | None = "active", **more: object
) -> Json:
    made: Json = {
        "resourceType": "Condition",
        "id": "c",
        "subject": SUBJECT,
        "code": concept(code) if isinstance(code, str) else code,
        "verificationStatus": _status(verification),
        "clinicalStatus": _status(clinical),
    }
    return {key: item for key, item in (made | more).items() if item is not None}


def allergy(
    code: str | Json, verification: str | None = "confirmed", clinical: str | None = "active", **more: object
) -> Json:
    made = condition(code, verification, clinical) | {
        "resourceType": "AllergyIntolerance",
        "id": "a",
        "patient": SUBJECT,
    }
    del made["subject"]
    return made | more


def procedure(code: str | Json, status: str = "completed", **more: object) -> Json:
    return {
        "resourceType": "Procedure",
        "id": "x",
        "status": status,
        "subject": SUBJECT,
        "code": concept(code) if isinstance(code, str) else code,
    } | more


def administration(code: str | Json, status: str = "in-progress", **more: object) -> Json:
    return {
        "resourceType": "MedicationAdministration",
        "id": "m",
        "status": status,
        "subject": SUBJECT,
        "medicationCodeableConcept": concept(code) if isinstance(code, str) else code,
        "effectiveDateTime": NOON,
    } | more


def form(*items: Json, **more: object) -> Json:
    return {
        "resourceType": "QuestionnaireResponse",
        "id": "q",
        "status": "completed",
        "subject": SUBJECT,
        "authored": NOON,
        "author": {"reference": "Practitioner/dr", "display": "Dr Example"},
        "item": list(items),
    } | more


def answered(link: str, **answer: object) -> Json:
    return {"linkId": link, "answer": [answer]}


def bundle(*resources: Json, **more: object) -> Json:
    return {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [{"resource": resource} for resource in resources],
    } | more


def as_bytes(content: object) -> bytes:
    return json.dumps(content).encode()


def record_of(*resources: Json, who: Json | None = None) -> PatientRecord:
    """The record of the patient with some resources."""
    return build_record(read_bundle(as_bytes(bundle(who or patient(), *resources))), load_knowledge())
