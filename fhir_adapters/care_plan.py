"""The course of infusions as a CarePlan: a draft and a proposal, with activities only for an eligible patient."""

from __future__ import annotations

from fhir_adapters.guidance import DEVICE, GUIDANCE, module_of, write_guidance, write_messages, write_output
from fhir_adapters.writing import (
    Json,
    concept,
    element,
    instant,
    patient_reference,
    plain_text,
    quantity,
    resource,
    write_device,
)
from mscprotocol.answer import Assessment, ScheduleRow
from mscprotocol.knowledge import KnowledgeBase

DISCLAIMER = "Pre-screening support for research. A draft for a clinician to judge; it decides nothing."
_DONE = {"given": "completed", "stopped": "stopped"}


def write_care_plan(answer: Assessment, knowledge: KnowledgeBase, identity: str) -> Json:
    """The CarePlan of an answer, with its GuidanceResponse contained.

    An activity that must wait (dose withheld, gate closed) is on hold with the reason and without a quantity.
    """
    rows = answer.schedule if answer.verdict == "eligible" else []
    messages = write_messages(answer)
    contained = [write_guidance(answer, knowledge), write_output(answer), messages, write_device(DEVICE)]
    return resource(
        "CarePlan",
        f"{answer.patient.name or answer.patient.id}: {answer.protocol.title}",
        f"Verdict at stage {answer.stage}, {answer.at}: {answer.verdict}.",
        f"Infusions proposed: {len(rows)}." if rows else "No infusion is proposed.",
        DISCLAIMER,
        id=identity,
        contained=[one for one in contained if one is not None],
        instantiatesCanonical=[module_of(answer)],
        status="draft",
        intent="proposal",
        title=answer.protocol.title,
        description=DISCLAIMER,
        subject=patient_reference(answer.patient),
        period=element(start=instant(rows[0].earliest), end=instant(rows[-1].latest)) if rows else None,
        created=instant(answer.at),
        author={"reference": f"#{DEVICE}"},
        supportingInfo=[{"reference": f"#{GUIDANCE}"}],
        activity=[_activity(answer, row, knowledge) for row in rows],
        note=[{"text": plain_text(one)} for one in _notes(answer)],
    )


def _notes(answer: Assessment) -> list[str]:
    if answer.verdict != "eligible":
        return []
    said = [answer.dose.reduced_proposal] if answer.dose.reduced_proposal else []
    if answer.valid_until is not None:
        said.append(f"Holds until {answer.valid_until} ({answer.expires_first} expires first); assess again after it.")
    return [*answer.dose.because, *said, *answer.dose.warnings]


def _activity(answer: Assessment, row: ScheduleRow, knowledge: KnowledgeBase) -> Json:
    waits_for = _waits_for(answer, row)
    status = _DONE.get(row.status) or ("on-hold" if waits_for else "not-started")
    is_dosed = status == "not-started" and answer.dose.cells is not None
    title = f"Infusion {row.infusion} of {knowledge.protocols[answer.protocol.id].schedule.count}"
    return {
        "detail": element(
            kind="MedicationRequest",
            code=concept(title),
            status=status,
            statusReason=concept("; ".join(waits_for)) if waits_for else None,
            doNotPerform=False,
            scheduledTiming=_timing(row),
            productCodeableConcept=concept(f"Mesenchymal stem cells, {knowledge.protocols[answer.protocol.id].route}"),
            quantity=_cells(answer) if is_dosed else None,
            description=f"{title}, day {row.day_from_0} counted from 0 (day {row.day_from_1} counted from 1)",
        )
    }


def _waits_for(answer: Assessment, row: ScheduleRow) -> list[str]:
    """Why an infusion that is still to come must wait."""
    if row.status in _DONE:
        return []
    if answer.dose.status != "planned":
        return answer.dose.because or [f"The dose is {answer.dose.status}."]
    gate = answer.gate
    if gate is None or gate.decision == "go" or (gate.decision == "hold" and gate.infusion != row.infusion):
        return []
    return [f"Gate: {gate.decision}", *gate.because]


def _timing(row: ScheduleRow) -> Json:
    """The planned start as the event, within its window."""
    bounds = {"start": instant(row.earliest), "end": instant(row.latest)}
    return {"event": [instant(row.planned)], "repeat": {"boundsPeriod": bounds}}


def _cells(answer: Assessment) -> Json:
    assert answer.dose.cells is not None
    return quantity(answer.dose.cells, f"{answer.dose.cell_basis} cells", "{cells}")
