"""A long walk over HTTP that keeps to no plan: every role, right and wrong, twice, too late; checked at each step."""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from html import unescape
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from starlette.testclient import TestClient

from mscprotocol.course_forms import Infusion, read_form
from mscprotocol.errors import DataError
from mscprotocol.records import find_faults
from mscprotocol.settings import Settings
from mscprotocol.store import assessments, signatures, subjects
from mscprotocol.store.tables import SubjectEntry
from mscprotocol.subject_record import read_infusions
from mscprotocol.verification import Kept, verify
from mscprotocol.web.app import create_app
from tests.databases import new_database
from tests.patients import severe_and_worsening
from tests.store.people import bundle, note_users
from tests.store.test_course import STATED, Ward
from tests.web.conftest import CLOSED
from tests.web.pages.browser import PASSWORD
from tests.web.pages.conftest import SAME, add_user, sign_in
from tests.web.pages.subject_page import form_of, named

BERLIN = ZoneInfo("Europe/Berlin")
HOUR = timedelta(hours=1)
ROLES = {"carla": "coordinator", "carl": "coordinator", "dora": "clinician", "aude": "auditor", "adam": "administrator"}
RECORDING = ("carla", "carl", "dora")
STEPS = 50
MOST, UPLOADS = 4, 3
RANK = {"go": 0, "hold": 1, "stop": 2}


