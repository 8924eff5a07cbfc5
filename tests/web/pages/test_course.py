"""The worklist, the subject page and the course page: what they show, and what each form does or refuses."""

from __future__ import annotations

import io
import re
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pypdf
import pytest
from sqlalchemy import select
from starlette.testclient import TestClient

from mscprotocol.course_forms import Consent
from mscprotocol.screening_log import count, harmless, read_line, write_csv
from mscprotocol.service import Caller, Service
from mscprotocol.store.subjects import NewEntry, Wanted
from mscprotocol.store.tables import Signature
from mscprotocol.subjects import Subjects
from tests.patients import severe_and_worsening
from tests.store.people import COORDINATOR, SECOND, bundle, entry, newcomer, token
from tests.store.test_course import STATED
from tests.web.conftest import NOW
from tests.web.pages.conftest import LogIn
from tests.web.pages.subject_page import Page, form_of, named
from tests.web.pages.test_screening import SAMPLES

WHO = Caller("coordinator.one", frozenset({"coordinator"}))
HOUR = timedelta(hours=1)
EVIL = "<script>alert(1)</script>"


@pytest.fixture
def subject(service: Service) -> str:
    people = Subjects(service)
    made = people.enrol(newcomer("S-001"), WHO).subject
    people.record(made.id, bundle(severe_and_worsening("anna", NOW.isoformat())), WHO)
    return made.id


def settle(service: Service, subject: str) -> None:
    """Record what no signature sets aside: consent, authorisation, and that nothing excludes."""
    said = [{"name": k, "answer": v, "by": "Dr. Example", "at": (NOW - HOUR).isoformat()} for k, v in STATED.items()]
    people = Subjects(service)
    people.record(subject, entry("consent", Consent("v3", NOW - HOUR)), WHO)
    people.record(subject, entry("record", {"patient": {"id": "anna"}, "answers": said}), WHO)


def send(client: TestClient, subject: str, action: str, **fields: str) -> tuple[int, str]:
    page = client.get(f"/subjects/{subject}/course").text
    reply = client.post(f"/subjects/{subject}/course/{action}", data=form_of(page) | named(action, fields))
    return reply.status_code, reply.text


def local(hours: float) -> str:
    return (NOW + timedelta(hours=hours)).astimezone(ZoneInfo("Europe/Berlin")).strftime("%Y-%m-%dT%H:%M")


def test_the_worklist_leads_to_the_subject(subject: str, as_role: LogIn) -> None:
    client = as_role("auditor")
    page = client.get("/worklist").text
    assert f'href="/subjects/{subject}"' in page
    assert "Flow of subjects" in page
    assert "S-001" not in client.get("/worklist?verdict=ineligible").text
    shown = client.get(f"/subjects/{subject}").text
    assert shown.index("Verdict at this stage") < shown.index("Recorded")


def test_each_step_is_a_form_and_shows_what_follows(subject: str, as_role: LogIn) -> None:
    client = as_role("coordinator")
    assert send(client, subject, "consent", version="v3", given=local(-2))[0] == 200
    status, page = send(client, subject, "consent", version="v3", given=local(2))
    assert status == 422
    assert "still to come" in page
    status, page = send(client, subject, "infusion", started=local(-1), ended=local(-0.5), status="completed")
    assert status == 409
    assert "says hold" in page
    assert "PRD-02" in page


def test_only_a_clinician_signs_and_by_password(subject: str, as_role: LogIn, service: Service) -> None:
    coordinator = as_role("coordinator")
    assert "Set the gate aside" not in coordinator.get(f"/subjects/{subject}/course").text
    clinician = as_role("clinician")
    page = clinician.get(f"/subjects/{subject}/course").text
    assert "No signature sets this aside: " in page, "consent is not on record"
    assert 'name="because"' not in page
    settle(service, subject)
    page = clinician.get(f"/subjects/{subject}/course").text
    reasons = re.findall(r'name="because" value="([^"]*)"', page)
    form = form_of(page) | named("override", {"code": "judgement", "text": EVIL}) | {"because": reasons}
    path = f"/subjects/{subject}/course/override"
    assert clinician.post(path, data=form | {"override.password": "not mine at all"}).status_code == 401
    reply = clinician.post(path, data=form | {"override.password": "a sentence only for tests"})
    assert reply.status_code == 200
    assert EVIL not in reply.text
    assert "&lt;script&gt;" in reply.text
    with service.database.reading() as session:
        assert session.execute(select(Signature)).scalar_one().subject == f"Subject/{subject}"
    other = coordinator.post(path, data=form, headers={"accept": "text/html"})
    assert other.status_code in (401, 403, 409)


