"""A stored assessment as people read it: the answer in short, and its checklist to print."""

from __future__ import annotations

from typing import Annotated

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Depends, Request
from starlette.responses import HTMLResponse, Response

from mscprotocol.rendering import render_html
from mscprotocol.store import assessments
from mscprotocol.web.pages.layout import render_page
from mscprotocol.web.pages.people import Person, of_app, require
from mscprotocol.web.pages.screening_result import Result
from mscprotocol.web.stored import SHEET_POLICY, answer_for_sheet, find_stored, make_pdf

router = APIRouter()
# Who waits for a PDF waits here, and holds no thread that others need.
_ONE = CapacityLimiter(1)
Reader = Annotated[Person, Depends(require("coordinator", "clinician", "auditor"))]


@router.get("/assessments/{identity}")
def show_assessment(request: Request, identity: str, person: Reader) -> Response:
    """What a stored assessment said, with its hashes and links to its sheet."""
    service, _ = of_app(request)
    stored = find_stored(service, identity, person.caller, "page")
    answer = assessments.read_answer(stored)
    is_current = stored.rulebase_sha256 == service.knowledge.sha256
    result = Result(answer, service.knowledge) if is_current else None
    return render_page(request, "assessment", stored=stored, answer=answer, result=result, asides=(), places={})


@router.get("/assessments/{identity}/checklist")
def show_checklist(request: Request, identity: str, person: Reader) -> Response:
    """The checklist as one page to print."""
    service, _ = of_app(request)
    page = render_html(answer_for_sheet(service, identity, person.caller), service.knowledge)
    return HTMLResponse(page, headers={"content-security-policy": SHEET_POLICY})


@router.get("/assessments/{identity}/checklist.pdf")
async def send_pdf(request: Request, identity: str, person: Reader) -> Response:
    """The checklist as PDF; 406 where the installation cannot make any."""
    service, _ = of_app(request)

    def work() -> bytes:
        return make_pdf(answer_for_sheet(service, identity, person.caller), service.knowledge)

    content = await to_thread.run_sync(work, limiter=_ONE)
    name = f"checklist-{identity[:8]}.pdf"
    return Response(
        content, media_type="application/pdf", headers={"content-disposition": f'inline; filename="{name}"'}
    )
