"""A course of four infusions: its gate, its dose, its schedule across a change of the clocks, and what ends it."""

from __future__ import annotations

import json
import threading
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from mscprotocol.answer import Assessment
from mscprotocol.codes import CodeSystem
from mscprotocol.course_actions import Course, GateClosedError
from mscprotocol.course_forms import Consent, DoseCheck, Events, Form, Infusion, Lot, Override, Withdrawal
from mscprotocol.errors import RequestError
from mscprotocol.service import Caller
from mscprotocol.store import audit
from mscprotocol.store.database import Database
from mscprotocol.store.subjects import NewEntry
from mscprotocol.store.tables import AuditEntry, StoredAssessment
from mscprotocol.verification import Kept, verify
from tests.patients import LOT, severe_and_worsening
from tests.store.people import (
    CLINICIAN,
    COORDINATOR,
    SECOND,
    Clock,
    bundle,
    entry,
    newcomer,
    open_subjects,
    sign_seen,
    token,
)

START = datetime.fromisoformat("2020-03-27T10:00:00+01:00")  # the clocks go forward on the 29th
STATED = {"study_authorisation": "yes", "prior_msc_therapy": "no", "thromboprophylaxis_charted": "yes"}


class Ward:
    """One subject, the clock of the ward, and who works there."""

    def __init__(self, database: Database, at: datetime = START, number: str = "S-001") -> None:
        self.clock = Clock(at.isoformat())
        self.course = Course(open_subjects(database, self.clock))
        self.subject = self.course.subjects.enrol(newcomer(number), COORDINATOR).subject.id

    @property
    def now(self) -> datetime:
        return self.clock.now

    def prepare(self, number: int, *, dimer: str = "0.60") -> None:
        """New data, the lot and the dose, half an hour before an infusion."""
        one = severe_and_worsening("anna", self.now.isoformat())
        one.lab("29463-7", "70", "kg", 3, display="Body weight")
        self.course.subjects.record(self.subject, bundle(one, f"i{number}-"), COORDINATOR)
        if number == 1:
            self.course.consent(self.subject, Consent("v3", self.now - timedelta(hours=4)), token(), COORDINATOR)
        answers = [{"name": k, "answer": v, "by": "Dr. Example", "at": self.text(0.5)} for k, v in STATED.items()]
        data = [
            {"name": "d_dimer", "value": f"{dimer} mg/L", "upper_limit": "0.5 mg/L", "assay": "FEU", "at": self.text(1)}
        ]
        form = {"patient": {"id": "anna"}, "answers": answers, "data": data}
        self.course.subjects.record(self.subject, entry("record", form), COORDINATOR)
        self.course.lot(self.subject, Lot(number, self.product()), token(), COORDINATOR)

    def product(self) -> dict[str, Any]:
        said: dict[str, Any] = {"lot": "LOT-7", "at": self.text(0.5)}
        for name, value in LOT.items():
            text = (self.now + value).isoformat() if isinstance(value, timedelta) else value
            said[name] = {"value": text, "at": self.text(0.5)} if name == "product_viability" else text
        return said

    def check(self, number: int, *, cells: str | None = None, who: Caller = COORDINATOR) -> None:
        dose = self.course.view(self.subject).answer.dose
        form = DoseCheck(number, cells or dose.cells or "", dose.volume_ml)
        self.course.check_dose(self.subject, form, token(), who)

    def infuse(self, number: int, **more: Any) -> Any:
        """An infusion that starts now, recorded an hour later."""
        started = self.now
        self.clock.set(started + timedelta(hours=1))
        form = Infusion(number, started, started + timedelta(hours=1), volume_ml="100", lot="LOT-7", **more)
        try:
            return self.course.infuse(self.subject, form, token(), COORDINATOR)
        finally:
            self.clock.set(started)

    def give(self, number: int, **more: Any) -> Assessment:
        self.prepare(number)
        self.check(number)
        self.check(number, who=SECOND)
        answer: Assessment = self.infuse(number, **more).answer
        return answer

    def observe(self, number: int, started: datetime, until: float = 72, since: float = 6, **answers: str) -> None:
        """The forms at 6, 24 and 72 h, nothing seen but what is said; the clock is then at the last of them."""
        for hours in (6, 24, 72):
            if not since <= hours <= until:
                continue
            self.clock.set(started + timedelta(hours=hours))
            said: Any = dict.fromkeys(self.course.questions()[:-2], "no") | {"marked_improvement": "no"} | answers
            self.course.events(self.subject, Events(number, f"{hours} h", self.now, said), token(), COORDINATOR)

    def text(self, hours_ago: float) -> str:
        return (self.now - timedelta(hours=hours_ago)).isoformat()


