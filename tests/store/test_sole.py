"""One process alone with a database, on SQLite and on PostgreSQL."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from mscprotocol.errors import RequestError
from mscprotocol.store.database import open_database
from mscprotocol.store.sole import alone

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
