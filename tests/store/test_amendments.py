"""What was recorded by mistake: set aside with a reason, still on record, taken back again; no gate opens unsigned."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from mscprotocol.course_amendments import Amendment, amend
from mscprotocol.course_forms import Consent, Events, Withdrawal
from mscprotocol.errors import RequestError
from mscprotocol.records import find_faults
from mscprotocol.service import Caller
from mscprotocol.store import signatures
from mscprotocol.store.database import Database
from mscprotocol.store.subjects import NewEntry
from mscprotocol.store.tables import Signature, StoredAssessment, SubjectEntry
from mscprotocol.subject_chart import Recorded
from mscprotocol.verification import Kept, verify
from tests.patients import severe_and_worsening
from tests.store.people import CLINICIAN, COORDINATOR, bundle, entry, sign_seen, token
from tests.store.test_course import START, Ward, charted

WHY = "another patient's"


@pytest.fixture
def ward(database: Database) -> Ward:
    return Ward(database)


def newest(ward: Ward, kind: str) -> SubjectEntry:
    return [one for one in ward.course.subjects.chart(ward.subject).entries if one.kind == kind][-1]


def change(
    ward: Ward, one: SubjectEntry, kind: Amendment = "in_error", who: Caller = COORDINATOR, **more: Any
) -> Recorded:
    return amend(
        ward.course, ward.subject, one.id, kind, more.pop("reason", WHY), more.pop("click", token()), who, **more
    )


def sign(ward: Ward, one: SubjectEntry, kind: Amendment = "in_error", who: Caller = CLINICIAN) -> Recorded:
    """The same, signed by who has seen what follows."""
    click = token()
    done: Recorded = sign_seen(lambda signed: change(ward, one, kind, who, click=click, signed=signed), ward.now)
    return done


def reads(ward: Ward) -> bytes:
    """What an assessment would read now."""
    return b"".join(ward.course.subjects.parts(ward.course.subjects.chart(ward.subject), ward.now))


def outcomes(ward: Ward) -> set[str]:
    with ward.course.service.database.reading() as session:
        assert list(find_faults(session)) == []
        stored = session.execute(select(StoredAssessment)).scalars().all()
    return {verify(Kept(one), ward.course.subjects.knowledge, START).outcome for one in stored}


def weight(mark: str = "64.25") -> NewEntry:
    return entry(
        "record",
        {"patient": {"id": "anna"}, "data": [{"name": "weight", "value": f"{mark} kg", "at": START.isoformat()}]},
    )


def messages() -> NewEntry:
    """A weight as a laboratory's message says it."""
    said = (
        "MSH|^~\\&|LAB|A|X|Y|20200327090000+0100||ORU^R01^ORU_R01|m1|P|2.5.1\rPID|1||anna^^^A^MR||Example^Anna\r"
        "OBR|1|||29463-7^Body weight^LN|||20200327083000+0100\r"
        "OBX|1|NM|29463-7^Body weight^LN||64.25|kg|||||F|||20200327083000+0100\r"
    )
    return NewEntry("bundle", said.encode(), token())


@pytest.mark.parametrize("kind", ["record", "bundle", "messages"])
def test_a_chart_that_is_wrong_is_read_no_more_and_stays_on_record(ward: Ward, kind: str) -> None:
    one = severe_and_worsening("anna", START.isoformat())
    one.lab("29463-7", "64.25", "kg", 3, display="Body weight")
    new = {"record": weight, "bundle": lambda: bundle(one), "messages": messages}[kind]()
    ward.course.subjects.record(ward.subject, new, COORDINATOR)
    assert b"64.25" in reads(ward)
    wrong = ward.course.subjects.chart(ward.subject).entries[-1]
    done = change(ward, wrong)
    assert done.assessment_id is not None, "assessed anew"
    chart = ward.course.subjects.chart(ward.subject)
    assert b"64.25" not in reads(ward)
    assert (chart.state_of(wrong), wrong.id in {one.id for one in chart.standing}) == ("entered in error", False)
    kept = next(one for one in chart.entries if one.id == wrong.id)
    assert (kept.content, kept.actor) == (new.content, "coordinator.one")
    assert (chart.entries[-1].reason, chart.entries[-1].supersedes) == (WHY, wrong.id)
    assert outcomes(ward) == {"same"}, "also those that had read it"


def test_a_correction_can_itself_be_corrected_any_number_of_times(ward: Ward) -> None:
    ward.course.subjects.record(ward.subject, weight(), COORDINATOR)
    one = newest(ward, "record")
    before = reads(ward)
    for _ in range(2):
        change(ward, one)
        assert b"64.25" not in reads(ward)
        change(ward, one, "reinstated", reason="it was hers after all")
        assert reads(ward) == before
    chart = ward.course.subjects.chart(ward.subject)
    assert [one.kind for one in chart.entries] == ["record", *["in_error", "reinstated"] * 2]
    with pytest.raises(RequestError, match="already"):
        change(ward, one, "reinstated")
    with pytest.raises(RequestError, match="needs a reason"):
        change(ward, one, reason=" ")


