"""Prefetch of CDS Hooks: templates from what the rules read, and a record from what came and what is fetched."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import msgspec
from msgspec import Raw

from fhir_adapters.bundle import PatientBundle, assemble
from fhir_adapters.datatypes import Head, OperationOutcome
from fhir_adapters.decoding import decode_tolerantly
from fhir_adapters.fhir_client import FhirError, FhirReader, NotHeldError
from fhir_adapters.requirements import conditions_of, requirements
from fhir_adapters.unpacking import Unit, Unpacked, check_text, make_unit, open_bundles
from fhir_adapters.writing import DATUM, Json, known_coding
from mscprotocol.codes import CodeSystem
from mscprotocol.errors import DataError
from mscprotocol.rulebook import Rulebook

PATIENT = "{{context.patientId}}"
# Servers and what lies before them cut longer addresses off; escaping makes one longer still.
LONGEST_QUERY = 1500
_OBSERVED = (CodeSystem.LOINC.value, CodeSystem.SNOMED.value)
# Every FHIR server holds these: that one is not held there means that the address is wrong.
_CORE = ("Patient?", "Patient/", "Observation?", "Condition?")
_NONE_THERE = frozenset(("not-supported", "not-found"))


class MissingDataError(Exception):
    """Parts of the record, by their prefetch keys, that neither came nor can be fetched whole."""

    def __init__(self, keys: Iterable[str]) -> None:
        self.keys = tuple(keys)
        super().__init__(", ".join(self.keys))


class MalformedPrefetchError(Exception):
    """A prefetch value that is neither null nor a FHIR resource."""


@dataclass
class Gathered:
    """The resources of one patient, the keys of parts that the client's server does not hold at all, and what was odd.

    `oddities` are about the packaging of a part, by its key: an entry that could not be read, a total that is larger.
    """

    units: list[Unit] = field(default_factory=list)
    not_held: list[str] = field(default_factory=list)
    oddities: list[str] = field(default_factory=list)

    def add(self, key: str, unpacked: Unpacked) -> None:
        """What one part holds."""
        self.units += unpacked.units
        self.oddities += [f"{key}: {text}" for text in dict.fromkeys(note.text for note in unpacked.notes)]

    @cached_property
    def bundle(self) -> bytes:
        """All resources as they came, as one bundle."""
        entries = [
            {"fullUrl": one.full_url, "resource": one.content} if one.full_url else {"resource": one.content}
            for one in self.units
        ]
        return msgspec.json.encode({"resourceType": "Bundle", "type": "collection", "entry": entries})

    def patient(self) -> PatientBundle:
        """The patient, as `read_bundle` gives it of `bundle`. Raises DataError as that does."""
        check_text(self.bundle)
        return assemble(self.units)


# -- templates ---------------------------------------------------------------------------------------


def write_templates(book: Rulebook) -> dict[str, str]:
    """The prefetch templates of a protocol: each resource type that it reads, observations by their codes.

    There is no filter by date: an undated or older resource that contradicts a newer one must be seen.
    """
    return book.once("cds prefetch", lambda: _write_templates(book))


def _write_templates(book: Rulebook) -> dict[str, str]:
    found: dict[str, str] = {}
    codes: dict[str, None] = {}
    for one in requirements(book):
        if filters := one.get("codeFilter"):
            codes.update(dict.fromkeys(_tokens(filters[0]["code"])))
        else:
            found[_key(one["type"])] = _query(one["type"])
    # A disease charted as an observation is not decided by, but a person is asked about it.
    for condition in conditions_of(book).values():
        stated = (known_coding(one.code) for one in condition.codes)
        codes.update(dict.fromkeys(_tokens([one for one in stated if one["system"] in _OBSERVED])))
    start = f"Observation?patient={PATIENT}&code="
    for number, part in enumerate(_parts(codes, LONGEST_QUERY - len(start)), 1):
        found[f"observation{number}"] = start + part
    return found


def _key(kind: str) -> str:
    return kind[0].lower() + kind[1:]


def _query(kind: str) -> str:
    return f"Patient/{PATIENT}" if kind == "Patient" else f"{kind}?patient={PATIENT}"


def _tokens(codes: Iterable[Json]) -> list[str]:
    """Codes as a search takes them; names of our own are left out, which no hospital's record carries."""
    return [f"{one['system']}|{one['code']}" for one in codes if one.get("system") not in (None, DATUM)]


def _parts(tokens: Iterable[str], longest: int) -> list[str]:
    """Lists of tokens, none longer than a query may be."""
    parts: list[str] = []
    for token in tokens:
        if parts and len(parts[-1]) + 1 + len(token) <= longest:
            parts[-1] += f",{token}"
        else:
            parts.append(token)
    return parts


# -- one patient's record ----------------------------------------------------------------------------


def gather(
    templates: Mapping[str, str], patient_id: str, given: Mapping[str, Raw], reader: FhirReader | None
) -> Gathered:
    """The record of a patient: what came is used, only the rest is fetched.

    A key with `null` says that there is nothing; one with an OperationOutcome was tried in vain and is not tried
    again. Raises MissingDataError for parts that cannot be had whole, MalformedPrefetchError, and DataError for what
    cannot be read.
    """
    gathered = Gathered()
    missing: list[str] = []
    for key, template in templates.items():
        query = template.replace(PATIENT, patient_id)
        try:
            if key in given:
                gathered.add(key, _take(given[key], reader))
            else:
                gathered.add(key, _fetch(query, reader))
        except NotHeldError:
            (missing if query.startswith(_CORE) else gathered.not_held).append(key)
        except FhirError:
            missing.append(key)
    if missing:
        raise MissingDataError(missing)
    return gathered


def _fetch(query: str, reader: FhirReader | None) -> Unpacked:
    if reader is None:
        raise FhirError("there is no server to read from")
    return _units(reader.read(query))


def _take(value: Raw, reader: FhirReader | None) -> Unpacked:
    content = bytes(value)
    if content.strip() == b"null":
        return Unpacked()
    read = decode_tolerantly(Head, content)
    if read is None or not read[0].resource_type:
        raise MalformedPrefetchError
    if read[0].resource_type != "Bundle":
        return _units([content])
    try:
        unpacked = open_bundles([content])
    except DataError as error:
        raise _as_missing(error) from None
    for link in sorted(unpacked.missing_pages):
        if reader is None:
            raise FhirError("there is no server to follow pages on")
        rest = _units(reader.follow(link))
        unpacked.units += rest.units
        unpacked.notes += rest.notes
    return unpacked


def _units(pages: Iterable[bytes]) -> Unpacked:
    """The resources of pages that were followed to the end, or of single resources."""
    found = Unpacked()
    for page in pages:
        unit = make_unit(Raw(page))
        if unit is None:
            raise MalformedPrefetchError
        if unit.type == "OperationOutcome":
            raise _why_not(page)
        if unit.type != "Bundle":
            found.units.append(unit)
            continue
        try:
            opened = open_bundles([page])
            found.units += opened.units
            found.notes += opened.notes
        except DataError as error:
            raise _as_missing(error) from None
    return found


def _why_not(outcome: bytes) -> FhirError:
    read = decode_tolerantly(OperationOutcome, outcome)
    codes = {issue.code for issue in read[0].issue} if read is not None else set()
    return NotHeldError("it is not held") if codes and codes <= _NONE_THERE else FhirError("it could not be fetched")


def _as_missing(error: DataError) -> Exception:
    """A page that did not come counts as one that was never sent."""
    return FhirError("a page did not come") if error.code == "incomplete_page" else error
