"""What a person types in any text field of a course: never markup, a formula, a path or a template that is run."""

from __future__ import annotations

import csv
import html
import io
import json
import re
from datetime import timedelta
from html.parser import HTMLParser

import pytest
from starlette.testclient import TestClient

from mscprotocol.screening_log import read_line
from mscprotocol.service import Service
from mscprotocol.store.subjects import Wanted
from mscprotocol.subjects import Subjects
from tests.patients import severe_and_worsening
from tests.store.people import COORDINATOR, bundle, newcomer
from tests.store.test_course import START
from tests.web.conftest import NOW
from tests.web.pages.subject_page import Page, local, named

EVIL = (
    "<script id=evil>alert(1)</script>",
    '" onmouseover="alert(1)" id=\'evil\'',
    "</textarea></select></title></style><img id=evil src=x onerror=alert(1)>",
    "{{ 7 * 191 }}{% for x in y %}",
    "../../../../etc/passwd",
    "a\r\nset-cookie: evil=1",
    "safe\u202etxt.exe",
)
# All at once, for each page takes its time; only what stands first decides of a formula.
HOSTILE = {"markup": " ".join(EVIL), "formula": '=HYPERLINK("http://evil.example","x")'}
TIME = "2020-04-06T09:00"
# Every step of a course with a field of text, and what else it takes.
STEPS = {
    "consent": {"version": None, "given": TIME, "given_by": "patient"},
    "lot": {"lot": None, "at.lot": TIME},
    "lot file": {"product": None},
    "dose": {"cells": None, "volume_ml": None},
    "infusion": {"started": TIME, "status": "stopped", "stop_reason": None, "lot": None, "volume_ml": None},
    "deviation": {"started": TIME, "status": "in-progress", "lot": None, "deviation": None},
    "events": {"infusion": "1", "point": "6 h", "observed": TIME, "note": None, "q.infusion_reaction": None},
    "override": {"code": None, "text": None, "because": None},
    "withdrawal": {"at": TIME, "text": None},
}


class Marks(HTMLParser):
    """What a browser would make of a page: ids, handlers, scripts without an address."""

    def __init__(self) -> None:
        super().__init__()
        self.evil: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = dict(attrs)
        if (
            said.get("id") == "evil"
            or any(name.startswith("on") for name in said)
            or (tag, "src" in said) == ("script", False)
        ):
            self.evil.append(tag)


def check_inert(client: TestClient, *pages: str) -> None:
    for page in pages:
        marks = Marks()
        marks.feed(page)
        assert marks.evil == []
        assert "1337" not in re.sub(r"[0-9a-f]{20,}", "", page), "a template was run"
        assert "root:x:0" not in page
        assert "\u202e" not in re.sub(r'value="[^"]*"|<textarea.*?</textarea>', "", page, flags=re.S)
    assert "evil" not in client.cookies


@pytest.fixture
def subject(service: Service) -> str:
    people = Subjects(service)
    found = people.enrol(newcomer(), COORDINATOR).subject.id
    people.record(found, bundle(severe_and_worsening("anna", NOW.isoformat())), COORDINATOR)
    return found


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("kind", HOSTILE)
def test_every_field_of_a_course(demo: TestClient, service: Service, subject: str, step: str, kind: str) -> None:
    fields = {name: HOSTILE[kind] if said is None else said for name, said in STEPS[step].items()}
    place = f"/subjects/{subject}/course"
    action = step.split(maxsplit=1)[0]
    reply = demo.post(f"{place}/{action}", data={"token": "x" * 20, "following": "1"} | named(action, fields))
    assert reply.status_code in (200, 403, 409, 422)
    entries = [one.id for one in Subjects(service).chart(subject).entries]
    places = [place, f"/subjects/{subject}", "/worklist", "/audit"]
    places += [f"/subjects/{subject}/entries/{one}" for one in entries]
    check_inert(demo, reply.text, *(demo.get(one).text for one in places))
    log = demo.get("/worklist.csv").text
    cells = [cell for row in csv.reader(io.StringIO(log)) for cell in row]
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n"))]
    kept, _ = Subjects(service).lines(Wanted())
    assert [read_line(one).number for one in kept] == ["S-001"]


def record_everything(page: Page, text: str) -> None:
    """Every step of a course, each recorded with a hostile text in every field of it that takes text."""
    ward, hour = page.ward, timedelta(hours=1)
    ward.prepare(1)
    ward.clock.set(START + hour)
    given = {"given": local(START - hour), "given_by": "patient"}
    times = {"started": local(START), "ended": local(START + hour)}
    sent: list[tuple[str, dict[str, str]]] = [
        ("consent", {"version": text[:200]} | given),
        (
            "lot",
            {
                "lot": text,
                "at.lot": local(START),
                "d.product_viability.0.value": "85",
                "d.product_viability.0.unit": "%",
            },
        ),
        ("lot", {"product": json.dumps({"lot": text, text: text, "product_gram": {"value": text}})}),
        ("deviation", times | {"status": "stopped", "stop_reason": text, "lot": text, "deviation": text}),
        ("events", {"infusion": "1", "point": "before", "observed": local(START + hour), "note": text}),
        ("withdrawal", {"at": local(START + hour), "text": text}),
    ]
    for action, fields in sent:
        assert page.send(action, fields)[0] == 200, action
    assert page.correct(page.link_to("consent"), text, version=text[:199] + "!", **given)[0] == 200
    path = page.link_to("plan") if ward.course.subjects.chart(ward.subject).of_kind("plan") else page.link_to("lot")
    reply = page.client.post(f"{path}/in-error", data={"token": "a" * 20, "why": text})
    assert reply.status_code in (200, 403)
    if reply.status_code == 403:
        assert page.sign(f"{path}/in-error", reply.text).status_code == 200


@pytest.mark.parametrize("kind", HOSTILE)
def test_what_was_recorded_is_inert_wherever_it_is_shown(page: Page, kind: str) -> None:
    text = HOSTILE[kind]
    record_everything(page, text)
    chart = page.ward.course.subjects.chart(page.ward.subject)
    kinds = {one.kind for one in chart.entries}
    assert {"consent", "lot", "infusion", "events", "withdrawal", "in_error"} <= kinds
    places = [page.base, f"{page.base}/course", "/worklist", "/audit"]
    places += [f"{page.base}/entries/{one.id}" for one in chart.entries]
    newest = chart.screenings[-1].assessment_id
    places += [f"/assessments/{newest}", f"/assessments/{newest}/checklist"]
    pages = [page.client.get(one) for one in places]
    assert {one.status_code for one in pages} == {200}
    check_inert(page.client, *(one.text for one in pages))
    assert sum(text[:20] in html.unescape(one.text) for one in pages) > 5, "it is shown, not lost"
    log = page.client.get("/worklist.csv").text
    cells = [cell for row in csv.reader(io.StringIO(log)) for cell in row]
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n"))]
    calendar = page.client.get(f"{page.base}/course.ics").text
    assert text[:20] not in calendar
