"""One database: opened, brought to the present tables, and written to in transactions that are whole or nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DataError
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.pool import StaticPool

from mscprotocol.errors import RequestError
from mscprotocol.store.turns import Turns

BUSY_SECONDS = 30
MIGRATIONS = Path(__file__).resolve().parents[1] / "migrations"


class Database:
    """A database and its sessions."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._sessions = sessionmaker(engine, expire_on_commit=False)
        self._is_sqlite = engine.dialect.name == "sqlite"
        # SQLite lets writers sleep and try again; among the threads of one process they wait in order instead.
        self._turns: AbstractContextManager[None] = Turns(1) if self._is_sqlite else nullcontext()

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A session that changes nothing. Raises RequestError `unstorable` for a text that no row can hold."""
        with _refusing_odd_text(), self._sessions() as session:
            yield session
            session.expunge_all()  # what was read stays readable after the session

    @contextmanager
    def writing(self, *, is_final: bool = False) -> Iterator[Session]:
        """A transaction: committed at the end, rolled back on any exception. SQLite admits one writer at a time.

        With `is_final`, what SQLite deletes is overwritten, too, and not only marked as free, in the file and in its
        log. Raises RequestError `unstorable` as `reading` does.
        """
        with _refusing_odd_text(), self._turns:
            with self._sessions.begin() as session:
                if self._is_sqlite:
                    if is_final:  # it stays so for the connection, which does no harm
                        session.connection().exec_driver_sql("PRAGMA secure_delete = ON")
                    session.connection().exec_driver_sql("BEGIN IMMEDIATE")
                yield session
            if is_final and self._is_sqlite:
                self._empty_log()

    def _empty_log(self) -> None:
        """Write the log back into the file and cut it off: beside a server that runs both would stay as they were."""
        with self.engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")

    def is_ready(self) -> bool:
        """Whether the database answers and holds the present tables: a file that was moved away comes back empty."""
        with self.reading() as session:
            return session.execute(text("SELECT version_num FROM alembic_version")).scalar() == _newest_tables()

    def migrate(self) -> None:
        """Bring the tables to the present version. Safe to call on every start."""
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        with self.engine.connect() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")

    def close(self) -> None:
        """Give the connections back."""
        self.engine.dispose()


@cache
def _newest_tables() -> str | None:
    return ScriptDirectory(str(MIGRATIONS)).get_current_head()


@contextmanager
def _refusing_odd_text() -> Iterator[None]:
    """PostgreSQL takes no zero byte in a text and none longer than its column; its own error would quote it."""
    try:
        yield
    except DataError:
        raise RequestError(
            "unstorable", "An id or a name is longer than the database takes, or holds a zero byte."
        ) from None


def open_database(url: str) -> Database:
    """The database at an SQLAlchemy URL; its tables are those of `migrate`. Raises ValueError for other kinds."""
    parsed = make_url(url)
    kind = parsed.get_backend_name()
    if kind == "sqlite":
        return Database(_open_sqlite(url, in_memory=parsed.database in (None, "", ":memory:")))
    if kind == "postgresql":
        return Database(create_engine(url, pool_pre_ping=True, pool_size=10, max_overflow=20))
    raise ValueError(f"no database of kind {kind}: write sqlite:///FILE or postgresql+psycopg://USER@HOST/NAME")


def _open_sqlite(url: str, *, in_memory: bool) -> Engine:
    arguments = {"check_same_thread": False, "timeout": BUSY_SECONDS}
    engine = (
        create_engine(url, connect_args=arguments, poolclass=StaticPool)
        if in_memory
        else create_engine(url, connect_args=arguments)
    )
    event.listen(engine, "connect", _prepare_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _: object) -> None:
    """Durable writes, readers beside the writer, and transactions that begin when we say so."""
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
