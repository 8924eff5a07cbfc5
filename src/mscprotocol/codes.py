"""Coding systems as types: a code means nothing without the system that it belongs to."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum


class CodeSystem(Enum):
    """The coding systems that the knowledge uses, by the URI under which FHIR knows them."""

    LOINC = "http://loinc.org"
    SNOMED = "http://snomed.info/sct"
    ICD10 = "http://hl7.org/fhir/sid/icd-10"
    RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
    ATC = "http://www.whocc.no/atc"
    UNII = "http://fdasis.nlm.nih.gov"
    UCUM = "http://unitsofmeasure.org"
    ABSENT = "http://terminology.hl7.org/CodeSystem/data-absent-reason"
    SPECIMEN = "http://terminology.hl7.org/CodeSystem/v2-0487"
    # Our own: every datum, answer, level and condition by its name in `rules/`, for what no public system names.
    DATUM = "https://mscprotocol.example/fhir/CodeSystem/datum"
    LOCAL = ""


# National variants share the ICD-10 categories that the value sets name; URNs are what v2 senders map to.
_ALIASES = {
    "http://hl7.org/fhir/sid/icd-10-cm": CodeSystem.ICD10,
    "http://fhir.de/CodeSystem/bfarm/icd-10-gm": CodeSystem.ICD10,
    "http://fhir.de/CodeSystem/dimdi/icd-10-gm": CodeSystem.ICD10,
    "http://hl7.org/fhir/v2/0487": CodeSystem.SPECIMEN,
    "urn:oid:2.16.840.1.113883.6.1": CodeSystem.LOINC,
    "urn:oid:2.16.840.1.113883.6.96": CodeSystem.SNOMED,
    "urn:oid:2.16.840.1.113883.6.3": CodeSystem.ICD10,
    "urn:oid:2.16.840.1.113883.6.90": CodeSystem.ICD10,
    "urn:oid:2.16.840.1.113883.6.88": CodeSystem.RXNORM,
}
_BY_URI = {system.value: system for system in CodeSystem if system.value} | _ALIASES


@dataclass(frozen=True, slots=True)
class Coding:
    """One code of one system, with the words that came with it."""

    system: CodeSystem
    code: str
    display: str = ""
    uri: str = ""

    def __str__(self) -> str:
        name = self.system.name if self.system is not CodeSystem.LOCAL else self.uri or "local"
        return f"{name} {self.code}"


def find_system(uri: str | None) -> CodeSystem:
    """The coding system that a URI names; `LOCAL` for one that the knowledge does not use."""
    return _BY_URI.get((uri or "").split("|")[0], CodeSystem.LOCAL)


def parse_code(text: str) -> Coding:
    """Read `loinc 777-3` or `snomed 59282003`, as written in `rules/`."""
    name, _, code = text.partition(" ")
    if name.upper() not in CodeSystem.__members__ or not code:
        raise ValueError(f"not a code: {text!r}; write it like 'loinc 777-3'")
    return Coding(CodeSystem[name.upper()], code.strip())


def is_same_code(code: Coding, product: Coding) -> bool:
    """Whether a code is that of a product; a local one counts in its own system, if that is stated."""
    if (code.system, code.code) != (product.system, product.code):
        return False
    return code.system is not CodeSystem.LOCAL or product.uri in ("", code.uri)


# -- ICD-10 categories -------------------------------------------------------------------------

# As classifications write it: with or without the point, a dash for what follows, and marks of use (dagger, asterisk).
_ICD10 = r"[A-Z][0-9][0-9A-Z](?:\.?[0-9A-Z]{1,4})?"
_WHOLE = re.compile(rf"({_ICD10})(?:\.?-)?[!*+#†]?")
_WITHIN = re.compile(rf"(?<![0-9A-Z]){_ICD10}(?![0-9A-Z])")


def is_in_icd10(code: str, category: str) -> bool:
    """Whether an ICD-10 code lies in a category (`I26`), a subcategory (`I82.4`) or a range (`C00-C97`)."""
    match = _WHOLE.fullmatch(code.upper().strip())
    if match is None:
        return False
    bare = match[1].replace(".", "")
    first, _, last = category.replace(".", "").partition("-")
    if not last:
        return bare.startswith(first)
    return first <= bare and bare[: len(last)] <= last


def icd10_within(text: str) -> tuple[str, ...]:
    """The ICD-10 codes that stand in a text which is not itself one."""
    text = text.upper().strip()
    return () if _WHOLE.fullmatch(text) else tuple(_WITHIN.findall(text))


# -- several codes in one place ------------------------------------------------------------------

_SHAPES = {
    CodeSystem.ICD10: _WHOLE,
    CodeSystem.LOINC: re.compile(r"[0-9]{1,7}-[0-9]"),
    CodeSystem.SNOMED: re.compile(r"[0-9]{6,18}"),
    CodeSystem.RXNORM: re.compile(r"[0-9]{2,8}"),
    CodeSystem.ATC: re.compile(r"[A-Z](?:[0-9]{2}(?:[A-Z](?:[A-Z](?:[0-9]{2})?)?)?)?"),
}
_BETWEEN = re.compile(r"[\s,;|]+")


def split_codes(system: CodeSystem, text: str) -> tuple[str, ...] | None:
    """The codes of a text that lists them with commas, semicolons, bars or blanks; None if any part is no such code."""
    parts = tuple(part for part in _BETWEEN.split(text.strip()) if part)
    shape = _SHAPES.get(system)
    if len(parts) < 2 or shape is None:
        return (text,) if len(parts) < 2 else None
    return parts if all(shape.fullmatch(part.upper()) for part in parts) else None
