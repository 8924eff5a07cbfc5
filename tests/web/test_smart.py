"""SMART backend services: how a program gets a token, and every way in which it gets none."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, RSAKey
from sqlalchemy import select
from starlette.testclient import TestClient
from typer.testing import CliRunner

from mscprotocol.cli import app as command
from mscprotocol.service import Service
from mscprotocol.store import clients
from mscprotocol.store.database import open_database
from mscprotocol.store.tables import ApiClient, AuditEntry
from mscprotocol.web.callers import ACCESS_LIFE
from mscprotocol.web.smart import ASSERTION_TYPE, PATH
from mscprotocol.web.tokens import read_public_keys
from tests.web.conftest import HERE, NOW, SECRET, Start

PUBLIC = "https://msc.example.org"
EC, RSA = ECKey.generate_key("P-384", {"kid": "ec"}), RSAKey.generate_key(2048, {"kid": "rsa"})
OTHER = ECKey.generate_key("P-384", {"kid": "ec"})
KEYS = {"keys": [key.as_dict(private=False) for key in (EC, RSA)]}
Ask = Callable[..., Any]


@pytest.fixture
def closed(start: Start) -> TestClient:
    return start(authentication="required", secret_key=SECRET, public_url=PUBLIC)


@pytest.fixture
def client_id(closed: TestClient, service: Service) -> str:
    with service.database.writing() as session:
        return clients.register(session, NOW, "ehr", frozenset({"assess", "read"}), KEYS)[0].id


@pytest.mark.parametrize("host", ["other.example", "127.0.0.1:1", "msc.example.org"])
def test_what_a_caller_says_where_this_service_is_changes_no_address(start: Start, host: str) -> None:
    """An assertion that was made for another service would be good here, if the header could name the audience."""
    named = {"authentication": "required", "public_url": PUBLIC}
    for settings, address in (({}, HERE), (named, PUBLIC)):
        headers = {"host": host, "x-forwarded-host": host, "x-forwarded-proto": "https"}
        client = start(secret_key=SECRET, **settings)
        said = client.get("/.well-known/smart-configuration", headers=headers).json()["token_endpoint"]
        assert said == address + PATH
        fhir = client.get("/fhir/metadata", headers=headers).json()["implementation"]["url"]
        assert fhir == f"{address}/fhir"


@pytest.fixture
def ask(closed: TestClient, client_id: str) -> Ask:
    """Asks for a token with a good assertion, but for what is changed."""

    def ask(key: Any = EC, *, header: dict[str, str] | None = None, form: dict[str, Any] | None = None, **claims: Any):  # type: ignore[no-untyped-def]
        said = {"iss": client_id, "sub": client_id, "aud": PUBLIC + PATH, "jti": "1", "iat": int(NOW.timestamp()),
                "exp": int((NOW + timedelta(minutes=5)).timestamp())} | claims  # fmt: skip
        head = {"alg": "ES384", "kid": "ec", "typ": "JWT"} | (header or {})
        fields = {
            "grant_type": "client_credentials",
            "scope": "read",
            "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": jwt.encode(head, said, key, algorithms=[head["alg"]]),
        } | (form or {})
        return closed.post(PATH, data={name: value for name, value in fields.items() if value is not None})

    return ask


@pytest.mark.parametrize(("key", "algorithm", "kid"), [(EC, "ES384", "ec"), (RSA, "RS384", "rsa")])
def test_a_signed_assertion_gets_a_short_lived_token(
    closed: TestClient, ask: Ask, key: Any, algorithm: str, kid: str
) -> None:
    reply = ask(key, header={"alg": algorithm, "kid": kid}, form={"scope": "read assess"})
    assert reply.status_code == 200
    assert reply.headers["cache-control"] == "no-store"
    given = reply.json()
    assert (given["token_type"], given["expires_in"], given["scope"]) == ("bearer", 300, "assess read")
    assert timedelta(minutes=5) >= ACCESS_LIFE
    bearer = {"authorization": f"Bearer {given['access_token']}"}
    assert closed.get("/api/v1/rulebase", headers=bearer).status_code == 200


def test_a_token_opens_the_doors_of_its_scopes_only(closed: TestClient, ask: Ask) -> None:
    fhir = {"content-type": "application/fhir+json"}
    for scope, (read, assess) in {"read": (200, 403), "assess": (403, 422)}.items():
        token = ask(form={"scope": scope}, jti=scope).json()["access_token"]
        bearer = {"authorization": f"Bearer {token}"}
        for path in ("/api/v1/rules", "/fhir/PlanDefinition", "/cds-feedback"):
            assert closed.get(path, headers=bearer).status_code == read, path
        for path, kind in (("/api/v1/assess", {"content-type": "application/json"}),
                           ("/fhir/PlanDefinition/seed-covid-4x/$apply", fhir)):  # fmt: skip
            assert closed.post(path, content=b"{}", headers=bearer | kind).status_code == assess, path
        assert closed.post("/cds-services/seed-covid-4x", json={}, headers=bearer).status_code == 401


def test_an_assertion_is_good_once(ask: Ask) -> None:
    assert [ask().status_code, ask().status_code, ask(jti="2").status_code] == [200, 401, 200]


@pytest.mark.parametrize(
    "change",
    [
        {"key": OTHER},
        {"header": {"kid": "rsa"}},
        {"aud": PUBLIC},
        {"aud": PUBLIC + "/cds-services"},
        {"sub": "another"},
        {"iss": "nobody", "sub": "nobody"},
        {"exp": int((NOW + timedelta(minutes=5, seconds=1)).timestamp())},
        {"exp": int((NOW - timedelta(minutes=2)).timestamp()), "iat": int((NOW - timedelta(minutes=3)).timestamp())},
        {"jti": ""},
        {"form": {"client_assertion": "a.b.c"}},
    ],
    ids=" ".join,  # the names of what differs: a key prints where it lies in memory
)
def test_an_assertion_that_proves_nothing_gets_nothing(ask: Ask, change: dict[str, Any]) -> None:
    reply = ask(**change)
    assert (reply.status_code, reply.json()["error"]) == (401, "invalid_client")


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({"scope": "admin"}, "invalid_scope"),
        ({"scope": "read admin"}, "invalid_scope"),
        ({"scope": " "}, "invalid_scope"),
        ({"scope": None}, "invalid_request"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"client_assertion_type": "other"}, "invalid_request"),
        ({"client_assertion": None}, "invalid_request"),
        ({"grant_type": ["client_credentials", "client_credentials"]}, "invalid_request"),
    ],
    ids=str,
)
def test_a_request_that_says_something_else_is_refused(ask: Ask, form: dict[str, Any], error: str) -> None:
    reply = ask(form=form)
    assert (reply.status_code, reply.json()["error"]) == (400, error)


def test_a_client_with_an_api_key_or_revoked_gets_no_token(ask: Ask, service: Service) -> None:
    with service.database.writing() as session:
        other = clients.register(session, NOW, "script", frozenset({"read"}))[0].id
    assert ask(iss=other, sub=other).status_code == 401
    assert ask(jti="2").status_code == 200
    with service.database.writing() as session:
        clients.revoke(session, NOW, "ehr")
    assert ask(jti="3").status_code == 401


def test_each_token_is_in_the_audit_trail(ask: Ask, service: Service, client_id: str) -> None:
    ask()
    with service.database.reading() as session:
        (entry,) = session.execute(select(AuditEntry).where(AuditEntry.action == "token")).scalars()
    assert (entry.actor, entry.subject, entry.detail) == ("ehr", f"Client/{client_id}", {"scopes": ["read"]})


def test_discovery_says_where_and_how(closed: TestClient, start: Start) -> None:
    said = closed.get("/.well-known/smart-configuration").json()
    assert said == closed.get("/fhir/.well-known/smart-configuration").json()
    assert said["token_endpoint"] == PUBLIC + PATH
    assert said["token_endpoint_auth_signing_alg_values_supported"] == ["ES384", "RS384"]
    assert said["capabilities"] == ["client-confidential-asymmetric"]
    without = start()
    assert without.get("/.well-known/smart-configuration").status_code == without.post(PATH).status_code == 404


@pytest.mark.parametrize(
    "content",
    [
        b"", b"[]", b"{}", b'{"keys": []}', b'{"keys": [{"kty": "none"}]}', b"[" * 9999,
        json.dumps({"keys": [EC.as_dict(private=True)]}).encode(),
        json.dumps({"keys": [ECKey.generate_key("P-256", {"kid": "x"}).as_dict(private=False)]}).encode(),
        json.dumps({"keys": [EC.as_dict(private=False), OTHER.as_dict(private=False)]}).encode(),
    ],
)  # fmt: skip
def test_keys_that_could_not_be_trusted_are_not_registered(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"not a JWKS|public keys|kid|P-384"):
        read_public_keys(content)


# -- the commands of the operator --------------------------------------------------------------------


@pytest.fixture
def operator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    monkeypatch.setenv("MSCPROTOCOL_DATABASE_URL", f"sqlite:///{tmp_path}/store.sqlite3")
    return lambda *words: CliRunner().invoke(command, ["clients", *words])


def rows(tmp_path: Path, table: Any) -> list[Any]:
    database = open_database(f"sqlite:///{tmp_path}/store.sqlite3")
    with database.reading() as session:
        found = list(session.execute(select(table)).scalars())
    database.close()
    return found


def test_an_operator_adds_lists_and_revokes_a_client(operator: Callable[..., Any], tmp_path: Path) -> None:
    added = operator("add", "lab", "--scope", "assess", "--scope", "read")
    assert added.exit_code == 0
    key = added.stdout.strip().splitlines()[-1]
    (client,) = rows(tmp_path, ApiClient)
    assert key.startswith(clients.KEY_PREFIX)
    assert client.key_sha256 == clients.hash_key(key)
    assert "lab  assess read  since" in operator("list").output
    assert operator("revoke", "lab").exit_code == 0
    assert "revoked" in operator("list").output
    assert [one.action for one in rows(tmp_path, AuditEntry)] == ["add client", "revoke client"]
    assert key not in str([one.detail for one in rows(tmp_path, AuditEntry)])


def test_a_client_may_be_added_with_its_public_keys(operator: Callable[..., Any], tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    file.write_text(json.dumps(KEYS))
    added = operator("add", "ehr", "--scope", "read", "--keys", str(file))
    assert added.exit_code == 0
    (client,) = rows(tmp_path, ApiClient)
    assert (added.stdout.strip().splitlines()[-1], client.key_sha256) == (client.id, None)
    assert {key.kid for key in KeySet.import_key_set(client.jwks).keys} == {"ec", "rsa"}


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("add", "lab", "--scope", "everything"), "no scope named everything"),
        (("add", "old", "--scope", "read"), "registered already"),
        (("revoke", "nobody"), "clients list"),
        (("add", "ehr", "--scope", "read", "--keys", "no-such-file"), "holds no keys"),
    ],
)
def test_what_an_operator_cannot_mean_is_refused(
    operator: Callable[..., Any], words: tuple[str, ...], hint: str
) -> None:
    operator("add", "old", "--scope", "read")
    refused = operator(*words)
    assert refused.exit_code == 2
    assert hint in " ".join(refused.output.replace("│", " ").split())
