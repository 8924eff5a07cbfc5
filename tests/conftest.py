"""What every kind of test shares."""

from __future__ import annotations

import pytest
from hypothesis import settings

from mscprotocol.knowledge import KnowledgeBase
from mscprotocol.knowledge_loader import load_knowledge

# Each run tries the same examples, however slow the machine is.
settings.register_profile("mscprotocol", deadline=None, derandomize=True, database=None)
settings.load_profile("mscprotocol")


@pytest.fixture(scope="session")
def knowledge() -> KnowledgeBase:
    """The rule base that ships."""
    return load_knowledge()
