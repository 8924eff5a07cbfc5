"""What stands recorded of a subject as the parts that the one record builder reads: bundles, and one record of ours.

Nothing is mapped here: each entry becomes the fragment of a plain record that says the same.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from fhir_adapters.plain_record import parse_record
from mscprotocol.course_forms import Consent, Events, Infusion, Lot, Withdrawal, read_form
from mscprotocol.course_questions import FORM_COMPLETE
from mscprotocol.store.tables import Screening, Subject, SubjectEntry, SubjectLine

Fragment = dict[str, Any]
Filed = tuple[SubjectEntry, Events]
_encoder = msgspec.json.Encoder(decimal_format="number")
NOT_ASSESSED = "not assessed"
_IDENTITY = ("born", "sex")
_LISTS = ("data", "conditions", "answers", "infusions")


@dataclass(frozen=True)
class DueForm:
    """An event form that is due: of which infusion, and of which point in time after its start."""

    infusion: int
    point: str

    def __str__(self) -> str:
        return f"{self.point} after infusion {self.infusion}"


@dataclass(frozen=True)
class CourseRules:
    """What the rules say of a course: the events that, once seen, count to its end, and when forms are due.

    `forms` are names of points in time after the start of an infusion, like `6 h`, with that length; a form may be
    observed `early` by so much. `asked` are the questions that a form leaves none of unanswered.
    """

    lasting: frozenset[str]
    asked: frozenset[str]
    forms: Mapping[str, timedelta]
    early: timedelta

    def opens(self, about: Infusion, point: str) -> datetime:
        """The earliest instant at which a form of a point can have been observed."""
        return about.started + (self.forms[point] - self.early if point in self.forms else timedelta(0))

    def due(self, entries: Sequence[SubjectEntry], at: datetime) -> list[DueForm]:
        """The forms of every infusion whose time has come and that were not recorded, whole and not before it."""
        forms = [one for _, one in _event_forms(entries)]
        return [
            DueForm(about.infusion, point)
            for about in read_infusions(entries)
            for point, after in self.forms.items()
            if about.started + after <= at and not any(self._counts(one, about, point) for one in forms)
        ]

    def find_filed(self, entries: Sequence[SubjectEntry], new: Events) -> SubjectEntry | None:
        """The form of the same point of the same infusion that a new one would answer anew; none for any other point.

        A form that is not whole is completed by a new one that repeats its answers.
        """
        about = next((one for one in read_infusions(entries) if one.infusion == new.infusion), None)
        if about is None or new.point not in self.forms:
            return None
        for entry, form in _event_forms(entries):
            is_of_it = self._is_of(form, about, new.point)
            if is_of_it and (self._is_whole(form) or not form.answers.items() <= new.answers.items()):
                return entry
        return None

    def _counts(self, form: Events, about: Infusion, point: str) -> bool:
        return self._is_of(form, about, point) and self._is_whole(form)

    def _is_of(self, form: Events, about: Infusion, point: str) -> bool:
        is_of_it = (form.infusion, form.point) == (about.infusion, point)
        return is_of_it and form.observed >= self.opens(about, point)

    def _is_whole(self, form: Events) -> bool:
        return self.asked <= form.answers.keys()


def gather_parts(patient_id: str, entries: Sequence[SubjectEntry], rules: CourseRules, at: datetime) -> list[bytes]:
    """The parts of a subject's record from the entries that stand: bundles as they came, all else as one record."""
    bundles = [one.content for one in entries if one.kind == "bundle"]
    fragments = [_WRITERS[one.kind](one, entries) for one in entries if one.kind in _WRITERS]
    fragments += [*_events(entries, rules.lasting), *_completeness(entries, rules, at)]
    if not fragments and bundles:
        return bundles
    return [*bundles, *_other_people(patient_id, fragments), _encoder.encode(_merged(patient_id, fragments))]


def _other_people(patient_id: str, fragments: Sequence[Fragment]) -> list[bytes]:
    """Who it is by each record that says it otherwise than the newest: whoever joins the parts sees a contradiction."""
    said = [_said_of(fragment) for fragment in fragments if _said_of(fragment)]
    others = [one for place, one in enumerate(said[:-1]) if one != said[-1] and one not in said[:place]]
    return [_encoder.encode({"patient": one | {"id": patient_id}}) for one in others]