@pytest.mark.parametrize(("role", "path", "status"), [
    ("administrator", "/worklist", 403), ("coordinator", "/audit", 403), ("auditor", "/audit", 200),
    ("administrator", "/audit", 200),
])  # fmt: skip
def test_who_may_see_which_page(role: str, path: str, status: int, as_role: LogIn) -> None:
    assert as_role(role).get(path).status_code == status


def test_an_auditor_records_nothing(subject: str, as_role: LogIn) -> None:
    client = as_role("auditor")
    assert "Record consent" not in client.get(f"/subjects/{subject}/course").text
    assert client.post(f"/subjects/{subject}/course/consent", data={"token": "x" * 20}).status_code == 403


def test_a_path_that_leads_elsewhere_is_no_subject(as_role: LogIn) -> None:
    client = as_role("auditor")
    for path in ("/subjects/..%2f..%2fetc%2fpasswd", "/subjects/nobody", "/subjects/nobody/course"):
        assert client.get(path).status_code == 404


def test_the_log_has_no_identifier_and_no_formula(subject: str, as_role: LogIn, service: Service) -> None:
    text = as_role("auditor").get("/worklist.csv").text
    assert "S-001" in text
    assert "anna" not in text.lower()
    kept, total = Subjects(service).lines(Wanted())
    line = read_line(kept[0])
    assert (line.id, total) == (subject, 1)
    assert harmless("=HYPERLINK(1)") == "'=HYPERLINK(1)"
    assert [harmless(f"{one}x")[0] for one in "=+-@\t\r"] == ["'"] * 6
    assert write_csv([line], ZoneInfo("UTC")).count("\n") == 2
    numbers = count([line], 4)
    assert (numbers.screened, numbers.eligible, numbers.excluded, numbers.infused) == (1, 1, 0, (0, 0, 0, 0))


def test_a_course_without_a_plan_has_words_instead_of_a_calendar(as_role: LogIn, service: Service) -> None:
    client, people = as_role("coordinator"), Subjects(service)
    new = people.enrol(newcomer("S-002"), WHO).subject.id
    reply = client.get(f"/subjects/{new}/course.ics")
    assert (reply.status_code, "Nothing was assessed yet" in reply.text) == (404, True)
    people.record(new, NewEntry("bundle", (SAMPLES / "overt-dic" / "input.json").read_bytes(), token()), WHO)
    reply = client.get(f"/subjects/{new}/course.ics")
    assert (reply.status_code, "no calendar" in reply.text) == (409, True)
    assert "<h1>Nothing planned</h1>" in reply.text


@pytest.mark.parametrize(
    ("action", "typed", "says"),
    [
        ("death", {"at": "2020-03-27T09:00"}, "Where it is known from is needed"),
        ("death", {"source": "the ward"}, "When this happened is needed"),
        ("withdrawal", {}, "When this happened is needed"),
    ],
)
def test_what_is_missing_is_told_by_its_own_name(page: Page, action: str, typed: dict[str, str], says: str) -> None:
    status, shown = page.send(action, typed)
    assert status == 422
    assert says in shown.split('role="alert">')[1].split("</div>")[0]


def test_a_lot_that_is_on_record_is_named_and_folded_away_until_more_is_typed(page: Page) -> None:
    def part() -> str:
        return shown.split('id="s-lot"')[1].split("</summary>")[0]

    shown = page.client.get(f"{page.base}/course").text
    assert ("on record" in part(), "<details>" in part()) == (False, False)
    page.ward.prepare(1)
    shown = page.client.get(f"{page.base}/course").text
    assert "Lot <b><bdi>LOT-7</bdi></b> is on record for it." in part()
    assert "<details><summary>Record another lot" in part()
    typed = {"lot.d.product_viability.0.value": "85", "plan.start": "2020-03-28T10:00"}
    shown = page.client.post(f"{page.base}/course/plan", data=form_of(shown) | typed).text
    assert "<details open><summary>Record another lot" in part()
    assert 'value="85"' in shown


