"""The audit chain: whoever alters, removes, adds or cuts off an entry is found."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from mscprotocol.store import audit
from mscprotocol.store.database import Database
from mscprotocol.store.tables import AuditEntry, AuditHead

NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


def fill(database: Database, entries: int = 5) -> None:
    for number in range(entries):
        with database.writing() as session:
            audit.append(session, NOW, "nurse", "assess", f"Assessment/{number}", {"verdict": "eligible"})


def alter(session: Session) -> None:
    session.execute(update(AuditEntry).where(AuditEntry.sequence == 3).values(actor="somebody else"))


def alter_detail(session: Session) -> None:
    session.execute(update(AuditEntry).where(AuditEntry.sequence == 3).values(detail={"verdict": "ineligible"}))


def remove(session: Session) -> None:
    session.execute(delete(AuditEntry).where(AuditEntry.sequence == 3))


def reseal(session: Session) -> None:
    """Whoever alters an entry and makes its own seal anew breaks the link to the next."""
    entry = session.execute(select(AuditEntry).where(AuditEntry.sequence == 3)).scalar_one()
    entry.actor = "somebody else"
    entry.sha256 = audit.seal(entry)


def cut_off(session: Session) -> None:
    session.execute(delete(AuditEntry).where(AuditEntry.sequence == 5))


def move_head(session: Session) -> None:
    session.execute(update(AuditHead).values(sequence=4))


@pytest.mark.parametrize(
    ("tamper", "where", "what"),
    [
        (alter, 3, "altered"),
        (alter_detail, 3, "altered"),
        (remove, 3, "missing"),
        (reseal, 4, "altered"),
        (cut_off, 5, "cut off"),
        (move_head, 6, "cut off"),
    ],
)
def test_tampering_is_found(database: Database, tamper: Callable[[Session], None], where: int, what: str) -> None:
    fill(database)
    with database.reading() as session:
        assert audit.find_fault(session) is None
    with database.writing() as session:
        tamper(session)
    with database.reading() as session:
        assert audit.find_fault(session) == audit.ChainFault(where, what)


def test_an_empty_chain_is_whole(database: Database) -> None:
    with database.reading() as session:
        assert audit.find_fault(session) is None


def test_many_writers_make_one_chain(database: Database) -> None:
    writers = [threading.Thread(target=fill, args=(database, 20)) for _ in range(8)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    with database.reading() as session:
        assert audit.find_fault(session) is None
        assert len(session.execute(select(AuditEntry)).all()) == 160
