"""Typed resources of one patient to a PatientRecord: the one mapping that every source goes through."""

from __future__ import annotations

from collections.abc import Iterator

from fhir_adapters.acts import read_device_use, read_medication, read_procedure
from fhir_adapters.attestations import read_form
from fhir_adapters.bundle import Item, PatientBundle
from fhir_adapters.consents import read_consent, read_research_subject
from fhir_adapters.dictionary import index
from fhir_adapters.draft import Draft, by_name, in_order
from fhir_adapters.lot_choice import settle_lots
from fhir_adapters.marks import why_set_aside
from fhir_adapters.measurements import read_observation
from fhir_adapters.persons import read_person
from fhir_adapters.presences import read_allergy, read_condition
from fhir_adapters.resources import (
    AllergyIntolerance,
    Condition,
    Consent,
    DeviceUseStatement,
    Medicated,
    Observation,
    Procedure,
    QuestionnaireResponse,
    ResearchSubject,
)
from fhir_adapters.therapies import settle_given
from mscprotocol.knowledge import KnowledgeBase
from mscprotocol.record import PatientRecord, QualityNote, Unmapped
from mscprotocol.truth import Truth

_DENIED = "says no to what was recorded along the course ({}): that stands until its own entry is put right"


def build_record(bundle: PatientBundle, knowledge: KnowledgeBase) -> PatientRecord:
    """All that the resources of one patient say, in the words of the dictionary.

    The order of the resources does not matter. What cannot be used is an entry with a reason, or a note that
    names its resource.
    """
    draft = Draft(index(knowledge), bundle, notes=list(bundle.notes))
    patient = read_person(bundle, draft.notes)
    # Rates of vasopressors need the weights, which observations and forms bring.
    for item in sorted(bundle.items, key=lambda item: isinstance(item.resource, Medicated)):
        _read(draft, item)
    settle_given(draft, settle_lots(draft))
    measured = {entry.name for entry in draft.measurements}
    draft.measurements.extend(entry for entry in draft.refused if entry.name not in measured)
    draft.notes.extend(_denials(draft))
    return PatientRecord(
        patient=patient,
        measurements=by_name(draft.measurements),
        presences=by_name(draft.presences),
        attestations=by_name(draft.attestations),
        infusions=tuple(in_order(draft.infusions)),
        unmapped=_sorted_unmapped(draft.unmapped),
        notes=_sorted_notes(draft.notes),
        source_digests=bundle.digests,
    )


def _read(draft: Draft, item: Item) -> None:
    for why in why_set_aside(item.resource):
        draft.note(item, why)
    match item.resource:
        case Observation():
            read_observation(draft, item, item.resource)
        case Condition():
            read_condition(draft, item, item.resource)
        case AllergyIntolerance():
            read_allergy(draft, item, item.resource)
        case Procedure():
            read_procedure(draft, item, item.resource)
        case DeviceUseStatement():
            read_device_use(draft, item, item.resource)
        case Medicated():
            read_medication(draft, item, item.resource)
        case QuestionnaireResponse():
            read_form(draft, item, item.resource)
        case Consent():
            read_consent(draft, item, item.resource, draft.bundle.items)
        case ResearchSubject():
            read_research_subject(draft, item, item.resource)


def _denials(draft: Draft) -> Iterator[QualityNote]:
    """What says no to an event that a course recorded as its end."""
    recorded = {one.name for one in draft.presences if one.recorded_as}
    denials = [(one.name, one.reference) for one in draft.presences if one.present is Truth.NOT_MET]
    denials += [(one.name, one.reference) for one in draft.attestations if one.answer is Truth.NOT_MET]
    for name, reference in denials:
        if name in recorded:
            yield QualityNote(reference, _DENIED.format(draft.knowledge.conditions[name].text))


def _sorted_unmapped(found: list[Unmapped]) -> tuple[Unmapped, ...]:
    return tuple(sorted(set(found), key=lambda one: (one.reference, str(one.code), one.code.display, one.relevant)))


def _sorted_notes(found: list[QualityNote]) -> tuple[QualityNote, ...]:
    return tuple(sorted(set(found), key=lambda note: (note.reference, note.text)))
