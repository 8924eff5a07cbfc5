"""Cards: what each of them holds, and what none may hold."""

from __future__ import annotations

import re
from typing import Any
from uuid import UUID

import pytest
from fhir.resources.R4B.servicerequest import ServiceRequest
from starlette.testclient import TestClient

from mscprotocol.web.cds_cards import LONGEST_SUMMARY, escape_markdown, shorten
from tests.web.cds.calls import URL, Json, call, orders, prefetch_of, product_order
from tests.web.cds.test_discovery import empty_places
from tests.web.conftest import Start

LOINC = "http://loinc.org"
SAMPLES = ("eligible", "one-lab-open", "pregnant", "high-clotting-risk", "bedside-open")


def cards_of(client: TestClient, sample: str, hook: str = "patient-view", **context: Any) -> list[Json]:
    body = call(prefetch_of(client, sample), hook, context={"patientId": sample, **context})
    cards: list[Json] = client.post(URL, json=body).json()["cards"]
    return cards


def test_R1_the_answer_is_an_object_with_cards(client: TestClient, prefetch: Json) -> None:
    answer = client.post(URL, json=call(prefetch))
    assert (answer.status_code, list(answer.json()), len(answer.json()["cards"])) == (200, ["cards"], 1)


def test_R1_order_sign_has_an_array_of_system_actions(client: TestClient, prefetch: Json) -> None:
    draft = {"draftOrders": orders({"resourceType": "ServiceRequest"})}
    assert client.post(URL, json=call(prefetch, "order-sign", context=draft)).json()["systemActions"] == []


def test_R1_without_any_sign_of_the_indication_there_is_no_card(client: TestClient, prefetch: Json) -> None:
    nothing = dict.fromkeys(prefetch) | {"patient": prefetch["patient"]}
    answer = client.post(URL, json=call(nothing))
    assert (answer.status_code, answer.json()) == (200, {"cards": []})


@pytest.mark.parametrize("sample", SAMPLES)
def test_R2_R3_summary_and_indicator(client: TestClient, sample: str) -> None:
    for card in cards_of(client, sample):
        assert 0 < len(card["summary"]) <= LONGEST_SUMMARY
        assert card["indicator"] in ("info", "warning")


def test_R2_a_long_summary_is_cut_visibly() -> None:
    assert shorten("\N{MICRO SIGN}" * 500) == "\N{MICRO SIGN}" * 138 + "\N{HORIZONTAL ELLIPSIS}"
    assert shorten("x" * 139) == "x" * 139


def test_R4_the_source_has_a_label_an_absolute_address_and_a_topic(client: TestClient) -> None:
    for sample in SAMPLES:
        source = cards_of(client, sample)[0]["source"]
        assert source["label"]
        assert source["url"].startswith("https://")
        assert set(source["topic"]) == {"system", "code", "display"}


def test_R5_details_are_markdown_without_html(client: TestClient) -> None:
    detail = cards_of(client, "one-lab-open")[0]["detail"]
    assert "* Fibrinogen (LOINC 3255-7): missing; for COA-01" in detail
    assert "it decides nothing" in detail


def test_R5_text_cannot_become_markup() -> None:
    hostile = "<script>&amp; [a](http://x) **b**\n# c | `d` <a@b.c> www.x.y\x00\u202e"
    shown = escape_markdown(hostile)
    assert "<" not in shown
    assert not re.search(r"(?<!\\)[*\[\]`|#@]", shown)
    assert "://" not in shown.replace("\\", "\\\\").replace(":\\\\/", "")
    assert "\n" not in shown
    assert "\x00" not in shown
    assert escape_markdown("- a") == "\\- a"
    assert escape_markdown("1. a") == "1\\. a"


def test_R6_R7_suggestions_say_how_they_combine_and_carry_uuids(client: TestClient) -> None:
    for sample in SAMPLES:
        for card in cards_of(client, sample):
            UUID(card["uuid"])
            assert ("suggestions" in card) == ("selectionBehavior" in card)
            assert card.get("selectionBehavior") in (None, "at-most-one", "any")
            for one in card.get("suggestions", []):
                UUID(one["uuid"])
                assert one["label"]


def test_R8_a_missing_test_is_suggested_as_a_draft_order(client: TestClient) -> None:
    (suggestion,) = cards_of(client, "one-lab-open")[0]["suggestions"]
    (action,) = suggestion["actions"]
    assert (action["type"], bool(action["description"]), "resourceId" in action) == ("create", True, False)
    order = ServiceRequest(**action["resource"])
    assert (order.status, order.intent, order.subject.reference) == ("draft", "proposal", "Patient/one-lab-open")
    assert action["resource"]["code"]["coding"] == [{"system": LOINC, "code": "3255-7"}]
    assert order.id is None


def test_R8_a_test_that_is_being_ordered_is_not_suggested(client: TestClient) -> None:
    ordered = {"resourceType": "ServiceRequest", "code": {"coding": [{"system": LOINC, "code": "3255-7"}]}}
    (card,) = cards_of(client, "one-lab-open", "order-sign", draftOrders=orders(ordered))
    assert "suggestions" not in card


def test_R8_nothing_is_suggested_where_nothing_is_open(client: TestClient) -> None:
    assert all("suggestions" not in card for sample in ("eligible", "pregnant") for card in cards_of(client, sample))


def test_R9_override_reasons_are_codings_of_the_rules(client: TestClient) -> None:
    said = [cards_of(client, sample)[0]["overrideReasons"] for sample in SAMPLES]
    assert all(one == said[0] for one in said)
    assert [one["code"] for one in said[0]] == [
        "otherwise-known", "data-wrong", "not-a-candidate", "other-protocol", "declined", "not-available", "judgement",
    ]  # fmt: skip
    assert all(set(one) == {"system", "code", "display"} for one in said[0])


def test_R10_R11_links_are_absolute_and_nothing_launches_by_itself(start: Start) -> None:
    client = start(public_url="http://127.0.0.1:80/msc/")
    card = cards_of(client, "eligible")[0]
    (link,) = card["links"]
    assert link == {
        "label": "Checklist to print",
        "url": f"http://127.0.0.1:80/msc/assessments/{card['uuid']}/checklist",
        "type": "absolute",
    }


def test_R10_the_link_leads_to_the_checklist(client: TestClient) -> None:
    (link,) = cards_of(client, "eligible")[0]["links"]
    page = client.get(link["url"])
    assert (page.status_code, page.headers["content-type"].partition(";")[0]) == (200, "text/html")


def test_R12_the_extension_holds_the_trace(client: TestClient) -> None:
    (extension,) = cards_of(client, "eligible")[0]["extension"].items()
    assert extension[0] == "example.mscprotocol.assessment"
    assert extension[1]["verdict"] == "eligible"
    assert all(len(extension[1][name]) == 64 for name in ("rulebaseSha256", "inputSha256", "traceSha256"))
    assert {"rule", "concluded"} <= set(extension[1]["trace"][0])


def test_D7_nothing_in_a_card_is_empty(client: TestClient) -> None:
    draft = orders(product_order({"value": 1, "unit": "cells"}))
    for sample in SAMPLES:
        assert empty_places(cards_of(client, sample, "order-sign", draftOrders=draft)) == []


def test_no_card_says_more_than_it_may(client: TestClient) -> None:
    for sample in SAMPLES:
        text = str(cards_of(client, sample, "order-sign", draftOrders=orders(product_order()))).lower()
        assert not re.search(r"\b(approved|recommended|safe to)\b", text)
