"""The rules of one protocol, compiled: which leaves to measure, and which rulesets conclude in which order."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import count
from typing import Any, TypeVar

from mscprotocol.answer import SourceItem
from mscprotocol.definitions import Decision, FindingDefinition, Ladder, Score
from mscprotocol.errors import RequestError
from mscprotocol.knowledge import KnowledgeBase
from mscprotocol.knowledge_forms import (
    ConclusionLeaf,
    Expression,
    FindingLeaf,
    Group,
    Leaf,
    MeasurementLeaf,
    ScoreLeaf,
    UnknownIf,
)
from mscprotocol.protocols import Criterion, Practice, Protocol
from mscprotocol.rulesets import (
    Ruleset,
    build_decision,
    build_group,
    build_guard,
    build_ladder,
    build_reading,
)
from mscprotocol.wording import describe, describe_leaf

T = TypeVar("T")
VERDICT, OUTLOOK, DOSE_STATUS, GATE = "verdict", "outlook", "dose_status", "gate"
IMPROVED = "improved"


@dataclass
class Rulebook:
    """The compiled rules of a protocol. `steps` are in order: each uses leaves and earlier conclusions only."""

    knowledge: KnowledgeBase
    protocol: Protocol
    leaves: dict[str, Leaf] = field(default_factory=dict)
    steps: dict[str, Ruleset] = field(default_factory=dict)
    roots: dict[str, str] = field(default_factory=dict)
    readings: dict[str, ConclusionLeaf] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    source_items: dict[str, list[SourceItem]] = field(default_factory=dict)
    # Names the rulebook in memos that outlive it: an address in memory would be given to another one.
    serial: int = field(default_factory=count().__next__)
    _behind: dict[str, tuple[str, ...]] = field(default_factory=dict)
    _once: dict[Hashable, Any] = field(default_factory=dict)

    @property
    def criteria(self) -> Iterator[tuple[str, Criterion]]:
        """The computable criteria of the protocol, in its order."""
        for name in self.protocol.criteria:
            yield name, self.knowledge.criteria[name]

    @property
    def practice(self) -> Practice:
        """What the site does whatever the protocol."""
        return self.knowledge.practices[self.protocol.practice]

    @property
    def weight_datum(self) -> str:
        """The datum of the dictionary that holds the weight which the protocol doses by."""
        return "predicted_body_weight" if self.protocol.dose.weight_basis == "predicted" else "weight"

    def once(self, key: Hashable, compute: Callable[[], T]) -> T:
        """What follows from the rules alone, computed once."""
        found: T | None = self._once.get(key)
        if found is None:
            found = self._once[key] = compute()
        return found

    def steps_after(self, leaves: frozenset[str]) -> tuple[str, ...]:
        """The steps that follow from some leaves, in order; decisions are made apart, from what is given to them."""
        return self.once(("after", leaves), lambda: tuple(self._after(leaves)))

    def _after(self, leaves: frozenset[str]) -> Iterator[str]:
        reached = set(leaves)
        for name, ruleset in self.steps.items():
            is_decision = isinstance(self.knowledge.definitions.get(name), Decision)
            if not is_decision and not reached.isdisjoint(ruleset.inputs):
                reached.add(name)
                yield name

    def tokens_behind(self, name: str) -> tuple[str, ...]:
        """The tokens from which a conclusion follows: leaves, and decisions whose inputs are given."""
        found = self._behind.get(name)
        if found is None:
            steps = self.steps.get(name)
            if steps is None or isinstance(self.knowledge.definitions.get(name), Decision):
                found = (name,)
            else:
                found = tuple(dict.fromkeys(leaf for key in steps.inputs for leaf in self.tokens_behind(key)))
            self._behind[name] = found
        return found


@lru_cache(maxsize=64)
def compile_rulebook(knowledge: KnowledgeBase, protocol_id: str) -> Rulebook:
    """The rulebook of a protocol, compiled once for each rule base.

    Raises RequestError `information_only` for a protocol that is only shown, `unknown_protocol` for no protocol.
    """
    known = f"those that can be assessed are {', '.join(knowledge.protocols)}"
    if protocol_id in knowledge.information:
        raise RequestError(
            "information_only", f"{protocol_id} is listed for information and cannot be assessed; {known}"
        )
    if protocol_id not in knowledge.protocols:
        raise RequestError("unknown_protocol", f"no protocol of that id; {known}")
    return _Compiler(knowledge, knowledge.protocols[protocol_id]).compile()


class _Compiler:
    def __init__(self, knowledge: KnowledgeBase, protocol: Protocol) -> None:
        self.knowledge = knowledge
        self.book = Rulebook(knowledge, protocol)

    def compile(self) -> Rulebook:
        own = (self.book.protocol.severity, self.book.protocol.tier)
        for name in (*self.knowledge.reported.values(), *own):
            if name is not None and not isinstance(self.knowledge.definitions[name], Score):  # a score is only a sum
                self._definition(name)
        self._decision(self.book.protocol.trend)
        for name, criterion in self.book.criteria:
            if criterion.when is None:
                continue
            self.book.roots[name] = self._compile(name, criterion.when)
            self.book.texts[name] = describe(self.knowledge, criterion.when)
            self.book.source_items[name] = _source_items(criterion)
        self._definition(IMPROVED)
        for name in (VERDICT, OUTLOOK, DOSE_STATUS, GATE):
            self._decision(name)
        return self.book

    def _compile(self, owner: str, expression: Expression) -> str:
        """The name of the token that carries an expression's truth."""
        match expression:
            case Group():
                members = [
                    self._compile(f"{owner}.{number}", member) for number, member in enumerate(expression.members, 1)
                ]
                return self._add(owner, build_group(owner, expression, members))
            case FindingLeaf(finding=name):
                return self._definition(name)
            case UnknownIf(unknown_if=name):
                return self._add(f"{name}?", build_guard(f"{name}?", self._definition(name)))
            case ConclusionLeaf(conclusion=name):
                self.book.readings[owner] = expression
                return self._add(owner, build_reading(owner, expression, self.book.steps[self._definition(name)]))
            case _:
                return self._leaf(expression)

    def _leaf(self, leaf: MeasurementLeaf | ScoreLeaf | Leaf) -> str:
        key = describe_leaf(self.knowledge, leaf)
        self.book.leaves.setdefault(key, leaf)
        return key

    def _definition(self, name: str) -> str:
        """Compile a definition, if it is not yet, and name the token that carries its conclusion."""
        if name in self.book.steps or name in self.book.roots:
            return self.book.roots.get(name, name)
        definition = self.knowledge.definitions[name]
        match definition:
            case FindingDefinition():
                self.book.roots[name] = self._compile(name, definition.when)
            case Ladder():
                rungs = [self._compile(f"{name}.{rung.name}", rung.when) for rung in definition.rungs]
                self.book.roots[name] = self._add(name, build_ladder(name, definition, _distinct(rungs)))
            case _:
                self._decision(name)
        return self.book.roots.get(name, name)

    def _decision(self, name: str) -> None:
        definition = self.knowledge.definitions[name]
        assert isinstance(definition, Decision)
        self.book.steps.setdefault(name, build_decision(name, definition))

    def _add(self, name: str, ruleset: Ruleset) -> str:
        self.book.steps.setdefault(name, ruleset)
        return name


def _distinct(rungs: list[str]) -> list[str]:
    if len(set(rungs)) != len(rungs):
        raise ValueError("two classes of a ladder rest on the same condition")
    return rungs


def _source_items(criterion: Criterion) -> list[SourceItem]:
    """Where a criterion comes from, with the sources of its single numbers."""
    leaves = [leaf.source for leaf in criterion.leaves if leaf.source is not None]
    distinct = {(one.id, one.mark, one.section): one for one in (*criterion.sources, *leaves)}
    return [SourceItem(one.id, one.mark, one.section, one.quote) for one in distinct.values()]
