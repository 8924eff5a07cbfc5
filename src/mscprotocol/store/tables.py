"""The tables, as SQLAlchemy classes; `migrations/` brings any earlier database to them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, DateTime, ForeignKey, Index, LargeBinary, MetaData, String, TypeDecorator, UniqueConstraint
from sqlalchemy import Table as SqlTable
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

ID, SHA256 = String(36), String(64)


class Instant(TypeDecorator[datetime]):
    """An aware instant: kept in UTC, refused without a zone. SQLite itself would drop the zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse a naive time; keep the others in UTC."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a stored time needs its zone")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Give the zone back that SQLite dropped."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Table(DeclarativeBase):
    """What all tables share."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_label)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {datetime: Instant, dict[str, Any]: JSON, bytes: LargeBinary}


def table_of(kind: type[Table]) -> SqlTable:
    """The table of a class, for statements that are built once and then only filled in."""
    return kind.metadata.tables[kind.__tablename__]


def row_of(one: Table) -> dict[str, Any]:
    """All values of an object, by column."""
    return {column.name: getattr(one, column.name) for column in one.__table__.columns}


class StoredAssessment(Table):
    """An answer with all that it followed from: nothing in it is ever changed."""

    __tablename__ = "assessment"
    __table_args__ = (Index("ix_assessment_patient", "patient_id", "made_at"),)

    id: Mapped[str] = mapped_column(ID, primary_key=True)
    made_at: Mapped[datetime]
    door: Mapped[str] = mapped_column(String(20))
    actor: Mapped[str] = mapped_column(String(200))
    patient_id: Mapped[str] = mapped_column(String(255))
    protocol_id: Mapped[str] = mapped_column(String(64))
    stage: Mapped[str] = mapped_column(String(16))
    verdict: Mapped[str] = mapped_column(String(16))
    request: Mapped[dict[str, Any]]
    inputs: Mapped[bytes]
    answer: Mapped[bytes]
    rulebase_sha256: Mapped[str] = mapped_column(SHA256)
    input_sha256: Mapped[str] = mapped_column(SHA256)
    trace_sha256: Mapped[str] = mapped_column(SHA256)
    seal_sha256: Mapped[str] = mapped_column(SHA256)


class AuditHead(Table):
    """The end of the audit chain: one row, locked while an entry is appended."""

    __tablename__ = "audit_head"

    id: Mapped[int] = mapped_column(primary_key=True)
    sequence: Mapped[int]
    sha256: Mapped[str] = mapped_column(SHA256)


class AuditEntry(Table):
    """Who did what, when; each entry carries the hash of the one before."""

    __tablename__ = "audit_entry"

    sequence: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    at: Mapped[datetime]
    actor: Mapped[str] = mapped_column(String(200))
    action: Mapped[str] = mapped_column(String(40))
    subject: Mapped[str] = mapped_column(String(255))
    detail: Mapped[dict[str, Any]]
    previous_sha256: Mapped[str] = mapped_column(SHA256)
    sha256: Mapped[str] = mapped_column(SHA256)


class IdempotentReply(Table):
    """The reply to a request that came with an idempotency key: the same request gets the same reply."""

    __tablename__ = "idempotent_reply"
    __table_args__ = (UniqueConstraint("client", "key"),)

    id: Mapped[str] = mapped_column(ID, primary_key=True)
    client: Mapped[str] = mapped_column(String(200))
    key: Mapped[str] = mapped_column(String(200))
    request_sha256: Mapped[str] = mapped_column(SHA256)
    expires_at: Mapped[datetime] = mapped_column(index=True)
    status: Mapped[int]
    content_type: Mapped[str] = mapped_column(String(100))
    location: Mapped[str | None] = mapped_column(String(2000))
    body: Mapped[bytes]


class ApiClient(Table):
    """A program that may call: its key is kept as a hash only."""

    __tablename__ = "api_client"

    id: Mapped[str] = mapped_column(ID, primary_key=True)
    name: Mapped[str] = mapped_column(String(200), unique=True)
    scopes: Mapped[str] = mapped_column(String(400))
    key_sha256: Mapped[str | None] = mapped_column(SHA256, unique=True)
    jwks: Mapped[dict[str, Any] | None]
    keys_url: Mapped[str | None] = mapped_column(String(2000))
    made_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]


class UsedToken(Table):
    """A token id that was used: it is refused until it would have expired anyway."""

    __tablename__ = "used_token"

    sha256: Mapped[str] = mapped_column(SHA256, primary_key=True)
    expires_at: Mapped[datetime] = mapped_column(index=True)


class CdsFeedback(Table):
    """What a clinician did with a card."""

    __tablename__ = "cds_feedback"

    id: Mapped[str] = mapped_column(ID, primary_key=True)
    received_at: Mapped[datetime]
    service: Mapped[str] = mapped_column(String(64))
    card: Mapped[str] = mapped_column(String(64), index=True)
    criterion: Mapped[str | None] = mapped_column(String(32))
    outcome: Mapped[str] = mapped_column(String(16))
    detail: Mapped[dict[str, Any]]


class ReceivedMessage(Table):
    """An HL7 v2 message with the acknowledgement that it got; `sha256` tells two of one control id apart."""

    __tablename__ = "received_message"
    __table_args__ = (UniqueConstraint("application", "facility", "control_id", "sha256"),)

    sequence: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    application: Mapped[str] = mapped_column(String(300))
    facility: Mapped[str] = mapped_column(String(300))
    control_id: Mapped[str] = mapped_column(String(300))
    sha256: Mapped[str] = mapped_column(SHA256, index=True)
    received_at: Mapped[datetime]
    is_accepted: Mapped[bool]
    content: Mapped[bytes]
    acknowledgement: Mapped[bytes]


class Subject(Table):
    """A trial subject under one protocol: who it is stands in its entries, which are only ever appended."""

    __tablename__ = "subject"
    __table_args__ = (UniqueConstraint("protocol_id", "number"), UniqueConstraint("token"))

    id: Mapped[str] = mapped_column(ID, primary_key=True)
    number: Mapped[str] = mapped_column(String(64))
    protocol_id: Mapped[str] = mapped_column(String(64))
    dose_level: Mapped[str | None] = mapped_column(String(32))
    zone: Mapped[str] = mapped_column(String(64))
    made_at: Mapped[datetime]
    actor: Mapped[str] = mapped_column(String(200))
    token: Mapped[str] = mapped_column(String(64))
    entries: Mapped[int]


class SubjectEntry(Table):
    """One thing that was recorded of a subject: never changed, only replaced by a later entry that says why.

    `slot` names what may be recorded once, like the second infusion; `token` is of the form that was sent.
    """

    __tablename__ = "subject_entry"
    __table_args__ = (
        UniqueConstraint("subject_id", "sequence", name="uq_subject_entry_sequence"),
        UniqueConstraint("subject_id", "token", name="uq_subject_entry_token"),
        UniqueConstraint("subject_id", "slot", name="uq_subject_entry_slot"),
        UniqueConstraint("supersedes"),
    )

    id: Mapped[str] = mapped_column(ID, primary_key=True)
    subject_id: Mapped[str] = mapped_column(ForeignKey("subject.id"))
    sequence: Mapped[int]
    kind: Mapped[str] = mapped_column(String(16))
    made_at: Mapped[datetime]
    actor: Mapped[str] = mapped_column(String(200))
    content: Mapped[bytes]
    supersedes: Mapped[str | None] = mapped_column(ForeignKey("subject_entry.id"))
    reason: Mapped[str | None] = mapped_column(String(2000))
    slot: Mapped[str | None] = mapped_column(String(64))
    token: Mapped[str] = mapped_column(String(64))
    salt: Mapped[bytes]
    sha256: Mapped[str] = mapped_column(SHA256)


class Screening(Table):
    """One line of the screening log: what an assessment of a subject said, as worklists sort and count it."""

    __tablename__ = "screening"
    __table_args__ = (Index("ix_screening_subject", "subject_id", "sequence"),)

    assessment_id: Mapped[str] = mapped_column(ForeignKey("assessment.id"), primary_key=True)
    subject_id: Mapped[str] = mapped_column(ForeignKey("subject.id"))
    sequence: Mapped[int]
    made_at: Mapped[datetime]
    evaluated_at: Mapped[datetime]
    actor: Mapped[str] = mapped_column(String(200))
    stage: Mapped[str] = mapped_column(String(16))
    verdict: Mapped[str] = mapped_column(String(16))
    outlook: Mapped[str | None] = mapped_column(String(16))
    reasons: Mapped[dict[str, Any]]
    valid_until: Mapped[datetime | None]
    time_critical: Mapped[bool]
    gate: Mapped[str | None] = mapped_column(String(8))
    infusion: Mapped[int | None]


class SubjectLine(Table):
    """A subject as worklists show it: follows from its entries and its newest assessment, and is written with them."""

    __tablename__ = "subject_line"
    __table_args__ = (Index("ix_subject_line_protocol", "protocol_id", "number"),)

    subject_id: Mapped[str] = mapped_column(ForeignKey("subject.id"), primary_key=True)
    number: Mapped[str] = mapped_column(String(64))
    protocol_id: Mapped[str] = mapped_column(String(64))
    actor: Mapped[str] = mapped_column(String(200))
    verdict: Mapped[str] = mapped_column(String(16))
    outlook: Mapped[str | None] = mapped_column(String(16))
    reasons: Mapped[dict[str, Any]]
    screened_at: Mapped[datetime | None]
    valid_until: Mapped[datetime | None]
    time_critical: Mapped[bool]
    gate: Mapped[str | None] = mapped_column(String(8))
    assessment_id: Mapped[str | None] = mapped_column(ID)
    consent_version: Mapped[str | None] = mapped_column(String(200))
    consent_given: Mapped[datetime | None]
    infusions: Mapped[int]
    deviations: Mapped[int]
    is_stopped: Mapped[bool]
    off_study: Mapped[str | None] = mapped_column(String(16))


class UserAccount(Table):
    """A person who may log in: with a password of ours, or through an identity provider that vouches for them."""

    __tablename__ = "user_account"
    __table_args__ = (UniqueConstraint("issuer", "issuer_subject"),)

    id: Mapped[str] = mapped_column(ID, primary_key=True)
    name: Mapped[str] = mapped_column(String(100), unique=True)
    full_name: Mapped[str] = mapped_column(String(200))
    roles: Mapped[str] = mapped_column(String(200))
    password_hash: Mapped[str | None] = mapped_column(String(200))
    issuer: Mapped[str | None] = mapped_column(String(500))
    issuer_subject: Mapped[str | None] = mapped_column(String(255))
    made_at: Mapped[datetime]
    disabled_at: Mapped[datetime | None]


class WebSession(Table):
    """A browser that is logged in: known by the hash of the random id in its cookie."""

    __tablename__ = "web_session"

    sha256: Mapped[str] = mapped_column(SHA256, primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("user_account.id"), index=True)
    made_at: Mapped[datetime]
    seen_at: Mapped[datetime]
    proved_at: Mapped[datetime | None]


class LoginFailure(Table):
    """A failed attempt to log in, by the hash of who or where; old ones are removed."""

    __tablename__ = "login_failure"
    __table_args__ = (Index("ix_login_failure_key", "key_sha256", "at"),)

    id: Mapped[str] = mapped_column(ID, primary_key=True)
    key_sha256: Mapped[str] = mapped_column(SHA256)
    at: Mapped[datetime]


class PendingLogin(Table):
    """A login that was sent to the identity provider, known by the hash of the browser's cookie; used once."""

    __tablename__ = "pending_login"

    sha256: Mapped[str] = mapped_column(SHA256, primary_key=True)
    made_at: Mapped[datetime]
    state: Mapped[str] = mapped_column(String(100))
    nonce: Mapped[str] = mapped_column(String(100))
    verifier: Mapped[str] = mapped_column(String(128))
    next_page: Mapped[str] = mapped_column(String(2000))
    user_id: Mapped[str | None] = mapped_column(ForeignKey("user_account.id"))


