"""Who looks at a page, and whether they may: a person who is logged in, or whoever sits at a demo."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import quote, urlsplit

from fastapi import Request

from mscprotocol.service import Caller, Service
from mscprotocol.settings import Settings, is_loopback
from mscprotocol.store import sessions, users
from mscprotocol.store.tables import UserAccount
from mscprotocol.web.pages import cookies
from mscprotocol.web.problems import ProblemError

LOGIN = "/login"
# What a role may do through the service, as the scopes of programs name it.
_SCOPES = {
    "coordinator": ("assess", "read"),
    "clinician": ("assess", "read"),
    "auditor": ("read",),
    "administrator": ("admin",),
}


@dataclass(frozen=True)
class Person:
    """Who looks at a page. `user_id` is none in the demo, where nobody proved who they are."""

    name: str
    full_name: str
    roles: frozenset[str]
    user_id: str | None = None
    session_sha256: str = ""
    has_password: bool = False

    @property
    def is_demo(self) -> bool:
        """Whether nobody proved who this is."""
        return self.user_id is None

    @property
    def caller(self) -> Caller:
        """The person as the service knows callers: the name stands in the audit trail."""
        return Caller(self.name, frozenset(scope for role in self.roles for scope in _SCOPES[role]))


DEMO = Person("demo", "Demo, not logged in", frozenset(users.ROLES))


def _not_for(person: Person, roles: tuple[str, ...]) -> str:
    own = ", ".join(sorted(person.roles)) or "none"
    what = f"This page is for the role {' or '.join(roles)}; yours: {own}."
    return f"{what} Whoever administers this service gives out roles; log in again after that."


def require(*roles: str) -> Callable[[Request], Person]:
    """A dependency that gives the person, if they have one of the roles; else a page that says what is missing."""

    def find(request: Request) -> Person:
        person = current_user(request)
        if not person.roles & set(roles):
            raise ProblemError(403, "forbidden", _not_for(person, roles))
        return person

    return find


def current_user(request: Request) -> Person:
    """The person who looks at a page; sends to the login whoever has none yet."""
    person = find_person(request)
    if person is None:
        raise _to_login(request)
    return person


def find_person(request: Request) -> Person | None:
    """The person of a request, if there is one; kept for the layout, which shows who it is."""
    if not hasattr(request.state, "person"):
        request.state.person = _look_up(request)
    found: Person | None = request.state.person
    return found


def _look_up(request: Request) -> Person | None:
    service, settings = of_app(request)
    if is_open(service, settings):
        check_host(request)
        return DEMO
    token = request.cookies.get(cookies.name_of(settings, cookies.SESSION))
    if not token:
        return None
    at, limits = service.clock(), limits_of(settings)
    with service.database.reading() as session:
        found = sessions.find(session, token, at, limits)
    if found is None:
        return None
    if sessions.is_to_be_touched(found[0], at):
        with service.database.writing() as session:
            sessions.touch(session, found[0].sha256, at)
    return as_person(found[1], found[0].sha256)


def as_person(user: UserAccount, session_sha256: str) -> Person:
    """An account as the person who looks at a page."""
    has_password = user.password_hash is not None
    return Person(user.name, user.full_name, frozenset(user.roles.split()), user.id, session_sha256, has_password)


def is_open(service: Service, settings: Settings) -> bool:
    """Whether this is a demo: on loopback, nobody can log in, and nobody must."""
    if settings.authentication != "off" or settings.oidc_issuer is not None:
        return False
    with service.database.reading() as session:
        return not users.has_any(session)


def check_host(request: Request) -> None:
    """A demo answers to names of this machine only: another site could let its own name lead here."""
    if not is_loopback(urlsplit(f"//{request.headers.get('host', '')}").hostname or ""):
        raise ProblemError(403, "forbidden", "The demo is open on this machine only: use http://127.0.0.1.")


def _to_login(request: Request) -> ProblemError:
    if "hx-request" in request.headers:
        # A part of a page: the page stays, with all that was typed into it.
        return ProblemError(401, "unauthorized", "You were logged out: log in in another tab, then go on here.")
    here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    target = f"{LOGIN}?next={quote(here, safe='')}" if request.method == "GET" else LOGIN
    return ProblemError(303, "see_other", "Log in first.", {"location": target})


def limits_of(settings: Settings) -> sessions.Limits:
    """The limits of sessions and failures that the installation sets."""
    return sessions.Limits(
        idle=timedelta(minutes=settings.session_idle_minutes),
        longest=timedelta(hours=settings.session_hours),
        failures=settings.lockout_failures,
        address_failures=settings.lockout_address_failures,
        locked_for=timedelta(minutes=settings.lockout_minutes),
    )


def of_app(request: Request) -> tuple[Service, Settings]:
    """The service and the settings behind a request."""
    return request.app.state.service, request.app.state.settings
