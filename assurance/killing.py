"""Puts a mutant of the rules to the tests until one of them fails: first rows of the case tables, then test modules.

Rows are asked in process, with the conclusions drawn in plain Python: that durable-rules concludes the same is what
`agreement.py` shows. Which rows are asked follows from what their section rests on; a row that is not asked can only
make the score worse. What the rows leave alive is put to the test modules that read such rules, in a child process.
"""

from __future__ import annotations

import itertools
import os
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from functools import cache, lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from mutants import Mutant, Tree

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # the tests are a package of the checkout

from mscprotocol import assessment, case_tables, knowledge_loader
from mscprotocol.case_tables import Asked, Row, read_rows
from mscprotocol.definitions import Decision, FindingDefinition, Ladder, Score, Trend
from mscprotocol.engine import Engine
from mscprotocol.errors import KnowledgeError
from mscprotocol.knowledge import KnowledgeBase
from mscprotocol.knowledge_forms import ChangeLeaf, ConditionLeaf, Leaf, MeasurementLeaf, walk_leaves
from mscprotocol.knowledge_loader import named_definitions
from mscprotocol.places import find_folder
from mscprotocol.rulesets import Ruleset
from mscprotocol.units import is_plausible, is_unusual
from tests.rule_oracles import decision_oracle
from tests.specs import test_decisions, test_dictionary, test_protocols
from tests.specs import test_worst_of_24_hours as test_worst

HOME = Path(__file__).resolve().parent.parent
CASES = HOME / "tests" / "criteria" / "cases"
MOST_ROWS = 100
_Original = knowledge_loader._Reader
# Parts of an answer that no row of a table asks for, as they come out meanwhile.
_UNASKED: dict[str, Any] = {
    "measure_margins": [], "warn_of_fragility": [], "find_needs": [], "find_deciding": [], "hash_trace": "",
    "hash_input": "",
}  # fmt: skip
_WHOLE_ANSWER = {name: getattr(assessment, name) for name in (*_UNASKED, "shared_engine", "find_signals")}
WHOLE = ("verdict", "outlook", "dose", "gate", "trend")
# Test modules that read the rules of a file, besides the tables and the second reading of the dictionary.
MODULES = {
    "measurements.yaml": ["criteria/test_presence.py", "core/test_units.py", "core/test_derived.py",
                          "core/test_oxygen.py", "core/test_selection.py", "core/test_deterioration.py",
                          "adapters/test_measurements.py", "adapters/test_forms.py", "core/test_dosing.py"],
    "conditions.yaml": ["specs/test_evidence.py", "criteria/test_presence.py", "core/test_presence.py",
                        "adapters/test_presences.py"],
    "criteria": ["criteria/test_presence.py", "cases/test_samples.py"],
    "definitions": ["criteria/test_presence.py", "core/test_deterioration.py", "core/test_oxygen.py",
                    "specs/test_urgency.py"],
}  # fmt: skip
OTHER_MODULES = [
    "specs/test_parameters.py",
    "core/test_dosing.py",
    "core/test_schedule.py",
    "cases/test_samples.py",
    "rendering/test_checklist.py",
]
_READ_ALL = (
    "criteria/test_presence.py",
    "specs/test_parameters.py",
    "core/test_deterioration.py",
    "specs/test_urgency.py",
)  # name no entry
# Tests that fail on the rules as they are prove nothing about a mutant.
unsound_rows: set[str] = set()
unsound_modules: set[str] = set()


class PlainEngine(Engine):
    """Concludes without durable-rules: the first row that covers the tokens, as the compiled rulesets state it."""

    def __init__(self) -> None:
        super().__init__()
        self._kept: list[Ruleset] = []  # an id is its ruleset's own only while that lives

    def _run(self, ruleset: Ruleset, pattern: Sequence[str]) -> int:
        self._kept.append(ruleset)
        return next(place for place, row in enumerate(ruleset.rows) if row.covers(ruleset, pattern))


# -- mutated rule bases -----------------------------------------------------------------------------


@cache
def read_trees() -> dict[Path, Tree]:
    """Every file of the rules as it is."""
    home = find_folder("rules")
    reader = _Original(home)
    return {path: reader._read_file(path) for path in sorted(home.rglob("*.yaml"))}


class _Reader(_Original):
    """Reads the files that are kept in memory, one of them with a mutant's edit; what is not edited is built once."""

    changed: Mapping[Path, Tree] = {}
    owns_files = False
    built: dict[tuple[int, Any], Any] = {}

    def _read_file(self, path: Path) -> Tree:  # type: ignore[override]
        if path not in read_trees():  # a site's own file
            return super()._read_file(path)
        tree = self.changed.get(path) or read_trees()[path]
        return deepcopy(tree) if self.owns_files else tree

    def _validated(self, path: Path, tree: Tree, place: tuple[str, ...], model: Any) -> Any:  # type: ignore[override]
        node: Any = tree
        for step in place:
            node = node[step]
        original: Any = read_trees().get(path)
        for step in place:
            original = original and original.get(step)
        if node is not original or self.owns_files:
            return super()._validated(path, tree, place, model)
        key = (id(node), model)
        if key not in self.built:
            self.built[key] = super()._validated(path, tree, place, model)
        return self.built[key]


