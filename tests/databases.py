"""Databases for tests: the migrations make the tables once for each process and server, and each test has a copy."""

from __future__ import annotations

import os
import sqlite3
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlalchemy import Connection, create_engine, text
from sqlalchemy.engine import URL, make_url

from mscprotocol.store.database import Database, open_database

IN_MEMORY = "sqlite://"


def new_database(url: str = IN_MEMORY) -> Database:
    """A SQLite database that holds the present tables, and nothing in them."""
    database = open_database(url)
    with database.engine.connect() as connection:
        _pattern().backup(_raw(connection))
    return database


@cache
def _pattern() -> sqlite3.Connection:
    database = open_database(IN_MEMORY)
    database.migrate()
    return _raw(database.engine.connect())


def _raw(connection: Connection) -> sqlite3.Connection:
    raw = connection.connection.driver_connection
    assert isinstance(raw, sqlite3.Connection)
    return raw


class PostgreSQL:
    """A real server, with one database for whichever test runs, and one that holds the tables to be copied."""

    def __init__(self, address: str) -> None:
        self._address = make_url(address).set(drivername="postgresql+psycopg")
        # What is tested here ends processes, never the power: no test needs to wait for the disk.
        self._order("ALTER SYSTEM SET fsync = off", "SELECT pg_reload_conf()", "CREATE DATABASE pattern")
        pattern = open_database(self._at("pattern"))
        pattern.migrate()
        pattern.close()

    def empty(self) -> str:
        """The address of a database without tables; what an earlier test left is gone, open connections too."""
        self._order("DROP DATABASE IF EXISTS test WITH (FORCE)", "CREATE DATABASE test")
        return self._at("test")

    def with_tables(self) -> str:
        """The address of a database with the present tables; what an earlier test left is gone."""
        self._order("DROP DATABASE IF EXISTS test WITH (FORCE)", "CREATE DATABASE test TEMPLATE pattern")
        return self._at("test")

    def _at(self, name: str) -> str:
        address: URL = self._address.set(database=name)
        return address.render_as_string(hide_password=False)

    def _order(self, *commands: str) -> None:
        engine = create_engine(self._address, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            for one in commands:
                connection.execute(text(one))
        engine.dispose()


@contextmanager
def run_postgresql(folder: Path) -> Iterator[PostgreSQL]:
    """A PostgreSQL server of this process; `folder` is for its socket.

    Its data are not in a folder of pytest's: the server runs as a user of its own, and each run of pytest closes the
    folders of all runs to other users.
    """
    os.environ.setdefault("XDG_RUNTIME_DIR", str(folder))
    with TemporaryDirectory(prefix="mscprotocol-", ignore_cleanup_errors=True) as data:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import pgserver

            server = pgserver.get_server(data)
        yield PostgreSQL(server.get_uri())
        server.cleanup()
