"""Bundles to their single resources: pages complete, nested bundles opened, each resource with its digest."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from msgspec import Raw

from fhir_adapters.datatypes import Bundle, Entry, Head, OperationOutcome
from fhir_adapters.decoding import UNREADABLE, decode, decode_tolerantly, digest, has_doubled_key
from mscprotocol.errors import DataError
from mscprotocol.record import QualityNote

MAX_BYTES = 64 * 1024 * 1024
_STATE_TYPES = {"collection", "searchset", "document", "message"}
_EXCHANGE_TYPES = {"transaction", "batch", "batch-response", "transaction-response"}
_READ_TYPES = _STATE_TYPES | _EXCHANGE_TYPES
_TYPE_NAME = re.compile(r"[A-Z][A-Za-z]{0,39}")
_LITERAL = re.compile(r"[A-Z][A-Za-z]{0,39}/[A-Za-z0-9.-]{1,64}")
_OTHER_PAGES = {"next", "previous", "prev"}
# Warnings by which a server says that it did not send all there is.
_NOT_ALL = {"incomplete", "suppressed"}
SHORT = "the bundle states a larger total than it holds"
NOT_FOLLOWED = "a request to delete was not followed"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Unit:
    """One resource as it came."""

    type: str
    id: str | None
    full_url: str | None
    content: Raw
    digest: str

    @property
    def reference(self) -> str:
        """How the resource is named: by type and id, else by its entry's URL, else by its content."""
        if self.id:
            return f"{self.type}/{self.id}"
        return self.full_url or f"{self.type} without id, SHA-256 {self.digest[:12]}"


@dataclass(slots=True)
class Unpacked:
    """The resources of one patient's files, and what was odd about the packaging."""

    units: list[Unit] = field(default_factory=list)
    notes: list[QualityNote] = field(default_factory=list)
    pages: set[str] = field(default_factory=set)
    next_pages: set[str] = field(default_factory=set)
    short_pages: set[str] = field(default_factory=set)

    @property
    def is_short(self) -> bool:
        """Whether a bundle that is no later page of another states a larger total than it holds."""
        return bool(self.short_pages - self.next_pages)

    @property
    def missing_pages(self) -> set[str]:
        """The pages that others lead to and that did not come."""
        return self.next_pages - self.pages

    def note(self, reference: str, text: str) -> None:
        self.notes.append(QualityNote(reference, text))


def unpack(contents: Iterable[bytes]) -> Unpacked:
    """The resources of one or more bundles.

    Raises DataError: `unreadable`, `too_large`, `not_a_bundle`, or `incomplete_page` when a page or an entry of it
    did not come.
    """
    unpacked = open_bundles(contents)
    if unpacked.missing_pages:
        raise DataError("incomplete_page", "the bundle is one page of several: follow its link 'next' first")
    if unpacked.is_short:
        raise DataError("incomplete_page", f"{SHORT}: the rest did not come")
    return unpacked


def open_bundles(contents: Iterable[bytes]) -> Unpacked:
    """The resources of bundles, for a caller who follows `missing_pages`, and heeds `is_short`, itself.

    Raises DataError as `unpack` does.
    """
    unpacked = Unpacked()
    for content in contents:
        text = check_text(content)
        _open_bundle(unpacked, text, depth=0)
        refuse_doubled_keys(text)
    return unpacked


def refuse_doubled_keys(content: bytes | Raw) -> None:
    """Raise DataError `unreadable` for JSON in which an object says two things under one name."""
    try:
        is_doubled = has_doubled_key(content)
    except UNREADABLE:
        return  # what is no JSON is told where it is read
    if is_doubled:
        raise DataError("unreadable", "an object has the same key twice, and nobody knows which of the two is meant")


def read_head(content: bytes | Raw) -> Head | None:
    """Type and id of a resource, or None if it does not say what it is."""
    read = decode_tolerantly(Head, content)
    return read[0] if read is not None and _TYPE_NAME.fullmatch(read[0].resource_type or "") else None


def make_unit(content: Raw, full_url: str | None = None) -> Unit | None:
    """One resource as a unit, or None if it does not say what it is."""
    head = read_head(content)
    return None if head is None else Unit(head.resource_type or "", head.id, full_url, content, digest(content))


def check_text(content: bytes) -> bytes:
    """Content without its byte order mark. Raises DataError `too_large`, or `unreadable` for what is not UTF-8."""
    if len(content) > MAX_BYTES:
        raise DataError("too_large", f"the file is larger than {MAX_BYTES // 1024 // 1024} MiB")
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        raise DataError("unreadable", "the file is not UTF-8 text") from None
    return content.removeprefix(_BYTE_ORDER_MARK)


