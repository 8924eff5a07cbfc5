"""A reader of one FHIR server: pages are followed on the same origin, within limits of pages, bytes and time."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self
from urllib.parse import SplitResult, urljoin, urlsplit

import httpx2

from fhir_adapters.datatypes import Bundle, Head
from fhir_adapters.decoding import decode_tolerantly

_PORTS = {"http": 80, "https": 443}
# How a FHIR server says that it has no such type or instance.
_NOT_HELD = (404, 405, 410, 501)


class FhirError(Exception):
    """What was asked for did not come whole. The text names neither address nor patient nor token."""


class NotHeldError(FhirError):
    """The server says, in FHIR, that it does not hold what was asked for."""


@dataclass(frozen=True)
class Limits:
    """What one reader may take in all: pages, bytes of content, seconds."""

    pages: int = 100
    size: int = 32 * 1024 * 1024
    seconds: float = 10.0


class FhirReader:
    """Reads from one server on behalf of one caller; the token goes to that origin and nowhere else.

    Redirects are not followed, proxies of the environment are not used, and cookies end with the reader.
    """

    def __init__(
        self,
        base: str,
        token: str | None,
        limits: Limits = Limits(),
        transport: httpx2.BaseTransport | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.base, self.limits, self.clock = base.rstrip("/"), limits, clock
        self.origin = _origin(urlsplit(base))
        self._pages = self._size = 0
        self._ends = clock() + limits.seconds
        # Uncompressed, so that the limit of size holds for what is unpacked, too.
        headers = {"accept": "application/fhir+json", "accept-encoding": "identity"}
        if token:
            headers["authorization"] = f"Bearer {token}"
        self._client = httpx2.Client(transport=transport, headers=headers, follow_redirects=False, trust_env=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._client.close()

    def read(self, query: str) -> list[bytes]:
        """A read or search, relative to the base: the resource, or every page. Raises FhirError unless it is whole."""
        return self.follow(f"{self.base}/{query}")

    def follow(self, link: str) -> list[bytes]:
        """A page by its address, absolute or relative to the base, and all after it. Raises FhirError."""
        if not link:
            raise FhirError("a page does not say where the next one is")
        pages: list[bytes] = []
        seen: set[str] = set()
        url: str | None = urljoin(f"{self.base}/", link)
        while url is not None:
            if url in seen:
                raise FhirError("the pages go round in a circle")
            seen.add(url)
            pages.append(self._get(url))
            url = _next_page(pages[-1], url)
        return pages

    def _get(self, url: str) -> bytes:
        if _origin(urlsplit(url)) != self.origin:
            raise FhirError("a page lies on another server")
        self._pages += 1
        if self._pages > self.limits.pages:
            raise FhirError("more pages than are read")
        try:
            with self._client.stream("GET", url, timeout=self._seconds_left()) as response:
                content = self._receive(response)
        except (httpx2.HTTPError, httpx2.InvalidURL, ValueError) as error:
            raise FhirError(f"the server cannot be read: {type(error).__name__}") from None
        if response.status_code in _NOT_HELD and _kind(content) == "OperationOutcome":
            raise NotHeldError("the server holds no such resources")
        if response.status_code != 200:
            raise FhirError(f"the server answers with status {response.status_code}")
        return content

    def _receive(self, response: httpx2.Response) -> bytes:
        parts = []
        for part in response.iter_bytes():
            self._size += len(part)
            if self._size > self.limits.size:
                raise FhirError("more data than are read")
            self._seconds_left()
            parts.append(part)
        return b"".join(parts)

    def _seconds_left(self) -> float:
        left = self._ends - self.clock()
        if left <= 0:
            raise FhirError("reading takes too long")
        return left


def is_listed(server: str, listed: tuple[str, ...], *, only_https: bool) -> bool:
    """Whether an installation lists a server; no other address is ever called."""
    return server.rstrip("/") in {one.rstrip("/") for one in listed} and (
        urlsplit(server).scheme == "https" or not only_https
    )


def _next_page(content: bytes, url: str) -> str | None:
    read = decode_tolerantly(Bundle, content)
    if read is None:
        raise FhirError("the server does not answer with a FHIR resource")
    links = [link.url for link in read[0].link if link.relation == "next"] if _kind(content) == "Bundle" else []
    if not links:
        return None
    if not links[0]:
        raise FhirError("a page does not say where the next one is")
    return urljoin(url, links[0])


def _kind(content: bytes) -> str | None:
    read = decode_tolerantly(Head, content)
    return None if read is None else read[0].resource_type


def _origin(url: SplitResult) -> tuple[str, str, int | None]:
    """Scheme, host and port; an address with a user in it has none that is ever met."""
    if url.username is not None or url.password is not None:
        return "", "", None
    return url.scheme, (url.hostname or "").lower(), url.port or _PORTS.get(url.scheme)
