"""Calls: what is refused, what counts as supplied, and what is fetched."""

from __future__ import annotations

import json
from typing import Any

import pytest
import structlog
from sqlalchemy import func, select
from starlette.testclient import TestClient

from fhir_adapters.fhir_client import FhirError, FhirReader
from mscprotocol.service import Service
from mscprotocol.store.tables import AuditEntry, StoredAssessment
from tests.web.cds.calls import SERVICE, URL, Json, call, orders, prefetch_of, product_order, resources_of, searchset
from tests.web.cds.conftest import TOKEN, FhirServer
from tests.web.conftest import Start

AUTHORIZATION = {
    "access_token": TOKEN,
    "token_type": "Bearer",
    "expires_in": 300,
    "scope": "user/*.read",
    "subject": "x",
}
OUTCOME = {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "timeout"}]}


def verdict_of(answer: Any) -> str:
    assert answer.status_code == 200, answer.text
    verdict: str = answer.json()["cards"][0]["extension"]["example.mscprotocol.assessment"]["verdict"]
    return verdict


def reading(start: Start, fhir: FhirServer, **settings: object) -> TestClient:
    return start(fhir_servers=(fhir.address,), **settings)


def asks(fhir: FhirServer) -> Json:
    return {"fhirServer": fhir.address, "fhirAuthorization": AUTHORIZATION}


def test_I1_a_service_answers_and_others_are_not_found(client: TestClient, prefetch: Json) -> None:
    assert client.post(URL, json=call(prefetch)).status_code == 200
    for unknown in ("nobody", "multistem"):
        answer = client.post(f"/cds-services/{unknown}", json=call(prefetch))
        assert (answer.status_code, answer.json()["resourceType"]) == (404, "OperationOutcome")


def test_I1_another_method_or_type_is_refused(client: TestClient) -> None:
    assert client.get(URL).status_code == 405
    assert client.post(URL, content="x", headers={"content-type": "text/plain"}).status_code == 415
    assert client.post(URL, content="{", headers={"content-type": "application/json"}).status_code == 400


@pytest.mark.parametrize(
    "changes",
    [
        {"hook": ...},
        {"hook": "order-select"},
        {"hook": 1},
        {"hookInstance": ...},
        {"hookInstance": ""},
        {"hookInstance": "x"},
        {"hookInstance": "d1577c69dfbe44adba6d3e05e953b2ea"},
        {"context": {"patientId": ""}},
        {"context": {"patientId": "Patient/eligible"}},
        {"context": {"patientId": "a&code=b"}},
        {"context": {"patientId": None}},
        {"context": {"userId": "1"}},
        {"context": {"userId": "Device/1"}},
        {"fhirAuthorization": AUTHORIZATION},
        {"fhirServer": "http://127.0.0.1", "fhirAuthorization": {}},
        {"fhirServer": "http://127.0.0.1", "fhirAuthorization": {"access_token": "a\r\nhost: b"}},
        {"fhirServer": 1},
        {"prefetch": []},
        {"prefetch": {"patient": "Patient"}},
        {"prefetch": {"patient": {"id": "eligible"}}},
    ],
)  # fmt: skip
def test_I2_a_call_that_lacks_what_it_needs_is_a_bad_request(
    client: TestClient, prefetch: Json, changes: dict[str, Any]
) -> None:
    answer = client.post(URL, json=call(prefetch, **changes))
    assert (answer.status_code, answer.json()["resourceType"]) == (400, "OperationOutcome")


@pytest.mark.parametrize(
    ("hook", "context"),
    [
        ("encounter-start", {"encounterId": ""}),
        ("encounter-start", {"encounterId": 1}),
        ("order-sign", {"draftOrders": None}),
        ("order-sign", {"draftOrders": {}}),
        ("order-sign", {"draftOrders": {"resourceType": "Patient"}}),
    ],
)
def test_I2_each_hook_needs_its_own_context(client: TestClient, prefetch: Json, hook: str, context: Json) -> None:
    assert client.post(URL, json=call(prefetch, hook, context=context)).status_code == 400


@pytest.mark.parametrize("body", ["[]", "null", "1", '{"hook": NaN}', "[" * 100_000, '"' + "\\ud800" + '"', "\xff"])
def test_I2_no_body_is_ever_a_fault_of_ours(client: TestClient, body: str) -> None:
    answer = client.post(URL, content=body.encode("latin-1"), headers={"content-type": "application/json"})
    assert answer.status_code == 400


