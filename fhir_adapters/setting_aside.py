"""Entries that a person sets aside: marked as entered in error where they stand, with who said so and why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from fhir_adapters.datatypes import parse_decimal
from fhir_adapters.decoding import UNREADABLE
from fhir_adapters.hl7v2_files import is_hl7v2
from fhir_adapters.hl7v2_setting_aside import set_procedures_aside
from fhir_adapters.writing import RECORDED_INFUSION, TERMINOLOGY

_ERROR = "entered-in-error"
# Their error is a verification status, that of all others a status.
_VERIFIED = {"Condition": "condition-ver-status", "AllergyIntolerance": "allergyintolerance-verification"}
_decoder = msgspec.json.Decoder(float_hook=parse_decimal)
_encoder = msgspec.json.Encoder(decimal_format="number")


def set_aside(content: bytes, why: Mapping[str, str], zone: ZoneInfo | None = None) -> tuple[bytes, frozenset[str]]:
    """JSON with the named resources marked as wrong and the words of `why` beside them; and which were found.

    Works on FHIR JSON, on the data of our own records, and on the procedures of HL7 v2, whose times without a zone are
    those of `zone`. Content of another kind comes back as it is.
    """
    if is_hl7v2(content):
        return set_procedures_aside(content, why.keys(), zone)
    try:
        tree: Any = _decoder.decode(content)
    except UNREADABLE:
        return content, frozenset()
    found = {reference for reference, one in _resources(tree) if reference in why and _mark(one, why[reference])}
    return (_encoder.encode(tree) if found else content), frozenset(found)


def mark_separate(content: bytes, ids: Mapping[str, str]) -> bytes:
    """JSON in which the named administrations go by a number of ours, so that each is an infusion by itself."""
    try:
        tree: Any = _decoder.decode(content)
    except UNREADABLE:
        return content
    found = [(reference, one) for reference, one in _resources(tree) if reference in ids]
    for reference, one in found:
        known = one.get("identifier")
        ours = {"system": RECORDED_INFUSION, "value": ids[reference]}
        one["identifier"] = [*(known if isinstance(known, list) else []), ours]
    return _encoder.encode(tree) if found else content


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


def _mark(one: dict[str, Any], why: str) -> bool:
    kind = one.get("resourceType")
    if kind in _VERIFIED:
        one.pop("clinicalStatus", None)  # an error has none
        one["verificationStatus"] = {"coding": [{"system": f"{TERMINOLOGY}/{_VERIFIED[kind]}", "code": _ERROR}]}
    else:
        one["status"] = _ERROR
    if kind is not None:
        notes = one.get("note")
        one["note"] = [*(notes if isinstance(notes, list) else []), {"text": why}]
    return True
