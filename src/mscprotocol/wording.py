"""How a rule reads in words: the one place where a leaf of the knowledge becomes text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mscprotocol.knowledge import KnowledgeBase
from mscprotocol.knowledge_forms import (
    SYMBOLS,
    ChangeLeaf,
    ConclusionLeaf,
    ConditionLeaf,
    Expression,
    FindingLeaf,
    Group,
    Leaf,
    MeasurementLeaf,
    Quantity,
    ScoreLeaf,
    UnknownIf,
)

_UNITLESS = {"1", "{score}", "{infusions}"}
EVER = "120 a"  # a look-back over a whole life


def describe_leaf(knowledge: KnowledgeBase, leaf: Leaf) -> str:
    """One leaf in words; two leaves read alike only if they ask the same."""
    return _WORDS[type(leaf)](knowledge, leaf)


def describe(knowledge: KnowledgeBase, expression: Expression) -> str:
    """A whole expression in words."""
    if isinstance(expression, Group):
        joint = " and " if expression.all_of else " or "
        members = [describe(knowledge, member) for member in expression.members]
        text = members[0] if len(members) == 1 else "(" + joint.join(members) + ")"
        return f"not {text}" if expression.none_of else text
    return describe_leaf(knowledge, expression)


def describe_quantity(quantity: Quantity) -> str:
    """A number with its unit as people write it."""
    if quantity.unit in _UNITLESS:
        return str(quantity.value)
    return f"{quantity.value}{'' if quantity.unit == '%' else ' '}{quantity.unit}"


def _measurement(knowledge: KnowledgeBase, leaf: MeasurementLeaf) -> str:
    words = [knowledge.measurements[leaf.measurement].text]
    if leaf.known:
        words.append("is known")
    elif leaf.comparison is not None:
        operator, threshold = leaf.comparison
        words.append(f"{SYMBOLS[operator]} {describe_quantity(threshold)}")
    else:
        words.append("is " + " or ".join(answer.replace("_", " ") for answer in leaf.answer or ()))
    if leaf.received_in:
        words.append(f"(reported in {', '.join(leaf.received_in)})")
    if leaf.set_aside:
        words.append(f"({', '.join(leaf.set_aside)} set aside)")
    if leaf.within is not None:
        words.append(f"{'at any time ' if leaf.worst else ''}within {leaf.within.text}")
    if leaf.during is not None:
        words.append(f"taken during {leaf.during.replace('_', ' ')}")
    if leaf.not_before is not None:
        words.append(f"and not before: {knowledge.conditions[leaf.not_before].text.lower()}")
    if leaf.contradicted_by is not None:
        words.append(f"(open where {knowledge.conditions[leaf.contradicted_by].text} was refuted, denied or ended)")
    if leaf.unless is not None:
        words.append(f"(not read with {leaf.unless.replace('_', ' ')})")
    if leaf.not_met_needs is not None:
        words.append(f"(denied only on {leaf.not_met_needs.replace('_', ' ')})")
    if leaf.no_record:
        words.append("(passed over without a record)")
    return " ".join(words)


def _condition(knowledge: KnowledgeBase, leaf: ConditionLeaf) -> str:
    text = knowledge.conditions[leaf.condition].text
    if leaf.within is not None:
        since = "begun " if leaf.by_onset else ""
        text += " ever" if leaf.within.text == EVER else f" {since}within {leaf.within.text}"
    if leaf.answered_within is not None:
        text += f", answered within {leaf.answered_within.text}"
    if leaf.held_within is not None:
        text += f" at any time within {leaf.held_within.text}"
    if leaf.began_within is not None:
        text += f" began within {leaf.began_within.text}"
    if leaf.charted_within is not None:
        text += f" charted within {leaf.charted_within.text}"
    if leaf.lasting:
        text += " (once said it stands)"
    return text + (" (absent without a record)" if leaf.no_record else "")


def _change(knowledge: KnowledgeBase, leaf: ChangeLeaf) -> str:
    name = knowledge.measurements[leaf.change].text
    if leaf.rises_to is not None:
        return f"{name} rose to {leaf.rises_to.value} times an earlier value within {leaf.over.text}"
    assert leaf.falls_by is not None
    return f"{name} fell by {describe_quantity(leaf.falls_by)} or more within {leaf.over.text}"


def _score(knowledge: KnowledgeBase, leaf: ScoreLeaf) -> str:
    name = knowledge.definitions[leaf.score].text
    if leaf.items:
        name += f" ({' + '.join(leaf.items)})"
    if leaf.rise:
        name += ", rise above the baseline,"
    assert leaf.comparison is not None
    operator, threshold = leaf.comparison
    return f"{name} {SYMBOLS[operator]} {threshold.value}"


def _conclusion(knowledge: KnowledgeBase, leaf: ConclusionLeaf) -> str:
    other = [f"{word}: {', '.join(named)}" for word, named in (("no", leaf.not_met), ("review", leaf.review)) if named]
    found = " or ".join(leaf.met) if leaf.met else "read"
    return f"{knowledge.definitions[leaf.conclusion].text} is {found} ({'; '.join(other)})"


_WORDS: dict[type[Leaf], Callable[[KnowledgeBase, Any], str]] = {
    MeasurementLeaf: _measurement,
    ConditionLeaf: _condition,
    ChangeLeaf: _change,
    ScoreLeaf: _score,
    ConclusionLeaf: _conclusion,
    FindingLeaf: lambda knowledge, leaf: knowledge.definitions[leaf.finding].text,
    UnknownIf: lambda knowledge, leaf: f"{knowledge.definitions[leaf.unknown_if].text} leaves it open",
}
