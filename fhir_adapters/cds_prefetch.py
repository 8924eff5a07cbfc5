"""Prefetch of CDS Hooks: templates from what the rules read, and a record from what came and what is fetched."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import msgspec
from msgspec import Raw

from fhir_adapters.bundle import PatientBundle, assemble
from fhir_adapters.datatypes import Bundle, Entry, Head, OperationOutcome
from fhir_adapters.decoding import decode_tolerantly
from fhir_adapters.fhir_client import FhirError, FhirReader, NotHeldError
from fhir_adapters.referred import read_referred
from fhir_adapters.requirements import conditions_of, requirements
from fhir_adapters.unpacking import Unit, Unpacked, check_text, make_unit, open_bundles, read_head
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
_OUTCOME = "OperationOutcome"
# What a server may put beside the matches of a search.
_BESIDE = ("include", "outcome")
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
    `of_orders` are what draft orders refer to, which is nothing that the patient has.
    """

    units: list[Unit] = field(default_factory=list)
    not_held: list[str] = field(default_factory=list)
    oddities: list[str] = field(default_factory=list)
    of_orders: list[Unit] = field(default_factory=list)

    def add(self, key: str, unpacked: Unpacked, server: str | None) -> None:
        """What one part holds; a patient without an address is the one of the client's server, and of no other."""
        self.units += [_placed(unit, server) for unit in unpacked.units]
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


def _placed(unit: Unit, server: str | None) -> Unit:
    if server is None or unit.type != "Patient" or unit.id is None or unit.full_url is not None:
        return unit
    return replace(unit, full_url=f"{server.rstrip('/')}/Patient/{unit.id}")


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
    templates: Mapping[str, str],
    patient_id: str,
    given: Mapping[str, Raw],
    reader: FhirReader | None,
    server: str | None = None,
    orders: Sequence[Unit] = (),
) -> Gathered:
    """The record of a patient: what came is used, only the rest is fetched, and no more once a part cannot be had.

    A key with `null` says that there is nothing; one with an OperationOutcome was tried in vain and is not tried
    again. What the rest only refers to, draft `orders` too, is read last. `server` is the client's, whether or not it
    may be read. Raises MissingDataError for parts that cannot be had whole, MalformedPrefetchError, and DataError for
    what cannot be read.
    """
    gathered = Gathered()
    missing: list[str] = []
    for key in sorted(templates, key=lambda one: one not in given):
        query = templates[key].replace(PATIENT, patient_id)
        if missing and key not in given and reader is not None:
            break
        try:
            part = _take(given[key], _kind(query), reader) if key in given else _fetch(query, reader)
            gathered.add(key, part, server)
        except NotHeldError:
            (missing if query.startswith(_CORE) else gathered.not_held).append(key)
        except FhirError:
            missing.append(key)
    if missing:
        raise MissingDataError(missing)
    if reader is not None:
        gathered.add("what others refer to", read_referred(gathered.units, reader), server)
        gathered.of_orders = read_referred(orders, reader, gathered.units).units
    return gathered


def _kind(query: str) -> str:
    """The resource type that a template asks for."""
    return query.partition("?")[0].partition("/")[0]


def _fetch(query: str, reader: FhirReader | None) -> Unpacked:
    if reader is None:
        raise FhirError("there is no server to read from")
    unpacked = _units(reader.read(query), _kind(query))
    # Of several pages the last one states the total of all.
    if unpacked.is_short and not unpacked.next_pages:
        raise FhirError("the rest of a bundle did not come")
    return unpacked


def _take(value: Raw, kind: str, reader: FhirReader | None) -> Unpacked:
    content = bytes(value)
    if content.strip() == b"null":
        return Unpacked()
    if read_head(content) is None:
        raise MalformedPrefetchError
    unpacked = _units([content], kind)
    if unpacked.is_short:
        raise FhirError("the rest of a bundle did not come")
    for link in sorted(unpacked.missing_pages):
        if reader is None:
            raise FhirError("there is no server to follow pages on")
        rest = _units(reader.follow(link), kind)
        unpacked.units += rest.units
        unpacked.notes += rest.notes
    return unpacked


def _units(pages: Iterable[bytes], kind: str) -> Unpacked:
    """The resources of one type that pages hold, each a bundle or a single resource."""
    found = Unpacked()
    for page in pages:
        head = read_head(page)
        if head is None:
            raise FhirError("it is no FHIR resource")
        if head.resource_type == _OUTCOME:
            raise _why_not(page)
        if head.resource_type == "Bundle":
            _open(found, page, kind)
        elif head.resource_type == kind and (unit := make_unit(Raw(page))) is not None:
            found.units.append(unit)
        else:
            raise FhirError("it is of another type than was asked for")
    return found


def _open(found: Unpacked, page: bytes, kind: str) -> None:
    try:
        opened = open_bundles([page])
    except DataError as error:
        raise _as_missing(error) from None
    _check_types(page, kind)
    found.units += opened.units
    found.notes += opened.notes
    found.pages |= opened.pages
    found.next_pages |= opened.next_pages
    found.short_pages |= opened.short_pages


def _check_types(page: bytes, kind: str) -> None:
    """Raise FhirError for a bundle that need not be the answer to what was asked for: nobody looked for the rest."""
    read = decode_tolerantly(Bundle, page)
    if read is None or read[0].type is None:
        raise FhirError("a bundle does not say what it is")
    for raw in read[0].entry:
        entry = decode_tolerantly(Entry, raw)
        if entry is None:
            continue  # said of the part as a whole
        head = decode_tolerantly(Head, entry[0].resource)
        if head is None:
            raise FhirError("an entry holds no resource")
        mode = entry[0].search.mode if entry[0].search is not None else None
        if not (head[0].resource_type in (kind, _OUTCOME, None) or mode in _BESIDE):
            raise FhirError("an entry is of another type than was asked for")


def _why_not(outcome: bytes) -> FhirError:
    read = decode_tolerantly(OperationOutcome, outcome)
    codes = {issue.code for issue in read[0].issue} if read is not None else set()
    return NotHeldError("it is not held") if codes and codes <= _NONE_THERE else FhirError("it could not be fetched")


def _as_missing(error: DataError) -> Exception:
    """A page that did not come counts as one that was never sent."""
    return FhirError("a page did not come") if error.code == "incomplete_page" else error
