"""A database of the first version is brought to the present one with all that it holds."""

from __future__ import annotations

import uuid

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import text

from mscprotocol.store import audit
from mscprotocol.store.database import MIGRATIONS, open_database
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
