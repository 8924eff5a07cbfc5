"""What would follow if another value of the window were taken: the latest, the worst or the median.

A value is chosen once for its datum: every comparison of the datum, those inside scores too, answers from it, and one
whose window does not hold the value keeps its own answer. Trends and changes over time read all values and stay.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import cast

from mscprotocol.answer import Flip
from mscprotocol.case import GATING, Case, Judgement, dose_inputs, exact_tier, judge_level, verdict_inputs
from mscprotocol.comparisons import Comparisons, find_comparisons, worst_is_high
from mscprotocol.criteria import judge_criteria
from mscprotocol.definitions import Ladder
from mscprotocol.findings import Finding
from mscprotocol.inference import Conclusions, suppose
from mscprotocol.interval import Interval
from mscprotocol.knowledge_forms import MeasurementLeaf, ScoreLeaf
from mscprotocol.record import Measurement
from mscprotocol.rulebook import DOSE_STATUS, VERDICT
from mscprotocol.scores import Scores
from mscprotocol.truth import Truth

LATEST, WORST, MEDIAN = "latest", "worst", "median"
DOSE, _WITHHELD = "dose", "withheld"
_ENDLESS = Decimal("Infinity")


@dataclass(frozen=True, slots=True)
class Choice:
    """A way to take one value out of a window, and the entry that it takes."""

    name: str
    point: Measurement


@dataclass(frozen=True)
class Chosen:
    """What a comparison took from its window, what it could have taken, and out of how many values."""

    used: Choice | None
    others: tuple[Choice, ...]
    count: int


@dataclass(frozen=True)
class Effect:
    """What a chosen value would turn; `truths` are the answers that would differ, by leaf."""

    truths: dict[str, Truth]
    flips: tuple[Flip, ...]
    scores: Scores


class Choices:
    """The choices of one case; each value's effect is worked out once."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.comparisons: Comparisons = find_comparisons(case.book)
        self._chosen: dict[int, Chosen] = {}
        self._effects: dict[tuple[str, int], Effect] = {}
        self._nothing = Effect({}, (), case.scores)

    def of(self, leaf: MeasurementLeaf) -> Chosen:
        """What a leaf took; nothing, where no usable value answers it."""
        found = self._chosen.get(id(leaf))
        if found is None:
            found = self._chosen[id(leaf)] = self._choose(leaf)
        return found

    def is_single(self, datum: str) -> bool:
        """Whether a datum has one value at most, so that there is nothing to choose."""
        return len(self.case.findings.series.points(datum)) < 2

    def _choose(self, leaf: MeasurementLeaf) -> Chosen:
        values = self.case.findings.usable(leaf)
        used = self._used(leaf, values)
        if used is None or len(values) < 2:
            return Chosen(used, (), len(values))
        others = [one for one in self._ways(leaf, values) if one.name != used.name and one.point is not used.point]
        return Chosen(used, tuple(others), len(values))

    def _used(self, leaf: MeasurementLeaf, values: Sequence[Measurement]) -> Choice | None:
        if not leaf.worst and self.case.book.knowledge.measurements[leaf.measurement].select == LATEST:
            selection = self.case.findings.select(leaf.measurement, leaf.within, leaf.during)
            return None if selection.chosen is None else Choice(LATEST, selection.chosen)
        is_decided = self.case.findings.find(leaf).truth is not Truth.UNKNOWN
        return Choice(WORST, self._worst(leaf, values)) if is_decided and values else None

    def _ways(self, leaf: MeasurementLeaf, values: Sequence[Measurement]) -> Iterator[Choice]:
        yield Choice(LATEST, values[0])
        yield Choice(WORST, self._worst(leaf, values))
        if all(point.value is not None and point.value.exact is not None for point in values):
            # Of an even number the worse of the two in the middle is taken: a value that was measured.
            yield Choice(MEDIAN, sorted(values, key=self._badness(leaf))[len(values) // 2])

    def _worst(self, leaf: MeasurementLeaf, values: Sequence[Measurement]) -> Measurement:
        return max(values, key=self._badness(leaf))

    def _badness(self, leaf: MeasurementLeaf) -> Callable[[Measurement], Decimal]:
        is_high = worst_is_high(self.case.book, leaf)
        return lambda point: _end(point.value, is_high=is_high)

    def effect(self, datum: str, point: Measurement) -> Effect:
        """What would turn if every comparison of a datum answered from one value."""
        found = self._effects.get((datum, id(point)))
        if found is None:
            found = self._effects[datum, id(point)] = self._work_out(datum, point)
        return found

    def _work_out(self, datum: str, point: Measurement) -> Effect:
        findings, leaves = self.case.findings, self.case.book.leaves
        answers = {
            id(leaf): answer
            for leaf in self.comparisons.answering[datum]
            if _says_otherwise(answer := findings.find_by(leaf, point), findings.find(leaf))
        }
        if not answers:
            return self._nothing
        scores = Scores(findings.supposing(answers))
        turned = {key: answers[id(leaf)] for key in self._named(datum) if id(leaf := leaves[key]) in answers}
        for key in self.comparisons.scored.get(datum, ()):
            answer = scores.find(cast(ScoreLeaf, leaves[key]))
            if _says_otherwise(answer, self.case.conclusions.findings[key]):
                turned[key] = answer
        truths = {key: answer.truth for key, answer in turned.items()}
        return Effect(truths, tuple(self._flips(turned)), scores)

    def _named(self, datum: str) -> tuple[str, ...]:
        return self.comparisons.named.get(datum, ())

    def _flips(self, turned: Mapping[str, Finding]) -> Iterator[Flip]:
        """The criteria, classes and verdict that would come out otherwise."""
        case = self.case
        conclusions = suppose(case.conclusions, turned)
        touched = {name for key in turned for name in self.comparisons.criteria.get(key, ())}
        judged = judge_criteria(case.book, conclusions, case.findings, case.signals, case.request, touched)
        yield from _turned_criteria(case, judged)
        yield from _turned_classes(case, conclusions, frozenset(turned))
        again = {one.id: one for one in judged}
        inputs = verdict_inputs([again.get(one.id, one) for one in case.judgements])
        verdict = conclusions.engine.conclude(case.book.steps[VERDICT], inputs).token
        if verdict != case.verdict:
            yield Flip(VERDICT, VERDICT, case.verdict, verdict)
        elif _WITHHELD in (dose := self._dose(conclusions), case.dose_status) and dose != case.dose_status:
            yield Flip(DOSE, DOSE, case.dose_status, dose)

    def _dose(self, conclusions: Conclusions) -> str:
        """The status that the dose would have under the same verdict."""
        case = self.case
        tier, weight = exact_tier(conclusions), case.findings.exact_number(case.book.weight_datum)
        state, level = judge_level(case.book, case.request.dose_level, tier, weight)
        inputs = dose_inputs(case.verdict, tier, weight, state, level)
        return conclusions.engine.conclude(case.book.steps[DOSE_STATUS], inputs).token


def _turned_criteria(case: Case, judged: Sequence[Judgement]) -> Iterator[Flip]:
    before = {one.id: one.status for one in case.judgements}
    for one in judged:
        if one.criterion.role in GATING and one.status != before[one.id]:
            yield Flip("criterion", one.id, before[one.id], one.status)


def _turned_classes(case: Case, conclusions: Conclusions, turned: frozenset[str]) -> Iterator[Flip]:
    for name in case.book.steps_after(turned):
        before, after = case.conclusions.tokens[name], conclusions.tokens[name]
        if before != after and isinstance(case.book.knowledge.definitions.get(name), Ladder):
            yield Flip("class", name, before.replace(":", " "), after.replace(":", " "))


def _says_otherwise(one: Finding, other: Finding) -> bool:
    return (one.truth, one.reasons) != (other.truth, other.reasons)


def _end(value: Interval | None, *, is_high: bool) -> Decimal:
    """How far a value reaches on one side; larger is further."""
    end = None if value is None else value.high if is_high else value.low
    if end is None:
        return _ENDLESS
    return end if is_high else end.copy_negate()
