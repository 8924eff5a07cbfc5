"""What a resource refers to: a medication, a specimen or a device, contained in it or beside it."""

from __future__ import annotations

from typing import TypeVar

from fhir_adapters.bundle import PatientBundle
from fhir_adapters.datatypes import CodeableConcept, Coding, Reference
from fhir_adapters.resources import (
    Device,
    DeviceUseStatement,
    Medicated,
    Medication,
    Observation,
    Resource,
    Specimen,
)
from fhir_adapters.targets import find_target

L = TypeVar("L", Medication, Specimen, Device)


def find_medication(bundle: PatientBundle, resource: Medicated) -> CodeableConcept | None:
    """What was given: the concept itself, or that of the medication referred to with its ingredients."""
    if resource.medication_codeable_concept is not None:
        return resource.medication_codeable_concept
    medication = _find(bundle, resource, resource.medication_reference, Medication)
    if medication is None:
        return _words(resource.medication_reference)
    parts = [medication.code, *(one.item_codeable_concept for one in medication.ingredient)]
    named = [part for part in parts if part is not None]
    return CodeableConcept(
        coding=tuple(coding for part in named for coding in (*part.coding, *_text_only(part))),
        text=named[0].text if named else None,
    )


def find_specimen(bundle: PatientBundle, observation: Observation) -> CodeableConcept | None:
    """What a value was measured in, if that is known."""
    specimen = _find(bundle, observation, observation.specimen, Specimen)
    return specimen.type if specimen is not None else None


def find_device(bundle: PatientBundle, statement: DeviceUseStatement) -> CodeableConcept | None:
    """Which kind of device is in use."""
    device = _find(bundle, statement, statement.device, Device)
    return device.type if device is not None else _words(statement.device)


def _find(bundle: PatientBundle, resource: Resource, reference: Reference | None, kind: type[L]) -> L | None:
    found = find_target(bundle.linked, resource, reference)
    return found if isinstance(found, kind) else None


def _words(reference: Reference | None) -> CodeableConcept | None:
    """A reference that leads nowhere still has its words."""
    return CodeableConcept(text=reference.display) if reference is not None and reference.display else None


def _text_only(concept: CodeableConcept) -> tuple[Coding, ...]:
    return (Coding(display=concept.text),) if concept.text else ()