def put_right(ward: Ward, form: Form, entry: str, reason: str = "misread") -> Any:
    """A correction that a clinician signs."""
    click, course = token(), ward.course
    return sign_seen(
        lambda signed: course.correct(ward.subject, form, click, entry, reason, CLINICIAN, signed), ward.now
    )


@pytest.fixture
def ward(database: Database) -> Ward:
    return Ward(database)


def test_four_infusions_across_a_change_of_the_clocks_and_no_fifth(ward: Ward) -> None:
    started = []
    for number in range(1, 5):
        started.append(ward.now)
        answer = ward.give(number)
        ward.observe(number, started[-1])
        ward.clock.set(ward.now + timedelta(minutes=5))  # each infusion a little late: the next is reckoned from it
    rows = answer.schedule
    assert [row.status for row in rows] == ["given"] * 4
    assert [row.planned for row in rows] == [
        "2020-03-27T10:00:00+01:00",
        "2020-03-30T11:05:00+02:00",
        "2020-04-02T11:10:00+02:00",
        "2020-04-05T11:15:00+02:00",
    ]
    with pytest.raises(RequestError, match="no more infusions"):
        ward.infuse(5)
    view = ward.course.view(ward.subject)
    assert (view.gate.decision, "course: complete" in view.gate.because) == ("stop", True)
    with ward.course.service.database.reading() as session:
        assert audit.find_fault(session) is None


def test_the_next_infusion_is_reckoned_from_the_actual_start(ward: Ward) -> None:
    ward.clock.set(START + timedelta(minutes=40))
    answer = ward.give(1)
    assert answer.schedule[1].planned == "2020-03-30T11:40:00+02:00"


def test_held_on_a_rising_d_dimer(ward: Ward) -> None:
    ward.give(1)
    ward.observe(1, START)
    ward.prepare(2, dimer="1.30")
    view = ward.course.view(ward.subject)
    assert view.gate.decision == "hold"
    assert "HLD-01: met" in view.gate.because
    with pytest.raises(GateClosedError) as caught:
        ward.infuse(2)
    assert "HLD-01: met" in caught.value.gate.because
    assert "HLD" not in str(caught.value)
    with ward.course.service.database.reading() as session:
        last = session.execute(select(AuditEntry).order_by(AuditEntry.sequence.desc())).scalars().first()
    assert last is not None
    assert (last.action, last.detail) == ("refused", {"why": "gate_closed"})


def test_stopped_on_a_reaction_and_no_later_no_undoes_it(ward: Ward) -> None:
    answer = ward.give(1, status="stopped", stop_reason="urticaria")
    assert answer.schedule[0].status == "stopped"
    ward.observe(1, START, until=6, infusion_reaction="yes")
    ward.observe(1, START, since=24)
    ward.prepare(2)
    view = ward.course.view(ward.subject)
    assert view.gate.decision == "stop"
    assert "STP-05: met" in view.gate.because
    with pytest.raises(GateClosedError):
        ward.infuse(2)


def test_a_form_that_is_due_and_missing_holds(ward: Ward) -> None:
    ward.give(1)
    ward.observe(1, START, until=24)
    ward.clock.set(START + timedelta(hours=72))
    ward.prepare(2)
    view = ward.course.view(ward.subject)
    assert [str(one) for one in view.due] == ["72 h after infusion 1"]
    assert view.gate.decision == "hold"
    assert "HLD-05: met" in view.gate.because


def test_too_early_and_too_late_hold(ward: Ward) -> None:
    ward.give(1)
    ward.observe(1, START, until=24)
    for hours, state in ((65, "too early"), (121, "missed")):
        ward.clock.set(START + timedelta(hours=hours))
        assert f"course: {state}" in ward.course.view(ward.subject).gate.because


