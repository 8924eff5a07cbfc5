"""Whether something is present: a disease, a procedure, a medication, a consent.

An absent record is not an absent disease: only a refutation, a negative test or a named person's answer says no, and
none of these outvotes a record that says yes; that is a conflict.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from mscprotocol.data_dictionary import Condition, Test
from mscprotocol.knowledge import KnowledgeBase
from mscprotocol.knowledge_forms import ConditionLeaf
from mscprotocol.reasons import Reason, in_precedence
from mscprotocol.record import Attestation, Measurement, Presence
from mscprotocol.selection import Evidence, find_latest, within_window
from mscprotocol.series import Series
from mscprotocol.timespan import Window, instant
from mscprotocol.truth import Truth
from mscprotocol.units import to_canonical


@dataclass(frozen=True, slots=True)
class Found:
    """The answer about a presence: truth, reasons if open, evidence, and when it would expire."""

    truth: Truth
    reasons: tuple[Reason, ...]
    evidence: tuple[Evidence, ...]
    expires: datetime | None = None


@dataclass(slots=True)
class _Ballot:
    """What each entry says: for, against, perhaps (with a reason), or nothing about the time asked for."""

    yes: list[Evidence]
    no: list[Evidence]
    perhaps: list[Evidence]
    outside: list[Evidence]
    attested: Evidence | None = None
    attested_answer: Truth = Truth.UNKNOWN
    yes_until: list[datetime] | None = None
    no_until: list[datetime] | None = None


def find_presence(series: Series, knowledge: KnowledgeBase, leaf: ConditionLeaf, at: datetime) -> Found:
    """The answer to a condition leaf from all entries of its value set, its parts and its tests."""
    definition = knowledge.conditions[leaf.condition]
    ballot = _collect(series, leaf, definition, at)
    parts = [_part(series, knowledge, part, leaf, at) for part in definition.parts]
    if leaf.record_wins and (ballot.yes or any(part.truth is Truth.MET for part in parts)):
        ballot.no.clear()
        ballot.attested_answer = Truth.UNKNOWN
    found = _decide(ballot)
    if definition.parts:
        found = _with_parts(found, ballot, parts)
    if found.truth is Truth.UNKNOWN and found.reasons == (Reason.MISSING,):
        return _explain_missing(series, leaf, ballot, found)
    return found


def _collect(series: Series, leaf: ConditionLeaf, definition: Condition, at: datetime) -> _Ballot:
    ballot = _Ballot([], [], [], [], yes_until=[], no_until=[])
    for entry in series.presences(leaf.condition):
        _cast(ballot, entry, definition, leaf, at)
    for test in definition.tests:
        shelf = series.knowledge.measurements[test.measurement].max_age.screening
        selection = find_latest(series.points(test.measurement), shelf, at)
        if selection.chosen is None:
            continue
        evidence = Evidence(selection.chosen, used=True)
        if selection.chosen.answer in test.positive or _is_above(series, test, selection.chosen):
            ballot.yes.append(evidence)
        elif selection.chosen.answer in test.negative:
            ballot.no.append(evidence)
            _note(ballot.no_until, selection.expires)
    _cast_attestation(ballot, series, leaf.condition, definition, at)
    return ballot


def _is_above(series: Series, test: Test, chosen: Measurement) -> bool:
    if test.above is None or chosen.value is None:
        return False
    definition = series.knowledge.measurements[test.measurement]
    limit = to_canonical(definition, test.above.value, test.above.unit)
    return chosen.value.gt(limit) is Truth.MET


def _cast(ballot: _Ballot, entry: Presence, definition: Condition, leaf: ConditionLeaf, at: datetime) -> None:
    if entry.present is Truth.UNKNOWN:
        ballot.perhaps.append(Evidence(entry, used=False, why_not=entry.problem or Reason.NEEDS_REVIEW))
    elif entry.present is Truth.NOT_MET:
        _cast_refutation(ballot, entry, definition.attested_for or leaf.within, at)
    else:
        _cast_presence(ballot, entry, leaf, at)


def _cast_refutation(ballot: _Ballot, entry: Presence, window: Window | None, at: datetime) -> None:
    """A refutation says no about the time around it; an old or undated one says nothing about now."""
    made = entry.recorded or entry.time
    if made is None:
        ballot.perhaps.append(Evidence(entry, used=False, why_not=Reason.PARTIAL_DATE))
        return
    recent = within_window(made, window, at)
    if recent is Truth.MET:
        ballot.no.append(Evidence(entry, used=True))
        _note(ballot.no_until, None if window is None else window.expiry(made.earliest))
    else:
        why = Reason.STALE if recent is Truth.NOT_MET else Reason.PARTIAL_DATE
        ballot.perhaps.append(Evidence(entry, used=False, why_not=why))


def _cast_presence(ballot: _Ballot, entry: Presence, leaf: ConditionLeaf, at: datetime) -> None:
    window = leaf.within
    held = entry.active if window is None else _held_since(entry, window, at)
    if window is not None and leaf.by_onset:
        begun = entry.time or entry.recorded
        held = Truth.UNKNOWN if begun is None else within_window(begun, window, at)
    if held is Truth.MET:
        ballot.yes.append(Evidence(entry, used=True))
        is_over = leaf.by_onset or entry.active is Truth.NOT_MET
        last = (entry.time or entry.recorded) if leaf.by_onset else entry.ended or (entry.time if is_over else None)
        if window is not None and last is not None:
            _note(ballot.yes_until, window.expiry(last.earliest))
    elif held is Truth.UNKNOWN:
        why = Reason.QUALIFIER_MISSING if window is None else Reason.PARTIAL_DATE
        ballot.perhaps.append(Evidence(entry, used=False, why_not=why))
    else:
        ballot.outside.append(Evidence(entry, used=False, why_not=Reason.STALE))


def _held_since(entry: Presence, window: Window, at: datetime) -> Truth:
    """Whether [onset, end] meets the window; an entry without an end that is not over lasts until `at`."""
    if entry.active is not Truth.NOT_MET and entry.ended is None:
        return Truth.MET
    begun = entry.time or entry.recorded
    end = entry.ended or (begun if begun is not None and within_window(begun, window, at) is Truth.MET else None)
    return Truth.UNKNOWN if end is None else within_window(end, window, at)


def _cast_attestation(ballot: _Ballot, series: Series, name: str, definition: Condition, at: datetime) -> None:
    attested = latest_attestation(series, name, definition.attested_for, at)
    if attested is None:
        return
    answer, evidence, expires = attested
    if evidence.why_not is Reason.CONFLICT:
        ballot.perhaps.append(evidence)
        return
    ballot.attested, ballot.attested_answer = evidence, answer
    _note(ballot.no_until if answer is Truth.NOT_MET else ballot.yes_until, expires)


def latest_attestation(
    series: Series, name: str, window: Window | None, at: datetime
) -> tuple[Truth, Evidence, datetime | None] | None:
    """The newest answer of a named person that is still valid: the answer, its evidence, its expiry."""
    given = [
        entry
        for entry in series.record.attestations.get(name, ())
        if entry.time is not None and not entry.time.is_after(at) and within_window(entry.time, window, at) is Truth.MET
    ]
    if not given:
        return None
    newest = max(given, key=_when)
    rivals = {entry.answer for entry in given if entry.time == newest.time}
    answer = newest.answer if len(rivals) == 1 else Truth.UNKNOWN
    made = newest.time or instant(at)
    evidence = Evidence(newest, used=answer is not Truth.UNKNOWN, why_not=None if len(rivals) == 1 else Reason.CONFLICT)
    return answer, evidence, None if window is None else window.expiry(made.earliest)


def _when(entry: Attestation) -> tuple[datetime, str]:
    assert entry.time is not None
    return entry.time.latest, entry.reference


def _decide(ballot: _Ballot) -> Found:
    evidence = tuple(_all_evidence(ballot))
    says_no = ballot.attested_answer is Truth.NOT_MET
    says_yes = ballot.attested_answer is Truth.MET
    if (ballot.yes or says_yes) and (ballot.no or says_no):
        return Found(Truth.UNKNOWN, (Reason.CONFLICT,), evidence)
    if ballot.yes or says_yes:
        ends = ballot.yes_until or []
        lasting = len(ends) < len(ballot.yes) + int(says_yes)
        return Found(Truth.MET, (), evidence, None if lasting else max(ends, default=None))
    if says_no or (ballot.no and not ballot.perhaps):
        return Found(Truth.NOT_MET, (), evidence, max(ballot.no_until or [], default=None))
    if ballot.perhaps:
        reasons = [item.why_not for item in ballot.perhaps if item.why_not is not None]
        return Found(Truth.UNKNOWN, in_precedence(reasons), evidence)
    return Found(Truth.UNKNOWN, (Reason.MISSING,), evidence)


def _part(series: Series, knowledge: KnowledgeBase, part: str, leaf: ConditionLeaf, at: datetime) -> Found:
    return find_presence(series, knowledge, leaf.model_copy(update={"condition": part, "no_record": None}), at)


def _with_parts(whole: Found, ballot: _Ballot, parts: list[Found]) -> Found:
    """Each part is refuted apart: the whole is absent only if it was denied itself, or every part was."""
    evidence = (*whole.evidence, *(item for part in parts for item in part.evidence))
    present = [part for part in parts if part.truth is Truth.MET]
    if present and whole.truth is Truth.NOT_MET:
        return Found(Truth.UNKNOWN, (Reason.CONFLICT,), evidence)
    if present or whole.truth is Truth.MET:
        deciding = [*present, *([whole] if whole.truth is Truth.MET else [])]
        ends = [found.expires for found in deciding]
        latest = None if None in ends else max((end for end in ends if end is not None), default=None)
        return Found(Truth.MET, (), evidence, latest)
    conflict = Reason.CONFLICT in (*whole.reasons, *(reason for part in parts for reason in part.reasons))
    if whole.truth is Truth.NOT_MET and not conflict:
        return Found(Truth.NOT_MET, (), evidence, whole.expires)
    if whole.reasons == (Reason.MISSING,) and all(part.truth is Truth.NOT_MET for part in parts):
        first = min((part.expires for part in parts if part.expires is not None), default=None)
        return Found(Truth.NOT_MET, (), evidence, first)
    open_parts = [part for part in (whole, *parts) if part.truth is Truth.UNKNOWN]
    return Found(Truth.UNKNOWN, in_precedence(reason for part in open_parts for reason in part.reasons), evidence)


def _explain_missing(series: Series, leaf: ConditionLeaf, ballot: _Ballot, found: Found) -> Found:
    if any(leaf.condition in unmapped.relevant for unmapped in series.record.unmapped):
        return Found(Truth.UNKNOWN, (Reason.CODE_UNMAPPED,), found.evidence)
    if ballot.outside:
        # It was there once; whether it is now, nobody said.
        return found
    if leaf.no_record == "not_met":
        return Found(Truth.NOT_MET, (), found.evidence)
    return found


def _all_evidence(ballot: _Ballot) -> Iterator[Evidence]:
    yield from (*ballot.yes, *ballot.no, *ballot.perhaps, *ballot.outside)
    if ballot.attested is not None:
        yield ballot.attested


def _note(ends: list[datetime] | None, end: datetime | None) -> None:
    if ends is not None and end is not None:
        ends.append(end)
