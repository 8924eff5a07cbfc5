"""JSON bytes to typed resources: a field that does not fit is dropped and named, never guessed and never a crash."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Hashable
from decimal import Decimal
from functools import lru_cache
from threading import Lock
from typing import Any, TypeVar, cast

import msgspec
from msgspec import Raw

from fhir_adapters.datatypes import exact_number, parse_decimal

T = TypeVar("T")
# Everything that a decoder raises for bytes that it cannot take: MsgspecError and UnicodeError are ValueErrors.
UNREADABLE = (ValueError, ArithmeticError, RecursionError, MemoryError)
_TOP_FIELD = re.compile(r"at `\$\.([A-Za-z]+)")
_PATH = re.compile(r"at `([^`]*)`")
_generic = msgspec.json.Decoder()
# A number that no float can hold keeps its digits as text.
_lenient = msgspec.json.Decoder(float_hook=lambda text: f"number {text}")
# Numbers stay as they are written.
_numbers = msgspec.json.Decoder(float_hook=Decimal)
_exact = msgspec.json.Encoder(decimal_format="number")
_canonical = msgspec.json.Encoder(order="sorted")


# msgspec notes at a struct what it knows of it while it makes the first decoder that holds it. A thread that makes
# another one meanwhile would take those notes half written, and the process would crash.
_making = Lock()


@lru_cache(maxsize=64)
def _decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    with _making:
        return msgspec.json.Decoder(kind, dec_hook=exact_number, float_hook=parse_decimal)


def decode(kind: type[T], content: bytes | Raw) -> T:
    """Content as one struct. Raises one of `UNREADABLE`, whose text may name a path but is never shown."""
    decoded: T = _decoder(cast(Hashable, kind)).decode(content)
    return decoded


def decode_tolerantly(kind: type[T], content: bytes | Raw) -> tuple[T, tuple[str, ...]] | None:
    """Content as one struct without the fields that do not fit, and the paths of those; None if nothing fits."""
    try:
        return decode(kind, content), ()
    except UNREADABLE as error:
        return _without_misfits(kind, content, error)


def _without_misfits(kind: type[T], content: bytes | Raw, error: BaseException) -> tuple[T, tuple[str, ...]] | None:
    fields = _split(content)
    paths: list[str] = []
    while fields is not None and (found := _TOP_FIELD.search(str(error))) and found[1] in fields:
        del fields[found[1]]
        paths.append(_path(error))
        try:
            return decode(kind, msgspec.json.encode(fields)), tuple(sorted(paths))
        except UNREADABLE as another:
            error = another
    return None


def _split(content: bytes | Raw) -> dict[str, Raw] | None:
    try:
        return msgspec.json.decode(content, type=dict[str, Raw])
    except UNREADABLE:
        return None


def _path(error: BaseException) -> str:
    found = _PATH.search(str(error))
    return found[1] if found else "$"


def has_doubled_key(content: bytes | Raw) -> bool:
    """Whether an object says two things under one name: a decoder would keep the last, and none knows which is meant.

    Raises one of `UNREADABLE` for what is no JSON.
    """
    text = bytes(content)
    try:
        if _exact.encode(_numbers.decode(text)) == msgspec.json.format(text, indent=-1):
            return False  # what was encoded from dictionaries has no key twice
    except UNREADABLE:
        pass  # written in another way than here, or no JSON
    lost: list[int] = []
    json.loads(
        text,
        object_pairs_hook=lambda pairs: lost.append(len(pairs) - len(dict(pairs))),
        parse_float=len,
        parse_int=len,
    )
    return any(lost)


def digest(content: bytes | Raw) -> str:
    """SHA-256 of the canonical JSON: neither the order of keys nor white space matters."""
    return hashlib.sha256(_canonical_bytes(content)).hexdigest()


def _canonical_bytes(content: bytes | Raw) -> bytes:
    for decoder in (_generic, _lenient):
        try:
            tree: Any = decoder.decode(content)
            return _canonical.encode(tree)
        except UNREADABLE:
            continue
    return bytes(content)
