"""The rule of retention: old answers to programs, on which no person did anything, go, and the audit trail says so."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, delete, exists, func, literal, or_, select
from sqlalchemy.orm import Session, aliased

from mscprotocol.fingerprint import short_code
from mscprotocol.store import audit
from mscprotocol.store.database import Database
from mscprotocol.store.tables import AuditEntry, CdsFeedback, Screening, StoredAssessment, SubjectLine

ACTION = "expire"
# The doors that programs call. What came by any other door stays.
_FEED = "hl7v2"
MACHINES = ("rest", "fhir", "cds-hooks", _FEED)
_PORTION = 1000
# Cards of one assessment differ from its id in the last digits only.
_CARD_PREFIX = 33


@dataclass(frozen=True)
class Expiry:
    """When an assessment was removed, and after how many days assessments were."""

    at: datetime
    days: int

    def __str__(self) -> str:
        return f"expired on {self.at:%Y-%m-%d}: the rule of this installation keeps such assessments {self.days} days"


def count_expired(session: Session, at: datetime, days: int) -> int:
    """How many assessments the rule would remove now."""
    return len(_ids(session, at, days))


def expire(database: Database, at: datetime, days: int, actor: str) -> int:
    """Remove what the rule no longer keeps, and say how much it was.

    A portion at a time: each is one transaction with its audit entry, which names what went by id and printed code.
    """
    with database.reading() as session:
        ids = _ids(session, at, days)
    removed = 0
    for start in range(0, len(ids), _PORTION):
        with database.writing(is_final=True) as session:
            removed += _remove(session, ids[start : start + _PORTION], at, days, actor)
    return removed


def find_expiry(session: Session, code: str) -> Expiry | None:
    """When the assessment of a printed code or an id was removed by the rule, if it was."""
    wanted = code.strip().lower()
    digits = _digits(wanted)
    query = select(AuditEntry).where(AuditEntry.action == ACTION).order_by(AuditEntry.sequence.desc())
    for entry in session.execute(query.execution_options(yield_per=10)).scalars():
        codes = map(_digits, entry.detail["codes"])
        if f"Assessment/{wanted}" in entry.detail["assessments"] or (digits and digits in codes):
            return Expiry(entry.at, entry.detail["days"])
    return None


def _remove(session: Session, ids: list[str], at: datetime, days: int, actor: str) -> int:
    kind = StoredAssessment
    # The rule again: somebody may have signed or recorded since.
    gone = (
        delete(kind).where(kind.id.in_(ids), *_rule(at, days)).returning(kind.id, kind.trace_sha256, kind.input_sha256)
    )
    rows = session.execute(gone).all()
    if rows:
        detail = {
            "count": len(rows),
            "days": days,
            "assessments": [f"Assessment/{one.id}" for one in rows],
            "codes": [short_code(one.trace_sha256, one.input_sha256) for one in rows],
        }
        audit.append(session, at, actor, ACTION, "Retention", detail)
    return len(rows)


def _ids(session: Session, at: datetime, days: int) -> list[str]:
    query = select(StoredAssessment.id).where(*_rule(at, days)).order_by(StoredAssessment.made_at)
    return list(session.execute(query).scalars())


def _rule(at: datetime, days: int) -> Iterator[ColumnElement[bool]]:
    """Old, asked for by a program, and nothing of a person or of a later answer rests on it."""
    kind = StoredAssessment
    name = literal("Assessment/").concat(kind.id)
    # Signatures are among the acts: each has its entry in the trail.
    acts = AuditEntry.subject.startswith("Assessment/") & AuditEntry.action.not_in(("assess", "read"))
    cards = select(func.substr(func.lower(CdsFeedback.card), 1, _CARD_PREFIX))
    yield kind.made_at < at - timedelta(days=days)
    yield kind.door.in_(MACHINES)
    yield kind.id.not_in(select(Screening.assessment_id))
    yield kind.id.not_in(select(SubjectLine.assessment_id).where(SubjectLine.assessment_id.is_not(None)))
    yield name.not_in(select(AuditEntry.subject).where(acts))
    yield func.substr(kind.id, 1, _CARD_PREFIX).not_in(cards)
    yield or_(kind.door != _FEED, _has_successor())


def _has_successor() -> ColumnElement[bool]:
    """Whether the patient of a feed has a newer answer. The newest one tells that there is nothing new to answer."""
    newer, kind = aliased(StoredAssessment), StoredAssessment
    same = (getattr(newer, one) == getattr(kind, one) for one in ("patient_id", "protocol_id", "stage", "door"))
    return exists().where(and_(*same, newer.made_at > kind.made_at))


def _digits(code: str) -> str:
    return "".join(one for one in code.lower() if one in "0123456789abcdef")
