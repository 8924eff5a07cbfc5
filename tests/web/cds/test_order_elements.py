"""Each element that R4 gives a medication order is compared, bears on nothing that is, or is said to be unread."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from typing import Any

import pytest
from fhir.resources.R4B import get_fhir_model_class
from msgspec import Raw

from fhir_adapters.bundle import read_bundle
from fhir_adapters.draft_orders import open_draft_orders, read_draft_orders
from fhir_adapters.order_elements import KNOWN, ONLY
from fhir_adapters.record_builder import build_record
from fhir_adapters.resources import Patient
from fhir_adapters.subjects import Owner
from mscprotocol.answer import Assessment
from mscprotocol.assessment import assess
from mscprotocol.case import Request
from mscprotocol.codes import parse_code
from mscprotocol.knowledge import KnowledgeBase
from mscprotocol.rulebook import compile_rulebook
from mscprotocol.timespan import instant
from mscprotocol.web.cds_orders import check_order
from tests.web.cds.calls import IV, SAMPLES, SERVICE, Json, orders
from tests.web.conftest import NOW

LINE, TIMING = "dosageInstruction", "dosageInstruction.timing"
# Each part of an order that is walked through, by its path, with its type in FHIR.
TYPES = {
    "": "MedicationRequest",
    "text": "Narrative",
    "subject": "Reference",
    LINE: "Dosage",
    f"{LINE}.route": "CodeableConcept",
    f"{LINE}.route.coding": "Coding",
    f"{LINE}.doseAndRate": "DosageDoseAndRate",
    f"{LINE}.doseAndRate.doseQuantity": "Quantity",
    TIMING: "Timing",
    f"{TIMING}.repeat": "TimingRepeat",
    f"{TIMING}.repeat.boundsPeriod": "Period",
}
# What is known and bears neither on dose, times, route nor subject, or tells only which product is meant.
ELSEWHERE = {
    "resourceType", "meta", "language", "contained", "extension", "authoredOn", "basedOn", "category", "detectedIssue",
    "encounter", "eventHistory", "groupIdentifier", "identifier", "instantiatesCanonical", "instantiatesUri",
    "insurance", "intent", "performer", "performerType", "priorPrescription", "reasonCode", "reasonReference",
    "recorder", "reportedBoolean", "reportedReference", "requester", "statusReason", "supportingInformation",
    "medicationCodeableConcept", "medicationReference",
}  # fmt: skip
HARMLESS = {
    "": ELSEWHERE,
    "text": {"div"},
    "subject": {"display"},
    LINE: {"sequence"},
    f"{LINE}.route.coding": {"version", "userSelected"},
}
# For each element that is read: another value of it, which differs from the plan or leaves something open.
OTHER: dict[str, Any] = {
    "status": "cancelled",
    "priority": "stat",
    "text": {"status": "additional"},
    "text.status": "additional",
    "doNotPerform": "true",
    "subject": {"reference": "Patient/other"},
    "subject.reference": "Patient/other",
    "subject.type": "Group",
    LINE: [],
    f"{LINE}.asNeededBoolean": True,
    f"{LINE}.route": {"text": "oral"},
    f"{LINE}.route.text": "oral",
    f"{LINE}.route.coding": [{"code": "PO"}],
    f"{LINE}.route.coding.system": "http://loinc.org",
    f"{LINE}.route.coding.code": "26643006",
    f"{LINE}.route.coding.display": "Oral",
    f"{LINE}.doseAndRate": [],
    f"{LINE}.doseAndRate.doseQuantity": {"value": 20, "unit": "million cells/kg"},
    f"{LINE}.doseAndRate.doseQuantity.value": 2,
    f"{LINE}.doseAndRate.doseQuantity.comparator": "<",
    f"{LINE}.doseAndRate.doseQuantity.unit": "10*9/kg",
    f"{LINE}.doseAndRate.doseQuantity.system": "urn:site",
    f"{LINE}.doseAndRate.doseQuantity.code": "10*9/kg",
    TIMING: {},
    f"{TIMING}.event": ["2020-04-06T13:00:00Z"],
    f"{TIMING}.repeat": {"count": 1},
    f"{TIMING}.repeat.boundsPeriod": {},
    f"{TIMING}.repeat.boundsPeriod.start": "2020-04-01",
    f"{TIMING}.repeat.boundsPeriod.end": "2020-06-01",
    f"{TIMING}.repeat.count": 5,
    f"{TIMING}.repeat.frequency": 2,
    f"{TIMING}.repeat.period": 30,
    f"{TIMING}.repeat.periodUnit": "d",
}


def fields(path: str) -> list[str]:
    """The names of a type in JSON, those beside a primitive among them."""
    model = get_fhir_model_class(TYPES[path])
    found = [str(one.alias or name) for name, one in model.model_fields.items()]
    primitives = [f"_{name}" for name in found if f"{name}__ext" in model.model_fields and not name.startswith("_")]
    return sorted({*found, *primitives, "resourceType"} - {"id", "fhir_comments"} if not path else
                  {*found, *primitives, "modifierExtension"} - {"id", "fhir_comments", "resource_type"})  # fmt: skip


ELEMENTS = [(path, name) for path in TYPES for name in fields(path)]


def agreeing() -> Json:
    dose = {"value": 1, "unit": "10*6/kg", "system": "http://unitsofmeasure.org", "code": "10*6/kg"}
    bounds = {"start": "2020-04-06T13:00:00Z"}
    repeat = {"boundsPeriod": bounds, "count": 4, "frequency": 1, "period": 72, "periodUnit": "h"}
    line = {"timing": {"repeat": repeat}, "route": copy.deepcopy(IV), "doseAndRate": [{"doseQuantity": dose}]}
    return {
        "resourceType": "MedicationRequest",
        "status": "draft",
        "intent": "order",
        "text": {"status": "generated"},
        "medicationCodeableConcept": {"coding": [{"system": "urn:site", "code": "CELLS-1"}]},
        "subject": {"reference": "Patient/eligible"},
        "dosageInstruction": [line],
    }


def put(order: Json, path: str, name: str, value: object) -> Json:
    """The order with another value of one element."""
    inside: Any = order
    for step in path.split(".") if path else []:
        inside = inside[step]
        inside = inside[0] if isinstance(inside, list) else inside
    inside[name] = value
    return order


@pytest.fixture(scope="module")
def site(knowledge: KnowledgeBase) -> KnowledgeBase:
    """Rules of a site that has a code of its own for the product."""
    codes = {"product_codes": (parse_code("local CELLS-1"),)}
    changed = {name: one.model_copy(update=codes) for name, one in knowledge.protocols.items()}
    return replace(knowledge, protocols=changed)


@pytest.fixture(scope="module")
def answer(site: KnowledgeBase) -> Assessment:
    record = build_record(read_bundle((SAMPLES / "eligible" / "input.json").read_bytes()), site)
    start = instant(NOW.replace(hour=13)).earliest
    return assess(record, compile_rulebook(site, SERVICE), Request(at=NOW, start=start, zone="UTC"))


def remarks(order: Json, answer: Assessment, site: KnowledgeBase) -> list[str]:
    draft = open_draft_orders(Raw(json.dumps(orders(order)).encode()))
    owner = Owner([(Patient(id="eligible"), None)])
    (product,) = read_draft_orders(draft, site.protocols[SERVICE], site.orders["cells"], owner).products
    return check_order(product, answer, site)


def test_an_order_that_agrees_in_everything_differs_in_nothing(answer: Assessment, site: KnowledgeBase) -> None:
    assert remarks(agreeing(), answer, site) == []


def test_every_part_that_is_walked_through_has_its_type() -> None:
    assert set(TYPES) == set(KNOWN)
    assert set(ONLY) <= {f"{path}.{name}".lstrip(".") for path, names in KNOWN.items() for name in names}
    assert len(ELEMENTS) > 150


@pytest.mark.parametrize(("path", "name"), ELEMENTS)
def test_no_element_of_fhir_passes_in_silence(path: str, name: str, answer: Assessment, site: KnowledgeBase) -> None:
    """What is known has another value here that is told of, or is harmless; all else is told of by its name."""
    whole = f"{path}.{name}".lstrip(".")
    if name.removeprefix("_") in HARMLESS.get(path, ()) and (name in KNOWN[path] or not path):
        return
    if name in KNOWN[path]:
        assert remarks(put(agreeing(), path, name, OTHER[whole]), answer, site)
        return
    said = remarks(put(agreeing(), path, name, [{"url": "urn:any"}]), answer, site)
    assert any("not read" in one and name in one for one in said)


@pytest.mark.parametrize("path", [path for path in TYPES if path])
@pytest.mark.parametrize("name", ["madeUpByALaterVersion", "Capital Words"])
def test_no_unknown_element_passes_in_silence(path: str, name: str, answer: Assessment, site: KnowledgeBase) -> None:
    (said,) = remarks(put(agreeing(), path, name, 1), answer, site)
    assert ("an element whose name is none of FHIR" if " " in name else name) in said


def test_null_says_nothing(answer: Assessment, site: KnowledgeBase) -> None:
    assert remarks(put(agreeing(), LINE, "maxDosePerLifetime", None), answer, site) == []
