"""What is kept can be replayed, given out, deleted and backed up, and one altered byte is found."""

from __future__ import annotations

import json
import sqlite3
import zlib
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace
from sqlalchemy import select, update

from mscprotocol import records
from mscprotocol.errors import DataError, RequestError
from mscprotocol.fingerprint import short_code
from mscprotocol.knowledge_loader import load_knowledge
from mscprotocol.store import audit, drafts, signatures
from mscprotocol.store.assessments import read_answer
from mscprotocol.store.database import Database, open_database
from mscprotocol.store.tables import AuditEntry, ScreeningDraft, Signature, StoredAssessment, Subject, SubjectEntry
from mscprotocol.subjects import Subjects
from mscprotocol.verification import Kept, find_by_code, open_kept, read_sealed, verify, write_sealed
from tests.patients import severe_and_worsening
from tests.store.people import COORDINATOR, Clock, bundle, entry, newcomer, open_subjects

NOW = "2020-03-27T10:00:00+01:00"
AT = datetime.fromisoformat(NOW)
KNOWLEDGE = load_knowledge()


@pytest.fixture
def people(database: Database) -> Subjects:
    found = open_subjects(database, Clock(NOW))
    for number, name in (("S-1", "anna"), ("S-2", "berta")):
        subject = found.enrol(newcomer(number), COORDINATOR).subject
        found.record(subject.id, bundle(severe_and_worsening(name, NOW)), COORDINATOR)
        weight = {"patient": {"id": name}, "data": [{"name": "weight", "value": "70 kg", "at": NOW}]}
        found.record(subject.id, entry("record", weight), COORDINATOR)
    return found


def kept_of(people: Subjects) -> Kept:
    with people.service.database.reading() as session:
        stored = session.execute(select(StoredAssessment)).scalars().first()
        assert stored is not None
        return open_kept(session, stored)


def test_a_sealed_record_comes_out_the_same(people: Subjects) -> None:
    found = verify(read_sealed(write_sealed(kept_of(people))), KNOWLEDGE, AT)
    assert (found.outcome, found.why, found.has_expired) == ("same", [], False)


def test_h41_a_sheet_that_is_out_of_date_says_so(people: Subjects) -> None:
    kept = kept_of(people)
    stored = kept.stored
    assert not verify(kept, KNOWLEDGE, AT + timedelta(minutes=1)).has_expired
    assert verify(kept, KNOWLEDGE, AT + timedelta(days=40)).has_expired
    code = short_code(stored.trace_sha256, stored.input_sha256)
    with people.service.database.reading() as session:
        assert [one.id for one in find_by_code(session, code)] == [stored.id]
        assert [one.id for one in find_by_code(session, stored.id)] == [stored.id]
        assert find_by_code(session, "0000-0000-0000-0000") == []


def test_other_rules_give_a_different_answer_and_say_so(people: Subjects) -> None:
    other = load_knowledge(choices={"interval_h": "96"})
    found = verify(kept_of(people), other, AT)
    assert found.outcome == "different"
    assert found.why[0] == "the rules have changed since"
    assert "schedule" in found.why[1]


@pytest.mark.parametrize("name", ["answer", "inputs", "verdict", "request", "actor", "made_at", "trace_sha256"])
def test_one_altered_character_of_a_sealed_record_is_found(people: Subjects, name: str) -> None:
    tree = json.loads(write_sealed(kept_of(people)))
    if name == "request":
        tree["request"]["at"] = tree["request"]["at"].replace("10:00", "10:01")
    elif name in ("answer", "inputs"):
        tree[name] = ("B" if tree[name][0] == "A" else "A") + tree[name][1:]
    else:
        tree[name] = tree[name].replace("e", "f", 1) if name != "made_at" else tree[name].replace("2020", "2021")
    if name == "trace_sha256":
        tree[name] = "0" * 64
    assert verify(read_sealed(json.dumps(tree).encode()), KNOWLEDGE, AT).outcome == "altered"


def test_what_is_no_sealed_record_is_refused() -> None:
    for content in (b"", b"{}", b"\xff", b'{"kind": "x"}'):
        with pytest.raises(DataError, match="no sealed record"):
            read_sealed(content)


def flip(content: bytes) -> bytes:
    return content[:40] + bytes([content[40] ^ 1]) + content[41:]


