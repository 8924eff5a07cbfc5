"""Forms that are sent to us: only by our own pages, answered by a redirect, so that reloading repeats nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from urllib.parse import urlsplit

from fastapi import Request
from starlette.datastructures import FormData
from starlette.responses import RedirectResponse

from mscprotocol.web.pages.layout import set_flash
from mscprotocol.web.problems import ProblemError

_SAFE = frozenset(("GET", "HEAD", "OPTIONS"))
_OWN_SITE = ("same-origin", "none")  # `none`: the person's own doing, not a page's
SEE_OTHER = 303
_MOST_FIELDS = 5000


def check_origin(request: Request) -> None:
    """Refuse what another site makes a browser send: by fetch metadata, or by the origin where a browser lacks it."""
    if request.method in _SAFE:
        return
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        is_own = site in _OWN_SITE
    else:
        is_own = urlsplit(request.headers.get("origin", "")).netloc in _own_names(request)
    if not is_own:
        raise ProblemError(403, "forbidden", "This form was not sent by a page of this service: open the page anew.")


def _own_names(request: Request) -> set[str]:
    public = urlsplit(request.app.state.settings.public_url or "").netloc
    return {name for name in (request.headers.get("host", ""), public) if name}


async def read_form(request: Request) -> AsyncIterator[FormData]:
    """A dependency that gives the fields that were sent, each as it was typed; an uploaded file is closed after it."""
    largest = request.app.state.settings.max_body_bytes
    async with request.form(max_files=1, max_fields=_MOST_FIELDS, max_part_size=largest) as form:
        yield form


def text_of(form: FormData | Mapping[str, object], name: str) -> str:
    """A field as text without space at its ends; empty if it was not sent."""
    value = form.get(name)
    return value.strip() if isinstance(value, str) else ""


def see_other(request: Request, path: str, flash: str = "") -> RedirectResponse:
    """Lead on to a page of ours after a form was done, and tell there what was done."""
    response = RedirectResponse(path, SEE_OTHER)
    if flash:
        set_flash(request, response, flash)
    return response


def local_path(text: str) -> str:
    """A path of this service to go on to; anything that could lead elsewhere becomes the first page."""
    is_plain = text.isprintable() and "\\" not in text
    return text if is_plain and text.startswith("/") and not text.startswith("//") else "/"
