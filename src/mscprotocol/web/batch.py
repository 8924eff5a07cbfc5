"""A batch: one patient a line comes in, one answer a line goes out in the same order, while the client still sends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from enum import Enum

import msgspec
import structlog
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from mscprotocol.errors import DataError, RequestError
from mscprotocol.web import metrics
from mscprotocol.web.middleware import BodyTooLargeError
from mscprotocol.web.problems import ProblemError

NDJSON = ("application/x-ndjson", "application/ndjson", "application/fhir+ndjson", "application/jsonl")
PATH = "/api/v1/assess/batch"
log = structlog.get_logger("mscprotocol.batch")


class Cut(Enum):
    """In place of the rest of a body that grew beyond its limit."""

    HERE = 0


_Chunks = asyncio.Queue[bytes | Cut | None]


class BatchResponse(Response):
    """Answers each line as soon as it is whole.

    It reads ahead of the work, so that a client that sends all before it reads any is not blocked; what waits is
    bounded by the limit of the body. When the client leaves, no further line is begun.
    """

    media_type = NDJSON[0]

    def __init__(self, answer: Callable[[int, bytes], bytes], longest_line: int, seconds: float) -> None:
        super().__init__()
        del self.headers["content-length"]
        self.answer, self.longest_line, self.seconds = answer, longest_line, seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read and answer side by side until all is answered or the client has left."""
        chunks: _Chunks = asyncio.Queue()
        tasks = [asyncio.create_task(_read(receive, chunks)), asyncio.create_task(self._work(chunks, send))]
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for task in done:
            task.result()  # what failed is told to the layers around

    async def _work(self, chunks: _Chunks, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        async for number, line in split_lines(chunks, self.longest_line):
            body = await self._answer_line(number, line)
            if body:
                await send({"type": "http.response.body", "body": body + b"\n", "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _answer_line(self, number: int, line: bytes | Cut | None) -> bytes:
        if isinstance(line, Cut):
            text = (
                "the body grew beyond its limit: this line and all after it were not read; send them in another batch"
            )
            return _failure(number, "too_large", text)
        if line is None:
            return _failure(number, "too_large", f"the line is longer than {self.longest_line} bytes")
        if not line.strip():
            return b""
        try:
            async with asyncio.timeout(self.seconds):
                return await asyncio.to_thread(self.answer, number, line)
        except (DataError, RequestError, ProblemError) as error:
            metrics.count_failure(PATH, error.code)
            return _failure(number, error.code, str(error))
        except TimeoutError:
            return _failure(number, "timeout", "the record took longer than the service allows")
        except Exception as error:  # noqa: BLE001 - a defect of ours ends this line and not the batch
            log.error("defect", kind=type(error).__name__)
            return _failure(number, "internal_error", "the service failed; its operator finds the cause in the log")


def _failure(number: int, code: str, text: str) -> bytes:
    return msgspec.json.encode({"error": {"code": code, "message": text, "line": number}})


async def _read(receive: Receive, chunks: _Chunks) -> None:
    """Everything that the client sends; ends when the client leaves."""
    while True:
        try:
            message = await receive()
        except BodyTooLargeError:
            chunks.put_nowait(Cut.HERE)
            await asyncio.Event().wait()  # what came is answered first
            raise
        if message["type"] == "http.disconnect":
            return
        chunks.put_nowait(message.get("body", b""))
        if not message.get("more_body", False):
            chunks.put_nowait(None)


async def split_lines(chunks: _Chunks, longest: int) -> AsyncIterator[tuple[int, bytes | Cut | None]]:
    """Each line with its number from 1; None for one that is too long, of which nothing is kept; a cut ends them."""
    number, held, is_too_long = 1, bytearray(), False
    while (chunk := await chunks.get()) is not None:
        if isinstance(chunk, Cut):
            yield number, chunk
            return
        *ended, rest = chunk.split(b"\n")
        for part in ended:
            held += part
            yield number, None if is_too_long or len(held) > longest else bytes(held)
            number, held, is_too_long = number + 1, bytearray(), False
        held += rest
        if len(held) > longest:
            held, is_too_long = bytearray(), True
    if held or is_too_long:
        yield number, None if is_too_long else bytes(held)
