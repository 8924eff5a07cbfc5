"""People who look at pages: each role logged in, and the demo where nobody is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from mscprotocol.service import Service
from mscprotocol.settings import Settings
from mscprotocol.store import users
from mscprotocol.web.app import create_app
from tests.databases import new_database
from tests.store.test_course import Ward
from tests.web.conftest import CLOSED, NOW, Start
from tests.web.pages.browser import PASSWORD, open_browser
from tests.web.pages.subject_page import Page

SAME = {"sec-fetch-site": "same-origin", "accept": "text/html"}
LogIn = Callable[..., TestClient]


def add_user(service: Service, name: str, *roles: str, password: str = PASSWORD) -> str:
    """Add a user; gives the id."""
    with service.database.writing() as session:
        return users.add(session, NOW, name, f"Dr {name.title()}", roles, password).id


def sign_in(client: TestClient, name: str, password: str = PASSWORD, **fields: str) -> int:
    """Send the login form as a browser would; gives the status."""
    form = {"name": name, "password": password} | fields
    return client.post("/login", data=form, headers=SAME, follow_redirects=False).status_code


@pytest.fixture
def demo(start: Start) -> TestClient:
    """Whoever sits at the demo."""
    client = start()
    client.headers.update(SAME)
    return client


@pytest.fixture
def as_role(start: Start, service: Service) -> LogIn:
    """A browser in which a person of some role is logged in."""

    def log_in(*roles: str) -> TestClient:
        client = start(**CLOSED)
        client.headers.update(SAME)
        name = "-".join(roles)
        with service.database.reading() as session:
            is_known = users.find(session, name) is not None
        if not is_known:
            add_user(service, name, *roles)
        assert sign_in(client, name) == 303
        return client

    return log_in


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with open_browser(tmp_path_factory.mktemp("profile")) as driver:
        yield driver


@pytest.fixture(scope="session")
def plain_browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A browser in which no page runs a script."""
    with open_browser(tmp_path_factory.mktemp("plain"), scripts=False) as driver:
        yield driver


@pytest.fixture
def page() -> Iterator[Page]:
    """The pages of one subject, as whoever sits at the demo sees them."""
    database = new_database()
    ward = Ward(database)
    app = create_app(Settings(database_url="sqlite://", requests_per_minute=0), ward.course.service)
    with TestClient(app, base_url="http://127.0.0.1") as client:
        client.headers.update(SAME)
        yield Page(ward, client)
