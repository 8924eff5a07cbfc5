"""The knowledge by code: what a coding carries, and which findings the words of an unknown code point to."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from fhir_adapters.datatypes import CodeableConcept
from mscprotocol.codes import CodeSystem, Coding, find_system, icd10_within, is_in_icd10
from mscprotocol.data_dictionary import CodedDatum, Condition, Measurement
from mscprotocol.knowledge import KnowledgeBase
from mscprotocol.reasons import Reason

Relation = Literal["is", "narrower", "suspected", "refutes", "excepted"]
Source = Literal["observation", "condition", "procedure", "medication", "allergy", "product"]
DRUG_SYSTEMS = (CodeSystem.RXNORM, CodeSystem.ATC)
# Our own code of the product as it is given, beside the codes of each protocol.
INFUSION = "infusion"
_LONGEST_TEXT = 300


@dataclass(frozen=True, slots=True)
class Meaning:
    """That a code says something of a condition; `is_category` marks an ICD-10 code that is the whole category."""

    name: str
    relation: Relation
    is_category: bool = False


class Dictionary:
    """The codes and words of one rule base, indexed once."""

    def __init__(self, knowledge: KnowledgeBase) -> None:
        self.knowledge = knowledge
        self.data: dict[tuple[CodeSystem, str], list[tuple[str, CodedDatum]]] = _datum_codes(knowledge)
        self.refused: dict[tuple[CodeSystem, str], list[tuple[str, Reason]]] = {}
        self.levels: dict[tuple[CodeSystem, str], list[tuple[str, str]]] = {}
        self._exact: dict[tuple[CodeSystem, str], list[Meaning]] = {}
        for name, measurement in knowledge.measurements.items():
            self._add_measurement(name, measurement)
        for name, condition in knowledge.conditions.items():
            self._add_exact(name, condition)
        for name, condition in knowledge.conditions.items():
            self._exact[CodeSystem.DATUM, name] = [Meaning(name, "is"), *self._implied(name, condition)]
        self.meanings = lru_cache(maxsize=8192)(self._meanings)
        self.words = lru_cache(maxsize=8192)(self._words)
        self.therapies = frozenset(name for name, one in knowledge.conditions.items() if one.kind == "therapy")
        self._patterns = {source: list(_patterns(knowledge, source)) for source in _SOURCES}

    def _add_measurement(self, name: str, measurement: Measurement) -> None:
        for refused in measurement.refused:
            key = (refused.code.system, refused.code.code)
            self.refused.setdefault(key, []).append((name, refused.reason))
        if measurement.kind == "ordinal":
            for level, codes in measurement.answers.items():
                for code in codes:
                    self.levels.setdefault((code.system, code.code), []).append((name, level))

    def _add_exact(self, name: str, condition: Condition) -> None:
        for coded in condition.codes:
            relation: Relation = "narrower" if coded.flag == "narrower" else "is"
            self._exact.setdefault((coded.code.system, coded.code.code), []).append(Meaning(name, relation))
        for code in condition.suspected:
            self._exact.setdefault((code.system, code.code), []).append(Meaning(name, "suspected"))
        for code in condition.refuted_by:
            self._exact.setdefault((code.system, code.code), []).append(Meaning(name, "refutes"))

    def _implied(self, name: str, condition: Condition) -> Iterator[Meaning]:
        """What every code of a condition says besides: its name says the same."""
        own = [one.code for one in condition.codes if one.flag is None]
        said = [{one.name: one for one in self._exact.get((code.system, code.code), ())} for code in own]
        for other in set.intersection(*map(set, said)) - {name} if said else ():
            relations = {one[other].relation for one in said}
            if relations <= {"is", "narrower"}:
                yield Meaning(other, "is" if relations == {"is"} else "narrower")

    def _meanings(self, system: CodeSystem, code: str) -> tuple[Meaning, ...]:
        """What a code says of each condition."""
        if system is CodeSystem.ICD10:
            return tuple(self._icd10(code)) or tuple(self._icd10_within(code))
        if system is CodeSystem.ATC:
            parts = [code[:length].upper() for length in range(1, len(code) + 1)]
            return tuple(meaning for part in parts for meaning in self._exact.get((system, part), ()))
        return tuple(self._exact.get((system, code), ()))

    def _icd10(self, code: str) -> Iterator[Meaning]:
        for name, condition in self.knowledge.conditions.items():
            if any(is_in_icd10(code, category) for category in condition.icd10_except):
                yield Meaning(name, "excepted")
                continue
            fitting = [category for category in condition.icd10 if is_in_icd10(code, category)]
            if fitting:
                yield Meaning(name, "is", any(_bare(code) == _bare(category) for category in fitting))
            elif any(is_in_icd10(code, suspect.code) for suspect in _icd10_suspects(condition)):
                yield Meaning(name, "suspected")

    def _icd10_within(self, text: str) -> Iterator[Meaning]:
        """Text that only holds codes may mean each of them, or that it is ruled out: a person decides."""
        found = (meaning for code in icd10_within(text[:_LONGEST_TEXT]) for meaning in self._icd10(code))
        names = dict.fromkeys(meaning.name for meaning in found if meaning.relation != "excepted")
        return (Meaning(name, "suspected") for name in names)

    def _words(self, source: Source, text: str) -> frozenset[str]:
        """The findings that some words of one kind of resource point to."""
        text = text[:_LONGEST_TEXT].lower()
        return frozenset(name for name, pattern in self._patterns[source] if pattern.search(text))


@lru_cache(maxsize=4)
def index(knowledge: KnowledgeBase) -> Dictionary:
    """The dictionary of a rule base, made once."""
    return Dictionary(knowledge)


def codings(concept: CodeableConcept | None) -> tuple[Coding, ...]:
    """The codes of a concept in our own type; entries without a code are words only."""
    if concept is None:
        return ()
    return tuple(
        [_coding(one.system, one.code, one.display) for one in concept.coding if one.code and one.code.strip()]
    )


@lru_cache(maxsize=65536)
def _coding(system: str | None, code: str, display: str | None) -> Coding:
    return Coding(find_system(system), code.strip(), display or "", system or "")


def words_of(concept: CodeableConcept | None) -> tuple[str, ...]:
    """All words of a concept: its text and the displays of its codes."""
    if concept is None:
        return ()
    return tuple(dict.fromkeys(text for text in (concept.text, *(one.display for one in concept.coding)) if text))


def text_of(concept: CodeableConcept | None) -> str:
    """A concept as a person reads it."""
    words = words_of(concept)
    if words:
        return words[0]
    return ", ".join(str(code) for code in codings(concept))


def main_code(concept: CodeableConcept | None) -> Coding:
    """The first code of a concept, or its words as a code of no system."""
    found = codings(concept)
    return found[0] if found else Coding(CodeSystem.LOCAL, "", text_of(concept))


# -- which words are looked for in which resources -------------------------------------------------

_SOURCES: tuple[Source, ...] = ("observation", "condition", "procedure", "medication", "allergy", "product")
_CONDITION_KINDS: dict[Source, tuple[str, ...]] = {
    "observation": ("condition", "event", "attestation"),
    "condition": ("condition", "event", "attestation", "procedure", "allergy", "therapy"),
    "procedure": ("procedure", "condition", "therapy"),
    "medication": ("medication", "therapy"),
    "allergy": ("allergy",),
    "product": (),
}


def _patterns(knowledge: KnowledgeBase, source: Source) -> Iterator[tuple[str, re.Pattern[str]]]:
    for name, measurement in knowledge.measurements.items():
        if _is_measured_by(measurement, source):
            yield from ((name, re.compile(words)) for words in measurement.words)
    for name, condition in knowledge.conditions.items():
        if is_stated_by(condition, source):
            yield from ((name, re.compile(words)) for words in condition.words)


def _is_measured_by(measurement: Measurement, source: Source) -> bool:
    if (measurement.about == "product") != (source == "product"):
        return False
    if source == "product":
        return True
    if _has_drug_codes(coded.code for coded in measurement.codes):
        return source == "medication"
    return source == "observation" or (source == "procedure" and measurement.kind == "ordinal")


def is_stated_by(condition: Condition, source: Source) -> bool:
    """Whether resources of some kind can state a condition: a drug allergy is no drug."""
    by_drug = _has_drug_codes((*(coded.code for coded in condition.codes), *condition.suspected))
    if source == "medication":
        return condition.kind in _CONDITION_KINDS[source] or (by_drug and condition.kind != "allergy")
    return condition.kind in _CONDITION_KINDS[source]


def _has_drug_codes(codes: Iterable[Coding]) -> bool:
    return any(code.system in DRUG_SYSTEMS for code in codes)


def _icd10_suspects(condition: Condition) -> Iterator[Coding]:
    return (code for code in condition.suspected if code.system is CodeSystem.ICD10)


def _bare(code: str) -> str:
    return code.upper().strip().replace(".", "")


def is_stated(measurement: Measurement) -> bool:
    """Whether a datum may be stated, and is not only computed from others."""
    return measurement.kind != "derived" or bool(measurement.codes)


def unknown_names(knowledge: KnowledgeBase, concept: CodeableConcept | None) -> tuple[str, ...]:
    """The names of a concept in our own code system that the rules do not have."""
    own = (code.code for code in codings(concept) if code.system is CodeSystem.DATUM)
    return tuple(name for name in own if name not in (*knowledge.measurements, *knowledge.conditions, INFUSION))


def _datum_codes(knowledge: KnowledgeBase) -> dict[tuple[CodeSystem, str], list[tuple[str, CodedDatum]]]:
    """Each code with the measurements that it carries; our own code of a measurement is its name."""
    found: dict[tuple[CodeSystem, str], list[tuple[str, CodedDatum]]] = {}
    for name, measurement in knowledge.measurements.items():
        if is_stated(measurement):
            found[CodeSystem.DATUM, name] = [(name, CodedDatum(code=Coding(CodeSystem.DATUM, name)))]
        for coded in measurement.codes:
            found.setdefault((coded.code.system, coded.code.code), []).append((name, coded))
    return found
