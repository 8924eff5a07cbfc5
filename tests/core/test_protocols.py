"""The protocols of the paper: what each may dose, how often, and what is never mixed between them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import msgspec
import pytest

from mscprotocol.answer import Assessment
from mscprotocol.assessment import assess, assess_all
from mscprotocol.case import Request
from mscprotocol.case_records import AT, Given, build_record
from mscprotocol.dosing import DosePlan, Product, choose_level, plan_dose
from mscprotocol.errors import KnowledgeError, RequestError
from mscprotocol.knowledge import KnowledgeBase
from mscprotocol.knowledge_forms import parse_quantity
from mscprotocol.knowledge_loader import _check_protocol
from mscprotocol.protocols import Dose, Protocol, Schedule, Sourced, TrialProduct
from mscprotocol.rulebook import compile_rulebook
from mscprotocol.sample_cases import SampleCase, find_samples

LEVELS = {
    "seed-covid-4x": "1.0",
    "leng-2020": "1.0",
    "guo-2020": "1.0",
    "zheng-2014": "1.0",
    "start-phase1": "1 5 10",
    "start-phase2a": "10",
    "he-2018": "1 2 3",
    "ciss-2018": "0.3 1.0 3.0",
}
INFORMATION = {"sengupta-2020", "chictr2000030261", "nct04276987", "remestemcel-l", "multistem"}
SINGLE = sorted(LEVELS.keys() - {"seed-covid-4x"})

# A ventilated patient with none of the exclusions of START, low in the coagulopathy tier.
VENTILATED: Given = {
    "born": "1962-03-14", "sex": "male", "weight": "82 kg @ 5 h", "height": "175 cm @ 5 h",
    "oxygen_support": "imv @ 1 h", "pf_ratio": "125 mmHg @ 1 h", "peep": "12 cmH2O @ 1 h", "ards": "active @ 40 h",
    "bilateral_opacities": "yes", "left_atrial_hypertension": "no", "hfov": "no",
    "d_dimer": ["0.6 mg/L @ 26 h upper 0.5 assay FEU", "0.6 mg/L @ 2 h upper 0.5 assay FEU"],
    "platelets": "210 10*9/L @ 2 h", "inr": "1.1 INR @ 2 h", "pt": "13 s @ 2 h upper 13.5", "map": "78 mmHg @ 1 h",
    "fibrinogen": "4.8 g/L @ 2 h", "bilirubin": "0.8 mg/dL @ 3 h", "creatinine": "0.9 mg/dL @ 3 h",
    "gcs": "15 score @ 1 h",
    **dict.fromkeys(
        ("pregnancy", "breastfeeding", "malignancy", "cancer_treatment", "venous_thromboembolism", "vte_suspected",
         "arterial_thrombosis", "hit", "thrombophilia_with_event", "liver_failure", "home_oxygen",
         "chronic_respiratory_disease", "moribund", "irreversible_disease", "not_full_support", "major_trauma",
         "lung_transplant", "pulmonary_hypertension", "prisoner", "vasopressor", "shock"),
        "no",
    ),
}  # fmt: skip


def answer_by(
    knowledge: KnowledgeBase, protocol: str, given: Given = VENTILATED, level: str | None = None, **asked: object
) -> Assessment:
    request = Request(AT, dose_level=None if level is None else Decimal(level), **asked)  # type: ignore[arg-type]
    return assess(build_record(knowledge, given), compile_rulebook(knowledge, protocol), request)


# -- what there is --


def test_every_protocol_of_the_paper_is_there(knowledge: KnowledgeBase) -> None:
    assert set(knowledge.protocols) == set(LEVELS)
    assert set(knowledge.information) == INFORMATION


@pytest.mark.parametrize("name", [*LEVELS, *sorted(INFORMATION)])
def test_every_fact_has_a_source_with_its_mark(name: str, knowledge: KnowledgeBase) -> None:
    card = knowledge.protocols.get(name) or knowledge.information[name]
    assert all(fact.sources for fact in card.facts)
    about = {fact.about for fact in card.facts}
    wanted = {"registration", "product", "dose", "route"} if name != "seed-covid-4x" else {"product", "route", "timing"}
    assert wanted <= about
    if name in SINGLE:
        assert about >= {"treated", "passage", "infusions", "interval"}


@pytest.mark.parametrize("name", sorted(INFORMATION))
def test_t12_t13_h52_what_is_for_information_has_no_dose_and_no_schedule(name: str, knowledge: KnowledgeBase) -> None:
    card = knowledge.information[name]
    assert not hasattr(card, "dose")
    assert not hasattr(card, "schedule")
    assert name not in knowledge.protocols
    if card.product.kind == "exosomes":
        doses = [fact.text for fact in card.facts if fact.about == "dose"]
        assert doses
        assert not any("cells/kg" in text for text in doses)
        assert {"ROU-03", "ROU-04"} <= set(card.statements)


def test_h52_exosomes_can_never_be_given_a_dose_in_cells(knowledge: KnowledgeBase) -> None:
    leng = knowledge.protocols["leng-2020"]
    raw = {name: getattr(leng, name) for name in Protocol.model_fields}
    with pytest.raises(ValueError, match="only cells are dosed"):
        Protocol.model_validate({**raw, "product": TrialProduct(kind="exosomes", state="not stated")})


# -- dose levels --


@pytest.mark.parametrize(("name", "levels"), LEVELS.items())
def test_dos_05_the_list_of_levels_is_closed(name: str, levels: str, knowledge: KnowledgeBase) -> None:
    dose = knowledge.protocols[name].dose
    assert [one.value.value for one in dose.levels] == [Decimal(text) for text in levels.split()]
    for number in map(Decimal, ("0.1", "0.3", "1", "2", "3", "4", "5", "10", "11")):
        listed = number in {Decimal(text) for text in levels.split()}
        assert (choose_level(dose, number)[0] == "known") is listed


@pytest.mark.parametrize(("name", "asked"), [("start-phase1", "1, 5 or 10"), ("he-2018", "1, 2 or 3")])
def test_a_cohort_that_was_not_chosen_is_asked_for_and_never_guessed(
    name: str, asked: str, knowledge: KnowledgeBase
) -> None:
    found = answer_by(knowledge, name)
    assert found.dose.status == "withheld"
    assert found.dose.cells is None
    assert any(f"Which cohort: {asked} x 10^6 cells/kg?" in text for text in found.dose.because)


@pytest.mark.parametrize(("level", "cells"), [("1", "70566000"), ("5", "352830000"), ("10", "705660000")])
def test_t7_start_doses_by_predicted_weight(level: str, cells: str, knowledge: KnowledgeBase) -> None:
    found = answer_by(knowledge, "start-phase1", level=level)
    assert (found.verdict, found.dose.status) == ("eligible", "planned")
    assert (found.dose.weight_basis, found.dose.weight_kg) == ("predicted", "70.566")
    assert found.dose.cells == cells
    assert not found.dose.capped


def test_a_level_that_is_not_listed_gives_no_dose(knowledge: KnowledgeBase) -> None:
    found = answer_by(knowledge, "start-phase2a", level="5")
    assert found.dose.status == "withheld"
    assert found.dose.because == ["5 is not a dose level of this protocol: 10 x 10^6 cells/kg."]


def test_h03_an_obese_woman_is_dosed_by_57_kg(knowledge: KnowledgeBase) -> None:
    given = {**VENTILATED, "sex": "female", "weight": "140 kg @ 5 h", "height": "165 cm @ 5 h"}
    found = answer_by(knowledge, "start-phase2a", given)
    assert found.dose.weight_kg is not None
    assert Decimal(found.dose.weight_kg).quantize(Decimal("0.01")) == Decimal("56.97")
    assert found.dose.actual_to_predicted == "2.46"
    assert any("2.46 times" in text for text in found.dose.warnings)


@pytest.mark.parametrize("lacking", ["height", "sex"])
def test_h03_start_refuses_without_height_or_sex(lacking: str, knowledge: KnowledgeBase) -> None:
    given = {name: said for name, said in VENTILATED.items() if name != lacking}
    found = answer_by(knowledge, "start-phase2a", given)
    assert found.dose.status == "withheld"
    assert any("weight is not known" in text for text in found.dose.because)
    enrolled = answer_by(knowledge, "start-phase2a", given, stage="enrolment")
    assert next(one for one in enrolled.criteria if one.id == "DOS-07").status == "unknown"


def test_at_moderate_risk_of_clotting_no_level_above_one_is_dosed_or_lowered(knowledge: KnowledgeBase) -> None:
    given = {**VENTILATED, "platelets": "149 10*9/L @ 2 h"}
    low, high = (answer_by(knowledge, "start-phase1", given, level) for level in ("1", "5"))
    assert (low.coagulopathy.tier, low.dose.status) == ("moderate", "planned")
    assert (high.dose.status, high.dose.cells) == ("withheld", None)
    assert "At moderate risk of clotting" in high.dose.because[0]


@pytest.mark.parametrize(("weight", "cells", "capped"), [("100", 300_000_000, False), ("101", 300_000_000, True)])
def test_ciss_has_its_own_limit(weight: str, cells: int, capped: bool, knowledge: KnowledgeBase) -> None:
    protocol = knowledge.protocols["ciss-2018"]
    assert protocol.dose.max_cells is not None
    assert protocol.dose.max_cells.mark == "recalled"
    plan = DosePlan(protocol.dose, knowledge.practices[protocol.practice], protocol.dose.levels[-1])
    found = plan_dose(plan, Decimal(weight), Product())
    assert (found.cells, found.is_capped) == (cells, capped)


def fixed(million: str = "300") -> Dose:
    level = Sourced(value=parse_quantity(f"{million} 10*6"), source="multistem", mark="read")
    return Dose(levels=(level,))


def test_a_fixed_number_of_cells_needs_no_weight(knowledge: KnowledgeBase) -> None:
    dose, practice = fixed(), knowledge.practices["site-default"]
    for weight in (None, Decimal(40), Decimal(140)):
        found = plan_dose(DosePlan(dose, practice, dose.levels[0]), weight, Product(Decimal(10), "viable"))
        assert found.cells == 300_000_000
        assert found.cells_per_kg is None
        assert found.volume_ml == 30
        assert "/kg" not in " ".join(line.working + line.result for line in found.lines)


def test_a_protocol_of_fixed_doses_is_assessed_without_a_weight(knowledge: KnowledgeBase) -> None:
    protocol = knowledge.protocols["start-phase2a"].model_copy(update={"dose": fixed(), "id": "synthetic"})
    other = replace(knowledge, protocols={"synthetic": protocol})
    given = {name: said for name, said in VENTILATED.items() if name not in ("weight", "height")}
    found = answer_by(other, "synthetic", given)
    assert (found.dose.status, found.dose.cells, found.dose.weight_kg) == ("planned", "300000000", None)


def test_cells_per_kg_without_a_weight_are_refused(knowledge: KnowledgeBase) -> None:
    protocol = knowledge.protocols["leng-2020"]
    plan = DosePlan(protocol.dose, knowledge.practices[protocol.practice], protocol.dose.levels[0])
    with pytest.raises(ValueError, match="need a weight"):
        plan_dose(plan, None, Product())


def test_a_level_that_counts_anything_but_cells_does_not_load() -> None:
    vesicles = Sourced(value=parse_quantity("2 10*8{vesicles}"), source="nct04276987", mark="read")
    with pytest.raises(ValueError, match="a level counts cells"):
        Dose(levels=(vesicles,))


def test_a_level_above_the_ceiling_does_not_load(knowledge: KnowledgeBase) -> None:
    protocol = knowledge.protocols["leng-2020"]
    slip = protocol.dose.levels[0].model_copy(update={"value": parse_quantity("10.1 10*6/kg")})
    wrong = protocol.model_copy(update={"dose": protocol.dose.model_copy(update={"levels": (slip,)})})
    with pytest.raises(KnowledgeError, match="above the ceiling"):
        _check_protocol(knowledge, wrong)


# -- how often --


@pytest.mark.parametrize("name", SINGLE)
def test_t4_sch_04_a_trial_of_one_infusion_never_gets_four(name: str, knowledge: KnowledgeBase) -> None:
    protocol = knowledge.protocols[name]
    assert (protocol.schedule.count, protocol.schedule.interval) == (1, None)
    assert "SCH-04" in protocol.statements
    assert not {"SCH-02", "SCH-03", "SCH-01"} & {*protocol.statements, *protocol.criteria}


def test_sch_04_one_row_and_no_second_infusion(knowledge: KnowledgeBase) -> None:
    found = answer_by(knowledge, "start-phase2a")
    assert len(found.schedule) == 1
    given = {**VENTILATED, "infusions": "completed @ 72 h"}
    after = answer_by(knowledge, "start-phase2a", given, stage="infusion")
    assert [row.status for row in after.schedule] == ["given"]
    assert after.gate is not None
    assert after.gate.decision == "stop"
    assert "course: complete" in after.gate.because


def test_several_infusions_need_an_interval() -> None:
    four = Sourced(value=parse_quantity("4 {infusions}"), source="li-2020", mark="paper")
    with pytest.raises(ValueError, match="several infusions need interval"):
        Schedule(max_infusions=four)


def test_t9_guo_records_both_and_plans_one(knowledge: KnowledgeBase) -> None:
    guo = knowledge.protocols["guo-2020"]
    texts = " ".join(fact.text for fact in guo.facts)
    assert "1 to 3" in texts
    assert "severe or critical" in texts
    assert guo.schedule.max_infusions.mark == "site"


# -- what is never mixed --


def test_t2_h37_moderate_ards_is_critical_covid_and_never_moderate(knowledge: KnowledgeBase) -> None:
    given = {**VENTILATED, "sars_cov_2_test": "positive @ 2 d", "pneumonia": "active @ 3 d"}
    ards, covid = (answer_by(knowledge, name, given) for name in ("start-phase2a", "seed-covid-4x"))
    assert ards.verdict == "eligible"
    assert covid.severity["nhc"].class_ == "critical"
    assert next(one for one in covid.criteria if one.id == "IND-02").status == "unknown"
    assert not {"IND-02", "IND-06", "IND-08"} & {one.id for one in ards.criteria}


def test_t15_no_sepsis_protocol_reads_sepsis_3(knowledge: KnowledgeBase) -> None:
    for name in ("he-2018", "ciss-2018"):
        book = compile_rulebook(knowledge, name)
        for criterion in knowledge.protocols[name].criteria:
            if criterion.startswith(("IND", "TIM")):
                assert not {"sepsis", "septic_shock"} & set(book.tokens_behind(book.roots[criterion]))


@pytest.mark.parametrize("name", [name for name in LEVELS if name not in ("leng-2020", "guo-2020", "seed-covid-4x")])
def test_ace2_is_asked_of_covid_protocols_only(name: str, knowledge: KnowledgeBase) -> None:
    assert "PRD-02" not in knowledge.protocols[name].criteria
    assert "PRD-02" in knowledge.protocols["leng-2020"].criteria


@pytest.mark.parametrize("name", LEVELS)
def test_the_tier_is_an_overlay_of_the_site_in_every_protocol(name: str, knowledge: KnowledgeBase) -> None:
    protocol = knowledge.protocols[name]
    assert {"COA-01", "COA-08"} <= {*protocol.criteria, *protocol.statements}
    assert knowledge.criteria["COA-08"].sources[0].mark == "site"
    tier = answer_by(knowledge, name, {**VENTILATED, "d_dimer": "4 mg/L @ 2 h upper 0.5 assay FEU"}).dose
    assert tier.status == "withheld"


def test_ex_21_dialysis_or_a_low_clearance(knowledge: KnowledgeBase) -> None:
    card = knowledge.information["nct04276987"]
    assert "EX-21" in card.criteria
    protocol = knowledge.protocols["leng-2020"].model_copy(update={"criteria": ("IND-01", "EX-21", "COA-01")})
    other = replace(knowledge, protocols={"leng-2020": protocol})
    rows = {
        ("14.9 mL/min @ 1 h", "no"): "met",
        ("15 mL/min @ 1 h", "no"): "not_met",
        ("15.1 mL/min @ 1 h", "no"): "not_met",
        ("0.249 mL/s @ 1 h", "no"): "met",
        ("60 mL/min @ 7 d", "no"): "not_met",
        ("60 mL/min @ 7 d 1 min", "no"): "unknown",
        ("60 mL/min @ 1 h", "active @ 5 d"): "met",
        ("60 mL/min @ 1 h", "unsure"): "unknown",
    }
    for (clearance, dialysis), expected in rows.items():
        found = answer_by(other, "leng-2020", {"creatinine_clearance": clearance, "dialysis": dialysis})
        assert next(one for one in found.criteria if one.id == "EX-21").status == expected, (clearance, dialysis)


# -- all in one pass --


@pytest.mark.parametrize("sample", list(find_samples()), ids=lambda sample: sample.name)
def test_one_pass_gives_the_answers_of_one_by_one(sample: SampleCase, knowledge: KnowledgeBase) -> None:
    from fhir_adapters.bundle import read_bundle
    from fhir_adapters.record_builder import build_record as build

    record = build(read_bundle([(sample.folder / "input.json").read_bytes()]), knowledge)
    request = msgspec.structs.replace(sample.request, dose_level=None)
    books = [compile_rulebook(knowledge, name) for name in knowledge.protocols]
    assert assess_all(record, books, request) == [assess(record, book, request) for book in books]


def test_an_onset_makes_an_answer_lapse(knowledge: KnowledgeBase) -> None:
    found = next(one for one in answer_by(knowledge, "start-phase2a").criteria if one.id == "TIM-04")
    assert found.expires == (AT + timedelta(hours=56)).isoformat()


@pytest.mark.parametrize(
    "denied", [{"ards_onset_within_week": "no"}, {"ards": ["active @ 40 h", "no"]}], ids=["a part", "the whole"]
)
def test_what_is_disputed_is_asked_for_itself_never_when_it_began(denied: Given, knowledge: KnowledgeBase) -> None:
    # An answer to TIM-04 cannot close it (criteria/cases/trials.yaml), so no set may promise that it does.
    found = answer_by(knowledge, "start-phase2a", {**VENTILATED, **denied})
    assert [(one.id, one.reason, one.settles) for one in found.needed] == [("ards", "conflict", ["TIM-04"])]
    assert found.deciding is not None
    assert found.deciding.exclude == []
    assert found.deciding.allow.blocked == ["TIM-04"]


@pytest.mark.parametrize(("name", "code"), [("multistem", "information_only"), ("nobody", "unknown_protocol")])
def test_only_an_assessed_protocol_is_compiled(name: str, code: str, knowledge: KnowledgeBase) -> None:
    with pytest.raises(RequestError, match="those that can be assessed") as raised:
        compile_rulebook(knowledge, name)
    assert raised.value.code == code
