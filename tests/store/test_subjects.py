"""Subjects: what is recorded lasts, is assessed with everything else that stands, and is recorded once."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from sqlalchemy import select, update

from mscprotocol.course_forms import Consent, Death, Events
from mscprotocol.errors import DataError, RequestError
from mscprotocol.store import assessments, audit
from mscprotocol.store.database import Database
from mscprotocol.store.subjects import Wanted, seal
from mscprotocol.store.tables import AuditEntry, StoredAssessment, Subject, SubjectEntry
from mscprotocol.subjects import Subjects
from tests.patients import severe_and_worsening
from tests.store.people import COORDINATOR, SECOND, Clock, bundle, entry, newcomer, open_subjects, token
from tests.store.test_course import START, Ward

NOW = "2020-03-27T10:00:00+01:00"
PATIENT = {"id": "ignored", "born": "1962-03-14"}


@pytest.fixture
def people(database: Database) -> Subjects:
    return open_subjects(database, Clock(NOW))


@pytest.fixture
def ward(database: Database) -> Ward:
    return Ward(database)


def test_a_screening_is_kept_whole(people: Subjects) -> None:
    subject = people.enrol(newcomer(), COORDINATOR).subject
    done = people.record(subject.id, bundle(severe_and_worsening("anna", NOW)), COORDINATOR)
    assert done.answer is not None
    assert done.answer.verdict == "eligible"
    chart = people.chart(subject.id)
    assert [line.verdict for line in chart.screenings] == ["eligible"]
    assert chart.screenings[0].time_critical == done.answer.timing.time_critical
    with people.service.database.reading() as session:
        stored = session.execute(select(StoredAssessment)).scalar_one()
        actions = [one.action for one in session.execute(select(AuditEntry)).scalars()]
        assert audit.find_fault(session) is None
    assert assessments.seal(stored) == stored.seal_sha256
    assert assessments.read_answer(stored) == done.answer
    assert actions == ["enrol", "record", "assess"]


def test_form_and_bundle_are_of_one_record(people: Subjects) -> None:
    """A weight from the form counts beside the laboratory of the bundle."""
    subject = people.enrol(newcomer(), COORDINATOR).subject
    people.record(subject.id, bundle(severe_and_worsening("anna", NOW, weight=None)), COORDINATOR)
    form = {"patient": PATIENT, "data": [{"name": "weight", "value": "71 kg", "at": NOW}]}
    done = people.record(subject.id, entry("record", form), COORDINATOR)
    assert done.answer is not None
    assert done.answer.dose.weight_kg == "71"
    assert done.answer.patient.id == "anna"


def test_a_correction_replaces_and_says_why(people: Subjects) -> None:
    subject = people.enrol(newcomer(), COORDINATOR).subject
    form = {"patient": PATIENT, "data": [{"name": "weight", "value": "71 kg", "at": NOW}]}
    first = people.record(subject.id, entry("record", form), COORDINATOR).entry
    assert first is not None
    better = {"patient": PATIENT, "data": [{"name": "weight", "value": "81 kg", "at": NOW}]}
    with pytest.raises(RequestError, match="needs a reason"):
        people.record(subject.id, entry("record", better, supersedes=first.id), COORDINATOR)
    done = people.record(subject.id, entry("record", better, supersedes=first.id, reason="misread"), COORDINATOR)
    chart = people.chart(subject.id)
    assert [one.id for one in chart.standing] == [done.entry.id]  # type: ignore[union-attr]
    assert len(chart.entries) == 2
    with pytest.raises(RequestError, match="corrected already"):
        people.record(subject.id, entry("record", form, supersedes=first.id, reason="again"), COORDINATOR)


def test_data_of_two_people_are_refused_and_not_kept(people: Subjects) -> None:
    subject = people.enrol(newcomer(), COORDINATOR).subject
    people.record(subject.id, bundle(severe_and_worsening("anna", NOW)), COORDINATOR)
    with pytest.raises(DataError, match="different dates of birth"):
        people.record(subject.id, entry("record", {"patient": {"id": "x", "born": "1970-01-01"}}), COORDINATOR)
    with pytest.raises(DataError, match="more than one patient"):
        people.record(subject.id, bundle(severe_and_worsening("berta", NOW)), COORDINATOR)
    assert len(people.chart(subject.id).entries) == 1


def test_a_double_click_gives_the_first_result_back(people: Subjects) -> None:
    new = newcomer()
    first, again = people.enrol(new, COORDINATOR), people.enrol(new, COORDINATOR)
    assert (again.subject.id, again.is_repeated) == (first.subject.id, True)
    consent = entry("consent", Consent("v3", datetime.fromisoformat(NOW)))
    done, repeated = (people.record(first.subject.id, consent, COORDINATOR) for _ in range(2))
    assert repeated.is_repeated
    assert (repeated.entry.id, repeated.assessment_id) == (done.entry.id, done.assessment_id)  # type: ignore[union-attr]
    assert len(people.chart(first.subject.id).entries) == 1
    with pytest.raises(RequestError, match="other answers"):
        people.record(first.subject.id, replace(consent, content=b"{}"), COORDINATOR)


def test_a_screening_is_saved_whole_or_not_at_all(people: Subjects, monkeypatch: pytest.MonkeyPatch) -> None:
    new, at = newcomer("S-9"), datetime.fromisoformat(NOW)
    weight = {"patient": {"id": "x"}, "data": [{"name": "weight", "value": "70 kg", "at": NOW}]}
    parts = [bundle(severe_and_worsening("anna", NOW, weight=None)), entry("record", weight)]
    with monkeypatch.context() as broken, pytest.raises(OSError, match="power"):
        broken.setattr(people, "keep", raise_power_failure)
        people.screen(new, parts, COORDINATOR, "screening", at)
    assert people.list_subjects() == []
    first, second = (people.screen(new, parts, COORDINATOR, "screening", at) for _ in range(2))
    assert (second.assessment_id, second.is_repeated) == (first.assessment_id, True)
    chart = people.chart(first.subject.id)
    assert ([one.kind for one in chart.entries], len(chart.screenings)) == (["bundle", "record"], 1)
    with pytest.raises(DataError, match="more than one patient"):
        people.screen(new, [bundle(severe_and_worsening("berta", NOW))], COORDINATOR, "screening", at)
    assert len(people.chart(first.subject.id).entries) == 2


@pytest.mark.parametrize("hours_ago", [0, 5])
def test_data_that_are_added_to_a_course_do_not_hide_its_gate(ward: Ward, hours_ago: int) -> None:
    """Hazard: the worklist says eligible of somebody whose course was stopped, and the day's sheets are printed."""
    ward.give(1)
    ward.course.events(ward.subject, Events(1, "before", ward.now, {"infusion_reaction": "yes"}), token(), COORDINATOR)
    ward.clock.set(ward.now + timedelta(minutes=1))
    fresh = bundle(severe_and_worsening("anna", START.isoformat()), "again-")
    people, at = ward.course.subjects, ward.now - timedelta(hours=hours_ago)
    done = people.screen(newcomer(), [fresh], COORDINATOR, "screening", at)
    assert done.answer is not None
    assert (done.answer.stage, datetime.fromisoformat(done.answer.at)) == ("infusion", at)
    ((line,), _) = people.lines(Wanted())
    assert (line.gate, line.is_stopped) == ("stop", True)


