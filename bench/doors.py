"""The server's doors under load: CDS Hooks by 32 clients at once, HL7 v2 over one connection, beside the bare work.

`python bench/doors.py [SECONDS]`. The server is a process of its own with one worker and SQLite on a disk; the clients
share the machine with it, so on two cores they slow it down. Each figure stands beside a baseline of the same run.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter
from typing import Any

import httpx2
from mllp import make_message
from timing import Times, repeat

from fhir_adapters.bundle import read_bundle
from fhir_adapters.hl7v2_inbox import Inbox, MemoryInbox
from fhir_adapters.hl7v2_mapping import map_message
from fhir_adapters.hl7v2_parsing import parse_message
from fhir_adapters.hl7v2_receiving import Receiver, ReceiverSettings
from fhir_adapters.mllp import MllpClient, MllpServer
from fhir_adapters.record_builder import build_record
from mscprotocol.assessment import assess
from mscprotocol.case import Request
from mscprotocol.knowledge_loader import load_knowledge
from mscprotocol.rulebook import compile_rulebook
from mscprotocol.store.database import open_database
from mscprotocol.store.inbox import DatabaseInbox

SERVICE, SAMPLE = "seed-covid-4x", "eligible"
CLIENTS, RATE = 32, 50
FILE = Path(__file__).resolve().parent.parent / "samples" / SAMPLE / "input.json"


# -- the bare work -------------------------------------------------------------------------------------


def bare_assessment() -> Times:
    """Bytes to answer of the sample patient in this process, the memo warm: no HTTP, no cards, no database."""
    knowledge, content = load_knowledge(), FILE.read_bytes()
    book = compile_rulebook(knowledge, SERVICE)
    now = datetime.now(UTC)
    return repeat(lambda: assess(build_record(read_bundle(content), knowledge), book, Request(at=now)))


def bare_message() -> Times:
    """One message read and mapped to resources: no wire, no store, no acknowledgement."""
    content = make_message(1, 1)
    return repeat(lambda: map_message(parse_message(content), None))


# -- CDS Hooks -----------------------------------------------------------------------------------------


@contextmanager
def serving(folder: str) -> Iterator[str]:
    """The address of a server with one worker."""
    settings = {"MSCPROTOCOL_DATABASE_URL": f"sqlite:///{folder}/store.sqlite3", "MSCPROTOCOL_REQUESTS_PER_MINUTE": "0"}
    command = [sys.executable, "-m", "mscprotocol", "serve", "--port", "0"]
    with Path(folder, "log").open("w+b") as log:
        process = subprocess.Popen(command, stderr=log, env=os.environ | settings)
        try:
            yield _address(process, Path(log.name))
        finally:
            process.terminate()
            process.wait(60)


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    until = perf_counter() + 60
    while perf_counter() < until and process.poll() is None:
        if found := re.search(rb"running on (http://[\d.:]+)", log.read_bytes()):
            return found[1].decode()
    raise SystemExit("the server did not start")


def make_call(templates: dict[str, str]) -> dict[str, Any]:
    """A call with full prefetch, as a client would fill it: null where there is nothing."""
    resources = [entry["resource"] for entry in json.loads(FILE.read_bytes())["entry"]]
    prefetch: dict[str, Any] = {}
    taken: set[str] = set()
    for key, template in templates.items():
        kind = re.split(r"[?/]", template)[0]
        these = [one for one in resources if one["resourceType"] == kind] if kind not in taken else []
        taken.add(kind)
        bundle = {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": one} for one in these]}
        prefetch[key] = None if not these else these[0] if kind == "Patient" else bundle
    context = {"userId": "Practitioner/1", "patientId": SAMPLE}
    return {"hook": "patient-view", "context": context, "prefetch": prefetch}


async def call(client: httpx2.AsyncClient, body: dict[str, Any], waits: list[float], lost: list[int]) -> None:
    """One call; each is another one, so none is answered from the store."""
    begun = perf_counter()
    try:
        reply = await client.post(f"/cds-services/{SERVICE}", json=body | {"hookInstance": str(uuid.uuid4())})
        if reply.status_code != 200 or not reply.json()["cards"]:
            lost.append(reply.status_code)
    except httpx2.HTTPError:
        lost.append(0)
    waits.append(perf_counter() - begun)


async def all_at_once(
    client: httpx2.AsyncClient, body: dict[str, Any], seconds: float
) -> tuple[list[float], list[int]]:
    """Every client calls again as soon as it is answered."""
    waits: list[float] = []
    lost: list[int] = []
    until = perf_counter() + seconds

    async def one_client() -> None:
        while perf_counter() < until:
            await call(client, body, waits, lost)

    await asyncio.gather(*(one_client() for _ in range(CLIENTS)))
    return waits, lost


async def at_a_rate(client: httpx2.AsyncClient, body: dict[str, Any], seconds: float) -> tuple[list[float], list[int]]:
    """Calls begin at even times, whether or not earlier ones are answered."""
    waits: list[float] = []
    lost: list[int] = []
    begun = perf_counter()

    async def one_call(number: int) -> None:
        await asyncio.sleep(max(0.0, begun + number / RATE - perf_counter()))
        await call(client, body, waits, lost)

    await asyncio.gather(*(one_call(number) for number in range(int(seconds * RATE))))
    return waits, lost


async def measure_cds(address: str, seconds: float, bare: float) -> None:
    """Print latencies of both kinds of load, in ms and as multiples of the bare assessment."""
    limits = httpx2.Limits(max_connections=CLIENTS, max_keepalive_connections=CLIENTS)
    async with httpx2.AsyncClient(base_url=address, timeout=60, limits=limits) as client:
        services = (await client.get("/cds-services")).json()["services"]
        body = make_call(next(one for one in services if one["id"] == SERVICE)["prefetch"])
        for _ in range(20):
            await call(client, body, [], [])
        for name, load in ((f"{CLIENTS} clients at once", all_at_once), (f"{RATE} calls a second", at_a_rate)):
            begun = perf_counter()
            waits, lost = await load(client, body, seconds)
            p50, p95 = median(waits), quantiles(waits, n=20)[-1]
            rate = len(waits) / (perf_counter() - begun)
            print(f"CDS Hooks, {name}: p50 {p50 * 1000:.0f} ms ({p50 / bare:.1f} x bare), p95 {p95 * 1000:.0f} ms "
                  f"({p95 / bare:.1f} x bare), {rate:.0f}/s, {len(waits)} calls, {len(lost)} lost")  # fmt: skip


# -- HL7 v2 --------------------------------------------------------------------------------------------


async def measure_messages(inbox: Inbox, count: int) -> float:
    """Messages a second over one connection, each acknowledged before the next is sent."""
    server = MllpServer(Receiver(inbox, ReceiverSettings(), lambda: datetime.now(UTC)))
    port = await server.start("127.0.0.1", 0)
    async with MllpClient("127.0.0.1", port) as client:
        begun = perf_counter()
        for number in range(count):
            assert b"|AA|" in await client.send(make_message(number, 50))
        seconds = perf_counter() - begun
    await server.close()
    return count / seconds


def main(seconds: float) -> None:
    """Measure and print."""
    bare, mapped = bare_assessment().median, bare_message().median
    print(f"bare: bytes to answer {bare * 1000:.1f} ms, one message read and mapped {mapped * 1000:.2f} ms")
    with tempfile.TemporaryDirectory() as folder:
        with serving(folder) as address:
            asyncio.run(measure_cds(address, seconds, bare))
        database = open_database(f"sqlite:///{folder}/messages.sqlite3")
        database.migrate()
        inboxes: tuple[tuple[str, Inbox], ...] = (
            ("kept in memory", MemoryInbox()),
            ("committed to disk", DatabaseInbox(database, lambda: datetime.now(UTC))),
        )
        for name, inbox in inboxes:
            rate = asyncio.run(measure_messages(inbox, 1000))
            print(f"HL7 v2 over one connection, {name}: {rate:.0f} messages/s ({rate * mapped:.2f} of bare)")
        database.close()


if __name__ == "__main__":
    main(float((sys.argv[1:] or ["12"])[0]))
