"""One process alone with a database, on SQLite and on PostgreSQL."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from datetime import UTC, datetime

import pytest
from sqlalchemy import text

from fhir_adapters.mllp import MllpClient
from mscprotocol.errors import RequestError
from mscprotocol.store.database import open_database
from mscprotocol.store.inbox import DatabaseInbox
from mscprotocol.store.sole import alone
from mscprotocol.terminal import LOCKED
from tests.adapters.hl7v2.messages import adt, oru, result
from tests.web.live import LISTEN, running

HOLD = """
import sys, time
from mscprotocol.store.database import open_database
from mscprotocol.store.sole import alone
with alone(open_database(sys.argv[1]), "listen"):
    print("held", flush=True)
    sys.stdin.read()
"""


def is_free(url: str, purpose: str = "listen") -> bool:
    database = open_database(url)
    try:
        with alone(database, purpose):
            return True
    except RequestError as error:
        assert error.code == "locked"
        return False
    finally:
        database.close()


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_another_process_waits_outside_until_the_first_has_ended_or_died(url: str, end: signal.Signals) -> None:
    command = [sys.executable, "-c", HOLD, url]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        assert not is_free(url)
        assert is_free(url, "another-purpose")
        holder.send_signal(end)
        holder.wait(60)
    assert is_free(url)
    assert is_free(url), "and what was held is given back"


def test_a_database_in_memory_is_nobody_elses() -> None:
    assert is_free("sqlite://")


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
def test_a_listener_whose_server_began_anew_answers_nothing_more_and_ends(url: str) -> None:
    """Another one may have listened since, and what this one knows of the patients is not all."""
    database = open_database(url)
    database.migrate()

    async def send(port: int) -> list[bytes]:
        async with MllpClient("127.0.0.1", port) as client:
            before = await client.send(adt("A01"))
            with database.writing() as session:
                others = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
                assert session.execute(text(others)).scalar()
            return [before, await client.send(oru(result(), control="2"))]

    with running(LISTEN, "listen", "--port", "0", "--database", url) as process:
        before, after = asyncio.run(send(process.port))
        process.process.wait(60)
    assert b"|AA|" in before
    assert b"|AR|" in after
    assert process.process.returncode == LOCKED
    assert "begin it anew" in process.output
    kept = DatabaseInbox(database, lambda: datetime.now(UTC)).accepted()
    assert [one.answer for one in kept] == [before]
    database.close()
