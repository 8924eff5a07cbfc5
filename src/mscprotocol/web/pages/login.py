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

from mscprotocol.checklist_parts import print_instant
from mscprotocol.store import audit, sessions, users
from mscprotocol.store.tables import UserAccount
from mscprotocol.web.pages import cookies
from mscprotocol.web.pages.layout import render_page
from mscprotocol.web.pages.people import LOGIN, Person, current_user, find_person, is_open, limits_of, of_app
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


@router.get("/session", status_code=204)
def show_session(_: Annotated[Person, Depends(current_user)]) -> None:
    """Nothing, for whoever is logged in: a page asks before it sends what was typed."""


@router.post(LOGIN)
def log_in(request: Request, form: Posted) -> Response:
    """Check a name and a password; a failure is counted against both the name and the address."""
    service, settings = of_app(request)
    name, password, target = text_of(form, "name"), str(form.get("password", "")), local_path(text_of(form, "next"))
    at = service.clock()
    attempt = try_password(request, name, password, at)
    with service.database.writing() as session:
        found = settle_attempt(session, request, attempt, at)
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


@dataclass(frozen=True)
class Attempt:
    """A name that was typed, and the hash that its password fits; none if it fits none."""

    name: str
    fits: str | None


def try_password(request: Request, name: str, password: str, at: datetime) -> Attempt:
    """Hash what was typed, before any transaction: it takes long on purpose, and nobody is to wait for it.

    Where the name or the address is locked nothing is hashed.
    """
    service, _ = of_app(request)
    with service.database.reading() as session:
        if _locked(session, request, name, at):
            return Attempt(name, None)
        user = users.find(session, name)
    return Attempt(name, user.password_hash if users.is_password(user, password) and user is not None else None)


def settle_attempt(session: Session, request: Request, attempt: Attempt, at: datetime) -> UserAccount | Refusal:
    """The account of an attempt, or what to tell the person who made it; a failure is counted.

    Locks are looked at again: of many attempts at once no more count than of as many in turn. Whether an account
    exists is not told, and what was typed as a name is not kept: it may have been a password.
    """
    settings, name = request.app.state.settings, attempt.name
    sessions.forget_old(session, at, limits_of(settings))
    if until := _locked(session, request, name, at):
        return _say_locked(until, settings.zone)
    user = users.find(session, name)
    is_right = attempt.fits is not None and user is not None and user.password_hash == attempt.fits
    if is_right and user is not None and user.disabled_at is None:
        sessions.forgive(session, f"user:{name}")
        return user
    address = _address(request)
    sessions.note_failure(session, at, f"user:{name}", f"address:{address}")
    actor, subject = (user.name, f"User/{user.id}") if user is not None else (NOBODY, "User/unknown")
    audit.append(session, at, actor, "login failed", subject, {"address": address})
    until = _locked(session, request, name, at)
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


def _locked(session: Session, request: Request, name: str, at: datetime) -> datetime | None:
    """Until when a name or the address of a request is locked, if either is."""
    limits = limits_of(request.app.state.settings)
    keys = {f"user:{name}": limits.failures, f"address:{_address(request)}": limits.address_failures}
    found = (sessions.locked_until(session, at, key, most, limits) for key, most in keys.items())
    return max((until for until in found if until is not None), default=None)


def _address(request: Request) -> str:
    return request.client.host if request.client is not None else "unknown"


def _say_locked(until: datetime, zone: str) -> Refusal:
    local = print_instant(until.astimezone(ZoneInfo(zone)).isoformat())
    return Refusal(f"Too many failed attempts: locked until {local} ({zone}). Then try again.", 429)


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
