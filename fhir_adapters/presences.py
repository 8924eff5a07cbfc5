"""Conditions and allergies to presences: what is there, what was there, what was denied."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from fhir_adapters.bundle import Item
from fhir_adapters.datatypes import CodeableConcept
from fhir_adapters.dictionary import Meaning, Source, codings, is_stated_by, main_code, text_of, words_of
from fhir_adapters.draft import Draft
from fhir_adapters.resources import AllergyIntolerance, Condition
from fhir_adapters.times import parse_time, period_hull
from fhir_adapters.writing import RECORDED_EVENT
from mscprotocol.codes import CodeSystem, Coding
from mscprotocol.reasons import Reason
from mscprotocol.record import Presence
from mscprotocol.timespan import TimeSpan
from mscprotocol.truth import Truth

_ACTIVE = frozenset(("active", "recurrence", "relapse"))
_OVER = frozenset(("inactive", "remission", "resolved"))
_DENIED = re.compile(
    r"\W*(no|not|denies|denied|rule[ds]? out|r/o|exclude[ds]?|negative for|absence of|without"
    r"|family history|(personal )?history of|h/o)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Statement:
    """That something is, was or is not there: what conditions, allergies, acts and medications have in common.

    `waiting` are conditions of which its words are read later.
    """

    item: Item
    source: Source
    concept: CodeableConcept | None
    present: Truth
    active: Truth
    problem: Reason | None = None
    time: TimeSpan | None = None
    ended: TimeSpan | None = None
    recorded: TimeSpan | None = None
    further: tuple[CodeableConcept, ...] = ()
    words: tuple[str, ...] = ()
    waiting: frozenset[str] = frozenset()
    recorded_as: str = ""

    @property
    def codes(self) -> tuple[Coding, ...]:
        return tuple(code for concept in (self.concept, *self.further) for code in codings(concept))

    @property
    def texts(self) -> tuple[str, ...]:
        return (*(word for concept in (self.concept, *self.further) for word in words_of(concept)), *self.words)


def read_condition(draft: Draft, item: Item, condition: Condition) -> None:
    """Add what a diagnosis says of each condition of the dictionary."""
    present, problem = _verified(condition.verification_status)
    if present is None:
        draft.note(item, "it was entered in error and was left out")
        return
    ended = parse_time(condition.abatement_date_time) or period_hull(condition.abatement_period)
    inexact = (condition.abatement_age, condition.abatement_range, condition.abatement_string)
    is_over = ended is not None or condition.abatement_boolean is True or any(one is not None for one in inexact)
    is_over = is_over or bool(condition.abatement_date_time or condition.abatement_period)
    if is_over and ended is None:
        draft.note(item, "its end is not given as a date that can be read")
    statement = Statement(
        item=item,
        source="condition",
        concept=condition.code,
        present=present,
        active=_activity(condition.clinical_status, is_over),
        problem=problem,
        time=_onset(draft, item, condition),
        ended=ended,
        recorded=parse_time(condition.recorded_date),
        recorded_as=next((one.value for one in condition.identifier if one.system == RECORDED_EVENT and one.value), ""),
    )
    add_statement(draft, statement)


def read_allergy(draft: Draft, item: Item, allergy: AllergyIntolerance) -> None:
    """Add what an allergy, or the statement that there is none, says."""
    present, problem = _verified(allergy.verification_status)
    if present is None:
        draft.note(item, "it was entered in error and was left out")
        return
    reactions = [one for reaction in allergy.reaction for one in (reaction.substance, *reaction.manifestation)]
    is_severe = any(reaction.severity == "severe" for reaction in allergy.reaction)
    statement = Statement(
        item=item,
        source="allergy",
        concept=allergy.code,
        present=present,
        active=_activity(allergy.clinical_status, is_over=False),
        problem=problem,
        time=_onset(draft, item, allergy),
        recorded=parse_time(allergy.recorded_date),
        further=tuple(one for one in reactions if one is not None),
        words=("severe allergy",) if is_severe else (),
    )
    add_statement(draft, statement)


def add_statement(draft: Draft, statement: Statement) -> None:
    """Add a presence for each condition that a code of the statement stands for, and report what only words name."""
    draft.note_unknown_names(statement.item, statement.concept)
    named = {name for code in statement.codes for name in _measured(draft, statement, code)}
    for code in statement.codes:
        for meaning in draft.dictionary.meanings(code.system, code.code):
            if not _is_stated(draft, statement, meaning.name):
                continue
            named.add(meaning.name)
            if meaning.relation != "excepted":
                _add(draft, statement, code, meaning)
    if statement.present is not Truth.NOT_MET:
        words = {name for text in statement.texts for name in draft.dictionary.words(statement.source, text)}
        draft.report_unmapped(statement.item, main_code(statement.concept), words - named - statement.waiting)


def _measured(draft: Draft, statement: Statement, code: Coding) -> Iterable[str]:
    """The measurements that a code carries: a level of support, or the drug of a rate."""
    key = (code.system, code.code)
    if statement.source == "medication":
        return [name for name, _ in draft.dictionary.data.get(key, ())]
    return [name for name, _ in draft.dictionary.levels.get(key, ())]


def _is_stated(draft: Draft, statement: Statement, name: str) -> bool:
    """A drug that somebody is allergic to is not taken, and a drug that is taken is no allergy."""
    condition = draft.knowledge.conditions[name]
    if statement.source in ("allergy", "medication"):
        return is_stated_by(condition, statement.source)
    return condition.kind != "medication"


def _add(draft: Draft, statement: Statement, code: Coding, meaning: Meaning) -> None:
    if statement.present is Truth.NOT_MET:
        _add_refuted(draft, statement, code, meaning)
    elif meaning.relation == "refutes":
        _add_denial(draft, statement, code, meaning)
    elif meaning.relation == "suspected" or (statement.present is Truth.MET and _is_denied_in_words(statement, code)):
        _state(draft, statement, code, meaning, problem=Reason.NEEDS_REVIEW)
    else:
        _state(draft, statement, code, meaning, present=statement.present, problem=statement.problem)


def _add_refuted(draft: Draft, statement: Statement, code: Coding, meaning: Meaning) -> None:
    """Only the whole concept denies the whole: no breast cancer is not no cancer."""
    is_whole = meaning.is_category if code.system is CodeSystem.ICD10 else True
    if meaning.relation == "is" and is_whole:
        _state(draft, statement, code, meaning, present=Truth.NOT_MET)
    else:
        draft.note(statement.item, f"what it refutes is not all of {meaning.name}")


def _add_denial(draft: Draft, statement: Statement, code: Coding, meaning: Meaning) -> None:
    """A code that says no: it counts while it is confirmed and not over."""
    if statement.active is Truth.NOT_MET:
        draft.note(statement.item, f"what denied {meaning.name} holds no longer")
    elif statement.present is Truth.MET and statement.active is Truth.MET:
        _state(draft, statement, code, meaning, present=Truth.NOT_MET)
    else:
        problem = statement.problem or Reason.QUALIFIER_MISSING
        _state(draft, statement, code, meaning, problem=problem)


def _state(
    draft: Draft,
    statement: Statement,
    code: Coding,
    meaning: Meaning,
    *,
    present: Truth = Truth.UNKNOWN,
    problem: Reason | None = None,
) -> None:
    presence = Presence(
        name=meaning.name,
        reference=statement.item.reference,
        time=statement.time,
        as_received=text_of(statement.concept) or code.display or str(code),
        code=code,
        problem=problem,
        present=present,
        active=Truth.NOT_MET if present is Truth.NOT_MET else statement.active,
        ended=statement.ended,
        recorded=statement.recorded,
        recorded_as=statement.recorded_as,
    )
    draft.state(statement.item, presence)


def _is_denied_in_words(statement: Statement, code: Coding) -> bool:
    """Whether the text beside a code says the opposite; the code's own display never does."""
    text = (statement.concept.text if statement.concept else None) or ""
    is_history_code = code.system is CodeSystem.ICD10 and code.code.upper().startswith("Z")
    return text.lower() != code.display.lower() and not is_history_code and bool(_DENIED.match(text))


