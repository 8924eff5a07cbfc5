"""The subset of FHIR R4 resources that is read, as typed structs of only the fields that matter."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw

from fhir_adapters.datatypes import (
    CodeableConcept,
    Coding,
    Element,
    Extension,
    Identifier,
    Meta,
    Number,
    Period,
    Quantity,
    Range,
    Ratio,
    Reference,
)


class Resource(Element, frozen=True):
    """What every clinical resource may carry."""

    id: str | None = None
    meta: Meta | None = None
    contained: tuple[Raw, ...] = ()
    note: Raw = Raw()


class OwnedResource(Resource, frozen=True):
    """A resource that is about somebody, under `subject`."""

    subject: Reference | None = None


# -- who -------------------------------------------------------------------------------------------


class HumanName(Element, frozen=True):
    """A name."""

    use: str | None = None
    text: str | None = None
    family: str | None = None
    given: tuple[str | None, ...] = ()


class Patient(Resource, frozen=True):
    """The person."""

    identifier: tuple[Identifier, ...] = ()
    name: tuple[HumanName, ...] = ()
    gender: str | None = None
    birth_date: str | None = None
    deceased_boolean: bool | None = None
    deceased_date_time: str | None = None
    extension: tuple[Extension, ...] = ()


# -- findings --------------------------------------------------------------------------------------


class ReferenceRange(Element, frozen=True):
    """The limits of normal of a result."""

    low: Quantity | None = None
    high: Quantity | None = None
    type: CodeableConcept | None = None
    text: str | None = None


class Valued(OwnedResource, frozen=True):
    """A code with its value: an observation or a component of one (which has the same owner).

    Kinds of value that are never interpreted are read as `Any`, so that they are not taken for absent.
    """

    code: CodeableConcept | None = None
    value_quantity: Quantity | None = None
    value_codeable_concept: CodeableConcept | None = None
    value_string: str | None = None
    value_boolean: bool | None = None
    value_integer: int | None = None
    value_range: Range | None = None
    value_ratio: Any = None
    value_sampled_data: Any = None
    value_time: Any = None
    value_date_time: Any = None
    value_period: Any = None
    data_absent_reason: CodeableConcept | None = None
    interpretation: tuple[CodeableConcept, ...] = ()
    reference_range: tuple[ReferenceRange, ...] = ()


class Component(Valued, frozen=True):
    """One of several values of an observation."""


class Observation(Valued, frozen=True):
    """A measurement or a statement about the patient."""

    status: str | None = None
    effective_date_time: str | None = None
    effective_instant: str | None = None
    effective_period: Period | None = None
    component: tuple[Component, ...] = ()
    has_member: tuple[Reference, ...] = ()
    focus: tuple[Reference, ...] = ()
    specimen: Reference | None = None


class Specimen(Resource, frozen=True):
    """What a value was measured in, and whose or which product's it is."""

    type: CodeableConcept | None = None
    subject: Reference | None = None


class Condition(OwnedResource, frozen=True):
    """A diagnosis or problem."""

    identifier: tuple[Identifier, ...] = ()
    code: CodeableConcept | None = None
    clinical_status: CodeableConcept | None = None
    verification_status: CodeableConcept | None = None
    onset_date_time: str | None = None
    onset_period: Period | None = None
    onset_age: Any = None
    onset_range: Any = None
    onset_string: Any = None
    abatement_date_time: str | None = None
    abatement_period: Period | None = None
    abatement_age: Any = None
    abatement_range: Any = None
    abatement_string: Any = None
    abatement_boolean: bool | None = None
    recorded_date: str | None = None


class Reaction(Element, frozen=True):
    """A reaction of an allergy."""

    substance: CodeableConcept | None = None
    manifestation: tuple[CodeableConcept, ...] = ()
    severity: str | None = None


class AllergyIntolerance(Resource, frozen=True):
    """An allergy, or that there is none."""

    subject: Reference | None = msgspec.field(default=None, name="patient")
    code: CodeableConcept | None = None
    clinical_status: CodeableConcept | None = None
    verification_status: CodeableConcept | None = None
    onset_date_time: str | None = None
    onset_period: Period | None = None
    onset_age: Any = None
    onset_range: Any = None
    onset_string: Any = None
    recorded_date: str | None = None
    reaction: tuple[Reaction, ...] = ()


# -- acts ------------------------------------------------------------------------------------------


class Procedure(OwnedResource, frozen=True):
    """Something that was done."""

    identifier: tuple[Identifier, ...] = ()
    status: str | None = None
    code: CodeableConcept | None = None
    performed_date_time: str | None = None
    performed_period: Period | None = None
    performed_string: Any = None
    performed_age: Any = None
    performed_range: Any = None
    used_reference: tuple[Reference, ...] = ()


class Device(Resource, frozen=True):
    """A device, for its type; a product that is registered as one, for its lot."""

    identifier: tuple[Identifier, ...] = ()
    status: str | None = None
    type: CodeableConcept | None = None
    lot_number: str | None = None
    expiration_date: str | None = None


