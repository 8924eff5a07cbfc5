"""What resources refer to and did not come with them: products, specimens, devices, read from the client's server."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec

from fhir_adapters.decoding import UNREADABLE
from fhir_adapters.fhir_client import FhirError, FhirReader
from fhir_adapters.resources import LINKED
from fhir_adapters.subjects import split_url, without_version
from fhir_adapters.unpacking import Unit, Unpacked, open_bundles
from mscprotocol.errors import DataError

# One search asks for so many ids, so that its address stays short.
_AT_ONCE = 20
_MOST = 400
_HINT = re.compile("|".join(LINKED).encode())
_ID = re.compile(r"[A-Za-z0-9.-]{1,64}")
_any = msgspec.json.Decoder()


def read_referred(units: Sequence[Unit], reader: FhirReader, beside: Iterable[Unit] = ()) -> Unpacked:
    """The resources that some refer to, as far as they came neither with them nor `beside` and the server has them.

    What cannot be had is no error: what rests on it stays unknown and is told there, as without a server. Failures to
    read are noted.
    """
    found = Unpacked()
    for kind, ids in _missing(units, [*units, *beside], reader).items():
        wanted = sorted(ids)
        if len(wanted) > _MOST:
            found.note(kind, f"others refer to {len(wanted)} of them, {_MOST} were looked for")
        for start in range(0, min(len(wanted), _MOST), _AT_ONCE):
            _read(found, kind, wanted[start : start + _AT_ONCE], reader)
    return found


def _read(found: Unpacked, kind: str, ids: list[str], reader: FhirReader) -> None:
    try:
        opened = open_bundles(reader.read(f"{kind}?_id={','.join(ids)}"))
    except (FhirError, DataError):
        found.note(kind, "what others refer to could not be read from the server")
        return
    found.units += [one for one in opened.units if one.type == kind and one.id in ids]
    found.notes += opened.notes


def _missing(units: Iterable[Unit], held_units: Iterable[Unit], reader: FhirReader) -> dict[str, set[str]]:
    """The ids that are referred to and did not come, by type; those on other servers are not looked for."""
    here = split_url(f"{reader.base}/Patient/any")
    server = here[0] if here else ""
    held = {name for one in held_units for name in (one.reference, without_version(one.full_url or ""))}
    missing: dict[str, set[str]] = {}
    for text in _references(units):
        parts = split_url(text)
        if parts is None or parts[1] not in LINKED or parts[0] not in ("", server) or not _ID.fullmatch(parts[2]):
            continue
        if not {f"{parts[1]}/{parts[2]}", without_version(text)} & held:
            missing.setdefault(parts[1], set()).add(parts[2])
    return missing


def _references(units: Iterable[Unit]) -> Iterator[str]:
    """Every literal reference that stands anywhere in resources which name such a type."""
    for unit in units:
        if _HINT.search(unit.content):
            try:
                tree = _any.decode(unit.content)
            except UNREADABLE:
                continue  # said where the resource is read
            yield from _texts(tree)


def _texts(tree: Any) -> Iterator[str]:
    waiting = [tree]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            if isinstance(one.get("reference"), str):
                yield one["reference"]
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one
