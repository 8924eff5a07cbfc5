"""The site's identity provider, by OpenID Connect: authorization code with PKCE, and an ID token that proves it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx2
from authlib.integrations.httpx_client import OAuth2Client, OAuthError
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from mscprotocol.settings import Settings, check_address
from mscprotocol.web.fetching import FetchError, fetch_json
from mscprotocol.web.keys import read_key_set

SCOPE = "openid profile"
_ALGORITHMS = ["RS256", "PS256", "ES256", "EdDSA"]
_KEPT_SECONDS, _TIMEOUT_SECONDS, _LEEWAY_SECONDS = 600.0, 5.0, 60
_FRESH_SECONDS = 300
_FAILURES = (FetchError, httpx2.HTTPError, OAuthError, JoseError, ValueError, KeyError, TypeError)


class ProviderError(Exception):
    """The provider cannot be asked, or what it said proves nothing; the text names no secret and no person."""


@dataclass(frozen=True)
class Attempt:
    """What one login carries to the provider and must find again on the way back."""

    state: str
    nonce: str
    verifier: str


@dataclass(frozen=True)
class Vouched:
    """A person whom the provider vouches for, with the roles that their groups give here."""

    subject: str
    full_name: str
    roles: frozenset[str]


@dataclass(frozen=True)
class _Known:
    metadata: dict[str, Any]
    keys: KeySet
    fetched: float


class Provider:
    """One provider; its metadata and keys are fetched when they are needed, and kept for ten minutes."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        assert settings.oidc_issuer is not None
        self.settings, self.clock, self.issuer = settings, clock, settings.oidc_issuer
        self._known: _Known | None = None
        self._lock = threading.Lock()

    def address(self, attempt: Attempt, redirect: str, *, is_proof: bool) -> str:
        """Where the browser goes to log in; a proof demands that the person logs in anew. Raises ProviderError."""
        more = {"prompt": "login", "max_age": "0"} if is_proof else {}
        with self._client(redirect) as client:
            address, _ = client.create_authorization_url(
                self._look().metadata["authorization_endpoint"],
                state=attempt.state,
                code_verifier=attempt.verifier,
                nonce=attempt.nonce,
                **more,
            )
        return str(address)

    def redeem(self, code: str, attempt: Attempt, redirect: str, at: datetime, *, is_proof: bool) -> Vouched:
        """The person behind a code that came back. Raises ProviderError for whatever proves nothing."""
        try:
            with self._client(redirect) as client:
                token = client.fetch_token(
                    self._look().metadata["token_endpoint"], code=code, code_verifier=attempt.verifier
                )
            claims = self._read(token["id_token"], attempt, at)
            if is_proof and int(at.timestamp()) - int(claims["auth_time"]) > _FRESH_SECONDS:
                raise ProviderError("the provider did not ask for the password anew")
            return self._vouched(claims)
        except _FAILURES as error:
            raise ProviderError(f"the provider's answer proves nothing ({type(error).__name__})") from None

    def _read(self, token: str, attempt: Attempt, at: datetime) -> CodeIDToken:
        """The claims of an ID token: signed by the provider, for us, for this very login, not expired."""
        try:
            read = jwt.decode(token, self._look().keys, algorithms=_ALGORITHMS)
        except ValueError:  # a key that is not known yet
            read = jwt.decode(token, self._look(anew=True).keys, algorithms=_ALGORITHMS)
        client_id = self.settings.oidc_client_id or ""
        options: Any = {
            "iss": {"essential": True, "value": self.issuer},
            "aud": {"essential": True, "value": client_id},
        }
        claims = CodeIDToken(read.claims, read.header, options, {"nonce": attempt.nonce, "client_id": client_id})
        claims.validate(now=int(at.timestamp()), leeway=_LEEWAY_SECONDS)
        return claims

    def _vouched(self, claims: CodeIDToken) -> Vouched:
        groups = claims.get(self.settings.oidc_roles_claim, ())
        listed = groups if isinstance(groups, list) else [groups]
        roles = frozenset(self.settings.oidc_roles[one] for one in listed if one in self.settings.oidc_roles)
        name = next((text for key in ("name", "preferred_username", "sub") if (text := claims.get(key))), "")
        return Vouched(str(claims["sub"])[:255], str(name)[:200], roles)

    def _client(self, redirect: str) -> OAuth2Client:
        secret = self.settings.oidc_client_secret
        return OAuth2Client(
            self.settings.oidc_client_id,
            None if secret is None else secret.get_secret_value(),
            scope=SCOPE,
            redirect_uri=redirect,
            code_challenge_method="S256",
            timeout=_TIMEOUT_SECONDS,
        )

    def _look(self, *, anew: bool = False) -> _Known:
        with self._lock:
            known = self._known
            if known is None or anew or self.clock() - known.fetched > _KEPT_SECONDS:
                known = self._known = self._fetch()
            return known

    def _fetch(self) -> _Known:
        try:
            metadata = fetch_json(f"{self.issuer.rstrip('/')}/.well-known/openid-configuration")
            if metadata["issuer"] != self.issuer:
                raise ProviderError("the provider calls itself by another name than the setting does")
            keys = read_key_set(fetch_json(check_address(metadata["jwks_uri"])))
        except _FAILURES as error:
            raise ProviderError(f"the provider cannot be asked ({type(error).__name__})") from None
        return _Known(metadata, keys, self.clock())
