"""Idempotency keys: one request is worked once, however often and at whatever moment it is repeated."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi import Response
from sqlalchemy import func, insert, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session
from starlette.testclient import TestClient

from fhir_adapters.plain_forms import EXAMPLE
from mscprotocol.knowledge import KnowledgeBase
from mscprotocol.service import Service
from mscprotocol.store import audit
from mscprotocol.store.tables import AuditEntry, IdempotentReply, StoredAssessment, UsedToken
from mscprotocol.web.idempotency import KEPT, Claim, Reply, reply_once
from tests.databases import new_database
from tests.web.conftest import NOW

RECORD = json.dumps(EXAMPLE).encode()
CLAIM = Claim("someone", "key", "0" * 64)


def post(client: TestClient, key: str, content: bytes = RECORD, **query: str) -> Any:
    headers = {"content-type": "application/json", "idempotency-key": key}
    return client.post("/api/v1/assess", content=content, headers=headers, params=query)


def stored(service: Service) -> int:
    with service.database.reading() as session:
        return session.execute(select(func.count()).select_from(StoredAssessment)).scalar_one()


def test_the_same_request_gets_the_same_reply(client: TestClient, service: Service) -> None:
    first, second = post(client, "a"), post(client, "a")
    assert second.content == first.content
    assert second.headers["location"] == first.headers["location"]
    assert (second.headers["idempotent-replayed"], stored(service)) == ("true", 1)
    assert post(client, "b").headers["location"] != first.headers["location"]


def test_a_reply_that_is_given_again_is_in_the_audit_trail(client: TestClient, service: Service) -> None:
    """It holds a patient's data as much as the first did."""
    place = post(client, "a").headers["location"]
    post(client, "a"), post(client, "b", protocol="all"), post(client, "b", protocol="all")
    with service.database.reading() as session:
        read = session.execute(select(AuditEntry).where(AuditEntry.action == "read")).scalars().all()
    assert [one.subject.partition("/")[0] for one in read] == ["Assessment", "Reply"]
    assert read[0].subject == f"Assessment/{place.rpartition('/')[2]}"


@pytest.mark.parametrize("other", [{"content": RECORD + b" "}, {"stage": "infusion"}])
def test_another_request_with_the_key_is_refused(client: TestClient, other: dict[str, Any]) -> None:
    post(client, "a")
    reply = post(client, "a", **other)
    assert (reply.status_code, reply.json()["code"]) == (422, "idempotency_key_reused")


def test_an_error_frees_the_key(client: TestClient, service: Service) -> None:
    assert post(client, "a", b'{"patient": {}}').status_code == 422
    assert post(client, "a").status_code == 200
    assert post(client, "").status_code == post(client, "x" * 201).status_code == 400
    assert stored(service) == 1


@pytest.fixture
def shared(knowledge: KnowledgeBase, tmp_path: Path) -> Service:
    """A service whose database several threads use, each by a connection of its own."""
    return Service(knowledge, new_database(f"sqlite:///{tmp_path}/s.sqlite3"), clock=lambda: NOW)


def make(body: bytes, store: Callable[[Session], None] = lambda _: None) -> Callable[[], Reply]:
    """Work that makes a reply."""
    return lambda: Reply(Response(body, media_type="text/plain"), store)


def note(session: Session) -> None:
    audit.append(session, NOW, "someone", "made", "a reply")


def notes(service: Service) -> int:
    with service.database.reading() as session:
        return session.execute(select(func.count()).select_from(AuditEntry)).scalar_one()


def test_of_many_at_once_one_is_stored_and_given_to_all(shared: Service) -> None:
    bodies, begun, made = [], threading.Barrier(4), threading.Barrier(4)

    def work() -> Reply:
        made.wait()  # all four work at once, for none has stored anything yet
        return make(str(threading.get_ident()).encode(), note)()

    def ask() -> None:
        begun.wait()
        bodies.append(reply_once(shared, CLAIM, work).body)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(bodies), len(set(bodies)), notes(shared)) == (4, 1, 1)


def test_a_key_is_that_of_one_client(shared: Service) -> None:
    assert reply_once(shared, CLAIM, make(b"1")).body == b"1"
    assert reply_once(shared, replace(CLAIM, client="someone else"), make(b"2")).body == b"2"


def test_what_cannot_be_stored_is_no_reply(shared: Service) -> None:
    def fail(session: Session) -> None:
        note(session)
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        reply_once(shared, CLAIM, make(b"1", fail))
    assert notes(shared) == 0
    assert reply_once(shared, CLAIM, make(b"2")).body == b"2"


def test_what_contradicts_itself_is_no_reply(shared: Service) -> None:
    """A constraint that is not the key's does not pass for somebody who was faster."""

    def clash(session: Session) -> None:
        for _ in range(2):
            session.execute(insert(UsedToken).values(sha256="0" * 64, expires_at=NOW))

    with pytest.raises(IntegrityError):
        reply_once(shared, CLAIM, make(b"1", clash))


def test_replies_are_kept_as_long_as_was_claimed(shared: Service) -> None:
    brief = replace(CLAIM, key="brief", kept=timedelta(minutes=1))
    assert reply_once(shared, CLAIM, make(b"1")).body == reply_once(shared, brief, make(b"1")).body == b"1"
    shared.clock = lambda: NOW + KEPT
    assert reply_once(shared, CLAIM, make(b"2")).body == b"1"
    assert reply_once(shared, brief, make(b"2")).body == b"2"
    shared.clock = lambda: NOW + KEPT + timedelta(seconds=1)
    assert reply_once(shared, CLAIM, make(b"3")).body == b"3"
    with shared.database.reading() as session:
        kept = session.execute(select(IdempotentReply.key)).scalars().all()
    assert sorted(kept) == ["brief", "key"]
