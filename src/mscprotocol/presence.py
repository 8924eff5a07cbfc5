"""Whether something is present: a disease, a procedure, a medication, a consent.

An absent record is not an absent disease: only a refutation, a negative test or a named person's answer says no, and
none of these outvotes a record that says yes; that is a conflict. A record that only may mean yes (a suspicion, a code
outside the dictionary) is a doubt, and a doubt is settled only by a denial that is not older than itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from mscprotocol.attestation import latest_attestation
from mscprotocol.data_dictionary import Condition, Test
from mscprotocol.knowledge_forms import ConditionLeaf, Quantity
from mscprotocol.reasons import Reason, in_precedence
from mscprotocol.record import Attestation, Entry, Measurement, Presence
from mscprotocol.selection import Evidence, find_latest, within_window
from mscprotocol.series import Series
from mscprotocol.timespan import TimeSpan, Window
from mscprotocol.truth import Truth, all_of
from mscprotocol.units import to_canonical

ShelfLife = Callable[[str], Window | None]


@dataclass(frozen=True, slots=True)
class Found:
    """The answer about a presence: truth, reasons if open, evidence, and when it would expire."""

    truth: Truth
    reasons: tuple[Reason, ...]
    evidence: tuple[Evidence, ...]
    expires: datetime | None = None


@dataclass(slots=True)
class _Ballot:
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


def find_presence(series: Series, leaf: ConditionLeaf, at: datetime, shelf_life: ShelfLife) -> Found:
    """The answer to a condition leaf from all entries of its value set, its parts and its tests."""
    definition = series.knowledge.conditions[leaf.condition]
    if leaf.began_within is not None:
        return _find_onset(series, leaf.condition, leaf.began_within, at)
    ballot = _Ballot()
    for entry in (*series.presences(leaf.condition), *_unmapped(series, leaf.condition, at)):
        _cast(ballot, entry, definition, leaf, at)
    for test in definition.tests:
        _cast_test(ballot, series, test, at, shelf_life)
    _cast_attestation(ballot, series, leaf.condition, definition, at)
    for name in definition.denied_by:
        denied = find_presence(series, ConditionLeaf(condition=name), at, shelf_life)
        if denied.truth is Truth.MET:
            ballot.no.extend(one for one in denied.evidence if one.used)
    for name in definition.parts:
        part = leaf.model_copy(update={"condition": name, "no_record": None})
        _cast_part(ballot, find_presence(series, part, at, shelf_life))
    if leaf.record_wins and ballot.yes:
        ballot.no.clear()
    return _decide(ballot, leaf)


def _find_onset(series: Series, name: str, window: Window, at: datetime) -> Found:
    """Whether what is present began in a window: its first onset counts, and only a record can tell it.

    An episode that was over before the window is another one. A date of recording is no onset, yet none began later.
    """
    present = [one for one in series.presences(name) if one.present is Truth.MET and not _is_over(one, window, at)]
    if not present:
        doubts = [
            one for one in (*series.presences(name), *_unmapped(series, name, at)) if one.present is Truth.UNKNOWN
        ]
        reasons = [one.problem or Reason.NEEDS_REVIEW for one in doubts]
        unused = tuple([Evidence(one, used=False, why_not=why) for one, why in zip(doubts, reasons, strict=True)])
        return Found(Truth.UNKNOWN, in_precedence(reasons) or (Reason.MISSING,), unused)
    begun = [(one, _began_in(one, window, at)) for one in present]
    truth = all_of(found for _, found in begun)
    why = Reason.PARTIAL_DATE if truth is Truth.UNKNOWN else None
    evidence = tuple([Evidence(one, used=found is truth and why is None, why_not=why) for one, found in begun])
    if truth is not Truth.MET:
        return Found(truth, () if why is None else (why,), evidence)
    onsets = [one.time.earliest for one in present if one.time is not None]
    return Found(truth, (), evidence, min(window.expiry(onset) for onset in onsets))


def _is_over(entry: Presence, window: Window, at: datetime) -> bool:
    return entry.ended is not None and within_window(entry.ended, window, at) is Truth.NOT_MET


def _began_in(entry: Presence, window: Window, at: datetime) -> Truth:
    if entry.time is not None:
        return within_window(entry.time, window, at)
    late = entry.recorded is not None and within_window(entry.recorded, window, at) is Truth.NOT_MET
    return Truth.NOT_MET if late else Truth.UNKNOWN


# -- what speaks -----------------------------------------------------------------------------------


def _unmapped(series: Series, name: str, at: datetime) -> Iterator[Presence]:
    """Codes outside the dictionary that look like the condition, as suspicions."""
    for one in series.record.unmapped:
        if name in one.relevant and (one.time is None or not one.time.is_after(at)):
            yield Presence(
                name=name,
                reference=one.reference,
                time=one.time,
                as_received=one.code.display or str(one.code),
                code=one.code,
                problem=Reason.CODE_UNMAPPED,
            )


def _cast(ballot: _Ballot, entry: Presence, definition: Condition, leaf: ConditionLeaf, at: datetime) -> None:
    if entry.present is Truth.UNKNOWN:
        doubts = ballot.charted if entry.charted else ballot.doubts
        doubts.append(Evidence(entry, used=False, why_not=entry.problem or Reason.NEEDS_REVIEW))
    elif entry.present is Truth.NOT_MET:
        _cast_refutation(ballot, entry, definition.attested_for or leaf.within, at)
    else:
        _cast_presence(ballot, entry, leaf, at)


def _cast_refutation(ballot: _Ballot, entry: Presence, window: Window | None, at: datetime) -> None:
    """A refutation says no about the time around it; an old or undated one says nothing about now."""
    made = entry.recorded or entry.time
    recent = Truth.UNKNOWN if made is None else within_window(made, window, at)
    if made is not None and recent is Truth.MET:
        ballot.no.append(Evidence(entry, used=True))
        _note(ballot.no_until, None if window is None else window.expiry(made.earliest))
    else:
        why = Reason.STALE if recent is Truth.NOT_MET else Reason.PARTIAL_DATE
        ballot.doubts.append(Evidence(entry, used=False, why_not=why))


def _cast_presence(ballot: _Ballot, entry: Presence, leaf: ConditionLeaf, at: datetime) -> None:
    held = _held_now(entry, at) if leaf.within is None else _held_within(entry, leaf, leaf.within, at)
    if held is Truth.MET:
        ballot.yes.append(Evidence(entry, used=True))
        last = (entry.time or entry.recorded) if leaf.by_onset else _end_of(entry)
        if leaf.within is not None and last is not None:
            _note(ballot.yes_until, leaf.within.expiry(last.earliest))
    elif held is Truth.UNKNOWN:
        why = Reason.QUALIFIER_MISSING if leaf.within is None else Reason.PARTIAL_DATE
        ballot.doubts.append(Evidence(entry, used=False, why_not=why))
    else:
        ballot.outside.append(Evidence(entry, used=False, why_not=Reason.STALE))


def _held_now(entry: Presence, at: datetime) -> Truth:
    """Whether an entry is active; one that has ended by now is not, whatever its status says."""
    if entry.ended is not None and entry.ended.earliest <= at:
        return Truth.NOT_MET if entry.ended.latest <= at else Truth.UNKNOWN
    return entry.active


def _held_within(entry: Presence, leaf: ConditionLeaf, window: Window, at: datetime) -> Truth:
    """Whether [onset, end] meets the window; an entry without an end that is not over lasts until `at`."""
    begun = entry.time or entry.recorded
    if leaf.by_onset:
        return Truth.UNKNOWN if begun is None else within_window(begun, window, at)
    if leaf.record_wins and begun is None and entry.ended is None:
        return Truth.MET  # "ever" needs no date
    if entry.active is not Truth.NOT_MET and entry.ended is None:
        return Truth.MET
    end = entry.ended or (begun if begun is not None and within_window(begun, window, at) is Truth.MET else None)
    return Truth.UNKNOWN if end is None else within_window(end, window, at)


def _end_of(entry: Presence) -> TimeSpan | None:
    return entry.ended or (entry.time if entry.active is Truth.NOT_MET else None)


def _cast_test(ballot: _Ballot, series: Series, test: Test, at: datetime, shelf_life: ShelfLife) -> None:
    selection = find_latest(series.points(test.measurement), shelf_life(test.measurement), at)
    if selection.chosen is not None:
        evidence = Evidence(selection.chosen, used=True)
        if selection.chosen.answer in test.positive or _is_above(series, test, selection.chosen):
            ballot.yes.append(evidence)
        elif selection.chosen.answer in test.negative or _is_denied(series, test, selection.chosen):
            ballot.no.append(evidence)
            _note(ballot.no_until, selection.expires)
    elif selection.reason is Reason.STALE:
        # A positive answer of last week is no proof any more, but nobody can deny it away.
        ballot.firm.extend(one for one in selection.evidence if _is_positive(one.entry, test))
    elif selection.reason is not Reason.MISSING:
        ballot.doubts.extend(selection.evidence)


def _is_positive(entry: Entry, test: Test) -> bool:
    return isinstance(entry, Measurement) and entry.answer in test.positive


def _is_above(series: Series, test: Test, chosen: Measurement) -> bool:
    if test.above is None or chosen.value is None:
        return False
    return chosen.value.gt(_limit(series, test, test.above)) is Truth.MET


def _is_denied(series: Series, test: Test, chosen: Measurement) -> bool:
    if test.denied_up_to is None or chosen.value is None:
        return False
    return chosen.value.lte(_limit(series, test, test.denied_up_to)) is Truth.MET


def _limit(series: Series, test: Test, limit: Quantity) -> Decimal:
    return to_canonical(series.knowledge.measurements[test.measurement], limit.value, limit.unit)


def _cast_attestation(ballot: _Ballot, series: Series, name: str, definition: Condition, at: datetime) -> None:
    attested = latest_attestation(series, name, definition.attested_for, at)
    if attested is None:
        return
    answer, evidence, expires = attested
    if answer is Truth.MET:
        ballot.yes.append(evidence)
        _note(ballot.yes_until, expires)
    elif answer is Truth.NOT_MET:
        ballot.no.append(evidence)
        _note(ballot.no_until, expires)
    elif evidence.why_not is not None:
        ballot.firm.append(evidence)


def _cast_part(ballot: _Ballot, part: Found) -> None:
    """What a part says for the whole; that one part is denied says nothing of the others."""
    ballot.parts.append(part)
    if part.truth is Truth.MET:
        ballot.yes.extend(one for one in part.evidence if one.used)
        _note(ballot.yes_until, part.expires)
    elif part.reasons and part.reasons[0] is Reason.CONFLICT:
        ballot.firm.extend(Evidence(one.entry, used=False, why_not=Reason.CONFLICT) for one in part.evidence)
    elif part.truth is Truth.UNKNOWN:
        ballot.doubts.extend(one for one in part.evidence if one.why_not not in (None, Reason.STALE))


# -- what follows ----------------------------------------------------------------------------------


def _decide(ballot: _Ballot, leaf: ConditionLeaf) -> Found:
    evidence = ballot.evidence
    if (ballot.yes or ballot.charted) and ballot.no:
        return Found(Truth.UNKNOWN, (Reason.CONFLICT,), evidence)
    if ballot.yes:
        lasting = len(ballot.yes_until) < len(ballot.yes)
        return Found(Truth.MET, (), evidence, None if lasting else max(ballot.yes_until))
    doubts = [*ballot.charted, *ballot.firm, *(one for one in ballot.doubts if not _is_settled(one, ballot.no))]
    if doubts:
        return Found(Truth.UNKNOWN, in_precedence(one.why_not for one in doubts if one.why_not), evidence)
    if ballot.no:
        return Found(Truth.NOT_MET, (), evidence, max(ballot.no_until, default=None))
    if ballot.parts and all(part.truth is Truth.NOT_MET for part in ballot.parts):
        ends = [part.expires for part in ballot.parts if part.expires is not None]
        return Found(Truth.NOT_MET, (), evidence, min(ends, default=None))
    if leaf.no_record == "not_met" and not ballot.outside:
        return Found(Truth.NOT_MET, (), evidence)
    # What was there once is not denied by having ended: whether it is there now, nobody said.
    return Found(Truth.UNKNOWN, (Reason.MISSING,), evidence)


def _is_settled(doubt: Evidence, denials: list[Evidence]) -> bool:
    """Whether some denial comes after a doubt: a person's answer not before it, a record's only later than it.

    A date that is lacking is known to who denies at the bedside.
    """
    if doubt.why_not in (Reason.PARTIAL_DATE, Reason.STALE) and denials:
        return True
    raised = _known_since(doubt.entry)
    if raised is None:
        return False
    for denial in denials:
        time = _known_since(denial.entry)
        answered = isinstance(denial.entry, Attestation)
        if time is not None and (time.latest > raised.earliest or (answered and time.latest == raised.earliest)):
            return True
    return False


def _known_since(entry: Entry) -> TimeSpan | None:
    """When a person could first know of an entry: when it was recorded, else when it held."""
    return (entry.recorded if isinstance(entry, Presence) else None) or entry.time


def _note(ends: list[datetime], end: datetime | None) -> None:
    if end is not None:
        ends.append(end)
