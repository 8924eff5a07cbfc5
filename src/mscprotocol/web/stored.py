"""Stored assessments as the doors give them out: with an unbroken seal only, each reading written down."""

from __future__ import annotations

from mscprotocol.answer import Assessment
from mscprotocol.knowledge import KnowledgeBase
from mscprotocol.rendering import RenderingError, render_pdf
from mscprotocol.retention import find_expiry
from mscprotocol.service import Caller, Service
from mscprotocol.store import assessments
from mscprotocol.store.tables import StoredAssessment
from mscprotocol.web.problems import ProblemError

# The sheet carries its own style and nothing else; it is the only page here that is shown as it is.
SHEET_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)


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


def answer_for_sheet(service: Service, identity: str, caller: Caller) -> Assessment:
    """The answer whose checklist is wanted; 409 if the rules have changed, for it would show others than were used."""
    stored = find_stored(service, identity, caller, "checklist")
    if stored.rulebase_sha256 != service.knowledge.sha256:
        raise ProblemError(409, "rules_changed", "The rules have changed since: assess again, or read the answer.")
    return assessments.read_answer(stored)


def make_pdf(answer: Assessment, knowledge: KnowledgeBase) -> bytes:
    """The checklist as PDF. Raises ProblemError 406 where the installation cannot make any."""
    try:
        return render_pdf(answer, knowledge)
    except RenderingError:
        text = "This installation makes no PDF: take the checklist as HTML and print that."
        raise ProblemError(406, "not_acceptable", text) from None