def test_one_altered_byte_in_the_store_is_found(people: Subjects) -> None:
    database = people.service.database
    with database.reading() as session:
        assert list(records.find_faults(session)) == []
        kept = session.execute(select(SubjectEntry)).scalars().first()
        answer = session.execute(select(StoredAssessment)).scalars().first()
    assert kept is not None
    assert answer is not None
    with database.writing() as session:
        session.execute(update(SubjectEntry).where(SubjectEntry.id == kept.id).values(content=flip(kept.content)))
    with database.reading() as session:
        assert list(records.find_faults(session)) == [f"entry 1 of Subject/{kept.subject_id}: altered"]
    with database.writing() as session:
        session.execute(update(SubjectEntry).where(SubjectEntry.id == kept.id).values(content=kept.content))
        better = zlib.compress(zlib.decompress(answer.answer).replace(b'"eligible"', b'"inelig1ble"', 1))
        session.execute(update(StoredAssessment).where(StoredAssessment.id == answer.id).values(answer=better))
    with database.reading() as session:
        assert list(records.find_faults(session)) == [f"Assessment/{answer.id}: altered"]


def test_who_seals_anew_is_found_by_the_audit_trail(people: Subjects) -> None:
    from mscprotocol.store.assessments import seal

    with people.service.database.writing() as session:
        stored = session.execute(select(StoredAssessment)).scalars().first()
        assert stored is not None
        stored.verdict = "ineligible"
        stored.seal_sha256 = seal(stored)
    with people.service.database.reading() as session:
        assert f"Assessment/{stored.id}: altered" in list(records.find_faults(session))


def test_a_row_that_vanished_is_found(people: Subjects) -> None:
    with people.service.database.writing() as session:
        kept = session.execute(select(SubjectEntry).where(SubjectEntry.sequence == 2)).scalars().first()
        assert kept is not None
        session.delete(kept)
    with people.service.database.reading() as session:
        assert list(records.find_faults(session)) == [f"Subject/{kept.subject_id}: something of it is missing"]


def test_one_subject_is_given_out_whole(people: Subjects) -> None:
    with people.service.database.reading() as session:
        subject = records.find_subject(session, "S-1", None)
        tree = json.loads(records.export_subject(session, subject))
    assert tree["subject"]["number"] == "S-1"
    assert [one["kind"] for one in tree["entries"]] == ["bundle", "record"]
    assert json.loads(tree["entries"][0]["content"])["resourceType"] == "Bundle"
    assert len(tree["assessments"]) == len(tree["screenings"]) == 2
    sealed = read_sealed(json.dumps(tree["assessments"][0]).encode())
    assert verify(sealed, KNOWLEDGE, AT).outcome == "same"
    assert "berta" not in json.dumps(tree).lower()


def test_one_subject_is_deleted_and_the_chain_still_holds(people: Subjects) -> None:
    with people.service.database.writing() as session:
        subject = records.find_subject(session, "S-1", None)
        signer = signatures.Signer("dr.example", None, "Dr Example", "demo")
        for name in (f"Subject/{subject.id}", "Subject/another"):
            signatures.sign(session, AT, signer, "sets the gate aside", name, b"0" * 64)
        drafts.keep(session, AT, "coordinator.one", b'{"resourceType": "Bundle", "id": "anna"}')
        gone = records.delete_subject(session, subject, AT, "operator")
        assert gone == records.Deleted(assessments=2, signatures=1, drafts=1, elsewhere=0)
    with people.service.database.reading() as session:
        assert [one.number for one in session.execute(select(Subject)).scalars()] == ["S-2"]
        assert audit.find_fault(session) is None
        assert list(records.find_faults(session)) == []
        actions = [one.action for one in session.execute(select(AuditEntry)).scalars()]
        assert actions[-1] == "delete"
        assert [one.subject for one in session.execute(select(Signature)).scalars()] == ["Subject/another"]
        assert session.execute(select(ScreeningDraft)).first() is None
        trail = " ".join(str(one.detail) for one in session.execute(select(AuditEntry)).scalars())
        assert "anna" not in trail.lower()
        with pytest.raises(RequestError, match="no subject"):
            records.find_subject(session, "S-1", None)


