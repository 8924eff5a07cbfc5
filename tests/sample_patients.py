"""The sample patients that ship with the project: who they are, what a clinician should know, what must come out.

`python -m tests.sample_patients` writes them to `samples/`; a test fails when the two differ.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests import patients
from tests.patients import DENIED, PatientBundle, ready_for_infusion, severe_and_worsening, write_lot

SAMPLES = Path(__file__).resolve().parent.parent / "samples"
SHANGHAI = "2020-04-06T10:00:00+08:00"
BERLIN = "2020-03-27T10:00:00+01:00"


@dataclass(frozen=True)
class Sample:
    """One sample: its bundle, the question put to it, a paragraph to read, and the answer that must come out."""

    name: str
    build: Callable[[], PatientBundle]
    description: str
    expected: dict[str, Any]
    at: str = SHANGHAI
    zone: str = "Asia/Shanghai"
    options: dict[str, str] = field(default_factory=dict)
    lot: Callable[[], bytes] | None = None

    def files(self) -> dict[str, bytes]:
        """The files of the sample's folder."""
        case = {"at": self.at, "zone": self.zone, **self.options, "expected": self.expected}
        return {
            "input.json": self.build().to_json(),
            "case.json": json.dumps(case, indent=1).encode() + b"\n",
            "description.md": self.description.strip().encode() + b"\n",
            **({} if self.lot is None else {"lot.yaml": self.lot()}),
        }


def _eligible() -> PatientBundle:
    return severe_and_worsening("eligible")


def _without_fibrinogen() -> PatientBundle:
    return severe_and_worsening("one-lab-open").without("3255-7")


def _without_weight() -> PatientBundle:
    return severe_and_worsening("weight-unknown", weight=None)


def _improving() -> PatientBundle:
    one = severe_and_worsening("improving", gases=patients.IMPROVING).without("1988-5", "9279-1")
    for hours, crp in ((49, "118"), (26, "75"), (2, "40")):
        one.lab("1988-5", crp, "mg/L", hours, display="C reactive protein")
    return one


def _stable() -> PatientBundle:
    one = severe_and_worsening("stable", gases=patients.STABLE).without("1988-5")
    one.lab("1988-5", "60", "mg/L", 26, display="C reactive protein")
    one.lab("1988-5", "62", "mg/L", 2, display="C reactive protein")
    return one


def _resolved_dvt() -> PatientBundle:
    denied = tuple(name for name in DENIED if name != "venous_thromboembolism")
    one = severe_and_worsening("resolved-dvt", denied=denied)
    one.condition(
        "132281000119108", "Acute deep venous thrombosis", 24 * 40, clinical="resolved", abated_hours_ago=24 * 30
    )
    return one


def _refuted_pe() -> PatientBundle:
    denied = tuple(name for name in DENIED if name != "venous_thromboembolism")
    one = severe_and_worsening("refuted-pe", denied=denied)
    one.condition("59282003", "Pulmonary embolism", 20, clinical="inactive", verification="refuted")
    one.attest({"deep_vein_thrombosis": False}, hours_ago=2)
    return one


def _no_infection() -> PatientBundle:
    one = PatientBundle("negative-test", SHANGHAI)
    one.coded("94500-6", "260415000", 20, display="Not detected")
    one.lab("59408-5", "97", "%", 2, display="Oxygen saturation by pulse oximetry")
    return one


def _mild() -> PatientBundle:
    one = severe_and_worsening("mild").without("233604007", "2703-7", "3150-0", "9279-1", "59408-5", "371908008")
    for hours in (25, 13, 1):
        one.lab("3151-8", "0", "L/min", hours, display="Inhaled oxygen flow rate")
        one.lab("59408-5", "97", "%", hours, display="Oxygen saturation by pulse oximetry")
        one.lab("9279-1", "16", "/min", hours, display="Respiratory rate")
        one.lab("3150-0", "21", "%", hours + 0.1, display="Inhaled oxygen concentration")
        one.lab("2703-7", "92", "mm[Hg]", hours, display="Oxygen in arterial blood")
    one.attest({"pneumonia": False}, hours_ago=2)
    return one


def _overt_dic() -> PatientBundle:
    one = severe_and_worsening("overt-dic").without("777-3", "6301-6", "5902-2", "3255-7", "48065-7")
    patients.coagulation_panel(one, platelets="45", inr="1.8", fibrinogen="0.9", pt="20.2")
    for hours, dimer in ((26, "4.2"), (2, "4.5")):
        one.lab("48065-7", dimer, "mg/L", hours, upper="0.5", display="D-dimer FEU")
    return one


