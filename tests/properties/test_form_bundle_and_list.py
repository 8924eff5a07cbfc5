"""Form, FHIR bundle and CSV row of one patient, each through its real door: one verdict and one trace (decision 24)."""

from __future__ import annotations

import csv
import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from sqlalchemy import select
from starlette.testclient import TestClient

from mscprotocol.knowledge import KnowledgeBase
from mscprotocol.sample_cases import PROTOCOL
from mscprotocol.service import Service
from mscprotocol.settings import Settings
from mscprotocol.store.tables import StoredAssessment
from mscprotocol.web.app import create_app
from tests.databases import new_database
from tests.one_patient import AT, OnePatient
from tests.screening.exports import screen
from tests.web.pages.test_form_is_the_record import answered, facts, fill_in

HEAD = ("patient_id", "born", "sex", "name", "value", "unit", "upper_limit", "assay", "by", "at")
Answer = tuple[str, str]


class Doors:
    """A server with the pages and the API, and a folder in which lists are screened."""

    def __init__(self, client: TestClient, service: Service, folder: Path) -> None:
        self.client, self.service, self.folder = client, service, folder

    def form(self, one: OnePatient) -> Answer:
        """Filled in by hand and saved to a new subject."""
        fields = fill_in(json.loads(one.record)) | {"protocol": PROTOCOL, "stage": "screening"}
        fields |= {"subject": f"S-{uuid.uuid4()}", "token": str(uuid.uuid4())}
        reply = self.client.post("/screening/save", data=fields, headers={"sec-fetch-site": "same-origin"})
        assert reply.status_code == 200
        assert "/assessments/" in str(reply.url)
        return self._stored(str(reply.url).rpartition("/")[2])

    def bundle(self, one: OnePatient) -> Answer:
        """Sent by a program."""
        reply = self.client.post("/api/v1/assess", content=one.bundle, headers={"content-type": "application/json"})
        assert reply.status_code == 200
        return self._stored(reply.headers["location"].rpartition("/")[2])

    def row(self, one: OnePatient) -> Answer:
        """Rows of an exported list."""
        record, folder = json.loads(one.record), self.folder / str(uuid.uuid4())
        folder.mkdir()
        with (folder / "list.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, HEAD)
            writer.writeheader()
            writer.writerows(rows_of(record))
        run = screen(folder / "list.csv", folder / "out")
        (answer,) = run.answers.values()
        return answer["verdict"], answer["trace_sha256"]

    def _stored(self, identity: str) -> Answer:
        with self.service.database.reading() as session:
            query = select(StoredAssessment).where(StoredAssessment.id == identity)
            stored = session.execute(query).scalar_one()
        return stored.verdict, stored.trace_sha256


def rows_of(record: dict[str, Any]) -> Iterator[dict[str, str]]:
    """The patient, then a row a value or answer."""
    patient = {"patient_id": record["patient"]["id"]}
    yield patient | {name: record["patient"][name] for name in ("born", "sex")}
    for one in record["data"]:
        value, _, unit = one.get("value", one.get("answer")).partition(" ")
        more = {name: one[name] for name in ("upper_limit", "assay") if name in one}
        yield patient | more | {"name": one["name"], "value": value, "unit": unit, "at": one["at"]}
    for one in record["answers"]:
        yield patient | {"name": one["name"], "value": one["answer"], "by": one["by"], "at": one["at"]}


@pytest.fixture(scope="module")
def doors(knowledge: KnowledgeBase, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doors]:
    database = new_database()
    service = Service(knowledge, database, clock=lambda: AT)
    app = create_app(Settings(database_url="sqlite://", requests_per_minute=0), service)
    with TestClient(app, base_url="http://127.0.0.1") as client:
        yield Doors(client, service, tmp_path_factory.mktemp("lists"))


@example(said=[("support", "imv", 1), ("lab", "crp", 1, 1, "final")], more=[("answer", "pregnancy", False, 0)])
@settings(max_examples=8)
@given(said=facts, more=answered)
def test_form_bundle_and_row_give_one_verdict_and_one_trace(doors: Doors, said: Any, more: Any) -> None:
    one = OnePatient(*said, *more)
    expected = doors.bundle(one)
    assert doors.form(one) == expected
    assert doors.row(one) == expected
