"""Stored assessments: each with its input, its rules and its result, under a seal that any change would break."""

from __future__ import annotations

import hashlib
import uuid
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec
from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from mscprotocol.answer import Assessment, to_json
from mscprotocol.store.tables import StoredAssessment, row_of, table_of

_answers = msgspec.json.Decoder(Assessment)
_parts = msgspec.msgpack.Decoder(list[bytes])
# The lowest level takes a third of the time, and a quarter more space.
_FAST = 1
_MESSAGE = b"received message sha256:"
_ADD = insert(table_of(StoredAssessment))


@dataclass(frozen=True)
class Origin:
    """How an assessment came about: when, through which door, for whom, and what was asked."""

    made_at: datetime
    door: str
    actor: str
    request: dict[str, Any]


def make(answer: Assessment, inputs: Sequence[bytes], origin: Origin) -> StoredAssessment:
    """An answer with its input under its seal, ready to be added to the database."""
    kept, said = msgspec.msgpack.encode(list(inputs)), to_json(answer)
    stored = StoredAssessment(
        id=str(uuid.uuid4()),
        made_at=origin.made_at.astimezone(UTC),
        door=origin.door,
        actor=origin.actor,
        patient_id=answer.patient.id,
        protocol_id=answer.protocol.id,
        stage=answer.stage,
        verdict=answer.verdict,
        request=origin.request,
        inputs=zlib.compress(kept, _FAST),
        answer=zlib.compress(said, _FAST),
        rulebase_sha256=answer.rulebase.sha256,
        input_sha256=answer.input_sha256,
        trace_sha256=answer.trace_sha256,
        seal_sha256="",
    )
    stored.seal_sha256 = _seal(stored, kept, said)
    return stored


def add(session: Session, stored: StoredAssessment) -> None:
    """Add an assessment inside the caller's transaction."""
    session.execute(_ADD, row_of(stored))


def find(session: Session, assessment_id: str) -> StoredAssessment | None:
    """An assessment by its id."""
    return session.get(StoredAssessment, assessment_id)


def of_patient(session: Session, patient_id: str) -> list[StoredAssessment]:
    """The assessments of a patient, the newest first."""
    query = select(StoredAssessment).where(StoredAssessment.patient_id == patient_id)
    return list(session.execute(query.order_by(StoredAssessment.made_at.desc())).scalars())


def is_answered(session: Session, answer: Assessment) -> bool:
    """Whether the same data of a patient were assessed by the same rules before, whenever that was."""
    query = select(StoredAssessment.id).where(
        StoredAssessment.patient_id == answer.patient.id,
        StoredAssessment.protocol_id == answer.protocol.id,
        StoredAssessment.stage == answer.stage,
        StoredAssessment.input_sha256 == answer.input_sha256,
        StoredAssessment.rulebase_sha256 == answer.rulebase.sha256,
    )
    return session.execute(query.limit(1)).first() is not None


def read_answer(stored: StoredAssessment) -> Assessment:
    """The answer as it was given."""
    return _answers.decode(read_json(stored))


def read_json(stored: StoredAssessment) -> bytes:
    """The answer byte for byte as it was given."""
    return zlib.decompress(stored.answer)


def read_inputs(stored: StoredAssessment) -> list[bytes]:
    """The input as it came, or `refer_to` what it is."""
    return _parts.decode(zlib.decompress(stored.inputs))


def refer_to(digest: str) -> bytes:
    """A received message as part of an input: by its digest, for it is kept once and not with every answer."""
    return _MESSAGE + digest.encode()


def messages_of(stored: StoredAssessment) -> list[str]:
    """The digests of the received messages that are the input; empty if the input is kept with the answer."""
    return [one.removeprefix(_MESSAGE).decode() for one in read_inputs(stored) if one.startswith(_MESSAGE)]


def seal(stored: StoredAssessment) -> str:
    """SHA-256 over everything that an assessment states, its input and its result included."""
    return _seal(stored, zlib.decompress(stored.inputs), zlib.decompress(stored.answer))


def _seal(stored: StoredAssessment, inputs: bytes, answer: bytes) -> str:
    content = [
        stored.id,
        stored.made_at.astimezone(UTC).isoformat(timespec="microseconds"),
        stored.door,
        stored.actor,
        stored.patient_id,
        stored.protocol_id,
        stored.stage,
        stored.verdict,
        stored.request,
        hashlib.sha256(inputs).hexdigest(),
        hashlib.sha256(answer).hexdigest(),
        stored.rulebase_sha256,
        stored.input_sha256,
        stored.trace_sha256,
    ]
    return hashlib.sha256(msgspec.json.encode(content, order="sorted")).hexdigest()
