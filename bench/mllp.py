"""Ten thousand HL7 v2 messages over one MLLP connection of this machine: none lost, each answered, how fast.

`python bench/mllp.py [MESSAGES] [PATIENTS]`. Twice: to a receiver in this process that keeps them in memory, and to the
command `mscprotocol listen`, a process of its own that commits each message to a database and assesses the patients.
"""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import tempfile
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter

from sqlalchemy import func, select

from fhir_adapters.hl7v2_inbox import MemoryInbox
from fhir_adapters.hl7v2_parsing import parse_message
from fhir_adapters.hl7v2_receiving import Receiver, ReceiverSettings
from fhir_adapters.mllp import MllpClient, MllpServer
from mscprotocol.store.database import open_database
from mscprotocol.store.tables import ReceivedMessage, StoredAssessment

RESULTS = (("777-3", "Platelets", "10*9/L", 210), ("1988-5", "CRP", "mg/L", 118), ("2160-0", "Creatinine", "mg/dL", 1))


def make_message(number: int, patients: int) -> bytes:
    """A message of three results of one of some patients."""
    person = f"PID|1||{number % patients}^^^BENCH^MR||Bench^Patient||19620314|M"
    lines = [
        f"OBX|{place}|NM|{code}^{name}^LN||{value + number % 7}|{unit}^^UCUM|||||F|||20200406{number // 3600 % 24:02d}{number // 60 % 60:02d}"  # noqa: E501
        for place, (code, name, unit, value) in enumerate(RESULTS, start=1)
    ]
    header = f"MSH|^~\\&|LAB|BENCH|MSC||20200406100000+0000||ORU^R01^ORU_R01|{number}|P|2.5.1"
    return "\r".join((header, person, f"OBR|1||F{number}|x^X^L", *lines, "")).encode()


async def send_all(port: int, messages: int, patients: int) -> None:
    """Send, each message after the acknowledgement of the one before, and print counts and rate."""
    levels: Counter[str] = Counter()
    longest, begun = 0.0, perf_counter()
    async with MllpClient("127.0.0.1", port, seconds=120) as client:
        for number in range(messages):
            sent = perf_counter()
            answer = parse_message(await client.send(make_message(number, patients)))
            longest = max(longest, perf_counter() - sent)
            assert answer.segments[1].text(2) == str(number)
            levels[answer.segments[1].text(1)] += 1
    seconds = perf_counter() - begun
    rate = f"{seconds:.1f} s, {messages / seconds:.0f} messages/s, the slowest answer after {longest * 1000:.0f} ms"
    print(f"{messages} messages over one connection: {dict(levels)}, {rate}")


async def to_memory(messages: int, patients: int) -> None:
    """A receiver of this process: nothing is committed, nobody is assessed."""
    receiver = Receiver(MemoryInbox(), ReceiverSettings(), lambda: datetime.now(UTC))
    server = MllpServer(receiver)
    port = await server.start("127.0.0.1", 0)
    await send_all(port, messages, patients)
    await server.close()
    print(f"  kept in memory: {sum(len(chart.messages) for chart in receiver.patients)}")


def to_the_command(messages: int, patients: int) -> None:
    """The command with a database: what it kept, and how long it went on assessing."""
    with tempfile.TemporaryDirectory() as folder:
        url, log = f"sqlite:///{folder}/store.sqlite3", Path(folder, "log")
        command = [sys.executable, "-m", "mscprotocol", "listen", "--port", "0", "--database", url]
        with log.open("wb") as errors, Path(folder, "answers").open("wb") as out:
            process = subprocess.Popen([*command], stdout=out, stderr=errors)
        try:
            asyncio.run(send_all(_port(process, log), messages, patients))
        finally:
            begun = perf_counter()
            process.terminate()
            process.wait()
        kept, made, size = _count(url)
        print(f"  kept on disk: {kept}; {made} assessments in {size} kB, the last {perf_counter() - begun:.1f} s later")


def _port(process: subprocess.Popen[bytes], log: Path) -> int:
    while process.poll() is None:
        if found := re.search(rb'"port": (\d+)', log.read_bytes()):
            return int(found[1])
    raise SystemExit("the listener did not start")


def _count(url: str) -> tuple[int, int, int]:
    database = open_database(url)
    with database.reading() as session:
        kept = session.execute(select(func.count()).where(ReceivedMessage.is_accepted)).scalar_one()
        size = func.sum(func.length(StoredAssessment.inputs) + func.length(StoredAssessment.answer))
        made, stored = session.execute(select(func.count(), size).select_from(StoredAssessment)).one()
    database.close()
    return kept, made, (stored or 0) // 1024


if __name__ == "__main__":
    counts = [int(one) for one in sys.argv[1:]]
    how_many = tuple(counts + [10_000, 500][len(counts) :])
    asyncio.run(to_memory(*how_many))
    to_the_command(*how_many)
