"""Text that a database cannot hold is refused with a reason at every door, and nothing of it is quoted."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
import structlog
from starlette.testclient import TestClient

from mscprotocol.knowledge_loader import load_knowledge
from mscprotocol.service import Service
from mscprotocol.settings import Settings
from mscprotocol.store.database import Database
from mscprotocol.web.app import create_app
from tests.store.people import SEED

FHIR = {"content-type": "application/fhir+json"}
REPORT = {"card": "zebra\0", "outcome": "overridden", "outcomeTimestamp": "2020-04-06T10:00:00Z"}


@pytest.fixture
def client(database: Database) -> Iterator[TestClient]:
    app = create_app(Settings(database_url="sqlite://", requests_per_minute=0), Service(load_knowledge(), database))
    yield TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False)


def bundle(patient: str) -> bytes:
    entry = {"resource": {"resourceType": "Patient", "id": patient, "birthDate": "1960-01-01"}}
    return json.dumps({"resourceType": "Bundle", "type": "collection", "entry": [entry]}).encode()


@pytest.mark.parametrize("patient", ["zebra\0", "zebra" * 1000], ids=["zero", "long"])
def test_ids_of_patients_that_cannot_be_kept_are_refused(client: TestClient, database: Database, patient: str) -> None:
    is_taken = database.engine.dialect.name == "sqlite"
    with structlog.testing.capture_logs() as logged:
        for path in ("/api/v1/assess", f"/fhir/PlanDefinition/{SEED}/$apply"):
            reply = client.post(path, content=bundle(patient), headers=FHIR)
            assert reply.status_code == (200 if is_taken else 422)
            assert is_taken or ("longer than the database takes" in reply.text and "zebra" not in reply.text)
        lines = client.post(
            "/api/v1/assess/batch",
            content=bundle(patient) + b"\n" + bundle("good"),
            headers={"content-type": "application/x-ndjson"},
        ).text.splitlines()
    assert ["unstorable" in one for one in lines] == [not is_taken, False]
    assert not [one for one in logged if one["event"] == "defect" or "zebra" in str(one)]


@pytest.mark.parametrize(
    "path", ["/api/v1/assessments/%00", "/assessments/%00", "/subjects/%00", "/worklist?protocol=%00"]
)
def test_names_that_cannot_be_looked_up_are_refused(client: TestClient, path: str) -> None:
    assert client.get(path).status_code < 500


def test_feedback_on_a_card_that_cannot_be_kept_is_refused(client: TestClient) -> None:
    assert client.post(f"/cds-services/{SEED}/feedback", json={"feedback": [REPORT]}).status_code < 500
