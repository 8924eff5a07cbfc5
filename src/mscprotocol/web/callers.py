"""Who calls, and whether they may: API keys, access tokens of SMART backend services, or nobody on loopback."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from fastapi import Request
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

from mscprotocol.service import Caller, Service
from mscprotocol.settings import Settings
from mscprotocol.store import clients
from mscprotocol.web.pages.people import check_host, is_open
from mscprotocol.web.problems import ProblemError

LOCAL = Caller("local", frozenset(clients.SCOPES))
ACCESS_LIFE = timedelta(minutes=5)
_OWN = "mscprotocol"


def caller_with(scope: str) -> Callable[[Request], Caller]:
    """A dependency that gives the caller, or ends the request with 401 or 403."""

    def find(request: Request) -> Caller:
        caller = find_caller(request)
        if scope not in caller.scopes:
            raise ProblemError(403, "forbidden", f"This needs the scope {scope}.")
        return caller

    return find


def find_caller(request: Request) -> Caller:
    """The caller of a request. Raises ProblemError 401, with no detail, for credentials that prove nothing."""
    settings: Settings = request.app.state.settings
    service: Service = request.app.state.service
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer" and token:
        found = _by_key(service, token) if token.startswith(clients.KEY_PREFIX) else _by_token(service, settings, token)
        if found is not None:
            return found
    elif is_open(service, settings):
        check_host(request)
        return LOCAL
    raise ProblemError(401, "unauthorized", "Authentication is required.", {"www-authenticate": "Bearer"})


def _by_key(service: Service, key: str) -> Caller | None:
    with service.database.reading() as session:
        client = clients.find_by_key(session, key)
        return None if client is None else Caller(client.name, frozenset(client.scopes.split()))


def issue_token(settings: Settings, client_id: str, scopes: frozenset[str], at: datetime) -> str:
    """A short-lived access token for a client that has proved who it is."""
    claims = {
        "iss": _OWN,
        "aud": _OWN,
        "sub": client_id,
        "scope": " ".join(sorted(scopes)),
        "iat": int(at.timestamp()),
        "exp": int((at + ACCESS_LIFE).timestamp()),
    }
    return jwt.encode({"alg": "HS256", "typ": "at+jwt"}, claims, _own_key(settings))


def _by_token(service: Service, settings: Settings, token: str) -> Caller | None:
    """The caller of one of our access tokens; a client that was revoked has none any more."""
    if settings.secret_key is None:
        return None
    try:
        read = jwt.decode(token, _own_key(settings), algorithms=["HS256"])
    except (JoseError, ValueError):
        return None
    claims = read.claims
    if read.header.get("typ") != "at+jwt" or claims.get("iss") != _OWN or claims.get("aud") != _OWN:
        return None
    if claims["exp"] <= service.clock().timestamp():
        return None
    with service.database.reading() as session:
        client = clients.find_by_id(session, claims["sub"])
        if client is None:
            return None
        return Caller(client.name, frozenset(claims["scope"].split()) & frozenset(client.scopes.split()))


def _own_key(settings: Settings) -> OctKey:
    assert settings.secret_key is not None
    return OctKey.import_key(settings.secret_key.get_secret_value())
