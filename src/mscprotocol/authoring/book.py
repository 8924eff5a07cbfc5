"""The rule book as printable data: everything under `rules/` in sections and tables, with no layout."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from mscprotocol.authoring.book_tables import condition_row, measurement_row, source_rows
from mscprotocol.authoring.entries import Entry, RuleFolder
from mscprotocol.authoring.listing import protocols_of
from mscprotocol.authoring.numbers import Number, numbers_of
from mscprotocol.authoring.show import rows_of, sources_of
from mscprotocol.authoring.words import rule_lines
from mscprotocol.case_tables import Row
from mscprotocol.checklist_parts import MARKS
from mscprotocol.definitions import Definition
from mscprotocol.knowledge_forms import SourceRef
from mscprotocol.protocols import Criterion, ProtocolCard

Table = list[tuple[str, ...]]
_DECIDING = {"inclusion": 0, "exclusion": 1}


@dataclass(frozen=True)
class Provenance:
    """A source as printed: its mark, id and place, and the quote should there be one."""

    mark: str
    source: str
    section: str = ""
    quote: str = ""


@dataclass(frozen=True)
class Figure:
    """A number as printed: what it says, its marks, and where it comes from."""

    words: str
    marks: tuple[str, ...]
    sources: str
    note: str = ""


@dataclass(frozen=True)
class Rule:
    """A criterion or definition as printed."""

    name: str
    head: tuple[str, ...]
    text: str
    lines: tuple[str, ...]
    figures: tuple[Figure, ...]
    sources: tuple[Provenance, ...]
    protocols: tuple[str, ...]
    tests: tuple[tuple[str, str, str], ...]
    place: str


@dataclass(frozen=True)
class Card:
    """A protocol, practice or parameter as printed."""

    name: str
    title: str
    head: tuple[str, ...] = ()
    facts: tuple[tuple[str, str, str, tuple[Provenance, ...]], ...] = ()
    figures: tuple[Figure, ...] = ()
    criteria: tuple[tuple[str, str, str], ...] = ()
    sources: tuple[Provenance, ...] = ()


@dataclass(frozen=True)
class RuleBook:
    """The whole book; tables hold cells in the order of their heads."""

    version: str
    sha256: str
    paper: str
    counts: tuple[tuple[str, str], ...]
    marks: tuple[tuple[str, str], ...]
    protocols: tuple[Card, ...]
    practices: tuple[Card, ...]
    parameters: tuple[Card, ...]
    criteria: dict[str, tuple[Rule, ...]] = field(default_factory=dict)
    definitions: tuple[Rule, ...] = ()
    measurements: Table = field(default_factory=list)
    conditions: Table = field(default_factory=list)
    sources: Table = field(default_factory=list)
    sign_off: Table = field(default_factory=list)


def build_book(rules: RuleFolder, rows: Sequence[Row]) -> RuleBook:
    """The book of a folder of rules, with the rows of the case tables as its tests."""
    rules_of = [_rule(rules, entry, rows) for entry in rules.of_kind("criterion")]
    criteria = {role: tuple(one for one in rules_of if one.head[0] == role) for role in _roles(rules_of)}
    definitions = tuple(_rule(rules, entry, rows) for entry in rules.of_kind("definition"))
    return RuleBook(
        version=rules.knowledge.version,
        sha256=rules.knowledge.sha256,
        paper=_paper(rules),
        counts=tuple(_counts(rules, rows)),
        marks=tuple(MARKS.items()),
        protocols=tuple(_card(rules, entry) for entry in rules.of_kind("protocol")),
        practices=tuple(_card(rules, entry) for entry in rules.of_kind("practice")),
        parameters=tuple(_card(rules, entry) for entry in rules.of_kind("parameter")),
        criteria=criteria,
        definitions=definitions,
        measurements=[measurement_row(entry) for entry in rules.of_kind("measurement")],
        conditions=[condition_row(rules.knowledge, entry) for entry in rules.of_kind("condition")],
        sources=list(source_rows(rules)),
        sign_off=[(one.name, one.text) for group in (*criteria.values(), definitions) for one in group],
    )


def _roles(criteria: Sequence[Rule]) -> list[str]:
    """The roles in the order in which criteria first have them, those that decide the verdict first."""
    found = dict.fromkeys(one.head[0] for one in criteria)
    return sorted(found, key=lambda role: _DECIDING.get(role, len(_DECIDING)))


def _paper(rules: RuleFolder) -> str:
    """The citation of the source that is quoted."""
    marks = Counter(one.id for entry in rules.entries.values() for one in sources_of(entry) if one.mark == "paper")
    return rules.knowledge.sources[marks.most_common(1)[0][0]].citation if marks else ""


def _counts(rules: RuleFolder, rows: Sequence[Row]) -> Iterator[tuple[str, str]]:
    kinds = Counter(entry.kind for entry in rules.entries.values())
    yield from ((f"{kind}s" if kind != "criterion" else "criteria", str(count)) for kind, count in kinds.items())
    numbers = Counter(
        mark for entry in rules.entries.values() for one in numbers_of(rules.knowledge, entry) for mark in one.marks
    )
    yield "numbers", ", ".join(f"{count} {mark}" for mark, count in numbers.most_common())
    yield "case rows", str(len(rows)) if rows else "no case tables at hand"


# -- criteria and definitions ---------------------------------------------------------------------


def _rule(rules: RuleFolder, entry: Entry, rows: Sequence[Row]) -> Rule:
    tests = tuple((row.section, row.summary, _expected(row)) for row in rows_of(rows, entry))
    return Rule(
        name=entry.name,
        head=_head(entry),
        text=entry.text,
        lines=tuple(rule_lines(rules.knowledge, entry)),
        figures=tuple(_figure(one) for one in numbers_of(rules.knowledge, entry)),
        sources=_provenance(entry),
        protocols=protocols_of(rules, entry.name) if entry.kind == "criterion" else (),
        tests=tests,
        place=f"{entry.file}:{entry.line()}",
    )


def _head(entry: Entry) -> tuple[str, ...]:
    match entry.value:
        case Criterion() as criterion:
            attested = "may be attested" if criterion.attestable else ""
            stage = f"at {criterion.stage}" if criterion.when is not None else "statement"
            return (criterion.role, *filter(None, (stage, attested)))
        case Definition() as definition:
            return (str(getattr(definition, "kind", "")), f"version {definition.version}")
        case _:
            return ()


def _expected(row: Row) -> str:
    return f"{row.expect} ({row.reason})" if row.reason else row.expect


def _figure(number: Number) -> Figure:
    return Figure(number.words, number.marks, ", ".join(dict.fromkeys(one.id for one in number.sources)), number.note)


def _provenance(entry: Entry) -> tuple[Provenance, ...]:
    return tuple(_as_printed(one) for one in sources_of(entry))


# -- protocols, practices, parameters -------------------------------------------------------------


def _card(rules: RuleFolder, entry: Entry) -> Card:
    value = entry.value
    return Card(
        name=entry.name,
        title=entry.text,
        head=_card_head(value),
        facts=tuple(_facts(value)),
        figures=tuple(_figure(one) for one in numbers_of(rules.knowledge, entry)),
        criteria=tuple(
            (name, rules.knowledge.criteria[name].role, rules.knowledge.criteria[name].text)
            for name in (*getattr(value, "criteria", ()), *getattr(value, "statements", ()))
        ),
        sources=_provenance(entry) if isinstance(value, ProtocolCard) else (),
    )


def _card_head(value: object) -> tuple[str, ...]:
    if isinstance(value, ProtocolCard):
        use = "patients are assessed by it" if getattr(value, "assessed", False) else "for information only"
        return (f"version {value.version}", use, value.indication, value.route)
    return ()


def _facts(value: object) -> Iterator[tuple[str, str, str, tuple[Provenance, ...]]]:
    for fact in getattr(value, "facts", ()):
        yield fact.about, fact.text, fact.note, tuple(_as_printed(one) for one in fact.sources)
    for name, option in getattr(value, "options", {}).items():
        is_default = "default, as written" if name == getattr(value, "default", "") else ""
        yield name, option.text, is_default, tuple(_as_printed(one) for one in option.sources)


def _as_printed(source: SourceRef) -> Provenance:
    return Provenance(source.mark, source.id, source.section or "", source.quote or "")
