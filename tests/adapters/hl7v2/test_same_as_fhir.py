"""One patient as a FHIR bundle and as ADT with ORU messages: the same answer under the same trace hash.

What both can carry: values with status, code, unit, limits and time; coded answers; procedures; diagnoses without a
clinical status, which DG1 has no field for. Attestations and consents have no place in these messages.
"""

from __future__ import annotations

import random
from datetime import datetime
from typing import Any

import pytest

from fhir_adapters.record_builder import build_record
from fhir_adapters.sources import read_files
from mscprotocol.answer import Assessment
from mscprotocol.assessment import assess
from mscprotocol.case import Request
from mscprotocol.knowledge_loader import load_knowledge
from mscprotocol.rulebook import compile_rulebook
from tests import patients
from tests.adapters.hl7v2.messages import adt, message
from tests.patients import PatientBundle, severe_and_worsening

AT = "2020-04-06T10:00:00+08:00"
SYSTEMS = {patients.LOINC: "LN", patients.SNOMED: "SCT"}
MESSAGE_KINDS = ("Patient", "Observation", "Procedure", "Condition")


def carried(one: PatientBundle) -> PatientBundle:
    """What HL7 v2 can carry of a patient."""
    one.resources = [each for each in one.resources if each["resourceType"] in MESSAGE_KINDS]
    for each in one.resources:
        if each["resourceType"] == "Condition":
            each.pop("clinicalStatus", None)
            each.pop("recordedDate", None)
    return one


def judge(*contents: bytes) -> Assessment:
    knowledge = load_knowledge()
    book = compile_rulebook(knowledge, "seed-covid-4x")
    return assess(build_record(read_files(contents), knowledge), book, Request(at=datetime.fromisoformat(AT)))


def to_hl7v2(one: PatientBundle) -> list[bytes]:
    """The same patient: one admission with diagnoses and procedures, one message for each result."""
    person, *rest = one.resources
    name = person["name"][0]
    born, sex = person["birthDate"].replace("-", ""), person["gender"][0].upper()
    pid = f"PID|1||{one.patient_id}^^^HOSP^MR||{name['family']}^{name['given'][0]}||{born}|{sex}"
    diagnoses = [diagnosis(each) for each in rest if each["resourceType"] == "Condition"]
    procedures = [procedure(each) for each in rest if each["resourceType"] == "Procedure"]
    results = [each for each in rest if each["resourceType"] == "Observation"]
    made = [adt("A01", pid, *diagnoses, *procedures)]
    for number, each in enumerate(results):
        order = f"OBR|1||F{number}|x^X^L|||{time(each['effectiveDateTime'])}"
        made.append(message(pid, order, observation(each), control=str(number)))
    return made


def time(written: str) -> str:
    return datetime.fromisoformat(written).strftime("%Y%m%d%H%M%S%z")


def code(concept: dict[str, Any]) -> str:
    coding = concept["coding"][0]
    return f"{coding['code']}^{coding.get('display', '')}^{SYSTEMS[coding['system']]}"


def observation(one: dict[str, Any]) -> str:
    status = {"final": "F", "preliminary": "P", "corrected": "C"}[one["status"]]
    if "valueCodeableConcept" in one:
        return f"OBX|1|CWE|{code(one['code'])}||{code(one['valueCodeableConcept'])}||||||{status}"
    value = one["valueQuantity"]
    limits = one.get("referenceRange", [])
    upper = f"0-{limits[0]['high']['value']}" if limits else ""
    return f"OBX|1|NM|{code(one['code'])}||{value['value']}|{value['code']}^^UCUM|{upper}||||{status}"


def diagnosis(one: dict[str, Any]) -> str:
    letter = {"confirmed": "F", "provisional": "W"}[one["verificationStatus"]["coding"][0]["code"]]
    return f"DG1|1||{code(one['code'])}||{time(one['onsetDateTime'])}|{letter}"


def procedure(one: dict[str, Any]) -> str:
    return f"PR1|1||{code(one['code'])}||{time(one['performedDateTime'])}"


def complete() -> PatientBundle:
    return carried(severe_and_worsening("p1"))


def with_clot() -> PatientBundle:
    one = severe_and_worsening("p1")
    one.condition("59282003", "Pulmonary embolism", 24)
    return carried(one)


def with_suspected_clot() -> PatientBundle:
    one = severe_and_worsening("p1")
    one.condition("59282003", "Pulmonary embolism", 24, verification="provisional")
    return carried(one)


def intubated() -> PatientBundle:
    one = severe_and_worsening("p1", gases=patients.STABLE)
    one.support(*patients.VENT, 2)
    return carried(one)


def with_preliminary() -> PatientBundle:
    one = severe_and_worsening("p1")
    one.lab("777-3", "40", "10*9/L", 1, status="preliminary")
    return carried(one)


@pytest.mark.parametrize("make", [complete, with_clot, with_suspected_clot, intubated, with_preliminary])
def test_the_same_answer_through_both_doors(make: Any) -> None:
    one = make()
    messages = to_hl7v2(one)
    fhir, hl7v2 = judge(one.to_json()), judge(*messages)
    assert fhir.trace_sha256 == hl7v2.trace_sha256
    assert (fhir.verdict, fhir.outlook) == (hl7v2.verdict, hl7v2.outlook)
    assert [(c.id, c.status, c.reason) for c in fhir.criteria] == [(c.id, c.status, c.reason) for c in hl7v2.criteria]


def test_a_clot_is_seen_through_both_doors() -> None:
    """The comparison above would pass if both doors saw nothing."""
    assert judge(*to_hl7v2(with_clot())).verdict == "ineligible"
    assert judge(*to_hl7v2(complete())).verdict == "undetermined"


def test_order_and_packaging_of_messages_change_neither_hash() -> None:
    messages = to_hl7v2(with_clot())
    one = judge(*messages)
    random.Random(7).shuffle(messages)
    for other in (judge(*messages), judge(b"\r\n".join(messages)), judge(*messages, messages[0])):
        assert (other.trace_sha256, other.input_sha256) == (one.trace_sha256, one.input_sha256)


def test_another_value_is_another_hash() -> None:
    messages = to_hl7v2(complete())
    changed = [one.replace(b"||210|", b"||90|") for one in messages]
    assert changed != messages
    assert judge(*changed).trace_sha256 != judge(*messages).trace_sha256
