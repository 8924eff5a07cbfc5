"""Public keys of the issuers that this installation lists: fetched from their listed address only, and kept a while."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import httpx2
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from mscprotocol.web.tokens import TokenError

KEPT_SECONDS, RETRY_SECONDS = 600.0, 30.0
_LONGEST_KEY_SET = 256 * 1024


@dataclass
class _Kept:
    keys: KeySet
    fetched: float


class IssuerKeys:
    """The key sets of the listed issuers. A key that is not known yet is looked for once more, not more often."""

    def __init__(
        self,
        addresses: Mapping[str, str],
        client: httpx2.Client | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.addresses, self.clock = dict(addresses), clock
        self.client = client or httpx2.Client(timeout=5, follow_redirects=False)
        self._kept: dict[str, _Kept] = {}
        self._lock = threading.Lock()

    def __call__(self, issuer: str, header: dict[str, Any]) -> KeySet:
        """The keys of an issuer. Raises TokenError for one that is not listed, or when its keys cannot be had."""
        address = self.addresses.get(issuer)
        if address is None:
            raise TokenError("issuer not listed")
        if header.get("jku", address) != address:
            raise TokenError("address of the keys not listed")
        with self._lock:
            kept = self._kept.get(issuer)
            if kept is None or self._is_due(kept, header.get("kid")):
                kept = self._kept[issuer] = self._fetch(address, kept)
            return kept.keys

    def _is_due(self, kept: _Kept, wanted: object) -> bool:
        age = self.clock() - kept.fetched
        is_known = any(key.kid == wanted for key in kept.keys.keys)
        return age > KEPT_SECONDS or (not is_known and age > RETRY_SECONDS)

    def _fetch(self, address: str, before: _Kept | None) -> _Kept:
        try:
            response = self.client.get(address, headers={"accept": "application/json"})
            response.raise_for_status()
            if len(response.content) > _LONGEST_KEY_SET:
                raise TokenError("key set too large")
            return _Kept(KeySet.import_key_set(response.json()), self.clock())
        except (httpx2.HTTPError, JoseError, ValueError, KeyError, TypeError) as error:
            if before is not None:
                return _Kept(before.keys, self.clock())
            raise TokenError("keys cannot be fetched") from error
