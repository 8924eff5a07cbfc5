"""Tokens of other systems: every way in which one proves nothing."""

from __future__ import annotations

import hmac
import json
from base64 import urlsafe_b64encode
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, RSAKey

from mscprotocol.service import Service
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
        (sign(jti="a\x00"), "no jti"),
        (sign(iss="a" * 501), "no iss"),
        (sign(exp=None), "no exp"),
        (sign(iat=None), "no iat"),
        (sign(exp="tomorrow"), "no exp"),
        (sign(exp=10**30), "no exp"),
        (sign(exp=int(NOW.timestamp()) - 61, iat=int(NOW.timestamp()) - 99), "expired"),
        (sign(iat=int(NOW.timestamp()) + 61), "not yet valid"),
        (sign(nbf=int(NOW.timestamp()) + 61), "not yet valid"),
        (sign(nbf="soon"), "no nbf"),
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


def test_a_name_that_no_database_can_look_up_is_none(verify: Callable[[str], object]) -> None:
    """Half a character, as JSON can say it, and a zero: both before anything was proved."""
    for name in (rb"\ud800", rb"\u0000"):
        said = urlsafe_b64encode(rb'{"iss": "' + name + rb'"}').rstrip(b"=").decode()
        with pytest.raises(TokenError, match="no iss"):
            verify(f"{sign().split('.')[0]}.{said}.AAAA")


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
