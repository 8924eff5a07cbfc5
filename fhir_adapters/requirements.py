"""What data a protocol reads, and what an answer still needs, as FHIR DataRequirements."""

from __future__ import annotations

from collections.abc import Iterator

from fhir_adapters.writing import CRITERION, DATUM, Json, coding, element, known_coding
from mscprotocol.answer import NeededItem
from mscprotocol.codes import parse_code
from mscprotocol.data_dictionary import Condition, Measurement
from mscprotocol.definitions import FindingDefinition, Score
from mscprotocol.knowledge import KnowledgeBase
from mscprotocol.knowledge_forms import (
    ConditionLeaf,
    Expression,
    FindingLeaf,
    Leaf,
    MeasurementLeaf,
    ScoreLeaf,
    UnknownIf,
    walk_leaves,
)
from mscprotocol.rulebook import Rulebook

_FORM = "QuestionnaireResponse"
_TYPES = {
    "condition": "Condition",
    "event": "Condition",
    "procedure": "Procedure",
    "medication": "MedicationAdministration",
    "therapy": "MedicationAdministration",
    "allergy": "AllergyIntolerance",
    "consent": "Consent",
    "attestation": _FORM,
}
# What is present or absent is coded in several systems and in whole categories, and what is not recognised must be
# seen to be reported: of these all that there is of a patient is read, by no filter.
_WHOLE = (
    "Patient", "Condition", "AllergyIntolerance", "Procedure", "DeviceUseStatement", "MedicationAdministration",
    "MedicationRequest", "MedicationStatement", "Consent", "ResearchSubject", _FORM,
)  # fmt: skip


def require(need: NeededItem, knowledge: KnowledgeBase) -> Json:
    """One open datum: of which type, by which codes, under its own name."""
    measurement, condition = knowledge.measurements.get(need.id), knowledge.conditions.get(need.id)
    if measurement is not None:
        return _observation(need.id, measurement)
    own = coding(CRITERION if need.id in knowledge.criteria else DATUM, need.id, need.datum)
    if condition is not None:
        return _coded(need.id, _TYPES[condition.kind], [*_codes(condition), own])
    kind = _FORM if need.id in knowledge.criteria else "Observation"
    return _coded(need.id, kind, [*(known_coding(parse_code(code)) for code in need.codes), own])


def requirements(book: Rulebook) -> list[Json]:
    """Everything that a protocol reads of a patient and of a lot.

    Whole resource types first, then each measurement by its codes. There is no filter by date: how far back a rule
    looks differs by rule and stage, and a filter that is too narrow would hide data.
    """
    whole = [element(id=kind, type=kind) for kind in _WHOLE]
    return [*whole, *(_observation(name, one) for name, one in measurements_of(book).items())]


def measurements_of(book: Rulebook) -> dict[str, Measurement]:
    """Every measurement that is received and not computed, by name; those of a lot where the protocol asks for one.

    The severity scales and scores of every answer read most of the dictionary, so no part of it is left out.
    """
    has_lot = any(criteria_of_lot(book))
    return {
        name: one
        for name, one in book.knowledge.measurements.items()
        if (has_lot and one.kind != "derived" if one.about == "product" else one.codes)
    }


def criteria_of_lot(book: Rulebook) -> Iterator[str]:
    """The criteria of a protocol that ask for the product lot."""
    return (name for name, criterion in book.criteria if criterion.role == "product")


def conditions_of(book: Rulebook) -> dict[str, Condition]:
    """Everything present or absent that a protocol asks for by itself, by name, in the order of the dictionary."""
    asked = {leaf.condition for leaf in leaves_of(book) if isinstance(leaf, ConditionLeaf)}
    return {name: one for name, one in book.knowledge.conditions.items() if name in asked}


def leaves_of(book: Rulebook) -> list[Leaf]:
    """Every leaf of a protocol's rules, those behind scores and findings too."""
    found: dict[int, Leaf] = {}
    left = list(book.leaves.values())
    while left:
        leaf = left.pop()
        if id(leaf) not in found:
            found[id(leaf)] = leaf
            left += [inner for behind in _behind(book.knowledge, leaf) for inner in walk_leaves(behind)]
    return list(found.values())


def _behind(knowledge: KnowledgeBase, leaf: Leaf) -> Iterator[Expression]:
    """The expressions that a leaf rests on."""
    names: list[str | None] = []
    match leaf:
        case MeasurementLeaf():
            names = [leaf.unless, leaf.during, leaf.not_met_needs]
        case FindingLeaf():
            names = [leaf.finding]
        case UnknownIf():
            names = [leaf.unknown_if]
        case ScoreLeaf():
            names = [leaf.score]
    for name in names:
        definition = knowledge.definitions.get(name or "")
        if isinstance(definition, FindingDefinition):
            yield definition.when
        elif isinstance(definition, Score):
            yield from (row.when for item in definition.items.values() for row in item.rows)


def _observation(name: str, measurement: Measurement) -> Json:
    codes = [known_coding(one.code) for one in measurement.codes]
    return _coded(name, "Observation", [*codes, coding(DATUM, name, measurement.text)])


def _codes(condition: Condition) -> list[Json]:
    return [known_coding(one.code) for one in condition.codes]


def _coded(name: str, kind: str, codes: list[Json]) -> Json:
    path = "item.linkId" if kind == _FORM else "medication" if kind == "MedicationAdministration" else "code"
    return element(id=name, type=kind, codeFilter=[{"path": path, "code": codes}])
