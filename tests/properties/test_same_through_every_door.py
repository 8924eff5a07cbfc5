"""One patient gives one verdict and one trace hash through every door (decision 24), whoever the patient is."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sqlalchemy import select
from starlette.testclient import TestClient

from fhir_adapters.bundle import PatientBundle
from fhir_adapters.hl7v2_inbox import MemoryInbox
from fhir_adapters.hl7v2_receiving import Receiver, ReceiverSettings
from mscprotocol.knowledge import KnowledgeBase
from mscprotocol.listening import Keeper
from mscprotocol.service import Service
from mscprotocol.settings import Settings
from mscprotocol.store.tables import StoredAssessment
from mscprotocol.web.app import create_app
from tests.databases import new_database
from tests.one_patient import ANSWERED, AT, DISEASES, LABS, LIMITED, STATES, SUPPORT, TESTS, Fact, OnePatient
from tests.web.cds.calls import SERVICE, URL, call, entry_of, fill_prefetch

REST = "/api/v1/assess"
Answer = tuple[str, str]


@dataclass(frozen=True)
class Doors:
    """A service with all its doors; each answers with verdict and trace hash, as they are stored."""

    client: TestClient
    service: Service
    templates: dict[str, str]

    def bundle(self, one: OnePatient) -> Answer:
        return self._rest(one.bundle)

    def record(self, one: OnePatient) -> Answer:
        return self._rest(one.record)

    def prefetch(self, one: OnePatient) -> Answer:
        filled = fill_prefetch(self.templates, one.fhir.resources)
        # Each call is another one: the same call twice would be answered from the store.
        body = call(filled, context={"patientId": "p"}, hookInstance=str(uuid.uuid4()))
        reply = self.client.post(URL, json=body)
        assert reply.status_code == 200
        return self._stored("cds-hooks")

    def messages(self, one: OnePatient) -> Answer:
        known = asyncio.run(self._receive(one.messages))
        assert known is not None
        assert Keeper(self.service, SERVICE, "UTC", ReceiverSettings())(*known)
        return self._stored("hl7v2")

    async def _receive(self, messages: list[bytes]) -> tuple[PatientBundle, list[str]] | None:
        receiver = Receiver(MemoryInbox(), ReceiverSettings(), self.service.clock)
        for one in messages:
            assert b"|AA|" in await receiver.handle(one)
        (chart,) = receiver.patients
        return await receiver.known_of(chart)

    def _rest(self, content: bytes) -> Answer:
        reply = self.client.post(REST, content=content, headers={"content-type": "application/json"})
        assert reply.status_code == 200
        return self._stored("rest")

    def _stored(self, door: str) -> Answer:
        """The answer that was stored last, which must have come through this door."""
        with self.service.database.writing() as session:
            (stored,) = session.execute(select(StoredAssessment)).scalars()
            assert stored.door == door
            session.delete(stored)
            return stored.verdict, stored.trace_sha256


@pytest.fixture(scope="module")
def doors(knowledge: KnowledgeBase) -> Iterator[Doors]:
    service = Service(knowledge, new_database(), clock=lambda: AT)
    app = create_app(Settings(database_url="sqlite://", requests_per_minute=0), service)
    with TestClient(app, base_url="http://127.0.0.1") as client:
        yield Doors(client, service, entry_of(client)["prefetch"])


hours = st.one_of(
    st.sampled_from([0, 0.5, 1, 6, 12, 24, 36, 48, 72]), st.integers(0, 20 * 24 * 60).map(lambda m: m / 60)
)


def facts_of(kind: str, *parts: st.SearchStrategy[object]) -> st.SearchStrategy[Fact]:
    return st.tuples(st.just(kind), *parts)


def names(found: object) -> st.SearchStrategy[object]:
    return st.sampled_from(sorted(found))  # type: ignore[call-overload]


everywhere = st.one_of(
    facts_of("lab", names(LABS), st.integers(0, 3), hours, st.sampled_from(["final", "preliminary", "corrected"])),
    facts_of("lab", names(LABS), st.integers(0, 3), hours, st.just("final")),
    facts_of("limited", names(LIMITED), st.integers(0, 1), hours, st.booleans()),
    facts_of("support", names(SUPPORT), hours),
    facts_of("test", names(TESTS), hours),
    facts_of("diagnosis", names(DISEASES), st.just("confirmed"), hours),
)
not_in_messages = st.one_of(
    facts_of("condition", names(DISEASES), names(STATES), hours),
    facts_of("answer", names(ANSWERED), st.booleans(), hours),
)
SETTINGS = settings(max_examples=20)


# A procedure states a level and a presence; it once counted as two points of a trend, which a record's datum does not.
@example(facts=[("support", "imv", 1)])
@example(facts=[("support", "ecmo", 1)])
@SETTINGS
@given(facts=st.lists(everywhere, min_size=1, max_size=30))
def test_bundle_messages_prefetch_and_record_give_the_same_trace(doors: Doors, facts: list[Fact]) -> None:
    one = OnePatient(*facts)
    expected = doors.bundle(one)
    assert (doors.record(one), doors.prefetch(one), doors.messages(one)) == (expected, expected, expected)


@SETTINGS
@given(facts=st.lists(st.one_of(everywhere, not_in_messages), min_size=1, max_size=30))
def test_answers_and_statuses_of_diseases_too_where_they_can_be_told(doors: Doors, facts: list[Fact]) -> None:
    one = OnePatient(*facts)
    expected = doors.bundle(one)
    assert (doors.record(one), doors.prefetch(one)) == (expected, expected)
