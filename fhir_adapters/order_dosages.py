"""The dosage of an order for the product: dose in cells, times and route, and what of them is not clear."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import ROUND_FLOOR, Decimal

from fhir_adapters.datatypes import CodeableConcept, Coding, Element, Number, Period, Quantity
from fhir_adapters.dictionary import codings, text_of
from fhir_adapters.times import parse_time
from mscprotocol.codes import CodeSystem, find_system, is_same_code
from mscprotocol.interval import EXACT, plain
from mscprotocol.protocols import OrderForm, OrderRoute
from mscprotocol.timespan import TimeSpan
from mscprotocol.units import is_readable

# Months and years have no length that could be compared.
_MINUTES = {"min": Decimal(1), "h": Decimal(60), "d": Decimal(1440), "wk": Decimal(10080)}
_MOST_INFUSIONS = 1000
NO_DOSE, NO_ROUTE = "a dose in cells", "a route"
NO_START, NO_INTERVAL, NO_END = "a start", "an interval", "a number of infusions"


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


class DosageLine(Element, frozen=True):
    """One line of the dosage of an order, as far as it is read: see `order_elements`."""

    timing: _Timing | None = None
    route: CodeableConcept | None = None
    dose_and_rate: tuple[_DoseAndRate, ...] = ()


@dataclass(frozen=True)
class Amount:
    """An ordered dose in cells, and as it was written."""

    cells: Decimal
    is_per_kg: bool
    text: str


@dataclass(frozen=True)
class Spacing:
    """The ordered time from one infusion to the next, and as it was written."""

    hours: Decimal
    text: str


@dataclass(frozen=True)
class OrderedRoute:
    """An ordered route; `name` is None if not all of its codes and words are known to mean the same one."""

    name: str | None
    text: str


@dataclass(frozen=True)
class Dosage:
    """What one or several lines order. `unclear` names what they do not state in a form that is read."""

    amounts: tuple[Amount, ...] = ()
    routes: tuple[OrderedRoute, ...] = ()
    starts: tuple[TimeSpan, ...] = ()
    spacings: tuple[Spacing, ...] = ()
    count: int | None = None
    unclear: tuple[str, ...] = ()


def read_dosage(lines: Iterable[DosageLine], form: OrderForm) -> Dosage:
    """The lines of an order together; how several follow one another is never clear."""
    read = [_read_line(one, form) for one in lines] or [_read_line(DosageLine(), form)]
    counts = [one.count for one in read if one.count is not None]
    together = ("how its dosage lines follow one another",) if len(read) > 1 else ()
    return Dosage(
        amounts=tuple(amount for one in read for amount in one.amounts),
        routes=tuple(route for one in read for route in one.routes),
        starts=tuple(start for one in read for start in one.starts),
        spacings=tuple(spacing for one in read for spacing in one.spacings),
        count=sum(counts) if counts else None,
        unclear=tuple(dict.fromkeys((*(text for one in read for text in one.unclear), *together))),
    )


def _read_line(line: DosageLine, form: OrderForm) -> Dosage:
    amounts = [_amount(one.dose_quantity, form) for one in line.dose_and_rate]
    known = tuple(one for one in amounts if one is not None)
    route = None if line.route is None else OrderedRoute(_route(line.route, form), text_of(line.route))
    times = _read_events(line.timing) if line.timing and line.timing.event else _read_repeat(line.timing)
    unclear = (*([] if len(known) == len(amounts) == 1 else [NO_DOSE]), *times.unclear, *([] if route else [NO_ROUTE]))
    return replace(times, amounts=known, routes=(route,) if route else (), unclear=unclear)


# -- dose --------------------------------------------------------------------------------------------


def _amount(dose: Quantity | None, form: OrderForm) -> Amount | None:
    """A dose in cells; None if it is no exact number in a unit of cells, by its code and by its text."""
    if dose is None or dose.value is None or not is_readable(dose.value) or dose.comparator is not None:
        return None
    if (dose.system or dose.code) and find_system(dose.system) is not CodeSystem.UCUM:
        return None
    units = [form.units.get(text.strip()) for text in (dose.code, dose.unit) if text]
    unit = units[0] if units else None
    if unit is None or dose.value <= 0 or any(one != unit for one in units):
        return None
    return Amount(EXACT.multiply(dose.value, unit.cells), unit.per_kg, f"{dose.value:f} {dose.unit or dose.code}")


# -- route -------------------------------------------------------------------------------------------


def _route(concept: CodeableConcept, form: OrderForm) -> str | None:
    return next((name for name, route in form.routes.items() if _is_route(concept, route)), None)


def _is_route(concept: CodeableConcept, route: OrderRoute) -> bool:
    """Whether every code and all words of a concept mean a route."""
    parts = [_is_route_code(one, route) for one in concept.coding]
    parts += [_are_route_words(concept.text, route)] if concept.text else []
    return bool(parts) and all(parts)


def _is_route_code(coding: Coding, route: OrderRoute) -> bool:
    """A code of a system that is known counts by itself, another one by its words; words must never say otherwise."""
    (code,) = codings(CodeableConcept(coding=(coding,))) or (None,)
    if code is None or code.system is CodeSystem.LOCAL:
        return _are_route_words(coding.display or coding.code or "", route)
    is_known = any(is_same_code(code, one) for one in route.codes)
    return is_known and (not coding.display or _are_route_words(coding.display, route))


def _are_route_words(text: str, route: OrderRoute) -> bool:
    return any(re.fullmatch(words, text.strip().lower()) for words in route.words)


# -- times -------------------------------------------------------------------------------------------


def _read_events(timing: _Timing) -> Dosage:
    """Instants stand for themselves: a repetition beside them leaves both unclear."""
    starts = [parse_time(text) for text in timing.event]
    known = tuple(one for one in starts if one is not None)
    unclear = () if len(known) == len(starts) else (NO_START,)
    both = () if timing.repeat is None else ("how its instants and its repetition go together",)
    return Dosage(starts=known, count=len(starts), unclear=(*unclear, *both))


def _read_repeat(timing: _Timing | None) -> Dosage:
    repeat = (timing.repeat if timing else None) or _Repeat()
    bounds = repeat.bounds_period or Period()
    start, spacing = parse_time(bounds.start), _spacing(repeat)
    count = _count(repeat, start, parse_time(bounds.end), spacing)
    known = {NO_START: start, NO_INTERVAL: spacing or count == 1, NO_END: count}
    return Dosage(
        starts=(start,) if start else (),
        spacings=(spacing,) if spacing else (),
        count=count or repeat.count,
        unclear=tuple(name for name, value in known.items() if not value),
    )


def _spacing(repeat: _Repeat) -> Spacing | None:
    """The time between infusions. Several in a period count as spread evenly, and the order as not wholly read."""
    minutes, times = _MINUTES.get(repeat.period_unit or ""), repeat.frequency or 1
    if minutes is None or repeat.period is None or not is_readable(repeat.period) or repeat.period <= 0 or times < 1:
        return None
    often = f"{times} times in " if times > 1 else "every "
    text = f"{often}{plain(repeat.period)} {repeat.period_unit}"
    return Spacing(EXACT.divide(EXACT.multiply(repeat.period, minutes), Decimal(60 * times)), text)


def _count(repeat: _Repeat, start: TimeSpan | None, end: TimeSpan | None, spacing: Spacing | None) -> int | None:
    """How many infusions, by number or by the end of the repetition; None if it states neither, or two."""
    found = set()
    if repeat.count is not None:
        found.add(repeat.count if 0 < repeat.count <= _MOST_INFUSIONS else None)
    if repeat.bounds_period is not None and repeat.bounds_period.end is not None:
        found.add(None if start is None or end is None or spacing is None else _until(start, end, spacing))
    return found.pop() if len(found) == 1 else None


def _until(start: TimeSpan, end: TimeSpan, spacing: Spacing) -> int | None:
    """The most infusions from a start to an end."""
    length = Decimal((end.latest - start.earliest) // timedelta(seconds=1))
    steps = EXACT.divide(length, EXACT.multiply(spacing.hours, Decimal(3600))).to_integral_value(ROUND_FLOOR)
    return int(steps) + 1 if 0 <= steps < _MOST_INFUSIONS else None
