"""The account of whoever looks at it: who they are here, and a new password in place of the one that they know."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.datastructures import FormData
from starlette.responses import Response

from mscprotocol.store import audit, users
from mscprotocol.web.pages.layout import render_page
from mscprotocol.web.pages.login import Refusal, settle_attempt, try_password
from mscprotocol.web.pages.people import Person, current_user, of_app
from mscprotocol.web.pages.posted import read_form, see_other
from mscprotocol.web.problems import ProblemError

PATH = "/account"
CURRENT, NEW, AGAIN = "current", "new", "again"
_WRONG = "This is not your current password: type it again."
router = APIRouter()
Someone = Annotated[Person, Depends(current_user)]
Posted = Annotated[FormData, Depends(read_form)]


@router.get(PATH)
def show_account(request: Request, person: Someone) -> Response:
    """Who somebody is here, and how to change the password, or where."""
    return _page(request)


@router.post(f"{PATH}/password")
def change_password(request: Request, person: Someone, form: Posted) -> Response:
    """Put a new password in place of the current one; all other sessions of the person end, this one goes on.

    A wrong current password counts towards the lock as one at the login does.
    """
    if not person.has_password:
        raise ProblemError(403, "forbidden", "There is no password of yours here: see your account page.")
    current, new, again = (str(form.get(name, "")) for name in (CURRENT, NEW, AGAIN))
    if problems := _find_problems(current, new, again):
        return _page(request, 422, problems)
    found = _change(request, person, current, new)
    if isinstance(found, Refusal):
        return _page(request, found.status, {CURRENT: _WRONG if found.status == 401 else found.text})
    elsewhere = "out everywhere else" if found else "in nowhere else"
    return see_other(request, PATH, f"Your password is changed; you were logged {elsewhere}.")


def _change(request: Request, person: Person, current: str, new: str) -> int | Refusal:
    """Change it if the current one is right; gives how many other sessions ended. No transaction waits for a hash."""
    service, _ = of_app(request)
    at = service.clock()
    attempt = try_password(request, person.name, current, at)
    hashed = users.hash_password(new) if attempt.fits else ""
    with service.database.writing() as session:
        user = settle_attempt(session, request, attempt, at)
        if isinstance(user, Refusal):
            return user
        ended = users.put_password(session, user, hashed, person.session_sha256)
        audit.append(session, at, user.name, "change password", f"User/{user.id}", {"sessions ended": ended})
    return ended


def _find_problems(current: str, new: str, again: str) -> dict[str, str]:
    """What is wrong with what was typed, by field; nothing of it tells whether the current password is right."""
    problems = {} if current else {CURRENT: "Type the password that you logged in with."}
    try:
        users.check_length(new)
    except ValueError as error:
        problems[NEW] = f"Choose another one: {error}."
    if new and new == current:
        problems[NEW] = "This is the same as the current one: choose another."
    if NEW not in problems and new != again:
        problems[AGAIN] = "This is not the new password above: type the same one in both fields."
    return problems


def _page(request: Request, status: int = 200, problems: dict[str, str] | None = None) -> Response:
    shortest = users.SHORTEST_PASSWORD
    return render_page(request, "account", status, problems=problems or {}, shortest=shortest)
