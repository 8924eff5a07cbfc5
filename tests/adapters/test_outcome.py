"""Answers as FHIR: valid, the same each time, and no activity unless the patient is eligible."""

import json
import re
from functools import cache
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fhir_adapters.bundle import read_bundle
from fhir_adapters.outcome import write_bundle, write_plan
from fhir_adapters.record_builder import build_record
from fhir_adapters.writing import encode, instant, patient_reference
from mscprotocol.answer import Assessment, DoseItem, GateResult, Note, PatientItem
from mscprotocol.assessment import assess
from mscprotocol.case import Request
from mscprotocol.knowledge_loader import load_knowledge
from mscprotocol.rulebook import compile_rulebook
from mscprotocol.sample_cases import SampleCase, assess_sample, find_samples
from mscprotocol.treatment import CAUTION
from tests.adapters.fhir_models import checked
from tests.patients import PatientBundle, ready_for_infusion

KNOWLEDGE = load_knowledge()
SAMPLES = {one.name: one for one in find_samples()}
KINDS = ["CarePlan", "RiskAssessment", "ResearchSubject", "Provenance", "Device"]
NEVER = re.compile(r"\b(approved?|recommend\w*|administer\w*)\b", re.IGNORECASE)


@cache
def answer_to(sample: str) -> Assessment:
    return assess_sample(SAMPLES[sample], KNOWLEDGE)


def bundle_of(answer: Assessment) -> dict[str, Any]:
    bundle: dict[str, Any] = json.loads(encode(write_bundle(answer, KNOWLEDGE)))
    return bundle


def part(answer: Assessment, kind: str) -> dict[str, Any]:
    found: dict[str, Any] = next(
        one["resource"] for one in bundle_of(answer)["entry"] if one["resource"]["resourceType"] == kind
    )
    return found


def contained(plan: dict[str, Any], kind: str) -> dict[str, Any]:
    found: dict[str, Any] = next(one for one in plan["contained"] if one["resourceType"] == kind)
    return found


def output(answer: Assessment) -> dict[str, str]:
    parameters = contained(part(answer, "CarePlan"), "Parameters")["parameter"]
    return {one["name"]: next(value for key, value in one.items() if key != "name") for one in parameters}


# -- every sample ----------------------------------------------------------------------------------


@pytest.mark.parametrize("sample", SAMPLES.values(), ids=lambda one: one.name)
def test_the_bundle_of_every_sample_is_valid(sample: SampleCase) -> None:
    answer = answer_to(sample.name)
    content = encode(write_bundle(answer, KNOWLEDGE))
    checked(content)
    entries = json.loads(content)["entry"]
    assert [one["resource"]["resourceType"] for one in entries] == KINDS
    own = {one["fullUrl"] for one in entries}
    assert set(re.findall(r'"reference":"(urn:[^"]+)"', content.decode())) <= own


@pytest.mark.parametrize("sample", SAMPLES.values(), ids=lambda one: one.name)
def test_what_is_said_of_every_sample(sample: SampleCase) -> None:
    answer = answer_to(sample.name)
    plan = part(answer, "CarePlan")
    guidance = contained(plan, "GuidanceResponse")
    assert (plan["status"], plan["intent"]) == ("draft", "proposal")
    assert plan["supportingInfo"] == [{"reference": "#guidance"}]
    assert output(answer)["verdict"] == answer.verdict
    assert output(answer)["trace-sha256"] == answer.trace_sha256
    if answer.verdict == "eligible":
        assert len(plan["activity"]) == len(answer.schedule)
    else:
        assert "activity" not in plan
    assert guidance["status"] == ("data-required" if answer.verdict == "undetermined" else "success")
    needed = [] if answer.verdict == "ineligible" else [one.id for one in answer.needed]
    assert [one["id"] for one in guidance.get("dataRequirement", [])] == needed
    assert guidance["reasonCode"]


