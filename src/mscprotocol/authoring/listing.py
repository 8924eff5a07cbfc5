"""Lists for a terminal: criteria, the coverage of the case tables, and the difference of two folders."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.table import Table

from mscprotocol.authoring.coverage import Report
from mscprotocol.authoring.difference import Difference, OutcomeChange
from mscprotocol.authoring.entries import Entry, RuleFolder
from mscprotocol.authoring.numbers import numbers_of
from mscprotocol.authoring.show import sources_of

Listed = Sequence[tuple[Entry, tuple[str, ...], tuple[str, ...]]]


def list_criteria(
    rules: RuleFolder,
    *,
    role: str | None = None,
    stage: str | None = None,
    mark: str | None = None,
    protocol: str | None = None,
) -> Listed:
    """The criteria that fit every filter, each with its marks and the protocols that name it."""
    found = []
    for entry in rules.of_kind("criterion"):
        marks = marks_of(rules, entry)
        protocols = protocols_of(rules, entry.name)
        wanted = ((role, entry.value.role), (stage, entry.value.stage))
        if all(one in (None, is_) for one, is_ in wanted) and mark in (None, *marks) and protocol in (None, *protocols):
            found.append((entry, marks, protocols))
    return found


def marks_of(rules: RuleFolder, entry: Entry) -> tuple[str, ...]:
    """Every mark of an entry's sources and numbers."""
    sources = [one.mark for one in sources_of(entry)]
    numbers = [mark for number in numbers_of(rules.knowledge, entry) for mark in number.marks]
    return tuple(dict.fromkeys((*sources, *numbers)))


def protocols_of(rules: RuleFolder, criterion: str) -> tuple[str, ...]:
    """The protocols that name a criterion or print it as a statement."""
    knowledge = rules.knowledge
    cards = (*knowledge.protocols.values(), *knowledge.information.values())
    return tuple(one.id for one in cards if criterion in (*getattr(one, "criteria", ()), *one.statements))


def tabulate(listed: Listed) -> Table:
    """Criteria as a table."""
    table = Table("id", "role", "stage", "marks", "protocols", "what it says", box=None, padding=(0, 2, 0, 0))
    for entry, marks, protocols in listed:
        table.add_row(
            entry.name, entry.value.role, entry.value.stage, " ".join(marks),
            str(len(protocols)) if len(protocols) != 1 else protocols[0], entry.text,
        )  # fmt: skip
    return table


def coverage_lines(report: Report) -> Iterator[str]:
    """The coverage as text: what came out how often, what is missing, and what cannot be."""
    for one in report.items:
        counts = [f"{outcome} {one.seen.get(outcome, 0)}" for outcome in one.wanted]
        said = [", ".join(counts)] if counts else []
        said += [f"{outcome} not counted: {why}" for outcome, why in one.not_counted.items()]
        missing = f"  MISSING {', '.join(one.missing)}" if one.missing else ""
        yield f"{one.name:28} {'; '.join(said)}{missing}"
    yield from (f"FAILED {row}" for row in report.failed)
    percent = 100 * report.covered // report.wanted if report.wanted else 100
    yield f"{report.covered} of {report.wanted} outcomes, {percent} %"


def difference_lines(found: Difference) -> Iterator[str]:
    """A difference as text; a rule in words stands above its fields."""
    yield f"old sha256 {found.old_sha256}"
    yield f"new sha256 {found.new_sha256}"
    for entry in found.entries:
        yield f"{entry.change} {entry.kind} {entry.name} {entry.place}"
        for field in entry.fields:
            yield f"  {field.field}: {field.old or 'nothing'} -> {field.new or 'nothing'}"
    yield from _outcome_lines("case rows", found.rows)
    yield from _outcome_lines("sample patients", found.patients)
    changed = {one.asked for one in found.patients}
    yield f"{len(found.entries)} entries, {len(found.rows)} case rows, {len(changed)} sample patients change"


def _outcome_lines(title: str, changes: Sequence[OutcomeChange]) -> Iterator[str]:
    """What changes, one line for each row, and for each patient by each protocol."""
    grouped: dict[str, list[str]] = {}
    for one in changes:
        asked = f"{one.asked} by {one.protocol}" if one.protocol else one.asked
        grouped.setdefault(asked, []).append(f"{one.what} {one.old} -> {one.new}")
    if grouped:
        yield f"{title} that change"
    yield from (f"  {asked}: {'; '.join(said)}" for asked, said in grouped.items())
