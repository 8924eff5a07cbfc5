"""One patient, written for every door: as a FHIR bundle, as our own record, and as HL7 v2 messages.

Patients are made of facts in plain words: a fact is a kind with what the method of that name takes. What a door cannot
carry is left out of the facts that are put to it: HL7 v2 messages have no place for answers, nor for whether a
diagnosis still holds.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

from tests.adapters.hl7v2.messages import adt, message
from tests.patients import LOINC, SNOMED, PatientBundle

AT = datetime.fromisoformat("2020-04-06T10:00:00+08:00")
# What every door can carry: datum, LOINC code, unit, and values as they are charted.
LABS = {
    "weight": ("29463-7", "kg", ("70", "48.5", "130")),
    "height": ("8302-2", "cm", ("175", "150")),
    "fio2": ("3150-0", "%", ("40", "21", "100")),
    "pao2": ("2703-7", "mm[Hg]", ("76", "104.5", "55", "300")),
    "respiratory_rate": ("9279-1", "/min", ("28", "30", "16")),
    "spo2": ("59408-5", "%", ("91", "93", "98")),
    "crp": ("1988-5", "mg/L", ("118", "5")),
    "platelets": ("777-3", "10*9/L", ("210", "90", "49.9")),
    "inr": ("6301-6", "{INR}", ("1.1", "1.6")),
    "fibrinogen": ("3255-7", "g/L", ("4.8", "0.9")),
    "bilirubin": ("1975-2", "mg/dL", ("0.8", "6.1")),
    "creatinine": ("2160-0", "mg/dL", ("0.9", "5.2")),
    "gcs": ("9269-2", "{score}", ("15", "9")),
}
LIMITED = {
    "d_dimer": ("48065-7", "mg/L", ("0.6", "3.2"), "0.5"),
    "pt": ("5902-2", "s", ("13", "22"), "13.5"),
}
SUPPORT = {
    "room_air": ("722742002", "Breathing room air"),
    "low_flow": ("371907003", "Oxygen by nasal cannula"),
    "mask_venturi": ("371908008", "Oxygen by mask"),
    "hfno": ("870533002", "High flow oxygen nasal cannula"),
    "imv": ("40617009", "Ventilation"),
    "ecmo": ("233573008", "Extracorporeal membrane oxygenation"),
}
DISEASES = {
    "covid_19": "840539006",
    "pneumonia": "233604007",
    "malignancy": "363346000",
    "pulmonary_embolism": "59282003",
}
# Clinical and verification status in FHIR; a message states the latter only.
STATES = {
    "active": ("active", "confirmed"),
    "resolved": ("resolved", "confirmed"),
    "refuted": ("active", "refuted"),
    "suspected": ("active", "provisional"),
    "confirmed": (None, "confirmed"),
}
ANSWERED = ("pregnancy", "vasopressor", "hit", "prisoner", "malignancy", "venous_thromboembolism")
TESTS = {"positive": "260373001", "negative": "260415000"}
Fact = tuple[Any, ...]
_SYSTEMS = {LOINC: "LN", SNOMED: "SCT"}


class OnePatient:
    """One patient, written twice at once; the messages follow from the bundle."""

    def __init__(self, *facts: Fact) -> None:
        self.fhir = PatientBundle("p", AT.isoformat())
        self.plain: dict[str, Any] = {
            "patient": {"id": "p", "born": "1962-03-14", "sex": "male"},
            "data": [], "conditions": [], "answers": [],
        }  # fmt: skip
        for kind, *fact in facts:
            getattr(self, f"_add_{kind}")(*fact)

    @property
    def bundle(self) -> bytes:
        return self.fhir.to_json()

    @property
    def record(self) -> bytes:
        return json.dumps(self.plain).encode()

    @property
    def messages(self) -> list[bytes]:
        return to_hl7v2(self.fhir)

    def _when(self, ago: float) -> str:
        return (AT - timedelta(hours=ago)).isoformat()

    def _add_lab(self, name: str, number: int, ago: float, status: str) -> None:
        code, unit, values = LABS[name]
        value = values[number % len(values)]
        self.fhir.lab(code, value, unit, ago, status=status)
        said = f"{value} {unit}"
        self.plain["data"].append({"name": name, "value": said, "at": self._when(ago), "status": status})

    def _add_limited(self, name: str, number: int, ago: float, has_limit: bool) -> None:
        code, unit, values, upper = LIMITED[name]
        self.fhir.lab(code, values[number], unit, ago, upper=upper if has_limit else None)
        datum = {"name": name, "value": f"{values[number]} {unit}", "at": self._when(ago)}
        datum |= {"assay": "FEU"} if name == "d_dimer" else {}
        self.plain["data"].append(datum | ({"upper_limit": f"{upper} {unit}"} if has_limit else {}))

    def _add_support(self, level: str, ago: float) -> None:
        self.fhir.support(*SUPPORT[level], ago)
        self.plain["data"].append({"name": "oxygen_support", "answer": level, "at": self._when(ago)})

    def _add_test(self, said: str, ago: float) -> None:
        self.fhir.coded("94500-6", TESTS[said], ago)
        self.plain["data"].append({"name": "sars_cov_2_test", "answer": said, "at": self._when(ago)})

    def _add_condition(self, name: str, state: str, ago: float) -> None:
        clinical, verification = STATES[state]
        made = self.fhir.condition(DISEASES[name], name, ago, clinical=clinical or "", verification=verification)
        if clinical is None:
            del made["clinicalStatus"]
        times = {"since": self._when(ago), "recorded": self._when(ago)}
        self.plain["conditions"].append({"name": name, "status": state} | times)

    def _add_diagnosis(self, name: str, state: str, ago: float) -> None:
        """A condition as a message can carry it: without a clinical status, and not recorded at a time of its own."""
        self._add_condition(name, state, ago)
        self.fhir.resources[-1].pop("clinicalStatus", None)
        for written, field in ((self.fhir.resources[-1], "recordedDate"), (self.plain["conditions"][-1], "recorded")):
            del written[field]

    def _add_answer(self, name: str, said: bool, ago: float) -> None:
        self.fhir.attest({name: said}, ago)
        answer = {"name": name, "answer": "yes" if said else "no", "by": "Dr A. Example", "at": self._when(ago)}
        self.plain["answers"].append(answer)


# -- as HL7 v2 ---------------------------------------------------------------------------------------


def to_hl7v2(one: PatientBundle) -> list[bytes]:
    """The same patient: one admission with diagnoses and procedures, one message for each result."""
    person, *rest = one.resources
    name = person["name"][0]
    born, sex = person["birthDate"].replace("-", ""), person["gender"][0].upper()
    pid = f"PID|1||{one.patient_id}^^^HOSP^MR||{name['family']}^{name['given'][0]}||{born}|{sex}"
    diagnoses = [_diagnosis(each) for each in rest if each["resourceType"] == "Condition"]
    procedures = [_procedure(each) for each in rest if each["resourceType"] == "Procedure"]
    results = [each for each in rest if each["resourceType"] == "Observation"]
    made = [adt("A01", pid, *diagnoses, *procedures)]
    for number, each in enumerate(results):
        order = f"OBR|1||F{number}|x^X^L|||{_time(each['effectiveDateTime'])}"
        made.append(message(pid, order, _observation(each), control=str(number)))
    return made


def _time(written: str) -> str:
    return datetime.fromisoformat(written).strftime("%Y%m%d%H%M%S%z")


def _code(concept: dict[str, Any]) -> str:
    coding = concept["coding"][0]
    return f"{coding['code']}^{coding.get('display', '')}^{_SYSTEMS[coding['system']]}"


def _observation(one: dict[str, Any]) -> str:
    status = {"final": "F", "preliminary": "P", "corrected": "C"}[one["status"]]
    if "valueCodeableConcept" in one:
        return f"OBX|1|CWE|{_code(one['code'])}||{_code(one['valueCodeableConcept'])}||||||{status}"
    value = one["valueQuantity"]
    limits = one.get("referenceRange", [])
    upper = f"0-{limits[0]['high']['value']}" if limits else ""
    return f"OBX|1|NM|{_code(one['code'])}||{value['value']}|{value['code']}^^UCUM|{upper}||||{status}"


def _diagnosis(one: dict[str, Any]) -> str:
    letter = {"confirmed": "F", "provisional": "W"}[one["verificationStatus"]["coding"][0]["code"]]
    return f"DG1|1||{_code(one['code'])}||{_time(one['onsetDateTime'])}|{letter}"


def _procedure(one: dict[str, Any]) -> str:
    return f"PR1|1||{_code(one['code'])}||{_time(one['performedDateTime'])}"