# -- statuses and times ----------------------------------------------------------------------------


def _verified(status: CodeableConcept | None) -> tuple[Truth | None, Reason | None]:
    """Whether a diagnosis is there, and why that is open; no truth at all for one entered in error."""
    codes = _codes_of(status)
    if "entered-in-error" in codes:
        return None, None
    if codes == {"confirmed"}:
        return Truth.MET, None
    if codes == {"refuted"}:
        return Truth.NOT_MET, None
    if codes or status is not None:
        return Truth.UNKNOWN, Reason.NEEDS_REVIEW
    return Truth.UNKNOWN, Reason.QUALIFIER_MISSING


def _activity(status: CodeableConcept | None, is_over: bool) -> Truth:
    """Whether it holds now. Active though it ended says nothing certain."""
    codes = _codes_of(status)
    if codes and codes <= _OVER:
        return Truth.NOT_MET
    if codes and codes <= _ACTIVE:
        return Truth.UNKNOWN if is_over else Truth.MET
    return Truth.NOT_MET if is_over and status is None else Truth.UNKNOWN


def _codes_of(status: CodeableConcept | None) -> frozenset[str]:
    return frozenset(coding.code for coding in status.coding if coding.code) if status else frozenset()


def _onset(draft: Draft, item: Item, resource: Condition | AllergyIntolerance) -> TimeSpan | None:
    time = parse_time(resource.onset_date_time) or period_hull(resource.onset_period)
    given: Iterable[object] = (
        resource.onset_date_time,
        resource.onset_period,
        resource.onset_age,
        resource.onset_range,
        resource.onset_string,
    )
    if time is None and any(one is not None for one in given):
        draft.note(item, "its onset is not given as a date that can be read")
    return time
