"""Times on the pages: as the clocks of the site or of the subject show them, zone named, and ISO for machines only."""

from __future__ import annotations

import html
import re
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from starlette.testclient import TestClient

from mscprotocol.checklist_parts import print_instant, split_at_instants
from mscprotocol.course_forms import Consent
from mscprotocol.screening_log import read_line, write_csv
from mscprotocol.service import Service
from mscprotocol.store.subjects import Wanted
from mscprotocol.subjects import Subjects
from tests.patients import severe_and_worsening
from tests.store.people import COORDINATOR, bundle, entry, newcomer
from tests.web.conftest import NOW, Start
from tests.web.pages.conftest import SAME
from tests.web.pages.subject_page import Page
from tests.web.pages.test_screening import sample, upload

SITE = "Asia/Kolkata"  # no other zone of these tests is half an hour off
THERE = "Asia/Shanghai"
_RAW = re.compile(r"\d{4}-\d\d-\d\dT\d\d:|\d\d:\d\d:\d\dZ")
_TIME = re.compile(r'<time datetime="([^"]+)">([^<]+)</time>')


def shown(page: str) -> str:
    """What a person reads of a page: no mark-up, no value of a field."""
    return html.unescape(re.sub(r"<[^>]+>", " ", page))


def times(page: str) -> list[tuple[datetime, str]]:
    return [(datetime.fromisoformat(machine), text) for machine, text in _TIME.findall(page)]


@pytest.fixture
def site(start: Start) -> TestClient:
    client = start(zone=SITE)
    client.headers.update(SAME)
    return client


@pytest.fixture
def subject(service: Service) -> str:
    people = Subjects(service)
    found = people.enrol(newcomer(zone=THERE), COORDINATOR).subject.id
    people.record(found, bundle(severe_and_worsening("anna", NOW.isoformat())), COORDINATOR)
    people.record(found, entry("consent", Consent("v3", NOW)), COORDINATOR)
    return found


def of_zone(found: list[tuple[datetime, str]], minutes: int) -> bool:
    return all((one.utcoffset() or one - one).total_seconds() == minutes * 60 for one, _ in found)


def test_pages_of_the_site_show_its_clocks(site: TestClient, subject: str) -> None:
    assessment = site.post(
        "/api/v1/assess?at=2020-04-06T04:00:00-04:00",
        content=sample("eligible"),
        headers={"content-type": "application/fhir+json", "accept": "application/json"},
    ).headers["location"]
    for path in ("/worklist", "/audit", f"/assessments/{assessment.rpartition('/')[2]}"):
        page = site.get(path).text
        assert f"times in {SITE}" in page
        assert not _RAW.search(shown(page)), path
        assert times(page), path
        assert of_zone(times(page), 330), path
        assert "-04:00" not in shown(page)


def test_pages_of_a_subject_show_the_clocks_of_the_subject(site: TestClient, subject: str) -> None:
    chart = Subjects(site.app.state.service).chart(subject)  # type: ignore[attr-defined]
    consent = chart.of_kind("consent")[0].id
    for path in (f"/subjects/{subject}", f"/subjects/{subject}/course", f"/subjects/{subject}/entries/{consent}"):
        page = site.get(path).text
        assert f"times in {THERE}" in page
        assert not _RAW.search(shown(page)), path
        assert times(page), path
        assert of_zone(times(page), 480), path


def test_a_gate_on_paper_says_when_it_was_asked(page: Page) -> None:
    course = re.sub(r"\s+", " ", shown(page.client.get(f"{page.base}/course").text))
    assert f"Gate before infusion 1, {print_instant(page.ward.now.isoformat())}" in course


def test_times_of_an_export_stand_beside_its_fields_as_people_write_them(site: TestClient) -> None:
    page = upload(site, sample("lot-at-the-bedside"))
    assert f"times in {THERE}" in page, "the zone that was chosen on the form"
    assert not _RAW.search(shown(page))
    assert "Mon 6 Apr 2020 09:45 +08:00" in page  # when the lot was thawed
    assert of_zone(times(page), 480)


def test_the_trail_is_exact_to_the_second(site: TestClient, subject: str) -> None:
    machine, text = times(site.get("/audit").text)[0]
    assert text == print_instant(machine.isoformat(), seconds=True)
    assert re.search(r" \d\d:\d\d:\d\d \+05:30$", text)


def test_a_time_in_a_text_is_told_in_another_zone(site: TestClient) -> None:
    text = "worst of Mon 6 Apr 2020 10:00 +08:00 to Tue 7 Apr 2020 00:00 +08:00, <b> kept"
    before, first, between, last, after = split_at_instants(text)
    assert (before, between, after) == ("worst of ", " to ", ", <b> kept")
    assert [first, last] == [datetime.fromisoformat(f"2020-04-0{one}:00+08:00") for one in ("6T10", "7T00")]
    assert list(split_at_instants("received as 2020-04-06T10:00")) == ["received as 2020-04-06T10:00"]


def test_the_log_is_in_the_zone_of_the_site_with_its_offset(subject: str, service: Service) -> None:
    kept, _ = Subjects(service).lines(Wanted())
    row = write_csv([read_line(kept[0])], ZoneInfo("America/New_York")).splitlines()[1]
    assert NOW.astimezone(ZoneInfo("America/New_York")).isoformat(timespec="minutes") in row
