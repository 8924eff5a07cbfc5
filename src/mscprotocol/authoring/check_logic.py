"""Checks of what rules can conclude: nothing unreachable, no hole between bands, every decision complete."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from itertools import product
from math import prod

from mscprotocol.authoring.entries import Entry, Place, RuleFolder
from mscprotocol.authoring.logic import Node, Space, TooLargeError, find_case, is_measured, question_of
from mscprotocol.authoring.problems import Problem, problem
from mscprotocol.definitions import Decision, DecisionRow, FindingDefinition, Ladder, Score, ScoreItem
from mscprotocol.knowledge import KnowledgeBase
from mscprotocol.knowledge_forms import Expression, Group, Leaf, MeasurementLeaf, walk_leaves
from mscprotocol.protocols import Criterion
from mscprotocol.truth import Truth

MOST_CASES = 20_000
Rows = Sequence[tuple[Place, str, Expression]]


def check_logic(rules: RuleFolder) -> Iterator[Problem]:
    """Problems of criteria and definitions, by trying every region between their thresholds."""
    for entry in rules.of_kind("criterion", "definition"):
        try:
            yield from _check(rules, entry)
        except TooLargeError:
            yield problem(entry, (), "asks too many things to try every case", "split it into findings")


def _check(rules: RuleFolder, entry: Entry) -> Iterator[Problem]:
    match entry.value:
        case Criterion(when=when) | FindingDefinition(when=when) if when is not None:
            yield from _check_both_ways(rules, entry, when)
        case Ladder(rungs=rungs):
            rows = [(("rungs", place, "when"), f"class {one.name}", one.when) for place, one in enumerate(rungs)]
            yield from _check_rows(rules, entry, rows)
        case Score(items=items):
            for name, item in items.items():
                yield from _check_item(rules, entry, name, item)
        case Decision():
            yield from _check_decision(entry, entry.value)


def _check_both_ways(rules: RuleFolder, entry: Entry, when: Expression) -> Iterator[Problem]:
    space = Space(rules.knowledge, [when])
    node = space.node(when)
    if space.find((node, Truth.MET)) is None:
        yield problem(entry, ("when",), "can never be met", "mend the thresholds or members that exclude each other")
    if space.find((node, Truth.NOT_MET)) is None and not is_open_by_design(rules.knowledge, when):
        yield problem(entry, ("when",), "can never be not met", "mend the thresholds or members that are always so")


def is_open_by_design(knowledge: KnowledgeBase, when: Expression) -> bool:
    """Whether a rule could be not met but for what it can only leave open, such as whether a datum is known."""
    space = Space(knowledge, [when], deniable=True)
    return space.find((space.node(when), Truth.NOT_MET)) is not None


# -- rows of which the first that holds counts ----------------------------------------------------


def _check_item(rules: RuleFolder, entry: Entry, name: str, item: ScoreItem) -> Iterator[Problem]:
    rows = [
        (("items", name, "rows", place, "when"), f"{name}: {row.points} points", row.when)
        for place, row in enumerate(item.rows)
    ]
    points = [row.points for row in item.rows]
    if points != sorted(set(points), reverse=True):
        yield problem(entry, ("items", name, "rows"), f"{name}: rows are not from the most points down", "sort them")
    yield from _check_units(rules, entry, rows)
    yield from _check_rows(rules, entry, rows)


def _check_rows(rules: RuleFolder, entry: Entry, rows: Rows) -> Iterator[Problem]:
    space = Space(rules.knowledge, [when for _, _, when in rows])
    nodes = [space.node(when) for _, _, when in rows]
    for number, (place, name, _) in enumerate(rows):
        earlier = [(node, Truth.NOT_MET) for node in nodes[:number]]
        if space.find((nodes[number], Truth.MET), *earlier) is None:
            yield problem(entry, place, f"{name} is never reached", "the rows above cover it: reorder or remove it")
    for question in _two_sided(rows):
        hole = _find_hole(space, nodes, question)
        if hole is not None:
            yield problem(
                entry, rows[hole[0]][0], f"at {hole[1]} no row applies that applies below and above it",
                "close the gap between the bands",
            )  # fmt: skip


def _two_sided(rows: Rows) -> list[Hashable]:
    """The questions that rows ask from both sides: rows that ask from one side cannot leave a hole."""
    sides: dict[Hashable, set[bool]] = {}
    for _, _, when in rows:
        for leaf, is_up in _directions(when, is_up=True):
            sides.setdefault(question_of(leaf), set()).add(is_up)
    return [question for question, seen in sides.items() if len(seen) > 1]


def _directions(expression: Expression, *, is_up: bool) -> Iterator[tuple[Leaf, bool]]:
    if isinstance(expression, Group):
        for member in expression.members:
            yield from _directions(member, is_up=is_up != bool(expression.none_of))
    elif is_measured(expression):
        assert expression.comparison is not None  # type: ignore[union-attr]
        yield expression, (expression.comparison[0] in ("gt", "gte")) is is_up  # type: ignore[union-attr]


def _find_hole(space: Space, nodes: Sequence[Node], question: Hashable) -> tuple[int, object] | None:
    """A row, and a value at which a lesser one applies although rows at least as grave apply on both sides of it."""
    others = [one for one in dict.fromkeys(q for node in nodes for q in node.questions()) if one != question]
    if prod(len(space.samples[one]) for one in others) * len(space.samples[question]) > MOST_CASES:
        raise TooLargeError
    for samples in product(*(space.samples[one] for one in others)):
        given = dict(zip(others, samples, strict=True))
        places = [_first(nodes, {**given, question: value}) for value in space.samples[question]]
        for number, place in enumerate(places):
            around = max(min(places[:number], default=place), min(places[number + 1 :], default=place))
            if place > around:
                return around, space.samples[question][number]
    return None


def _first(nodes: Sequence[Node], given: dict[Hashable, Hashable]) -> int:
    return next((number for number, node in enumerate(nodes) if node.truth(given) is Truth.MET), len(nodes))


def _check_units(rules: RuleFolder, entry: Entry, rows: Rows) -> Iterator[Problem]:
    """Rows that are chosen by the unit of the report cover every unit that the dictionary accepts."""
    named: dict[str, set[str]] = {}
    for _, _, when in rows:
        for leaf in walk_leaves(when):
            if isinstance(leaf, MeasurementLeaf) and leaf.received_in:
                named.setdefault(leaf.measurement, set()).update(leaf.received_in)
    for name, units in named.items():
        lacking = rules.knowledge.measurements[name].units.keys() - units
        if lacking:
            text = f"{name} reported in {', '.join(sorted(lacking))} is read by no row"
            yield problem(entry, rows[0][0], text, "name the unit in received_in")


# -- decision lists -------------------------------------------------------------------------------


def _check_decision(entry: Entry, decision: Decision) -> Iterator[Problem]:
    """Every row of a decision list is reached, and so is what holds otherwise."""
    unknown = [
        (place, key) for place, key in _tokens(decision) if not set(place[1]) <= set(decision.inputs.get(key, ()))
    ]
    for (place, tokens), key in unknown:
        yield problem(entry, place, f"{key} is never {' or '.join(tokens)}", "name a token of its inputs")
    if unknown:
        return
    nodes = [_row_node(decision, row) for row in decision.rows]
    for number, row in enumerate(decision.rows):
        if (
            find_case(decision.inputs, [(nodes[number], Truth.MET), *((one, Truth.NOT_MET) for one in nodes[:number])])
            is None
        ):
            text = f"row {number + 1} ({row.conclude}) is never reached"
            yield problem(entry, ("rows", number), text, "the rows above cover it: reorder or remove it")
    if find_case(decision.inputs, [(one, Truth.NOT_MET) for one in nodes]) is None:
        text = f"{decision.otherwise} is never reached"
        yield problem(entry, ("otherwise",), text, "the rows cover every case already: name it in none, or mend them")


def _tokens(decision: Decision) -> Iterator[tuple[tuple[Place, tuple[str, ...]], str]]:
    for number, row in enumerate(decision.rows):
        for part in ("all", "any"):
            yield from ((((("rows", number, part, key)), tokens), key) for key, tokens in getattr(row, part).items())


def _row_node(decision: Decision, row: DecisionRow) -> Node:
    """A row over the tokens of its inputs: every one of `all`, and one of `any` should it name some."""
    every = [_token_node(decision, key, tokens) for key, tokens in row.all.items()]
    some = [_token_node(decision, key, tokens) for key, tokens in row.any.items()]
    return Node("all", (*every, *([Node("any", tuple(some))] if some else [])))


def _token_node(decision: Decision, key: str, tokens: Sequence[str]) -> Node:
    truths = {token: Truth.MET if token in tokens else Truth.NOT_MET for token in decision.inputs[key]}
    return Node(question=key, truths=truths)
