"""A course in two real browsers, one of them without scripts: four infusions, one held, one stopped."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from mscprotocol.course_forms import Consent, Infusion
from mscprotocol.settings import Settings
from mscprotocol.web.app import create_app
from tests.databases import new_database
from tests.store.people import COORDINATOR, token
from tests.store.test_course import START, Ward
from tests.web.conftest import CLOSED
from tests.web.pages.browser import (
    NO_BROWSER,
    check_look,
    find,
    follow,
    has_browser,
    log_in,
    named,
    serve,
    set_time,
    show,
)
from tests.web.pages.conftest import PASSWORD, add_user
from tests.web.pages.test_in_a_browser import pages_of

pytestmark = pytest.mark.skipif(not has_browser(), reason=NO_BROWSER)
BERLIN = ZoneInfo("Europe/Berlin")


class Desk:
    """The page of a subject's course on two desks: of the one who records, and of the other person."""

    def __init__(self, address: str, ward: Ward, browser: Any, other: Any) -> None:
        self.address, self.ward, self.browser, self.other = address, ward, browser, other
        self.people: dict[Any, str] = {}

    def open(self, driver: Any, name: str, page: str = "/course") -> None:
        if self.people.get(driver) != name:
            driver.get(f"{self.address}/login")
            if find(driver, "h1").text != "Log in":
                follow(driver, find(driver, ".who button"))
            log_in(driver, self.address, name)
            self.people[driver] = name
        driver.get(f"{self.address}/subjects/{self.ward.subject}{page}")

    def send(self, driver: Any, action: str) -> str:
        """Send one form of the page; gives what the page that follows says."""
        follow(driver, find(driver, f"button[formaction$='/{action}']"))
        said: str = find(driver, "main").text
        return said

    def fill(self, driver: Any, action: str, **fields: str) -> None:
        for name, value in fields.items():
            field = named(driver, f"{action}.{name}")
            field.clear()
            field.send_keys(value)

    def check_dose(self, number: int) -> None:
        """Two people put in the same numbers; while the dose is withheld, those that they agreed on."""
        dose = self.ward.course.view(self.ward.subject).answer.dose
        cells = dose.cells or "21000000"
        for driver, name in ((self.browser, "coordinator"), (self.other, "second")):
            self.open(driver, name)
            assert cells not in find(driver, "#s-dose").text
            self.fill(driver, "dose", cells=cells, volume_ml=dose.volume_ml or "")
            assert "Recorded." in self.send(driver, "dose")

    def infuse(self, stopped: str = "", lot: str = "") -> str:
        """Record an infusion that starts now, an hour later."""
        started = self.ward.now
        self.ward.clock.set(started + timedelta(hours=1))
        self.open(self.browser, "coordinator")
        set_time(self.browser, "infusion.started", local(started))
        set_time(self.browser, "infusion.ended", local(started + timedelta(hours=1)))
        if stopped:
            self.browser.execute_script("document.getElementById('i-infusion.status').value = 'stopped'")
            self.fill(self.browser, "infusion", stop_reason=stopped)
        if lot:
            self.fill(self.browser, "infusion", lot=lot)
        said = self.send(self.browser, "infusion")
        self.ward.clock.set(started)
        return said

    def see(self, hours: int, started: datetime, **answers: str) -> None:
        """Fill in one form of what was seen."""
        self.ward.clock.set(started + timedelta(hours=hours))
        self.open(self.browser, "coordinator")
        questions = self.ward.course.questions()
        said = dict.fromkeys(questions[:-2], "no") | {"marked_improvement": "no"} | answers
        for name, answer in said.items():
            box = find(self.browser, f"[name='events.q.{name}'][value={answer}]")
            self.browser.execute_script("arguments[0].click()", box)
        set_time(self.browser, "events.observed", local(self.ward.now))
        self.browser.execute_script(f"document.getElementById('i-events.point').value = '{hours} h'")
        assert "Recorded." in self.send(self.browser, "events")


def local(moment: datetime) -> str:
    return moment.astimezone(BERLIN).strftime("%Y-%m-%dT%H:%M")


@pytest.fixture
def desk(tmp_path: Path, browser: Any, plain_browser: Any) -> Iterator[Desk]:
    database = new_database(f"sqlite:///{tmp_path}/course.sqlite3")
    ward = Ward(database)
    for name, role in (("coordinator", "coordinator"), ("second", "coordinator"), ("clinician", "clinician")):
        add_user(ward.course.service, name, role)
    month = {"session_idle_minutes": 60 * 24 * 30, "session_hours": 24 * 30, "requests_per_minute": 0}
    app = create_app(Settings(**CLOSED, **month), ward.course.service)
    for driver in (browser, plain_browser):
        driver.get("about:blank")
        driver.execute_cdp_cmd("Network.clearBrowserCookies", {})
        show(driver)
    with serve(app) as address:
        yield Desk(address, ward, browser, plain_browser)


