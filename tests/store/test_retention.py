"""The rule of retention: what programs asked for goes after some days, what anybody rests on stays, the trail holds."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import delete, event, func, select
from starlette.testclient import TestClient
from typer.testing import CliRunner

from fhir_adapters.bundle import read_bundle
from mscprotocol import listening, records, retention, terminal
from mscprotocol.answer import Assessment
from mscprotocol.case import Request
from mscprotocol.cli import app
from mscprotocol.fingerprint import short_code
from mscprotocol.records import back_up
from mscprotocol.retention import MACHINES, expire, find_expiry
from mscprotocol.service import Caller, Order
from mscprotocol.settings import Settings
from mscprotocol.store import audit, signatures, subjects
from mscprotocol.store.assessments import read_answer
from mscprotocol.store.database import Database, open_database
from mscprotocol.store.tables import AuditEntry, CdsFeedback, StoredAssessment
from mscprotocol.subjects import DOOR as PERSONS
from mscprotocol.subjects import Subjects
from mscprotocol.web import api, cds_hooks
from mscprotocol.web.app import create_app
from mscprotocol.web.cds_cards import MOST_ORDERS, card_uuid
from tests.patients import severe_and_worsening
from tests.store.people import COORDINATOR, SEED, Clock, bundle, newcomer, open_subjects

START = datetime.fromisoformat("2020-03-27T10:00:00+01:00")
DAYS = 30
LATER = START + timedelta(days=DAYS, seconds=1)
PROGRAM = Caller("ehr", frozenset({"assess"}))
Ask = Callable[..., StoredAssessment]


@pytest.fixture
def people(database: Database) -> Subjects:
    return open_subjects(database, Clock(START.isoformat()))


@pytest.fixture
def ask(people: Subjects) -> Ask:
    """One answer to a program, stored as of some time after the start."""
    service = people.service
    content = severe_and_worsening("zebra", START.isoformat()).to_json()
    answer: list[Assessment] = []

    def ask(door: str = "cds-hooks", hours: float = 0) -> StoredAssessment:
        order = Order(SEED, Request(at=START), door, PROGRAM)
        if not answer:
            answer.append(service.judge_by((SEED,), read_bundle([content]), [content], order)[0].answer)
        service.clock.set(START + timedelta(hours=hours))  # type: ignore[attr-defined]
        with service.database.writing() as session:
            return service.keep(session, answer[0], [content], order)

    return ask


def kept(database: Database) -> set[str]:
    with database.reading() as session:
        return set(session.execute(select(StoredAssessment.id)).scalars())


def test_programs_call_by_these_doors_and_people_by_another() -> None:
    assert set(MACHINES) == {api.DOOR, "fhir", cds_hooks.DOOR, listening.DOOR}
    assert PERSONS not in MACHINES


@pytest.mark.parametrize("door", [one for one in MACHINES if one != "hl7v2"])
def test_what_a_program_asked_for_goes_after_the_days(ask: Ask, database: Database, door: str) -> None:
    old, new = ask(door), ask(door, hours=1)
    assert expire(database, START + timedelta(days=DAYS), DAYS, "operator") == 0, "not before"
    assert expire(database, LATER, DAYS, "operator") == 1
    assert kept(database) == {new.id}
    with database.reading() as session:
        assert audit.find_fault(session) is None
        assert list(records.find_faults(session)) == [], "what has expired is not missing"
        entry = session.execute(select(AuditEntry).order_by(AuditEntry.sequence.desc())).scalars().first()
    assert entry is not None
    code = short_code(old.trace_sha256, old.input_sha256)
    assert (entry.actor, entry.action, entry.at) == ("operator", "expire", LATER)
    assert entry.detail == {"count": 1, "days": DAYS, "assessments": [f"Assessment/{old.id}"], "codes": [code]}


def test_what_only_vanished_is_still_found(ask: Ask, database: Database) -> None:
    expired, vanished = ask(), ask(hours=1)
    expire(database, LATER, DAYS, "operator")
    with database.writing() as session:
        session.execute(delete(StoredAssessment).where(StoredAssessment.id == vanished.id))
    with database.reading() as session:
        assert list(records.find_faults(session)) == [f"Assessment/{vanished.id}: something of it is missing"]
    assert expired.id != vanished.id


def test_what_a_person_did_something_with_stays(people: Subjects, ask: Ask, database: Database) -> None:
    """Screenings of a subject, a signature, feedback on any card, an act in the trail; reading is no act."""
    subject = people.enrol(newcomer(), COORDINATOR).subject
    recorded = people.record(subject.id, bundle(severe_and_worsening("anna", START.isoformat())), COORDINATOR)
    logged, signed, judged, acted, read = (ask() for _ in range(5))
    own = ask(PERSONS)
    signer = signatures.Signer("dr.example", None, "Dr Example", "demo")
    with database.writing() as session:
        subjects.log_screening(session, subject, logged, read_answer(logged))
        signatures.sign(session, START, signer, "seen", f"Assessment/{signed.id}", b"x")
        card = card_uuid(judged.id, MOST_ORDERS).upper()
        session.add(CdsFeedback(id="f", received_at=START, service=SEED, card=card, criterion=None, outcome="accepted",
                                detail={}))  # fmt: skip
        audit.append(session, START, "dr.example", "override", f"Assessment/{acted.id}")
    people.service.read(read.id, COORDINATOR, "page")
    assert expire(database, LATER, DAYS, "operator") == 1
    assert kept(database) == {recorded.assessment_id, logged.id, signed.id, judged.id, acted.id, own.id}


def test_of_a_feed_the_newest_answer_stays(ask: Ask, database: Database) -> None:
    """By it `listen` knows after a restart that there is nothing new to answer."""
    first, second = ask("hl7v2"), ask("hl7v2", hours=1)
    assert expire(database, LATER + timedelta(days=1), DAYS, "operator") == 1
    assert kept(database) == {second.id}
    assert first.id != second.id


def test_many_go_in_portions_each_with_its_entry(ask: Ask, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "_PORTION", 2)
    ids = {ask().id for _ in range(5)}
    with database.reading() as session:
        assert retention.count_expired(session, LATER, DAYS) == 5
        before = session.execute(select(func.count()).select_from(AuditEntry)).scalar_one()
    assert expire(database, LATER, DAYS, "operator") == 5
    with database.reading() as session:
        entries = session.execute(select(AuditEntry).where(AuditEntry.sequence > before)).scalars().all()
    assert [one.detail["count"] for one in entries] == [2, 2, 1]
    assert {name for one in entries for name in one.detail["assessments"]} == {f"Assessment/{one}" for one in ids}
    assert expire(database, LATER, DAYS, "operator") == 0


def test_what_expired_is_told_from_what_never_was(ask: Ask, database: Database) -> None:
    old = ask()
    expire(database, LATER, DAYS, "operator")
    code = short_code(old.trace_sha256, old.input_sha256)
    with database.reading() as session:
        for name in (old.id, f" {old.id.upper()}", code, code.lower().replace("-", " ")):
            found = find_expiry(session, name)
            assert found is not None
            assert str(found).startswith("expired on 2020-04-26: ")
        for name in ("", "-", "0000-0000-0000-0000", old.id[:-1], code[:-1]):
            assert find_expiry(session, name) is None


def test_the_server_says_that_it_has_expired(ask: Ask, people: Subjects, database: Database) -> None:
    old = ask("rest")
    expire(database, LATER, DAYS, "operator")
    settings = Settings(database_url="sqlite://", requests_per_minute=0)
    client = TestClient(create_app(settings, people.service), base_url="http://127.0.0.1")
    reply = client.get(f"/api/v1/assessments/{old.id}")
    assert (reply.status_code, "expired on 2020-04-26" in reply.text) == (410, True)
    assert client.get("/api/v1/assessments/never-there").status_code == 404


def test_nothing_of_it_is_left_in_the_file(tmp_path: Path) -> None:
    """SQLite, as many are built, only marks what is deleted as free, unless it is told to overwrite it."""
    database = open_database(f"sqlite:///{tmp_path}/kept.sqlite3")
    event.listen(database.engine, "connect", lambda one, _: one.execute("PRAGMA secure_delete = OFF").close())
    database.migrate()
    people = open_subjects(database, Clock(START.isoformat()))
    content = severe_and_worsening("zebra", START.isoformat()).to_json()
    people.service.assess_bundles([content], Order(SEED, Request(at=START), "rest", PROGRAM))
    back_up(database, tmp_path / "before.sqlite3")
    assert b"zebra" in (tmp_path / "before.sqlite3").read_bytes()
    expire(database, LATER, DAYS, "operator")
    database.close()
    assert b"zebra" not in b"".join(one.read_bytes() for one in tmp_path.glob("kept.sqlite3*"))


# -- the operator ------------------------------------------------------------------------------------


@pytest.fixture
def operator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, str]]:
    url = f"sqlite:///{tmp_path}/kept.sqlite3"
    monkeypatch.setenv("MSCPROTOCOL_DATABASE_URL", url)
    database = open_database(url)
    database.migrate()
    people = open_subjects(database, Clock(START.isoformat()))
    content = severe_and_worsening("anna", START.isoformat()).to_json()
    stored = people.service.assess_bundles([content], Order(SEED, Request(at=START), "rest", PROGRAM)).stored
    database.close()

    def run(*words: str) -> tuple[int, str]:
        code = short_code(stored.trace_sha256, stored.input_sha256)
        result = CliRunner().invoke(app, [code if word == "CODE" else word for word in words])
        return result.exit_code, " ".join(result.output.split())

    return run


def test_an_operator_sets_the_days_and_nothing_goes_before(
    operator: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, said = operator("records", "expire")
    assert (code, "Nothing expires here: set MSCPROTOCOL_KEEP_DAYS" in said) == (terminal.OK, True)
    monkeypatch.setenv("MSCPROTOCOL_KEEP_DAYS", "36500")
    assert operator("records", "expire") == (terminal.OK, "0 assessments removed")
    assert operator("verify", "CODE")[0] != terminal.REMOVED
    assert operator("records", "expire", "--older-than", "1", "--count")[1] == "1 assessments would be removed"
    monkeypatch.setenv("MSCPROTOCOL_KEEP_DAYS", "30")
    assert operator("records", "expire") == (terminal.OK, "1 assessments removed")
    code, said = operator("verify", "CODE")
    assert (code, said.startswith("expired on 20")) == (terminal.REMOVED, True)
    assert operator("verify", "0000-0000-0000-0000")[0] == terminal.DATA
    assert operator("records", "audit") == (terminal.OK, "nothing is altered or missing")


@pytest.mark.parametrize("days", ["0", "-1", "soon"])
def test_days_are_days(operator: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch, days: str) -> None:
    assert operator("records", "expire", "--older-than", days)[0] == terminal.USAGE
    monkeypatch.setenv("MSCPROTOCOL_KEEP_DAYS", days)
    assert operator("records", "expire")[0] == terminal.USAGE
