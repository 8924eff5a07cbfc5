"""What is asked of the REST API: the parameters of an assessment, and the body with what it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Query
from fastapi import Request as HttpRequest

from mscprotocol.case import Request
from mscprotocol.errors import RequestError
from mscprotocol.protocols import Stage
from mscprotocol.service import Service
from mscprotocol.settings import Settings
from mscprotocol.web.fhir_requests import read_request
from mscprotocol.web.media import Accepted, check_type
from mscprotocol.web.problems import FHIR_JSON, ProblemError

ALL, DEFAULT_PROTOCOL = "all", "seed-covid-4x"
JSON = "application/json"
_KNOWN = ("protocol", "stage", "at", "start", "zone", "dose_level")
_INSTANT = {"format": "date-time"}


@dataclass(frozen=True)
class Question:
    """By which protocols, when and at which stage a patient is assessed."""

    protocols: tuple[str, ...]
    request: Request
    is_all: bool


@dataclass(frozen=True)
class Content:
    """A body, and whether the caller says that it is FHIR."""

    body: bytes
    kind: str


def read_question(
    request: HttpRequest,
    protocol: Annotated[
        str, Query(description="Protocol id, or all.", examples=[DEFAULT_PROTOCOL, ALL])
    ] = DEFAULT_PROTOCOL,
    stage: Annotated[Stage, Query(description="What the patient is assessed for.")] = "screening",
    at: Annotated[
        str | None, Query(description="Time of evaluation with its zone; now if left out.", json_schema_extra=_INSTANT)
    ] = None,
    start: Annotated[
        str | None,
        Query(description="Planned start of the first infusion; `at` if left out.", json_schema_extra=_INSTANT),
    ] = None,
    zone: Annotated[str | None, Query(description="IANA zone of the ward; the site's if left out.")] = None,
    dose_level: Annotated[
        str | None, Query(description="The cohort, where a protocol has several levels.", examples=["5"])
    ] = None,
) -> Question:
    """The question of a request; a parameter that is not known is refused, for it was meant to say something."""
    service: Service = request.app.state.service
    settings: Settings = request.app.state.settings
    _refuse_unknown(request)
    given = {"stage": stage, "at": at, "start": start, "zone": zone, "doseLevel": dose_level}
    said = {name: value for name, value in given.items() if value is not None}
    if protocol == ALL and dose_level is not None:
        raise RequestError("invalid_request", "a dose level belongs to one protocol: name that protocol")
    names = tuple(service.assessable) if protocol == ALL else (protocol,)
    service.check_protocol(names[0])
    dose = service.knowledge.protocols[names[0]].dose
    return Question(names, read_request(said, dose, service.clock(), settings.zone), protocol == ALL)


def _refuse_unknown(request: HttpRequest) -> None:
    given = [name for name, _ in request.query_params.multi_items()]
    if set(given) - set(_KNOWN):
        raise RequestError("invalid_request", f"a parameter is not known; known: {', '.join(_KNOWN)}")
    if len(given) > len(set(given)):
        raise RequestError("invalid_request", "a parameter is given twice")


async def read_content(request: HttpRequest) -> Content:
    """The body of a request that is JSON of either kind."""
    kind = check_type(request, (JSON, FHIR_JSON))
    return Content(await request.body(), kind)


def wants_fhir(request: HttpRequest) -> bool:
    """Whether the answer is wanted as FHIR; 406 if it is wanted as neither that nor JSON."""
    accepted = Accepted(request)
    if FHIR_JSON in accepted.named:
        return True
    if accepted.takes(JSON):
        return False
    if accepted.takes(FHIR_JSON):
        return True
    raise ProblemError(406, "not_acceptable", f"Answers are {JSON} or {FHIR_JSON}.")


Asked = Annotated[Question, Depends(read_question)]
Sent = Annotated[Content, Depends(read_content)]
