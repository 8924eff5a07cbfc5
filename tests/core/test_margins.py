"""Margins: exact distances, ranges that stay ranges, and what another value of the window would turn."""

from __future__ import annotations

from decimal import Decimal

import pytest

from mscprotocol.answer import Flip, MarginItem
from mscprotocol.knowledge_loader import load_knowledge
from tests.core.margins import answer_for, course, margin, patient
from tests.core.test_protocols import VENTILATED, answer_by

MILD = {"pneumonia": "no"}
RATE, SATURATION, RATIO = "Respiratory rate", "Oxygen saturation", "PaO2/FiO2"


def rate(*values: object, **changed: object) -> MarginItem:
    return margin(answer_for(patient(respiratory_rate=course("/min", *values), **changed)), RATE)


# -- distance ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "distance", "per_cent", "truth"),
    [
        ("29.9", "-0.1", "-0.333", "not_met"),
        ("30", "0", "0", "met"),
        ("30.1", "0.1", "0.333", "met"),
        ("28", "-2", "-6.67", "not_met"),
        ("45", "15", "50", "met"),
    ],
)
def test_distance_at_the_limit_and_on_either_side(value: str, distance: str, per_cent: str, truth: str) -> None:
    found = rate(value)
    assert (found.distance, found.per_cent, found.truth) == (distance, per_cent, truth)
    assert (found.operator, found.threshold, found.unit, found.criteria) == ("gte", "30", "/min", ["IND-02"])
    assert (found.chosen, found.window, found.values) == ("latest", "24 h", 1)


def test_a_limit_names_its_source() -> None:
    answer = answer_for(patient())
    assert margin(answer, RATE).source.id == "leng-2020"
    assert margin(answer, "Age < 18").source.id == "liu-2014"
    (ratio,) = [
        one for one in answer.margins if one.comparison.startswith("D-dimer in multiples") and "> 4" in one.comparison
    ]
    assert (ratio.source.id, ratio.source.mark, ratio.distance) == ("site-policy", "site", "-2.8")


@pytest.mark.parametrize(
    ("said", "distance", "truth"),
    [
        ("<30 /min @ 4 h", "<0", "not_met"),
        (">28 /min @ 4 h", ">-2", "unknown"),
        (">=30 /min @ 4 h", ">=0", "met"),
        ("28..31 /min @ 4 h", "[-2, 1]", "unknown"),
    ],
)
def test_a_range_gives_a_range_and_never_a_number(said: str, distance: str, truth: str) -> None:
    found = margin(answer_for(patient(respiratory_rate=said)), RATE)
    assert (found.distance, found.per_cent, found.truth) == (distance, None, truth)


@pytest.mark.parametrize("said", [None, "18 /min @ 25 h", "18 /min @ 4 h but status_excluded"])
def test_what_is_unknown_has_no_distance_and_no_choice(said: str | None) -> None:
    found = margin(answer_for(patient(respiratory_rate=said)), RATE)
    assert (found.value, found.distance, found.per_cent, found.chosen) == (None, None, None, None)
    assert (found.truth, found.choices, found.fragile) == ("unknown", [], False)


def test_a_newer_unusable_value_leaves_no_older_one_to_choose() -> None:
    said = ["31 /min @ 7 h", "18 /min @ 4 h but status_excluded"]
    found = margin(answer_for(patient(respiratory_rate=said)), RATE)
    assert (found.value, found.choices) == (None, [])


def test_a_known_value_keeps_its_distance_when_its_answer_is_open() -> None:
    """96 % under oxygen denies nothing, yet it lies 3 points above the limit."""
    said = patient(spo2="96 % @ 1 h")
    found = margin(answer_for(said), SATURATION)
    assert (found.value, found.distance, found.truth) == ("96 %", "3", "unknown")


def test_a_quotient_keeps_the_side_on_which_it_lies() -> None:
    """63.01 / 0.21 is 300.047…: printed at the resolution of the datum, told apart from the limit all the same."""
    found = margin(answer_for(patient(pao2="63.0001 mmHg @ 4 h")), RATIO)
    assert (found.value, found.truth) == ("300 mm[Hg]", "not_met")
    assert found.distance is not None
    assert Decimal(found.distance) > 0
    assert len(found.distance.removeprefix("0.").lstrip("0")) <= 20


def test_a_score_stands_in_points() -> None:
    answer = answer_for(patient(platelets="95 10*9/L @ 2 h"))
    found = margin(answer, "ISTH overt disseminated intravascular coagulation ≥ 5")
    assert (found.value, found.unit, found.distance, found.per_cent) == ("1", "points", "-4", "-80")
    assert (found.chosen, found.criteria) == ("sum", ["COA-01"])


