"""Procedures, devices and medications to presences and levels of support; what was given waits for the lots."""

from __future__ import annotations

from dataclasses import dataclass

from fhir_adapters.bundle import Item
from fhir_adapters.datatypes import CodeableConcept, Period, Reference
from fhir_adapters.dictionary import Source, codings, text_of
from fhir_adapters.draft import Draft, Given
from fhir_adapters.links import find_device, find_medication
from fhir_adapters.presences import Statement, add_statement
from fhir_adapters.rates import read_rates
from fhir_adapters.resources import (
    DeviceUseStatement,
    Medicated,
    MedicationAdministration,
    MedicationRequest,
    MedicationStatement,
    Procedure,
)
from fhir_adapters.times import parse_time
from fhir_adapters.values import read_answer
from mscprotocol.codes import Coding
from mscprotocol.reasons import Reason
from mscprotocol.record import Measurement
from mscprotocol.timespan import TimeSpan
from mscprotocol.truth import Truth

# What a status says: present, running now, and why it is open. Statuses that are not here did not happen.
_STATUS: dict[str, tuple[Truth, Truth, Reason | None]] = {
    "in-progress": (Truth.MET, Truth.MET, None),
    "active": (Truth.MET, Truth.MET, None),
    "completed": (Truth.MET, Truth.NOT_MET, None),
    "stopped": (Truth.MET, Truth.NOT_MET, None),
    "on-hold": (Truth.MET, Truth.UNKNOWN, None),
    "unknown": (Truth.UNKNOWN, Truth.UNKNOWN, Reason.STATUS_EXCLUDED),
}
_NOT_DONE = frozenset(("preparation", "not-done", "entered-in-error", "cancelled", "draft", "intended", "not-taken"))
_ORDERED = frozenset(("order", "original-order", "reflex-order", "filler-order", "instance-order"))


@dataclass(frozen=True, slots=True)
class _Act:
    """Something done, in use, given, ordered or taken, with its times."""

    item: Item
    source: Source
    status: str | None
    concept: CodeableConcept | None
    start: TimeSpan | None
    end: TimeSpan | None
    recorded: TimeSpan | None = None
    products: tuple[Reference, ...] = ()

    @property
    def says(self) -> tuple[Truth, Truth, Reason | None]:
        """Whether it happened, whether it goes on, and why that is open."""
        present, active, problem = _STATUS.get(self.status or "unknown", _STATUS["unknown"])
        # Running though it ended says nothing certain.
        return present, Truth.UNKNOWN if active is Truth.MET and self.end is not None else active, problem


def read_procedure(draft: Draft, item: Item, procedure: Procedure) -> None:
    """Add what a procedure says, and the support that it gives."""
    start, end = _bounds(procedure.performed_date_time, procedure.performed_period)
    inexact = (procedure.performed_string, procedure.performed_age, procedure.performed_range)
    if start is None and end is None and any(one is not None for one in inexact):
        draft.note(item, "its time is not given as a date that can be read")
    _add_act(
        draft, _Act(item, "procedure", procedure.status, procedure.code, start, end, None, procedure.used_reference)
    )


def read_device_use(draft: Draft, item: Item, statement: DeviceUseStatement) -> None:
    """Add what a device in use says, and the support that it gives."""
    start, end = _bounds(statement.timing_date_time, statement.timing_period)
    device = find_device(draft.bundle, statement)
    recorded = parse_time(statement.recorded_on)
    _add_act(draft, _Act(item, "procedure", statement.status, device, start, end, recorded))


def read_medication(draft: Draft, item: Item, resource: Medicated) -> None:
    """Add a medication that was ordered, given or taken, and a running rate."""
    why_not = why_not_taken(resource)
    if why_not is not None:
        draft.note(item, why_not)
        return
    concept = find_medication(draft.bundle, resource)
    if concept is None:
        draft.note(item, "it names no medication that can be found")
        return
    times = _medication_times(resource)
    act = _Act(item, "medication", resource.status, concept, *times, products=_products(resource))
    _state_act(draft, act, was_done=not isinstance(resource, MedicationRequest))
    if isinstance(resource, MedicationAdministration):
        read_rates(draft, item, resource, concept)


def _add_act(draft: Draft, act: _Act) -> None:
    if act.status in _NOT_DONE:
        draft.note(act.item, f"it is {act.status} and was left out")
        return
    _state_act(draft, act)
    for code in codings(act.concept):
        for name, level in draft.dictionary.levels.get((code.system, code.code), ()):
            _add_level(draft, act, code, name, level)


def _state_act(draft: Draft, act: _Act, *, was_done: bool = True) -> None:
    """Add what an act says. Whether one that was done gave cells is settled when the lots are known."""
    present, active, problem = act.says
    if was_done:
        draft.given.append(Given(act.item, act.source, act.concept, act.status, act.start, act.end, act.products))
    statement = Statement(
        item=act.item,
        source=act.source,
        concept=act.concept,
        present=present,
        active=active,
        problem=problem,
        time=act.start,
        ended=act.end,
        recorded=act.recorded,
        waiting=draft.dictionary.therapies if was_done else frozenset(),
    )
    add_statement(draft, statement)


def _add_level(draft: Draft, act: _Act, code: Coding, name: str, level: str) -> None:
    definition = draft.knowledge.measurements[name]
    reading = read_answer(definition, level, text_of(act.concept))
    entry = Measurement(
        name=name,
        reference=act.item.reference,
        time=act.start,
        as_received=reading.as_received,
        code=code,
        problem=act.says[2],
        value=reading.value,
        answer=level,
        unit=definition.unit,
    )
    draft.measure(act.item, entry)


def _bounds(moment: str | None, period: Period | None) -> tuple[TimeSpan | None, TimeSpan | None]:
    if period is not None:
        return parse_time(period.start), parse_time(period.end)
    return parse_time(moment), None


def _products(resource: Medicated) -> tuple[Reference, ...]:
    """Whatever an administration refers to that may be a product lot."""
    more = resource.supporting_information if isinstance(resource, MedicationAdministration) else ()
    return tuple(one for one in (resource.medication_reference, *more) if one is not None)


def why_not_taken(resource: Medicated) -> str | None:
    """Why a medication was neither given nor ordered, if so."""
    if resource.status in _NOT_DONE:
        return f"it is {resource.status} and was left out"
    if isinstance(resource, MedicationRequest):
        if resource.do_not_perform:
            return "it asks not to give a medication and was left out"
        if resource.intent is not None and resource.intent not in _ORDERED:
            return "it is a plan or a proposal, no order, and was left out"
    return None


def _medication_times(resource: Medicated) -> tuple[TimeSpan | None, TimeSpan | None, TimeSpan | None]:
    """Start, end, and when it was recorded."""
    match resource:
        case MedicationRequest():
            return parse_time(resource.authored_on), None, None
        case MedicationStatement():
            bounds = _bounds(resource.effective_date_time, resource.effective_period)
            return (*bounds, parse_time(resource.date_asserted))
        case MedicationAdministration():
            return (*_bounds(resource.effective_date_time, resource.effective_period), None)
        case _:
            return None, None, None
