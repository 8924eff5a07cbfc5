"""Puts a mutant of the rules to the tests until one of them fails: first rows of the case tables, then test modules.

Rows are asked in process, with the conclusions drawn in plain Python: that durable-rules concludes the same is what
`agreement.py` shows. Which rows are asked follows from what their section rests on; a row that is not asked can only
make the score worse. What the rows leave alive is put to the test modules that read such rules, in a child process.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from equality import is_same
from mutants import Mutant
from mutated import install, load, load_with_choices
from readings import EDGES, READINGS, find_failing
from relevance import all_rows, reads_course, rows_by_name

from mscprotocol import assessment, case_tables, knowledge_loader
from mscprotocol.case_tables import Asked, Row
from mscprotocol.engine import Engine
from mscprotocol.errors import KnowledgeError
from mscprotocol.knowledge import KnowledgeBase
from mscprotocol.rulesets import Ruleset

HOME = Path(__file__).resolve().parent.parent
MOST_ROWS = 100
# Parts of an answer that no row of a table asks for, as they come out meanwhile.
_UNASKED: dict[str, Any] = {
    "measure_margins": [], "warn_of_fragility": [], "find_needs": [], "find_deciding": [], "hash_trace": "",
    "hash_input": "",
}  # fmt: skip
_WHOLE_ANSWER = {name: getattr(assessment, name) for name in (*_UNASKED, "shared_engine", "find_signals")}
# Test modules that read the rules of a file, besides the tables and the second reading of the dictionary.
MODULES = {
    "measurements.yaml": ["criteria/test_presence.py", "core/test_units.py", "core/test_derived.py",
                          "core/test_oxygen.py", "core/test_selection.py", "core/test_deterioration.py",
                          "adapters/test_measurements.py", "adapters/test_forms.py", "core/test_dosing.py"],
    "conditions.yaml": ["specs/test_evidence.py", "criteria/test_presence.py", "core/test_presence.py",
                        "adapters/test_presences.py"],
    "criteria": ["criteria/test_presence.py", "cases/test_samples.py"],
    "definitions": ["criteria/test_presence.py", "core/test_deterioration.py", "core/test_oxygen.py"],
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
)  # name no entry
# Tests that fail on the rules as they are prove nothing about a mutant.
unsound_rows: set[str] = set()


class PlainEngine(Engine):
    """Concludes without durable-rules: the first row that covers the tokens, as the compiled rulesets state it."""

    def __init__(self) -> None:
        super().__init__()
        self._kept: list[Ruleset] = []  # an id is its ruleset's own only while that lives

    def _run(self, ruleset: Ruleset, pattern: Sequence[str]) -> int:
        self._kept.append(ruleset)
        return next(place for place, row in enumerate(ruleset.rows) if row.covers(ruleset, pattern))


# -- rows -------------------------------------------------------------------------------------------


def answer_rows_only() -> None:
    """Conclude without durable-rules, and leave out what no row asks for."""
    vars(case_tables)["load_knowledge"] = load_with_choices
    engine = PlainEngine()
    vars(assessment)["shared_engine"] = lambda: engine
    vars(assessment).update({name: lambda *_, value=value: value for name, value in _UNASKED.items()})


def kill_by_rows(mutant: Mutant) -> str | None:
    """The first row or reading that fails under a mutant, or None.

    `refused` when the loader does not take it; `equal` when it is proved to conclude as before.
    """
    try:
        knowledge = load(mutant)
    except (KnowledgeError, AssertionError):
        return "refused"
    if mutant.file.startswith(("criteria", "definitions")) and is_same(knowledge, mutant.owner):
        return "equal"
    answer_rows_only()
    vars(assessment)["find_signals"] = _WHOLE_ANSWER["find_signals"]
    if failed := find_failing(knowledge, mutant.file, mutant.owner):
        return failed
    inside = {str(step) for step in mutant.path}
    rows = [row for row in rows_by_name().get(mutant.owner, []) if row.name not in unsound_rows]
    own = [row for row in rows if _is_about(row, mutant.owner, knowledge)]
    own.sort(key=lambda row: not inside & set(row.section.split(".")[1:]))
    others = [row for row in rows if not _is_about(row, mutant.owner, knowledge)]
    others.sort(key=lambda row: not inside & set(row.section.split(".")[1:]))
    return next((row.name for row in (*own, *others[:MOST_ROWS]) if _fails(row, knowledge)), None)


def _is_about(row: Row, owner: str, knowledge: KnowledgeBase) -> bool:
    """Whether a row asks for an entry itself; the signals are asked for one by one, and are those of the trend."""
    head = row.section.partition(".")[0]
    return owner in (head, knowledge.course.id if head == "signal" else head)


def find_unsound() -> list[str]:
    """Set aside, and name, the rows that fail without any mutant."""
    knowledge = load(None)
    answer_rows_only()
    for file, owner in (*((file, "") for file in READINGS), *(("", owner) for owner in EDGES)):
        if failed := find_failing(knowledge, file, owner):
            raise SystemExit(f"{failed} fails without a mutant: put it right first")
    unsound_rows.update(row.name for row in all_rows() if _fails(row, knowledge))
    return sorted(unsound_rows)


def _fails(row: Row, knowledge: KnowledgeBase) -> bool:
    vars(assessment)["find_signals"] = _WHOLE_ANSWER["find_signals"] if reads_course(row.section) else lambda *_: []
    try:
        found, reason = Asked(row, knowledge).outcome
    except Exception:  # noqa: BLE001  # a test that ends with an error has failed
        return True
    return found != row.expect or (row.reason is not None and reason != row.reason)


# -- test modules -----------------------------------------------------------------------------------


def kill_by_modules(mutant: Mutant) -> str | None:
    """The test modules that name what a mutant changes, one after the other in child processes: which failed first."""
    wanted = MODULES.get(mutant.file.partition("/")[0], OTHER_MODULES)
    named = sorted((-_mentions(one, mutant), one) for one in wanted)
    failing = (one for less, one in named if less and _fails_in_child(mutant, [one]))
    return next((f"tests/{one}" for one in failing if _is_sound(one)), None)


@lru_cache
def _is_sound(module: str) -> bool:
    """Whether a test module passes on the rules as they are: one that does not proves nothing."""
    return not _fails_in_child(None, [module])


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
