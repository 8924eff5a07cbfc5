"""All pages put together; each of them is left out of the description of the API."""

from __future__ import annotations

from fastapi import APIRouter, Depends, FastAPI, Request
from starlette.responses import Response

from mscprotocol.web.pages import (
    account,
    course,
    day_sheets,
    entries,
    login,
    provider_login,
    screening,
    sheets,
    sign_offs,
    worklist,
)
from mscprotocol.web.pages.layout import MENU, STATIC, render_page, send_static
from mscprotocol.web.pages.people import current_user
from mscprotocol.web.pages.posted import check_origin, see_other

router = APIRouter()


@router.get("/")
def show_first(request: Request) -> Response:
    """Lead to the first page that the person's role has."""
    person = current_user(request)
    for path, _, roles in MENU:
        if roles & person.roles:
            return see_other(request, path)
    return render_page(request, "error", title="Nothing here yet", text="There is no page for your role yet.")


@router.get(STATIC + "/{name}")
def read_static(request: Request, name: str) -> Response:
    """A style sheet or a script of ours."""
    return send_static(request, name)


def install(app: FastAPI) -> None:
    """Add the pages and what they are made of. No form that another site sends gets to any of them."""
    for one in (
        router,
        login.router,
        account.router,
        provider_login.router,
        screening.router,
        sheets.router,
        worklist.router,
        sign_offs.router,  # before the steps of a course: its path is one of theirs
        course.router,
        entries.router,
        day_sheets.router,
    ):
        app.include_router(one, include_in_schema=False, dependencies=[Depends(check_origin)])
