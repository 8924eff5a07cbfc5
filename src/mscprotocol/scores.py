"""Scores as sums of intervals: an item that is not known spans the points it may have, never a silent 0."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from mscprotocol.definitions import Score, ScoreItem
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


@dataclass(frozen=True, slots=True)
class ItemResult:
    """The points that an item may have, with what was looked at."""

    points: Interval
    evidence: tuple[Evidence, ...]
    reasons: tuple[Reason, ...]
    expires: datetime | None


@dataclass(frozen=True, slots=True)
class ScoreResult:
    """A score's items and their total, as far as they are known."""

    id: str
    items: dict[str, ItemResult]

    @property
    def total(self) -> Interval:
        return total(item.points for item in self.items.values())

    @property
    def missing(self) -> tuple[str, ...]:
        return tuple(name for name, item in self.items.items() if item.points.exact is None)

    def sum_of(self, names: Sequence[str]) -> Interval:
        return total(self.items[name].points for name in names or self.items)


class Scores:
    """Computes each score of the rule base once for one set of findings."""

    def __init__(self, findings: Findings) -> None:
        self.findings = findings
        self._results: dict[str, ScoreResult] = {}

    def result(self, name: str) -> ScoreResult:
        """The score with its items."""
        found = self._results.get(name)
        if found is None:
            definition = self.findings.knowledge.definitions[name]
            assert isinstance(definition, Score)
            items = {key: self._item(item) for key, item in definition.items.items()}
            found = self._results[name] = ScoreResult(name, items)
        return found

    def find(self, leaf: ScoreLeaf) -> Finding:
        """A score, or the sum of some items, against the threshold of a leaf."""
        result = self.result(leaf.score)
        names = leaf.items or tuple(result.items)
        comparison = leaf.comparison
        assert comparison is not None
        truth: Truth = getattr(result.sum_of(names), comparison[0])(comparison[1].value)
        items = [result.items[name] for name in names]
        evidence = _distinct(items)
        if truth is Truth.UNKNOWN:
            return Finding(truth, in_precedence(r for item in items for r in item.reasons), evidence)
        ends = [item.expires for item in items if item.expires is not None]
        return Finding(truth, (), evidence, min(ends, default=None))

    def _item(self, item: ScoreItem) -> ItemResult:
        """The first row that holds counts; rows that may hold leave their points open."""
        possible: list[int] = []
        for row in item.rows:
            truth = self._truth(row.when)
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

    def _truth(self, expression: Expression) -> Truth:
        match expression:
            case Group():
                return expression.combine([self._truth(member) for member in expression.members])
            case ScoreLeaf():
                return self.find(expression).truth
            case _:
                return self.findings.truth_of(expression)

    def _leaves(self, expression: Expression) -> list[Finding]:
        match expression:
            case Group():
                return [finding for member in expression.members for finding in self._leaves(member)]
            case ScoreLeaf():
                return [self.find(expression)]
            case FindingLeaf() | UnknownIf():
                return []
            case _:
                return [self.findings.find(expression)]


def _distinct(found: Sequence[Finding] | Sequence[ItemResult]) -> tuple[Evidence, ...]:
    """The evidence of several findings, each entry once. Entries are compared by identity: hashing them is slow."""
    return tuple({(id(one.entry), one.used): one for finding in found for one in finding.evidence}.values())
