"""Which of the product lots that came is to be infused: there must be one, or an order must name it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from msgspec.structs import replace

from fhir_adapters.acts import why_not_taken
from fhir_adapters.bundle import Item
from fhir_adapters.dictionary import codings
from fhir_adapters.draft import Draft
from fhir_adapters.lots import Lot, find_lot, name_of, read_lot
from fhir_adapters.resources import MedicationRequest, Specimen, Valued
from fhir_adapters.times import parse_time
from fhir_adapters.values import answers_of, read_answer, read_value
from mscprotocol.codes import CodeSystem, is_same_code
from mscprotocol.reasons import Reason
from mscprotocol.record import Measurement, QualityNote

_USABLE = (None, "available", "active")
_AMBIGUOUS = "it is one of several product lots, and no order names the one to be infused: none is used"

Group = list[Lot]


def settle_lots(draft: Draft) -> list[Lot]:
    """Give the record the data of the one lot; if it is open which one that is, every datum of a product is too.

    Returns all lots that are known, the one to be infused or not.
    """
    ordered = [lot for item in draft.bundle.items for lot in _ordered(draft, item)]
    lots = [*(lot for lot, _ in draft.lots), *(lot for lot in ordered if _is_ours(draft, lot))]
    groups = _same([*lots, *_beside(draft, lots)])
    left = _wanted(groups, ordered)
    entries = [entry for group in left for entry in _data(draft, group)]
    if len(left) > 1:
        draft.notes.extend(QualityNote(lot.reference, _AMBIGUOUS) for group in left for lot in group)
        entries = [_contradicted(entry) for entry in entries]
        draft.measurements = [
            _contradicted(one) if draft.knowledge.measurements[one.name].about == "product" else one
            for one in draft.measurements
        ]
    draft.measurements.extend(entries)
    other = [lot for group in groups if group not in left for lot in group]
    draft.notes.extend(
        QualityNote(lot.reference, "another product lot than the one ordered: left out") for lot in other
    )
    return [lot for group in groups for lot in group]


def _same(lots: Iterable[Lot]) -> list[Group]:
    """Lots that go by the same names together, each resource once."""
    groups: list[Group] = []
    for lot in dict.fromkeys(lots):
        touching = [group for group in groups if any(lot.is_same(one.names) for one in group)]
        groups = [group for group in groups if group not in touching]
        groups.append([lot, *(one for group in touching for one in group)])
    return groups


def _wanted(groups: list[Group], ordered: list[Lot]) -> list[Group]:
    """The lots that may be meant: those that orders name, else all. A file is always meant."""
    named = [group for group in groups if any(lot.is_same(one.names) for one in group for lot in ordered)]
    return [group for group in groups if group in (named or groups) or any(lot.is_from_file for lot in group)]


def _ordered(draft: Draft, item: Item) -> Iterator[Lot]:
    """The products that an active order names."""
    order = item.resource
    if not isinstance(order, MedicationRequest) or order.status != "active" or why_not_taken(order) is not None:
        return
    for reference in (order.medication_reference, *order.supporting_information):
        lot = None if reference is None else find_lot(draft.bundle.linked, order, reference, item.reference)
        if lot is not None:
            yield lot


def _beside(draft: Draft, lots: list[Lot]) -> Iterator[Lot]:
    """Products that nothing refers to: more of a lot that is known, or of our kind by their code."""
    for name, resource in draft.bundle.linked.items():
        if not isinstance(resource, Specimen):
            lot = read_lot(resource, name_of(resource, name))
            if _is_ours(draft, lot) or any(lot.is_same(one.names) for one in lots):
                yield lot


def _is_ours(draft: Draft, lot: Lot) -> bool:
    products = [code for protocol in draft.knowledge.protocols.values() for code in protocol.product_codes]
    return any(
        code.system is CodeSystem.DATUM or any(is_same_code(code, product) for product in products)
        for code in codings(lot.concept)
    )


# -- what is said of the lot -----------------------------------------------------------------------


def _data(draft: Draft, group: Group) -> Iterator[Measurement]:
    """All that is said of one lot; one that is not stated to be available cannot be used."""
    entries = [entry for lot, entry in draft.lots if lot in group]
    entries += [entry for lot in group for entry in _of_resource(draft, lot)]
    unusable = [lot for lot in group if lot.status not in _USABLE]
    draft.notes.extend(
        QualityNote(lot.reference, "the product is not available: nothing of it is used") for lot in unusable
    )
    for entry in entries:
        yield replace(entry, problem=Reason.STATUS_EXCLUDED, value=None, answer=None) if unusable else entry


def _of_resource(draft: Draft, lot: Lot) -> Iterator[Measurement]:
    """What the resource of the lot itself states: its expiry, and by our own codes its type."""
    time = parse_time(lot.changed)
    if lot.expiry:
        definition = draft.knowledge.measurements["product_expiry"]
        reading = read_value(draft.knowledge, definition, Valued(value_date_time=lot.expiry))
        yield Measurement(
            name="product_expiry",
            reference=lot.reference,
            time=time,
            as_received=reading.as_received,
            problem=reading.problem,
            value=reading.value,
            unit=definition.unit,
        )
    definition = draft.knowledge.measurements["product_type"]
    for code in codings(lot.concept):
        for answer in answers_of(definition, code):
            received = read_answer(definition, answer, code.display or code.code).as_received
            yield Measurement(
                name="product_type",
                reference=lot.reference,
                time=time,
                as_received=received,
                code=code,
                answer=answer,
            )


def _contradicted(entry: Measurement) -> Measurement:
    return replace(entry, problem=Reason.CONFLICT, value=None, answer=None)
