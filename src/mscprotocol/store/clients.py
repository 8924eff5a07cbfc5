"""Programs that may call: registered by an operator, their keys kept as hashes only."""

from __future__ import annotations

import hashlib
import secrets
import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from mscprotocol.store.tables import ApiClient

KEY_PREFIX = "msck_"
SCOPES = ("assess", "read", "cds", "admin")


def register(
    session: Session,
    at: datetime,
    name: str,
    scopes: frozenset[str],
    jwks: dict[str, Any] | None = None,
    keys_url: str | None = None,
) -> tuple[ApiClient, str | None]:
    """Add a client: with its public keys, with the address that publishes them, or with a new API key.

    The API key is given out here and never again.

    Raises ValueError for a scope that does not exist or a name that is taken.
    """
    if unknown := scopes - set(SCOPES):
        raise ValueError(f"no scope named {', '.join(sorted(unknown))}; known: {', '.join(SCOPES)}")
    if session.execute(select(ApiClient).where(ApiClient.name == name)).first() is not None:
        raise ValueError("a client of that name is registered already")
    # 256 random bits: a plain hash cannot be searched, so no slow one is needed.
    key = None if jwks is not None or keys_url is not None else KEY_PREFIX + secrets.token_urlsafe(32)
    client = ApiClient(
        id=str(uuid.uuid4()),
        name=name,
        scopes=" ".join(sorted(scopes)),
        key_sha256=None if key is None else hash_key(key),
        jwks=jwks,
        keys_url=keys_url,
        made_at=at,
        revoked_at=None,
    )
    session.add(client)
    return client, key


def revoke(session: Session, at: datetime, name: str) -> ApiClient | None:
    """End a client's access at once; the client, if there is one of that name."""
    client = session.execute(select(ApiClient).where(ApiClient.name == name)).scalar_one_or_none()
    if client is not None:
        client.revoked_at = client.revoked_at or at
    return client


def find_by_key(session: Session, key: str) -> ApiClient | None:
    """The client of an API key, unless it was revoked."""
    return _current(
        session.execute(select(ApiClient).where(ApiClient.key_sha256 == hash_key(key))).scalar_one_or_none()
    )


def find_by_id(session: Session, client_id: str) -> ApiClient | None:
    """The client of an id, unless it was revoked."""
    return _current(session.get(ApiClient, client_id))


def list_clients(session: Session) -> list[ApiClient]:
    """All clients by name."""
    return list(session.execute(select(ApiClient).order_by(ApiClient.name)).scalars())


def hash_key(key: str) -> str:
    """What is kept of an API key."""
    return hashlib.sha256(key.encode()).hexdigest()


def _current(client: ApiClient | None) -> ApiClient | None:
    return None if client is None or client.revoked_at is not None else client
