"""Calls of a CDS client for the tests: the samples split into prefetch, and orders for the product."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

from starlette.testclient import TestClient

SAMPLES = Path(__file__).resolve().parents[3] / "samples"
SERVICE = "seed-covid-4x"
URL = f"/cds-services/{SERVICE}"
Json = dict[str, Any]


def resources_of(sample: str) -> list[Json]:
    bundle = json.loads((SAMPLES / sample / "input.json").read_text(encoding="utf-8"))
    return [entry["resource"] for entry in bundle["entry"]]


def searchset(resources: list[Json], **more: Any) -> Json:
    return {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": one} for one in resources], **more}


def entry_of(client: TestClient, service: str = SERVICE) -> Json:
    found: list[Json] = client.get("/cds-services").json()["services"]
    return next(one for one in found if one["id"] == service)


def prefetch_of(client: TestClient, sample: str) -> Json:
    """Every key of the service, filled as a client would: null where there is nothing."""
    return fill_prefetch(entry_of(client)["prefetch"], resources_of(sample))


def fill_prefetch(templates: dict[str, str], resources: list[Json]) -> Json:
    """Every key of some templates, filled with the resources of its type; observations are all under the first."""
    kinds: dict[str, list[Json]] = defaultdict(list)
    for one in resources:
        kinds[one["resourceType"]].append(one)
    found: Json = {}
    for key, template in templates.items():
        kind = template.split("?")[0].split("/")[0]
        these = kinds.pop(kind, [])
        found[key] = (these[0] if kind == "Patient" else searchset(these)) if these else None
    assert not kinds
    return found


def call(prefetch: Json | None = None, hook: str = "patient-view", /, **changes: Any) -> Json:
    context: Json = {"userId": "Practitioner/1", "patientId": "eligible"}
    own: dict[str, Json] = {"encounter-start": {"encounterId": "e1"}, "order-sign": {"draftOrders": orders()}}
    context |= own.get(hook, {})
    context |= changes.pop("context", {})
    body = {"hook": hook, "hookInstance": "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea", "context": context}
    body |= {} if prefetch is None else {"prefetch": prefetch}
    return {name: value for name, value in (body | changes).items() if value is not ...}


IV = {
    "coding": [{"system": "http://snomed.info/sct", "code": "47625008", "display": "Intravenous route"}],
    "text": "IV",
}


def product_order(dose: Json | None = None, timing: Json | None = None, text: str = "Mesenchymal stem cells") -> Json:
    line = {"timing": timing, "route": IV, "doseAndRate": [{"doseQuantity": dose}] if dose else None}
    return {
        "resourceType": "MedicationRequest",
        "id": "order1",
        "status": "draft",
        "intent": "order",
        "medicationCodeableConcept": {"text": text},
        "subject": {"reference": "Patient/eligible"},
        "dosageInstruction": [{name: one for name, one in line.items() if one}],
    }


def orders(*these: Json) -> Json:
    return {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": one} for one in these]}
