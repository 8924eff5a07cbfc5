"""The course page: the gate with every reason, and a form for each step; it works without scripts."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import msgspec
from fastapi import APIRouter, Depends, Request
from starlette.datastructures import FormData
from starlette.responses import Response

from mscprotocol.course_actions import Course
from mscprotocol.course_forms import (
    Consent,
    DoseCheck,
    Events,
    Form,
    Infusion,
    Lot,
    Override,
    Plan,
    Withdrawal,
    read_form,
)
from mscprotocol.errors import DataError, RequestError
from mscprotocol.service import Caller
from mscprotocol.store import audit, signatures
from mscprotocol.subjects import Subjects
from mscprotocol.web.pages import posted
from mscprotocol.web.pages.layout import render_page
from mscprotocol.web.pages.people import Person, of_app, require
from mscprotocol.web.pages.signing import prove
from mscprotocol.web.problems import ProblemError
from mscprotocol.yaml_files import YamlError, read_yaml

router = APIRouter()
Recorder = Annotated[Person, Depends(require("coordinator", "clinician"))]
Reader = Annotated[Person, Depends(require("coordinator", "clinician", "auditor"))]
Posted = Annotated[FormData, Depends(posted.read_form)]
Fields = Mapping[str, str]
_REFUSED = {"forbidden": 403, "not_found": 404, "conflict": 409, "gate_closed": 409, "dose_unchecked": 409}
MEANING = "sets the gate before one infusion aside"


@router.get("/subjects/{identity}/course")
def show_course(request: Request, identity: str, person: Reader) -> Response:
    """Where the course stands, and the next steps."""
    service, _ = of_app(request)
    with service.database.writing() as session:
        audit.append(session, service.clock(), person.name, "read", f"Subject/{identity}", {"what": "course"})
    return _page(request, identity, person, {})


@router.post("/subjects/{identity}/course/{action}")
def act(request: Request, identity: str, action: str, person: Recorder, form: Posted) -> Response:
    """Do one step, and come back to the page; what was refused is told there, and nothing typed is lost."""
    fields = {name: value.strip() for name, value in form.items() if isinstance(value, str)}
    fields["because"] = "\n".join(one for one in form.getlist("because") if isinstance(one, str))
    if action not in _ACTIONS:
        raise ProblemError(404, "not_found", "There is no such step.")
    course = _course(request)
    zone = ZoneInfo(course.subjects.chart(identity).subject.zone)
    try:
        _ACTIONS[action](_Step(request, course, identity, person, fields, zone))
    except (RequestError, DataError) as error:
        return _page(request, identity, person, fields, str(error), _REFUSED.get(error.code, 422))
    return posted.see_other(request, f"/subjects/{identity}/course", "Recorded.")


def _page(
    request: Request, identity: str, person: Person, fields: Fields, error: str = "", status: int = 200
) -> Response:
    course = _course(request)
    knowledge = course.subjects.knowledge
    failure, view = error, None
    try:
        view = course.view(identity)
    except DataError as problem:
        failure = failure or str(problem)
    texts = {name: one.text for name, one in (*knowledge.definitions.items(), *knowledge.criteria.items())}
    practice = knowledge.practices[knowledge.protocols[course.subjects.chart(identity).subject.protocol_id].practice]
    return render_page(
        request, "course", status, view=view, chart=course.subjects.chart(identity), error=failure, fields=fields,
        texts=texts, questions={name: knowledge.conditions[name].text for name in course.questions()},
        points=[f"{one.value.value} {one.value.unit}" for one in practice.event_forms],
        reasons=knowledge.override_reasons, token=secrets.token_urlsafe(24),
        may_record=bool(person.roles & {"coordinator", "clinician"}), is_clinician="clinician" in person.roles,
        has_password=person.has_password,
    )  # fmt: skip


class _Step:
    """One step of the course as it was sent."""

    def __init__(
        self, request: Request, course: Course, identity: str, person: Person, fields: Fields, zone: ZoneInfo
    ) -> None:
        self.request, self.course, self.identity, self.person = request, course, identity, person
        self.fields, self.zone = fields, zone

    @property
    def caller(self) -> Caller:
        return Caller(self.person.name, self.person.roles)

    def do(self, method: Callable[..., object], form: Form, **more: Any) -> None:
        token = self.fields.get("token", "")
        if not 16 <= len(token) <= 64:
            raise RequestError("invalid_request", "The form is not one of this page: open the page anew.")
        method(self.identity, form, token, self.caller, **more)

    def text(self, name: str) -> str:
        return self.fields.get(name, "")

    def read(self, kind: type[Any], values: dict[str, Any]) -> Any:
        """A form of some kind; what is empty was not said."""
        said = {name: value for name, value in values.items() if value not in ("", None)}
        return read_form(msgspec.json.encode(said), kind)

    def time(self, name: str) -> datetime | None:
        return None if not self.text(name) else read_local(self.text(name), self.zone)

    def number(self) -> int:
        text = self.text("infusion")
        if not text.isdigit():
            raise RequestError("invalid_request", "The number of the infusion is missing.")
        return int(text)


def read_local(text: str, zone: ZoneInfo) -> datetime:
    """A time as it is typed, in the zone of the subject; one that the clocks skip or show twice needs its offset.

    Raises RequestError `invalid_request`.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise RequestError("invalid_request", "A time is written like 2020-03-27T10:00.") from None
    if moment.tzinfo is not None:
        return moment
    offsets = {moment.replace(tzinfo=zone, fold=fold).utcoffset() for fold in (0, 1)}
    if len(offsets) > 1:
        raise RequestError(
            "invalid_request", "The clocks change at this time: write it with its offset, like 2020-03-29T02:30+01:00."
        )
    return moment.replace(tzinfo=zone)


