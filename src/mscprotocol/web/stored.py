"""Stored assessments as the doors give them out: with an unbroken seal only, each reading written down."""

from __future__ import annotations

from dataclasses import dataclass

from anyio import CapacityLimiter, to_thread
from starlette.responses import Response

from mscprotocol.answer import Assessment
from mscprotocol.knowledge import KnowledgeBase
from mscprotocol.needs import has_expired
from mscprotocol.rendering import RenderingError, render_html, render_pdf
from mscprotocol.retention import find_expiry
from mscprotocol.service import Answered, Caller, Service
from mscprotocol.sign_off import SignedOff, list_signed
from mscprotocol.store import assessments
from mscprotocol.store.tables import StoredAssessment
from mscprotocol.web.problems import ProblemError

# The sheet carries its own style and nothing else; it is the only page here that is shown as it is.
SHEET_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
MOST_WAITING = 4


def place_of(answered: Answered) -> str:
    """Where a stored assessment is read again, with its checklist below it."""
    return f"/api/v1/assessments/{answered.id}"


_RETRY_SECONDS = 30


def find_stored(service: Service, identity: str, caller: Caller, what: str) -> StoredAssessment:
    """A stored assessment. Raises ProblemError 404, 410 for one that has expired, and 409 for one that was altered."""
    stored = service.read(identity, caller, what)
    if stored is None:
        with service.database.reading() as session:
            expiry = find_expiry(session, identity)
        if expiry is not None:
            raise ProblemError(410, "expired", f"The assessment {expiry}.")
        raise ProblemError(404, "not_found", "There is no assessment of that id.")
    if assessments.seal(stored) != stored.seal_sha256:
        raise ProblemError(409, "altered", "The stored assessment was altered and is not given out.")
    return stored


@dataclass(frozen=True)
class Sheet:
    """An answer whose checklist is wanted, who has signed it, and whether it holds no longer."""

    answer: Assessment
    signed: list[SignedOff]
    has_expired: bool

    def html(self, knowledge: KnowledgeBase) -> str:
        """The checklist as a page."""
        return render_html(self.answer, knowledge, self.signed, has_expired=self.has_expired)


def find_sheet(service: Service, identity: str, caller: Caller) -> Sheet:
    """The answer whose checklist is wanted; 409 if the rules have changed, for it would show others than were used."""
    stored = find_stored(service, identity, caller, "checklist")
    if stored.rulebase_sha256 != service.knowledge.sha256:
        raise ProblemError(409, "rules_changed", "The rules have changed since: assess again, or read the answer.")
    with service.database.reading() as session:
        answer = assessments.read_answer(stored)
        return Sheet(answer, list_signed(session, stored), has_expired(answer, service.clock()))


class PdfQueue:
    """Who waits for a PDF: a sheet is set for many seconds, so one at a time, and whoever waits holds no thread."""

    def __init__(self) -> None:
        self._turn = CapacityLimiter(1)
        self._inside = 0

    async def make(self, service: Service, identity: str, caller: Caller) -> Response:
        """The checklist of a stored assessment as PDF.

        Raises ProblemError as `find_sheet` does, 406 where the installation cannot make any, and 503 with the
        seconds to wait where as many wait as may.
        """
        if self._inside > MOST_WAITING:
            text = "Many checklists are being made as PDF: try again in half a minute, or print the page."
            raise ProblemError(503, "busy", text, {"retry-after": str(_RETRY_SECONDS)})
        self._inside += 1
        try:
            content = await to_thread.run_sync(_make_pdf, service, identity, caller, limiter=self._turn)
        finally:
            self._inside -= 1
        name = f'inline; filename="checklist-{identity[:8]}.pdf"'
        return Response(content, media_type="application/pdf", headers={"content-disposition": name})


pdf_queue = PdfQueue()


def _make_pdf(service: Service, identity: str, caller: Caller) -> bytes:
    sheet = find_sheet(service, identity, caller)
    try:
        return render_pdf(sheet.html(service.knowledge))
    except RenderingError:
        text = "This installation makes no PDF: take the checklist as HTML and print that."
        raise ProblemError(406, "not_acceptable", text) from None
