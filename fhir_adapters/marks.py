"""What a person says of one entry of an upload, in the resource itself: set aside and why, or an infusion by itself."""

from __future__ import annotations

from typing import Any

import msgspec

from fhir_adapters.decoding import UNREADABLE
from fhir_adapters.resources import Resource
from fhir_adapters.writing import RECORDED_INFUSION, SOFTWARE, TERMINOLOGY, Json

_ERROR = "entered-in-error"
# Their error is a verification status, that of all others a status.
_VERIFIED = {"Condition": "condition-ver-status", "AllergyIntolerance": "allergyintolerance-verification"}


def mark_in_error(one: Json, why: str) -> None:
    """Mark a resource as entered in error, with a note of ours that says why; a datum of a record of ours, likewise."""
    kind = one.get("resourceType")
    if kind in _VERIFIED:
        one.pop("clinicalStatus", None)  # an error has none
        one["verificationStatus"] = {"coding": [{"system": f"{TERMINOLOGY}/{_VERIFIED[kind]}", "code": _ERROR}]}
    else:
        one["status"] = _ERROR
    if kind is None:
        one["note"] = why
    else:
        one["note"] = [*_listed(one, "note"), note_of_ours(why)]


def note_of_ours(why: str) -> Json:
    """An annotation that `why_set_aside` reads again."""
    return {"authorString": SOFTWARE, "text": why}


def mark_as_infusion(one: Json, number: str) -> None:
    """Mark an act as an infusion by itself, under a number of ours."""
    one["identifier"] = [*_listed(one, "identifier"), {"system": RECORDED_INFUSION, "value": number}]


def why_set_aside(resource: Resource) -> list[str]:
    """Why a person set a resource aside, by the notes of ours on it; notes of others stay where they are."""
    if not bytes(resource.note):
        return []
    try:
        notes: Any = msgspec.json.decode(resource.note)
    except UNREADABLE:
        return []
    found = [one for one in (notes if isinstance(notes, list) else []) if isinstance(one, dict)]
    return [str(one.get("text", "")) for one in found if one.get("authorString") == SOFTWARE]


def _listed(one: Json, name: str) -> list[Any]:
    known = one.get(name)
    return known if isinstance(known, list) else []
