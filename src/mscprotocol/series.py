"""What the record shows at one instant: entries in order of time, derived quantities among them.

A derived quantity (P/F, the D-dimer ratio, the oxygen support) is a series like any other: each of its points keeps
the entries that it was made of, so selection, shelf life and trends need no second way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime

from msgspec.structs import replace

from mscprotocol.interval import Interval
from mscprotocol.knowledge import KnowledgeBase
from mscprotocol.reasons import Reason
from mscprotocol.record import Measurement, PatientRecord, Presence
from mscprotocol.timespan import TimeSpan
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
        self._silent: dict[str, bool] = {}

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

    def is_silent_on(self, name: str) -> bool:
        """Whether nothing on record, of whatever time, speaks of a condition: no entry, answer, test or look-alike."""
        found = self._silent.get(name)
        if found is None:
            found = self._silent[name] = self._is_silent_on(name)
        return found

    def _is_silent_on(self, name: str) -> bool:
        record, definition = self.record, self.knowledge.conditions[name]
        if (
            name in record.presences
            or name in record.attestations
            or any(name in one.relevant for one in record.unmapped)
        ):
            return False
        if any(self.points(test.measurement) for test in definition.tests):
            return False
        return all(map(self.is_silent_on, (*definition.parts, *definition.denied_by, *definition.requires)))

    def may_run(self, name: str) -> bool:
        """Whether the record shows that something may hold at `at`, or act on after its end.

        What was there and is not said to have ended may hold; so may what is in doubt, or what an unknown code only
        looks like.
        """
        acts_for = self.knowledge.conditions[name].acts_for
        since = self.at if acts_for is None else acts_for.start(self.at)
        holds = any(
            entry.present is not Truth.NOT_MET
            and (entry.active is Truth.MET or _ended_after(entry, since) or _is_paused(entry))
            for entry in self.presences(name)
        )
        return holds or any(name in one.relevant and self._is_since(one.time, since) for one in self.record.unmapped)

    def _is_since(self, time: TimeSpan | None, since: datetime) -> bool:
        return time is None or (not time.is_after(self.at) and time.latest >= since)


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


def _is_paused(entry: Presence) -> bool:
    """Whether it is open if an entry still holds: on hold, or of a status that nobody stated."""
    return entry.active is Truth.UNKNOWN and entry.ended is None


def _ended_after(entry: Presence, since: datetime) -> bool:
    end = entry.ended or entry.time
    return end is not None and end.latest > since


def _time_key(entry: Measurement) -> tuple[datetime, datetime, str]:
    if entry.time is None:
        return _NO_TIME, _NO_TIME, entry.reference
    return entry.time.latest, entry.time.earliest, entry.reference
