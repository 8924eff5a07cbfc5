"""The commands for users: passwords come from standard input only."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from mscprotocol.cli import app
from mscprotocol.settings import PREFIX
from mscprotocol.store import users
from mscprotocol.store.database import open_database
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


@pytest.mark.parametrize(
    ("command", "typed"),
    [
        (("add", "anna", "--role", "king"), PASSWORD),
        (("add", "anna", "--role", "auditor"), "short"),
        (("add", "a:b", "--role", "auditor"), PASSWORD),
        (("disable", "nobody"), ""),
        (("password", "nobody"), PASSWORD),
    ],
)
def test_what_cannot_be_is_refused_with_a_line(url: str, command: tuple[str, ...], typed: str) -> None:
    run(*command, typed=f"{typed}\n", status=2)


def test_a_name_is_given_once(url: str) -> None:
    run("add", "anna", "--role", "auditor")
    run("add", "anna", "--role", "auditor", status=2)
