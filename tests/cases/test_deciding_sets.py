"""Deciding sets on whole patients: what a set promises comes true once its data are sent, never without one of them."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import product
from typing import Any

import msgspec
import pytest

from fhir_adapters.bundle import read_bundle
from fhir_adapters.record_builder import build_record
from mscprotocol.answer import Assessment, Deciding
from mscprotocol.assessment import assess
from mscprotocol.case import Request
from mscprotocol.knowledge_loader import load_knowledge
from mscprotocol.rulebook import compile_rulebook
from tests.patients import DENIED, VENT, PatientBundle, severe_and_worsening

# How each laboratory datum is sent, and values from both sides of every limit on it.
LABS: dict[str, tuple[str, str, tuple[str, ...], str | None]] = {
    "platelets": ("777-3", "10*9/L", ("210", "120", "40"), None),
    "inr": ("6301-6", "{INR}", ("1.1", "1.3", "1.8"), None),
    "pt": ("5902-2", "s", ("13", "18", "20.2"), "13.5"),
    "fibrinogen": ("3255-7", "g/L", ("4.8", "8", "0.9"), None),
    "d_dimer": ("48065-7", "mg/L", ("0.6", "1.5", "4.5"), "0.5"),
    "bilirubin": ("1975-2", "mg/dL", ("0.8", "3", "7"), None),
    "creatinine": ("2160-0", "mg/dL", ("0.9", "2.5", "4"), None),
    "gcs": ("9269-2", "{score}", ("15", "12", "7"), None),
}
ANSWERS = (False, True)
Outcome = dict[str, Any]


def patient(lacking: Iterable[str] = ()) -> PatientBundle:
    """The eligible patient without some laboratory data and bedside answers."""
    lacking = set(lacking)
    one = severe_and_worsening("open", denied=tuple(name for name in DENIED if name not in lacking))
    return one.without(*(LABS[name][0] for name in lacking if name in LABS))


def send(one: PatientBundle, outcome: Outcome) -> PatientBundle:
    """The same patient once some data came in."""
    for name, value in outcome.items():
        if name in LABS:
            code, unit, _, upper = LABS[name]
            one.lab(code, value, unit, 0.2, upper=upper)
    answers = {name: value for name, value in outcome.items() if name not in LABS}
    if answers:
        one.attest(answers, hours_ago=0.2)
    return one


def answer_to(one: PatientBundle) -> Assessment:
    knowledge = load_knowledge()
    record = build_record(read_bundle([one.to_json()]), knowledge)
    return assess(record, compile_rulebook(knowledge, "seed-covid-4x"), Request(one.at))


def deciding_of(one: PatientBundle) -> Deciding:
    found = answer_to(one).deciding
    assert found is not None
    return found


def outcomes(data: Iterable[str]) -> Iterator[Outcome]:
    """Every outcome of some data."""
    names = list(data)
    for values in product(*(LABS[name][2] if name in LABS else ANSWERS for name in names)):
        yield dict(zip(names, values, strict=True))


@cache
def verdicts(lacking: frozenset[str], data: frozenset[str]) -> frozenset[str]:
    """The verdicts that the outcomes of some data alone lead to."""
    return frozenset(answer_to(send(patient(lacking), outcome)).verdict for outcome in outcomes(sorted(data)))


SCENARIOS = [
    ("fibrinogen",),
    ("inr",),
    ("inr", "pt"),
    ("platelets",),
    ("d_dimer",),
    ("fibrinogen", "hit"),
    ("bilirubin", "creatinine"),
    ("vte_suspected", "inr"),
    ("pulmonary_hypertension", "prisoner"),
    ("gcs",),
]


@pytest.mark.parametrize("lacking", SCENARIOS, ids="+".join)
def test_a_smallest_set_could_allow_and_does_not_without_one_of_its_data(lacking: tuple[str, ...]) -> None:
    allow = deciding_of(patient(lacking)).allow
    assert allow.smallest
    assert allow.blocked == []
    for one in allow.smallest:
        assert "eligible" in verdicts(frozenset(lacking), frozenset(one)), one
        for name in one:
            assert "eligible" not in verdicts(frozenset(lacking), frozenset(one) - {name}), (one, name)


@pytest.mark.parametrize("lacking", SCENARIOS, ids="+".join)
def test_an_excluding_set_could_exclude_and_does_not_without_one_of_its_data(lacking: tuple[str, ...]) -> None:
    for one in deciding_of(patient(lacking)).exclude:
        for name in one.data:
            assert "ineligible" not in verdicts(frozenset(lacking), frozenset(one.data) - {name}), (one, name)
        violated = [
            [
                c.id
                for c in answer.criteria
                if c.mandatory and c.status == ("met" if c.role == "exclusion" else "not_met")
            ]
            for outcome in outcomes(one.data)
            if (answer := answer_to(send(patient(lacking), outcome))).verdict == "ineligible"
        ]
        assert set(one.criteria) <= {name for names in violated for name in names}, one


@pytest.mark.parametrize("lacking", [one for one in SCENARIOS if len(one) == 1], ids="+".join)
def test_a_datum_in_no_excluding_set_cannot_exclude(lacking: tuple[str, ...]) -> None:
    named = {name for one in deciding_of(patient(lacking)).exclude for name in one.data}
    reached = verdicts(frozenset(lacking), frozenset(lacking))
    assert ("ineligible" in reached) == (set(lacking) <= named)


@pytest.mark.parametrize("seed", range(6))
def test_whatever_makes_a_patient_eligible_holds_an_allowing_set(seed: int) -> None:
    """Half of what the eligible patient's record held is taken out; parts of it come back."""
    chance = random.Random(seed)
    asked = [*LABS, *DENIED]
    lacking = chance.sample(asked, 10)
    allow = deciding_of(patient(lacking)).allow
    for share in (0.3, 0.7, 0.9, 1):
        back = [name for name in lacking if chance.random() < share]
        verdict = answer_to(patient([name for name in lacking if name not in back])).verdict
        assert (verdict == "eligible") <= (set(allow.always) <= set(back)), back
        assert (verdict == "eligible") <= all(any(set(way) <= set(back) for way in one.any_of) for one in allow.all_of)


