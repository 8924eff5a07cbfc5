"""Which outcomes of open data would make a rule come out one way: the rules of a case, read backwards.

Strong Kleene logic, like the way forwards: an expression comes out only by what is known, so every alternative names
data that suffice whatever the others are. What is decided stays decided; it is refined, never turned round.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from math import ceil, floor

from msgspec.structs import replace

from mscprotocol.definitions import Decision, FindingDefinition, Ladder, Score, ScoreItem, ScoreRow
from mscprotocol.deterioration import SignalResult, SignalState, summarise
from mscprotocol.engine import Engine
from mscprotocol.findings import Findings
from mscprotocol.implicants import NEVER, Algebra, Terms
from mscprotocol.knowledge_forms import (
    ChangeLeaf,
    ConclusionLeaf,
    ConditionLeaf,
    Expression,
    FindingLeaf,
    Group,
    MeasurementLeaf,
    ScoreLeaf,
    UnknownIf,
)
from mscprotocol.outcomes import (
    ABSENT,
    PRESENT,
    MeasuredLeaf,
    Variable,
    find_variables,
    outcomes_of,
    outcomes_of_test,
    variable_of,
)
from mscprotocol.reasons import Reason
from mscprotocol.rulebook import Rulebook
from mscprotocol.scores import Scores
from mscprotocol.truth import Truth

MET, NOT_MET, UNKNOWN = Truth.MET, Truth.NOT_MET, Truth.UNKNOWN
STATES: tuple[SignalState, ...] = ("worse", "better", "reversing", "stable")
STEP_STATES: tuple[SignalState, ...] = ("worse", "better", "stable")
# Respiratory signals reach the trend through two tokens: whether the support stepped up, and one that at most two
# states make. More signals than three can therefore never be needed together.
MOST_SIGNALS = 3


@dataclass(frozen=True)
class Layout:
    """The variables of a rulebook in their places: quantities and conditions, then signals, then reviews."""

    variables: dict[str, Variable]
    signals: tuple[str, ...]
    reviews: tuple[str, ...]
    algebra: Algebra

    def place_of_signal(self, name: str) -> int:
        return len(self.variables) + self.signals.index(name)

    def place_of_review(self, criterion: str) -> int:
        return len(self.variables) + len(self.signals) + self.reviews.index(criterion)


def find_layout(book: Rulebook) -> Layout:
    """The layout of a rulebook, made once, so that what was found for one patient can be used for the next."""
    return book.once("layout", lambda: _make_layout(book))


def _make_layout(book: Rulebook) -> Layout:
    variables = find_variables(book)
    signals = tuple(name for name, one in book.knowledge.course.signals.items() if one.domain == "respiratory")
    reviews = tuple(name for name, criterion in book.criteria if criterion.decides)
    sizes = [*(one.size for one in variables.values()), *(len(STATES) for _ in signals), *(2 for _ in reviews)]
    return Layout(variables, signals, reviews, Algebra(sizes))


class Prospects:
    """The open data of one case as variables, and the terms by which an expression would come out."""

    def __init__(
        self, book: Rulebook, findings: Findings, scores: Scores, signals: Sequence[SignalResult], engine: Engine
    ) -> None:
        self.book, self.findings, self.scores, self.engine = book, findings, scores, engine
        self.layout = find_layout(book)
        self.algebra, self.variables = self.layout.algebra, self.layout.variables
        self.signals = signals
        self._found: dict[tuple[int, Truth, bool], Terms] = {}
        self._trends: dict[frozenset[tuple[str, SignalState]], str] = {}
        self._sets_guards_aside = False

    def terms(self, expression: Expression, wanted: Truth) -> Terms:
        """The terms by which an expression becomes met, or not met."""
        key = (id(expression), wanted, self._sets_guards_aside)
        found = self._found.get(key)
        if found is None:
            found = self._found[key] = self._terms(expression, wanted)
        return found

    def terms_of_review(self, criterion: str, expression: Expression, wanted: Truth) -> Terms:
        """The terms by which a criterion is left to a clinician, with the clinician's answer."""
        self._sets_guards_aside = True
        left_open = [self.terms(expression, MET), self.terms(expression, NOT_MET)]
        if isinstance(expression, ConclusionLeaf):
            left_open.append(self._classes(expression, expression.review))
        self._sets_guards_aside = False
        return self.algebra.both([self.answer(criterion, wanted), self.algebra.either(left_open)])

    def answer(self, criterion: str, wanted: Truth) -> Terms:
        """A named clinician's answer to a criterion itself."""
        return self.algebra.outcome(self.layout.place_of_review(criterion), PRESENT if wanted is MET else ABSENT)

    def _terms(self, expression: Expression, wanted: Truth) -> Terms:
        match expression:
            case Group():
                return self._group(expression, wanted)
            case FindingLeaf(finding=name):
                return self.terms(self._definition(name).when, wanted)
            case UnknownIf(unknown_if=name):
                return self._guard(self._definition(name).when, wanted)
            case ConclusionLeaf():
                return self._classes(expression, expression.met if wanted is MET else expression.not_met)
            case ScoreLeaf():
                return self._constant(self.scores.find(expression).truth, wanted) or self._score(expression, wanted)
            case _:
                return self._constant(self.findings.find(expression).truth, wanted) or self._leaf(expression, wanted)

    def _definition(self, name: str) -> FindingDefinition:
        definition = self.book.knowledge.definitions[name]
        assert isinstance(definition, FindingDefinition)
        return definition

    def _constant(self, truth: Truth, wanted: Truth) -> Terms | None:
        if truth is UNKNOWN:
            return None
        return self.algebra.always if truth is wanted else NEVER

    def _group(self, group: Group, wanted: Truth) -> Terms:
        inner = ~wanted if group.none_of else wanted
        members = [self.terms(member, inner) for member in group.members]
        is_joint = (inner is MET) == bool(group.all_of)
        return self.algebra.both(members) if is_joint else self.algebra.either(members)

    def _guard(self, when: Expression, wanted: Truth) -> Terms:
        """A guard is never met; who reviews a criterion sets aside a guard that leaves it open."""
        absent = self.terms(when, NOT_MET)
        if wanted is MET:
            return NEVER
        return self.algebra.either([absent, self.terms(when, MET)]) if self._sets_guards_aside else absent

    # -- measured leaves --

    def _leaf(self, leaf: MeasuredLeaf, wanted: Truth) -> Terms:
        variable = self.variables[variable_of(leaf)]
        match leaf:
            case MeasurementLeaf():
                return self._quantity(leaf, variable, wanted)
            case ConditionLeaf(began_within=None):
                return self._condition(leaf, variable, wanted)
            case ChangeLeaf(change=name):
                known = self.variables[f"measurement {name}"].known
                return self.algebra.both([self._answered(variable, wanted), self.terms(known, MET)])
            case ConditionLeaf() if is_disputed(self.findings, leaf):
                return NEVER
            case _:
                return self._answered(variable, wanted)

    def _answered(self, variable: Variable, wanted: Truth) -> Terms:
        return self.algebra.outcome(variable.place, PRESENT if wanted is MET else ABSENT)

    def _quantity(self, leaf: MeasurementLeaf, variable: Variable, wanted: Truth) -> Terms:
        parts = [self.algebra.outcome(variable.place, self._outcomes(leaf, variable, wanted))]
        if leaf.unless is not None:
            parts.append(self._without(self._definition(leaf.unless).when))
        if leaf.during is not None and (wanted is MET or not leaf.worst):
            parts.append(self.terms(self._definition(leaf.during).when, MET))
        if leaf.not_met_needs is not None and wanted is NOT_MET:
            parts.append(self.terms(self._definition(leaf.not_met_needs).when, MET))
        return self.algebra.both(parts)

    def _outcomes(self, leaf: MeasurementLeaf, variable: Variable, wanted: Truth) -> int:
        return self.book.once(
            ("outcomes", id(leaf), wanted), lambda: outcomes_of(self.book.knowledge, leaf, variable, wanted)
        )

    def _without(self, when: Expression) -> Terms:
        """A state that spoils a value does not hold, as far as it is known."""
        if self.findings.truth_of(when) is MET:
            return NEVER
        return self.algebra.where_known(self.terms(when, NOT_MET))

    def _condition(self, leaf: ConditionLeaf, variable: Variable, wanted: Truth) -> Terms:
        """The condition itself is answered, or a test that the rules ask for speaks for it; they do not contradict."""
        answer, contrary = (PRESENT, ABSENT) if wanted is MET else (ABSENT, PRESENT)
        outcome = self.algebra.outcome
        ways = [outcome(variable.place, answer)]
        fitting = [outcome(variable.place, contrary ^ (PRESENT | ABSENT), known=False)]
        for test in self.book.knowledge.conditions[leaf.condition].tests:
            other = self.variables.get(f"measurement {test.measurement}")
            if other is None or not self._is_open(other):
                continue
            speaks, denies = (outcomes_of_test(self.book.knowledge, test, other, truth) for truth in (wanted, ~wanted))
            ways.append(outcome(other.place, speaks))
            fitting.append(outcome(other.place, ~denies & ((1 << other.size) - 1), known=False))
        return self.algebra.both([self.algebra.either(ways), *fitting])

    def _is_open(self, variable: Variable) -> bool:
        return any(self.findings.find(leaf).truth is UNKNOWN for leaf in variable.leaves)

    # -- classes and the trend --

    def _classes(self, leaf: ConclusionLeaf, names: Sequence[str]) -> Terms:
        definition = self.book.knowledge.definitions[leaf.conclusion]
        if isinstance(definition, Decision):
            return self._trend(leaf.conclusion, names)
        assert isinstance(definition, Ladder)
        exact = [self._class(definition, name) for name in names]
        # A class proven is enough where every graver one is named too: it need not be excluded.
        at_least = [
            self.terms(rung.when, MET)
            for place, rung in enumerate(definition.rungs)
            if {one.name for one in definition.rungs[: place + 1]} <= set(names)
        ]
        return self.algebra.either([*exact, *at_least] or [NEVER])

    def _class(self, ladder: Ladder, name: str) -> Terms:
        """A class is exact if it is proven and every graver one is excluded."""
        parts: list[Terms] = []
        for rung in ladder.rungs:
            if rung.name == name:
                return self.algebra.both([*parts, self.terms(rung.when, MET)])
            parts.append(self.terms(rung.when, NOT_MET))
        return self.algebra.both(parts) if name == ladder.otherwise else NEVER

    def _trend(self, name: str, wanted: Sequence[str]) -> Terms:
        """Signals that lack points, in every state that they may turn out to be in; no more signals than it takes."""
        if self._trend_with(name, {}) in wanted:
            return self.algebra.always
        lacking = [one for one in self.signals if one.name in self.layout.signals and one.state == "insufficient"]
        found: list[Terms] = []
        enough: list[set[str]] = []
        for count in range(1, MOST_SIGNALS + 1):
            for chosen in combinations(lacking, count):
                names = {one.name for one in chosen}
                if any(one <= names for one in enough):
                    continue
                ways = list(self._ways(name, chosen, lacking, wanted))
                found += ways
                enough += [names] if ways else []
        return self.algebra.either(found or [NEVER])

    def _ways(
        self, name: str, chosen: Sequence[SignalResult], lacking: Sequence[SignalResult], wanted: Sequence[str]
    ) -> Iterator[Terms]:
        """The states of some signals that give the trend; others, should they be known, must not spoil it."""
        for states in product(*map(_states_of, chosen)):
            given = {one.name: state for one, state in zip(chosen, states, strict=True)}
            if self._trend_with(name, given) not in wanted:
                continue
            parts = [self._signal(one, [given[one.name]]) for one in chosen]
            for other in lacking:
                if other.name not in given:
                    harmless = [
                        s for s in _states_of(other) if self._trend_with(name, {**given, other.name: s}) in wanted
                    ]
                    parts.append(self._signal(other, harmless, known=False))
            yield self.algebra.both(parts)

    def _trend_with(self, name: str, given: Mapping[str, SignalState]) -> str:
        # But for the step, respiratory signals count alike.
        alike = frozenset((one.signal.form, given[one.name]) for one in self.signals if one.name in given)
        found = self._trends.get(alike)
        if found is None:
            signals = [replace(one, state=given[one.name]) if one.name in given else one for one in self.signals]
            found = self._trends[alike] = self.engine.conclude(self.book.steps[name], summarise(signals)).token
        return found

    def _signal(self, signal: SignalResult, states: Sequence[SignalState], *, known: bool = True) -> Terms:
        among = sum(1 << STATES.index(state) for state in states)
        return self.algebra.outcome(self.layout.place_of_signal(signal.name), among, known=known)

    # -- scores --

    def _score(self, leaf: ScoreLeaf, wanted: Truth) -> Terms:
        """The lowest points reach the threshold, or the highest stay under it."""
        definition = self.book.knowledge.definitions[leaf.score]
        assert isinstance(definition, Score)
        assert leaf.comparison is not None
        operator, limit = leaf.comparison[0], leaf.comparison[1].value
        items = [definition.items[name] for name in leaf.items or definition.items]
        if (operator in ("gt", "gte")) == (wanted is MET):
            return self._sum(items, floor(limit) + 1 if operator in ("gt", "lte") else ceil(limit), sign=1)
        return self._sum(items, -(ceil(limit) - 1 if operator in ("gte", "lt") else floor(limit)), sign=-1)

    def _sum(self, items: Sequence[ScoreItem], limit: int, *, sign: int) -> Terms:
        """The items together surely have so many points; with the sign turned, "at most" reads as "at least"."""
        sums = {0: self.algebra.always}
        levels = [sorted({sign * item.otherwise, *(sign * row.points for row in item.rows)}) for item in items]
        for place, item in enumerate(items):
            least, most = (sum(later[end] for later in levels[place + 1 :]) for end in (0, -1))
            added: dict[int, list[Terms]] = {}
            for (so_far, terms), points in product(sums.items(), levels[place]):
                if so_far + points + most >= limit:
                    own = self._points(item.rows, item.otherwise, points, sign=sign)
                    added.setdefault(min(so_far + points, limit - least), []).append(self.algebra.both([terms, own]))
            sums = {points: self.algebra.either(parts) for points, parts in added.items()}
        return self.algebra.either([*sums.values()] or [NEVER])

    def _points(self, rows: Sequence[ScoreRow], otherwise: int, least: int, *, sign: int) -> Terms:
        """An item surely has so many points: the first row that holds counts."""
        if not rows:
            return self.algebra.always if sign * otherwise >= least else NEVER
        first, rest = rows[0], self._points(rows[1:], otherwise, least, sign=sign)
        if sign * first.points >= least:
            return self.algebra.either([self.terms(first.when, MET), rest])
        return self.algebra.both([self.terms(first.when, NOT_MET), rest])


def is_disputed(findings: Findings, leaf: MeasuredLeaf) -> bool:
    """Whether a record says when something began and somebody denies that it is there: no datum settles that."""
    is_onset = isinstance(leaf, ConditionLeaf) and leaf.began_within is not None
    return is_onset and Reason.CONFLICT in findings.find(leaf).reasons


def _states_of(signal: SignalResult) -> tuple[SignalState, ...]:
    return STEP_STATES if signal.signal.form == "step" else STATES