def test_I2_an_object_that_says_two_things_is_refused(client: TestClient, prefetch: Json) -> None:
    body = json.dumps(call(prefetch)).replace('"gender": "male"', '"gender": "male", "gender": "female"')
    assert client.post(URL, content=body, headers={"content-type": "application/json"}).status_code == 400


def test_I3_412_if_a_key_is_absent_and_there_is_no_server(client: TestClient, prefetch: Json) -> None:
    del prefetch["consent"]
    answer = client.post(URL, json=call(prefetch))
    assert (answer.status_code, answer.json()["resourceType"]) == (412, "OperationOutcome")
    assert "consent" in answer.text
    assert "eligible" not in answer.text


def test_I3_412_if_the_server_is_not_listed_and_nothing_is_asked_of_it(start: Start, fhir: FhirServer) -> None:
    assert start().post(URL, json=call(**asks(fhir))).status_code == 412
    assert start(fhir_servers=(fhir.address,), production=True).post(URL, json=call(**asks(fhir))).status_code == 412
    assert fhir.asked == []


@pytest.mark.parametrize("fault", ["500", "elsewhere", "circle", "redirect", "no FHIR"])
def test_I3_412_if_the_server_fails_on_the_way(start: Start, fhir: FhirServer, fault: str) -> None:
    fhir.fault = fault
    assert reading(start, fhir).post(URL, json=call(**asks(fhir))).status_code == 412


def test_I3_412_as_soon_as_it_is_certain(start: Start, fhir: FhirServer, prefetch: Json) -> None:
    fhir.instead = {}
    answer = reading(start, fhir).post(URL, json=call(**asks(fhir)))
    assert (answer.status_code, len(fhir.asked)) == (412, 1)
    del prefetch["patient"], prefetch["consent"]
    answer = reading(start, fhir).post(URL, json=call(prefetch | {"condition": OUTCOME}, **asks(fhir)))
    assert (answer.status_code, len(fhir.asked)) == (412, 1)


def test_I3_missing_data_are_no_error(client: TestClient) -> None:
    prefetch = prefetch_of(client, "one-lab-open")
    answer = client.post(URL, json=call(prefetch, context={"patientId": "one-lab-open"}))
    assert verdict_of(answer) == "undetermined"


def test_I4_null_says_that_there_is_nothing(client: TestClient, prefetch: Json) -> None:
    questionnaires = prefetch | {"questionnaireResponse": None}
    assert verdict_of(client.post(URL, json=call(questionnaires))) == "undetermined"


def test_I4_an_outcome_was_tried_in_vain_and_is_not_tried_again(start: Start, fhir: FhirServer, prefetch: Json) -> None:
    answer = reading(start, fhir).post(URL, json=call(prefetch | {"condition": OUTCOME}, **asks(fhir)))
    assert (answer.status_code, fhir.asked) == (412, [])


def test_I4_a_type_that_the_server_does_not_hold_is_told(client: TestClient, prefetch: Json) -> None:
    outcome = OUTCOME | {"issue": [{"severity": "error", "code": "not-supported"}]}
    answer = client.post(URL, json=call(prefetch | {"deviceUseStatement": outcome}))
    assert verdict_of(answer) == "eligible"
    assert "does not hold**\n\n* deviceUseStatement" in answer.json()["cards"][0]["detail"]
    assert client.post(URL, json=call(prefetch | {"condition": outcome})).status_code == 412


def test_I4_what_cannot_be_read_of_a_part_is_told(client: TestClient, prefetch: Json) -> None:
    broken = searchset([{"resourceType": 5}])
    answer = client.post(URL, json=call(prefetch | {"deviceUseStatement": broken}))
    assert verdict_of(answer) == "eligible"
    told = answer.json()["cards"][0]["detail"].partition("Not as it should be**")[2]
    assert "deviceUseStatement: the entry's resource cannot be read" in told


def test_I4_a_part_that_states_more_than_it_holds_is_not_whole(client: TestClient, prefetch: Json) -> None:
    assert client.post(URL, json=call(prefetch | {"condition": searchset([], total=9)})).status_code == 412


@pytest.mark.parametrize("code", ["incomplete", "suppressed"])
def test_I4_a_part_that_says_it_is_not_all_is_not_whole(client: TestClient, prefetch: Json, code: str) -> None:
    outcome = {"resourceType": "OperationOutcome", "issue": [{"severity": "warning", "code": code}]}
    assert client.post(URL, json=call(prefetch | {"condition": searchset([outcome])})).status_code == 412


