"""What must not change an answer, over every protocol: knowing a value better, and the order in which things stand.

Each function yields what went wrong, so that a test and a longer run of `make assurance` share them; a seed makes the
random choices the same on every day.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from mscprotocol.assessment import assess
from mscprotocol.case import Request
from mscprotocol.case_records import AT, build_record
from mscprotocol.case_tables import Row, read_rows
from mscprotocol.definitions import Ladder
from mscprotocol.engine import Engine
from mscprotocol.findings import Finding, Findings
from mscprotocol.knowledge import KnowledgeBase
from mscprotocol.knowledge_forms import ScoreLeaf
from mscprotocol.knowledge_loader import load_knowledge
from mscprotocol.reasons import Reason
from mscprotocol.record import PatientRecord
from mscprotocol.rulebook import Rulebook, compile_rulebook
from mscprotocol.scores import Scores
from mscprotocol.truth import Truth
from tests.rule_oracles import conclude

CASES = Path(__file__).parent.parent / "criteria" / "cases"


def all_books(knowledge: KnowledgeBase | None = None) -> list[Rulebook]:
    """The rulebook of every protocol that patients are assessed by."""
    rules = knowledge or load_knowledge()
    return [compile_rulebook(rules, one.id) for one in rules.protocols.values() if one.assessed]


# -- knowing better ---------------------------------------------------------------------------------


def turned_by_refined_tokens(book: Rulebook, engine: Engine, number: int) -> Iterator[str]:
    """Conclusions that a finding turned round when it was known better."""
    chance = random.Random(f"refined tokens of {book.protocol.id}")
    trend = book.protocol.trend
    for _ in range(number):
        leaves = {key: chance.choice(["met", "not_met", "unknown", "unknown"]) for key in book.leaves}
        share = chance.random()
        finer = {
            key: chance.choice(["met", "not_met"]) if token == "unknown" and chance.random() < share else token
            for key, token in leaves.items()
        }
        course = {} if trend is None else {trend: chance.choice(book.steps[trend].conclusions)}
        before, after = (conclude(book, engine, {**tokens, **course}) for tokens in (leaves, finer))
        for name in before:
            if not may_become(book, name, before[name], after[name]):
                yield f"{book.protocol.id} {name}: {before[name]} became {after[name]}"


def may_become(book: Rulebook, name: str, before: str, after: str) -> bool:
    """Whether a conclusion may change so when more is known."""
    definition = book.knowledge.definitions.get(name)
    if isinstance(definition, Ladder) and before.startswith("at_least:"):
        order = [rung.name for rung in definition.rungs]
        return order.index(after.removeprefix("at_least:")) <= order.index(before.removeprefix("at_least:"))
    return before in ("unknown", after)


# Why a value is refused for what stands beside it: a ratio or a body mass index beyond its limits, a venous gas.
_REFUSED = (Reason.IMPLAUSIBLE, Reason.SPECIMEN_MISMATCH)


def turned_by_refined_values(knowledge: KnowledgeBase, number: int) -> Iterator[str]:
    """Findings that a value turned round when its interval was narrowed, in the records of the case tables.

    A narrower value may contradict what was charted beside it, or be none that a body or an artery has beside it; then,
    and only then, an answer may become unknown.
    """
    chance = random.Random("refined values")
    leaves = {key: leaf for book in all_books(knowledge) for key, leaf in book.leaves.items()}
    rows = [row for row in read_rows(CASES) if _numeric(knowledge, row)]
    for row in chance.sample(rows, min(number, len(rows))):
        name = chance.choice(_numeric(knowledge, row))
        wide, narrow = _nested(knowledge, name, chance)
        before, after = (
            _findings(knowledge, {**row.given, name: text}, leaves) for text in (f"{wide} @ 1 h", f"{narrow} @ 1 h")
        )
        contradicted = any(Reason.CONFLICT in one.reasons for one in after.values())
        yield from (
            f"{key}: {before[key].truth} with {name} {wide}, {after[key].truth} with {narrow} ({row.name})"
            for key in leaves
            if before[key].truth not in (Truth.UNKNOWN, after[key].truth)
            and not (after[key].truth is Truth.UNKNOWN and (contradicted or after[key].reasons[0] in _REFUSED))
        )


def _numeric(knowledge: KnowledgeBase, row: Row) -> list[str]:
    """The numbers that a row gives and that stand for themselves."""
    found = [name for name in row.given if name in knowledge.measurements]
    return [
        name for name in found if knowledge.measurements[name].kind == "quantity" and knowledge.measurements[name].hard
    ]


def _nested(knowledge: KnowledgeBase, name: str, chance: random.Random) -> tuple[str, str]:
    """A wide interval of a datum and a narrower one within, both as a table writes them."""
    datum = knowledge.measurements[name]
    assert datum.hard is not None
    step = datum.resolution
    span = int((datum.hard.high - datum.hard.low) / step)
    near = chance.choice([span, max(4, span // 20)])  # most thresholds lie low in their range
    ends = sorted(chance.randint(0, near) for _ in range(4))
    low, inner_low, inner_high, high = (datum.hard.low + step * end for end in ends)
    if chance.random() < 0.5:
        inner_high = inner_low
    return f"{_text(low)}..{_text(high)} {datum.unit}", f"{_text(inner_low)}..{_text(inner_high)} {datum.unit}"


def _text(value: Decimal) -> str:
    return f"{value:f}"


def _findings(knowledge: KnowledgeBase, given: Mapping[str, object], leaves: Mapping[str, Any]) -> dict[str, Finding]:
    findings = Findings(build_record(knowledge, given), knowledge, AT, "infusion")
    scores = Scores(findings)
    return {
        key: scores.find(leaf) if isinstance(leaf, ScoreLeaf) else findings.find(leaf) for key, leaf in leaves.items()
    }


# -- order ------------------------------------------------------------------------------------------


def changed_by_order(knowledge: KnowledgeBase, number: int) -> Iterator[str]:
    """Answers that change when entries of a record, criteria of a protocol or entries of rule files are shuffled."""
    chance = random.Random("order")
    shuffled_rules = _shuffle_rules(knowledge, chance)
    books, other_books = all_books(knowledge), {book.protocol.id: book for book in all_books(shuffled_rules)}
    rows = [row for row in read_rows(CASES) if row.given]
    for row in chance.sample(rows, min(number, len(rows))):
        record = build_record(knowledge, row.given, row.at)
        for book in books:
            asked = Request(row.at, chance.choice(["screening", "enrolment", "infusion"]))
            expected = _seen(assess(record, book, asked))
            if _seen(assess(_shuffle_record(record, chance), book, asked)) != expected:
                yield f"{book.protocol.id}: the order of the record's entries ({row.name})"
            if _seen(assess(record, other_books[book.protocol.id], asked)) != expected:
                yield f"{book.protocol.id}: the order of criteria and rule files ({row.name})"


def _seen(answer: Any) -> tuple[object, ...]:
    """What must stay the same: the hash of what was concluded, and every conclusion that a reader sees."""
    criteria = sorted((one.id, one.status, str(one.reason)) for one in answer.criteria)
    gate = None if answer.gate is None else answer.gate.decision
    return answer.trace_sha256, answer.verdict, answer.outlook, answer.dose.status, gate, answer.valid_until, criteria


def _shuffle_record(record: PatientRecord, chance: random.Random) -> PatientRecord:
    def mixed(named: Mapping[str, tuple[Any, ...]]) -> dict[str, tuple[Any, ...]]:
        return {name: tuple(_shuffled(named[name], chance)) for name in _shuffled(named, chance)}

    return msgspec.structs.replace(
        record,
        measurements=mixed(record.measurements),
        presences=mixed(record.presences),
        attestations=mixed(record.attestations),
        infusions=tuple(_shuffled(record.infusions, chance)),
        unmapped=tuple(_shuffled(record.unmapped, chance)),
    )


def _shuffle_rules(knowledge: KnowledgeBase, chance: random.Random) -> KnowledgeBase:
    """The same rules as if their files were written in another order, criteria of protocols included."""
    mixed: dict[str, Any] = {
        name: {key: entries[key] for key in _shuffled(entries, chance)}
        for name in ("measurements", "conditions", "definitions", "criteria", "protocols")
        for entries in (getattr(knowledge, name),)
    }
    mixed["protocols"] = {
        name: one.model_copy(update={"criteria": _shuffle_criteria(knowledge, one.criteria, chance)})
        for name, one in mixed["protocols"].items()
    }
    return replace(knowledge, **mixed)


def _shuffle_criteria(knowledge: KnowledgeBase, names: tuple[str, ...], chance: random.Random) -> tuple[str, ...]:
    """Criteria in another order; the first inclusion of a protocol is its indication, and stays the first."""
    indication = next(name for name in names if knowledge.criteria[name].role == "inclusion")
    return (indication, *(name for name in _shuffled(names, chance) if name != indication))


def _shuffled(entries: Any, chance: random.Random) -> list[Any]:
    return chance.sample(list(entries), len(entries))
