"""The value of an observation, component or form item, read as its datum demands."""

from __future__ import annotations

from decimal import Decimal

from fhir_adapters.datatypes import CodeableConcept
from fhir_adapters.dictionary import codings, text_of
from fhir_adapters.quantities import Reading, read_bare, read_quantity, read_range, write_quantity
from fhir_adapters.resources import Valued
from fhir_adapters.times import parse_time
from mscprotocol.codes import CodeSystem, Coding
from mscprotocol.data_dictionary import Measurement
from mscprotocol.interval import exactly
from mscprotocol.knowledge import KnowledgeBase
from mscprotocol.reasons import Reason
from mscprotocol.units import is_unitless, on_time_axis

_UNREAD = ("value_ratio", "value_sampled_data", "value_time", "value_date_time", "value_period")


def read_value(knowledge: KnowledgeBase, definition: Measurement, valued: Valued) -> Reading:
    """The value in the form that its datum demands; another form is for a person to read."""
    if not has_value(valued):
        return _absent(valued)
    if valued.data_absent_reason is not None:
        return Reading(f"{write_value(valued)} (stated absent)", problem=Reason.NEEDS_REVIEW)
    if definition.kind == "time":
        return read_moment(valued.value_date_time, write_value(valued))
    if definition.kind in ("quantity", "derived"):
        return _read_number(knowledge, definition, valued)
    if valued.value_boolean is not None and {"yes", "no"} <= set(definition.answers):
        return read_answer(definition, "yes" if valued.value_boolean else "no", write_value(valued))
    if valued.value_codeable_concept is not None:
        return read_concept(definition, valued.value_codeable_concept)
    return Reading(write_value(valued), problem=Reason.NEEDS_REVIEW)


def has_value(valued: Valued) -> bool:
    """Whether there is a value of any kind."""
    return write_value(valued) != "" or any(getattr(valued, name) is not None for name in _UNREAD)


def write_value(valued: Valued) -> str:
    """A value as it was written, empty if there is none."""
    if valued.value_quantity is not None:
        return write_quantity(valued.value_quantity)
    if valued.value_codeable_concept is not None:
        return text_of(valued.value_codeable_concept)
    if valued.value_boolean is not None:
        return "true" if valued.value_boolean else "false"
    if valued.value_range is not None:
        ends = (valued.value_range.low, valued.value_range.high)
        return " to ".join("" if end is None else write_quantity(end) for end in ends).strip()
    if isinstance(valued.value_date_time, str):
        return valued.value_date_time
    return valued.value_string or ("" if valued.value_integer is None else str(valued.value_integer))


def read_concept(definition: Measurement, concept: CodeableConcept) -> Reading:
    """A coded answer; words alone prove nothing, and two answers at once contradict each other."""
    received = text_of(concept)
    found = codings(concept)
    answers = {name for code in found for name in answers_of(definition, code)}
    if len(answers) > 1:
        return Reading(received, problem=Reason.CONFLICT)
    if answers:
        return read_answer(definition, answers.pop(), received)
    return Reading(received, problem=Reason.CODE_UNMAPPED if found else Reason.NEEDS_REVIEW)


def read_moment(text: object, received: str) -> Reading:
    """A datum that is a time, as an interval on the time axis."""
    span = parse_time(text) if isinstance(text, str) else None
    if span is None:
        return Reading(received, problem=Reason.NEEDS_REVIEW if received else Reason.MISSING)
    return Reading(received, on_time_axis(span))


def answers_of(definition: Measurement, code: Coding) -> list[str]:
    """The answers that a code stands for; our own codes are their names."""
    if code.system is CodeSystem.DATUM:
        return [code.code] if code.code in (definition.levels or definition.answers) else []
    wanted = (code.system, code.code)
    return [name for name, codes in definition.answers.items() if any(wanted == (c.system, c.code) for c in codes)]


def read_answer(definition: Measurement, answer: str, received: str) -> Reading:
    """One of the answers of a datum; an ordered state also has its place in the order."""
    if definition.kind != "ordinal":
        return Reading(received, answer=answer)
    return Reading(received, exactly(definition.levels.index(answer)), answer)


def _absent(valued: Valued) -> Reading:
    why = text_of(valued.data_absent_reason) if valued.data_absent_reason is not None else ""
    if valued.interpretation:
        # A result of which only the judgement was sent: it is not absent, and not to be guessed.
        return Reading(text_of(valued.interpretation[0]), problem=Reason.NEEDS_REVIEW)
    return Reading(f"absent: {why}" if why else "absent", problem=Reason.MISSING)


def _read_number(knowledge: KnowledgeBase, definition: Measurement, valued: Valued) -> Reading:
    if valued.value_quantity is not None:
        return read_quantity(knowledge, definition, valued.value_quantity)
    if valued.value_range is not None:
        return read_range(knowledge, definition, valued.value_range)
    if valued.value_integer is not None and is_unitless(definition):
        return read_bare(definition, Decimal(valued.value_integer), write_value(valued))
    problem = Reason.UNIT_UNKNOWN if valued.value_integer is not None else Reason.NEEDS_REVIEW
    return Reading(write_value(valued), problem=problem)
