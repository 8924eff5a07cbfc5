"""Idempotency keys: one request is worked once, however often and at whatever moment it is repeated."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi import Response
from sqlalchemy import func, select
from starlette.testclient import TestClient

from fhir_adapters.plain_forms import EXAMPLE
from mscprotocol.knowledge import KnowledgeBase
from mscprotocol.service import Service
from mscprotocol.store.database import open_database
from mscprotocol.store.tables import StoredAssessment
from mscprotocol.web.idempotency import ABANDONED, KEPT, Claim, reply_once
from mscprotocol.web.problems import ProblemError
from tests.web.conftest import NOW

RECORD = json.dumps(EXAMPLE).encode()
CLAIM = Claim("someone", "key", "0" * 64)


def post(client: TestClient, key: str, content: bytes = RECORD, **query: str) -> Any:
    headers = {"content-type": "application/json", "idempotency-key": key}
    return client.post("/api/v1/assess", content=content, headers=headers, params=query)


def stored(service: Service) -> int:
    with service.database.reading() as session:
        return session.execute(select(func.count()).select_from(StoredAssessment)).scalar_one()


def code(work: Any) -> str:
    with pytest.raises(ProblemError) as raised:
        work()
    return raised.value.code


def test_the_same_request_gets_the_same_reply(client: TestClient, service: Service) -> None:
    first, second = post(client, "a"), post(client, "a")
    assert second.content == first.content
    assert second.headers["location"] == first.headers["location"]
    assert (second.headers["idempotent-replayed"], stored(service)) == ("true", 1)
    assert post(client, "b").headers["location"] != first.headers["location"]


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
    service = Service(knowledge, open_database(f"sqlite:///{tmp_path}/s.sqlite3"), clock=lambda: NOW)
    service.database.migrate()
    return service


def test_of_many_at_once_one_works(shared: Service) -> None:
    worked, outcomes, begun = [], [], threading.Barrier(4)

    def work() -> Response:
        worked.append(1)
        return Response(b"{}", media_type="application/json")

    def ask() -> None:
        begun.wait()
        try:
            outcomes.append(reply_once(shared, CLAIM, work).status_code)
        except ProblemError as error:
            outcomes.append(error.status)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(worked) == 1
    assert set(outcomes) <= {200, 409} and len(outcomes) == 4


def test_a_repeat_during_the_work_is_told_to_wait(shared: Service) -> None:
    def work() -> Response:
        assert code(lambda: reply_once(shared, CLAIM, work)) == "idempotency_key_at_work"
        other = replace(CLAIM, client="someone else")
        assert reply_once(shared, other, lambda: Response(b"2", media_type="text/plain")).body == b"2"
        return Response(b"1", media_type="text/plain")

    assert reply_once(shared, CLAIM, work).body == b"1"


def test_replies_are_kept_a_day_and_abandoned_claims_minutes(shared: Service) -> None:
    def make(body: bytes) -> Any:
        return lambda: Response(body, media_type="text/plain")

    assert reply_once(shared, CLAIM, make(b"1")).body == b"1"
    shared.clock = lambda: NOW + KEPT
    assert reply_once(shared, CLAIM, make(b"2")).body == b"1"
    shared.clock = lambda: NOW + KEPT + timedelta(seconds=1)
    assert reply_once(shared, CLAIM, make(b"3")).body == b"3"

    def die() -> Response:
        later = shared.clock() + ABANDONED + timedelta(seconds=1)
        shared.clock = lambda: later
        assert reply_once(shared, replace(CLAIM, key="other"), make(b"4")).body == b"4"
        return Response(b"5", media_type="text/plain")

    reply_once(shared, replace(CLAIM, key="other"), die)
