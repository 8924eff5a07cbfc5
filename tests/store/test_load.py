"""Fifty coordinators in their browsers at one server: nothing is lost, no infusion is there twice, nothing breaks.

The suite runs a bounded number of actions. `MSCPROTOCOL_TEST_LOAD_SECONDS=60 pytest tests/store/test_load.py -s` works
for a minute and prints the counts that stand in docs/coordinator.md.
"""

from __future__ import annotations

import os
import random
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import httpx2
import pytest
from sqlalchemy import func, select

from mscprotocol import records
from mscprotocol.course_forms import Events, Infusion, read_form
from mscprotocol.store import users
from mscprotocol.store.database import Database, open_database
from mscprotocol.store.tables import Screening, Subject, SubjectEntry
from tests.store.people import SECOND, note_users
from tests.store.test_course import Ward
from tests.web.conftest import CLOSED
from tests.web.live import SERVE, running

PEOPLE, WARDS, ACTIONS = 50, 10, 4
SECONDS = int(os.environ.get("MSCPROTOCOL_TEST_LOAD_SECONDS", "0"))
PASSWORD, ZONE = "a sentence only for tests", ZoneInfo("Europe/Berlin")
SAME = {"sec-fetch-site": "same-origin", "accept": "text/html"}
DONE, CONFLICT, BUSY = 303, 409, 503
PATIENCE = 20


class Load:
    """What fifty coordinators do, and what each of their actions was answered with."""

    def __init__(self, address: str, subjects: list[str], started: datetime) -> None:
        self.address, self.subjects, self.started = address, subjects, started
        self.said: Counter[tuple[str, int]] = Counter()
        self.seconds: list[float] = []
        self.failures: list[BaseException] = []
        self.lock = threading.Lock()
        self.until = time.monotonic() + SECONDS
        self.ready = threading.Barrier(PEOPLE)

    def run(self) -> None:
        threads = [threading.Thread(target=self._sit_down, args=(number,)) for number in range(PEOPLE)]
        for one in threads:
            one.start()
        for one in threads:
            one.join()

    def _sit_down(self, number: int) -> None:
        try:
            with httpx2.Client(base_url=self.address, timeout=120, headers=SAME) as browser:
                self._post("login", browser, "/login", {"name": f"c{number}", "password": PASSWORD})
                self.ready.wait(300)
                with self.lock:
                    self.until = max(self.until, time.monotonic() + SECONDS) if number == 0 else self.until
                self._work(browser, random.Random(number))
        except BaseException as error:  # noqa: BLE001 - what a thread raises is shown by the test
            self.failures.append(error)
            self.ready.abort()

    def _work(self, browser: httpx2.Client, choose: random.Random) -> None:
        """An infusion of each ward in turn first, which only one of all may record; then whatever comes."""
        for turn in range(10**6):
            if (turn >= ACTIONS) if not SECONDS else (time.monotonic() > self.until):
                return
            actions: list[Callable[[httpx2.Client, random.Random], None]] = [
                self.infuse, self.observe, self.observe, self.screen, self.look,
            ]  # fmt: skip
            (self.infuse if turn == 0 else choose.choice(actions))(browser, choose)

    def infuse(self, browser: httpx2.Client, choose: random.Random) -> None:
        said = {"started": local(self.started), "status": "completed", "volume_ml": "100", "lot": "LOT-7"}
        said |= {"ended": local(self.started + timedelta(minutes=5))}
        form = {"following": "1"} | {f"infusion.{name}": one for name, one in said.items()}
        self._post("infusion", browser, f"/subjects/{choose.choice(self.subjects)}/course/infusion", form)

    def observe(self, browser: httpx2.Client, choose: random.Random) -> None:
        """A double click: both are answered alike, and one is recorded."""
        said = {"infusion": "1", "point": "before", "observed": local(self.started)}
        form = {f"events.{name}": one for name, one in said.items()} | {"token": str(uuid.uuid4())}
        path = f"/subjects/{choose.choice(self.subjects)}/course/events"
        first, second = (self._post("events", browser, path, form) for _ in range(2))
        if first == DONE:
            assert second == DONE

    def screen(self, browser: httpx2.Client, _: random.Random) -> None:
        number = f"L-{uuid.uuid4()}"
        form = {"protocol": "seed-covid-4x", "subject": number, "zone": "Europe/Berlin", "born": "1962-03-14"}
        form |= {"d.spo2.0.value": "91", "d.spo2.0.unit": "%", "d.spo2.0.at": local(self.started)}
        self._post("screening", browser, "/screening/save", form)

    def look(self, browser: httpx2.Client, choose: random.Random) -> None:
        path = choose.choice(("/worklist", f"/subjects/{choose.choice(self.subjects)}/course", "/worklist?q=L-"))
        begun = time.monotonic()
        reply = browser.get(path)
        self._note("look again" if reply.status_code == BUSY else "look", reply, begun)

    def _post(self, what: str, browser: httpx2.Client, path: str, form: dict[str, str]) -> int:
        begun = time.monotonic()
        form = {"token": str(uuid.uuid4())} | form
        reply = browser.post(path, data=form)
        for _ in range(PATIENCE):
            if reply.status_code != BUSY:
                break
            # What was too slow to be answered may have been recorded: as the page says, the same form is sent again.
            self._note(f"{what} again", reply)
            time.sleep(int(reply.headers["retry-after"]) * random.uniform(1, 3))
            reply = browser.post(path, data=form)
        self._note(what, reply, begun)
        return int(reply.status_code)

    def _note(self, what: str, reply: httpx2.Response, begun: float | None = None) -> None:
        is_sent_away = reply.headers.get("location", "").startswith("/login")
        with self.lock:
            self.said[what, 401 if is_sent_away else reply.status_code] += 1
            if begun is not None:
                self.seconds.append(time.monotonic() - begun)


