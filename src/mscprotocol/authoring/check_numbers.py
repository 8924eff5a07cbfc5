"""Checks of numbers: each has one mark and a source, and a unit that exists; quotes are the paper's own words."""

from __future__ import annotations

import re
from collections.abc import Iterator

from mscprotocol.authoring.entries import Entry, Place, RuleFolder, walk
from mscprotocol.authoring.numbers import numbers_of
from mscprotocol.authoring.problems import Problem, problem
from mscprotocol.authoring.ucum import is_unit
from mscprotocol.data_dictionary import Measurement
from mscprotocol.knowledge_forms import Quantity, SourceRef
from mscprotocol.units import is_accepted


def check_marks(rules: RuleFolder) -> Iterator[Problem]:
    """Numbers of which it is not clear how far they were checked."""
    for entry in rules.entries.values():
        for number in numbers_of(rules.knowledge, entry):
            if not number.sources:
                yield problem(entry, number.place, f"{number.words!r} has no source", "name its sources")
            elif len(number.marks) > 1:
                marks = ", ".join(number.marks)
                yield problem(entry, number.place, f"{number.words!r} is marked {marks}", "give it a source of its own")


def check_units(rules: RuleFolder) -> Iterator[Problem]:
    """Units that no one could convert: not UCUM, or an alias of what no datum accepts."""
    for entry in rules.entries.values():
        for place, unit in _units(entry):
            if not is_unit(unit):
                yield problem(entry, place, f"{unit!r} is no unit of UCUM", "write the unit as UCUM does")
        if isinstance(entry.value, Measurement) and entry.value.units and entry.value.unit not in entry.value.units:
            yield problem(entry, ("unit",), f"its own unit {entry.value.unit!r} is not accepted", "list it under units")
    accepted = rules.knowledge.measurements.values()
    for alias, unit in rules.knowledge.unit_aliases.items():
        if not any(is_accepted(datum, unit) for datum in accepted):
            file, line = rules.knowledge.lines[alias]
            yield Problem(file, line, alias, f"stands for {unit!r}, which no datum accepts", "mend or remove it")


def _units(entry: Entry) -> Iterator[tuple[Place, str]]:
    for place, value in walk(entry.value):
        if isinstance(value, Quantity):
            yield place, value.unit
        elif isinstance(value, Measurement):
            yield from ((("unit",), unit) for unit in dict.fromkeys((value.unit, *value.units)))


# -- the paper ------------------------------------------------------------------------------------


def quotes_of(rules: RuleFolder) -> Iterator[tuple[Entry, Place, SourceRef]]:
    """Every place that quotes the paper."""
    for entry in rules.entries.values():
        for place, value in walk(entry.value):
            if isinstance(value, SourceRef) and value.mark == "paper":
                yield entry, place, value


def check_quotes(rules: RuleFolder, paper: str) -> Iterator[Problem]:
    """Quotes that the paper does not contain, word for word; line breaks and runs of spaces do not count."""
    text = _one_line(paper)
    for entry, place, source in quotes_of(rules):
        if _one_line(source.quote or "") not in text:
            yield problem(entry, place, f"the paper does not say {source.quote!r}", "quote it as it is printed")


def _one_line(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()
