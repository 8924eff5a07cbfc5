"""Golden vectors of the scores, computed apart from the product and put to the engine as a record of values.

Those of units, ratios and predicted weight stand in `tests/core/test_units.py` and `test_derived.py`, those of the dose
in `test_dosing.py`, of the schedule in `test_schedule.py`, of the trend in `test_deterioration.py`.
"""

from decimal import Decimal

import pytest

from mscprotocol.case_records import AT, build_record
from mscprotocol.findings import Findings
from mscprotocol.knowledge_loader import load_knowledge
from mscprotocol.scores import Scores

PRESSORS = {
    "vasopressor": "active @ 3 h",
    "other_vasopressor": "no",
    **{f"{name}_rate": "0 ug/kg/min" for name in ("norepinephrine", "epinephrine", "dopamine", "dobutamine")},
}
NO_PRESSORS = {"vasopressor": "no", "other_vasopressor": "no"}


def findings_of(given):
    knowledge = load_knowledge()
    return Findings(build_record(knowledge, given), knowledge, AT, "screening")


def scored(name, given):
    """The points of each item, in the order of the definition, and their sum."""
    found = Scores(findings_of(given)).result(name)
    return [item.points.exact for item in found.items.values()], found.total.exact


def sofa(pf, support, platelets, bilirubin, pressure, gcs, creatinine, **drugs):
    return {
        "pf_ratio": f"{pf} mm[Hg]",
        "oxygen_support": support,
        "platelets": f"{platelets} 10*9/L",
        "bilirubin": f"{bilirubin} mg/dL",
        "map": f"{pressure} mm[Hg]",
        "gcs": f"{gcs} {{score}}",
        "creatinine": f"{creatinine} mg/dL",
        **drugs,
    }


@pytest.mark.parametrize(
    ("given", "items"),
    [
        (
            sofa(180, "imv", 95, "2.5", 62, 14, "2.1", **{**PRESSORS, "norepinephrine_rate": "0.08 ug/kg/min"}),
            [3, 2, 2, 3, 1, 2],
        ),
        (sofa(250, "low_flow", 210, "0.8", 85, 15, "0.9", **NO_PRESSORS), [2, 0, 0, 0, 0, 0]),
        (sofa(150, "low_flow", 210, "0.8", 85, 15, "0.9", **NO_PRESSORS), [2, 0, 0, 0, 0, 0]),
        (sofa(150, "imv", 210, "0.8", 85, 15, "0.9", **NO_PRESSORS), [3, 0, 0, 0, 0, 0]),
    ],
)
def test_sofa(given, items):
    assert scored("sofa", given) == (items, sum(items))


@pytest.mark.parametrize(
    ("platelets", "ratio", "prolonged", "fibrinogen", "items"),
    [
        (210, "1.2", "0.5", "4.8", [0, 0, 0, 0]),
        (95, "3.0", "3.5", "2.0", [1, 2, 1, 0]),
        (45, "9", "6.5", "0.9", [2, 3, 2, 1]),
        (49, "4.1", "2.9", "1.2", [2, 3, 0, 0]),
        (100, "4.0", "3.0", "1.0", [0, 2, 1, 1]),
        (99, "2.0", "6.0", "3.0", [1, 2, 2, 0]),
    ],
)
def test_overt_dic(platelets, ratio, prolonged, fibrinogen, items):
    given = {
        "platelets": f"{platelets} 10*9/L",
        "d_dimer": f"{Decimal(ratio) / 2} mg/L @ 1 h upper 0.5 assay FEU",
        "pt": f"{Decimal('13.5') + Decimal(prolonged)} s @ 1 h upper 13.5",
        "fibrinogen": f"{fibrinogen} g/L",
    }
    assert scored("dic_isth", given) == (items, sum(items))


@pytest.mark.parametrize(
    ("platelets", "inr", "sofa_points", "total", "cautious", "as_published"),
    [
        (210, "1.1", 2, 2, "not_met", "not_met"),
        (120, "1.3", 2, 4, "met", "not_met"),
        (95, "1.3", 2, 5, "met", "met"),
        (95, "1.5", 1, 5, "met", "met"),
        (150, "1.2", 0, 0, "not_met", "not_met"),
        (149, "1.41", 2, 5, "met", "met"),
    ],
)
def test_sepsis_induced_coagulopathy(platelets, inr, sofa_points, total, cautious, as_published):
    """The four organs of the SIC share 0, 1 or 2 points by the ratio alone."""
    ratio = {0: 450, 1: 350, 2: 250}[sofa_points]
    given = sofa(ratio, "low_flow", platelets, "0.8", 85, 15, "0.9", **NO_PRESSORS) | {"inr": f"{inr} INR"}
    _, found = scored("sic", given)
    findings = findings_of(given)
    scores = Scores(findings)

    def truth(name):
        when = findings.knowledge.definitions[name].when
        members = getattr(when, "members", (when,))
        truths = [scores.find(member).truth.value for member in members]
        return "met" if set(truths) == {"met"} else "not_met"

    assert (found, truth("sic_total"), truth("sic_as_published")) == (total, cautious, as_published)
