"""One line of a bulk export: whose resource it is, and whether the rules could read anything of it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import msgspec
from msgspec import Raw

from fhir_adapters.datatypes import CodeableConcept, Element, Entry, Identifier, Meta, Period, Reference
from fhir_adapters.decoding import UNREADABLE, decode, decode_tolerantly
from fhir_adapters.dictionary import Dictionary, Source, codings, index, words_of
from fhir_adapters.resources import CLINICAL, LINKED
from fhir_adapters.subjects import split_url
from fhir_adapters.times import is_after, parse_time, period_time
from mscprotocol.codes import CodeSystem
from mscprotocol.errors import DataError
from mscprotocol.knowledge import KnowledgeBase
from mscprotocol.timespan import TimeSpan

ENCOUNTER, BUNDLE = "Encounter", "Bundle"
# Statuses by which an observation was not made, or not yet: its time says nothing of when a patient was last seen.
NOT_OBSERVED = ("cancelled", "entered-in-error", "registered")
_ID = re.compile(r"[A-Za-z0-9.-]{1,64}")
_CONDITIONAL = re.compile(r"Patient\?identifier=([^&|]+)\|([^&|]+)")
_URN = "urn:uuid:"
# What a resource without codes that are read could still say; the others are read whatever their code.
_BY_CODE: dict[str, tuple[Source, ...]] = {
    "Observation": ("observation", "product"),
    "Condition": ("condition",),
    "Procedure": ("procedure",),
    "MedicationAdministration": ("medication",),
    "MedicationRequest": ("medication",),
    "MedicationStatement": ("medication",),
}


class _Coded(Element, frozen=True):
    """A component, as far as it tells what it is."""

    code: CodeableConcept | None = None


class _Glance(Element, frozen=True, omit_defaults=True):
    """What of any resource tells whose it is, what it is about, what it refers to, and which version it is."""

    resource_type: str | None = None
    id: str | None = None
    meta: Meta | None = None
    status: str | None = None
    verification_status: CodeableConcept | None = None
    subject: Reference | None = None
    patient: Reference | None = None
    individual: Reference | None = None
    code: CodeableConcept | None = None
    value_codeable_concept: CodeableConcept | None = None
    component: tuple[_Coded, ...] = ()
    medication_codeable_concept: CodeableConcept | None = None
    medication_reference: Reference | None = None
    specimen: Raw = Raw()
    focus: tuple[Reference, ...] = ()
    device: Reference | None = None
    contained: tuple[Raw, ...] = ()
    identifier: Raw = Raw()
    effective_date_time: str | None = None
    effective_instant: str | None = None
    effective_period: Period | None = None


class _Owned(Element, frozen=True):
    """The least that must be legible of a resource that is malformed elsewhere."""

    resource_type: str | None = None
    id: str | None = None
    subject: Reference | None = None
    patient: Reference | None = None
    individual: Reference | None = None


@dataclass(frozen=True, slots=True)
class Pick:
    """What a line is: the resource's name, whose it is, what it refers to, and by which names a patient goes.

    `owner` is a patient's id, or `identifier/SYSTEM|VALUE` where only that is stated; empty for what others refer to.
    """

    name: str
    owner: str
    uses: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()


class Left(NamedTuple):
    """A line that the rules do not read: of which type, whose, which resource, and when an observation was made.

    A time after the observation was last updated is none. `server` is the one that its subject is stated to be on.
    `text` is what was glanced at, as JSON: an older version that the rules do read does not count beside it.
    """

    kind: str
    owner: str = ""
    name: str = ""
    text: bytes = b""
    time: TimeSpan | None = None
    server: str = ""


class Picker:
    """Picks the lines of an export that the rules could read.

    `with_encounters` also those that date an encounter; `with_times` tells when observations that are left were made.
    """

    def __init__(self, knowledge: KnowledgeBase, *, with_encounters: bool = False, with_times: bool = False) -> None:
        self._dictionary: Dictionary = index(knowledge)
        self._encounters, self._times = with_encounters, with_times
        self._products = {
            (code.system, code.code) for protocol in knowledge.protocols.values() for code in protocol.product_codes
        }
        self._is_relevant = lru_cache(maxsize=65536)(self._find_relevance)

    def pick(self, line: bytes | Raw) -> Pick | Left:
        """A line that is needed, or what is to be known of one that is not.

        Raises DataError: `unreadable` for what is no resource, `foreign_subject` for one that does not say whose it is.
        """
        seen = _look(line)
        kind = seen.resource_type
        if not kind:
            raise DataError("unreadable", "the line is no FHIR resource: it has no resourceType")
        name = _name(seen)
        if kind == "Patient":
            return self._patient(seen, name)
        if kind in LINKED:
            return Pick(name, "", tuple(_references(seen)))
        if kind not in CLINICAL and not (self._encounters and kind == ENCOUNTER):
            return Left(kind)
        if kind in _BY_CODE and not self._says_something(seen, _BY_CODE[kind]):
            return _left(kind, name, seen, with_time=self._times and kind == "Observation")
        return Pick(name, _owner(seen), tuple(_references(seen)))

    def _patient(self, seen: _Glance, name: str) -> Pick:
        if not _ID.fullmatch(seen.id or ""):
            raise DataError("no_patient", "a Patient without a usable id: nothing can be told to be its")
        return Pick(name, seen.id or "", aliases=tuple(_aliases(_identifiers(seen.identifier))))

    def _says_something(self, seen: _Glance, sources: tuple[Source, ...]) -> bool:
        if seen.medication_reference is not None:
            return True
        own = seen.medication_codeable_concept or seen.code
        concepts = [one for one in (own, seen.value_codeable_concept) if one is not None]
        concepts += [one.code for one in seen.component if one.code is not None]
        # Without any code or word it may be a retraction of what was sent before.
        return own is None or any(self._is_relevant(one, sources) for one in concepts)

    def _find_relevance(self, concept: CodeableConcept, sources: tuple[Source, ...]) -> bool:
        found, words = codings(concept), words_of(concept)
        if not found and not words:
            return True
        known = self._dictionary
        for code in found:
            key = (code.system, code.code)
            if code.system is CodeSystem.DATUM or key in self._products or known.meanings(*key):
                return True
            if key in known.data or key in known.refused or key in known.levels:
                return True
        return any(known.words(source, word) for source in sources for word in words)


def _name(seen: _Glance) -> str:
    return f"{seen.resource_type}/{seen.id}" if seen.id and seen.id.isprintable() else ""


def _look(line: bytes | Raw) -> _Glance:
    """A glance at a line; of a malformed resource only whose it is, which is enough to keep it."""
    try:
        return decode(_Glance, line)
    except msgspec.ValidationError:
        read = decode_tolerantly(_Owned, line)
    except UNREADABLE:
        read = None
    if read is None:
        raise DataError("unreadable", "the line is not JSON of one resource, or is nested too deeply")
    return _Glance(**{name: getattr(read[0], name) for name in _Owned.__struct_fields__})


def glance(line: bytes | Raw) -> Left:
    """What a line that names no patient still tells: which version of which resource it is."""
    seen = _look(line)
    return _left(seen.resource_type or "", _name(seen), seen, with_time=False)


class _Deletions(Element, frozen=True):
    """A bundle of requests to delete: when it was put together, its entries not yet read."""

    timestamp: str | None = None
    meta: Meta | None = None
    entry: tuple[Raw, ...] = ()


def find_deletions(content: bytes) -> tuple[str, list[str | None]]:
    """When a bundle was put together, as it is written there, and what each entry says that its server no longer has.

    That is a type and id; empty for a deletion that does not name one resource, None for another entry. Raises
    DataError `not_a_bundle`.
    """
    opened = decode_tolerantly(_Deletions, content)
    if opened is None or opened[1]:
        raise DataError("not_a_bundle", "a Bundle that is malformed: what it deletes cannot be told")
    bundle = opened[0]
    made = bundle.timestamp or (bundle.meta.last_updated if bundle.meta else None) or ""
    return made if made.isprintable() else "", [_deleted(raw) for raw in bundle.entry]


def _deleted(raw: Raw) -> str | None:
    read = decode_tolerantly(Entry, raw)
    request = None if read is None else read[0].request
    if request is None or (request.method or "").upper() != "DELETE":
        return None
    parts = split_url(request.url)
    return "" if parts is None else f"{parts[1]}/{parts[2]}"


def _left(kind: str, name: str, seen: _Glance, *, with_time: bool) -> Left:
    try:
        owner = _owner(seen)
    except DataError:
        owner = ""
    text = msgspec.json.format(msgspec.json.encode(seen), indent=-1)
    at = _time(seen) if with_time and seen.status not in NOT_OBSERVED else None
    known = None if is_after(at, seen.meta.last_updated if seen.meta else None) else at
    return Left(kind, owner, name, text, known, _stated_server(seen) or "")


def _time(seen: _Glance) -> TimeSpan | None:
    written = seen.effective_date_time or seen.effective_instant
    return parse_time(written) if written else period_time(seen.effective_period)


# -- whose it is -----------------------------------------------------------------------------------


def _owner(seen: _Glance) -> str:
    """The id of the patient, or an identifier that is to be looked up. Raises DataError `foreign_subject`."""
    subject = seen.subject or seen.patient or seen.individual
    text = (subject.reference if subject else None) or ""
    parts = split_url(text)
    if parts is not None and parts[1] == "Patient" and _ID.fullmatch(parts[2]):
        return parts[2]
    if text.startswith(_URN) and _ID.fullmatch(text.removeprefix(_URN)):
        return text.removeprefix(_URN)
    aliases = _aliases(_logical(subject, text, seen.contained))
    found = next(iter(aliases), None)
    if found is None:
        raise DataError("foreign_subject", "the resource does not say which patient it is about")
    return found


def stated_server(content: bytes | Raw) -> str | None:
    """The server that the literal subject of a resource states; empty if it is relative, None if there is none."""
    return _stated_server(_look(content))


def _stated_server(seen: _Glance) -> str | None:
    subject = seen.subject or seen.patient or seen.individual
    parts = split_url(subject.reference if subject else None)
    return parts[0] if parts is not None and parts[1] == "Patient" else None


def _logical(subject: Reference | None, text: str, contained: Iterable[Raw]) -> Iterator[Identifier]:
    """The identifiers that a subject is stated by: its own, those of a search, or those of a contained patient."""
    if subject is None:
        return
    if not text and subject.identifier is not None:
        yield subject.identifier
    if searched := _CONDITIONAL.fullmatch(text):
        yield Identifier(system=searched[1], value=searched[2])
    for raw in contained if text.startswith("#") else ():
        read = decode_tolerantly(_Glance, raw)
        if read is not None and (read[0].resource_type, read[0].id) == ("Patient", text[1:]):
            yield from _identifiers(read[0].identifier)


def _identifiers(content: Raw) -> tuple[Identifier, ...]:
    read = decode_tolerantly(_Identified, b'{"identifier":' + bytes(content) + b"}") if bytes(content) else None
    return () if read is None else read[0].identifier


class _Identified(Element, frozen=True):
    """The identifiers of a resource."""

    identifier: tuple[Identifier, ...] = ()


def _aliases(identifiers: Iterable[Identifier]) -> Iterator[str]:
    for one in identifiers:
        text = f"identifier/{one.system}|{one.value}"
        if one.system and one.value and text.isprintable():
            yield text


def _references(seen: _Glance) -> Iterator[str]:
    """The names of the products, specimens and devices that a resource refers to."""
    specimen = decode_tolerantly(Reference, seen.specimen) if bytes(seen.specimen) else None
    found = (*seen.focus, seen.subject, seen.medication_reference, seen.device, specimen[0] if specimen else None)
    for text in (one.reference for one in found if one is not None and one.reference):
        parts = split_url(text)
        if parts is not None and parts[1] in LINKED:
            yield f"{parts[1]}/{parts[2]}"
        elif text.startswith("urn:") and text.isprintable() and " " not in text:
            yield text
