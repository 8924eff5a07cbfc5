"""Trial subjects: each action is one transaction of what is recorded, its audit entry, and the assessment it causes."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from fhir_adapters.record_builder import build_record
from fhir_adapters.setting_aside import mark_separate, set_aside
from fhir_adapters.sources import read_parts
from mscprotocol.answer import Assessment
from mscprotocol.assessment import assess
from mscprotocol.case import Request
from mscprotocol.course_forms import Charted, Infusion, Plan, read_form
from mscprotocol.course_questions import FORM_COMPLETE, event_names
from mscprotocol.errors import DataError, RequestError
from mscprotocol.history import compare
from mscprotocol.knowledge import KnowledgeBase
from mscprotocol.protocols import STAGES, Stage
from mscprotocol.record import Infusion as Given
from mscprotocol.record import PatientRecord
from mscprotocol.rulebook import compile_rulebook
from mscprotocol.schedule import length
from mscprotocol.service import Caller, Order, Service
from mscprotocol.store import audit, subjects
from mscprotocol.store.subjects import NewEntry, Wanted, newest_of
from mscprotocol.store.tables import StoredAssessment, Subject, SubjectEntry, SubjectLine
from mscprotocol.subject_chart import Chart, Recorded, caused_by, check_entry, died_at, find_repeated, reached_stage
from mscprotocol.subject_record import CourseRules, gather_parts, summarise
from mscprotocol.timespan import instant

DOOR = "course"
Check = Callable[[Chart, Chart], None]
BEING_RECORDED = "charted elsewhere: it is the infusion that is recorded here after this assessment"
SAME = "the same infusion as number {} of those recorded here, says {}: {}"
# It doubles as the id of the patient in records of ours, so it follows the rule for ids of FHIR.
_NUMBER = re.compile(r"[A-Za-z0-9][A-Za-z0-9.\-]{0,63}")


@dataclass(frozen=True)
class NewSubject:
    """A subject to be enrolled in the log. `number` is the trial's own and says nothing of the person."""

    number: str
    protocol: str
    zone: str
    token: str
    dose_level: Decimal | None = None