def test_the_bedside_answers_that_allow_and_those_that_exclude() -> None:
    lacking = tuple(name for name in DENIED if name not in ("vasopressor", "shock"))
    found = deciding_of(patient(lacking))
    assert found.complete
    for one in found.allow.smallest:
        assert answer_to(send(patient(lacking), dict.fromkeys(one, False))).verdict == "eligible"
    for name in found.allow.smallest[0]:
        rest = [other for other in found.allow.smallest[0] if other != name]
        assert answer_to(send(patient(lacking), dict.fromkeys(rest, False))).verdict == "undetermined", name
    alone = {one.data[0] for one in found.exclude if len(one.data) == 1}
    assert {"venous_thromboembolism", "malignancy", "pregnancy", "prisoner", "hit"} <= alone
    assert ["pulmonary_hypertension", "who_class_3_or_4"] in [sorted(one.data) for one in found.exclude]
    for one in found.exclude:
        assert answer_to(send(patient(lacking), dict.fromkeys(one.data, True))).verdict == "ineligible", one
        for name in one.data:
            rest = dict.fromkeys(set(one.data) - {name}, True)
            assert answer_to(send(patient(lacking), rest)).verdict == "undetermined", (one, name)


def test_what_only_a_clinician_can_close_is_a_datum_of_its_own() -> None:
    one = severe_and_worsening("critical")
    one.support(*VENT, 0.5)
    found = deciding_of(one)
    assert [sorted(item) for item in found.allow.smallest] == [["IND-02", "hfov"]]
    assert sorted(item.data for item in found.exclude) == [["IND-02"], ["hfov"]]
    assert {item.id: item.bedside for item in found.data} == {"IND-02": True, "hfov": True}
    assert answer_to(send(one, {"IND-02": True, "hfov": False})).verdict == "eligible"


def test_a_review_waits_for_the_data_that_lead_to_it() -> None:
    """Non-invasive ventilation leaves the class open whatever else is known; only then a clinician is asked."""
    lacking = ("shock",)
    one = patient(lacking)
    one.support("447837008", "Non-invasive ventilation", 0.5)
    found = deciding_of(one)
    assert found.allow.smallest == [["shock", "IND-02"]]
    assert answer_to(send(one, {"shock": False, "IND-02": True})).verdict == "eligible"


