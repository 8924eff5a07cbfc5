"""The rule base as FHIR R4: every protocol as a PlanDefinition with its Library; the numbers carry their marks."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator

from fhir_adapters.questionnaires import machine_name
from fhir_adapters.requirements import requirements
from fhir_adapters.writing import (
    CANONICAL,
    TERMINOLOGY,
    Json,
    canonical,
    coding,
    concept,
    element,
    quantity,
    resource,
    rules_version,
)
from mscprotocol.case import GATING, TRIGGERS
from mscprotocol.knowledge import KnowledgeBase
from mscprotocol.knowledge_forms import SourceRef
from mscprotocol.protocols import Criterion, Fact, ProtocolCard, Sourced
from mscprotocol.rulebook import Rulebook, compile_rulebook
from mscprotocol.wording import describe_quantity

_PURPOSE = "Pre-screening support for research; whoever treats the patient decides."


def write_plan_definition(knowledge: KnowledgeBase, name: str) -> Json:
    """A protocol as a PlanDefinition: one action an infusion; one that is for information only has none.

    Raises KeyError for a name that is no protocol.
    """
    if name in knowledge.information:
        return _definition(knowledge, knowledge.information[name], "draft", experimental=True)
    book = compile_rulebook(knowledge, name)
    return _definition(
        knowledge,
        book.protocol,
        "active",
        library=[canonical("Library", name, rules_version(book.protocol.version, knowledge.sha256))],
        action=[_action(book, number) for number in range(1, book.protocol.schedule.count + 1)],
    )


def _definition(knowledge: KnowledgeBase, card: ProtocolCard, status: str, **more: object) -> Json:
    facts = [_fact(one) for one in card.facts]
    return resource(
        "PlanDefinition",
        card.title,
        *facts,
        _PURPOSE,
        id=card.id,
        url=f"{CANONICAL}/PlanDefinition/{card.id}",
        version=rules_version(card.version, knowledge.sha256),
        name=machine_name(card.id),
        title=card.title,
        type=_coded("plan-definition-type", "clinical-protocol" if more.get("action") else "workflow-definition"),
        status=status,
        subjectCodeableConcept=_coded_at("http://hl7.org/fhir/resource-types", "Patient"),
        description=f"{card.indication}. Product: {card.product.kind}, {card.product.state}; {card.route}.",
        purpose=_PURPOSE,
        usage="\n".join(f"* {one}" for one in facts),
        relatedArtifact=[*_related(knowledge, card.sources, ""), *_evidence(knowledge, card.facts)],
        **more,
    )


def _coded(system: str, code: str) -> Json:
    return _coded_at(f"{TERMINOLOGY}/{system}", code)


def _coded_at(system: str, code: str) -> Json:
    return {"coding": [coding(system, code)]}


def _fact(fact: Fact) -> str:
    marks = ", ".join(f"{one.id}: {one.mark}" for one in fact.sources)
    note = f" ({fact.note})" if fact.note else ""
    return f"{fact.about}: {fact.text}{note} [{marks}]"


def _evidence(knowledge: KnowledgeBase, facts: Iterable[Fact]) -> Iterator[Json]:
    for fact in facts:
        yield from _related(knowledge, fact.sources, fact.about)


def _related(knowledge: KnowledgeBase, sources: Iterable[SourceRef], about: str) -> Iterator[Json]:
    """Sources as related artifacts: label = what rests on it, and its mark."""
    for one in sources:
        yield _artifact(knowledge, one.id, one.mark, about, one.section or "", one.quote or "")


def _artifact(knowledge: KnowledgeBase, name: str, mark: str, about: str, section: str = "", quote: str = "") -> Json:
    source = knowledge.sources[name]
    where = "; ".join(filter(None, (section, f'"{quote}"' if quote else "")))
    return element(
        type="citation",
        label=f"{about} [{mark}]".strip(),
        display=" - ".join(filter(None, (name, where))),
        citation=source.citation,
        url=source.url,
    )


# -- one action an infusion --------------------------------------------------------------------------


def _action(book: Rulebook, number: int) -> Json:
    schedule, dose = book.protocol.schedule, book.protocol.dose
    asked = [(name, one) for name, one in _applicable(book, number)]
    numbers = [("dose level", one) for one in dose.levels]
    if number > 1:
        lengths = {"interval": schedule.interval, "earliest": schedule.earliest, "latest": schedule.latest}
        numbers += [(name, one) for name, one in lengths.items() if one is not None]
    else:
        numbers.append(("number of infusions", schedule.max_infusions))
    return element(
        id=f"infusion-{number}",
        prefix=str(number),
        title=f"Infusion {number} of {schedule.count}",
        description="; ".join(f"{name} {_written(one)}" for name, one in numbers),
        code=[concept(f"Infusion of mesenchymal stem cells, {book.protocol.route}")],
        documentation=[*_numbers(book.knowledge, numbers), *_reasons(book.knowledge, asked)],
        condition=[_condition(book, name, one) for name, one in asked],
        relatedAction=[_after(schedule.interval, number)] if number > 1 else [],
        requiredBehavior="could",
    )


def _applicable(book: Rulebook, number: int) -> Iterator[tuple[str, Criterion]]:
    """The criteria that decide about an infusion: those of a baseline count for the first one only."""
    for name, criterion in book.criteria:
        is_asked = criterion.when is not None and criterion.role in GATING
        if is_asked and not (criterion.baseline_only and number > 1):
            yield name, criterion


def _written(number: Sourced) -> str:
    return describe_quantity(number.value)


def _numbers(knowledge: KnowledgeBase, numbers: Iterable[tuple[str, Sourced]]) -> Iterator[Json]:
    for name, one in numbers:
        yield _artifact(knowledge, one.source, one.mark, f"{name} {_written(one)}", one.note)


def _reasons(knowledge: KnowledgeBase, asked: Iterable[tuple[str, Criterion]]) -> Iterator[Json]:
    for name, criterion in asked:
        yield from _related(knowledge, criterion.sources, name)


def _condition(book: Rulebook, name: str, criterion: Criterion) -> Json:
    """A criterion as a condition; its logic stands in the Library, in words and by the hash of the rules."""
    library = f"{CANONICAL}/Library/{book.protocol.id}#{name}"
    wanted = "not: " if criterion.role in TRIGGERS else ""
    expression = {"description": f"{wanted}{criterion.text}", "name": name, "language": "text/markdown"}
    return {"kind": "applicability", "expression": {**expression, "reference": library}}


def _after(interval: Sourced | None, number: int) -> Json:
    assert interval is not None
    length = quantity(interval.value.value, interval.value.unit)
    return {"actionId": f"infusion-{number - 1}", "relationship": "after-start", "offsetDuration": length}


# -- library -----------------------------------------------------------------------------------------


def write_library(book: Rulebook) -> Json:
    """The logic of a protocol: its criteria in words as they are in force, and the data that they read."""
    knowledge, protocol = book.knowledge, book.protocol
    words = "\n\n".join(_criterion_words(book, name, one) for name, one in book.criteria)
    return resource(
        "Library",
        f"Logic of the protocol {protocol.id}, rule base {knowledge.version}, SHA-256 {knowledge.sha256}",
        id=protocol.id,
        url=f"{CANONICAL}/Library/{protocol.id}",
        identifier=[{"system": f"{CANONICAL}/sid/rulebase-sha256", "value": knowledge.sha256}],
        version=rules_version(protocol.version, knowledge.sha256),
        name=machine_name(protocol.id, "Logic"),
        title=f"Logic of the protocol: {protocol.title}",
        status="active",
        type=_coded("library-type", "logic-library"),
        description="; ".join(f"{name}: {option}" for name, option in knowledge.chosen.items()),
        purpose=_PURPOSE,
        dataRequirement=requirements(book),
        content=[{"contentType": "text/markdown", "data": _base64(words), "title": "The criteria in words"}],
    )


def write_module(book: Rulebook) -> Json:
    """What `$data-requirements` answers: the data that a protocol reads, as a Library of type module-definition."""
    library = write_library(book)
    del library["content"]
    return {**library, "type": _coded("library-type", "module-definition")}


def _criterion_words(book: Rulebook, name: str, criterion: Criterion) -> str:
    sources = "; ".join(f"{one.id} [{one.mark}]" for one in criterion.sources)
    logic = book.texts.get(name, "not computed")
    return f"## {name}\n{criterion.role}, {criterion.stage}. {criterion.text}\n\n{logic}\n\nSources: {sources}"


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def assessed(knowledge: KnowledgeBase) -> list[str]:
    """The protocols that patients are assessed by: those with a Library and a Questionnaire."""
    return list(knowledge.protocols)


def published(knowledge: KnowledgeBase) -> list[str]:
    """Every protocol, those for information last."""
    return [*knowledge.protocols, *knowledge.information]
