"""Killed in the middle of writes, the store comes up whole: the chain verifies, and nothing is half-written."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

from sqlalchemy import func, select

from mscprotocol import records
from mscprotocol.store.database import open_database
from mscprotocol.store.tables import AuditEntry, Screening, StoredAssessment, Subject, SubjectEntry

ROOT = Path(__file__).resolve().parents[2]
# Writes until it is killed, and says so after each subject.
WRITER = """
import sys
from mscprotocol.course_forms import Consent
from mscprotocol.store.database import open_database
from mscprotocol.subjects import NewSubject
from tests.store.people import COORDINATOR, Clock, entry, newcomer, open_subjects
database = open_database(sys.argv[1])
people = open_subjects(database, Clock("2020-03-27T10:00:00+01:00"))
for number in range(10_000):
    subject = people.enrol(newcomer(f"{sys.argv[2]}-{number}"), COORDINATOR).subject
    for weight in ("70 kg", "71 kg"):
        datum = {"name": "weight", "value": weight, "at": "2020-03-27T09:00:00+01:00"}
        people.record(subject.id, entry("record", {"patient": {"id": "p"}, "data": [datum]}), COORDINATOR)
    data = [entry("record", {"patient": {"id": "p"}, "data": [datum | {"value": kg}]}) for kg in ("72 kg", "73 kg")]
    known = NewSubject(subject.number, subject.protocol_id, subject.zone, "0" * 20)
    people.screen(known, data, COORDINATOR, "screening", people.service.clock())
    print(number, flush=True)
"""


def test_kill_nine_amid_writes_leaves_nothing_half_written(url: str) -> None:
    database = open_database(url)
    database.migrate()
    database.close()
    path = os.pathsep.join([str(ROOT / "src"), str(ROOT), os.environ.get("PYTHONPATH", "")])
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, url, name],
            stdout=subprocess.PIPE, text=True, cwd=ROOT, env=os.environ | {"PYTHONPATH": path},
        )
        for name in ("a", "b")
    ]  # fmt: skip
    said = []
    for writer in writers:
        assert writer.stdout is not None
        said.append([writer.stdout.readline() for _ in range(3)][-1].strip())
    for writer in writers:
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        assert writer.stdout is not None
        writer.stdout.close()
    assert said == ["2", "2"]
    again = open_database(url)
    again.migrate()
    with again.reading() as session:
        assert list(records.find_faults(session)) == []
        count = {one: session.execute(select(func.count()).select_from(one)).scalar() for one in _TABLES}
        actions = session.execute(select(AuditEntry.action)).scalars().all()
        kept = {one.number for one in session.execute(select(Subject)).scalars()}
        per = Counter(one.subject_id for one in session.execute(select(SubjectEntry)).scalars())
        assessed = Counter(one.subject_id for one in session.execute(select(Screening)).scalars())
    assert {f"{name}-{number}" for name in "ab" for number in range(3)} <= kept
    assert {(per[one], assessed[one]) for one in per} <= {(1, 1), (2, 2), (4, 3)}, "two parts of a screening, or none"
    assert count[StoredAssessment] == count[Screening] == actions.count("assess")
    assert actions.count("record") == count[SubjectEntry]
    assert actions.count("enrol") == count[Subject]
    again.close()


_TABLES = (Subject, SubjectEntry, StoredAssessment, Screening)
