"""Patients of our own making, by seed and number: records that look like an export, most of which nobody asked for."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

from tests import patients
from tests.patients import DENIED, LOINC, RXNORM, SNOMED, UCUM, PatientBundle, severe_and_worsening

AT = "2020-04-06T10:00:00+08:00"
SEED = 2020
_ACT = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
_TERMS = "http://terminology.hl7.org/CodeSystem/"
_VITALS = (
    ("8867-4", "Heart rate", "/min", 58, 120, 0),
    ("9279-1", "Respiratory rate", "/min", 12, 24, 0),
    ("8310-5", "Body temperature", "Cel", 36, 39, 1),
    ("29463-7", "Body weight", "kg", 48, 110, 1),
    ("39156-5", "Body mass index (BMI) [Ratio]", "kg/m2", 18, 38, 1),
)
_LABS = (
    ("2345-7", "Glucose [Mass/volume] in Serum or Plasma", "mg/dL", 70, 220, 0),
    ("2951-2", "Sodium [Moles/volume] in Serum or Plasma", "mmol/L", 132, 146, 0),
    ("2823-3", "Potassium [Moles/volume] in Serum or Plasma", "mmol/L", 3, 5, 1),
    ("2160-0", "Creatinine [Mass/volume] in Serum or Plasma", "mg/dL", 0.5, 2, 2),
    ("718-7", "Hemoglobin [Mass/volume] in Blood", "g/dL", 9, 17, 1),
    ("6690-2", "Leukocytes [#/volume] in Blood", "10*3/uL", 3, 15, 1),
    ("777-3", "Platelets [#/volume] in Blood", "10*3/uL", 90, 420, 0),
    ("4548-4", "Hemoglobin A1c/Hemoglobin.total in Blood", "%", 4, 10, 1),
)
_PROBLEMS = (
    ("59621000", "Essential hypertension"),
    ("44054006", "Diabetes mellitus type 2"),
    ("162864005", "Body mass index 30+ - obesity"),
    ("195967001", "Asthma"),
    ("55822004", "Hyperlipidemia"),
    ("444814009", "Viral sinusitis"),
    ("10509002", "Acute bronchitis"),
    ("713458007", "Lack of access to transportation"),
    ("160903007", "Full-time employment"),
)
_DRUGS = (
    ("314076", "lisinopril 10 MG Oral Tablet"),
    ("860975", "24 HR metformin hydrochloride 500 MG Extended Release Oral Tablet"),
    ("259255", "atorvastatin 80 MG Oral Tablet"),
    ("313782", "acetaminophen 325 MG Oral Tablet"),
)


def make_patient(number: int, seed: int = SEED, history: int | None = None) -> bytes:
    """One patient's bundle; `history` is how many former visits the export carries along, a few dozen if left out."""
    random = Random(f"{seed}/{number}")
    patient_id = f"made-{seed}-{number}"
    one = random.choices(list(_KINDS), weights=list(_KINDS.values()))[0](patient_id, random)
    visits = random.randint(4, 40) if history is None else history
    for visit in range(visits):
        _add_visit(one, random, 24 * random.randint(10, 3600), visit)
    for code, display in random.sample(_PROBLEMS, 4):
        one.condition(code, display, 24 * random.randint(30, 3600))
    return json.dumps(one.bundle(), ensure_ascii=False, separators=(",", ":")).encode()


def make_patients(count: int, seed: int = SEED) -> Iterator[bytes]:
    """The first patients of a population."""
    return (make_patient(number, seed) for number in range(count))


# -- why they are in the export --------------------------------------------------------------------


def _severe(patient_id: str, random: Random) -> PatientBundle:
    """On the ward with severe COVID-19, charted densely; one or two data are often missing."""
    course = random.choice((patients.WORSENING, patients.WORSENING, patients.STABLE, patients.IMPROVING))
    gases = tuple((hours, str(round(float(value) + random.uniform(-3, 3), 1))) for hours, value in course)
    denied = tuple(name for name in DENIED if random.random() < 0.97)
    weight = str(random.randint(45, 120)) if random.random() < 0.9 else None
    one = severe_and_worsening(patient_id, AT, gases=gases, denied=denied, weight=weight, **_person(random))
    missing = random.sample(("3255-7", "6301-6", "48065-7", "1975-2", "2160-0", "9269-2"), random.choice((0, 0, 1, 2)))
    return one.without(*missing)