LAB = {"resourceType": "Observation", "id": "x", "status": "final", "subject": {"reference": "Patient/eligible"},
       "code": {"text": "odd"}}  # fmt: skip
NO_LINK = [{"relation": "next"}]


@pytest.mark.parametrize(
    "value",
    [
        searchset([LAB]),
        searchset([LAB]) | {"entry": [{"resource": LAB, "search": {"mode": "match"}}]},
        LAB,
        searchset([{"resourceType": "condition ", "id": "pe"}]),
        searchset([]) | {"type": None},
        searchset([]) | {"entry": [{"fullUrl": "https://ehr.example.org/fhir/Condition/1"}]},
        searchset([searchset([])]),
        searchset([], link=NO_LINK),
    ],
)
def test_I4_a_part_that_is_no_answer_to_its_template_is_missing(
    start: Start, fhir: FhirServer, prefetch: Json, value: Json
) -> None:
    """Whoever filled it so did not look for what was asked: no exclusion can be ruled out by it."""
    client = reading(start, fhir)
    answer = client.post(URL, json=call(prefetch | {"condition": value}))
    assert (answer.status_code, "condition" in answer.text) == (412, True)
    fhir.instead = value
    del prefetch["condition"]
    answer = client.post(URL, json=call(prefetch, **asks(fhir)))
    assert (answer.status_code, "condition" in answer.text) == (412, True)


def test_I4_a_server_may_put_other_types_beside_the_matches(client: TestClient, prefetch: Json) -> None:
    for mode, beside in (("include", LAB), ("outcome", OUTCOME | {"issue": [{"severity": "warning", "code": "x"}]})):
        entries = [*prefetch["condition"]["entry"], {"resource": beside, "search": {"mode": mode}}]
        answer = client.post(URL, json=call(prefetch | {"condition": searchset([]) | {"entry": entries}}))
        assert verdict_of(answer) == "eligible"


def test_I4_where_something_cannot_be_read_there_is_a_card_even_without_a_sign_of_the_indication(
    client: TestClient, prefetch: Json
) -> None:
    nothing = dict.fromkeys(prefetch) | {"patient": prefetch["patient"]}
    assert client.post(URL, json=call(nothing)).json()["cards"] == []
    broken = nothing | {"condition": searchset([{"resourceType": 5}])}
    (card,) = client.post(URL, json=call(broken)).json()["cards"]
    assert "condition: the entry's resource cannot be read" in card["detail"]


def test_I4_an_incomplete_page_is_followed_or_missing(start: Start, fhir: FhirServer, prefetch: Json) -> None:
    conditions = [one for one in resources_of("eligible") if one["resourceType"] == "Condition"]
    link = [{"relation": "next", "url": f"{fhir.address}/Condition?patient=eligible"}]
    cut = prefetch | {"condition": searchset([], link=link)}
    client = reading(start, fhir)
    assert client.post(URL, json=call(cut)).status_code == 412
    assert verdict_of(client.post(URL, json=call(cut, **asks(fhir)))) == "eligible"
    assert (len(conditions) > 0, fhir.asked) == (True, ["Condition"])


def test_I4_a_resource_is_as_good_as_a_searchset(client: TestClient, prefetch: Json) -> None:
    packed = prefetch | {"patient": searchset([prefetch["patient"]])}
    assert verdict_of(client.post(URL, json=call(packed))) == "eligible"


def test_I5_only_the_rest_is_fetched_page_by_page(start: Start, fhir: FhirServer, prefetch: Json) -> None:
    partial = {key: value for key, value in prefetch.items() if not key.startswith("observation")}
    assert verdict_of(reading(start, fhir).post(URL, json=call(partial, **asks(fhir)))) == "eligible"
    assert set(fhir.asked) == {"Observation"}
    assert len(fhir.asked) > sum(key.startswith("observation") for key in prefetch)


def test_I5_without_prefetch_everything_is_fetched(start: Start, fhir: FhirServer) -> None:
    fhir.not_held = ("DeviceUseStatement", "ResearchSubject")
    assert verdict_of(reading(start, fhir).post(URL, json=call(**asks(fhir)))) == "eligible"


