"""A database of the first version is brought to the present one with all that it holds."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import JSON, Boolean, Column, DateTime, Integer, LargeBinary, MetaData, insert, select, text

from mscprotocol.store import audit
from mscprotocol.store.database import MIGRATIONS, Database, open_database
from mscprotocol.store.tables import Table
from tests.store.people import COORDINATOR, Clock, entry, newcomer, open_subjects

NOW = "2020-03-27T10:00:00+01:00"


def test_there_is_one_head() -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    assert len(ScriptDirectory.from_config(config).get_heads()) == 1


def test_data_of_the_first_version_are_still_there(url: str) -> None:
    database = open_database(url)
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with database.engine.connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
    name = str(uuid.uuid4())
    with database.writing() as session:
        session.execute(
            text(
                "INSERT INTO assessment (id, made_at, door, actor, patient_id, protocol_id, stage, verdict, request, "
                "inputs, answer, rulebase_sha256, input_sha256, trace_sha256, seal_sha256) VALUES (:id, :at, 'rest', "
                "'ehr', 'p', 'seed-covid-4x', 'screening', 'eligible', '{}', :blob, :blob, :hash, :hash, :hash, :hash)"
            ),
            {"id": name, "at": "2020-03-27 09:00:00+00:00", "blob": b"x", "hash": "0" * 64},
        )
    database.migrate()
    with database.reading() as session:
        assert session.execute(text("SELECT id, verdict FROM assessment")).one() == (name, "eligible")
        assert audit.find_fault(session) is None
    people = open_subjects(database, Clock(NOW))
    subject = people.enrol(newcomer(), COORDINATOR).subject
    people.record(subject.id, entry("consent", {"version": "v3", "given": NOW}), COORDINATOR)
    assert len(people.chart(subject.id).screenings) == 1
    database.close()


# Tables that a version made anew or emptied, for what they hold follows from others or is kept for a day only.
EMPTIED = {"received_message": "0006", "idempotent_reply": "0008", "subject_line": "0012"}
CHAIN = {"audit_head", "audit_entry", "alembic_version"}


def migrate_to(database: Database, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with database.engine.connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


def value_of(column: Column[Any], revision: str) -> Any:
    """Something that a column holds, by which its version is known."""
    at = datetime.fromisoformat(NOW).astimezone(UTC)  # reflected columns of SQLite keep no zone
    kinds = {Boolean: True, Integer: int(revision), DateTime: at, LargeBinary: b"x", JSON: {}}
    return next((value for kind, value in kinds.items() if isinstance(column.type, kind)), revision)


def fill(database: Database, revision: str) -> dict[str, dict[str, Any]]:
    """One row in each table that this version has, by table; each refers to the others of its version."""
    found = MetaData()
    found.reflect(database.engine)
    rows = {}
    with database.writing() as session:
        for table in found.sorted_tables:
            if table.name not in CHAIN:
                rows[table.name] = {column.name: value_of(column, revision) for column in table.columns}
                session.execute(insert(table).values(rows[table.name]))
        audit.append(session, datetime.fromisoformat(NOW), revision, "read", "Assessment/1")
    return rows


def test_rows_of_every_version_come_through_all_later_ones(url: str) -> None:
    database, config = open_database(url), Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    revisions = sorted(one.revision for one in ScriptDirectory.from_config(config).walk_revisions())
    kept: dict[str, dict[str, dict[str, Any]]] = {name: {} for name in Table.metadata.tables}
    for revision in revisions:
        migrate_to(database, revision)
        for name, row in fill(database, revision).items():
            if name in kept and revision >= EMPTIED.get(name, "0001"):
                kept[name][revision] = row
    database.migrate()
    with database.reading() as session:
        assert audit.find_fault(session) is None
        for name in kept.keys() - CHAIN:
            table = Table.metadata.tables[name]
            for one in session.execute(select(table)):
                there = dict(one._mapping)
                known = next(iter(table.primary_key.columns)).name
                before = kept[name].pop(f"{there[known]:0>4}")
                assert {key: there[key] for key in before} == before, name
                assert {there[key] for key in there.keys() - before.keys()} <= {None}, name
    assert not any(kept.values())
    database.close()
