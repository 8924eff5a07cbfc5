"""Exports that wait in a screening form: only who put them there sees them, and they go after a day."""

from __future__ import annotations

import uuid
import zlib
from datetime import datetime, timedelta

from sqlalchemy import delete
from sqlalchemy.orm import Session

from mscprotocol.store.tables import ScreeningDraft

LIFE = timedelta(days=1)


def keep(session: Session, at: datetime, actor: str, content: bytes) -> str:
    """Keep an export and give its id; what is older than a day is removed."""
    session.execute(delete(ScreeningDraft).where(ScreeningDraft.made_at < at - LIFE))
    draft = ScreeningDraft(id=str(uuid.uuid4()), actor=actor, made_at=at, content=zlib.compress(content))
    session.add(draft)
    return draft.id


def read(session: Session, identity: str, actor: str, at: datetime) -> bytes | None:
    """An export, if it is this person's and not too old."""
    found = session.get(ScreeningDraft, identity)
    if found is None or found.actor != actor or found.made_at < at - LIFE:
        return None
    return zlib.decompress(found.content)


def drop(session: Session, identity: str, actor: str) -> None:
    """Remove an export that was saved or is no longer wanted."""
    session.execute(delete(ScreeningDraft).where(ScreeningDraft.id == identity, ScreeningDraft.actor == actor))
