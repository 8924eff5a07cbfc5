"""The day's sheets: the checklists of all subjects who are due for an infusion on one day, as one page to print."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, datetime
from typing import Annotated
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, Request
from starlette.responses import HTMLResponse, Response

from mscprotocol.answer import Assessment
from mscprotocol.checklist_parts import print_date
from mscprotocol.schedule import TAKEN_PLACE
from mscprotocol.service import Service
from mscprotocol.store import assessments
from mscprotocol.store.subjects import Wanted
from mscprotocol.subjects import Subjects
from mscprotocol.web.pages.people import Person, of_app, require
from mscprotocol.web.problems import ProblemError
from mscprotocol.web.stored import SHEET_POLICY, find_sheet

router = APIRouter()
Reader = Annotated[Person, Depends(require("coordinator", "clinician", "auditor"))]
_MOST = 40
# All that names an element of a sheet, or refers to one by its name; what came with a record cannot hold the quote.
_NAMES = re.compile(
    r'((?:\bid|\bfor|\bheaders|\baria-labelledby|\baria-describedby)=")([^"]+)"|(\bhref="#|url\(#)([^")]+)'
)


@router.get("/worklist/sheets")
def print_sheets(request: Request, person: Reader, day: date | None = None) -> Response:
    """The sheets of everybody who is due on a day (today in the zone of the site, if none is named)."""
    service, settings = of_app(request)
    chosen = day or service.clock().astimezone(ZoneInfo(settings.zone)).date()
    wanted = list(_due(service, chosen))
    found = [find_sheet(service, one, person.caller) for one in wanted[:_MOST]]
    sheets = [one.html(service.knowledge) for one in found]
    if not sheets:
        text = f"Nobody is due for an infusion on {print_date(chosen)} by an answer of the present rules."
        raise ProblemError(404, "not_found", text)
    return HTMLResponse(_together(sheets, len(wanted)), headers={"content-security-policy": SHEET_POLICY})


def _due(service: Service, day: date) -> Iterator[str]:
    """The newest assessments of those who are due on a day, in the order of the worklist.

    By rules that have changed since a sheet would show others than were used: nobody of those is here.
    """
    lines, _ = Subjects(service).lines(Wanted())
    waiting = [one for one in lines if one.assessment_id and one.verdict != "ineligible" and not one.is_stopped]
    with service.database.reading() as session:
        for one in waiting:
            stored = assessments.find(session, one.assessment_id or "")
            is_current = stored is not None and stored.rulebase_sha256 == service.knowledge.sha256
            if is_current and stored is not None and is_due(assessments.read_answer(stored), day):
                yield stored.id


def is_due(answer: Assessment, day: date) -> bool:
    """Whether the next infusion of a course is planned for a day, or was before and may still be given on it."""
    following = next((row for row in answer.schedule if row.status not in TAKEN_PLACE), None)
    if following is None or following.status in ("missed", "closed"):
        return False
    planned, latest = (datetime.fromisoformat(text).date() for text in (following.planned, following.latest))
    return planned <= day <= max(planned, latest)


def _together(sheets: list[str], due: int) -> str:
    """Several sheets as one page: the head of the first, each body on a paper of its own, no name there twice."""
    head = sheets[0].partition("<body>")[0]
    bodies = [one.partition("<body>")[2].rpartition("</body>")[0] for one in sheets]
    named = [_renamed(body, f"s{number}-") for number, body in enumerate(bodies, 1)]
    more = f"<p>{due - _MOST} more are due: print them one by one.</p>" if due > _MOST else ""
    break_here = '<div style="break-after: page"></div>'
    return f"{head}<body>{more}{break_here.join(named)}</body></html>"


def _renamed(body: str, prefix: str) -> str:
    def rename(found: re.Match[str]) -> str:
        if found[1]:
            return found[1] + " ".join(prefix + name for name in found[2].split()) + '"'
        return found[3] + prefix + found[4]

    return _NAMES.sub(rename, body)
