"""Where received messages are kept before they are acknowledged: the seam for a store that outlives the process."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class MessageKey:
    """What a message is known by: its sender (MSH-3, MSH-4), its control id (MSH-10), and its content.

    Senders that count anew after a restart use a control id twice; the content tells a replay from another message.
    """

    application: str
    facility: str
    control_id: str
    digest: str


@dataclass(frozen=True, slots=True)
class Received:
    """A message as it came, with the answer that it got."""

    key: MessageKey
    content: bytes
    answer: bytes
    is_accepted: bool


class Inbox(Protocol):
    """What the receiver asks of a store. `add` returns when the message is safe; it raises when it is not."""

    def find(self, key: MessageKey) -> Received | None:
        """The accepted message of that key, if it came before."""

    def add(self, received: Received) -> None:
        """Keep a message; one that was refused is kept for people to look at."""

    def accepted(self) -> Iterator[Received]:
        """The accepted messages, in the order in which they came."""


class MemoryInbox:
    """An inbox that forgets when the process ends, and of refused messages all but the number."""

    def __init__(self) -> None:
        self._accepted: dict[MessageKey, Received] = {}
        self.refused = 0

    def find(self, key: MessageKey) -> Received | None:
        return self._accepted.get(key)

    def add(self, received: Received) -> None:
        if received.is_accepted:
            self._accepted[received.key] = received
        else:
            self.refused += 1

    def accepted(self) -> Iterator[Received]:
        return iter(tuple(self._accepted.values()))
