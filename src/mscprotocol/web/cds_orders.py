"""An order for the product against an answer: dose against cap and plan, times against schedule, route, subject."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal

from fhir_adapters.draft_orders import ProductOrder
from fhir_adapters.order_dosages import Amount, Dosage
from mscprotocol.answer import Assessment, ScheduleRow
from mscprotocol.interval import EXACT, plain
from mscprotocol.knowledge import KnowledgeBase
from mscprotocol.protocols import Protocol

_OPEN = ("proposed", "conditional")
_MILLION = Decimal(1_000_000)
_MOST_PATHS = 20


def check_order(order: ProductOrder, answer: Assessment, knowledge: KnowledgeBase, together: int = 1) -> list[str]:
    """Every way in which an order differs from what an answer holds, and what could not be compared.

    It is empty only if dose, times, route and subject were all read and agree. `together` is how many orders for the
    product are signed at once.
    """
    protocol = knowledge.protocols[answer.protocol.id]
    return [
        *_as_a_whole(order, together),
        *_standing(answer),
        *_dose(order.dosage, answer, protocol, knowledge),
        *_route(order.dosage, protocol),
        *_times(order.dosage, answer, protocol),
    ]


def _as_a_whole(order: ProductOrder, together: int) -> Iterator[str]:
    if order.by_words:
        yield "The product was recognised by its words, not by a product code."
    if not order.is_for_patient:
        yield "The subject of the order cannot be read as the patient of this call."
    if together > 1:
        yield f"{together} orders for the product are signed together: each was compared by itself, not their sum."
    if order.dosage.unclear:
        yield f"Not stated in a form that is read, and so not compared: {', '.join(order.dosage.unclear)}."
    if order.unread:
        more = f" and {len(order.unread) - _MOST_PATHS} more" if len(order.unread) > _MOST_PATHS else ""
        yield f"Elements that are not read, and so not compared: {', '.join(order.unread[:_MOST_PATHS])}{more}."


def _standing(answer: Assessment) -> Iterator[str]:
    if answer.verdict != "eligible":
        yield f"The verdict is {answer.verdict}."
    if answer.dose.status != "planned":
        yield from [f"No dose is planned: {answer.dose.status}.", *answer.dose.because]


# -- dose --------------------------------------------------------------------------------------------


def _dose(order: Dosage, answer: Assessment, protocol: Protocol, knowledge: KnowledgeBase) -> Iterator[str]:
    ceiling = knowledge.practices[protocol.practice].ceiling
    most = EXACT.multiply(ceiling.value.value, _MILLION)
    for amount in order.amounts:
        per_kg, total = _both(amount, answer)
        if per_kg is None:
            yield f"Ordered {amount.text}: without a usable weight the cap per kilogram was not checked."
        elif per_kg > most:
            yield f"Ordered {amount.text}, above the cap of {plain(most)} cells/kg [{ceiling.mark}]."
        yield from _over_total(amount, total, protocol)
        yield from _differs(amount, per_kg, total, answer)


def _both(amount: Amount, answer: Assessment) -> tuple[Decimal | None, Decimal | None]:
    """An ordered dose per kilogram and in all, as far as the weight is known."""
    weight = None if answer.dose.weight_kg is None else Decimal(answer.dose.weight_kg)
    if amount.is_per_kg:
        return amount.cells, None if weight is None else EXACT.multiply(amount.cells, weight)
    return None if not weight else EXACT.divide(amount.cells, weight), amount.cells


def _over_total(amount: Amount, total: Decimal | None, protocol: Protocol) -> Iterator[str]:
    limit = protocol.dose.max_cells
    if limit is not None and total is not None and total > EXACT.multiply(limit.value.value, _MILLION):
        yield f"Ordered {amount.text}, above the largest number of cells, {limit.value} [{limit.mark}]."


def _differs(amount: Amount, per_kg: Decimal | None, total: Decimal | None, answer: Assessment) -> Iterator[str]:
    """The planned dose is compared as it was ordered: per kilogram, or in all."""
    planned = answer.dose.cells_per_kg if amount.is_per_kg else answer.dose.cells
    ordered = per_kg if amount.is_per_kg else total
    if planned is None or ordered is None:
        yield f"Ordered {amount.text}: no dose is planned in that form, so they were not compared."
        return
    if ordered == Decimal(planned):
        return
    side = "above" if ordered > Decimal(planned) else "below"
    yield f"Ordered {amount.text}, {side} the planned {planned} cells{'/kg' if amount.is_per_kg else ''}."


# -- route and schedule ------------------------------------------------------------------------------


def _route(order: Dosage, protocol: Protocol) -> Iterator[str]:
    for route in order.routes:
        if route.name != protocol.route:
            said = route.text or "without words"
            yield f"The ordered route ({said}) is not read as {protocol.route}: any other is blocked."


def _times(order: Dosage, answer: Assessment, protocol: Protocol) -> Iterator[str]:
    yield from _first_start(order, answer)
    rows = [row for row in answer.schedule if row.status in _OPEN]
    count = max(order.count or 0, len(order.starts))
    if count > len(rows):
        yield f"{count} infusions are ordered; {len(rows)} are open in the schedule."
    for start, row in zip(sorted(order.starts, key=lambda one: one.earliest), rows, strict=False):
        if not (_instant(row.earliest) <= start.earliest and start.latest <= _instant(row.latest)):
            yield f"Infusion {row.infusion} is ordered outside its window, {_window(row)}."
    yield from _interval(order, protocol)


def _first_start(order: Dosage, answer: Assessment) -> Iterator[str]:
    """A start that this answer does not cover."""
    first = min(order.starts, key=lambda one: one.earliest, default=None)
    if first is None:
        return
    if first.earliest < _instant(answer.at):
        yield "The ordered start lies before this check."
    if answer.valid_until is not None and first.latest > _instant(answer.valid_until):
        yield f"The ordered start lies after this answer expires, {answer.valid_until}: assess again."


def _interval(order: Dosage, protocol: Protocol) -> Iterator[str]:
    first, last = protocol.schedule.earliest, protocol.schedule.latest
    if first is None or last is None:
        return
    for spacing in order.spacings:
        if not first.value.value <= spacing.hours <= last.value.value:
            yield f"Ordered {spacing.text}; the schedule has {first.value} to {last.value} between starts."


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _window(row: ScheduleRow) -> str:
    return f"{row.earliest} to {row.latest}"
