"""SMART backend services: a program proves who it is with a signed assertion and gets a short-lived access token.

SMART App Launch 2.2, "Backend Services" and "Client Authentication: Asymmetric"; errors as in RFC 6749. The scopes are
this service's own, for it serves no resources of patients that `system/` scopes could name.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any
from urllib.parse import parse_qsl

import structlog
from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse
from joserfc.jwk import KeySet

from mscprotocol.service import Service
from mscprotocol.settings import Settings
from mscprotocol.store import audit, clients
from mscprotocol.store.tables import ApiClient
from mscprotocol.web.addresses import base_of
from mscprotocol.web.callers import ACCESS_LIFE, issue_token
from mscprotocol.web.keys import KeySets, read_key_set
from mscprotocol.web.problems import ProblemError
from mscprotocol.web.tokens import ALGORITHMS, TokenError, Verifier

log = structlog.get_logger("mscprotocol.smart")
PATH = "/auth/token"
FORM = "application/x-www-form-urlencoded"
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
# SMART: an assertion is good for five minutes at most.
LONGEST_ASSERTION = timedelta(minutes=5)
_FIELDS = ("grant_type", "scope", "client_assertion_type", "client_assertion")
_LONGEST_BODY = 16 * 1024

router = APIRouter(tags=["SMART"])
_STRINGS = {"type": "object", "required": list(_FIELDS), "properties": {one: {"type": "string"} for one in _FIELDS}}
_BODY: dict[str, Any] = {"requestBody": {"required": True, "content": {FORM: {"schema": _STRINGS}}}}
_REFUSED: dict[int | str, dict[str, Any]] = {
    400: {"description": "The request cannot be read, or asks for a scope that the client has not"},
    401: {"description": "The assertion proves nothing"},
    404: {"description": "This installation has no secret to sign tokens with"},
}


class RefusedError(Exception):
    """A request for a token that is refused, by its code in RFC 6749."""

    def __init__(self, status: int, code: str, text: str) -> None:
        super().__init__(text)
        self.status, self.code, self.text = status, code, text


@router.get(
    "/.well-known/smart-configuration", summary="How programs get an access token", responses={404: _REFUSED[404]}
)
@router.get("/fhir/.well-known/smart-configuration", include_in_schema=False)
def configuration(request: Request) -> dict[str, Any]:
    """The token endpoint, the algorithms and the scopes; readable without credentials."""
    _need_secret(request)
    return {
        "token_endpoint": _address(request),
        "token_endpoint_auth_methods_supported": ["private_key_jwt"],
        "token_endpoint_auth_signing_alg_values_supported": list(ALGORITHMS),
        "grant_types_supported": ["client_credentials"],
        "scopes_supported": list(clients.SCOPES),
        "capabilities": ["client-confidential-asymmetric"],
    }


async def read_form(request: Request) -> dict[str, str]:
    """The fields of a form; none at all if it is no form, or says something twice."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    body = await request.body()
    try:
        fields = parse_qsl(body.decode("ascii"), keep_blank_values=True, strict_parsing=True, max_num_fields=20)
    except ValueError:
        fields = []
    names = [name for name, _ in fields]
    if kind != FORM or len(body) > _LONGEST_BODY or not fields or len(set(names)) < len(names):
        return {}
    return dict(fields)


@router.post(PATH, summary="An access token for a program", openapi_extra=_BODY, responses=_REFUSED)
def give_token(request: Request, form: Annotated[dict[str, str], Depends(read_form)]) -> Response:
    """A token with the scopes that were asked for, never more than the client is registered with."""
    _need_secret(request)
    try:
        return JSONResponse(_give(request, form), headers={"pragma": "no-cache"})
    except RefusedError as refused:
        log.info("no token given", why=refused.code)
        body = {"error": refused.code, "error_description": refused.text}
        return JSONResponse(body, refused.status, {"pragma": "no-cache"})


def _give(request: Request, form: dict[str, str]) -> dict[str, Any]:
    if missing := [name for name in _FIELDS if not form.get(name)]:
        raise RefusedError(400, "invalid_request", f"send a form with {', '.join(missing)}, each once")
    if form["grant_type"] != "client_credentials":
        raise RefusedError(400, "unsupported_grant_type", "grant_type is client_credentials")
    if form["client_assertion_type"] != ASSERTION_TYPE:
        raise RefusedError(400, "invalid_request", f"client_assertion_type is {ASSERTION_TYPE}")
    service: Service = request.app.state.service
    client = _prove(request, form["client_assertion"])
    scopes = frozenset(form["scope"].split())
    if not scopes or not scopes <= set(client.scopes.split()):
        raise RefusedError(400, "invalid_scope", "ask for scopes that the client is registered with")
    at = service.clock()
    with service.database.writing() as session:
        audit.append(session, at, client.name, "token", f"Client/{client.id}", {"scopes": sorted(scopes)})
    token = issue_token(request.app.state.settings, client.id, scopes, at)
    seconds = int(ACCESS_LIFE.total_seconds())
    return {"access_token": token, "token_type": "bearer", "expires_in": seconds, "scope": " ".join(sorted(scopes))}


def _prove(request: Request, assertion: str) -> ApiClient:
    """The client that signed an assertion. Raises RefusedError, which says nothing about what was wrong."""
    service: Service = request.app.state.service
    verifier = Verifier(service.database, service.clock, LONGEST_ASSERTION, needs_issued=False)
    try:
        claims = verifier.verify(assertion, _address(request), lambda issuer, header: _keys_of(request, issuer, header))
        if claims.subject != claims.issuer:
            raise TokenError("subject")
        return _client(service, claims.issuer)
    except TokenError as error:
        log.info("assertion refused", why=str(error))
        raise RefusedError(401, "invalid_client", "the assertion proves nothing") from None


def _keys_of(request: Request, client_id: str, header: dict[str, Any]) -> KeySet:
    """The keys that a client is registered with, or those at the address that it is registered with."""
    client = _client(request.app.state.service, client_id)
    if client.keys_url is not None:
        key_sets: KeySets = request.app.state.key_sets
        return key_sets.find(client.keys_url, header)
    try:
        return read_key_set(client.jwks)
    except ValueError as error:
        raise TokenError("no keys") from error


def _client(service: Service, client_id: str) -> ApiClient:
    with service.database.reading() as session:
        client = clients.find_by_id(session, client_id)
    if client is None:
        raise TokenError("unknown client")
    return client


def _need_secret(request: Request) -> None:
    settings: Settings = request.app.state.settings
    if settings.secret_key is None:
        raise ProblemError(404, "not_found", "This installation gives no tokens: it has no secret key.")


def _address(request: Request) -> str:
    return base_of(request) + PATH
