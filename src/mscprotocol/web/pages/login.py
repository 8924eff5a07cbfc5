"""Logging in and out, with a password of ours: counted failures, a new session each time, every one in the trail."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, Request
from sqlalchemy.orm import Session
from starlette.datastructures import FormData
from starlette.responses import Response

from mscprotocol.store import audit, sessions, users
from mscprotocol.store.tables import UserAccount
from mscprotocol.web.pages import cookies
from mscprotocol.web.pages.layout import render_page
from mscprotocol.web.pages.people import LOGIN, find_person, is_open, limits_of, of_app
from mscprotocol.web.pages.posted import local_path, read_form, see_other, text_of

router = APIRouter()
Posted = Annotated[FormData, Depends(read_form)]
NOBODY = "nobody"


@dataclass(frozen=True)
class Refusal:
    """Why somebody is not let in, as they read it."""

    text: str
    status: int


_WRONG = Refusal("This name and password do not belong together.", 401)


@router.get(LOGIN)
def show_login(request: Request, next: str = "/") -> Response:  # noqa: A002 - the name in the address
    """The page to log in on; who is logged in already goes on."""
    if find_person(request) is not None:
        return see_other(request, local_path(next))
    return _page(request, local_path(next))


@router.post(LOGIN)
def log_in(request: Request, form: Posted) -> Response:
    """Check a name and a password; a failure is counted against both the name and the address."""
    service, settings = of_app(request)
    name, password, target = text_of(form, "name"), str(form.get("password", "")), local_path(text_of(form, "next"))
    at = service.clock()
    with service.database.writing() as session:
        found = check_password(session, request, name, password, at)
        token = "" if isinstance(found, Refusal) else start_session(session, request, found, at, "password")
    if isinstance(found, Refusal):
        return _page(request, target, found, name)
    response = see_other(request, target)
    cookies.put(response, settings, cookies.SESSION, token)
    return response


@router.post("/logout")
def log_out(request: Request) -> Response:
    """End the session here and in the browser."""
    service, settings = of_app(request)
    with service.database.writing() as session:
        user = sessions.end(session, request.cookies.get(cookies.name_of(settings, cookies.SESSION), ""))
        if user is not None:
            audit.append(session, service.clock(), user.name, "logout", f"User/{user.id}")
    response = see_other(request, LOGIN, "You are logged out.")
    cookies.drop(response, settings, cookies.SESSION)
    return response


def check_password(session: Session, request: Request, name: str, password: str, at: datetime) -> UserAccount | Refusal:
    """The account of a name and password, or what to tell the person who typed them.

    Whether an account exists is not told, and what was typed as a name is not kept: it may have been a password.
    """
    settings = request.app.state.settings
    limits = limits_of(settings)
    address = request.client.host if request.client is not None else "unknown"
    keys = {f"user:{name}": limits.failures, f"address:{address}": limits.address_failures}
    sessions.forget_old(session, at, limits)
    if until := _locked(session, at, keys, limits):
        return _say_locked(until, settings.zone)
    user = users.find(session, name)
    if users.is_password(user, password):
        assert user is not None
        sessions.forgive(session, f"user:{name}")
        return user
    sessions.note_failure(session, at, *keys)
    actor, subject = (user.name, f"User/{user.id}") if user is not None else (NOBODY, "User/unknown")
    audit.append(session, at, actor, "login failed", subject, {"address": address})
    until = _locked(session, at, keys, limits)
    if until is None:
        return _WRONG
    audit.append(session, at, actor, "lockout", subject, {"address": address, "until": until.isoformat()})
    return _say_locked(until, settings.zone)


def start_session(session: Session, request: Request, user: UserAccount, at: datetime, how: str) -> str:
    """A new session in place of the one that the browser had; gives the secret for its cookie."""
    settings = request.app.state.settings
    sessions.end(session, request.cookies.get(cookies.name_of(settings, cookies.SESSION), ""))
    audit.append(session, at, user.name, "login", f"User/{user.id}", {"how": how})
    return sessions.begin(session, at, user)


def _locked(session: Session, at: datetime, keys: dict[str, int], limits: sessions.Limits) -> datetime | None:
    found = (sessions.locked_until(session, at, key, most, limits) for key, most in keys.items())
    return max((until for until in found if until is not None), default=None)


def _say_locked(until: datetime, zone: str) -> Refusal:
    local = until.astimezone(ZoneInfo(zone))
    return Refusal(f"Too many failed attempts: locked until {local:%H:%M} ({zone}). Then try again.", 429)


def _page(request: Request, target: str, refusal: Refusal | None = None, name: str = "") -> Response:
    service, settings = of_app(request)
    with service.database.reading() as session:
        has_users = users.has_any(session)
    return render_page(
        request,
        "login",
        200 if refusal is None else refusal.status,
        target=target,
        error="" if refusal is None else refusal.text,
        name=name,
        has_provider=settings.oidc_issuer is not None,
        is_empty=not has_users and not is_open(service, settings),
    )
