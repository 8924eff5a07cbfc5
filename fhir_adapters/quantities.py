"""FHIR quantities, ranges and reference ranges as intervals in the canonical unit, or the reason why not."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from fhir_adapters.datatypes import Number, Quantity, Range
from fhir_adapters.resources import ReferenceRange
from mscprotocol.codes import CodeSystem, find_system
from mscprotocol.data_dictionary import Measurement
from mscprotocol.interval import Interval, exactly, plain
from mscprotocol.knowledge import KnowledgeBase
from mscprotocol.reasons import Reason
from mscprotocol.units import convert, find_unit, is_accepted, is_plausible, is_readable, is_unitless

_ASSAY = re.compile(r"\{(FEU|DDU)\}")
# `9-12`, `<0.5`, `<= 0.5 mg/L`: what follows the number must be a unit, or nothing is read.
_LIMIT = re.compile(
    r"(?:[0-9]+(?:\.[0-9]+)?\s*[-–]\s*|(?:<=?|≤)\s*)([0-9]+(?:\.[0-9]+)?)\s*([^\s0-9<>≤≥,;-][^<>≤≥,;]*)?"
)
_LONGEST_LIMIT = 60
_WRITTEN = re.compile(r"(<=|>=|<|>)? ?(-?[0-9]{1,20}(?:\.[0-9]{1,20})?)(?:(?: |(?=[^\s0-9.,]))(\S.*))?")
# Room air holds 20.9 % oxygen, and both 0.209 and 0.21 are charted for it.
_ROOM_AIR = Decimal("0.21")


@dataclass(frozen=True, slots=True)
class Reading:
    """A value as it was understood, or the problem with it; `as_received` is what the sender wrote."""

    as_received: str
    value: Interval | None = None
    answer: str | None = None
    native_unit: str = ""
    problem: Reason | None = None

    @property
    def assay(self) -> str | None:
        """What the unit says was weighed, as for D-dimer."""
        found = _ASSAY.search(self.native_unit)
        return found[1] if found else None


def read_quantity(knowledge: KnowledgeBase, definition: Measurement, quantity: Quantity) -> Reading:
    """A quantity in the canonical unit of a datum."""
    received = write_quantity(quantity)
    if quantity.value is None:
        return Reading(received, problem=Reason.MISSING)
    value = Decimal(quantity.value)
    if not is_readable(value):
        return Reading(received, problem=Reason.IMPLAUSIBLE)
    unit = _unit_of(knowledge, definition, quantity, value)
    if isinstance(unit, Reason):
        return Reading(received, problem=unit)
    span = _censored(value, quantity.comparator)
    if span is None:
        return Reading(received, native_unit=unit, problem=Reason.NEEDS_REVIEW)
    return settle(definition, convert(definition, span, unit), received, unit)


def read_range(knowledge: KnowledgeBase, definition: Measurement, given: Range) -> Reading:
    """A value that was given as a range."""
    ends = [None if end is None else read_quantity(knowledge, definition, end) for end in (given.low, given.high)]
    received = " to ".join("" if end is None else end.as_received for end in ends)
    known = [end for end in ends if end is not None]
    problem = next((end.problem for end in known if end.problem is not None), None)
    if problem is not None or not known:
        return Reading(received, problem=problem or Reason.MISSING)
    low, high = (None if end is None or end.value is None else end.value.exact for end in ends)
    if len(known) > sum(end is not None for end in (low, high)) or (
        low is not None and high is not None and low > high
    ):
        return Reading(received, problem=Reason.IMPLAUSIBLE)
    return settle(definition, Interval(low, high), received, known[0].native_unit)


def read_bare(definition: Measurement, value: Decimal, received: str) -> Reading:
    """A number that came without any place for a unit: it counts only where none is needed."""
    if not is_readable(value):
        return Reading(received, problem=Reason.IMPLAUSIBLE)
    unit: str | Reason = definition.unit if is_unitless(definition) else Reason.UNIT_UNKNOWN
    if definition.unitless_ranges:
        unit = find_unit(definition, None, value)
    if isinstance(unit, Reason):
        return Reading(received, problem=unit)
    return settle(definition, convert(definition, exactly(value), unit), received, unit)


def settle(definition: Measurement, value: Interval, received: str, unit: str) -> Reading:
    """A converted value, if it can be true at all."""
    if not is_plausible(definition, value):
        return Reading(received, native_unit=unit, problem=Reason.IMPLAUSIBLE)
    if definition.unitless_ranges and value.exact is not None and value.exact < _ROOM_AIR:
        value = exactly(_ROOM_AIR)
    return Reading(received, value, native_unit=unit)


def unit_of_bare(definition: Measurement) -> str | None:
    """The unit of a number written without one: none where its size tells the unit, or where it needs one."""
    return "1" if is_unitless(definition) and not definition.unitless_ranges else None


def split_quantity(text: str) -> tuple[str | None, Decimal, str | None] | None:
    """The comparator, number and unit of a quantity as people write it, `<0.5 mg/L`; None for other text."""
    match = _WRITTEN.fullmatch(text.strip())
    return None if match is None else (match[1], Decimal(match[2]), match[3])


def write_quantity(quantity: Quantity) -> str:
    """A quantity as it was written."""
    unit = quantity.unit or quantity.code or ""
    number = "" if quantity.value is None else write_number(quantity.value)
    return f"{quantity.comparator or ''}{number} {unit}".strip()


def write_number(value: Decimal) -> str:
    """A number as people write it, unless it is too long to be one."""
    return plain(value) if is_readable(value) else "a number that cannot be read"


def find_spelling(knowledge: KnowledgeBase, definition: Measurement, text: str | None) -> str | None:
    """The accepted unit that a spelling means, if any."""
    spelling = (text or "").strip()
    if not spelling:
        return None
    return next(
        (unit for unit in (spelling, knowledge.unit_aliases.get(spelling, "")) if _fits(definition, unit)), None
    )


def _fits(definition: Measurement, unit: str) -> bool:
    return bool(unit) and is_accepted(definition, unit)


def _unit_of(knowledge: KnowledgeBase, definition: Measurement, quantity: Quantity, value: Decimal) -> str | Reason:
    """The unit by the code if that is UCUM, else by the words; words that say otherwise leave it open."""
    is_ucum = not quantity.system or find_system(quantity.system) is CodeSystem.UCUM
    code = (quantity.code or "").strip() if is_ucum else ""
    by_words = find_spelling(knowledge, definition, quantity.unit)
    if not code:
        return by_words or find_unit(definition, (quantity.unit or "").strip() or None, value)
    by_code = find_spelling(knowledge, definition, code)
    if by_code is None:
        return Reason.UNIT_UNKNOWN
    if by_words is not None and _differ(definition, by_code, by_words):
        return Reason.UNIT_AMBIGUOUS
    return by_code


def _differ(definition: Measurement, one: str, other: str) -> bool:
    if one == other:
        return False
    probe = [convert(definition, exactly(number), unit) for unit in (one, other) for number in (0, 1)]
    return probe[:2] != probe[2:] or _ASSAY.findall(one) != _ASSAY.findall(other)


def _censored(value: Decimal, comparator: str | None) -> Interval | None:
    match comparator:
        case None | "":
            return exactly(value)
        case "<" | "<=":
            return Interval(None, value, False, comparator == "<")
        case ">" | ">=":
            return Interval(value, None, comparator == ">", False)
        case _:
            return None


# -- the upper limit of normal ---------------------------------------------------------------------


def read_upper_limit(
    knowledge: KnowledgeBase, definition: Measurement, ranges: Sequence[ReferenceRange], unit: str
) -> Interval | str | None:
    """The upper limit of normal of a report, None if it gives none, or a text that says why it cannot be read."""
    found = {limit for given in ranges if (limit := _limit(knowledge, definition, given, unit)) is not None}
    if not found:
        return "the reference range cannot be read" if ranges else None
    return exactly(found.pop()) if len(found) == 1 else "several reference ranges differ"


def _limit(knowledge: KnowledgeBase, definition: Measurement, given: ReferenceRange, unit: str) -> Decimal | None:
    if not _is_normal(given):
        return None
    for end in (given.high, given.low):
        if end is not None and (end is given.high or end.comparator in ("<", "<=")):
            return _in_canonical(knowledge, definition, end, unit)
    text = (given.text or "").strip()
    match = _LIMIT.fullmatch(text) if len(text) <= _LONGEST_LIMIT else None
    if match is None:
        return None
    return _in_canonical(knowledge, definition, Quantity(value=Number(match[1]), unit=match[2]), unit)


def _in_canonical(knowledge: KnowledgeBase, definition: Measurement, limit: Quantity, unit: str) -> Decimal | None:
    """A limit above zero, in its own unit or that of the value; of another assay it is none."""
    value = limit.value
    if value is None or not is_readable(value) or value <= 0 or limit.comparator not in (None, "", "<", "<="):
        return None
    own = _unit_of(knowledge, definition, limit, value) if limit.unit or limit.code else unit
    if isinstance(own, Reason):
        return None
    assays = {found for spelled in (own, unit) for found in _ASSAY.findall(spelled)}
    return None if len(assays) > 1 else convert(definition, exactly(Decimal(value)), own).exact


def _is_normal(given: ReferenceRange) -> bool:
    """Whether a range is that of normal values, as it is unless it says otherwise."""
    codes = {coding.code for coding in given.type.coding if coding.code} if given.type else set()
    return not codes or "normal" in codes