def _consent(step: _Step) -> None:
    values = {"version": step.text("version"), "given": step.time("given"), "given_by": step.text("given_by")}
    step.do(step.course.consent, step.read(Consent, values))


def _plan(step: _Step) -> None:
    step.do(step.course.plan, step.read(Plan, {"start": step.time("start")}))


def _lot(step: _Step) -> None:
    try:
        said = read_yaml(step.text("product"))
    except YamlError:
        raise RequestError("invalid_request", "A lot is written as lines like: product_viability: 85 %.") from None
    step.do(step.course.lot, Lot(step.number(), {str(name): _plain(value) for name, value in said.items()}))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _plain(one) for name, one in value.items()}
    return value if isinstance(value, bool) or value is None else str(value)


def _dose(step: _Step) -> None:
    values = {"infusion": step.number(), "cells": step.text("cells"), "volume_ml": step.text("volume_ml")}
    step.do(step.course.check_dose, step.read(DoseCheck, values))


def _infusion(step: _Step) -> None:
    values: dict[str, Any] = {"infusion": step.number(), "started": step.time("started"), "ended": step.time("ended")}
    values |= {name: step.text(name) for name in ("status", "volume_ml", "lot", "stop_reason")}
    step.do(step.course.infuse, step.read(Infusion, values))


def _events(step: _Step) -> None:
    answers = {name: step.text(f"q.{name}") for name in step.course.questions() if step.text(f"q.{name}")}
    values: dict[str, Any] = {"infusion": step.number(), "observed": step.time("observed"), "answers": answers}
    values |= {"point": step.text("point"), "note": step.text("note")}
    step.do(step.course.events, step.read(Events, values))


def _override(step: _Step) -> None:
    signer = prove(step.request, step.person, step.text("password"))
    at = step.course.service.clock()
    because = step.text("because").splitlines()
    form = Override(step.number(), step.text("code"), step.text("text") or "-", because, at)
    step.do(
        step.course.override,
        form,
        sign=lambda session, subject, content: signatures.sign(session, at, signer, MEANING, subject, content),
    )


def _withdrawal(step: _Step) -> None:
    step.do(step.course.withdraw, step.read(Withdrawal, {"at": step.time("at"), "text": step.text("text")}))


_ACTIONS: dict[str, Callable[[_Step], None]] = {
    "consent": _consent,
    "plan": _plan,
    "lot": _lot,
    "dose": _dose,
    "infusion": _infusion,
    "events": _events,
    "override": _override,
    "withdrawal": _withdrawal,
}


def _course(request: Request) -> Course:
    return Course(Subjects(of_app(request)[0]))
