"""Subjects as the tests of the store know them: a clock that is set, a patient who gets worse, and who records."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from sqlalchemy.orm import Session

from mscprotocol.course_actions import Signed
from mscprotocol.course_effects import UnsignedError
from mscprotocol.course_forms import Form, write_form
from mscprotocol.knowledge_loader import load_knowledge
from mscprotocol.service import Caller, Service
from mscprotocol.store import audit, signatures, users
from mscprotocol.store.database import Database
from mscprotocol.store.subjects import NewEntry
from mscprotocol.subjects import NewSubject, Subjects
from tests.patients import PatientBundle

COORDINATOR = Caller("coordinator.one", frozenset({"coordinator"}))
SECOND = Caller("coordinator.two", frozenset({"coordinator"}))
CLINICIAN = Caller("dr.example", frozenset({"clinician"}))
SEED = "seed-covid-4x"


class Clock:
    """A clock that stands until it is set."""

    def __init__(self, at: str) -> None:
        self.now = datetime.fromisoformat(at)

    def __call__(self) -> datetime:
        return self.now

    def set(self, at: datetime | str) -> None:
        self.now = datetime.fromisoformat(at) if isinstance(at, str) else at


def sign_seen(act: Callable[[Signed | None], Any], at: datetime) -> Any:
    """Do what a clinician signs: looked at first, then signed as it was shown."""
    with pytest.raises(UnsignedError) as caught:
        act(None)
    signer = signatures.Signer("dr.example", None, "Dr Example", "password")
    return act(
        Signed(
            lambda session, subject, content: signatures.sign(session, at, signer, "sets aside", subject, content),
            caught.value.effect.digest,
        )
    )


def note_users(session: Session, at: datetime) -> None:
    """Have the trail say of every account that it was added, as the command does."""
    session.flush()
    for user in users.list_users(session):
        audit.append(session, at, "operator", "add user", f"User/{user.id}", {"roles": user.roles})


def open_subjects(database: Database, clock: Clock) -> Subjects:
    return Subjects(Service(load_knowledge(), database, clock))


def token() -> str:
    return str(uuid.uuid4())


def newcomer(number: str = "S-001", zone: str = "Europe/Berlin", protocol: str = SEED) -> NewSubject:
    return NewSubject(number, protocol, zone, token())


def bundle(one: PatientBundle, mark: str = "") -> NewEntry:
    """A patient's bundle as an entry; `mark` keeps its resources apart from those of an earlier one."""
    tree = json.loads(one.to_json())
    for entry in tree["entry"]:
        resource = entry["resource"]
        if resource["resourceType"] != "Patient":
            resource["id"] = f"{mark}{resource['id']}"
    return NewEntry("bundle", json.dumps(tree).encode(), token())


def entry(kind: str, form: Form | dict[str, Any], **more: Any) -> NewEntry:
    content = write_form(form) if isinstance(form, Form) else json.dumps(form).encode()
    return NewEntry(kind, content, more.pop("token", token()), **more)
