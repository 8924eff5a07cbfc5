"""Logging in through an identity provider, over a socket: what proves something, and what does not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from joserfc.jwk import ECKey
from sqlalchemy import select
from starlette.testclient import TestClient

from mscprotocol.service import Service
from mscprotocol.store.tables import AuditEntry, PendingLogin, UserAccount, WebSession
from tests.web.conftest import NOW, Start
from tests.web.pages.browser import serve
from tests.web.pages.conftest import SAME
from tests.web.pages.provider import CLIENT, TestProvider


@pytest.fixture
def provider() -> Iterator[TestProvider]:
    one = TestProvider()
    one.clock = NOW.timestamp
    with serve(one.app) as address:
        one.issuer = address
        yield one


@pytest.fixture
def client(start: Start, provider: TestProvider) -> TestClient:
    roles = {"msc": "coordinator", "msc-doctors": "clinician"}
    client = start(oidc_issuer=provider.issuer, oidc_client_id=CLIENT, oidc_client_secret="s", oidc_roles=roles)
    client.headers.update(SAME)
    return client


def log_in(client: TestClient, start: str = "/login/provider?next=/screening") -> httpx2.Response:
    """Go the way of a browser; gives the response to its coming back."""
    away = client.get(start, follow_redirects=False)
    assert away.status_code == 303, away.text
    back = httpx2.get(away.headers["location"]).headers["location"]
    parts = urlsplit(back)
    return client.get(f"{parts.path}?{parts.query}", follow_redirects=False)


def test_a_person_of_the_provider_gets_in_with_the_roles_of_the_groups(
    client: TestClient, provider: TestProvider, service: Service
) -> None:
    assert client.get("/screening", follow_redirects=False).headers["location"].startswith("/login")
    assert "Log in with the site" in client.get("/login").text
    assert log_in(client).headers["location"] == "/screening"
    page = client.get("/screening").text
    assert "Dr Olga Example" in page
    assert "coordinator" in page
    (asked,) = provider.asked
    assert asked["code_challenge_method"] == "S256"
    assert asked["response_type"] == "code"
    assert len(asked["state"]) > 40
    assert len(asked["nonce"]) > 40
    provider.person["groups"] = ["msc-doctors"]
    log_in(client)
    with service.database.reading() as session:
        user = session.execute(select(UserAccount)).scalar_one()
        assert (user.roles, user.issuer_subject, user.password_hash) == ("clinician", "s-1", None)
        assert session.execute(select(PendingLogin)).first() is None
        assert [one.action for one in session.execute(select(AuditEntry)).scalars()] == ["login", "login"]


@pytest.mark.parametrize("groups", [[], ["others"], "others", None])
def test_without_a_role_nobody_gets_in(client: TestClient, provider: TestProvider, groups: Any) -> None:
    provider.person["groups"] = groups
    reply = log_in(client)
    assert reply.status_code == 403
    assert "no role here" in reply.text
    assert client.get("/screening", follow_redirects=False).status_code == 303


@pytest.mark.parametrize(
    "change",
    [
        {"iss": "https://evil.example.org"},
        {"aud": "another"},
        {"nonce": "another"},
        {"nonce": None},
        {"exp": int(NOW.timestamp()) - 61},
        {"sub": None},
    ],
    ids=str,
)
def test_a_token_that_proves_nothing_is_refused(
    client: TestClient, provider: TestProvider, service: Service, change: dict[str, Any]
) -> None:
    provider.change = change
    assert log_in(client).status_code == 502
    with service.database.reading() as session:
        assert session.execute(select(WebSession)).first() is None


def test_a_token_of_another_key_is_refused(client: TestClient, provider: TestProvider) -> None:
    provider.key = ECKey.generate_key("P-256", {"kid": "k1"})
    assert log_in(client).status_code == 502


def test_a_state_that_another_browser_began_is_refused(client: TestClient) -> None:
    away = client.get("/login/provider", follow_redirects=False)
    state = parse_qs(urlsplit(away.headers["location"]).query)["state"][0]
    cookies = dict(client.cookies)
    client.cookies.clear()
    assert client.get(f"/login/back?code=code-0&state={state}").status_code == 400
    client.cookies.update(cookies)
    assert client.get("/login/back?code=code-0&state=wrong").status_code == 400
    assert client.get(f"/login/back?code=code-0&state={state}").status_code == 400, "it is used once"


def test_a_provider_that_cannot_be_asked_is_a_clear_page(start: Start) -> None:
    client = start(oidc_issuer="http://127.0.0.1:9", oidc_client_id=CLIENT, oidc_roles={"msc": "coordinator"})
    reply = client.get("/login/provider", headers=SAME)
    assert reply.status_code == 502
    assert "cannot be asked" in reply.text


def test_signing_asks_the_provider_anew(client: TestClient, provider: TestProvider, service: Service) -> None:
    log_in(client)
    reply = log_in(client, "/login/provider?prove=true&next=/screening")
    assert reply.headers["location"] == "/screening"
    assert provider.asked[-1]["prompt"] == "login"
    assert provider.asked[-1]["max_age"] == "0"
    with service.database.reading() as session:
        assert session.execute(select(WebSession.proved_at)).scalar_one() == NOW


def test_a_proof_of_another_person_or_an_old_one_counts_for_nothing(
    client: TestClient, provider: TestProvider, service: Service
) -> None:
    log_in(client)
    provider.change = {"auth_time": int(NOW.timestamp()) - 301}
    assert log_in(client, "/login/provider?prove=true").status_code == 502
    provider.change, provider.person = {}, provider.person | {"sub": "s-2"}
    assert log_in(client, "/login/provider?prove=true").status_code == 403
    with service.database.reading() as session:
        assert session.execute(select(WebSession.proved_at)).scalar_one() is None
