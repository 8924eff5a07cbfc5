"""The deviation on the pages: offered where an infusion is refused, signed, and told wherever the course is shown."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import select
from starlette.testclient import TestClient

from mscprotocol.settings import Settings
from mscprotocol.store.tables import Signature
from mscprotocol.web.app import create_app
from mscprotocol.web.pages.course import DEVIATING
from tests.databases import new_database
from tests.store.test_course import START, Ward
from tests.web.conftest import CLOSED
from tests.web.pages.conftest import PASSWORD, SAME, add_user, sign_in
from tests.web.pages.subject_page import form_of, local, named

EVIL = "<script>alert(1)</script>"


@pytest.fixture
def ward() -> Ward:
    database = new_database()
    made = Ward(database)
    made.prepare(1)
    made.clock.set(START + timedelta(hours=1))
    add_user(made.course.service, "carla", "coordinator")
    return made


@pytest.fixture
def client(ward: Ward) -> Iterator[TestClient]:
    app = create_app(Settings(**CLOSED, requests_per_minute=0), ward.course.service)
    with TestClient(app, base_url="https://testserver") as found:
        found.headers.update(SAME)
        assert sign_in(found, "carla") == 303
        yield found


FIELDS = {"started": local(START), "ended": local(START + timedelta(hours=1)), "status": "completed", "lot": "LOT-7"}


def send(ward: Ward, client: TestClient, action: str, **fields: str) -> tuple[int, str]:
    path = f"/subjects/{ward.subject}/course"
    hidden = form_of(client.get(path).text)
    reply = client.post(f"{path}/{action}", data=hidden | named(action, FIELDS | fields))
    return reply.status_code, reply.text


def test_where_an_infusion_is_refused_the_deviation_is_offered_and_nothing_is_lost(
    ward: Ward, client: TestClient
) -> None:
    page = client.get(f"/subjects/{ward.subject}/course").text
    assert "<details><summary>It was given although" in page
    status, page = send(ward, client, "infusion")
    assert (status, "Two people work the dose out" in page) == (409, True)
    assert "<details open><summary>It was given although" in page
    assert f'value="{FIELDS["started"]}"' in page
    status, page = send(ward, client, "deviation", deviation=EVIL, password="wrong")
    assert (status, "Not signed" in page) == (401, True)
    status, page = send(ward, client, "deviation", deviation="", password=PASSWORD)
    assert (status, "its reason in words" in page) == (422, True)
    assert PASSWORD not in page
    assert ward.course.view(ward.subject).infusions == []


def test_it_is_signed_and_told_wherever_the_course_is_shown(ward: Ward, client: TestClient) -> None:
    status, page = send(ward, client, "deviation", deviation=EVIL, password=PASSWORD)
    assert (status, "Recorded." in page) == (200, True)
    with ward.course.service.database.reading() as session:
        (signature,) = session.execute(select(Signature)).scalars()
    meaning = ward.course.subjects.knowledge.signature_meanings[DEVIATING].text
    assert (signature.name, signature.meaning) == ("Dr Carla", meaning)
    course = client.get(f"/subjects/{ward.subject}/course").text
    subject = client.get(f"/subjects/{ward.subject}").text
    entry = client.get(course.split('">infusion, entry')[0].rsplit('href="', 1)[1]).text
    newest = ward.course.subjects.chart(ward.subject).screenings[-1].assessment_id
    checklist = client.get(f"/assessments/{newest}/checklist").text
    for shown in (course, subject, entry, checklist):
        assert "Protocol deviation." in shown
        assert "dose check: not made by two people" in shown
        assert EVIL not in shown
    assert "deviation: recorded" in course
    assert "signs for each further infusion" in course
    assert "1 protocol deviation<" in client.get("/worklist").text
    head, row = client.get("/worklist.csv").text.splitlines()
    assert dict(zip(head.split(","), row.split(","), strict=False))["deviations"] == "1"
