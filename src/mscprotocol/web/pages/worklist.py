"""The worklist, the subject page and the audit page: who cannot wait comes first."""

from __future__ import annotations

from typing import Annotated, Any
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, Query, Request
from sqlalchemy import select
from starlette.responses import Response

from mscprotocol.course_calendar import has_open_rows, write_calendar
from mscprotocol.schedule import length
from mscprotocol.screening_log import LogLine, consort_boxes, count, read_line, write_csv
from mscprotocol.service import Service
from mscprotocol.sign_off import list_signed_of
from mscprotocol.store import assessments, audit
from mscprotocol.store.subjects import Wanted
from mscprotocol.store.tables import AuditEntry
from mscprotocol.subject_record import read_infusions, summarise
from mscprotocol.subjects import Subjects
from mscprotocol.web.pages.course import read_death
from mscprotocol.web.pages.layout import render_page
from mscprotocol.web.pages.people import Person, of_app, require
from mscprotocol.web.pages.screening_result import Result
from mscprotocol.web.problems import ProblemError

router = APIRouter()
Reader = Annotated[Person, Depends(require("coordinator", "clinician", "auditor"))]
Auditor = Annotated[Person, Depends(require("auditor", "administrator"))]
VERDICTS = ("eligible", "undetermined", "ineligible")
_SHOWN_ENTRIES = 500
_PAGE = 100
_TO_PLAN = "The course page of the subject says where the course stands and what is needed."


@router.get("/worklist")
def show_worklist(
    request: Request, person: Reader, protocol: str = "", verdict: str = "", q: str = "",
    page: Annotated[int, Query(ge=1, le=10_000)] = 1,
) -> Response:  # fmt: skip
    """The subjects, those who cannot wait first; so many a page."""
    service, settings = of_app(request)
    wanted = Wanted(protocol, verdict, q, _PAGE, (page - 1) * _PAGE)
    kept, total = Subjects(service).lines(wanted)
    # What was typed to find a subject may name one: that there was something is said, and not what.
    said = {"subjects": len(kept), "protocol": protocol, "verdict": verdict, "searched": bool(q.strip()), "page": page}
    _note_reading(service, person, "read", "Worklist", said)
    lines = [read_line(one) for one in kept]
    cards = service.knowledge.protocols
    flows = {
        name: consort_boxes(count(_lines(service, Wanted(name)), cards[name].schedule.count))
        for name in sorted({one.protocol for one in lines} & set(cards))
    }
    chosen = {"protocol": protocol, "verdict": verdict, "q": q}
    return render_page(
        request, "worklist", lines=lines, flows=flows, chosen=chosen, protocols=service.assessable, verdicts=VERDICTS,
        now=service.clock(), total=total, page=page,
        pages=max(1, -(-total // _PAGE)), today=service.clock().astimezone(ZoneInfo(settings.zone)).date(),
    )  # fmt: skip


@router.get("/worklist.csv")
def send_log(request: Request, person: Reader, protocol: str = "", verdict: str = "") -> Response:
    """The screening log without identifiers."""
    service, settings = of_app(request)
    lines = _lines(service, Wanted(protocol, verdict))
    said = {"subjects": len(lines), "protocol": protocol, "verdict": verdict}
    _note_reading(service, person, "export", "ScreeningLog", said)
    return Response(
        write_csv(lines, ZoneInfo(settings.zone)),
        media_type="text/csv; charset=utf-8",
        headers={"content-disposition": 'attachment; filename="screening-log.csv"'},
    )


@router.get("/subjects/{identity}")
def show_subject(request: Request, identity: str, person: Reader) -> Response:
    """One subject: the newest answer with what is open first, then everything that was recorded."""
    service, _ = of_app(request)
    chart = Subjects(service).chart(identity)
    _note_reading(service, person, "read", f"Subject/{identity}", {"what": "subject"})
    result = stored = None
    if chart.screenings:
        stored = service.read(chart.screenings[-1].assessment_id, person.caller, "page")
        if stored is not None and stored.rulebase_sha256 == service.knowledge.sha256:
            result = Result(assessments.read_answer(stored), service.knowledge)
    with service.database.reading() as session:
        signed = list(list_signed_of(session, chart))
    line = read_line(summarise(chart.subject, chart.standing, chart.last))
    return render_page(
        request, "subject", chart=chart, signed=signed, death=read_death(chart), line=line, stored=stored,
        result=result, asides=(), places={}, now=service.clock(), zone=chart.subject.zone,
        infusions=read_infusions(chart.standing),
    )  # fmt: skip


@router.get("/subjects/{identity}/course.ics")
def send_calendar(request: Request, identity: str, person: Reader) -> Response:
    """The planned infusions as a calendar file."""
    service, _ = of_app(request)
    chart = Subjects(service).chart(identity)
    stored = service.read(chart.screenings[-1].assessment_id, person.caller, "calendar") if chart.screenings else None
    if stored is None:
        raise ProblemError(404, "nothing_planned", f"Nothing was assessed yet, so nothing is planned. {_TO_PLAN}")
    answer = assessments.read_answer(stored)
    if read_line(summarise(chart.subject, chart.standing, chart.last)).is_stopped:
        raise ProblemError(409, "nothing_planned", f"The course is stopped, so there is no calendar. {_TO_PLAN}")
    if not has_open_rows(answer):
        why = " ".join(answer.dose.because) or f"The verdict is {answer.verdict}."
        text = f"No infusion is still to come, so there is no calendar. {why} {_TO_PLAN}"
        raise ProblemError(409, "nothing_planned", text)
    practice = service.knowledge.practices[service.knowledge.protocols[chart.subject.protocol_id].practice]
    content = write_calendar(answer, chart.subject.number, length(practice.duration))
    return Response(content, media_type="text/calendar; charset=utf-8")


@router.get("/audit")
def show_audit(request: Request, person: Auditor) -> Response:
    """The newest entries of the audit trail, and whether the chain holds."""
    service, _ = of_app(request)
    with service.database.reading() as session:
        fault = audit.find_fault(session)
        query = select(AuditEntry).order_by(AuditEntry.sequence.desc()).limit(_SHOWN_ENTRIES)
        entries = list(session.execute(query).scalars())
    _note_reading(service, person, "read", "AuditTrail", {"entries": len(entries)})
    return render_page(request, "audit", entries=entries, fault=fault, most=_SHOWN_ENTRIES)


def _note_reading(service: Service, person: Person, action: str, subject: str, said: dict[str, Any]) -> None:
    with service.database.writing() as session:
        audit.append(session, service.clock(), person.name, action, subject, said)


def _lines(service: Service, wanted: Wanted) -> list[LogLine]:
    return [read_line(one) for one in Subjects(service).lines(wanted)[0]]
