"""Signing: who, what it means, when, on what; proved anew each time."""

from __future__ import annotations

from datetime import timedelta

import pytest
from fastapi import Request
from sqlalchemy import select

from mscprotocol.service import Service
from mscprotocol.settings import Settings
from mscprotocol.store import audit, sessions, signatures, users
from mscprotocol.store.tables import AuditEntry, WebSession
from mscprotocol.web.pages.people import DEMO, Person, as_person
from mscprotocol.web.pages.signing import prove
from mscprotocol.web.problems import ProblemError
from tests.web.conftest import NOW
from tests.web.pages.conftest import PASSWORD, add_user


class App:
    def __init__(self, service: Service) -> None:
        self.state = type("State", (), {"service": service, "settings": Settings()})()


@pytest.fixture
def request_(service: Service) -> Request:
    return Request({"type": "http", "app": App(service), "client": ("127.0.0.1", 1), "headers": []})


@pytest.fixture
def anna(service: Service) -> Person:
    add_user(service, "anna", "clinician")
    with service.database.reading() as session:
        user = users.find(session, "anna")
        assert user is not None
        return as_person(user, "")


def test_a_signature_states_name_meaning_time_and_content(service: Service, request_: Request, anna: Person) -> None:
    signer = prove(request_, anna, PASSWORD)
    with service.database.writing() as session:
        signatures.sign(session, NOW, signer, "reviewed", "Assessment/1", b"the sheet")
    with service.database.reading() as session:
        (kept,) = signatures.of_subject(session, "Assessment/1")
        (entry,) = session.execute(select(AuditEntry)).scalars()
        assert audit.find_fault(session) is None
    assert (kept.name, kept.meaning, kept.at, kept.proof) == ("Dr Anna", "reviewed", NOW, "password")
    assert signatures.holds(kept, b"the sheet")
    assert not signatures.holds(kept, b"the sheeT")
    assert (entry.actor, entry.action, entry.detail["content"]) == ("anna", "sign", kept.content_sha256)


def test_a_wrong_password_signs_nothing_and_locks_in_the_end(service: Service, request_: Request, anna: Person) -> None:
    for status in (401, 401, 401, 401, 429, 429):
        with pytest.raises(ProblemError, match="Not signed") as raised:
            prove(request_, anna, "wrong")
        assert raised.value.status == status
    with pytest.raises(ProblemError):
        prove(request_, anna, PASSWORD)


def test_the_demo_signs_as_nobody(request_: Request) -> None:
    assert prove(request_, DEMO, "").proof == "demo"


def test_a_word_of_the_provider_counts_once_and_for_five_minutes(service: Service, request_: Request) -> None:
    with service.database.writing() as session:
        user = users.vouched(session, NOW, "https://login", "s-1", "Dr Olga", ["clinician"])
        token = sessions.begin(session, NOW, user)
    person = as_person(user, sessions.digest(token))

    def proved(before: timedelta) -> None:
        with service.database.writing() as session:
            session.execute(select(WebSession)).scalar_one().proved_at = NOW - before

    with pytest.raises(ProblemError, match="Log in anew"):
        prove(request_, person, "")
    proved(timedelta(minutes=5))
    assert prove(request_, person, "").proof == "provider"
    with pytest.raises(ProblemError, match="Log in anew"):
        prove(request_, person, "")
    proved(timedelta(minutes=5, seconds=1))
    with pytest.raises(ProblemError, match="Log in anew"):
        prove(request_, person, "")
