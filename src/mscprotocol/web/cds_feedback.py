"""What clinicians did with cards: stored as it comes, and counted for each rule."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Any, Literal

import structlog
from fastapi import APIRouter, Depends, Request, Response
from pydantic import AwareDatetime, BaseModel, Field, ValidationError, model_validator
from sqlalchemy import select

from fhir_adapters.guidance import reasons
from mscprotocol.answer import Assessment
from mscprotocol.service import Caller, Service
from mscprotocol.store import assessments, audit
from mscprotocol.store.database import Database
from mscprotocol.store.tables import CdsFeedback
from mscprotocol.web.api_description import refusals
from mscprotocol.web.callers import caller_with
from mscprotocol.web.cds_access import find_client
from mscprotocol.web.cds_cards import MOST_CARDS, card_uuid, suggestion_uuid
from mscprotocol.web.cds_requests import ERRORS, bad, read_json_body, refuse_doubled_keys
from mscprotocol.web.problems import ProblemError

log = structlog.get_logger("mscprotocol.cds")
router = APIRouter(tags=["CDS Hooks"])
CLIENT = Depends(find_client)
_Text = Annotated[str, Field(min_length=1, max_length=2000)]


_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["feedback"],
    "properties": {
        "feedback": {
            "type": "array",
            "minItems": 1,
            "items": {"type": "object", "required": ["card", "outcome", "outcomeTimestamp"]},
        }
    },
}


class Reason(BaseModel):
    """A reason that was offered with the card."""

    code: _Text
    system: _Text | None = None
    display: _Text | None = None


class Override(BaseModel):
    """Why a card was set aside."""

    reason: Reason | None = None
    user_comment: _Text | None = Field(None, alias="userComment")


class Accepted(BaseModel):
    """A suggestion that was taken, by its uuid."""

    id: _Text


class Item(BaseModel):
    """What happened to one card. A card that is ignored is never reported."""

    card: Annotated[str, Field(min_length=1, max_length=64)]
    outcome: Literal["accepted", "overridden"]
    outcome_timestamp: AwareDatetime = Field(alias="outcomeTimestamp")
    accepted_suggestions: Annotated[list[Accepted], Field(max_length=100)] = Field([], alias="acceptedSuggestions")
    override_reason: Override | None = Field(None, alias="overrideReason")

    @model_validator(mode="after")
    def _says_what_was_accepted(self) -> Item:
        if self.outcome == "accepted" and not self.accepted_suggestions:
            raise ValueError("accepted needs acceptedSuggestions")
        return self


class Feedback(BaseModel):
    """Several cards in one report."""

    feedback: Annotated[list[Item], Field(min_length=1, max_length=100)]


@router.post(
    "/cds-services/{identity}/feedback",
    summary="What was done with cards",
    responses=ERRORS,
    openapi_extra={"requestBody": {"required": True, "content": {"application/json": {"schema": _SCHEMA}}}},
)
def receive(
    identity: str,
    request: Request,
    caller: Annotated[Caller, CLIENT],
    body: Annotated[bytes, Depends(read_json_body)],
) -> Response:
    """Store feedback; a card that is not known is stored and noted, too."""
    service: Service = request.app.state.service
    if identity not in service.assessable:
        raise ProblemError(404, "not_found", "There is no service of that id.")
    refuse_doubled_keys(body)
    try:
        report = Feedback.model_validate_json(body)
    except ValidationError as error:
        raise bad("; ".join(_place(one) for one in error.errors()[:5])) from None
    at = service.clock()
    rows = [row for item in report.feedback for row in _rows(service.database, identity, item, at)]
    with service.database.writing() as session:
        session.add_all(rows)
        audit.append(session, at, caller.name, "feedback", f"CdsService/{identity}", {"cards": len(report.feedback)})
    return Response(status_code=200)


def _place(error: Any) -> str:
    return f"{'.'.join(map(str, error['loc']))}: {error['msg']}"


def _rows(database: Database, identity: str, item: Item, at: datetime) -> Iterator[CdsFeedback]:
    """One row for each rule that the card, or the accepted suggestion, rests on; one without a rule otherwise."""
    detail = item.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"card", "outcome"})
    for criterion in _criteria(database, item) or [None]:
        yield CdsFeedback(
            id=str(uuid.uuid4()),
            received_at=at,
            service=identity,
            card=item.card,
            criterion=criterion,
            outcome=item.outcome,
            detail=detail,
        )


def _criteria(database: Database, item: Item) -> list[str | None]:
    answer = _answer_of(database, item.card)
    if answer is None:
        log.info("feedback on a card that is not known")
        return []
    taken = {one.id for one in item.accepted_suggestions}
    settled = [name for need in answer.needed if suggestion_uuid(item.card, need.id) in taken for name in need.settles]
    return list(dict.fromkeys(settled or [one.id for one in reasons(answer)]))


def _answer_of(database: Database, card: str) -> Assessment | None:
    """The answer that a card was made from: see `card_uuid`."""
    with database.reading() as session:
        for number in range(MOST_CARDS):
            try:
                stored = assessments.find(session, card_uuid(card, number))
            except ValueError:
                return None
            if stored is not None:
                return assessments.read_answer(stored)
    return None


@router.get("/cds-feedback", summary="Feedback on cards, counted for each rule", responses=refusals(401, 403))
def summarise(request: Request, _: Annotated[Caller, Depends(caller_with("read"))]) -> dict[str, Any]:
    """How often cards that rest on a rule were accepted or overridden, and why; silence is not acceptance."""
    service: Service = request.app.state.service
    with service.database.reading() as session:
        rows = list(session.execute(select(CdsFeedback).order_by(CdsFeedback.received_at)).scalars())
        names = sorted({(row.service, row.criterion or "") for row in rows})
        return {"rules": [_count(name, rule, rows) for name, rule in names]}


def _count(name: str, rule: str, rows: list[CdsFeedback]) -> dict[str, Any]:
    own = [row for row in rows if (row.service, row.criterion or "") == (name, rule)]
    codes = (row.detail.get("overrideReason", {}).get("reason", {}).get("code") for row in own)
    outcomes = Counter(row.outcome for row in own)
    return {
        "service": name,
        "criterion": rule or None,
        "accepted": outcomes["accepted"],
        "overridden": outcomes["overridden"],
        "reasons": dict(Counter(code for code in codes if code is not None)),
    }
