"""What an open datum could turn out to be: each quantity in the steps that the rules tell apart, each answer in turn.

The thresholds that the rules set on one quantity cut its values into cells: below, at, between and above them. All
leaves on the quantity are answered by one cell, so their answers fit together. A condition is present or absent.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise

from mscprotocol.data_dictionary import Limits, Test
from mscprotocol.interval import ANY, Interval, exactly
from mscprotocol.knowledge import KnowledgeBase
from mscprotocol.knowledge_forms import (
    ChangeLeaf,
    ConditionLeaf,
    Expression,
    MeasurementLeaf,
    Quantity,
    walk_leaves,
)
from mscprotocol.knowledge_loader import expressions, named_definitions
from mscprotocol.rulebook import Rulebook
from mscprotocol.truth import Truth
from mscprotocol.units import to_canonical

PRESENT, ABSENT = 1, 2
Cell = tuple[str | None, Interval | str]
MeasuredLeaf = MeasurementLeaf | ConditionLeaf | ChangeLeaf


@dataclass(frozen=True, eq=False)
class Variable:
    """A quantity, condition or change that may be open, with its outcomes and the leaves that it answers.

    A cell of a quantity is the unit in which the value came, where a rule asks for that, and the range of the value.
    """

    place: int
    leaves: tuple[MeasuredLeaf, ...]
    cells: tuple[Cell, ...] = ()

    @property
    def known(self) -> MeasurementLeaf:
        """The leaf that asks whether a quantity is known at all."""
        return next(one for one in self.leaves if isinstance(one, MeasurementLeaf) and one.known)

    @property
    def size(self) -> int:
        return len(self.cells) or 2


def measured_leaves(knowledge: KnowledgeBase, roots: Iterable[Expression]) -> tuple[MeasuredLeaf, ...]:
    """Every leaf that is answered from the record, followed through definitions, scores and qualifiers."""
    behind: dict[str, list[Expression]] = {}
    for owner, expression in expressions(knowledge):
        behind.setdefault(owner, []).append(expression)
    found: dict[int, MeasuredLeaf] = {}
    waiting = list(roots)
    while waiting:
        for leaf in walk_leaves(waiting.pop(0)):
            if isinstance(leaf, MeasuredLeaf):
                found[id(leaf)] = leaf
            for name in named_definitions(leaf):
                waiting += behind.pop(name, [])
    return tuple(found.values())


def find_variables(book: Rulebook) -> dict[str, Variable]:
    """The variables behind the criteria that decide the verdict of a rulebook, found once."""
    return book.once("variables", lambda: _find_variables(book))


def leaves_behind(book: Rulebook, criterion: str) -> tuple[MeasuredLeaf, ...]:
    """The measured leaves that a criterion rests on."""
    return book.once(("leaves behind", criterion), lambda: _leaves_behind(book, criterion))


def leaves_beside(book: Rulebook, criterion: str) -> tuple[MeasuredLeaf, ...]:
    """Every leaf that shares a variable with a criterion: all that its prospects depend on, but for the trend."""
    return book.once(("leaves beside", criterion), lambda: tuple(_leaves_beside(book, criterion)))


def variable_of(leaf: MeasuredLeaf) -> str:
    """The name of the variable that answers a leaf."""
    match leaf:
        case MeasurementLeaf(measurement=name):
            return f"measurement {name}"
        case ConditionLeaf(condition=name, began_within=None):
            return f"condition {name}"
        case ConditionLeaf():
            return f"onset {leaf.condition} {leaf.began_within}"
        case ChangeLeaf():
            return f"change {leaf.change} {leaf.rises_to} {leaf.falls_by} {leaf.over.text}"


def outcomes_of(knowledge: KnowledgeBase, leaf: MeasurementLeaf, variable: Variable, wanted: Truth) -> int:
    """The outcomes, a bit each, by which a quantity answers a leaf as wanted."""
    return _bits(_answer(knowledge, leaf, cell) is wanted for cell in variable.cells)


def outcomes_of_test(knowledge: KnowledgeBase, test: Test, variable: Variable, wanted: Truth) -> int:
    """The outcomes by which a measurement speaks for a condition, or against it."""
    return _bits(_answer_of_test(knowledge, test, value) is wanted for _, value in variable.cells)


def _answer_of_test(knowledge: KnowledgeBase, test: Test, value: Interval | str) -> Truth:
    if isinstance(value, str):
        return Truth.MET if value in test.positive else Truth.NOT_MET if value in test.negative else Truth.UNKNOWN
    if test.above is not None and value.gt(_limit(knowledge, test, test.above)) is Truth.MET:
        return Truth.MET
    if test.denied_up_to is not None and value.lte(_limit(knowledge, test, test.denied_up_to)) is Truth.MET:
        return Truth.NOT_MET
    return Truth.UNKNOWN


def _answer(knowledge: KnowledgeBase, leaf: MeasurementLeaf, cell: Cell) -> Truth:
    unit, value = cell
    if leaf.known:
        return Truth.MET
    if isinstance(value, str):
        return _named_answer(knowledge, leaf, value)
    if leaf.comparison is None:
        return Truth.UNKNOWN
    if leaf.received_in and unit not in leaf.received_in:
        return Truth.NOT_MET
    operator, threshold = knowledge.thresholds[id(leaf)]
    answer: Truth = getattr(value, operator)(threshold)
    return answer


def _named_answer(knowledge: KnowledgeBase, leaf: MeasurementLeaf, value: str) -> Truth:
    if value in (leaf.answer or ()):
        return Truth.MET
    definition = knowledge.measurements[leaf.measurement]
    others = definition.levels or leaf.not_answer or tuple(definition.answers)
    return Truth.NOT_MET if value in others else Truth.UNKNOWN


def _bits(flags: Iterable[bool]) -> int:
    return sum(1 << place for place, flag in enumerate(flags) if flag)


# -- variables -------------------------------------------------------------------------------------


def _find_variables(book: Rulebook) -> dict[str, Variable]:
    knowledge = book.knowledge
    roots = [one.when for _, one in book.criteria if one.decides and one.when is not None]
    grouped: dict[str, list[MeasuredLeaf]] = {}
    for leaf in measured_leaves(knowledge, roots):
        grouped.setdefault(variable_of(leaf), []).append(leaf)
        if isinstance(leaf, ChangeLeaf):
            # What changed is known only where the value itself is.
            value = MeasurementLeaf(measurement=leaf.change, known=True)
            grouped.setdefault(variable_of(value), []).append(value)
    tests = [test for leaves in grouped.values() for test in _tests(knowledge, leaves[0])]
    found = {}
    for place, (name, leaves) in enumerate(grouped.items()):
        cells = _cells(knowledge, [one for one in leaves if isinstance(one, MeasurementLeaf)], tests)
        found[name] = Variable(place, tuple(leaves), cells)
    return found


def _leaves_behind(book: Rulebook, criterion: str) -> tuple[MeasuredLeaf, ...]:
    when = book.knowledge.criteria[criterion].when
    return () if when is None else measured_leaves(book.knowledge, [when])


def _leaves_beside(book: Rulebook, criterion: str) -> Iterator[MeasuredLeaf]:
    own = leaves_behind(book, criterion)
    names = [variable_of(leaf) for leaf in own]
    names += [f"measurement {test.measurement}" for leaf in own for test in _tests(book.knowledge, leaf)]
    names += [f"measurement {leaf.change}" for leaf in own if isinstance(leaf, ChangeLeaf)]
    variables = find_variables(book)
    for name in dict.fromkeys(names):
        if name in variables:
            yield from variables[name].leaves


def _tests(knowledge: KnowledgeBase, leaf: MeasuredLeaf) -> tuple[Test, ...]:
    if not isinstance(leaf, ConditionLeaf) or leaf.began_within is not None:
        return ()
    return knowledge.conditions[leaf.condition].tests


def _cells(knowledge: KnowledgeBase, leaves: Sequence[MeasurementLeaf], tests: Iterable[Test]) -> tuple[Cell, ...]:
    if not leaves:
        return ()
    name = leaves[0].measurement
    definition = knowledge.measurements[name]
    if definition.levels or definition.answers:
        return tuple((None, answer) for answer in definition.levels or definition.answers)
    limits = {knowledge.thresholds[id(leaf)][1] for leaf in leaves if leaf.comparison is not None}
    own = [(test, limit) for test in tests if test.measurement == name for limit in (test.above, test.denied_up_to)]
    limits |= {_limit(knowledge, test, limit) for test, limit in own if limit is not None}
    units = dict.fromkeys(unit for leaf in leaves for unit in leaf.received_in)
    return tuple((unit, value) for unit in units or [None] for value in _ranges(sorted(limits), definition.hard))


def _limit(knowledge: KnowledgeBase, test: Test, limit: Quantity) -> Decimal:
    return to_canonical(knowledge.measurements[test.measurement], limit.value, limit.unit)


def _ranges(limits: Sequence[Decimal], hard: Limits | None) -> Iterator[Interval]:
    """Below, at, between and above the limits; what no plausible value can be is left out."""
    if not limits:
        yield ANY
        return
    found = [Interval(high=limits[0], high_open=True)]
    for low, high in pairwise(limits):
        found += [exactly(low), Interval(low, high, low_open=True, high_open=True)]
    found += [exactly(limits[-1]), Interval(low=limits[-1], low_open=True)]
    plausible = ANY if hard is None else Interval(hard.low, hard.high)
    yield from (one for one in found if one.intersection(plausible) is not None)
