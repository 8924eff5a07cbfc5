"""Reads `rules/` into a KnowledgeBase: every error names its file and line, every name resolves."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache, partial
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

from mscprotocol.codes import Coding
from mscprotocol.data_dictionary import Condition, Measurement, SiteLimit, SiteProducts
from mscprotocol.definitions import AnyDefinition, Decision, FindingDefinition, Ladder, Score
from mscprotocol.errors import KnowledgeError
from mscprotocol.knowledge import KnowledgeBase, Source
from mscprotocol.knowledge_forms import (
    ChangeLeaf,
    ConclusionLeaf,
    ConditionLeaf,
    Expression,
    FindingLeaf,
    Leaf,
    MeasurementLeaf,
    ScoreLeaf,
    SourceRef,
    UnknownIf,
    walk_leaves,
)
from mscprotocol.parameters import FILE as PARAMETERS
from mscprotocol.parameters import Parameter, apply_edits, check_parameters, gather_edits, settle_choices
from mscprotocol.places import find_folder
from mscprotocol.protocols import (
    Checklist,
    Criterion,
    InformationOnly,
    OrderForm,
    OverrideReason,
    Practice,
    Protocol,
    ProtocolCard,
    SignatureMeaning,
)
from mscprotocol.rule_files import RuleReader
from mscprotocol.units import UnitError, to_canonical

VERSION = "1.0.0"
PRODUCTS = "product_codes"  # the one entry of a site's file that is no upper limit of normal
_Pairs = tuple[tuple[str, str], ...]


def load_knowledge(
    folder: Path | None = None,
    site: Path | None = None,
    choices: Mapping[str, str] | None = None,
    edits: Mapping[str, str] | None = None,
) -> KnowledgeBase:
    """The rule base of a folder (default: the one that ships), with a site's own upper limits and product codes.

    `choices` are options of site parameters by name; `edits` are single changes of the rules by path, for what-if.
    Raises KnowledgeError with file and line, ChoiceError for a choice or path that does not exist.
    """
    return _load(folder, site, *(tuple(sorted((given or {}).items())) for given in (choices, edits)))


@lru_cache(maxsize=64)
def _load(folder: Path | None, site: Path | None, choices: _Pairs, edits: _Pairs) -> KnowledgeBase:
    home = folder or find_folder("rules")
    reader = RuleReader(home)
    parameters = reader.mapping(PARAMETERS, Parameter)
    check_parameters(reader.trees, parameters)
    chosen = settle_choices(parameters, dict(choices))
    apply_edits(reader.trees, gather_edits(parameters, chosen))
    apply_edits(reader.trees, dict(edits))
    limits, products = ((), {}) if site is None else _read_site(site)
    practices = reader.mapping("practices.yaml", Practice)
    cards = {name: _under_practice(reader, one, practices) for name, one in reader.cards().items()}
    _add_products(cards, products, site)
    other = {name: option for name, option in chosen.items() if option != parameters[name].default}
    knowledge = KnowledgeBase(
        version=VERSION,
        sha256=hash_rules(home, site, {**other, **dict(edits)}),
        sources=reader.mapping("sources.yaml", Source),
        measurements=reader.mapping("measurements.yaml", Measurement),
        conditions=reader.mapping("conditions.yaml", Condition),
        definitions=reader.definitions(),
        criteria=reader.mappings("criteria", Criterion),
        protocols={name: one for name, one in cards.items() if isinstance(one, Protocol)},
        information={name: one for name, one in cards.items() if isinstance(one, InformationOnly)},
        practices=practices,
        checklists=reader.mapping("checklists.yaml", Checklist),
        override_reasons=reader.mapping("override_reasons.yaml", OverrideReason),
        signature_meanings=reader.mapping("signature_meanings.yaml", SignatureMeaning),
        orders=reader.mapping("orders.yaml", OrderForm),
        unit_aliases=reader.mapping("units.yaml", str),
        site_limits=limits,
        folder=folder,
        parameters=parameters,
        chosen=chosen,
        edits=dict(edits),
        lines=reader.lines,
    )
    _check_names(knowledge)
    return knowledge


def _read_site(site: Path) -> tuple[tuple[SiteLimit, ...], dict[str, tuple[Coding, ...]]]:
    """What a site states: upper limits of normal by name and, under `product_codes`, the codes of its products."""
    reader = RuleReader(site.parent)
    products = reader.mapping(site.name, SiteProducts, only=(PRODUCTS,)).get(PRODUCTS)
    limits = reader.mapping(site.name, SiteLimit, leave=(PRODUCTS,))
    return tuple(limits.values()), {} if products is None else products.root


def _add_products(
    cards: dict[str, Protocol | InformationOnly], products: Mapping[str, tuple[Coding, ...]], site: Path | None
) -> None:
    """Give protocols the codes by which the site charts their product."""
    for name, codes in products.items():
        card = cards.get(name)
        if not isinstance(card, Protocol):
            raise KnowledgeError(f"{PRODUCTS}.{name}: no protocol of that name is assessed", str(site))
        cards[name] = card.model_copy(update={"product_codes": (*card.product_codes, *codes)})


def hash_rules(home: Path, site: Path | None = None, changed: Mapping[str, str] | None = None) -> str:
    """SHA-256 over the relative names and bytes of all rule files, in order of name, and of a site's file.

    `changed` are the choices and edits that depart from the files, so that no two rule bases share a hash.
    """
    digest = hashlib.sha256(b"" if site is None else site.read_bytes() + b"\0")
    for name, value in sorted((changed or {}).items()):
        digest.update(f"{name}={value}".encode() + b"\0")
    for path in sorted(home.rglob("*.yaml")):
        digest.update(path.relative_to(home).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


# -- names ----------------------------------------------------------------------------------------


def _check_names(knowledge: KnowledgeBase) -> None:
    for owner, expression in expressions(knowledge):
        for leaf in walk_leaves(expression):
            _check(knowledge, owner, partial(_check_leaf, knowledge, leaf))
    _check_binding(knowledge)
    for owner, sources in _sources(knowledge):
        for source in sources:
            if source.id not in knowledge.sources:
                raise KnowledgeError(f"{owner}: no source named {source.id!r}", *_place(knowledge, owner))
    cards: dict[str, Protocol | InformationOnly] = {**knowledge.protocols, **knowledge.information}
    for card in cards.values():
        _check_protocol(knowledge, card)
    for name, condition in knowledge.conditions.items():
        for part in (*condition.parts, *condition.denied_by, *condition.requires):
            _need(knowledge, name, part, knowledge.conditions, "condition")
    for name, measurement in knowledge.measurements.items():
        if measurement.confounded_by is not None:
            _need(knowledge, name, measurement.confounded_by, knowledge.conditions, "condition")
    try:
        TopologicalSorter(dependencies(knowledge)).prepare()
    except CycleError as error:
        raise KnowledgeError(f"definitions depend on each other: {' -> '.join(error.args[1])}") from error


def _check_binding(knowledge: KnowledgeBase) -> None:
    for name, definition in knowledge.definitions.items():
        for rule in definition.binding.rules if isinstance(definition, Decision) else ():
            _need(knowledge, name, rule, {**knowledge.criteria, **knowledge.definitions}, "rule")


def expressions(knowledge: KnowledgeBase) -> Iterator[tuple[str, Expression]]:
    """Every expression of the rule base with the id of its owner."""
    for name, criterion in knowledge.criteria.items():
        if criterion.when is not None:
            yield name, criterion.when
    for name, definition in knowledge.definitions.items():
        match definition:
            case FindingDefinition():
                yield name, definition.when
            case Ladder():
                yield from ((name, rung.when) for rung in definition.rungs)
            case Score():
                yield from ((name, row.when) for item in definition.items.values() for row in item.rows)


def dependencies(knowledge: KnowledgeBase) -> dict[str, set[str]]:
    """Each definition with the definitions that its expressions name."""
    graph: dict[str, set[str]] = {name: set() for name in knowledge.definitions}
    for owner, expression in expressions(knowledge):
        if owner in graph:
            graph[owner] |= {named for leaf in walk_leaves(expression) for named in named_definitions(leaf)}
    return graph


def named_definitions(leaf: Leaf) -> Iterator[str]:
    """The definitions that a leaf refers to."""
    match leaf:
        case FindingLeaf(finding=name) | UnknownIf(unknown_if=name):
            yield name
        case ConclusionLeaf(conclusion=name) | ScoreLeaf(score=name):
            yield name
        case MeasurementLeaf():
            yield from (name for name in (leaf.unless, leaf.during, leaf.not_met_needs) if name is not None)


def _check_leaf(knowledge: KnowledgeBase, leaf: Leaf) -> None:
    match leaf:
        case MeasurementLeaf(measurement=name):
            _check_measurement_leaf(knowledge.measurements[name], leaf)
            _check_state(knowledge, leaf.during)
            _ = [knowledge.conditions[one] for one in (leaf.not_before, leaf.contradicted_by) if one is not None]
            if leaf.comparison is not None:
                operator, limit = leaf.comparison
                value = to_canonical(knowledge.measurements[name], limit.value, limit.unit)
                knowledge.thresholds[id(leaf)] = (operator, value)
        case ChangeLeaf(change=name):
            _ = knowledge.measurements[name]
        case ConditionLeaf(condition=name):
            _ = knowledge.conditions[name]
        case ScoreLeaf(score=name):
            score = knowledge.definitions[name]
            if not isinstance(score, Score):
                raise ValueError(f"{name} is no score")
            _ = [score.items[item] for item in leaf.items or ()]
            if leaf.rise:
                _check_baseline(knowledge, score)
        case ConclusionLeaf(conclusion=name):
            _check_classes(knowledge.definitions[name], {*leaf.met, *leaf.not_met, *leaf.review})
        case _:
            _ = [knowledge.definitions[name] for name in named_definitions(leaf)]


def _check_baseline(knowledge: KnowledgeBase, score: Score) -> None:
    if score.baseline is None:
        raise ValueError(f"{score.id} has no baseline to rise from")
    _ = (
        knowledge.measurements[score.baseline.measurement],
        [knowledge.conditions[name] for name in score.baseline.doubted_by],
    )


def _check_measurement_leaf(measurement: Measurement, leaf: MeasurementLeaf) -> None:
    if leaf.set_aside and not (leaf.worst or measurement.select == "any"):
        raise ValueError(f"set_aside needs a datum of which any value counts; of {measurement.text} the latest does")
    named = {*(leaf.answer or ()), *(leaf.not_answer or ())}
    if unknown := named - {*measurement.answers, *measurement.levels}:
        raise ValueError(f"{measurement.text} has no answer {', '.join(sorted(unknown))}")


def _check_state(knowledge: KnowledgeBase, name: str | None) -> None:
    when = None if name is None else getattr(knowledge.definitions[name], "when", None)
    if name is not None and getattr(when, "measurement", None) != "oxygen_support":
        raise ValueError(f"during names a finding about the oxygen support; {name} is none")


def _check_classes(definition: AnyDefinition, named: set[str]) -> None:
    classes: tuple[str, ...] = getattr(definition, "classes", ()) or getattr(definition, "conclusions", ())
    if unknown := named - set(classes):
        raise ValueError(f"{definition.id} never concludes {', '.join(sorted(unknown))}")


def _under_practice(
    reader: RuleReader, card: Protocol | InformationOnly, practices: Mapping[str, Practice]
) -> Protocol | InformationOnly:
    """An assessed protocol with what its practice adds; one for information has none."""
    if isinstance(card, InformationOnly):
        return card
    if card.practice not in practices:
        raise KnowledgeError(f"{card.id}: no practice named {card.practice!r}", *reader.lines[card.id])
    return card.under(practices[card.practice])


def _check_protocol(knowledge: KnowledgeBase, card: Protocol | InformationOnly) -> None:
    for criterion in (*card.criteria, *card.statements):
        _need(knowledge, card.id, criterion, knowledge.criteria, "criterion")
    if isinstance(card, InformationOnly):
        return
    for name in filter(None, (card.severity, card.tier, card.trend)):
        _need(knowledge, card.id, name, knowledge.definitions, "definition")
    practice = knowledge.practices[card.practice]
    _need(knowledge, card.practice, practice.checklist, knowledge.checklists, "checklist")
    age = knowledge.measurements["product_viability"].max_age.infusion
    if age is None or age.text != str(practice.viability_age.value):
        text = f"{card.practice}: viability_age must be the shelf life of product_viability"
        raise KnowledgeError(text, *_place(knowledge, card.practice))
    asked = {item.criterion for item in knowledge.checklists[practice.checklist].before}
    if lacking := [name for name in card.criteria if knowledge.criteria[name].decides and name not in asked]:
        raise KnowledgeError(
            f"{practice.checklist}: no line asks for {', '.join(lacking)} of {card.id}",
            *_place(knowledge, practice.checklist),
        )
    if any(one.is_per_kg and one.value.value > practice.ceiling.value.value for one in card.dose.levels):
        raise KnowledgeError(
            f"{card.id}: a dose level above the ceiling of {practice.ceiling.value}", *_place(knowledge, card.id)
        )


def _sources(knowledge: KnowledgeBase) -> Iterator[tuple[str, tuple[SourceRef, ...]]]:
    for name, entry in (
        *knowledge.criteria.items(),
        *knowledge.definitions.items(),
        *knowledge.protocols.items(),
        *knowledge.information.items(),
    ):
        yield name, entry.sources
        if isinstance(entry, ProtocolCard):
            yield from ((name, fact.sources) for fact in entry.facts)
    for name, parameter in knowledge.parameters.items():
        for option in parameter.options.values():
            yield name, option.sources
    for owner, expression in expressions(knowledge):
        yield owner, tuple(leaf.source for leaf in walk_leaves(expression) if leaf.source is not None)


def _check(knowledge: KnowledgeBase, owner: str, question: Callable[[], None]) -> None:
    try:
        question()
    except KeyError as error:
        raise KnowledgeError(f"{owner}: no entry named {error.args[0]!r}", *_place(knowledge, owner)) from error
    except (UnitError, ValueError) as error:
        raise KnowledgeError(f"{owner}: {error}", *_place(knowledge, owner)) from error


def _need(knowledge: KnowledgeBase, owner: str, name: str, among: dict[str, Any], what: str) -> None:
    if name not in among:
        raise KnowledgeError(f"{owner}: no {what} named {name!r}", *_place(knowledge, owner))


def _place(knowledge: KnowledgeBase, owner: str) -> tuple[str, int | None]:
    return knowledge.lines.get(owner, ("rules", None))