def _said_of(fragment: Fragment) -> Fragment:
    return {name: fragment["patient"][name] for name in _IDENTITY if fragment.get("patient", {}).get(name)}


def _merged(patient_id: str, fragments: Sequence[Fragment]) -> Fragment:
    patient: Fragment = {}
    for fragment in fragments:
        patient |= {name: value for name, value in fragment.get("patient", {}).items() if value not in (None, [])}
    merged: Fragment = {"patient": patient | {"id": patient_id}}
    for name in _LISTS:
        merged[name] = [one for fragment in fragments for one in fragment.get(name, ())]
    products = [fragment["product"] for fragment in fragments if fragment.get("product")]
    return merged | ({"product": products[-1]} if products else {})


def next_infusion(entries: Sequence[SubjectEntry]) -> int:
    """The number of the infusion that comes next."""
    return 1 + max((one.infusion for one in read_infusions(entries)), default=0)


def recorded_lot(entries: Sequence[SubjectEntry]) -> str | None:
    """The number of the lot that was recorded last for the infusion that comes next."""
    fragments = [_WRITERS[one.kind](one, entries) for one in entries if one.kind in ("lot", "record")]
    products = [fragment["product"] for fragment in fragments if fragment.get("product")]
    return str(products[-1]["lot"]) if products and products[-1].get("lot") else None


def read_infusions(entries: Sequence[SubjectEntry]) -> list[Infusion]:
    """The infusions that stand recorded, the first one first."""
    found = [read_form(one.content, Infusion) for one in entries if one.kind == "infusion"]
    given = [one for one in found if one.status != "entered-in-error"]
    return sorted(given, key=lambda one: one.infusion)


# What ends a subject's part in the study, the gravest first; the text stands in worklist and log.
_OFF_STUDY = {"death": "died", "withdrawal": "withdrew"}


def summarise(subject: Subject, entries: Sequence[SubjectEntry], last: Screening | None) -> SubjectLine:
    """The line of a worklist that follows from the entries that stand and the newest assessment."""
    consents = [read_form(one.content, Consent) for one in entries if one.kind == "consent"]
    kinds = {one.kind for one in entries}
    off_study = next((why for kind, why in _OFF_STUDY.items() if kind in kinds), None)
    has_died = off_study == _OFF_STUDY["death"]
    return SubjectLine(
        subject_id=subject.id,
        number=subject.number,
        protocol_id=subject.protocol_id,
        actor=subject.actor if last is None else last.actor,
        verdict=NOT_ASSESSED if last is None else last.verdict,
        outlook=None if last is None else last.outlook,
        reasons={"against": [], "open": []} if last is None else last.reasons,
        screened_at=None if last is None else last.evaluated_at,
        valid_until=None if last is None else last.valid_until,
        time_critical=last is not None and last.time_critical and last.verdict != "ineligible" and off_study is None,
        gate="stop" if has_died else None if last is None else last.gate,
        assessment_id=None if last is None else last.assessment_id,
        consent_version=consents[-1].version if consents else None,
        consent_given=consents[-1].given if consents else None,
        infusions=len(read_infusions(entries)),
        deviations=sum(one.deviation is not None for one in read_infusions(entries)),
        is_stopped=off_study is not None or (last is not None and last.gate == "stop"),
        off_study=off_study,
    )


# -- fragments -------------------------------------------------------------------------------------


def _record(entry: SubjectEntry, entries: Sequence[SubjectEntry]) -> Fragment:
    """A record as it was sent; a lot in it is that of the infusion that came next at the time."""
    said: Fragment = parse_record(entry.content).model_dump(exclude_unset=True)
    later = [one for one in entries if one.kind == "infusion" and one.sequence > entry.sequence]
    if later:
        said.pop("product", None)
    return said


def _consent(entry: SubjectEntry, _: Sequence[SubjectEntry]) -> Fragment:
    given = _written(read_form(entry.content, Consent).given)
    return {"conditions": [{"name": "informed_consent", "status": "active", "since": given, "recorded": _made(entry)}]}


