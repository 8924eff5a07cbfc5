"""Patients of our own making, as FHIR R4 bundles: a small builder, and the people that the samples show."""

from __future__ import annotations

import json
import re
from copy import deepcopy
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

LOINC = "http://loinc.org"
SNOMED = "http://snomed.info/sct"
UCUM = "http://unitsofmeasure.org"
PRODUCT = "https://mscprotocol.example/fhir/CodeSystem/datum"
RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"

# What a clinician answers at the bedside for a patient with none of the exclusions.
DENIED = (
    "pregnancy", "breastfeeding", "malignancy", "cancer_treatment", "venous_thromboembolism", "vte_suspected",
    "arterial_thrombosis", "hit", "thrombophilia_with_event", "moribund", "pulmonary_hypertension",
    "dmso_or_protein_hypersensitivity", "anaphylaxis_history", "prisoner", "concurrent_trial", "vasopressor", "shock",
)  # fmt: skip


class PatientBundle:
    """Builds one patient's bundle around a time of evaluation; times are hours before it."""

    def __init__(
        self, patient_id: str, at: str, *, sex: str = "male", born: str = "1962-03-14", name: str = ""
    ) -> None:
        self.at = datetime.fromisoformat(at)
        self.patient_id = patient_id
        self.added = 0
        self.resources: list[dict[str, Any]] = [
            {
                "resourceType": "Patient",
                "id": patient_id,
                "identifier": [{"system": "urn:example:mrn", "value": patient_id.upper()}],
                "name": [{"use": "official", "family": name or patient_id.title(), "given": ["Sample"]}],
                "gender": sex,
                "birthDate": born,
            }
        ]

    def when(self, hours_ago: float) -> str:
        return (self.at - timedelta(hours=hours_ago)).isoformat()

    def add(self, resource: dict[str, Any]) -> dict[str, Any]:
        kind = resource["resourceType"].lower()
        self.added += 1
        resource.setdefault("id", f"{kind[:3]}{self.added}")
        resource.setdefault("subject", {"reference": f"Patient/{self.patient_id}"})
        self.resources.append(resource)
        return resource

    def lab(
        self,
        code: str,
        value: str,
        unit: str,
        hours_ago: float,
        *,
        upper: str | None = None,
        display: str = "",
        status: str = "final",
    ) -> dict[str, Any]:
        resource: dict[str, Any] = {
            "resourceType": "Observation",
            "status": status,
            "code": {"coding": [{"system": LOINC, "code": code, "display": display}]},
            "effectiveDateTime": self.when(hours_ago),
            "valueQuantity": {"value": _number(value), "unit": unit, "system": UCUM, "code": unit},
        }
        if upper is not None:
            high = {"value": _number(upper), "unit": unit, "system": UCUM, "code": unit}
            resource["referenceRange"] = [{"high": high}]
        return self.add(resource)

    def coded(self, code: str, snomed: str, hours_ago: float, *, display: str = "") -> dict[str, Any]:
        return self.add(
            {
                "resourceType": "Observation",
                "status": "final",
                "code": {"coding": [{"system": LOINC, "code": code}]},
                "effectiveDateTime": self.when(hours_ago),
                "valueCodeableConcept": {"coding": [{"system": SNOMED, "code": snomed, "display": display}]},
            }
        )

    def condition(
        self,
        snomed: str,
        display: str,
        onset_hours_ago: float,
        *,
        clinical: str = "active",
        verification: str = "confirmed",
        abated_hours_ago: float | None = None,
    ) -> dict[str, Any]:
        base = "http://terminology.hl7.org/CodeSystem/condition-"
        resource: dict[str, Any] = {
            "resourceType": "Condition",
            "verificationStatus": {"coding": [{"system": f"{base}ver-status", "code": verification}]},
            "code": {"coding": [{"system": SNOMED, "code": snomed, "display": display}]},
            "onsetDateTime": self.when(onset_hours_ago),
            "recordedDate": self.when(onset_hours_ago),
        }
        if verification != "entered-in-error":
            resource["clinicalStatus"] = {"coding": [{"system": f"{base}clinical", "code": clinical}]}
        if abated_hours_ago is not None:
            resource["abatementDateTime"] = self.when(abated_hours_ago)
        return self.add(resource)

    def support(self, snomed: str, display: str, hours_ago: float) -> dict[str, Any]:
        """Oxygen support as charted at a time."""
        return self.add(
            {
                "resourceType": "Procedure",
                "status": "completed",
                "code": {"coding": [{"system": SNOMED, "code": snomed, "display": display}]},
                "performedDateTime": self.when(hours_ago),
            }
        )

    def attest(self, answers: dict[str, Any], hours_ago: float = 1, author: str = "Dr A. Example") -> dict[str, Any]:
        return self.add(
            {
                "resourceType": "QuestionnaireResponse",
                "status": "completed",
                "authored": self.when(hours_ago),
                "author": {"display": author},
                "item": [{"linkId": key, "answer": [_answer(value)]} for key, value in answers.items()],
            }
        )

    def consent(self, hours_ago: float = 4) -> dict[str, Any]:
        resource = self.add(
            {
                "resourceType": "Consent",
                "status": "active",
                "scope": {
                    "coding": [{"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "research"}]
                },
                "category": [{"coding": [{"system": LOINC, "code": "59284-0"}]}],
                "dateTime": self.when(hours_ago),
                "policyRule": {"text": "Study consent"},
            }
        )
        resource["patient"] = resource.pop("subject")
        return resource

    def lot(self, data: dict[str, Any], number: str = "LOT-7", hours_ago: float = 0.5, **more: Any) -> None:
        """A product lot: its resource, and an observation for each datum that has the lot as its focus."""
        product = {
            "resourceType": "BiologicallyDerivedProduct",
            "id": number.lower(),
            "identifier": [{"system": "urn:example:lot", "value": number}],
            "productCategory": "cells",
            "status": "available",
            **more,
        }
        self.resources.append(product)
        for name, said in data.items():
            self.add(
                {
                    "resourceType": "Observation",
                    "status": "final",
                    "code": {"coding": [{"system": PRODUCT, "code": name}]},
                    "focus": [{"reference": f"BiologicallyDerivedProduct/{number.lower()}"}],
                    "effectiveDateTime": self.when(hours_ago),
                    **_product_value(self, said),
                }
            )

    def bundle(self) -> dict[str, Any]:
        entries = [
            {"fullUrl": f"https://example.org/fhir/{one['resourceType']}/{one['id']}", "resource": one}
            for one in deepcopy(self.resources)
        ]
        return {"resourceType": "Bundle", "type": "collection", "entry": entries}

    def to_json(self) -> bytes:
        return json.dumps(self.bundle(), indent=1, ensure_ascii=False).encode() + b"\n"

    def without(self, *loinc: str) -> PatientBundle:
        """The same patient without the observations of some codes."""
        copy = deepcopy(self)
        copy.resources = [one for one in copy.resources if not _is_coded(one, loinc)]
        return copy


def _is_coded(resource: dict[str, Any], codes: tuple[str, ...]) -> bool:
    return any(coding.get("code") in codes for coding in resource.get("code", {}).get("coding", []))


def _number(text: str) -> Any:
    number = Decimal(text)
    return int(number) if number == number.to_integral_value() and "." not in text else float(number)


def _product_value(one: PatientBundle, said: Any) -> dict[str, Any]:
    """A value as a person would write it: `85 %`, `<0.5 EU/mL`, a code of our own, or a time in hours from now."""
    if isinstance(said, timedelta):
        return {"valueDateTime": (one.at + said).isoformat()}
    match = re.fullmatch(r"(<|>)?([0-9.]+) (\S+)", said)
    if match is None:
        return {"valueCodeableConcept": {"coding": [{"system": PRODUCT, "code": said}]}}
    comparator = {} if match[1] is None else {"comparator": match[1]}
    return {"valueQuantity": {"value": _number(match[2]), "unit": match[3], **comparator}}


def _answer(value: Any) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"valueBoolean": value}
    if isinstance(value, tuple):
        number, unit = value
        return {"valueQuantity": {"value": _number(number), "unit": unit, "system": UCUM, "code": unit}}
    return {"valueString": value}


# -- the people ------------------------------------------------------------------------------------

NASAL, MASK, VENT = (
    ("371907003", "Oxygen by nasal cannula"),
    ("371908008", "Oxygen by mask"),
    ("40617009", "Ventilation"),
)
WORSENING = ((48, "104"), (36, "99.2"), (24, "90"), (12, "82"), (1, "76"))
STABLE = ((48, "96"), (36, "100.8"), (24, "94"), (12, "98.8"), (1, "95.2"))
IMPROVING = ((48, "76"), (36, "82"), (24, "90"), (12, "99.2"), (1, "104"))


def severe_and_worsening(
    patient_id: str,
    at: str = "2020-04-06T10:00:00+08:00",
    *,
    gases: tuple[tuple[float, str], ...] = WORSENING,
    denied: tuple[str, ...] = DENIED,
    weight: str | None = "70",
    **who: str,
) -> PatientBundle:
    """A patient with severe COVID-19 pneumonia who is getting worse and whose record is complete."""
    one = PatientBundle(patient_id, at, **who)
    one.coded("94500-6", "260373001", 96, display="Detected")
    one.condition("840539006", "COVID-19", 120)
    one.condition("233604007", "Pneumonia", 110)
    one.condition("386661006", "Fever", 120)
    if weight is not None:
        one.lab("29463-7", weight, "kg", 30, display="Body weight")
    one.lab("8302-2", "175", "cm", 30, display="Body height")
    for hours, pao2 in gases:
        one.support(*MASK, hours)
        one.lab("3150-0", "40", "%", hours + 0.1, display="Inhaled oxygen concentration")
        one.lab("2703-7", pao2, "mm[Hg]", hours, display="Oxygen in arterial blood")
    for hours, rate, saturation in ((25, "26", "93"), (13, "27", "92"), (1, "28", "91")):
        one.lab("9279-1", rate, "/min", hours, display="Respiratory rate")
        one.lab("59408-5", saturation, "%", hours, display="Oxygen saturation by pulse oximetry")
    for hours, crp, dimer in ((49, "40", "0.50"), (26, "75", "0.55"), (2, "118", "0.60")):
        one.lab("1988-5", crp, "mg/L", hours, display="C reactive protein")
        one.lab("48065-7", dimer, "mg/L", hours, upper="0.5", display="D-dimer FEU")
    coagulation_panel(one)
    one.lab("1975-2", "0.8", "mg/dL", 3, display="Bilirubin")
    one.lab("2160-0", "0.9", "mg/dL", 3, display="Creatinine")
    one.lab("8478-0", "88", "mm[Hg]", 1, display="Mean blood pressure")
    one.lab("9269-2", "15", "{score}", 1, display="Glasgow coma score total")
    one.attest(dict.fromkeys(denied, False))
    return one


def coagulation_panel(
    one: PatientBundle, *, platelets: str = "210", inr: str = "1.1", fibrinogen: str = "4.8", pt: str = "13"
) -> None:
    one.lab("777-3", platelets, "10*9/L", 2, display="Platelets")
    one.lab("6301-6", inr, "{INR}", 2, display="INR")
    one.lab("5902-2", pt, "s", 2, upper="13.5", display="Prothrombin time")
    one.lab("3255-7", fibrinogen, "g/L", 2, display="Fibrinogen")


# A lot that is released and thawed a quarter of an hour ago, each datum under its name in the dictionary.
LOT: dict[str, Any] = {
    "product_type": "msc",
    "product_source": "umbilical_cord",
    "product_preparation": "documented",
    "product_passage": "4 1",
    "product_donor_age": "29 a",
    "product_donor_history": "none",
    "product_gene_modified": "no",
    "product_confluence": "80 %",
    "product_state": "cryopreserved_thawed_washed",
    "product_thawed_at": timedelta(minutes=-15),
    "product_expiry": timedelta(days=200),
    "product_ace2": "negative",
    "product_ace2_method": "documented",
    "product_ace2_tested_at": timedelta(days=-60),
    "product_cd105": "97 %",
    "product_cd90": "98 %",
    "product_cd73": "99 %",
    "product_cd45": "0.5 %",
    "product_cd34": "0.4 %",
    "product_cd14_or_cd11b": "0.3 %",
    "product_cd79a_or_cd19": "0.2 %",
    "product_hla_dr": "1 %",
    "product_tissue_factor": "12 %",
    "product_differentiation": "trilineage",
    "product_viability": "88 %",
    "product_sterility": "negative",
    "product_gram": "negative",
    "product_mycoplasma": "negative",
    "product_karyotype": "normal",
    "product_concentration": "10 10*6/mL",
    "product_label_basis": "total",
    "product_bag_volume": "10 mL",
    "product_dmso": "5 %",
    "product_endotoxin": "<0.5 EU/mL",
}


def ready_for_infusion(patient_id: str, lot: dict[str, Any] | None = None) -> PatientBundle:
    """The patient who is getting worse, enrolled, with a lot at the bedside."""
    one = severe_and_worsening(patient_id)
    one.lab("29463-7", "70", "kg", 3, display="Body weight")
    one.consent()
    answers = {"study_authorisation": True, "prior_msc_therapy": False, "thromboprophylaxis_charted": True}
    one.attest(answers, hours_ago=0.5)
    one.lot(LOT if lot is None else lot)
    return one


def write_lot(one: PatientBundle, number: str = "LOT-7", hours_ago: float = 0.5) -> bytes:
    """The lot of `ready_for_infusion` as a file; what ages states its own time."""
    at = one.when(hours_ago)
    lines = [f"lot: {number}", f"at: {at}"]
    for name, said in LOT.items():
        text = (one.at + said).isoformat() if isinstance(said, timedelta) else said
        lines.append(f'{name}: {{value: {text}, at: "{at}"}}' if name == "product_viability" else f"{name}: {text}")
    return "\n".join(lines).encode() + b"\n"