def test_four_infusions_across_a_change_of_the_clocks(desk: Desk) -> None:
    for number in range(1, 5):
        started = desk.ward.now
        desk.ward.prepare(number)
        desk.check_dose(number)
        assert "Recorded." in desk.infuse()
        if number == 1:
            for hours in (6, 24, 72):
                desk.see(hours, started)
        else:
            desk.ward.observe(number, started)
    desk.open(desk.browser, "coordinator")
    page = find(desk.browser, "main").text
    assert page.count("given") >= 4
    assert "Fri 27 Mar 2020 10:00 +01:00" in page
    assert "Mon 30 Mar 2020 11:00 +02:00" in page, "72 hours of elapsed time, whatever the clocks show"
    assert "course: complete" in page
    assert "no more infusions" in desk.infuse(lot="LOT-7")
    check_look(desk.browser, "a complete course")


def test_a_rising_d_dimer_holds_until_a_clinician_signs(desk: Desk) -> None:
    desk.ward.give(1)
    desk.ward.observe(1, START)
    desk.ward.prepare(2, dimer="1.30")
    desk.check_dose(2)
    refused = desk.infuse()
    assert "says hold: nothing was recorded" in refused
    assert "HLD-01: met" in refused
    check_look(desk.browser, "a course that is held")
    desk.open(desk.other, "clinician")
    desk.fill(desk.other, "override", text="Seen at the bedside", password="wrong")
    assert "Not signed" in desk.send(desk.other, "override")
    desk.open(desk.other, "clinician")
    desk.fill(desk.other, "override", text="Seen at the bedside", password=PASSWORD)
    assert "Set aside by a clinician: Seen at the bedside" in desk.send(desk.other, "override")
    assert "Recorded." in desk.infuse()


def test_a_reaction_stops_the_course(desk: Desk) -> None:
    desk.ward.prepare(1)
    desk.check_dose(1)
    assert "Recorded." in desk.infuse(stopped="Rash and fever")
    desk.see(6, START, infusion_reaction="yes")
    desk.open(desk.browser, "coordinator")
    assert "stop" in find(desk.browser, ".verdict .word").text.lower()
    assert "because Rash and fever" in find(desk.browser, "main").text
    for page in ("", "/course"):
        desk.open(desk.browser, "coordinator", page)
        check_look(desk.browser, f"subject{page}")
    for path in ("/worklist", "/worklist?verdict=eligible"):
        desk.browser.get(desk.address + path)
        check_look(desk.browser, path)
    assert named(desk.browser, "protocol") is not None


def test_a_lot_is_filled_in_and_a_running_infusion_ended(desk: Desk) -> None:
    ward = desk.ward
    ward.prepare(1)
    desk.open(desk.browser, "coordinator")
    find(desk.browser, "#s-lot summary").click()
    desk.fill(desk.browser, "lot", lot="LOT-7", **{"d.product_viability.0.value": "85"})
    set_time(desk.browser, "lot.at.lot", local(ward.now))
    check_look(desk.browser, "a lot that is filled in")
    assert "Recorded." in desk.send(desk.browser, "lot")
    ward.prepare(1)
    desk.check_dose(1)
    form = Infusion(1, ward.now, status="in-progress", lot="LOT-7")
    ward.course.infuse(ward.subject, form, token(), COORDINATOR)
    ward.clock.set(ward.now + timedelta(hours=2))
    for driver in (desk.other, desk.browser):
        desk.open(driver, "coordinator" if driver is desk.browser else "second")
        assert "still running" in find(driver, "main").text
    follow(desk.browser, find(desk.browser, "a[href*='/entries/'].button"))
    check_look(desk.browser, "an entry with its form")
    set_time(desk.browser, "infusion.ended", local(ward.now - timedelta(hours=1)))
    desk.browser.execute_script("document.getElementById('i-infusion.status').value = 'completed'")
    follow(desk.browser, find(desk.browser, "main form button.primary"))
    assert "Corrected: both stand on record." in find(desk.browser, "main").text
    follow(desk.browser, find(desk.browser, "s a[href*='/entries/']"))
    assert "It was corrected by" in find(desk.browser, "main").text
    check_look(desk.browser, "an entry that was corrected")


def test_the_open_questions_of_a_new_subject_are_folded_and_printed_whole(desk: Desk) -> None:
    consent = Consent("v3", desk.ward.now - timedelta(hours=4))
    desk.ward.course.consent(desk.ward.subject, consent, token(), COORDINATOR)
    because = desk.ward.course.view(desk.ward.subject).gate.because
    for driver, name in ((desk.browser, "coordinator"), (desk.other, "second")):
        desk.open(driver, name)
        folded = find(driver, "#gate ~ details")
        assert because[-1] not in folded.text
        paper = pages_of(driver)
        assert [one for one in because if one not in paper] == []
    check_look(desk.browser, "a new subject's course")
    find(desk.browser, "#gate ~ details summary").click()
    assert find(desk.browser, "#gate ~ details").text.count(": unknown") > 30
    check_look(desk.browser, "its open questions unfolded")
