"""FHIR R4 as fhir.resources knows it, and what its models leave unchecked: required codes and containment."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from fhir.resources.R4B import get_fhir_model_class
from fhir_core.fhirabstractmodel import FHIRAbstractModel

Json = dict[str, Any]
# Lists that are only the beginning of a value set, or words about it.
_OPEN = {"+", "etc.", "mime"}


def checked(content: bytes) -> Json:
    """A resource as plain JSON, after the models of R4B have read it and its codes are those that R4 allows."""
    read: Json = json.loads(content)
    model = get_fhir_model_class(read["resourceType"]).model_validate_json(content)
    assert list(_wrong_codes(model)) == []
    for one in _resources(read):
        assert {f"#{inner['id']}" for inner in one.get("contained", [])} <= set(_references(one))
    return read


def _wrong_codes(model: FHIRAbstractModel) -> Iterator[str]:
    for name, field in type(model).model_fields.items():
        value = getattr(model, name)
        extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
        allowed: Any = extra.get("enum_values")
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, FHIRAbstractModel):
                yield from _wrong_codes(one)
            elif allowed and not _OPEN & set(allowed) and one is not None and one not in allowed:
                yield f"{type(model).__name__}.{name} {one!r}: not in {allowed}"


def _resources(read: Json) -> Iterator[Json]:
    yield read
    yield from (entry["resource"] for entry in read.get("entry", []))


def _references(resource: Json) -> list[str]:
    return re.findall(r'"reference": "(#[^"]+)"', json.dumps(resource))