def install(mutant: Mutant | None, *, owns_files: bool = False) -> None:
    """Let every rule base that is loaded from now on be the mutant's."""
    knowledge_loader._Reader = _Reader  # type: ignore[misc]
    knowledge_loader._load.cache_clear()
    home = find_folder("rules")
    _Reader.owns_files = owns_files
    _Reader.changed = {} if mutant is None else {home / mutant.file: mutant.apply(read_trees()[home / mutant.file])}


@cache
def load_once() -> KnowledgeBase:
    """The rule base as it is."""
    return load(None)


def load(mutant: Mutant | None) -> KnowledgeBase:
    """The rule base with a mutant's edit. Raises KnowledgeError when the loader refuses it."""
    install(mutant)
    return knowledge_loader.load_knowledge()


# -- rows -------------------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def rows_by_name() -> dict[str, list[Row]]:
    """For each entry of the rules the rows whose answer may rest on it, the closest first."""
    knowledge, behind = load(None), what_sections_rest_on()
    found: dict[str, list[tuple[int, int, Row]]] = defaultdict(list)
    for number, row in enumerate(_rows()):
        given = {name for datum in row.given for name in _makes(knowledge, datum)}
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
    return {name: frozenset(_behind(knowledge, name)) for name in dict.fromkeys(row.section for row in _rows())}


def _reads_course(section: str) -> bool:
    """Whether the course over time, the slowest part of an answer, can matter to a section."""
    return bool(what_sections_rest_on()[section] & {"trend", "deterioration"})


def _rows() -> tuple[Row, ...]:
    return read_rows(CASES)


@lru_cache(maxsize=1024)
def _makes(knowledge: KnowledgeBase, datum: str) -> frozenset[str]:
    """A datum, and what is computed from it."""
    return frozenset({datum, *(name for name, one in knowledge.measurements.items() if datum in one.made_of)})


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


def _load_with_choices(folder: Path | None = None, **more: Any) -> KnowledgeBase:
    """The rule base under a row's choices: they are edits, so the files in memory are copied first."""
    _Reader.owns_files = True
    try:
        return knowledge_loader.load_knowledge(folder, **more)
    finally:
        _Reader.owns_files = False


def answer_rows_only() -> None:
    """Conclude without durable-rules, and leave out what no row asks for."""
    vars(case_tables)["load_knowledge"] = _load_with_choices
    engine = PlainEngine()
    vars(assessment)["shared_engine"] = lambda: engine
    vars(assessment).update({name: lambda *_, value=value: value for name, value in _UNASKED.items()})


def kill_by_rows(mutant: Mutant) -> str | None:
    """The first row or reading that fails under a mutant, or None.

    `refused` when the loader does not take it; `equal` when a decision list is proved to conclude as before.
    """
    try:
        knowledge = load(mutant)
    except (KnowledgeError, AssertionError):
        return "refused"
    if _is_same_decision(knowledge, mutant.owner):
        return "equal"
    if failed := _failing_reading(knowledge, mutant.file):
        return failed
    answer_rows_only()
    inside = {str(step) for step in mutant.path}
    rows = [row for row in rows_by_name().get(mutant.owner, []) if row.name not in unsound_rows]
    own = [row for row in rows if row.section.partition(".")[0] == mutant.owner]
    own.sort(key=lambda row: not inside & set(row.section.split(".")[1:]))
    others = [row for row in rows if row.section.partition(".")[0] != mutant.owner]
    others.sort(key=lambda row: not inside & set(row.section.split(".")[1:]))
    return next((row.name for row in (*own, *others[:MOST_ROWS]) if _fails(row, knowledge)), None)


def _is_same_decision(knowledge: KnowledgeBase, name: str) -> bool:
    """Whether a changed decision list concludes as before for every combination of its tokens."""
    before, after = load_once().definitions.get(name), knowledge.definitions.get(name)
    if not isinstance(before, Decision) or not isinstance(after, Decision):
        return False
    lists = [decision_oracle(one) for one in (before, after)]
    combinations = itertools.product(*before.inputs.values())
    return all(len({one(dict(zip(before.inputs, said, strict=True))) for one in lists}) == 1 for said in combinations)


def _failing_reading(knowledge: KnowledgeBase, file: str) -> str | None:
    """The first test of the second readings (dictionary, protocols, decision lists) that fails."""
    for module in (test_decisions, test_dictionary, test_protocols, test_worst):
        vars(module)["KNOWLEDGE"] = knowledge
    for test, given in _READINGS[next(head for head in _READINGS if file.startswith(head))]():
        try:
            test(*given)
        except Exception:  # noqa: BLE001  # a test that ends with an error has failed
            return f"{test.__module__}.{test.__name__}"
    return None


