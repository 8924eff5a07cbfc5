"""What each option of a site parameter changes: limits at their edges, classes, and nothing besides."""

from decimal import Decimal

import pytest

from mscprotocol.assessment import assess
from mscprotocol.case import Request
from mscprotocol.case_records import AT, build_record
from mscprotocol.case_tables import read_rows
from mscprotocol.findings import Findings
from mscprotocol.knowledge_loader import load_knowledge
from mscprotocol.rulebook import compile_rulebook
from mscprotocol.schedule import length
from mscprotocol.scores import Scores
from tests.criteria.leaves import CASES

SEED = "seed-covid-4x"
PRACTICE = "site-default"


def points(given, **choices):
    knowledge = load_knowledge(choices=choices)
    scores = Scores(Findings(build_record(knowledge, given), knowledge, AT, "screening"))
    return {name: item.points.exact for name, item in scores.result("dic_isth").items.items()}


def answer(row, changed, **choices):
    """The answer for the patient of a row, with some data changed, by the rules as the site chose them."""
    knowledge = load_knowledge(choices=choices)
    record = build_record(knowledge, {**row.given, **changed}, row.at)
    return assess(record, compile_rulebook(knowledge, SEED), Request(row.at, "infusion"))


def patient(section):
    return next(row for row in read_rows(CASES) if row.section == section and len(row.given) > 20)


def status(found, name):
    return next(one.status for one in found.criteria if one.id == name)


# -- fibrin marker of the score for overt DIC: boundary values as another program answers them --


@pytest.mark.parametrize(
    ("cutoff", "ratio", "expected"),
    [
        *((("uln_2_4"), ratio, points) for ratio, points in (("1.999", 0), ("2", 2), ("4", 2), ("4.001", 3))),
        *((("isth_2025"), ratio, points) for ratio, points in (("3", 0), ("3.001", 2), ("7", 2), ("7.001", 3))),
    ],
)
def test_the_d_dimer_scores_by_its_cut_offs(cutoff, ratio, expected):
    given = {"d_dimer": f"{Decimal(ratio)} mg/L @ 1 h upper 1 assay FEU"}
    assert points(given, dimer_cutoff=cutoff)["fibrin_marker"] == expected


@pytest.mark.parametrize(
    ("cutoff", "fibrinogen", "expected"),
    [
        *((("uln_2_4"), value, points) for value, points in (("0.99", 1), ("1.0", 1), ("1.01", 0))),
        *((("isth_2025"), value, points) for value, points in (("0.99", 1), ("1.0", 0), ("1.01", 0))),
    ],
)
def test_fibrinogen_of_one_scores_by_the_cut_offs(cutoff, fibrinogen, expected):
    assert points({"fibrinogen": f"{fibrinogen} g/L"}, dimer_cutoff=cutoff)["fibrinogen"] == expected


@pytest.mark.parametrize(("value", "expected"), [("9.99", 0), ("10", 2), ("25", 2), ("25.01", 3)])
def test_degradation_products_instead_of_the_d_dimer(value, expected):
    assert points({"fdp": f"{value} mg/L"}, dimer_cutoff="fdp")["fibrin_marker"] == expected


def test_the_cut_offs_of_2025_leave_platelets_and_time_alone():
    """Full scores over the edges of every item, as another program adds them up."""
    for platelets, ratio, prolonged, fibrinogen, total in (
        ("100", "3", "0", "1.0", 0), ("99.9", "3.01", "3", "0.99", 5), ("50", "7", "5.9", "1.01", 4),
        ("49.9", "7.01", "6", "0.99", 8), ("100", "7.01", "2.9", "4", 3),
    ):  # fmt: skip
        given = {
            "platelets": f"{platelets} 10*9/L",
            "d_dimer": f"{ratio} mg/L @ 1 h upper 1 assay FEU",
            "pt": f"{Decimal('13.5') + Decimal(prolonged)} s @ 1 h upper 13.5",
            "fibrinogen": f"{fibrinogen} g/L",
        }
        assert sum(points(given, dimer_cutoff="isth_2025").values()) == total


# -- the others --


@pytest.mark.parametrize(("strict", "tier"), [("no", "high"), ("yes", "moderate")])
def test_a_total_of_four_with_two_from_the_clotting(strict, tier):
    changed = {
        "platelets": "120 10*9/L @ 2 h", "inr": "1.3 INR @ 2 h", "vasopressor": "no",
        "d_dimer": ["0.6 mg/L @ 26 h upper 0.5 assay FEU", "0.6 mg/L @ 2 h upper 0.5 assay FEU"],
    }  # fmt: skip
    found = answer(patient("dose"), changed, sic_strict=strict)
    assert found.scores["sic"].as_published == "not_met"
    assert found.coagulopathy.tier == tier


@pytest.mark.parametrize(("policy", "expected"), [("review", "unknown"), ("exclude", "not_met"), ("include", "met")])
def test_critical_disease(policy, expected):
    found = answer(patient("dose"), {"oxygen_support": "imv @ 1 h"}, critical_policy=policy)
    assert found.severity["nhc"].class_ == "critical"
    assert status(found, "IND-02") == expected


@pytest.mark.parametrize(("policy", "expected"), [("review", "unknown"), ("yes", "critical"), ("no", "severe")])
def test_non_invasive_ventilation(policy, expected):
    changed = {
        "oxygen_support": "niv @ 1 h",
        "fio2": "50 % @ 1 h 6 min",
        "pao2": "100 mmHg @ 1 h",
        "lactate": "1 mmol/L",
    }
    found = answer(patient("dose"), changed, niv_counts_as_mv=policy)
    assert found.severity["nhc"].class_ == expected


THREE_DAYS = [(72, 66), (96, 90)]


@pytest.mark.parametrize(("hours", "earliest"), THREE_DAYS)
def test_how_three_days_are_read(hours, earliest):
    schedule = load_knowledge(choices={"interval_h": str(hours)}).protocols[SEED].schedule
    assert length(schedule.interval).total_seconds() == hours * 3600
    assert length(schedule.earliest).total_seconds() == earliest * 3600


SMALLEST_NUMBERS = [5, 10, 20]


@pytest.mark.parametrize("least", SMALLEST_NUMBERS)
def test_the_smallest_number_that_is_told(least):
    assert load_knowledge(choices={"small_cell": str(least)}).practices[PRACTICE].small_cell.value.value == least


@pytest.mark.parametrize("most", [3, 4, 5, 6])
def test_how_low_a_low_passage_is(most):
    found = [
        status(answer(patient("PRD-04"), {"product_passage": f"{passage} 1"}, low_passage_max=str(most)), "PRD-04")
        for passage in (most, most + 1)
    ]
    assert found[0] == "met"
    assert found[1] != "met"
