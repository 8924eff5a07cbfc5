"""The screening page: choose a protocol, upload or fill in, and see at once what follows; it works without scripts."""

from __future__ import annotations

import secrets
from datetime import timedelta
from typing import Annotated
from zoneinfo import available_timezones

from fastapi import APIRouter, Depends, Request
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData, UploadFile
from starlette.responses import Response

from mscprotocol.errors import DataError, RequestError
from mscprotocol.knowledge import KnowledgeBase
from mscprotocol.protocols import STAGES
from mscprotocol.store import audit, drafts, subjects, tables
from mscprotocol.subject_chart import Recorded
from mscprotocol.web.pages.layout import render_page, render_part
from mscprotocol.web.pages.people import Person, of_app, require
from mscprotocol.web.pages.posted import read_form, see_other, text_of
from mscprotocol.web.pages.screening_result import Result, places_of
from mscprotocol.web.pages.screening_saving import save
from mscprotocol.web.pages.screening_slips import find_unused, is_said
from mscprotocol.web.pages.screening_state import Screening, find_unreadable, judge, read_level
from mscprotocol.web.problems import status_of

PATH = "/screening"
JUST_SAVED = timedelta(minutes=15)
NOT_LOADED = (
    "The export was not loaded: {why}. A FHIR R4 bundle, a JSON record or HL7 v2 messages of one patient can be read: "
    "check that all of it is there, and load it again. What was loaded before and what is typed stay."
)
NOT_SAVED = (
    "Nothing is saved yet. The export that was chosen had not been loaded; now it is. Look at what follows with it, "
    "and save then."
)
GONE = (
    "The export that was loaded is no longer kept here: exports wait in a form for a day. Load it again; what was "
    "typed stays."
)
Saved = tuple[tables.Screening, tables.Subject] | None
router = APIRouter()
Screener = Annotated[Person, Depends(require("coordinator", "clinician"))]
Posted = Annotated[FormData, Depends(read_form)]


class Fields(dict[str, str]):
    """What was typed, by field; a field that was not sent is empty."""

    def __missing__(self, name: str) -> str:
        return ""


@router.get(PATH)
def show_screening(request: Request, person: Screener) -> Response:
    """An empty form of a protocol, or for more data of a subject; who has just saved one is led there."""
    service, _ = of_app(request)
    with service.database.reading() as session:
        saved = subjects.newest_screening(session, person.name, service.clock() - JUST_SAVED)
        known = subjects.find(session, request.query_params.get("subject", ""))
    fields = Fields({name: value for name, value in request.query_params.items() if name in ("protocol", "stage")})
    if known is not None:
        fields |= {"protocol": known.protocol_id, "zone": known.zone, "subject": known.number}
        fields |= {"dose_level": known.dose_level or ""}
    return _render(request, person, fields, _judge(request, person, fields), saved=saved, known=known)


@router.post(PATH)
async def screen(request: Request, person: Screener, form: Posted) -> Response:
    """The whole page again with what was typed, what was uploaded, and what follows."""
    content = await _sent(form)
    fields = _fields(form)
    if text_of(form, "drop"):
        fields.pop("draft", None)
    return await run_in_threadpool(_screen, request, person, fields, content)


def _screen(request: Request, person: Person, fields: Fields, content: bytes | None, done: str = "") -> Response:
    """The page with an export that was sent just now, if one was and can be read; `done` tells what became of it."""
    service, settings = of_app(request)
    if content is not None:
        why = find_unreadable(content, service.knowledge, fields, settings.zone)
        if why:
            notice = NOT_LOADED.format(why=why.rstrip("."))
            return _page(request, person, fields, 422, notice=notice)
        with service.database.writing() as session:
            at = service.clock()
            fields["draft"] = drafts.keep(session, at, person.name, content)
            audit.append(session, at, person.name, "upload", f"Draft/{fields['draft']}")
        fields.pop("paste", None)
    return _page(request, person, fields, notice=done)


@router.post(f"{PATH}/result")
def show_result(request: Request, person: Screener, form: Posted) -> Response:
    """The part of the page that follows from the form, and the hints beside its fields."""
    fields = _fields(form)
    screening = _judge(request, person, fields)
    result = _result(screening, of_app(request)[0].knowledge)
    return render_part(
        "screening_result",
        screening=screening,
        result=result,
        is_swap=True,
        places=places_of(screening.form),
        zone=screening.typed.zone.key,
    )


@router.post(f"{PATH}/save")
async def save_screening(request: Request, person: Screener, form: Posted) -> Response:
    """Save what was uploaded and typed to a subject of the trial, and show the stored assessment.

    An export that was chosen and not loaded is loaded first: nobody has seen what follows with it.
    """
    content = await _sent(form)
    if content is not None:
        return await run_in_threadpool(_screen, request, person, _fields(form), content, NOT_SAVED)
    return await run_in_threadpool(_save, request, person, _fields(form))


