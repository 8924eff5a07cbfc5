"""The commands `verify` and `records`, as an operator calls them: what they say, and their exit codes."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from sqlalchemy import select, update
from typer.testing import CliRunner

from mscprotocol import terminal
from mscprotocol.cli import app
from mscprotocol.fingerprint import short_code
from mscprotocol.store.assessments import seal
from mscprotocol.store.database import open_database
from mscprotocol.store.tables import AuditEntry, StoredAssessment
from mscprotocol.verification import read_sealed, write_sealed
from tests.patients import severe_and_worsening
from tests.store.people import COORDINATOR, Clock, bundle, newcomer, open_subjects

NOW = "2020-03-27T10:00:00+01:00"


@pytest.fixture
def stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StoredAssessment:
    url = f"sqlite:///{tmp_path}/kept.sqlite3"
    monkeypatch.setenv("MSCPROTOCOL_DATABASE_URL", url)
    database = open_database(url)
    database.migrate()
    people = open_subjects(database, Clock(NOW))
    subject = people.enrol(newcomer("S-1"), COORDINATOR).subject
    people.record(subject.id, bundle(severe_and_worsening("anna", NOW)), COORDINATOR)
    with database.reading() as session:
        found: StoredAssessment = session.execute(select(StoredAssessment)).scalar_one()
    database.close()
    return found


def run(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, list(words))
    return result.exit_code, result.output


def test_a_sheet_is_verified_by_its_code_and_an_old_one_has_expired(stored: StoredAssessment) -> None:
    code, said = run("verify", short_code(stored.trace_sha256, stored.input_sha256))
    assert (code, said.splitlines()[0]) == (terminal.EXPIRED, "same")
    assert "no longer valid" in said


def test_a_file_is_verified_and_one_changed_word_is_found(stored: StoredAssessment, tmp_path: Path) -> None:
    file = tmp_path / "sealed.json"
    assert run("records", "seal", stored.id, "--out", str(file))[0] == terminal.OK
    assert run("verify", str(file))[0] == terminal.EXPIRED
    tree = json.loads(file.read_bytes())
    file.write_text(json.dumps(tree | {"verdict": "ineligible"}))
    code, said = run("verify", str(file))
    assert (code, said.splitlines()[0]) == (terminal.ALTERED, "altered")
    assert "do not rely on it" in said.splitlines()[1]
    file.write_text("{}")
    assert run("verify", str(file))[0] == terminal.DATA


def test_a_file_that_was_sealed_anew_is_found_only_by_the_chain(
    stored: StoredAssessment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "sealed.json"
    run("records", "seal", stored.id, "--out", str(file))
    assert "is whole and holds this seal" in run("verify", str(file))[1]
    assert "is whole and holds this seal" in run("verify", stored.id)[1]
    forged = read_sealed(file.read_bytes())
    forged.stored.actor = "somebody.else"
    forged.stored.seal_sha256 = seal(forged.stored)
    file.write_bytes(write_sealed(forged))
    code, said = run("verify", str(file))
    assert (code, said.splitlines()[0]) == (terminal.ALTERED, "altered")
    assert "it was sealed anew" in said
    monkeypatch.setenv("MSCPROTOCOL_DATABASE_URL", f"sqlite:///{tmp_path}/none.sqlite3")
    code, said = run("verify", str(file))
    assert (code, said.splitlines()[0]) == (terminal.EXPIRED, "same")
    assert "can also seal it anew" in said
    assert not (tmp_path / "none.sqlite3").exists(), "verifying a file makes no database"


def test_a_broken_chain_proves_nothing(stored: StoredAssessment) -> None:
    database = open_database(os.environ["MSCPROTOCOL_DATABASE_URL"])
    with database.writing() as session:
        session.execute(update(AuditEntry).where(AuditEntry.sequence == 1).values(actor="somebody.else"))
    database.close()
    code, said = run("verify", stored.id)
    assert (code, "so it proves nothing" in said) == (terminal.ALTERED, True)


def test_what_is_kept_is_checked_given_out_and_deleted(stored: StoredAssessment, tmp_path: Path) -> None:
    assert run("records", "audit") == (terminal.OK, "nothing is altered or missing\n")
    file = tmp_path / "subject.json"
    assert run("records", "export", "S-1", "--out", str(file))[0] == terminal.OK
    assert json.loads(file.read_bytes())["subject"]["number"] == "S-1"
    assert run("records", "backup", str(tmp_path / "copy.sqlite3"))[0] == terminal.OK
    assert run("records", "delete", "S-1", "--yes")[0] == terminal.OK
    assert run("records", "audit")[0] == terminal.OK
    assert run("verify", stored.id)[0] == terminal.DATA
    assert run("records", "delete", "S-1", "--yes")[0] == terminal.USAGE
