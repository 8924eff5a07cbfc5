"""What every kind of test shares."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from argon2 import PasswordHasher
from hypothesis import settings

from mscprotocol.knowledge import KnowledgeBase
from mscprotocol.knowledge_loader import load_knowledge
from mscprotocol.store import users

# Each run tries the same examples, however slow the machine is.
settings.register_profile("mscprotocol", deadline=None, derandomize=True, database=None)
settings.load_profile("mscprotocol")


@pytest.fixture(scope="session")
def knowledge() -> KnowledgeBase:
    """The rule base that ships."""
    return load_knowledge()


@pytest.fixture(autouse=True, scope="session")
def quick_passwords() -> Iterator[PasswordHasher]:
    """A hash of a password takes no time in tests; gives the hasher that ships, for those that are about it."""
    shipped = users._hasher
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(users, "_hasher", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
        yield shipped


@pytest.fixture
def slow_passwords(quick_passwords: PasswordHasher, monkeypatch: pytest.MonkeyPatch) -> None:
    """Passwords are hashed as in an installation."""
    monkeypatch.setattr(users, "_hasher", quick_passwords)