def _lot(entry: SubjectEntry, entries: Sequence[SubjectEntry]) -> Fragment:
    lot = read_form(entry.content, Lot)
    return {"product": lot.product} if lot.infusion == next_infusion(entries) else {}


def _infusion(entry: SubjectEntry, _: Sequence[SubjectEntry]) -> Fragment:
    infusion = read_form(entry.content, Infusion)
    if infusion.status == "entered-in-error":
        return {}
    said: Fragment = {"started": _written(infusion.started), "status": infusion.status, "recorded_as": entry.id}
    said |= {"lot": infusion.lot} if infusion.lot else {}
    said |= {"volume": f"{infusion.volume_ml} mL"} if infusion.volume_ml else {}
    against = infusion.deviation
    if against is not None:
        said["deviation"] = {"gate": against.gate, "because": against.because, "reason": against.reason}
    return {"infusions": [said]}


def _events(entries: Sequence[SubjectEntry], lasting: Collection[str]) -> Iterator[Fragment]:
    """Answers as named persons gave them. What was seen stays seen: a later no does not undo it.

    What ends the course, a withdrawal too, stands under the id of its entry, so that no upload or form undoes it: it is
    taken back by putting that entry right. What one form leaves unknown stays unknown until that form says otherwise:
    the next one asks about another time.
    """
    forms = _event_forms(entries)
    seen = _find_said(entries, "yes", forms, lasting)
    newest = {(form.infusion, form.point): (entry, form) for entry, form in forms}
    unknown = _find_said(entries, "unknown", list(newest.values()), lasting)
    for name, (entry, form) in seen.items():
        yield _seen(name, form.observed, entry.id if name in lasting else "")
    for entry, form in forms:
        said = {
            name: "unknown" if name in unknown and answer == "no" else answer
            for name, answer in form.answers.items()
            if name not in seen or answer == "yes"
        }
        at = _written(form.observed)
        yield {"answers": [{"name": name, "answer": said[name], "by": entry.actor, "at": at} for name in said]}


def _seen(name: str, at: datetime, recorded_as: str) -> Fragment:
    said = {"name": name, "status": "active", "since": _written(at), "recorded": _written(at)}
    return {"conditions": [said | ({"recorded_as": recorded_as} if recorded_as else {})]}


def _find_said(
    entries: Sequence[SubjectEntry], answer: str, forms: Sequence[Filed], lasting: Collection[str]
) -> dict[str, Filed]:
    """The questions with some answer in a form of the last infusion, or of any where it counts to the end."""
    last = next_infusion(entries) - 1
    return {
        name: (entry, form)
        for entry, form in reversed(forms)
        for name, said in form.answers.items()
        if said == answer and (name in lasting or form.infusion == last)
    }


def _completeness(entries: Sequence[SubjectEntry], rules: CourseRules, at: datetime) -> Iterator[Fragment]:
    """Whether a form of an infusion is outstanding: that none is, says whoever filed the newest one by filing it.

    That one is, the course itself knows at this very instant: a claim of an upload contradicts it, and settles nothing.
    """
    if rules.due(entries, at):
        yield {"conditions": [{"name": FORM_COMPLETE, "status": "refuted", "recorded": _written(at)}]}
        return
    last = next_infusion(entries) - 1
    filed = [(entry.actor, form) for entry, form in _event_forms(entries) if form.infusion == last]
    if filed:
        actor, newest = max(filed, key=lambda one: one[1].observed)
        seen = _written(newest.observed)
        yield {"answers": [{"name": FORM_COMPLETE, "answer": "yes", "by": actor, "at": seen}]}


def _event_forms(entries: Sequence[SubjectEntry]) -> list[Filed]:
    return [(one, read_form(one.content, Events)) for one in entries if one.kind == "events"]


def _withdrawal(entry: SubjectEntry, _: Sequence[SubjectEntry]) -> Fragment:
    return _seen("consent_withdrawn", read_form(entry.content, Withdrawal).at, entry.id)


_WRITERS: dict[str, Callable[[SubjectEntry, Sequence[SubjectEntry]], Fragment]] = {
    "record": _record,
    "consent": _consent,
    "lot": _lot,
    "infusion": _infusion,
    "withdrawal": _withdrawal,
}


def _made(entry: SubjectEntry) -> str:
    return _written(entry.made_at)


def _written(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds")
