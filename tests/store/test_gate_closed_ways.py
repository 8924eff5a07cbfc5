"""Ways past the gate that are closed: another order, lot or volume, early forms, signatures over consent."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from mscprotocol.course_actions import GateClosedError
from mscprotocol.course_amendments import amend
from mscprotocol.course_checks import FiledError
from mscprotocol.course_deviations import deviate
from mscprotocol.course_forms import Consent, Events, Infusion, Lot, Override, Plan, Withdrawal, read_form
from mscprotocol.course_questions import FORM_COMPLETE
from mscprotocol.errors import RequestError
from mscprotocol.store.database import Database
from mscprotocol.timespan import CLOCK_TOLERANCE
from tests.store.people import CLINICIAN, COORDINATOR, SECOND, entry, sign_seen, token
from tests.store.test_course import START, Ward, charted, put_right

HOUR = timedelta(hours=1)
WHY = "it was given like this"


@pytest.fixture
def ward(database: Database) -> Ward:
    return Ward(database)


def ready(ward: Ward, number: int) -> None:
    ward.prepare(number)
    for who in (COORDINATOR, SECOND):
        ward.check(number, who=who)


def record(ward: Ward, form: Infusion, *, deviation: bool = False) -> Any:
    """Record an infusion an hour after its start, or as a deviation."""
    keep = ward.now
    ward.clock.set(max(keep, form.started + HOUR))
    try:
        if deviation:
            return deviate(ward.course, ward.subject, form, WHY, token(), COORDINATOR)
        return ward.course.infuse(ward.subject, form, token(), COORDINATOR)
    finally:
        ward.clock.set(keep)


def given(number: int, started: datetime, **more: Any) -> Infusion:
    return Infusion(number, started, **({"ended": started + HOUR, "volume_ml": "100", "lot": "LOT-7"} | more))


def file(ward: Ward, number: int, point: str, observed: datetime, **answers: str) -> None:
    said: Any = dict.fromkeys(ward.course.questions()[:-2], "no") | {"marked_improvement": "no"} | answers
    ward.course.events(ward.subject, Events(number, point, observed, said), token(), COORDINATOR)


def refused(ward: Ward, code: str, form: Infusion, because: str = "") -> None:
    """It is no infusion of the protocol, and can be recorded as a deviation that says why."""
    with pytest.raises(RequestError) as caught:
        record(ward, form)
    assert caught.value.code == code
    record(ward, form, deviation=True)
    kept = ward.course.view(ward.subject).infusions[-1].deviation
    assert kept is not None
    assert any(one.startswith(because) for one in kept.because), kept.because


# -- the order of the infusions --


@pytest.mark.parametrize("minutes", [-10, 0])
def test_one_that_began_before_the_last_does_not_pass_the_gate_of_that(ward: Ward, minutes: int) -> None:
    ward.give(1)
    ward.clock.set(START + 2 * HOUR)
    ready(ward, 2)
    with pytest.raises(RequestError, match="not be of this number"):
        record(ward, given(2, START + timedelta(minutes=minutes)))


def test_the_gate_of_another_number_opens_nothing(ward: Ward) -> None:
    """The EHR knows an infusion before this one that is not recorded here."""
    ward.course.subjects.record(ward.subject, charted(START - 72 * HOUR), COORDINATOR)
    ready(ward, 1)
    if ward.course.view(ward.subject).gate.decision != "go":  # whatever else holds, a signature opens no other number
        because = list(ward.course.view(ward.subject).gate.because)
        with pytest.raises(RequestError):
            ward.course.override(ward.subject, Override(1, "judgement", "seen", because, ward.now), token(), CLINICIAN)
    with pytest.raises(RequestError):
        record(ward, given(1, START))
    record(ward, given(1, START), deviation=True)
    kept = ward.course.view(ward.subject).infusions[-1].deviation
    assert kept is not None
    assert any(one.startswith("number: ") for one in kept.because)


# -- lot and volume --


@pytest.mark.parametrize(
    ("more", "because"),
    [
        ({"lot": "LOT-666"}, "lot: another"),
        ({"lot": None}, "lot: not said"),
        ({"volume_ml": "9000"}, "volume: more"),
        ({"volume_ml": "110.1"}, "volume: more"),
    ],
)
def test_what_was_not_checked_is_a_deviation(ward: Ward, more: dict[str, Any], because: str) -> None:
    ready(ward, 1)
    refused(ward, "not_as_checked", given(1, START, **more), because)


@pytest.mark.parametrize("more", [{"lot": " lot-7 "}, {"volume_ml": "110"}, {"volume_ml": "90"}, {"volume_ml": None}])
def test_the_same_lot_and_a_volume_within_the_tolerance_pass(ward: Ward, more: dict[str, Any]) -> None:
    ready(ward, 1)
    record(ward, given(1, START, **more))


def test_less_than_planned_was_stopped(ward: Ward) -> None:
    ready(ward, 1)
    short = given(1, START, volume_ml="89.9")
    with pytest.raises(RequestError, match="was stopped"):
        record(ward, short)
    with pytest.raises(RequestError, match="was stopped"):
        record(ward, short, deviation=True)
    record(ward, replace(short, status="stopped", stop_reason="line lost"))


# -- a stopped infusion --


def test_a_stopped_infusion_holds_the_next_one_until_a_clinician_signs(ward: Ward) -> None:
    ward.give(1, status="stopped", stop_reason="urticaria and wheeze")
    ward.observe(1, START)
    ready(ward, 2)
    gate = ward.course.view(ward.subject).gate
    assert (gate.decision, gate.because) == ("hold", ["last infusion: stopped"]), "all forms say no"
    with pytest.raises(GateClosedError):
        ward.infuse(2)
    form = Override(2, "judgement", "the line was lost", list(gate.because), ward.now)
    ward.course.override(ward.subject, form, token(), CLINICIAN)
    ward.infuse(2)
    ward.observe(2, ward.now)
    ward.prepare(3)
    assert ward.course.view(ward.subject).gate.decision == "go", "the one before it was given whole"


# -- what an infusion gave --


def correct(ward: Ward, **more: Any) -> Any:
    """The coordinator puts the last infusion right."""
    kept = ward.course.subjects.chart(ward.subject).of_kind("infusion")[-1]
    form = replace(ward.course.view(ward.subject).infusions[-1], **more)
    return ward.course.correct(ward.subject, form, token(), kept.id, "it was left out", COORDINATOR)


@pytest.mark.parametrize("left_out", ["its volume", "how it ended", "its end"])
def test_what_an_infusion_gave_is_asked_before_the_next(ward: Ward, left_out: str) -> None:
    ready(ward, 1)
    runs = {"ended": None, "status": "in-progress"}
    left = {"its volume": {"volume_ml": None}, "how it ended": runs | {"volume_ml": None}, "its end": runs}
    more = left[left_out]
    record(ward, given(1, START, **more))
    ward.observe(1, START)
    ready(ward, 2)
    gate = ward.course.view(ward.subject).gate
    assert (gate.decision, gate.because) == ("hold", ["volume: unknown"])
    with pytest.raises(GateClosedError):
        ward.infuse(2)
    correct(ward, volume_ml="100", status="completed", ended=START + HOUR)
    assert ward.course.view(ward.subject).gate.decision == "go"


def test_more_than_planned_at_the_end_of_a_running_infusion_holds(ward: Ward) -> None:
    ready(ward, 1)
    record(ward, given(1, START, volume_ml=None, ended=None, status="in-progress"))
    ward.observe(1, START)
    ready(ward, 2)
    correct(ward, volume_ml="110.1", status="completed", ended=START + HOUR)
    assert ward.course.view(ward.subject).gate.because == ["volume: exceeded"]
    with pytest.raises(RequestError, match="its volume"):
        correct(ward, volume_ml="110")
    assert ward.course.view(ward.subject).gate.decision == "hold"


# -- what no signature sets aside --


def unsigned(ward: Ward, reason: str) -> None:
    gate = ward.course.view(ward.subject).gate
    assert reason in gate.because
    assert reason in ward.course.view(ward.subject).binding
    form = Override(gate.infusion, "judgement", "a good reason", list(gate.because), ward.now)
    with pytest.raises(RequestError, match="No signature") as caught:
        ward.course.override(ward.subject, form, token(), CLINICIAN)
    assert caught.value.code == "binding"
    with pytest.raises(GateClosedError):
        record(ward, given(gate.infusion, ward.now))
    record(ward, given(gate.infusion, ward.now), deviation=True)


def test_a_withdrawal_is_not_signed_away(ward: Ward) -> None:
    ready(ward, 1)
    ward.course.withdraw(ward.subject, Withdrawal(ward.now), token(), COORDINATOR)
    unsigned(ward, "HLD-07: met")


@pytest.mark.parametrize("name", ["prisoner", "hit"])
def test_an_exclusion_is_not_signed_away(ward: Ward, name: str) -> None:
    ready(ward, 1)
    form = {"patient": {"id": "anna"}, "conditions": [{"name": name, "status": "active", "since": ward.text(9)}]}
    ward.course.subjects.record(ward.subject, entry("record", form), COORDINATOR)
    binding = ward.course.view(ward.subject).binding
    assert binding
    unsigned(ward, binding[0])


def test_a_stop_is_not_signed_away(ward: Ward) -> None:
    ward.give(1)
    ward.observe(1, START, infusion_reaction="yes")
    ready(ward, 2)
    unsigned(ward, "STP-05: met")


DENIALS: dict[str, dict[str, Any]] = {
    "an answer": {"answers": [{"answer": "no", "by": "Dr. Example"}]},
    "a refutation": {"conditions": [{"status": "refuted"}]},
}


@pytest.mark.parametrize("said", DENIALS)
@pytest.mark.parametrize(("name", "reason"), [("infusion_reaction", "STP-05"), ("consent_withdrawn", "HLD-07")])
def test_no_export_turns_a_recorded_stop_into_a_hold(ward: Ward, name: str, reason: str, said: str) -> None:
    """A person recorded it along the course: it stays a stop, and both sides are shown."""
    ward.give(1)
    ward.clock.set(START + 6 * HOUR)
    if name == "consent_withdrawn":
        ward.course.withdraw(ward.subject, Withdrawal(ward.now), token(), COORDINATOR)
    else:
        file(ward, 1, "6 h", ward.now, infusion_reaction="yes")
    ward.clock.set(START + 7 * HOUR)
    denial = {
        kind: [one | {"name": name, "at" if kind == "answers" else "recorded": ward.text(0.2)} for one in entries]
        for kind, entries in DENIALS[said].items()
    }
    ward.course.subjects.record(ward.subject, entry("record", {"patient": {"id": "anna"}} | denial), COORDINATOR)
    view = ward.course.view(ward.subject)
    assert (view.gate.decision, f"{reason}: met" in view.gate.because) == ("stop", True)
    assert any("says no to what was recorded along the course" in one.text for one in view.answer.data_quality)


def test_no_later_answer_of_an_export_undoes_a_stop_that_one_told(ward: Ward) -> None:
    """Two answers that differ are a contradiction, not the newer one alone; before the first infusion it is."""
    ward.give(1)
    ward.observe(1, START)
    ready(ward, 2)
    assert ward.course.view(ward.subject).gate.decision == "go"
    for answer, hours in (("yes", 2), ("no", 1)):
        said = {"name": "cardiac_arrest", "answer": answer, "by": "Dr. Example", "at": ward.text(hours)}
        new = entry("record", {"patient": {"id": "anna"}, "answers": [said]})
        ward.course.subjects.record(ward.subject, new, COORDINATOR)
    gate = ward.course.view(ward.subject).gate
    assert (gate.decision, gate.because) == ("hold", ["STP-06: unknown"])
    unsigned(ward, "STP-06: unknown")


@pytest.mark.parametrize(("began", "gate"), [(3, "hold"), (-3, "go")])
def test_an_event_of_the_course_counts_though_it_is_charted_as_over(ward: Ward, began: int, gate: str) -> None:
    """An arrest three hours after the infusion was resolved in minutes: with every form saying no, the gate said go."""
    ward.give(1)
    ward.observe(1, START)
    ready(ward, 2)
    at = (START + began * HOUR).isoformat()
    arrest = {"name": "cardiac_arrest", "status": "resolved", "since": at, "until": at, "recorded": at}
    ward.course.subjects.record(
        ward.subject, entry("record", {"patient": {"id": "anna"}, "conditions": [arrest]}), COORDINATOR
    )
    assert ward.course.view(ward.subject).gate.decision == gate
    assert ("STP-06: unknown" in ward.course.view(ward.subject).gate.because) == (gate == "hold")


def test_an_event_of_before_the_course_may_be_over(ward: Ward) -> None:
    for answer, hours in (("yes", 30), ("no", 1)):
        said = {"name": "cardiac_arrest", "answer": answer, "by": "Dr. Example", "at": ward.text(hours)}
        new = entry("record", {"patient": {"id": "anna"}, "answers": [said]})
        ward.course.subjects.record(ward.subject, new, COORDINATOR)
    ward.give(1)
    ward.observe(1, START)
    ready(ward, 2)
    assert ward.course.view(ward.subject).gate.decision == "go"


def test_what_an_export_says_and_another_denies_is_open_as_before(ward: Ward) -> None:
    """Only what the course itself recorded stands over a denial."""
    ward.give(1)
    ward.observe(1, START)
    for answer in (
        {"conditions": [{"name": "consent_withdrawn", "status": "active", "since": ward.text(1)}]},
        {"answers": [{"name": "consent_withdrawn", "answer": "no", "by": "Dr. Example", "at": ward.text(0)}]},
    ):
        ward.course.subjects.record(ward.subject, entry("record", {"patient": {"id": "anna"}} | answer), COORDINATOR)
    view = ward.course.view(ward.subject)
    assert (view.gate.decision, "HLD-07: unknown" in view.gate.because) == ("hold", True)
    assert not any("recorded along the course" in one.text for one in view.answer.data_quality)


def test_a_stop_that_nobody_has_ruled_out_is_not_signed_away(ward: Ward) -> None:
    ward.give(1)
    ward.observe(1, START, infusion_reaction="unknown")
    ready(ward, 2)
    unsigned(ward, "STP-05: unknown")


def test_a_missing_consent_is_not_signed_away(ward: Ward) -> None:
    gate = ward.course.view(ward.subject).gate
    assert {"REG-01: unknown", "REG-02: unknown"} <= set(ward.course.view(ward.subject).binding) & set(gate.because)


def test_a_signature_from_before_the_rule_does_not_count(ward: Ward) -> None:
    ready(ward, 1)
    ward.course.withdraw(ward.subject, Withdrawal(ward.now), token(), COORDINATOR)
    because = list(ward.course.view(ward.subject).gate.because)
    form = Override(1, "judgement", "kept from before", because, ward.now)
    ward.course.subjects.record(ward.subject, entry("override", form), CLINICIAN)
    assert ward.course.view(ward.subject).override is None


@pytest.mark.parametrize("text", ["-", " ", "...", "7"])
def test_a_signature_needs_words(ward: Ward, text: str) -> None:
    ward.give(1, status="stopped", stop_reason="line lost")
    ward.observe(1, START)
    ready(ward, 2)
    form = Override(2, "judgement", text, list(ward.course.view(ward.subject).gate.because), ward.now)
    with pytest.raises(RequestError, match="your words"):
        ward.course.override(ward.subject, form, token(), CLINICIAN)


# -- event forms and their time --


@pytest.mark.parametrize(("point", "hours"), [("72 h", 50), ("6 h", -5), ("6 h", 5), ("before", -1)])
def test_a_form_before_its_time_is_refused(ward: Ward, point: str, hours: float) -> None:
    ward.give(1)
    ward.clock.set(START + 80 * HOUR)
    with pytest.raises(RequestError, match="before the time of this form"):
        file(ward, 1, point, START + hours * HOUR)


def test_a_form_within_the_tolerance_counts(ward: Ward) -> None:
    ward.give(1)
    ward.clock.set(START + 7 * HOUR)
    file(ward, 1, "6 h", START + timedelta(hours=5, minutes=30))
    assert ward.course.view(ward.subject).due == []


def test_a_point_that_the_rules_do_not_name_is_refused(ward: Ward) -> None:
    ward.give(1)
    ward.clock.set(START + 100 * HOUR)
    with pytest.raises(RequestError, match="no event form of that name"):
        file(ward, 1, "99 h", ward.now)


def test_a_form_does_not_lapse_with_the_next_infusion(ward: Ward) -> None:
    ward.give(1)
    ward.observe(1, START, until=24)
    second = START + 66 * HOUR
    ward.clock.set(second)
    file(ward, 1, "before", ward.now)
    ward.give(2)
    ward.clock.set(START + 80 * HOUR)
    assert [str(one) for one in ward.course.view(ward.subject).due] == ["72 h after infusion 1", "6 h after infusion 2"]
    ward.observe(2, second)
    ward.prepare(3)
    assert "HLD-05: met" in ward.course.view(ward.subject).gate.because
    file(ward, 1, "72 h", ward.now)
    assert ward.course.view(ward.subject).gate.decision == "go"


def test_a_form_lapses_when_the_start_that_it_counted_from_is_put_right(ward: Ward) -> None:
    ward.give(1)
    ward.observe(1, START, until=6)
    ward.clock.set(START + 20 * HOUR)
    assert ward.course.view(ward.subject).due == []
    wrong = ward.course.subjects.chart(ward.subject).of_kind("infusion")[0]
    form = given(1, START + 10 * HOUR)
    put_right(ward, form, wrong.id)
    assert [one.point for one in ward.course.view(ward.subject).due] == ["6 h"]


def test_what_one_form_leaves_unknown_the_next_does_not_answer(ward: Ward) -> None:
    ward.give(1)
    ward.clock.set(START + 6 * HOUR)
    file(ward, 1, "6 h", ward.now, vasopressor_escalation="unknown")
    for hours in (24, 72):
        ward.clock.set(START + hours * HOUR)
        file(ward, 1, f"{hours} h", ward.now)
    ward.prepare(2)
    assert "STP-01: unknown" in ward.course.view(ward.subject).gate.because
    wrong = ward.course.subjects.chart(ward.subject).of_kind("events")[0]
    said = read_form(wrong.content, Events)
    answers: Any = said.answers | {"vasopressor_escalation": "no"}
    put_right(ward, Events(1, "6 h", said.observed, answers), wrong.id)
    assert ward.course.view(ward.subject).gate.decision == "go", "the form of that time says so itself"


@pytest.mark.parametrize("said", ["unknown", "yes", "no"])
def test_a_second_form_of_a_point_does_not_answer_the_first_anew(ward: Ward, said: str) -> None:
    """Hazard: what was left unknown was settled by filing the form again, which nobody signed."""
    ward.give(1)
    ward.observe(1, START, until=6, vasopressor_escalation=said)
    ward.prepare(2)
    first, gate = ward.course.subjects.chart(ward.subject).of_kind("events")[0], ward.course.view(ward.subject).gate
    with pytest.raises(FiledError, match="correct that one") as caught:
        file(ward, 1, "6 h", ward.now)
    assert (caught.value.entry, ward.course.view(ward.subject).gate) == (first.id, gate)
    file(ward, 1, "before", ward.now)
    ward.clock.set(START + 24 * HOUR)
    file(ward, 1, "24 h", ward.now)
    aside = token()
    reason = "of another patient"
    if said == "no":  # nothing is loosened: the form is due again
        amend(ward.course, ward.subject, first.id, "in_error", reason, aside, COORDINATOR)
    else:
        sign_seen(
            lambda signed: amend(ward.course, ward.subject, first.id, "in_error", reason, aside, CLINICIAN, signed),
            ward.now,
        )
    file(ward, 1, "6 h", ward.now)


def test_a_form_that_is_not_whole_is_completed_and_not_contradicted(ward: Ward) -> None:
    ward.give(1)
    ward.clock.set(START + 6 * HOUR)
    part: Any = {"infusion_reaction": "unknown", "new_infection": "no"}
    ward.course.events(ward.subject, Events(1, "6 h", ward.now, part), token(), COORDINATOR)
    for answers in ({"infusion_reaction": "no"}, {"infusion_reaction": "unknown", "new_infection": "unknown"}):
        with pytest.raises(FiledError):
            file(ward, 1, "6 h", ward.now, **answers)
    file(ward, 1, "6 h", ward.now, infusion_reaction="unknown")
    assert ward.course.view(ward.subject).due == []


@pytest.mark.parametrize("ahead", [timedelta(0), CLOCK_TOLERANCE])
def test_no_upload_says_that_the_forms_of_a_course_are_complete(ward: Ward, ahead: timedelta) -> None:
    """Hazard: a pasted record answered every question and called the forms complete, and the gate said go."""
    ward.give(1)
    ward.clock.set(START + timedelta(hours=72))
    ward.prepare(2)
    questions = [*(one for one in ward.course.questions() if one != "continue_despite_improvement"), FORM_COMPLETE]
    said = [
        {
            "name": one,
            "answer": "yes" if one == FORM_COMPLETE else "no",
            "by": "Dr X",
            "at": (ward.now + ahead).isoformat(),
        }
        for one in questions
    ]
    ward.course.subjects.record(
        ward.subject, entry("record", {"patient": {"id": "anna"}, "answers": said}), COORDINATOR
    )
    view = ward.course.view(ward.subject)
    assert (view.gate.decision, view.gate.because, len(view.due)) == ("hold", ["HLD-05: unknown"], 3)
    ward.observe(1, START)
    assert ward.course.view(ward.subject).due == []
    assert not [one for one in ward.course.view(ward.subject).gate.because if one.startswith("HLD-05")]


def test_a_form_with_an_empty_question_is_still_due(ward: Ward) -> None:
    ward.give(1)
    ward.clock.set(START + 6 * HOUR)
    ward.course.events(ward.subject, Events(1, "6 h", ward.now, {"infusion_reaction": "no"}), token(), COORDINATOR)
    assert [one.point for one in ward.course.view(ward.subject).due] == ["6 h"]


# -- times --


def test_a_time_of_another_century_is_refused(ward: Ward) -> None:
    long_ago = START.replace(year=1026)
    for act, form in (
        (ward.course.consent, Consent("v3", long_ago)),
        (ward.course.plan, Plan(long_ago)),
        (ward.course.withdraw, Withdrawal(START - timedelta(days=367))),
    ):
        with pytest.raises(RequestError, match="check its year"):
            act(ward.subject, form, token(), COORDINATOR)  # type: ignore[operator]
    ward.course.consent(ward.subject, Consent("v3", START - timedelta(days=300)), token(), COORDINATOR)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"at": START - timedelta(days=3670)}, "^The lot: .*check its year"),
        ({"at": START + timedelta(hours=1)}, "^The lot: .*still to come"),
        ({"product_viability": START + timedelta(hours=1)}, "^Product viability: .*still to come"),
    ],
)
def test_the_times_in_a_lot_are_those_of_a_course(ward: Ward, said: dict[str, datetime], words: str) -> None:
    lot = ward.product()
    for name, moment in said.items():
        lot[name] = moment.isoformat() if name == "at" else {"value": "95 %", "at": moment.isoformat()}
    with pytest.raises(RequestError, match=words):
        ward.course.lot(ward.subject, Lot(1, lot), token(), COORDINATOR)


def test_what_was_measured_before_the_cells_were_frozen_may_be_old(ward: Ward) -> None:
    old = {"product_viability": {"value": "95 %", "at": (START - timedelta(days=700)).isoformat()}}
    ward.prepare(1)
    ward.course.lot(ward.subject, Lot(1, ward.product() | old), token(), COORDINATOR)
    assert "REL-01: unknown" in ward.course.view(ward.subject).gate.because, "it is too old to count, and is kept"
