"""Corrections that loosen a gate or change an infusion that took place: shown with what they do, and signed."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select
from starlette.testclient import TestClient

from mscprotocol.course_forms import FORMS, Events, Infusion, Lot, read_form
from mscprotocol.settings import Settings
from mscprotocol.store.tables import AuditEntry, Signature
from mscprotocol.web.app import create_app
from mscprotocol.web.pages.course_fields import fields_of as fill
from tests.store.people import COORDINATOR, SECOND, token
from tests.store.test_course import START, Ward, charted
from tests.web.conftest import CLOSED
from tests.web.pages.conftest import PASSWORD, SAME, add_user, sign_in
from tests.web.pages.subject_page import Page, local, named, sign_shown

HOUR = timedelta(hours=1)
WHY = "it was misread"
STOPPED = {"status": "stopped", "stop_reason": "wheeze"}


def people(page: Page) -> dict[str, Any]:
    """A coordinator and a clinician, each logged in."""
    service = page.ward.course.service
    app = create_app(Settings(**CLOSED, requests_per_minute=0), service)
    found = {}
    for name, role in (("carla", "coordinator"), ("dora", "clinician")):
        add_user(service, name, role)
        found[role] = TestClient(app, base_url="https://testserver")
        found[role].headers.update(SAME)
        assert sign_in(found[role], name) == 303
    return found


def path_of(page: Page, kind: str, nth: int = -1) -> str:
    kept = page.ward.course.subjects.chart(page.ward.subject).of_kind(kind)[nth]
    return f"{page.base}/entries/{kept.id}"


def fields_of(page: Page, path: str, change: dict[str, str] | None = None) -> dict[str, str]:
    """The form of an entry as the page fills it in, and as somebody changes it."""
    chart = page.ward.course.subjects.chart(page.ward.subject)
    kept = next(one for one in chart.entries if path.endswith(one.id))
    said = fill(read_form(kept.content, FORMS[kept.kind]), ZoneInfo("Europe/Berlin"))
    return named(kept.kind, said | (change or {})) | {"following": said.get("infusion", "")}


def given(ward: Ward, **more: str) -> None:
    ward.give(1, **more)
    ward.observe(1, START)
    ward.prepare(2)


@pytest.mark.parametrize(
    ("more", "change", "said"),
    [
        ({}, {"started": local(START - HOUR)}, "its start"),
        ({}, {"lot": "LOT-8"}, "its lot"),
        ({}, {"volume_ml": "95"}, "its volume"),
        ({}, {"status": "in-progress", "ended": ""}, "that it was completed"),
        (STOPPED, {"status": "completed", "stop_reason": ""}, "that it was stopped"),
        (STOPPED, {"status": "completed", "stop_reason": ""}, "last infusion: stopped"),
        ({}, {"status": "entered-in-error", "ended": ""}, "infusion 1: not given"),
    ],
)  # fmt: skip
def test_an_infusion_that_took_place_is_changed_by_who_signs(
    page: Page, more: dict[str, str], change: dict[str, str], said: str
) -> None:
    given(page.ward, **more)
    path, who = path_of(page, "infusion"), people(page)
    before = page.ward.course.subjects.chart(page.ward.subject).entries
    fields = fields_of(page, path, change) | {"reason": WHY, "token": "t" * 20}
    reply = who["coordinator"].post(path, data=fields)
    assert (reply.status_code, said in reply.text, "Sign and record it" in reply.text) == (403, True, False)
    reply = who["coordinator"].post(path, data=fields | {"seen": "0" * 64, "sign.password": PASSWORD})
    assert reply.status_code == 403
    shown = who["clinician"].post(path, data=fields | {"sign.password": PASSWORD})
    assert (shown.status_code, "As it would be" in shown.text) == (403, True)
    assert len(page.ward.course.subjects.chart(page.ward.subject).entries) == len(before)
    assert sign_shown(who["clinician"], path, shown.text, "wrong").status_code == 401
    assert len(page.ward.course.subjects.chart(page.ward.subject).entries) == len(before)
    assert sign_shown(who["clinician"], path, shown.text, PASSWORD).status_code == 200
    with page.ward.course.service.database.reading() as session:
        (signature,) = session.execute(select(Signature)).scalars()
        actions = [one.action for one in session.execute(select(AuditEntry)).scalars()]
    assert (signature.name, actions.count("refused")) == ("Dr Dora", 3)


def test_what_is_signed_is_what_was_shown(page: Page) -> None:
    given(page.ward, status="stopped", stop_reason="wheeze")
    path, clinician = path_of(page, "infusion"), people(page)["clinician"]
    fields = fields_of(page, path, {"status": "completed", "stop_reason": ""}) | {"reason": WHY, "token": "t" * 20}
    shown = clinician.post(path, data=fields).text
    other = shown.replace('name="infusion.volume_ml" value="100"', 'name="infusion.volume_ml" value="105"')
    reply = sign_shown(clinician, path, other, PASSWORD)
    assert (reply.status_code, "another effect now" in reply.text) == (409, True)
    form = Events(1, "before", page.ward.now, {"infusion_reaction": "yes"})
    page.ward.course.events(page.ward.subject, form, token(), COORDINATOR)
    reply = sign_shown(clinician, path, shown, PASSWORD)
    assert (reply.status_code, "another effect now" in reply.text) == (409, True)
    assert page.ward.course.view(page.ward.subject).gate.decision == "stop"


def test_a_running_infusion_is_ended_by_the_coordinator(page: Page) -> None:
    ward = page.ward
    ward.give(1)
    ward.observe(1, START)
    ward.prepare(2)
    ward.check(2)
    ward.check(2, who=SECOND)
    second = ward.now
    ward.course.infuse(ward.subject, Infusion(2, second, status="in-progress", lot="LOT-7"), token(), COORDINATOR)
    ward.clock.set(second + 2 * HOUR)
    path, coordinator = path_of(page, "infusion"), people(page)["coordinator"]
    change = {"ended": local(second + HOUR), "status": "completed", "volume_ml": "100"}
    fields = fields_of(page, path, change) | {"reason": "it has ended", "token": "t" * 20}
    moved = coordinator.post(path, data=fields | {"infusion.started": local(second - HOUR)})
    assert (moved.status_code, "its start" in moved.text) == (403, True)
    assert coordinator.post(path, data=fields).status_code == 200
    assert ward.course.view(ward.subject).infusions[-1].status == "completed"


@pytest.mark.parametrize("what", ["an event", "an open question", "a lot"])
def test_a_form_that_the_gate_holds_for_is_corrected_by_who_signs(page: Page, what: str) -> None:
    ward = page.ward
    given(ward)
    if what == "a lot":
        low = {"product_viability": {"value": "40 %", "at": ward.text(0.5)}}
        ward.course.lot(ward.subject, Lot(2, ward.product() | low), token(), COORDINATOR)
        path = path_of(page, "lot")
        fields = fields_of(page, path)
        fields["lot.product"] = fields["lot.product"].replace("40 %", "95 %")
    else:
        said = "yes" if what == "an event" else "unknown"
        ward.course.events(ward.subject, Events(1, "before", ward.now, {"new_infection": said}), token(), COORDINATOR)
        path = path_of(page, "events")
        fields = fields_of(page, path, {"q.new_infection": "no"})
    gate = ward.course.view(ward.subject).gate
    assert gate.decision == "hold"
    who, fields = people(page), fields | {"reason": WHY, "token": "t" * 20}
    assert who["coordinator"].post(path, data=fields).status_code == 403
    assert ward.course.view(ward.subject).gate == gate
    shown = who["clinician"].post(path, data=fields).text
    assert sign_shown(who["clinician"], path, shown, PASSWORD).status_code == 200
    assert ward.course.view(ward.subject).gate.decision == "go"


def test_a_reason_behind_another_one_is_not_taken_away_unseen(page: Page) -> None:
    """Hazard: while the gate stops or holds for something else, what would hold it later is taken away unsigned."""
    ward = page.ward
    given(ward)
    ward.course.subjects.record(ward.subject, charted(START + 5 * HOUR), COORDINATOR)  # a doubt
    ward.course.events(ward.subject, Events(1, "before", ward.now, {"new_infection": "yes"}), token(), COORDINATOR)
    path, coordinator = path_of(page, "bundle"), people(page)["coordinator"]
    reply = coordinator.post(f"{path}/in-error", data={"why": WHY, "token": "t" * 20})
    assert (reply.status_code, "SCH-01: unknown" in reply.text) == (403, True)


def test_what_stops_hides_nothing_that_holds(page: Page) -> None:
    ward = page.ward
    given(ward, status="stopped", stop_reason="line lost")
    form = Events(1, "before", ward.now, {"infusion_reaction": "yes"})
    ward.course.events(ward.subject, form, token(), COORDINATOR)
    gate = ward.course.view(ward.subject).gate
    assert (gate.decision, "last infusion: stopped" in gate.because) == ("stop", True)
