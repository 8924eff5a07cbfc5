"""Each reason of a gate says what it means, where the rule comes from, and what to do next."""

from __future__ import annotations

from datetime import timedelta

import pytest

from mscprotocol.answer import Assessment, GateResult
from mscprotocol.course import HOLD_EVENT, STOP_EVENT
from mscprotocol.course_questions import event_findings
from mscprotocol.definitions import Decision
from mscprotocol.knowledge import KnowledgeBase
from mscprotocol.rulebook import GATE, IMPROVED
from mscprotocol.web.pages.gate_lines import GateLine, explain_gate
from tests.databases import new_database
from tests.store.test_course import START, Ward


@pytest.fixture(scope="module")
def ward() -> Ward:
    database = new_database()
    made = Ward(database)
    made.give(1)
    return made


def explain(answer: Assessment, knowledge: KnowledgeBase, *because: str) -> list[GateLine]:
    from msgspec.structs import replace

    return explain_gate(replace(answer, gate=GateResult(2, "hold", list(because))), knowledge)


def test_every_reason_that_a_gate_can_give_is_explained(ward: Ward, knowledge: KnowledgeBase) -> None:
    answer = ward.course.view(ward.subject).answer
    gate = knowledge.definitions[GATE]
    assert isinstance(gate, Decision)
    tokens = {(name, one) for row in gate.rows for name, said in row.any.items() for one in said}
    shown = [f"{name}: {one.replace('_', ' ')}" for name, one in tokens if name in ("tier", "course", "dose", IMPROVED)]
    events = [f"{one}: {said}" for event in (STOP_EVENT, HOLD_EVENT) for one in event_findings(knowledge, event)
              for said in ("met", "unknown")]  # fmt: skip
    criteria = [f"{one.id}: {one.status}" for one in answer.criteria if one.status in ("met", "not_met", "unknown")]
    assert len(shown) >= 10
    assert len(criteria) > 20
    lines = explain(answer, knowledge, *shown, *events, *criteria)
    assert [one.reason for one in lines if not (one.text and one.marks and one.next)] == []


def test_what_ends_the_course_comes_first_and_what_is_only_open_last(ward: Ward, knowledge: KnowledgeBase) -> None:
    answer = ward.course.view(ward.subject).answer
    given = ["EX-02: unknown", "tier: unknown", "dose: withheld", "PRD-18: not met", "last infusion: stopped",
             "STP-05: unknown", "HLD-01: met", "EX-04: met", "STP-01: met", "course: complete"]  # fmt: skip
    assert [one.reason for one in explain(answer, knowledge, *given)] == [
        "EX-04: met", "STP-01: met", "course: complete",
        "dose: withheld", "PRD-18: not met", "last infusion: stopped", "HLD-01: met",
        "EX-02: unknown", "tier: unknown", "STP-05: unknown",
    ]  # fmt: skip


def test_what_is_open_names_what_settles_it(ward: Ward, knowledge: KnowledgeBase) -> None:
    ward.clock.set(START + timedelta(hours=70))
    answer = ward.course.view(ward.subject).answer
    lines = {one.reason: one for one in explain_gate(answer, knowledge)}
    assert "no dose follows" in lines["tier: unknown"].text
    assert lines["tier: unknown"].marks == ("site-policy: site",)
    assert "settled by" in lines["COA-01: unknown"].next
    assert "event form" in lines["HLD-05: met"].next