@pytest.mark.parametrize("name", ["eligible", "one-lab-open", "pregnant", "high-clotting-risk"])
def test_a_bundle_says_nothing_that_only_a_clinician_may_say(name: str) -> None:
    answer = answer_to(name)
    texts = json.dumps([one["resource"] for one in bundle_of(answer)["entry"]])
    ours = texts.replace(json.dumps([one.text for one in answer.warnings]), "")
    assert not NEVER.search(re.sub(r'"issue": \[.*?\]', "", ours))


# -- what each verdict gives -----------------------------------------------------------------------


def test_the_activities_stand_at_the_times_of_the_schedule() -> None:
    answer = answer_to("eligible")
    details = [one["detail"] for one in part(answer, "CarePlan")["activity"]]
    timings = [one["scheduledTiming"] for one in details]
    assert [one["event"] for one in timings] == [[row.planned] for row in answer.schedule]
    assert [one["repeat"]["boundsPeriod"] for one in timings] == [
        {"start": row.earliest, "end": row.latest} for row in answer.schedule
    ]
    assert {one["quantity"]["value"] for one in details} == {70_000_000}
    assert {one["quantity"]["code"] for one in details} == {"{cells}"}
    assert {(one["status"], one["doNotPerform"]) for one in details} == {("not-started", False)}


def test_the_notes_say_what_limits_the_plan() -> None:
    answer = answer_to("eligible")
    notes = " ".join(one["text"] for one in part(answer, "CarePlan")["note"])
    assert CAUTION in notes
    assert f"Holds until {answer.valid_until}" in notes
    assert "note" not in part(answer_to("one-lab-open"), "CarePlan")


def test_an_undetermined_patient_needs_data_by_their_codes() -> None:
    guidance = contained(part(answer_to("one-lab-open"), "CarePlan"), "GuidanceResponse")
    (requirement,) = guidance["dataRequirement"]
    codes = [(one["system"], one["code"]) for one in requirement["codeFilter"][0]["code"]]
    assert (requirement["type"], requirement["id"]) == ("Observation", "fibrinogen")
    assert ("http://loinc.org", "3255-7") in codes
    assert [one["coding"][0]["code"] for one in guidance["reasonCode"]] == ["COA-01"]


@pytest.mark.parametrize(
    ("sample", "reason"), [("pregnant", "EX-02"), ("improving", "TIM-01"), ("negative-test", "IND-01")]
)
def test_an_ineligible_patient_gets_the_reasons_and_no_activity(sample: str, reason: str) -> None:
    plan = part(answer_to(sample), "CarePlan")
    guidance = contained(plan, "GuidanceResponse")
    assert "activity" not in plan and "period" not in plan and "dataRequirement" not in guidance
    assert reason in [one["coding"][0]["code"] for one in guidance["reasonCode"]]


@pytest.mark.parametrize(
    ("sample", "status"), [("eligible", "eligible"), ("pregnant", "ineligible"), ("one-lab-open", "candidate")]
)
def test_the_status_as_a_research_subject(sample: str, status: str) -> None:
    subject = part(answer_to(sample), "ResearchSubject")
    assert subject["status"] == status
    assert subject["study"]["identifier"]["value"] == "seed-covid-4x"


@pytest.mark.parametrize(
    ("sample", "tier"), [("eligible", "low"), ("high-clotting-risk", "high"), ("one-lab-open", "unknown")]
)
def test_the_risk_is_the_tier_with_what_it_rests_on(sample: str, tier: str) -> None:
    answer = answer_to(sample)
    risk = part(answer, "RiskAssessment")
    (prediction,) = risk["prediction"]
    assert prediction["qualitativeRisk"]["coding"][0]["code"] == tier
    assert prediction["rationale"]
    used = {one.reference for one in answer.coagulopathy.panel if one.used}
    assert {one["reference"] for one in risk["basis"]} == used
    assert risk["status"] == "preliminary"


