"""Whole patients: every sample gives the answer that its description promises, at every turn of its bundle."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from fhir_adapters.bundle import read_bundle
from fhir_adapters.product_lot import read_product_lot
from fhir_adapters.record_builder import build_record
from mscprotocol.answer import Assessment
from mscprotocol.assessment import assess
from mscprotocol.case import Request
from mscprotocol.knowledge import KnowledgeBase
from mscprotocol.rulebook import compile_rulebook
from mscprotocol.sample_cases import assess_sample, find_samples
from tests.sample_patients import SAMPLES, SEED, Sample

CASES = {sample.name: sample for sample in find_samples()}
ELIGIBLE = next(sample for sample in SEED if sample.name == "eligible")


def answer_to(
    knowledge: KnowledgeBase, *files: bytes, request: Request | None = None, protocol: str = "seed-covid-4x"
) -> Assessment:
    record = build_record(read_bundle(list(files)), knowledge)
    return assess(record, compile_rulebook(knowledge, protocol), request or CASES["eligible"].request)


@pytest.mark.parametrize("sample", SEED, ids=lambda sample: sample.name)
def test_shipped_sample_is_as_defined(sample: Sample) -> None:
    for name, content in sample.files().items():
        assert (SAMPLES / sample.name / name).read_bytes() == content, "run: python -m tests.sample_patients"


@pytest.mark.parametrize("name", CASES)
def test_sample_gives_the_expected_answer(name: str, knowledge: KnowledgeBase) -> None:
    answer = assess_sample(CASES[name], knowledge)
    expected = CASES[name].expected
    violated = [
        one.id
        for one in answer.criteria
        if one.mandatory and one.status == ("met" if one.role == "exclusion" else "not_met")
    ]
    found: dict[str, Any] = {
        "verdict": answer.verdict,
        "outlook": answer.outlook,
        "tier": answer.coagulopathy.tier,
        "trend": answer.timing.trend,
        "severity": answer.severity["nhc"].class_,
        "dose": answer.dose.status,
        "gate": None if answer.gate is None else answer.gate.decision,
        "infusions": len(answer.schedule),
        "cells": answer.dose.cells,
        "violated": violated,
        "needed": [need.id for need in answer.needed],
        "planned": [row.planned for row in answer.schedule],
    }
    assert {key: found[key] for key in expected} == expected


def test_the_lot_as_a_file_gives_the_answer_of_the_bundle(knowledge: KnowledgeBase) -> None:
    sample = CASES["lot-at-the-bedside"]
    whole = json.loads((sample.folder / "input.json").read_bytes())
    entries = [entry for entry in whole["entry"] if "focus" not in entry["resource"]]
    patient = read_bundle(json.dumps({**whole, "entry": entries}).encode())
    lot = read_product_lot((sample.folder / "lot.yaml").read_bytes(), "lot.yaml", knowledge)
    book = compile_rulebook(knowledge, "seed-covid-4x")
    without, by_file = (
        assess(build_record(read, knowledge), book, sample.request) for read in (patient, lot.added_to(patient))
    )
    by_bundle = assess_sample(sample, knowledge)
    assert by_file.trace_sha256 == by_bundle.trace_sha256 != without.trace_sha256
    assert by_file.dose == by_bundle.dose
    assert [(one.id, one.status, one.reason) for one in by_file.criteria] == [
        (one.id, one.status, one.reason) for one in by_bundle.criteria
    ]


@pytest.mark.parametrize("name", CASES)
def test_order_and_packaging_change_nothing(name: str, knowledge: KnowledgeBase) -> None:
    bundle = json.loads((CASES[name].folder / "input.json").read_bytes())
    whole = answer_to(
        knowledge, json.dumps(bundle).encode(), request=CASES[name].request, protocol=CASES[name].protocol
    )
    shuffled = list(bundle["entry"])
    random.Random(name).shuffle(shuffled)
    half = len(shuffled) // 2
    parts = [json.dumps({**bundle, "entry": part}).encode() for part in (shuffled[:half], shuffled[half:])]
    assert answer_to(knowledge, *parts, request=CASES[name].request, protocol=CASES[name].protocol) == whole


def test_irrelevant_resources_change_only_the_input_hash(knowledge: KnowledgeBase) -> None:
    bundle = json.loads(ELIGIBLE.build().to_json())
    plain = answer_to(knowledge, json.dumps(bundle).encode())
    bundle["entry"].append({"resource": {"resourceType": "Organization", "id": "o", "name": "Ward 3"}})
    more = answer_to(knowledge, json.dumps(bundle).encode())
    assert more.input_sha256 != plain.input_sha256
    assert more.trace_sha256 == plain.trace_sha256
    assert more.criteria == plain.criteria


MANDATORY = {
    "SARS-CoV-2 test and diagnosis": ("94500-6", "840539006"),
    "platelets": ("777-3",),
    "D-dimer": ("48065-7",),
    "INR and PT": ("6301-6", "5902-2"),
    "fibrinogen": ("3255-7",),
    "oxygenation": ("2703-7", "59408-5", "9279-1"),
    "oxygen support": ("371908008", "3150-0"),
    "bilirubin": ("1975-2",),
    "creatinine": ("2160-0",),
    "coma scale": ("9269-2",),
}


@pytest.mark.parametrize("datum", MANDATORY)
def test_without_one_mandatory_finding_nobody_is_eligible(datum: str, knowledge: KnowledgeBase) -> None:
    answer = answer_to(knowledge, ELIGIBLE.build().without(*MANDATORY[datum]).to_json())
    assert answer.verdict == "undetermined"
    assert answer.dose.status != "planned"
    assert answer.needed


@pytest.mark.parametrize("name", ELIGIBLE.build().resources[-1]["item"], ids=lambda item: str(item["linkId"]))
def test_without_one_bedside_answer_nobody_is_eligible(name: dict[str, Any], knowledge: KnowledgeBase) -> None:
    one = ELIGIBLE.build()
    one.resources[-1]["item"] = [item for item in one.resources[-1]["item"] if item != name]
    answer = answer_to(knowledge, one.to_json())
    assert answer.verdict == "undetermined"
    assert name["linkId"] in {need.id for need in answer.needed}


def test_any_single_resource_removed_never_makes_an_ineligible_sample_eligible_by_silence(
    knowledge: KnowledgeBase,
) -> None:
    """A planned dose needs every datum it rests on: no one resource can vanish and leave a dose for the excluded."""
    for name in ("resolved-dvt", "overt-dic", "pregnant", "improving"):
        bundle = json.loads((CASES[name].folder / "input.json").read_bytes())
        for place in range(1, len(bundle["entry"])):
            fewer = {**bundle, "entry": [entry for spot, entry in enumerate(bundle["entry"]) if spot != place]}
            answer = answer_to(
                knowledge, json.dumps(fewer).encode(), request=CASES[name].request, protocol=CASES[name].protocol
            )
            assert answer.dose.status != "planned", (name, bundle["entry"][place]["resource"]["id"])