_Test = tuple[Callable[..., None], tuple[Any, ...]]


def _of_dictionary() -> list[_Test]:
    reading: Any = test_dictionary
    return [
        (reading.test_limits_lie_where_the_table_has_them, ("hard", lambda *one: not is_plausible(*one))),
        (reading.test_limits_lie_where_the_table_has_them, ("soft", is_unusual)),
        (reading.test_values_age_as_the_table_has_it, ()),
        (reading.test_every_quantity_has_its_resolution, ()),
        (reading.test_what_can_be_settled_at_the_bedside, ()),
        (reading.test_every_answer_of_a_person_ages, ()),
        (reading.test_a_criterion_attested_as_a_whole_holds_as_long_as_the_table_has_it, ()),
        (reading.test_the_indication_is_asked_before_the_first_infusion_only, ()),
        (reading.test_medicines_act_on_as_long_as_the_table_has_it, ()),
        *((reading.test_a_unit_converts_as_worked_by_hand, pair) for pair in reading.UNITS),
        *((reading.test_an_answer_holds_as_long_as_the_table_has_it, (name,)) for name in reading.HOLDS),
    ]


def _of_protocols() -> list[_Test]:
    reading: Any = test_protocols
    return [
        *((reading.test_numbers, (name,)) for name in reading.TABLE["numbers"]),
        *((reading.test_the_list_of_criteria_is_closed, (name,)) for name in reading.TABLE["criteria"]),
        (reading.test_bases_and_bodies_of_weight, ()),
    ]


def _of_decisions() -> list[_Test]:
    reading: Any = test_decisions
    sentences = (reading.verdict, reading.outlook, reading.dose_status, reading.gate, reading.trend)
    return [(reading.test_every_combination, (one,)) for one in sentences]


def _of_worst_values() -> list[_Test]:
    reading: Any = test_worst
    return [(reading.test_an_earlier_worse_value_counts, given) for given in reading.WORST]


# By the beginning of a file's name.
_READINGS: dict[str, Callable[[], list[_Test]]] = {
    "measurements": _of_dictionary,
    "conditions": _of_dictionary,
    "criteria": _of_dictionary,
    "protocols": _of_protocols,
    "practices": _of_protocols,
    "definitions/conclusions": _of_decisions,
    "definitions/deterioration": _of_decisions,
    "definitions/complications": _of_worst_values,
    "": list,
}


def find_unsound() -> list[str]:
    """Set aside, and name, the tests that fail without any mutant."""
    knowledge = load(None)
    for file in _READINGS:
        if failed := _failing_reading(knowledge, file):
            raise SystemExit(f"{failed} fails without a mutant: put it right first")
    answer_rows_only()
    unsound_rows.update(row.name for row in _rows() if _fails(row, knowledge))
    modules = dict.fromkeys(one for several in (*MODULES.values(), OTHER_MODULES) for one in several)
    unsound_modules.update(one for one in modules if _fails_in_child(None, [one]))
    return sorted(unsound_rows | unsound_modules)


def _fails(row: Row, knowledge: KnowledgeBase) -> bool:
    vars(assessment)["find_signals"] = _WHOLE_ANSWER["find_signals"] if _reads_course(row.section) else lambda *_: []
    try:
        found, reason = Asked(row, knowledge).outcome
    except Exception:  # noqa: BLE001  # a test that ends with an error has failed
        return True
    return found != row.expect or (row.reason is not None and reason != row.reason)


# -- test modules -----------------------------------------------------------------------------------


def kill_by_modules(mutant: Mutant) -> str | None:
    """The test modules that name what a mutant changes, one after the other in child processes: which failed first."""
    wanted = MODULES.get(mutant.file.partition("/")[0], OTHER_MODULES)
    named = sorted((-_mentions(one, mutant), one) for one in wanted if one not in unsound_modules)
    return next((f"tests/{one}" for less, one in named if less and _fails_in_child(mutant, [one])), None)


def _mentions(module: str, mutant: Mutant) -> int:
    """How often a test module names the entry that is changed, or the signal, item or parameter within it."""
    inner = [str(name) for holder, name in pairwise(mutant.path) if holder in ("signals", "items", "parameters")]
    text = (HOME / "tests" / module).read_text(encoding="utf-8")
    return sum(text.count(name) for name in (mutant.owner, *inner)) + (module in _READ_ALL)


def _fails_in_child(mutant: Mutant | None, modules: list[str]) -> bool:
    child = os.fork()
    if child == 0:
        os._exit(_run_modules(mutant, modules))
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status) != 0


def _run_modules(mutant: Mutant | None, modules: list[str]) -> int:
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    os.chdir(HOME)
    vars(assessment).update(_WHOLE_ANSWER)
    vars(case_tables)["load_knowledge"] = knowledge_loader.load_knowledge
    install(mutant, owns_files=True)
    return int(
        pytest.main(["-x", "-q", "--assert=plain", "-p", "no:cacheprovider", *(f"tests/{one}" for one in modules)])
    )
