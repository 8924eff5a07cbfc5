"""The worklist by its stored lines, and the day's sheets: who is due, on which day, each name on the page once."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import delete, event
from starlette.testclient import TestClient

from mscprotocol.checklist_parts import print_instant
from mscprotocol.course_forms import Consent, Withdrawal
from mscprotocol.service import Service
from mscprotocol.store import users
from mscprotocol.store.subjects import Wanted
from mscprotocol.store.tables import SubjectEntry, SubjectLine
from mscprotocol.subject_record import summarise
from mscprotocol.subjects import Subjects
from mscprotocol.web.pages import login, worklist
from tests.patients import severe_and_worsening
from tests.store.people import COORDINATOR, bundle, entry, newcomer
from tests.web.conftest import NOW
from tests.web.pages.conftest import PASSWORD, LogIn, sign_in
from tests.web.pages.test_screening import text


@pytest.fixture
def people(service: Service) -> Subjects:
    """Two who are eligible, one of whom nothing is known, one who withdrew."""
    found = Subjects(service)
    for number in ("S-1", "S-2", "S-3", "X-4"):
        subject = found.enrol(newcomer(number), COORDINATOR).subject
        if number != "S-3":
            found.record(subject.id, bundle(severe_and_worsening(number, NOW.isoformat())), COORDINATOR)
    found.record(subject.id, entry("consent", Consent("v3", NOW)), COORDINATOR)
    found.record(subject.id, entry("withdrawal", Withdrawal(NOW)), COORDINATOR)
    return found


def test_an_empty_list_says_whether_nobody_is_here_or_nobody_fits(as_role: LogIn, people: Subjects) -> None:
    client = as_role("coordinator")
    for query in ("q=nobody", "verdict=ineligible", "protocol=he-2018", "page=9"):
        shown = text(client.get(f"/worklist?{query}").text)
        assert "No subject fits what is chosen above. Show all of them." in shown
    assert "No subject fits" not in client.get("/worklist").text


def test_who_may_not_screen_is_not_asked_to(as_role: LogIn) -> None:
    for role, may in (("coordinator", True), ("auditor", False)):
        shown = as_role(role).get("/worklist").text
        assert "No subject here yet." in shown
        assert ("Screen the first one." in shown) is may


def test_the_audit_page_leaves_out_what_was_not_chosen(as_role: LogIn) -> None:
    client = as_role("auditor")
    client.get("/worklist?protocol=he-2018")
    shown = text(client.get("/audit").text)
    assert re.search(r"subjects: 0 ?; protocol: he-2018 ?; searched: False", shown)


def numbers(people: Subjects, **wanted: Any) -> list[str]:
    return [one.number for one in people.lines(Wanted(**wanted))[0]]


def plain(line: SubjectLine) -> dict[str, Any]:
    return {one.key: getattr(line, one.key) for one in SubjectLine.__table__.columns}


def test_a_stored_line_is_what_the_chart_says(people: Subjects) -> None:
    lines, total = people.lines(Wanted())
    charts = [people.chart(one.subject_id) for one in lines]
    assert [plain(one) for one in lines] == [plain(summarise(one.subject, one.standing, one.last)) for one in charts]
    assert total == 4
    by = {one.number: one for one in lines}
    assert (by["S-3"].verdict, by["X-4"].is_stopped, by["X-4"].consent_version) == ("not assessed", True, "v3")


def test_lines_of_before_are_made_when_they_are_first_read(people: Subjects) -> None:
    before = [plain(one) for one in people.lines(Wanted())[0]]
    with people.service.database.writing() as session:
        session.execute(delete(SubjectLine))
    assert [plain(one) for one in people.lines(Wanted())[0]] == before


def test_filters_and_pages(people: Subjects) -> None:
    assert numbers(people) == ["S-1", "S-2", "X-4", "S-3"]
    assert numbers(people, verdict="eligible", words="s-") == ["S-1", "S-2"]
    assert (numbers(people, words="_"), numbers(people, words="x-")) == ([], ["X-4"])
    assert numbers(people, protocol="start-phase1") == []
    assert (numbers(people, limit=2, offset=2), people.lines(Wanted(limit=2))[1]) == (["X-4", "S-3"], 4)


def test_the_page_reads_no_chart(people: Subjects, as_role: LogIn, monkeypatch: pytest.MonkeyPatch) -> None:
    client = as_role("auditor")
    said: list[str] = []
    event.listen(people.service.database.engine, "before_cursor_execute", lambda *all: said.append(all[2]))
    monkeypatch.setattr(worklist, "_PAGE", 2)
    first, second = (client.get(f"/worklist?page={page}").text for page in (1, 2))
    assert not [one for one in said if f"FROM {SubjectEntry.__tablename__}" in one]
    assert "4 subjects, page 1 of 2" in first
    assert ("S-1" in first, "S-3" in first, "S-3" in second) == (True, False, True)
    assert 'page=2">Next page' in first


def test_a_printed_list_says_when_it_held_and_what_it_leaves_out(people: Subjects, as_role: LogIn) -> None:
    client = as_role("coordinator")
    whole, part = (client.get(f"/worklist{one}").text for one in ("", "?verdict=eligible&q=S-"))
    assert f"4 subjects, as of {print_instant(NOW.isoformat())}" in text(whole)
    assert "2 subjects, eligible only, with S- in the number, as of" in text(part).replace("  ", " ")


def test_only_who_is_due_that_day_is_printed(people: Subjects, as_role: LogIn) -> None:
    client = as_role("coordinator")
    page = client.get("/worklist/sheets").text
    assert page.count("</body>") == 1
    assert ("S-1" in page, "S-2" in page) == (True, True)
    assert "X-4" not in page, "who withdrew is not due"
    for day, status in (
        (NOW.date(), 200),
        (NOW.date() + timedelta(days=1), 404),
        (NOW.date() - timedelta(days=1), 404),
    ):
        assert client.get(f"/worklist/sheets?day={day}").status_code == status


def test_no_name_stands_twice_on_the_page_of_sheets(people: Subjects, as_role: LogIn) -> None:
    page = as_role("coordinator").get("/worklist/sheets").text
    names = Counter(re.findall(r'\bid="([^"]+)"', page))
    assert len(names) > 10
    assert [name for name, times in names.items() if times > 1] == []
    referred = {
        one for found in re.findall(r'aria-(?:labelledby|describedby)="([^"]+)"', page) for one in found.split()
    }
    referred |= set(re.findall(r'href="#([^"]+)"', page)) | set(re.findall(r"url\(#([^)]+)\)", page))
    assert referred <= set(names)


def test_a_password_is_hashed_outside_of_any_transaction(
    service: Service, as_role: LogIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, verify, writing, open_now = as_role("auditor"), users.is_password, service.database.writing, []

    @contextmanager
    def watched() -> Iterator[Any]:
        with writing() as session:
            open_now.append(1)
            try:
                yield session
            finally:
                open_now.pop()

    def hashing(*words: Any) -> bool:
        assert open_now == []
        return verify(*words)

    monkeypatch.setattr(service.database, "writing", watched)
    monkeypatch.setattr(users, "is_password", hashing)
    assert sign_in(client, "auditor") == 303


def test_of_many_attempts_at_once_no_more_count_than_of_as_many_in_turn(
    service: Service, as_role: LogIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    client: TestClient = as_role("auditor")
    original = login.try_password

    def slow(request: Any, name: str, password: str, at: Any) -> login.Attempt:
        """While this password is hashed, five wrong ones of others are settled."""
        attempt = original(request, name, password, at)
        for _ in range(5):
            with service.database.writing() as session:
                login.settle_attempt(session, request, login.Attempt(name, None), at)
        return attempt

    monkeypatch.setattr(login, "try_password", slow)
    assert sign_in(client, "auditor", PASSWORD) == 429