def test_a_tier_that_is_open_states_what_it_is_at_least() -> None:
    answer = answer_to("one-lab-open")
    tier = msgspec.structs.replace(answer.coagulopathy, at_least="moderate")
    risk = part(msgspec.structs.replace(answer, coagulopathy=tier), "RiskAssessment")
    assert risk["prediction"][0]["qualitativeRisk"]["text"] == "unknown, at least moderate"


def test_where_an_answer_comes_from() -> None:
    answer = answer_to("eligible")
    provenance = part(answer, "Provenance")
    hashes = [one["what"]["identifier"]["value"] for one in provenance["entity"]]
    assert hashes == [answer.rulebase.sha256, answer.input_sha256]
    assert len(provenance["target"]) == 3
    assert provenance["recorded"] == answer.at


# -- what must wait --------------------------------------------------------------------------------


@pytest.mark.parametrize("sample", ["high-clotting-risk", "weight-unknown"])
def test_a_withheld_dose_puts_every_infusion_on_hold_without_a_quantity(sample: str) -> None:
    answer = answer_to(sample)
    details = [one["detail"] for one in part(answer, "CarePlan")["activity"]]
    assert {one["status"] for one in details} == {"on-hold"}
    assert all(one["statusReason"]["text"] == "; ".join(answer.dose.because) for one in details)
    assert not any("quantity" in one for one in details)


@pytest.mark.parametrize(
    ("decision", "held"),
    [("go", []), ("hold", [1]), ("stop", [1, 2, 3, 4])],
)
def test_a_gate_that_does_not_open_holds_the_infusions_behind_it(decision: str, held: list[int]) -> None:
    gate = GateResult(1, decision, ["tier: high"])
    plan = part(msgspec.structs.replace(answer_to("eligible"), gate=gate), "CarePlan")
    on_hold = [number for number, one in enumerate(plan["activity"], 1) if one["detail"]["status"] == "on-hold"]
    assert on_hold == held


def test_an_infusion_that_was_started_is_completed_and_has_no_planned_quantity() -> None:
    answer = answer_to("eligible")
    rows = [msgspec.structs.replace(answer.schedule[0], status="given"), *answer.schedule[1:]]
    activity = part(msgspec.structs.replace(answer, schedule=rows), "CarePlan")["activity"]
    assert [one["detail"]["status"] for one in activity] == ["completed"] + ["not-started"] * 3
    assert "quantity" not in activity[0]["detail"]


def test_the_gate_of_an_infusion_is_said() -> None:
    one = ready_for_infusion("gated")
    record = build_record(read_bundle(one.to_json()), KNOWLEDGE)
    answer = assess(record, compile_rulebook(KNOWLEDGE, "seed-covid-4x"), Request(one.at, "infusion"))
    assert output(answer)["gate"] == "go"
    checked(encode(write_bundle(answer, KNOWLEDGE)))


def test_an_answer_that_comes_back_with_the_record_changes_nothing() -> None:
    answer, sample = answer_to("eligible"), SAMPLES["eligible"]
    returned = [(sample.folder / "input.json").read_bytes(), encode(write_bundle(answer, KNOWLEDGE))]
    record = build_record(read_bundle(returned), KNOWLEDGE)
    again = assess(record, compile_rulebook(KNOWLEDGE, sample.protocol), sample.request)
    assert again.trace_sha256 == answer.trace_sha256


# -- identity, numbers, times, words ---------------------------------------------------------------


def test_the_same_answer_gives_the_same_bytes_and_another_answer_other_ids() -> None:
    first, again = answer_to("eligible"), assess_sample(SAMPLES["eligible"], KNOWLEDGE)
    assert encode(write_bundle(first, KNOWLEDGE)) == encode(write_bundle(again, KNOWLEDGE))
    ids = [{entry["fullUrl"] for entry in bundle_of(answer_to(name))["entry"]} for name in ("eligible", "stable")]
    assert not ids[0] & ids[1]
    assert write_plan(first, KNOWLEDGE) == write_bundle(first, KNOWLEDGE)["entry"][0]["resource"]


