"""Each reason of a gate says what it means, where the rule comes from, and what to do next."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest

from mscprotocol.answer import Assessment, GateResult
from mscprotocol.course import HOLD_EVENT, STOP_EVENT
from mscprotocol.course_forms import Consent
from mscprotocol.course_questions import event_findings
from mscprotocol.definitions import Decision
from mscprotocol.knowledge import KnowledgeBase
from mscprotocol.rulebook import GATE, IMPROVED
from mscprotocol.web.pages.gate_lines import GateLine, explain_gate
from tests.databases import new_database
from tests.store.people import COORDINATOR, token
from tests.store.test_course import START, Ward
from tests.web.pages.subject_page import Page


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
    assert lines["COA-01: unknown"].is_open
    assert lines["COA-01: unknown"].settled_by
    assert not lines["HLD-05: met"].is_open
    assert "event form" in lines["HLD-05: met"].next


def test_a_page_tells_first_what_is_against_then_folds_what_is_open_with_its_count(page: Page) -> None:
    """A new subject has some forty open questions; each datum leads to its field of the screening page."""
    page.ward.course.consent(page.ward.subject, Consent("v3", START - timedelta(hours=4)), token(), COORDINATOR)
    shown = page.client.get(f"{page.base}/course").text.split('id="gate"')[1].split("</section>")[0]
    folded, count = re.findall(r'<details class="on-paper"( open)?><summary>Open <small>(\d+) questions', shown)[0]
    because = page.ward.course.view(page.ward.subject).gate.because
    assert (folded, int(count)) == ("", shown.split("<details")[1].count("<li>"))
    assert shown.count("<li>") == len(because)
    links = dict.fromkeys(re.findall(r'<a href="(/screening\?subject=[^#"]+)#([^"]+)">', shown))
    assert len(links) > 5
    for path, field in links:
        assert f'id="{field}"' in page.client.get(path).text
    page.ward.give(1)
    page.ward.clock.set(START + timedelta(hours=7))
    page.ward.prepare(2)
    shown = page.client.get(f"{page.base}/course").text.split('id="gate"')[1].split("</section>")[0]
    assert "<h3>Against</h3>" in shown
    assert "HLD-05: met" in shown.split("<details")[0]
