"""Small JSON documents of systems that this installation lists: whole, small and soon, or not at all."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx2

LONGEST_BYTES = 256 * 1024
LONGEST_SECONDS = 5.0


class FetchError(Exception):
    """What was asked for did not come whole. The text is for the log and names no address."""


def fetch_json(
    address: str,
    transport: httpx2.AsyncBaseTransport | None = None,
    seconds: float = LONGEST_SECONDS,
) -> Any:
    """The JSON value at an address. Raises FetchError; redirects are not followed.

    The seconds hold for all of it, from the look-up of the name to the last byte: who drips bytes gains nothing.
    """
    try:
        return json.loads(asyncio.run(_get(address, transport, seconds)))
    except TimeoutError:
        raise FetchError("it takes too long") from None
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
        raise FetchError(f"no connection ({type(error).__name__})") from None
    except (ValueError, RecursionError):
        raise FetchError("not JSON") from None


async def _get(address: str, transport: httpx2.AsyncBaseTransport | None, seconds: float) -> bytes:
    content = bytearray()
    # Uncompressed, and read as it comes: the limit of size holds for what is unpacked, too.
    headers = {"accept": "application/json", "accept-encoding": "identity"}
    async with (
        asyncio.timeout(seconds),
        httpx2.AsyncClient(transport=transport, headers=headers, follow_redirects=False, timeout=seconds) as client,
        client.stream("GET", address) as response,
    ):
        if response.status_code != 200:
            raise FetchError(f"status {response.status_code}")
        async for part in response.aiter_raw():
            content += part
            if len(content) > LONGEST_BYTES:
                raise FetchError("too large")
    return bytes(content)
