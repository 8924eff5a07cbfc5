"""What messages say, fact by fact, and which of several says it last: by status first, by time of sending second."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple, TypeVar

import msgspec

from fhir_adapters.hl7v2_marks import UNMARKED, Mark, Place
from fhir_adapters.times import parse_time

S = TypeVar("S")
# Ranks of a fact. A lower one never takes the place of a higher one, whenever it comes; a retraction stands for good.
PENDING, PRELIMINARY, FINAL, CORRECTED, RETRACTED = range(5)
DOUBT = "a correction or retraction may mean this one or another, and does not tell: it is open"
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


class Number(NamedTuple):
    """The number of an order or diagnosis: it means nothing but to its authority (EI-2 to 4), else to its sender."""

    number: str
    authority: str
    sender: str

    @property
    def name(self) -> tuple[str, ...]:
        """What two segments have in common that mean the same."""
        return (self.number, self.authority) if self.authority else self

    @property
    def bare(self) -> Number:
        """As the same sender writes it that leaves the authority out."""
        return self._replace(authority="")


Statement = tuple[str, Number, tuple[str, ...], str]


@dataclass(frozen=True, slots=True)
class Fact:
    """One resource as one segment states it.

    `number` and `key` are what it is a version of and `time` which of the values under them; an empty `time` of a
    retraction means all of them. `digest` is that of the segments it was made of, `place` where the last of them
    stands. `doubt` says why it is open, `mark` what a person said of it.
    """

    kind: str
    number: Number
    key: tuple[str, ...]
    time: str
    rank: int
    sent: Sent
    digest: str
    resource: dict[str, Any]
    place: Place
    event: str = ""
    visit: str = ""
    doubt: str = ""
    mark: Mark = UNMARKED

    @property
    def replaces(self) -> bool:
        return self.rank >= CORRECTED

    @property
    def name(self) -> tuple[str, ...]:
        """What versions of one resource have in common, but for its time."""
        return (self.kind, *self.number.name, *self.key)

    @property
    def statement(self) -> Statement:
        """What the same segment of one sender has in common, in whichever message it came and whatever it is of."""
        return self.kind, self.number.bare, self.key, self.digest

    @property
    def said(self) -> tuple[object, ...]:
        """What is said of what, in whichever segment it stands."""
        return self.name, self.time, msgspec.json.encode(self.resource)


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
    """Each fact with the number of its version, counted within its name and time.

    Facts that cannot be ordered share a number, and then contradict each other unless they say the same.
    """
    settled, stray = _settle_numbers(list(facts))
    found = []
    for group in _by_name(settled):
        strangers = [one for one in stray if _may_mean(one, group[0])]
        for part in _by_time(group):
            is_open = any(not _all_after(one, part) for one in strangers)
            found += _numbered(_doubted(part) if is_open else part)
    return found


def with_marks(versions: Sequence[tuple[Fact, int]], stated: Iterable[Fact]) -> list[tuple[Fact, int]]:
    """Versions with what a person said of one, also where the very same came again.

    What is set aside stands under what it could not be ordered with, and still over what it replaced: that does not
    count again.
    """
    marks: dict[Statement, Mark] = {}
    for fact in stated:
        marks[fact.statement] = marks.get(fact.statement, UNMARKED).joined(fact.mark)
    marked = [(replace(fact, mark=marks[fact.statement]), number) for fact, number in versions]
    aside = {fact.said: fact.mark for fact, _ in marked if fact.mark.aside}
    if not aside:
        return marked
    everywhere = [(replace(fact, mark=aside.get(fact.said, fact.mark)), number) for fact, number in marked]
    return [(fact, 2 * number - bool(fact.mark.aside)) for fact, number in everywhere]


def _by_name(facts: Iterable[Fact]) -> list[list[Fact]]:
    groups: dict[tuple[str, ...], list[Fact]] = defaultdict(list)
    for fact in facts:
        groups[fact.name].append(fact)
    return list(groups.values())


# -- which number ----------------------------------------------------------------------------------


def _settle_numbers(facts: Sequence[Fact]) -> tuple[list[Fact], list[Fact]]:
    """The facts, a number without its authority as the one that its sender uses with it.

    Second, what replaces something of which it cannot be told what, because the sender uses the number of several
    authorities.
    """
    known: dict[Number, dict[tuple[str, ...], Number]] = defaultdict(dict)
    for fact in facts:
        if fact.number.authority:
            known[fact.number.bare].setdefault(fact.number.name, fact.number)
    settled, stray = [], []
    for fact in facts:
        meant = [] if fact.number.authority else list(known.get(fact.number, {}).values())
        settled.append(replace(fact, number=meant[0]) if len(meant) == 1 else fact)
        if len(meant) > 1 and fact.replaces:
            stray.append(fact)
    return settled, stray


def _may_mean(stray: Fact, fact: Fact) -> bool:
    is_alike = (stray.kind, stray.key) == (fact.kind, fact.key)
    return is_alike and bool(fact.number.authority) and stray.number == fact.number.bare


# -- which time ------------------------------------------------------------------------------------


def _by_time(group: Sequence[Fact]) -> list[list[Fact]]:
    """The facts of a name apart by time; what replaces without a matching time goes to the one value that it can mean.

    Of several it replaces none: all that it can mean are open.
    """
    values = _at_times(fact for fact in group if not fact.replaces)
    moved = _at_times(fact for fact in group if fact.rank == CORRECTED and fact.time not in values)
    retractions = [fact for fact in group if fact.rank == RETRACTED]
    homes: dict[str, set[str]] = defaultdict(set)
    open_times: set[str] = set()
    for time, corrections in moved.items():
        gone = {fact.time for fact in retractions if _all_after(fact, corrections)}
        standing = {time: facts for time, facts in values.items() if time not in gone}
        meant = {one for fact in corrections for one in _can_mean(fact, standing)}
        if len(meant) == 1:
            homes[meant.pop()].add(time)
        open_times |= meant | _corrected_before(corrections, moved)
    parts: dict[str, list[Fact]] = defaultdict(list)
    for fact in group:
        if fact.time in values or fact.time in moved:
            for time in homes.get(fact.time, {fact.time}):
                parts[time].append(replace(fact, time=time))
    strays = [fact for fact in group if fact.time not in values and fact.time not in moved]
    open_times |= _retract(parts, strays)
    return [_doubted(part) if time in open_times else part for time, part in sorted(parts.items())]


def _retract(parts: dict[str, list[Fact]], strays: Iterable[Fact]) -> set[str]:
    """Add retractions that match no time; the times of values that they may mean, or may not."""
    standing = dict(parts)
    open_times: set[str] = set()
    for fact in strays:
        meant = set(_can_mean(fact, standing)) if fact.time else set(standing)
        is_told = not fact.time or len(meant) == 1
        open_times |= set() if is_told else meant
        for time in meant if is_told and meant else {fact.time}:
            parts[time] = [*parts.get(time, ()), replace(fact, time=time)]
    return open_times


def _at_times(facts: Iterable[Fact]) -> dict[str, list[Fact]]:
    found: dict[str, list[Fact]] = defaultdict(list)
    for fact in facts:
        found[fact.time].append(fact)
    return dict(found)


def _can_mean(fact: Fact, values: dict[str, list[Fact]]) -> list[str]:
    """The times of the values that a correction or retraction can mean: not those that were surely sent after it."""
    earlier = {time: same for time, same in values.items() if not _all_after(fact, same)}
    final = [time for time, same in earlier.items() if any(one.rank >= FINAL for one in same)]
    return final or list(earlier)


def _corrected_before(corrections: Sequence[Fact], moved: dict[str, list[Fact]]) -> set[str]:
    """The times of corrections that were sent before these, which may correct them in turn."""
    return {
        time
        for time, others in moved.items()
        if others is not corrections and any(one.sent.is_before(two.sent) for one in others for two in corrections)
    }


def _all_after(fact: Fact, others: Iterable[Fact]) -> bool:
    return all(fact.sent.is_before(one.sent) for one in others)


def _doubted(part: Sequence[Fact]) -> list[Fact]:
    """Facts of which something else may have replaced one; what is retracted is gone in any case."""
    return [fact if fact.rank == RETRACTED else replace(fact, doubt=DOUBT) for fact in part]


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
