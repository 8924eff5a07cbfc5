"""Every HL7 v2 file of a folder through the receiver: how each message was answered, by outcome and condition.

`python bench/hl7v2_files.py FOLDER [--production]`. Nothing is sent anywhere.
"""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import structlog
from rich.console import Console
from rich.table import Table

from fhir_adapters.hl7v2_files import is_hl7v2, split_file
from fhir_adapters.hl7v2_inbox import MemoryInbox
from fhir_adapters.hl7v2_parsing import parse_message
from fhir_adapters.hl7v2_receiving import Receiver, ReceiverSettings


def answered(answer: bytes) -> tuple[str, str]:
    """The level and the first condition of an answer."""
    if not answer:
        return "none asked for", ""
    found = parse_message(answer)
    error = next(found.named("ERR"), None)
    condition = "" if error is None else error.text(3) or error.text(1, 4)
    return found.segments[1].text(1), "" if condition == "0" else condition


async def main(folder: Path, *, is_production: bool) -> None:
    """Read, answer, count and print."""
    receiver = Receiver(MemoryInbox(), ReceiverSettings(is_production), lambda: datetime.now(UTC))
    outcomes: Counter[tuple[str, str]] = Counter()
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and is_hl7v2(path.read_bytes())]
    for path in files:
        for content in split_file(path.read_bytes()):
            outcomes[answered(await receiver.handle(content))] += 1
    table = Table(title=f"{sum(outcomes.values())} messages of {len(files)} files", title_justify="left")
    for heading in ("answer", "condition (table 0357)", "messages"):
        table.add_column(heading)
    for (level, condition), count in sorted(outcomes.items()):
        table.add_row(level, condition, str(count))
    Console(highlight=False).print(table, f"{len(list(receiver.patients))} patients")


if __name__ == "__main__":
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    asyncio.run(main(Path(sys.argv[1]), is_production="--production" in sys.argv))