def _high_tier() -> PatientBundle:
    one = severe_and_worsening("high-clotting-risk").without("48065-7")
    for hours, dimer in ((26, "2.4"), (2, "2.6")):
        one.lab("48065-7", dimer, "mg/L", hours, upper="0.5", display="D-dimer FEU")
    return one


def _pregnant() -> PatientBundle:
    denied = tuple(name for name in DENIED if name != "pregnancy")
    one = severe_and_worsening("pregnant", denied=denied, sex="female", born="1989-07-02")
    one.coded("2106-3", "10828004", 20, display="Positive")
    return one


def _bedside_open() -> PatientBundle:
    return severe_and_worsening("bedside-open", denied=("vasopressor", "shock"))


def _with_lot() -> PatientBundle:
    return ready_for_infusion("lot-at-the-bedside")


def _lot_file() -> bytes:
    return write_lot(_with_lot())


def _berlin() -> PatientBundle:
    return severe_and_worsening("clock-change", BERLIN)


def _intubated() -> PatientBundle:
    one = severe_and_worsening("intubated")
    one.support(*patients.VENT, 0.5)
    return one


# What a clinician denies at the bedside of a ventilated patient without any of the exclusions of START.
START_DENIED = (
    "pregnancy", "breastfeeding", "malignancy", "cancer_treatment", "venous_thromboembolism", "vte_suspected",
    "arterial_thrombosis", "hit", "thrombophilia_with_event", "liver_failure", "home_oxygen",
    "chronic_respiratory_disease", "moribund", "irreversible_disease", "not_full_support", "major_trauma",
    "lung_transplant", "pulmonary_hypertension", "hfov", "prisoner", "left_atrial_hypertension", "vasopressor", "shock",
)  # fmt: skip
CISS_DENIED = (
    "pregnancy", "breastfeeding", "malignancy", "cancer_treatment", "venous_thromboembolism", "vte_suspected",
    "arterial_thrombosis", "hit", "thrombophilia_with_event", "child_class_c", "home_oxygen", "pulmonary_hypertension",
    "anaphylaxis_history", "immune_suppression", "severe_cardiac_disease", "other_shock",
)  # fmt: skip


def _organs(one: PatientBundle) -> None:
    one.lab("48065-7", "0.60", "mg/L", 26, upper="0.5", display="D-dimer FEU")
    one.lab("48065-7", "0.60", "mg/L", 2, upper="0.5", display="D-dimer FEU")
    patients.coagulation_panel(one)
    one.lab("1975-2", "0.8", "mg/dL", 3, display="Bilirubin")
    one.lab("2160-0", "0.9", "mg/dL", 3, display="Creatinine")
    one.lab("8478-0", "78", "mm[Hg]", 1, display="Mean blood pressure")
    one.lab("9269-2", "15", "{score}", 1, display="Glasgow coma score total")


def _ventilated(name: str, height: str, weight: str, onset: float = 40, **who: str) -> PatientBundle:
    one = PatientBundle(name, SHANGHAI, **who)
    one.condition("67782005", "Acute respiratory distress syndrome", onset)
    one.lab("29463-7", weight, "kg", 30, display="Body weight")
    one.lab("8302-2", height, "cm", 30, display="Body height")
    one.support(*patients.VENT, 1)
    one.lab("3150-0", "60", "%", 1.1, display="Inhaled oxygen concentration")
    one.lab("2703-7", "75", "mm[Hg]", 1, display="Oxygen in arterial blood")
    one.lab("20077-4", "12", "cm[H2O]", 1, display="PEEP setting")
    _organs(one)
    one.attest({**dict.fromkeys(START_DENIED, False), "bilateral_opacities": True})
    return one


def _start() -> PatientBundle:
    return _ventilated("start-ards", "175", "82")


def _obese() -> PatientBundle:
    return _ventilated("start-obese", "165", "140", sex="female", born="1971-05-20")


def _start_late() -> PatientBundle:
    return _ventilated("start-too-late", "175", "82", onset=97)


def _ciss() -> PatientBundle:
    one = PatientBundle("ciss-septic-shock", SHANGHAI)
    one.condition("76571007", "Septic shock", 9)
    one.support("305351004", "Admission to intensive care unit", 12)
    one.support(*patients.NASAL, 1)
    one.lab("29463-7", "70", "kg", 10, display="Body weight")
    one.lab("60985-9", "11", "mm[Hg]", 2, display="Central venous pressure (CVP)")
    _organs(one)
    present = ("antibiotics_and_source_control", "cardiovascular_failure_4h", "further_organ_failure", "vasopressor")
    one.attest({**dict.fromkeys(CISS_DENIED, False), **dict.fromkeys(present, True), "scvo2": ("74", "%")})
    return one


