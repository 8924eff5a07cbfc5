"""Logging in through the site's identity provider, and proving there anew who signs."""

from __future__ import annotations

import secrets
from datetime import timedelta

import structlog
from fastapi import APIRouter, Request
from sqlalchemy import delete
from starlette.responses import RedirectResponse, Response

from mscprotocol.service import Service
from mscprotocol.store import audit, sessions, users
from mscprotocol.store.tables import PendingLogin, WebSession
from mscprotocol.web.addresses import base_of
from mscprotocol.web.pages import cookies
from mscprotocol.web.pages.login import NOBODY, start_session
from mscprotocol.web.pages.people import LOGIN, find_person, of_app
from mscprotocol.web.pages.posted import SEE_OTHER, local_path, see_other
from mscprotocol.web.pages.provider import Attempt, Provider, ProviderError, Vouched
from mscprotocol.web.problems import ProblemError

log = structlog.get_logger("mscprotocol.provider")
START, BACK = f"{LOGIN}/provider", f"{LOGIN}/back"
_LIFE = timedelta(minutes=10)
router = APIRouter()


@router.get(START)
def go_to_provider(request: Request, next: str = "/", prove: bool = False) -> Response:  # noqa: A002
    """Send the browser to the provider; `prove` demands that a person who is logged in does so anew."""
    service, settings = of_app(request)
    provider = _provider(request)
    person = find_person(request) if prove else None
    attempt = Attempt(secrets.token_urlsafe(32), secrets.token_urlsafe(32), secrets.token_urlsafe(48))
    try:
        address = provider.address(attempt, _redirect(request), is_proof=person is not None)
    except ProviderError as error:
        raise _unusable(error) from error
    token, at = secrets.token_urlsafe(32), service.clock()
    with service.database.writing() as session:
        session.execute(delete(PendingLogin).where(PendingLogin.made_at < at - _LIFE))
        session.add(
            PendingLogin(
                sha256=sessions.digest(token),
                made_at=at,
                state=attempt.state,
                nonce=attempt.nonce,
                verifier=attempt.verifier,
                next_page=local_path(next),
                user_id=None if person is None else person.user_id,
            )
        )
    response = RedirectResponse(address, SEE_OTHER)
    cookies.put(response, settings, cookies.PENDING, token, seconds=int(_LIFE.total_seconds()))
    return response


@router.get(BACK)
def come_back(request: Request, code: str = "", state: str = "") -> Response:
    """What the provider sends the browser back with: checked against the login that this very browser began."""
    service, settings = of_app(request)
    at = service.clock()
    pending = _take(service, request.cookies.get(cookies.name_of(settings, cookies.PENDING), ""))
    if pending is None or at - pending.made_at > _LIFE or not secrets.compare_digest(pending.state, state):
        raise ProblemError(
            400, "login_failed", "This login was not begun in this browser, or too long ago: begin anew."
        )
    attempt = Attempt(pending.state, pending.nonce, pending.verifier)
    is_proof = pending.user_id is not None
    try:
        vouched = _provider(request).redeem(code, attempt, _redirect(request), at, is_proof=is_proof)
    except ProviderError as error:
        raise _unusable(error) from error
    response = _proved(request, pending, vouched) if is_proof else _logged_in(request, pending, vouched)
    cookies.drop(response, settings, cookies.PENDING)
    return response


def _logged_in(request: Request, pending: PendingLogin, vouched: Vouched) -> Response:
    service, settings = of_app(request)
    issuer, at = settings.oidc_issuer or "", service.clock()
    token = None
    with service.database.writing() as session:
        user = (
            users.vouched(session, at, issuer, vouched.subject, vouched.full_name, vouched.roles)
            if vouched.roles
            else None
        )
        if user is not None and user.disabled_at is None:
            token = start_session(session, request, user, at, "provider")
        else:
            audit.append(session, at, NOBODY, "login refused", "User/unknown", {"how": "provider"})
    if token is None:
        raise ProblemError(403, "forbidden", "Your account at the site has no role here: ask the administrator.")
    response = see_other(request, pending.next_page)
    cookies.put(response, settings, cookies.SESSION, token)
    return response


def _proved(request: Request, pending: PendingLogin, vouched: Vouched) -> Response:
    """Note on the session that its person has just proved who it is; anybody else's proof counts for nothing."""
    service, settings = of_app(request)
    person, at = find_person(request), service.clock()
    with service.database.writing() as session:
        user = users.find_vouched(session, settings.oidc_issuer or "", vouched.subject)
        is_same = person is not None and user is not None and person.user_id == user.id == pending.user_id
        found = session.get(WebSession, person.session_sha256) if person is not None and is_same else None
        if found is not None and user is not None:
            found.proved_at = at
            audit.append(session, at, user.name, "proof", f"User/{user.id}", {"how": "provider"})
    if found is None:
        raise ProblemError(403, "forbidden", "Another person logged in than the one who wanted to sign.")
    return see_other(request, pending.next_page, "You may sign now, within five minutes.")


def _take(service: Service, token: str) -> PendingLogin | None:
    """The login that a browser began; it is used once."""
    with service.database.writing() as session:
        found = session.get(PendingLogin, sessions.digest(token))
        if found is not None:
            session.delete(found)
    return found


def _provider(request: Request) -> Provider:
    settings = request.app.state.settings
    if settings.oidc_issuer is None:
        raise ProblemError(404, "not_found", "No identity provider is set here.")
    if not hasattr(request.app.state, "provider"):
        request.app.state.provider = Provider(settings)
    found: Provider = request.app.state.provider
    return found


def _redirect(request: Request) -> str:
    return f"{base_of(request)}{BACK}"


def _unusable(error: ProviderError) -> ProblemError:
    log.warning("provider", what=str(error))
    return ProblemError(502, "login_failed", f"The login failed: {error}. Try again, or ask the administrator.")
