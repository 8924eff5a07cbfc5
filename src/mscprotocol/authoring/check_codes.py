"""Checks of the data dictionary: codes that can exist, that mean one thing, and value sets with their descendants."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping

from mscprotocol.authoring.codes import find_category_fault, find_fault
from mscprotocol.authoring.entries import Entry, Place, RuleFolder, walk
from mscprotocol.authoring.problems import Problem, problem
from mscprotocol.codes import Coding
from mscprotocol.data_dictionary import CodedDatum, Condition

NARROWER = "narrower"


def check_codes(rules: RuleFolder) -> Iterator[Problem]:
    """Codes with a wrong check digit or shape; look-alikes that are refused may have one."""
    for entry in rules.of_kind("measurement", "condition"):
        for place, value in walk(entry.value):
            fault = find_fault(value) if isinstance(value, Coding) and "refused" not in place else None
            if fault is not None:
                yield problem(entry, place, f"{value} {fault}", "look the code up again")
        if isinstance(entry.value, Condition):
            yield from _check_categories(entry, entry.value)


def _check_categories(entry: Entry, condition: Condition) -> Iterator[Problem]:
    for field in ("icd10", "icd10_except"):
        for number, category in enumerate(getattr(condition, field)):
            fault = find_category_fault(category)
            if fault is not None:
                yield problem(entry, (field, number), f"ICD-10 {category} {fault}", "look the category up again")


def check_meanings(rules: RuleFolder) -> Iterator[Problem]:
    """Codes that would be read as two things at once.

    A measurement's code belongs to it alone. A code may stand in several value sets, but it names only one of them
    outright: in the others it is `narrower`, a kind of what they hold.
    """
    seen: dict[tuple[str, Coding], Entry] = {}
    for entry in rules.of_kind("measurement", "condition"):
        is_drug = isinstance(entry.value, Condition) and entry.value.kind == "medication"
        for number, one in enumerate(entry.value.codes):
            if is_drug or one.flag == NARROWER:
                continue
            first = seen.setdefault((entry.kind, one.code), entry)
            if first is not entry:
                yield problem(
                    entry, ("codes", number), f"{one.code} also stands for {first.name} ({first.file}:{first.line()})",
                    "keep it in one of them, or flag it narrower",
                )  # fmt: skip


def check_descendants(rules: RuleFolder) -> Iterator[Problem]:
    """Value sets that hold a code and miss one that is said to be a kind of it."""
    listed, kinds = _kinds(rules)
    for place, entry, parent in _parents(rules):
        if parent not in listed:
            yield problem(entry, place, f"no value set holds {parent}", "name a code of the rules under `under`")
    for entry in rules.of_kind("condition"):
        held = _codes_of(rules, entry.value)
        for number, one in enumerate(entry.value.codes):
            for kind in sorted(_below(kinds, one.code) - held, key=str):
                yield problem(
                    entry, ("codes", number), f"holds {one.code} and misses {kind}, a kind of it",
                    "add it to the codes, flagged narrower",
                )  # fmt: skip


def _kinds(rules: RuleFolder) -> tuple[set[Coding], Mapping[Coding, set[Coding]]]:
    """Every code of the value sets, and each with those directly under it."""
    listed: set[Coding] = set()
    kinds: dict[Coding, set[Coding]] = defaultdict(set)
    for one in _coded(rules):
        listed.add(one.code)
        for parent in one.under:
            kinds[parent].add(one.code)
    return listed, kinds


def _coded(rules: RuleFolder) -> Iterator[CodedDatum]:
    for entry in rules.of_kind("condition"):
        yield from entry.value.codes
        yield from (CodedDatum(code=code) for code in entry.value.suspected)


def _parents(rules: RuleFolder) -> Iterator[tuple[Place, Entry, Coding]]:
    for entry in rules.of_kind("measurement", "condition"):
        for number, one in enumerate(entry.value.codes):
            yield from ((("codes", number), entry, parent) for parent in one.under)


def _codes_of(rules: RuleFolder, condition: Condition) -> set[Coding]:
    """The codes of a value set, those of its parts and those that only suggest it."""
    own = {one.code for one in condition.codes} | set(condition.suspected)
    return own.union(*(_codes_of(rules, rules.knowledge.conditions[part]) for part in condition.parts))


def _below(kinds: Mapping[Coding, set[Coding]], code: Coding) -> set[Coding]:
    """Every code under a code, at whatever depth."""
    found: set[Coding] = set()
    waiting = [code]
    while waiting:
        new = kinds.get(waiting.pop(), set()) - found
        found |= new
        waiting += new
    return found
