"""Whose each resource of a bundle of many patients is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fhir_adapters.decoding import decode_tolerantly
from fhir_adapters.resources import CLINICAL, Clinical, Patient
from fhir_adapters.subjects import Owner, split_url
from fhir_adapters.unpacking import Unit


def owners_of(units: Sequence[Unit]) -> Mapping[int, str]:
    """The patient's id of each patient and clinical resource, by its place; those of nobody here are left out."""
    owners: dict[str, Owner] = {}
    found: dict[int, str] = {}
    for place, unit in enumerate(units):
        read = decode_tolerantly(Patient, unit.content) if unit.type == "Patient" else None
        if read is not None and unit.id:
            owners[unit.id] = Owner([(read[0], unit.full_url)])
            found[place] = unit.id
    for place, unit in enumerate(units):
        kind = CLINICAL.get(unit.type)
        clinical = None if kind is None else decode_tolerantly(kind, unit.content)
        if clinical is None:
            continue
        one = clinical[0]
        named = _named(one)
        # Mostly the reference holds the id; all others are asked only when it does not.
        candidates = [named] if named in owners else list(owners)
        mine = [name for name in candidates if owners[name].owns(one.subject, one.contained, unit.full_url)]
        if len(mine) == 1:
            found[place] = mine[0]
    return found


def _named(resource: Clinical) -> str:
    """The id that a literal reference or a URN of a resource's subject ends with."""
    text = (resource.subject.reference if resource.subject else None) or ""
    parts = split_url(text)
    return parts[2] if parts is not None else text.removeprefix("urn:uuid:")
