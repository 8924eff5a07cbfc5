"""An entry of the rules in words, line by line, whatever its kind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mscprotocol.authoring.entries import Entry
from mscprotocol.data_dictionary import Condition, Measurement
from mscprotocol.definitions import Decision, DecisionRow, FindingDefinition, Ladder, Score, Trend
from mscprotocol.knowledge import KnowledgeBase
from mscprotocol.protocols import Criterion, Protocol, Sourced
from mscprotocol.wording import describe, describe_quantity


def rule_lines(knowledge: KnowledgeBase, entry: Entry) -> Iterator[str]:
    """What an entry says, in words."""
    match entry.value:
        case Criterion(when=None, not_computable=reason):
            yield f"Not computed: {reason}" if reason else "A statement."
        case Criterion(when=when) | FindingDefinition(when=when) if when is not None:
            yield describe(knowledge, when)
        case Ladder() as ladder:
            yield from (f"{rung.name}: {describe(knowledge, rung.when)}" for rung in ladder.rungs)
            yield f"{ladder.otherwise}: if every class above is excluded"
        case Score() as score:
            yield from _score_lines(knowledge, score)
        case Decision() as decision:
            yield from (f"{row.conclude}: {_decision_words(row)}" for row in decision.rows)
            yield f"{decision.otherwise}: otherwise"
        case Trend() as trend:
            yield from (f"{one.text} ({one.domain}): bad is {one.bad}" for one in trend.signals.values())
        case Measurement() as datum:
            yield from datum_lines(datum)
        case Condition() as condition:
            yield from condition_lines(knowledge, condition)
        case Protocol() as protocol:
            yield from _protocol_lines(protocol)
        case other:
            yield from _plain_lines(other)


def _score_lines(knowledge: KnowledgeBase, score: Score) -> Iterator[str]:
    for item in score.items.values():
        yield f"{item.text}"
        yield from (f"  {row.points}: {describe(knowledge, row.when)}" for row in item.rows)
        yield f"  {item.otherwise}: otherwise"


def _decision_words(row: DecisionRow) -> str:
    every = [f"{key} is {' or '.join(tokens)}" for key, tokens in row.all.items()]
    some = [f"{key} is {' or '.join(tokens)}" for key, tokens in row.any.items()]
    return " and ".join([*every, *([f"({' or '.join(some)})"] if some else [])])


def datum_lines(datum: Measurement) -> Iterator[str]:
    """A measurement of the dictionary: codes, units, answers, limits, shelf lives."""
    if datum.kind in ("quantity", "derived"):
        yield f"in {datum.unit}" + (f"; accepted {', '.join(datum.units)}" if datum.units else "")
    if datum.made_of:
        yield f"made of {', '.join(datum.made_of)}"
    if datum.levels or datum.answers:
        yield f"{'levels' if datum.levels else 'answers'}: {', '.join(datum.levels or datum.answers)}"
    yield from _codes(datum)
    if datum.max_age.screening or datum.max_age.infusion:
        ages = {"screening": datum.max_age.screening, "infusion": datum.max_age.infusion}
        yield "holds for " + ", ".join(f"{age.text} at {stage}" for stage, age in ages.items() if age)
    if datum.confounded_by:
        yield f"not read with {datum.confounded_by.replace('_', ' ')}"
    yield from _kept_for(datum)


def condition_lines(knowledge: KnowledgeBase, condition: Condition) -> Iterator[str]:
    """A condition of the dictionary: its value set and what else speaks for it or against it."""
    yield from _codes(condition)
    if condition.icd10:
        without = f" without {', '.join(condition.icd10_except)}" if condition.icd10_except else ""
        yield f"ICD-10 {', '.join(condition.icd10)}{without}"
    for field, words in (("suspected", "suggested, not proven, by"), ("refuted_by", "denied by")):
        if getattr(condition, field):
            yield f"{words} {', '.join(map(str, getattr(condition, field)))}"
    if condition.parts:
        yield f"either of {', '.join(knowledge.conditions[part].text for part in condition.parts)}"
    for test in condition.tests:
        above = f" above {describe_quantity(test.above)}" if test.above else ""
        yield f"shown by {knowledge.measurements[test.measurement].text}{above}"
    if condition.attested_for:
        yield f"a named person's answer holds for {condition.attested_for.text}"
    yield from _kept_for(condition)


def _codes(value: Measurement | Condition) -> Iterator[str]:
    said = [f"{one.code}{f' ({one.flag})' if one.flag else ''}" for one in value.codes]
    if said:
        yield f"codes {', '.join(said)}"


def _kept_for(value: Any) -> Iterator[str]:
    if value.kept_for:
        yield f"kept for: {value.kept_for}"


def _protocol_lines(protocol: Protocol) -> Iterator[str]:
    yield f"criteria: {', '.join(protocol.criteria)}"
    yield f"statements: {', '.join(protocol.statements)}"
    yield f"severity by {protocol.severity}; risk tier by {protocol.tier}; trend by {protocol.trend}"
    yield from _plain_lines(protocol)


def _plain_lines(value: Any) -> Iterator[str]:
    """The short facts of anything else."""
    for fact in getattr(value, "facts", ()):
        yield f"{fact.about}: {fact.text}"
    for name, option in getattr(value, "options", {}).items():
        chosen = " (as written)" if name == getattr(value, "default", None) else ""
        yield f"{name}{chosen}: {option.text}"
    for part in ("before", "during", "after"):
        yield from (f"{part}: {item.text}" for item in getattr(value, part, ()))


def sourced_fields(value: Any) -> Mapping[str, Sourced]:
    """The sourced numbers of a dose, schedule or practice by field."""
    return {name: one for name in type(value).model_fields if isinstance(one := getattr(value, name), Sourced)}
