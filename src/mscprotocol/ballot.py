"""What entries say of a presence, counted: for it, against it, or a doubt; and what follows from all of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

import msgspec

from mscprotocol.knowledge_forms import ConditionLeaf
from mscprotocol.reasons import Reason, in_precedence
from mscprotocol.record import Attestation, Entry, Presence
from mscprotocol.selection import Evidence
from mscprotocol.timespan import TimeSpan
from mscprotocol.truth import Truth


class Found(msgspec.Struct, frozen=True):
    """The answer about a presence: truth, reasons if open, evidence, and when it would expire."""

    truth: Truth
    reasons: tuple[Reason, ...]
    evidence: tuple[Evidence, ...]
    expires: datetime | None = None


@dataclass(slots=True)
class Ballot:
    """What each entry says: for, against, a doubt (with its reason), or nothing about the time asked for.

    No denial settles `firm` doubts, and one contradicts `charted` acts. Ends are noted for what would stop to hold by
    itself.
    """

    yes: list[Evidence] = field(default_factory=list)
    no: list[Evidence] = field(default_factory=list)
    doubts: list[Evidence] = field(default_factory=list)
    firm: list[Evidence] = field(default_factory=list)
    charted: list[Evidence] = field(default_factory=list)
    outside: list[Evidence] = field(default_factory=list)
    yes_until: list[datetime] = field(default_factory=list)
    no_until: list[datetime] = field(default_factory=list)
    parts: list[Found] = field(default_factory=list)

    @property
    def evidence(self) -> tuple[Evidence, ...]:
        found = [*self.yes, *self.no, *self.charted, *self.firm, *self.doubts, *self.outside]
        found += [one for part in self.parts for one in part.evidence]
        return tuple({id(one.entry): one for one in reversed(found)}.values())[::-1]


def decide(ballot: Ballot, leaf: ConditionLeaf) -> Found:
    """The answer that follows from all that was said: a contradiction and a doubt leave it open."""
    evidence = ballot.evidence
    if (ballot.yes or ballot.charted) and ballot.no:
        return Found(Truth.UNKNOWN, (Reason.CONFLICT,), evidence)
    if ballot.yes:
        lasting = len(ballot.yes_until) < len(ballot.yes)
        return Found(Truth.MET, (), evidence, None if lasting else max(ballot.yes_until))
    doubts = [*ballot.charted, *ballot.firm, *(one for one in ballot.doubts if not is_settled(one, ballot.no))]
    if doubts:
        return Found(Truth.UNKNOWN, in_precedence(one.why_not for one in doubts if one.why_not), evidence)
    if ballot.no:
        return Found(Truth.NOT_MET, (), evidence, max(ballot.no_until, default=None))
    if ballot.parts and all(part.truth is Truth.NOT_MET for part in ballot.parts):
        ends = [part.expires for part in ballot.parts if part.expires is not None]
        return Found(Truth.NOT_MET, (), evidence, min(ends, default=None))
    if leaf.no_record == "not_met" and not (ballot.outside and leaf.held_within is None):
        return Found(Truth.NOT_MET, (), evidence)
    # What was there once is not denied by having ended: whether it is there now, nobody said.
    return Found(Truth.UNKNOWN, (Reason.MISSING,), evidence)


def is_settled(doubt: Evidence, denials: list[Evidence]) -> bool:
    """Whether some denial comes after a doubt: a person's answer not before it, a record's only later than it.

    A date that is lacking is known to who denies at the bedside.
    """
    if doubt.why_not in (Reason.PARTIAL_DATE, Reason.STALE) and denials:
        return True
    raised = known_since(doubt.entry)
    if raised is None:
        return False
    for denial in denials:
        time = known_since(denial.entry)
        answered = isinstance(denial.entry, Attestation)
        if time is not None and (time.latest > raised.earliest or (answered and time.latest == raised.earliest)):
            return True
    return False


def known_since(entry: Entry) -> TimeSpan | None:
    """When a person could first know of an entry: when it was recorded, else when it held."""
    return (entry.recorded if isinstance(entry, Presence) else None) or entry.time


def note(ends: list[datetime], end: datetime | None) -> None:
    """Note when something stops to hold by itself, if it does."""
    if end is not None:
        ends.append(end)
