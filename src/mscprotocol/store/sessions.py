"""Who is logged in, and how often somebody failed to: sessions end by idleness, by age and by logout."""

from __future__ import annotations

import hashlib
import secrets
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from mscprotocol.store.tables import LoginFailure, UserAccount, WebSession

_SEEN_STEP = timedelta(minutes=1)  # when a person was last seen is written down no more often


@dataclass(frozen=True)
class Limits:
    """How long a session lasts, and how many failures of one person or one address lock for how long."""

    idle: timedelta
    longest: timedelta
    failures: int
    address_failures: int
    locked_for: timedelta


def begin(session: Session, at: datetime, user: UserAccount) -> str:
    """A new session: gives the secret for the browser's cookie, of which only the hash is kept."""
    token = secrets.token_urlsafe(32)
    session.add(WebSession(sha256=digest(token), user_id=user.id, made_at=at, seen_at=at))
    return token


def find(session: Session, token: str, at: datetime, limits: Limits) -> tuple[WebSession, UserAccount] | None:
    """The living session of a cookie, and whose it is."""
    found = session.get(WebSession, digest(token))
    if found is None or at - found.seen_at > limits.idle or at - found.made_at > limits.longest:
        return None
    user = session.get(UserAccount, found.user_id)
    return None if user is None or user.disabled_at is not None else (found, user)


def is_to_be_touched(found: WebSession, at: datetime) -> bool:
    """Whether it is time to write down that the person is still there."""
    return at - found.seen_at >= _SEEN_STEP


def touch(session: Session, sha256: str, at: datetime) -> None:
    """Write down that the person is still there."""
    found = session.get(WebSession, sha256)
    if found is not None:
        found.seen_at = at


def end(session: Session, token: str) -> UserAccount | None:
    """End a session; gives whose it was."""
    found = session.get(WebSession, digest(token))
    if found is None:
        return None
    user = session.get(UserAccount, found.user_id)
    session.delete(found)
    return user


def forget_old(session: Session, at: datetime, limits: Limits) -> None:
    """Remove what no longer matters: sessions that ended, failures that were forgiven."""
    session.execute(delete(WebSession).where(WebSession.made_at < at - limits.longest))
    session.execute(delete(LoginFailure).where(LoginFailure.at < at - limits.locked_for))


# -- failures ------------------------------------------------------------------------------------------


def note_failure(session: Session, at: datetime, *keys: str) -> None:
    """Count one failure against each key, like `user:NAME` or `address:192.0.2.1`."""
    session.add_all(LoginFailure(id=str(uuid.uuid4()), key_sha256=digest(key), at=at) for key in keys)
    session.flush()


def locked_until(session: Session, at: datetime, key: str, most: int, limits: Limits) -> datetime | None:
    """Until when a key is locked, if it is: the oldest of its last failures must be forgiven first."""
    query = select(func.count(), func.min(LoginFailure.at)).where(
        LoginFailure.key_sha256 == digest(key), LoginFailure.at > at - limits.locked_for
    )
    count, oldest = session.execute(query).one()
    return None if count < most else oldest + limits.locked_for


def forgive(session: Session, key: str) -> None:
    """Forget the failures of a key: the person proved who it is."""
    session.execute(delete(LoginFailure).where(LoginFailure.key_sha256 == digest(key)))


def digest(text: str) -> str:
    """What is kept of a secret of 256 random bits, or of a name that somebody typed."""
    return hashlib.sha256(text.encode()).hexdigest()
