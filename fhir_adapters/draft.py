"""A patient record while it is being collected: entries in any order, brought into one order at the end."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import groupby
from typing import TypeVar

from msgspec.structs import replace

from fhir_adapters.bundle import Item, PatientBundle
from fhir_adapters.datatypes import CodeableConcept, Reference
from fhir_adapters.dictionary import Dictionary, Source, unknown_names
from fhir_adapters.lots import Lot
from fhir_adapters.times import time_of
from mscprotocol.codes import Coding
from mscprotocol.knowledge import KnowledgeBase
from mscprotocol.reasons import Reason
from mscprotocol.record import Attestation, Entry, Infusion, Measurement, Presence, QualityNote, Unmapped
from mscprotocol.timespan import TimeSpan
from mscprotocol.truth import Truth
from mscprotocol.units import is_unusual

E = TypeVar("E", bound=Entry)
_LONGEST_NAME = 40
_NO_TIME = TimeSpan(datetime.min.replace(tzinfo=UTC), datetime.min.replace(tzinfo=UTC))


@dataclass(frozen=True, slots=True)
class Given:
    """An act that was done, with the products that it refers to: it may have given the product of a lot."""

    item: Item
    source: Source
    concept: CodeableConcept | None
    status: str | None
    start: TimeSpan | None
    end: TimeSpan | None
    products: tuple[Reference, ...] = ()


@dataclass(slots=True)
class Draft:
    """What was found so far, and what it is looked up in; the data of a lot wait until it is known which lot counts."""

    dictionary: Dictionary
    bundle: PatientBundle
    measurements: list[Measurement] = field(default_factory=list)
    lots: list[tuple[Lot, Measurement]] = field(default_factory=list)
    refused: list[Measurement] = field(default_factory=list)
    presences: list[Presence] = field(default_factory=list)
    attestations: list[Attestation] = field(default_factory=list)
    given: list[Given] = field(default_factory=list)
    infusions: list[Infusion] = field(default_factory=list)
    unmapped: list[Unmapped] = field(default_factory=list)
    notes: list[QualityNote] = field(default_factory=list)

    @property
    def knowledge(self) -> KnowledgeBase:
        return self.dictionary.knowledge

    def note(self, item: Item, text: str) -> None:
        self.notes.append(QualityNote(item.reference, text))

    def note_unknown_names(self, item: Item, concept: CodeableConcept | None) -> None:
        """Say which names of our own code system the rules do not have."""
        for name in unknown_names(self.knowledge, concept):
            self.note(item, f"the rules have nothing of that name: {shorten(name)}")

    def measure(self, item: Item, entry: Measurement) -> None:
        """Add a measurement; one with a problem of its own or of its resource carries no value, an odd one is noted."""
        checked = _without_value(item, entry)
        definition = self.knowledge.measurements[entry.name]
        if entry.problem is None and entry.value is not None and is_unusual(definition, entry.value):
            self.note(item, f"{definition.text}: unusual value")
        if item.lot is None:
            self.measurements.append(checked)
        else:
            self.lots.append((item.lot, checked))

    def refuse(self, item: Item, entry: Measurement) -> None:
        """Keep a look-alike, to be named where nothing else tells of its measurement."""
        self.refused.append(_without_value(item, entry))

    def state(self, item: Item, entry: Presence) -> None:
        """Add a presence; a resource that contradicts itself or is damaged leaves it open.

        If one version says yes, a denial contradicts that version: it does not settle which one holds.
        """
        problem = find_problem(item)
        if problem is not None:
            is_charted = entry.charted or (item.is_conflicting and entry.present is Truth.MET)
            entry = replace(entry, problem=problem, present=Truth.UNKNOWN, active=Truth.UNKNOWN, charted=is_charted)
        self.presences.append(entry)

    def attest(self, item: Item, entry: Attestation) -> None:
        """Add an attestation; one of a damaged form answers nothing."""
        problem = find_problem(item)
        if problem is not None:
            entry = replace(entry, problem=problem, answer=Truth.UNKNOWN)
        self.attestations.append(entry)

    def report_unmapped(self, item: Item, code: Coding, relevant: Iterable[str]) -> None:
        """Say that a code looks relevant to findings without being in the dictionary."""
        names = tuple(sorted(set(relevant)))
        if names:
            self.unmapped.append(Unmapped(item.reference, code, names, time_of(item.resource)))


def shorten(text: str) -> str:
    """A code as it came, if it can be shown."""
    return text if 0 < len(text) <= _LONGEST_NAME and text.isprintable() else "a code that cannot be shown"


def _without_value(item: Item, entry: Measurement) -> Measurement:
    problem = find_problem(item, entry.problem)
    return entry if problem is None else replace(entry, problem=problem, value=None, answer=None)


def find_problem(item: Item, own: Reason | None = None) -> Reason | None:
    """What is wrong with an entry: its resource contradicts itself, the entry has a problem, a part is damaged."""
    if item.is_conflicting:
        return Reason.CONFLICT
    return Reason.NEEDS_REVIEW if own in (None, Reason.MISSING) and item.damaged else own


# -- order -----------------------------------------------------------------------------------------


def by_name(entries: Sequence[E]) -> dict[str, tuple[E, ...]]:
    """Entries by name, each once, in an order that does not depend on how they came."""
    found: dict[str, list[E]] = {}
    for entry in in_order(entries):
        found.setdefault(entry.name, []).append(entry)
    return {name: tuple(same) for name, same in sorted(found.items())}


def in_order(entries: Iterable[E]) -> list[E]:
    """Entries by time and content; of those that say the same, the one with the smallest reference."""
    found: dict[object, E] = {}
    for _, same in groupby(sorted(entries, key=_order), key=_order):
        for entry in _by_text(list(same)):
            found.setdefault(_content(entry), entry)
    return list(found.values())


def _order(entry: Entry) -> tuple[str, TimeSpan, str]:
    return entry.name, entry.time or _NO_TIME, entry.reference


def _by_text(entries: list[E]) -> list[E]:
    """Several entries of one resource in the order of all that they say, which is slow to write out."""
    return entries if len(entries) == 1 else sorted(entries, key=repr)


def _content(entry: Entry) -> object:
    """What an entry says, whatever resource said it; in whose words only where they are all that is left of it."""
    code = None if entry.code is None else (entry.code.system, entry.code.code, entry.code.uri)
    words = None if entry.problem is None else entry.as_received
    said: tuple[object, ...] = (type(entry), entry.name, entry.time, code, entry.problem, words, entry.attested_by)
    match entry:
        case Measurement():
            number = (entry.value, entry.answer, entry.native_unit)
            return (*said, *number, entry.upper_limit, entry.assay, entry.flags)
        case Presence():
            return (*said, entry.present, entry.active, entry.ended, entry.recorded, entry.charted, entry.recorded_as)
        case Infusion():
            return (*said, entry.status, entry.of_lot, entry.lots, entry.recorded_as, entry.deviation)
        case Attestation():
            return (*said, entry.answer)
        case _:
            return said
