"""The course of one subject: consent, plan, lot, dose check, infusions and what was seen after each.

An infusion is recorded only through an open gate, or past it with what a clinician has signed, once two people have
worked out the same dose. Every refusal leaves a line in the audit trail.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime

import msgspec
from sqlalchemy.orm import Session

from mscprotocol import dose_checks
from mscprotocol.answer import Assessment, GateResult
from mscprotocol.course_checks import CourseChecks, refuse_misfits
from mscprotocol.course_effects import UnsignedError, changed_facts, find_effect
from mscprotocol.course_forms import (
    FORMS,
    Consent,
    Death,
    DoseCheck,
    Events,
    Form,
    Infusion,
    Lot,
    Override,
    Plan,
    Withdrawal,
    read_form,
    write_form,
)
from mscprotocol.course_questions import DECISIONS, FORM_COMPLETE, UNDECIDED, event_names
from mscprotocol.course_view import CourseView
from mscprotocol.errors import RequestError
from mscprotocol.gate_reasons import find_binding
from mscprotocol.protocols import Practice, Protocol
from mscprotocol.roles import CLINICIANS, RECORDERS, allow
from mscprotocol.schedule import length
from mscprotocol.service import Caller
from mscprotocol.sign_off import is_released
from mscprotocol.store import audit
from mscprotocol.store.subjects import NewEntry
from mscprotocol.store.tables import Subject, SubjectEntry
from mscprotocol.subject_chart import Chart, Recorded, check_entry, find_repeated
from mscprotocol.subject_record import next_infusion, read_infusions
from mscprotocol.subjects import Subjects
from mscprotocol.timespan import CLOCK_TOLERANCE

Signing = Callable[[Session, str, bytes], object]


@dataclass(frozen=True)
class Signed:
    """How a change is signed, and the digest of the effect that the signer was shown."""

    sign: Signing
    seen: str


# What is put right by a form of its own; a dose check is done again, and a signature lapses.
CORRECTABLE = ("consent", "plan", "lot", "infusion", "events", "withdrawal", "death")
BINDING = "No signature sets this aside: {}. What was given all the same is recorded as a protocol deviation."


class GateClosedError(RequestError):
    """The gate does not open for an infusion; `gate` says why, for whoever may see the patient's data."""

    def __init__(self, gate: GateResult) -> None:
        text = f"The gate before infusion {gate.infusion} says {gate.decision}: nothing was recorded."
        super().__init__("gate_closed", text)
        self.gate = gate


