"""Signatures: a name, a meaning and a time, tied to the content that was signed, and written down in the trail."""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from mscprotocol.store import audit
from mscprotocol.store.tables import Signature

# How the signer proved who it is, at the moment of signing; in the demo nobody does.
Proof = Literal["password", "provider", "demo"]


@dataclass(frozen=True)
class Signer:
    """Who signs: the account, the name as it is printed, and how it was proved."""

    account: str
    user_id: str | None
    printed_name: str
    proof: Proof


def sign(session: Session, at: datetime, signer: Signer, meaning: str, subject: str, content: bytes) -> Signature:
    """Sign content inside the caller's transaction: what is signed is stored with it, or neither is."""
    signature = Signature(
        id=str(uuid.uuid4()),
        at=at,
        user_id=signer.user_id,
        name=signer.printed_name,
        meaning=meaning,
        subject=subject,
        content_sha256=hashlib.sha256(content).hexdigest(),
        proof=signer.proof,
    )
    session.add(signature)
    detail = {
        "signature": signature.id,
        "name": signature.name,
        "meaning": meaning,
        "content": signature.content_sha256,
        "proof": signer.proof,
    }
    audit.append(session, at, signer.account, "sign", subject, detail)
    return signature


def of_subject(session: Session, subject: str) -> list[Signature]:
    """The signatures on something, the oldest first."""
    query = select(Signature).where(Signature.subject == subject).order_by(Signature.at, Signature.id)
    return list(session.execute(query).scalars())


def holds(signature: Signature, content: bytes) -> bool:
    """Whether this is the content that was signed."""
    return hashlib.sha256(content).hexdigest() == signature.content_sha256
