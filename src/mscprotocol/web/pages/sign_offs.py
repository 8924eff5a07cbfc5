"""Sign-off of a stored answer on its page, and the answer of a course that is kept to be signed."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.datastructures import FormData
from starlette.responses import Response

from mscprotocol.service import Caller
from mscprotocol.sign_off import sign_off
from mscprotocol.subjects import Subjects
from mscprotocol.web.pages import posted
from mscprotocol.web.pages.people import Person, of_app, require
from mscprotocol.web.pages.signing import prove

router = APIRouter()
Recorder = Annotated[Person, Depends(require("coordinator", "clinician"))]
Clinician = Annotated[Person, Depends(require("clinician"))]
Posted = Annotated[FormData, Depends(posted.read_form)]


@router.post("/subjects/{identity}/course/assessment")
def keep_answer(request: Request, identity: str, person: Recorder) -> Response:
    """Assess a course as it stands, and lead to the kept answer, where it is signed."""
    kept = Subjects(of_app(request)[0]).assess(identity, Caller(person.name, person.roles), "infusion")
    return posted.see_other(request, f"/assessments/{kept.assessment_id}", "Assessed and kept.")


@router.post("/assessments/{identity}/sign-off")
def sign_answer(request: Request, identity: str, person: Clinician, form: Posted) -> Response:
    """Sign an answer with a meaning, by password or at the provider, as its page showed it."""
    meaning, seen, password = (posted.text_of(form, name) for name in ("meaning", "seen", "sign.password"))
    signer = prove(request, person, password)
    sign_off(Subjects(of_app(request)[0]), identity, meaning, seen, Caller(person.name, person.roles), signer)
    return posted.see_other(request, f"/assessments/{identity}", "Signed.")
