"""One recorded entry of a subject: what it says, what it corrects or was corrected by, and a form to correct it."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from zoneinfo import ZoneInfo

import msgspec
from fastapi import APIRouter, Request
from starlette.responses import Response

from mscprotocol.checklist_parts import print_instant
from mscprotocol.course_actions import CORRECTABLE, Signed
from mscprotocol.course_amendments import RETRACTABLE, Amendment, amend
from mscprotocol.course_charts import find_doubts, tell_charted
from mscprotocol.course_effects import Effect, UnsignedError
from mscprotocol.course_forms import FORMS, Charted, Form, Infusion, Lot, read_form
from mscprotocol.errors import DataError, RequestError
from mscprotocol.knowledge import KnowledgeBase
from mscprotocol.roles import RECORDERS
from mscprotocol.service import Caller
from mscprotocol.store import audit
from mscprotocol.store.subjects import newest_of
from mscprotocol.store.tables import SubjectEntry
from mscprotocol.subject_chart import Chart
from mscprotocol.subject_record import read_infusions
from mscprotocol.web.pages import posted
from mscprotocol.web.pages.course import Posted, Reader, Recorder, course_of, typed_of, words_of
from mscprotocol.web.pages.course_fields import fields_of, moments_of, without_offsets
from mscprotocol.web.pages.course_sections import (
    Failure,
    Fields,
    other_fields,
    own_fields,
    problems_of,
    read_fields,
    read_token,
)
from mscprotocol.web.pages.effects import show_effect
from mscprotocol.web.pages.layout import render_page
from mscprotocol.web.pages.people import Person, of_app
from mscprotocol.web.pages.signing import NOT_SIGNED, signing
from mscprotocol.web.problems import ProblemError, status_of

router = APIRouter()
PATH = "/subjects/{identity}/entries/{entry}"
MEANING = "correction"  # what is signed here, as the rules name it
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
    """Record a correction beside what it corrects; what was refused is told on the page, and nothing typed is lost.

    One that loosens the gate, or changes an infusion that took place, is shown with what it does, and then signed.
    """
    course = course_of(request)
    chart = course.subjects.chart(identity)
    found, fields = _find(chart, entry), read_fields(form)
    if found.kind not in CORRECTABLE:
        raise ProblemError(404, "not_found", "There is no form to correct this.")

    def record(caller: Caller, signed: Signed | None) -> None:
        said = typed_of(course, chart.subject, own_fields(fields, found.kind)).read(found.kind)
        course.correct(identity, said, read_token(fields), entry, fields.get("reason", ""), caller, signed)

    refused = _attempt(request, chart, found, person, fields, "", record)
    return refused or posted.see_other(request, f"/subjects/{identity}/course", "Corrected: both stand on record.")


@router.post(PATH + "/charted")
def tell_chart(request: Request, identity: str, entry: str, person: Recorder, form: Posted) -> Response:
    """Say whether a chart of an upload is of the same infusion as one recorded here; signed where it opens the gate."""
    course = course_of(request)
    chart = course.subjects.chart(identity)
    found, fields = _find(chart, entry), read_fields(form)

    def record(caller: Caller, signed: Signed | None) -> None:
        own = {name: fields.get(f"charted.{name}", "") for name in ("reference", "said", "reason")}
        number = fields.get("charted.infusion", "")
        values = own | {"infusion": int(number) if number.isdecimal() else 0}
        told = read_form(msgspec.json.encode(values), Charted)
        tell_charted(course, identity, told, read_token(fields), caller, signed)

    refused = _attempt(request, chart, found, person, fields, "/charted", record)
    return refused or posted.see_other(
        request, f"/subjects/{identity}/course", "Recorded: the subject was assessed anew."
    )


@router.post(PATH + "/{what}")
def amend_entry(request: Request, identity: str, entry: str, what: str, person: Recorder, form: Posted) -> Response:
    """Set an entry aside as entered in error, or take that back; where it loosens the gate, a clinician signs it."""
    course = course_of(request)
    chart = course.subjects.chart(identity)
    found, fields = _find(chart, entry), read_fields(form)
    if what not in _AMENDMENTS:
        raise ProblemError(404, "not_found", "There is no such step.")

    def record(caller: Caller, signed: Signed | None) -> None:
        amend(course, identity, entry, _AMENDMENTS[what], fields.get("why", ""), read_token(fields), caller, signed)

    refused = _attempt(request, chart, found, person, fields, f"/{what}", record)
    return refused or posted.see_other(
        request, f"/subjects/{identity}/entries/{entry}", "Recorded: the subject was assessed anew."
    )


def _attempt(
    request: Request, chart: Chart, entry: SubjectEntry, person: Person, fields: Fields, action: str,
    record: Callable[[Caller, Signed | None], None],
) -> Response | None:  # fmt: skip
    """Record a change, signed if its effect was seen; the page that says why not, or what is to be signed."""
    effect = None
    try:
        record(Caller(person.name, person.roles), _signed(request, person, fields))
    except UnsignedError as error:
        failure, effect = Failure(str(error), status_of(error), entry.kind), error.effect
    except (RequestError, DataError) as error:
        failure = Failure(str(error), status_of(error), "" if action else entry.kind, problems_of(error, entry.kind))
    except ProblemError as error:
        if error.code != NOT_SIGNED:
            raise
        failure = Failure(str(error), error.status)
    else:
        return None
    chart = course_of(request).subjects.chart(chart.subject.id)
    return _page(request, chart, entry, person, fields, failure, effect=effect, action=action)


def _signed(request: Request, person: Person, fields: Fields) -> Signed | None:
    """The signature of a clinician who has seen what follows; nobody signs what was not shown."""
    seen = fields.get("seen", "")
    if not seen or "clinician" not in person.roles:
        return None
    return Signed(signing(request, person, fields.get("sign.password", ""), MEANING), seen)


def _page(
    request: Request, chart: Chart, entry: SubjectEntry, person: Person, fields: Fields | None,
    failure: Failure | None = None, *, effect: Effect | None = None, action: str = "",
) -> Response:  # fmt: skip
    """The entry with a form that corrects it; if another has corrected it meanwhile, the form corrects that one."""
    course, zone = course_of(request), ZoneInfo(chart.subject.zone)
    newest = newest_of(chart.entries, entry)
    target = entry if fields is None else _last_correction(chart, entry)
    form, current = _form_of(entry), _form_of(target)
    may_correct = _may_correct(chart, target, current, person)
    known = {} if current is None else {f"{entry.kind}.{name}": one for name, one in fields_of(current, zone).items()}
    deviation = form.deviation if isinstance(form, Infusion) else None
    is_running = isinstance(current, Infusion) and current.status == "in-progress"
    shown = None
    if effect is not None:
        is_correction = action == "" and fields is not None and form is not None
        own = own_fields(fields or {}, entry.kind)
        after = typed_of(course, chart.subject, own).read(entry.kind) if is_correction else None
        shown = show_effect(effect, action, form, after, zone, course.subjects.knowledge)
    return render_page(
        request, "entry", 200 if failure is None else failure.status, chart=chart, entry=entry, failure=failure,
        said={} if form is None else _said(form, zone, course.subjects.knowledge), effect=shown,
        fields=known if fields is None else fields, is_running=is_running, deviation=deviation, target=target,
        unrecorded={} if fields is None or may_correct else other_fields(fields, ""),
        number="" if current is None else str(getattr(current, "infusion", "")),
        moments={} if form is None else moments_of(form),
        state=chart.state_of(entry), is_clinician="clinician" in person.roles, has_password=person.has_password,
        doubt_choices=[(one, one) for one in find_doubts(course, chart, entry)],
        infusion_choices=[(str(one.infusion), str(one.infusion)) for one in read_infusions(chart.standing)],
        may_amend=entry.kind in RETRACTABLE and bool(person.roles & RECORDERS),
        corrects=next((one for one in chart.entries if one.id == entry.supersedes), None),
        corrected_by=None if newest is entry else newest,
        may_correct=may_correct, token=secrets.token_urlsafe(24),
        **words_of(course, chart.subject),
    )  # fmt: skip


def _said(form: Form, zone: ZoneInfo, knowledge: KnowledgeBase) -> dict[str, str]:
    """What an entry says, field by field; a lot datum by datum."""
    if not isinstance(form, Lot):
        return without_offsets(fields_of(form, zone))
    found = {"infusion": str(form.infusion)}
    for name, said in form.product.items():
        value, at = (said.get("value"), said.get("at")) if isinstance(said, dict) else (said, None)
        words = print_instant(str(value)) + (f", at {print_instant(str(at))}" if at else "")
        found[knowledge.measurements[name].text if name in knowledge.measurements else name] = words
    return found


def _last_correction(chart: Chart, entry: SubjectEntry) -> SubjectEntry:
    newest = newest_of(chart.entries, entry)
    return entry if newest is entry or newest.kind != entry.kind else _last_correction(chart, newest)


def _form_of(entry: SubjectEntry) -> Form | None:
    return read_form(entry.content, FORMS[entry.kind]) if entry.kind in FORMS else None


def _may_correct(chart: Chart, entry: SubjectEntry, form: Form | None, person: Person) -> bool:
    return bool(person.roles & RECORDERS) and form is not None and entry.kind in CORRECTABLE and entry in chart.standing


def _find(chart: Chart, entry: str) -> SubjectEntry:
    found = next((one for one in chart.entries if one.id == entry), None)
    if found is None:
        raise ProblemError(404, "not_found", "There is no entry of that id.")
    return found
