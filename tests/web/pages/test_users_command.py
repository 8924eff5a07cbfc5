"""The commands for users: passwords come from standard input only."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import select
from typer.testing import CliRunner

from mscprotocol.cli import app
from mscprotocol.records import find_faults
from mscprotocol.settings import PREFIX
from mscprotocol.store import sessions, users
from mscprotocol.store.database import open_database
from mscprotocol.store.tables import AuditEntry, WebSession
from tests.web.pages.conftest import PASSWORD


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    address = f"sqlite:///{tmp_path}/users.sqlite3"
    monkeypatch.setenv(f"{PREFIX}DATABASE_URL", address)
    return address


def run(*command: str, typed: str = f"{PASSWORD}\n", status: int = 0) -> str:
    done = CliRunner().invoke(app, ["users", *command], input=typed)
    assert done.exit_code == status, done.output
    assert PASSWORD not in done.output
    return done.output


def check(url: str, password: str) -> bool:
    database = open_database(url)
    with database.reading() as session:
        found = users.is_password(users.find(session, "anna"), password)
    database.close()
    return found


def test_a_user_is_added_listed_given_a_new_password_and_disabled(url: str) -> None:
    run("add", "anna", "--role", "coordinator", "--role", "clinician", "--full-name", "Anna A. Example")
    listed = run("list")
    assert "anna  Anna A. Example  coordinator clinician" in listed
    assert check(url, PASSWORD)
    run("password", "anna", typed="another sentence for tests\n")
    assert not check(url, PASSWORD)
    assert check(url, "another sentence for tests")
    run("disable", "anna")
    assert "disabled" in run("list")
    assert not check(url, "another sentence for tests")


def test_other_roles_hold_at_once_and_stand_in_the_trail(url: str) -> None:
    run("add", "anna", "--role", "clinician", "--role", "auditor")
    database = open_database(url)
    with database.writing() as session:
        user = users.find(session, "anna")
        assert user is not None
        begun = sessions.begin(session, datetime.now(UTC), user)
    assert "anna may log in as coordinator," in run("roles", "anna", "--role", "coordinator")
    with database.reading() as session:
        user = users.find(session, "anna")
        assert user is not None
        assert user.roles == "coordinator"
        assert session.get(WebSession, sessions.digest(begun)) is None
        assert list(find_faults(session)) == []
        last = session.execute(select(AuditEntry).order_by(AuditEntry.sequence.desc()).limit(1)).scalar_one()
    assert (last.action, last.detail) == ("change roles", {"roles": "coordinator"})
    with database.writing() as session:
        users.vouched(
            session, datetime.now(UTC), "https://login.example.org", "s-1", "Dr Olga", ["auditor"]
        ).name = "olga"
    database.close()
    assert "identity provider says" in run("roles", "olga", "--role", "auditor", status=2)


@pytest.mark.parametrize(
    ("command", "typed"),
    [
        (("add", "anna", "--role", "king"), PASSWORD),
        (("add", "anna", "--role", "auditor"), "short"),
        (("add", "a:b", "--role", "auditor"), PASSWORD),
        (("disable", "nobody"), ""),
        (("roles", "nobody", "--role", "auditor"), ""),
        (("password", "nobody"), PASSWORD),
    ],
)
def test_what_cannot_be_is_refused_with_a_line(url: str, command: tuple[str, ...], typed: str) -> None:
    run(*command, typed=f"{typed}\n", status=2)


def test_a_name_is_given_once(url: str) -> None:
    run("add", "anna", "--role", "auditor")
    run("add", "anna", "--role", "auditor", status=2)
