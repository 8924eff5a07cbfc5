"""Whose resource it is: references that mean the one patient of a bundle, and no other."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from urllib.parse import unquote

from msgspec import Raw

from fhir_adapters.datatypes import Head, Identifier, Reference
from fhir_adapters.decoding import decode_tolerantly
from fhir_adapters.resources import Patient

_LITERAL = re.compile(r"(?:(https?://[^?#]+)/)?([A-Z][A-Za-z]{0,39})/([^/?#|]+)(?:/_history/[^/?#]+)?(?:\|[^/?#]*)?")
_CONDITIONAL = re.compile(r"Patient\?identifier=([^&|]+)\|([^&|]+)")


@lru_cache(maxsize=4096)
def split_url(url: str | None) -> tuple[str, str, str] | None:
    """The server, type and id of a literal reference; the server is empty for a relative one."""
    match = _LITERAL.fullmatch(url or "")
    if match is None:
        return None
    return (match[1] or "").partition("://")[2].rstrip("/"), match[2], match[3]


def without_version(url: str) -> str:
    """A reference without the version that it may name."""
    return url.partition("/_history/")[0]


class Owner:
    """The one patient, by every name that a reference may use."""

    def __init__(self, patients: Iterable[tuple[Patient, str | None]]) -> None:
        self._names: set[str] = set()
        self._servers: dict[str, set[str]] = {}
        self._identifiers: set[tuple[str, str]] = set()
        for patient, full_url in patients:
            self._add(patient, full_url)

    def _add(self, patient: Patient, full_url: str | None) -> None:
        self._identifiers |= business_names(patient.identifier)
        if patient.id:
            self._servers.setdefault(patient.id, set())
            self._names.add(f"urn:uuid:{patient.id}")
        if full_url:
            self._names.add(without_version(full_url))
            self._servers.setdefault(patient.id or "", set()).update(_server(full_url))

    def owns(self, subject: Reference | None, contained: tuple[Raw, ...], full_url: str | None) -> bool:
        """Whether a subject means the patient; `full_url` is that of the entry which holds the reference."""
        if subject is None:
            return False
        text = subject.reference
        if not text:
            return subject.identifier is not None and self._is_named({*business_names((subject.identifier,))})
        if text.startswith("#"):
            return self._is_contained(text[1:], contained)
        if "?" in text and (conditional := _CONDITIONAL.fullmatch(text)):
            return self._is_named({(unquote(conditional[1]), unquote(conditional[2]))})
        return without_version(text) in self._names or self._is_literal(text, full_url)

    def _is_literal(self, text: str, full_url: str | None) -> bool:
        parts = split_url(text)
        if parts is None or parts[1] != "Patient" or parts[2] not in self._servers:
            return False
        beside = split_url(full_url)
        server = parts[0] or (beside[0] if beside else "")
        known = self._servers[parts[2]]
        # The same id on another server is another patient, if both servers are known.
        return not server or not known or server in known

    def _is_contained(self, id: str, contained: tuple[Raw, ...]) -> bool:  # noqa: A002 - FHIR's own word
        """A contained patient has no identity but its identifiers."""
        for raw in contained:
            head = decode_tolerantly(Head, raw)
            if head is None or head[0].resource_type != "Patient" or head[0].id != id:
                continue
            patient = decode_tolerantly(Patient, raw)
            return patient is not None and self._is_named(business_names(patient[0].identifier))
        return False

    def _is_named(self, names: set[tuple[str, str]]) -> bool:
        return bool(names & self._identifiers)


def _server(url: str) -> set[str]:
    parts = split_url(url)
    return {parts[0]} - {""} if parts else set()


def business_names(identifiers: Iterable[Identifier]) -> set[tuple[str, str]]:
    """Identifiers by system and value; without either one, another person may have the same."""
    return {(one.system, one.value) for one in identifiers if one.system and one.value}
