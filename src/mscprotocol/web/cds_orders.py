"""An order for the product against an answer: dose against cap and planned dose, times against the schedule."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal

from fhir_adapters.draft_orders import Amount, ProductOrder
from mscprotocol.answer import Assessment, ScheduleRow
from mscprotocol.interval import EXACT, plain
from mscprotocol.knowledge import KnowledgeBase
from mscprotocol.protocols import Protocol

_OPEN = ("proposed", "conditional")
_MILLION = Decimal(1_000_000)


def check_order(order: ProductOrder, answer: Assessment, knowledge: KnowledgeBase) -> list[str]:
    """Every way in which an order differs from what an answer holds, and what could not be checked; empty if none."""
    protocol = knowledge.protocols[answer.protocol.id]
    found = []
    if order.by_words:
        found.append("The product was recognised by its words, not by a product code.")
    return [*found, *_standing(answer), *_dose(order, answer, protocol, knowledge), *_times(order, answer, protocol)]


def _standing(answer: Assessment) -> Iterator[str]:
    if answer.verdict != "eligible":
        yield f"The verdict is {answer.verdict}."
    if answer.dose.status != "planned":
        yield from [f"No dose is planned: {answer.dose.status}.", *answer.dose.because]


# -- dose --------------------------------------------------------------------------------------------


def _dose(order: ProductOrder, answer: Assessment, protocol: Protocol, knowledge: KnowledgeBase) -> Iterator[str]:
    if not order.is_dose_read:
        yield "The order states no dose in cells that can be read in full: the dose was not checked."
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
    if planned is None or ordered is None or ordered == Decimal(planned):
        return
    side = "above" if ordered > Decimal(planned) else "below"
    yield f"Ordered {amount.text}, {side} the planned {planned} cells{'/kg' if amount.is_per_kg else ''}."


# -- schedule ----------------------------------------------------------------------------------------


def _times(order: ProductOrder, answer: Assessment, protocol: Protocol) -> Iterator[str]:
    if not order.is_timing_read:
        yield "The order states no times that can be read in full: the schedule was not checked."
    yield from _first_start(order, answer)
    rows = [row for row in answer.schedule if row.status in _OPEN]
    count = max(order.count or 0, len(order.starts))
    if count > len(rows):
        yield f"{count} infusions are ordered; {len(rows)} are open in the schedule."
    for start, row in zip(sorted(order.starts, key=lambda one: one.earliest), rows, strict=False):
        if not (_instant(row.earliest) <= start.earliest and start.latest <= _instant(row.latest)):
            yield f"Infusion {row.infusion} is ordered outside its window, {_window(row)}."
    yield from _interval(order, protocol)


def _first_start(order: ProductOrder, answer: Assessment) -> Iterator[str]:
    """A start that this answer does not cover."""
    first = min(order.starts, key=lambda one: one.earliest, default=None)
    if first is None:
        return
    if first.earliest < _instant(answer.at):
        yield "The ordered start lies before this check."
    if answer.valid_until is not None and first.latest > _instant(answer.valid_until):
        yield f"The ordered start lies after this answer expires, {answer.valid_until}: assess again."


def _interval(order: ProductOrder, protocol: Protocol) -> Iterator[str]:
    first, last = protocol.schedule.earliest, protocol.schedule.latest
    hours = order.interval_hours
    if hours is None or first is None or last is None:
        return
    if not first.value.value <= hours <= last.value.value:
        yield f"Ordered every {plain(hours)} h; the schedule has {first.value} to {last.value} between starts."


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _window(row: ScheduleRow) -> str:
    return f"{row.earliest} to {row.latest}"
