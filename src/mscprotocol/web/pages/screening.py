"""The screening page."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from mscprotocol.web.pages.layout import render_page
from mscprotocol.web.pages.people import Person, require

router = APIRouter()
Screener = Annotated[Person, Depends(require("coordinator", "clinician"))]


@router.get("/screening")
def show_screening(request: Request, person: Screener) -> Response:
    """The page to screen a patient on."""
    return render_page(request, "screening")
