"""The fields of the screening form, generated from what a protocol's rules read: nothing clinical is written here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from fhir_adapters.requirements import conditions_of, criteria_of_lot, leaves_of, measurements_of
from mscprotocol.data_dictionary import Condition, Measurement
from mscprotocol.knowledge import KnowledgeBase
from mscprotocol.knowledge_forms import ChangeLeaf, MeasurementLeaf
from mscprotocol.places import find_folder
from mscprotocol.rulebook import Rulebook
from mscprotocol.units import is_unitless
from mscprotocol.yaml_files import read_yaml

_REST = "Further data"
_REST_OF_CONDITIONS = "Further conditions"


@dataclass(frozen=True)
class DatumField:
    """A datum to be entered: a number with one of its units, an answer of a list, or a time."""

    name: str
    text: str
    kind: str
    units: tuple[str, ...] = ()
    default_unit: str = ""
    answers: tuple[tuple[str, str], ...] = ()
    assays: tuple[str, ...] = ()
    needs_upper_limit: bool = False
    over_period: bool = False
    is_asked: bool = True


@dataclass(frozen=True)
class ConditionField:
    """Something that is present or absent. A state of the moment is only answered; a disease also has dates."""

    name: str
    text: str
    has_dates: bool


@dataclass(frozen=True)
class Panel:
    """Fields that belong together; those that the protocol itself asks for come first."""

    id: str
    title: str
    data: tuple[DatumField, ...] = ()
    conditions: tuple[ConditionField, ...] = ()

    @property
    def asked(self) -> list[DatumField]:
        """The data that a rule of the protocol compares."""
        return [one for one in self.data if one.is_asked]

    @property
    def further(self) -> list[DatumField]:
        """The data that only scores, scales and the trend read."""
        return [one for one in self.data if not one.is_asked]


@dataclass(frozen=True)
class ScreeningForm:
    """All fields of a protocol's form."""

    panels: tuple[Panel, ...]
    criteria: tuple[ConditionField, ...]
    lot: tuple[DatumField, ...]

    @property
    def data(self) -> Iterator[DatumField]:
        """Every datum of the patient."""
        for panel in self.panels:
            yield from panel.data

    @property
    def conditions(self) -> Iterator[ConditionField]:
        """Everything that is present or absent."""
        for panel in self.panels:
            yield from panel.conditions


def build_form(book: Rulebook) -> ScreeningForm:
    """The form of a protocol; computed once for each compiled rulebook."""
    return book.once("screening form", lambda: _build(book))


def _build(book: Rulebook) -> ScreeningForm:
    asked = set(_asked(book))
    received = measurements_of(book) | dict(_bedside(book))
    data = {name: _datum(name, one, name in asked) for name, one in received.items() if one.about == "patient"}
    conditions = {name: _condition(name, one) for name, one in conditions_of(book).items()}
    return ScreeningForm(
        panels=tuple(_panels(data, conditions)),
        criteria=tuple(ConditionField(name, one.text, False) for name, one in book.criteria if one.attestable),
        lot=tuple(_datum(name, one, True) for name, one in received.items() if one.about == "product")
        if any(criteria_of_lot(book))
        else (),
    )


def _bedside(book: Rulebook) -> Iterator[tuple[str, Measurement]]:
    """What a person at the bedside can say although no public code carries it."""
    for name, one in book.knowledge.measurements.items():
        if one.bedside and one.about == "patient" and one.kind != "derived":
            yield name, one


def _asked(book: Rulebook) -> Iterator[str]:
    """The data that rules of the protocol compare, down to what is measured."""
    for leaf in leaves_of(book):
        if isinstance(leaf, MeasurementLeaf) and id(leaf) in {id(one) for one in book.leaves.values()}:
            yield from _parts(book.knowledge, leaf.measurement)
        elif isinstance(leaf, ChangeLeaf):
            yield from _parts(book.knowledge, leaf.change)
    yield from _parts(book.knowledge, book.weight_datum)


def _parts(knowledge: KnowledgeBase, name: str) -> Iterator[str]:
    made_of = knowledge.measurements[name].made_of
    if not made_of:
        yield name
    for part in made_of:
        yield from _parts(knowledge, part)


def _panels(data: Mapping[str, DatumField], conditions: Mapping[str, ConditionField]) -> Iterator[Panel]:
    placed: set[str] = set()
    for number, (title, names, findings) in enumerate(_layout()):
        placed |= {*names, *findings}
        found = tuple(data[name] for name in names if name in data)
        stated = tuple(conditions[name] for name in findings if name in conditions)
        if found or stated:
            yield Panel(f"panel-{number}", title, found, stated)
    rest = tuple(one for name, one in data.items() if name not in placed)
    if rest:
        yield Panel("panel-data", _REST, rest)
    more = tuple(one for name, one in conditions.items() if name not in placed)
    if more:
        yield Panel("panel-conditions", _REST_OF_CONDITIONS, (), more)


@lru_cache(maxsize=1)
def _layout() -> tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...]:
    text = (find_folder("templates") / "pages" / "panels.yaml").read_text(encoding="utf-8")
    found = read_yaml(f"panels:\n{text}")["panels"]
    return tuple((one["title"], tuple(one.get("data", ())), tuple(one.get("conditions", ()))) for one in found)


def _datum(name: str, one: Measurement, is_asked: bool) -> DatumField:
    answers = one.levels or tuple(one.answers)
    assays = tuple(sorted({coded.assay for coded in one.codes if coded.assay}))
    units = () if one.kind in ("coded", "ordinal", "time") else _units(one)
    return DatumField(
        name,
        one.text,
        one.kind,
        units=units,
        # A unit of another assay is another number, and a bare number that its size tells apart needs none.
        default_unit="" if assays or one.unitless_ranges or not units else units[0],
        answers=tuple((answer, answer.replace("_", " ")) for answer in answers),
        assays=assays,
        needs_upper_limit=one.upper_limit,
        over_period=one.over_period,
        is_asked=is_asked,
    )


def _units(one: Measurement) -> tuple[str, ...]:
    """The units to choose from, the canonical one first; what differs in an annotation alone is listed once."""
    others = [unit for unit in one.units if "{" not in unit and not (unit == "1" and is_unitless(one))]
    return tuple(dict.fromkeys((one.unit, *others)))


def _condition(name: str, one: Condition) -> ConditionField:
    return ConditionField(name, one.text, one.kind != "attestation")
