"""Fifty coordinators at once: nothing that was recorded is lost, and no infusion is there twice."""

from __future__ import annotations

import threading
from collections import Counter
from datetime import timedelta

from sqlalchemy import select

from mscprotocol import records
from mscprotocol.course_forms import Infusion
from mscprotocol.errors import RequestError
from mscprotocol.service import Caller
from mscprotocol.store.database import Database
from mscprotocol.store.tables import SubjectEntry
from tests.store.people import SECOND, entry, token
from tests.store.test_course import START, Ward

PEOPLE, ACTIONS = 50, 4


def test_fifty_coordinators_lose_nothing_and_give_nothing_twice(database: Database) -> None:
    wards = [Ward(database, number=f"S-{number}") for number in range(4)]
    for ward in wards:
        ward.prepare(1)
        ward.check(1)
        ward.check(1, who=SECOND)
        ward.clock.set(START + timedelta(hours=1))
    done: Counter[str] = Counter()
    failures: list[BaseException] = []
    lock = threading.Lock()

    def work(number: int) -> None:
        who = Caller(f"c{number}", frozenset({"coordinator"}))
        for turn in range(ACTIONS):
            ward = wards[(number + turn) % len(wards)]
            try:
                if turn % 2:
                    form = Infusion(1, START, START + timedelta(hours=1), volume_ml="100", lot="LOT-7")
                    ward.course.infuse(ward.subject, form, token(), who)
                    what = "infusion"
                else:
                    datum = {"name": "weight", "value": "70 kg", "at": START.isoformat()}
                    new = entry("record", {"patient": {"id": "anna"}, "data": [datum]})
                    ward.course.subjects.record(ward.subject, new, who, assess=False)
                    what = "record"
            except RequestError as error:
                what = error.code
            except BaseException as error:  # noqa: BLE001 - what a thread raises is shown by the test
                failures.append(error)
                return
            with lock:
                done[what] += 1

    threads = [threading.Thread(target=work, args=(number,)) for number in range(PEOPLE)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert failures == []
    assert done == {"infusion": 4, "record": PEOPLE * 2, "conflict": PEOPLE * 2 - 4}
    with database.reading() as session:
        kinds = Counter(one.kind for one in session.execute(select(SubjectEntry)).scalars())
        assert list(records.find_faults(session)) == []
    assert kinds["infusion"] == 4
    assert kinds["record"] == PEOPLE * 2 + len(wards)
    assert all(len(ward.course.view(ward.subject).infusions) == 1 for ward in wards)
