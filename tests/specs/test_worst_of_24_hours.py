"""SOFA takes the worst value of 24 h: a worse one before a better latest one counts, in each row of each item."""

import pytest

from mscprotocol.case_records import AT, build_record
from mscprotocol.findings import Findings
from mscprotocol.knowledge_loader import load_knowledge
from mscprotocol.scores import Scores

KNOWLEDGE = load_knowledge()
DRUGS = {f"{name}_rate": "0 ug/kg/min @ 1 h" for name in ("norepinephrine", "epinephrine", "dopamine", "dobutamine")}
RUNNING = {"vasopressor": "active @ 23 h", "other_vasopressor": "no", "map": "90 mm[Hg] @ 1 h", **DRUGS}
# The item, its datum, the better latest value, and worse ones with the points that they bring.
WORST = [
    ("respiration", "pf_ratio", "450 mm[Hg]", {"99 mm[Hg]": 4, "199 mm[Hg]": 3, "299 mm[Hg]": 2, "399 mm[Hg]": 1}),
    ("coagulation", "platelets", "300 10*9/L", {"19 10*9/L": 4, "49 10*9/L": 3, "99 10*9/L": 2, "149 10*9/L": 1}),
    ("liver", "bilirubin", "0.5 mg/dL", {"12 mg/dL": 4, "6 mg/dL": 3, "2 mg/dL": 2, "1.2 mg/dL": 1}),
    ("liver", "bilirubin", "9 umol/L", {"205 umol/L": 4, "102 umol/L": 3, "33 umol/L": 2, "20 umol/L": 1}),
    ("cns", "gcs", "15 {score}", {"5 {score}": 4, "9 {score}": 3, "12 {score}": 2, "14 {score}": 1}),
    ("renal", "creatinine", "0.8 mg/dL", {"5.0 mg/dL": 4, "3.5 mg/dL": 3, "2.0 mg/dL": 2, "1.2 mg/dL": 1}),
    ("renal", "creatinine", "70 umol/L", {"441 umol/L": 4, "300 umol/L": 3, "171 umol/L": 2, "110 umol/L": 1}),
    ("cardiovascular", "dopamine_rate", "0 ug/kg/min", {"16 ug/kg/min": 4, "6 ug/kg/min": 3, "2 ug/kg/min": 2}),
    ("cardiovascular", "epinephrine_rate", "0 ug/kg/min", {"0.2 ug/kg/min": 4, "0.05 ug/kg/min": 3}),
    ("cardiovascular", "norepinephrine_rate", "0 ug/kg/min", {"0.2 ug/kg/min": 4, "0.05 ug/kg/min": 3}),
    ("cardiovascular", "dobutamine_rate", "0 ug/kg/min", {"2 ug/kg/min": 2}),
]  # fmt: skip
WORST = [(item, datum, latest, worse, points) for item, datum, latest, all_ in WORST for worse, points in all_.items()]


@pytest.mark.parametrize(("item", "datum", "latest", "worse", "points"), WORST)
def test_an_earlier_worse_value_counts(item, datum, latest, worse, points):
    given = {
        **(RUNNING if item == "cardiovascular" else {}),
        "oxygen_support": ["imv @ 20 h", "imv @ 1 h"],
        "urine_output": "2000 mL/d @ 1 h",
        datum: [f"{worse} @ 20 h", f"{latest} @ 1 h"],
    }
    findings = Findings(build_record(KNOWLEDGE, given), KNOWLEDGE, AT, "screening")
    assert Scores(findings).result("sofa").items[item].points.exact == points