def test_data_of_before_a_death_are_still_saved(ward: Ward) -> None:
    """Nobody is assessed after the death, and the worklist tells of it."""
    ward.prepare(1)
    ward.course.die(ward.subject, Death(START - timedelta(hours=1), "ward round"), token(), COORDINATOR)
    fresh = bundle(severe_and_worsening("anna", START.isoformat()), "again-")
    people, at = ward.course.subjects, START - timedelta(hours=5)
    done = people.screen(newcomer(), [fresh], COORDINATOR, "screening", at)
    assert done.answer is not None
    ((line,), _) = people.lines(Wanted())
    assert (line.gate, line.off_study) == ("stop", "died")


def test_the_worklist_is_not_of_a_time_to_come(ward: Ward) -> None:
    """Within the tolerance of clocks an answer may be of a few minutes later: the next one is of its own time."""
    people = ward.course.subjects
    for minutes in (4, 0):
        fresh = bundle(severe_and_worsening("anna", START.isoformat()), f"m{minutes}-")
        people.screen(newcomer(), [fresh], COORDINATOR, "screening", START + timedelta(minutes=minutes))
    assert people.chart(ward.subject).screenings[-1].evaluated_at == START


def raise_power_failure(*_: object) -> None:
    raise OSError("power")


def test_a_number_is_given_once(people: Subjects) -> None:
    people.enrol(newcomer("S-1"), COORDINATOR)
    with pytest.raises(RequestError, match="exists already"):
        people.enrol(newcomer("S-1"), SECOND)
    people.enrol(newcomer("S-1", protocol="start-phase1"), COORDINATOR)


@pytest.mark.parametrize("number", ["", "Anna Example", "../x", "a" * 65, "=1+1"])
def test_a_number_that_is_no_id_is_refused(people: Subjects, number: str) -> None:
    with pytest.raises(RequestError, match="subject number"):
        people.enrol(newcomer(number), COORDINATOR)


def test_two_who_enrol_the_same_number_at_once_make_one_subject(people: Subjects) -> None:
    results: list[str] = []

    def enrol() -> None:
        try:
            people.enrol(replace(newcomer("S-7"), token=token()), COORDINATOR)
            results.append("made")
        except RequestError as error:
            results.append(error.code)

    writers = [threading.Thread(target=enrol) for _ in range(6)]
    for one in writers:
        one.start()
    for one in writers:
        one.join()
    assert sorted(results) == ["conflict"] * 5 + ["made"]
    with people.service.database.reading() as session:
        assert len(session.execute(select(Subject)).all()) == 1


def test_an_altered_entry_breaks_its_seal(people: Subjects) -> None:
    subject = people.enrol(newcomer(), COORDINATOR).subject
    kept = people.record(subject.id, entry("consent", Consent("v3", datetime.fromisoformat(NOW))), COORDINATOR).entry
    assert kept is not None
    assert seal(kept) == kept.sha256
    with people.service.database.writing() as session:
        session.execute(update(SubjectEntry).values(content=kept.content.replace(b"v3", b"v2")))
    altered = people.chart(subject.id).entries[0]
    assert seal(altered) != altered.sha256


def test_a_form_with_a_field_that_is_not_known_is_refused_without_its_value(people: Subjects) -> None:
    subject = people.enrol(newcomer(), COORDINATOR).subject
    with pytest.raises(RequestError) as caught:
        people.record(subject.id, entry("consent", {"version": "v", "given": NOW, "secret": "Anna"}), COORDINATOR)
    assert "Anna" not in str(caught.value)
    assert json.loads(b"[]") == people.chart(subject.id).entries
