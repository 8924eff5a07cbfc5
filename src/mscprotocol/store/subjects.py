"""Trial subjects and their entries: appended, sealed and never changed; a correction replaces an entry and says why."""

from __future__ import annotations

import hashlib
import secrets
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec
from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from mscprotocol.answer import Assessment
from mscprotocol.store.tables import Screening, StoredAssessment, Subject, SubjectEntry, SubjectLine

KINDS = (
    "bundle", "record", "consent", "plan", "lot", "dose", "dose_check", "infusion", "events", "override", "withdrawal",
    "death", "charted", "in_error", "reinstated",
)  # fmt: skip
IN_ERROR, REINSTATED = "in_error", "reinstated"


@dataclass(frozen=True)
class NewEntry:
    """What is to be recorded. `token` is that of the form: sent twice, it is recorded once."""

    kind: str
    content: bytes
    token: str
    supersedes: str | None = None
    reason: str | None = None
    slot: str | None = None


def create(session: Session, subject: Subject) -> Subject:
    """Add a subject inside the caller's transaction."""
    session.add(subject)
    session.flush()
    return subject


def find(session: Session, subject_id: str, *, lock: bool = False) -> Subject | None:
    """A subject by its id; `lock` keeps other writers off it until the transaction ends."""
    query = select(Subject).where(Subject.id == subject_id)
    return session.execute(query.with_for_update() if lock else query).scalar_one_or_none()


def find_by_number(session: Session, protocol_id: str, number: str) -> Subject | None:
    """A subject by its number under a protocol."""
    query = select(Subject).where(Subject.protocol_id == protocol_id, Subject.number == number)
    return session.execute(query).scalar_one_or_none()


def find_by_token(session: Session, token: str) -> Subject | None:
    """The subject that a form made already."""
    return session.execute(select(Subject).where(Subject.token == token)).scalar_one_or_none()


def list_subjects(session: Session) -> list[Subject]:
    """All subjects in the order in which they came."""
    return list(session.execute(select(Subject).order_by(Subject.made_at, Subject.number)).scalars())


def entries_of(session: Session, subject_id: str) -> list[SubjectEntry]:
    """Everything that was recorded of a subject, in order."""
    query = select(SubjectEntry).where(SubjectEntry.subject_id == subject_id).order_by(SubjectEntry.sequence)
    return list(session.execute(query).scalars())


def standing(entries: Sequence[SubjectEntry]) -> list[SubjectEntry]:
    """The entries that count: no later one replaced them or set them aside, or that was taken back."""
    return [one for one in entries if (newest := newest_of(entries, one)) is one or newest.kind == REINSTATED]


def newest_of(entries: Sequence[SubjectEntry], entry: SubjectEntry) -> SubjectEntry:
    """The last of what replaces an entry, sets it aside or takes that back, one after the other; or the entry."""
    later = {one.supersedes: one for one in entries if one.supersedes}
    newest = entry
    while (following := later.get(newest.id)) is not None:
        if newest is not entry and newest.kind not in (IN_ERROR, REINSTATED):
            break
        newest = following
    return newest


def append(session: Session, subject: Subject, new: NewEntry, at: datetime, actor: str) -> SubjectEntry:
    """Add an entry inside the caller's transaction, in which the subject is locked."""
    if new.kind not in KINDS:
        raise ValueError(f"no kind of entry: {new.kind}")
    subject.entries += 1
    entry = SubjectEntry(
        id=str(uuid.uuid4()),
        subject_id=subject.id,
        sequence=subject.entries,
        kind=new.kind,
        made_at=at.astimezone(UTC),
        actor=actor,
        content=new.content,
        supersedes=new.supersedes,
        reason=new.reason,
        slot=new.slot,
        token=new.token,
        salt=secrets.token_bytes(16),
        sha256="",
    )
    entry.sha256 = seal(entry)
    session.add(entry)
    session.flush()
    return entry


def seal(entry: SubjectEntry) -> str:
    """SHA-256 over everything that an entry states.

    The salt goes when the entry is deleted: the hash that stays in the audit trail then tells nothing of it.
    """
    content = [
        entry.salt.hex(),
        entry.id,
        entry.subject_id,
        entry.sequence,
        entry.kind,
        entry.made_at.astimezone(UTC).isoformat(timespec="microseconds"),
        entry.actor,
        hashlib.sha256(entry.content).hexdigest(),
        entry.supersedes,
        entry.reason,
        entry.slot,
        entry.token,
    ]
    return hashlib.sha256(msgspec.json.encode(content)).hexdigest()


def seal_subject(subject: Subject) -> str:
    """SHA-256 over what is said of a subject once; its number cannot be guessed from it once its token is deleted."""
    content = [
        subject.token,
        subject.id,
        subject.number,
        subject.protocol_id,
        subject.dose_level,
        subject.zone,
        subject.made_at.astimezone(UTC).isoformat(timespec="microseconds"),
        subject.actor,
    ]
    return hashlib.sha256(msgspec.json.encode(content)).hexdigest()


