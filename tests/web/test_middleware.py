"""What holds for every request: limits with one clear error each, headers, and a log without data."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from fastapi import FastAPI
from sqlalchemy import text

from fhir_adapters.plain_forms import EXAMPLE
from mscprotocol.service import Service
from mscprotocol.web.middleware import SECURITY_HEADERS, RateLimit
from tests.web.conftest import CLOSED, Start

SAMPLES = Path(__file__).parents[2] / "samples"


def add_routes(app: FastAPI) -> None:
    @app.post("/echo/{name}")
    def echo(name: str, body: dict[str, str]) -> dict[str, str]:
        return body

    @app.get("/slow")
    async def slow() -> None:
        await asyncio.sleep(30)

    @app.get("/broken/{name}")
    def broken(name: str) -> None:
        raise ValueError(f"cannot read {name}")


@pytest.fixture
def logged() -> Iterator[list[dict[str, object]]]:
    with structlog.testing.capture_logs() as entries:
        yield entries


def test_a_body_over_the_limit_is_refused(start: Start) -> None:
    client = start(add_routes, max_body_bytes=10)
    answer = client.post("/echo/x", json={"a": "longer than that"})
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


def test_a_body_that_does_not_declare_its_length_is_cut_off(start: Start) -> None:
    client = start(add_routes, max_body_bytes=10)
    answer = client.post("/echo/x", content=iter([b'{"a": "', b"x" * 20, b'"}']))
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


def test_a_slow_request_is_ended(start: Start) -> None:
    answer = start(add_routes, request_seconds=0.05).get("/slow")
    assert (answer.status_code, answer.json()["code"]) == (503, "timeout")


def test_too_many_requests_are_told_when_to_return(start: Start) -> None:
    client = start(requests_per_minute=2)
    codes = [client.get("/healthz").status_code for _ in range(3)]
    assert codes == [200, 200, 429]
    assert int(client.get("/healthz").headers["retry-after"]) >= 1


def test_the_bucket_refills_evenly() -> None:
    at = [0.0]
    rate = RateLimit(60, lambda: at[0])
    assert [rate.seconds_to_wait("a") for _ in range(61)][-2:] == [0, 1]
    assert rate.seconds_to_wait("b") == 0
    at[0] = 1.0
    assert rate.seconds_to_wait("a") == 0
    assert rate.seconds_to_wait("a") == 1


def test_every_answer_carries_the_security_headers(start: Start) -> None:
    client = start(add_routes)
    for answer in (client.get("/healthz"), client.get("/nowhere"), client.get("/broken/x")):
        assert {name: answer.headers[name] for name in SECURITY_HEADERS} == SECURITY_HEADERS
        assert answer.headers["x-request-id"]
        assert "server" not in answer.headers


def test_https_is_demanded_for_good_where_it_is_served(start: Start) -> None:
    assert (
        "strict-transport-security"
        in start(**CLOSED | {"public_url": "https://msc.example.org"}).get("/healthz").headers
    )


def test_a_request_keeps_the_id_it_came_with_if_that_is_plain(start: Start) -> None:
    client = start()
    assert client.get("/healthz", headers={"x-request-id": "abc-1"}).headers["x-request-id"] == "abc-1"
    strange = client.get("/healthz", headers={"x-request-id": "a b<script>"}).headers["x-request-id"]
    assert strange.isalnum()


def test_a_defect_ends_the_request_and_shows_nothing(start: Start, logged: list[dict[str, object]]) -> None:
    answer = start(add_routes).get("/broken/Mustermann")
    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
    assert "Mustermann" not in answer.text + str(logged)
    assert any(entry["event"] == "defect" and entry["kind"] == "ValueError" for entry in logged)


def test_the_log_names_the_route_and_not_the_path(start: Start, logged: list[dict[str, object]]) -> None:
    client = start(add_routes)
    client.post("/echo/Mustermann?born=1950", json={"a": "Mustermann"})
    client.get("/Mustermann")
    assert "Mustermann" not in str(logged)
    assert [entry["route"] for entry in logged if entry["event"] == "request"] == ["/echo/{name}", "none"]


def test_the_metrics_name_the_route_and_not_the_path(start: Start) -> None:
    client = start(add_routes)
    client.post("/echo/Mustermann", json={"a": "b"})
    client.request("MUSTERMANN", "/echo/x")
    written = client.get("/metrics").text
    assert 'route="/echo/{name}"' in written
    assert "mustermann" not in written.lower()


def test_health_and_readiness(start: Start, service: Service) -> None:
    client = start()
    assert client.get("/healthz").json() == {"status": "ok"}
    assert client.get("/readyz").json()["status"] == "ready"
    # A file that was moved away comes back empty.
    with service.database.writing() as session:
        session.execute(text("DROP TABLE alembic_version"))
    assert client.get("/readyz").status_code == 503


def test_answers_and_inputs_without_one_are_counted_by_door(start: Start) -> None:
    def count(name: str) -> float:
        found = re.search(rf"^{re.escape(name)} (\S+)$", client.get("/metrics").text, re.M)
        return float(found[1]) if found else 0

    client = start()
    made = 'mscprotocol_assessments_total{door="rest",protocol="seed-covid-4x",verdict="eligible"}'
    failed = 'mscprotocol_data_errors_total{code="unreadable",door="rest"}'
    before = count(made), count(failed)
    headers = {"content-type": "application/fhir+json"}
    for content in ((SAMPLES / "eligible" / "input.json").read_bytes(), b"{"):
        client.post("/api/v1/assess", content=content, headers=headers)
    assert (count(made), count(failed)) == (before[0] + 1, before[1] + 1)


def test_without_a_login_names_of_other_machines_are_refused_by_programs_doors_too(start: Start) -> None:
    elsewhere = {"host": "evil.example.org"}
    for path in ("/api/v1/protocols", "/cds-services", "/fhir/PlanDefinition"):
        assert [start().get(path).status_code, start().get(path, headers=elsewhere).status_code] == [200, 403]


def test_errors_speak_the_callers_language(start: Start) -> None:
    client = start(add_routes)
    assert client.get("/fhir/nothing").json()["resourceType"] == "OperationOutcome"
    assert client.get("/nothing", headers={"accept": "application/fhir+json"}).json()["issue"][0]["code"] == "not-found"
    problem = client.post("/echo/x", json={"a": 1})
    assert problem.headers["content-type"] == "application/problem+json"
    assert (problem.status_code, problem.json()["code"]) == (422, "invalid_request")


def test_head_is_answered_where_get_is(start: Start) -> None:
    client = start()
    for path in ("/healthz", "/metrics", "/fhir/metadata", "/cds-services", "/api/v1/protocols", "/"):
        head = client.head(path)
        assert (head.status_code, head.content, int(head.headers["content-length"]) > 0) == (200, b"", True)
    assert client.head("/api/v1/assess").status_code == 405


def test_pages_of_listed_origins_can_read_every_error(start: Start) -> None:
    origin = "https://ehr.example.org"
    client = start(add_routes, cors_origins=(origin,), max_body_bytes=10, request_seconds=0.05, requests_per_minute=3)
    asked: list[tuple[str, str, bytes]] = [
        ("GET", "/slow", b""),
        ("GET", "/nothing", b""),
        ("POST", "/echo/x", b"x" * 11),
    ]
    asked.append(asked[0])
    said = [client.request(method, path, content=body, headers={"origin": origin}) for method, path, body in asked]
    assert [one.status_code for one in said] == [503, 404, 413, 429]
    assert {one.headers.get("access-control-allow-origin") for one in said} == {origin}


def test_a_packed_body_is_refused_alike_at_every_door(start: Start) -> None:
    client = start()
    said = set()
    for path in ("/api/v1/assess", "/fhir/PlanDefinition/seed-covid-4x/$apply", "/cds-services/seed-covid-4x"):
        headers = {"content-type": "application/json", "content-encoding": "gzip"}
        answer = client.post(path, content=b"\x1f\x8b", headers=headers).json()
        said.add(answer["detail"] if "detail" in answer else answer["issue"][0]["details"]["text"])
    assert said == {"Send the body unpacked: no content-encoding is read."}


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        ("application/json;q=0", 406),
        ("application/json; q=0.000, text/html", 406),
        ("application/json;q=0, */*", 200),
        ("application/json;q=0.1", 200),
        ("*/*;q=0", 406),
    ],
)
def test_a_type_of_quality_0_is_not_sent(start: Start, accept: str, status: int) -> None:
    client, headers = start(), {"content-type": "application/json", "accept": accept}
    answer = client.post("/api/v1/assess", content=json.dumps(EXAMPLE), headers=headers)
    assert answer.status_code == status
    assert status == 406 or ("fhir" in answer.headers["content-type"]) == ("*/*" in accept)
