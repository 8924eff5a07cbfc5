"""An answer as a FHIR R4 Bundle: care plan, clotting risk, study status, and where all of it comes from.

Resources are built as plain dicts: through the models of fhir.resources the same bundle takes several times as long and
a second to import; the tests put every sample's bundle through those models instead.
"""

from __future__ import annotations

import re

from fhir_adapters.care_plan import DISCLAIMER, write_care_plan
from fhir_adapters.guidance import module_of
from fhir_adapters.writing import (
    CANONICAL,
    TERMINOLOGY,
    Json,
    coding,
    collection,
    concept,
    element,
    instant,
    name_based_id,
    named,
    patient_reference,
    reference,
    resource,
    write_device,
)
from mscprotocol.answer import Assessment, EvidenceItem, to_json
from mscprotocol.knowledge import KnowledgeBase

_STUDY_STATUS = {"eligible": "eligible", "ineligible": "ineligible", "undetermined": "candidate"}
_ADDRESS = re.compile(r"[A-Z][A-Za-z]+/[A-Za-z0-9.-]{1,64}|urn:uuid:[0-9a-f-]{36}")


def write_bundle(answer: Assessment, knowledge: KnowledgeBase) -> Json:
    """The whole answer as a Bundle of type collection.

    The ids follow from the answer, so the same answer gives the same bundle; there is no clock but `at`.
    """
    seed = to_json(answer)
    device = write_device(name_based_id(seed, "Device"))
    made = [
        write_plan(answer, knowledge),
        _risk(answer, knowledge, name_based_id(seed, "RiskAssessment"), device),
        _study_subject(answer, name_based_id(seed, "ResearchSubject")),
    ]
    provenance = _provenance(answer, name_based_id(seed, "Provenance"), made, device)
    return collection(seed, instant(answer.at), [*made, provenance, device], answer.trace_sha256)


def write_plan(answer: Assessment, knowledge: KnowledgeBase) -> Json:
    """The CarePlan of `write_bundle`, alone."""
    return write_care_plan(answer, knowledge, name_based_id(to_json(answer), "CarePlan"))


def _risk(answer: Assessment, knowledge: KnowledgeBase, identity: str, device: Json) -> Json:
    """The coagulopathy tier; always preliminary, because nobody has signed it."""
    tier = answer.coagulopathy
    at_least = f", at least {tier.at_least}" if tier.tier == "unknown" and tier.at_least else ""
    text = tier.tier + at_least
    definition = knowledge.definitions[knowledge.protocols[answer.protocol.id].tier]
    prediction = {
        "outcome": concept("Complication of coagulopathy or clotting around an infusion of cells"),
        "qualitativeRisk": concept(text, coding(f"{CANONICAL}/CodeSystem/coagulopathy-tier", tier.tier)),
        "rationale": "; ".join(tier.because) or "Nothing that a tier could rest on is known.",
    }
    return resource(
        "RiskAssessment",
        f"{definition.text}: {text}.",
        DISCLAIMER,
        id=identity,
        status="preliminary",
        method=concept(f"{definition.text}, version {definition.version}, rule base {answer.rulebase.version}"),
        code=concept(definition.text),
        subject=patient_reference(answer.patient),
        occurrenceDateTime=instant(answer.at),
        performer=_address(device),
        basis=list({(one.reference, one.datum): _basis(one) for one in tier.panel if one.used}.values()),
        prediction=[prediction],
        mitigation="; ".join(answer.dose.because),
    )


def _basis(one: EvidenceItem) -> Json:
    """An entry of the record; what has no address that FHIR knows is named in words."""
    if _ADDRESS.fullmatch(one.reference):
        return reference(one.reference, one.datum)
    return reference("", f"{one.datum}: {one.reference}")


def _study_subject(answer: Assessment, identity: str) -> Json:
    status = _STUDY_STATUS[answer.verdict]
    return resource(
        "ResearchSubject",
        f"{answer.patient.name or answer.patient.id}: {status} by {answer.protocol.title}.",
        DISCLAIMER,
        id=identity,
        status=status,
        study=named("protocol", answer.protocol.id, answer.protocol.title, "ResearchStudy"),
        individual=patient_reference(answer.patient),
    )


def _provenance(answer: Assessment, identity: str, made: list[Json], device: Json) -> Json:
    """What the answer was made from, and by what: rules and input by their hashes."""
    rules, data = answer.rulebase, "Everything that came of the patient"
    sources = (
        named("rulebase-sha256", rules.sha256, f"Rule base, version {rules.version}"),
        named("input-sha256", answer.input_sha256, data),
    )
    return resource(
        "Provenance",
        id=identity,
        target=[_address(one) for one in made],
        occurredDateTime=instant(answer.at),
        recorded=instant(answer.at),
        policy=[module_of(answer)],
        activity=concept("Assessment by the rules of a protocol"),
        agent=[
            element(
                type=concept("Assembler", coding(f"{TERMINOLOGY}/provenance-participant-type", "assembler")),
                who=_address(device),
            )
        ],
        entity=[{"role": "source", "what": one} for one in sources],
    )


def _address(one: Json) -> Json:
    return reference(f"urn:uuid:{one['id']}")
