"""One recorded entry of a subject: what it says, what it corrects or was corrected by, and a form to correct it."""

from __future__ import annotations

import secrets
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Request
from starlette.responses import Response

from mscprotocol.course_actions import CORRECTABLE, RECORDERS, Signing
from mscprotocol.course_amendments import RETRACTABLE, Amendment, amend
from mscprotocol.course_forms import FORMS, Form, Infusion, read_form
from mscprotocol.errors import DataError, RequestError
from mscprotocol.service import Caller
from mscprotocol.store import audit, signatures
from mscprotocol.store.subjects import newest_of
from mscprotocol.store.tables import SubjectEntry
from mscprotocol.subjects import Chart
from mscprotocol.web.pages import posted
from mscprotocol.web.pages.course import (
    REFUSED,
    Fields,
    Posted,
    Reader,
    Recorder,
    course_of,
    read_fields,
    read_token,
    typed_of,
    words_of,
)
from mscprotocol.web.pages.course_fields import fields_of, moments_of
from mscprotocol.web.pages.layout import render_page
from mscprotocol.web.pages.people import Person, of_app
from mscprotocol.web.pages.signing import NOT_SIGNED, prove
from mscprotocol.web.problems import ProblemError

router = APIRouter()
PATH = "/subjects/{identity}/entries/{entry}"
MEANING = "says whether an entry was made in error"
_AMENDMENTS: dict[str, Amendment] = {"in-error": "in_error", "reinstate": "reinstated"}


@router.get(PATH)
def show_entry(request: Request, identity: str, entry: str, person: Reader) -> Response:
    """What was recorded, and a form to put it right."""
    service, _ = of_app(request)
    chart = course_of(request).subjects.chart(identity)
    found = _find(chart, entry)
    with service.database.writing() as session:
        said = {"what": f"entry {found.sequence}"}
        audit.append(session, service.clock(), person.name, "read", f"Subject/{identity}", said)
    return _page(request, chart, found, person, None)


@router.post(PATH)
def correct(request: Request, identity: str, entry: str, person: Recorder, form: Posted) -> Response:
    """Record a correction beside what it corrects; what was refused is told on the page, and nothing typed is lost."""
    course = course_of(request)
    chart = course.subjects.chart(identity)
    found, fields = _find(chart, entry), read_fields(form)
    if found.kind not in CORRECTABLE:
        raise ProblemError(404, "not_found", "There is no form to correct this.")
    try:
        said = typed_of(course, chart.subject, fields).read(found.kind)
        caller = Caller(person.name, person.roles)
        course.correct(identity, said, read_token(fields), entry, fields.get("reason", ""), caller)
    except (RequestError, DataError) as error:
        return _page(request, chart, found, person, fields, str(error), REFUSED.get(error.code, 422))
    return posted.see_other(request, f"/subjects/{identity}/course", "Corrected: both stand on record.")


@router.post(PATH + "/{what}")
def amend_entry(request: Request, identity: str, entry: str, what: str, person: Recorder, form: Posted) -> Response:
    """Set an entry aside as entered in error, or take that back; a clinician signs it."""
    course = course_of(request)
    chart = course.subjects.chart(identity)
    found, fields = _find(chart, entry), read_fields(form)
    if what not in _AMENDMENTS:
        raise ProblemError(404, "not_found", "There is no such step.")
    try:
        sign = _signing(request, person, fields) if "clinician" in person.roles else None
        caller = Caller(person.name, person.roles)
        amend(course, identity, entry, _AMENDMENTS[what], fields.get("why", ""), read_token(fields), caller, sign)
    except (RequestError, DataError) as error:
        return _page(request, chart, found, person, fields, str(error), REFUSED.get(error.code, 422))
    except ProblemError as error:
        if error.code != NOT_SIGNED:
            raise
        return _page(request, chart, found, person, fields, str(error), error.status)
    return posted.see_other(
        request, f"/subjects/{identity}/entries/{entry}", "Recorded: the subject was assessed anew."
    )


def _signing(request: Request, person: Person, fields: Fields) -> Signing:
    at, signer = course_of(request).service.clock(), prove(request, person, fields.get("password", ""))
    return lambda session, subject, content: signatures.sign(session, at, signer, MEANING, subject, content)


def _page(
    request: Request, chart: Chart, entry: SubjectEntry, person: Person, fields: Fields | None, error: str = "",
    status: int = 200,
) -> Response:  # fmt: skip
    course = course_of(request)
    form = read_form(entry.content, FORMS[entry.kind]) if entry.kind in FORMS else None
    said = {} if form is None else fields_of(form, ZoneInfo(chart.subject.zone))
    deviation = form.deviation if isinstance(form, Infusion) else None
    is_running = isinstance(form, Infusion) and form.status == "in-progress"
    return render_page(
        request, "entry", status, chart=chart, entry=entry, said=said, error=error,
        fields=said if fields is None else fields, is_running=is_running, deviation=deviation,
        moments={} if form is None else moments_of(form),
        state=chart.state_of(entry), is_clinician="clinician" in person.roles, has_password=person.has_password,
        may_amend=entry.kind in RETRACTABLE and bool(person.roles & RECORDERS),
        corrects=next((one for one in chart.entries if one.id == entry.supersedes), None),
        corrected_by=None if (newest := newest_of(chart.entries, entry)) is entry else newest,
        may_correct=_may_correct(chart, entry, form, person), token=secrets.token_urlsafe(24),
        **words_of(course, chart.subject),
    )  # fmt: skip


def _may_correct(chart: Chart, entry: SubjectEntry, form: Form | None, person: Person) -> bool:
    return bool(person.roles & RECORDERS) and form is not None and entry.kind in CORRECTABLE and entry in chart.standing


def _find(chart: Chart, entry: str) -> SubjectEntry:
    found = next((one for one in chart.entries if one.id == entry), None)
    if found is None:
        raise ProblemError(404, "not_found", "There is no entry of that id.")
    return found
