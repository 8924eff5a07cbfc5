"""What a reference leads to: a resource beside the one that holds it, or contained in it."""

from __future__ import annotations

from collections.abc import Mapping

from fhir_adapters.datatypes import Head, Reference
from fhir_adapters.decoding import decode_tolerantly
from fhir_adapters.resources import LINKED, Linked, Resource
from fhir_adapters.subjects import split_url, without_version


def find_target(linked: Mapping[str, Linked], resource: Resource, reference: Reference | None) -> Linked | None:
    """The linked resource that a reference of some resource means, if it came."""
    text = (reference.reference if reference else None) or ""
    if text.startswith("#"):
        return _contained(resource, text[1:])
    parts = split_url(text)
    names = (without_version(text), f"{parts[1]}/{parts[2]}" if parts else "")
    return next((linked[name] for name in names if name in linked), None)


def _contained(resource: Resource, local_id: str) -> Linked | None:
    for raw in resource.contained:
        head = decode_tolerantly(Head, raw)
        kind = None if head is None else LINKED.get(head[0].resource_type or "")
        if head is not None and kind is not None and head[0].id == local_id:
            read = decode_tolerantly(kind, raw)
            return None if read is None else read[0]
    return None