class Course:
    """The actions of a course, each of them whole or nothing."""

    def __init__(self, subjects: Subjects) -> None:
        self.subjects, self.service = subjects, subjects.service

    # -- look --

    def view(self, subject_id: str, at: datetime | None = None) -> CourseView:
        """Where the course stands; nothing is recorded by looking. Raises what assessing does."""
        now = at or self.service.clock()
        chart = self.subjects.chart(subject_id)
        answer = self.subjects.judge(chart, now, "infusion")[0]
        assert answer.gate is not None
        return CourseView(
            chart=chart,
            answer=answer,
            gate=answer.gate,
            infusions=read_infusions(chart.standing),
            checks=dose_checks.list_checks(chart),
            override=self.find_signature(chart, answer.gate, now),
            is_released=answer.gate.decision == "go" and self._is_released(chart, now),
            due=self.subjects.course_rules(chart.subject).due(chart.standing, now),
            binding=find_binding(answer.gate.because, self.subjects.knowledge),
            questions=self.questions(),
        )

    def _is_released(self, chart: Chart, at: datetime) -> bool:
        with self.service.database.reading() as session:
            return is_released(self.subjects, session, chart, at)

    def questions(self) -> list[str]:
        """What is asked after an infusion, by name: the events that stop or hold, and what a clinician decides."""
        names = [name for event in ("stop_event", "hold_event") for name in event_names(self.subjects.knowledge, event)]
        return [*(one for one in dict.fromkeys(names) if one != FORM_COMPLETE), *DECISIONS]

    # -- record --

    def consent(self, subject_id: str, form: Consent, token: str, caller: Caller) -> Recorded:
        """Record an informed consent."""
        return self._record(subject_id, form, NewEntry("consent", write_form(form), token), caller)

    def plan(self, subject_id: str, form: Plan, token: str, caller: Caller) -> Recorded:
        """Record when the first infusion is meant to start."""
        return self._record(subject_id, form, NewEntry("plan", write_form(form), token), caller)

    def lot(self, subject_id: str, form: Lot, token: str, caller: Caller) -> Recorded:
        """Record the product lot of the next infusion."""
        return self._record(subject_id, form, NewEntry("lot", write_form(form), token), caller)

    def withdraw(self, subject_id: str, form: Withdrawal, token: str, caller: Caller) -> Recorded:
        """Record that the patient withdraws: the course is stopped."""
        return self._record(subject_id, form, NewEntry("withdrawal", write_form(form), token), caller)

    def die(self, subject_id: str, form: Death, token: str, caller: Caller) -> Recorded:
        """Record that the patient has died: the course is stopped for good, and nobody is assessed any more.

        Raises RequestError `conflict` where a death stands recorded: that entry is corrected.
        """
        return self._record(subject_id, form, NewEntry("death", write_form(form), token), caller)

    def events(self, subject_id: str, form: Events, token: str, caller: Caller) -> Recorded:
        """Record what was seen after an infusion. Raises RequestError for questions that are not asked."""
        return self._record(subject_id, form, NewEntry("events", write_form(form), token), caller)

    def correct(
        self,
        subject_id: str,
        form: Form,
        token: str,
        replaced: str,
        reason: str,
        caller: Caller,
        signed: Signed | None = None,
    ) -> Recorded:
        """Put an entry right, or say how a running infusion ended: the earlier entry stays, the new one says why.

        The gate is not asked: what was done was done. Raises RequestError as recording the form does, and
        UnsignedError as `settle` does.
        """
        kind = next(name for name, one in FORMS.items() if isinstance(form, one))
        if kind not in CORRECTABLE:
            raise RequestError("invalid_request", "This is not corrected: it is done again.")
        before = self._read_replaced(subject_id, form, replaced)
        if isinstance(form, Infusion) and isinstance(before, Infusion):
            # What the gate said then is not corrected.
            form = msgspec.structs.replace(form, deviation=before.deviation)
        new = NewEntry(kind, write_form(form), token, replaced, reason)
        with self.refusals(subject_id, caller):
            return self._record(subject_id, form, new, caller, changed_facts(before, form), signed)

    def _read_replaced(self, subject_id: str, form: Form, replaced: str) -> Form:
        """The form that a correction replaces; itself where there is none of its kind, which is refused later."""
        entries = self.subjects.chart(subject_id).entries
        found = next((one for one in entries if one.id == replaced), None)
        return (
            form if found is None or FORMS.get(found.kind) is not type(form) else read_form(found.content, type(form))
        )

    def settle(
        self, session: Session, chart: Chart, entry: SubjectEntry, caller: Caller, changed: Iterable[str],
        signed: Signed | None,
    ) -> None:  # fmt: skip
        """Sign an entry that was just added to a chart, where it loosens the gate or changes what only a clinician may.

        Raises UnsignedError unless a clinician signs, and RequestError `conflict` for one who saw another effect.
        """
        after = replace(chart, entries=[*chart.entries, entry])
        effect = find_effect(self.subjects, chart, after, self.service.clock(), changed)
        if signed is None or not CLINICIANS & caller.scopes:
            if effect.to_sign:
                raise UnsignedError(effect)
            return
        if signed.seen != effect.digest:
            raise RequestError("conflict", "This has another effect now: look at it before you sign.")
        # The seal covers the content and is salted: once the entry is deleted, the hash tells nothing of it.
        signed.sign(session, f"Subject/{chart.subject.id}", entry.sha256.encode())

    def _record(
        self,
        subject_id: str,
        form: Form,
        new: NewEntry,
        caller: Caller,
        changed: Iterable[str] = (),
        signed: Signed | None = None,
    ) -> Recorded:
        allow(caller, RECORDERS)
        with self.subjects.acting(subject_id) as (session, chart):
            repeated = find_repeated(chart, new)
            if repeated is not None:
                return repeated
            check_entry(chart, new)
            self.check(chart, form, new)
            if isinstance(form, Events):
                self._check_answers(chart, form, new, caller)
            done = self.subjects.add(session, chart, new, caller)
            if new.supersedes is not None and done.entry is not None:
                self.settle(session, chart, done.entry, caller, changed, signed)
            return done

    def _check_answers(self, chart: Chart, form: Events, new: NewEntry, caller: Caller) -> None:
        """Refuse questions that are not asked, and what only a clinician decides or takes back."""
        if set(form.answers) - set(self.questions()):
            raise RequestError("invalid_request", "A question here is not one of the form.")
        if CLINICIANS & caller.scopes:
            return
        if any(form.answers.get(one) == "yes" for one in DECISIONS):
            raise RequestError("forbidden", UNDECIDED)
        before = next((read_form(one.content, Events) for one in chart.standing if one.id == new.supersedes), form)
        if any(said == "yes" and form.answers.get(name) != "yes" for name, said in before.answers.items()):
            raise RequestError("forbidden", "Only a clinician takes back what was seen.")

    def check(self, chart: Chart, form: Form, new: NewEntry) -> None:
        """Refuse what lies outside the time of a course, or is not about the infusion that it could be about."""
        self._checks(chart).check(chart, form, new)

    def _checks(self, chart: Chart) -> CourseChecks:
        rules, practice = self.subjects.course_rules(chart.subject), self._practice(chart.subject)
        return CourseChecks(rules, practice, self.service.clock())

    # -- dose, gate, infusion --

    def check_dose(self, subject_id: str, form: DoseCheck, token: str, caller: Caller) -> Recorded:
        """Record the numbers of one infusion as one person worked them out; they must be those of the program.

        Raises RequestError `dose_differs`, which does not tell the number that is expected.
        """
        with self.refusals(subject_id, caller), self.subjects.acting(subject_id) as (session, chart):
            new = NewEntry("dose_check", write_form(form), token)
            allow(caller, RECORDERS)
            repeated = find_repeated(chart, new)
            if repeated is not None:
                return repeated
            check_entry(chart, new)
            self.check(chart, form, new)
            answer = self.subjects.judge(chart, self.service.clock(), "infusion")[0]
            if not dose_checks.fits(answer, form):
                raise RequestError("dose_differs", "These are not the numbers that the program worked out: check both.")
            others = (one for actor, one in dose_checks.list_checks(chart) if actor != caller.name)
            if not all(dose_checks.is_same_dose(form, one) for one in others):
                raise RequestError("dose_differs", "These are not the numbers of the other person: check both.")
            return self.subjects.add(session, chart, new, caller, with_assessment=False)

    def override(
        self, subject_id: str, form: Override, token: str, caller: Caller, sign: Signing | None = None
    ) -> Recorded:
        """Set the gate before the next infusion aside, as a clinician signs it and says in words.

        Raises RequestError `binding` for what no signature sets aside.

        `sign` puts the signature on what is recorded, in the same transaction.
        """
        allow(caller, CLINICIANS)
        if form.code not in self.subjects.knowledge.override_reasons:
            raise RequestError("invalid_request", "There is no reason of that code.")
        if not any(letter.isalpha() for letter in form.text):
            raise RequestError("invalid_request", "Setting a gate aside needs its reason in your words.")
        with self.subjects.acting(subject_id) as (session, chart):
            signed = _signed_at(form, self.service.clock())
            new = NewEntry("override", write_form(signed), token)
            known = next((one for one in chart.entries if one.token == token), None)
            if known is not None:
                return Recorded(chart.subject, known, is_repeated=True)
            check_entry(chart, new)
            self.check(chart, form, new)
            gate = self.subjects.judge(chart, self.service.clock(), "infusion")[0].gate
            if gate is not None and (binding := find_binding(gate.because, self.subjects.knowledge)):
                raise RequestError("binding", BINDING.format("; ".join(binding)))
            if gate is None or not set(gate.because) <= set(form.because):
                raise RequestError("conflict", "The gate has other reasons now: look at them before you sign.")
            done = self.subjects.add(session, chart, new, caller, with_assessment=False)
            if sign is not None and done.entry is not None:
                # The seal covers the content and is salted: once the entry is deleted, the hash tells nothing of it.
                sign(session, f"Subject/{subject_id}", done.entry.sha256.encode())
            return done

    def infuse(self, subject_id: str, form: Infusion, token: str, caller: Caller) -> Recorded:
        """Record an infusion as it was given: the gate is judged anew as of its actual start.

        Raises GateClosedError, and RequestError `course_complete`, `dose_unchecked`, `not_as_checked` or `conflict`.
        """
        allow(caller, RECORDERS)
        if form.deviation is not None:
            raise RequestError("invalid_request", "A protocol deviation is recorded as one, and signed.")
        first = NewEntry("infusion", write_form(form), token)
        with self.refusals(subject_id, caller), self.subjects.acting(subject_id) as (session, chart):
            new = replace(first, slot=slot_of(chart, form.infusion))
            repeated = find_repeated(chart, new)
            if repeated is not None:
                return repeated
            self.check(chart, form, new)
            answer, parts, request = self.subjects.judge(chart, form.started, "infusion", recording=form)
            refusal = self.find_refusal(chart, form, answer)
            if refusal is not None:
                raise refusal
            self.subjects.keep(session, chart, answer, parts, request, caller)
            return self.subjects.add(session, chart, new, caller)

    def find_refusal(self, chart: Chart, form: Infusion, answer: Assessment) -> RequestError | None:
        """Why an infusion is none of the protocol: course, gate, dose or lot; none if nothing is against it.

        `answer` is that of the actual start.
        """
        most, gate = self.subjects.knowledge.protocols[chart.subject.protocol_id].schedule.count, answer.gate
        assert gate is not None
        if form.infusion > most:
            return RequestError("course_complete", f"The protocol has {most}, no more infusions.")
        if gate.decision != "go" and self.find_signature(chart, gate, form.started) is None:
            return GateClosedError(gate)
        fault = dose_checks.find_fault(chart, answer)
        if fault is not None:
            return RequestError("dose_unchecked", dose_checks.REFUSED[fault])
        return refuse_misfits(self.find_misfits(chart, form, answer))

    def find_misfits(self, chart: Chart, form: Infusion, answer: Assessment) -> list[str]:
        """How an infusion differs from the one that the gate of its start and the dose check were about."""
        return list(self._checks(chart).find_misfits(chart, form, answer))

    def find_signature(self, chart: Chart, gate: GateResult, at: datetime) -> Override | None:
        """The standing signature that covers every reason of a gate, as long as a release holds."""
        if find_binding(gate.because, self.subjects.knowledge):
            return None
        holds = length(self._practice(chart.subject).release_valid)
        for entry in reversed(chart.of_kind("override")):
            form = read_form(entry.content, Override)
            is_fresh = form.signed - CLOCK_TOLERANCE <= at <= form.signed + holds
            if form.infusion == next_infusion(chart.standing) and is_fresh and set(gate.because) <= set(form.because):
                return form
        return None

    def _practice(self, subject: Subject) -> Practice:
        protocol: Protocol = self.subjects.knowledge.protocols[subject.protocol_id]
        return self.subjects.knowledge.practices[protocol.practice]

    def refusals(self, subject_id: str, caller: Caller) -> _Refusals:
        """A block in which every refusal leaves a line in the audit trail."""
        return _Refusals(self, subject_id, caller)


class _Refusals:
    """Writes a refusal into the audit trail, after the transaction that it ended was rolled back."""

    def __init__(self, course: Course, subject_id: str, caller: Caller) -> None:
        self.course, self.subject_id, self.caller = course, subject_id, caller

    def __enter__(self) -> None:
        return None

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if isinstance(error, RequestError) and error.code != "not_found":
            with self.course.service.database.writing() as session:
                at, name = self.course.service.clock(), f"Subject/{self.subject_id}"
                audit.append(session, at, self.caller.name, "refused", name, {"why": error.code})


def _signed_at(form: Override, at: datetime) -> Override:
    """A form as signed at an instant of our own clock, whatever was sent."""
    return Override(form.infusion, form.code, form.text, form.because, at)


def slot_of(chart: Chart, number: int) -> str:
    """What may be recorded once: an infusion of a number, and again only after it was entered in error."""
    retracted = sum(
        form.infusion == number and form.status == "entered-in-error"
        for form in (read_form(one.content, Infusion) for one in chart.of_kind("infusion"))
    )
    return f"infusion/{number}/{retracted}"
