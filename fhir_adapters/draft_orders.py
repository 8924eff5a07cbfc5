"""Draft orders of order-sign: those for the product, those that may be for it, and the tests that are being ordered."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

from msgspec import Raw

from fhir_adapters.datatypes import CodeableConcept, Element
from fhir_adapters.decoding import decode_tolerantly
from fhir_adapters.dictionary import codings, words_of
from fhir_adapters.order_dosages import Dosage, DosageLine, read_dosage
from fhir_adapters.order_elements import find_unread
from fhir_adapters.resources import Linked, Medicated, Medication
from fhir_adapters.subjects import Owner
from fhir_adapters.targets import find_target
from fhir_adapters.unpacking import Unit, Unpacked, open_bundles
from mscprotocol.codes import CodeSystem, is_same_code
from mscprotocol.protocols import OrderForm, Protocol

T = TypeVar("T", bound=Element)
_MEDICATION_ORDER, _SERVICE_ORDER = "MedicationRequest", "ServiceRequest"


class _MedicationOrder(Medicated, frozen=True):
    do_not_perform: bool | None = None
    dosage_instruction: tuple[DosageLine, ...] = ()


class _OtherOrder(Element, frozen=True):
    """Any other resource, by the elements under which the types of FHIR name what is ordered."""

    do_not_perform: bool | None = None
    code: CodeableConcept | None = None
    code_codeable_concept: CodeableConcept | None = None
    item_codeable_concept: CodeableConcept | None = None
    medication_codeable_concept: CodeableConcept | None = None
    order_detail: tuple[CodeableConcept, ...] = ()


@dataclass(frozen=True)
class ProductOrder:
    """An order for the product. `unread` are paths of elements that were not understood."""

    reference: str
    by_words: bool
    is_for_patient: bool
    dosage: Dosage
    unread: tuple[str, ...] = ()


@dataclass(frozen=True)
class Uncompared:
    """An order that names the product, or only may be for it, and was not compared, with the reason."""

    text: str
    names_product: bool


@dataclass(frozen=True)
class DraftOrders:
    """What is about to be signed, as far as it matters here.

    `tests` are codes by system and code.
    """

    products: tuple[ProductOrder, ...] = ()
    uncompared: tuple[Uncompared, ...] = ()
    tests: frozenset[tuple[str | None, str | None]] = frozenset()


def open_draft_orders(bundle: Raw) -> Unpacked:
    """The draft orders of a hook's context as they came. Raises DataError if they are no bundle."""
    return open_bundles([bytes(bundle)])


def read_draft_orders(
    unpacked: Unpacked, protocol: Protocol, form: OrderForm, owner: Owner, beside: Iterable[Unit] = ()
) -> DraftOrders:
    """Draft orders, which are for one patient; `beside` holds medications that they may refer to."""
    medications = dict(_medications([*beside, *unpacked.units]))
    found: list[ProductOrder | Uncompared | None] = []
    for unit in unpacked.units:
        if unit.type == _MEDICATION_ORDER:
            found.append(_read_order(unit, protocol, form, medications, owner))
        elif unit.type != Medication.__name__:
            found.append(_read_other(unit, protocol, form))
    return DraftOrders(
        products=tuple(one for one in found if isinstance(one, ProductOrder)),
        uncompared=(*(one for one in found if isinstance(one, Uncompared)), *_packaging(unpacked)),
        tests=frozenset(_tests(unpacked.units)),
    )


def _packaging(unpacked: Unpacked) -> Iterator[Uncompared]:
    """Where the bundle may hold more orders than could be read."""
    found = [f"{note.reference}: {note.text}" for note in unpacked.notes]
    found += ["the bundle is one page of several: the other pages were not read"] if unpacked.missing_pages else []
    yield from (Uncompared(text, names_product=False) for text in found)


def _medications(units: Iterable[Unit]) -> Iterator[tuple[str, Linked]]:
    for unit in units:
        read = decode_tolerantly(Medication, unit.content) if unit.type == Medication.__name__ else None
        if read is not None:
            yield f"{unit.type}/{unit.id}", read[0]
            yield unit.full_url or "", read[0]


