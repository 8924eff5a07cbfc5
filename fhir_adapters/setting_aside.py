"""Entries of which a person says that they are wrong, or an infusion by themselves: marked where they stand."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from fhir_adapters.datatypes import parse_decimal
from fhir_adapters.decoding import UNREADABLE
from fhir_adapters.hl7v2_files import is_hl7v2
from fhir_adapters.hl7v2_marks import Mark
from fhir_adapters.hl7v2_setting_aside import mark_messages
from fhir_adapters.marks import mark_as_infusion, mark_in_error
from fhir_adapters.writing import Json

_decoder = msgspec.json.Decoder(float_hook=parse_decimal)
_encoder = msgspec.json.Encoder(decimal_format="number")


def set_aside(content: bytes, why: Mapping[str, str], zone: ZoneInfo | None = None) -> tuple[bytes, frozenset[str]]:
    """JSON with the named resources marked as wrong and the words of `why` beside them; and which were found.

    Works on FHIR JSON, on the data of our own records, and on HL7 v2, whose times without a zone are those of `zone`.
    Content of another kind comes back as it is.
    """
    if is_hl7v2(content):
        return mark_messages(content, {name: Mark(aside=text) for name, text in why.items()}, zone)
    return _mark_resources(content, why, mark_in_error)


def mark_separate(content: bytes, ids: Mapping[str, str], zone: ZoneInfo | None = None) -> bytes:
    """An upload in which the named acts go by a number of ours, so that each is an infusion by itself."""
    if is_hl7v2(content):
        return mark_messages(content, {name: Mark(separate=number) for name, number in ids.items()}, zone)[0]
    return _mark_resources(content, ids, mark_as_infusion)[0]


def _mark_resources(
    content: bytes, said: Mapping[str, str], mark: Callable[[Json, str], None]
) -> tuple[bytes, frozenset[str]]:
    try:
        tree: Any = _decoder.decode(content)
    except UNREADABLE:
        return content, frozenset()
    found = [(reference, one) for reference, one in _resources(tree) if reference in said]
    for reference, one in found:
        mark(one, said[reference])
    return (_encoder.encode(tree) if found else content), frozenset(reference for reference, _ in found)


def _resources(tree: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every resource of a bundle, and of those inside it, by type and id; every datum of a record by its place."""
    if not isinstance(tree, dict):
        return
    if "resourceType" not in tree:
        data = tree.get("data")
        for number, one in enumerate(data if isinstance(data, list) else []):
            if isinstance(one, dict):
                yield f"Observation/data-{number}", one
        return
    yield f"{tree.get('resourceType')}/{tree.get('id')}", tree
    entries = tree.get("entry")
    for entry in entries if isinstance(entries, list) else []:
        if isinstance(entry, dict):
            yield from _resources(entry.get("resource"))