def local(moment: datetime) -> str:
    return moment.astimezone(ZONE).isoformat(timespec="minutes")


def prepare(database: Database) -> tuple[list[str], datetime]:
    """Wards in which the first infusion could begin ten minutes ago, and the people who will all record it."""
    started = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(minutes=10)
    hashed = users.hash_password(PASSWORD)
    with database.writing() as session:
        made = users.add(session, started, "c0", "C 0", ["coordinator"], PASSWORD)
        for number in range(1, PEOPLE):
            user = type(made)(id=str(uuid.uuid4()), name=f"c{number}", full_name=f"C {number}", roles=made.roles)
            user.password_hash, user.made_at = hashed, started
            session.add(user)
        note_users(session, started)
    wards = [Ward(database, started, number=f"S-{number}") for number in range(WARDS)]
    for ward in wards:
        ward.prepare(1)
        ward.check(1)
        ward.check(1, who=SECOND)
    return [ward.subject for ward in wards], started


@pytest.mark.usefixtures("slow_passwords")
def test_fifty_coordinators_at_one_server(url: str) -> None:
    database = open_database(url)
    database.migrate()
    subjects, started = prepare(database)
    settings = {"requests_per_minute": "0", "database_url": url} | CLOSED
    with running(SERVE, "serve", "--port", "0", **settings) as server:
        load = Load(server.address, subjects, started)
        load.run()
    if SECONDS:
        show(url, load)
    assert load.failures == []
    # A machine too slow for fifty says so (503, with the seconds to wait), and nothing else fails.
    faults = [(what, status) for what, status in load.said if status >= 500 and (status != BUSY or "again" not in what)]
    assert not faults, load.said
    assert load.said["login", DONE] == PEOPLE
    assert {status for what, status in load.said if what == "infusion"} <= {DONE, CONFLICT}
    with database.reading() as session:
        entries = list(
            session.execute(select(SubjectEntry).where(SubjectEntry.kind.in_(("infusion", "events")))).scalars()
        )
        saved = session.execute(select(func.count()).where(Subject.number.startswith("L-"))).scalar()
        lines = session.execute(select(func.count(func.distinct(Screening.subject_id)))).scalar()
        assert list(records.find_faults(session)) == []
    infused = Counter(one.subject_id for one in entries if one.kind == "infusion")
    assert sum(infused.values()) == load.said["infusion", DONE]
    assert set(infused.values()) == {1}, "no infusion is there twice"
    assert all(read_form(one.content, Infusion).infusion == 1 for one in entries if one.kind == "infusion")
    seen = [read_form(one.content, Events) for one in entries if one.kind == "events"]
    assert 2 * len(seen) == load.said["events", DONE], "each double click is one entry, and none is lost"
    assert saved == load.said["screening", DONE]
    assert lines == saved + len(subjects)
    database.close()


def show(url: str, load: Load) -> None:
    kind, sorted_seconds = url.partition(":")[0], sorted(load.seconds)
    print(f"\n{kind}: {len(sorted_seconds)} actions, {dict(sorted(load.said.items()))}")
    at = {
        part: sorted_seconds[min(len(sorted_seconds) * part // 100, len(sorted_seconds) - 1)] for part in (50, 95, 99)
    }
    print(f"seconds: {', '.join(f'p{part} {value:.2f}' for part, value in at.items())}, max {sorted_seconds[-1]:.2f}")
