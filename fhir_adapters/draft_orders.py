"""Draft orders of order-sign: those for the product read as dose and times, and the tests that are being ordered."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal

from msgspec import Raw

from fhir_adapters.datatypes import CodeableConcept, Element, Head, Number, Period, Quantity, Reference
from fhir_adapters.decoding import decode_tolerantly
from fhir_adapters.dictionary import codings
from fhir_adapters.resources import Medication
from fhir_adapters.times import parse_time
from fhir_adapters.unpacking import Unit, open_bundles
from mscprotocol.codes import is_same_code
from mscprotocol.interval import EXACT
from mscprotocol.protocols import OrderForm, Protocol
from mscprotocol.timespan import TimeSpan

_HOURS = {"h": Decimal(1), "d": Decimal(24), "wk": Decimal(168)}


class _Repeat(Element, frozen=True):
    bounds_period: Period | None = None
    count: int | None = None
    frequency: int | None = None
    period: Number | None = None
    period_unit: str | None = None


class _Timing(Element, frozen=True):
    event: tuple[str, ...] = ()
    repeat: _Repeat | None = None


class _DoseAndRate(Element, frozen=True):
    dose_quantity: Quantity | None = None


class _Dosage(Element, frozen=True):
    timing: _Timing | None = None
    dose_and_rate: tuple[_DoseAndRate, ...] = ()


class _MedicationOrder(Element, frozen=True):
    id: str | None = None
    contained: tuple[Raw, ...] = ()
    do_not_perform: bool | None = None
    medication_codeable_concept: CodeableConcept | None = None
    medication_reference: Reference | None = None
    dosage_instruction: tuple[_Dosage, ...] = ()


class _TestOrder(Element, frozen=True):
    code: CodeableConcept | None = None


@dataclass(frozen=True)
class Amount:
    """An ordered dose in cells, and as it was written."""

    cells: Decimal
    is_per_kg: bool
    text: str


@dataclass(frozen=True)
class ProductOrder:
    """An order for the product; `is_dose_read` and `is_timing_read` only if nothing of them was left unread."""

    reference: str
    by_words: bool
    amounts: tuple[Amount, ...]
    starts: tuple[TimeSpan, ...]
    count: int | None
    interval_hours: Decimal | None
    is_dose_read: bool
    is_timing_read: bool


@dataclass(frozen=True)
class DraftOrders:
    """What is about to be signed, as far as it matters here; `tests` are codes by system and code."""

    products: tuple[ProductOrder, ...] = ()
    tests: frozenset[tuple[str | None, str | None]] = frozenset()


def read_draft_orders(bundle: Raw, protocol: Protocol, form: OrderForm) -> DraftOrders:
    """The draft orders of a hook's context. Raises DataError if they are no bundle."""
    units = open_bundles([bytes(bundle)]).units
    medications = dict(_medications(units))
    found = (_read_order(unit, protocol, form, medications) for unit in units if unit.type == "MedicationRequest")
    return DraftOrders(tuple(one for one in found if one is not None), frozenset(_tests(units)))


def _medications(units: list[Unit]) -> Iterator[tuple[str, CodeableConcept]]:
    for unit in units:
        read = decode_tolerantly(Medication, unit.content) if unit.type == "Medication" else None
        if read is not None and read[0].code is not None:
            yield f"Medication/{unit.id}", read[0].code
            yield unit.full_url or "", read[0].code


def _tests(units: list[Unit]) -> Iterator[tuple[str | None, str | None]]:
    for unit in units:
        read = decode_tolerantly(_TestOrder, unit.content) if unit.type == "ServiceRequest" else None
        if read is not None and read[0].code is not None:
            yield from ((one.system, one.code) for one in read[0].code.coding)


def _read_order(
    unit: Unit, protocol: Protocol, form: OrderForm, medications: Mapping[str, CodeableConcept]
) -> ProductOrder | None:
    read = decode_tolerantly(_MedicationOrder, unit.content)
    if read is None or read[0].do_not_perform:
        return None
    order, damaged = read
    concepts = list(_concepts(order, medications))
    by_code = any(is_same_code(code, product) for one in concepts for code in codings(one)
                  for product in protocol.product_codes)  # fmt: skip
    if not by_code and not _is_named(concepts, form):
        return None
    doses = [one.dose_quantity for line in order.dosage_instruction for one in line.dose_and_rate]
    amounts = [_amount(one, form) for one in doses]
    timings = [line.timing for line in order.dosage_instruction if line.timing is not None]
    starts = [parse_time(text) for one in timings for text in _starts(one)]
    repeats = [one.repeat for one in timings if one.repeat is not None]
    is_damaged = any(path.startswith("$.dosageInstruction") for path in damaged)
    return ProductOrder(
        reference=unit.reference,
        by_words=not by_code,
        amounts=tuple(one for one in amounts if one is not None),
        starts=tuple(one for one in starts if one is not None),
        count=next((one.count for one in repeats if one.count is not None), None),
        interval_hours=next((hours for one in repeats if (hours := _interval(one)) is not None), None),
        is_dose_read=bool(amounts) and None not in amounts and not is_damaged,
        is_timing_read=bool(starts or repeats) and None not in starts and not is_damaged,
    )


def _concepts(order: _MedicationOrder, medications: Mapping[str, CodeableConcept]) -> Iterator[CodeableConcept]:
    """What the order names: a concept, a medication beside it or inside it, or the words of the reference."""
    if order.medication_codeable_concept is not None:
        yield order.medication_codeable_concept
    target = order.medication_reference
    if target is None:
        return
    if target.display:
        yield CodeableConcept(text=target.display)
    if target.reference is not None and target.reference in medications:
        yield medications[target.reference]
    for inner in order.contained:
        head, read = decode_tolerantly(Head, inner), decode_tolerantly(Medication, inner)
        if head is not None and read is not None and target.reference == f"#{head[0].id}" and read[0].code is not None:
            yield read[0].code


def _is_named(concepts: list[CodeableConcept], form: OrderForm) -> bool:
    texts = [text.lower() for one in concepts for text in (one.text, *(code.display for code in one.coding)) if text]
    return any(re.search(word, text) for word in form.words for text in texts)


def _amount(dose: Quantity | None, form: OrderForm) -> Amount | None:
    """A dose in cells; None if it is no exact number in a unit of cells."""
    if dose is None or dose.value is None or not dose.value.is_finite() or dose.comparator is not None:
        return None
    unit = form.units.get(dose.code or "") or form.units.get(dose.unit or "")
    if unit is None or dose.value <= 0:
        return None
    return Amount(EXACT.multiply(dose.value, unit.cells), unit.per_kg, f"{dose.value:f} {dose.unit or dose.code}")


def _starts(timing: _Timing) -> Iterator[str]:
    yield from timing.event
    bounds = timing.repeat.bounds_period if timing.repeat is not None else None
    if not timing.event and bounds is not None and bounds.start:
        yield bounds.start


def _interval(repeat: _Repeat) -> Decimal | None:
    hours = _HOURS.get(repeat.period_unit or "")
    if hours is None or repeat.period is None or not repeat.period.is_finite():
        return None
    return EXACT.divide(EXACT.multiply(repeat.period, hours), Decimal(max(repeat.frequency or 1, 1)))