def test_a_trend_without_points_names_the_signals_that_could_make_it() -> None:
    found = deciding_of(patient().without("2703-7", "3150-0", "9279-1", "59408-5"))
    trend = next(one for one in found.allow.all_of if one.criterion == "TIM-01")
    assert ["trend:pf_ratio"] in trend.any_of
    text = {one.id: one.datum for one in found.data}["trend:pf_ratio"]
    assert "more PaO2/FiO2" in text


def test_a_conflicting_trend_blocks_what_no_open_datum_can_close() -> None:
    one = patient().without("9279-1")
    for hours, rate in ((25, "38"), (18, "34"), (12, "29"), (6, "24"), (1, "20")):
        one.lab("9279-1", rate, "/min", hours, display="Respiratory rate")
    answer = answer_to(one)
    assert answer.timing.trend == "conflicting"
    assert answer.deciding is not None
    assert (answer.deciding.allow.blocked, answer.deciding.allow.smallest) == (["TIM-01"], [])


def test_a_settled_verdict_has_no_deciding_sets() -> None:
    assert answer_to(patient()).deciding is None
    assert answer_to(send(patient(), {"prisoner": True})).deciding is None


# -- until when ------------------------------------------------------------------------------------


def test_the_deadline_is_the_first_lapse_of_what_the_sets_count_on() -> None:
    found = deciding_of(patient(("fibrinogen",)))
    assert found.by is not None
    assert (found.by.kind, found.by.lapses) == ("criterion", "IND-02")


def test_a_finding_of_an_open_criterion_may_lapse_before_any_decided_criterion() -> None:
    one = patient(("fibrinogen", "platelets"))
    one.lab("3255-7", "4.8", "g/L", 47, display="Fibrinogen")
    found = deciding_of(one)
    assert found.by is not None
    assert found.by.kind == "finding"
    assert "Fibrinogen" in found.by.lapses
    assert found.by.at == "2020-04-06T11:00:00+08:00"


def test_a_point_of_the_trend_may_leave_its_look_back_first() -> None:
    gases = ((71.5, "104"), (1, "76"))
    one = severe_and_worsening("fading", gases=gases).without("9279-1", "59408-5")
    found = deciding_of(one)
    assert found.by is not None
    assert (found.by.kind, found.by.lapses) == ("trend", "Oxygen support")


def test_the_next_value_of_a_trend_may_be_due_before_too_long_a_gap() -> None:
    one = severe_and_worsening("gap", gases=((1, "76"),)).without("9279-1", "59408-5")
    for hours in (15, 5):
        one.lab("9279-1", "28", "/min", hours, display="Respiratory rate")
    found = deciding_of(one)
    assert found.by is not None
    assert (found.by.kind, found.by.lapses, found.by.at) == ("trend", "Respiratory rate", "2020-04-06T17:00:00+08:00")


# -- the search ------------------------------------------------------------------------------------


def test_a_search_that_was_cut_says_so_and_lists_sets_that_suffice(monkeypatch: pytest.MonkeyPatch) -> None:
    lacking = ("fibrinogen", "platelets", "inr", "pt", "d_dimer", "vte_suspected", "hit")
    whole = deciding_of(patient(lacking))
    monkeypatch.setattr("mscprotocol.implicants.MOST_TERMS", 3)
    monkeypatch.setattr("mscprotocol.assessment.shared_engine", _fresh_engine())
    cut = deciding_of(patient(lacking))
    assert (whole.complete, cut.complete) == (True, False)
    sufficient = [set(one) for one in whole.allow.smallest]
    assert all(any(one <= set(found) for one in sufficient) for found in cut.allow.smallest)


def _fresh_engine() -> Any:
    from mscprotocol.engine import Engine

    engine = Engine()
    return lambda: engine


def test_the_answer_is_the_same_when_it_is_remembered() -> None:
    one = patient(("fibrinogen", "hit"))
    assert msgspec.json.encode(deciding_of(one)) == msgspec.json.encode(deciding_of(one))
