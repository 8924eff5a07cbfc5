"""Whether a rule can come true at all: a search through the regions between thresholds, where each question varies.

A question is what a leaf asks about: a quantity, an answer, a condition, the points of a score. Each can take a few
sample values, one for every region that the thresholds of the rules in view cut its range into, ends included, within
what is plausible. Two questions are taken as independent, so what is called impossible is impossible; what is called
possible may still not occur in a patient.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from operator import ge, gt, le, lt
from typing import Any

from mscprotocol.definitions import Decision, FindingDefinition, Ladder, Score
from mscprotocol.knowledge import KnowledgeBase
from mscprotocol.knowledge_forms import (
    ConclusionLeaf,
    ConditionLeaf,
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
from mscprotocol.truth import Truth, all_of, any_of

Sample = Hashable
Samples = Mapping[Any, tuple[Sample, ...]]
Assignment = Mapping[Hashable, Sample]
_COMPARE: dict[Operator, Callable[[Decimal, Decimal], bool]] = {"lt": lt, "lte": le, "gt": gt, "gte": ge}
MOST_STEPS = 50_000


class TooLargeError(Exception):
    """The rule asks too many things at once for every case to be looked at."""


@dataclass(frozen=True)
class Node:
    """A rule down to its questions: a group of nodes, or one question with the truth that each sample gives it."""

    join: str = ""
    members: tuple[Node, ...] = ()
    question: Hashable = None
    truths: Mapping[Any, Truth] | None = None

    def truth(self, given: Assignment) -> Truth:
        """The truth under a partial assignment; what is not assigned is unknown."""
        if self.truths is not None:
            return self.truths[given[self.question]] if self.question in given else Truth.UNKNOWN
        inner = (one.truth(given) for one in self.members)
        if self.join == "guard":
            return Truth.NOT_MET if next(inner) is Truth.NOT_MET else Truth.UNKNOWN
        return all_of(inner) if self.join == "all" else ~any_of(inner) if self.join == "none" else any_of(inner)

    def questions(self) -> Iterator[Hashable]:
        if self.truths is not None:
            yield self.question
        for one in self.members:
            yield from one.questions()


Wanted = tuple[Node, Truth]
KNOWN = Node("all")  # an empty conjunction: always met


def is_measured(leaf: Leaf) -> bool:
    """Whether a leaf compares with a threshold."""
    return isinstance(leaf, MeasurementLeaf | ScoreLeaf) and leaf.comparison is not None


class Space:
    """The questions of some rules with their samples, and the rules as nodes over them.

    Of `deniable` rules also what can only be left open (whether a datum is known, an answer that is never denied) may
    be not met: that tells rules which are open by design from rules that contradict themselves.
    """

    def __init__(self, knowledge: KnowledgeBase, expressions: Iterable[Expression], *, deniable: bool = False) -> None:
        self.knowledge, self.deniable = knowledge, deniable
        self.samples: dict[Hashable, tuple[Sample, ...]] = {}
        self._limits: dict[Hashable, set[Decimal]] = {}
        for leaf in (one for expression in expressions for one in self._base_leaves(expression)):
            if is_measured(leaf):
                self._limits.setdefault(question_of(leaf), set()).add(self.comparison(leaf)[1])

    def node(self, expression: Expression) -> Node:
        """A rule as a node; findings are opened down to what they ask."""
        match expression:
            case Group():
                join = "all" if expression.all_of else "none" if expression.none_of else "any"
                return Node(join, tuple(self.node(one) for one in expression.members))
            case FindingLeaf(finding=name):
                return self._finding(name, expression)
            case UnknownIf(unknown_if=name):
                return Node("guard", (self._finding(name, expression),))
            case MeasurementLeaf(known=True) if not self.deniable:
                return KNOWN
            case _:
                return self._question(expression)

    def comparison(self, leaf: Leaf) -> tuple[Operator, Decimal]:
        """The operator and the threshold of a leaf, in the canonical unit."""
        assert isinstance(leaf, MeasurementLeaf | ScoreLeaf)
        assert leaf.comparison is not None
        return self.knowledge.thresholds.get(id(leaf)) or (leaf.comparison[0], leaf.comparison[1].value)

    def find(self, *wanted: Wanted) -> Assignment | None:
        """An assignment under which every node has the truth that is wanted of it: see `find_case`."""
        return find_case(self.samples, wanted)

    def _base_leaves(self, expression: Expression) -> Iterator[Leaf]:
        for leaf in walk_leaves(expression):
            name = leaf.finding if isinstance(leaf, FindingLeaf) else getattr(leaf, "unknown_if", None)
            definition = self.knowledge.definitions.get(name or "")
            if isinstance(definition, FindingDefinition):
                yield from self._base_leaves(definition.when)
            else:
                yield leaf

    def _finding(self, name: str, leaf: Leaf) -> Node:
        definition = self.knowledge.definitions[name]
        return self.node(definition.when) if isinstance(definition, FindingDefinition) else self._question(leaf)

    def _question(self, leaf: Leaf) -> Node:
        key = question_of(leaf)
        if key not in self.samples:
            self.samples[key] = tuple(self._samples(leaf, key))
        return Node(question=key, truths={sample: self._truth(leaf, sample) for sample in self.samples[key]})

    # -- samples and what they say ----------------------------------------------------------------

    def _samples(self, leaf: Leaf, key: Hashable) -> Iterable[Sample]:
        match leaf:
            case ScoreLeaf():
                low, high = self._range_of(leaf)
                return range(low, high + 1)
            case MeasurementLeaf(measurement=name) if is_measured(leaf):
                hard = self.knowledge.measurements[name].hard
                return _regions(self._limits[key], hard.low if hard else None, hard.high if hard else None)
            case MeasurementLeaf(known=True):
                return (False, True)
            case MeasurementLeaf(measurement=name):
                datum = self.knowledge.measurements[name]
                return (*datum.levels, *(answer for answer in datum.answers if answer not in datum.levels))
            case ConclusionLeaf(conclusion=name):
                return _classes(self.knowledge, name)
            case _:
                return (False, True)

    def _range_of(self, leaf: ScoreLeaf) -> tuple[int, int]:
        score = self.knowledge.definitions[leaf.score]
        assert isinstance(score, Score)
        points = [
            [item.otherwise, *(row.points for row in item.rows)]
            for name, item in score.items.items()
            if not leaf.items or name in leaf.items
        ]
        return sum(map(min, points)), sum(map(max, points))

    def _truth(self, leaf: Leaf, sample: Sample) -> Truth:
        match leaf:
            case MeasurementLeaf() | ScoreLeaf() if is_measured(leaf):
                operator, limit = self.comparison(leaf)
                return Truth.MET if _COMPARE[operator](sample, limit) else Truth.NOT_MET  # type: ignore[arg-type]
            case MeasurementLeaf(answer=answer, not_answer=denied) if answer is not None:
                is_denied = self.deniable or denied is None or sample in denied
                return Truth.MET if sample in answer else Truth.NOT_MET if is_denied else Truth.UNKNOWN
            case ConclusionLeaf(met=met, not_met=not_met):
                return Truth.MET if sample in met else Truth.NOT_MET if sample in not_met else Truth.UNKNOWN
            case _:
                return Truth.MET if sample is True else Truth.NOT_MET


def find_case(samples: Samples, wanted: Sequence[Wanted]) -> Assignment | None:
    """Samples for the questions under which every node has the truth that is wanted of it, or None if there are none.

    Raises TooLargeError when that cannot be said after many steps.
    """
    questions = list(dict.fromkeys(question for node, _ in wanted for question in node.questions()))
    found = _Search(samples, wanted).run({}, questions)
    return None if isinstance(found, frozenset) else found


class _Search:
    """Backtracking that jumps over questions which had no part in a contradiction."""

    def __init__(self, samples: Samples, wanted: Sequence[Wanted]) -> None:
        self.samples = samples
        self.wanted = [(node, truth, frozenset(node.questions())) for node, truth in wanted]
        self.steps = 0

    def run(self, given: dict[Hashable, Sample], rest: Sequence[Hashable]) -> Assignment | frozenset[Hashable]:
        """An assignment, or the questions that the contradiction rests on."""
        self.steps += 1
        if self.steps > MOST_STEPS:
            raise TooLargeError
        missed = [
            (node.truth(given), questions) for node, truth, questions in self.wanted if node.truth(given) is not truth
        ]
        against = next((questions for found, questions in missed if found is not Truth.UNKNOWN or not rest), None)
        if against is not None:
            return frozenset(one for one in against if one in given)
        return self._branch(given, rest) if missed else given

    def _branch(self, given: dict[Hashable, Sample], rest: Sequence[Hashable]) -> Assignment | frozenset[Hashable]:
        question, *others = rest
        blamed: frozenset[Hashable] = frozenset()
        for sample in self.samples[question]:
            found = self.run({**given, question: sample}, others)
            if not isinstance(found, frozenset) or question not in found:
                return found
            blamed |= found
        return blamed - {question}


def question_of(leaf: Leaf) -> Hashable:
    """What a leaf asks about, without the threshold or answer that it asks for."""
    match leaf:
        case MeasurementLeaf():
            window = None if leaf.within is None else leaf.within.text
            kind = "value" if is_measured(leaf) else "answer" if leaf.answer else "known"
            return (kind, leaf.measurement, window, leaf.worst, leaf.during, leaf.received_in, leaf.not_before)
        case ScoreLeaf():
            return ("score", leaf.score, leaf.items)
        case ConclusionLeaf():
            return ("conclusion", leaf.conclusion)
        case ConditionLeaf():
            windows = (
                leaf.within, leaf.began_within, leaf.held_within, leaf.answered_within, leaf.charted_within,
            )  # fmt: skip
            return ("condition", leaf.condition, leaf.by_onset, *(one and one.text for one in windows))
        case _:
            return leaf.model_dump_json(exclude={"source"})


def _regions(limits: set[Decimal], low: Decimal | None, high: Decimal | None) -> Iterator[Decimal]:
    """A value in each region that limits cut a range into: below, at, between and above them."""
    ordered = sorted(limits)
    below = ordered[0] - 1 if low is None else low
    above = ordered[-1] + 1 if high is None else high
    ends = [below, *(limit for limit in ordered if below < limit < above), above]
    for one, other in pairwise(ends):
        yield from (one, (one + other) / 2)
    yield ends[-1]


def _classes(knowledge: KnowledgeBase, name: str) -> tuple[str, ...]:
    match definition := knowledge.definitions[name]:
        case Ladder():
            return definition.classes
        case Decision():
            return definition.conclusions
        case _:
            return ()
