"""What is set aside says why in every answer, in FHIR and in our own records; notes of others stay where they are."""

from __future__ import annotations

import json

import pytest

from fhir_adapters.record_builder import build_record
from fhir_adapters.setting_aside import set_aside
from fhir_adapters.sources import read_parts
from mscprotocol.knowledge import KnowledgeBase
from tests.patients import severe_and_worsening

WHY = "set aside: of another bed (Dr Example, now)"
OWN = {"patient": {"id": "anna"}, "data": [{"name": "weight", "value": "70 kg", "at": "2020-04-06T08:00:00Z"}]}


def bundle() -> bytes:
    one = severe_and_worsening("anna", "2020-04-06T10:00:00+00:00")
    one.lab("29463-7", "70", "kg", 3, display="Body weight")
    return one.to_json()


@pytest.mark.parametrize("content", [bundle(), json.dumps(OWN).encode()], ids=["FHIR", "own record"])
def test_why_it_was_set_aside_stands_among_the_notes(content: bytes, knowledge: KnowledgeBase) -> None:
    read = build_record(read_parts([content], knowledge), knowledge)
    weight = read.measurements["weight"][-1]
    marked, found = set_aside(content, {weight.reference: WHY})
    assert found == {weight.reference}
    after = build_record(read_parts([marked], knowledge), knowledge)
    assert weight not in after.measurements.get("weight", ())
    assert len(after.measurements.get("weight", ())) == len(read.measurements["weight"]) - 1
    assert (weight.reference, WHY) in {(one.reference, one.text) for one in after.notes}


@pytest.mark.parametrize("note", [[{"text": "haemolysed"}], "haemolysed", [7], [{"authorString": "Dr Example"}]])
def test_a_note_of_somebody_else_is_not_repeated(note: object, knowledge: KnowledgeBase) -> None:
    tree = json.loads(bundle())
    weight = tree["entry"][-1]["resource"] | {"status": "entered-in-error", "note": note}
    tree["entry"][-1]["resource"] = weight
    after = build_record(read_parts([json.dumps(tree).encode()], knowledge), knowledge)
    about = [one.text for one in after.notes if one.reference == f"Observation/{weight['id']}"]
    assert about == ["the observation is entered-in-error and was left out"]