class DeviceUseStatement(OwnedResource, frozen=True):
    """That a device is in use."""

    status: str | None = None
    device: Reference | None = None
    timing_date_time: str | None = None
    timing_period: Period | None = None
    recorded_on: str | None = None


class Dosage(Element, frozen=True):
    """How an administration was dosed: what was given, and a rate."""

    dose: Quantity | None = None
    rate_quantity: Quantity | None = None
    rate_ratio: Ratio | None = None


class Ingredient(Element, frozen=True):
    """A substance in a medication."""

    item_codeable_concept: CodeableConcept | None = None


class Batch(Element, frozen=True):
    """The lot of a medication."""

    lot_number: str | None = None
    expiration_date: str | None = None


class Medication(Resource, frozen=True):
    """A medication that others refer to."""

    identifier: tuple[Identifier, ...] = ()
    status: str | None = None
    code: CodeableConcept | None = None
    ingredient: tuple[Ingredient, ...] = ()
    batch: Batch | None = None


class BiologicallyDerivedProduct(Resource, frozen=True):
    """A product made of cells or tissue. FHIR R4 gives it no expiry."""

    identifier: tuple[Identifier, ...] = ()
    status: str | None = None
    product_code: CodeableConcept | None = None


class SubstanceInstance(Element, frozen=True):
    """A container of a substance, with the identifier of its lot."""

    identifier: Identifier | None = None
    expiry: str | None = None


class Substance(Resource, frozen=True):
    """A substance, for a product that is registered as one."""

    identifier: tuple[Identifier, ...] = ()
    status: str | None = None
    code: CodeableConcept | None = None
    instance: tuple[SubstanceInstance, ...] = ()


class Medicated(OwnedResource, frozen=True):
    """What orders, administrations and statements of medication share."""

    status: str | None = None
    medication_codeable_concept: CodeableConcept | None = None
    medication_reference: Reference | None = None


class MedicationAdministration(Medicated, frozen=True):
    """A medication given."""

    identifier: tuple[Identifier, ...] = ()
    effective_date_time: str | None = None
    effective_period: Period | None = None
    dosage: Dosage | None = None
    supporting_information: tuple[Reference, ...] = ()
    reason_code: tuple[CodeableConcept, ...] = ()


class MedicationRequest(Medicated, frozen=True):
    """A medication ordered."""

    intent: str | None = None
    do_not_perform: bool | None = None
    authored_on: str | None = None
    supporting_information: tuple[Reference, ...] = ()


class MedicationStatement(Medicated, frozen=True):
    """A medication taken, as somebody states."""

    effective_date_time: str | None = None
    effective_period: Period | None = None
    date_asserted: str | None = None


# -- answers and consents --------------------------------------------------------------------------


class Answer(Element, frozen=True):
    """One answer to an item of a form."""

    value_boolean: bool | None = None
    value_coding: Coding | None = None
    value_date: str | None = None
    value_date_time: str | None = None
    value_string: str | None = None
    value_quantity: Quantity | None = None
    value_decimal: Number | None = None
    value_integer: int | None = None
    item: tuple[Item, ...] = ()


class Item(Element, frozen=True):
    """One item of a form."""

    link_id: str | None = None
    answer: tuple[Answer, ...] = ()
    item: tuple[Item, ...] = ()


class QuestionnaireResponse(OwnedResource, frozen=True):
    """A form that a person filled in."""

    status: str | None = None
    authored: str | None = None
    author: Reference | None = None
    source: Reference | None = None
    item: tuple[Item, ...] = ()


class Provision(Element, frozen=True):
    """What a consent permits or denies."""

    type: str | None = None
    period: Period | None = None
    provision: tuple[Any, ...] = ()


class Consent(Resource, frozen=True):
    """A consent of the patient."""

    subject: Reference | None = msgspec.field(default=None, name="patient")
    status: str | None = None
    scope: CodeableConcept | None = None
    date_time: str | None = None
    provision: Provision | None = None


class ResearchSubject(Resource, frozen=True):
    """That the patient takes part in a study."""

    subject: Reference | None = msgspec.field(default=None, name="individual")
    status: str | None = None
    period: Period | None = None


Clinical = (
    Observation
    | Condition
    | AllergyIntolerance
    | Procedure
    | DeviceUseStatement
    | MedicationAdministration
    | MedicationRequest
    | MedicationStatement
    | QuestionnaireResponse
    | Consent
    | ResearchSubject
)
Product = BiologicallyDerivedProduct | Medication | Substance | Device
Linked = Product | Specimen
CLINICAL: dict[str, type[Clinical]] = {
    kind.__name__: kind
    for kind in (
        Observation,
        Condition,
        AllergyIntolerance,
        Procedure,
        DeviceUseStatement,
        MedicationAdministration,
        MedicationRequest,
        MedicationStatement,
        QuestionnaireResponse,
        Consent,
        ResearchSubject,
    )
}
LINKED: dict[str, type[Linked]] = {
    kind.__name__: kind for kind in (BiologicallyDerivedProduct, Medication, Substance, Device, Specimen)
}
