"""The audit trail: entries are only ever appended, each sealed with the hash of the one before it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec
from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session

from mscprotocol.store.tables import AuditEntry, AuditHead, row_of, table_of

START = "0" * 64
# Statements of every action, built once.
_HEAD = select(AuditHead.sequence, AuditHead.sha256).with_for_update()
_APPEND = insert(table_of(AuditEntry))
_MOVE_HEAD = update(table_of(AuditHead))


@dataclass(frozen=True)
class ChainFault:
    """The first entry that does not follow from the one before."""

    sequence: int
    what: str


def append(
    session: Session, at: datetime, actor: str, action: str, subject: str, detail: dict[str, Any] | None = None
) -> AuditEntry:
    """Append one entry inside the caller's transaction: what it tells of is stored with it, or neither is.

    `subject` names what was touched by its kind and id; neither it nor `detail` carries clinical data.
    """
    sequence, sha256 = session.execute(_HEAD).one()
    entry = AuditEntry(
        sequence=sequence + 1,
        at=at.astimezone(UTC),
        actor=actor,
        action=action,
        subject=subject,
        detail=detail or {},
        previous_sha256=sha256,
        sha256="",
    )
    entry.sha256 = seal(entry)
    session.execute(_APPEND, row_of(entry))
    session.execute(_MOVE_HEAD, {"sequence": entry.sequence, "sha256": entry.sha256})
    return entry


def seal(entry: AuditEntry) -> str:
    """SHA-256 over an entry and the hash before it."""
    content = [
        entry.previous_sha256,
        entry.sequence,
        entry.at.astimezone(UTC).isoformat(timespec="microseconds"),
        entry.actor,
        entry.action,
        entry.subject,
        entry.detail,
    ]
    return hashlib.sha256(msgspec.json.encode(content, order="sorted")).hexdigest()


def find_fault(session: Session) -> ChainFault | None:
    """The first place where the chain is broken: an altered, a missing or a forged entry, or a cut end."""
    previous, sequence = START, 0
    for entry in _entries(session):
        sequence += 1
        if entry.sequence != sequence:
            return ChainFault(sequence, "missing")
        if entry.previous_sha256 != previous or seal(entry) != entry.sha256:
            return ChainFault(sequence, "altered")
        previous = entry.sha256
    head = session.execute(select(AuditHead)).scalar_one_or_none()
    if head is None or (head.sequence, head.sha256) != (sequence, previous):
        return ChainFault(sequence + 1, "cut off")
    return None


def _entries(session: Session) -> Iterator[AuditEntry]:
    yield from session.execute(select(AuditEntry).order_by(AuditEntry.sequence)).scalars().yield_per(1000)
