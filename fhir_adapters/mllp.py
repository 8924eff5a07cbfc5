"""MLLP, the framing of HL7 v2 on a wire: a server for many messages a connection, and a client for tests."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol

import structlog

log = structlog.get_logger("mscprotocol.mllp")
START, END, CARRIAGE_RETURN = 0x0B, 0x1C, 0x0D
# What is kept of a message that is too long: enough to answer its header.
_HEAD = 4096
_CHUNK = 65536


@dataclass(frozen=True, slots=True)
class Frame:
    """What came between a start and an end block; `trouble` says why it is only the beginning."""

    content: bytes
    trouble: str = ""


class FrameReader:
    """Bytes as they arrive to frames, in whatever pieces; bytes between frames are counted and dropped."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.dropped = 0
        self._held = bytearray()
        self._is_inside = False
        self._is_too_long = False

    @property
    def is_inside(self) -> bool:
        """Whether a frame has begun and not ended."""
        return self._is_inside

    def feed(self, data: bytes) -> Iterator[Frame]:
        """The frames that these bytes complete."""
        position = 0
        while position < len(data):
            if not self._is_inside:
                position = self._begin(data, position)
                continue
            end, start = (data.find(mark, position) for mark in (END, START))
            stops = [place for place in (end, start) if place >= 0]
            stop = min(stops, default=len(data))
            self._hold(data[position:stop])
            position = stop + 1
            if stops:
                yield self._finish("" if stop == end else "the message is broken off by another one")
                self._is_inside = stop == start

    def _begin(self, data: bytes, position: int) -> int:
        start = data.find(START, position)
        skipped = data[position:] if start < 0 else data[position:start]
        self.dropped += len(skipped.strip(b"\r\n"))
        self._is_inside = start >= 0
        return len(data) if start < 0 else start + 1

    def _hold(self, piece: bytes) -> None:
        self._is_too_long = self._is_too_long or len(self._held) + len(piece) > self.max_bytes
        if self._is_too_long:
            self._held += piece[: max(0, _HEAD - len(self._held))]
            del self._held[_HEAD:]
        else:
            self._held += piece

    def _finish(self, trouble: str) -> Frame:
        trouble = f"the message is longer than {self.max_bytes} bytes" if self._is_too_long else trouble
        content = bytes(self._held)
        self._held.clear()
        self._is_inside = self._is_too_long = False
        return Frame(content, trouble)


def to_frame(message: bytes) -> bytes:
    """A message as it goes over the wire."""
    return bytes((START,)) + message + bytes((END, CARRIAGE_RETURN))


class Handler(Protocol):
    """What answers messages; an empty answer sends nothing."""

    async def handle(self, content: bytes) -> bytes:
        """The answer to a whole message."""

    def refuse(self, head: bytes, text: str) -> bytes:
        """The answer to a message of which only the beginning could be taken."""


# -- server ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Limits:
    """What a sender may ask of the server. Seconds: for the rest of a frame, between frames, at the end."""

    max_bytes: int = 4 * 1024 * 1024
    max_connections: int = 64
    max_garbage: int = 65536
    frame_seconds: float = 30
    idle_seconds: float = 3600
    grace_seconds: float = 10


class MllpServer:
    """Listens until it is closed; messages of one connection are answered in their order, one at a time."""

    def __init__(self, handler: Handler, limits: Limits | None = None) -> None:
        self._handler, self._limits = handler, limits or Limits()
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._idle: set[asyncio.Task[None]] = set()
        self._is_closing = False

    async def start(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> int:
        """Begin to listen; the port that it is, which matters where 0 was asked for."""
        self._server = await asyncio.start_server(self._accept, host, port, ssl=tls)
        return int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Take no more connections, answer what has begun, and end; what takes longer than the grace is cut off."""
        self._is_closing = True
        if self._server is not None:
            self._server.close()
        for task in tuple(self._idle):
            task.cancel()
        if self._connections:
            _, late = await asyncio.wait(tuple(self._connections), timeout=self._limits.grace_seconds)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None or self._is_closing or len(self._connections) >= self._limits.max_connections:
            log.warning("connection refused: there are too many", open=len(self._connections))
            writer.close()
            return
        self._connections.add(task)
        try:
            await self._converse(task, reader, writer)
        except TimeoutError:
            log.warning("connection closed: the sender is too slow, or was idle for too long")
        except (ConnectionError, ssl.SSLError) as error:
            log.info("connection lost", error=type(error).__name__)
        except asyncio.CancelledError:
            log.info("connection closed: the server ends")
        finally:
            self._connections.discard(task)
            self._idle.discard(task)
            writer.close()

    async def _converse(
        self, task: asyncio.Task[None], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        frames = FrameReader(self._limits.max_bytes)
        deadline = 0.0
        while not self._is_closing:
            now = asyncio.get_running_loop().time()
            if not frames.is_inside:
                self._idle.add(task)
                deadline = 0.0
            else:
                # The whole frame has to come in time, not just its next byte.
                deadline = deadline or now + self._limits.frame_seconds
            seconds = deadline - now if deadline else self._limits.idle_seconds
            data = await asyncio.wait_for(reader.read(_CHUNK), max(seconds, 0.001))
            self._idle.discard(task)
            if not data:
                if frames.is_inside:
                    log.warning("connection ended within a message: it was not taken, and not answered")
                return
            for frame in frames.feed(data):
                deadline = 0.0
                await self._answer(frame, writer)
            if frames.dropped > self._limits.max_garbage:
                log.warning("connection closed: what it sends is not framed as MLLP")
                return

    async def _answer(self, frame: Frame, writer: asyncio.StreamWriter) -> None:
        if not frame.content.strip() and not frame.trouble:
            return
        if frame.trouble:
            answer = self._handler.refuse(frame.content, frame.trouble)
        else:
            answer = await self._handler.handle(frame.content)
        if answer:
            writer.write(to_frame(answer))
            await asyncio.wait_for(writer.drain(), self._limits.frame_seconds)


def server_tls(certificate: Path, key: Path, client_authorities: Path | None = None) -> ssl.SSLContext:
    """TLS for a server; with `client_authorities`, only for senders whose certificate one of them signed."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key)
    if client_authorities is not None:
        context.load_verify_locations(client_authorities)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


# -- client ----------------------------------------------------------------------------------------


class MllpClient:
    """One connection to a server: `async with MllpClient(host, port) as client: await client.send(message)`."""

    def __init__(self, host: str, port: int, tls: ssl.SSLContext | None = None, *, seconds: float = 30) -> None:
        self._where, self._tls, self._seconds = (host, port), tls, seconds
        self._frames = FrameReader(4 * 1024 * 1024)
        self._waiting: list[bytes] = []

    async def __aenter__(self) -> MllpClient:
        self.reader, self.writer = await asyncio.open_connection(*self._where, ssl=self._tls)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.writer.close()

    async def send(self, message: bytes) -> bytes:
        """Send one message and wait for its answer. Raises TimeoutError, or ConnectionError when there is none."""
        self.writer.write(to_frame(message))
        await self.writer.drain()
        return await self.receive()

    async def receive(self) -> bytes:
        """The next answer."""
        while not self._waiting:
            data = await asyncio.wait_for(self.reader.read(_CHUNK), self._seconds)
            if not data:
                raise ConnectionError("the connection was closed before an answer came")
            self._waiting.extend(frame.content for frame in self._frames.feed(data))
        return self._waiting.pop(0)