def _open_bundle(unpacked: Unpacked, content: bytes | Raw, depth: int) -> None:
    bundle = _read_bundle(unpacked, content)
    if bundle.type is None:
        unpacked.note("Bundle", "the bundle does not state its type")
    elif bundle.type not in _READ_TYPES:
        raise DataError("not_a_bundle", "Bundle.type is none that holds the current state of a patient")
    for link in bundle.link:
        if link.relation in ("self", "next"):
            pages = unpacked.pages if link.relation == "self" else unpacked.next_pages
            pages.add(link.url or "")
    before = len(unpacked.units)
    for raw in bundle.entry:
        _open_entry(unpacked, raw, depth)
    if bundle.total is not None and bundle.total > len(unpacked.units) - before and not _is_one_of_several(bundle):
        unpacked.note("Bundle", SHORT)
        unpacked.short_pages.add(next((link.url or "" for link in bundle.link if link.relation == "self"), ""))


def _is_one_of_several(bundle: Bundle) -> bool:
    return any(link.relation in _OTHER_PAGES for link in bundle.link)


def _read_bundle(unpacked: Unpacked, content: bytes | Raw) -> Bundle:
    try:
        read = decode_tolerantly(Bundle, content)
        if read is None:
            decode(dict, content)  # tells broken JSON from a JSON that is no object
    except UNREADABLE:
        raise DataError("unreadable", "the file is not a JSON object, or is nested too deeply") from None
    if read is None:
        raise DataError("unreadable", "the file is not a JSON object that can be read")
    bundle, damaged = read
    if bundle.resource_type != "Bundle":
        found = bundle.resource_type if _TYPE_NAME.fullmatch(bundle.resource_type or "") else "no FHIR resource"
        raise DataError("not_a_bundle", f"a Bundle is expected, this is {found}")
    if damaged:
        raise DataError("not_a_bundle", f"the Bundle is malformed at {', '.join(damaged)}")
    return bundle


def _open_entry(unpacked: Unpacked, raw: Raw, depth: int) -> None:
    read = decode_tolerantly(Entry, raw)
    if read is None:
        unpacked.note("Bundle.entry", "an entry cannot be read")
        return
    entry, damaged = read
    if damaged:
        unpacked.note(entry.full_url or "Bundle.entry", f"the entry is malformed at {', '.join(damaged)}")
    _refuse_failed(entry)
    if entry.request is not None and (entry.request.method or "").upper() == "DELETE":
        named = _LITERAL.fullmatch(entry.request.url or "")
        unpacked.note(named[0] if named else "Bundle.entry", NOT_FOLLOWED)
    elif _is_empty(entry.resource):
        unpacked.note(entry.full_url or "Bundle.entry", "the entry holds no resource")
    else:
        _open_resource(unpacked, entry, depth)


def _open_resource(unpacked: Unpacked, entry: Entry, depth: int) -> None:
    unit = make_unit(entry.resource, entry.full_url or None)
    if unit is None:
        unpacked.note(entry.full_url or "Bundle.entry", "the entry's resource cannot be read")
    elif unit.type == "OperationOutcome":
        _refuse_outcome(entry.resource)
    elif unit.type != "Bundle":
        unpacked.units.append(unit)
    elif depth == 0:
        _open_bundle(unpacked, entry.resource, depth + 1)
    else:
        unpacked.note(unit.reference, "a bundle nested more than once was not read")


def _refuse_failed(entry: Entry) -> None:
    """An answer that failed is a page that did not come."""
    if entry.response is None:
        return
    if (entry.response.status or "")[:1] in ("4", "5"):
        raise DataError("incomplete_page", "a part of the bundle could not be fetched: a response states an error")
    _refuse_outcome(entry.response.outcome)


def _refuse_outcome(content: Raw) -> None:
    if not bytes(content):
        return
    read = decode_tolerantly(OperationOutcome, content)
    if read is None:
        return
    if any(issue.severity in ("error", "fatal") for issue in read[0].issue):
        raise DataError("incomplete_page", "a part of the bundle could not be fetched: an OperationOutcome says so")
    if any(issue.code in _NOT_ALL for issue in read[0].issue):
        raise DataError("incomplete_page", "the server did not send all there is: an OperationOutcome says so")


def _is_empty(content: Raw) -> bool:
    with memoryview(content) as view:
        return len(view) < 5 and bytes(view) in (b"", b"null")
