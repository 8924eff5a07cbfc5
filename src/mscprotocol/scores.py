"""Scores as sums of intervals: an item that is not known spans the points it may have, never a silent 0."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal

import msgspec

from mscprotocol.attestation import latest_attestation
from mscprotocol.definitions import Baseline, FindingDefinition, Score, ScoreItem
from mscprotocol.findings import Finding, Findings
from mscprotocol.interval import Interval, between, exactly, total
from mscprotocol.knowledge_forms import (
    Expression,
    FindingLeaf,
    Group,
    ScoreLeaf,
    UnknownIf,
)
from mscprotocol.reasons import Reason, in_precedence
from mscprotocol.selection import Evidence
from mscprotocol.truth import Truth

# A baseline that is not known: some points, none below zero.
_POINTS = Interval(Decimal(0))


class ItemResult(msgspec.Struct, frozen=True):
    """The points that an item may have, with what was looked at."""

    points: Interval
    evidence: tuple[Evidence, ...]
    reasons: tuple[Reason, ...]
    expires: datetime | None


class ScoreResult(msgspec.Struct, frozen=True):
    """A score's items and their total, as far as they are known."""

    id: str
    items: dict[str, ItemResult]

    @property
    def total(self) -> Interval:
        return total(item.points for item in self.items.values())

    @property
    def missing(self) -> tuple[str, ...]:
        return tuple(name for name, item in self.items.items() if item.points.exact is None)

    @property
    def expires(self) -> datetime | None:
        """When the first item that is known could change by itself."""
        return min((item.expires for item in self.items.values() if item.expires is not None), default=None)

    def sum_of(self, names: Sequence[str]) -> Interval:
        return total(self.items[name].points for name in names or self.items)


class BaselineResult(msgspec.Struct, frozen=True):
    """What a score was before the acute illness, as far as it is known, and how that is known in words."""

    points: Interval
    text: str
    evidence: tuple[Evidence, ...] = ()
    reasons: tuple[Reason, ...] = ()


