"""Which outcomes of each criterion and definition the case tables really bring about."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from mscprotocol.authoring.check_logic import is_open_by_design
from mscprotocol.authoring.entries import Entry, RuleFolder
from mscprotocol.authoring.logic import Space, TooLargeError, Wanted
from mscprotocol.case_tables import Asked, Row
from mscprotocol.definitions import Decision, FindingDefinition, Ladder, Score, Trend
from mscprotocol.knowledge_forms import Expression
from mscprotocol.protocols import Criterion
from mscprotocol.truth import Truth

UNKNOWN = "unknown"
_SIGNAL_STATES = ("worse", "better", "stable", "insufficient")
# How tables name what two decisions conclude.
_SECTIONS = {"dose_status": "dose"}
_WORDS = {"None": "settled"}


@dataclass(frozen=True)
class Coverage:
    """One thing that tables can ask for: the outcomes it can have, how often each came out, and what cannot be."""

    name: str
    wanted: tuple[str, ...]
    seen: Mapping[str, int] = field(default_factory=dict)
    not_counted: Mapping[str, str] = field(default_factory=dict)

    @property
    def missing(self) -> tuple[str, ...]:
        return tuple(outcome for outcome in self.wanted if not self.seen.get(outcome))


@dataclass(frozen=True)
class Report:
    """The coverage of every criterion and definition, and the rows that did not come out as they expect."""

    items: tuple[Coverage, ...]
    failed: tuple[str, ...]

    @property
    def wanted(self) -> int:
        return sum(len(one.wanted) for one in self.items)

    @property
    def covered(self) -> int:
        return self.wanted - sum(len(one.missing) for one in self.items)

    @property
    def is_complete(self) -> bool:
        return self.covered == self.wanted and not self.failed


def measure_coverage(rules: RuleFolder, rows: Sequence[Row]) -> Report:
    """Put every row to the engine and see which outcomes come out; a row that fails covers nothing."""
    seen: dict[str, Counter[str]] = {}
    failed = []
    for row in rows:
        found = Asked(row, rules.knowledge).outcome[0]
        if found != row.expect:
            failed.append(f"{row.table}.yaml: {row.name}, but comes out {found}")
            continue
        seen.setdefault(row.section, Counter())[_outcome(found)] += 1
    items = [one for entry in rules.of_kind("criterion", "definition") for one in _wanted(rules, entry)]
    return Report(tuple(_with_seen(one, seen) for one in items), tuple(failed))


def _with_seen(one: Coverage, seen: Mapping[str, Mapping[str, int]]) -> Coverage:
    return Coverage(one.name, one.wanted, seen.get(one.name, {}), one.not_counted)


def _outcome(found: str) -> str:
    """What came out, a lower bound or a range being unknown."""
    return UNKNOWN if found.startswith("at least ") or ".." in found else _WORDS.get(found, found)


def _wanted(rules: RuleFolder, entry: Entry) -> Iterator[Coverage]:
    match entry.value:
        case Criterion(when=None, not_computable=reason):
            yield Coverage(entry.name, (), not_counted={"all": f"not computed: {reason or 'a statement'}"})
        case Criterion() if not _is_asked(rules, entry.name):
            yield Coverage(entry.name, (), not_counted={"all": "no protocol that patients are assessed by has it"})
        case Criterion(when=when, attestable=is_attested) if when is not None:
            yield _of_truth(rules, entry.name, when, is_attested=is_attested)
        case FindingDefinition(when=when):
            yield _of_truth(rules, entry.name, when)
        case Ladder() as ladder:
            yield _of_ladder(rules, ladder)
        case Score() as score:
            for name, item in score.items.items():
                points = sorted({item.otherwise, *(row.points for row in item.rows)})
                yield Coverage(f"{score.id}.{name}", (*map(str, points), UNKNOWN))
        case Decision() as decision:
            yield Coverage(_SECTIONS.get(decision.id, decision.id), decision.conclusions)
        case Trend() as trend:
            yield from (Coverage(f"signal.{name}", _SIGNAL_STATES) for name in trend.signals)


def _is_asked(rules: RuleFolder, name: str) -> bool:
    return any(name in one.criteria for one in rules.knowledge.protocols.values())


def _of_truth(rules: RuleFolder, name: str, when: Expression, *, is_attested: bool = False) -> Coverage:
    """Met, not met and unknown, but for what the rule excludes; a named person may answer what no datum can."""
    impossible = {} if is_attested else dict(_impossible(rules, when))
    wanted = tuple(truth.value for truth in (Truth.MET, Truth.NOT_MET, Truth.UNKNOWN) if truth.value not in impossible)
    return Coverage(name, wanted, not_counted=impossible)


def _impossible(rules: RuleFolder, when: Expression) -> Iterator[tuple[str, str]]:
    space = Space(rules.knowledge, [when])
    node = space.node(when)
    if not _can(space, (node, Truth.MET)):
        yield Truth.MET.value, "the rule excludes it"
    if not _can(space, (node, Truth.NOT_MET)):
        is_open = is_open_by_design(rules.knowledge, when)
        yield Truth.NOT_MET.value, "what it asks is known or open, never denied" if is_open else "the rule excludes it"


def _of_ladder(rules: RuleFolder, ladder: Ladder) -> Coverage:
    """A ladder's last class holds when every rung is excluded, which the rungs may leave no room for."""
    space = Space(rules.knowledge, [rung.when for rung in ladder.rungs])
    nodes = [(space.node(rung.when), Truth.NOT_MET) for rung in ladder.rungs]
    classes = ladder.classes
    impossible = {}
    if not _can(space, *nodes):
        classes = classes[:-1]
        impossible[ladder.otherwise] = "the classes above it cover every case"
    return Coverage(ladder.id, (*classes, UNKNOWN), not_counted=impossible)


def _can(space: Space, *wanted: Wanted) -> bool:
    """Whether something can be; also where that cannot be said, so that a row has to show it."""
    try:
        return space.find(*wanted) is not None
    except TooLargeError:
        return True
