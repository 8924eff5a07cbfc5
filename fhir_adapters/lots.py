"""Product lots in a bundle: which one an observation is about, and what the resource of a lot says of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from fhir_adapters.datatypes import CodeableConcept, Identifier, Reference
from fhir_adapters.resources import (
    BiologicallyDerivedProduct,
    Device,
    Linked,
    Medication,
    Observation,
    Product,
    Resource,
    Specimen,
    Substance,
)
from fhir_adapters.subjects import split_url, without_version
from fhir_adapters.targets import find_target

# A reference of these types is nobody's data, even if what it refers to did not come.
_PRODUCT_TYPES = ("BiologicallyDerivedProduct", "Medication", "Substance")


@dataclass(frozen=True, slots=True)
class Lot:
    """A product lot: the names that it goes by, and what its resource says of it.

    Names are its lot number or the identifiers of a single product, else its reference.
    """

    reference: str
    names: frozenset[str]
    status: str | None = None
    expiry: str | None = None
    concept: CodeableConcept | None = None
    changed: str | None = None
    is_from_file: bool = False

    def is_same(self, names: frozenset[str]) -> bool:
        """Whether names are those of this lot, as far as either knows them; one shared name of several is no proof."""
        return self.names <= names or names <= self.names


def names_product(linked: Mapping[str, Linked], resource: Resource, reference: Reference | None) -> bool:
    """Whether a reference means a product: no patient, and no device but one with a lot number."""
    found = find_target(linked, resource, reference)
    if found is None:
        parts = split_url(reference.reference if reference else None)
        return parts is not None and parts[1] in _PRODUCT_TYPES
    return not isinstance(found, Specimen) and not (isinstance(found, Device) and not found.lot_number)


def product_references(linked: Mapping[str, Linked], observation: Observation) -> list[Reference]:
    """The references by which an observation says that it is about a product: focus, subject, or its specimen's."""
    candidates = [*observation.focus, observation.subject, observation.specimen, specimen_owner(linked, observation)]
    return [one for one in candidates if one is not None and names_product(linked, observation, one)]


def specimen_owner(linked: Mapping[str, Linked], observation: Observation) -> Reference | None:
    """Whose, or which product's, the specimen of an observation is."""
    specimen = find_target(linked, observation, observation.specimen)
    return specimen.subject if isinstance(specimen, Specimen) else None


def find_lot(linked: Mapping[str, Linked], resource: Resource, reference: Reference, holder: str) -> Lot | None:
    """The lot that a reference means; None if it did not come. `holder` names the resource that refers to it."""
    found = find_target(linked, resource, reference)
    if found is None or isinstance(found, Specimen):
        return None
    text = reference.reference or ""
    return read_lot(found, f"{holder}{text}") if text.startswith("#") else read_lot(found, name_of(found, text))


def name_of(product: Product, other: str) -> str:
    """How a product beside the others is named, whichever of its names was used to refer to it."""
    return f"{type(product).__name__}/{product.id}" if product.id else without_version(other)


def read_lot(product: Product, reference: str) -> Lot:
    """What the resource of a product says of its lot. An identifier of a medication may be that of every lot of it."""
    match product:
        case BiologicallyDerivedProduct():
            numbers, expiry, concept = _values(product.identifier), None, product.product_code
        case Medication():
            batch = product.batch
            numbers, expiry = ([], None) if batch is None else ([batch.lot_number], batch.expiration_date)
            concept = product.code
        case Substance():
            numbers = _values(one.identifier for one in product.instance if one.identifier is not None)
            expiry = next((one.expiry for one in product.instance if one.expiry), None)
            concept = product.code
        case _:
            numbers, expiry, concept = [product.lot_number], product.expiration_date, product.type
    named = frozenset(number.strip() for number in numbers if number and number.strip())
    changed = product.meta.last_updated if product.meta else None
    return Lot(reference, named or frozenset((reference,)), product.status, expiry, concept, changed)


def _values(identifiers: Iterable[Identifier]) -> list[str | None]:
    return [one.value for one in identifiers]
