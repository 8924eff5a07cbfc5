"""Who may call: keys and tokens that prove something, scopes, and what loopback allows without any."""

from __future__ import annotations

from datetime import timedelta

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey
from starlette.testclient import TestClient

from mscprotocol.service import Service
from mscprotocol.settings import Settings
from mscprotocol.store import clients
from mscprotocol.web.callers import ACCESS_LIFE, issue_token
from tests.web.conftest import CLOSED, NOW, SECRET, Start

READ, ASSESS = "/api/v1/rulebase", "/api/v1/assess"
SETTINGS = Settings(**CLOSED)


@pytest.fixture
def closed(start: Start) -> TestClient:
    """The application where credentials are required."""
    return start(**CLOSED)


def register(service: Service, name: str, *scopes: str) -> tuple[str, str]:
    """A client's id and key."""
    with service.database.writing() as session:
        client, key = clients.register(session, NOW, name, frozenset(scopes))
        assert key is not None
        return client.id, key


def status(client: TestClient, credentials: str | None, path: str = READ) -> int:
    headers = {} if credentials is None else {"authorization": f"Bearer {credentials}"}
    if path == READ:
        return client.get(path, headers=headers).status_code
    return client.post(path, content=b"{}", headers=headers | {"content-type": "application/json"}).status_code


def test_without_credentials_only_loopback_is_served(client: TestClient, start: Start) -> None:
    assert status(client, None) == 200
    assert status(client, "msck_unknown") == status(client, "no.such.token") == 401
    closed = start(**CLOSED)
    reply = closed.get(READ)
    assert (reply.status_code, reply.json()["code"], reply.headers["www-authenticate"]) == (
        401,
        "unauthorized",
        "Bearer",
    )
    assert closed.get(READ, headers={"authorization": "Basic eDp5"}).status_code == 401
    assert closed.get("/healthz").status_code == 200


def test_a_key_opens_what_its_scopes_allow(closed: TestClient, service: Service) -> None:
    _, key = register(service, "reader", "read")
    assert (status(closed, key), status(closed, key, ASSESS)) == (200, 403)
    _, key = register(service, "assessor", "assess")
    assert (status(closed, key), status(closed, key, ASSESS)) == (403, 422)
    assert status(closed, key + "x") == 401


def test_a_revoked_client_is_nobody_at_once(closed: TestClient, service: Service) -> None:
    identity, key = register(service, "reader", "read")
    token = issue_token(SETTINGS, identity, frozenset({"read"}), NOW)
    assert status(closed, key) == status(closed, token) == 200
    with service.database.writing() as session:
        assert clients.revoke(session, NOW, "reader")
    assert status(closed, key) == status(closed, token) == 401


def test_a_token_ends_with_its_life(closed: TestClient, service: Service) -> None:
    identity, _ = register(service, "reader", "read")
    fresh = issue_token(SETTINGS, identity, frozenset({"read"}), NOW - ACCESS_LIFE + timedelta(seconds=1))
    over = issue_token(SETTINGS, identity, frozenset({"read"}), NOW - ACCESS_LIFE)
    assert (status(closed, fresh), status(closed, over)) == (200, 401)


def test_a_token_gives_no_scope_that_its_client_has_not(closed: TestClient, service: Service) -> None:
    identity, _ = register(service, "reader", "read")
    token = issue_token(SETTINGS, identity, frozenset({"read", "assess"}), NOW)
    assert (status(closed, token), status(closed, token, ASSESS)) == (200, 403)


@pytest.mark.parametrize(
    "change", [{"iss": "other"}, {"aud": "other"}, {"sub": "nobody"}, {"typ": "JWT"}, {"key": "y" * 40}]
)
def test_a_token_of_another_make_proves_nothing(closed: TestClient, service: Service, change: dict[str, str]) -> None:
    identity, _ = register(service, "reader", "read")
    made = {"iss": "mscprotocol", "aud": "mscprotocol", "sub": identity, "typ": "at+jwt", "key": SECRET} | change
    claims = {name: made[name] for name in ("iss", "aud", "sub")} | {
        "scope": "read",
        "exp": int((NOW + timedelta(minutes=1)).timestamp()),
    }
    token = jwt.encode({"alg": "HS256", "typ": made["typ"]}, claims, OctKey.import_key(made["key"]))
    assert status(closed, token) == (401 if change else 200)
