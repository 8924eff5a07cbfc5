"""Orders for the product against the answer: what differs, what was not read, and which orders are not mentioned."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from starlette.testclient import TestClient

from mscprotocol.codes import parse_code
from mscprotocol.knowledge import KnowledgeBase
from mscprotocol.service import Service
from mscprotocol.web.cds_cards import MOST_ORDERS
from tests.web.cds.calls import IV, URL, Json, call, orders, prefetch_of, product_order
from tests.web.cds.test_response import cards_of
from tests.web.conftest import Start

UCUM = "http://unitsofmeasure.org"
PLANNED = {"value": 70, "unit": "million cells"}
PER_KG = {"value": 1, "unit": "10*6/kg", "system": UCUM, "code": "10*6/kg"}
FIRST = {"event": ["2020-04-06T13:00:00Z"]}
START = {"start": "2020-04-06T13:00:00Z"}
COURSE = {"boundsPeriod": START, "count": 4, "frequency": 1, "period": 72, "periodUnit": "h"}
CODED = {"coding": [{"system": "urn:site", "code": "CELLS-1"}]}
BY_WORDS = "The product was recognised by its words, not by a product code."
UNREAD = "Elements that are not read, and so not compared: "
UNCLEAR = "Not stated in a form that is read, and so not compared: "


@pytest.fixture(scope="module")
def knowledge(knowledge: KnowledgeBase) -> KnowledgeBase:
    """Rules of a site that has a code of its own for the product."""
    codes = {"product_codes": (parse_code("local CELLS-1"),)}
    changed = {name: one.model_copy(update=codes) for name, one in knowledge.protocols.items()}
    return replace(knowledge, protocols=changed)


def remarks(client: TestClient, sample: str, order: Json) -> list[str]:
    card = cards_of(client, sample, "order-sign", draftOrders=orders(order))[1]
    found = [re.sub(r"\\(.)", r"\1", one) for one in re.findall(r"^\* (.*)$", card["detail"], re.M)]
    assert card["indicator"] == ("info" if found == ["no difference was found; whoever signs decides"] else "warning")
    return found


def coded_order(dose: Json | None = None, timing: Json | None = None, **line: Any) -> Json:
    order = product_order(PER_KG if dose is None else dose, FIRST if timing is None else timing)
    order["dosageInstruction"][0] |= line
    del order["medicationCodeableConcept"]
    return order | {"medicationCodeableConcept": CODED}


# -- dose, times, route, subject ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dose", "timing"),
    [
        (PLANNED, FIRST),
        (PER_KG, FIRST),
        ({"value": 70000000, "unit": "cells"}, FIRST),
        ({"value": 1, "unit": "10^6 cells/kg", "system": UCUM, "code": "10*6/kg"}, FIRST),
        (PER_KG, {"event": ["2020-04-06T13:00:00Z", "2020-04-09T13:00:00Z"]}),
        (PER_KG, {"repeat": COURSE}),
        (PER_KG, {"repeat": COURSE | {"period": 3, "periodUnit": "d"}}),
        (PER_KG, {"repeat": COURSE | {"period": 4320, "periodUnit": "min"}}),
        (PER_KG, {"repeat": {"boundsPeriod": START, "count": 1}}),
        (
            PER_KG,
            {"repeat": {"boundsPeriod": START | {"end": "2020-04-15T13:00:00Z"}, "period": 72, "periodUnit": "h"}},
        ),
    ],
)
def test_order_sign_finds_no_difference_only_where_everything_was_read_and_agrees(
    client: TestClient, dose: Json, timing: Json
) -> None:
    assert remarks(client, "eligible", coded_order(dose, timing)) == ["no difference was found; whoever signs decides"]


def test_order_sign_says_when_the_product_was_recognised_by_its_words(client: TestClient) -> None:
    for text in ("Mesenchymal stem cells", "mesenchymal-stromal cells", "Mesenchymal (multipotent) stromal cell"):
        assert remarks(client, "eligible", product_order(PER_KG, FIRST, text)) == [BY_WORDS]


@pytest.mark.parametrize(
    ("dose", "timing", "said"),
    [
        (PER_KG | {"value": 11}, FIRST, "above the cap of 10000000 cells/kg"),
        ({"value": 701, "unit": "million cells"}, FIRST, "above the cap of 10000000 cells/kg"),
        ({"value": 71, "unit": "million cells"}, FIRST, "above the planned 70000000 cells"),
        (PER_KG | {"value": 0.3}, FIRST, "below the planned 1000000 cells/kg"),
        (PLANNED, {"event": ["2020-04-06T13:00:00Z", "2020-04-07T13:00:00Z"]}, "Infusion 2 is ordered outside"),
        (PLANNED, {"repeat": COURSE | {"count": 5}}, "5 infusions are ordered; 4 are open"),
        (PLANNED, {"repeat": COURSE | {"period": 1, "periodUnit": "d"}}, "Ordered every 1 d"),
        (PLANNED, {"repeat": COURSE | {"period": 30, "periodUnit": "min"}}, "Ordered every 30 min; the schedule has"),
        (PLANNED, {"repeat": COURSE | {"frequency": 6, "period": 3, "periodUnit": "d"}}, "Ordered 6 times in 3 d"),
        (
            PLANNED,
            {"repeat": {"boundsPeriod": START | {"end": "2020-05-06"}, "period": 72, "periodUnit": "h"}},
            "11 infusions are ordered; 4 are open",
        ),
        (PLANNED, {"event": ["2020-04-05T13:00:00Z"]}, "start lies before this check"),
        (PLANNED, {"event": ["2020-04-08T13:00:00Z"]}, "start lies after this answer expires"),
    ],
)
def test_order_sign_checks_dose_and_schedule(client: TestClient, dose: Json, timing: Json, said: str) -> None:
    assert any(said in one for one in remarks(client, "eligible", coded_order(dose, timing)))


@pytest.mark.parametrize(
    ("dose", "timing", "missing"),
    [
        ({"value": 70, "unit": "mL"}, None, "a dose in cells"),
        ({"value": 70, "comparator": "<", "unit": "million cells"}, None, "a dose in cells"),
        ({"value": 1, "unit": "10*9/kg", "system": UCUM, "code": "10*6/kg"}, None, "a dose in cells"),
        ({"value": 1, "unit": "10*6/kg", "system": UCUM, "code": "10*9/kg"}, None, "a dose in cells"),
        ({"value": 1, "unit": "vials", "system": "http://local", "code": "10*6/kg"}, None, "a dose in cells"),
        ({"value": 1, "unit": "10*6/kg", "system": "http://local", "code": "10*6/kg"}, None, "a dose in cells"),
        ({"value": 1, "unit": "10*6/kg", "code": "10*6/kg"}, None, "a dose in cells"),
        ({"value": 1, "unit": "10*6", "system": UCUM, "code": "10*6/kg"}, None, "a dose in cells"),
        ({}, None, "a dose in cells"),
        (None, {}, "a start, an interval, a number of infusions"),
        (None, {"event": ["soon"]}, "a start"),
        (None, FIRST | {"repeat": COURSE}, "how its instants and its repetition go together"),
        (None, {"repeat": {"boundsPeriod": START, "period": 72, "periodUnit": "h"}}, "a number of infusions"),
        (None, {"repeat": {"count": 4, "period": 72, "periodUnit": "h"}}, "a start"),
        (None, {"repeat": {"count": 4, "boundsPeriod": START}}, "an interval"),
        (None, {"repeat": COURSE | {"periodUnit": "mo", "period": 3}}, "an interval"),
        (None, {"repeat": COURSE | {"periodUnit": "s"}}, "an interval"),
        (None, {"repeat": COURSE | {"boundsPeriod": START | {"end": "2020-04-10"}}}, "a number of infusions"),
        (None, {"repeat": COURSE | {"count": 0}}, "a number of infusions"),
    ],
)
def test_order_sign_names_what_it_could_not_compare(
    client: TestClient, dose: Json | None, timing: Json | None, missing: str
) -> None:
    assert f"{UNCLEAR}{missing}." in remarks(client, "eligible", coded_order(dose, timing))


@pytest.mark.parametrize(
    ("line", "path"),
    [
        ({"timing": {"repeat": COURSE | {"periodMax": 30}}}, "timing.repeat.periodMax"),
        ({"timing": {"repeat": COURSE | {"countMax": 40}}}, "timing.repeat.countMax"),
        ({"timing": {"repeat": COURSE | {"frequencyMax": 6}}}, "timing.repeat.frequencyMax"),
        ({"timing": {"repeat": COURSE | {"frequency": 2}}}, "timing.repeat.frequency"),
        ({"timing": {"repeat": COURSE | {"dayOfWeek": ["mon"]}}}, "timing.repeat.dayOfWeek"),
        ({"timing": {"repeat": COURSE | {"when": ["HS"]}}}, "timing.repeat.when"),
        ({"timing": {"repeat": {"boundsDuration": {"value": 90, "unit": "d"}}}}, "timing.repeat.boundsDuration"),
        ({"timing": FIRST | {"code": {"coding": [{"code": "Q6H"}]}}}, "timing.code"),
        ({"timing": FIRST | {"_event": [{"extension": []}]}}, "timing._event"),
        ({"asNeededBoolean": True}, "asNeededBoolean"),
        ({"maxDosePerAdministration": {"value": 500, "unit": "10*6/kg"}}, "maxDosePerAdministration"),
        (
            {"doseAndRate": [{"doseQuantity": PER_KG, "rateQuantity": {"value": 100, "unit": "10*6/kg/h"}}]},
            "doseAndRate[0].rateQuantity",
        ),
        ({"text": "then 5e8 cells daily"}, "text"),
    ],
)
def test_order_sign_names_each_element_that_it_does_not_read(client: TestClient, line: Json, path: str) -> None:
    assert f"{UNREAD}dosageInstruction[0].{path}." in remarks(client, "eligible", coded_order(**line))


def test_order_sign_never_reads_a_second_line_as_nothing(client: TestClient) -> None:
    order = coded_order()
    order["dosageInstruction"].append({"text": "then 5e8 cells daily"})
    said = remarks(client, "eligible", order)
    assert f"{UNREAD}dosageInstruction[1].text." in said
    assert any("a dose in cells" in one and "how its dosage lines follow one another" in one for one in said)


ORAL = {"coding": [{"system": "http://snomed.info/sct", "code": "26643006", "display": "Oral route"}]}


@pytest.mark.parametrize(
    "route",
    [
        ORAL,
        {"text": "oral"},
        {"text": "not intravenous"},
        {"coding": [*IV["coding"], *ORAL["coding"]]},
        IV | {"text": "by mouth"},
        {"coding": [{"system": "http://snomed.info/sct", "code": "26643006", "display": "Intravenous"}]},
        {"coding": [{"system": "http://snomed.info/sct", "code": "47625008", "display": "Oral"}]},
        {"coding": [{"system": "urn:site", "code": "17"}]},
        {},
    ],
)
def test_order_sign_reads_one_route_only(client: TestClient, route: Json) -> None:
    (said,) = remarks(client, "eligible", coded_order(route=route))
    assert said.endswith("is not read as intravenous: any other is blocked.")


@pytest.mark.parametrize(
    "route", [IV, {"text": "IV"}, {"text": "i.v. infusion"}, {"coding": [{"code": "IV", "display": "Intravenous"}]}]
)
def test_order_sign_reads_the_route_by_code_or_words(client: TestClient, route: Json) -> None:
    assert remarks(client, "eligible", coded_order(route=route))[0].startswith("no difference")


@pytest.mark.parametrize(
    "subject",
    [None, {"reference": "Patient/other"}, {"reference": "Group/eligible"}, {"display": "Her"}, {"reference": 1}],
)
def test_order_sign_says_when_the_order_is_for_another(client: TestClient, subject: Json | None) -> None:
    order = coded_order() | {"subject": subject}
    said = remarks(client, "eligible", {name: one for name, one in order.items() if one})
    assert "The subject of the order cannot be read as the patient of this call." in said


def test_order_sign_knows_the_patient_of_its_own_server_only(client: TestClient) -> None:
    for server, differs in (("https://ehr.example/fhir", False), ("https://other.example/fhir", True)):
        order = coded_order() | {"subject": {"reference": f"{server}/Patient/eligible"}}
        body = call(prefetch_of(client, "eligible"), "order-sign", context={"draftOrders": orders(order)})
        cards = client.post(URL, json=body | {"fhirServer": "https://ehr.example/fhir"}).json()["cards"]
        assert ("patient of this call" in cards[1]["detail"]) is differs


@pytest.mark.parametrize(
    ("sample", "said"), [("pregnant", "The verdict is ineligible."), ("one-lab-open", "No dose is planned: withheld.")]
)
def test_order_sign_says_when_no_dose_is_planned(client: TestClient, sample: str, said: str) -> None:
    order = coded_order() | {"subject": {"reference": f"Patient/{sample}"}}
    assert said in remarks(client, sample, order)


def test_order_sign_says_when_several_orders_are_signed_together(client: TestClient) -> None:
    several = orders(coded_order(), coded_order() | {"id": "order2"})
    _, *cards = cards_of(client, "eligible", "order-sign", draftOrders=several)
    assert len(cards) == 2
    assert all("2 orders for the product are signed together" in card["detail"] for card in cards)


# -- orders that are not for the product, or may be for it --------------------------------------------


def uncompared(client: TestClient, *these: Json, hidden: bool = False) -> Json:
    """The one card about orders that were not compared."""
    cards = cards_of(client, "eligible", "order-sign", draftOrders=orders(*these))
    found = [card for card in cards if "not compared" in card["summary"]]
    assert len(found) == 1
    return found[0]


def order_of(**medication: Any) -> Json:
    return {name: one for name, one in product_order(PER_KG, FIRST).items() if not name.startswith("med")} | medication


def test_order_sign_leaves_other_orders_alone(client: TestClient) -> None:
    code = {"coding": [{"system": "http://www.nlm.nih.gov/research/umls/rxnorm", "code": "161"}]}
    service = {"resourceType": "ServiceRequest", "reasonCode": [{"text": "before mesenchymal stem cells"}]}
    others = (
        order_of(medicationCodeableConcept={"text": "Paracetamol 500 mg"}),
        order_of(medicationCodeableConcept=code),
        order_of(medicationCodeableConcept={"coding": [{"system": "urn:site", "code": "PARA-500"}]}),
        order_of(medicationReference={"reference": "Medication/1", "display": "Paracetamol"}),
        product_order(PER_KG, FIRST) | {"doNotPerform": True},
        service | {"code": {"coding": [{"system": "http://loinc.org", "code": "777-3"}]}},
    )
    assert len(cards_of(client, "eligible", "order-sign", draftOrders=orders(*others))) == 1


@pytest.mark.parametrize(
    "order",
    [
        order_of(medicationReference={"reference": "Medication/123"}),
        order_of(medicationReference={"reference": "https://ehr.example/fhir/Medication/m9"}),
        order_of(medicationCodeableConcept={"text": ["Mesenchymal stem cells"]}),
        order_of(medicationCodeableConcept={"text": " "}),
        order_of(),
        {"resourceType": "ServiceRequest", "id": "order1", "code": {"coding": "CELLS-1"}},
    ],
)
def test_order_sign_tells_of_orders_that_cannot_be_recognised(client: TestClient, order: Json) -> None:
    card = uncompared(client, order)
    assert card["indicator"] == "info"
    assert f"{order['resourceType']}/order1: what is ordered cannot be read from it" in card["detail"]


@pytest.mark.parametrize("text", ["Allogeneic stem cells, umbilical cord", "Study drug A", "Cell therapy"])
def test_order_sign_tells_of_words_that_leave_the_product_open(client: TestClient, text: str) -> None:
    card = uncompared(client, order_of(medicationCodeableConcept={"text": text}))
    assert "order1: its words leave open whether it is the product" in card["detail"]


@pytest.mark.parametrize(
    "order",
    [
        {"resourceType": "ServiceRequest", "code": {"text": "Infusion of mesenchymal stem cells"}},
        {"resourceType": "ServiceRequest", "code": {"text": "Infusion"}, "orderDetail": [CODED]},
        {"resourceType": "SupplyRequest", "itemCodeableConcept": CODED},
        {"resourceType": "MedicationDispense", "medicationCodeableConcept": {"text": "MSC"}},
    ],
)
def test_order_sign_warns_of_orders_for_the_product_that_it_does_not_read(client: TestClient, order: Json) -> None:
    card = uncompared(client, order | {"id": "s1"})
    assert (card["indicator"], "names the product" in card["detail"]) == ("warning", True)


def test_order_sign_tells_of_entries_that_it_cannot_read(client: TestClient) -> None:
    assert "Bundle.entry" in uncompared(client, {"id": "no type"})["detail"]


@pytest.mark.parametrize("reference", ["Medication/m1", "https://ehr.example/fhir/Medication/m1", "#m1"])
def test_order_sign_finds_the_medication_beside_or_inside_an_order(client: TestClient, reference: str) -> None:
    medication = {"resourceType": "Medication", "id": "m1", "code": {"text": "umbilical cord MSC"}}
    order = order_of(medicationReference={"reference": reference})
    draft = orders(order | {"contained": [medication]}) if reference[0] == "#" else orders(order, medication)
    (_, card) = cards_of(client, "eligible", "order-sign", draftOrders=draft)
    assert BY_WORDS in re.sub(r"\\(.)", r"\1", card["detail"])


def test_order_sign_counts_the_orders_that_it_does_not_look_at(client: TestClient) -> None:
    many = [coded_order() | {"id": f"order{number}"} for number in range(MOST_ORDERS + 2)]
    cards = cards_of(client, "eligible", "order-sign", draftOrders=orders(*many))
    assert len(cards) == 1 + MOST_ORDERS + 1
    assert cards[-1]["summary"].endswith("2 possible orders not compared")
    assert cards[-1]["indicator"] == "warning"
    assert len({card["uuid"] for card in cards}) == len(cards)


def test_order_sign_is_quiet_where_nothing_speaks_for_the_indication(client: TestClient, service: Service) -> None:
    prefetch = prefetch_of(client, "eligible")
    nothing = dict.fromkeys(prefetch) | {"patient": prefetch["patient"]}
    many = [order_of(medicationReference={"reference": f"Medication/{number}"}) for number in range(30)]
    body = call(nothing, "order-sign", context={"draftOrders": orders(*many)})
    (card,) = client.post(URL, json=body).json()["cards"]
    assert (card["indicator"], "and 15 more" in card["detail"]) == ("info", True)


def test_order_sign_feedback_on_its_last_card_is_counted_for_the_rules(start: Start, prefetch: Json) -> None:
    client = start()
    order = order_of(medicationReference={"reference": "Medication/123"})
    body = call(prefetch, "order-sign", context={"draftOrders": orders(order)})
    card = client.post(URL, json=body).json()["cards"][-1]
    report = {"card": card["uuid"], "outcome": "overridden", "outcomeTimestamp": "2020-04-06T10:00:00Z"}
    assert client.post(f"{URL}/feedback", json={"feedback": [report]}).status_code == 200
    assert client.get("/cds-feedback").json()["rules"][0]["criterion"]
