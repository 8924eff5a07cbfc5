"""What a value proves or denies: the tests of a condition at their limits, its parts, and what takes it back."""

import pytest

from mscprotocol.case_records import AT, build_record
from mscprotocol.findings import Findings
from mscprotocol.knowledge_forms import ConditionLeaf
from mscprotocol.knowledge_loader import load_knowledge

KNOWLEDGE = load_knowledge()
PER_KILOGRAM = ("norepinephrine_rate", "epinephrine_rate", "dopamine_rate", "dobutamine_rate")


def ask(condition, **given):
    findings = Findings(build_record(KNOWLEDGE, given), KNOWLEDGE, AT, "screening")
    return findings.find(ConditionLeaf(condition=condition)).truth.value


@pytest.mark.parametrize(
    ("datum", "least", "unit"),
    [
        *((name, "0.001", "ug/kg/min") for name in PER_KILOGRAM),
        ("vasopressin_rate", "0.0001", "U/min"),
        ("phenylephrine_rate", "0.1", "ug/min"),
    ],
)
def test_any_rate_above_zero_is_a_vasopressor_running(datum, least, unit):
    assert ask("vasopressor", **{datum: f"{least} {unit}"}) == "met"
    assert ask("vasopressor", **{datum: f"0 {unit}"}) == "unknown"
    assert ask("vasopressor", **{datum: f"0 {unit}", "vasopressor": "no"}) == "not_met"


@pytest.mark.parametrize(("pressure", "expected"), [("17.9", "not_met"), ("18", "not_met"), ("18.1", "met")])
def test_the_wedge_pressure_that_shows_left_atrial_hypertension(pressure, expected):
    assert ask("left_atrial_hypertension", paop=f"{pressure} mm[Hg]") == expected


@pytest.mark.parametrize(
    ("condition", "datum", "answer", "expected"),
    [
        ("pregnancy", "pregnancy_test", "positive", "met"),
        ("pregnancy", "pregnancy_test", "negative", "not_met"),
        ("pregnancy", "pregnancy_status", "pregnant", "met"),
        ("pregnancy", "pregnancy_status", "not_pregnant", "not_met"),
        ("hiv", "hiv_test", "positive", "met"),
        ("hiv", "hiv_test", "negative", "not_met"),
    ],
)
def test_what_a_test_proves_and_denies(condition, datum, answer, expected):
    assert ask(condition, **{datum: answer}) == expected


def test_a_thrombosis_is_denied_by_both_of_its_parts():
    assert ask("venous_thromboembolism", deep_vein_thrombosis="no") == "unknown"
    assert ask("venous_thromboembolism", pulmonary_embolism="no") == "unknown"
    assert ask("venous_thromboembolism", deep_vein_thrombosis="no", pulmonary_embolism="no") == "not_met"


def test_a_withdrawal_takes_consent_back():
    assert ask("informed_consent", informed_consent="active @ 4 h") == "met"
    assert ask("informed_consent", informed_consent="active @ 4 h", consent_withdrawn="yes") != "met"
    assert ask("informed_consent", consent_withdrawn="yes") == "not_met"
