"""A batch: as many answers as lines, in their order, whatever the lines are; and it ends when the client leaves."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from fhir_adapters.plain_forms import EXAMPLE
from mscprotocol.service import Service
from mscprotocol.settings import Settings
from mscprotocol.web.app import create_app
from mscprotocol.web.batch import BatchResponse, split_lines
from tests.web.conftest import Start

SAMPLES = Path(__file__).parents[2] / "samples"
URL = "/api/v1/assess/batch"
NDJSON = {"content-type": "application/x-ndjson"}
RECORD = json.dumps(EXAMPLE).encode()


def bundle(name: str) -> bytes:
    return json.dumps(json.loads((SAMPLES / name / "input.json").read_bytes())).encode()


def lines(reply: Any) -> list[Any]:
    return [json.loads(line) for line in reply.text.splitlines()]


def test_each_line_is_answered_in_order_and_a_bad_one_harms_no_other(client: TestClient) -> None:
    content = b"\n".join([bundle("eligible"), b"{broken", b"", RECORD, b'{"patient": {}}', bundle("pregnant")])
    reply = client.post(URL, content=content, headers=NDJSON)
    assert (reply.status_code, reply.headers["content-type"]) == (200, "application/x-ndjson")
    found = lines(reply)
    assert [one.get("verdict") for one in found] == ["eligible", None, "undetermined", None, "ineligible"]
    errors = [(one["error"]["code"], one["error"]["line"]) for one in found if "error" in one]
    assert errors == [("unreadable", 2), ("invalid_request", 5)]
    single = client.post("/api/v1/assess", content=bundle("eligible"), headers={"content-type": "application/json"})
    assert [one["line"] for one in found if "line" in one] == [1, 4, 6]
    stored = client.get(found[0].pop("location"))
    assert {name: one for name, one in found[0].items() if name != "line"} == stored.json() == single.json()


def test_all_protocols_give_an_array_a_line(client: TestClient) -> None:
    found = lines(client.post(URL, content=RECORD, headers=NDJSON, params={"protocol": "all"}))
    assert len(found) == 1 and len(found[0]) > 1
    assert {one["line"] for one in found[0]} == {1}
    assert len({one["location"] for one in found[0]}) == len(found[0])


def test_a_line_that_is_too_long_is_one_error(start: Start) -> None:
    client = start(max_line_bytes=len(RECORD))
    found = lines(client.post(URL, content=b"x" * 300_000 + b"\n" + RECORD + b"\n", headers=NDJSON))
    assert [one.get("error", {}).get("code") for one in found] == ["too_large", None]


def test_other_types_and_keys_are_refused(client: TestClient) -> None:
    assert client.post(URL, content=RECORD, headers={"content-type": "application/json"}).status_code == 415
    assert client.post(URL, content=RECORD, headers=NDJSON | {"content-encoding": "gzip"}).status_code == 415
    assert client.post(URL, content=RECORD, headers=NDJSON | {"idempotency-key": "a"}).status_code == 400


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_lines_are_the_same_however_they_are_cut(size: int) -> None:
    content = b"a\n\nlonger than five\nbb\nccccc"

    async def split() -> list[tuple[int, bytes | None]]:
        chunks: asyncio.Queue[bytes | None] = asyncio.Queue()
        for start in range(0, len(content), size):
            chunks.put_nowait(content[start : start + size])
        chunks.put_nowait(None)
        return [one async for one in split_lines(chunks, 5)]

    assert asyncio.run(split()) == [(1, b"a"), (2, b""), (3, None), (4, b"bb"), (5, b"ccccc")]


def test_answers_come_while_the_client_still_sends_and_its_leaving_ends_the_work() -> None:
    """The exchange as a server drives it: the second line is sent only after the first was answered."""
    answered: list[bytes] = []

    async def exchange() -> list[bytes]:
        sent: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        received: list[bytes] = []

        async def send(message: Any) -> None:
            body = message.get("body", b"")
            received.append(body)
            if body == b"ONE\n":
                sent.put_nowait({"type": "http.request", "body": b"two\n", "more_body": True})
            if body == b"TWO\n":
                sent.put_nowait({"type": "http.disconnect"})

        def answer(_: int, line: bytes) -> bytes:
            answered.append(line)
            return line.upper()

        sent.put_nowait({"type": "http.request", "body": b"one\n", "more_body": True})
        async with asyncio.timeout(10):
            await BatchResponse(answer, 100, 10)({"type": "http"}, sent.get, send)
        return received

    assert asyncio.run(exchange())[1:] == [b"ONE\n", b"TWO\n"]
    assert answered == [b"one", b"two"]


def test_a_defect_ends_its_line_only() -> None:
    async def exchange() -> list[bytes]:
        received: list[bytes] = []

        async def send(message: Any) -> None:
            received.append(message.get("body", b""))

        sent: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        sent.put_nowait({"type": "http.request", "body": b"0\n1", "more_body": False})
        response = BatchResponse(lambda _, line: b"%d" % (1 // int(line)), 100, 10)
        async with asyncio.timeout(10):
            await response({"type": "http"}, sent.get, send)
        return received

    first, second = asyncio.run(exchange())[1:3]
    assert json.loads(first)["error"]["code"] == "internal_error"
    assert second == b"1\n"


def test_a_batch_beyond_the_limit_of_its_body_answers_what_came_and_says_where_it_ended(service: Service) -> None:
    """With all layers around, as a server drives them: a client that streams has its first answers by then."""
    app = create_app(Settings(database_url="sqlite://", max_body_bytes=2 * len(RECORD) + 10), service)
    headers = [(b"content-type", b"application/x-ndjson"), (b"host", b"127.0.0.1")]
    scope = {"type": "http", "method": "POST", "path": URL, "query_string": b"", "headers": headers,
             "server": ("127.0.0.1", 80), "client": ("127.0.0.1", 1), "scheme": "http"}  # fmt: skip

    async def exchange() -> list[Any]:
        sent: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        received: list[Any] = []

        async def send(message: Any) -> None:
            received.append(message)
            if message.get("body"):
                sent.put_nowait(line)

        line = {"type": "http.request", "body": RECORD + b"\n", "more_body": True}
        sent.put_nowait(line)
        async with asyncio.timeout(60):
            await app(scope, sent.get, send)
        return received

    start, *bodies = asyncio.run(exchange())
    found = [json.loads(one["body"]) for one in bodies if one["body"]]
    assert start["status"] == 200
    assert bodies[-1]["more_body"] is False
    assert [one.get("error", {}).get("code") for one in found] == [None, None, "too_large"]
    assert found[-1]["error"]["line"] == 3