class Scores:
    """Computes each score of the rule base once for one set of findings."""

    def __init__(self, findings: Findings) -> None:
        self.findings = findings
        self._results: dict[str, ScoreResult] = {}
        self._items: dict[int, ItemResult] = {}
        self._baselines: dict[str, BaselineResult | None] = {}

    def result(self, name: str) -> ScoreResult:
        """The score with its items."""
        found = self._results.get(name)
        if found is None:
            definition = self._definition(name)
            items = {key: self._item(item) for key, item in definition.items.items()}
            found = self._results[name] = ScoreResult(name, items)
        return found

    def are_known(self, name: str, items: Iterable[str]) -> bool:
        """Whether some items of a score are exactly known: the first that is not decides."""
        definition = self._definition(name)
        return all(self._item(definition.items[key]).points.exact is not None for key in items)

    def baseline(self, name: str) -> BaselineResult | None:
        """The baseline of a score that has one: entered, assumed, or unknown because the assumption is doubtful."""
        if name not in self._baselines:
            rule = self._definition(name).baseline
            self._baselines[name] = None if rule is None else self._find_baseline(rule)
        return self._baselines[name]

    def points(self, leaf: ScoreLeaf) -> Interval:
        """What a leaf compares: a score, the sum of some of its items, or the rise above the baseline."""
        found = self.result(leaf.score).sum_of(leaf.items or ())
        baseline = self.baseline(leaf.score) if leaf.rise else None
        return found if baseline is None else found - baseline.points

    def find(self, leaf: ScoreLeaf) -> Finding:
        """The points of a leaf against its threshold."""
        result = self.result(leaf.score)
        comparison = leaf.comparison
        assert comparison is not None
        truth: Truth = getattr(self.points(leaf), comparison[0])(comparison[1].value)
        items = [result.items[name] for name in leaf.items or result.items]
        baseline = self.baseline(leaf.score) if leaf.rise else None
        looked_at = [*items, *(() if baseline is None else (baseline,))]
        evidence = _distinct(looked_at)
        if truth is Truth.UNKNOWN:
            return Finding(truth, in_precedence(reason for one in looked_at for reason in one.reasons), evidence)
        ends = [item.expires for item in items if item.expires is not None]
        return Finding(truth, (), evidence, min(ends, default=None))

    def _definition(self, name: str) -> Score:
        definition = self.findings.knowledge.definitions[name]
        assert isinstance(definition, Score)
        return definition

    def _find_baseline(self, rule: Baseline) -> BaselineResult:
        entered = self.findings.select(rule.measurement)
        if entered.chosen is not None and entered.chosen.value is not None:
            return BaselineResult(entered.chosen.value, f"{entered.chosen.value} as entered", entered.evidence)
        if entered.reason is not Reason.MISSING:
            reasons = () if entered.reason is None else (entered.reason,)
            return BaselineResult(_POINTS, "not known", entered.evidence, reasons)
        # Nothing recorded is the general population; a record that says or suspects otherwise is not.
        doubts = [name for name in rule.doubted_by if self._may_be_chronic(name)]
        if not doubts:
            return BaselineResult(exactly(rule.assume.value), f"assumed {rule.assume.value}")
        text = f"not known: {self.findings.knowledge.conditions[doubts[0]].text.lower()}"
        evidence = tuple(one for name in doubts for one in self.findings.presence(name).evidence)
        return BaselineResult(_POINTS, text, evidence, (Reason.MISSING,))

    def _may_be_chronic(self, name: str) -> bool:
        """Whether anything on record speaks for a disease, be it over by now, or a person is not sure."""
        found = self.findings.presence(name)
        if found.truth is not Truth.UNKNOWN:
            return found.truth is Truth.MET
        window = self.findings.knowledge.conditions[name].attested_for
        asked = latest_attestation(self.findings.series, name, window, self.findings.at)
        return bool(found.evidence) or asked is not None

    def _item(self, item: ScoreItem) -> ItemResult:
        # Items belong to the rule base, which outlives every assessment, so their identity is a safe key.
        found = self._items.get(id(item))
        if found is None:
            found = self._items[id(item)] = self._find_item(item)
        return found

    def _find_item(self, item: ScoreItem) -> ItemResult:
        """The first row that holds counts; rows that may hold leave their points open."""
        possible: list[int] = []
        for row in item.rows:
            truth = self.truth_of(row.when)
            if truth is Truth.NOT_MET:
                continue
            possible.append(row.points)
            if truth is Truth.MET:
                break
        else:
            possible.append(item.otherwise)
        points = exactly(possible[0]) if len(possible) == 1 else between(min(possible), max(possible))
        found = [finding for row in item.rows for finding in self._leaves(row.when)]
        evidence = _distinct(found)
        open_reasons = in_precedence(reason for finding in found for reason in finding.reasons)
        ends = [finding.expires for finding in found if finding.expires is not None]
        return ItemResult(points, evidence, () if points.exact is not None else open_reasons, min(ends, default=None))

    def truth_of(self, expression: Expression) -> Truth:
        """The truth of an expression that may rest on scores, by Kleene logic."""
        match expression:
            case Group():
                return expression.combine([self.truth_of(member) for member in expression.members])
            case ScoreLeaf():
                return self.find(expression).truth
            case FindingLeaf(finding=name):
                return self.truth_of(self._finding(name).when)
            case _:
                return self.findings.truth_of(expression)

    def _leaves(self, expression: Expression) -> list[Finding]:
        match expression:
            case Group():
                return [finding for member in expression.members for finding in self._leaves(member)]
            case ScoreLeaf():
                return [self.find(expression)]
            case UnknownIf(unknown_if=name):
                return [self._guard(expression, self._leaves(self._finding(name).when))]
            case FindingLeaf():
                return []
            case _:
                return [self.findings.find(expression)]

    def _guard(self, guard: UnknownIf, behind: Sequence[Finding]) -> Finding:
        """Why a guard leaves points open: what it names spoils the item, or is itself not known."""
        if self.truth_of(guard) is Truth.NOT_MET:
            return Finding(Truth.NOT_MET)
        evidence = tuple(one for finding in behind for one in finding.evidence)
        reasons = in_precedence(reason for finding in behind for reason in finding.reasons)
        return Finding(Truth.UNKNOWN, reasons or (Reason.CONFOUNDED,), evidence)

    def _finding(self, name: str) -> FindingDefinition:
        definition = self.findings.knowledge.definitions[name]
        assert isinstance(definition, FindingDefinition)
        return definition


def _distinct(found: Sequence[Finding | ItemResult | BaselineResult]) -> tuple[Evidence, ...]:
    """The evidence of several findings, each entry once. Entries are compared by identity: hashing them is slow."""
    return tuple({(id(one.entry), one.used): one for finding in found for one in finding.evidence}.values())
