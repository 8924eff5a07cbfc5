"""Idempotency keys: the same request with the same key gets the reply that was stored, for a day.

A key is claimed in the database before any work, so that of two requests at once only one works. Follows the draft
"The Idempotency-Key HTTP Header Field" of the IETF: 409 while the first is at work, 422 for another request.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta

from fastapi import Response
from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError

from mscprotocol.service import Service
from mscprotocol.store.tables import IdempotentReply
from mscprotocol.web.problems import ProblemError

KEPT = timedelta(hours=24)
# A claim without a reply is of a process that died.
ABANDONED = timedelta(minutes=10)
LONGEST_KEY = 200
_AT_WORK = 0


@dataclass(frozen=True)
class Claim:
    """A key of one caller, and the digest of the request that it stands for."""

    client: str
    key: str
    request_sha256: str


def digest_request(parts: Iterable[bytes]) -> str:
    """SHA-256 of everything that makes two requests the same; each part is bounded by its length."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()


def reply_once(service: Service, claim: Claim, work: Callable[[], Response]) -> Response:
    """The stored reply of a claim, else that of the work, which is stored; an error is no reply and frees the key."""
    if not 0 < len(claim.key) <= LONGEST_KEY:
        raise ProblemError(400, "bad_request", f"An Idempotency-Key has 1 to {LONGEST_KEY} characters.")
    try:
        mine = _claim(service, claim)
    except IntegrityError:
        return _stored(service, claim)
    try:
        response = work()
        _keep(service, mine, response)
    except BaseException:
        _free(service, mine)
        raise
    return response


def _claim(service: Service, claim: Claim) -> str:
    """The id of a new claim. Raises IntegrityError if the key is claimed already."""
    now, identity = service.clock(), str(uuid.uuid4())
    with service.database.writing() as session:
        session.execute(delete(IdempotentReply).where(IdempotentReply.made_at < now - KEPT))
        is_old = IdempotentReply.made_at < now - ABANDONED
        session.execute(delete(IdempotentReply).where(IdempotentReply.status == _AT_WORK, is_old))
        session.add(
            IdempotentReply(
                id=identity,
                client=claim.client,
                key=claim.key,
                request_sha256=claim.request_sha256,
                made_at=now,
                status=_AT_WORK,
                content_type="",
                location=None,
                body=b"",
            )
        )
    return identity


def _stored(service: Service, claim: Claim) -> Response:
    wanted = (IdempotentReply.client == claim.client, IdempotentReply.key == claim.key)
    with service.database.reading() as session:
        found = session.execute(select(IdempotentReply).where(*wanted)).scalar_one_or_none()
        session.expunge_all()
    if found is not None and found.request_sha256 != claim.request_sha256:
        raise ProblemError(422, "idempotency_key_reused", "This key came with another request: take a new one.")
    if found is None or found.status == _AT_WORK:
        text = "A request with this key is at work: ask again."
        raise ProblemError(409, "idempotency_key_at_work", text, {"retry-after": "1"})
    headers = {"location": found.location} if found.location else {}
    return Response(found.body, found.status, headers | {"idempotent-replayed": "true"}, found.content_type)


def _keep(service: Service, identity: str, response: Response) -> None:
    with service.database.writing() as session:
        kept = session.get(IdempotentReply, identity)
        if kept is None:
            return  # it took so long that the claim was given up for abandoned
        kept.status, kept.body = response.status_code, bytes(response.body)
        kept.content_type = response.headers["content-type"]
        kept.location = response.headers.get("location")


def _free(service: Service, identity: str) -> None:
    with service.database.writing() as session:
        session.execute(delete(IdempotentReply).where(IdempotentReply.id == identity))