def test_a_score_that_is_not_complete_gives_a_range() -> None:
    answer = answer_for(patient(fibrinogen=None))
    found = margin(answer, "ISTH overt disseminated intravascular coagulation ≥ 5")
    assert (found.value, found.distance, found.per_cent, found.truth) == ("0 to 1", "[-5, -4]", None, "not_met")


def test_only_what_was_asked_is_listed() -> None:
    """Cautions are no criteria to pass, and the lot is not asked for at screening."""
    answer = answer_for(patient())
    assert {name for one in answer.margins for name in one.criteria} == {"IND-02", "EX-01", "COA-01"}


def test_the_margins_are_not_part_of_the_trace() -> None:
    one = answer_for(patient(respiratory_rate=course("/min", 18)))
    more = answer_for(patient(respiratory_rate=course("/min", 18, 25)))
    assert one.margins != more.margins
    assert one.trace_sha256 == more.trace_sha256


# -- choices -----------------------------------------------------------------------------------------


def test_the_worst_of_three_rates_would_turn_class_criterion_and_verdict() -> None:
    """28 now, 31 eleven hours ago: mild by the latest, severe by the worst."""
    answer = answer_for(patient(respiratory_rate=course("/min", 28, 27, 31), **MILD))
    found = margin(answer, RATE)
    worst, median = found.choices[0], found.choices[1:]
    assert answer.verdict == "ineligible"
    assert (worst.choice, worst.value, worst.distance, worst.truth) == ("worst", "31 /min", "1", "met")
    assert worst.flips == [
        Flip("comparison", found.comparison, "not_met", "met"),
        Flip("criterion", "IND-02", "not_met", "met"),
        Flip("class", "severity_nhc", "mild", "severe"),
        Flip("class", "severity_nih", "mild", "severe"),
        Flip("class", "severity_who", "mild", "severe"),
        Flip("verdict", "verdict", "ineligible", "eligible"),
    ]
    assert median == []  # the median is the latest itself
    assert found.fragile


def test_the_warning_says_which_value_would_turn_what() -> None:
    answer = answer_for(patient(respiratory_rate=course("/min", 28, 27, 31), **MILD))
    assert [(note.about, note.text, note.mark) for note in answer.warnings if note.text.startswith("Fragile")] == [
        (
            "IND-02",
            "Fragile: with the worst of 3 values of Respiratory rate within 24 h (31 /min) instead of the latest "
            "(28 /min), IND-02 would be met and the verdict eligible.",
            "site",
        )
    ]


def test_a_class_may_turn_while_the_verdict_stands() -> None:
    """With pneumonia both moderate and severe disease qualify: the class is fragile, the verdict is not."""
    answer = answer_for(patient(respiratory_rate=course("/min", 28, 31, 29)))
    (worst, median) = margin(answer, RATE).choices
    assert Flip("class", "severity_nhc", "moderate", "severe") in worst.flips
    assert (median.choice, median.value, median.flips) == ("median", "29 /min", [])
    assert not any(one.fragile for one in answer.margins)
    assert not any(note.text.startswith("Fragile") for note in answer.warnings)


def test_one_value_answers_every_scale() -> None:
    """A rate of 30 is severe by the Chinese scale alone: the others ask for more than 30."""
    answer = answer_for(patient(respiratory_rate=course("/min", 28, 30)))
    (worst,) = {one.value: one for one in margin(answer, RATE).choices}.values()
    assert [one.id for one in worst.flips if one.what == "class"] == ["severity_nhc"]


def test_the_median_of_an_even_number_is_a_measured_value() -> None:
    found = rate(20, 22, 24, 26)
    assert [(one.choice, one.value) for one in found.choices] == [("worst", "26 /min"), ("median", "24 /min")]


def test_the_worst_of_a_ratio_is_its_lowest() -> None:
    answer = answer_for(patient(pao2=course("mmHg", 80, 60, 70), **MILD))
    found = margin(answer, RATIO)
    worst = found.choices[0]
    assert (worst.choice, worst.datum, worst.value, worst.truth) == ("worst", "pf_ratio", "285.71 mm[Hg]", "met")
    assert worst.reference == "pao2/1 + fio2/1"
    assert worst.flips[-1] == Flip("verdict", "verdict", "ineligible", "eligible")


