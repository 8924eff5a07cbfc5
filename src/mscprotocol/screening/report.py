"""The report of a run: who was left at each step and why, for those who may see patients and for those who may not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mscprotocol.knowledge import KnowledgeBase
from mscprotocol.rendering import fill_template
from mscprotocol.rulebook import Rulebook
from mscprotocol.screening.disclosure import find_hidden
from mscprotocol.screening.figures import Bar, Combination, Flow, draw_bars, draw_flow, draw_upset
from mscprotocol.screening.outputs import Balance
from mscprotocol.screening.pieces import Problem
from mscprotocol.screening.results import LogRow
from mscprotocol.screening.run import Finished
from mscprotocol.screening.stages import write_whole
from mscprotocol.screening.tallies import ProtocolTally, Tally

WITHHELD = "withheld"
_COMBINATIONS, _DATA, _NOTES, _FILES = 14, 15, 25, 40
Show = Callable[[Hashable], str]


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
        page = _Writer(finished, tally, balance, books, smallest).page()
        write_whole(Path(finished.folder) / name, fill_template("screening", page=page).encode())


@dataclass(frozen=True)
class _Writer:
    finished: Finished
    tally: Tally
    balance: Balance
    books: Sequence[Rulebook]
    least: int

    def page(self) -> Page:
        """Everything that the template prints."""
        return Page(
            facts=list(self._facts()),
            least=self.least,
            sections=[self._section(book) for book in self.books],
            problems=[(code, self._few(n, self.balance.patients)) for code, n in self._problem_counts()],
            examples=[] if self.least else self.finished.staged.problems[:_FILES],
            notes=[(text, self._few(n, self.balance.assessed)) for text, n in self.tally.quality.most_common(_NOTES)],
            same_identifier=[] if self.least else self.finished.staged.same_identifier[:_FILES],
        )

    def _facts(self) -> Iterator[tuple[str, str]]:
        balance, options = self.balance, self.finished.options
        knowledge = self.books[0].knowledge
        yield "Time of evaluation", options.at
        yield "Rules", f"{knowledge.version}, SHA-256 {knowledge.sha256}"
        yield "Choices of the site", ", ".join(f"{k} = {v}" for k, v in options.choices.items()) or "as the rules stand"
        yield "Files", f"{balance.files:,}"
        yield "Lines, rows and messages", f"{balance.lines:,}"
        yield "  read for patients", f"{balance.kept:,}"
        yield "    of these left out: deleted, or newer as another patient's", self._few(balance.fallen)
        yield "    of these in doubt: the order of a deletion or of versions is not known", self._few(balance.in_doubt)
        yield "  not needed by the rules", f"{balance.not_read:,}"
        yield "  blank", f"{balance.blank:,}"
        yield "  quarantined", self._few(balance.lines_quarantined)
        yield "Files damaged, missing or unlike their manifest", f"{balance.files_quarantined:,}"
        yield "Nothing lost", "the counts agree" if balance.is_even else "THE COUNTS DO NOT AGREE: do not use this"

    def _few(self, number: int, of: int | None = None) -> str:
        """A number that stands alone; it is withheld, too, if it tells that all are meant, or all but a few."""
        left = self.least if of is None else of - number
        is_small = number > 0 and (number < self.least or left < self.least)
        return WITHHELD if is_small else f"{number:,}"

    def _problem_counts(self) -> list[tuple[str, int]]:
        staged = Counter((one.level, one.code) for one in self.finished.staged.problems)
        return [
            (f"{level}: {code}", number) for (level, code), number in sorted((staged + self.tally.problems).items())
        ]

    # -- one protocol ------------------------------------------------------------------------------

    def _section(self, book: Rulebook) -> Section:
        tally = self.tally.protocols.get(book.protocol.id, ProtocolTally())
        figures = _Figures(self.tally, tally, [name for name, _ in book.criteria], self.balance, self.least)
        settled = tally.one_datum
        data = sorted(tally.needed, key=lambda name: (-settled[name], -tally.needed[name], name))[:_DATA]
        open_patients = tally.verdicts["undetermined"]
        bars = [
            Bar(name, self._size(settled[name]), self._few(settled[name], open_patients),
                self._size(tally.needed[name]), self._few(tally.needed[name], open_patients))
            for name in data
        ]  # fmt: skip
        reasons = sorted(tally.reasons.items(), key=lambda one: (-one[1], one[0]))
        return Section(
            title=f"{book.protocol.id} {book.protocol.version}: {book.protocol.title}",
            flow=draw_flow(figures.flow(book.knowledge)),
            steps=list(figures.steps(book.knowledge)),
            upset=draw_upset(figures.combinations()),
            settle=draw_bars(bars, ("settles alone", "open in")) if bars else "",
            reasons=[(name, reason, self._few(n, tally.assessed)) for (name, reason), n in reasons[: 2 * _NOTES]],
            urgent=[] if self.least else sorted(tally.urgent, key=_urgency),
            what_if=[self._scenario(name, book, tally) for name in self._scenario_names()],
        )

    def _size(self, number: int) -> int:
        return 0 if 0 < number < self.least else number

    def _scenario_names(self) -> list[str]:
        return self.finished.options.scenario_names()

    def _scenario(self, name: str, book: Rulebook, tally: ProtocolTally) -> Scenario:
        mine = book.protocol.id
        verdicts = [
            (before, after, self._few(number, tally.verdicts[before]))
            for (scenario, protocol, before, after), number in sorted(self.tally.changes.items())
            if (scenario, protocol) == (name, mine)
        ]
        criteria = [
            (criterion, before, after, number)
            for (scenario, protocol, criterion, before, after), number in sorted(self.tally.changed_criteria.items())
            if (scenario, protocol) == (name, mine)
        ]
        bars = [
            Bar(f"{one}: {old} to {new}", self._size(n), self._few(n, tally.assessed)) for one, old, new, n in criteria
        ]
        told = [(one, old, new, self._few(n, tally.assessed)) for one, old, new, n in criteria]
        return Scenario(name, verdicts, told, draw_bars(bars, ("patients",)) if bars else "")


def _urgency(row: LogRow) -> tuple[float, str]:
    return float(row.hours_since_signal or 0), row.patient


@dataclass
class _Figures:
    """The numbers of one protocol that are sums over the same patients, shown or withheld together."""

    all: Tally
    tally: ProtocolTally
    order: list[str]
    balance: Balance
    least: int

    def __post_init__(self) -> None:
        self.cells: dict[Hashable, int] = {("eligible",): self.tally.verdicts["eligible"]}
        self.cells |= {("ineligible", ids): number for ids, number in self.tally.combinations.items()}
        self.cells |= {("open", name): number for name, number in self.tally.outlooks.items()}
        self.cells |= {("quarantined", key): number for key, number in self.all.problems.items()}
        self.sums = dict(self._sums())
        hidden = find_hidden(self.cells, self.sums, self.least) if self.least else set()
        self.values = {
            name: None if name in hidden else sum(self.cells[cell] for cell in members)
            for name, members in self.sums.items()
        }

    def _of(self, kind: str) -> frozenset[Hashable]:
        return frozenset(cell for cell in self.cells if isinstance(cell, tuple) and cell[0] == kind)

    def _sums(self) -> Iterator[tuple[Hashable, frozenset[Hashable]]]:
        """Every number that the flow, the steps and the combinations print, as the groups that it adds up."""
        ineligible, still_open, quarantined = self._of("ineligible"), self._of("open"), self._of("quarantined")
        assessed = ineligible | still_open | {("eligible",)}
        yield "patients", assessed | quarantined
        yield "quarantined", quarantined
        yield "assessed", assessed
        yield "ineligible", ineligible
        yield "undetermined", still_open
        yield "eligible", frozenset({("eligible",)})
        for cell in still_open | quarantined:
            yield cell, frozenset({cell})
        yield from self._by_criterion(assessed)
        listed = [("ineligible", ids) for ids, _ in self._listed()]
        for cell in listed:
            yield cell, frozenset({cell})
        yield "other combinations", ineligible - frozenset(listed)

    def _by_criterion(self, assessed: frozenset[Hashable]) -> Iterator[tuple[Hashable, frozenset[Hashable]]]:
        left = assessed
        for name in self.order:
            every = frozenset(("ineligible", ids) for ids in self.tally.combinations if name in ids)
            if every:
                yield ("any", name), every
                yield (
                    ("sole", name),
                    frozenset(("ineligible", ids) for ids in self.tally.combinations if ids == (name,)),
                )
                yield ("first", name), every & left
                left -= every
                yield ("left", name), left

    def _listed(self) -> list[tuple[tuple[str, ...], int]]:
        found = sorted(self.tally.combinations.items(), key=lambda one: (-one[1], one[0]))
        return found[:_COMBINATIONS]

    def show(self, name: Hashable) -> str:
        """A number as it is printed."""
        value = self.values[name]
        return WITHHELD if value is None else f"{value:,}"

    def flow(self, knowledge: KnowledgeBase) -> Flow:
        """The numbers of the flow chart."""
        first = [name for name in self.order if ("first", name) in self.sums]
        return Flow(
            patients=self.show("patients"),
            quarantined=self.show("quarantined"),
            quarantined_by=[(key[1][1], self.show(key)) for key in sorted(self._of("quarantined"), key=str)],  # type: ignore[index]
            assessed=self.show("assessed"),
            ineligible=self.show("ineligible"),
            ineligible_by=[(f"{name} {knowledge.criteria[name].text}", self.show(("first", name))) for name in first],
            undetermined=self.show("undetermined"),
            undetermined_by=[(key[1], self.show(key)) for key in sorted(self._of("open"), key=str)],  # type: ignore[index]
            eligible=self.show("eligible"),
        )

    def steps(self, knowledge: KnowledgeBase) -> Iterator[Step]:
        """The criteria that excluded anybody, in the protocol's order."""
        for name in self.order:
            if ("any", name) in self.sums:
                numbers = [self.show((kind, name)) for kind in ("first", "left", "sole", "any")]
                yield Step(name, knowledge.criteria[name].text, *numbers)

    def combinations(self) -> list[Combination]:
        """The most frequent combinations that may be told, and all others as one."""
        found = [
            Combination(ids, self.values["ineligible", ids] or 0, self.show(("ineligible", ids)))
            for ids, _ in self._listed()
            if self.values["ineligible", ids] is not None
        ]
        rest = self.values["other combinations"]
        return [*found, Combination((), rest, "")] if rest else found
