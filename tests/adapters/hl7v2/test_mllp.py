"""MLLP over a real socket of this machine: many messages, pieces, garbage, long and slow senders, TLS, the end."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_adapters.hl7v2_inbox import MemoryInbox
from fhir_adapters.hl7v2_parsing import parse_message
from fhir_adapters.hl7v2_receiving import Receiver, ReceiverSettings
from fhir_adapters.mllp import Frame, FrameReader, Limits, MllpClient, MllpServer, server_tls, to_frame
from tests.adapters.hl7v2.messages import NOW, OBR, PID, message, oru, result
from tests.certificates import make_certificate

HOST = "127.0.0.1"


@asynccontextmanager
async def served(limits: Limits | None = None, tls: Any = None, handler: Any = None) -> AsyncIterator[tuple[int, Any]]:
    handler = handler or Receiver(MemoryInbox(), ReceiverSettings(), lambda: NOW)
    server = MllpServer(handler, limits)
    port = await server.start(HOST, 0, tls)
    try:
        yield port, handler
    finally:
        await server.close()


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(test(), 60))


def level(answer: bytes) -> str:
    return parse_message(answer).segments[1].text(1)


# -- framing without a socket ----------------------------------------------------------------------


@given(st.lists(st.binary(max_size=40).map(lambda one: bytes(set(one) - {0x0B, 0x1C})), max_size=6), st.data())
def test_frames_come_out_whole_however_they_are_cut(contents: list[bytes], data: st.DataObject) -> None:
    sent = b"noise\r\n".join([b"", *map(to_frame, contents)])
    cuts = sorted(data.draw(st.lists(st.integers(0, len(sent)), max_size=8)))
    reader = FrameReader(1000)
    pieces = [sent[start:end] for start, end in zip([0, *cuts], [*cuts, len(sent)], strict=True)]
    assert [frame for piece in pieces for frame in reader.feed(piece)] == [Frame(one) for one in contents]
    assert not reader.is_inside


def test_a_frame_that_is_too_long_keeps_its_beginning() -> None:
    reader = FrameReader(10)
    (frame,) = reader.feed(to_frame(b"x" * 9000))
    assert (len(frame.content), frame.trouble) == (4096, "the message is longer than 10 bytes")
    assert list(reader.feed(to_frame(b"short"))) == [Frame(b"short")]


def test_a_frame_broken_off_by_another_says_so() -> None:
    found = list(FrameReader(100).feed(b"\x0bhalf\x0bwhole\x1c\r"))
    assert [(one.content, bool(one.trouble)) for one in found] == [(b"half", True), (b"whole", False)]


def test_the_carriage_return_after_a_frame_may_be_missing() -> None:
    assert [one.content for one in FrameReader(100).feed(b"\x0ba\x1c\x0bb\x1c")] == [b"a", b"b"]


# -- over a socket ---------------------------------------------------------------------------------


def test_many_messages_over_one_connection() -> None:
    async def test() -> None:
        async with served() as (port, receiver), MllpClient(HOST, port) as client:
            for number in range(500):
                pid = PID.replace("4711", f"p{number % 20}")
                content = message(pid, OBR.replace("F1", f"F{number}"), result(str(number)), control=str(number))
                found = parse_message(await client.send(content))
                assert (found.segments[1].text(1), found.segments[1].text(2)) == ("AA", str(number))
            assert sum(len(chart.messages) for chart in receiver.patients) == 500

    run(test)


def test_messages_sent_without_waiting_are_answered_in_order() -> None:
    async def test() -> None:
        async with served() as (port, _), MllpClient(HOST, port) as client:
            client.writer.write(b"".join(to_frame(oru(result(), control=str(one))) for one in range(50)))
            answers = [parse_message(await client.receive()).segments[1].text(2) for _ in range(50)]
            assert answers == [str(one) for one in range(50)]

    run(test)


def test_pieces_garbage_and_empty_frames() -> None:
    async def test() -> None:
        async with served() as (port, _), MllpClient(HOST, port) as client:
            sent = b"garbage" + to_frame(b"") + to_frame(oru(result()))
            for start in range(0, len(sent), 7):
                client.writer.write(sent[start : start + 7])
                await client.writer.drain()
                await asyncio.sleep(0)
            assert level(await client.receive()) == "AA"

    run(test)


def test_a_message_that_is_too_long_is_answered_and_the_next_one_taken() -> None:
    async def test() -> None:
        async with served(Limits(max_bytes=4096)) as (port, receiver), MllpClient(HOST, port) as client:
            refused = parse_message(await client.send(oru(result(), "NTE|1||" + "x" * 100_000, control="77")))
            assert (refused.segments[1].text(1), refused.segments[1].text(2)) == ("AR", "77")
            assert level(await client.send(oru(result()))) == "AA"
            assert sum(len(chart.messages) for chart in receiver.patients) == 1

    run(test)


def test_a_replay_over_another_connection_gets_the_same_bytes() -> None:
    async def test() -> None:
        answers = []
        async with served() as (port, _):
            for _ in range(2):
                async with MllpClient(HOST, port) as client:
                    answers.append(await client.send(oru(result())))
        assert answers[0] == answers[1]

    run(test)


async def _is_closed(client: MllpClient) -> bool:
    with pytest.raises(ConnectionError):
        await client.receive()
    return True


def test_who_is_too_slow_is_let_go() -> None:
    async def test() -> None:
        async with served(Limits(frame_seconds=0.05)) as (port, _), MllpClient(HOST, port) as client:
            client.writer.write(b"\x0bMSH|")
            assert await _is_closed(client)

    run(test)


def test_who_drips_bytes_does_not_stay_either() -> None:
    async def test() -> None:
        async with served(Limits(frame_seconds=0.1)) as (port, _), MllpClient(HOST, port) as client:
            client.writer.write(b"\x0bMSH|")

            async def drip() -> None:
                while True:
                    client.writer.write(b"x")
                    await asyncio.sleep(0.01)

            task = asyncio.create_task(drip())
            assert await _is_closed(client)
            task.cancel()

    run(test)


def test_who_speaks_another_protocol_is_let_go() -> None:
    async def test() -> None:
        async with served(Limits(max_garbage=100)) as (port, _), MllpClient(HOST, port) as client:
            client.writer.write(b"GET / HTTP/1.1\r\n" * 20)
            assert await _is_closed(client)

    run(test)


def test_connections_are_limited() -> None:
    async def test() -> None:
        async with served(Limits(max_connections=1)) as (port, _), MllpClient(HOST, port) as first:
            assert level(await first.send(oru(result()))) == "AA"
            async with MllpClient(HOST, port) as second:
                assert await _is_closed(second)
            assert level(await first.send(oru(result(), control="2"))) == "AA"

    run(test)


class _Slow:
    def __init__(self) -> None:
        self.begun, self.go = asyncio.Event(), asyncio.Event()

    async def handle(self, content: bytes) -> bytes:
        self.begun.set()
        await self.go.wait()
        return b"answer"

    def refuse(self, head: bytes, text: str) -> bytes:
        return b"refused"


def test_the_end_answers_what_has_begun() -> None:
    async def test() -> None:
        handler = _Slow()
        server = MllpServer(handler)
        port = await server.start(HOST, 0)
        async with MllpClient(HOST, port) as busy, MllpClient(HOST, port) as idle:
            busy.writer.write(to_frame(b"message"))
            await handler.begun.wait()
            closing = asyncio.create_task(server.close())
            await asyncio.sleep(0)
            handler.go.set()
            assert await busy.receive() == b"answer"
            await closing
            assert await _is_closed(idle)

    run(test)


def test_no_answer_where_none_is_wanted() -> None:
    async def test() -> None:
        async with served() as (port, receiver), MllpClient(HOST, port) as client:
            client.writer.write(to_frame(oru(result(), accept="NE", application="NE")))
            assert level(await client.send(oru(result(), control="2"))) == "AA"
            assert sum(len(chart.messages) for chart in receiver.patients) == 2

    run(test)


# -- TLS -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return make_certificate(tmp_path_factory.mktemp("tls"))


def test_tls_and_certificates_of_senders(certificate: tuple[Path, Path]) -> None:
    async def test() -> None:
        trusted = ssl.create_default_context(cafile=str(certificate[0]))
        known = ssl.create_default_context(cafile=str(certificate[0]))
        known.load_cert_chain(*certificate)
        async with served(tls=server_tls(*certificate)) as (port, _), MllpClient(HOST, port, trusted) as client:
            assert level(await client.send(oru(result()))) == "AA"
        async with served(tls=server_tls(*certificate, certificate[0])) as (port, _):
            async with MllpClient(HOST, port, known) as client:
                assert level(await client.send(oru(result()))) == "AA"
            with pytest.raises((ConnectionError, ssl.SSLError)):
                async with MllpClient(HOST, port, trusted) as client:
                    await client.send(oru(result()))

    run(test)
