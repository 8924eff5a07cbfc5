"""Every check of the rules, one after the other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

from mscprotocol.authoring.check_codes import check_codes, check_descendants, check_meanings
from mscprotocol.authoring.check_logic import check_logic
from mscprotocol.authoring.check_numbers import check_marks, check_quotes, check_units, quotes_of
from mscprotocol.authoring.check_uses import check_names, check_uses
from mscprotocol.authoring.entries import RuleFolder
from mscprotocol.authoring.numbers import numbers_of
from mscprotocol.authoring.problems import Problem
from mscprotocol.rulebook import compile_rulebook

CHECKS: tuple[Callable[[RuleFolder], Iterator[Problem]], ...] = (
    check_names, check_marks, check_units, check_codes, check_meanings, check_descendants, check_uses, check_logic,
)  # fmt: skip


def check_rules(rules: RuleFolder, paper: str | None = None) -> list[Problem]:
    """Every problem of the rules in order of place; with the text of the paper also of its quotes."""
    found = {one for check in CHECKS for one in check(rules)}
    if paper is not None:
        found |= set(check_quotes(rules, paper))
    return sorted(found)


def summarise(rules: RuleFolder, *, with_paper: bool) -> Iterator[str]:
    """What was looked at."""
    counts = Counter(entry.kind for entry in rules.entries.values())
    numbers = [one for entry in rules.entries.values() for one in numbers_of(rules.knowledge, entry)]
    marks = Counter(mark for one in numbers for mark in one.marks)
    yield ", ".join(f"{count} of kind {kind}" for kind, count in counts.items())
    yield f"{len(numbers)} numbers: " + ", ".join(f"{count} {mark}" for mark, count in marks.most_common())
    if with_paper:
        quotes = {source.quote for _, _, source in quotes_of(rules)}
        yield f"{len(quotes)} different quotes looked up in the paper"
    for name in rules.knowledge.protocols:
        book = compile_rulebook(rules.knowledge, name)
        yield f"{name}: {len(list(book.criteria))} criteria, {len(book.leaves)} findings, {len(book.steps)} rulesets"
    yield f"rules {rules.knowledge.version} sha256 {rules.knowledge.sha256}"