def test_I6_the_token_goes_with_every_call_and_into_no_log(start: Start, fhir: FhirServer, service: Service) -> None:
    with structlog.testing.capture_logs() as logged:
        reading(start, fhir).post(URL, json=call(**asks(fhir)))
    assert fhir.tokens == {f"Bearer {TOKEN}"}
    assert TOKEN not in str(logged)
    assert "eligible" not in str(logged)
    with service.database.engine.connect() as connection:
        kept = "".join(str(row) for row in connection.exec_driver_sql("SELECT * FROM assessment, audit_entry"))
    assert TOKEN not in kept


def test_I7_full_prefetch_is_answered_without_a_call(start: Start, fhir: FhirServer, prefetch: Json) -> None:
    """The time itself is for the benchmark."""
    assert verdict_of(reading(start, fhir).post(URL, json=call(prefetch, **asks(fhir)))) == "eligible"
    assert fhir.asked == []


def test_I8_the_same_call_twice_is_one_answer(client: TestClient, prefetch: Json, service: Service) -> None:
    first, second = (client.post(URL, json=call(prefetch)).json() for _ in range(2))
    assert first == second
    other = client.post(URL, json=call(prefetch, hookInstance="0c6b3a8e-5d0f-4b9c-9d3a-2f6f5d1f7a10")).json()
    assert first["cards"][0]["uuid"] != other["cards"][0]["uuid"]
    with service.database.reading() as session:
        counts = [
            session.execute(select(func.count()).select_from(one)).scalar() for one in (StoredAssessment, AuditEntry)
        ]
    assert counts == [2, 2]


def test_I8_a_call_with_another_access_is_another_call(start: Start, fhir: FhirServer, prefetch: Json) -> None:
    """A token that was renewed changes nothing; one that may read less must not get what was read with more."""
    client = reading(start, fhir)
    again = {"access_token": "renewed"}
    less, other = {"scope": "patient/Observation.read"}, {"subject": "another-client"}
    said = [
        client.post(URL, json=call(prefetch, fhirServer=fhir.address, fhirAuthorization=AUTHORIZATION | change)).json()
        for change in ({}, again, less, other)
    ]
    uuids = [one["cards"][0]["uuid"] for one in said]
    assert (uuids[0] == uuids[1], len(set(uuids))) == (True, 3)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda one: one["patient"].update(id="other"), "foreign subject"),
        (lambda one: one["patient"].update(deceasedBoolean=True), "deceased"),
        (
            lambda one: one["condition"]["entry"][0]["resource"]["subject"].update(reference="Patient/x"),
            "foreign subject",
        ),
        (lambda one: one.update(patient=None), "no patient"),
        (lambda one: one.update(patient=searchset([one["patient"], one["patient"] | {"id": "b"}])), "mixed patients"),
    ],
)
def test_negative_space_data_of_nobody_or_of_another_give_one_warning_without_a_verdict(
    client: TestClient, prefetch: Json, service: Service, change: Any, code: str
) -> None:
    change(prefetch)
    (card,) = client.post(URL, json=call(prefetch)).json()["cards"]
    assert code in card["summary"]
    assert (card["indicator"], "suggestions" in card, "extension" in card) == ("warning", False, False)
    with service.database.reading() as session:
        assert session.execute(select(AuditEntry.action)).scalars().all() == ["refuse"]


def test_negative_space_the_same_id_on_another_server_is_another_patient(
    start: Start, fhir: FhirServer, prefetch: Json
) -> None:
    """The patient comes without an address; the call says which server it is of."""
    text = json.dumps(prefetch)
    for server, says in (("https://elsewhere.example.org/fhir", "foreign subject"), (fhir.address, "criteria met")):
        given = json.loads(text.replace('"Patient/eligible"', f'"{server}/Patient/eligible"'))
        (card, *_) = reading(start, fhir).post(URL, json=call(given, fhirServer=fhir.address)).json()["cards"]
        assert says in card["summary"]


def test_negative_space_a_whole_record_of_another_patient_gives_no_verdict(client: TestClient) -> None:
    (card,) = client.post(URL, json=call(prefetch_of(client, "one-lab-open"))).json()["cards"]
    assert "foreign subject" in card["summary"]


def test_I6_no_page_of_another_origin_is_asked_for(fhir: FhirServer) -> None:
    other = fhir.address.replace("127.0.0.1", "localhost")
    with FhirReader(fhir.address, TOKEN) as reader, pytest.raises(FhirError, match="another server"):
        reader.follow(f"{other}/Observation")
    assert fhir.asked == []


