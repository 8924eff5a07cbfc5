"""A FHIR bundle of one patient: whole, of nobody else, each resource once and typed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from fhir_adapters.datatypes import Reference
from fhir_adapters.decoding import decode_tolerantly
from fhir_adapters.identity import one_person
from fhir_adapters.lots import Lot, find_lot, names_product, product_references, specimen_owner
from fhir_adapters.resources import CLINICAL, LINKED, Clinical, Linked, Observation, Patient, Resource
from fhir_adapters.subjects import Owner, split_url, without_version
from fhir_adapters.unpacking import Unit, open_bundles, unpack
from fhir_adapters.versions import Current, Version, current_versions
from mscprotocol.errors import DataError
from mscprotocol.record import QualityNote

R = TypeVar("R", bound=Resource)
# Codes of http://terminology.hl7.org/CodeSystem/v3-ObservationValue.
_NOT_WHOLE = ("MASKED", "REDACTED", "SUBSETTED")
_LEFT_OUT = "a version that is no longer current was left out"
_CONFLICT = (
    "versions contradict each other and cannot be ordered: what they say is open until meta.versionId or"
    " meta.lastUpdated tells which is the newer (load an export that has them), the upload that is out of date is set"
    " aside as entered in error, or each has an id of its own if ids were counted anew"
)


@dataclass(frozen=True, slots=True)
class Item:
    """A clinical resource with its reference.

    Conflicting: another version says otherwise and none is known to be the newer. Damaged: paths that did not fit.
    Lot: the product lot that it is about, and not the patient.
    """

    reference: str
    resource: Clinical
    is_conflicting: bool = False
    damaged: tuple[str, ...] = ()
    lot: Lot | None = None


@dataclass(frozen=True, slots=True)
class PatientBundle:
    """All that came of one patient. `linked` are products, specimens and devices by reference.

    `other_ids` are those under which the same person came too.
    """

    reference: str
    patient: Patient
    items: tuple[Item, ...] = ()
    linked: Mapping[str, Linked] = field(default_factory=dict)
    digests: tuple[str, ...] = ()
    notes: tuple[QualityNote, ...] = ()
    other_ids: tuple[str, ...] = ()

    def check_is_named_once(self) -> None:
        """Raise DataError `mixed_patients` if the data of somebody who was named by an id come under others too."""
        if self.other_ids:
            text = "the data hold the patient who was named under another id too: send those of the one"
            raise DataError("mixed_patients", text)


def read_bundle(content: bytes | list[bytes]) -> PatientBundle:
    """The one patient of a bundle, or of several bundles that belong together.

    Raises DataError and nothing else, whatever the bytes: `unreadable`, `too_large`, `not_a_bundle`,
    `incomplete_page`, `no_patient`, `mixed_patients`, `foreign_subject`.
    """
    contents = [content] if isinstance(content, bytes) else content
    unpacked = unpack(contents)
    bundle = assemble(unpacked.units, unpacked.notes)
    if bundle.other_ids:
        # One person by two ids: what is `Patient/1` to one source may be somebody else to the other.
        for one in contents:
            _refuse_strangers(open_bundles([one]).units, bundle.linked)
    return bundle


def assemble(units: Iterable[Unit], notes: Iterable[QualityNote] = ()) -> PatientBundle:
    """The resources of one patient, however they were packed. Raises DataError as `read_bundle` does."""
    units = list({(unit.digest, unit.full_url): unit for unit in units}.values())
    found = list(notes)
    patients = _decode([unit for unit in units if unit.type == "Patient"], {"Patient": Patient}, found)
    reference, patient = _one_patient(patients, found)
    owner = Owner((version.resource, version.unit.full_url) for version in patients)
    clinical = _decode(units, CLINICAL, found)
    linked = _by_name(_noted(current_versions(_decode(units, LINKED, found)), found))
    _refuse_foreign(owner, linked, clinical)
    current = _noted(current_versions(clinical), found)
    return PatientBundle(
        reference=reference,
        patient=patient,
        items=tuple(item for one in current for item in _items(owner, linked, one, found)),
        linked=linked,
        digests=tuple(sorted({unit.digest for unit in units})),
        notes=tuple(found),
        other_ids=tuple(sorted({one.unit.id for one in patients if one.unit.id} - {patient.id})),
    )


def _decode(units: Iterable[Unit], kinds: Mapping[str, type[R]], notes: list[QualityNote]) -> list[Version[R]]:
    """The units of some kinds as typed resources; what cannot be read is noted."""
    found = []
    for unit in units:
        kind = kinds.get(unit.type)
        if kind is None:
            continue
        read = decode_tolerantly(kind, unit.content)
        if read is None:
            notes.append(QualityNote(unit.reference, "the resource cannot be read and was left out"))
            continue
        resource, damaged = read
        if damaged:
            notes.append(QualityNote(unit.reference, f"the resource is malformed at {', '.join(damaged)}"))
        if parts := _parts_only(resource):
            notes.append(QualityNote(unit.reference, f"the resource says that it is not whole ({', '.join(parts)})"))
        found.append(Version(unit, resource, damaged + parts))
    return found


def _parts_only(resource: Resource) -> tuple[str, ...]:
    """The tags by which a server says that it left elements out: what is not there may be there in truth."""
    if resource.meta is None:
        return ()
    tags = (*resource.meta.tag, *resource.meta.security)
    return tuple(sorted({one.code for one in tags if one.code in _NOT_WHOLE}))


def _one_patient(patients: list[Version[Patient]], notes: list[QualityNote]) -> tuple[str, Patient]:
    current = current_versions(patients)
    if not current:
        raise DataError("no_patient", "the bundle holds no Patient that can be read")
    person, reference = one_person(current), current[0].reference
    for one in current:
        if one.dropped:
            notes.append(QualityNote(one.reference, _LEFT_OUT))
    if stated := sum(len(one.versions) for one in current) - 1:
        notes.append(QualityNote(reference, f"put together with {stated} more that state the same patient"))
    return reference, person


def _refuse_strangers(units: list[Unit], linked: Mapping[str, Linked]) -> None:
    """Refuse a source that names somebody whom it does not itself say to be the patient."""
    patients = _decode([unit for unit in units if unit.type == "Patient"], {"Patient": Patient}, [])
    if patients:
        owner = Owner((version.resource, version.unit.full_url) for version in patients)
        _refuse_foreign(owner, linked, _decode(units, CLINICAL, []))


def _refuse_foreign(owner: Owner, linked: Mapping[str, Linked], versions: Iterable[Version[Clinical]]) -> None:
    foreign = [
        version.unit.type
        for version in versions
        if not _owns(owner, version, version.resource.subject) and not _is_of_product(linked, version.resource)
    ]
    if foreign:
        # Of what type, but not which: ids of records stand in no text of an error.
        kinds = ", ".join(sorted(set(foreign)))
        raise DataError("foreign_subject", f"not said to be about the one Patient: {len(foreign)} of type {kinds}")


def _owns(owner: Owner, version: Version[Clinical], reference: Reference | None) -> bool:
    return owner.owns(reference, version.resource.contained, version.unit.full_url)


def _is_of_product(linked: Mapping[str, Linked], resource: Clinical) -> bool:
    """Whether an observation is of a product and of no person."""
    if not isinstance(resource, Observation):
        return False
    if resource.subject is None:
        return bool(product_references(linked, resource))
    return names_product(linked, resource, resource.subject)


def _noted(current: list[Current[R]], notes: list[QualityNote]) -> list[Current[R]]:
    for one in current:
        if one.dropped:
            notes.append(QualityNote(one.reference, _LEFT_OUT))
        if one.is_conflicting:
            notes.append(QualityNote(one.reference, _CONFLICT))
    return current


def _items(
    owner: Owner, linked: Mapping[str, Linked], current: Current[Clinical], notes: list[QualityNote]
) -> Iterable[Item]:
    for version in current.versions:
        lot = _about(owner, linked, version)
        if isinstance(lot, str):
            notes.append(QualityNote(current.reference, f"{lot}: left out"))
            continue
        yield Item(current.reference, version.resource, current.is_conflicting, version.damaged, lot)


def _about(owner: Owner, linked: Mapping[str, Linked], version: Version[Clinical]) -> Lot | str | None:
    """The lot that a resource is about; None for the patient; else why it is about neither."""
    resource = version.resource
    if not isinstance(resource, Observation):
        return None
    products = product_references(linked, resource)
    others = [one for one in resource.focus if one not in products]
    if not all(_owns(owner, version, one) for one in others) or (products and others):
        return "it is about something else than the patient"
    if _is_somebodys(owner, version, specimen_owner(linked, resource)):
        return "its specimen is of somebody else"
    lots = [find_lot(linked, resource, one, version.unit.reference) for one in products]
    known = [lot for lot in lots if lot is not None]
    if len(known) < len(lots):
        return "it names a product that did not come, or that contradicts itself"
    if any(not lot.is_same(known[0].names) for lot in known):
        return "it names several products"
    return known[0] if known else None


def _is_somebodys(owner: Owner, version: Version[Clinical], reference: Reference | None) -> bool:
    """Whether a reference names a person other than the patient."""
    parts = split_url(reference.reference if reference else None)
    return parts is not None and parts[1] == "Patient" and not _owns(owner, version, reference)


def _by_name(current: list[Current[Linked]]) -> dict[str, Linked]:
    """What others refer to, by each name that they may use; contradicting versions mean nothing."""
    found: dict[str, Linked] = {}
    for one in current:
        if one.is_conflicting:
            continue
        version = one.versions[0]
        for name in (one.reference, without_version(version.unit.full_url or "")):
            if name:
                found[name] = version.resource
    return found
