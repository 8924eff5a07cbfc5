"""A death during the course: with time and source, it stops the gate for good; a clinician takes it back."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from mscprotocol.course_forms import Consent, Death, Events, Infusion, Override
from mscprotocol.errors import DataError, RequestError
from mscprotocol.screening_log import read_line, write_csv
from mscprotocol.store.subjects import Wanted
from tests.store.people import CLINICIAN, COORDINATOR, SECOND, token
from tests.store.test_course import START, put_right
from tests.web.pages.conftest import PASSWORD
from tests.web.pages.subject_page import Page, local, named, sign_shown
from tests.web.pages.test_signed_corrections import path_of, people

HOUR = timedelta(hours=1)


def clock(moment: datetime) -> str:
    return local(moment.astimezone(ZoneInfo("Europe/Berlin")))


def dead(page: Page) -> None:
    """Ready for the second infusion, when the death is recorded on the course page."""
    ward = page.ward
    ward.give(1)
    ward.observe(1, START)
    ward.prepare(2)
    for who in (COORDINATOR, SECOND):
        ward.check(2, who=who)
    assert ward.course.view(ward.subject).gate.decision == "go"
    status, text = page.send("death", data={"at": clock(ward.now - HOUR), "source": "ward <b>round</b>"})
    assert (status, "Off study: the patient died" in text, "<b>round</b>" in text) == (200, True, False)


def test_the_gate_is_stopped_for_good_and_the_subject_is_off_study(page: Page) -> None:
    dead(page)
    ward = page.ward
    for act in (
        lambda: ward.infuse(2),
        lambda: ward.course.view(ward.subject),
        lambda: ward.course.override(
            ward.subject, Override(2, "judgement", "a reason", [], ward.now), token(), CLINICIAN
        ),
    ):
        with pytest.raises(DataError, match="had died"):
            act()
    (line,) = [read_line(one) for one in ward.course.subjects.lines(Wanted())[0]]
    assert (line.gate, line.is_stopped, line.off_study, line.is_time_critical) == ("stop", True, "died", False)
    assert write_csv([line], ZoneInfo("UTC")).splitlines()[1].endswith(",died")
    assert "off study: died" in page.client.get("/worklist").text
    assert "Off study: the patient died" in page.client.get(page.base).text
    chart = ward.course.subjects.chart(ward.subject)
    assert chart.screenings[-1].sequence < chart.entries[-1].sequence, "not assessed with it"


def test_what_went_before_is_still_recorded_and_nothing_opens_it_again(page: Page) -> None:
    dead(page)
    ward = page.ward
    form = Events(1, "before", ward.now, {"infusion_reaction": "no"})
    ward.course.events(ward.subject, form, token(), COORDINATOR)
    ward.course.consent(ward.subject, Consent("v4", ward.now), token(), COORDINATOR)
    second = ward.now - 2 * HOUR
    given = Infusion(2, second, second + HOUR / 2, volume_ml="100", lot="LOT-7")
    with pytest.raises(RequestError):  # before it died its gate is judged as of its start
        ward.course.infuse(ward.subject, given, token(), COORDINATOR)
    with pytest.raises(RequestError, match="stands recorded"):
        ward.course.die(ward.subject, Death(ward.now, "again"), token(), COORDINATOR)
    with pytest.raises(DataError, match="had died"):
        ward.course.view(ward.subject)


def test_a_clinician_takes_it_back_and_nobody_else(page: Page) -> None:
    dead(page)
    ward, who = page.ward, people(page)
    path = path_of(page, "death")
    fields = {"why": "of another patient", "token": "t" * 20}
    assert who["coordinator"].post(f"{path}/in-error", data=fields).status_code == 403
    later = named("death", {"at": clock(ward.now + HOUR), "source": "typed wrong"}) | {"reason": "x", "token": "u" * 20}
    assert who["coordinator"].post(path, data=later).status_code == 422, "it lies in the past"
    shown = who["clinician"].post(f"{path}/in-error", data=fields)
    assert (shown.status_code, "the gate gives no answer" in shown.text) == (403, True)
    assert sign_shown(who["clinician"], f"{path}/in-error", shown.text, PASSWORD).status_code == 200
    assert ward.course.view(ward.subject).gate.decision == "go"
    assert [one.off_study for one in ward.course.subjects.lines(Wanted())[0]] == [None]


def test_its_time_is_put_right(page: Page) -> None:
    dead(page)
    ward = page.ward
    kept = ward.course.subjects.chart(ward.subject).of_kind("death")[0]
    form = Death(ward.now - 2 * HOUR, "certificate")
    with pytest.raises(RequestError, match="the time of death"):
        ward.course.correct(ward.subject, form, token(), kept.id, "by the certificate", COORDINATOR)
    put_right(ward, form, kept.id)
    with pytest.raises(DataError, match="had died"):
        ward.course.view(ward.subject, ward.now - 1.5 * HOUR)