def test_the_dose_needs_two_people_who_agree_with_the_program(ward: Ward) -> None:
    ward.prepare(1)
    with pytest.raises(RequestError, match="Two people"):
        ward.infuse(1)
    ward.check(1)
    ward.check(1)
    with pytest.raises(RequestError, match="Two people"):
        ward.infuse(1)
    with pytest.raises(RequestError, match="not the numbers that the program"):
        ward.check(1, cells="700000000", who=SECOND)
    ward.check(1, who=SECOND)
    ward.infuse(1)


def test_a_clinician_may_set_a_hold_aside_for_a_while(ward: Ward) -> None:
    ward.give(1)
    ward.observe(1, START, new_infection="yes")
    ward.prepare(2)
    ward.check(2)
    ward.check(2, who=SECOND)
    gate = ward.course.view(ward.subject).gate
    assert (gate.decision, gate.because) == ("hold", ["HLD-04: met"])
    form = Override(2, "judgement", "line colonisation, treated", list(gate.because), ward.now)
    with pytest.raises(RequestError, match="clinician"):
        ward.course.override(ward.subject, form, token(), COORDINATOR)
    with pytest.raises(RequestError, match="other reasons"):
        ward.course.override(ward.subject, Override(2, "judgement", "x", [], ward.now), token(), CLINICIAN)
    ward.course.override(ward.subject, form, token(), CLINICIAN)
    signed = ward.now
    released = [row.status for row in ward.course.view(ward.subject).schedule]
    assert released == ["given", "released", "proposed", "proposed"]
    ward.clock.set(signed + timedelta(hours=6, minutes=1))
    assert ward.course.view(ward.subject).override is None
    assert "released" not in [row.status for row in ward.course.view(ward.subject).schedule]
    ward.clock.set(signed)
    assert ward.course.view(ward.subject).is_open
    ward.infuse(2)


def test_a_double_click_gives_no_second_infusion(ward: Ward) -> None:
    ward.prepare(1)
    ward.check(1)
    ward.check(1, who=SECOND)
    form = Infusion(1, START, START + timedelta(hours=1), volume_ml="100", lot="LOT-7")
    ward.clock.set(START + timedelta(hours=1))
    click = token()
    first, second = (ward.course.infuse(ward.subject, form, click, COORDINATOR) for _ in range(2))
    assert second.is_repeated
    assert (first.entry.id, first.assessment_id) == (second.entry.id, second.assessment_id)
    with pytest.raises(RequestError, match="number 2"):
        ward.course.infuse(ward.subject, form, token(), SECOND)
    assert len(ward.course.view(ward.subject).infusions) == 1


def test_of_many_who_record_one_infusion_at_once_one_does(ward: Ward) -> None:
    ward.prepare(1)
    ward.check(1)
    ward.check(1, who=SECOND)
    ward.clock.set(START + timedelta(hours=1))
    results: list[str] = []

    def infuse(number: int) -> None:
        form = Infusion(1, START, START + timedelta(hours=1), volume_ml="100", lot="LOT-7")
        try:
            ward.course.infuse(ward.subject, form, token(), Caller(f"c{number}", frozenset({"coordinator"})))
            results.append("recorded")
        except RequestError as error:
            results.append(error.code)

    people = [threading.Thread(target=infuse, args=(number,)) for number in range(8)]
    for one in people:
        one.start()
    for one in people:
        one.join()
    assert sorted(results) == ["conflict"] * 7 + ["recorded"]
    with ward.course.service.database.reading() as session:
        assert audit.find_fault(session) is None


def test_a_withdrawal_stops_the_course(ward: Ward) -> None:
    ward.prepare(1)
    ward.course.withdraw(ward.subject, Withdrawal(START), token(), COORDINATOR)
    view = ward.course.view(ward.subject)
    assert view.gate.decision == "stop"
    assert "HLD-07: met" in view.gate.because


@pytest.mark.parametrize("is_first", [True, False], ids=["before the forms", "after them"])
def test_no_answer_of_a_form_undoes_a_withdrawal(ward: Ward, *, is_first: bool) -> None:
    """The forms ask for it too: what was answered there with no, earlier or later, left the stop a hold."""
    ward.give(1)
    if is_first:
        ward.clock.set(START + timedelta(hours=2))
        ward.course.withdraw(ward.subject, Withdrawal(ward.now), token(), COORDINATOR)
    ward.observe(1, START)
    if not is_first:
        ward.course.withdraw(ward.subject, Withdrawal(START + timedelta(hours=2)), token(), COORDINATOR)
    gate = ward.course.view(ward.subject).gate
    assert (gate.decision, {"HLD-07: met", "REG-02: unknown"} <= set(gate.because)) == ("stop", True)