def _tests(units: Iterable[Unit]) -> Iterator[tuple[str | None, str | None]]:
    for unit in units:
        order = _decode(_OtherOrder, unit)[0] if unit.type == _SERVICE_ORDER else None
        if order is not None and order.code is not None:
            yield from ((one.system, one.code) for one in order.code.coding)


def _decode(kind: type[T], unit: Unit) -> tuple[T, tuple[str, ...]]:
    return decode_tolerantly(kind, unit.content) or (kind(), ("$",))


# -- one order ---------------------------------------------------------------------------------------


def _read_order(
    unit: Unit, protocol: Protocol, form: OrderForm, medications: Mapping[str, Linked], owner: Owner
) -> ProductOrder | Uncompared | None:
    """An order for the product, why it may be one, or None for any other."""
    order, damaged = _decode(_MedicationOrder, unit)
    if order.do_not_perform:
        return None
    concepts = list(_concepts(order, medications))
    by_code = _is_product(concepts, protocol)
    if not by_code and not _says(concepts, form.words):
        return _doubt(unit, concepts, protocol, form)
    unread = (*find_unread(unit.content), *(path.removeprefix("$.") for path in damaged))
    return ProductOrder(
        reference=unit.reference,
        by_words=not by_code,
        is_for_patient=owner.owns(order.subject, order.contained, unit.full_url),
        dosage=read_dosage(order.dosage_instruction, form),
        unread=tuple(dict.fromkeys(unread)),
    )


def _read_other(unit: Unit, protocol: Protocol, form: OrderForm) -> Uncompared | None:
    order, _ = _decode(_OtherOrder, unit)
    if order.do_not_perform:
        return None
    named = (order.code, order.code_codeable_concept, order.item_codeable_concept, order.medication_codeable_concept)
    concepts = [one for one in (*named, *order.order_detail) if one is not None]
    if _is_product(concepts, protocol) or _says(concepts, form.words):
        text = f"{unit.reference}: names the product; only a MedicationRequest is compared"
        return Uncompared(text, names_product=True)
    return _doubt(unit, concepts, protocol, form) if unit.type == _SERVICE_ORDER else None


def _doubt(unit: Unit, concepts: list[CodeableConcept], protocol: Protocol, form: OrderForm) -> Uncompared | None:
    """Why an order that does not name the product may still be for it."""
    if not _is_named(concepts, protocol):
        return Uncompared(f"{unit.reference}: what is ordered cannot be read from it", names_product=False)
    if _says(concepts, form.unsure):
        return Uncompared(f"{unit.reference}: its words leave open whether it is the product", names_product=False)
    return None


# -- what is ordered ---------------------------------------------------------------------------------


def _concepts(order: _MedicationOrder, medications: Mapping[str, Linked]) -> Iterator[CodeableConcept]:
    """What the order names: a concept, a medication beside it or inside it, or the words of the reference."""
    if order.medication_codeable_concept is not None:
        yield order.medication_codeable_concept
    target = order.medication_reference
    if target is not None and target.display:
        yield CodeableConcept(text=target.display)
    found = find_target(medications, order, target)
    if isinstance(found, Medication):
        parts = (found.code, *(one.item_codeable_concept for one in found.ingredient))
        yield from (one for one in parts if one is not None)


def _is_product(concepts: list[CodeableConcept], protocol: Protocol) -> bool:
    found = (code for one in concepts for code in codings(one))
    return any(is_same_code(code, product) for code in found for product in protocol.product_codes)


def _says(concepts: list[CodeableConcept], patterns: tuple[str, ...]) -> bool:
    texts = [text.lower() for one in concepts for text in words_of(one)]
    return any(re.search(pattern, text) for pattern in patterns for text in texts)


def _is_named(concepts: list[CodeableConcept], protocol: Protocol) -> bool:
    """Whether it can be told what is ordered: by words, or by a code that could be looked up.

    A local code without words tells something only where the product's own codes are known.
    """
    codes = [code for one in concepts for code in codings(one)]
    has_words = any(text.strip() for one in concepts for text in words_of(one))
    is_known = any(code.system is not CodeSystem.LOCAL for code in codes)
    return has_words or is_known or bool(codes and protocol.product_codes)
