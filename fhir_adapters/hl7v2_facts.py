"""What messages say, fact by fact, and which of several says it last: by status first, by time of sending second."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, TypeVar

from fhir_adapters.times import parse_time

S = TypeVar("S")
# Ranks of a fact. A lower one never takes the place of a higher one, whenever it comes; a retraction stands for good.
PENDING, PRELIMINARY, FINAL, CORRECTED, RETRACTED = range(5)
_MINUTE, _SECOND = timedelta(minutes=1), timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Sent:
    """When a message was sent (MSH-7): the span of its precision, comparable only with a time of the same kind."""

    earliest: datetime | None = None
    latest: datetime | None = None
    is_zoned: bool = False

    def is_before(self, other: Sent) -> bool:
        """Whether this surely came first."""
        return self.is_zoned == other.is_zoned and self.ends_before(other.earliest)

    def ends_before(self, moment: datetime | None) -> bool:
        """Whether this surely came before a moment of the same kind."""
        return self.latest is not None and moment is not None and self.latest < moment


@dataclass(frozen=True, slots=True)
class Fact:
    """One resource as one segment states it.

    `key` is what it is a version of and `time` which of the values under that key; an empty `time` of a correction
    or retraction means all of them. `digest` is that of the segments it was made of.
    """

    kind: str
    key: tuple[str, ...]
    time: str
    rank: int
    sent: Sent
    digest: str
    resource: dict[str, Any]
    event: str = ""
    visit: str = ""

    @property
    def replaces(self) -> bool:
        return self.rank >= CORRECTED


def sent_at(written: str | None) -> Sent:
    """The time of sending from a time as FHIR writes it."""
    span = parse_time(written)
    if span is None or written is None or "T" not in written:
        return Sent()
    is_zoned = span.is_instant
    # A local time without a zone still orders the messages of one sender.
    moment = span.earliest if is_zoned else datetime.fromisoformat(written.partition(".")[0])
    return Sent(moment, moment + _SECOND - timedelta(microseconds=1), is_zoned)


def sent_last(items: Sequence[S], sent: Callable[[S], Sent]) -> list[S]:
    """Those of some items that were not surely sent before another one."""
    newest: dict[bool, datetime] = {}
    for one in map(sent, items):
        if one.earliest is not None:
            newest[one.is_zoned] = max(one.earliest, newest.get(one.is_zoned, one.earliest))
    return [item for item in items if not sent(item).ends_before(newest.get(sent(item).is_zoned))]


def in_versions(facts: Iterable[Fact]) -> list[tuple[Fact, int]]:
    """Each fact with the number of its version, counted within its key and time.

    Facts that cannot be ordered share a number, and then contradict each other unless they say the same.
    """
    by_key: dict[tuple[str, ...], list[Fact]] = {}
    for fact in facts:
        by_key.setdefault((fact.kind, *fact.key), []).append(fact)
    return [one for group in by_key.values() for part in _by_time(group) for one in _numbered(part)]


def _by_time(group: Sequence[Fact]) -> list[list[Fact]]:
    """The facts of a key apart by time; what replaces without a matching time concerns every value of the key."""
    stated = {fact.time for fact in group if not fact.replaces and fact.time}
    if not stated:
        return [list(group)]
    parts: dict[str, list[Fact]] = {time: [] for time in sorted(stated)}
    for fact in group:
        for time in [fact.time] if fact.time in parts else _concerned(fact, sorted(stated)):
            parts.setdefault(time, []).append(replace(fact, time=time))
    return list(parts.values())


def _concerned(fact: Fact, stated: list[str]) -> list[str]:
    if not fact.replaces:
        return [fact.time]
    # A correction whose time was corrected too is a value of its own; the one that it replaces cannot be told.
    return stated if fact.rank == RETRACTED or not fact.time else [*stated, fact.time]


def _numbered(part: Sequence[Fact]) -> list[tuple[Fact, int]]:
    """Facts about one value, the highest number to the one that counts, or to all that contend for that."""
    rank = max(fact.rank for fact in part)
    same = [fact for fact in part if fact.rank == rank]
    leading = {fact.digest: fact for fact in sent_last(same, lambda fact: fact.sent)}
    if rank == RETRACTED:
        # Whichever of several retractions came last, the value is gone.
        leading = dict([min(leading.items())])
    passed = {fact.digest: fact for fact in part if fact.digest not in leading}
    numbered = [(fact, number) for number, (_, fact) in enumerate(sorted(passed.items()), start=1)]
    return [*numbered, *((fact, len(passed) + 1) for _, fact in sorted(leading.items()))]