# -- screening log ---------------------------------------------------------------------------------


def log_screening(session: Session, subject: Subject, stored: StoredAssessment, answer: Assessment) -> Screening:
    """Add the line of an assessment to the screening log."""
    session.flush()  # the assessment first: the line refers to it
    line = describe_screening(subject.id, subject.entries, stored, answer)
    session.add(line)
    return line


def describe_screening(subject_id: str, sequence: int, stored: StoredAssessment, answer: Assessment) -> Screening:
    """The line of an assessment, of a subject that had so many entries then."""
    return Screening(
        assessment_id=stored.id,
        subject_id=subject_id,
        sequence=sequence,
        made_at=stored.made_at,
        evaluated_at=datetime.fromisoformat(answer.at),
        actor=stored.actor,
        stage=answer.stage,
        verdict=answer.verdict,
        outlook=answer.outlook,
        reasons=_reasons(answer),
        valid_until=None if answer.valid_until is None else datetime.fromisoformat(answer.valid_until),
        time_critical=answer.timing.time_critical,
        gate=None if answer.gate is None else answer.gate.decision,
        infusion=None if answer.gate is None else answer.gate.infusion,
    )


def _reasons(answer: Assessment) -> dict[str, list[str]]:
    """The mandatory criteria that stand against the patient, and those that are open, by id."""
    mandatory = [one for one in answer.criteria if one.mandatory]
    return {
        "against": [one.id for one in mandatory if one.status == ("met" if one.role == "exclusion" else "not_met")],
        "open": [one.id for one in mandatory if one.status == "unknown"],
    }


def newest_screening(session: Session, actor: str, since: datetime) -> tuple[Screening, Subject] | None:
    """The last assessment of a subject that a person caused, with the subject; none since some time."""
    query = select(Screening, Subject).join(Subject, Subject.id == Screening.subject_id)
    mine = query.where(Screening.actor == actor, Screening.made_at >= since)
    found = session.execute(mine.order_by(Screening.made_at.desc(), Screening.sequence.desc()).limit(1)).first()
    return None if found is None else (found[0], found[1])


def subject_of(session: Session, assessment_id: str) -> Subject | None:
    """The subject of an assessment; none of one that a program asked for."""
    query = select(Subject).join(Screening, Screening.subject_id == Subject.id)
    return session.execute(query.where(Screening.assessment_id == assessment_id)).scalar_one_or_none()


def screenings(session: Session, subject_id: str | None = None) -> list[Screening]:
    """The lines of the screening log, oldest first; of one subject, or all."""
    query = select(Screening).order_by(Screening.made_at, Screening.sequence)
    return list(
        session.execute(query if subject_id is None else query.where(Screening.subject_id == subject_id)).scalars()
    )


# -- worklists -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Wanted:
    """Which lines are wanted: of a protocol, with a verdict, with some letters in the number, one page of them."""

    protocol: str = ""
    verdict: str = ""
    words: str = ""
    limit: int | None = None
    offset: int = 0


def write_line(session: Session, line: SubjectLine) -> None:
    """Put the line of a subject in the place of the one before."""
    session.merge(line)
    session.flush()


def lines(session: Session, wanted: Wanted) -> list[SubjectLine]:
    """Who cannot wait first, then whose verdict expires first; those whom nothing can be done for last."""
    order = (
        SubjectLine.time_critical.desc(),
        SubjectLine.verdict == "ineligible",
        SubjectLine.valid_until.is_(None),
        SubjectLine.valid_until,
        SubjectLine.number,
        SubjectLine.subject_id,
    )
    query = _wanted(select(SubjectLine), wanted).order_by(*order).limit(wanted.limit).offset(wanted.offset)
    return list(session.execute(query).scalars())


def count_lines(session: Session, wanted: Wanted) -> int:
    """How many lines there are on all pages."""
    found: int = session.execute(_wanted(select(func.count()).select_from(SubjectLine), wanted)).scalar_one()
    return found


def without_line(session: Session) -> list[str]:
    """The subjects that have no line yet: they were there before lines were."""
    return list(session.execute(select(Subject.id).where(Subject.id.not_in(select(SubjectLine.subject_id)))).scalars())


def _wanted(query: Select[Any], wanted: Wanted) -> Select[Any]:
    for column, value in ((SubjectLine.protocol_id, wanted.protocol), (SubjectLine.verdict, wanted.verdict)):
        query = query.where(column == value) if value else query
    words = wanted.words.strip().lower()
    return query.where(func.lower(SubjectLine.number).contains(words, autoescape=True)) if words else query
