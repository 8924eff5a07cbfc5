"""What every kind of test shares."""

from __future__ import annotations

import pytest

from mscprotocol.knowledge import KnowledgeBase
from mscprotocol.knowledge_loader import load_knowledge


@pytest.fixture(scope="session")
def knowledge() -> KnowledgeBase:
    """The rule base that ships."""
    return load_knowledge()
