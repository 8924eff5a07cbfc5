"""What does not stand of a patient's resources is left out with a note; what is in doubt leaves its findings open."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from fhir_adapters.bulk_export import ENCOUNTER
from fhir_adapters.bundle import Item, PatientBundle
from fhir_adapters.resources import LINKED
from fhir_adapters.unpacking import Unit
from mscprotocol.errors import DataError
from mscprotocol.record import QualityNote
from mscprotocol.screening.moments import Moment
from mscprotocol.screening.pieces import STANDING, Piece
from mscprotocol.screening.standing import DOUBTFUL, FALLEN, GONE, MOVED, PERHAPS_GONE, PERHAPS_MOVED, fate_of

_TEXTS = {
    GONE: "left out: its server had deleted it, as the list of deletions of an export says",
    MOVED: "left out: its newest version is of another patient",
    PERHAPS_GONE: "an export lists it as deleted, and whether it came before or after that cannot be told: what it"
    " says is open; put the manifest of each export beside its files",
    PERHAPS_MOVED: "a resource of the same type and id is of another patient, and which is the newer cannot be told:"
    " what it says is open; ask its server which holds, or give each patient as a bundle if ids were counted for each",
}


Fates = frozenset[tuple[str, str]]


def without_fallen(pieces: Sequence[Piece], moment: Moment) -> tuple[list[Piece], Fates]:
    """The pieces that stand or are in doubt, and what does not surely stand: names of resources, and why.

    Raises DataError where nothing is left to assess: `no_patient`, or `no_time` if a stay that gives it is in doubt.
    """
    placed = {(one.block, one.line): one for one in pieces if one.kind == STANDING}
    if not placed:
        return list(pieces), frozenset()
    fates = frozenset((one.name, fate_of(one)) for one in placed.values())
    fallen = {place for place, one in placed.items() if fate_of(one) in FALLEN}
    kept = [one for one in pieces if one.kind != STANDING and (one.block, one.line) not in fallen]
    for name, fate in sorted(fates):
        if name.startswith("Patient/") and (fate in DOUBTFUL or all(one.name != name for one in kept)):
            raise DataError("no_patient", f"the Patient: {_TEXTS[fate]}")
        if name.startswith(f"{ENCOUNTER}/") and fate in DOUBTFUL and moment.kind == "encounter-start":
            raise DataError("no_time", f"a stay in hospital, which gives the time: {_TEXTS[fate]}")
    return kept, fates


def with_doubts(bundle: PatientBundle, units: Sequence[Unit], fates: Fates) -> PatientBundle:
    """A bundle with a note for each resource that does not surely stand; what is in doubt, or refers to it, is open."""
    if not fates:
        return bundle
    doubtful = _with_those_that_refer({name for name, fate in fates if fate in DOUBTFUL}, units)
    items = tuple(replace(one, is_conflicting=True) if _is_named(one, doubtful) else one for one in bundle.items)
    notes = tuple(QualityNote(name, _TEXTS[fate]) for name, fate in sorted(fates))
    return replace(bundle, items=items, notes=(*bundle.notes, *notes))


def _with_those_that_refer(doubtful: set[str], units: Sequence[Unit]) -> frozenset[str]:
    """Also what refers to a product, specimen or drug in doubt."""
    linked = [name for name in doubtful if name.partition("/")[0] in LINKED]
    while linked:
        pattern = re.compile("|".join(rf"\b{re.escape(name)}(?![A-Za-z0-9.-])" for name in linked).encode())
        found = {one.reference for one in units if pattern.search(bytes(one.content))} - doubtful
        doubtful = doubtful | found
        linked = [name for name in found if name.partition("/")[0] in LINKED]
    return frozenset(doubtful)


def _is_named(item: Item, names: frozenset[str]) -> bool:
    """Whether an item is one of these; that of one server among several is named by its URL."""
    return item.reference in names or any(item.reference.endswith(f"/{name}") for name in names)
