"""What the OpenAPI description says beyond the routes: bodies, answers, errors, examples, and how callers identify."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from fastapi import FastAPI

from fhir_adapters.plain_forms import EXAMPLE, PlainRecord
from mscprotocol.answer import Assessment
from mscprotocol.codes import CodeSystem
from mscprotocol.web.batch import NDJSON
from mscprotocol.web.problems import FHIR_JSON, PROBLEM_JSON

_REF = "#/components/schemas/"
_PROBLEM: dict[str, Any] = {
    "type": "object",
    "description": "An error as RFC 9457 describes it; `code` is the same at every door.",
    "required": ["type", "title", "status", "code", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string"},
        "detail": {"type": "string"},
    },
    "examples": [
        {
            "type": "about:blank",
            "title": "no patient",
            "status": 422,
            "code": "no_patient",
            "detail": "the bundle holds no Patient that can be read",
        }
    ],
}
_RESOURCE: dict[str, Any] = {
    "type": "object",
    "description": "A FHIR R4 resource in JSON.",
    "required": ["resourceType"],
    "properties": {"resourceType": {"type": "string"}},
}
_BUNDLE: dict[str, Any] = {
    "type": "object",
    "description": "A FHIR R4 Bundle with one Patient and the resources about it.",
    "required": ["resourceType", "type"],
    "properties": {
        "resourceType": {"const": "Bundle"},
        "type": {"type": "string", "examples": ["collection", "searchset"]},
        "entry": {"type": "array", "items": {"type": "object"}},
    },
}
BUNDLE_EXAMPLE: dict[str, Any] = {
    "resourceType": "Bundle",
    "type": "collection",
    "entry": [
        {"resource": {"resourceType": "Patient", "id": "p-17", "gender": "male", "birthDate": "1962-03-14"}},
        {
            "resource": {
                "resourceType": "Observation",
                "id": "o-1",
                "status": "final",
                "subject": {"reference": "Patient/p-17"},
                "code": {"coding": [{"system": CodeSystem.DATUM.value, "code": "spo2"}]},
                "effectiveDateTime": "2020-04-06T09:00:00+08:00",
                "valueQuantity": {"value": 91, "unit": "%", "system": "http://unitsofmeasure.org", "code": "%"},
            }
        },
    ],
}


def _named(name: str) -> dict[str, Any]:
    return {"$ref": _REF + name}


ERRORS: dict[int | str, dict[str, Any]] = {
    status: {
        "description": text,
        "content": {PROBLEM_JSON: {"schema": _named("Problem")}, FHIR_JSON: {"schema": _named("FhirResource")}},
    }
    for status, text in (
        (400, "The request cannot be read"),
        (401, "Credentials are required"),
        (403, "Not allowed to this caller"),
        (404, "There is nothing of that id"),
        (406, "Another format was asked for"),
        (409, "The stored state speaks against it: the code says how"),
        (410, "The stored assessment has expired"),
        (413, "The body is too large"),
        (415, "The body is of another type"),
        (422, "The data or a parameter cannot be used: the code says why"),
        (429, "Too many requests"),
        (503, "It took longer than the service allows, or too many wait: `Retry-After` says how long"),
    )
}


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The descriptions of some errors, for a route that can have no others."""
    return {status: ERRORS[status] for status in statuses}


ASSESSMENT: dict[str, Any] = {
    "description": "The answer",
    "content": {"application/json": {"schema": _named("Assessment")}},
}
CHECKLIST: dict[str, Any] = {
    "description": "A page to print, or the data of the sheet",
    "content": {
        "text/html": {"schema": {"type": "string"}},
        "application/pdf": {"schema": {"type": "string", "contentMediaType": "application/pdf"}},
        "application/json": {"schema": {"type": "object"}},
    },
}
_PLACE = {"schema": {"type": "string"}, "description": "Where the answer is stored."}
ASSESS: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "A FHIR R4 Bundle of one patient, or our own record.",
        "content": {
            "application/json": {
                "schema": {"anyOf": [_named("PlainRecord"), _named("Bundle")]},
                "examples": {"record": {"value": EXAMPLE}, "bundle": {"value": BUNDLE_EXAMPLE}},
            },
            FHIR_JSON: {"schema": _named("Bundle"), "examples": {"bundle": {"value": BUNDLE_EXAMPLE}}},
        },
    },
    "responses": {
        "200": {
            "description": "The answer; an array of answers for `protocol=all`",
            "headers": {"Location": _PLACE, "Link": _PLACE},
            "content": {
                "application/json": {
                    "schema": {"anyOf": [_named("Assessment"), {"type": "array", "items": _named("Assessment")}]}
                },
                FHIR_JSON: {"schema": _named("FhirResource")},
            },
        }
    },
}
_LINES = {"type": "string", "description": "JSON values, one a line."}
_TWO_PATIENTS = "\n".join(json.dumps(one) for one in (EXAMPLE, BUNDLE_EXAMPLE))
BATCH: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "A Bundle or a record a line.",
        "content": {kind: {"schema": _LINES, "example": _TWO_PATIENTS} for kind in NDJSON},
    }
}
BATCH_REPLY: dict[int | str, dict[str, Any]] = {
    200: {"description": "An answer or an error a line, in the same order", "content": {NDJSON[0]: {"schema": _LINES}}}
}
_OPEN = ("/healthz", "/readyz", "/metrics", "/fhir/metadata", "/cds-services", "/auth/token",
         "/.well-known/smart-configuration")  # fmt: skip


def install(app: FastAPI) -> None:
    """Complete the description of an application when it is first asked for."""
    describe = app.openapi

    def complete() -> dict[str, Any]:
        if app.openapi_schema is None:
            _complete(describe())
        return describe()

    app.openapi = complete  # type: ignore[method-assign]


def _complete(described: dict[str, Any]) -> None:
    components = described.setdefault("components", {})
    components.setdefault("schemas", {}).update(_schemas())
    components["securitySchemes"] = {
        "bearer": {
            "type": "http",
            "scheme": "bearer",
            "description": "An API key (msck_…) or an access token; none is needed where authentication is off.",
        }
    }
    for path, operations in described["paths"].items():
        for operation in operations.values():
            operation["security"] = [] if path in _OPEN else [{"bearer": []}]


def _schemas() -> dict[str, Any]:
    record = PlainRecord.model_json_schema(ref_template=_REF + "{model}")
    parts = record.pop("$defs")
    _, answer = msgspec.json.schema_components([Assessment], ref_template=_REF + "{name}")
    own = {"PlainRecord": record, "Problem": _PROBLEM, "FhirResource": _RESOURCE, "Bundle": _BUNDLE}
    return {**answer, **parts, **own}
