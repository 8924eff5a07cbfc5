"""The person: identity, birth, death, and the sex that a body weight is predicted by."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from fhir_adapters import resources
from fhir_adapters.bundle import PatientBundle
from fhir_adapters.datatypes import CodeableConcept, Extension
from fhir_adapters.resources import HumanName, Observation
from fhir_adapters.times import parse_birth, parse_time
from mscprotocol.record import Identifier, Patient, QualityNote

# The extension under the names it has had, and the observation of the sex assigned at birth.
_CLINICAL_USE = ("sex-for-clinical-use", "sexparameterforclinicaluse")
_SEX_AT_BIRTH = "76689-9"
_AT_BIRTH = ("us-core-birthsex", "us-core-sex")
_NOT_STATED = ("UNK", "ASKU", "UNKNOWN", "ASKED-DECLINED")
_SEXES = {
    "male": "male",
    "female": "female",
    "male-typical": "male",
    "female-typical": "female",
    "248153007": "male",
    "248152002": "female",
    "LA2-8": "male",
    "LA3-6": "female",
    "M": "male",
    "F": "female",
}
_USABLE = ("final", "amended", "corrected")


def read_person(bundle: PatientBundle, notes: list[QualityNote]) -> Patient:
    """The patient of a bundle; what of it cannot be read is noted."""
    patient = bundle.patient
    born = parse_birth(patient.birth_date)
    if patient.birth_date and born is None:
        notes.append(QualityNote(bundle.reference, "the birth date cannot be read"))
    sex, is_contradicted = _sex(bundle, notes)
    died = parse_time(patient.deceased_date_time)
    if patient.deceased_date_time and died is None:
        notes.append(QualityNote(bundle.reference, "the date of death cannot be read"))
    return Patient(
        id=patient.id or bundle.reference,
        identifiers=_identifiers(patient),
        name=_name(patient.name),
        born=born,
        sex=sex,
        sex_contradicted=is_contradicted,
        deceased=bool(patient.deceased_boolean or patient.deceased_date_time),
        died=died,
    )


def _identifiers(patient: resources.Patient) -> tuple[Identifier, ...]:
    found = {(one.system or "", one.value) for one in patient.identifier if one.value}
    return tuple(Identifier(system, value) for system, value in sorted(found))


def _name(names: Iterable[HumanName]) -> str:
    """The official name, else the first that is still in use."""
    current = [name for name in names if name.use not in ("old", "maiden")]
    chosen = next((name for name in current if name.use == "official"), current[0] if current else None)
    if chosen is None:
        return ""
    parts = [part for part in (*chosen.given, chosen.family) if part]
    return " ".join(parts) or chosen.text or ""


def _sex(bundle: PatientBundle, notes: list[QualityNote]) -> tuple[str | None, bool]:
    """The sex, and whether sources contradict each other.

    The extension for clinical use decides. Else the sex at birth and the administrative gender must agree; by gender
    alone it is noted.
    """
    stated = set(_clinical_use(bundle.patient.extension))
    if stated:
        return (stated.pop(), False) if len(stated) == 1 else (None, True)
    at_birth = {*_assigned(bundle), *_extended(bundle.patient.extension)}
    gender = bundle.patient.gender if bundle.patient.gender in ("male", "female") else None
    found = at_birth | ({gender} if gender else set())
    if at_birth and len(found) > 1:
        notes.append(QualityNote(bundle.reference, "the sex at birth and the gender on record contradict each other"))
        return None, True
    if gender and not at_birth:
        notes.append(QualityNote(bundle.reference, "sex is taken from the administrative gender"))
    return (found.pop() if found else None), False


def _clinical_use(extensions: Iterable[Extension]) -> Iterator[str | None]:
    for extension in extensions:
        url = (extension.url or "").lower()
        if not any(name in url for name in _CLINICAL_USE):
            continue
        for part in (extension, *extension.extension):
            concept = part.value_codeable_concept
            if concept is None and part.value_coding is not None:
                concept = CodeableConcept(coding=(part.value_coding,))
            if concept is not None or part.value_code is not None:
                yield _SEXES.get(part.value_code or "") if concept is None else _coded(concept)


def _extended(extensions: Iterable[Extension]) -> Iterator[str | None]:
    """The sex at birth as extensions of US Core state it; that nobody asked or knows states nothing."""
    for extension in extensions:
        if any((extension.url or "").lower().endswith(name) for name in _AT_BIRTH):
            code = extension.value_code or (extension.value_coding.code if extension.value_coding else None)
            if code is not None and code.upper() not in _NOT_STATED:
                yield _SEXES.get(code)


def _assigned(bundle: PatientBundle) -> Iterator[str | None]:
    for item in bundle.items:
        observation = item.resource
        if not isinstance(observation, Observation) or observation.status not in _USABLE or observation.code is None:
            continue
        if any(coding.code == _SEX_AT_BIRTH for coding in observation.code.coding):
            concept = observation.value_codeable_concept
            yield None if concept is None or item.is_conflicting else _coded(concept)


def _coded(concept: CodeableConcept) -> str | None:
    found = {_SEXES.get(coding.code) for coding in concept.coding if coding.code}
    return found.pop() if len(found) == 1 else None
