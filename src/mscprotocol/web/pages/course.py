"""The course page: the gate with every reason, and a form for each step; it works without scripts."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, Request
from starlette.datastructures import FormData
from starlette.responses import Response

from mscprotocol.course_actions import Course, GateClosedError
from mscprotocol.course_amendments import RETRACTABLE
from mscprotocol.course_checks import FiledError
from mscprotocol.course_deviations import deviate
from mscprotocol.course_forms import Death, Form, Infusion, Override, read_form
from mscprotocol.errors import DataError, RequestError
from mscprotocol.rulebook import compile_rulebook
from mscprotocol.service import Caller
from mscprotocol.store import audit
from mscprotocol.store.subjects import IN_ERROR, REINSTATED
from mscprotocol.store.tables import Subject
from mscprotocol.subject_chart import Chart
from mscprotocol.subject_record import next_infusion, read_infusions, recorded_lot
from mscprotocol.subjects import Subjects
from mscprotocol.web.pages import posted
from mscprotocol.web.pages.course_fields import CourseFields, field_labels
from mscprotocol.web.pages.course_sections import (
    NUMBERED,
    STEPS,
    STILL_TYPED,
    Failure,
    Fields,
    other_fields,
    own_fields,
    problems_of,
    read_fields,
    read_token,
    typed_steps,
)
from mscprotocol.web.pages.gate_lines import explain_gate
from mscprotocol.web.pages.layout import render_page
from mscprotocol.web.pages.people import Person, of_app, require
from mscprotocol.web.pages.screening_fields import build_form
from mscprotocol.web.pages.screening_result import places_of
from mscprotocol.web.pages.signing import NOT_SIGNED, signing
from mscprotocol.web.problems import ProblemError, status_of

router = APIRouter()
Recorder = Annotated[Person, Depends(require("coordinator", "clinician"))]
Reader = Annotated[Person, Depends(require("coordinator", "clinician", "auditor"))]
Posted = Annotated[FormData, Depends(posted.read_form)]
NO_STEP = "Nothing was recorded: press the button of the step that you mean."
# What is signed by these acts, as the rules name it.
SETTING_ASIDE, DEVIATING = "set-aside", "deviation"
# The entries that the page lists, each with a page of its own.
SHOWN = (*RETRACTABLE, "infusion", IN_ERROR, REINSTATED)
# An infusion that is refused for one of these can be recorded as a protocol deviation.
AGAINST = ("gate_closed", "course_complete", "dose_unchecked", "not_as_checked")


@router.get("/subjects/{identity}/course")
def show_course(request: Request, identity: str, person: Reader) -> Response:
    """Where the course stands, and the next steps."""
    service, _ = of_app(request)
    with service.database.writing() as session:
        audit.append(session, service.clock(), person.name, "read", f"Subject/{identity}", {"what": "course"})
    return _page(request, identity, person, {})


@router.post("/subjects/{identity}/course")
def keep_typed(request: Request, identity: str, person: Recorder, form: Posted) -> Response:
    """What the Enter key sends: nothing is recorded, for nobody said which step was meant."""
    return _page(request, identity, person, read_fields(form), Failure(NO_STEP, 422))


@router.post("/subjects/{identity}/course/{action}")
def act(request: Request, identity: str, action: str, person: Recorder, form: Posted) -> Response:
    """Do one step, and come back to the page; what was refused is told there, and nothing typed is lost."""
    fields = read_fields(form)
    if action not in _ACTIONS:
        raise ProblemError(404, "not_found", "There is no such step.")
    course, step = course_of(request), STEPS.get(action, action)
    try:
        typed = typed_of(course, course.subjects.chart(identity).subject, own_fields(fields, step))
        _ACTIONS[action](_Step(request, course, identity, person, typed, read_token(fields, step)))
    except (RequestError, DataError) as error:
        because = error.gate.because if isinstance(error, GateClosedError) else ()
        filed = error.entry if isinstance(error, FiledError) else ""
        failure = Failure(str(error), status_of(error), step, problems_of(error, step), because, filed)
        return _page(request, identity, person, fields, failure, is_against=_is_against(action, error.code))
    except ProblemError as error:
        if error.code != NOT_SIGNED:
            raise
        failure = Failure(str(error), error.status, step)
        return _page(request, identity, person, fields, failure, is_against=action == "deviation")
    return _go_on(request, identity, person, fields, step)


def _is_against(action: str, code: str) -> bool:
    return action == "deviation" or code in AGAINST


def _go_on(request: Request, identity: str, person: Person, fields: Fields, done: str) -> Response:
    """To the page as it is now; what was typed for other steps comes along, for it is not recorded yet."""
    other = other_fields(fields, done)
    following = next_infusion(course_of(request).subjects.chart(identity).standing)
    if not other:
        return posted.see_other(request, f"/subjects/{identity}/course", "Recorded.")
    stays = {name: said for name, said in other.items() if not _is_of_another(name, fields, following)}
    lost = {name: said for name, said in other.items() if name not in stays}
    return _page(request, identity, person, stays, flash="Recorded. " + STILL_TYPED, unrecorded=lost)


def _is_of_another(name: str, fields: Fields, following: int) -> bool:
    """Whether a field is about the infusion that was the next one, and is no more."""
    return name.partition(".")[0] in NUMBERED and fields.get("following") != str(following)


def _page(
    request: Request, identity: str, person: Person, fields: Fields, failure: Failure | None = None,
    *, is_against: bool = False, flash: str = "", unrecorded: Fields | None = None,
) -> Response:  # fmt: skip
    course = course_of(request)
    view, chart = None, course.subjects.chart(identity)
    try:
        view = course.view(identity)
    except DataError as problem:
        if read_death(chart) is None:
            failure = failure or Failure(str(problem), 200)
        unrecorded = other_fields(fields, "")
    reasons = [] if view is None else explain_gate(view.answer, course.subjects.knowledge)
    said = {"flash": flash} if flash else {}
    return render_page(
        request, "course", 200 if failure is None else failure.status, gate_lines=reasons,
        death=read_death(chart), infusions=read_infusions(chart.standing),
        running=_running(chart), unmeasured=_unmeasured(chart), view=view,
        chart=chart, failure=failure, fields=fields, typed_steps=typed_steps(fields),
        is_against=is_against, unrecorded=unrecorded or {},
        token=secrets.token_urlsafe(24), shown=SHOWN, is_clinician="clinician" in person.roles,
        may_record=bool(person.roles & {"coordinator", "clinician"}), has_password=person.has_password,
        lot=recorded_lot(chart.standing) or "", **words_of(course, chart.subject), **said,
    )  # fmt: skip


def read_death(chart: Chart) -> Death | None:
    """The death that stands recorded, for the pages of a subject."""
    deaths = chart.of_kind("death")
    return read_form(deaths[-1].content, Death) if deaths else None


def _running(chart: Chart) -> list[dict[str, Any]]:
    """The infusions that are on record as still running, by number and entry."""
    forms = [(one.id, read_form(one.content, Infusion)) for one in chart.of_kind("infusion")]
    return [{"number": form.infusion, "entry": entry} for entry, form in forms if form.status == "in-progress"]


def _unmeasured(chart: Chart) -> list[dict[str, Any]]:
    """The infusions that are over and of which no volume is on record, by number and entry."""
    forms = [(one.id, read_form(one.content, Infusion)) for one in chart.of_kind("infusion")]
    over = ("completed", "stopped")
    return [{"number": one.infusion, "entry": id_} for id_, one in forms if one.status in over and not one.volume_ml]


def words_of(course: Course, subject: Subject) -> dict[str, Any]:
    """What the rules say that a course page shows: questions, points in time, fields of a lot."""
    knowledge = course.subjects.knowledge
    practice = knowledge.practices[knowledge.protocols[subject.protocol_id].practice]
    form = build_form(compile_rulebook(knowledge, subject.protocol_id))
    return {
        "zone": subject.zone,
        "labels": field_labels(),
        "questions": {name: knowledge.conditions[name].text for name in course.questions()},
        "points": [f"{one.value.value} {one.value.unit}" for one in practice.event_forms],
        "reasons": knowledge.override_reasons,
        "volume": str(practice.final_volume.value.value),
        "lot_fields": form.lot,
        "places": places_of(form),
    }


def typed_of(course: Course, subject: Subject, fields: Fields) -> CourseFields:
    """The fields of a course page with what it takes to read them."""
    form = build_form(compile_rulebook(course.subjects.knowledge, subject.protocol_id))
    now = course.service.clock()
    return CourseFields(fields, ZoneInfo(subject.zone), now, tuple(course.questions()), form)


class _Step:
    """One step of the course as it was sent."""

    def __init__(
        self, request: Request, course: Course, identity: str, person: Person, typed: CourseFields, token: str
    ) -> None:
        self.request, self.course, self.identity = request, course, identity
        self.person, self.typed, self.token = person, typed, token

    def do(self, method: Callable[..., object], form: Form, **more: Any) -> None:
        method(self.identity, form, self.token, Caller(self.person.name, self.person.roles), **more)


def _override(step: _Step) -> None:
    typed, at = step.typed, step.course.service.clock()
    sign = signing(step.request, step.person, typed.text("password"), SETTING_ASIDE)
    because = typed.text("because").splitlines()
    step.do(
        step.course.override,
        Override(typed.number(), typed.text("code"), typed.text("text"), because, at),
        sign=sign,
    )


def _deviation(step: _Step) -> None:
    typed = step.typed
    form, reason = typed.read("infusion"), typed.text("deviation")
    assert isinstance(form, Infusion)
    sign = signing(step.request, step.person, typed.text("password"), DEVIATING)
    caller = Caller(step.person.name, step.person.roles)
    deviate(step.course, step.identity, form, reason, step.token, caller, sign)


_ACTIONS: dict[str, Callable[[_Step], None]] = {
    "consent": lambda step: step.do(step.course.consent, step.typed.read("consent")),
    "plan": lambda step: step.do(step.course.plan, step.typed.read("plan")),
    "lot": lambda step: step.do(step.course.lot, step.typed.read("lot")),
    "dose": lambda step: step.do(step.course.check_dose, step.typed.read("dose_check")),
    "infusion": lambda step: step.do(step.course.infuse, step.typed.read("infusion")),
    "deviation": _deviation,
    "events": lambda step: step.do(step.course.events, step.typed.read("events")),
    "override": _override,
    "withdrawal": lambda step: step.do(step.course.withdraw, step.typed.read("withdrawal")),
    "death": lambda step: step.do(step.course.die, step.typed.read("death")),
}


def course_of(request: Request) -> Course:
    """The courses of the installation behind a request."""
    return Course(Subjects(of_app(request)[0]))
