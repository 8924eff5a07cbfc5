"""Exports that wait in a screening form: only who put them there sees them, and they go after a day."""

from __future__ import annotations

import uuid
import zlib
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from mscprotocol.answer import PatientItem
from mscprotocol.store.database import Database
from mscprotocol.store.tables import ScreeningDraft

LIFE = timedelta(days=1)
_LONGEST_NUMBER = 64


def keep(session: Session, at: datetime, actor: str, content: bytes) -> str:
    """Keep an export and give its id; what is older than a day is removed."""
    session.execute(delete(ScreeningDraft).where(ScreeningDraft.made_at < at - LIFE))
    draft = ScreeningDraft(id=str(uuid.uuid4()), actor=actor, made_at=at, content=zlib.compress(content))
    session.add(draft)
    return draft.id


def read(session: Session, identity: str, actor: str, at: datetime) -> bytes | None:
    """An export, if it is this person's and not too old."""
    found = session.get(ScreeningDraft, identity)
    if found is None or found.actor != actor or found.made_at < at - LIFE:
        return None
    return zlib.decompress(found.content)


@dataclass(frozen=True)
class Whose:
    """Whom an export is of: what the patient can be known by, none if it cannot be read, and the number typed."""

    patient: list[str] | None
    number: str


def describe(database: Database, identity: str, actor: str, whose: Whose) -> None:
    """Keep beside an export whom it is of; nothing is written where that is known."""
    number = whose.number[:_LONGEST_NUMBER] or None
    with database.reading() as session:
        found = session.get(ScreeningDraft, identity)
    if found is None or found.actor != actor or (found.patient, found.subject_number) == (whose.patient, number):
        return
    with database.writing() as session:
        change = update(ScreeningDraft).where(ScreeningDraft.id == identity)
        session.execute(change.values(patient=whose.patient, subject_number=number))


def marks_of(patient: PatientItem) -> list[str]:
    """What a patient can be known by: each id, the name, the birth."""
    ids = {patient.id, *(one["value"] for one in patient.identifiers)}
    more = [f"name {patient.name.casefold()}"] if patient.name else []
    return [*sorted(f"id {one}" for one in ids if one), *more, *([f"born {patient.born}"] if patient.born else [])]


def drop_of(session: Session, number: str, marks: Collection[str]) -> int:
    """Remove every export that may be of a subject: by the number typed, by any mark, or because it cannot be told."""
    rows = session.execute(select(ScreeningDraft.id, ScreeningDraft.patient, ScreeningDraft.subject_number)).all()
    gone = [one.id for one in rows if one.patient is None or one.subject_number == number or {*marks} & {*one.patient}]
    session.execute(delete(ScreeningDraft).where(ScreeningDraft.id.in_(gone)))
    return len(gone)


def drop(session: Session, identity: str, actor: str) -> None:
    """Remove an export that was saved or is no longer wanted."""
    session.execute(delete(ScreeningDraft).where(ScreeningDraft.id == identity, ScreeningDraft.actor == actor))
