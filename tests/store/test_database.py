"""The database itself: its tables are those of the program, and a transaction is whole or nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import select

from mscprotocol.store import audit
from mscprotocol.store.database import Database, open_database
from mscprotocol.store.tables import AuditEntry, Table, UsedToken

NOON = datetime(2026, 3, 29, 12, tzinfo=timezone(timedelta(hours=2)))


def test_the_migrations_lead_to_the_tables_of_the_program(database: Database) -> None:
    with database.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Table.metadata) == []


def test_migrating_again_changes_nothing(database: Database) -> None:
    with database.writing() as session:
        audit.append(session, NOON, "a", "assess", "Assessment/1")
    database.migrate()
    with database.reading() as session:
        assert session.execute(select(AuditEntry)).scalar_one().actor == "a"


def test_a_transaction_that_fails_leaves_nothing(database: Database) -> None:
    with pytest.raises(RuntimeError), database.writing() as session:
        audit.append(session, NOON, "a", "assess", "Assessment/1")
        session.flush()
        raise RuntimeError
    with database.reading() as session:
        assert session.execute(select(AuditEntry)).first() is None
        assert audit.find_fault(session) is None


def test_instants_keep_their_zone(database: Database) -> None:
    with database.writing() as session:
        session.add(UsedToken(sha256="0" * 64, expires_at=NOON))
    with database.reading() as session:
        found = session.execute(select(UsedToken)).scalar_one().expires_at
    assert found == NOON
    assert found.tzinfo is UTC


def test_a_time_without_zone_is_refused(database: Database) -> None:
    with pytest.raises(Exception, match="needs its zone"), database.writing() as session:
        session.add(UsedToken(sha256="0" * 64, expires_at=datetime(2026, 1, 1)))  # noqa: DTZ001


def test_it_says_whether_it_answers(database: Database) -> None:
    assert database.is_ready()


def test_another_kind_of_database_is_refused() -> None:
    with pytest.raises(ValueError, match="sqlite:///FILE"):
        open_database("mysql://localhost/x")
