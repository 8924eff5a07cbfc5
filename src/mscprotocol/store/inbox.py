"""Received HL7 v2 messages in the database: kept before they are acknowledged, and there again after a restart."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime

from sqlalchemy import ColumnElement, Select, delete, func, select

from fhir_adapters.hl7v2_inbox import MessageKey, Received
from mscprotocol.store.database import Database
from mscprotocol.store.tables import ReceivedMessage

_PART = 500


class DatabaseInbox:
    """An inbox that outlives the process. A message is there once: as accepted, or as it was refused last."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self.database, self.clock = database, clock

    def find(self, key: MessageKey) -> Received | None:
        """The accepted message of that key, if it came before."""
        with self.database.reading() as session:
            found = session.execute(_accepted(*_is(key))).scalar_one_or_none()
            return None if found is None else _read(found)

    def add(self, received: Received) -> None:
        """Keep a message; it is safe, committed to disk, when this returns."""
        key = received.key
        row = ReceivedMessage(
            application=key.application,
            facility=key.facility,
            control_id=key.control_id,
            sha256=_digest(received),
            received_at=self.clock(),
            is_accepted=received.is_accepted,
            content=zlib.compress(received.content),
            acknowledgement=received.answer,
        )
        with self.database.writing() as session:
            earlier = MessageKey(key.application, key.facility, key.control_id, row.sha256)
            session.execute(delete(ReceivedMessage).where(*_is(earlier), ReceivedMessage.is_accepted.is_(False)))
            session.add(row)

    def accepted(self) -> Iterator[Received]:
        """The accepted messages, in the order in which they came."""
        with self.database.reading() as session:
            for row in session.execute(_accepted().execution_options(yield_per=500)).scalars():
                yield _read(row)

    def contents(self, digests: Iterable[str]) -> list[bytes]:
        """The accepted messages of some digests as they came, each once, in the order in which they came."""
        wanted = sorted(set(digests))
        found: dict[str, tuple[int, bytes]] = {}
        with self.database.reading() as session:
            for start in range(0, len(wanted), _PART):
                part = ReceivedMessage.sha256.in_(wanted[start : start + _PART])
                for row in session.execute(_accepted(part)).scalars():
                    found.setdefault(row.sha256, (row.sequence, zlib.decompress(row.content)))
        return [content for _, content in sorted(found.values())]

    def count_refused(self) -> int:
        """How many messages were refused and are kept for people to look at."""
        query = select(func.count()).where(ReceivedMessage.is_accepted.is_(False))
        with self.database.reading() as session:
            return session.execute(query).scalar_one()


def _accepted(*where: ColumnElement[bool]) -> Select[ReceivedMessage]:
    query = select(ReceivedMessage).where(ReceivedMessage.is_accepted, *where)
    return query.order_by(ReceivedMessage.sequence)


def _is(key: MessageKey) -> tuple[ColumnElement[bool], ...]:
    return (
        ReceivedMessage.application == key.application,
        ReceivedMessage.facility == key.facility,
        ReceivedMessage.control_id == key.control_id,
        ReceivedMessage.sha256 == key.digest,
    )


def _digest(received: Received) -> str:
    """What tells a message from others; one that could not be read has only its bytes."""
    return received.key.digest or hashlib.sha256(received.content).hexdigest()


def _read(row: ReceivedMessage) -> Received:
    key = MessageKey(row.application, row.facility, row.control_id, row.sha256)
    return Received(key, zlib.decompress(row.content), row.acknowledgement, row.is_accepted)