def test_negative_space_results_in_error_or_preliminary_do_not_count(client: TestClient, prefetch: Json) -> None:
    for status in ("entered-in-error", "preliminary"):
        changed = json.loads(json.dumps(prefetch).replace('"status": "final"', f'"status": "{status}"'))
        assert verdict_of(client.post(URL, json=call(changed))) == "undetermined"


def test_negative_space_large_records_are_read(client: TestClient, prefetch: Json) -> None:
    note = {"resourceType": "Observation", "status": "final", "subject": {"reference": "Patient/eligible"},
            "code": {"text": "x" * 1000}}  # fmt: skip
    more = [note | {"id": f"n{number}"} for number in range(5000)]
    key = next(key for key in prefetch if key.startswith("observation") and prefetch[key])
    prefetch[key]["entry"] += searchset(more)["entry"]
    assert verdict_of(client.post(URL, json=call(prefetch))) == "eligible"


def test_R13_the_same_service_on_three_hooks_says_the_same(client: TestClient, prefetch: Json) -> None:
    draft = orders({"resourceType": "ServiceRequest", "code": {"text": "Blood count"}})
    changes: dict[str, Json] = {"order-sign": {"context": {"draftOrders": draft}}}
    said = [client.post(URL, json=call(prefetch, hook, **changes.get(hook, {}))).json()["cards"]
            for hook in ("patient-view", "encounter-start", "order-sign")]  # fmt: skip
    assert SERVICE in URL
    assert len({json.dumps([one["summary"] for one in cards]) for cards in said}) == 1


PRESSOR = {
    "resourceType": "Medication",
    "id": "pressor",
    "code": {"coding": [{"system": "http://www.nlm.nih.gov/research/umls/rxnorm", "code": "7512"}]},
}


def verdict_with_a_drug(client: TestClient, fhir: FhirServer, prefetch: Json, reference: str) -> str:
    given = {
        "resourceType": "MedicationAdministration",
        "id": "given",
        "status": "in-progress",
        "subject": {"reference": "Patient/eligible"},
        "medicationReference": {"reference": reference},
        "effectivePeriod": {"start": "2020-04-06T08:00:00Z"},
    }
    full = prefetch | {"medicationAdministration": searchset([given])}
    return verdict_of(client.post(URL, json=call(full, **asks(fhir))))


def test_I5_what_resources_refer_to_is_read_from_the_server(start: Start, fhir: FhirServer, prefetch: Json) -> None:
    fhir.resources = [*fhir.resources, PRESSOR]
    relative, absolute = "Medication/pressor", f"{fhir.address}/Medication/pressor"
    verdicts = [verdict_with_a_drug(reading(start, fhir), fhir, prefetch, one) for one in (relative, absolute)]
    assert verdicts == ["undetermined", "undetermined"]
    assert fhir.asked == ["Medication", "Medication"]


def test_I5_what_lies_on_another_server_is_not_looked_for(start: Start, fhir: FhirServer, prefetch: Json) -> None:
    elsewhere = "https://other.example.org/fhir/Medication/pressor"
    assert verdict_with_a_drug(reading(start, fhir), fhir, prefetch, elsewhere) == "eligible"
    assert fhir.asked == []


def test_I5_a_server_without_what_is_referred_to_costs_no_answer(
    start: Start, fhir: FhirServer, prefetch: Json
) -> None:
    fhir.not_held = ("Medication",)
    assert verdict_with_a_drug(reading(start, fhir), fhir, prefetch, "Medication/pressor") == "eligible"
    assert fhir.asked == ["Medication"]


def test_I5_the_medication_of_a_draft_order_is_read_from_the_server(
    start: Start, fhir: FhirServer, prefetch: Json
) -> None:
    cells = {"resourceType": "Medication", "id": "cells", "code": {"text": "Mesenchymal stem cells"}}
    order = product_order() | {"medicationReference": {"reference": "Medication/cells"}}
    del order["medicationCodeableConcept"]
    body = call(prefetch, "order-sign", context={"draftOrders": orders(order)}, **asks(fhir))
    unread, read = (reading(start, fhir), reading(start, fhir))
    assert "what is ordered cannot be read from it" in unread.post(URL, json=body).text
    fhir.resources = [*fhir.resources, cells]
    again = body | {"hookInstance": "0c6b3a8e-5d0f-4b9c-9d3a-2f6f5d1f7a10"}
    assert "order for the product" in read.post(URL, json=again).json()["cards"][1]["summary"]
