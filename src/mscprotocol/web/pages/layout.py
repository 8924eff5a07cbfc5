"""How a page is made: a template in the one layout, with who looks at it and what was just done."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from urllib.parse import quote, unquote

from fastapi import Request, Response
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, HTMLResponse

from mscprotocol.places import find_folder
from mscprotocol.rendering import template_environment
from mscprotocol.web.pages import cookies
from mscprotocol.web.pages.local_times import offsets_of

STATIC = "/static"
_LONGEST = 500
_A_YEAR = f"public, max-age={365 * 24 * 3600}, immutable"
# The pages of the head, in order: path, name, and the roles that see it.
MENU: tuple[tuple[str, str, frozenset[str]], ...] = (
    ("/screening", "Screening", frozenset({"coordinator", "clinician"})),
    ("/worklist", "Worklist", frozenset({"coordinator", "clinician", "auditor"})),
    ("/audit", "Audit", frozenset({"auditor", "administrator"})),
)


def render_page(request: Request, template: str, status: int = 200, **values: object) -> HTMLResponse:
    """A page of `templates/pages/`; `request.state.person` is who looks at it, if anybody is known."""
    person = getattr(request.state, "person", None)
    roles = person.roles if person is not None else frozenset()
    shown = {
        "person": person,
        "path": request.url.path,
        "zone": request.app.state.settings.zone,
        "flash": take_flash(request),
        "menu": [(path, name) for path, name, may in MENU if may & roles],
        "static": static_url,
        "offsets_of": offsets_of,
    }
    text = template_environment().get_template(f"pages/{template}.html.j2").render(shown | values)
    response = HTMLResponse(text, status)
    if shown["flash"]:
        cookies.drop(response, request.app.state.settings, cookies.FLASH)
    return response


def render_part(template: str, **values: object) -> HTMLResponse:
    """A part of a page, to be swapped in."""
    return HTMLResponse(template_environment().get_template(f"pages/{template}.html.j2").render(**values))


@lru_cache(maxsize=16)
def static_url(name: str) -> str:
    """The address of a file of `templates/static/`; it changes with its content, so that caches may keep it."""
    content = (find_folder("templates") / "static" / name).read_bytes()
    return f"{STATIC}/{name}?v={hashlib.sha256(content).hexdigest()[:12]}"


def send_static(request: Request, name: str) -> Response:
    """A file of `templates/static/` by its name; one that was asked for by its version is kept by browsers."""
    folder = find_folder("templates") / "static"
    if name not in {one.name for one in folder.iterdir()}:  # a name of the list, never a path
        raise HTTPException(404)
    return FileResponse(
        folder / name, headers={"cache-control": _A_YEAR if "v" in request.query_params else "no-cache"}
    )


# -- what was just done --------------------------------------------------------------------------------


def take_flash(request: Request) -> str:
    """What the last form did, told once."""
    return unquote(request.cookies.get(cookies.name_of(request.app.state.settings, cookies.FLASH), ""))[:_LONGEST]


def set_flash(request: Request, response: Response, text: str) -> None:
    """Tell on the next page what was done; never anything of a patient but the id that the site gave."""
    cookies.put(response, request.app.state.settings, cookies.FLASH, quote(text[:_LONGEST]), seconds=60)