def test_a_ratio_chosen_answers_the_score_too() -> None:
    """The organ score reads the worst of 24 h; with the latest ratio it loses its respiratory points."""
    answer = answer_for(patient(pao2=course("mmHg", 90, 40.0), spo2=course("%", 97, 80)))
    found = margin(answer, "Sequential Organ Failure Assessment, worst values of 24 h, rise above the baseline, ≥ 2")
    assert (found.value, found.truth) == ("2", "met")
    latest = next(one for one in found.choices if one.choice == "latest" and one.datum == "pf_ratio")
    assert (latest.truth, latest.distance) == ("not_met", "-2")


def test_the_latest_creatinine_instead_of_the_worst() -> None:
    """A renal item of 3 makes the class critical, which is for review; the newest creatinine is normal."""
    answer = answer_for(patient(creatinine=course("mg/dL", "0.9", "3.6")))
    assert answer.verdict == "undetermined"
    notes = [note.text for note in answer.warnings if note.text.startswith("Fragile")]
    assert notes == [
        "Fragile: with the latest of 2 values of Creatinine within 24 h (0.9 mg/dL) instead of the worst (3.6 mg/dL), "
        "IND-02 would be met and the verdict eligible."
    ]


def test_equal_values_turn_nothing() -> None:
    found = rate(31, 31, 31)
    assert all(one.flips == [] for one in found.choices)
    assert not found.fragile


def test_a_value_outside_the_window_is_no_choice() -> None:
    said = ["28 /min @ 4 h", "31 /min @ 24 h 1 min"]
    found = margin(answer_for(patient(respiratory_rate=said, **MILD)), RATE)
    assert (found.values, found.choices) == (1, [])


def test_a_comparison_whose_window_does_not_hold_the_value_keeps_its_own() -> None:
    """40 platelets 30 h ago are in the 48 h of the tier, not in the 24 h of the organ score: no organ fails by them."""
    said = patient(platelets=["210 10*9/L @ 4 h", "40 10*9/L @ 30 h"])
    (worst, median) = margin(answer_for(said), "Platelets < 150").choices
    assert (worst.value, worst.truth, median.value) == ("40 10*9/L", "met", "40 10*9/L")
    turned = {one.id: one.after for one in worst.flips if one.what == "class"}
    assert turned == {"coagulopathy": "moderate"}


def test_a_range_among_the_values_leaves_no_median() -> None:
    said = ["28 /min @ 4 h", ">28 /min @ 7 h", "20 /min @ 11 h"]
    found = margin(answer_for(patient(respiratory_rate=said, **MILD)), RATE)
    assert [(one.choice, one.truth, one.distance) for one in found.choices] == [("worst", "unknown", ">-2")]


def test_the_gate_looks_back_less_far() -> None:
    """Before an infusion a rate may be 2 h old: the value of 7 h ago is in no window."""
    said = patient(respiratory_rate=["28 /min @ 1 h", "31 /min @ 7 h"])
    assert margin(answer_for(said, stage="infusion"), RATE).values == 1


def test_the_worst_for_an_inclusion_is_where_it_would_not_hold() -> None:
    """PEEP of at least 8 qualifies: the lower of two values is the worse one."""
    twice = {"oxygen_support": "imv", "pf_ratio": "125 mmHg"}
    gases = {name: [f"{value} @ {hours} h" for hours in (1, 5)] for name, value in twice.items()}
    ventilated = {**VENTILATED, **gases, "peep": ["12 cmH2O @ 1 h", "6 cmH2O @ 5 h"]}
    answer = answer_by(load_knowledge(), "start-phase2a", ventilated)
    (found,) = [one for one in answer.margins if one.datum == "peep_at_gas" and one.criteria == ["IND-10"]]
    worst = next(one for one in found.choices if one.choice == "worst")
    assert (worst.value, worst.truth) == ("6 cm[H2O]", "not_met")


def test_the_worst_for_a_class_stays_where_it_would_hold() -> None:
    found = rate("20", "26", "31")
    assert next(one for one in found.choices if one.choice == "worst").value == "31 /min"


def test_a_dose_that_would_be_withheld_is_fragile_though_the_verdict_stands() -> None:
    values = [f"{value} mg/L @ {hours} h upper 0.5 assay FEU" for value, hours in (("0.6", 2), ("2.4", 5), ("0.6", 26))]
    answer = answer_for(patient(d_dimer=values))
    assert (answer.verdict, answer.dose.status) == ("eligible", "planned")
    (found,) = [
        one for one in answer.margins if one.comparison.startswith("D-dimer in multiples") and "> 4" in one.comparison
    ]
    assert found.fragile
    assert found.choices[0].flips[-1] == Flip("dose", "dose", "planned", "withheld")
    assert any("the dose withheld" in note.text for note in answer.warnings)