def test_numbers_keep_all_their_digits() -> None:
    answer = answer_to("eligible")
    dose = msgspec.structs.replace(answer.dose, cells="70350000.000000000000001")
    content = encode(write_bundle(msgspec.structs.replace(answer, dose=dose), KNOWLEDGE))
    assert b'"value":70350000.000000000000001,' in content


def test_offsets_have_no_seconds() -> None:
    assert instant("1900-01-01T08:05:43+08:05:43") == "1900-01-01T00:00:00+00:00"
    assert instant("2020-04-06T10:00:00+05:30") == "2020-04-06T10:00:00+05:30"


@pytest.mark.parametrize(
    ("identity", "expected"),
    [
        ("p-1.a", {"reference": "Patient/p-1.a"}),
        (
            "a b",
            {
                "type": "Patient",
                "identifier": {"system": "https://mscprotocol.example/fhir/sid/patient", "value": "a b"},
            },
        ),
    ],
)
def test_a_patient_whose_id_is_no_address_is_named_by_identifier(identity: str, expected: dict[str, Any]) -> None:
    assert patient_reference(PatientItem(identity, [], "", None, None)) == expected


def test_a_patient_of_messages_is_named_by_the_identifier_of_its_id() -> None:
    """`Patient/4711` would be whoever has that id on the server."""
    stated = [
        {"system": f"urn:x-hl7v2:authority:{name}", "value": value} for name, value in (("A", "1"), ("B", "4711"))
    ]
    patient = PatientItem("4711^^^&1.2.3&ISO", stated, "", None, None)
    assert patient_reference(patient) == {"type": "Patient", "identifier": stated[1]}
    bundle = write_bundle(msgspec.structs.replace(answer_to("eligible"), patient=patient), KNOWLEDGE)
    subjects = [one["resource"].get("subject") for one in bundle["entry"]]
    assert {"type": "Patient", "identifier": stated[1]} in subjects
    assert "Patient/4711" not in str(bundle)


def test_evidence_without_an_address_is_named_in_words() -> None:
    answer = answer_to("eligible")
    panel = [msgspec.structs.replace(one, reference="OBX 3 of MSG1") for one in answer.coagulopathy.panel]
    tier = msgspec.structs.replace(answer.coagulopathy, panel=panel)
    risk = part(msgspec.structs.replace(answer, coagulopathy=tier), "RiskAssessment")
    assert {"display": "D-dimer: OBX 3 of MSG1"} in risk["basis"]
    assert not any("reference" in one for one in risk["basis"])


HOSTILE = '<script>alert("x")</script> & \x00\x0b'


def test_a_name_is_never_markup() -> None:
    bundle = PatientBundle("x", "2020-04-06T10:00:00+08:00", name=HOSTILE)
    record = build_record(read_bundle(bundle.to_json()), KNOWLEDGE)
    answer = assess(record, compile_rulebook(KNOWLEDGE, "seed-covid-4x"), Request(bundle.at))
    for kind in ("CarePlan", "ResearchSubject"):
        div = part(answer, kind)["text"]["div"]
        assert "&lt;script&gt;" in div and "<script" not in div and "\x00" not in div
    checked(encode(write_bundle(answer, KNOWLEDGE)))


@given(st.text(), st.text(min_size=1), st.text(min_size=1))
@example("\u2003", "\xa0", "\x85")
def test_whatever_text_came_with_a_record_the_plan_is_valid(name: str, note: str, identity: str) -> None:
    answer = answer_to("one-lab-open")
    changed = msgspec.structs.replace(
        answer,
        patient=msgspec.structs.replace(answer.patient, name=name, id=identity),
        data_quality=[Note(note, note)],
        dose=DoseItem("withheld", [note]),
    )
    checked(encode(write_plan(changed, KNOWLEDGE)))
