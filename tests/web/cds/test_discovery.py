"""Discovery: the numbers are those of docs/cds-hooks.md."""

from __future__ import annotations

import re
from typing import Any

from fastapi import FastAPI
from starlette.testclient import TestClient

from fhir_adapters.cds_prefetch import LONGEST_QUERY
from mscprotocol.knowledge import KnowledgeBase
from mscprotocol.web.cds_requests import HOOKS
from tests.web.cds.calls import Json, entry_of
from tests.web.conftest import Start

EMPTY: tuple[object, ...] = (None, "", [], {})


def services_of(client: TestClient) -> list[Json]:
    found: list[Json] = client.get("/cds-services").json()["services"]
    return found


def empty_places(value: Any, place: str = "") -> list[str]:
    """Where nothing stands though a name does."""
    if isinstance(value, dict):
        return [found for key, one in value.items() for found in _empty(one, f"{place}.{key}")]
    if isinstance(value, list):
        return [found for one in value for found in _empty(one, f"{place}[]")]
    return []


def _empty(value: Any, place: str) -> list[str]:
    return [place] if value in EMPTY else empty_places(value, place)


def test_D1_discovery_answers_with_json(client: TestClient) -> None:
    answer = client.get("/cds-services")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")


def test_D2_the_body_is_an_object_with_services(client: TestClient, knowledge: KnowledgeBase) -> None:
    assert {(one["id"], one["hook"]) for one in services_of(client)} == {
        (name, hook) for name in knowledge.protocols for hook in HOOKS
    }


def test_D2_without_services_the_array_is_empty(start: Start) -> None:
    def remove(app: FastAPI) -> None:
        class Bare:
            assessable: tuple[str, ...] = ()

        app.state.service = Bare()

    assert start(remove).get("/cds-services").json() == {"services": []}


def test_D3_each_service_says_what_it_is(client: TestClient) -> None:
    for one in services_of(client):
        assert all(isinstance(one[name], str) and one[name] for name in ("hook", "id", "title", "description"))


def test_D4_prefetch_maps_keys_to_queries(client: TestClient) -> None:
    for one in services_of(client):
        assert one["usageRequirements"]
        assert all(isinstance(key, str) and isinstance(query, str) for key, query in one["prefetch"].items())


def test_D4_prefetch_asks_for_what_the_rules_read(client: TestClient, knowledge: KnowledgeBase) -> None:
    queries = entry_of(client)["prefetch"].values()
    assert {query.split("?")[0].split("/")[0] for query in queries} >= {
        "Patient",
        "Condition",
        "Observation",
        "Consent",
    }
    fibrinogen = knowledge.measurements["fibrinogen"].codes[0].code
    assert any(f"http://loinc.org|{fibrinogen.code}" in query for query in queries)


def test_D5_the_only_token_is_the_patient(client: TestClient) -> None:
    found = {token for one in services_of(client) for query in one["prefetch"].values()
             for token in re.findall(r"\{\{.*?\}\}", query)}  # fmt: skip
    assert found == {"{{context.patientId}}"}


def test_D6_queries_are_reads_and_token_searches_of_bounded_length(client: TestClient) -> None:
    for query in entry_of(client)["prefetch"].values():
        assert re.fullmatch(r"Patient/\{\{[\w.]+\}\}|[A-Za-z]+\?patient=\{\{[\w.]+\}\}(&code=[^&]+)?", query)
        assert len(query) <= LONGEST_QUERY


def test_D7_nothing_is_empty(client: TestClient) -> None:
    assert empty_places(client.get("/cds-services").json()) == []


def test_D8_each_service_has_a_version(client: TestClient) -> None:
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", one["version"]) for one in services_of(client))
