"""What an answer says about its protocol as a GuidanceResponse: the verdict's reasons, or what is still required."""

from __future__ import annotations

from collections.abc import Iterator

from fhir_adapters.requirements import require
from fhir_adapters.writing import (
    CRITERION,
    Json,
    canonical,
    coding,
    concept,
    element,
    instant,
    patient_reference,
    resource,
    rules_version,
)
from mscprotocol.answer import Assessment, CriterionResult, Note
from mscprotocol.case import MET, NOT_MET, TRIGGERS, UNKNOWN
from mscprotocol.knowledge import KnowledgeBase

OUTPUT, MESSAGES, GUIDANCE, DEVICE = "output", "messages", "guidance", "software"


def write_guidance(answer: Assessment, knowledge: KnowledgeBase) -> Json:
    """The GuidanceResponse, to be contained beside `write_output` and `write_messages`, which it refers to."""
    is_open = answer.verdict == "undetermined"
    return resource(
        "GuidanceResponse",
        id=GUIDANCE,
        moduleCanonical=module_of(answer),
        status="data-required" if is_open else "success",
        subject=patient_reference(answer.patient),
        occurrenceDateTime=instant(answer.at),
        performer={"reference": f"#{DEVICE}"},
        reasonCode=[_reason(one) for one in reasons(answer)],
        evaluationMessage=[{"reference": f"#{MESSAGES}"}] if answer.warnings or answer.data_quality else [],
        outputParameters={"reference": f"#{OUTPUT}"},
        dataRequirement=[] if answer.verdict == "ineligible" else [require(one, knowledge) for one in answer.needed],
    )


def module_of(answer: Assessment) -> str:
    """The canonical address of the PlanDefinition that was followed, under the rules in force."""
    version = rules_version(answer.protocol.version, answer.rulebase.sha256)
    return canonical("PlanDefinition", answer.protocol.id, version)


def reasons(answer: Assessment) -> Iterator[CriterionResult]:
    """The criteria that the verdict rests on: those violated, else those open, else the indication."""
    wanted = {"ineligible": _is_violated, "undetermined": _is_open, "eligible": _is_indication}[answer.verdict]
    return (one for one in answer.criteria if one.mandatory and wanted(one))


def _is_violated(one: CriterionResult) -> bool:
    return one.status == (MET if one.role in TRIGGERS else NOT_MET)


def _is_open(one: CriterionResult) -> bool:
    return one.status == UNKNOWN


def _is_indication(one: CriterionResult) -> bool:
    return one.role == "inclusion"


def _reason(one: CriterionResult) -> Json:
    why = f" ({one.reason.replace('_', ' ')})" if one.reason else ""
    status = one.status.replace("_", " ")
    return concept(f"{one.id}, {one.role}, {status}{why}: {one.text}", coding(CRITERION, one.id))


def write_output(answer: Assessment) -> Json:
    """What was concluded, as Parameters."""
    said = {
        "verdict": ("valueCode", answer.verdict),
        "outlook": ("valueCode", answer.outlook),
        "stage": ("valueCode", answer.stage),
        "dose-status": ("valueCode", answer.dose.status),
        "coagulopathy-tier": ("valueCode", answer.coagulopathy.tier),
        "trend": ("valueCode", answer.timing.trend),
        "gate": ("valueCode", None if answer.gate is None else answer.gate.decision),
        "valid-until": ("valueDateTime", None if answer.valid_until is None else instant(answer.valid_until)),
        "expires-first": ("valueString", answer.expires_first),
        "trace-sha256": ("valueString", answer.trace_sha256),
        "input-sha256": ("valueString", answer.input_sha256),
        "rulebase-sha256": ("valueString", answer.rulebase.sha256),
    }
    found = [{"name": name, kind: value} for name, (kind, value) in said.items() if value is not None]
    return resource("Parameters", id=OUTPUT, parameter=found)


def write_messages(answer: Assessment) -> Json | None:
    """Warnings and remarks on the data, as an OperationOutcome; None if there are none."""
    issues = [_issue("warning", one) for one in answer.warnings]
    issues += [_issue("information", one) for one in answer.data_quality]
    return resource("OperationOutcome", id=MESSAGES, issue=issues) if issues else None


def _issue(severity: str, note: Note) -> Json:
    mark = f" [{note.mark}]" if note.mark else ""
    return element(severity=severity, code="informational", details=concept(f"{note.about}: {note.text}{mark}"))
