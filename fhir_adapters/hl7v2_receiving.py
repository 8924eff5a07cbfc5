"""One received message to its acknowledgement: read, gated, filed, and added to its patient, in this order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

import structlog

from fhir_adapters.bundle import PatientBundle
from fhir_adapters.hl7v2_acknowledgement import Outcome, Problem, acknowledge, problem_of, warnings_of
from fhir_adapters.hl7v2_definitions import VERSIONS
from fhir_adapters.hl7v2_inbox import Inbox, MessageKey, Received
from fhir_adapters.hl7v2_mapping import Mapped, effect_of, map_message
from fhir_adapters.hl7v2_parsing import Message, MessageError, parse_message, read_header
from fhir_adapters.hl7v2_patients import Chart, Patients

log = structlog.get_logger("mscprotocol.hl7v2")
# Others wait while a message is read, which takes a few seconds for so many.
MOST_PARTS = 10_000


@dataclass(frozen=True, slots=True)
class ReceiverSettings:
    """What a site decides: whether only production messages count, its zone, and the set of an empty MSH-18."""

    is_production: bool = True
    zone: ZoneInfo | None = None
    assumed_encoding: str = ""


class Receiver:
    """Takes messages one at a time, whatever connection they come by. `on_change` hears of each chart that changed."""

    def __init__(
        self,
        inbox: Inbox,
        settings: ReceiverSettings,
        now: Callable[[], datetime],
        on_change: Callable[[Chart], None] = lambda _: None,
    ) -> None:
        self.patients = Patients()
        self._inbox, self._settings, self._now, self._on_change = inbox, settings, now, on_change
        self._lock = asyncio.Lock()
        for received in inbox.accepted():
            self._announce(self._restore(received))

    async def handle(self, content: bytes) -> bytes:
        """The acknowledgement of one message, empty if its sender wants none. Never raises for what was sent."""
        async with self._lock:
            # The inbox may wait for a disk; other connections go on reading meanwhile.
            answer, charts = await asyncio.to_thread(self._take, content)
        self._announce(charts)
        return answer

    async def known_of(self, chart: Chart) -> tuple[PatientBundle, list[str]] | None:
        """What is known of a patient now, and the digests of the messages that it is known from; None if merged.

        Raises DataError.
        """
        async with self._lock:
            return await asyncio.to_thread(_open, chart) if chart.messages else None

    def refuse(self, head: bytes, text: str) -> bytes:
        """The answer to a message of which only the beginning could be taken, because it is too long or broken off."""
        message: Message | None
        try:
            message = self._parse(head)
        except MessageError:
            message = read_header(head)
        log.warning("message refused", why=text)
        return self._answer(message, "rejected", [Problem("", "207", text)])

    # -- one message -------------------------------------------------------------------------------

    def _take(self, content: bytes) -> tuple[bytes, list[Chart]]:
        message: Message | None = None
        try:
            message = self._parse(content)
            before = self._inbox.find(_key(message))
            if before is not None:
                log.info("message replayed, answered as before")
                return before.answer, []
            return self._file(message, content)
        except MessageError as error:
            return self._refuse(message or read_header(content), content, error), []
        except Exception as error:  # noqa: BLE001 - whatever fails, the sender keeps the message and hears so
            log.error("message not filed", error=type(error).__name__)
            return self._answer(message, "rejected", [Problem("", "207", "the message could not be filed")]), []

    def _file(self, message: Message, content: bytes) -> tuple[bytes, list[Chart]]:
        self._gate(message)
        mapped = self._map(message)
        self.patients.check(mapped)
        notes = [*self.patients.namesakes(mapped), *(note for one in mapped for note in one.notes)]
        answer = self._answer(message, "accepted", warnings_of(notes))
        # Kept before it is answered and before it counts: what fails here was never taken.
        self._inbox.add(Received(_key(message), content, answer, is_accepted=True))
        return answer, self.patients.take(mapped)

    def _refuse(self, message: Message | None, content: bytes, error: MessageError) -> bytes:
        outcome: Outcome = "rejected" if error.is_rejected else "error"
        log.warning("message refused", code=error.code, condition=error.condition, place=error.place)
        answer = self._answer(message, outcome, [problem_of(error)])
        key = MessageKey("", "", "", "") if message is None else _key(message)
        self._inbox.add(Received(key, content, answer, is_accepted=False))
        return answer

    def _restore(self, received: Received) -> list[Chart]:
        """A message that was accepted before the process began; one that is read no more is kept, and said."""
        try:
            return self.patients.take(self._map(self._parse(received.content)))
        except MessageError as error:
            log.error("a kept message cannot be read any more", code=error.code, place=error.place)
            return []

    def _gate(self, message: Message) -> None:
        """Refuse what this receiver is not for, before anything of the message is read."""
        effect_of(message)
        if _count_parts(message) > MOST_PARTS:
            text = f"the message has more than {MOST_PARTS} segments and repetitions: send it in several"
            raise MessageError("too_large", text, "207", is_rejected=True)
        if message.version not in VERSIONS:
            raise MessageError("unreadable", "this version of HL7 is not read", "203", "MSH^1^12", is_rejected=True)
        processing = message.header.text(11).upper()
        if processing not in ("P", "D", "T"):
            text = "MSH-11 is P, D or T"
            raise MessageError("unreadable", text, "202", "MSH^1^11", is_rejected=True)
        if self._settings.is_production and processing != "P":
            text = "test and training messages are not taken in production"
            raise MessageError("unreadable", text, "202", "MSH^1^11", is_rejected=True)
        if not message.control_id:
            raise MessageError("unreadable", "a message needs a control id", "101", "MSH^1^10")

    def _parse(self, content: bytes) -> Message:
        return parse_message(content, self._settings.assumed_encoding)

    def _map(self, message: Message) -> tuple[Mapped, ...]:
        return map_message(message, self._settings.zone)

    def _answer(self, message: Message | None, outcome: Outcome, problems: Sequence[Problem]) -> bytes:
        return acknowledge(None if message is None else message.header, outcome, problems, self._now())

    def _announce(self, charts: Iterable[Chart]) -> None:
        for chart in charts:
            self._on_change(chart)


def _open(chart: Chart) -> tuple[PatientBundle, list[str]]:
    return chart.bundle(), list(dict.fromkeys(digest for digest, _ in chart.messages))


def _count_parts(message: Message) -> int:
    """Segments and repetitions of fields: what the time to read a message grows with."""
    mark = message.segments[0].syntax.repetition
    repeated = sum(field.count(mark) for one in message.segments[1:] for field in one.fields) if mark else 0
    return len(message.segments) + repeated


def _key(message: Message) -> MessageKey:
    return MessageKey(message.header.text(3), message.header.text(4), message.control_id, message.digest)