class Subjects:
    """The subjects of one installation, on top of the service that every door shares."""

    def __init__(self, service: Service) -> None:
        self.service = service

    @property
    def knowledge(self) -> KnowledgeBase:
        """The rules that subjects are assessed by."""
        return self.service.knowledge

    # -- read --

    def list_subjects(self) -> list[Subject]:
        """All subjects in the order in which they came."""
        with self.service.database.reading() as session:
            return subjects.list_subjects(session)

    def chart(self, subject_id: str) -> Chart:
        """Everything that is kept of one subject. Raises RequestError `not_found`."""
        with self.service.database.reading() as session:
            return self._chart(session, subject_id)

    def lines(self, wanted: Wanted) -> tuple[list[SubjectLine], int]:
        """The lines of a worklist in its order, and how many there are on all its pages."""
        with self.service.database.reading() as session:
            missing = subjects.without_line(session)
        for one in missing:
            with self.acting(one) as (session, chart):
                subjects.write_line(session, summarise(chart.subject, chart.standing, chart.last))
        with self.service.database.reading() as session:
            return subjects.lines(session, wanted), subjects.count_lines(session, wanted)

    def _chart(self, session: Session, subject_id: str, *, lock: bool = False) -> Chart:
        subject = subjects.find(session, subject_id, lock=lock)
        if subject is None:
            raise RequestError("not_found", "There is no subject of that id.")
        return Chart(subject, subjects.entries_of(session, subject_id), subjects.screenings(session, subject_id))

    # -- record --

    def enrol(self, new: NewSubject, caller: Caller) -> Recorded:
        """Open the record of a subject. The same form sent twice gives the first one back.

        Raises RequestError `invalid_request` for a number that is no id, and `conflict` for one that is taken.
        """
        self._check_new(new)
        try:
            return self._enrol(new, caller)
        except IntegrityError:  # somebody was faster: now it is found
            return self._enrol(new, caller)

    def _enrol(self, new: NewSubject, caller: Caller) -> Recorded:
        with self.service.database.writing() as session:
            known = subjects.find_by_token(session, new.token)
            if known is not None:
                return Recorded(known, is_repeated=True)
            if subjects.find_by_number(session, new.protocol, new.number) is not None:
                raise RequestError("conflict", "A subject of that number exists already under this protocol.")
            return Recorded(self._create(session, new, caller))

    def _create(self, session: Session, new: NewSubject, caller: Caller) -> Subject:
        at, level = self.service.clock(), new.dose_level
        subject = Subject(
            id=str(uuid.uuid4()),
            number=new.number,
            protocol_id=new.protocol,
            dose_level=None if level is None else str(level),
            zone=new.zone,
            made_at=at,
            actor=caller.name,
            token=new.token,
            entries=0,
        )
        subjects.create(session, subject)
        subjects.write_line(session, summarise(subject, [], None))
        detail = {"protocol": new.protocol, "seal": subjects.seal_subject(subject)}
        audit.append(session, at, caller.name, "enrol", f"Subject/{subject.id}", detail)
        return subject

    def _check_new(self, new: NewSubject) -> None:
        self.service.check_protocol(new.protocol)
        if not _NUMBER.fullmatch(new.number):
            raise RequestError("invalid_request", "A subject number is up to 64 letters, digits, dots and hyphens.")
        try:
            ZoneInfo(new.zone)
        except (ValueError, OSError):
            raise RequestError("invalid_request", "There is no time zone of that name.") from None

    def record(self, subject_id: str, new: NewEntry, caller: Caller, *, assess: bool = True) -> Recorded:
        """Record one entry, and assess the subject with it; all of it is kept, or nothing is.

        A form sent twice (same token) gives the first result back. Raises DataError and RequestError as reading the
        entry does, `conflict` for what was recorded or replaced already.
        """
        with self.acting(subject_id) as (session, chart):
            repeated = find_repeated(chart, new)
            if repeated is not None:
                return repeated
            check_entry(chart, new)
            return self.add(session, chart, new, caller, with_assessment=assess)

    def screen(
        self, new: NewSubject, entries: Sequence[NewEntry], caller: Caller, stage: Stage, at: datetime,
        check: Check = lambda *_: None,
    ) -> Recorded:  # fmt: skip
        """Record the parts of one screening, of a new subject or of one that is known, and assess it by all of them.

        Nobody is assessed at a stage that the course has passed: the worklist would show an answer without its gate.
        Subject, entries and assessment are one transaction. A form sent twice gives the first result back. Raises as
        `enrol` and `record` do, and as `check` does, which sees the chart without the entries and with them.
        """
        self._check_new(new)
        try:
            return self._screen(new, entries, caller, stage, at, check)
        except IntegrityError:  # somebody was faster: now it is found
            return self._screen(new, entries, caller, stage, at, check)

    def _screen(
        self, new: NewSubject, entries: Sequence[NewEntry], caller: Caller, stage: Stage, at: datetime, check: Check
    ) -> Recorded:
        with self.service.database.writing() as session:
            found = subjects.find_by_number(session, new.protocol, new.number)
            chart = self._chart(session, (found or self._create(session, new, caller)).id, lock=True)
            known = {one.token: one for one in chart.entries}
            fresh = [one for one in entries if one.token not in known]
            if not fresh and entries:
                last = known[entries[-1].token]
                return Recorded(chart.subject, last, caused_by(chart, last), is_repeated=True)
            before = chart
            for one in fresh:
                check_entry(chart, one)
                chart = self._append(session, chart, one, caller)
            check(before, chart)
            stage = max(stage, reached_stage(chart), key=STAGES.index)
            answer, parts, request = self.judge(chart, at, stage)
            stored = self.keep(session, chart, answer, parts, request, caller)
            if (latest := self._latest(chart)) is not None and latest > at:
                # The worklist goes on to tell the course as it is, with these data, and not as it was earlier.
                self.keep(session, chart, *self.judge(chart, latest, stage), caller)
            return Recorded(chart.subject, chart.entries[-1], stored.id, answer)

    def _latest(self, chart: Chart) -> datetime | None:
        """The latest instant that a subject was assessed at and may be again; none before the first, or after death."""
        times = (one.evaluated_at for one in chart.screenings if one.evaluated_at <= self.service.clock())
        return None if died_at(chart) is not None else max(times, default=None)

    @contextmanager
    def acting(self, subject_id: str) -> Iterator[tuple[Session, Chart]]:
        """One transaction in which no other writer touches the subject."""
        with self.service.database.writing() as session:
            yield session, self._chart(session, subject_id, lock=True)

    def add(
        self, session: Session, chart: Chart, new: NewEntry, caller: Caller, *, with_assessment: bool = True
    ) -> Recorded:
        """Add an entry that was checked, with its audit entry and its assessment, inside the caller's transaction."""
        after, at = self._append(session, chart, new, caller), self.service.clock()
        recorded = Recorded(chart.subject, after.entries[-1])
        if not with_assessment or died_at(after) is not None:
            self.build(after, at)  # what cannot be read is refused before it is kept
            subjects.write_line(session, summarise(after.subject, after.standing, after.last))
            return recorded
        answer, parts, request = self.judge(after, at)
        stored = self.keep(session, after, answer, parts, request, caller)
        return replace(recorded, assessment_id=stored.id, answer=answer)

    def _append(self, session: Session, chart: Chart, new: NewEntry, caller: Caller) -> Chart:
        at = self.service.clock()
        replaced = next((one for one in chart.entries if one.id == new.supersedes), None)
        if replaced is not None:  # one that was set aside and taken back is replaced after that
            new = replace(new, supersedes=newest_of(chart.entries, replaced).id)
        entry = subjects.append(session, chart.subject, new, at, caller.name)
        detail = {"kind": new.kind, "sequence": entry.sequence, "seal": entry.sha256, "supersedes": new.supersedes}
        audit.append(session, at, caller.name, "record", f"Subject/{chart.subject.id}", detail)
        return replace(chart, entries=[*chart.entries, entry])

    # -- assess --

    def assess(
        self, subject_id: str, caller: Caller, stage: Stage | None = None, at: datetime | None = None
    ) -> Recorded:
        """Assess a subject by all that stands recorded, and keep the answer."""
        with self.acting(subject_id) as (session, chart):
            answer, parts, request = self.judge(chart, at or self.service.clock(), stage)
            stored = self.keep(session, chart, answer, parts, request, caller)
            return Recorded(chart.subject, assessment_id=stored.id, answer=answer)

    def judge(
        self, chart: Chart, at: datetime, stage: Stage | None = None, recording: Infusion | None = None
    ) -> tuple[Assessment, list[bytes], Request]:
        """The answer for a subject at an instant, the parts of the record that it rests on, and what was asked.

        Raises DataError `deceased` from a recorded death on, whatever the charts of others say of it.
        An infusion that is about to be recorded may have been charted elsewhere already: those charts are set aside.
        """
        died = died_at(chart)
        if died is not None and died <= at:
            raise DataError("deceased", "the patient had died before the time of the evaluation")
        parts = self.parts(chart, at)
        request = self.request(chart, at, stage)
        record = self._read(chart.subject, parts)
        if recording is not None and (charted := self._charted(chart.subject, record, recording)):
            why, zone = dict.fromkeys(charted, BEING_RECORDED), ZoneInfo(chart.subject.zone)
            parts = [set_aside(one, why, zone)[0] for one in parts]
            record = self._read(chart.subject, parts)
        return assess(record, compile_rulebook(self.knowledge, chart.subject.protocol_id), request), parts, request

    def _charted(self, subject: Subject, record: PatientRecord, form: Infusion) -> list[str]:
        """The references of what was charted elsewhere of an infusion."""
        practice = self.knowledge.practices[self.knowledge.protocols[subject.protocol_id].practice]
        lots = (form.lot,) if form.lot else ()
        own = Given("infusion", "", instant(form.started), "", lots=lots)
        others = (one for one in record.infusions if not one.recorded_as)
        return [one.reference for one in others if compare(own, one, practice) == "same"]

    def _read(self, subject: Subject, parts: Sequence[bytes]) -> PatientRecord:
        return build_record(read_parts(parts, self.knowledge, ZoneInfo(subject.zone)), self.knowledge)

    def keep(
        self,
        session: Session,
        chart: Chart,
        answer: Assessment,
        parts: Sequence[bytes],
        request: Request,
        caller: Caller,
    ) -> StoredAssessment:
        """Keep an answer with its line in the screening log, and the subject's line in worklists."""
        whose = {"subject": f"Subject/{chart.subject.id}", "sequence": chart.subject.entries}
        order = Order(chart.subject.protocol_id, request, DOOR, caller, noted=whose)
        stored = self.service.keep(session, answer, parts, order)
        last = subjects.log_screening(session, chart.subject, stored, answer)
        subjects.write_line(session, summarise(chart.subject, chart.standing, last))
        return stored

    def build(self, chart: Chart, at: datetime) -> None:
        """Read the record of a subject once, to see that it can be read."""
        self._read(chart.subject, self.parts(chart, at))

    def parts(self, chart: Chart, at: datetime) -> list[bytes]:
        """The parts of the subject's record as they stand at an instant."""
        parts = gather_parts(chart.subject.number, chart.standing, self.course_rules(chart.subject), at)
        told = [(read_form(one.content, Charted), one) for one in chart.of_kind("charted")]
        same = {
            one.reference: SAME.format(one.infusion, by.actor, one.reason) for one, by in told if one.said == "same"
        }
        separate = {one.reference: by.id for one, by in told if one.said == "separate"}
        zone, uploads = ZoneInfo(chart.subject.zone), {one.content for one in chart.of_kind("bundle")}

        def marked(part: bytes) -> bytes:  # nothing is said of what was recorded here, whatever id a chart has
            return mark_separate(set_aside(part, same, zone)[0], separate, zone) if part in uploads else part

        return [marked(one) for one in parts] if told else parts

    def course_rules(self, subject: Subject) -> CourseRules:
        """What the rules say of the subject's course."""
        practice = self.knowledge.practices[self.knowledge.protocols[subject.protocol_id].practice]
        forms = {f"{one.value.value} {one.value.unit}": length(one) for one in practice.event_forms}
        stops, holds = (frozenset(event_names(self.knowledge, one)) for one in ("stop_event", "hold_event"))
        asked = (stops | holds) - {FORM_COMPLETE}
        return CourseRules(stops, asked, forms, length(practice.event_form_early_at_most))

    def request(self, chart: Chart, at: datetime, stage: Stage | None = None) -> Request:
        """What is asked of a subject: the stage that the course has reached, unless another is named."""
        plans = chart.of_kind("plan")
        level = chart.subject.dose_level
        zone = ZoneInfo(chart.subject.zone)
        return Request(
            at=datetime.fromisoformat(at.astimezone(zone).isoformat()),  # as it is stored: a replay must be the same
            stage=stage or reached_stage(chart),
            start=read_form(plans[-1].content, Plan).start if plans else None,
            zone=chart.subject.zone,
            dose_level=None if level is None else Decimal(level),
        )


def holds_chart(chart: Chart, entry: SubjectEntry, reference: str) -> bool:
    """Whether an upload holds a resource that can be marked in it."""
    return reference in set_aside(entry.content, {reference: ""}, ZoneInfo(chart.subject.zone))[1]
