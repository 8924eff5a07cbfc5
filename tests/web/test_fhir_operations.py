"""The FHIR door: what it states is what it does, and `$apply` answers with a CarePlan or an OperationOutcome."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import select
from starlette.testclient import TestClient

from fhir_adapters.outcome import write_bundle, write_plan
from fhir_adapters.writing import encode
from mscprotocol.sample_cases import assess_sample, find_samples
from mscprotocol.service import Service
from mscprotocol.store.tables import AuditEntry
from mscprotocol.web.fhir_capabilities import write_operations
from mscprotocol.web.fhir_requests import OWN
from tests.adapters.fhir_models import checked
from tests.patients import severe_and_worsening
from tests.web.conftest import SECRET, Start

Json = dict[str, Any]
FHIR = {"content-type": "application/fhir+json"}
SAMPLES = {one.name: one for one in find_samples()}
AT = "2020-04-06T10:00:00+08:00"
APPLY = "/fhir/PlanDefinition/seed-covid-4x/$apply"


def record(sample: str) -> bytes:
    return (SAMPLES[sample].folder / "input.json").read_bytes()


def apply(client: TestClient, body: bytes, path: str = APPLY, **query: str) -> Any:
    return client.post(path, params={"at": AT} | query, content=body, headers=FHIR)


def parameters(*data: bytes, **values: Json) -> bytes:
    given = [{"name": "data", "resource": json.loads(one)} for one in data]
    given += [{"name": name, **value} for name, value in values.items()]
    return json.dumps({"resourceType": "Parameters", "parameter": given}).encode()


def issue(response: Any) -> tuple[int, str]:
    """The status and our own code of an error."""
    assert response.headers["content-type"] == "application/fhir+json"
    found = response.json()
    checked(response.content)
    return response.status_code, found["issue"][0]["details"]["coding"][0]["code"]


# -- what the server states ------------------------------------------------------------------------


def routes(client: TestClient) -> Iterator[tuple[str, str]]:
    def walk(found: Any) -> Iterator[tuple[str, str]]:
        for route in found:
            if hasattr(route, "methods"):
                yield from ((method, route.path) for method in route.methods)
            else:
                yield from walk(route.original_router.routes)

    app: Any = client.app
    return ((method, path) for method, path in walk(app.routes) if path.startswith("/fhir"))


def test_the_statement_is_what_the_routes_are(client: TestClient) -> None:
    statement = checked(client.get("/fhir/metadata").content)
    stated = {("GET", "/fhir/metadata")}
    for one in statement["rest"][0]["resource"]:
        base = f"/fhir/{one['type']}"
        paths = {"read": f"{base}/{{identity}}", "search-type": base}
        stated |= {("GET", paths[interaction["code"]]) for interaction in one["interaction"]}
        for operation in one.get("operation", []):
            definition = write_operations()[operation["definition"].rsplit("/", 1)[1]]
            method = "POST" if definition["affectsState"] else "GET"
            stated.add((method, f"{base}/{{identity}}/${operation['name']}"))
    refused = {("GET", "/fhir/PlanDefinition/{identity}/$apply")}
    no_interaction = {("GET", "/fhir/.well-known/smart-configuration")}  # SMART's, beside the statement
    assert stated == set(routes(client)) - refused - no_interaction


def test_the_statement_needs_no_credentials_and_names_the_public_address(start: Start) -> None:
    client = start(authentication="required", secret_key=SECRET, public_url="https://msc.example.org/")
    statement = client.get("/fhir/metadata").json()
    assert statement["implementation"]["url"] == "https://msc.example.org/fhir"
    assert statement["rest"][0]["security"]["description"]
    assert issue(client.get("/fhir/PlanDefinition")) == (401, "unauthorized")
    assert issue(apply(client, record("eligible"))) == (401, "unauthorized")


def test_the_api_description_names_the_parameters_and_the_type_of_answers(client: TestClient) -> None:
    app: Any = client.app
    described = app.openapi()["paths"]["/fhir/PlanDefinition/{identity}/$apply"]["post"]
    assert {one["name"] for one in described["parameters"]} == {"identity", *OWN}
    assert all(list(one["content"]) == ["application/fhir+json"] for one in described["responses"].values())


@pytest.mark.parametrize("kind", ["PlanDefinition", "Library", "Questionnaire", "OperationDefinition"])
def test_definitions_are_searched_and_read(client: TestClient, kind: str) -> None:
    found = checked(client.get(f"/fhir/{kind}").content)
    assert found["total"] == len(found["entry"]) > 2
    first = found["entry"][0]["resource"]
    read = client.get(f"/fhir/{kind}/{first['id']}")
    assert read.json() == first
    assert read.headers["content-type"] == "application/fhir+json"
    for query in ({"_id": first["id"]}, {"url": first["url"]}, {"url": f"{first['url']}|{first['version']}"}):
        alone = client.get(f"/fhir/{kind}", params=query).json()
        assert [one["resource"] for one in alone["entry"]] == [first]
        assert alone["link"][0]["url"].startswith(f"http://127.0.0.1/fhir/{kind}?")


def test_a_search_that_finds_nothing_is_an_empty_bundle(client: TestClient) -> None:
    found = client.get("/fhir/Library", params={"_id": "none"}).json()
    assert (found["total"], "entry" in found) == (0, False)
    assert issue(client.get("/fhir/Library/none")) == (404, "not_found")


def test_the_data_requirements_of_a_protocol(client: TestClient) -> None:
    library = checked(client.get("/fhir/PlanDefinition/seed-covid-4x/$data-requirements").content)
    assert "d_dimer" in {one["id"] for one in library["dataRequirement"]}
    path = "/fhir/PlanDefinition/{}/$data-requirements"
    assert issue(client.get(path.format("multistem"))) == (422, "information_only")
    assert issue(client.get(path.format("none"))) == (404, "unknown_protocol")


# -- $apply ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("sample", ["eligible", "pregnant", "one-lab-open"])
def test_apply_and_assess_answer_as_the_command_line_does(client: TestClient, service: Service, sample: str) -> None:
    answer = assess_sample(SAMPLES[sample], service.knowledge)
    applied = apply(client, record(sample), zone="Asia/Shanghai")
    assert applied.status_code == 200
    assert applied.headers["content-type"] == "application/fhir+json"
    assert applied.content == encode(write_plan(answer, service.knowledge))
    assert client.get(applied.headers["location"]).json()["trace_sha256"] == answer.trace_sha256
    whole = apply(client, record(sample), APPLY.replace("$apply", "$assess"), zone="Asia/Shanghai")
    assert whole.content == encode(write_bundle(answer, service.knowledge))


def test_parameters_and_query_say_the_same(client: TestClient) -> None:
    by_query = apply(client, record("eligible"), subject="Patient/eligible", zone="Asia/Shanghai", stage="enrolment")
    body = parameters(
        record("eligible"),
        subject={"valueString": "Patient/eligible"},
        at={"valueDateTime": AT},
        zone={"valueString": "Asia/Shanghai"},
        stage={"valueCode": "enrolment"},
        practitioner={"valueString": "Practitioner/1"},
    )
    by_body = client.post(APPLY, content=body, headers=FHIR)
    assert by_query.status_code == 200
    assert by_body.json() == by_query.json()


def test_data_may_come_in_several_bundles(client: TestClient) -> None:
    whole = json.loads(record("eligible"))
    half = len(whole["entry"]) // 2
    parts = [{**whole, "entry": whole["entry"][:half]}, {**whole, "entry": whole["entry"][half:]}]
    split = client.post(
        APPLY,
        params={"zone": "UTC"},
        content=parameters(*(json.dumps(one).encode() for one in parts), at={"valueInstant": AT}),
        headers=FHIR,
    )
    assert split.json()["activity"] == apply(client, record("eligible")).json()["activity"]


def test_the_start_moves_the_course(client: TestClient) -> None:
    plan = apply(client, record("eligible"), start="2020-04-06T14:00:00+08:00", zone="Asia/Shanghai").json()
    assert plan["activity"][0]["detail"]["scheduledTiming"]["event"] == ["2020-04-06T14:00:00+08:00"]


def test_without_a_time_the_clock_of_the_server_counts(client: TestClient, service: Service) -> None:
    plan = client.post(APPLY, content=record("eligible"), headers=FHIR).json()
    assert plan["created"] == service.clock().isoformat()


def test_the_level_of_a_cohort(client: TestClient) -> None:
    path = "/fhir/PlanDefinition/start-phase1/$apply"
    sample = SAMPLES["start-ards"]
    query = {"at": sample.request.at.isoformat()}
    body = parameters(record("start-ards"), doseLevel={"valueDecimal": 5})
    plan = client.post(path, params=query, content=body, headers=FHIR).json()
    assert plan["activity"][0]["detail"]["quantity"]["value"] > 0
    assert issue(apply(client, record("start-ards"), path, doseLevel="7")) == (422, "invalid_request")
    assert issue(apply(client, record("start-ards"), path, doseLevel="NaN")) == (422, "invalid_request")


def test_every_answer_is_stored_with_an_entry_in_the_audit_trail(client: TestClient, service: Service) -> None:
    apply(client, record("eligible"))
    with service.database.reading() as session:
        (entry,) = session.execute(select(AuditEntry)).scalars()
        assert (entry.action, entry.actor) == ("assess", "local")


# -- what is refused -------------------------------------------------------------------------------


def two_patients() -> bytes:
    bundle = severe_and_worsening("one").bundle()
    bundle["entry"] += severe_and_worsening("two").bundle()["entry"]
    return json.dumps(bundle).encode()


def dead() -> bytes:
    one = severe_and_worsening("dead")
    one.resources[0]["deceasedBoolean"] = True
    return one.to_json()


def twice() -> bytes:
    """One person by two ids that one number ties together."""
    tree = json.loads(record("eligible"))
    (person,) = (one["resource"] for one in tree["entry"] if one["resource"]["resourceType"] == "Patient")
    tree["entry"].append({"resource": person | {"id": "z"}})
    return json.dumps(tree).encode()


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 422, "unreadable"),
        (b"[]", 422, "unreadable"),
        (b'{"resourceType": "Patient", "id": "a"}', 422, "not_a_bundle"),
        (b'{"resourceType": "Bundle", "type": "collection"}', 422, "no_patient"),
        (b'{"resourceType": "Parameters", "parameter": []}', 422, "no_patient"),
        (b'{"resourceType": "Parameters", "parameter": [{"name": "data"}]}', 422, "no_patient"),
        (two_patients(), 422, "mixed_patients"),
        (dead(), 422, "deceased"),
        (parameters(record("eligible"), subject={"valueString": "Patient/other"}), 422, "foreign_subject"),
        (parameters(twice(), subject={"valueString": "Patient/eligible"}), 422, "mixed_patients"),
        (parameters(record("eligible"), stage={"valueCode": "later"}), 422, "invalid_request"),
        (parameters(record("eligible"), subject={"valueUri": "Patient/other"}), 422, "invalid_request"),
        (parameters(record("eligible"), colour={"valueCode": "red"}), 422, "invalid_request"),
        (parameters(record("eligible"), at={"valueDateTime": AT}), 422, "invalid_request"),
    ],
)
def test_what_cannot_be_answered(client: TestClient, body: bytes, status: int, code: str) -> None:
    assert issue(apply(client, body)) == (status, code)


@pytest.mark.parametrize(
    "query",
    [{"at": "2020-04-07"}, {"at": "soon"}, {"at": "1066-10-14T09:00:00Z"}, {"zone": "Mars/Olympus"}, {"zone": "../x"},
     {"start": "2020-04-07T10:00:00"}, {"start": "9999-01-01T00:00:00Z"}, {"stage": "SCREENING"}],
)  # fmt: skip
def test_a_parameter_that_cannot_be_read_is_named_and_not_repeated(client: TestClient, query: dict[str, str]) -> None:
    response = apply(client, record("eligible"), **query)
    assert issue(response) == (422, "invalid_request")
    assert next(iter(query)) in response.text
    assert next(iter(query.values())) not in response.text


@pytest.mark.parametrize(
    ("subject", "status"),
    [("Patient/eligible", 200), ("eligible", 200), ("https://ehr.example/fhir/Patient/eligible/_history/2", 200),
     ("Patient/ELIGIBLE", 422), ("Group/eligible", 422)],
)  # fmt: skip
def test_the_subject_must_be_whom_the_data_are_about(client: TestClient, subject: str, status: int) -> None:
    assert apply(client, record("eligible"), subject=subject).status_code == status


def test_protocols_that_cannot_be_applied(client: TestClient) -> None:
    assert issue(apply(client, record("eligible"), APPLY.replace("seed-covid-4x", "none"))) == (404, "unknown_protocol")
    path = APPLY.replace("seed-covid-4x", "multistem")
    assert issue(apply(client, record("eligible"), path)) == (422, "information_only")


def test_other_formats_and_methods(client: TestClient) -> None:
    xml = {"content-type": "application/fhir+xml"}
    assert issue(client.post(APPLY, content=b"<Bundle/>", headers=xml)) == (415, "unsupported_media_type")
    assert issue(client.post(APPLY, content=record("eligible"))) == (415, "unsupported_media_type")
    assert issue(client.get("/fhir/metadata", headers={"accept": "application/fhir+xml"})) == (406, "not_acceptable")
    assert issue(client.get("/fhir/metadata", params={"_format": "xml"})) == (406, "not_acceptable")
    assert client.get("/fhir/metadata", headers={"accept": "application/fhir+json;q=0.9, */*"}).status_code == 200
    refused = client.get(APPLY, params={"subject": "Patient/eligible"})
    assert issue(refused) == (405, "method_not_allowed")
    assert refused.headers["allow"] == "POST"


def test_nothing_is_stored_of_what_was_refused(client: TestClient, service: Service) -> None:
    apply(client, record("eligible"), subject="Patient/other")
    with service.database.reading() as session:
        assert session.execute(select(AuditEntry)).first() is None
