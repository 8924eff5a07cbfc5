"""Tokens of other systems: every way in which one proves nothing."""

from __future__ import annotations

import hmac
import json
from base64 import urlsafe_b64encode
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx2
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, RSAKey

from mscprotocol.service import Service
from mscprotocol.web.keys import KEPT_SECONDS, RETRY_SECONDS, IssuerKeys
from mscprotocol.web.tokens import LONGEST_LIFE, TokenError, Verifier
from tests.web.conftest import NOW

AUDIENCE, ISSUER = "https://msc.example.org/cds-services/x", "https://ehr.example.org"
EC = ECKey.generate_key("P-384", {"kid": "ec"})
EC_256 = ECKey.generate_key("P-256", {"kid": "small"})
RSA = RSAKey.generate_key(2048, {"kid": "rsa", "alg": "RS384"})
OTHER = ECKey.generate_key("P-384", {"kid": "ec"})
KEYS = KeySet.import_key_set({"keys": [key.as_dict(private=False) for key in (EC, EC_256, RSA)]})
CLAIMS: dict[str, Any] = {
    "iss": ISSUER,
    "aud": AUDIENCE,
    "iat": int(NOW.timestamp()),
    "exp": int((NOW + timedelta(minutes=5)).timestamp()),
    "jti": "1",
}


def sign(key: Any = EC, header: dict[str, Any] | None = None, **claims: Any) -> str:
    said = {name: value for name, value in (CLAIMS | claims).items() if value is not None}
    head = {"alg": "ES384", "kid": "ec", "typ": "JWT"} | (header or {})
    return jwt.encode({k: v for k, v in head.items() if v is not None}, said, key, algorithms=[head["alg"]])


@pytest.fixture
def verify(service: Service) -> Callable[[str], object]:
    service.database.migrate()
    verifier = Verifier(service.database, service.clock)
    return lambda token: verifier.verify(token, AUDIENCE, lambda *_: KEYS)


@pytest.mark.parametrize("token", [sign(), sign(RSA, {"alg": "RS384", "kid": "rsa"}), sign(aud=["x", AUDIENCE])])
def test_a_good_token_names_its_issuer(verify: Callable[[str], Any], token: str) -> None:
    assert verify(token).issuer == ISSUER


def test_a_token_is_good_once(verify: Callable[[str], object]) -> None:
    verify(sign())
    with pytest.raises(TokenError, match="used before"):
        verify(sign())
    verify(sign(jti="2"))


@pytest.mark.parametrize(
    ("token", "why"),
    [
        (sign(aud="https://msc.example.org/cds-services"), "audience"),
        (sign(aud=None), "audience"),
        (sign(iss=None), "no iss"),
        (sign(jti=None), "no jti"),
        (sign(jti=""), "no jti"),
        (sign(exp=None), "no exp"),
        (sign(iat=None), "no iat"),
        (sign(exp="tomorrow"), "no exp"),
        (sign(exp=10**30), "no exp"),
        (sign(exp=int(NOW.timestamp()) - 61, iat=int(NOW.timestamp()) - 99), "expired"),
        (sign(iat=int(NOW.timestamp()) + 61), "not yet valid"),
        (sign(exp=int((NOW + LONGEST_LIFE).timestamp()) + 1), "too long"),
        (sign(header={"kid": "nobody"}), "unknown key"),
        (sign(header={"kid": None}), "unknown key"),
        (sign(header={"typ": "at+jwt"}), "type"),
        (sign(OTHER), "signature"),
        (sign(EC_256, {"alg": "ES256", "kid": "small"}), "algorithm"),
        (sign(RSAKey.generate_key(2048), {"alg": "RS256", "kid": "rsa"}), "algorithm"),
        (sign(header={"kid": "rsa"}), "another algorithm"),
        (sign(header={"kid": "small"}), "another algorithm"),
        ("a.b.c", "unreadable"),
        ("", "unreadable"),
        ("é", "unreadable"),
        ("a" * 9000, "too long"),
        (sign()[:-4] + "AAAA", "signature"),
    ],
)
def test_a_token_that_proves_nothing(verify: Callable[[str], object], token: str, why: str) -> None:
    with pytest.raises(TokenError, match=why):
        verify(token)


def test_no_signature_and_a_shared_secret_are_refused(verify: Callable[[str], object]) -> None:
    """The public key as a shared secret is the classical confusion of algorithms."""
    secret = EC.as_pem(private=False)
    for name, kind in (("HS256", "sha256"), ("HS384", "sha384")):
        head = urlsafe_b64encode(json.dumps({"alg": name, "kid": "ec", "typ": "JWT"}).encode()).rstrip(b"=")
        signed = head + b"." + sign().split(".")[1].encode()
        seal = urlsafe_b64encode(hmac.digest(secret, signed, kind)).rstrip(b"=")
        with pytest.raises(TokenError, match="algorithm"):
            verify((signed + b"." + seal).decode())
    unsigned = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIiwia2lkIjoiZWMifQ." + sign().split(".")[1] + "."
    with pytest.raises(TokenError, match="algorithm"):
        verify(unsigned)


class Issuer:
    """An issuer's address that counts how often it is asked."""

    def __init__(self) -> None:
        self.asked, self.answer, self.now = 0, httpx2.Response(200, json=KEYS.as_dict()), 0.0
        self.keys = IssuerKeys(
            {ISSUER: "https://ehr.example.org/jwks"},
            httpx2.Client(transport=httpx2.MockTransport(self._answer)),
            lambda: self.now,
        )

    def _answer(self, request: httpx2.Request) -> httpx2.Response:
        assert str(request.url) == "https://ehr.example.org/jwks"
        self.asked += 1
        return self.answer


def test_keys_are_fetched_once_and_kept() -> None:
    issuer = Issuer()
    assert issuer.keys(ISSUER, {"kid": "ec"}).keys[0].kid == "ec"
    issuer.keys(ISSUER, {"kid": "rsa"})
    assert issuer.asked == 1
    issuer.now = KEPT_SECONDS + 1
    issuer.keys(ISSUER, {"kid": "ec"})
    assert issuer.asked == 2


def test_an_unknown_key_is_looked_for_once_more_and_not_more_often() -> None:
    issuer = Issuer()
    issuer.keys(ISSUER, {"kid": "new"})
    issuer.keys(ISSUER, {"kid": "new"})
    assert issuer.asked == 1
    issuer.now = RETRY_SECONDS + 1
    issuer.keys(ISSUER, {"kid": "new"})
    assert issuer.asked == 2


@pytest.mark.parametrize(
    ("issuer", "header", "why"),
    [
        ("https://other.example.org", {}, "issuer not listed"),
        (ISSUER, {"jku": "https://evil.example.org/jwks"}, "address of the keys"),
    ],
)
def test_nothing_is_fetched_from_an_address_that_is_not_listed(issuer: str, header: dict[str, str], why: str) -> None:
    source = Issuer()
    with pytest.raises(TokenError, match=why):
        source.keys(issuer, header)
    assert source.asked == 0


@pytest.mark.parametrize(
    "answer",
    [
        httpx2.Response(500),
        httpx2.Response(302, headers={"location": "https://evil.example.org"}),
        httpx2.Response(200, text="no JSON"),
        httpx2.Response(200, json=[]),
        httpx2.Response(200, json={"keys": [{"kty": "none"}]}),
        httpx2.Response(200, content=b" " * 300_000),
    ],
)
def test_keys_that_cannot_be_had_prove_nothing(answer: httpx2.Response) -> None:
    source = Issuer()
    source.answer = answer
    with pytest.raises(TokenError):
        source.keys(ISSUER, {"kid": "ec"})
