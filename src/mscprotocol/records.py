"""What an installation keeps, as a whole: check it, give one subject's data out, delete them, back everything up."""

from __future__ import annotations

import sqlite3
from base64 import b64encode
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import CursorResult, Result, delete, select
from sqlalchemy.orm import Session

from mscprotocol import retention
from mscprotocol.anchors import find_loose
from mscprotocol.errors import RequestError
from mscprotocol.store import assessments, audit, drafts, inbox, signatures, subjects
from mscprotocol.store.database import Database
from mscprotocol.store.tables import (
    AuditEntry,
    Screening,
    Signature,
    StoredAssessment,
    Subject,
    SubjectEntry,
    SubjectLine,
)
from mscprotocol.verification import open_kept, write_sealed

_POSTGRESQL = "PostgreSQL has a command of its own for this: pg_dump --format=custom --file=FILE DATABASE"


def find_faults(session: Session) -> Iterator[str]:
    """Everything kept that is not as it was when it was written: the audit chain, seals, and what follows."""
    fault = audit.find_fault(session)
    if fault is not None:
        yield f"audit entry {fault.sequence}: {fault.what}"
    seals = _seals(session)
    for entry in session.execute(select(SubjectEntry)).scalars():
        if subjects.seal(entry) != entry.sha256 or seals.get(entry.sha256) is None:
            yield f"entry {entry.sequence} of Subject/{entry.subject_id}: altered"
        seals.pop(entry.sha256, None)
    messages = set(inbox.intact_digests(session))
    for stored in session.execute(select(StoredAssessment).execution_options(yield_per=500)).scalars():
        if not _is_intact(stored, seals, messages):
            yield f"Assessment/{stored.id}: altered"
        for name in (stored.seal_sha256, f"Assessment/{stored.id}"):
            seals.pop(name, None)
    deleted = _deleted(session)
    gone = set(seals.values()) - deleted
    yield from (f"{name}: something of it is missing" for name in sorted(gone))
    yield from find_loose(session, deleted)


def _seals(session: Session) -> dict[str, str]:
    """Each seal that the audit trail holds, with what it is of."""
    query = select(AuditEntry).where(AuditEntry.action.in_(("assess", "record")))
    found = session.execute(query).scalars()
    return {one.detail.get("seal") or one.subject: one.subject for one in found}  # early entries hold no seal


def _is_intact(stored: StoredAssessment, seals: dict[str, str], messages: set[str]) -> bool:
    """Whether its seal holds and is in the audit trail, and the messages that it refers to are there as they came."""
    try:
        is_anchored = stored.seal_sha256 in seals or f"Assessment/{stored.id}" in seals
        is_whole = messages.issuperset(assessments.messages_of(stored))
        return assessments.seal(stored) == stored.seal_sha256 and is_anchored and is_whole
    except Exception:  # noqa: BLE001 - bytes that were altered can fail in any way
        return False


def _deleted(session: Session) -> set[str]:
    """What was deleted on purpose or has expired, as the audit trail names it."""
    query = select(AuditEntry).where(AuditEntry.action.in_(("delete", retention.ACTION)))
    return {name for one in session.execute(query).scalars() for name in (one.subject, *one.detail["assessments"])}


def export_subject(session: Session, subject: Subject) -> bytes:
    """All data of one subject as one JSON document; contents that are no text are in base64."""
    entries = [_plain(one) for one in subjects.entries_of(session, subject.id)]
    kept = session.execute(_assessments_of(subject)).scalars().all()
    names = [f"Subject/{subject.id}", *(f"Assessment/{one.id}" for one in kept)]
    sealed = [msgspec.json.decode(write_sealed(open_kept(session, one))) for one in kept]
    trail = session.execute(select(AuditEntry).where(AuditEntry.subject == f"Subject/{subject.id}")).scalars()
    return msgspec.json.format(
        msgspec.json.encode(
            {
                "kind": "mscprotocol subject 1",
                "subject": _plain(subject),
                "entries": entries,
                "screenings": [_plain(one) for one in subjects.screenings(session, subject.id)],
                "assessments": sealed,
                "signatures": [_plain(one) for name in names for one in signatures.of_subject(session, name)],
                "audit": [_plain(one) for one in trail],
            }
        )
    )


