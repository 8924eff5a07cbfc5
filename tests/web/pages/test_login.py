"""Who gets in: passwords, sessions that end, lockout, and forms that another site sends."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import urlsplit

import pytest
from sqlalchemy import select
from starlette.testclient import TestClient

from mscprotocol.service import Service
from mscprotocol.store import audit, users
from mscprotocol.store.tables import AuditEntry, LoginFailure, UserAccount, WebSession
from mscprotocol.web.pages.posted import local_path
from tests.web.cds.calls import URL, call, prefetch_of
from tests.web.conftest import CLOSED, NOW, Start
from tests.web.pages.conftest import PASSWORD, SAME, LogIn, add_user, sign_in

COOKIE = "mscprotocol_session"


@pytest.fixture
def closed(start: Start, service: Service) -> TestClient:
    """A service with one user, in a browser where nobody is logged in."""
    add_user(service, "anna", "coordinator")
    client = start()
    client.headers.update(SAME)
    return client


def trail(service: Service) -> list[tuple[str, str]]:
    with service.database.reading() as session:
        assert audit.find_fault(session) is None
        return [(one.actor, one.action) for one in session.execute(select(AuditEntry)).scalars()]


def at(service: Service, later: timedelta) -> None:
    service.clock = lambda: NOW + later


def is_in(client: TestClient) -> bool:
    reply = client.get("/", follow_redirects=False)
    assert reply.status_code == 303 or "no page for your role" in reply.text
    return "/login" not in reply.headers.get("location", "")


def test_the_demo_is_open_and_says_so(demo: TestClient) -> None:
    page = demo.get("/")
    assert page.status_code == 200
    assert "Demo, open to whoever sits at this machine" in page.text


def test_the_demo_answers_to_no_name_of_another_site(demo: TestClient) -> None:
    assert demo.get("/", headers={"host": "evil.example.org"}).status_code == 403


def test_one_user_closes_the_demo(closed: TestClient) -> None:
    reply = closed.get("/?x=1", follow_redirects=False)
    assert (reply.status_code, reply.headers["location"]) == (303, "/login?next=%2F%3Fx%3D1")
    assert "Demo" not in closed.get("/login").text


def test_one_user_closes_the_api_too(demo: TestClient, service: Service) -> None:
    assert demo.get("/api/v1/rulebase").status_code == 200
    add_user(service, "anna", "coordinator")
    assert demo.get("/api/v1/rulebase").status_code == 401


def test_where_authentication_is_required_nobody_is_let_in_before_there_is_a_user(start: Start) -> None:
    client = start(**CLOSED)
    assert client.get("/", follow_redirects=False).status_code == 303
    assert "mscprotocol users add" in client.get("/login", headers=SAME).text


def test_logging_in_and_out(closed: TestClient, service: Service) -> None:
    assert sign_in(closed, "anna", "a wrong sentence for tests") == 401
    assert not is_in(closed)
    assert sign_in(closed, "anna") == 303
    assert is_in(closed)
    assert "Dr Anna" in closed.get("/").text
    assert closed.post("/logout", follow_redirects=False).headers["location"] == "/login"
    assert not is_in(closed)
    assert trail(service) == [("anna", "login failed"), ("anna", "login"), ("anna", "logout")]


def test_a_login_gives_a_new_session_and_ends_the_old(closed: TestClient, service: Service) -> None:
    sign_in(closed, "anna")
    first = closed.cookies[COOKIE]
    sign_in(closed, "anna")
    assert closed.cookies[COOKIE] != first
    closed.cookies.set(COOKIE, first)
    closed.cookies.delete(COOKIE, domain="127.0.0.1")
    with service.database.reading() as session:
        assert len(session.execute(select(WebSession)).all()) == 1
        kept = session.execute(select(WebSession.sha256)).scalar_one()
    assert first not in kept


def test_the_cookie_is_closed(start: Start, service: Service) -> None:
    add_user(service, "anna", "coordinator")
    for settings, name, is_secure in [
        ({}, COOKIE, False),
        ({"public_url": "https://msc.example.org"}, f"__Host-{COOKIE}", True),
    ]:
        client = start(**(CLOSED | settings))
        reply = client.post("/login", data={"name": "anna", "password": PASSWORD}, headers=SAME, follow_redirects=False)
        cookie = reply.headers["set-cookie"]
        assert cookie.startswith(f"{name}=")
        assert "HttpOnly" in cookie
        assert "SameSite=lax" in cookie
        assert "Path=/" in cookie
        assert "Domain" not in cookie
        assert ("Secure" in cookie) is is_secure


def test_a_session_ends_by_idleness_and_by_age(closed: TestClient, service: Service) -> None:
    sign_in(closed, "anna")
    at(service, timedelta(minutes=29))
    assert is_in(closed)
    at(service, timedelta(minutes=58))
    assert is_in(closed)
    at(service, timedelta(minutes=89))
    assert not is_in(closed)
    sign_in(closed, "anna")
    for minutes in range(89, 89 + 12 * 60, 25):
        at(service, timedelta(minutes=minutes))
        assert is_in(closed)
    at(service, timedelta(minutes=89 + 12 * 60 + 1))
    assert not is_in(closed)


def test_disabling_and_a_new_password_end_every_session(closed: TestClient, service: Service) -> None:
    sign_in(closed, "anna")
    with service.database.writing() as session:
        anna = users.find(session, "anna")
        assert anna is not None
        users.set_password(session, anna, "another sentence for tests")
    assert not is_in(closed)
    assert sign_in(closed, "anna") == 401
    assert sign_in(closed, "anna", "another sentence for tests") == 303
    with service.database.writing() as session:
        anna = users.find(session, "anna")
        assert anna is not None
        users.disable(session, NOW, anna)
    assert not is_in(closed)
    assert sign_in(closed, "anna", "another sentence for tests") == 401


def test_failures_lock_the_name_and_the_lock_ends(closed: TestClient, service: Service) -> None:
    for _ in range(4):
        assert sign_in(closed, "anna", "wrong") == 401
    reply = closed.post("/login", data={"name": "anna", "password": "wrong"})
    assert reply.status_code == 429
    assert "10:15 +00:00</time> (UTC)" in reply.text
    assert sign_in(closed, "anna") == 429, "the right password does not open a lock"
    assert ("anna", "lockout") in trail(service)
    at(service, timedelta(minutes=15, seconds=1))
    assert sign_in(closed, "anna") == 303
    with service.database.reading() as session:
        assert session.execute(select(LoginFailure)).first() is None


def test_failures_lock_the_address_whatever_name_was_tried(start: Start, service: Service) -> None:
    add_user(service, "anna", "coordinator")
    client = start(lockout_address_failures=3)
    for name in ("x", "y"):
        assert sign_in(client, name, "wrong") == 401
    assert sign_in(client, "z", "wrong") == 429
    assert sign_in(client, "anna") == 429


def test_what_was_typed_as_a_name_is_not_kept(closed: TestClient, service: Service) -> None:
    sign_in(closed, "my secret typed in the wrong field", "anna")
    assert trail(service) == [("nobody", "login failed")]


@pytest.mark.usefixtures("slow_passwords")
def test_passwords_are_kept_as_argon2id_only(service: Service, closed: TestClient) -> None:
    with service.database.reading() as session:
        kept = session.execute(select(UserAccount.password_hash)).scalar_one()
    assert kept is not None
    assert kept.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert PASSWORD not in kept


@pytest.mark.parametrize("password", ["short", "x" * 1001])
def test_a_password_that_is_too_short_or_too_long_is_refused(
    service: Service, closed: TestClient, password: str
) -> None:
    with pytest.raises(ValueError, match="12 to 1000"):
        add_user(service, "berta", "auditor", password=password)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"sec-fetch-site": "cross-site", "origin": "http://127.0.0.1"}, 403),
        ({}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "https://evil.example.org"}, 403),
        ({"origin": "http://127.0.0.1"}, 303),
        ({"sec-fetch-site": "same-origin"}, 303),
    ],
)
def test_a_form_is_taken_from_our_own_pages_only(
    start: Start, service: Service, headers: dict[str, str], status: int
) -> None:
    add_user(service, "anna", "coordinator")
    form = {"name": "anna", "password": PASSWORD}
    assert start().post("/login", data=form, headers=headers, follow_redirects=False).status_code == status


@pytest.mark.parametrize(
    "path",
    [
        "//evil.example.org",
        "https://evil.example.org",
        "/\\evil.example.org",
        "\\\\evil",
        "javascript:alert(1)",
        "",
        "/\n//x",
    ],
)
def test_after_the_login_only_our_own_pages_follow(path: str) -> None:
    assert local_path(path) == "/"


def test_a_page_of_ours_follows(closed: TestClient) -> None:
    form = {"name": "anna", "password": PASSWORD, "next": "/screening?protocol=x"}
    assert closed.post("/login", data=form, follow_redirects=False).headers["location"] == "/screening?protocol=x"


def test_a_part_of_a_page_stays_where_it_is_with_what_was_typed(closed: TestClient) -> None:
    reply = closed.get("/", headers={"hx-request": "true"}, follow_redirects=False)
    assert reply.status_code == 401
    assert "hx-redirect" not in reply.headers


def test_a_page_can_ask_whether_somebody_is_logged_in(closed: TestClient) -> None:
    assert closed.get("/session", follow_redirects=False).status_code == 303
    assert sign_in(closed, "anna") == 303
    assert closed.get("/session", follow_redirects=False).status_code == 204


def test_errors_are_pages_for_people_and_problems_for_programs(closed: TestClient) -> None:
    assert closed.get("/nowhere").headers["content-type"].startswith("text/html")
    assert closed.get("/nowhere", headers={"accept": "*/*"}).headers["content-type"] == "application/problem+json"
    assert closed.get("/api/v1/nowhere").headers["content-type"] == "application/problem+json"


def test_static_files_are_a_closed_list(demo: TestClient) -> None:
    assert demo.get("/static/pages.css").status_code == 200
    assert "immutable" in demo.get("/static/pages.css?v=1").headers["cache-control"]
    for path in ("/static/../checklist.css", "/static/%2e%2e%2fchecklist.css", "/static/nothing.css", "/static/"):
        assert demo.get(path).status_code == 404


def test_text_is_never_markup(closed: TestClient) -> None:
    page = closed.post("/login", data={"name": '"><script>alert(1)</script>', "password": "x"}).text
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page


def test_every_role_gets_in(as_role: LogIn) -> None:
    for role in users.ROLES:
        assert is_in(as_role(role))


def test_the_link_of_a_card_opens_for_who_is_logged_in(start: Start, as_role: LogIn) -> None:
    client = start()
    body = call(prefetch_of(client, "eligible"))
    (link,) = client.post(URL, json=body).json()["cards"][0]["links"]
    page = as_role("clinician").get(urlsplit(link["url"]).path)
    assert (page.status_code, page.headers["content-type"].partition(";")[0]) == (200, "text/html")
    asked = start(**CLOSED).get(urlsplit(link["url"]).path, headers={"accept": "text/html"}, follow_redirects=False)
    assert (asked.status_code, asked.headers["location"].partition("?")[0]) == (303, "/login")
