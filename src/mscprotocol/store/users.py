"""People who may log in: their roles, and passwords kept as argon2id hashes only."""

from __future__ import annotations

import unicodedata
import uuid
from collections.abc import Collection
from datetime import datetime
from functools import lru_cache
from threading import BoundedSemaphore

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from mscprotocol.store import sessions
from mscprotocol.store.tables import UserAccount, WebSession

ROLES = ("coordinator", "clinician", "auditor", "administrator")
SHORTEST_PASSWORD, LONGEST_PASSWORD = 12, 1000
_hasher = PasswordHasher()
# Each hash takes 64 MiB on purpose: a whole shift that logs in at once must not take all memory of the machine.
_at_once = BoundedSemaphore(2)


def add(
    session: Session, at: datetime, name: str, full_name: str, roles: Collection[str], password: str
) -> UserAccount:
    """Add a person with a password. Raises ValueError for a taken name, an unknown role or a short password."""
    if find(session, name) is not None:
        raise ValueError("a user of that name exists already")
    user = UserAccount(
        id=str(uuid.uuid4()),
        name=_checked_name(name),
        full_name=full_name.strip() or name,
        roles=_checked_roles(roles),
        password_hash=hash_password(password),
        made_at=at,
    )
    session.add(user)
    session.flush()
    return user


def vouched(
    session: Session, at: datetime, issuer: str, subject: str, full_name: str, roles: Collection[str]
) -> UserAccount:
    """The account of a person whom an identity provider vouches for: made at the first login, roles kept up."""
    user = find_vouched(session, issuer, subject)
    if user is None:
        identity = str(uuid.uuid4())
        # A name of ours cannot hold a colon: no local account can be taken over by one from outside.
        user = UserAccount(id=identity, name=f"oidc:{identity}", issuer=issuer, issuer_subject=subject, made_at=at)
        session.add(user)
    user.full_name, user.roles = full_name, _checked_roles(roles)
    session.flush()
    return user


def find_vouched(session: Session, issuer: str, subject: str) -> UserAccount | None:
    """The account of a person of an identity provider."""
    query = select(UserAccount).where(UserAccount.issuer == issuer, UserAccount.issuer_subject == subject)
    return session.execute(query).scalar_one_or_none()


def find(session: Session, name: str) -> UserAccount | None:
    """The account of a login name."""
    return session.execute(select(UserAccount).where(UserAccount.name == name)).scalar_one_or_none()


def has_any(session: Session) -> bool:
    """Whether any account was ever made."""
    return session.execute(select(UserAccount.id).limit(1)).first() is not None


def list_users(session: Session) -> list[UserAccount]:
    """All accounts by name."""
    return list(session.execute(select(UserAccount).order_by(UserAccount.name)).scalars())


def is_password(user: UserAccount | None, password: str) -> bool:
    """Whether this is the person's password; it takes as long for a person who does not exist."""
    is_known = user is not None and user.disabled_at is None and user.password_hash is not None
    kept = user.password_hash if is_known and user is not None and user.password_hash else _nobodys_hash()
    try:
        with _at_once:
            _hasher.verify(kept, _normalised(password))
    except (VerificationError, InvalidHashError):
        return False
    return is_known


def set_password(session: Session, user: UserAccount, password: str) -> None:
    """Change a password, end every session of the person, and forgive failures."""
    put_password(session, user, hash_password(password))


def put_password(session: Session, user: UserAccount, hashed: str, kept_session: str = "") -> int:
    """Put what `hash_password` gave in place; gives how many sessions of the person ended: all but the kept one."""
    user.password_hash = hashed
    sessions.forgive(session, f"user:{user.name}")
    return end_sessions(session, user, kept_session)


def set_roles(session: Session, user: UserAccount, roles: Collection[str]) -> None:
    """Put other roles in place, and end every session. Raises ValueError for an unknown one, or a provider's person."""
    if user.issuer is not None:
        raise ValueError("the identity provider says what roles this person has")
    user.roles = _checked_roles(roles)
    end_sessions(session, user)


def disable(session: Session, at: datetime, user: UserAccount) -> None:
    """End a person's access at once; what they did stays under their name."""
    user.disabled_at = user.disabled_at or at
    end_sessions(session, user)


def end_sessions(session: Session, user: UserAccount, kept_sha256: str = "") -> int:
    """Log a person out everywhere, but for the session of a hash; gives how many sessions ended."""
    others = (WebSession.user_id == user.id) & (WebSession.sha256 != kept_sha256)
    return len(session.execute(delete(WebSession).where(others).returning(WebSession.sha256)).all())


def hash_password(password: str) -> str:
    """What is kept of a password. Raises ValueError for one that is too short or too long."""
    check_length(password)
    with _at_once:
        return _hasher.hash(_normalised(password))


def check_length(password: str) -> None:
    """Raise ValueError for a password that is too short or too long."""
    if not SHORTEST_PASSWORD <= len(_normalised(password)) <= LONGEST_PASSWORD:
        raise ValueError(f"a password has {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters; a sentence is good")


def _normalised(password: str) -> str:
    """The same password whatever keyboard composed its letters; cut off, so that hashing it stays cheap."""
    return unicodedata.normalize("NFKC", password[: LONGEST_PASSWORD + 1])


@lru_cache(maxsize=1)
def _nobodys_hash() -> str:
    return _hasher.hash(str(uuid.uuid4()))


def _checked_name(name: str) -> str:
    if not 1 <= len(name) <= 100 or not name.isprintable() or ":" in name or name != name.strip():
        raise ValueError("a login name has 1 to 100 visible characters, no colon, no space at its ends")
    return name


def _checked_roles(roles: Collection[str]) -> str:
    if unknown := set(roles) - set(ROLES):
        raise ValueError(f"no role named {', '.join(sorted(unknown))}; known: {', '.join(ROLES)}")
    if not roles:
        raise ValueError(f"a user needs a role: {', '.join(ROLES)}")
    return " ".join(role for role in ROLES if role in roles)
