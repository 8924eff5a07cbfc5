"""A stored assessment as people read it: the answer in short, and its checklist to print."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import HTMLResponse, Response

from mscprotocol.needs import has_expired
from mscprotocol.sign_off import list_signed
from mscprotocol.store import assessments, subjects
from mscprotocol.web.pages.layout import render_page
from mscprotocol.web.pages.people import Person, of_app, require
from mscprotocol.web.pages.screening_result import Result
from mscprotocol.web.stored import SHEET_POLICY, find_sheet, find_stored, pdf_queue

router = APIRouter()
Reader = Annotated[Person, Depends(require("coordinator", "clinician", "auditor"))]


@router.get("/assessments/{identity}")
def show_assessment(request: Request, identity: str, person: Reader) -> Response:
    """What a stored assessment said, with its hashes and links to its sheet."""
    service, _ = of_app(request)
    stored = find_stored(service, identity, person.caller, "page")
    answer = assessments.read_answer(stored)
    is_current = stored.rulebase_sha256 == service.knowledge.sha256
    result = Result(answer, service.knowledge) if is_current else None
    with service.database.reading() as session:
        signed = list_signed(session, stored)
        subject = subjects.subject_of(session, identity)
        newest = None if subject is None else subjects.screenings(session, subject.id)[-1]
    return render_page(
        request, "assessment", stored=stored, answer=answer, result=result, asides=(), places={}, signed=signed,
        subject=subject, newer=newest if newest is not None and newest.assessment_id != identity else None,
        has_expired=has_expired(answer, service.clock()),
        meanings=service.knowledge.signature_meanings, is_clinician="clinician" in person.roles,
        has_password=person.has_password,
    )  # fmt: skip


@router.get("/assessments/{identity}/checklist")
def show_checklist(request: Request, identity: str, person: Reader) -> Response:
    """The checklist as one page to print."""
    service, _ = of_app(request)
    sheet = find_sheet(service, identity, person.caller)
    page = sheet.html(service.knowledge)
    return HTMLResponse(page, headers={"content-security-policy": SHEET_POLICY})


@router.get("/assessments/{identity}/checklist.pdf")
async def send_pdf(request: Request, identity: str, person: Reader) -> Response:
    """The checklist as PDF; 406 where the installation cannot make any, 503 where too many wait."""
    return await pdf_queue.make(of_app(request)[0], identity, person.caller)