def test_only_waiting_exports_of_the_same_person_go_with_a_subject(people: Subjects) -> None:
    """By an id, the name or the birth, by the number that was typed, or because it cannot be read."""
    database = people.service.database
    upload = severe_and_worsening("anna", NOW).to_json()
    other = severe_and_worsening("berta", NOW).to_json()
    with database.writing() as session:
        subject = records.find_subject(session, "S-1", None)
        stored = (
            session.execute(select(StoredAssessment).where(StoredAssessment.patient_id == "anna")).scalars().first()
        )
        assert stored is not None
        patient = read_answer(stored).patient
        names = ("same", "number", "name", "unread", "another", "another number")
        kept = {name: drafts.keep(session, AT, "carla", other if "another" in name else upload) for name in names}
    known = drafts.marks_of(patient)
    named = drafts.marks_of(replace(patient, id="moved", identifiers=[], name="ANNA EXAMPLE", born=None))
    whose = {
        "same": drafts.Whose(known, ""),
        "number": drafts.Whose(["id else"], "S-1"),
        "name": drafts.Whose(named, ""),
        "another": drafts.Whose(["id berta", "name berta other", "born 1950-01-01"], ""),
        "another number": drafts.Whose(["id berta"], "S-2"),
    }
    for name, one in whose.items():
        drafts.describe(database, kept[name], "carla", one)
        drafts.describe(database, kept[name], "somebody else", drafts.Whose(["id berta"], "S-2"))
    with database.writing(is_final=True) as session:
        marks = [f"id {subject.number}", *known, "name anna example"]
        gone = drafts.drop_of(session, "S-1", marks)
    with database.reading() as session:
        left = set(session.execute(select(ScreeningDraft.id)).scalars())
    assert gone == 4
    assert left == {kept["another"], kept["another number"]}


# What PostgreSQL overwrites is up to its own VACUUM.
@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_nothing_of_a_deleted_subject_stays_in_the_file_and_all_of_another_does(people: Subjects) -> None:
    database = people.service.database
    marked = {"S-1": "MARK-OF-ANNA-9471", "S-2": "MARK-OF-BERTA-3658"}
    waiting = {}
    for number, mark in marked.items():
        with database.reading() as session:
            subject = records.find_subject(session, number, None)
        name = {"S-1": "anna", "S-2": "berta"}[number]
        form = {"patient": {"id": name, "name": mark}, "data": []}
        people.record(subject.id, entry("record", form), COORDINATOR)
        with database.writing() as session:
            waiting[number] = drafts.keep(session, AT, "carla", severe_and_worsening(name, NOW).to_json())
        drafts.describe(database, waiting[number], "carla", drafts.Whose([f"id {name}", f"name {mark}"], ""))
    path = Path(str(database.engine.url.database))
    with database.reading() as session:
        blobs = {number: session.get_one(ScreeningDraft, one).content for number, one in waiting.items()}
    needles = [*(one.encode() for one in marked.values()), *(one[:64] for one in blobs.values())]
    assert all(in_files(path, one) for one in needles)
    server = open_database(str(database.engine.url))  # it goes on, so no last connection writes the log back
    with server.reading() as session:
        assert audit.find_fault(session) is None
        session.commit()
        with database.writing(is_final=True) as other:
            records.delete_subject(other, records.find_subject(other, "S-1", None), AT, "operator")
    assert not in_files(path, marked["S-1"].encode())
    assert not in_files(path, blobs["S-1"][:64])
    assert in_files(path, marked["S-2"].encode())
    assert in_files(path, blobs["S-2"][:64])
    server.close()


def in_files(path: Path, needle: bytes) -> bool:
    """Whether some bytes are in a database: in its file, or in what stands beside it."""
    return any(needle in one.read_bytes() for one in path.parent.glob(f"{path.name}*"))


def test_a_backup_is_whole_or_says_how(people: Subjects, tmp_path: Path) -> None:
    target, database = tmp_path / "copy.sqlite3", people.service.database
    if database.engine.dialect.name != "sqlite":
        with pytest.raises(RequestError, match="pg_dump"):
            records.back_up(database, target)
        return
    records.back_up(database, target)
    with sqlite3.connect(target) as copy:
        assert copy.execute("SELECT count(*) FROM assessment").fetchone() == (4,)
    with pytest.raises(RequestError, match="there already"):
        records.back_up(database, target)