def _moderate(patient_id: str, random: Random) -> PatientBundle:
    """On the ward on nasal oxygen; what was not asked is open."""
    one = PatientBundle(patient_id, AT, **_person(random))
    one.coded("94500-6", "260373001", random.randint(20, 120), display="Detected")
    one.condition("840539006", "COVID-19", random.randint(24, 200))
    if random.random() < 0.6:
        one.condition("233604007", "Pneumonia", random.randint(24, 100))
    for hours in range(1, 49, 6):
        one.support(*patients.NASAL, hours)
        one.lab("59408-5", str(random.randint(90, 97)), "%", hours, display="Oxygen saturation by pulse oximetry")
        one.lab("9279-1", str(random.randint(18, 29)), "/min", hours, display="Respiratory rate")
    for hours in (2, 26, 49):
        one.lab("1988-5", str(random.randint(5, 160)), "mg/L", hours, display="C reactive protein")
        one.lab("48065-7", str(round(random.uniform(0.2, 3), 2)), "mg/L", hours, upper="0.5", display="D-dimer FEU")
    patients.coagulation_panel(one, platelets=str(random.randint(60, 400)))
    return one


def _outpatient(patient_id: str, random: Random) -> PatientBundle:
    """Tested, at home."""
    one = PatientBundle(patient_id, AT, **_person(random))
    result = random.choice((("260373001", "Detected"), ("260415000", "Not detected")))
    one.coded("94500-6", result[0], random.randint(5, 200), display=result[1])
    one.lab("59408-5", str(random.randint(93, 99)), "%", 3, display="Oxygen saturation by pulse oximetry")
    return one


def _unrelated(patient_id: str, random: Random) -> PatientBundle:
    """Never tested."""
    return PatientBundle(patient_id, AT, **_person(random))


_KINDS: dict[Callable[[str, Random], PatientBundle], int] = {
    _severe: 25,
    _moderate: 25,
    _outpatient: 35,
    _unrelated: 15,
}


def _person(random: Random) -> dict[str, str]:
    born = f"{random.randint(1930, 2001)}-{random.randint(1, 12):02}-{random.randint(1, 28):02}"
    return {"sex": random.choice(("male", "female")), "born": born}


# -- what an export carries along ------------------------------------------------------------------


def _add_visit(one: PatientBundle, random: Random, hours_ago: float, number: int) -> None:
    encounter = _encounter(one, hours_ago)
    results = [_result(one, random, row, "vital-signs", encounter, hours_ago) for row in _VITALS]
    results.append(_blood_pressure(one, random, encounter, hours_ago))
    if number % 2 == 0:
        labs = [_result(one, random, row, "laboratory", encounter, hours_ago) for row in _LABS]
        _report(one, labs, encounter, hours_ago)
    if number % 3 == 0:
        _prescription(one, random, encounter, hours_ago)
        _immunization(one, encounter, hours_ago)
    if number % 5 == 0:
        _plan(one, encounter, hours_ago)
    _claim(one, random, encounter, hours_ago)
    _note(one, random, encounter, hours_ago)


def _link(resource: dict[str, Any]) -> dict[str, Any]:
    return {"reference": f"{resource['resourceType']}/{resource['id']}"}


def _concept(system: str, code: str, display: str) -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code, "display": display}], "text": display}


def _encounter(one: PatientBundle, hours_ago: float) -> dict[str, Any]:
    return one.add(
        {
            "resourceType": "Encounter",
            "status": "finished",
            "class": {"system": _ACT, "code": "AMB"},
            "type": [_concept(SNOMED, "185349003", "Encounter for check up (procedure)")],
            "participant": [{"individual": {"display": "Dr. Made Up"}, "period": {"start": one.when(hours_ago)}}],
            "period": {"start": one.when(hours_ago), "end": one.when(hours_ago - 0.5)},
            "serviceProvider": {"reference": "Organization/clinic", "display": "CLINIC OF NOWHERE INC"},
        }
    )


def _result(
    one: PatientBundle,
    random: Random,
    row: tuple[str, str, str, float, float, int],
    category: str,
    encounter: dict[str, Any],
    hours_ago: float,
) -> dict[str, Any]:
    code, display, unit, low, high, digits = row
    value = f"{random.uniform(low, high):.{digits}f}"
    resource = one.lab(code, value, unit, hours_ago, display=display)
    resource["category"] = [_concept(f"{_TERMS}observation-category", category, category)]
    resource["encounter"] = _link(encounter)
    resource["issued"] = one.when(hours_ago)
    return resource


def _blood_pressure(one: PatientBundle, random: Random, encounter: dict[str, Any], hours_ago: float) -> dict[str, Any]:
    parts = (("8480-6", "Systolic Blood Pressure", 100, 170), ("8462-4", "Diastolic Blood Pressure", 60, 100))
    return one.add(
        {
            "resourceType": "Observation",
            "status": "final",
            "category": [_concept(f"{_TERMS}observation-category", "vital-signs", "vital-signs")],
            "code": _concept(LOINC, "85354-9", "Blood pressure panel with all children optional"),
            "encounter": _link(encounter),
            "effectiveDateTime": one.when(hours_ago),
            "component": [
                {
                    "code": _concept(LOINC, code, display),
                    "valueQuantity": {
                        "value": random.randint(low, high),
                        "unit": "mm[Hg]",
                        "system": UCUM,
                        "code": "mm[Hg]",
                    },
                }
                for code, display, low, high in parts
            ],
        }
    )


