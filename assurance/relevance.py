"""Which rows of the case tables an entry of the rules may matter to, the closest first."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from mutated import load

from mscprotocol.case_tables import Row, read_rows
from mscprotocol.definitions import FindingDefinition, Ladder, Score, Trend
from mscprotocol.knowledge import KnowledgeBase
from mscprotocol.knowledge_forms import ChangeLeaf, ConditionLeaf, Leaf, MeasurementLeaf, walk_leaves
from mscprotocol.knowledge_loader import named_definitions

CASES = Path(__file__).resolve().parent.parent / "tests" / "criteria" / "cases"
WHOLE = ("verdict", "outlook", "dose", "gate", "trend")


@lru_cache(maxsize=1)
def rows_by_name() -> dict[str, list[Row]]:
    """For each entry of the rules the rows whose answer may rest on it, the closest first."""
    knowledge, behind = load(None), what_sections_rest_on()
    found: dict[str, list[tuple[int, int, Row]]] = defaultdict(list)
    for number, row in enumerate(all_rows()):
        given = {name for datum in row.given for name in (*_makes(knowledge, datum), *_tells_of(knowledge, datum))}
        for name in row.choices:
            found[name].append((0, number, row))
        for name in behind[row.section]:
            distance = len(behind[row.section])
            if name in knowledge.measurements or name in knowledge.conditions:
                distance += 0 if name in given else 10_000
            elif name in row.section.split("."):
                distance = 0
            found[name].append((distance, number, row))
    return {name: [row for _, _, row in sorted(rows, key=lambda one: one[:2])] for name, rows in found.items()}


@lru_cache(maxsize=1)
def what_sections_rest_on() -> dict[str, frozenset[str]]:
    """For each section of the tables the entries of the rules that its answers may rest on."""
    knowledge = load(None)
    return {name: frozenset(_behind(knowledge, name)) for name in dict.fromkeys(row.section for row in all_rows())}


def reads_course(section: str) -> bool:
    """Whether the course over time, the slowest part of an answer, can matter to a section."""
    return bool(what_sections_rest_on()[section] & {"trend", "deterioration"})


def all_rows() -> tuple[Row, ...]:
    """Every row of the tables."""
    return read_rows(CASES)


@lru_cache(maxsize=1024)
def _makes(knowledge: KnowledgeBase, datum: str) -> frozenset[str]:
    """A datum, and what is computed from it."""
    return frozenset({datum, *(name for name, one in knowledge.measurements.items() if datum in one.made_of)})


@lru_cache(maxsize=1024)
def _tells_of(knowledge: KnowledgeBase, datum: str) -> frozenset[str]:
    """The conditions that a datum speaks for or against: as a part, a denial or a test."""
    return frozenset(
        name
        for name, one in knowledge.conditions.items()
        if datum in (*one.parts, *one.denied_by, *(test.measurement for test in one.tests))
    )


def _behind(knowledge: KnowledgeBase, section: str) -> Iterator[str]:
    """Every entry that an answer of a section rests on."""
    head, _, item = section.partition(".")
    course = knowledge.course
    if head in WHOLE:
        yield from knowledge.measurements.keys() | knowledge.conditions.keys() | knowledge.definitions.keys()
        yield from knowledge.criteria.keys() | knowledge.protocols.keys() | knowledge.practices.keys()
    elif head == "value":
        yield from _behind_datum(knowledge, item)
    elif head == "signal":
        yield from (course.id, item, *_behind_datum(knowledge, course.signals[item].measurement))
    else:
        yield from _behind_rule(knowledge, head, item)


def _behind_datum(knowledge: KnowledgeBase, name: str) -> Iterator[str]:
    yield name
    datum = knowledge.measurements.get(name)
    if datum is None:
        yield from _behind_rule(knowledge, name, "") if name in knowledge.definitions else ()
        return
    yield from (datum.confounded_by,) if datum.confounded_by else ()
    for part in (*datum.made_of, *(one.measurement for one in datum.inferred if one.measurement)):
        yield from _behind_datum(knowledge, part)
    yield from (one.condition for one in datum.inferred if one.condition)


def _behind_rule(knowledge: KnowledgeBase, name: str, item: str) -> Iterator[str]:
    yield name
    for leaf in _leaves(knowledge, name, item):
        if isinstance(leaf, MeasurementLeaf):
            yield from _behind_datum(knowledge, leaf.measurement)
        elif isinstance(leaf, ChangeLeaf):
            yield from _behind_datum(knowledge, leaf.change)
        elif isinstance(leaf, ConditionLeaf):
            yield leaf.condition
            yield from knowledge.conditions[leaf.condition].parts
            yield from (test.measurement for test in knowledge.conditions[leaf.condition].tests)
        for other in named_definitions(leaf):
            yield from _behind_rule(knowledge, other, "")


def _leaves(knowledge: KnowledgeBase, name: str, item: str) -> list[Leaf]:
    rule = knowledge.criteria.get(name) or knowledge.definitions.get(name)
    match rule:
        case FindingDefinition():
            return walk_leaves(rule.when)
        case Ladder():
            return [leaf for rung in rule.rungs for leaf in walk_leaves(rung.when)]
        case Score():
            rows = [row for key, one in rule.items.items() if not item or key == item for row in one.rows]
            return [leaf for row in rows for leaf in walk_leaves(row.when)]
        case Trend() | None:
            return []
        case _:
            return list(getattr(rule, "leaves", []))
