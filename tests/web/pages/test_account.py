"""A person's own page: the password is changed by who knows it, and nobody else stays in on the old one."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from sqlalchemy import select
from starlette.testclient import TestClient

from mscprotocol.service import Service
from mscprotocol.store import audit, users
from mscprotocol.store.tables import AuditEntry, WebSession
from tests.web.conftest import CLOSED, NOW, Start
from tests.web.pages.conftest import PASSWORD, SAME, LogIn, sign_in

NEW = "another sentence for tests"


@pytest.fixture
def anna(as_role: LogIn) -> TestClient:
    """A browser in which somebody with a password is logged in; the name is that of the role."""
    return as_role("auditor")


def change(client: TestClient, current: str = PASSWORD, new: str = NEW, again: str = NEW) -> tuple[int, dict[str, str]]:
    """Send the form; gives the status, and what stands beside each field."""
    form = {"current": current, "new": new, "again": again}
    reply = client.post("/account/password", data=form, follow_redirects=False)
    assert not any(said and said in reply.text for said in form.values()), "no password is sent back"
    return reply.status_code, dict(re.findall(r'id="p-(\w+)">(.*?)</small>', reply.text, re.S))


def trail(service: Service) -> list[tuple[str, str]]:
    with service.database.reading() as session:
        assert audit.find_fault(session) is None
        return [(one.actor, one.action) for one in session.execute(select(AuditEntry)).scalars()]


def test_the_new_password_counts_from_now_on_and_the_old_one_no_more(
    anna: TestClient, start: Start, service: Service
) -> None:
    assert change(anna) == (303, {})
    page = anna.get("/account").text
    assert "Your password is changed; you were logged in nowhere else." in page
    assert trail(service)[-1] == ("auditor", "change password")
    other = start(**CLOSED)
    assert sign_in(other, "auditor", PASSWORD) == 401
    assert sign_in(other, "auditor", NEW) == 303


def test_every_other_session_ends_and_this_one_goes_on(
    anna: TestClient, as_role: LogIn, start: Start, service: Service
) -> None:
    other, stranger = as_role("auditor"), as_role("clinician")
    assert change(anna) == (303, {})
    assert anna.get("/audit", follow_redirects=False).status_code == 200
    assert "logged out everywhere else" in anna.get("/account").text
    assert other.get("/audit", follow_redirects=False).status_code == 303
    assert stranger.get("/worklist", follow_redirects=False).status_code == 200, "the session of somebody else"
    with service.database.reading() as session:
        assert len(session.execute(select(WebSession)).all()) == 2
        (detail,) = [
            one.detail for one in session.execute(select(AuditEntry)).scalars() if one.action.startswith("chan")
        ]
    assert detail == {"sessions ended": 1}


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ({"new": "short", "again": "short"}, {"new": "12 to 1000 characters"}),
        ({"new": "x" * 1001, "again": "x" * 1001}, {"new": "12 to 1000 characters"}),
        ({"again": "another sentence for test"}, {"again": "type the same one in both fields"}),
        ({"new": PASSWORD, "again": PASSWORD}, {"new": "the same as the current one: choose another"}),
        ({"current": ""}, {"current": "Type the password that you logged in with."}),
        ({"current": "", "new": "", "again": ""}, {"current": "Type the", "new": "12 to 1000"}),
    ],
)
def test_what_cannot_be_is_told_beside_its_field_and_counts_as_no_attempt(
    anna: TestClient, service: Service, typed: dict[str, str], says: dict[str, str]
) -> None:
    before = trail(service)
    status, problems = change(anna, **typed)
    assert (status, problems.keys()) == (422, says.keys())
    assert all(text in problems[name] for name, text in says.items())
    assert trail(service) == before
    with service.database.reading() as session:
        assert users.is_password(users.find(session, "auditor"), PASSWORD)


def test_a_wrong_current_password_changes_nothing_and_locks_like_one_at_the_login(
    anna: TestClient, start: Start, service: Service
) -> None:
    for _ in range(4):
        assert change(anna, "a wrong sentence for tests") == (
            401,
            {"current": "This is not your current password: type it again."},
        )
    status, problems = change(anna, "a wrong sentence for tests")
    assert status == 429
    assert "locked until" in problems["current"]
    assert change(anna)[0] == 429, "the right password does not open a lock"
    assert sign_in(start(**CLOSED), "auditor") == 429, "one lock for the form and the login"
    assert trail(service)[-2:] == [("auditor", "login failed"), ("auditor", "lockout")]
    with service.database.reading() as session:
        assert users.is_password(users.find(session, "auditor"), PASSWORD)
    service.clock = lambda: NOW + timedelta(minutes=15, seconds=1)
    assert change(anna) == (303, {})


def test_who_has_no_password_here_is_told_where_it_is_changed(anna: TestClient, service: Service) -> None:
    with service.database.writing() as session:
        user = users.find(session, "auditor")
        assert user is not None
        user.password_hash, user.issuer, user.issuer_subject = None, "https://id.example.org", "s-1"
    page = anna.get("/account").text
    assert "changed there, not here" in page
    assert 'type="password"' not in page
    assert change(anna)[0] == 403


def test_at_the_demo_there_is_no_password(demo: TestClient) -> None:
    page = demo.get("/account").text
    assert "Nobody is logged in at the demo" in page
    assert 'type="password"' not in page
    assert change(demo)[0] == 403


def test_nobody_changes_a_password_without_a_session_or_from_another_site(anna: TestClient, start: Start) -> None:
    nobody = start(**CLOSED)
    nobody.headers.update(SAME)
    assert nobody.get("/account", follow_redirects=False).headers["location"] == "/login?next=%2Faccount"
    assert change(nobody)[0] == 303
    anna.headers.update({"sec-fetch-site": "cross-site"})
    assert change(anna)[0] == 403
    anna.headers.update(SAME)
    assert sign_in(start(**CLOSED), "auditor", PASSWORD) == 303


def test_fields_tell_a_password_manager_what_they_are(anna: TestClient) -> None:
    page = anna.get("/account").text
    kept = dict(re.findall(r'<input [^>]*?name="(\w+)"[^>]*?autocomplete="([\w-]+)"', page))
    assert kept == {
        "username": "username", "current": "current-password", "new": "new-password", "again": "new-password"
    }  # fmt: skip
    assert 'href="/account"' in anna.get("/audit").text


def test_a_disabled_person_changes_nothing(anna: TestClient, service: Service) -> None:
    with service.database.writing() as session:
        user = users.find(session, "auditor")
        assert user is not None
        users.disable(session, NOW, user)
    assert change(anna)[0] == 303
    with service.database.reading() as session:
        assert not any(one.action == "change password" for one in session.execute(select(AuditEntry)).scalars())
