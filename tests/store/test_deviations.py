"""An infusion that was given against the protocol: recorded as what it is, counted like any other, opening nothing."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from msgspec.structs import replace
from sqlalchemy import select

from mscprotocol.answer import to_json
from mscprotocol.checklist import build_checklist
from mscprotocol.course_deviations import deviate
from mscprotocol.course_forms import Events, Infusion, Override, read_form
from mscprotocol.errors import RequestError
from mscprotocol.records import find_faults
from mscprotocol.screening_log import read_line, write_csv
from mscprotocol.service import Caller
from mscprotocol.store import signatures
from mscprotocol.store.database import Database
from mscprotocol.store.subjects import Wanted
from mscprotocol.store.tables import AuditEntry, Signature, StoredAssessment
from mscprotocol.subject_chart import Recorded
from mscprotocol.verification import Kept, verify
from tests.store.people import CLINICIAN, COORDINATOR, SECOND, token
from tests.store.test_course import START, Ward, put_right

WHY = "the infusion had begun when the result came"


@pytest.fixture
def ward(database: Database) -> Ward:
    return Ward(database)


def held(ward: Ward) -> None:
    """Ready for the second infusion, but for a D-dimer that has doubled."""
    ward.give(1)
    ward.observe(1, START)
    ward.prepare(2, dimer="1.30")
    for who in (COORDINATOR, SECOND):  # the dose is withheld: there is none of the program to compare
        ward.check(2, cells="21000000", who=who)


def depart(ward: Ward, number: int, click: str | None = None, reason: str = WHY, **more: Any) -> Recorded:
    """Record, an hour later, an infusion that starts now and that something is against."""
    started = ward.now
    ward.clock.set(started + timedelta(hours=1))
    form = Infusion(number, started, started + timedelta(hours=1), volume_ml="100", lot="LOT-7")
    try:
        return deviate(ward.course, ward.subject, form, reason, click or token(), COORDINATOR, **more)
    finally:
        ward.clock.set(started)


def last(ward: Ward) -> Infusion:
    return ward.course.view(ward.subject).infusions[-1]


def test_what_the_gate_held_is_recorded_with_its_answer_of_then(ward: Ward) -> None:
    held(ward)
    gate = ward.course.view(ward.subject).gate
    assert gate.decision == "hold"
    with pytest.raises(RequestError, match="says hold"):
        ward.infuse(2)
    done = depart(ward, 2)
    assert done.answer is not None
    kept = last(ward).deviation
    assert kept is not None
    assert (kept.gate, kept.because, kept.reason) == ("hold", gate.because, WHY)
    assert "HLD-01: met" in kept.because
    assert [row.status for row in done.answer.schedule[:2]] == ["given", "given"]
    assert [row.deviation is not None for row in done.answer.schedule[:2]] == [False, True]
    with ward.course.service.database.reading() as session:
        then = session.get(StoredAssessment, kept.assessment)
        assert then is not None, "the answer behind the gate of then is kept"
        stored = session.execute(select(StoredAssessment)).scalars().all()
        actions = [one.action for one in session.execute(select(AuditEntry)).scalars()]
        assert list(find_faults(session)) == []
    assert "deviation" in actions
    knowledge = ward.course.subjects.knowledge
    assert {verify(Kept(one), knowledge, START).outcome for one in stored} == {"same"}


def test_the_next_infusion_is_reckoned_from_it(ward: Ward) -> None:
    held(ward)
    second = ward.now + timedelta(minutes=40)
    ward.clock.set(second)
    answer = depart(ward, 2).answer
    assert answer is not None
    assert answer.gate is not None
    assert answer.gate.infusion == 3
    assert datetime.fromisoformat(answer.schedule[2].planned) == second + timedelta(hours=72)


def test_a_dose_that_nobody_checked_is_said(ward: Ward) -> None:
    ward.prepare(1)
    assert ward.course.view(ward.subject).gate.decision == "go"
    with pytest.raises(RequestError, match="Two people"):
        ward.infuse(1)
    depart(ward, 1)
    kept = last(ward).deviation
    assert kept is not None
    assert (kept.gate, kept.because) == ("go", ["dose check: not made by two people"])


def test_without_consent_and_to_one_who_is_not_eligible(ward: Ward) -> None:
    depart(ward, 1)
    kept = last(ward).deviation
    assert kept is not None
    assert "REG-02: unknown" in kept.because
    assert "dose check: not made by two people" in kept.because
    assert [one.status for one in ward.course.view(ward.subject).answer.schedule if one.deviation] == ["given"]


def test_a_fifth_infusion_has_its_row_and_the_course_stays_complete(ward: Ward) -> None:
    for number in range(1, 5):
        started = ward.now
        ward.give(number)
        ward.observe(number, started)
    with pytest.raises(RequestError, match="no more infusions"):
        ward.infuse(5)
    answer = depart(ward, 5).answer
    assert answer is not None
    assert [row.status for row in answer.schedule] == ["given"] * 5
    kept = last(ward).deviation
    assert kept is not None
    assert "course: complete" in kept.because
    gate = ward.course.view(ward.subject).gate
    assert (gate.infusion, gate.decision, "course: complete" in gate.because) == (6, "stop", True)


def test_it_is_shown_on_the_sheet_and_counted_in_the_log(ward: Ward) -> None:
    held(ward)
    answer = depart(ward, 2).answer
    assert answer is not None
    sheet = repr(build_checklist(answer, ward.course.subjects.knowledge))
    assert "Protocol deviation. Gate of then: hold (" in sheet
    assert WHY in sheet
    lines = ward.course.subjects.lines(Wanted())[0]
    assert [one.deviations for one in lines] == [1]
    head, row = write_csv([read_line(one) for one in lines], ZoneInfo("UTC")).splitlines()
    assert dict(zip(head.split(","), row.split(","), strict=True))["deviations"] == "1"
    assert "deviation" not in to_json(ward_without(ward)).decode()


def ward_without(ward: Ward) -> Any:
    """The answer of another subject, whose course kept to the protocol."""
    from tests.store.people import newcomer

    ward.clock.set(START)
    ward.subject = ward.course.subjects.enrol(newcomer("S-002"), COORDINATOR).subject.id
    return ward.give(1)


def test_a_double_click_gives_no_second_one(ward: Ward) -> None:
    held(ward)
    click = token()
    first, second = depart(ward, 2, click), depart(ward, 2, click)
    assert second.is_repeated
    assert first.entry is not None
    assert second.entry is not None
    assert (first.entry.id, first.assessment_id) == (second.entry.id, second.assessment_id)
    with pytest.raises(RequestError, match="other answers"):
        depart(ward, 2, click, reason="another reason")
    with pytest.raises(RequestError, match="number 3"):
        depart(ward, 2)
    assert len(ward.course.view(ward.subject).infusions) == 2


def test_it_is_signed_with_what_it_says_or_not_kept(ward: Ward) -> None:
    held(ward)
    signer = signatures.Signer("coordinator.one", None, "Coordinator One", "password")

    def sign(session: Any, subject: str, content: bytes) -> object:
        return signatures.sign(session, ward.now, signer, "deviates", subject, content)

    def fail(*_: object) -> object:
        raise RequestError("conflict", "not signed")

    with pytest.raises(RequestError, match="not signed"):
        depart(ward, 2, sign=fail)
    assert len(ward.course.view(ward.subject).infusions) == 1
    entry = depart(ward, 2, sign=sign).entry
    assert entry is not None
    with ward.course.service.database.reading() as session:
        (found,) = session.execute(select(Signature)).scalars()
    assert signatures.holds(found, entry.sha256.encode())


def test_what_nothing_is_against_is_no_deviation_and_needs_a_reason_and_a_role(ward: Ward) -> None:
    ward.prepare(1)
    ward.check(1)
    with pytest.raises(RequestError, match="its reason in words"):
        depart(ward, 1, reason=" ")
    ward.check(1, who=SECOND)
    with pytest.raises(RequestError, match="Nothing was against"):
        depart(ward, 1)
    auditor = Caller("auditor", frozenset({"auditor"}))
    form = Infusion(1, START, START + timedelta(hours=1))
    with pytest.raises(RequestError, match="This is for"):
        deviate(ward.course, ward.subject, form, WHY, token(), auditor)
    with pytest.raises(RequestError, match="still to come"):
        deviate(ward.course, ward.subject, replace(form, started=START + timedelta(hours=2), ended=None,
                status="in-progress"), WHY, token(), COORDINATOR)  # fmt: skip


def test_a_correction_keeps_what_was_against_it(ward: Ward) -> None:
    held(ward)
    entry = depart(ward, 2).entry
    assert entry is not None
    before = last(ward).deviation
    ward.clock.set(ward.now + timedelta(hours=3))
    form = replace(last(ward), volume_ml="90", deviation=None)
    put_right(ward, form, entry.id)
    assert (last(ward).volume_ml, last(ward).deviation) == ("90", before)
    with pytest.raises(RequestError, match="recorded as one"):
        ward.course.infuse(ward.subject, replace(form, infusion=3, deviation=before), token(), COORDINATOR)
    newest = ward.course.subjects.chart(ward.subject).of_kind("infusion")[-1]
    undone = Infusion(2, form.started, status="entered-in-error")
    put_right(ward, undone, newest.id)
    view = ward.course.view(ward.subject)
    assert (len(view.infusions), view.following) == (1, 2)
    assert "deviation: recorded" not in view.gate.because


def test_one_that_began_before_the_last_is_not_the_next(ward: Ward) -> None:
    held(ward)
    form = Infusion(2, START - timedelta(hours=1), START)
    with pytest.raises(RequestError, match="not be of this number"):
        deviate(ward.course, ward.subject, form, WHY, token(), COORDINATOR)


def test_after_it_no_gate_says_go_until_a_clinician_signs(ward: Ward) -> None:
    """What spoke against an infusion is not asked again, or has moved on: the deviation itself then holds."""
    ward.prepare(1)
    ward.check(1)
    depart(ward, 1)
    ward.observe(1, START)
    ward.prepare(2)
    gate = ward.course.view(ward.subject).gate
    assert (gate.decision, gate.because) == ("hold", ["deviation: recorded"]), "all else is as it should be"
    ward.check(2)
    ward.check(2, who=SECOND)
    with pytest.raises(RequestError, match="says hold"):
        ward.infuse(2)
    form = Override(2, "judgement", "seen", list(gate.because), ward.now)
    ward.course.override(ward.subject, form, token(), CLINICIAN)
    ward.infuse(2)
    assert last(ward).deviation is None
    ward.observe(2, ward.now)
    assert "deviation: recorded" in ward.course.view(ward.subject).gate.because, "for each further infusion"


@pytest.mark.parametrize("against", ["nothing said", "a rise", "an exclusion", "a stop event", "too early"])
def test_no_gate_is_more_open_for_it(ward: Ward, against: str) -> None:
    """Hazard: at every later instant the gate with the deviation is as strict as without it, or stricter."""
    rank = {"go": 0, "hold": 1, "stop": 2}
    if against == "nothing said":
        number = 1
    else:
        number = 2
        ward.give(1)
        hours = 24 if against == "too early" else 72
        ward.observe(1, START, until=hours, **({"infusion_reaction": "yes"} if against == "a stop event" else {}))
        ward.prepare(2, dimer="1.30" if against == "a rise" else "0.60")
    if against == "an exclusion":
        from tests.store.people import entry

        form = {"patient": {"id": "anna"}, "conditions": [{"name": "hit", "status": "active", "since": ward.text(9)}]}
        ward.course.subjects.record(ward.subject, entry("record", form), COORDINATOR)
    instants = [ward.now + timedelta(hours=hours) for hours in (1, 24, 66, 72, 96, 121, 600)]
    before = [ward.course.view(ward.subject, at).gate.decision for at in instants]
    depart(ward, number)
    said: Any = dict.fromkeys(ward.course.questions()[:-2], "no") | {"marked_improvement": "no"}
    started = ward.now
    for hours in (6, 24, 72):
        ward.clock.set(started + timedelta(hours=hours))
        ward.course.events(ward.subject, Events(number, f"{hours} h", ward.now, said), token(), COORDINATOR)
    after = [ward.course.view(ward.subject, at).gate.decision for at in instants]
    ward.prepare(number + 1)  # and all is as it should be for the next one
    assert ward.course.view(ward.subject).gate.decision != "go"
    assert "go" not in after
    assert all(rank[new] >= rank[old] for old, new in zip(before, after, strict=True)), (before, after)


def test_the_entry_says_it_whole(ward: Ward) -> None:
    held(ward)
    entry = depart(ward, 2).entry
    assert entry is not None
    form = read_form(entry.content, Infusion)
    assert form.deviation is not None
    assert entry.slot == "infusion/2/0", "the second infusion is there once, however it was recorded"