SEED = [
    Sample(
        "eligible",
        _eligible,
        """
# Eligible, for clinician review
A man of 58 with PCR-confirmed COVID-19 pneumonia on a face mask. His PaO2/FiO2 fell from 260 to 190 mmHg within two
days while CRP rose from 40 to 118 mg/L. Platelets, INR, fibrinogen and a D-dimer of 1.2 times its upper limit are
known, and a named doctor has denied every exclusion at the bedside. A dose for 70 kg and four infusions are shown.
""",
        {"verdict": "eligible", "tier": "low", "trend": "worsening", "dose": "planned", "infusions": 4},
    ),
    Sample(
        "one-lab-open",
        _without_fibrinogen,
        """
# Undetermined for one laboratory value
The same course, but fibrinogen was never sent. Without it the coagulopathy tier is not known, so no dose is computed,
and the answer says that fibrinogen is what is missing.
""",
        {"verdict": "undetermined", "tier": "unknown", "dose": "withheld", "needed": ["fibrinogen"], "infusions": 4},
    ),
    Sample(
        "weight-unknown",
        _without_weight,
        """
# Eligible at screening, weight unknown
Everything speaks for the protocol, but nobody has weighed the patient. No weight is assumed: the dose is withheld.
""",
        {"verdict": "eligible", "tier": "low", "dose": "withheld", "infusions": 4},
    ),
    Sample(
        "bedside-open",
        _bedside_open,
        """
# Undetermined, possible
The record shows severe and worsening disease and nothing against an infusion, but nobody has yet asked about the
exclusions that only the bedside can answer. The outlook is "possible", with the list to confirm.
""",
        {"verdict": "undetermined", "outlook": "possible", "dose": "withheld", "infusions": 4},
    ),
    Sample(
        "improving",
        _improving,
        """
# Ineligible: already improving
The PaO2/FiO2 has risen from 190 to 260 mmHg and CRP falls. The window of the protocol is a course that gets worse.
""",
        {"verdict": "ineligible", "violated": ["TIM-01"], "trend": "improving", "dose": "withheld", "infusions": 0},
    ),
    Sample(
        "stable",
        _stable,
        """
# Ineligible: stable
Severe disease, but the oxygenation has moved by no more than noise for two days.
""",
        {"verdict": "ineligible", "violated": ["TIM-01"], "trend": "stable", "dose": "withheld", "infusions": 0},
    ),
    Sample(
        "mild",
        _mild,
        """
# Ineligible: mild disease
COVID-19 with fever on room air, saturation 97 %, no pneumonia on imaging by the ward's own statement.
""",
        {
            "verdict": "ineligible",
            "violated": ["IND-02", "TIM-01"],
            "severity": "mild",
            "dose": "withheld",
            "infusions": 0,
        },
    ),
    Sample(
        "negative-test",
        _no_infection,
        """
# Ineligible: no indication
One negative SARS-CoV-2 test, no diagnosis of COVID-19. Little else is known, and nothing else needs to be.
""",
        {"verdict": "ineligible", "violated": ["IND-01"], "dose": "withheld", "infusions": 0},
    ),
    Sample(
        "resolved-dvt",
        _resolved_dvt,
        """
# Ineligible: a recent thrombosis, although resolved
A deep vein thrombosis began 40 days ago and was recorded as resolved 10 days later. The look-back of three months
reads resolved entries too, and the coagulopathy tier is contraindicated.
""",
        {
            "verdict": "ineligible",
            "violated": ["EX-04", "COA-01"],
            "tier": "contraindicated",
            "dose": "withheld",
            "infusions": 0,
        },
    ),
    Sample(
        "refuted-pe",
        _refuted_pe,
        """
# Eligible: a pulmonary embolism was suspected and refuted
Yesterday's suspicion of a pulmonary embolism was refuted, and the doctor denies a deep vein thrombosis. Neither
statement alone would settle the exclusion: a refuted embolism says nothing about the veins of the leg.
""",
        {"verdict": "eligible", "tier": "low", "dose": "planned", "infusions": 4},
    ),
    Sample(
        "overt-dic",
        _overt_dic,
        """
# Ineligible: overt disseminated intravascular coagulation
Platelets of 45, a D-dimer of nine times its upper limit, a prothrombin time 6.7 s too long and fibrinogen 0.9 g/L
score 8 points on the ISTH scale.
""",
        {
            "verdict": "ineligible",
            "violated": ["COA-01"],
            "tier": "contraindicated",
            "dose": "withheld",
            "infusions": 0,
        },
    ),
    Sample(
        "high-clotting-risk",
        _high_tier,
        """
# Eligible, dose withheld for the risk of clotting
A D-dimer of 5.2 times its upper limit puts the patient into the high tier. That does not change the verdict, but no
dose is computed; a lower-dose proposal is shown for signature, marked as site policy without a trial behind it.
""",
        {"verdict": "eligible", "tier": "high", "dose": "withheld", "infusions": 4},
    ),
    Sample(
        "pregnant",
        _pregnant,
        """
# Ineligible: pregnancy test positive
A woman of 30 with a positive urine test the day before.
""",
        {"verdict": "ineligible", "violated": ["EX-02"], "dose": "withheld", "infusions": 0},
    ),
    Sample(
        "intubated",
        _intubated,
        """
# Undetermined: critical disease needs review
The patient was intubated half an hour ago. Critical disease on the scale of the National Health Commission is neither
moderate nor severe: the protocol leaves it to a named clinician.
""",
        {"verdict": "undetermined", "severity": "critical", "trend": "worsening", "infusions": 4},
    ),
    Sample(
        "lot-at-the-bedside",
        _with_lot,
        """
# Ready for a first infusion: the lot is in the bundle
The patient is enrolled, and a lot of umbilical cord cells was thawed a quarter of an hour ago. Its data are
observations whose focus is the product and not the patient; `lot.yaml` states the same lot as a file for `--product`.
With 88 % of the cells viable, 7.9 mL hold the dose, and an infusion of an hour ends within 90 minutes of thawing. Half
an hour later it would not, and the gate would hold.
""",
        {
            "verdict": "eligible",
            "tier": "low",
            "dose": "planned",
            "infusions": 4,
            "gate": "go",
        },
        options={"stage": "infusion"},
        lot=_lot_file,
    ),
    Sample(
        "clock-change",
        _berlin,
        """
# Eligible in the week when clocks go forward
The first infusion is planned for Friday 27 March 2020, 10:00 in Berlin. 72 hours later the clocks have changed: the
second is due on Monday at 11:00, not at 10:00.
""",
        {
            "verdict": "eligible",
            "dose": "planned",
            "infusions": 4,
            "planned": [
                "2020-03-27T10:00:00+01:00",
                "2020-03-30T11:00:00+02:00",
                "2020-04-02T11:00:00+02:00",
                "2020-04-05T11:00:00+02:00",
            ],
        },
        at=BERLIN,
        zone="Europe/Berlin",
    ),
    Sample(
        "start-ards",
        _start,
        """
# Eligible for START phase 1, second cohort: one infusion by predicted weight
A man of 58, ventilated for ARDS since 40 hours, with a PaO2/FiO2 of 125 mmHg at a PEEP of 12 cmH2O and bilateral
opacities. He weighs 82 kg; the trial doses by the 70.57 kg that his height predicts. There is one infusion, never four.
""",
        {"verdict": "eligible", "tier": "low", "dose": "planned", "infusions": 1, "cells": "352830000"},
        options={"protocol": "start-phase1", "dose_level": "5"},
    ),
    Sample(
        "start-obese",
        _obese,
        """
# Eligible for START phase 2a: the dose goes by 57 kg, not by 140 kg
A woman of 48 with 140 kg at 165 cm. By her actual weight the dose would be 2.46 times as large; the trial's basis is
the predicted weight, and the answer says by what factor the two differ.
""",
        {"verdict": "eligible", "dose": "planned", "infusions": 1, "cells": "569660000"},
        options={"protocol": "start-phase2a"},
    ),
    Sample(
        "start-too-late",
        _start_late,
        """
# Ineligible for START: ARDS began 97 hours ago
The same man an hour past the trial's limit of 96 hours since ARDS was first met.
""",
        {"verdict": "ineligible", "violated": ["TIM-04"], "dose": "withheld", "infusions": 0},
        options={"protocol": "start-phase1", "dose_level": "1"},
    ),
    Sample(
        "ciss-septic-shock",
        _ciss,
        """
# Eligible for CISS, but which cohort? No dose is guessed
Septic shock on the first day of intensive care, fluids and antibiotics under way. The trial has three dose levels and
nobody has said which cohort the patient would join: the dose is withheld, and the answer asks for the level.
""",
        {"verdict": "eligible", "tier": "low", "dose": "withheld", "infusions": 1},
        options={"protocol": "ciss-2018"},
    ),
]


def write_samples(folder: Path = SAMPLES) -> None:
    """Write every sample to its folder."""
    for sample in SEED:
        home = folder / sample.name
        home.mkdir(parents=True, exist_ok=True)
        for name, content in sample.files().items():
            (home / name).write_bytes(content)


if __name__ == "__main__":
    write_samples()