class Signature(Table):
    """A signature: who, with what meaning, when, on which content; nothing in it is ever changed."""

    __tablename__ = "signature"
    __table_args__ = (Index("ix_signature_subject", "subject", "at"),)

    id: Mapped[str] = mapped_column(ID, primary_key=True)
    at: Mapped[datetime]
    user_id: Mapped[str | None] = mapped_column(ForeignKey("user_account.id"))
    name: Mapped[str] = mapped_column(String(200))
    meaning: Mapped[str] = mapped_column(String(200))
    subject: Mapped[str] = mapped_column(String(255))
    content_sha256: Mapped[str] = mapped_column(SHA256)
    proof: Mapped[str] = mapped_column(String(20))


class ScreeningDraft(Table):
    """An export that somebody put into the screening form and has not saved yet; removed after a day at most.

    `patient` is what the patient in it can be known by, none while it cannot be read.
    """

    __tablename__ = "screening_draft"

    id: Mapped[str] = mapped_column(ID, primary_key=True)
    actor: Mapped[str] = mapped_column(String(200))
    made_at: Mapped[datetime] = mapped_column(index=True)
    content: Mapped[bytes]
    patient: Mapped[list[str] | None] = mapped_column(JSON)
    subject_number: Mapped[str | None] = mapped_column(String(64))
