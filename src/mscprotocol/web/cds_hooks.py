"""The CDS Hooks 2.0 door: discovery, and one service for each protocol, the same on three hooks."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Annotated, Any

import structlog
from fastapi import APIRouter, Depends, FastAPI, Request, Response
from starlette.middleware.cors import CORSMiddleware

from fhir_adapters.bundle import PatientBundle
from fhir_adapters.cds_prefetch import Gathered, MalformedPrefetchError, MissingDataError, gather, write_templates
from fhir_adapters.draft_orders import DraftOrders, open_draft_orders, read_draft_orders
from fhir_adapters.fhir_client import FhirReader, is_listed
from fhir_adapters.resources import Patient
from fhir_adapters.subjects import Owner
from fhir_adapters.unpacking import Unpacked
from fhir_adapters.writing import Json, element, encode
from mscprotocol.case import Request as Question
from mscprotocol.errors import DataError
from mscprotocol.protocols import Protocol
from mscprotocol.rulebook import compile_rulebook
from mscprotocol.service import Caller, Order, Service
from mscprotocol.settings import Settings
from mscprotocol.store import audit
from mscprotocol.web import cds_feedback, metrics
from mscprotocol.web.addresses import base_of
from mscprotocol.web.cds_access import CdsAccess, find_client
from mscprotocol.web.cds_cards import Occasion, write_cards, write_data_error
from mscprotocol.web.cds_requests import ERRORS, HOOKS, HookCall, bad, read_call, read_json_body
from mscprotocol.web.idempotency import Claim, Reply, reply_once
from mscprotocol.web.problems import ProblemError

log = structlog.get_logger("mscprotocol.cds")
DOOR = "cds-hooks"
REPEATED_SECONDS = 600
_KEPT = 2 * REPEATED_SECONDS
_MOST_ODDITIES = 20
_ORDER_FORM = "cells"
CLIENT = Depends(find_client)
router = APIRouter(prefix="/cds-services", tags=["CDS Hooks"], dependencies=[CLIENT], responses=ERRORS)
_CALL: dict[str, Any] = {
    "type": "object",
    "required": ["hook", "hookInstance", "context"],
    "properties": {
        "hook": {"enum": list(HOOKS)},
        "hookInstance": {"type": "string", "format": "uuid"},
        "context": {
            "type": "object",
            "required": ["userId", "patientId"],
            "properties": {
                "userId": {"type": "string", "examples": ["Practitioner/123"]},
                "patientId": {"type": "string", "pattern": "^[A-Za-z0-9.-]{1,64}$"},
                "encounterId": {"type": "string", "minLength": 1},
                "draftOrders": {"type": "object", "required": ["resourceType"]},
            },
        },
        "prefetch": {"type": "object", "additionalProperties": {"type": ["object", "null"]}},
        "fhirServer": {"type": "string", "format": "uri"},
        "fhirAuthorization": {"type": "object", "required": ["access_token"]},
    },
}
_BODY = {"requestBody": {"required": True, "content": {"application/json": {"schema": _CALL}}}}


def install(app: FastAPI) -> None:
    """Add the door to an application that has its settings and service."""
    settings: Settings = app.state.settings
    app.state.cds_access = CdsAccess(settings, app.state.service, app.state.key_sets)
    app.include_router(router)
    app.include_router(cds_feedback.router)


def allow_origins(app: FastAPI) -> None:
    """Let pages of listed origins call. It is added last, so that they can read the errors of every other layer."""
    settings: Settings = app.state.settings
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=("GET", "POST"),
            allow_headers=("Authorization", "Content-Type"),
        )


@router.get("", summary="The services that there are")
def discover(request: Request) -> Response:
    """Each protocol as a service, once for every hook, with what it reads as prefetch templates."""
    service: Service = request.app.state.service
    found = [_entry(service, name, hook) for name in service.assessable for hook in HOOKS]
    return _json({"services": found})


def _entry(service: Service, name: str, hook: str) -> Json:
    protocol = service.knowledge.protocols[name]
    return element(
        hook=hook,
        id=name,
        title=protocol.short_title,
        description=f"{protocol.title}. Pre-screening support for research: open questions, reasons, draft orders.",
        usageRequirements="Every prefetch key, or a FHIR server that this installation lists.",
        version=protocol.version,
        prefetch=write_templates(compile_rulebook(service.knowledge, name)),
    )


@router.post("/{identity}", summary="Cards about one patient", openapi_extra=_BODY)
def call_service(
    identity: str,
    request: Request,
    caller: Annotated[Caller, CLIENT],
    body: Annotated[bytes, Depends(read_json_body)],
) -> Response:
    """Assess the patient of a hook and answer with cards; a call that is sent twice is answered once."""
    service: Service = request.app.state.service
    protocol = find_protocol(service, identity)
    call = read_call(body)
    claim = Claim(caller.name, _key(service.clock(), identity, call), call.sha256, kept=timedelta(seconds=_KEPT))
    return reply_once(service, claim, lambda: _answer(request, service, protocol, call, caller))


def _key(at: datetime, identity: str, call: HookCall) -> str:
    """The same call within a few minutes is one that was sent twice; later it asks anew, about newer data."""
    return f"cds {identity} {int(at.timestamp()) // REPEATED_SECONDS} {call.sha256}"


def find_protocol(service: Service, identity: str) -> Protocol:
    """The protocol of a service. Raises ProblemError 404."""
    protocol = service.knowledge.protocols.get(identity)
    if protocol is None:
        raise ProblemError(404, "not_found", "There is no service of that id.")
    return protocol


def _answer(request: Request, service: Service, protocol: Protocol, call: HookCall, caller: Caller) -> Reply:
    occasion = Occasion(service.knowledge, protocol, base_of(request))
    try:
        drafts = _open_orders(call)
        gathered = _gather(request, service, protocol, call, drafts)
        orders = _read_orders(service, protocol, call, drafts, gathered)
        patient = _read_patient(gathered, call)
        question = _question(service.clock(), orders, request.app.state.settings.zone)
        order = Order(protocol.id, question, DOOR, caller)
        answered = service.judge_by((protocol.id,), patient, [gathered.bundle], order)
    except DataError as error:
        metrics.count_failure(request.url.path, error.code)
        cards = [write_data_error(error, call.instance, occasion)]
        refusal = (caller.name, "refuse", f"Patient/{call.patient_id}", {"door": DOOR, "code": error.code})
        return Reply(_reply(call, cards), lambda session: audit.append(session, service.clock(), *refusal))
    full = replace(
        occasion, orders=orders, not_held=tuple(gathered.not_held), oddities=tuple(gathered.oddities[:_MOST_ODDITIES])
    )
    cards = write_cards(answered[0].answer, answered[0].id, full)
    return Reply(_reply(call, cards), lambda session: service.put(session, answered))


def _reply(call: HookCall, cards: list[Json]) -> Response:
    # What is ordered is left to whoever signs: there is nothing that this service would change by itself.
    return _json({"cards": cards} | ({"systemActions": []} if call.hook == "order-sign" else {}))


def _open_orders(call: HookCall) -> Unpacked:
    if call.draft_orders is None:
        return Unpacked()
    try:
        return open_draft_orders(call.draft_orders)
    except DataError:
        raise bad("context.draftOrders is a Bundle of orders") from None


def _read_orders(
    service: Service, protocol: Protocol, call: HookCall, drafts: Unpacked, gathered: Gathered
) -> DraftOrders:
    """The draft orders; what they refer to may lie among the patient's data or on the client's server."""
    form = service.knowledge.orders[_ORDER_FORM]
    return read_draft_orders(drafts, protocol, form, _owner(call), [*gathered.units, *gathered.of_orders])


def _owner(call: HookCall) -> Owner:
    """The patient of the context, as the references of its own server name it."""
    url = f"{call.server.rstrip('/')}/Patient/{call.patient_id}" if call.server else None
    return Owner([(Patient(id=call.patient_id), url)])


def _gather(request: Request, service: Service, protocol: Protocol, call: HookCall, drafts: Unpacked) -> Gathered:
    templates = write_templates(compile_rulebook(service.knowledge, protocol.id))
    try:
        with _reader(request, call) as reader:
            return gather(templates, call.patient_id, call.prefetch, reader, call.server, drafts.units)
    except MalformedPrefetchError:
        raise bad("each value of prefetch is null or a FHIR resource") from None
    except MissingDataError as error:
        text = f"Neither supplied nor to be had from fhirServer: {', '.join(error.keys)}."
        raise ProblemError(412, "precondition_failed", text) from None


class _Nothing:
    """In place of a reader where there is no server that may be read."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        return None


def _reader(request: Request, call: HookCall) -> FhirReader | _Nothing:
    settings: Settings = request.app.state.settings
    if call.server is None or not is_listed(call.server, settings.fhir_servers, only_https=settings.production):
        return _Nothing()
    return FhirReader(call.server, call.token)


def _read_patient(gathered: Gathered, call: HookCall) -> PatientBundle:
    patient = gathered.patient()
    patient.check_is_named_once()
    if patient.patient.id != call.patient_id:
        raise DataError("foreign_subject", "the data are not those of the patient of the context")
    return patient


def _question(at: datetime, orders: DraftOrders, zone: str) -> Question:
    """What is asked; a product that is being ordered for a time is planned from that time."""
    ordered = [one.dosage for one in orders.products if one.is_for_patient]
    starts = sorted(start.earliest for one in ordered for start in one.starts)
    try:
        return Question(at=at, start=starts[0] if starts else None, zone=zone)
    except ValueError:
        return Question(at=at, zone=zone)


def _json(content: Json) -> Response:
    return Response(encode(content), media_type="application/json")