class Walk:
    """One subject, five people who are logged in, and a die; every step is a request."""

    def __init__(self, seed: int) -> None:
        self.die, self.log = random.Random(seed), list[str]()
        database = new_database()
        self.ward = Ward(database)
        service = self.ward.course.service
        month = {"session_idle_minutes": 10**6, "session_hours": 10**4, "requests_per_minute": 0}
        app = create_app(Settings(**CLOSED, **month), service)
        self.who: dict[str, TestClient] = {}
        for name, role in ROLES.items():
            add_user(service, name, role)
            self.who[name] = TestClient(app, base_url="https://testserver", follow_redirects=False)
            self.who[name].headers.update(SAME)
            assert sign_in(self.who[name], name) == 303
        with database.writing() as session:
            note_users(session, self.ward.now)
        self.base = f"/subjects/{self.ward.subject}"
        self.sent: list[tuple[str, dict[str, Any]]] = []
        self.pages: list[str] = []
        self.uploads = 0
        self.began = self.ward.now

    # -- what is seen from outside --

    def chart(self) -> Any:
        return self.ward.course.subjects.chart(self.ward.subject)

    def gate(self, at: datetime | None = None) -> str:
        try:
            return self.ward.course.view(self.ward.subject, at).gate.decision
        except DataError:
            return "stop"  # who has died is assessed no more

    def local(self, hours: float = 0) -> str:
        return (self.ward.now + timedelta(hours=hours)).astimezone(BERLIN).strftime("%Y-%m-%dT%H:%M")

    # -- what is done --

    def send(self, path: str, data: dict[str, Any], who: str) -> tuple[int, str]:
        self.sent.append((path, data))
        reply = self.who[who].post(path, data=data)
        self.log.append(f"{who} {path.removeprefix(self.base)} {reply.status_code}")
        assert reply.status_code < 500, self.log[-5:]
        return reply.status_code, reply.text

    def step(self, action: str, who: str = "", **fields: str) -> tuple[int, str]:
        """A step of the course page as the page of now has it, or one that was opened earlier."""
        who = who or self.die.choice(RECORDING)
        self.pages.append(self.who[who].get(f"{self.base}/course").text)
        is_stale = self.die.random() < 0.1
        form = form_of(self.die.choice(self.pages) if is_stale else self.pages[-1])
        return self.send(f"{self.base}/course/{action}", form | named(action, fields), who)

    def add_data(self, who: str, **typed: str) -> None:
        """A new export and what was asked at the bedside, saved from the screening page."""
        self.uploads += 1
        one = severe_and_worsening("anna", self.ward.now.isoformat())
        one.lab("29463-7", "70", "kg", 3, display="Body weight")
        asked = {"zone": "Europe/Berlin", "by": "Dr Example", "protocol": "seed-covid-4x"}
        asked["stage"] = self.die.choice(("screening", "infusion"))
        page = self.who[who].post(
            "/screening", data=asked | {"paste": bundle(one, f"u{self.uploads}-").content.decode()}
        )
        assert page.status_code == 200
        found = re.search('name="draft" value="([^"]+)"', page.text)
        assert found is not None
        said = {f"c.{name}.said": answer for name, answer in STATED.items()} | typed
        fresh = {"draft": found[1], "subject": "S-001", "token": f"page-{self.uploads}-of-the-walk"}
        self.send("/screening/save", asked | said | fresh, who)

    def lot(self, who: str = "", **more: Any) -> None:
        self.step("lot", who, product=json.dumps(self.ward.product() | more))

    def check_dose(self, who: str, cells: str = "") -> None:
        dose = self._dose()
        self.step("dose", who, cells=cells or dose.get("cells", "70000000"), volume_ml=dose.get("volume_ml", ""))

    def _dose(self) -> dict[str, str]:
        try:
            dose = self.ward.course.view(self.ward.subject).answer.dose
        except DataError:
            return {}
        return {name: said for name in ("cells", "volume_ml") if (said := getattr(dose, name))}

    def see(self, who: str, point: str, infusion: int, **answers: str) -> None:
        questions = self.ward.course.questions()
        said = dict.fromkeys(questions[:-2], "no") | {"marked_improvement": "no"} | answers
        fields = {f"q.{name}": answer for name, answer in said.items()}
        self.step("events", who, infusion=str(infusion), point=point, observed=self.local(), **fields)

    def go_on(self) -> None:
        """What a careful team would do next, so that the walk gets far."""
        given = read_infusions(self.chart().standing)
        if self.uploads == UPLOADS:
            return
        if not any(one.kind == "consent" for one in self.chart().standing):
            self.step("consent", "carla", version="v3", given=self.local(-4))
        for point in ("6 h", "24 h", "72 h") if given else ():
            due = given[-1].started + timedelta(hours=int(point.split()[0]))
            self.ward.clock.set(max(due, self.ward.now))
            self.see("carla", point, given[-1].infusion)
        if given and self.ward.now - given[-1].started < 66 * HOUR:
            self.ward.clock.set(given[-1].started + 72 * HOUR)
        self.add_data("carla")
        self.lot("carla")
        for name in ("carla", "carl"):
            self.check_dose(name)
        self.infuse("carla")

    def infuse(self, who: str = "", action: str = "infusion", **more: str) -> None:
        started = self.ward.now
        fields = {"started": self.local(), "ended": self.local(1), "status": "completed", "volume_ml": "100"}
        self.ward.clock.set(started + HOUR)
        self.step(action, who, **(fields | {"lot": "LOT-7"} | more))

    def amend(self, who: str = "") -> None:
        """Correct, set aside or take back any entry, and sign it where that is offered."""
        who, entry = who or self.die.choice(RECORDING), self.die.choice(self.chart().entries or [None])
        if entry is None:
            return
        path, page = f"{self.base}/entries/{entry.id}", self.who[who].get(f"{self.base}/entries/{entry.id}")
        assert page.status_code == 200
        kind = self.die.choice(("", "", "/in-error", "/reinstate", "/charted"))
        data = fields_of(page.text) | {"reason": "misread", "why": "a slip", "token": f"walk-{len(self.log)}-amending"}
        if kind == "":
            data |= self.changes(entry.kind)
        status, text = self.send(path + kind, data, who)
        if status == 403 and "Sign and record it" in text:
            shown = text.split('<section class="panel" aria-labelledby="effect">')[1].split("</section>", maxsplit=1)[0]
            seen = {a: unescape(b) for a, b in re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', shown)}
            self.send(path + kind, seen | {"sign.password": self.die.choice((PASSWORD, PASSWORD, "wrong"))}, who)

    def changes(self, kind: str) -> dict[str, str]:
        """What a correction of a kind says otherwise."""
        hours = self.die.choice((-30, -3, -1, -0.5, 0, 2))
        return {
            "infusion": self.die.choice(
                [
                    {"infusion.status": "entered-in-error", "infusion.ended": ""},
                    {"infusion.started": self.local(hours), "infusion.ended": self.local(hours + 1)},
                    {"infusion.volume_ml": self.die.choice(("", "100", "150", "95"))},
                    {"infusion.status": "stopped", "infusion.stop_reason": "line lost"},
                    {"infusion.lot": "LOT-9"},
                ]
            ),
            "events": {f"events.q.{self.die.choice(self.ward.course.questions())}": self.die.choice(("yes", "no"))},
            "consent": {"consent.given": self.local(hours)},
            "withdrawal": {"withdrawal.at": self.local(hours)},
            "death": {"death.at": self.local(hours)},
        }.get(kind, {})

    def override(self, who: str = "") -> None:
        who = who or self.die.choice(RECORDING)
        page = self.who[who].get(f"{self.base}/course").text
        because = [unescape(one) for one in re.findall(r'name="because" value="([^"]*)"', page)]
        because = because or list(self._because())
        form = form_of(page) | named("override", {"code": "judgement", "text": "seen at the bedside"})
        secret = {"override.password": self.die.choice((PASSWORD, PASSWORD, "wrong"))}
        self.send(f"{self.base}/course/override", form | {"because": because} | secret, who)

    def _because(self) -> list[str]:
        try:
            return self.ward.course.view(self.ward.subject).gate.because
        except DataError:
            return []

    def repeat(self, who: str = "") -> None:
        """What was sent before, once more: by the same person, by another, or changed on the way."""
        if not self.sent:
            return
        path, data = self.die.choice(self.sent[-12:])
        if self.die.random() < 0.3:
            data = data | {"following": str(self.die.randint(0, 6)), "infusion.volume_ml": "101"}
        self.send(path, data, who or self.die.choice(RECORDING))

    def wait(self) -> None:
        self.ward.clock.set(self.ward.now + timedelta(hours=self.die.choice((0.1, 1, 6, 24, 66, 72))))

    def any_event(self) -> None:
        name = self.die.choice(self.ward.course.questions())
        point = self.die.choice(("before", "before", "6 h", "24 h", "72 h", "99 h"))
        self.see("", point, self.die.randint(0, 5), **{name: self.die.choice(("yes", "unknown"))})

    def intrude(self) -> None:
        """Whoever may only read, or nothing at all, tries every button."""
        who = self.die.choice(("aude", "adam"))
        before = len(self.chart().entries)
        deed = self.die.choice((self.override, self.infuse, self.repeat, self.amend, self.lot))
        path = f"{self.base}/course/infusion"
        if deed == self.amend and ROLES[who] == "administrator":
            self.send(path, {}, who)
        else:
            deed(who)
        assert self.log[-1].endswith("403"), self.log[-1]
        assert len(self.chart().entries) == before

    def leap(self) -> None:
        """Any step at once, whatever is on record."""
        deed: Callable[[], object] = self.die.choice(
            (
                lambda: self.step("withdrawal", at=self.local(self.die.choice((-1, 1)))),
                lambda: self.step("consent", version="v4", given=self.local(-1)),
                lambda: self.step("plan", start=self.local(24)),
                lambda: self.infuse(status="stopped", stop_reason="wheeze", volume_ml="20"),
                lambda: self.infuse(status="in-progress", ended="", volume_ml=""),
                lambda: self.infuse(lot="LOT-8"),
                lambda: self.infuse(volume_ml="250"),
                lambda: self.infuse(started=self.local(-80), ended=self.local(-79)),
                lambda: self.lot(product_viability={"value": "40 %", "at": self.ward.text(0.5)}),
                lambda: self.add_data("carla", **{"d.d_dimer.0.value": "9"}) if self.uploads < UPLOADS else None,
                lambda: self.check_dose("dora", cells="1000"),
                lambda: self.step("assessment", "carl"),
            )
        )
        deed()

    def deviate(self) -> None:
        secret = self.die.choice((PASSWORD, PASSWORD, "wrong"))
        self.infuse(action="deviation", deviation="it had begun", password=secret)

    def die_once(self) -> None:
        if self.die.random() < 0.1:
            self.step("death", at=self.local(-1), source="the ward")

    def take_a_step(self) -> None:
        deeds = {
            self.go_on: 14, self.amend: 22, self.leap: 16, self.repeat: 14, self.any_event: 6, self.override: 8,
            self.wait: 6, self.intrude: 6, self.deviate: 6, self.die_once: 2,
        }  # fmt: skip
        (deed,) = self.die.choices(list(deeds), list(deeds.values()))
        deed()


def fields_of(page: str) -> dict[str, str]:
    """The fields of a page as its form holds them."""
    fields = {}
    for tag in re.findall(r"<input[^>]*>", page):
        name, value = (re.search(rf'\b{one}="([^"]*)"', tag) for one in ("name", "value"))
        if name and ('type="radio"' not in tag or " checked" in tag) and 'type="file"' not in tag:
            fields[name[1]] = unescape(value[1]) if value else ""
    for name, options in re.findall(r'<select[^>]*name="([^"]+)"[^>]*>(.*?)</select>', page, re.S):
        chosen = re.search(r'value="([^"]*)" selected', options) or re.search(r'value="([^"]*)"', options)
        fields[name] = chosen[1] if chosen else (re.findall(r"<option[^>]*>([^<]*)", options) or [""])[0]
    for name, text in re.findall(r'<textarea[^>]*name="([^"]+)"[^>]*>(.*?)</textarea>', page, re.S):
        fields[name] = unescape(text)
    return fields


def signers_of(walk: Walk, entry: SubjectEntry) -> set[str]:
    """The roles of those whose signature of an entry stands and is of what it says."""
    with walk.ward.course.service.database.reading() as session:
        kept = signatures.of_subject(session, f"Subject/{walk.ward.subject}")
        names = [one.name for one in kept if signatures.holds(one, entry.sha256.encode())]
    return {ROLES[name.removeprefix("Dr ").lower()] for name in names}


def check(walk: Walk, before: list[SubjectEntry], gate: str) -> None:
    """What holds after every request, whatever was sent."""
    chart = walk.chart()
    entries = chart.entries
    assert [(one.id, one.sha256) for one in entries[: len(before)]] == [(one.id, one.sha256) for one in before]
    assert all(subjects.seal(one) == one.sha256 for one in entries)
    assert len({one.token for one in entries}) == len(entries)
    given = read_infusions(chart.standing)
    assert [one.infusion for one in given] == list(range(1, len(given) + 1)), "no number twice, and none left out"
    assert sum(one.deviation is None for one in given) <= MOST
    assert all(one.deviation is not None for one in given if one.infusion > MOST)
    assert [one.started for one in given] == sorted(one.started for one in given)
    fresh = entries[len(before) :]
    for one in fresh:
        signed = signers_of(walk, one)
        if one.kind == "infusion" and one.supersedes is None:
            form = read_form(one.content, Infusion)
            assert (form.deviation is not None) == bool(signed), walk.log[-3:]
        assert one.kind != "override" or signed == {"clinician"}
        if one.supersedes and "clinician" not in signed and one.kind != "infusion":
            assert RANK[walk.gate()] >= RANK[gate], (walk.log[-3:], "a gate was opened by who may not")
    if fresh:
        check_line(walk, chart)


def check_line(walk: Walk, chart: Any) -> None:
    """The line of the worklist says of the course what the course page says."""
    (line,) = walk.ward.course.subjects.lines(subjects.Wanted())[0]
    assert line.infusions == len(read_infusions(chart.standing))
    assert line.is_stopped == (line.gate == "stop" or line.off_study is not None)
    if any(one.kind in ("lot", "infusion") for one in chart.standing):
        assert line.gate == walk.gate(), walk.log[-3:]


@pytest.mark.parametrize("seed", [2, 21])
def test_no_way_through_the_pages_breaks_the_record(seed: int) -> None:
    walk = Walk(seed)
    for _ in range(STEPS):
        before, gate = walk.chart().entries, walk.gate()
        walk.take_a_step()
        check(walk, before, gate)
    for name in ("carla", "aude"):
        page = walk.who[name].get(walk.base).text
        assert all(f"{walk.base}/entries/{one.id}" in page for one in walk.chart().entries)
    service = walk.ward.course.service
    with service.database.reading() as session:
        assert list(find_faults(session)) == []
        stored = [assessments.find(session, one.assessment_id) for one in walk.chart().screenings]
    for one in walk.die.sample(stored, 8):
        assert one is not None
        assert verify(Kept(one), service.knowledge, walk.ward.now).outcome == "same"
    answers = Counter(one.rsplit(" ", 1)[1] for one in walk.log)
    assert len(read_infusions(walk.chart().standing)) > 1, "it got somewhere"
    assert answers.keys() >= {"303", "401", "403", "409", "422"}, "and was refused in every way"
