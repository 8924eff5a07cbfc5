"""Which numbers stand against which limits in the rules of a protocol, and which criteria rest on them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import TypeVar

from mscprotocol.answer import SourceItem
from mscprotocol.definitions import FindingDefinition, Score
from mscprotocol.knowledge import KnowledgeBase
from mscprotocol.knowledge_forms import (
    Expression,
    FindingLeaf,
    Group,
    Leaf,
    MeasurementLeaf,
    Operator,
    ScoreLeaf,
    UnknownIf,
    walk_leaves,
)
from mscprotocol.knowledge_loader import expressions
from mscprotocol.rulebook import Rulebook

V = TypeVar("V")


@dataclass(frozen=True, eq=False)
class Comparison:
    """One number against one limit in canonical unit; `parts` read every window that it answers from, each once."""

    key: str
    leaf: MeasurementLeaf | ScoreLeaf
    operator: Operator
    limit: Decimal
    criteria: tuple[str, ...]
    source: SourceItem
    parts: tuple[MeasurementLeaf, ...]


@dataclass(frozen=True, eq=False)
class Comparisons:
    """The comparisons of a rulebook, and what rests on each datum and leaf.

    `answering` holds every leaf of a datum that compares, `named` those with a key of their own, `scored` the keys of
    the scores that it enters.
    """

    all: tuple[Comparison, ...]
    criteria: dict[str, tuple[str, ...]]
    answering: dict[str, tuple[MeasurementLeaf, ...]]
    named: dict[str, tuple[str, ...]]
    scored: dict[str, tuple[str, ...]]


def find_comparisons(book: Rulebook) -> Comparisons:
    """Every numeric comparison of a rulebook, found once."""
    return book.once("comparisons", lambda: _find(book))


def worst_is_high(book: Rulebook, leaf: MeasurementLeaf) -> bool:
    """On which side a comparison is adverse: where it holds, or where it does not if an inclusion or a lot needs it."""
    assert leaf.comparison is not None
    is_above = leaf.comparison[0] in ("gt", "gte")
    is_product = book.knowledge.measurements[leaf.measurement].about == "product"
    return is_above != (is_product or id(leaf) in book.once("needed leaves", lambda: _needed(book)))


def _needed(book: Rulebook) -> frozenset[int]:
    """The leaves that have to hold for an inclusion: those that it or its findings state, not those of a class."""
    wanted = [one.when for _, one in book.criteria if one.role == "inclusion" and one.when is not None]
    return frozenset(id(leaf) for one in wanted for leaf, is_needed in _signed(book.knowledge, one) if is_needed)


def _signed(knowledge: KnowledgeBase, expression: Expression, holds: bool = True) -> Iterator[tuple[Leaf, bool]]:
    """Each leaf of an expression, with whether it speaks for it."""
    match expression:
        case Group():
            inside = holds != bool(expression.none_of)
            for member in expression.members:
                yield from _signed(knowledge, member, inside)
        case FindingLeaf(finding=name):
            definition = knowledge.definitions[name]
            assert isinstance(definition, FindingDefinition)
            yield from _signed(knowledge, definition.when, holds)
        case _:
            yield expression, holds


def _find(book: Rulebook) -> Comparisons:
    criteria = _criteria_behind(book)
    sources = _sources(book.knowledge)
    parts = {key: tuple(_parts(book.knowledge, leaf)) for key, leaf in book.leaves.items()}
    distinct = {key: tuple(_distinct(found)) for key, found in parts.items()}
    scored = {key: found for key, found in parts.items() if isinstance(book.leaves[key], ScoreLeaf)}
    measured = {key: found[0] for key, found in parts.items() if found and key not in scored}
    return Comparisons(
        all=tuple(_comparisons(book, distinct, criteria, sources)),
        criteria=criteria,
        answering=_gather((leaf.measurement, leaf) for found in parts.values() for leaf in found),
        named=_gather((leaf.measurement, key) for key, leaf in measured.items()),
        scored=_gather((leaf.measurement, key) for key, found in scored.items() for leaf in found),
    )


def _comparisons(
    book: Rulebook,
    parts: dict[str, tuple[MeasurementLeaf, ...]],
    criteria: dict[str, tuple[str, ...]],
    sources: dict[int, SourceItem],
) -> Iterator[Comparison]:
    for key, leaf in book.leaves.items():
        if not isinstance(leaf, MeasurementLeaf | ScoreLeaf) or leaf.comparison is None or key not in criteria:
            continue
        if isinstance(leaf, MeasurementLeaf) and leaf.received_in:
            continue  # a limit of one unit's own table says nothing of values received in another
        operator, limit = _limit(book.knowledge, leaf)
        yield Comparison(key, leaf, operator, limit, criteria[key], sources[id(leaf)], parts[key])


def _limit(knowledge: KnowledgeBase, leaf: MeasurementLeaf | ScoreLeaf) -> tuple[Operator, Decimal]:
    if isinstance(leaf, MeasurementLeaf):
        return knowledge.thresholds[id(leaf)]
    assert leaf.comparison is not None
    return leaf.comparison[0], leaf.comparison[1].value


def _criteria_behind(book: Rulebook) -> dict[str, tuple[str, ...]]:
    """The criteria that rest on each leaf, in the order of the protocol."""
    return _gather(
        (leaf, name)
        for name, criterion in book.criteria
        if criterion.when is not None
        for leaf in book.tokens_behind(book.roots[name])
    )


def _sources(knowledge: KnowledgeBase) -> dict[int, SourceItem]:
    """Where each limit comes from: the source of its leaf, else the first of the rule that it stands in."""
    found = {}
    for owner, expression in expressions(knowledge):
        rule = knowledge.criteria.get(owner) or knowledge.definitions[owner]
        for leaf in walk_leaves(expression):
            one = leaf.source or rule.sources[0]
            found[id(leaf)] = SourceItem(one.id, one.mark, one.section, one.quote)
    return found


def _parts(knowledge: KnowledgeBase, leaf: Leaf) -> Iterator[MeasurementLeaf]:
    """The measured leaves with a limit that a leaf answers from; those of a score stand in its rows."""
    match leaf:
        case MeasurementLeaf():
            if leaf.comparison is not None:
                yield leaf
        case ScoreLeaf(score=name):
            score = knowledge.definitions[name]
            assert isinstance(score, Score)
            for item in leaf.items or score.items:
                for row in score.items[item].rows:
                    yield from _parts_of(knowledge, row.when)


def _parts_of(knowledge: KnowledgeBase, expression: Expression) -> Iterator[MeasurementLeaf]:
    match expression:
        case Group():
            for member in expression.members:
                yield from _parts_of(knowledge, member)
        case FindingLeaf(finding=name) | UnknownIf(unknown_if=name):
            definition = knowledge.definitions[name]
            assert isinstance(definition, FindingDefinition)
            yield from _parts_of(knowledge, definition.when)
        case _:
            yield from _parts(knowledge, expression)


def _distinct(leaves: Iterable[MeasurementLeaf]) -> Iterable[MeasurementLeaf]:
    """One leaf for each datum, window, way to choose and side: rows of a score mostly differ in their limit alone."""
    ways: dict[tuple[object, ...], MeasurementLeaf] = {}
    for leaf in leaves:
        assert leaf.comparison is not None
        is_above = leaf.comparison[0] in ("gt", "gte")
        ways.setdefault((leaf.measurement, leaf.within, leaf.worst, leaf.during, is_above), leaf)
    return ways.values()


def _gather(pairs: Iterator[tuple[str, V]]) -> dict[str, tuple[V, ...]]:
    """What belongs to each name, each thing once and in order; leaves are told apart by identity."""
    found: dict[str, dict[object, V]] = {}
    for name, one in pairs:
        found.setdefault(name, {}).setdefault(one if isinstance(one, str) else id(one), one)
    return {name: tuple(members.values()) for name, members in found.items()}
