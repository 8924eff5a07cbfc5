"""Public keys of other systems: fetched from the address that this installation lists for them, and kept a while."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import inf
from typing import Any

import structlog
from joserfc.errors import JoseError
from joserfc.jwk import Key, KeySet

from mscprotocol.web.fetching import FetchError, fetch_json
from mscprotocol.web.tokens import TokenError

log = structlog.get_logger("mscprotocol.keys")
# Keys are fetched anew after `KEPT`, an address is asked at most once in `RETRY`, and keys whose address no longer
# answers are used no longer than `LONGEST`.
KEPT_SECONDS, RETRY_SECONDS, LONGEST_SECONDS = 600.0, 30.0, 86400.0


@dataclass
class _Kept:
    """What is known of one address: the last keys that came, when that was, when it was asked last, and what failed."""

    keys: KeySet | None = None
    fetched: float = -inf
    tried: float = -inf
    why: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock)


class KeySets:
    """Key sets by the address that publishes them. A key that is not known yet is looked for, but not all the time."""

    def __init__(self, fetch: Callable[[str], Any] = fetch_json, clock: Callable[[], float] = time.monotonic) -> None:
        self.fetch, self.clock = fetch, clock
        self._kept: dict[str, _Kept] = {}
        self._lock = threading.Lock()

    def find(self, address: str, header: dict[str, Any]) -> KeySet:
        """The keys at a listed address, for the header of a token. Raises TokenError when they cannot be had."""
        if header.get("jku", address) != address:
            raise TokenError("address of the keys not listed")
        with self._lock:
            kept = self._kept.setdefault(address, _Kept())
        with kept.lock:  # who comes while keys are being fetched waits for them; other addresses do not
            if self._is_due(kept, header.get("kid")):
                self._ask(address, kept)
            if kept.keys is None or self.clock() - kept.fetched > LONGEST_SECONDS:
                raise TokenError(f"keys cannot be fetched: {kept.why}")
            return kept.keys

    def _is_due(self, kept: _Kept, wanted: object) -> bool:
        now = self.clock()
        is_known = kept.keys is not None and any(key.kid == wanted for key in kept.keys.keys)
        return now - kept.tried > RETRY_SECONDS and (not is_known or now - kept.fetched > KEPT_SECONDS)

    def _ask(self, address: str, kept: _Kept) -> None:
        try:
            kept.keys = read_key_set(self.fetch(address))
            kept.fetched = self.clock()
        except (FetchError, ValueError) as error:
            kept.why = str(error)
            log.warning("keys not fetched", address=address, why=kept.why, has_earlier=kept.keys is not None)
        kept.tried = self.clock()


class IssuerKeys:
    """The keys of the issuers that are listed, each with its address."""

    def __init__(self, addresses: Mapping[str, str], key_sets: KeySets) -> None:
        self.addresses, self.key_sets = dict(addresses), key_sets

    def __call__(self, issuer: str, header: dict[str, Any]) -> KeySet:
        """The keys of an issuer. Raises TokenError for one that is not listed, or when its keys cannot be had."""
        address = self.addresses.get(issuer)
        if address is None:
            raise TokenError("issuer not listed")
        return self.key_sets.find(address, header)


def read_key_set(tree: Any) -> KeySet:
    """The public keys of a JWKS; keys that are not understood are passed over (RFC 7517, 5). ValueError for none."""
    listed = tree.get("keys") if isinstance(tree, dict) else None
    keys = [key for one in listed for key in _read_key(one)] if isinstance(listed, list) else []
    if not keys:
        raise ValueError("no JWKS with a public key")
    return KeySet(keys)


def _read_key(tree: Any) -> list[Key]:
    try:
        return [key for key in KeySet.import_key_set({"keys": [tree]}).keys if not key.is_private]
    except (JoseError, ValueError, KeyError, TypeError, AttributeError):
        return []
