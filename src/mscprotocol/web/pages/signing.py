"""Proof of who signs, at the moment of signing: the password again, or a fresh word of the identity provider."""

from __future__ import annotations

from datetime import timedelta

from fastapi import Request

from mscprotocol.course_actions import Signing
from mscprotocol.store import signatures
from mscprotocol.store.signatures import Signer
from mscprotocol.store.tables import WebSession
from mscprotocol.web.pages.login import Refusal, settle_attempt, try_password
from mscprotocol.web.pages.people import Person, of_app
from mscprotocol.web.problems import ProblemError

NOT_SIGNED = "not_signed"
PROOF_LIFE = timedelta(minutes=5)


def prove(request: Request, person: Person, password: str) -> Signer:
    """The signer, who has just proved who it is; then `store.signatures.sign` in the transaction of what is signed.

    Raises ProblemError 401 or 429 with what to do; failures count towards the lock, and are kept whatever follows.
    """
    if person.user_id is None:
        return Signer(person.name, None, person.full_name, "demo")
    if person.has_password:
        return _by_password(request, person, password)
    return _by_provider(request, person)


def signing(request: Request, person: Person, password: str, act: str) -> Signing:
    """Signs an act of a course, of a meaning that the rules name, for whoever has just proved who it is.

    Raises as `prove` does.
    """
    service, _ = of_app(request)
    at, signer = service.clock(), prove(request, person, password)
    meaning = service.knowledge.signature_meanings[act].text
    return lambda session, subject, content: signatures.sign(session, at, signer, meaning, subject, content)


def _by_password(request: Request, person: Person, password: str) -> Signer:
    service, _ = of_app(request)
    at = service.clock()
    attempt = try_password(request, person.name, password, at)
    with service.database.writing() as session:
        found = settle_attempt(session, request, attempt, at)
    if isinstance(found, Refusal):
        raise ProblemError(found.status, NOT_SIGNED, f"Not signed. {found.text}")
    return Signer(person.name, person.user_id, person.full_name, "password")


def _by_provider(request: Request, person: Person) -> Signer:
    """A fresh login at the provider counts for one signature."""
    service, _ = of_app(request)
    at = service.clock()
    with service.database.writing() as session:
        found = session.get(WebSession, person.session_sha256)
        proved_at = None if found is None else found.proved_at
        if found is not None:
            found.proved_at = None
    if proved_at is None or at - proved_at > PROOF_LIFE:
        raise ProblemError(401, NOT_SIGNED, "Not signed. Log in anew at the site's account first, then sign.")
    return Signer(person.name, person.user_id, person.full_name, "provider")
