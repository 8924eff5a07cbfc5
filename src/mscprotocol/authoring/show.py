"""One entry of the rules as its owner reads it: words, numbers, sources, users, case rows, and what it compiles to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from mscprotocol.authoring.entries import Entry, RuleFolder, walk
from mscprotocol.authoring.numbers import numbers_of
from mscprotocol.authoring.uses import Use, users
from mscprotocol.authoring.words import rule_lines
from mscprotocol.case_tables import Row
from mscprotocol.knowledge_forms import SourceRef
from mscprotocol.rulebook import Rulebook, compile_rulebook
from mscprotocol.rulesets import to_durable

_HEAD = ("role", "stage", "kind", "version", "mark")


def show_entry(rules: RuleFolder, entry: Entry, rows: Sequence[Row]) -> Iterator[str]:
    """The lines that tell all about an entry."""
    yield f"{entry.name} ({', '.join(_head(entry))}) {entry.file}:{entry.line()}"
    yield entry.text
    yield from _section("Rule", rule_lines(rules.knowledge, entry))
    yield from _section("Numbers", _numbers(rules, entry))
    yield from _section("Sources", _sources(rules, entry))
    yield from _section("Used by", describe_users(users(rules)[entry.kind, entry.name]))
    yield from _section("Case tables", (f"{row.table}.yaml {row.name}" for row in rows_of(rows, entry)))
    yield from _section("durable-rules", _compiled(rules, entry))


def rows_of(rows: Sequence[Row], entry: Entry) -> list[Row]:
    """The rows that ask for a criterion, a definition or its items, or the value of a measurement."""
    name = {"measurement": f"value.{entry.name}", "dose_status": "dose"}.get(
        entry.kind if entry.kind == "measurement" else entry.name, entry.name
    )
    kinds = ("criterion", "definition", "measurement")
    return [row for row in rows if entry.kind in kinds and (row.section == name or row.section.startswith(f"{name}."))]


def sources_of(entry: Entry) -> list[SourceRef]:
    """Every source that an entry cites, once; sources of single numbers among them."""
    found = [value for _, value in walk(entry.value) if isinstance(value, SourceRef)]
    return list({(one.id, one.mark, one.section): one for one in found}.values())


def describe_users(uses: Sequence[Use]) -> Iterator[str]:
    """Who uses an entry, and on which lines."""
    lines: dict[Entry, list[int]] = {}
    for use in uses:
        lines.setdefault(use.by, []).append(use.by.line(use.place))
    for by, at in lines.items():
        yield f"{by.kind} {by.name} ({by.file}:{', '.join(map(str, dict.fromkeys(at)))})"


def _head(entry: Entry) -> Iterator[str]:
    yield entry.kind
    yield from (str(said) for field in _HEAD if (said := getattr(entry.value, field, None)))


def _section(title: str, lines: Iterator[str]) -> Iterator[str]:
    said = list(lines)
    if said:
        yield f"\n{title}"
        yield from (f"  {line}" for line in said)


def _numbers(rules: RuleFolder, entry: Entry) -> Iterator[str]:
    for number in numbers_of(rules.knowledge, entry):
        yield f"{number.words}  [{', '.join(number.marks)}] {', '.join(one.id for one in number.sources)}"


def _sources(rules: RuleFolder, entry: Entry) -> Iterator[str]:
    if entry.kind == "source":
        yield from (f"{field}: {said}" for field in ("read", "url", "note") if (said := getattr(entry.value, field)))
    for one in sources_of(entry):
        section = f" ({one.section})" if one.section else ""
        yield f"[{one.mark}] {one.id}{section}: {rules.knowledge.sources[one.id].citation}"
        if one.quote:
            yield f'  "{one.quote}"'


def _compiled(rules: RuleFolder, entry: Entry) -> Iterator[str]:
    """The rulesets of a criterion or definition in every protocol; those that are the same are printed once."""
    printed: dict[str, list[str]] = {}
    for name in rules.knowledge.protocols if entry.kind in ("criterion", "definition") else ():
        for text in _forms(compile_rulebook(rules.knowledge, name), entry.name):
            printed.setdefault(text, []).append(name)
    for text, names in printed.items():
        yield f"in {', '.join(names)}: {text}".replace("\n", "\n  ")


def _forms(book: Rulebook, name: str) -> Iterator[str]:
    """The compiled form of a name in one protocol: its ruleset, or the one finding that it is."""
    root = book.roots.get(name, "")
    for step in dict.fromkeys((root, name)):
        ruleset = book.steps.get(step)
        if ruleset is not None:
            form = msgspec.json.format(msgspec.json.encode(to_durable(ruleset)), indent=1).decode()
            yield f"inputs in order: {'; '.join(ruleset.inputs)}\n{form}"
    if root in book.leaves:
        yield f"no ruleset of its own: it is as the finding {root!r} is"
