"""The REST door: assess a patient or a batch, read what was stored, and look at the protocols and rules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Depends, FastAPI, Header, Query, Request, Response
from pydantic import BaseModel, Field
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool

from fhir_adapters.bundle import PatientBundle, read_bundle
from fhir_adapters.outcome import write_bundle
from fhir_adapters.plain_record import is_fhir, read_plain
from fhir_adapters.writing import encode
from mscprotocol.answer import to_json
from mscprotocol.checklist import build_checklist
from mscprotocol.knowledge import KnowledgeBase
from mscprotocol.service import Answered, Caller, Order, Service
from mscprotocol.settings import Settings
from mscprotocol.store import assessments, audit
from mscprotocol.web import api_description as described
from mscprotocol.web.asked import JSON, Asked, Content, Question, Sent, wants_fhir
from mscprotocol.web.batch import NDJSON, BatchResponse
from mscprotocol.web.callers import caller_with
from mscprotocol.web.idempotency import LONGEST_KEY, Claim, Reply, digest_request, reply_once
from mscprotocol.web.media import check_type
from mscprotocol.web.problems import FHIR_JSON, ProblemError
from mscprotocol.web.stored import SHEET_POLICY, find_sheet, find_stored, pdf_queue, place_of

DOOR = "rest"
PREFIX = "/api/v1"
Assessor = Annotated[Caller, Depends(caller_with("assess"))]
Reader = Annotated[Caller, Depends(caller_with("read"))]
Form = Literal["html", "pdf", "json"]
IdempotencyKey = Annotated[
    str | None,
    Header(description=f"1 to {LONGEST_KEY} characters: the same request with the same key gets the stored reply."),
]

router = APIRouter(prefix=PREFIX, tags=["REST"], responses=described.ERRORS)


def install(app: FastAPI) -> None:
    """Add the routes, and what FastAPI cannot know to their description."""
    app.include_router(router)
    described.install(app)


# -- assess ------------------------------------------------------------------------------------------


@router.post("/assess", summary="Assess one patient", response_class=Response, openapi_extra=described.ASSESS)
def assess(
    request: Request, question: Asked, content: Sent, caller: Assessor, idempotency_key: IdempotencyKey = None
) -> Response:
    """Assess one patient from a FHIR R4 Bundle or from our own JSON record; the answer is stored.

    With `protocol=all` the reply is an array, and each `Link` header names where an answer is stored.
    """
    as_fhir = wants_fhir(request)
    request.state.is_fhir = content.kind == FHIR_JSON or is_fhir(content.body)
    if as_fhir and question.is_all:
        raise ProblemError(406, "not_acceptable", "A FHIR answer is about one protocol: name it.")

    service = _service(request)

    def work() -> Reply:
        answered = _judge(service, question, content, caller)
        response = _reply(answered, question, service.knowledge, as_fhir=as_fhir)
        return Reply(response, lambda session: service.put(session, answered))

    if idempotency_key is None:
        made = work()
        with service.database.writing() as session:
            made.store(session)
        return made.response
    query = "&".join(sorted(f"{name}={value}" for name, value in request.query_params.multi_items()))
    parts = (b"assess", query.encode(), content.kind.encode(), str(as_fhir).encode(), content.body)
    claim = Claim(caller.name, idempotency_key, digest_request(parts))

    def reread(session: Session, place: str | None) -> None:
        what = f"Assessment/{place.rpartition('/')[2]}" if place else f"Reply/{claim.request_sha256}"
        audit.append(session, service.clock(), caller.name, "read", what, {"what": "reply again"})

    return reply_once(service, claim, work, reread)


@router.post(
    "/assess/batch",
    summary="Assess many patients, one a line",
    response_class=Response,
    openapi_extra=described.BATCH,
    responses=described.BATCH_REPLY,
)
async def assess_batch(request: Request, caller: Assessor, question: Asked) -> Response:
    """Assess one patient a line, while the client still sends; answers come in the same order.

    Each answer begins with `line`, the number of its line (from 1, empty ones counted), and `location`, its place.
    A line that cannot be assessed gets a line `{"error": {"code", "message", "line"}}`; the others are not touched.
    """
    check_type(request, NDJSON)
    if "idempotency-key" in request.headers:
        raise ProblemError(400, "bad_request", "A batch takes no Idempotency-Key: send its lines one by one.")
    service, settings = _service(request), _settings(request)

    def answer(number: int, line: bytes) -> bytes:
        answered = _judge(service, question, Content(line, JSON), caller)
        with service.database.writing() as session:
            service.put(session, answered)
        return _joined([_of_line(number, one) for one in answered], question)

    return BatchResponse(answer, settings.max_line_bytes, settings.request_seconds)


def _judge(service: Service, question: Question, content: Content, caller: Caller) -> list[Answered]:
    order = Order(question.protocols[0], question.request, DOOR, caller)
    return service.judge_by(question.protocols, _read(content, service.knowledge), [content.body], order)


def _read(content: Content, knowledge: KnowledgeBase) -> PatientBundle:
    if content.kind == FHIR_JSON or is_fhir(content.body):
        return read_bundle(content.body)
    return read_plain(content.body, knowledge)


def _write(answered: list[Answered], question: Question) -> bytes:
    """The answer exactly as the command line gives it; several as an array."""
    return _joined([to_json(one.answer) for one in answered], question)


def _joined(found: list[bytes], question: Question) -> bytes:
    return b"[" + b",".join(found) + b"]" if question.is_all else found[0]


def _of_line(number: int, one: Answered) -> bytes:
    """An answer of a batch: as everywhere, after which line it belongs to and where it is stored."""
    head = msgspec.json.encode({"line": number, "location": place_of(one)})
    return head[:-1] + b"," + to_json(one.answer)[1:]


def _reply(answered: list[Answered], question: Question, knowledge: KnowledgeBase, *, as_fhir: bool) -> Response:
    places = [place_of(one) for one in answered]
    if as_fhir:
        body = encode(write_bundle(answered[0].answer, knowledge))
        return Response(body, headers={"location": places[0]}, media_type=FHIR_JSON)
    response = Response(_write(answered, question), media_type=JSON)
    if question.is_all:
        response.headers["link"] = ", ".join(f'<{place}>; rel="item"' for place in places)
    else:
        response.headers["location"] = places[0]
    return response


# -- what is stored ----------------------------------------------------------------------------------


@router.get(
    "/assessments/{identity}",
    summary="A stored assessment",
    response_class=Response,
    responses={200: described.ASSESSMENT},
)
def read_assessment(identity: str, request: Request, caller: Reader) -> Response:
    """The answer byte for byte as it was given; that it was read is written down."""
    return Response(assessments.read_json(find_stored(_service(request), identity, caller, "answer")), media_type=JSON)


@router.get(
    "/assessments/{identity}/checklist",
    summary="The checklist of a stored assessment",
    response_class=Response,
    responses={200: described.CHECKLIST},
)
async def read_checklist(
    identity: str, request: Request, caller: Reader, form: Annotated[Form, Query(alias="format")] = "html"
) -> Response:
    """The checklist to print, or its data; 409 if the rules have changed, for it would show others than were used.

    A PDF takes long: they are made one after the other, and 503 says after how many seconds to come again.
    """
    if form == "pdf":
        return await pdf_queue.make(_service(request), identity, caller)
    return await run_in_threadpool(_checklist, _service(request), identity, caller, form)


def _checklist(service: Service, identity: str, caller: Caller, form: Form) -> Response:
    sheet = find_sheet(service, identity, caller)
    if form == "json":
        return Response(msgspec.json.encode(build_checklist(sheet.answer, service.knowledge)), media_type=JSON)
    page = sheet.html(service.knowledge)
    return Response(page, headers={"content-security-policy": SHEET_POLICY}, media_type="text/html")


# -- protocols and rules -----------------------------------------------------------------------------


class ProtocolItem(BaseModel):
    """One protocol in a list."""

    id: str = Field(examples=["seed-covid-4x"])
    version: str
    title: str
    indication: str
    assessed: bool = Field(description="Whether patients are assessed by it; others are for information only.")


class RuleItem(BaseModel):
    """One entry of the rules in a list."""

    id: str = Field(examples=["COA-01"])
    kind: str = Field(description="criterion, definition, measurement or condition")
    text: str


class Rule(RuleItem):
    """One entry of the rules, whole."""

    rule: dict[str, Any] = Field(description="All that the rules state of it; numbers are text, as exact decimals.")


class RulebaseReply(BaseModel):
    """By which rules the service answers."""

    version: str
    sha256: str
    parameters: dict[str, str] = Field(description="The option of each site parameter that is in force.")
    edits: dict[str, str] = Field(description="Edits that were made beside them.")


@router.get("/protocols", summary="All protocols", dependencies=[Depends(caller_with("read"))])
def list_protocols(request: Request) -> list[ProtocolItem]:
    """Every protocol of the paper, those for information only among them."""
    knowledge = _service(request).knowledge
    cards = (*knowledge.protocols.values(), *knowledge.information.values())
    return [ProtocolItem.model_validate(one, from_attributes=True) for one in cards]


@router.get("/protocols/{identity}", summary="One protocol", dependencies=[Depends(caller_with("read"))])
def read_protocol(identity: str, request: Request) -> dict[str, Any]:
    """A protocol with its criteria, dose and schedule, each fact with its source and mark; numbers are text."""
    knowledge = _service(request).knowledge
    card = knowledge.protocols.get(identity) or knowledge.information.get(identity)
    if card is None:
        raise ProblemError(404, "not_found", "There is no protocol of that id.")
    return card.model_dump(mode="json")


@router.get("/rules", summary="All rules by name", dependencies=[Depends(caller_with("read"))])
def list_rules(request: Request) -> list[RuleItem]:
    """Criteria, definitions, measurements and conditions; the last two are the names that a record may use."""
    kinds = _kinds(_service(request).knowledge)
    return [RuleItem(id=name, kind=kind, text=one.text) for kind, found in kinds.items() for name, one in found.items()]


@router.get("/rules/{identity}", summary="One rule", dependencies=[Depends(caller_with("read"))])
def read_rule(identity: str, request: Request) -> Rule:
    """All that the rules state of one entry, with sources and marks."""
    for kind, found in _kinds(_service(request).knowledge).items():
        if identity in found:
            one = found[identity]
            return Rule(id=identity, kind=kind, text=one.text, rule=one.model_dump(mode="json"))
    raise ProblemError(404, "not_found", "There is no rule of that id.")


@router.get("/rulebase", summary="Version of the rules", dependencies=[Depends(caller_with("read"))])
def read_rulebase(request: Request) -> RulebaseReply:
    """Version and hash of the rules with the site's choices: every answer carries the same."""
    knowledge = _service(request).knowledge
    return RulebaseReply(
        version=knowledge.version, sha256=knowledge.sha256, parameters=knowledge.chosen, edits=knowledge.edits
    )


def _kinds(knowledge: KnowledgeBase) -> dict[str, Mapping[str, Any]]:
    return {
        "criterion": knowledge.criteria,
        "definition": knowledge.definitions,
        "measurement": knowledge.measurements,
        "condition": knowledge.conditions,
    }


def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


def _settings(request: Request) -> Settings:
    settings: Settings = request.app.state.settings
    return settings
