"""Every test of the store runs on SQLite and on a real PostgreSQL server that this session starts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mscprotocol.store.database import Database, open_database
from tests.databases import PostgreSQL, new_database, run_postgresql


@pytest.fixture(scope="session")
def postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgreSQL]:
    """The PostgreSQL server of this session."""
    with run_postgresql(tmp_path_factory.mktemp("run")) as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a database without tables."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/store.sqlite3"
    server: PostgreSQL = request.getfixturevalue("postgresql")
    return server.empty()


@pytest.fixture
def database(url: str, request: pytest.FixtureRequest) -> Iterator[Database]:
    """A database with the present tables."""
    opened = new_database(url) if url.startswith("sqlite") else open_database(_filled(request))
    yield opened
    opened.close()


def _filled(request: pytest.FixtureRequest) -> str:
    server: PostgreSQL = request.getfixturevalue("postgresql")
    return server.with_tables()
