"""Servers end in good order: what was begun is answered and stored, and no process stays behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest
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


def test_what_a_caller_says_of_its_address_buys_no_more_requests(tmp_path: Path) -> None:
    limits = {"requests_per_minute": "3", "database_url": f"sqlite:///{tmp_path}/store.sqlite3"}
    with running(SERVE, "serve", "--port", "0", **limits) as server, httpx2.Client(base_url=server.address) as client:
        said = [client.get("/healthz", headers={"x-forwarded-for": f"10.0.0.{one}"}).status_code for one in range(6)]
    assert 429 in said


@pytest.mark.parametrize(
    ("name", "value", "code", "says"),
    [
        ("DATABASE_URL", "sqlite:////nowhere/at/all/store.sqlite3", 2, "the database cannot be opened"),
        ("DATABASE_URL", "postgresql+psycopg://site:of-the-database@127.0.0.1:1/store", 2, "cannot be opened"),
        ("SITE_FILE", "/nowhere.yaml", 4, "nowhere.yaml"),
        ("SITE_FILE", "{folder}/site.yaml", 4, "site.yaml"),
    ],
)
def test_what_cannot_be_opened_ends_the_server_in_words(
    tmp_path: Path, name: str, value: str, code: int, says: str
) -> None:
    (tmp_path / "site.yaml").write_text("d-dimer: {upper: much}", encoding="utf-8")
    clean = {one: text for one, text in os.environ.items() if not one.startswith("MSCPROTOCOL_")}
    clean |= {"MSCPROTOCOL_DATABASE_URL": f"sqlite:///{tmp_path}/store.sqlite3"}
    clean |= {f"MSCPROTOCOL_{name}": value.format(folder=tmp_path)}
    command = [sys.executable, "-m", "mscprotocol", "serve", "--port", "0"]
    ended = subprocess.run(command, env=clean, capture_output=True, text=True, check=False)
    assert ended.returncode == code, ended.stderr
    assert says in ended.stderr
    assert "Traceback" not in ended.stderr
    assert "of-the-database" not in ended.stderr
