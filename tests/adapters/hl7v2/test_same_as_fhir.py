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
from tests.one_patient import to_hl7v2
from tests.patients import PatientBundle, severe_and_worsening

AT = "2020-04-06T10:00:00+08:00"
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
