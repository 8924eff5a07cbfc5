"""Whether a mutant decides as the rules do whatever is charted: proved, so that no test is asked for the impossible.

Three things are seen through: a decision list, over every combination of its tokens; a leaf that only writes out what
holds without it (the answers that deny, the shelf life as a window); and a class that no patient can be in.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from mutated import load_once
from pydantic import BaseModel

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # the tests are a package of the checkout

from mscprotocol.definitions import Decision, FindingDefinition, Ladder
from mscprotocol.knowledge import KnowledgeBase
from mscprotocol.knowledge_forms import (
    ConclusionLeaf,
    Expression,
    FindingLeaf,
    Group,
    Leaf,
    MeasurementLeaf,
    UnknownIf,
)
from mscprotocol.timespan import Window
from mscprotocol.truth import Truth
from tests.rule_oracles import decision_oracle

MOST_LEAVES = 6


def is_same(knowledge: KnowledgeBase, name: str) -> bool:
    """Whether a changed criterion or definition concludes as before."""
    before, after = (one.criteria.get(name) or one.definitions.get(name) for one in (load_once(), knowledge))
    if isinstance(before, Decision) and isinstance(after, Decision):
        return _concludes_alike(before, after)
    return before is not None and _as_it_was(name) == _plain(knowledge, after)


@lru_cache
def _as_it_was(name: str) -> Any:
    """A rule without any mutant; a process judges the mutants of one rule in a row."""
    knowledge = load_once()
    return _plain(knowledge, knowledge.criteria.get(name) or knowledge.definitions[name])


def _concludes_alike(before: Decision, after: Decision) -> bool:
    lists = [decision_oracle(one) for one in (before, after)]
    combinations = itertools.product(*before.inputs.values())
    return all(len({one(dict(zip(before.inputs, said, strict=True))) for one in lists}) == 1 for said in combinations)


# -- what a rule says, in one form -------------------------------------------------------------------


def _plain(knowledge: KnowledgeBase, value: Any) -> Any:
    """A rule as nested plain data in which leaves that decide alike read alike."""
    match value:
        case MeasurementLeaf():
            return {**_fields(knowledge, value), **_written_out(knowledge, value)}
        case ConclusionLeaf():
            possible = _possible_classes(knowledge, value.conclusion)
            return {
                "conclusion": value.conclusion,
                **{key: possible & {*getattr(value, key)} for key in ("met", "not_met", "review")},
            }
        case BaseModel():
            return _fields(knowledge, value)
        case Mapping():
            return {key: _plain(knowledge, one) for key, one in value.items()}
        case tuple():
            return [_plain(knowledge, one) for one in value]
        case _:
            return value


def _fields(knowledge: KnowledgeBase, value: BaseModel) -> dict[str, Any]:
    return {key: _plain(knowledge, getattr(value, key)) for key in type(value).model_fields}


def _written_out(knowledge: KnowledgeBase, leaf: MeasurementLeaf) -> dict[str, Any]:
    """The answers that deny, and the window at each stage, as they are in force."""
    datum = knowledge.measurements[leaf.measurement]
    denying = datum.answers if leaf.not_answer is None else leaf.not_answer
    windows: list[Window | None] = [leaf.within or age for age in (datum.max_age.screening, datum.max_age.infusion)]
    return {
        "not_answer": {*denying} - {*(leaf.answer or ())},
        "within": [window and window.parts for window in windows],
    }


# -- classes that no patient can be in ---------------------------------------------------------------


def _possible_classes(knowledge: KnowledgeBase, name: str) -> set[str]:
    """The classes of a ladder, without the last where some of its rungs cannot be excluded together; else all named."""
    definition = knowledge.definitions[name]
    if not isinstance(definition, Ladder):
        return {*getattr(definition, "conclusions", ())}
    several = (some for count in (1, 2, 3) for some in itertools.combinations(definition.rungs, count))
    if any(_always_holds_one(knowledge, [rung.when for rung in some]) for some in several):
        return {*definition.classes} - {definition.otherwise}
    return {*definition.classes}


def _always_holds_one(knowledge: KnowledgeBase, several: list[Expression]) -> bool:
    """Whether no truths of the leaves behind a few expressions deny all of these."""
    atoms = {key: leaf for when in several for key, leaf in _walk(knowledge, when)}
    if len(atoms) > MOST_LEAVES:
        return False
    for truths in itertools.product(*map(_truths, atoms.values())):
        said = dict(zip(atoms, truths, strict=True))
        if all(_truth(knowledge, when, said) is Truth.NOT_MET for when in several):
            return False
    return True


def _walk(knowledge: KnowledgeBase, expression: Expression) -> Iterator[tuple[str, Leaf]]:
    """The leaves behind an expression, each taken for independent of the others; equal leaves have one key."""
    match expression:
        case Group():
            for member in expression.members:
                yield from _walk(knowledge, member)
        case FindingLeaf(finding=name) | UnknownIf(unknown_if=name):
            yield from _walk(knowledge, _when(knowledge, name))
        case _:
            yield _key(expression), expression


def _truth(knowledge: KnowledgeBase, expression: Expression, said: Mapping[str, Truth]) -> Truth:
    match expression:
        case Group():
            return expression.combine([_truth(knowledge, member, said) for member in expression.members])
        case FindingLeaf(finding=name):
            return _truth(knowledge, _when(knowledge, name), said)
        case UnknownIf(unknown_if=name):
            found = _truth(knowledge, _when(knowledge, name), said)
            return found if found is Truth.NOT_MET else Truth.UNKNOWN
        case _:
            return said[_key(expression)]


def _truths(leaf: Leaf) -> tuple[Truth, ...]:
    """What a leaf can come out as: whether something is known is never denied."""
    is_known = isinstance(leaf, MeasurementLeaf) and leaf.known
    return (Truth.MET, Truth.UNKNOWN) if is_known else tuple(Truth)


def _when(knowledge: KnowledgeBase, name: str) -> Expression:
    definition = knowledge.definitions[name]
    assert isinstance(definition, FindingDefinition)
    return definition.when


def _key(leaf: Leaf) -> str:
    return repr(leaf.model_copy(update={"source": None}))
