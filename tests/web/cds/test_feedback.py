"""Feedback: stored as it comes, counted for each rule."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from starlette.testclient import TestClient

from tests.web.cds.calls import URL, Json, call, prefetch_of

WHEN = "2020-04-06T10:05:00Z"
SYSTEM = "https://mscprotocol.example/fhir/CodeSystem/override-reason"


def card_of(client: TestClient, sample: str) -> Json:
    body = call(prefetch_of(client, sample), context={"patientId": sample})
    card: Json = client.post(URL, json=body).json()["cards"][0]
    return card


def send(client: TestClient, *items: Json) -> int:
    return client.post(f"{URL}/feedback", json={"feedback": list(items)}).status_code


def overridden(card: str, **more: Any) -> Json:
    return {"card": card, "outcome": "overridden", "outcomeTimestamp": WHEN, **more}


def rules(client: TestClient) -> dict[str, tuple[int, int, Json]]:
    found = client.get("/cds-feedback").json()["rules"]
    return {one["criterion"]: (one["accepted"], one["overridden"], one["reasons"]) for one in found}


def test_F1_F2_feedback_is_counted_for_the_rules_behind_the_card(client: TestClient) -> None:
    pregnant, open_ = card_of(client, "pregnant"), card_of(client, "one-lab-open")
    why = {"reason": {"code": "data-wrong", "system": SYSTEM}, "userComment": "the test is from 2019"}
    taken = {"outcome": "accepted", "acceptedSuggestions": [{"id": open_["suggestions"][0]["uuid"]}]}
    assert send(client, overridden(pregnant["uuid"], overrideReason=why)) == 200
    assert send(client, overridden(open_["uuid"]) | taken) == 200
    assert rules(client) == {"EX-02": (0, 1, {"data-wrong": 1}), "COA-01": (1, 0, {})}


@pytest.mark.parametrize(
    "item",
    [
        {"outcome": "overridden", "outcomeTimestamp": WHEN},
        overridden("a") | {"outcome": "ignored"},
        overridden("a") | {"outcome": "accepted"},
        overridden("a") | {"outcomeTimestamp": "2020-04-06"},
        overridden("a") | {"outcomeTimestamp": "2020-04-06T10:05:00"},
        overridden("x" * 65),
        overridden("a", overrideReason={"reason": {"system": SYSTEM}}),
    ],
)
def test_F2_feedback_that_says_too_little_is_a_bad_request(client: TestClient, item: Json) -> None:
    answer = client.post(f"{URL}/feedback", json={"feedback": [item]})
    assert (answer.status_code, answer.json()["resourceType"]) == (400, "OperationOutcome")


@pytest.mark.parametrize("body", [{}, {"feedback": []}, {"feedback": {}}, []])
def test_F1_feedback_is_an_object_with_an_array(client: TestClient, body: Any) -> None:
    assert client.post(f"{URL}/feedback", json=body).status_code == 400


def test_F1_feedback_on_a_service_that_does_not_exist_is_not_found(client: TestClient) -> None:
    assert client.post("/cds-services/nobody/feedback", json={"feedback": [overridden("a")]}).status_code == 404


def test_F3_a_card_may_come_again_with_others_and_unknown(client: TestClient) -> None:
    card = card_of(client, "pregnant")["uuid"]
    assert send(client, overridden(card), overridden(card), overridden(str(uuid4())), overridden("no uuid")) == 200
    assert rules(client) == {"EX-02": (0, 2, {}), None: (0, 2, {})}


def test_F4_a_card_that_is_not_reported_is_not_counted(client: TestClient) -> None:
    card_of(client, "pregnant")
    assert rules(client) == {}
