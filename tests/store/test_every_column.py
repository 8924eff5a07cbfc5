"""What the audit of the records finds: each column of each table altered by hand, and each row taken away."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import JSON, Column, Integer, LargeBinary, delete, insert, select, text, update
from sqlalchemy import Table as SqlTable
from sqlalchemy.exc import IntegrityError

from mscprotocol import records
from mscprotocol.store import audit, clients, signatures, users
from mscprotocol.store.database import Database
from mscprotocol.store.tables import AuditEntry, Instant, StoredAssessment, Table
from tests.store.people import note_users
from tests.store.test_course import START, Ward

TABLES = Table.metadata.tables
# What is gone after minutes or days, and what nothing is concluded from; messages have tests of their own.
UNSEALED = {
    "web_session", "login_failure", "pending_login", "used_token", "screening_draft", "idempotent_reply",
    "cds_feedback", "received_message",
}  # fmt: skip
# How somebody proves who they are: whoever can write here can do so under any name anyway.
CREDENTIALS = {
    "user_account": {"full_name", "password_hash", "issuer", "issuer_subject", "made_at"},
    "api_client": {"name", "key_sha256", "jwks", "keys_url", "made_at"},
    "audit_head": {"id"},
}


@pytest.fixture
def ward(database: Database) -> Ward:
    """A course with one infusion, its answers signed by somebody who has an account; and a program's account."""
    ward = Ward(database)
    ward.give(1)
    with database.writing() as session:
        user = users.add(session, START, "anna", "Dr Anna", ["clinician"], "a sentence only for tests")
        note_users(session, START)
        client, _ = clients.register(session, START, "ehr", frozenset({"read"}))
        audit.append(session, START, "operator", "add client", f"Client/{client.id}", {"scopes": client.scopes})
        stored = session.execute(select(StoredAssessment.id).limit(1)).scalar_one()
        signer = signatures.Signer("anna", user.id, "Dr Anna", "password")
        signatures.sign(session, START, signer, "reviewed", f"Assessment/{stored}", b"x")
    return ward


def altered(column: Column[Any], value: Any) -> Any:
    """Another value of the same kind."""
    if isinstance(value, bytes):
        return value[:-9] + bytes([value[-9] ^ 1]) + value[-8:]
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1000
    if isinstance(value, datetime):
        return value + timedelta(seconds=1)
    if isinstance(column.type, JSON):
        return {"against": ["EX-01"], "open": []}
    if isinstance(column.type, LargeBinary):
        return b"x"
    if value is None:
        return START if isinstance(column.type, Instant) else 3 if isinstance(column.type, Integer) else "x"
    return value[:-1] + ("0" if value[-1] != "0" else "1")


def faults_after(database: Database, *statements: Any) -> list[str] | None:
    """What is found after some statements, which are taken back; none where the database refuses them."""
    with database.reading() as session:
        try:
            if database.engine.dialect.name == "sqlite":  # begins when we say so
                session.execute(text("BEGIN"))
            for one in statements:
                session.execute(one)
            return list(records.find_faults(session))
        except IntegrityError:
            return None
        finally:
            session.rollback()


def rows_of(database: Database, table: SqlTable) -> Iterator[tuple[Any, dict[str, Any]]]:
    """Each row, and what it is found by."""
    with database.reading() as session:
        found = [dict(one._mapping) for one in session.execute(select(table))]
    for row in found:
        keys = [column == row[column.name] for column in table.primary_key.columns]
        yield keys, row


def test_each_column_and_each_row_is_held_by_a_seal_or_by_the_trail(ward: Ward) -> None:
    database = ward.course.service.database
    assert faults_after(database) == []
    unnoticed = set()
    for name in TABLES.keys() - UNSEALED:
        table = TABLES[name]
        keys, row = next(rows_of(database, table))
        for column in table.columns:
            change = update(table).where(*keys).values({column: altered(column, row[column.name])})
            if faults_after(database, change) == []:
                unnoticed.add((name, column.name))
        if name != "subject_line" and faults_after(database, delete(table).where(*keys)) == []:
            unnoticed.add((name, "its row"))
    assert unnoticed == {(name, column) for name, columns in CREDENTIALS.items() for column in columns}


def test_rows_that_change_places_or_are_forged_are_found(ward: Ward) -> None:
    database = ward.course.service.database
    for name in ("assessment", "subject_entry", "screening", "audit_entry"):
        table = TABLES[name]
        (first, one), (second, other) = list(rows_of(database, table))[:2]
        content = next(key for key in ("answer", "content", "verdict", "detail") if key in one)
        column = "sequence" if name == "screening" else content
        swapped = (
            update(table).where(*first).values({column: other[column]}),
            update(table).where(*second).values({column: one[column]}),
        )
        assert faults_after(database, *swapped), name
    keys, row = list(rows_of(database, TABLES["audit_entry"]))[-1]
    cut = faults_after(database, delete(AuditEntry).where(*keys)) or [""]
    assert cut[0] == f"audit entry {row['sequence']}: cut off"
    forged = insert(AuditEntry).values(row | {"sequence": row["sequence"] + 1, "previous_sha256": row["sha256"]})
    assert faults_after(database, forged) == [f"audit entry {row['sequence'] + 1}: altered"]
    copied = insert(TABLES["signature"]).values(next(rows_of(database, TABLES["signature"]))[1] | {"id": "forged"})
    assert [one.rpartition(": ")[2] for one in faults_after(database, copied) or []] == ["altered"]
    assert faults_after(database, text("DELETE FROM audit_head")), "no end of the chain is a fault and no crash"
