"""Who may be alone with a database: a lock of the system, which a crash frees as an end does."""

from __future__ import annotations

import fcntl
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import text

from mscprotocol.errors import RequestError
from mscprotocol.store.database import Database


@contextmanager
def alone(database: Database, purpose: str) -> Iterator[None]:
    """Hold a database for one purpose, until the end of the block or of the process.

    Raises RequestError `locked` if another process holds it for the same.
    """
    with _in_file(database, purpose) if database.engine.dialect.name == "sqlite" else _in_session(database, purpose):
        yield


@contextmanager
def _in_file(database: Database, purpose: str) -> Iterator[None]:
    """A lock on a file beside the database. The file stays: one that is deleted could be locked twice."""
    name = database.engine.url.database
    if name in (None, "", ":memory:"):  # no other process can see it
        yield
        return
    with Path(f"{Path(str(name)).resolve()}.{purpose}.lock").open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise _refusal(purpose) from error
        yield


@contextmanager
def _in_session(database: Database, purpose: str) -> Iterator[None]:
    """An advisory lock of PostgreSQL, held by a connection of its own."""
    key = int.from_bytes(hashlib.sha256(f"mscprotocol {purpose}".encode()).digest()[:8], signed=True)
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if not connection.execute(text("SELECT pg_try_advisory_lock(:key)"), {"key": key}).scalar():
            raise _refusal(purpose)
        try:
            yield
        finally:
            connection.invalidate()  # a pool would keep the session, and the lock with it


def _refusal(purpose: str) -> RequestError:
    return RequestError("locked", f"Another process of this kind ({purpose}) has this database.")
