"""What the record shows at one instant: entries in order of time, derived quantities among them.

A derived quantity (P/F, the D-dimer ratio, the oxygen support) is a series like any other: each of its points keeps
the entries that it was made of, so selection, shelf life and trends need no second way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from mscprotocol.interval import Interval
from mscprotocol.knowledge import KnowledgeBase
from mscprotocol.reasons import Reason
from mscprotocol.record import Measurement, PatientRecord, Presence
from mscprotocol.truth import Truth

Points = tuple[Measurement, ...]
Derivation = Callable[["Series"], Iterable[Measurement]]
# A value that is a range because a date is known only in part.
PARTIAL = "partial_date"
_NO_TIME = datetime.min.replace(tzinfo=UTC)


class Series:
    """The measurements and presences of a record that are not later than `at`, with what derives from them.

    `planned_end` is when the infusion asked about would end; None where no infusion is asked about.
    """

    def __init__(
        self,
        record: PatientRecord,
        knowledge: KnowledgeBase,
        at: datetime,
        derivations: Mapping[str, Derivation],
        planned_end: datetime | None = None,
    ) -> None:
        self.record, self.knowledge, self.at, self.planned_end = record, knowledge, at, planned_end
        self._derivations = derivations
        self._points: dict[str, Points] = {}
        self._charted: dict[str, Points] = {}

    def points(self, name: str) -> Points:
        """The entries of a measurement up to `at`, the newest first; entries without a time come last."""
        found = self._points.get(name)
        if found is None:
            derive = self._derivations.get(name)
            entries = self.charted(name) if derive is None else derive(self)
            found = tuple(sorted(entries, key=_time_key, reverse=True))
            self._points[name] = found
        return found

    def charted(self, name: str) -> Points:
        """The entries of a measurement as charted, up to `at`."""
        found = self._charted.get(name)
        if found is None:
            entries = self.record.measurements.get(name, ())
            found = tuple([entry for entry in entries if entry.time is None or not entry.time.is_after(self.at)])
            self._charted[name] = found
        return found

    def later(self, name: str) -> Points:
        """The entries of a measurement that are later than `at`, which no answer may use."""
        entries = self.record.measurements.get(name, ())
        return tuple([entry for entry in entries if entry.time is not None and entry.time.is_after(self.at)])

    def presences(self, name: str) -> tuple[Presence, ...]:
        """The entries of a condition as they stood at `at`: what began later is left out, a later end is open."""
        found = []
        for entry in self.record.presences.get(name, ()):
            begun = entry.time or entry.recorded
            if begun is not None and begun.is_after(self.at):
                continue
            ends_later = entry.ended is not None and entry.ended.is_after(self.at)
            found.append(replace(entry, ended=None, active=Truth.MET) if ends_later else entry)
        return tuple(found)

    def is_running(self, name: str) -> bool:
        """Whether a condition, medication or procedure is known to hold at `at`, or to act on after its end."""
        acts_for = self.knowledge.conditions[name].acts_for
        since = self.at if acts_for is None else acts_for.start(self.at)
        return any(
            entry.present is Truth.MET and (entry.active is Truth.MET or _ended_after(entry, since))
            for entry in self.presences(name)
        )


def compute(name: str, parts: Sequence[Measurement], value: Interval | None, problem: Reason | None) -> Measurement:
    """A point made of others: it is as old as its first part and keeps their references."""
    first = parts[0]
    return replace(
        first,
        name=name,
        reference=" + ".join(dict.fromkeys(part.reference for part in parts)),
        as_received=" / ".join(part.as_received for part in parts)
        + (f" (upper limit {first.upper_limit}{_by_site(first)})" if first.upper_limit is not None else ""),
        value=None if problem is not None else value,
        problem=problem or (Reason.MISSING if value is None else None),
        unit="",
        flags=frozenset().union(*(part.flags for part in parts)),
    )


def _by_site(entry: Measurement) -> str:
    return f", {entry.upper_limit_source}" if entry.upper_limit_source.startswith("site") else ""


def _ended_after(entry: Presence, since: datetime) -> bool:
    end = entry.ended or entry.time
    return end is not None and end.latest > since


def _time_key(entry: Measurement) -> tuple[datetime, datetime, str]:
    if entry.time is None:
        return _NO_TIME, _NO_TIME, entry.reference
    return entry.time.latest, entry.time.earliest, entry.reference
