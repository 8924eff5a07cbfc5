"""Who may be alone with a database: a lock of the system, which a crash frees as an end does."""

from __future__ import annotations

import fcntl
import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from mscprotocol.errors import RequestError
from mscprotocol.store.database import Database


class Hold:
    """That a database is held for one purpose; a server that was begun anew has let go of it."""

    def __init__(self, purpose: str, ask: Callable[[], object] = lambda: None) -> None:
        self.purpose, self._ask, self.is_lost = purpose, ask, False

    def confirm(self) -> None:
        """Raises RequestError `locked` once the hold was lost: another process may have it, or have had it."""
        try:
            _ = None if self.is_lost else self._ask()
        except DBAPIError:
            self.is_lost = True
        if self.is_lost:
            raise _refusal(self.purpose)


@contextmanager
def alone(database: Database, purpose: str) -> Iterator[Hold]:
    """Hold a database for one purpose, until the end of the block or of the process.

    Raises RequestError `locked` if another process holds it for the same.
    """
    is_file = database.engine.dialect.name == "sqlite"
    with _in_file(database, purpose) if is_file else _in_session(database, purpose) as hold:
        yield hold


@contextmanager
def _in_file(database: Database, purpose: str) -> Iterator[Hold]:
    """A lock on a file beside the database. The file stays: one that is deleted could be locked twice."""
    name = database.engine.url.database
    if name in (None, "", ":memory:"):  # no other process can see it
        yield Hold(purpose)
        return
    with Path(f"{Path(str(name)).resolve()}.{purpose}.lock").open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise _refusal(purpose) from error
        yield Hold(purpose)


@contextmanager
def _in_session(database: Database, purpose: str) -> Iterator[Hold]:
    """An advisory lock of PostgreSQL, held by a connection of its own."""
    key = int.from_bytes(hashlib.sha256(f"mscprotocol {purpose}".encode()).digest()[:8], signed=True)
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if not connection.execute(text("SELECT pg_try_advisory_lock(:key)"), {"key": key}).scalar():
            raise _refusal(purpose)
        try:
            yield Hold(purpose, lambda: connection.execute(text("SELECT 1")))
        finally:
            connection.invalidate()  # a pool would keep the session, and the lock with it


def _refusal(purpose: str) -> RequestError:
    return RequestError("locked", f"Another process of this kind ({purpose}) has this database.")
