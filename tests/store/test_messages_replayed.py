"""An answer that was made of messages refers to them, and is replayed from them however they had to be read."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import delete, func, select, update

from fhir_adapters.hl7v2_receiving import Receiver, ReceiverSettings
from mscprotocol import records
from mscprotocol.knowledge import KnowledgeBase
from mscprotocol.listening import Keeper
from mscprotocol.service import Service
from mscprotocol.store import assessments
from mscprotocol.store.database import Database
from mscprotocol.store.inbox import DatabaseInbox
from mscprotocol.store.tables import ReceivedMessage, StoredAssessment
from mscprotocol.verification import Kept, open_kept, read_sealed, verify, write_sealed
from tests.adapters.hl7v2.messages import OBR, PID, adt, message, oru, result

NOW = datetime(2020, 4, 6, 12, tzinfo=UTC)
OTHER = PID.replace("4711", "0815")
# Without zones, of another patient in between, in a character set that is stated nowhere, and a merge at the end.
MESSAGES = (
    adt("A01", PID.replace("Ada", "Zo\u00eb"), encoding="latin-1"),
    message(PID, OBR.replace("+0000", ""), result(), sent="202004061000", control="2"),
    message(PID.replace("4711", "1"), OBR, result("99"), control="3"),
    message(OTHER, OBR.replace("+0000", ""), result("120"), sent="202004061100", control="4"),
    adt("A40", PID, "MRG|0815^^^HOSP^MR", control="5"),
)


def listen(database: Database, knowledge: KnowledgeBase, settings: ReceiverSettings) -> Kept:
    """The last answer about the patient of `PID`, who was assessed after each message."""
    service = Service(knowledge, database, lambda: NOW)
    keeper = Keeper(service, "seed-covid-4x", "UTC", settings)
    receiver = Receiver(DatabaseInbox(database, service.clock), settings, service.clock)

    async def send_all() -> None:
        for one in MESSAGES:
            assert b"|AA|" in await receiver.handle(one)
            for chart in receiver.patients:
                known = await receiver.known_of(chart)
                assert known is None or keeper(*known) is None or known[1]

    asyncio.run(send_all())
    with database.reading() as session:
        query = select(StoredAssessment).order_by(func.length(StoredAssessment.inputs).desc())
        kept = open_kept(session, next(iter(session.execute(query).scalars())))
        assert list(records.find_faults(session)) == []
    assert len(kept.messages) == len(MESSAGES) - 1
    return kept


@pytest.mark.parametrize("zone", [None, ZoneInfo("Asia/Shanghai")])
def test_an_answer_made_of_messages_comes_out_the_same(
    database: Database, knowledge: KnowledgeBase, zone: ZoneInfo | None
) -> None:
    kept = listen(database, knowledge, ReceiverSettings(zone=zone, assumed_encoding="8859/1"))
    for one in (kept, read_sealed(write_sealed(kept))):
        found = verify(one, knowledge, NOW)
        assert (found.outcome, found.why) == ("same", [])
    # Each answer holds 85 bytes a message, whatever a message holds.
    assert sum(map(len, assessments.read_inputs(kept.stored))) < 90 * len(MESSAGES)


def test_a_message_that_was_changed_or_vanished_is_found(database: Database, knowledge: KnowledgeBase) -> None:
    kept = listen(database, knowledge, ReceiverSettings(assumed_encoding="8859/1"))
    for messages in (kept.messages[1:], (oru(result()), *kept.messages[1:])):
        assert verify(Kept(kept.stored, messages), knowledge, NOW).outcome == "altered"
    query = select(ReceivedMessage).order_by(ReceivedMessage.sequence)
    with database.reading() as session:
        first, second, *_ = session.execute(query).scalars()
    mine = ReceivedMessage.sequence == first.sequence
    for change in (update(ReceivedMessage).where(mine).values(content=second.content), delete(ReceivedMessage)):
        with database.writing() as session:
            session.execute(change)
        with database.reading() as session:
            assert f"Assessment/{kept.stored.id}: altered" in list(records.find_faults(session))
