"""Keys that other systems publish: fetched over a real socket, from the registered address, whole and soon."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import structlog
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey
from starlette.testclient import TestClient
from typer.testing import CliRunner

from mscprotocol.cli import app as command
from mscprotocol.service import Service
from mscprotocol.store import clients
from mscprotocol.web.fetching import LONGEST_BYTES, fetch_json
from mscprotocol.web.keys import KEPT_SECONDS, LONGEST_SECONDS, RETRY_SECONDS, IssuerKeys, KeySets
from mscprotocol.web.smart import ASSERTION_TYPE, PATH
from mscprotocol.web.tokens import TokenError
from tests.web.conftest import NOW, SECRET, Start
from tests.web.key_server import KeyServer, keys, reply, serving_keys

PUBLIC = "https://msc.example.org"
OLD, NEW = (ECKey.generate_key("P-384", {"kid": kid}) for kid in ("old", "new"))
JWKS = {"keys": [OLD.as_dict(private=False)]}


@pytest.fixture
def server() -> Iterator[KeyServer]:
    with serving_keys() as started:
        started.answer = keys(OLD)
        yield started


@dataclass
class Program:
    """A program that is registered with the address of its keys, and asks for tokens."""

    client: TestClient
    id: str
    asked: int = 0
    now: float = 0.0

    def ask(self, key: Any = OLD, **header: str) -> int:
        self.asked += 1
        said = {"iss": self.id, "sub": self.id, "aud": PUBLIC + PATH, "jti": str(self.asked),
                "iat": int(NOW.timestamp()), "exp": int((NOW + timedelta(minutes=5)).timestamp())}  # fmt: skip
        head = {"alg": "ES384", "kid": key.kid, "typ": "JWT"} | header
        form = {
            "grant_type": "client_credentials",
            "scope": "read",
            "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": jwt.encode(head, said, key, algorithms=["ES384"]),
        }
        return self.client.post(PATH, data=form).status_code


@pytest.fixture
def program(start: Start, service: Service, server: KeyServer) -> Program:
    client = start(authentication="required", secret_key=SECRET, public_url=PUBLIC)
    with service.database.writing() as session:
        found, key = clients.register(session, NOW, "ehr", frozenset({"read"}), keys_url=server.address)
    assert key is None
    made = Program(client, found.id)
    wait_for_keys(made, 20)  # a busy machine may take long to answer
    return made


def wait_for_keys(program: Program, seconds: float) -> None:
    """Set how long the server waits for the keys of a program."""
    state = program.client.app.state  # type: ignore[attr-defined]  # the client knows it as any ASGI application
    state.key_sets = KeySets(partial(fetch_json, seconds=seconds), lambda: program.now)


def test_a_program_proves_itself_by_the_keys_at_its_address(program: Program, server: KeyServer) -> None:
    assert [program.ask(), program.ask()] == [200, 200]
    assert server.asked == 1, "kept"
    program.now = KEPT_SECONDS + 1
    assert (program.ask(), server.asked) == (200, 2)


def test_a_new_key_is_known_once_it_is_published_and_the_old_one_no_more(program: Program, server: KeyServer) -> None:
    program.ask()
    server.answer = keys(NEW)
    program.now = RETRY_SECONDS + 1
    assert [program.ask(NEW), program.ask(OLD)] == [200, 401]


def test_a_key_that_nobody_publishes_is_looked_for_once_in_a_while(program: Program, server: KeyServer) -> None:
    program.ask()
    for _ in range(3):
        assert program.ask(NEW) == 401
    assert server.asked == 1
    program.now = RETRY_SECONDS + 1
    assert [program.ask(NEW), program.ask(NEW), program.ask(OLD)] == [401, 401, 200]
    assert server.asked == 2


def test_another_address_in_the_token_is_never_asked(program: Program, server: KeyServer) -> None:
    with serving_keys() as evil:
        evil.answer = keys(NEW)
        assert program.ask(NEW, jku=evil.address) == 401
        assert (evil.asked, server.asked) == (0, 0)
    assert program.ask(OLD, jku=server.address) == 200


def test_a_redirect_leads_nowhere(program: Program, server: KeyServer) -> None:
    with serving_keys() as other:
        other.answer = keys(OLD)
        server.answer = reply(b"", "302 Found", f"location: {other.address}")
        assert (program.ask(), other.asked) == (401, 0)


FAULTS: dict[str, tuple[Callable[[KeyServer], Any], str]] = {
    "status": (lambda _: reply(b"", "500 Internal Server Error"), "status 500"),
    "redirect": (lambda _: reply(b"", "301 Moved", "location: https://evil.example.org/"), "status 301"),
    "no JSON": (lambda _: reply(b"<html>"), "not JSON"),
    "deep": (lambda _: reply(b"[" * 200_000), "not JSON"),
    "gzip": (lambda _: reply(gzip.compress(json.dumps(JWKS).encode()), "200 OK", "content-encoding: gzip"), "not JSON"),
    "no JWKS": (lambda _: reply(b"[]"), "no JWKS"),
    "no keys": (lambda _: reply(b'{"keys": [{"kty": "none"}, 1, {"kty": "EC", "crv": "P-384"}]}'), "no JWKS"),
    "private": (lambda _: reply(json.dumps({"keys": [OLD.as_dict(private=True)]}).encode()), "no JWKS"),
    "too large": (lambda _: reply(b" " * LONGEST_BYTES + json.dumps(JWKS).encode()), "too large"),
    "never begins": (lambda server: server.drip(b""), "too long"),
    "drips headers": (lambda server: server.drip(b"HTTP/1.1 200 OK\r\nx: "), "too long"),
    "drips its body": (lambda server: server.drip(b"HTTP/1.1 200 OK\r\n\r\n"), "too long"),
    "hangs up": (lambda _: lambda connection: connection.close(), "no connection"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_keys_that_do_not_come_whole_prove_nothing_and_the_log_says_why(
    program: Program, server: KeyServer, fault: str
) -> None:
    make, why = FAULTS[fault]
    server.answer = make(server)
    if fault.startswith(("never", "drips")):
        wait_for_keys(program, 0.5)
    with structlog.testing.capture_logs() as logged:
        assert program.ask() == 401
    (refused,) = (one["why"] for one in logged if one["event"] == "assertion refused")
    assert why in refused
    assert "eyJ" not in str(logged), "no part of a token"
    assert (program.ask(), server.asked) == (401, 1), "who fails is not asked again at once"
    server.answer, program.now = keys(OLD), RETRY_SECONDS + 1
    if fault.startswith(("never", "drips")):
        server.is_over.set()
        return
    assert program.ask() == 200


def test_a_server_that_is_down_is_bridged_by_the_keys_that_came_before_but_not_for_ever(
    program: Program, server: KeyServer
) -> None:
    assert program.ask() == 200
    server.stop()
    program.now = KEPT_SECONDS + 1
    assert [program.ask(OLD), program.ask(NEW)] == [200, 401]
    program.now = LONGEST_SECONDS + 1
    assert program.ask(OLD) == 401


def test_keys_that_are_not_understood_are_passed_over() -> None:
    private = RSAKey.generate_key(2048, {"kid": "p"}).as_dict(private=True)
    odd = [{"kty": "AKP", "kid": "x"}, {"kty": "EC", "kid": "y", "crv": "P-384"}, "z", private]
    sets = KeySets(lambda _: {"keys": [*odd, *JWKS["keys"]]})
    assert [key.kid for key in sets.find("https://x", {"kid": "old"}).keys] == ["old"]


def test_issuers_are_asked_at_their_own_address_only() -> None:
    asked: list[str] = []
    find = IssuerKeys({"ehr": "https://a", "lab": "https://b"}, KeySets(lambda one: asked.append(one) or JWKS))
    find("lab", {"kid": "old"})
    assert asked == ["https://b"]
    find("ehr", {"kid": "old"})
    with pytest.raises(TokenError, match="issuer not listed"):
        find("other", {"kid": "old"})
    with pytest.raises(TokenError, match="address of the keys"):
        find("ehr", {"kid": "old", "jku": "https://b"})
    assert asked == ["https://b", "https://a"]


# -- the operator ------------------------------------------------------------------------------------


@pytest.fixture
def operator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    monkeypatch.setenv("MSCPROTOCOL_DATABASE_URL", f"sqlite:///{tmp_path}/store.sqlite3")
    return lambda *words: CliRunner().invoke(command, ["clients", *words])


def test_a_client_is_registered_with_its_address(operator: Callable[..., Any], server: KeyServer) -> None:
    added = operator("add", "ehr", "--scope", "read", "--keys-url", server.address)
    assert (added.exit_code, "Keys at this address now: 1" in added.output) == (0, True)
    assert f"keys at {server.address}" in operator("list").output
    server.answer = reply(b"")
    later = operator("add", "lab", "--scope", "read", "--keys-url", server.address)
    assert (later.exit_code, "No keys at this address now: not JSON" in later.output) == (0, True)


@pytest.mark.parametrize(
    "address",
    ["http://ehr.example.org/jwks", "ftp://127.0.0.1/", "file:///etc/passwd", "https:///x", "https://me:pw@ehr.example.org/",
     "https://ehr.example.org/\n", "ehr.example.org", ""],
)  # fmt: skip
def test_keys_come_by_https_only(operator: Callable[..., Any], address: str) -> None:
    refused = operator("add", "ehr", "--scope", "read", "--keys-url", address)
    assert (refused.exit_code, "https://" in refused.output) == (2, True)


def test_keys_come_from_a_file_or_an_address(operator: Callable[..., Any], tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    file.write_text(json.dumps(JWKS))
    both = operator("add", "ehr", "--scope", "read", "--keys", str(file), "--keys-url", "https://ehr.example.org/jwks")
    assert (both.exit_code, "not both" in " ".join(both.output.replace("│", " ").split())) == (2, True)
