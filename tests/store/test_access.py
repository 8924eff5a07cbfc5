"""People, sessions, failures, signatures and drafts, as either database keeps them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from mscprotocol.store import audit, drafts, sessions, signatures, users
from mscprotocol.store.database import Database
from mscprotocol.store.signatures import Signer
from mscprotocol.store.tables import LoginFailure, ScreeningDraft, UserAccount, WebSession

NOW = datetime(2026, 3, 29, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
PASSWORD = "a sentence only for tests"
LIMITS = sessions.Limits(30 * MINUTE, 720 * MINUTE, failures=3, address_failures=5, locked_for=15 * MINUTE)


def add(database: Database, name: str = "anna") -> UserAccount:
    with database.writing() as session:
        return users.add(session, NOW, name, "Anna A. Example", ["clinician", "coordinator"], PASSWORD)


def test_a_user_is_found_by_name_and_password(database: Database) -> None:
    add(database)
    with database.reading() as session:
        found = users.find(session, "anna")
        assert found is not None
        assert found.roles == "coordinator clinician"
        assert users.is_password(found, PASSWORD)
        assert not users.is_password(found, PASSWORD.upper())
        assert not users.is_password(None, PASSWORD)
        assert users.find(session, "Anna") is None


def test_a_password_is_the_same_however_its_letters_were_composed(database: Database) -> None:
    with database.writing() as session:
        user = users.add(session, NOW, "zoe", "", ["auditor"], "caf\u00e9 caf\u00e9 caf\u00e9")
        assert users.is_password(user, "cafe\u0301 cafe\u0301 cafe\u0301")


def test_a_name_is_given_once_even_at_the_same_time(database: Database) -> None:
    add(database)
    with pytest.raises(ValueError, match="exists already"):
        add(database)
    with pytest.raises(IntegrityError), database.writing() as session:
        session.add(UserAccount(id="2", name="anna", full_name="x", roles="auditor", made_at=NOW))


def test_a_person_of_a_provider_stays_one_account(database: Database) -> None:
    for roles in (["coordinator"], ["clinician", "auditor"]):
        with database.writing() as session:
            users.vouched(session, NOW, "https://login.example.org", "s-1", "Dr Olga", roles)
    with database.reading() as session:
        found = session.execute(select(UserAccount)).scalar_one()
    assert (found.roles, found.issuer_subject) == ("clinician auditor", "s-1")
    assert not users.is_password(found, "")


def test_a_session_is_kept_by_its_hash_and_ends(database: Database) -> None:
    user = add(database)
    with database.writing() as session:
        token = sessions.begin(session, NOW, user)
    with database.reading() as session:
        assert session.execute(select(WebSession.sha256)).scalar_one() == sessions.digest(token)
        assert sessions.find(session, token, NOW + 30 * MINUTE, LIMITS) is not None
        assert sessions.find(session, token, NOW + 31 * MINUTE, LIMITS) is None
        assert sessions.find(session, token + "x", NOW, LIMITS) is None
    with database.writing() as session:
        sessions.touch(session, sessions.digest(token), NOW + 20 * MINUTE)
    with database.reading() as session:
        assert sessions.find(session, token, NOW + 50 * MINUTE, LIMITS) is not None
        assert sessions.find(session, token, NOW + 721 * MINUTE, LIMITS) is None
    with database.writing() as session:
        sessions.forget_old(session, NOW + 721 * MINUTE, LIMITS)
        assert session.execute(select(WebSession)).first() is None


def test_a_disabled_user_has_no_session(database: Database) -> None:
    user = add(database)
    with database.writing() as session:
        token = sessions.begin(session, NOW, user)
        found = users.find(session, "anna")
        assert found is not None
        users.disable(session, NOW, found)
    with database.reading() as session:
        assert sessions.find(session, token, NOW, LIMITS) is None
        assert users.list_users(session)[0].disabled_at == NOW


def test_failures_lock_a_key_until_the_first_of_them_is_forgiven(database: Database) -> None:
    with database.writing() as session:
        for minute in range(3):
            assert sessions.locked_until(session, NOW + minute * MINUTE, "user:anna", 3, LIMITS) is None
            sessions.note_failure(session, NOW + minute * MINUTE, "user:anna", "address:192.0.2.1")
        at = NOW + 2 * MINUTE
        assert sessions.locked_until(session, at, "user:anna", 3, LIMITS) == NOW + 15 * MINUTE
        assert sessions.locked_until(session, at, "user:berta", 3, LIMITS) is None
        assert sessions.locked_until(session, NOW + 15 * MINUTE, "user:anna", 3, LIMITS) is None
        sessions.forgive(session, "user:anna")
        assert sessions.locked_until(session, at, "user:anna", 3, LIMITS) is None
        kept = [one.key_sha256 for one in session.execute(select(LoginFailure)).scalars()]
    assert set(kept) == {sessions.digest("address:192.0.2.1")}


def test_a_signature_is_stored_with_its_entry_in_the_trail_or_not_at_all(database: Database) -> None:
    user = add(database)
    signer = Signer("anna", user.id, "Anna A. Example", "password")
    with pytest.raises(RuntimeError), database.writing() as session:
        signatures.sign(session, NOW, signer, "reviewed", "Assessment/1", b"x")
        raise RuntimeError
    with database.writing() as session:
        assert signatures.of_subject(session, "Assessment/1") == []
        signatures.sign(session, NOW, signer, "reviewed", "Assessment/1", b"x")
    with database.reading() as session:
        (kept,) = signatures.of_subject(session, "Assessment/1")
        assert audit.find_fault(session) is None
    assert (kept.name, kept.meaning, kept.at) == ("Anna A. Example", "reviewed", NOW)


def test_a_draft_is_seen_by_who_made_it_and_goes_after_a_day(database: Database) -> None:
    with database.writing() as session:
        identity = drafts.keep(session, NOW, "anna", b"export")
    with database.reading() as session:
        assert drafts.read(session, identity, "anna", NOW + drafts.LIFE) == b"export"
        assert drafts.read(session, identity, "berta", NOW) is None
        assert drafts.read(session, identity, "anna", NOW + drafts.LIFE + MINUTE) is None
        assert drafts.read(session, "none", "anna", NOW) is None
    with database.writing() as session:
        drafts.drop(session, identity, "berta")
        assert session.execute(select(ScreeningDraft)).first() is not None
        drafts.keep(session, NOW + drafts.LIFE + MINUTE, "anna", b"another")
        assert len(session.execute(select(ScreeningDraft)).all()) == 1
