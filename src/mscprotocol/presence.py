"""Whether something is present: a disease, a procedure, a medication, a consent.

An absent record is not an absent disease: only a refutation, a negative test or a named person's answer says no, and
none of these outvotes a record that says yes; that is a conflict. A record that only may mean yes (a suspicion, a code
outside the dictionary) is a doubt, and a doubt is settled only by a denial that is not older than itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from decimal import Decimal

from msgspec.structs import replace

from mscprotocol.attestation import latest_attestation
from mscprotocol.ballot import Ballot, Found, decide, known_since, note
from mscprotocol.data_dictionary import Condition, Test
from mscprotocol.knowledge_forms import ConditionLeaf, Quantity
from mscprotocol.reasons import Reason, in_precedence
from mscprotocol.record import Entry, Measurement, Presence
from mscprotocol.selection import Evidence, find_latest, within_window
from mscprotocol.series import Series
from mscprotocol.timespan import TimeSpan, Window, instant
from mscprotocol.truth import Truth, all_of
from mscprotocol.units import to_canonical

UNMENTIONED = Found(Truth.UNKNOWN, (Reason.MISSING,), ())
ABSENT = Found(Truth.NOT_MET, (), ())  # where no record means no
ShelfLife = Callable[[str], Window | None]


def find_presence(series: Series, leaf: ConditionLeaf, at: datetime, shelf_life: ShelfLife) -> Found:
    """The answer to a condition leaf from all entries of its value set, its parts and its tests."""
    if series.is_silent_on(leaf.condition):
        return ABSENT if leaf.no_record == "not_met" and leaf.began_within is None else UNMENTIONED
    definition = series.knowledge.conditions[leaf.condition]
    if leaf.began_within is not None:
        denials = _poll(series, ConditionLeaf(condition=leaf.condition), definition, at, shelf_life).no
        return _find_onset(series, leaf.condition, leaf.began_within, at, denials)
    if leaf.held_within is not None:
        return _find_held(series, leaf, leaf.held_within, at)
    ballot = _poll(series, leaf, definition, at, shelf_life)
    for name in definition.parts:
        part = leaf.model_copy(update={"condition": name, "no_record": None})
        _cast_part(ballot, find_presence(series, part, at, shelf_life))
    if leaf.record_wins and ballot.yes:
        ballot.no.clear()
    return _decide_lasting(ballot, series, leaf, at) if leaf.lasting else decide(ballot, leaf)


def _decide_lasting(ballot: Ballot, series: Series, leaf: ConditionLeaf, at: datetime) -> Found:
    """The answer about an event that ends a course: what the course recorded stands, and no answer undoes another.

    What was there since the first infusion was there, though it be over: an arrest is soon charted as resolved.
    """
    if any(isinstance(one.entry, Presence) and one.entry.recorded_as for one in ballot.yes):
        denied = [Evidence(one.entry, used=False, why_not=Reason.CONFLICT) for one in ballot.no]
        return Found(Truth.MET, (), (*ballot.yes, *denied))
    known = {id(one.entry) for one in ballot.yes}
    affirmed = [one for one in series.record.attestations.get(leaf.condition, ()) if one.answer is Truth.MET]
    charted = [one for one in series.presences(leaf.condition) if one.present is Truth.MET]
    for one in (*affirmed, *charted):
        if id(one) not in known and _is_of_course(one, series, at):
            ballot.yes.append(Evidence(one, used=True))
    return decide(ballot, leaf)


def _is_of_course(entry: Entry, series: Series, at: datetime) -> bool:
    """Whether an entry may be of the time since the first infusion."""
    begun = series.record.infusion_starts(at)
    if not begun or entry.time is None:
        return False
    return entry.time.latest >= begun[0] and not entry.time.is_after(at)


def _poll(series: Series, leaf: ConditionLeaf, definition: Condition, at: datetime, shelf_life: ShelfLife) -> Ballot:
    """What the record, the tests and the answers of a condition itself say."""
    ballot = Ballot()
    for entry in (*series.presences(leaf.condition), *_unmapped(series, leaf.condition, at)):
        _cast(ballot, entry, definition, leaf, at)
    for test in definition.tests:
        _cast_test(ballot, series, test, at, shelf_life)
    _cast_attestation(ballot, series, leaf.condition, leaf.answered_within or definition.attested_for, at)
    for names, contrary in ((definition.denied_by, Truth.MET), (definition.requires, Truth.NOT_MET)):
        for name in names:
            other = find_presence(series, ConditionLeaf(condition=name, lasting=True), at, shelf_life)
            if other.truth is contrary:
                ballot.no.extend(one for one in other.evidence if one.used)
    return ballot


def _find_onset(series: Series, name: str, window: Window, at: datetime, denials: list[Evidence]) -> Found:
    """Whether what is present began in a window: its first onset counts, and only a record can tell it.

    An episode that was over before the window is another one; one that has ended since leaves it to a person. A date of
    recording is no onset, yet none began later. Whoever denies it after its onset contradicts the record.
    """
    present = [one for one in series.presences(name) if one.present is Truth.MET and not _is_over(one, window, at)]
    if not present:
        doubts = [
            one for one in (*series.presences(name), *_unmapped(series, name, at)) if one.present is Truth.UNKNOWN
        ]
        reasons = [one.problem or Reason.NEEDS_REVIEW for one in doubts]
        unused = tuple([Evidence(one, used=False, why_not=why) for one, why in zip(doubts, reasons, strict=True)])
        return Found(Truth.UNKNOWN, in_precedence(reasons) or (Reason.MISSING,), unused)
    lasting = [replace(entry, active=Truth.MET) for entry in present]  # as long as no end is on record
    contrary = [one for one in denials if any(_is_denied_then(entry, [one], at) for entry in lasting)]
    why_open = Reason.CONFLICT if contrary else Reason.NEEDS_REVIEW
    is_disease = series.knowledge.conditions[name].kind == "condition"
    if contrary or (is_disease and not any(_may_last(one) for one in present)):
        charted = tuple([Evidence(one, used=False, why_not=why_open) for one in present])
        return Found(Truth.UNKNOWN, (why_open,), (*charted, *contrary))
    begun = [(one, _began_in(one, window, at)) for one in present]
    truth = all_of(found for _, found in begun)
    why = Reason.PARTIAL_DATE if truth is Truth.UNKNOWN else None
    evidence = tuple([Evidence(one, used=found is truth and why is None, why_not=why) for one, found in begun])
    if truth is not Truth.MET:
        return Found(truth, () if why is None else (why,), evidence)
    onsets = [one.time.earliest for one in present if one.time is not None]
    return Found(truth, (), evidence, min(window.expiry(onset) for onset in onsets))


def _find_held(series: Series, leaf: ConditionLeaf, window: Window, at: datetime) -> Found:
    """Whether something was there at any time of a window.

    A denial tells of its own time: it contradicts only what lasted until then.
    """
    definition = series.knowledge.conditions[leaf.condition]
    ballot = Ballot()
    for entry in (*series.presences(leaf.condition), *_unmapped(series, leaf.condition, at)):
        _cast_span(ballot, entry, definition, window, at)
    for test in definition.tests:
        _cast_values(ballot, series, test, window, at)
    for answer in series.record.attestations.get(leaf.condition, ()):
        is_yes = answer.answer is Truth.MET and answer.time is not None and not answer.time.is_after(at)
        if is_yes and answer.time is not None and within_window(answer.time, window, at) is Truth.MET:
            ballot.yes.append(Evidence(answer, used=True))
    _cast_attestation(ballot, series, leaf.condition, definition.attested_for, at)
    undisputed = [one for one in ballot.yes if not _is_denied_then(one.entry, ballot.no, at)]
    if undisputed:
        last = max(_span_of(one.entry, at)[1] for one in undisputed)
        return Found(Truth.MET, (), ballot.evidence, window.expiry(last))
    return decide(ballot, leaf)


def _cast_span(ballot: Ballot, entry: Presence, definition: Condition, window: Window, at: datetime) -> None:
    if entry.present is not Truth.MET:
        _cast(ballot, entry, definition, ConditionLeaf(condition=entry.name), at)
        return
    held = _overlaps(entry, window, at)
    if held is Truth.MET:
        ballot.yes.append(Evidence(entry, used=True))
    elif held is Truth.UNKNOWN:
        ballot.firm.append(Evidence(entry, used=False, why_not=Reason.QUALIFIER_MISSING))
    else:
        ballot.outside.append(Evidence(entry, used=False, why_not=Reason.STALE))


def _overlaps(entry: Presence, window: Window, at: datetime) -> Truth:
    """Whether [start, end] meets the window; what is over and has no end was over when it was done."""
    if entry.ended is not None:
        return within_window(entry.ended, window, at)
    if entry.active is Truth.MET:
        return Truth.MET
    begun = Truth.UNKNOWN if entry.time is None else within_window(entry.time, window, at)
    return begun if begun is Truth.MET or entry.active is Truth.NOT_MET else Truth.UNKNOWN


def _cast_values(ballot: Ballot, series: Series, test: Test, window: Window, at: datetime) -> None:
    """Each value of the window speaks for itself; one that cannot be read, or be dated, leaves a doubt."""
    for point in series.points(test.measurement):
        inside = Truth.UNKNOWN if point.time is None else within_window(point.time, window, at)
        if inside is Truth.NOT_MET or point.problem is Reason.MISSING or _is_no_more(series, test, point):
            continue
        if point.problem is None and inside is Truth.MET and _is_above(series, test, point):
            ballot.yes.append(Evidence(point, used=True))
        else:
            why = Reason.COMPARATOR if inside is Truth.MET else Reason.PARTIAL_DATE
            ballot.firm.append(Evidence(point, used=False, why_not=point.problem or why))


def _is_no_more(series: Series, test: Test, point: Measurement) -> bool:
    if test.above is None or point.value is None or point.problem is not None:
        return False
    return point.value.lte(_limit(series, test, test.above)) is Truth.MET


def _is_denied_then(entry: Entry, denials: list[Evidence], at: datetime) -> bool:
    """Whether somebody denied what a record shows for just that time."""
    start, end = _span_of(entry, at)
    times = [known_since(one.entry) for one in denials]
    return any(time is None or (time.latest >= start and time.earliest <= end) for time in times)


def _span_of(entry: Entry, at: datetime) -> tuple[datetime, datetime]:
    """From when to when an entry says that something was there."""
    start = entry.time or (entry.ended if isinstance(entry, Presence) else None) or instant(at)
    end = start
    if isinstance(entry, Presence):
        end = entry.ended or (instant(at) if entry.active is Truth.MET else start)
    return start.earliest, end.latest


def _is_over(entry: Presence, window: Window, at: datetime) -> bool:
    return entry.ended is not None and within_window(entry.ended, window, at) is Truth.NOT_MET


def _may_last(entry: Presence) -> bool:
    return entry.ended is None and entry.active is not Truth.NOT_MET


def _began_in(entry: Presence, window: Window, at: datetime) -> Truth:
    if entry.time is not None:
        begun = within_window(entry.time, window, at)
        # Over since nobody knows when, it may be an episode of before the window.
        is_vague = begun is Truth.NOT_MET and entry.ended is None and entry.active is Truth.NOT_MET
        return Truth.UNKNOWN if is_vague else begun
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


def is_since(series: Series, name: str, point: Measurement) -> Truth:
    """Whether a value is not from before something began; open without a beginning on record."""
    begun = [one.time for one in series.presences(name) if one.present is Truth.MET]
    known = [time for time in begun if time is not None]
    if point.time is None or not known:
        return Truth.UNKNOWN
    if all(point.time.latest < time.earliest for time in known):
        return Truth.NOT_MET
    is_after = len(known) == len(begun) and all(point.time.earliest >= time.latest for time in known)
    return Truth.MET if is_after else Truth.UNKNOWN


def _cast(ballot: Ballot, entry: Presence, definition: Condition, leaf: ConditionLeaf, at: datetime) -> None:
    if entry.present is Truth.UNKNOWN:
        doubts = ballot.charted if entry.charted else ballot.doubts
        doubts.append(Evidence(entry, used=False, why_not=entry.problem or Reason.NEEDS_REVIEW))
    elif entry.present is Truth.NOT_MET:
        _cast_refutation(ballot, entry, definition.attested_for or leaf.within, at)
    else:
        _cast_presence(ballot, entry, leaf, at)


def _cast_refutation(ballot: Ballot, entry: Presence, window: Window | None, at: datetime) -> None:
    """A refutation says no about the time around it; an old or undated one says nothing about now."""
    made = entry.recorded or entry.time
    recent = Truth.UNKNOWN if made is None else within_window(made, window, at)
    if made is not None and recent is Truth.MET:
        ballot.no.append(Evidence(entry, used=True))
        note(ballot.no_until, None if window is None else window.expiry(made.earliest))
    else:
        why = Reason.STALE if recent is Truth.NOT_MET else Reason.PARTIAL_DATE
        ballot.doubts.append(Evidence(entry, used=False, why_not=why))


def _cast_presence(ballot: Ballot, entry: Presence, leaf: ConditionLeaf, at: datetime) -> None:
    held = _held_now(entry, at) if leaf.within is None else _held_within(entry, leaf, leaf.within, at)
    charted = entry.recorded or entry.time
    if held is Truth.MET and leaf.charted_within is not None:
        recent = Truth.UNKNOWN if charted is None else within_window(charted, leaf.charted_within, at)
        if charted is None or recent is not Truth.MET:
            why = Reason.STALE if recent is Truth.NOT_MET else Reason.PARTIAL_DATE
            ballot.doubts.append(Evidence(entry, used=False, why_not=why))
            return
        note(ballot.yes_until, leaf.charted_within.expiry(charted.earliest))
    if held is Truth.MET:
        ballot.yes.append(Evidence(entry, used=True))
        last = (entry.time or entry.recorded) if leaf.by_onset else _end_of(entry)
        if leaf.within is not None and last is not None:
            note(ballot.yes_until, leaf.within.expiry(last.earliest))
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


def _cast_test(ballot: Ballot, series: Series, test: Test, at: datetime, shelf_life: ShelfLife) -> None:
    selection = find_latest(series.points(test.measurement), shelf_life(test.measurement), at)
    if selection.chosen is not None:
        evidence = Evidence(selection.chosen, used=True)
        if selection.chosen.answer in test.positive or _is_above(series, test, selection.chosen):
            ballot.yes.append(evidence)
        elif selection.chosen.answer in test.negative or _is_denied(series, test, selection.chosen):
            ballot.no.append(evidence)
            note(ballot.no_until, selection.expires)
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


def _cast_attestation(ballot: Ballot, series: Series, name: str, window: Window | None, at: datetime) -> None:
    attested = latest_attestation(series, name, window, at)
    if attested is None:
        return
    answer, evidence, expires = attested
    if answer is Truth.MET:
        ballot.yes.append(evidence)
        note(ballot.yes_until, expires)
    elif answer is Truth.NOT_MET:
        ballot.no.append(evidence)
        note(ballot.no_until, expires)
    elif evidence.why_not is not None:
        ballot.firm.append(evidence)


def _cast_part(ballot: Ballot, part: Found) -> None:
    """What a part says for the whole; that one part is denied says nothing of the others."""
    ballot.parts.append(part)
    if part.truth is Truth.MET:
        ballot.yes.extend(one for one in part.evidence if one.used)
        note(ballot.yes_until, part.expires)
    elif part.reasons and part.reasons[0] is Reason.CONFLICT:
        ballot.firm.extend(Evidence(one.entry, used=False, why_not=Reason.CONFLICT) for one in part.evidence)
    elif part.truth is Truth.UNKNOWN:
        ballot.doubts.extend(one for one in part.evidence if one.why_not not in (None, Reason.STALE))
