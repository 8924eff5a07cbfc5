"""One thing added to the eligible patient, after the bedside form was filled: nobody stays eligible by silence."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from fhir_adapters.bundle import read_bundle
from fhir_adapters.record_builder import build_record
from mscprotocol.answer import Assessment
from mscprotocol.assessment import assess
from mscprotocol.case import Request
from mscprotocol.knowledge import KnowledgeBase
from mscprotocol.protocols import Stage
from mscprotocol.rulebook import compile_rulebook
from tests.patients import LOT, SNOMED, PatientBundle, ready_for_infusion, severe_and_worsening

STATUS = "http://terminology.hl7.org/CodeSystem/condition-"


def answer(one: PatientBundle, knowledge: KnowledgeBase, stage: Stage = "screening") -> Assessment:
    record = build_record(read_bundle([one.to_json()]), knowledge)
    return assess(record, compile_rulebook(knowledge, "seed-covid-4x"), Request(at=one.at, stage=stage))


def text_only_embolism(one: PatientBundle) -> None:
    confirmed = {"coding": [{"system": f"{STATUS}ver-status", "code": "confirmed"}]}
    active = {"coding": [{"system": f"{STATUS}clinical", "code": "active"}]}
    one.add(
        {
            "resourceType": "Condition",
            "verificationStatus": confirmed,
            "clinicalStatus": active,
            "code": {"text": "Pulmonary embolism"},
            "recordedDate": one.when(0.2),
        }
    )


def procedure(code: dict[str, Any], hours_ago: float | None) -> Callable[[PatientBundle], Any]:
    def add(one: PatientBundle) -> None:
        when = {} if hours_ago is None else {"performedDateTime": one.when(hours_ago)}
        one.add({"resourceType": "Procedure", "status": "in-progress", "code": code, **when})

    return add


def impossible_upper_limit(one: PatientBundle) -> None:
    for resource in one.resources:
        if resource.get("code", {}).get("coding", [{}])[0].get("code") == "48065-7":
            resource["valueQuantity"]["value"] = 3
            resource["referenceRange"] = [{"high": {"value": 500}}]


def untimed_platelets(one: PatientBundle) -> None:
    del one.lab("777-3", "45", "10*9/L", 1)["effectiveDateTime"]


def text_only_platelets(one: PatientBundle) -> None:
    resource = one.lab("777-3", "45", "10*9/L", 0.5)
    resource["code"] = {"text": "Platelets"}


def preliminary_pregnancy(one: PatientBundle) -> None:
    one.coded("2106-3", "10828004", 0.5)["status"] = "preliminary"


def undated_yes(one: PatientBundle) -> None:
    del one.attest({"moribund": True})["authored"]


ADDED: dict[str, tuple[Callable[[PatientBundle], Any], str, str]] = {
    "suspected embolism": (
        lambda one: one.condition("59282003", "Pulmonary embolism", 0.2, verification="differential"),
        "EX-04",
        "needs_review",
    ),
    "embolism by a code outside the set": (
        lambda one: one.condition("233935004", "Acute massive pulmonary embolism", 0.2),
        "EX-04",
        "code_unmapped",
    ),
    "embolism as text": (text_only_embolism, "EX-04", "code_unmapped"),
    "stroke of unknown kind": (lambda one: one.condition("230690007", "Stroke", 0.2), "COA-01", "needs_review"),
    "running ECMO without a start": (
        procedure({"coding": [{"system": SNOMED, "code": "233573008"}]}, None),
        "EX-14",
        "partial_date",
    ),
    "ECMO as text": (procedure({"text": "ECMO"}, 0.3), "EX-14", "code_unmapped"),
    "intubation as text": (procedure({"text": "Endotracheal intubation"}, 0.3), "IND-02", "code_unmapped"),
    "upper limit in another unit": (impossible_upper_limit, "COA-01", "qualifier_missing"),
    "low platelets without a time": (untimed_platelets, "COA-01", "partial_date"),
    "low platelets as text": (text_only_platelets, "COA-01", "code_unmapped"),
    "positive pregnancy test of last week": (lambda one: one.coded("2106-3", "10828004", 24 * 8), "EX-02", "stale"),
    "preliminary pregnancy test": (preliminary_pregnancy, "EX-02", "status_excluded"),
    "a yes without a time": (undated_yes, "EX-07", "conflict"),
    "a yes to the criterion against a no to the finding": (
        lambda one: one.attest({"EX-04": True}, hours_ago=2),
        "EX-04",
        "conflict",
    ),
}


def test_the_base_patient_is_eligible(knowledge: KnowledgeBase) -> None:
    assert answer(severe_and_worsening("base"), knowledge).dose.status == "planned"


@pytest.mark.parametrize("name", ADDED)
def test_what_is_added_leaves_the_criterion_open(name: str, knowledge: KnowledgeBase) -> None:
    add, criterion, reason = ADDED[name]
    one = severe_and_worsening("p")
    add(one)
    found = answer(one, knowledge)
    judged = next(each for each in found.criteria if each.id == criterion)
    assert (found.verdict, judged.status, judged.reason) == ("undetermined", "unknown", reason)
    assert found.dose.status != "planned"


ENROLLED = {"study_authorisation": True, "prior_msc_therapy": False}


def test_consent_that_ended_is_no_consent(knowledge: KnowledgeBase) -> None:
    one = severe_and_worsening("p")
    one.consent()["provision"] = {"type": "permit", "period": {"end": "2020-04-01"}}
    one.attest(ENROLLED)
    assert answer(one, knowledge, "enrolment").verdict == "undetermined"


def test_consent_that_was_withdrawn_is_no_consent(knowledge: KnowledgeBase) -> None:
    one = severe_and_worsening("p")
    one.consent()
    one.attest({**ENROLLED, "consent_withdrawn": True})
    found = answer(one, knowledge, "infusion")
    assert found.verdict == "undetermined"
    assert found.gate is not None
    assert found.gate.decision == "stop"


def test_cells_given_yesterday_are_seen_by_their_words(knowledge: KnowledgeBase) -> None:
    """H33: a product whose code nobody listed is still a product."""
    one = severe_and_worsening("p")
    one.consent()
    one.attest(ENROLLED, hours_ago=30)
    one.add(
        {
            "resourceType": "MedicationAdministration",
            "status": "completed",
            "medicationCodeableConcept": {"text": "mesenchymal stem cells"},
            "effectiveDateTime": one.when(25),
        }
    )
    found = answer(one, knowledge, "infusion")
    assert next(each for each in found.criteria if each.id == "SCH-01").reason == "conflict"
    assert found.gate is not None
    assert found.gate.decision == "hold"


def test_a_lot_that_fails_its_release_gives_no_dose(knowledge: KnowledgeBase) -> None:
    one = severe_and_worsening("p")
    one.attest({"product_viability": ("20", "%"), "product_concentration": ("10", "10*6/mL")})
    found = answer(one, knowledge)
    assert found.dose.status == "withheld"
    assert "REL-01" in " ".join(found.dose.because)
    assert (found.dose.cells, found.dose.volume_ml, found.dose.lines) == (None, None, [])


def test_exosomes_get_no_number_of_cells(knowledge: KnowledgeBase) -> None:
    """H52, T12: not even a withheld dose of a product without cells shows cells, a volume or a proposal."""
    one = severe_and_worsening("p")
    one.attest({"product_type": "exosome", "product_viability": ("90", "%"), "product_label_basis": "viable"})
    one.attest({"product_concentration": ("10", "10*6/mL")})
    dose = answer(one, knowledge).dose
    assert dose.status == "withheld"
    assert "PRD-16" in dose.because[0]
    assert (dose.cells, dose.cells_per_kg, dose.volume_ml, dose.reduced_proposal, dose.lines) == (None,) * 4 + ([],)


def test_exosomes_get_no_proposal_of_fewer_cells(knowledge: KnowledgeBase) -> None:
    one = severe_and_worsening("p").without("48065-7")
    for hours, dimer in ((26, "2.4"), (2, "2.6")):
        one.lab("48065-7", dimer, "mg/L", hours, upper="0.5", display="D-dimer FEU")
    assert answer(one, knowledge).dose.reduced_proposal is not None
    one.lot({"product_type": "exosome"})
    assert answer(one, knowledge).dose.reduced_proposal is None


def test_what_is_stated_below_a_bound_is_reckoned_at_the_bound(knowledge: KnowledgeBase) -> None:
    one = severe_and_worsening("p")
    bounds = {"product_endotoxin": "<0.5 EU/mL", "product_dmso": "<10 %"}
    one.lot({"product_concentration": "10 10*6/mL", "product_label_basis": "viable", **bounds})
    dose = answer(one, knowledge).dose
    assert (dose.endotoxin_eu_per_kg, dose.dmso_g_per_kg) == ("0.05", "0.011")
    assert sum("reckoned at its largest value" in warning for warning in dose.warnings) == 2


@pytest.mark.parametrize(
    ("start", "expiry", "expected"),
    [(0, 60, "met"), (45, 105, "met"), (45, 104, "not_met"), (-45, 60, "met"), (-45, 59, "not_met")],
)
def test_a_lot_lasts_until_the_planned_end(start: int, expiry: int, expected: str, knowledge: KnowledgeBase) -> None:
    """An infusion of an hour, in minutes from now; one whose start has passed cannot end earlier than from now on."""
    one = severe_and_worsening("p")
    one.lot({"product_expiry": timedelta(minutes=expiry)})
    record = build_record(read_bundle([one.to_json()]), knowledge)
    request = Request(at=one.at, start=one.at + timedelta(minutes=start))
    found = assess(record, compile_rulebook(knowledge, "seed-covid-4x"), request)
    assert next(each.status for each in found.criteria if each.id == "PRD-17") == expected


@pytest.mark.parametrize(("tested", "is_cautioned"), [(None, True), (-60, True), (-5, False)])
def test_the_caution_about_ace2_goes_only_when_the_test_came_after_thawing(
    tested: int | None, is_cautioned: bool, knowledge: KnowledgeBase
) -> None:
    one = severe_and_worsening("p")
    dates = {} if tested is None else {"product_ace2_tested_at": timedelta(minutes=tested)}
    one.lot({"product_thawed_at": timedelta(minutes=-15), **dates})
    found = answer(one, knowledge, "infusion")
    assert [warning.about for warning in found.warnings].count("PRD-03") == int(is_cautioned)


def test_an_open_lot_never_opens_the_gate(knowledge: KnowledgeBase) -> None:
    """Every datum that a product criterion rests on holds the gate when it is taken away."""
    whole = ready_for_infusion("p")
    assert answer(whole, knowledge, "infusion").gate.decision == "go"  # type: ignore[union-attr]
    kept = {"product_tissue_factor", "product_confluence", "product_thaw_expiry"}  # of warnings, and of what is longer
    for name in set(LOT) - kept:
        one = ready_for_infusion("p", lot={key: said for key, said in LOT.items() if key != name})
        assert answer(one, knowledge, "infusion").gate.decision == "hold", name  # type: ignore[union-attr]


def test_a_weight_that_nobody_measured_says_so(knowledge: KnowledgeBase) -> None:
    one = severe_and_worsening("p", weight=None)
    one.lab("8335-2", "70", "kg", 3, display="Body weight estimated")
    assert "The weight was estimated, not measured." in answer(one, knowledge).dose.warnings


@pytest.mark.parametrize(("hours", "word"), [(-1, "before"), (24 * 30, "expired")])
def test_a_planned_start_that_the_answer_does_not_cover_says_so(
    hours: int, word: str, knowledge: KnowledgeBase
) -> None:
    one = severe_and_worsening("p")
    record = build_record(read_bundle([one.to_json()]), knowledge)
    request = Request(at=one.at, start=one.at + timedelta(hours=hours))
    found = assess(record, compile_rulebook(knowledge, "seed-covid-4x"), request)
    assert any(word in warning for warning in found.dose.warnings)
