"""Received HL7 v2 messages in the database: kept before they are acknowledged, and there again after a restart."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import datetime

from sqlalchemy import ColumnElement, Select, bindparam, delete, func, insert, select
from sqlalchemy.orm import Session

from fhir_adapters.hl7v2_inbox import MessageKey, Received
from fhir_adapters.hl7v2_parsing import digest_message
from mscprotocol.store.database import Database
from mscprotocol.store.tables import ReceivedMessage, table_of

_PART = 500
_FAST = 1
# Statements of every message, built once.
_messages = table_of(ReceivedMessage)
_is_named = [
    _messages.c[name] == bindparam(f"its_{name}") for name in ("application", "facility", "control_id", "sha256")
]
_FIND = select(_messages.c.content, _messages.c.acknowledgement).where(_messages.c.is_accepted, *_is_named)
_FORGET_REFUSED = delete(_messages).where(_messages.c.is_accepted.is_(False), *_is_named)
_KEEP = insert(_messages)


class DatabaseInbox:
    """An inbox that outlives the process. A message is there once: as accepted, or as it was refused last.

    `confirm` raises where the process may not keep messages any more.
    """

    def __init__(
        self, database: Database, clock: Callable[[], datetime], confirm: Callable[[], None] = lambda: None
    ) -> None:
        self.database, self.clock, self.confirm = database, clock, confirm

    def find(self, key: MessageKey) -> Received | None:
        """The accepted message of that key, if it came before."""
        with self.database.reading() as session:
            found = session.execute(_FIND, _names(key)).one_or_none()
        return None if found is None else Received(key, zlib.decompress(found[0]), found[1], is_accepted=True)

    def add(self, received: Received) -> None:
        """Keep a message; it is safe, committed to disk, when this returns."""
        self.confirm()
        key = replace(received.key, digest=_digest(received))
        row = {
            "application": key.application,
            "facility": key.facility,
            "control_id": key.control_id,
            "sha256": key.digest,
            "received_at": self.clock(),
            "is_accepted": received.is_accepted,
            "content": zlib.compress(received.content, _FAST),
            "acknowledgement": received.answer,
        }
        with self.database.writing() as session:
            session.execute(_FORGET_REFUSED, _names(key))
            session.execute(_KEEP, row)

    def accepted(self) -> Iterator[Received]:
        """The accepted messages, in the order in which they came."""
        with self.database.reading() as session:
            for row in session.execute(_accepted().execution_options(yield_per=500)).scalars():
                yield _read(row)

    def count_refused(self) -> int:
        """How many messages were refused and are kept for people to look at."""
        query = select(func.count()).where(ReceivedMessage.is_accepted.is_(False))
        with self.database.reading() as session:
            return session.execute(query).scalar_one()


def find_contents(session: Session, digests: Iterable[str]) -> list[bytes]:
    """The accepted messages of some digests as they came, each once, in the order in which they came."""
    wanted = sorted(set(digests))
    found: dict[str, tuple[int, bytes]] = {}
    for start in range(0, len(wanted), _PART):
        part = ReceivedMessage.sha256.in_(wanted[start : start + _PART])
        for row in session.execute(_accepted(part)).scalars():
            found.setdefault(row.sha256, (row.sequence, zlib.decompress(row.content)))
    return [content for _, content in sorted(found.values())]


def intact_digests(session: Session) -> Iterator[str]:
    """The digests of the accepted messages that still are what came."""
    for row in session.execute(_accepted().execution_options(yield_per=_PART)).scalars():
        with suppress(zlib.error):
            if digest_message(zlib.decompress(row.content)) == row.sha256:
                yield row.sha256


def _accepted(*where: ColumnElement[bool]) -> Select[ReceivedMessage]:
    query = select(ReceivedMessage).where(ReceivedMessage.is_accepted, *where)
    return query.order_by(ReceivedMessage.sequence)


def _names(key: MessageKey) -> dict[str, str]:
    names = {"application": key.application, "facility": key.facility, "control_id": key.control_id}
    return {f"its_{name}": value for name, value in (names | {"sha256": key.digest}).items()}


def _digest(received: Received) -> str:
    """What tells a message from others; one that could not be read has only its bytes."""
    return received.key.digest or hashlib.sha256(received.content).hexdigest()


def _read(row: ReceivedMessage) -> Received:
    key = MessageKey(row.application, row.facility, row.control_id, row.sha256)
    return Received(key, zlib.decompress(row.content), row.acknowledgement, row.is_accepted)
