"""Form, our own record, FHIR bundle and messages of one patient: the same verdict and the same trace (decision 24)."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fhir_adapters.record_builder import build_record
from fhir_adapters.sources import read_parts
from mscprotocol.answer import Assessment
from mscprotocol.assessment import assess
from mscprotocol.case import Request
from mscprotocol.knowledge import KnowledgeBase
from mscprotocol.rulebook import compile_rulebook
from mscprotocol.web.pages.screening_state import judge
from tests.one_patient import AT, LABS, LIMITED, SUPPORT, TESTS, OnePatient

ZONE = "Asia/Shanghai"
hours = st.sampled_from([1, 3, 9.5, 20, 26, 40])
labs = st.builds(lambda *one: ("lab", *one, "final"), st.sampled_from(sorted(LABS)), st.integers(0, 3), hours)
limited = st.builds(
    lambda *one: ("limited", *one), st.sampled_from(sorted(LIMITED)), st.integers(0, 1), hours, st.booleans()
)
support = st.builds(lambda *one: ("support", *one), st.sampled_from(sorted(SUPPORT)), hours)
swabs = st.builds(lambda *one: ("test", *one), st.sampled_from(sorted(TESTS)), hours)
answers = st.builds(
    lambda name, said: ("answer", name, said, 0),
    st.sampled_from(["pregnancy", "vasopressor", "hit", "prisoner"]),
    st.booleans(),
)
facts = st.lists(labs | limited | support | swabs, max_size=10)
answered = st.lists(answers, max_size=4, unique_by=lambda one: one[1])


def fill_in(record: dict[str, Any]) -> dict[str, str]:
    """The fields of the form as a person would fill them in from a record."""
    patient = record["patient"]
    fields = {"zone": ZONE, "at": AT.strftime("%Y-%m-%dT%H:%M"), "by": "Dr A. Example"}
    fields |= {"born": patient["born"], "sex": patient["sex"]}
    rows: dict[str, int] = {}
    for datum in record["data"]:
        name = datum["name"]
        rows[name] = rows.get(name, -1) + 1
        key = f"d.{name}.{rows[name]}"
        value, _, unit = datum.get("value", datum.get("answer")).partition(" ")
        upper = datum.get("upper_limit", "").partition(" ")[0]
        at = datetime.fromisoformat(datum["at"]).strftime("%Y-%m-%dT%H:%M")
        said = {"value": value, "unit": unit, "at": at, "upper": upper, "assay": datum.get("assay", "")}
        fields |= {f"{key}.{part}": text for part, text in said.items()}
    for answer in record["answers"]:
        fields[f"c.{answer['name']}.said"] = answer["answer"]
    return fields


def outcome(answer: Assessment) -> tuple[str, str]:
    return answer.verdict, answer.trace_sha256


def by_parts(knowledge: KnowledgeBase, content: bytes) -> Assessment:
    book = compile_rulebook(knowledge, "seed-covid-4x")
    return assess(build_record(read_parts([content], knowledge), knowledge), book, Request(at=AT, zone=ZONE))


@settings(max_examples=25)
@given(facts, answered)
def test_the_form_says_what_the_record_and_the_bundle_say(knowledge: KnowledgeBase, said: Any, more: Any) -> None:
    patient = OnePatient(*said, *more)
    form = judge(knowledge, fill_in(json.loads(patient.record)), None, AT, "UTC", "")
    assert form.error == ""
    assert form.answer is not None
    found = outcome(form.answer)
    assert found == outcome(by_parts(knowledge, patient.record))
    assert found == outcome(by_parts(knowledge, patient.bundle))


@pytest.mark.parametrize("number", ["0.5", "0,5"])
def test_a_decimal_comma_is_a_point(knowledge: KnowledgeBase, number: str) -> None:
    fields = {"zone": ZONE, "d.crp.0.value": number, "d.crp.0.unit": "mg/L", "d.crp.0.at": "2020-04-06T09:00"}
    parts = judge(knowledge, fields, None, AT, "UTC", "").parts
    assert json.loads(parts[0])["data"][0]["value"] == "0.5 mg/L"
