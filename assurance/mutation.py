"""Mutation of the rule base: every number, operator, answer, group, row and flag wrong once, and a test that notices.

    python assurance/mutation.py [--only TEXT] [--sample N]

Prints a score for each kind of mutant and every survivor. Ends with 1 when less than 95 % were killed or a survivor
has no reason in `survivors.yaml`. Libraries for mutation (mutmut, cosmic-ray) change Python; the numbers that decide
here stand in YAML, which they leave alone.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path
from time import perf_counter

import killing
import mutated
import relevance
from mutants import Mutant, make_mutants
from rich.console import Console
from rich.table import Table

from mscprotocol.definitions import Decision, Ladder, Score
from mscprotocol.knowledge import KnowledgeBase
from mscprotocol.places import find_folder
from mscprotocol.units import UnitError, to_canonical
from mscprotocol.yaml_files import read_yaml

SURVIVORS = Path(__file__).with_name("survivors.yaml")
LEAST = 95
PROCESSES = 2
rows_only = False


@dataclass(frozen=True)
class Fate:
    """What became of a mutant: `refused` by the loader, proved `equal`, killed by a test, or None."""

    mutant: str
    kind: str
    killed_by: str | None


@lru_cache(maxsize=1)
def all_mutants() -> list[Mutant]:
    """Every mutant of the rules that ship, in the order of the files."""
    knowledge = mutated.load(None)
    home = find_folder("rules")
    trees = {path.relative_to(home).as_posix(): tree for path, tree in mutated.read_trees().items()}
    return make_mutants(trees, _vocabulary(knowledge), lambda datum, unit: _step(knowledge, datum, unit))


def _vocabulary(knowledge: KnowledgeBase) -> dict[str, tuple[str, ...]]:
    """The answers of each datum, the classes of each conclusion, the items of each score, in their order."""
    found = {
        name: (*one.levels, *one.answers)[: len(one.levels) or None] for name, one in knowledge.measurements.items()
    }
    for name, definition in knowledge.definitions.items():
        match definition:
            case Ladder():
                found[name] = definition.classes
            case Score():
                found[name] = tuple(definition.items)
            case Decision():
                found[name] = definition.conclusions
                found |= {f"{name}.{key}": tokens for key, tokens in definition.inputs.items()}
    return found


def _step(knowledge: KnowledgeBase, name: str, unit: str) -> Decimal | None:
    """The resolution of a datum in one of its units, as a power of ten; None for what is not of its kind."""
    datum = knowledge.measurements.get(name)
    if datum is None or datum.kind in ("coded", "ordinal", "time"):
        return None
    if name == "age":
        return Decimal(1)  # ages count in whole years
    try:
        one = to_canonical(datum, Decimal(1), unit) - to_canonical(datum, Decimal(0), unit)
    except (UnitError, KeyError, ValueError):
        return None
    wanted, step = datum.resolution / one, Decimal(1)
    while step >= wanted * 10:
        step /= 10
    while step < wanted:
        step *= 10
    return step.normalize()


def judge(number: int) -> Fate:
    """Put one mutant to the tests."""
    mutant = all_mutants()[number]
    killed_by = killing.kill_by_rows(mutant)
    if killed_by is None and mutant.name not in accepted() and not rows_only:
        killed_by = killing.kill_by_modules(mutant)
    return Fate(mutant.name, mutant.kind, killed_by)


@lru_cache(maxsize=1)
def accepted() -> dict[str, str]:
    """Survivors that may live, each with its reason."""
    if not SURVIVORS.exists():
        return {}
    groups = read_yaml(SURVIVORS.read_text(encoding="utf-8"))
    return {name: group["reason"] for group in groups.values() for name in group["mutants"]}


def main(arguments: list[str] | None = None) -> int:
    """Judge every mutant and say what came out."""
    parser = argparse.ArgumentParser(description="Mutation of the rule base")
    parser.add_argument("--only", default="", help="mutants whose name holds this text")
    parser.add_argument("--sample", type=int, default=1, help="every Nth mutant")
    parser.add_argument("--log", type=Path, help="what became of each mutant, as lines of JSON")
    parser.add_argument("--processes", type=int, default=PROCESSES)
    parser.add_argument("--rows-only", action="store_true", help="put no mutant to the test modules")
    chosen = parser.parse_args(arguments)
    global rows_only  # noqa: PLW0603  # read by the processes that are forked from this one
    rows_only = chosen.rows_only
    started = perf_counter()
    numbers = [n for n, one in enumerate(all_mutants()) if chosen.only in one.name][:: chosen.sample]
    unsound = [] if rows_only else killing.find_unsound()
    relevance.rows_by_name()
    with get_context("fork").Pool(chosen.processes) as pool:
        fates = list(_followed(pool.imap(judge, numbers, chunksize=8), len(numbers), chosen.log))
    for name in unsound:
        print(f"fails without a mutant, so it was set aside: {name}")
    return report(fates, perf_counter() - started, whole=len(numbers) == len(all_mutants())) or int(bool(unsound))


def _followed(fates: Iterable[Fate], count: int, log: Path | None) -> Iterator[Fate]:
    """The same fates, written down and counted as they come."""
    started = perf_counter()
    with Path(os.devnull if log is None else log).open("w", encoding="utf-8") as lines:
        for number, fate in enumerate(fates, 1):
            lines.write(json.dumps(vars(fate)) + "\n")
            if number % 250 == 0:
                lines.flush()
                print(f"{number} of {count}, {perf_counter() - started:.0f} s", file=sys.stderr, flush=True)
            yield fate


def report(fates: list[Fate], seconds: float, *, whole: bool) -> int:
    """Print the scores and the survivors; 1 when too many live, or one without a reason."""
    console = Console(width=160)
    tallies: dict[str, Counter[str]] = defaultdict(Counter)
    for fate in fates:
        word = "survived" if fate.killed_by is None else fate.killed_by
        word = word if word in ("survived", "refused", "equal") else "killed"
        tallies[fate.kind][word] += 1
        tallies["all"][word] += 1
    table = Table(
        "kind",
        "made",
        "refused by the loader",
        "proved equal",
        "killed",
        "survived",
        "score",
        title="Mutants of rules/",
    )
    for kind in sorted(tallies, key=lambda kind: (kind == "all", kind)):
        table.add_row(kind, *_cells(tallies[kind]))
    console.print(table)
    living = [fate.mutant for fate in fates if fate.killed_by is None]
    unexplained = [name for name in living if name not in accepted()]
    for name in living:
        console.print(
            f"survived: {name}", f"({accepted().get(name, 'NO REASON GIVEN')})", highlight=False, markup=False
        )
    stale = sorted(set(accepted()) - set(living)) if whole else []
    for name in stale:
        console.print(f"listed as a survivor, and killed or gone: {name}", markup=False)
    score = _score(tallies["all"])
    console.print(f"mutation score {score:.2f} %, {len(unexplained)} survivors without a reason, {seconds:.0f} s")
    return int(score < LEAST or bool(unexplained) or bool(stale))


def _cells(tally: Counter[str]) -> list[str]:
    made = sum(tally.values())
    return [
        str(made),
        *(str(tally[word]) for word in ("refused", "equal", "killed", "survived")),
        f"{_score(tally):.1f} %",
    ]


def _score(tally: Counter[str]) -> float:
    """The share of killed mutants among those that the loader takes and that are not proved equal."""
    put = tally["killed"] + tally["survived"]
    return 100 * tally["killed"] / put if put else 100.0


if __name__ == "__main__":
    sys.exit(main())
