"""Signed tokens of other systems: each verified whole, by a key of an issuer that this installation lists.

One verification for CDS Hooks clients (CDS Hooks 2.0, "Trusting CDS Clients") and for SMART backend services (SMART
App Launch 2, "Client authentication: asymmetric").
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, Key, KeySet, RSAKey
from sqlalchemy import delete
from sqlalchemy.exc import IntegrityError

from mscprotocol.store.database import Database
from mscprotocol.store.tables import UsedToken

ALGORITHMS = ("ES384", "RS384")
LEEWAY = timedelta(seconds=60)
LONGEST_LIFE = timedelta(hours=1)
_SMALLEST_RSA = 2048
_LONGEST_TOKEN = 8192
_LONGEST_NAME = 500


class TokenError(Exception):
    """A token that proves nothing. The reason is for the log; the caller learns none."""


@dataclass(frozen=True)
class Claims:
    """What a verified token states."""

    issuer: str
    subject: str | None
    token_id: str
    tenant: object = None


# The keys of an issuer, as the token's header names them: raises TokenError for an issuer that is not listed.
FindKeys = Callable[[str, dict[str, Any]], KeySet]


class Verifier:
    """Verifies tokens and remembers their ids until they would have expired."""

    def __init__(
        self,
        database: Database,
        clock: Callable[[], datetime],
        longest_life: timedelta = LONGEST_LIFE,
        *,
        needs_issued: bool = True,
    ) -> None:
        self.database, self.clock, self.longest_life, self.needs_issued = database, clock, longest_life, needs_issued

    def verify(self, token: str, audience: str, find_keys: FindKeys) -> Claims:
        """The claims of a token for exactly this audience; each token is good once. Raises TokenError."""
        header, claims = _read(token)
        if header.get("alg") not in ALGORITHMS or header.get("typ") != "JWT":
            raise TokenError("algorithm or type")
        issuer = _text(claims, "iss")
        self._signed(token, _pick(find_keys(issuer, header), header))
        self._timely(claims)
        stated = claims.get("aud")
        if audience not in (stated if isinstance(stated, list) else [stated]):
            raise TokenError("audience")
        token_id = _text(claims, "jti")
        self._use_once(issuer, token_id)
        return Claims(issuer, claims.get("sub"), token_id, claims.get("tenant"))

    def _signed(self, token: str, key: Key) -> None:
        try:
            jwt.decode(token, key, algorithms=list(ALGORITHMS))
        except (JoseError, ValueError, TypeError) as error:
            raise TokenError("signature") from error

    def _timely(self, claims: dict[str, Any]) -> None:
        now = self.clock()
        expires = _instant(claims, "exp")
        # RFC 7523 and SMART leave `iat` to the sender; without it a token may not be good for longer than the most.
        issued = _instant(claims, "iat") if self.needs_issued or "iat" in claims else now
        begins = _instant(claims, "nbf") if "nbf" in claims else issued
        if expires + LEEWAY <= now or max(issued, begins) - LEEWAY > now:
            raise TokenError("expired or not yet valid")
        if expires - issued > self.longest_life:
            raise TokenError("valid for too long")

    def _use_once(self, issuer: str, token_id: str) -> None:
        now = self.clock()
        digest = hashlib.sha256(f"{issuer}\0{token_id}".encode()).hexdigest()
        try:
            with self.database.writing() as session:
                session.execute(delete(UsedToken).where(UsedToken.expires_at < now))
                session.add(UsedToken(sha256=digest, expires_at=now + self.longest_life + 2 * LEEWAY))
        except IntegrityError as error:
            raise TokenError("used before") from error


def read_public_keys(content: bytes) -> dict[str, Any]:
    """A JWKS as it is kept of a client: each key public, named, and fit to verify with. Raises ValueError."""
    try:
        tree = json.loads(content)
        keys = KeySet.import_key_set(tree).keys
    except (JoseError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise ValueError('not a JWKS, that is {"keys": [...]}') from None
    if not keys or any(key.is_private for key in keys):
        raise ValueError("give public keys only, at least one")
    if len({key.kid for key in keys} - {None}) < len(keys):
        raise ValueError("each key needs a kid of its own")
    if not all(any(_fits(key, one) for one in ALGORITHMS) for key in keys):
        raise ValueError(f"keys are EC on P-384, or RSA of at least {_SMALLEST_RSA} bits")
    return {"keys": [key.as_dict(private=False) for key in keys]}


def _read(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims, not yet believed."""
    if len(token) > _LONGEST_TOKEN:
        raise TokenError("too long")
    try:
        unverified = jws.extract_compact(token.encode("ascii"))
        claims = json.loads(unverified.payload)
    except (JoseError, ValueError, RecursionError) as error:
        raise TokenError("unreadable") from error
    if not isinstance(claims, dict):
        raise TokenError("unreadable")
    return dict(unverified.headers()), claims


def _pick(keys: KeySet, header: dict[str, Any]) -> Key:
    """The one key that the header names; its kind must be that of the algorithm."""
    named = [key for key in keys.keys if key.kid == header.get("kid") and header.get("kid")]
    if len(named) != 1:
        raise TokenError("unknown key")
    key = named[0]
    if key.alg not in (None, header["alg"]) or not _fits(key, header["alg"]):
        raise TokenError("the key is for another algorithm")
    return key


def _fits(key: Key, algorithm: str) -> bool:
    if algorithm == "ES384":
        return isinstance(key, ECKey) and key.curve_name == "P-384"
    return isinstance(key, RSAKey) and key.raw_value.key_size >= _SMALLEST_RSA


def _text(claims: dict[str, Any], name: str) -> str:
    value = claims.get(name)
    # What cannot be printed cannot be looked up in every database either.
    if not isinstance(value, str) or not 0 < len(value) <= _LONGEST_NAME or not value.isprintable():
        raise TokenError(f"no {name}")
    return value


def _instant(claims: dict[str, Any], name: str) -> datetime:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TokenError(f"no {name}")
    try:
        return datetime.fromtimestamp(value, UTC)
    except (OverflowError, ValueError, OSError) as error:
        raise TokenError(f"no {name}") from error
