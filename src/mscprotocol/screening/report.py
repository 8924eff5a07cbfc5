"""The report of a run: who was left at each step and why, for those who may see patients and for those who may not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from mscprotocol.rendering import fill_template
from mscprotocol.rulebook import Rulebook
from mscprotocol.screening.disclosure import Ledger
from mscprotocol.screening.figures import Bar, Combination, Flow, draw_bars, draw_flow, draw_upset
from mscprotocol.screening.outputs import Balance
from mscprotocol.screening.pieces import Problem
from mscprotocol.screening.report_numbers import Names, enter_numbers
from mscprotocol.screening.results import LogRow
from mscprotocol.screening.run import Finished
from mscprotocol.screening.stages import write_whole
from mscprotocol.screening.tallies import ProtocolTally, Tally

_DATA, _REASONS, _FILES = 15, 50, 40


@dataclass(frozen=True)
class Step:
    """One criterion: what it says, and how many it excluded in turn, alone, and at all."""

    id: str
    text: str
    excluded: str
    left: str
    sole: str
    any: str


@dataclass(frozen=True)
class Section:
    """What the report says of one protocol."""

    title: str
    flow: str
    steps: list[Step]
    upset: str
    settle: str
    reasons: list[tuple[str, str, str]]
    urgent: list[LogRow]
    what_if: list[Scenario] = field(default_factory=list)


@dataclass(frozen=True)
class Scenario:
    """What other rules would change."""

    name: str
    verdicts: list[tuple[str, str, str]]
    criteria: list[tuple[str, str, str, str]]
    plot: str


@dataclass(frozen=True)
class Page:
    """The whole report; `least` is the smallest number that a page to share tells, or 0."""

    facts: list[tuple[str, str]]
    least: int
    sections: list[Section]
    problems: list[tuple[str, str]]
    examples: list[Problem]
    notes: list[tuple[str, str]]
    same_identifier: list[list[str]]


def write_reports(finished: Finished, tally: Tally, balance: Balance, books: Sequence[Rulebook]) -> None:
    """Write the report, and the one that may be shared."""
    least = int(books[0].practice.small_cell.value.value)
    for name, smallest in (("report.html", 0), ("report-shareable.html", least)):
        page = make_page(finished, tally, balance, books, smallest)
        write_whole(Path(finished.folder) / name, fill_template("screening", page=page).encode())


def make_page(finished: Finished, tally: Tally, balance: Balance, books: Sequence[Rulebook], least: int) -> Page:
    """Everything that the template prints; with `least` patients or more behind each number, or 0 for all as it is."""
    staged = Counter((one.level, one.code) for one in finished.staged.problems)
    ledger, names = enter_numbers(tally, balance, staged + tally.problems, books, least)
    is_open = not least
    return Page(
        facts=list(_facts(finished, balance, books[0], ledger)),
        least=least,
        sections=[_Section(finished, tally, book, ledger, names).section() for book in books],
        problems=[(": ".join(one), ledger.show(("problem", *one))) for one in names.problems],
        examples=finished.staged.problems[:_FILES] if is_open else [],
        notes=[(text, ledger.show(("note", text))) for text in names.notes],
        same_identifier=finished.staged.same_identifier[:_FILES] if is_open else [],
    )


def _facts(finished: Finished, balance: Balance, book: Rulebook, ledger: Ledger) -> Iterator[tuple[str, str]]:
    options, knowledge = finished.options, book.knowledge
    yield "Time of evaluation", options.at
    yield "Rules", f"{knowledge.version}, SHA-256 {knowledge.sha256}"
    yield "Choices of the site", ", ".join(f"{k} = {v}" for k, v in options.choices.items()) or "as the rules stand"
    yield "Files", ledger.show("files")
    yield "Lines, rows and messages", ledger.show("lines")
    yield "  read for patients", ledger.show("kept")
    yield "    of these left out: deleted, or newer as another patient's", ledger.show("fallen")
    yield "    of these in doubt: the order of a deletion or of versions is not known", ledger.show("in_doubt")
    yield "  not needed by the rules", ledger.show("not_read")
    yield "  blank", ledger.show("blank")
    yield "  quarantined", ledger.show("lines_quarantined")
    yield "Files damaged, missing or unlike their manifest", ledger.show("files_quarantined")
    yield "Persons who may stand under several ids or sources", ledger.show("same_identifier")
    yield "Nothing lost", "the counts agree" if balance.is_even else "THE COUNTS DO NOT AGREE: do not use this"


@dataclass(frozen=True)
class _Section:
    """What the report says of one protocol; each number is shown and drawn as the ledger tells it."""

    finished: Finished
    all: Tally
    book: Rulebook
    ledger: Ledger
    names: Names

    def section(self) -> Section:
        protocol = self.book.protocol
        return Section(
            title=f"{protocol.id} {protocol.version}: {protocol.title}",
            flow=draw_flow(self._flow()),
            steps=[
                Step(name, self._text(name), *(self._show(*what) for what in _attrition(name)))
                for name in self._excluding
            ],
            upset=draw_upset(self._combinations()),
            settle=draw_bars(bars, ("settles alone", "open in")) if (bars := self._settling()) else "",
            reasons=[(*key, self._show("open", *key)) for key in self._sorted("open", self._tally.reasons)[:_REASONS]],
            urgent=[] if self.ledger.least else sorted(self._tally.urgent, key=_urgency),
            what_if=[self._scenario(name) for name in self.finished.options.scenario_names()],
        )

    @cached_property
    def _tally(self) -> ProtocolTally:
        return self.all.protocols.get(self.book.protocol.id, ProtocolTally())

    @cached_property
    def _excluding(self) -> list[str]:
        """The criteria that excluded anybody, in the protocol's order."""
        return [name for name, _ in self.book.criteria if self._tally.at_all[name]]

    def _text(self, criterion: str) -> str:
        return self.book.knowledge.criteria[criterion].text

    def _show(self, *name: Hashable) -> str:
        return self.ledger.show((self.book.protocol.id, *name))

    def _size(self, *name: Hashable) -> int:
        return self.ledger.size((self.book.protocol.id, *name))

    def _sorted(self, kind: str, keys: Iterable[Any]) -> list[Any]:
        """The largest first, as far as that is told."""
        return sorted(keys, key=lambda key: (-self._size(kind, *(key if isinstance(key, tuple) else (key,))), key))

    def _flow(self) -> Flow:
        problems = [one for one in self.names.problems if one[0] == "patient"]
        return Flow(
            patients=self.ledger.show("patients"),
            quarantined=self.ledger.show("patients_quarantined"),
            quarantined_by=[(one[1], self.ledger.show(("problem", *one))) for one in problems],
            assessed=self.ledger.show("assessed"),
            ineligible=self._show("ineligible"),
            ineligible_by=[(f"{name} {self._text(name)}", self._show("first", name)) for name in self._excluding],
            undetermined=self._show("undetermined"),
            undetermined_by=[(name, self._show("outlook", name)) for name in sorted(self._tally.outlooks)],
            eligible=self._show("eligible"),
        )

    def _combinations(self) -> list[Combination]:
        """The most frequent combinations of which a number is told, and all others as one."""
        listed = [
            Combination(ids, size, self._show("combination", ids))
            for ids in self.names.combinations[self.book.protocol.id]
            if (size := self._size("combination", ids))
        ]
        rest = self._size("others")
        return [*listed, Combination((), rest, self._show("others"))] if rest else listed

    def _settling(self) -> list[Bar]:
        alone, among = "settled by", "needed"
        names = sorted(self._tally.needed, key=lambda one: (-self._size(alone, one), -self._size(among, one), one))
        return [
            Bar(one, self._size(alone, one), self._show(alone, one), self._size(among, one), self._show(among, one))
            for one in names[:_DATA]
        ]

    def _scenario(self, name: str) -> Scenario:
        mine = (name, self.book.protocol.id)
        show, size = self.ledger.show, self.ledger.size
        verdicts = [(*key[2:], show(("verdict then", *key))) for key in sorted(self.all.changes) if key[:2] == mine]
        moved = [key for key in sorted(self.all.changed_criteria) if key[:2] == mine]
        criteria = [(*key[2:], show(("status then", *key))) for key in moved]
        bars = [
            Bar(f"{one}: {old} to {new}", size(("status then", *key)), told)
            for key, (one, old, new, told) in zip(moved, criteria, strict=True)
        ]
        return Scenario(name, verdicts, criteria, draw_bars(bars, ("patients",)) if bars else "")


def _attrition(name: str) -> Iterator[tuple[Hashable, ...]]:
    """What is told of a criterion that excludes, in the order of the columns."""
    yield from (("first", name), ("left", name), ("combination", (name,)), ("at all", name))


def _urgency(row: LogRow) -> tuple[float, str]:
    return float(row.hours_since_signal or 0), row.patient