def _report(one: PatientBundle, results: list[dict[str, Any]], encounter: dict[str, Any], hours_ago: float) -> None:
    one.add(
        {
            "resourceType": "DiagnosticReport",
            "status": "final",
            "category": [_concept(f"{_TERMS}v2-0074", "LAB", "Laboratory")],
            "code": _concept(LOINC, "51990-0", "Basic metabolic panel - Blood by Automated count"),
            "encounter": _link(encounter),
            "effectiveDateTime": one.when(hours_ago),
            "result": [_link(result) for result in results],
        }
    )


def _prescription(one: PatientBundle, random: Random, encounter: dict[str, Any], hours_ago: float) -> None:
    code, display = random.choice(_DRUGS)
    one.add(
        {
            "resourceType": "MedicationRequest",
            "status": random.choice(("active", "stopped", "completed")),
            "intent": "order",
            "medicationCodeableConcept": _concept(RXNORM, code, display),
            "encounter": _link(encounter),
            "authoredOn": one.when(hours_ago),
            "requester": {"display": "Dr. Made Up"},
            "dosageInstruction": [
                {"sequence": 1, "timing": {"repeat": {"frequency": 1, "period": 1.0, "periodUnit": "d"}}}
            ],
        }
    )


def _immunization(one: PatientBundle, encounter: dict[str, Any], hours_ago: float) -> None:
    _about_patient(
        one,
        {
            "resourceType": "Immunization",
            "status": "completed",
            "vaccineCode": _concept("http://hl7.org/fhir/sid/cvx", "140", "Influenza, seasonal, injectable"),
            "encounter": _link(encounter),
            "occurrenceDateTime": one.when(hours_ago),
            "primarySource": True,
        },
    )


def _plan(one: PatientBundle, encounter: dict[str, Any], hours_ago: float) -> None:
    activity = {"status": "in-progress", "code": _concept(SNOMED, "229065009", "Exercise therapy (regime/therapy)")}
    one.add(
        {
            "resourceType": "CarePlan",
            "text": {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">Lifestyle plan.</div>'},
            "status": "active",
            "intent": "order",
            "category": [_concept(SNOMED, "443402002", "Lifestyle education regarding hypertension")],
            "encounter": _link(encounter),
            "period": {"start": one.when(hours_ago)},
            "activity": [{"detail": activity}, {"detail": activity}],
        }
    )


def _claim(one: PatientBundle, random: Random, encounter: dict[str, Any], hours_ago: float) -> None:
    items = [
        {
            "sequence": number,
            "productOrService": _concept(SNOMED, "185349003", "Encounter for check up (procedure)"),
            "encounter": [_link(encounter)],
            "net": {"value": round(random.uniform(10, 900), 2), "currency": "USD"},
        }
        for number in range(1, random.randint(3, 7))
    ]
    _about_patient(
        one,
        {
            "resourceType": "Claim",
            "status": "active",
            "type": _concept(f"{_TERMS}claim-type", "professional", "Professional"),
            "use": "claim",
            "billablePeriod": {"start": one.when(hours_ago), "end": one.when(hours_ago - 0.5)},
            "created": one.when(hours_ago),
            "provider": {"reference": "Organization/clinic", "display": "CLINIC OF NOWHERE INC"},
            "priority": _concept(f"{_TERMS}processpriority", "normal", "normal"),
            "insurance": [{"sequence": 1, "focal": True, "coverage": {"display": "Nobody's Insurance"}}],
            "item": items,
            "total": {"value": 129.16, "currency": "USD"},
        },
    )


def _note(one: PatientBundle, random: Random, encounter: dict[str, Any], hours_ago: float) -> None:
    text = b64encode(random.randbytes(1500)).decode()
    one.add(
        {
            "resourceType": "DocumentReference",
            "status": "current",
            "type": _concept(LOINC, "34117-2", "History and physical note"),
            "date": one.when(hours_ago),
            "author": [{"display": "Dr. Made Up"}],
            "content": [{"attachment": {"contentType": "text/plain; charset=utf-8", "data": text}}],
            "context": {"encounter": [_link(encounter)], "period": {"start": one.when(hours_ago)}},
        }
    )


def _about_patient(one: PatientBundle, resource: dict[str, Any]) -> None:
    """Add a resource whose owner stands under `patient`."""
    added = one.add(resource)
    added["patient"] = added.pop("subject")
