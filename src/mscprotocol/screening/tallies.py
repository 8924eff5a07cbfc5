"""What the report counts over all patients, protocol by protocol, in memory that does not grow with their number."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from mscprotocol.screening.results import LogRow, Screened

MOST_COMBINATIONS, MOST_URGENT, MOST_NOTES = 5000, 500, 500


@dataclass
class ProtocolTally:
    """The patients under one protocol."""

    assessed: int = 0
    verdicts: Counter[str] = field(default_factory=Counter)
    outlooks: Counter[str] = field(default_factory=Counter)
    combinations: Counter[tuple[str, ...]] = field(default_factory=Counter)
    open: Counter[str] = field(default_factory=Counter)
    reasons: Counter[tuple[str, str]] = field(default_factory=Counter)
    needed: Counter[str] = field(default_factory=Counter)
    one_datum: Counter[str] = field(default_factory=Counter)
    urgent: list[LogRow] = field(default_factory=list)

    def add(self, row: LogRow) -> None:
        """Count one answer."""
        self.assessed += 1
        self.verdicts[row.verdict] += 1
        if row.outlook is not None:
            self.outlooks[row.outlook] += 1
        if row.violated:
            self.combinations[tuple(row.violated)] += 1
        self.open.update(row.open)
        self.reasons.update(row.reasons.items())
        if row.verdict == "undetermined":
            self.needed.update(row.needed)
        if row.one_datum is not None:
            self.one_datum[row.one_datum] += 1
        if row.time_critical and row.verdict != "ineligible":
            self.urgent.append(row)

    @property
    def sole(self) -> Counter[str]:
        """How many patients each criterion alone excludes."""
        return Counter({ids[0]: number for ids, number in self.combinations.items() if len(ids) == 1})

    @property
    def at_all(self) -> Counter[str]:
        """How many patients each criterion excludes, alone or not."""
        found: Counter[str] = Counter()
        for ids, number in self.combinations.items():
            found.update(dict.fromkeys(ids, number))
        return found

    def sequential(self, order: list[str]) -> list[tuple[str, int, int]]:
        """Each criterion that excludes, in the protocol's order: how many of those left, and how many are left then."""
        left = self.assessed
        first: Counter[str] = Counter()
        for ids, number in self.combinations.items():
            first[min(ids, key=order.index)] += number
        at_all = self.at_all
        steps = []
        for name in order:
            left -= first[name]
            if at_all[name]:
                steps.append((name, first[name], left))
        return steps


@dataclass
class Tally:
    """All protocols of a run."""

    protocols: dict[str, ProtocolTally] = field(default_factory=dict)
    problems: Counter[tuple[str, str]] = field(default_factory=Counter)
    quality: Counter[str] = field(default_factory=Counter)
    patients: int = 0
    changes: Counter[tuple[str, str, str, str]] = field(default_factory=Counter)
    changed_criteria: Counter[tuple[str, str, str, str, str]] = field(default_factory=Counter)

    def add(self, one: Screened) -> None:
        """Count one patient."""
        self.patients += 1
        if one.problem is not None:
            self.problems[one.problem.level, one.problem.code] += 1
        for row in one.rows:
            self.protocols.setdefault(row.protocol, ProtocolTally()).add(row)
        if one.rows:
            self.quality.update(one.rows[0].quality)
        for change in one.changes:
            if change.before != change.after:
                self.changes[change.scenario, change.protocol, change.before, change.after] += 1
            for name, before, after in change.criteria:
                self.changed_criteria[change.scenario, change.protocol, name, before, after] += 1
