"""Ten thousand HL7 v2 messages over one MLLP connection of this machine: none lost, each answered, how fast.

`python bench/mllp.py [MESSAGES] [PATIENTS]`. The listener and the sender share one process.
"""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from datetime import UTC, datetime
from time import perf_counter

from fhir_adapters.hl7v2_inbox import MemoryInbox
from fhir_adapters.hl7v2_parsing import parse_message
from fhir_adapters.hl7v2_receiving import Receiver, ReceiverSettings
from fhir_adapters.mllp import MllpClient, MllpServer

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


async def main(messages: int, patients: int) -> None:
    """Send, count and print."""
    receiver = Receiver(MemoryInbox(), ReceiverSettings(), lambda: datetime.now(UTC))
    server = MllpServer(receiver)
    port = await server.start("127.0.0.1", 0)
    levels: Counter[str] = Counter()
    longest, begun = 0.0, perf_counter()
    async with MllpClient("127.0.0.1", port) as client:
        for number in range(messages):
            sent = perf_counter()
            answer = parse_message(await client.send(make_message(number, patients)))
            longest = max(longest, perf_counter() - sent)
            assert answer.segments[1].text(2) == str(number)
            levels[answer.segments[1].text(1)] += 1
    seconds = perf_counter() - begun
    await server.close()
    kept = sum(len(chart.messages) for chart in receiver.patients)
    print(f"{messages} messages over one connection: {dict(levels)}, {kept} kept, {messages - kept} lost")
    print(f"{seconds:.1f} s, {messages / seconds:.0f} messages/s, the slowest answer after {longest * 1000:.0f} ms")


if __name__ == "__main__":
    counts = [int(one) for one in sys.argv[1:]]
    asyncio.run(main(*(counts + [10_000, 500][len(counts) :])))
