"""Files of HL7 v2 to single messages: several in a row, framed as on a wire, or in batches that must be whole."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from fhir_adapters.unpacking import MAX_BYTES
from mscprotocol.errors import DataError

_HEADS = (b"MSH", b"FHS", b"BHS")
_ENVELOPES = (b"FHS", b"BHS", b"BTS", b"FTS")
_BEFORE = b"\xef\xbb\xbf\x0b \t\r\n"
_LINE_ENDS = re.compile(rb"[\r\n\x0b\x1c]+")


@dataclass(slots=True)
class _Envelopes:
    """The envelopes of a file while it is read: which are open, and what they hold so far."""

    open: list[bytes] = field(default_factory=list)
    messages: int = 0
    batches: int = 0

    def read(self, line: bytes) -> None:
        name = line[:3]
        if name in (b"FHS", b"BHS"):
            self.open.append(name)
            self.messages = 0
            return
        is_batch = name == b"BTS"
        self.batches += is_batch
        begun = b"BHS" if is_batch else b"FHS"
        if begun in self.open:
            del self.open[self.open.index(begun) :]
        stated = line.split(line[3:4])[1].strip() if len(line) > 4 else b""
        # A file of one batch may leave the envelope of the batch out.
        held = {self.messages} if is_batch else {self.batches} if self.batches else {0, 1}
        if stated.isdigit() and int(stated) not in held:
            raise DataError("incomplete_page", f"the batch states another number in {name.decode()}-1 than it holds")


def is_hl7v2(content: bytes) -> bool:
    """Whether the bytes of a file begin as HL7 v2 does, and no other format."""
    head = content[:256].lstrip(_BEFORE)
    return head[:3] in _HEADS and not head[3:4].isalnum() and not head[3:4].isspace() and len(head) > 3


def split_file(content: bytes) -> list[bytes]:
    """The messages of a file, unframed and in their order.

    Raises DataError: `too_large`, `unreadable` if it holds none, `incomplete_page` if a batch is not whole.
    """
    if len(content) > MAX_BYTES:
        raise DataError("too_large", f"the file is larger than {MAX_BYTES // 1024 // 1024} MiB")
    envelopes = _Envelopes()
    messages: list[list[bytes]] = []
    for line in _LINE_ENDS.split(content.lstrip(_BEFORE)):
        if line[:3] in _ENVELOPES and not line[3:4].isalnum():
            envelopes.read(line)
        elif line.startswith(b"MSH"):
            envelopes.messages += 1
            messages.append([line])
        elif messages:
            messages[-1].append(line)
    if envelopes.open:
        raise DataError("incomplete_page", "the batch is cut short: its last line is missing")
    if not messages:
        raise DataError("unreadable", "the file holds no HL7 v2 message")
    return [b"\r".join(lines) for lines in messages]
