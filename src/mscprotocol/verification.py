"""Is a stored assessment what it was, and does it come out again? A sealed record is replayed without any network."""

from __future__ import annotations

from base64 import b64decode, b64encode
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal
from zoneinfo import ZoneInfo

import msgspec
from sqlalchemy import select
from sqlalchemy.orm import Session

from fhir_adapters.bundle import PatientBundle
from fhir_adapters.hl7v2_parsing import digest_message
from fhir_adapters.hl7v2_patients import restore_patient
from fhir_adapters.record_builder import build_record
from fhir_adapters.sources import read_parts
from mscprotocol.answer import Assessment, to_json
from mscprotocol.assessment import assess
from mscprotocol.case import Request
from mscprotocol.errors import DataError, MscProtocolError
from mscprotocol.fingerprint import CODE_PART
from mscprotocol.knowledge import KnowledgeBase
from mscprotocol.needs import has_expired
from mscprotocol.rulebook import compile_rulebook
from mscprotocol.store import assessments, audit
from mscprotocol.store.inbox import find_contents
from mscprotocol.store.tables import AuditEntry, StoredAssessment

KIND = "mscprotocol sealed assessment 1"
_READING = ("message_zone", "message_charset")
Outcome = Literal["same", "different", "altered"]


class SealedRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A stored assessment as a file: all that its seal covers. Bytes are in base64.

    `messages` are those that the input refers to, in the order in which they came.
    """

    kind: str
    id: str
    made_at: datetime
    door: str
    actor: str
    patient_id: str
    protocol_id: str
    stage: str
    verdict: str
    request: dict[str, Any]
    inputs: str
    answer: str
    rulebase_sha256: str
    input_sha256: str
    trace_sha256: str
    seal_sha256: str
    messages: tuple[str, ...] = ()


@dataclass(frozen=True)
class Kept:
    """A stored assessment, and the received messages that its input refers to."""

    stored: StoredAssessment
    messages: tuple[bytes, ...] = ()


@dataclass(frozen=True)
class Verified:
    """What a replay showed: same, different (and in what) or altered; and whether the answer still holds."""

    outcome: Outcome
    why: list[str] = field(default_factory=list)
    has_expired: bool = False


def open_kept(session: Session, stored: StoredAssessment) -> Kept:
    """A stored assessment with its messages."""
    return Kept(stored, tuple(find_contents(session, assessments.messages_of(stored))))


def write_sealed(kept: Kept) -> bytes:
    """A stored assessment as a file that can be verified anywhere."""
    names = [one for one in SealedRecord.__struct_fields__ if one not in ("kind", "inputs", "answer", "messages")]
    values = {name: getattr(kept.stored, name) for name in names}
    inputs, answer, *messages = (
        b64encode(one).decode() for one in (kept.stored.inputs, kept.stored.answer, *kept.messages)
    )
    sealed = SealedRecord(kind=KIND, inputs=inputs, answer=answer, messages=tuple(messages), **values)
    return msgspec.json.encode(sealed)


_decoder = msgspec.json.Decoder(SealedRecord)


def read_sealed(content: bytes) -> Kept:
    """The assessment of a file. Raises DataError `unreadable` for what is no such file."""
    try:
        sealed = _decoder.decode(content)
        names = [one for one in SealedRecord.__struct_fields__ if one not in ("kind", "messages")]
        values = {name: getattr(sealed, name) for name in names}
        values |= {name: b64decode(values[name], validate=True) for name in ("inputs", "answer")}
        messages = tuple(b64decode(one, validate=True) for one in sealed.messages)
    except (msgspec.DecodeError, ValueError):
        raise DataError("unreadable", "this is no sealed record, or it was damaged") from None
    if sealed.kind != KIND:
        raise DataError("unreadable", "this is no sealed record of a kind that is known here")
    return Kept(StoredAssessment(**values), messages)


def verify(kept: Kept, knowledge: KnowledgeBase, at: datetime) -> Verified:
    """Check the seal, then assess the kept input again by the present rules and program."""
    answer = _intact_answer(kept.stored)
    if answer is None:
        return Verified("altered", ["the seal is broken: something in the record was changed"])
    if {digest_message(one) for one in kept.messages} != set(assessments.messages_of(kept.stored)):
        return Verified("altered", ["a message that it was made of is missing, or was changed"])
    return Verified(*_replay(kept, answer, knowledge), has_expired(answer, at))


def _intact_answer(stored: StoredAssessment) -> Assessment | None:
    """The answer, if the seal holds and what stands beside the answer is what it says."""
    try:
        if assessments.seal(stored) != stored.seal_sha256:
            return None
        answer = assessments.read_answer(stored)
    except Exception:  # noqa: BLE001 - bytes that were altered can fail in any way, and each of them means altered
        return None
    stated = (stored.verdict, stored.stage, stored.protocol_id, stored.trace_sha256, stored.rulebase_sha256)
    said = (answer.verdict, answer.stage, answer.protocol.id, answer.trace_sha256, answer.rulebase.sha256)
    return answer if stated == said else None


def _replay(kept: Kept, answer: Assessment, knowledge: KnowledgeBase) -> tuple[Outcome, list[str]]:
    stored = kept.stored
    changed = [] if stored.rulebase_sha256 == knowledge.sha256 else ["the rules have changed since"]
    try:
        again = _assess_again(kept, knowledge)
    except MscProtocolError as error:
        return "different", [*changed, f"it cannot be assessed any more: {getattr(error, 'code', 'error')}"]
    if to_json(again) == assessments.read_json(stored):
        return "same", []
    if not changed:
        changed = ["the program has changed since: the rules are the same"]
    differing = [name for name in Assessment.__struct_fields__ if getattr(again, name) != getattr(answer, name)]
    return "different", [*changed, f"what differs: {', '.join(differing) or 'how it is written'}"]


def _assess_again(kept: Kept, knowledge: KnowledgeBase) -> Assessment:
    stored = kept.stored
    if stored.protocol_id not in knowledge.protocols:
        raise DataError("unreadable", "the protocol is no longer known")
    request = read_request(stored.request)
    bundle = _read_again(kept, knowledge, request)
    return assess(build_record(bundle, knowledge), compile_rulebook(knowledge, stored.protocol_id), request)


def _read_again(kept: Kept, knowledge: KnowledgeBase, request: Request) -> PatientBundle:
    if not kept.messages:
        return read_parts(assessments.read_inputs(kept.stored), knowledge, ZoneInfo(request.zone))
    zone, charset = (kept.stored.request[name] for name in _READING)
    return restore_patient(kept.messages, None if zone is None else ZoneInfo(zone), charset)


def describe_reading(zone: ZoneInfo | None, charset: str) -> dict[str, str | None]:
    """By which settings messages are read, as it is stored with what was asked."""
    return dict(zip(_READING, (None if zone is None else zone.key, charset), strict=True))


def read_request(said: dict[str, Any]) -> Request:
    """What was asked, from how it is stored."""
    start, level = said["start"], said["dose_level"]
    return Request(
        at=datetime.fromisoformat(said["at"]),
        stage=said["stage"],
        start=None if start is None else datetime.fromisoformat(start),
        zone=said["zone"],
        dose_level=None if level is None else Decimal(level),
    )


# -- by the code of a printed sheet ------------------------------------------------------------------


def find_by_code(session: Session, code: str) -> list[StoredAssessment]:
    """The stored assessments that a printed code, or an id, means; several if one question was asked repeatedly."""
    found = session.get(StoredAssessment, code.strip().lower())
    if found is not None:
        return [found]
    digits = "".join(one for one in code.lower() if one in "0123456789abcdef")
    if len(digits) != 2 * CODE_PART:
        return []
    query = select(StoredAssessment).where(
        StoredAssessment.trace_sha256.startswith(digits[:CODE_PART]),
        StoredAssessment.input_sha256.startswith(digits[CODE_PART:]),
    )
    return list(session.execute(query.order_by(StoredAssessment.made_at.desc())).scalars())


Anchor = Literal["held", "other", "unknown", "broken"]


def find_anchor(session: Session, stored: StoredAssessment) -> Anchor:
    """What the audit chain of this installation says of a seal: one that was made anew is found by it alone.

    `held`: the chain is whole and holds this seal. `other`: it holds another one for the same assessment. `unknown`: it
    knows no such assessment, or none with a seal. `broken`: the chain itself was altered, so it proves nothing.
    """
    query = select(AuditEntry).where(AuditEntry.subject == f"Assessment/{stored.id}", AuditEntry.action == "assess")
    entry = session.execute(query).scalars().first()
    seal = None if entry is None else entry.detail.get("seal")
    if seal is None:
        return "unknown"
    if seal != stored.seal_sha256:
        return "other"
    return "held" if audit.find_fault(session) is None else "broken"
