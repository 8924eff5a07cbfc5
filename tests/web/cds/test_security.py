"""Tokens on every call, and pages of listed origins only."""

from __future__ import annotations

from typing import Any

import pytest
import structlog
from fastapi import FastAPI
from joserfc.jwk import KeySet
from starlette.testclient import TestClient

from mscprotocol.web.tokens import TokenError
from tests.web.cds.calls import URL, Json, call, prefetch_of
from tests.web.conftest import CLOSED, SECRET, Start
from tests.web.test_tokens import ISSUER, KEYS, RSA, sign

BASE = "https://msc.example.org"
SITE = {"authentication": "required", "secret_key": SECRET, "public_url": BASE}
ORIGIN = "https://ehr.example.org"
CALLS = (("GET", "/cds-services"), ("POST", URL), ("POST", f"{URL}/feedback"))


def listed(issuer: str, header: dict[str, Any]) -> KeySet:
    if issuer != ISSUER or header.get("jku", f"{ISSUER}/jwks") != f"{ISSUER}/jwks":
        raise TokenError("not listed")
    return KEYS


def use_test_keys(app: FastAPI) -> None:
    app.state.cds_access.keys = listed


@pytest.fixture
def guarded(start: Start) -> TestClient:
    return start(use_test_keys, cds_issuers={ISSUER: f"{ISSUER}/jwks"}, **SITE)


def ask(client: TestClient, method: str, path: str, token: str, body: Json | None = None) -> int:
    return client.request(method, path, headers={"authorization": f"Bearer {token}"}, json=body).status_code


def test_A1_A4_installations_that_demand_a_login_demand_a_token(start: Start) -> None:
    client = start(**SITE)
    assert [client.request(*one).status_code for one in CALLS] == [401, 401, 401]


def test_A1_pages_of_production_are_https_only(start: Start) -> None:
    assert start(**SITE).get("/cds-services").headers["strict-transport-security"]


@pytest.mark.parametrize(("method", "path"), CALLS)
def test_A2_A3_each_endpoint_takes_a_token_for_its_own_address_only(
    guarded: TestClient, start: Start, method: str, path: str
) -> None:
    report = {"card": "a", "outcome": "overridden", "outcomeTimestamp": "2020-04-06T10:00:00Z"}
    body = {
        "/feedback": {"feedback": [report]},
        "covid-4x": call(dict.fromkeys(prefetch_of(start(), "eligible"))),
    }
    sent = next((one for end, one in body.items() if path.endswith(end)), None)
    for other in {one for _, one in CALLS} - {path}:
        assert ask(guarded, method, path, sign(aud=BASE + other, jti=other), sent) == 401
    assert ask(guarded, method, path, sign(aud=BASE + path, jti="a"), sent) == 200
    assert ask(guarded, method, path, sign(aud=[BASE + path, "x"], jti="b"), sent) == 200


def test_A4_both_algorithms_are_taken_and_others_refused(guarded: TestClient) -> None:
    """Every other way in which a token proves nothing: tests/web/test_tokens.py."""
    path = "/cds-services"
    assert ask(guarded, "GET", path, sign(RSA, {"alg": "RS384", "kid": "rsa"}, aud=BASE + path)) == 200
    unsigned = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIiwia2lkIjoiZWMifQ." + sign(aud=BASE + path).split(".")[1] + "."
    assert ask(guarded, "GET", path, unsigned) == 401


@pytest.mark.parametrize(
    "changed", [{"iss": "https://other.example.org"}, {"header": {"jku": "https://evil.example.org/jwks"}}]
)
def test_A5_issuer_and_address_of_keys_must_be_listed(guarded: TestClient, changed: dict[str, Any]) -> None:
    assert ask(guarded, "GET", "/cds-services", sign(aud=f"{BASE}/cds-services", **changed)) == 401


@pytest.mark.parametrize("changed", [{"exp": 1}, {"iat": 10**10, "exp": 10**10 + 1}, {"jti": None}])
def test_A6_old_and_future_tokens_are_refused(guarded: TestClient, changed: dict[str, Any]) -> None:
    assert ask(guarded, "GET", "/cds-services", sign(aud=f"{BASE}/cds-services", **changed)) == 401


def test_A6_a_token_is_good_once(guarded: TestClient) -> None:
    token = sign(aud=f"{BASE}/cds-services")
    assert [ask(guarded, "GET", "/cds-services", token) for _ in range(2)] == [200, 401]


@pytest.mark.parametrize(("stated", "status"), [({"tenant": "ward"}, 200), ({"tenant": "other"}, 401), ({}, 401)])
def test_A6_a_token_of_another_tenant_is_refused(start: Start, stated: dict[str, str], status: int) -> None:
    client = start(use_test_keys, cds_issuers={ISSUER: f"{ISSUER}/jwks"}, cds_tenants={ISSUER: "ward"}, **SITE)
    assert ask(client, "GET", "/cds-services", sign(aud=f"{BASE}/cds-services", **stated)) == status


def test_A6_what_was_answered_to_one_tenant_is_not_given_to_another(guarded: TestClient, client: TestClient) -> None:
    body = call(prefetch_of(client, "eligible"))
    uuids = []
    for number, tenant in enumerate(("ward", "ward", "other", "", ["ward"])):
        token = sign(aud=f"{BASE}{URL}", tenant=tenant, jti=str(number))
        answer = guarded.post(URL, json=body, headers={"authorization": f"Bearer {token}"})
        uuids.append(answer.json()["cards"][0]["uuid"] if answer.status_code == 200 else answer.status_code)
    assert (uuids[0] == uuids[1], uuids[0] != uuids[2], uuids[3:]) == (True, True, [401, 401])


def test_A7_a_refusal_tells_nothing_and_the_token_is_not_logged(guarded: TestClient) -> None:
    token = sign(aud="another")
    with structlog.testing.capture_logs() as logged:
        answer = guarded.get("/cds-services", headers={"authorization": f"Bearer {token}"})
    assert (answer.status_code, "audience" in answer.text) == (401, False)
    assert any(one.get("why") == "audience" for one in logged)
    assert token not in str(logged)


def preflight(client: TestClient, origin: str) -> Any:
    headers = {"origin": origin, "access-control-request-method": "POST",
               "access-control-request-headers": "authorization, content-type"}  # fmt: skip
    return client.options(URL, headers=headers)


def test_A8_listed_origins_may_call(start: Start) -> None:
    client = start(cors_origins=(ORIGIN,), **CLOSED)
    answer = preflight(client, ORIGIN)
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, ORIGIN)
    allowed = answer.headers["access-control-allow-headers"].lower()
    assert "authorization" in allowed
    assert "content-type" in allowed
    assert "access-control-allow-credentials" not in answer.headers
    assert client.get("/cds-services", headers={"origin": ORIGIN}).headers["access-control-allow-origin"] == ORIGIN


def test_A8_other_origins_may_not(start: Start) -> None:
    client = start(cors_origins=(ORIGIN,))
    answer = preflight(client, "https://evil.example.org")
    assert (answer.status_code, "access-control-allow-origin" in answer.headers) == (400, False)
    assert "access-control-allow-origin" not in preflight(start(), ORIGIN).headers