def _save(request: Request, person: Person, fields: Fields) -> Response:
    service, _ = of_app(request)
    screening = _judge(request, person, fields)
    try:
        saved = save(service, screening, fields, person)
    except (DataError, RequestError) as error:
        screening.error = str(error)
        screening.at_fault = error.field if isinstance(error, RequestError) else ""
        return _render(request, person, fields, screening, status_of(error))
    if fields["draft"]:
        with service.database.writing() as session:
            drafts.drop(session, fields["draft"], person.name)
    return see_other(request, f"/assessments/{saved.assessment_id}", _tell(saved, len(screening.parts)))


def _tell(saved: Recorded, parts: int) -> str:
    """What was saved, and whether its number was known here: a slip in a number makes another subject."""
    is_new = saved.entry is None or saved.entry.sequence <= parts
    number, protocol = saved.subject.number, saved.subject.protocol_id
    what = "is a new subject" if is_new else "was known here, and is assessed by everything that is recorded"
    return f"Saved. {number} {what} ({protocol})."


async def _sent(form: FormData) -> bytes | None:
    """An export that was uploaded or pasted just now."""
    upload = form.get("upload")
    if isinstance(upload, UploadFile) and upload.filename:
        return await upload.read()
    pasted = text_of(form, "paste")
    return pasted.encode() if pasted else None


def _fields(form: FormData) -> Fields:
    return Fields({name: value for name, value in form.items() if isinstance(value, str)})


def _judge(request: Request, person: Person, fields: Fields) -> Screening:
    """What follows from the fields and the export that waits for them; nothing where that one waits no more."""
    service, settings = of_app(request)
    upload = _draft(request, person, fields)
    screening = judge(service.knowledge, fields, upload, service.clock(), settings.zone, _own_name(person))
    if upload is not None:
        patient = None if screening.answer is None else screening.answer.patient
        whose = drafts.Whose(None if patient is None else drafts.marks_of(patient), fields["subject"].strip())
        drafts.describe(service.database, fields["draft"], person.name, whose)
    elif fields["draft"]:
        screening.answer, screening.error, screening.at_fault = None, GONE, "upload"
    return screening


def _draft(request: Request, person: Person, fields: Fields) -> bytes | None:
    if not fields["draft"]:
        return None
    service, _ = of_app(request)
    with service.database.reading() as session:
        return drafts.read(session, fields["draft"], person.name, service.clock())


def _page(request: Request, person: Person, fields: Fields, status: int = 200, *, notice: str = "") -> Response:
    service, _ = of_app(request)
    screening = _judge(request, person, fields)
    if screening.answer is not None:
        with service.database.writing() as session:
            detail = {"protocol": screening.book.protocol.id}
            audit.append(session, service.clock(), person.name, "screen", _subject(fields), detail)
    return _render(request, person, fields, screening, status, notice=notice)


def _render(
    request: Request, person: Person, fields: Fields, screening: Screening, status: int = 200,
    *, saved: Saved = None, known: tables.Subject | None = None, notice: str = "",
) -> Response:  # fmt: skip
    service, _ = of_app(request)
    return render_page(
        request,
        "screening",
        status,
        saved=saved,
        known=known,
        notice=notice,
        screening=screening,
        result=_result(screening, service.knowledge),
        places=places_of(screening.form),
        fields=fields,
        unused=_unused(fields, screening),
        is_said=is_said,
        names=_names(service.knowledge),
        token=fields["token"] or secrets.token_urlsafe(16),
        protocols=list(service.knowledge.protocols.values()),
        stages=STAGES,
        levels=screening.book.protocol.dose.levels,
        level=read_level(fields["dose_level"], screening.book),
        zone=screening.typed.zone.key,
        zones=sorted(name for name in available_timezones() if "/" in name and not name.startswith("Etc/")),
        by=fields.get("by", _own_name(person)),
        reasons=service.knowledge.override_reasons,
        is_swap=False,
    )


def _unused(fields: Fields, screening: Screening) -> dict[str, str]:
    """What waits for another protocol; a dose level does where this protocol has one alone, and asks for none."""
    is_asked = len(screening.book.protocol.dose.levels) > 1
    waits = {} if is_asked or not fields["dose_level"] else {"dose_level": fields["dose_level"]}
    return waits | find_unused(fields, screening.form)


def _names(knowledge: KnowledgeBase) -> dict[str, str]:
    data = {name: one.text for name, one in knowledge.measurements.items()}
    return {"dose_level": "Dose level"} | data | {name: one.text for name, one in knowledge.conditions.items()}


def _own_name(person: Person) -> str:
    return "" if person.is_demo else person.full_name


def _subject(fields: Fields) -> str:
    return f"Draft/{fields['draft']}" if fields.get("draft") else "Form"


def _result(screening: Screening, knowledge: KnowledgeBase) -> Result | None:
    return None if screening.answer is None else Result(screening.answer, knowledge)
