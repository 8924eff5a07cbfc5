"""The whole service as two processes on real sockets over one database, on SQLite and on PostgreSQL."""

from __future__ import annotations

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
from sqlalchemy import select

from mscprotocol.store import audit
from mscprotocol.store.database import open_database
from mscprotocol.store.tables import AuditEntry, StoredAssessment
from tests.web.cds.calls import SERVICE, URL, call, fill_prefetch, resources_of
from tests.web.live import SERVE, running

BUNDLE = (Path(__file__).parents[2] / "samples" / "eligible" / "input.json").read_bytes()
JSON, FHIR = {"content-type": "application/json"}, {"content-type": "application/fhir+json"}


def test_every_door_on_a_real_socket(url: str) -> None:
    settings = {"database_url": url, "requests_per_minute": "0"}
    with (
        running(SERVE, "serve", "--port", "0", **settings) as server,
        running(SERVE, "serve", "--port", "0", **settings) as second,
        httpx2.Client(base_url=server.address, timeout=60) as client,
        httpx2.Client(base_url=second.address, timeout=60) as other,
    ):
        answer = client.post("/api/v1/assess", content=BUNDLE, headers=JSON)
        place = answer.headers["location"]
        assert other.get(place).content == answer.content
        assert client.get(f"{place}/checklist").text.startswith("<!DOCTYPE html>")
        lines = client.post(
            "/api/v1/assess/batch",
            content=json.dumps(json.loads(BUNDLE)).encode() + b"\n{}\n",
            headers={"content-type": "application/x-ndjson"},
        ).text.splitlines()
        assert ["error" in json.loads(line) for line in lines] == [False, True]
        plan = client.post(f"/fhir/PlanDefinition/{SERVICE}/$apply", content=BUNDLE, headers=FHIR)
        assert plan.json()["resourceType"] == "CarePlan"
        templates = next(one for one in client.get("/cds-services").json()["services"] if one["id"] == SERVICE)
        cards = client.post(URL, json=call(fill_prefetch(templates["prefetch"], resources_of("eligible"))))
        assert cards.json()["cards"]
        assert client.get("/readyz").json()["status"] == "ready"
        assert once_of_many([client, other]) == {200: 1}
    check_store(url)


def once_of_many(clients: list[httpx2.Client]) -> Counter[int]:
    """Sixteen requests with one key at both processes: one is stored, the others get its reply."""
    headers = JSON | {"idempotency-key": "k-1"}

    def ask(number: int) -> httpx2.Response:
        return clients[number % len(clients)].post("/api/v1/assess", content=BUNDLE, headers=headers)

    with ThreadPoolExecutor(16) as pool:
        replies = list(pool.map(ask, range(16)))
    assert len({one.content for one in replies}) == 1
    return Counter(
        one.status_code for one in replies if one.status_code == 200 and "idempotent-replayed" not in one.headers
    )


def check_store(url: str) -> None:
    """What two processes wrote is whole, and one chain."""
    database = open_database(url)
    with database.reading() as session:
        assert Counter(session.execute(select(StoredAssessment.door)).scalars()) == {
            "rest": 3,
            "fhir": 1,
            "cds-hooks": 1,
        }
        assert Counter(session.execute(select(AuditEntry.action)).scalars())["assess"] == 5
        assert audit.find_fault(session) is None
    database.close()
