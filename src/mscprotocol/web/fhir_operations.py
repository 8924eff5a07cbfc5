"""The FHIR door: protocols as definitions, and `$apply`, which answers about one patient with a CarePlan."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query, Request, Response

from fhir_adapters.bundle import read_bundle
from fhir_adapters.outcome import write_bundle, write_plan
from fhir_adapters.publication import assessed, published, write_library, write_module, write_plan_definition
from fhir_adapters.questionnaires import write_questionnaire
from fhir_adapters.writing import Json, element, encode
from mscprotocol.knowledge import KnowledgeBase
from mscprotocol.rulebook import compile_rulebook
from mscprotocol.service import Answered, Caller, Order, Service
from mscprotocol.settings import Settings
from mscprotocol.web.addresses import base_of
from mscprotocol.web.api_description import BUNDLE_EXAMPLE
from mscprotocol.web.callers import caller_with
from mscprotocol.web.fhir_capabilities import TYPES, query_parameters, write_capabilities, write_operations
from mscprotocol.web.fhir_requests import check_accept, check_subject, read_asked, read_body, read_request
from mscprotocol.web.problems import FHIR_JSON, ProblemError
from mscprotocol.web.stored import place_of

_RESOURCE: dict[str, Any] = {"schema": {"type": "object", "required": ["resourceType"]}}
# What every route may answer besides 200, always with an OperationOutcome.
_ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"description": text, "content": {FHIR_JSON: _RESOURCE}}
    for status, text in (
        (401, "Credentials are required"),
        (403, "Not allowed to this caller"),
        (404, "No such definition"),
        (406, "Another format was asked for"),
        (413, "The body is too large"),
        (415, "Not FHIR JSON"),
        (422, "The data or a parameter cannot be used; the code says why"),
        (429, "Too many requests"),
        (503, "It took longer than the service allows: `Retry-After` says how long to wait"),
    )
}


class FhirResponse(Response):
    """A resource as FHIR JSON."""

    media_type = FHIR_JSON


router = APIRouter(
    prefix="/fhir",
    tags=["FHIR"],
    dependencies=[Depends(check_accept)],
    default_response_class=FhirResponse,
    responses=_ERRORS | {200: {"description": "A resource", "content": {FHIR_JSON: _RESOURCE}}},
)
READER, ASSESSOR = Depends(caller_with("read")), Depends(caller_with("assess"))
_BODY: dict[str, Any] = {
    "parameters": query_parameters(),
    "requestBody": {
        "required": True,
        "description": "The patient's record as a Bundle, or Parameters with `data` and the parameters of the query.",
        "content": {FHIR_JSON: _RESOURCE | {"example": BUNDLE_EXAMPLE}},
    },
}


@router.get("/metadata", summary="CapabilityStatement of this server")
def metadata(request: Request) -> FhirResponse:
    """What the FHIR door offers; readable without credentials."""
    settings: Settings = request.app.state.settings
    return _answer(write_capabilities(settings, _base(request), request.app.state.service.clock()))


@router.post("/PlanDefinition/{identity}/$apply", summary="A draft CarePlan for one patient", openapi_extra=_BODY)
def apply(
    identity: str, request: Request, body: Annotated[bytes, Depends(read_body)], caller: Annotated[Caller, ASSESSOR]
) -> FhirResponse:
    """Assess one patient: activities only for who is eligible, else the reasons or what is missing."""
    answered = _assess(identity, request, body, caller)
    return _answer(write_plan(answered.answer, _knowledge(request)), answered)


@router.get("/PlanDefinition/{identity}/$apply", include_in_schema=False)
def apply_without_data(identity: str) -> FhirResponse:
    """Refuse: there is no record to read a subject from, and an answer is stored."""
    text = "POST the patient's record as a Bundle; this server holds no records to read a subject from."
    raise ProblemError(405, "method_not_allowed", text, {"allow": "POST"})


@router.post("/PlanDefinition/{identity}/$assess", summary="The whole answer as a Bundle", openapi_extra=_BODY)
def assess(
    identity: str, request: Request, body: Annotated[bytes, Depends(read_body)], caller: Annotated[Caller, ASSESSOR]
) -> FhirResponse:
    """Assess one patient: the same bundle as `mscprotocol assess --format fhir` writes."""
    answered = _assess(identity, request, body, caller)
    return _answer(write_bundle(answered.answer, _knowledge(request)), answered)


@router.get("/PlanDefinition/{identity}/$data-requirements", summary="What a protocol reads", dependencies=[READER])
def data_requirements(identity: str, request: Request) -> FhirResponse:
    """The data that a protocol reads, as a Library of type module-definition."""
    request.app.state.service.check_protocol(identity)
    return _answer(write_module(compile_rulebook(_knowledge(request), identity)))


def _assess(identity: str, request: Request, body: bytes, caller: Caller) -> Answered:
    service: Service = request.app.state.service
    settings: Settings = request.app.state.settings
    service.check_protocol(identity)
    asked = read_asked(body, request.query_params)
    dose = service.knowledge.protocols[identity].dose
    question = read_request(asked.values, dose, service.clock(), settings.zone)
    bundle = read_bundle(asked.bundles)
    check_subject(asked.values.get("subject"), bundle)
    return service.assess_patient(bundle, asked.bundles, Order(identity, question, "fhir", caller))


# -- definitions -------------------------------------------------------------------------------------


# Each type with the names of what there is of it, and how one is written.
_PUBLISHED: dict[str, tuple[Callable[[KnowledgeBase], Iterable[str]], Callable[[KnowledgeBase, str], Json]]] = {
    "Library": (assessed, lambda knowledge, name: write_library(compile_rulebook(knowledge, name))),
    "OperationDefinition": (lambda _: write_operations(), lambda _, name: write_operations()[name]),
    "PlanDefinition": (published, write_plan_definition),
    "Questionnaire": (assessed, lambda knowledge, name: write_questionnaire(compile_rulebook(knowledge, name))),
}


def _search(kind: str) -> Callable[..., FhirResponse]:
    names, write = _PUBLISHED[kind]

    def search(
        request: Request, identity: Annotated[str | None, Query(alias="_id")] = None, url: str | None = None
    ) -> FhirResponse:
        knowledge = _knowledge(request)
        made = [write(knowledge, name) for name in names(knowledge) if identity in (None, name)]
        used = {name: value for name, value in (("_id", identity), ("url", url)) if value is not None}
        found = [one for one in made if url in (None, one["url"], f"{one['url']}|{one['version']}")]
        return _answer(_searchset(f"{_base(request)}/{kind}", found, used))

    return search


def _read(kind: str) -> Callable[..., FhirResponse]:
    names, write = _PUBLISHED[kind]

    def read(identity: str, request: Request) -> FhirResponse:
        knowledge = _knowledge(request)
        if identity not in names(knowledge):
            raise ProblemError(404, "not_found", f"There is no {kind} of that id.")
        return _answer(write(knowledge, identity))

    return read


for _kind in TYPES:
    router.add_api_route(
        f"/{_kind}", _search(_kind), dependencies=[READER], name=f"search_{_kind}", summary=f"Search {_kind}"
    )
    router.add_api_route(
        f"/{_kind}/{{identity}}", _read(_kind), dependencies=[READER], name=f"read_{_kind}", summary=f"Read a {_kind}"
    )


def _searchset(address: str, found: list[Json], used: dict[str, str]) -> Json:
    query = f"?{urlencode(used)}" if used else ""
    entries = [{"fullUrl": f"{address}/{one['id']}", "resource": one, "search": {"mode": "match"}} for one in found]
    head = {"resourceType": "Bundle", "type": "searchset", "total": len(found)}
    return head | element(link=[{"relation": "self", "url": f"{address}{query}"}], entry=entries)


def _base(request: Request) -> str:
    """The address of the FHIR door as clients reach it."""
    return f"{base_of(request)}/fhir"


def _knowledge(request: Request) -> KnowledgeBase:
    service: Service = request.app.state.service
    return service.knowledge


def _answer(resource: Json, answered: Answered | None = None) -> FhirResponse:
    headers = None if answered is None else {"location": place_of(answered)}
    return FhirResponse(encode(resource), headers=headers)
