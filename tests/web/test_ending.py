"""Servers end in good order: what was begun is answered and stored, and no process stays behind."""

from __future__ import annotations

import json
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path

import httpx2
from sqlalchemy import select

from fhir_adapters.plain_forms import EXAMPLE
from mscprotocol.store.database import open_database
from mscprotocol.store.tables import StoredAssessment
from tests.web.live import SERVE, running

RECORD = json.dumps(EXAMPLE).encode()
HEAD = (
    "POST /api/v1/assess HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    f"Content-Length: {len(RECORD)}\r\nExpect: 100-continue\r\n\r\n"
).encode()


def takes_connections(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except OSError:
        return False
    return True


def wait_until(is_so: Callable[[], bool]) -> None:
    until = time.monotonic() + 120
    while not is_so():
        assert time.monotonic() < until
        time.sleep(0.02)


def test_a_request_that_was_begun_is_answered_after_sigterm(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/store.sqlite3"
    with running(SERVE, "serve", "--port", "0", database_url=url) as process:
        with socket.create_connection(("127.0.0.1", process.port), timeout=60) as client:
            client.sendall(HEAD)
            assert b"100 Continue" in client.recv(4096)  # the service waits for the body
            process.process.send_signal(signal.SIGTERM)
            wait_until(lambda: not takes_connections(process.port))
            client.sendall(RECORD)
            answer = b"".join(iter(lambda: client.recv(65536), b""))
        process.process.wait(60)
    assert answer.startswith(b"HTTP/1.1 200")
    assert b'"verdict"' in answer
    assert process.process.returncode in (0, -signal.SIGTERM)
    database = open_database(url)
    with database.reading() as session:
        assert len(session.execute(select(StoredAssessment.id)).all()) == 1
    database.close()


def test_several_workers_say_where_they_listen_and_end_with_their_parent(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/store.sqlite3"
    with running(SERVE, "serve", "--port", "0", "--workers", "2", database_url=url) as process:
        wait_until(lambda: takes_connections(process.port))  # the address is known before the workers are there
        assert httpx2.get(f"{process.address}/healthz", timeout=60).json() == {"status": "ok"}
        process.kill()
        wait_until(lambda: not takes_connections(process.port))