def test_what_is_open_has_a_way_to_be_recorded(page: Page) -> None:
    link = f'href="/screening?subject={page.ward.subject}"'
    shown = page.client.get(f"{page.base}/course").text
    assert ('<span class="word">hold</span>' in shown, link in shown) == (True, True)
    page.ward.prepare(1)
    for who in (COORDINATOR, SECOND):
        page.ward.check(1, who=who)
    shown = page.client.get(f"{page.base}/course").text
    assert ('<span class="word">go</span>' in shown, link in shown) == (True, False)


def test_without_a_plan_the_schedule_says_what_it_is_reckoned_from(page: Page) -> None:
    page.ward.prepare(1)
    says = "as if the first infusion began now"
    assert says in page.client.get(f"{page.base}/course").text
    page.send("plan", {"start": "2020-03-28T10:00"})
    shown = page.client.get(f"{page.base}/course").text
    assert says not in shown
    linked = re.findall('href="#(s-[a-z]+)">', shown.split('aria-label="Steps"')[1].split("</nav>")[0])
    assert linked == [f"s-{one}" for one in ("consent", "plan", "lot", "dose", "infusion", "withdrawal", "death")]
    assert all(f'id="{one}"' in shown for one in linked)


def test_nothing_is_planned_any_more_once_the_gate_says_stop(page: Page) -> None:
    ward = page.ward
    begun = ward.now
    ward.give(1)
    assert page.client.get(f"{page.base}/course.ics").status_code == 200
    ward.observe(1, begun, until=6, infusion_reaction="yes")
    shown = page.client.get(f"{page.base}/course").text
    assert '<span class="word">stop</span>' in shown
    assert re.findall('data-label="Status">(.*?)</td>', shown) == [
        "given", *["<b>not to be given:</b> the gate says stop"] * 3
    ]  # fmt: skip
    assert re.findall("<li><b>([^<]+)</b>", shown)[0] == "STP-05: met"
    assert [row.status for row in ward.course.view(ward.subject).answer.schedule] == ["given", *["closed"] * 3]
    kept = ward.course.subjects.chart(ward.subject).screenings[-1].assessment_id
    sheet = page.client.get(f"/assessments/{kept}/checklist").text
    assert re.findall(r"Infusion (\d): day", sheet) == ["1"], "nobody prints boxes for what is not to be given"
    assert re.findall(r"stop, infusion 2</bdi>.*?<bdi>([^<]+)</bdi>", sheet, re.S) == ["STP-05: met"], (
        "not below what is open"
    )
    assert "Closed: as things stand nothing more is to be given" in sheet
    reply = page.client.get(f"{page.base}/course.ics")
    assert (reply.status_code, "The course is stopped, so there is no calendar." in reply.text) == (409, True)


def test_the_calendar_names_nobody(subject: str, as_role: LogIn) -> None:
    reply = as_role("coordinator").get(f"/subjects/{subject}/course.ics")
    assert reply.text.count("BEGIN:VEVENT") == 4
    assert "anna" not in reply.text.lower()
    assert "draft - not an order" in reply.text.replace("\r\n ", "")


def test_a_sheet_that_is_made_after_its_answer_expired_says_so_on_top(page: Page) -> None:
    ward = page.ward
    ward.prepare(1)
    kept = ward.course.subjects.chart(ward.subject).screenings[-1].assessment_id
    sheets = (f"/assessments/{kept}/checklist", "/worklist/sheets", f"/api/v1/assessments/{kept}/checklist")
    assert ["Expired when this sheet was made" in page.client.get(one).text for one in sheets] == [False] * 3
    ward.clock.set(datetime.fromisoformat(str(ward.course.view(ward.subject).answer.valid_until)))
    assert ["Expired when this sheet was made" in page.client.get(one).text for one in sheets] == [True] * 3
    pdf = pypdf.PdfReader(io.BytesIO(page.client.get(f"{sheets[0]}.pdf").content))
    assert "Expired when this sheet was made" in pdf.pages[0].extract_text()
