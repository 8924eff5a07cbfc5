"""What holds for every request before any door sees it: size, time, rate, security headers, one line of log."""

from __future__ import annotations

import asyncio
import math
import re
import time
import traceback
import uuid
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import structlog
from fastapi import Request
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mscprotocol.settings import Settings
from mscprotocol.web import metrics, problems

log = structlog.get_logger("mscprotocol.access")
REQUEST_ID = "x-request-id"
_PLAIN_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_CLIENTS_REMEMBERED = 10_000
_RETRY_SECONDS = 5
_YEAR = 365 * 24 * 3600
# A stream may last, each of its parts is bounded by its door; the thread that sets a sheet cannot be ended half way,
# so a limit would only throw away what it makes.
_UNHURRIED = ("/batch", "/checklist", "/checklist.pdf")
# Pages load nothing from elsewhere and cannot be framed; answers about patients are not kept by caches.
SECURITY_HEADERS = {
    "content-security-policy": (
        "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; "
        "frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-store",
}


class Guard:
    """The outermost layer of the application but for the headers of CORS.

    Raises nothing: a request that breaks a limit gets the one error that says so (413, 429, 503).
    """

    def __init__(self, app: ASGIApp, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self.app, self.settings, self.clock = app, settings, clock
        self.rate = RateLimit(settings.requests_per_minute, clock)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request inside its limits."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        exchange = _Exchange(scope, send, self.settings, self.clock())
        structlog.contextvars.bind_contextvars(request_id=exchange.request_id)
        try:
            await self._serve(scope, receive, exchange)
        finally:
            exchange.finish(self.clock())
            structlog.contextvars.clear_contextvars()

    async def _serve(self, scope: Scope, receive: Receive, exchange: _Exchange) -> None:
        wait = self.rate.seconds_to_wait(_client_of(scope))
        if wait:
            await exchange.refuse(429, "too_many_requests", "Too many requests.", {"retry-after": str(wait)})
            return
        limited = _LimitedBody(receive, self.settings.max_body_bytes)
        declared = Headers(scope=scope).get("content-length", "0")
        if declared.isdigit() and int(declared) > self.settings.max_body_bytes:
            await exchange.refuse(413, "too_large", limited.text)
            return

        async def send(message: Message) -> None:
            # Whatever the application makes of half a body is not sent, unless it answers parts while they come.
            if not limited.is_exceeded or exchange.status:
                await exchange.send(message)

        try:
            async with asyncio.timeout(self._seconds_for(scope)):
                await self.app(scope, limited, send)
        except TimeoutError:
            # A thread that was begun goes on and may record it; the form's token makes sending it again harmless.
            text = "The request took longer than the service allows. Send it again: no form is recorded twice."
            await exchange.refuse(503, "timeout", text, {"retry-after": str(_RETRY_SECONDS)})
        except (BodyTooLargeError, ClientDisconnect):
            pass  # nobody waits for the answer to what was cut short
        except Exception as error:  # noqa: BLE001 - a defect of ours ends this request and not the service
            log.error("defect", kind=type(error).__name__, at=_place(error))
            text = "The service failed; its operator finds the cause in the log."
            await exchange.refuse(500, "internal_error", text)
        if limited.is_exceeded:
            await exchange.refuse(413, "too_large", limited.text)

    def _seconds_for(self, scope: Scope) -> float | None:
        return None if scope["path"].endswith(_UNHURRIED) else self.settings.request_seconds


class BodyTooLargeError(Exception):
    """The body grew beyond the limit."""


class _LimitedBody:
    """The request's body, cut off where it grows beyond the limit."""

    def __init__(self, receive: Receive, limit: int) -> None:
        self.receive, self.limit, self.read = receive, limit, 0

    @property
    def is_exceeded(self) -> bool:
        return self.read > self.limit

    @property
    def text(self) -> str:
        return f"The body is larger than {self.limit} bytes."

    async def __call__(self) -> Message:
        message = await self.receive()
        self.read += len(message.get("body", b""))
        if self.is_exceeded:
            raise BodyTooLargeError
        return message


class _Exchange:
    """One request and its response."""

    def __init__(self, scope: Scope, send: Send, settings: Settings, begun: float) -> None:
        self.scope, self._send, self.settings, self.begun = scope, send, settings, begun
        given = Headers(scope=scope).get(REQUEST_ID, "")
        self.request_id = given if _PLAIN_ID.fullmatch(given) else uuid.uuid4().hex
        self.status = 0

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            headers[REQUEST_ID] = self.request_id
            for name, value in SECURITY_HEADERS.items():
                headers.setdefault(name, value)
            if self.settings.is_https:
                headers.setdefault("strict-transport-security", f"max-age={_YEAR}")
        await self._send(message)

    async def refuse(self, status: int, code: str, text: str, headers: dict[str, str] | None = None) -> None:
        if self.status:
            return  # the response has begun: it ends here, cut short, and the client sees that
        response = problems.render(Request(self.scope), status, code, text, headers)
        await response(self.scope, _nothing, self.send)

    def finish(self, at: float) -> None:
        """One line of log and one observation: the route as written in the program, never the path that was sent."""
        route = getattr(self.scope.get("route"), "path", "none")
        seconds = at - self.begun
        method = metrics.name_method(self.scope["method"])
        metrics.observe(method, route, self.status, seconds)
        log.info("request", method=method, route=route, status=self.status, ms=round(seconds * 1000, 1))


class HeadAsGet:
    """Answers HEAD where GET is answered: the same, without the body."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve HEAD as GET; all else as it is."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self.app(scope, receive, send)
            return

        async def send_head(message: Message) -> None:
            await send({**message, "body": b""} if message["type"] == "http.response.body" else message)

        inner = {**scope, "method": "GET"}
        try:
            await self.app(inner, receive, send_head)
        finally:
            scope["route"] = inner.get("route")  # for the log


async def _nothing() -> Message:
    return {"type": "http.disconnect"}


def _place(error: Exception) -> str:
    """The file and line that raised; the text of an exception may quote data."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""


def _client_of(scope: Scope) -> str:
    client = scope.get("client")
    return client[0] if client else "unknown"


class RateLimit:
    """A bucket of requests for each client that refills evenly."""

    def __init__(self, per_minute: int, clock: Callable[[], float]) -> None:
        self.per_minute, self.clock = per_minute, clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def seconds_to_wait(self, client: str) -> int:
        """0 and one request less, or the whole seconds until there is one again."""
        if not self.per_minute:
            return 0
        now, per_second = self.clock(), self.per_minute / 60
        left, since = self._buckets.pop(client, (float(self.per_minute), now))
        left = min(self.per_minute, left + (now - since) * per_second)
        is_served = left >= 1
        self._buckets[client] = (left - 1 if is_served else left, now)
        while len(self._buckets) > _CLIENTS_REMEMBERED:
            self._buckets.popitem(last=False)
        return 0 if is_served else math.ceil((1 - left) / per_second)
