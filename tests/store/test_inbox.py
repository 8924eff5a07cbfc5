"""The inbox in the database: what was accepted is there again, in order, known by sender, control id and content."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from sqlalchemy.exc import IntegrityError

from fhir_adapters.hl7v2_inbox import MessageKey, Received
from mscprotocol.store.database import Database
from mscprotocol.store.inbox import DatabaseInbox, find_contents

NOW = datetime(2020, 4, 6, tzinfo=UTC)
KEY = MessageKey("LAB", "HOSP", "1", "d1")


def received(key: MessageKey = KEY, content: bytes = b"MSH|1", *, is_accepted: bool = True) -> Received:
    return Received(key, content, b"ACK " + content, is_accepted)


@pytest.fixture
def inbox(database: Database) -> DatabaseInbox:
    return DatabaseInbox(database, lambda: NOW)


def test_an_accepted_message_is_found_by_all_of_its_key(inbox: DatabaseInbox, database: Database) -> None:
    inbox.add(received())
    again = DatabaseInbox(database, lambda: NOW)
    assert again.find(KEY) == received()
    for other in (
        ("X", "HOSP", "1", "d1"),
        ("LAB", "X", "1", "d1"),
        ("LAB", "HOSP", "2", "d1"),
        ("LAB", "HOSP", "1", "d2"),
    ):
        assert again.find(MessageKey(*other)) is None


def test_messages_come_back_in_the_order_in_which_they_came(inbox: DatabaseInbox) -> None:
    keys = [MessageKey("LAB", "HOSP", str(number % 3), f"d{number}") for number in range(9, 0, -1)]
    for key in keys:
        inbox.add(received(key, key.digest.encode()))
    assert [one.key for one in inbox.accepted()] == keys
    with inbox.database.reading() as session:
        assert find_contents(session, ["d1", "d5", "d9", "none"]) == [b"d9", b"d5", b"d1"]
        assert len(find_contents(session, (str(number) for number in range(2000)))) == 0


def test_a_refused_message_is_kept_and_may_be_accepted_later(inbox: DatabaseInbox) -> None:
    unreadable = MessageKey("", "", "", "")
    for content in (b"one", b"two", b"two"):
        inbox.add(received(unreadable, content, is_accepted=False))
    inbox.add(received(is_accepted=False))
    assert (inbox.count_refused(), inbox.find(KEY), list(inbox.accepted())) == (3, None, [])
    inbox.add(received())
    assert (inbox.count_refused(), inbox.find(KEY)) == (2, received())


def test_a_message_is_accepted_once(inbox: DatabaseInbox) -> None:
    inbox.add(received())
    with pytest.raises(IntegrityError):
        inbox.add(received())
