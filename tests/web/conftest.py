"""A server of our own for the tests of its doors, and people who call it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from mscprotocol.knowledge import KnowledgeBase
from mscprotocol.service import Service
from mscprotocol.settings import Settings
from mscprotocol.web.app import create_app
from tests.databases import new_database

NOW = datetime(2020, 4, 6, 10, tzinfo=UTC)
SECRET = "only for tests: 32 characters or more"
HERE = "http://127.0.0.1"
# What an installation sets that has people and programs say who they are.
CLOSED: dict[str, Any] = {"authentication": "required", "secret_key": SECRET, "public_url": HERE}
Start = Callable[..., TestClient]


@pytest.fixture
def service(knowledge: KnowledgeBase) -> Service:
    """A service with an empty database in memory, at a fixed time."""
    return Service(knowledge, new_database(), clock=lambda: NOW)


@pytest.fixture
def start(service: Service) -> Iterator[Start]:
    """Starts the application with some settings; ends what it started."""
    opened: list[TestClient] = []

    def start(change: Callable[[FastAPI], object] | None = None, **settings: object) -> TestClient:
        app = create_app(Settings(**{"database_url": "sqlite://", "requests_per_minute": 0} | settings), service)
        if change is not None:
            change(app)
        opened.append(TestClient(app, base_url=HERE))
        return opened[-1].__enter__()

    yield start
    for client in opened:
        client.__exit__(None, None, None)


@pytest.fixture
def client(start: Start) -> TestClient:
    """The application as it is on loopback."""
    return start()