def test_what_was_taken_back_can_still_be_corrected_in_words(ward: Ward) -> None:
    ward.course.consent(ward.subject, Consent("v3", START), token(), COORDINATOR)
    one = newest(ward, "consent")
    change(ward, one)
    assert ward.course.subjects.chart(ward.subject).of_kind("consent") == []
    change(ward, one, "reinstated")
    ward.course.correct(ward.subject, Consent("v4", START), token(), one.id, "the newer form", COORDINATOR)
    chart = ward.course.subjects.chart(ward.subject)
    assert [json.loads(one.content)["version"] for one in chart.of_kind("consent")] == ["v4"]
    assert chart.state_of(one) == "corrected"
    with pytest.raises(RequestError, match="already"):
        change(ward, one)


def test_a_double_click_sets_aside_once(ward: Ward) -> None:
    ward.course.subjects.record(ward.subject, weight(), COORDINATOR)
    one, click = newest(ward, "record"), token()
    first, second = change(ward, one, click=click), change(ward, one, click=click)
    assert (first.is_repeated, second.is_repeated) == (False, True)
    assert second.assessment_id == first.assessment_id
    assert len(ward.course.subjects.chart(ward.subject).entries) == 2


def test_a_withdrawal_by_mistake_is_taken_back_by_a_clinician_who_signs(ward: Ward) -> None:
    ward.prepare(1)
    ward.course.withdraw(ward.subject, Withdrawal(START), token(), COORDINATOR)
    one = newest(ward, "withdrawal")
    for act in (
        lambda: change(ward, one),
        lambda: sign(ward, one, who=COORDINATOR),
        lambda: change(ward, one, who=CLINICIAN),
    ):
        with pytest.raises(RequestError, match=r"HLD-07.* a clinician signs it"):
            act()
        assert ward.course.view(ward.subject).gate.decision == "stop"
    sign(ward, one)
    assert ward.course.view(ward.subject).gate.decision == "go"
    with ward.course.service.database.reading() as session:
        (signature,) = session.execute(select(Signature)).scalars()
    assert signatures.holds(signature, newest(ward, "in_error").sha256.encode())
    change(ward, one, "reinstated", reason="she does withdraw")
    assert ward.course.view(ward.subject).gate.decision == "stop"


def test_infusions_doses_and_signatures_are_put_right_in_their_own_ways(ward: Ward) -> None:
    ward.give(1)
    for kind in ("infusion", "dose_check"):
        with pytest.raises(RequestError, match="corrected, or done again"):
            change(ward, newest(ward, kind), who=CLINICIAN)
    with pytest.raises(RequestError, match="This is for"):
        change(ward, newest(ward, "lot"), who=Caller("auditor", frozenset({"auditor"})))


def spoken_against(ward: Ward, what: str) -> SubjectEntry:
    """An entry because of which the gate holds or stops where it would say go."""
    course, at = ward.course, ward.now.isoformat()
    if what == "withdrawal":
        course.withdraw(ward.subject, Withdrawal(ward.now), token(), COORDINATOR)
        return newest(ward, "withdrawal")
    if what == "events":
        form = Events(1, "before", ward.now, {"new_infection": "yes"})
        course.events(ward.subject, form, token(), COORDINATOR)
        return newest(ward, "events")
    said: dict[str, Any] = {"patient": {"id": "anna"}}
    if what == "an exclusion":
        said["conditions"] = [{"name": "hit", "status": "active", "since": at}]
    elif what == "a stop event":
        said["answers"] = [{"name": "infusion_reaction", "answer": "yes", "by": "Dr. Example", "at": at}]
    elif what == "a rise":
        said["data"] = [{"name": "d_dimer", "value": "1.60 mg/L", "upper_limit": "0.5 mg/L", "assay": "FEU", "at": at}]
    new = charted(ward.now - timedelta(hours=30)) if what == "an infusion" else entry("record", said)
    course.subjects.record(ward.subject, new, COORDINATOR)
    return course.subjects.chart(ward.subject).entries[-1]


@pytest.mark.parametrize(
    "what", ["withdrawal", "events", "an exclusion", "a stop event", "a rise", "an infusion", "a doubt"]
)
def test_nobody_but_a_clinician_opens_a_gate_by_removing_data(ward: Ward, what: str) -> None:
    """Hazard: whatever is set aside, without a signature no gate is more open than before."""
    ward.give(1)
    ward.observe(1, START)
    ward.prepare(2)
    assert ward.course.view(ward.subject).gate.decision == "go"
    if what == "a doubt":  # it cannot be told whether it is another infusion: the reason is one that is open
        ward.course.subjects.record(ward.subject, charted(START + timedelta(hours=5)), COORDINATOR)
        one = ward.course.subjects.chart(ward.subject).entries[-1]
    else:
        one = spoken_against(ward, what)
    gate = ward.course.view(ward.subject).gate
    assert gate.decision in ("hold", "stop")
    with pytest.raises(RequestError, match="a clinician signs it"):
        change(ward, one)
    assert ward.course.view(ward.subject).gate == gate
    sign(ward, one)
    assert ward.course.view(ward.subject).gate.decision == "go"


def test_what_is_set_aside_goes_with_its_subject(ward: Ward, tmp_path: Path) -> None:
    from mscprotocol import records

    ward.course.subjects.record(ward.subject, weight(), COORDINATOR)
    change(ward, newest(ward, "record"))
    change(ward, newest(ward, "record"), "reinstated")
    with ward.course.service.database.writing() as session:
        records.delete_subject(session, records.find_subject(session, "S-001", None), ward.now, "operator")
    with ward.course.service.database.reading() as session:
        assert session.execute(select(SubjectEntry)).first() is None
        assert list(find_faults(session)) == []
