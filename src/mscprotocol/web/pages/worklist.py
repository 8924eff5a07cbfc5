"""The worklist, the subject page and the audit page: who cannot wait comes first."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from sqlalchemy import select
from starlette.responses import HTMLResponse, Response

from mscprotocol.course_calendar import write_calendar
from mscprotocol.rendering import render_html
from mscprotocol.schedule import length
from mscprotocol.screening_log import LogLine, consort_boxes, count, in_order, read_line, write_csv
from mscprotocol.service import Service
from mscprotocol.store import assessments, audit
from mscprotocol.store.tables import AuditEntry
from mscprotocol.subjects import Subjects
from mscprotocol.web.pages.layout import render_page
from mscprotocol.web.pages.people import Person, of_app, require
from mscprotocol.web.pages.screening_result import Result
from mscprotocol.web.problems import ProblemError
from mscprotocol.web.stored import SHEET_POLICY, answer_for_sheet

router = APIRouter()
Reader = Annotated[Person, Depends(require("coordinator", "clinician", "auditor"))]
Auditor = Annotated[Person, Depends(require("auditor", "administrator"))]
VERDICTS = ("eligible", "undetermined", "ineligible")
_SHOWN_ENTRIES = 500
_SHEETS = 40


@router.get("/worklist")
def show_worklist(request: Request, person: Reader, protocol: str = "", verdict: str = "", q: str = "") -> Response:
    """All subjects, those who cannot wait first."""
    service, _ = of_app(request)
    lines = _lines(service, protocol, verdict, q)
    cards = service.knowledge.protocols
    flows = {
        name: consort_boxes(count(_lines(service, name), cards[name].schedule.count))
        for name in sorted({one.protocol for one in lines} & set(cards))
    }
    chosen = {"protocol": protocol, "verdict": verdict, "q": q}
    return render_page(
        request, "worklist", lines=lines, flows=flows, chosen=chosen, protocols=service.assessable, verdicts=VERDICTS,
        now=service.clock(),
    )  # fmt: skip


@router.get("/worklist.csv")
def send_log(request: Request, person: Reader, protocol: str = "", verdict: str = "") -> Response:
    """The screening log without identifiers."""
    service, _ = of_app(request)
    with service.database.writing() as session:
        audit.append(session, service.clock(), person.name, "export", "ScreeningLog", {"protocol": protocol})
    return Response(
        write_csv(_lines(service, protocol, verdict)),
        media_type="text/csv; charset=utf-8",
        headers={"content-disposition": 'attachment; filename="screening-log.csv"'},
    )


@router.get("/worklist/sheets")
def print_sheets(request: Request, person: Reader) -> Response:
    """The sheets of all subjects whose course is open, one after the other, to print."""
    service, _ = of_app(request)
    wanted = [one for one in _lines(service) if one.latest and one.verdict != "ineligible" and not one.is_stopped]
    sheets = []
    for one in wanted[:_SHEETS]:
        assert one.latest is not None
        try:
            sheets.append(render_html(answer_for_sheet(service, one.latest, person.caller), service.knowledge))
        except ProblemError:  # the rules have changed since: the sheet would show others than were used
            continue
    if not sheets:
        raise ProblemError(404, "not_found", "There is no sheet to print: nobody has an answer by the present rules.")
    return HTMLResponse(_together(sheets), headers={"content-security-policy": SHEET_POLICY})


def _together(sheets: list[str]) -> str:
    """Several sheets as one page: the head of the first, each body on a paper of its own."""
    head = sheets[0].partition("<body>")[0]
    bodies = [one.partition("<body>")[2].rpartition("</body>")[0] for one in sheets]
    break_here = '<div style="break-after: page"></div>'
    return f"{head}<body>{break_here.join(bodies)}</body></html>"


@router.get("/subjects/{identity}")
def show_subject(request: Request, identity: str, person: Reader) -> Response:
    """One subject: the newest answer with what is open first, then everything that was recorded."""
    service, _ = of_app(request)
    chart = Subjects(service).chart(identity)
    result = stored = None
    if chart.screenings:
        stored = service.read(chart.screenings[-1].assessment_id, person.caller, "page")
        if stored is not None and stored.rulebase_sha256 == service.knowledge.sha256:
            result = Result(assessments.read_answer(stored), service.knowledge)
    replaced = {one.supersedes for one in chart.entries}
    return render_page(
        request, "subject", chart=chart, line=read_line(chart), stored=stored, result=result, replaced=replaced,
        asides=(), places={}, now=service.clock(),
    )  # fmt: skip


@router.get("/subjects/{identity}/course.ics")
def send_calendar(request: Request, identity: str, person: Reader) -> Response:
    """The planned infusions as a calendar file."""
    service, _ = of_app(request)
    chart = Subjects(service).chart(identity)
    stored = service.read(chart.screenings[-1].assessment_id, person.caller, "calendar") if chart.screenings else None
    if stored is None:
        raise ProblemError(404, "not_found", "Nothing was assessed yet, so nothing is planned.")
    practice = service.knowledge.practices[service.knowledge.protocols[chart.subject.protocol_id].practice]
    content = write_calendar(assessments.read_answer(stored), chart.subject.number, length(practice.duration))
    return Response(content, media_type="text/calendar; charset=utf-8")


@router.get("/audit")
def show_audit(request: Request, person: Auditor) -> Response:
    """The newest entries of the audit trail, and whether the chain holds."""
    service, _ = of_app(request)
    with service.database.reading() as session:
        fault = audit.find_fault(session)
        query = select(AuditEntry).order_by(AuditEntry.sequence.desc()).limit(_SHOWN_ENTRIES)
        entries = list(session.execute(query).scalars())
    return render_page(request, "audit", entries=entries, fault=fault, most=_SHOWN_ENTRIES)


def _lines(service: Service, protocol: str = "", verdict: str = "", words: str = "") -> list[LogLine]:
    lines = [read_line(one) for one in Subjects(service).charts()]
    return in_order(
        one
        for one in lines
        if protocol in ("", one.protocol)
        and verdict in ("", one.verdict)
        and words.strip().lower() in one.number.lower()
    )
