"""Idempotency keys: the same request with the same key gets the reply that was stored, for a day.

A reply is stored in the transaction that stores what it tells of. Of several requests at once with one key, the first
to commit has made the reply, and the others give it out: nothing is stored twice. Follows the draft "The
Idempotency-Key HTTP Header Field" of the IETF: 422 for another request with the key.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from fastapi import Response
from sqlalchemy import bindparam, delete, insert, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from mscprotocol.service import Service
from mscprotocol.store.tables import IdempotentReply, table_of
from mscprotocol.web.problems import ProblemError

KEPT = timedelta(hours=24)
LONGEST_KEY = 200
# Statements of every request, built once.
_replies = table_of(IdempotentReply)
_is_claimed = (_replies.c.client == bindparam("its_client"), _replies.c.key == bindparam("its_key"))
_FIND = select(_replies).where(*_is_claimed, _replies.c.expires_at >= bindparam("now"))
_FORGET = delete(_replies).where(_replies.c.expires_at < bindparam("now"))
_KEEP = insert(_replies)


# Told where a reply is stored, if it is in one place.
Reread = Callable[[Session, str | None], object]


@dataclass(frozen=True)
class Claim:
    """A key of one caller, the digest of the request that it stands for, and how long its reply is given out again."""

    client: str
    key: str
    request_sha256: str
    kept: timedelta = KEPT


@dataclass(frozen=True)
class Reply:
    """A response that was made, and what has to be stored before it may be given out."""

    response: Response
    store: Callable[[Session], object]


def digest_request(parts: Iterable[bytes]) -> str:
    """SHA-256 of everything that makes two requests the same; each part is bounded by its length."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()


def reply_once(service: Service, claim: Claim, work: Callable[[], Reply], reread: Reread = lambda *_: None) -> Response:
    """The stored reply of a claim, else that of the work, which is stored; an error is no reply and frees the key.

    `reread` is told, in a transaction of its own, of a reply that is given out again.
    """
    if not 0 < len(claim.key) <= LONGEST_KEY:
        raise ProblemError(400, "bad_request", f"An Idempotency-Key has 1 to {LONGEST_KEY} characters.")
    known = _find(service, claim, reread)
    if known is not None:
        return known
    made = work()
    try:
        with service.database.writing() as session:
            _keep(session, claim, made.response, service.clock())
            made.store(session)
    except IntegrityError:
        known = _find(service, claim, reread)
        if known is None:
            raise
        return known  # somebody was faster
    return made.response


def _find(service: Service, claim: Claim, reread: Reread) -> Response | None:
    with service.database.reading() as session:
        wanted = {"its_client": claim.client, "its_key": claim.key, "now": service.clock()}
        found = session.execute(_FIND, wanted).one_or_none()
    if found is None:
        return None
    if found.request_sha256 != claim.request_sha256:
        raise ProblemError(422, "idempotency_key_reused", "This key came with another request: take a new one.")
    with service.database.writing() as session:
        reread(session, found.location)
    headers = {"location": found.location} if found.location else {}
    return Response(found.body, found.status, headers | {"idempotent-replayed": "true"}, found.content_type)


def _keep(session: Session, claim: Claim, response: Response, now: datetime) -> None:
    session.execute(_FORGET, {"now": now})
    row = {
        "id": str(uuid.uuid4()),
        "client": claim.client,
        "key": claim.key,
        "request_sha256": claim.request_sha256,
        "expires_at": now + claim.kept,
        "status": response.status_code,
        "content_type": response.headers["content-type"],
        "location": response.headers.get("location"),
        "body": bytes(response.body),
    }
    session.execute(_KEEP, row)