@dataclass(frozen=True)
class Deleted:
    """How much went with a subject, and how many assessments under the same patient id came through other doors."""

    assessments: int
    signatures: int
    drafts: int
    elsewhere: int


def delete_subject(session: Session, subject: Subject, at: datetime, actor: str) -> Deleted:
    """Delete all data of one subject; the audit trail keeps that it was done.

    What the trail kept of each entry is a salted hash, and the salt goes with the entry; who signed stays in the trail.
    Exports that wait in a screening form go with it where they may be of the same person: by the number that was typed,
    by an id, the name or the birth, or because they could not be read.
    """
    ids = [one.id for one in session.execute(_assessments_of(subject)).scalars()]
    marks = {f"id {subject.number}"}
    for one in session.execute(_assessments_of(subject)).scalars():
        marks |= {*drafts.marks_of(assessments.read_answer(one).patient)}
    for table in (Screening, SubjectLine):
        session.execute(delete(table).where(table.subject_id == subject.id))
    for entry in reversed(subjects.entries_of(session, subject.id)):  # a correction before what it corrects
        session.delete(entry)
        session.flush()
    patients = set(session.execute(select(StoredAssessment.patient_id).where(StoredAssessment.id.in_(ids))).scalars())
    session.execute(delete(StoredAssessment).where(StoredAssessment.id.in_(ids)))
    names = [f"Assessment/{one}" for one in ids]
    signed = delete(Signature).where(Signature.subject.in_([f"Subject/{subject.id}", *names]))
    gone = Deleted(
        assessments=len(ids),
        signatures=_count(session.execute(signed)),
        drafts=drafts.drop_of(session, subject.number, marks),
        elsewhere=len(
            session.execute(select(StoredAssessment.id).where(StoredAssessment.patient_id.in_(patients))).all()
        ),
    )
    session.execute(delete(Subject).where(Subject.id == subject.id))
    session.expire_all()
    detail = {"assessments": names, "signatures": gone.signatures, "drafts": gone.drafts}
    audit.append(session, at, actor, "delete", f"Subject/{subject.id}", detail)
    return gone


def _count(result: Result[Any]) -> int:
    assert isinstance(result, CursorResult)
    return result.rowcount


def find_subject(session: Session, number: str, protocol: str | None) -> Subject:
    """The subject of a number. Raises RequestError `not_found`, or `ambiguous` where protocols share the number."""
    query = select(Subject).where(Subject.number == number)
    found = session.execute(query if protocol is None else query.where(Subject.protocol_id == protocol)).scalars().all()
    if not found:
        raise RequestError("not_found", "There is no subject of that number.")
    if len(found) > 1:
        raise RequestError("ambiguous", "Several protocols have a subject of that number: name the protocol.")
    return found[0]


def back_up(database: Database, target: Path) -> None:
    """A whole copy of a SQLite database in use. Raises RequestError for PostgreSQL, or a file that exists."""
    if database.engine.dialect.name != "sqlite":
        raise RequestError("not_supported", _POSTGRESQL)
    if target.exists():
        raise RequestError("conflict", "The file is there already: name a new one.")
    source = database.engine.url.database
    with closing(sqlite3.connect(source or ":memory:")) as there, closing(sqlite3.connect(target)) as here:
        there.backup(here)


def _assessments_of(subject: Subject) -> Any:
    lines = select(Screening.assessment_id).where(Screening.subject_id == subject.id)
    return select(StoredAssessment).where(StoredAssessment.id.in_(lines)).order_by(StoredAssessment.made_at)


def _plain(row: Any) -> dict[str, Any]:
    values = {one.key: getattr(row, one.key) for one in row.__table__.columns}
    return {name: _readable(value) for name, value in values.items()}


def _readable(value: object) -> object:
    if not isinstance(value, bytes):
        return value
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return {"base64": b64encode(value).decode()}