def test_an_infusion_entered_in_error_can_be_entered_again(ward: Ward) -> None:
    ward.give(1)
    wrong = ward.course.subjects.chart(ward.subject).of_kind("infusion")[0]
    form = Infusion(1, START, status="entered-in-error")
    put_right(ward, form, wrong.id, "another patient's")
    view = ward.course.view(ward.subject)
    assert view.infusions == []
    assert view.gate.infusion == 1


def charted(started: datetime, name: str = "mar-1") -> NewEntry:
    """What an EHR exports of an infusion of the product."""
    code = {"coding": [{"system": CodeSystem.DATUM.value, "code": "infusion"}]}
    given = {
        "resourceType": "MedicationAdministration", "id": name, "status": "completed",
        "subject": {"reference": "Patient/anna"}, "effectiveDateTime": started.isoformat(),
        "medicationCodeableConcept": code,
    }  # fmt: skip
    tree = json.loads(severe_and_worsening("anna", started.isoformat()).to_json())
    tree["entry"] = [one for one in tree["entry"] if one["resource"]["resourceType"] == "Patient"]
    tree["entry"].append({"resource": given})
    return NewEntry("bundle", json.dumps(tree).encode(), token())


def test_an_infusion_that_comes_back_from_the_ehr_counts_once(ward: Ward) -> None:
    ward.give(1)
    ward.clock.set(START + timedelta(hours=2))
    ward.course.subjects.record(ward.subject, charted(START + timedelta(minutes=4)), COORDINATOR)
    view = ward.course.view(ward.subject)
    assert view.gate.infusion == 2
    assert [row.status for row in view.answer.schedule] == ["given", "conditional", "conditional", "conditional"]
    assert any("counted once" in note.text for note in view.answer.data_quality)
    assert view.answer.schedule[0].planned == START.isoformat(), "the start that was recorded here stands"
    ours = json.loads(ward.course.subjects.parts(view.chart, ward.now)[-1])["infusions"]
    assert [one["recorded_as"] for one in ours] == [one.id for one in view.chart.of_kind("infusion")]


def test_whether_it_is_the_same_infusion_is_asked_where_nobody_can_tell(ward: Ward) -> None:
    ward.give(1)
    ward.observe(1, START)
    ward.prepare(2)
    assert ward.course.view(ward.subject).gate.decision == "go"
    ward.course.subjects.record(ward.subject, charted(START + timedelta(hours=5)), COORDINATOR)
    view = ward.course.view(ward.subject)
    assert (view.gate.infusion, view.gate.decision) == (2, "hold")
    assert "SCH-01: unknown" in view.gate.because


def test_an_infusion_that_the_ehr_knew_first_can_be_recorded(ward: Ward) -> None:
    ward.prepare(1)
    ward.check(1)
    ward.check(1, who=SECOND)
    ward.clock.set(START + timedelta(hours=2))
    ward.course.subjects.record(ward.subject, charted(START + timedelta(minutes=3)), COORDINATOR)
    view = ward.course.view(ward.subject)
    assert (view.gate.infusion, view.following) == (2, 1)
    ward.clock.set(START)
    answer = ward.infuse(1).answer
    assert [row.status for row in answer.schedule[:2]] == ["given", "proposed"]
    assert answer.gate.infusion == 2
    with ward.course.service.database.reading() as session:
        stored = session.execute(select(StoredAssessment)).scalars().all()
    knowledge = ward.course.subjects.knowledge
    assert {verify(Kept(one), knowledge, START).outcome for one in stored} == {"same"}


def test_who_may_record(ward: Ward) -> None:
    auditor = Caller("auditor", frozenset({"auditor"}))
    with pytest.raises(RequestError, match="This is for"):
        ward.course.consent(ward.subject, Consent("v3", START), token(), auditor)


def test_what_is_still_to_come_is_not_recorded(ward: Ward) -> None:
    with pytest.raises(RequestError, match="still to come"):
        ward.course.consent(ward.subject, Consent("v3", START + timedelta(hours=1)), token(), COORDINATOR)
