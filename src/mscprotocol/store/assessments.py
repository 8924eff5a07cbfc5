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
from sqlalchemy import select
from sqlalchemy.orm import Session

from mscprotocol.answer import Assessment, to_json
from mscprotocol.store.tables import StoredAssessment

_answers = msgspec.json.Decoder(Assessment)
_parts = msgspec.msgpack.Decoder(list[bytes])


@dataclass(frozen=True)
class Origin:
    """How an assessment came about: when, through which door, for whom, and what was asked."""

    made_at: datetime
    door: str
    actor: str
    request: dict[str, Any]


def save(session: Session, answer: Assessment, inputs: Sequence[bytes], origin: Origin) -> StoredAssessment:
    """Store an answer with its input inside the caller's transaction."""
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
        inputs=zlib.compress(msgspec.msgpack.encode(list(inputs))),
        answer=zlib.compress(to_json(answer)),
        rulebase_sha256=answer.rulebase.sha256,
        input_sha256=answer.input_sha256,
        trace_sha256=answer.trace_sha256,
        seal_sha256="",
    )
    stored.seal_sha256 = seal(stored)
    session.add(stored)
    return stored


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
    """The input as it came."""
    return _parts.decode(zlib.decompress(stored.inputs))


def seal(stored: StoredAssessment) -> str:
    """SHA-256 over everything that an assessment states, its input and its result included."""
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
        hashlib.sha256(zlib.decompress(stored.inputs)).hexdigest(),
        hashlib.sha256(zlib.decompress(stored.answer)).hexdigest(),
        stored.rulebase_sha256,
        stored.input_sha256,
        stored.trace_sha256,
    ]
    return hashlib.sha256(msgspec.json.encode(content, order="sorted")).hexdigest()
