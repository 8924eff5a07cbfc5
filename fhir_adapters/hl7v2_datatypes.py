"""The data types of HL7 v2 as those of FHIR R4, in JSON: times, numbers, codes, identifiers and names."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from msgspec import Raw

from fhir_adapters.hl7v2_parsing import Message, Value
from fhir_adapters.times import offset_in, write_offset
from mscprotocol.record import Identifier

Json = dict[str, Any]
TABLE = "http://terminology.hl7.org/CodeSystem/v2-"
UCUM = "http://unitsofmeasure.org"
# Names of coding systems (HL7 table 0396), and how senders write them besides.
_SYSTEMS = {
    **dict.fromkeys(("LN", "LOINC"), "http://loinc.org"),
    **dict.fromkeys(("SCT", "SNOMED", "SNOMEDCT", "SNOMED-CT", "SNOMED CT"), "http://snomed.info/sct"),
    **dict.fromkeys(("I10", "ICD10", "ICD-10"), "http://hl7.org/fhir/sid/icd-10"),
    **dict.fromkeys(("I10C", "ICD10CM", "ICD-10-CM"), "http://hl7.org/fhir/sid/icd-10-cm"),
    "ICD-10-GM": "http://fhir.de/CodeSystem/bfarm/icd-10-gm",
    **dict.fromkeys(("RXNORM", "RXN"), "http://www.nlm.nih.gov/research/umls/rxnorm"),
    "WC": "http://www.whocc.no/atc",  # plain ATC is another system in table 0396
    "UNII": "http://fdasis.nlm.nih.gov",
    "NDC": "http://hl7.org/fhir/sid/ndc",
    "CVX": "http://hl7.org/fhir/sid/cvx",
    "UCUM": UCUM,
}
_OID = re.compile(r"[0-2](?:\.(?:0|[1-9][0-9]*)){2,}")
_GERMAN_ICD = re.compile(r"I10G(M|[0-9]{4})?", re.IGNORECASE)
_TABLE_NAME = re.compile(r"HL7?([0-9]{4})", re.IGNORECASE)
_TIME = re.compile(
    r"([0-9]{4})(?:([0-9]{2})(?:([0-9]{2})(?:([0-9]{2})(?:([0-9]{2})(?:([0-9]{2})(?:\.([0-9]{1,6})[0-9]*)?)?)?)?)?)?"
    r"(?:([+-])([0-9]{2})([0-9]{2}))?"
)
_NUMBER = re.compile(r"([+-]?)([0-9]{0,30})(?:\.([0-9]{0,30}))?")
# The digits that a degree of precision leaves, as versions up to 2.4 state it beside a time.
_PRECISION = {"Y": 4, "L": 6, "D": 8, "H": 10, "M": 12}


# -- times -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Clock:
    """Where the local times of a message were written, as far as it is known: an offset, a zone, or neither."""

    offset: timedelta | None = None
    zone: ZoneInfo | None = None

    def read(self, value: Value) -> str | None:
        """A time as FHIR writes it, without a zone where none is known; what is no time stays as it was sent."""
        sent = value.part(1)
        if not sent:
            return None
        kept = _PRECISION.get(value.part(2).upper(), len(sent)) if sent[:14].isdigit() else len(sent)
        match = _TIME.fullmatch(sent if kept >= len(sent) else sent[:kept])
        return sent if match is None else self._write(match)

    def _write(self, match: re.Match[str]) -> str:
        year, month, day, hour, minute, second, fraction, *_ = match.groups()
        if hour is None or minute is None:
            # FHIR has no hours without minutes: the day is what remains.
            return "-".join(part for part in (year, month, day) if part)
        clock = f"{hour}:{minute}:{second or '00'}" + (f".{fraction}" if fraction else "")
        return f"{year}-{month}-{day}T{clock}{self._offset(match)}"

    def _offset(self, match: re.Match[str]) -> str:
        if match[8]:
            return f"{match[8]}{match[9]}:{match[10]}"
        if self.offset is not None:
            return write_offset(self.offset)
        local = _local(match)
        return "" if self.zone is None or local is None else offset_in(self.zone, local)


def message_clock(message: Message, zone: ZoneInfo | None) -> Clock:
    """The clock of a message: the offset of MSH-7 holds for the whole message, as the standard has it.

    The zone of the site goes before where it explains that offset, because it also knows when the clocks change.
    """
    match = _TIME.fullmatch(message.header.text(7))
    if match is None or not match[8]:
        return Clock(zone=zone)
    offset = timedelta(hours=int(match[9]), minutes=int(match[10])) * (-1 if match[8] == "-" else 1)
    local = _local(match)
    if zone is not None and local is not None and local.replace(tzinfo=zone).utcoffset() == offset:
        return Clock(zone=zone)
    return Clock(offset=offset)


def _local(match: re.Match[str]) -> datetime | None:
    try:
        return datetime(*(int(part or "0") for part in match.groups()[:6]))  # type: ignore[arg-type]  # noqa: DTZ001
    except ValueError:
        return None


# -- numbers and quantities ------------------------------------------------------------------------


def number(text: str) -> Raw | None:
    """A number exactly as it was written, or None if it is none."""
    match = _NUMBER.fullmatch(text)
    if match is None or not (match[2] or match[3]):
        return None
    return Raw(f"{Decimal(f'{match[1]}{match[2] or 0}.{match[3] or 0}' if match[3] else match[1] + match[2]):f}")


def quantity(value: Raw, unit: Value, comparator: str = "") -> Json:
    """A number with its unit; only a unit that says so is UCUM."""
    made: Json = {"value": value}
    if comparator:
        made["comparator"] = comparator
    for first in (1, 4):
        if coding_system(unit.part(first + 2)) == UCUM and unit.part(first):
            words = unit.part(first + 1) or unit.part(first)
            return made | {"unit": words, "system": UCUM, "code": unit.part(first)}
    written = unit.part(1) or unit.part(2)
    return made | {"unit": written} if written else made


# -- codes -----------------------------------------------------------------------------------------


def coding_system(name: str, oid: str = "") -> str:
    """The URI of a coding system by its HL7 name or its OID; one that HL7 does not know keeps its own name."""
    name = name.strip()
    known = _SYSTEMS.get(name.upper())
    if known is not None:
        return known
    table = _TABLE_NAME.fullmatch(name)
    if table is not None:
        return f"{TABLE}{table[1]}"
    if _GERMAN_ICD.fullmatch(name):
        return _SYSTEMS["ICD-10-GM"]
    for one in (oid, name):
        if _OID.fullmatch(one):
            return f"urn:oid:{one}"
    return f"urn:x-hl7v2:{name}" if name else ""


def concept(value: Value, *, method: str = "", words: str = "") -> Json | None:
    """A coded value with its alternates, or None if it says nothing.

    `method` names the coding system where the value does not. `words` are the sender's own about a statement: they
    stand alone, because a display would pass for the system's word and hide that they deny what the code says.
    """
    codings = []
    for first, oid in ((1, 14), (4, 17), (10, 20)):
        code = value.part(first)
        if code:
            system = coding_system(value.part(first + 2) or (method if first == 1 else ""), value.part(oid))
            display = "" if words else value.part(first + 1)
            codings.append(_without_blanks({"system": system, "code": code, "display": display}))
    text = words or value.part(9) or value.part(2) or value.part(5)
    if not codings and not text:
        return None
    return ({"coding": codings} if codings else {}) | ({"text": text} if text else {})


def code(system: str, value: str) -> Json:
    """A concept of one code."""
    return {"coding": [{"system": system, "code": value}]}


def _without_blanks(parts: Json) -> Json:
    return {name: part for name, part in parts.items() if part}


# -- people ----------------------------------------------------------------------------------------

# Identifiers of a stay, an account or a person's other papers say nothing of which record it is (HL7 table 0203).
_NOT_OF_THE_RECORD = ("AN", "ANON", "BC", "DL", "DN", "EI", "EN", "MA", "MC", "PPN", "SL", "SS", "VN", "VISA", "XX")
_AUTHORITY, _FACILITY = "urn:x-hl7v2:authority:", "urn:x-hl7v2:facility:"
# What a reference and a column of the database can hold.
_WRITABLE = re.compile(r"[^/?#|\s\x00-\x1f\x7f]{1,128}")
_NAME_USES = {"L": "official", "D": "usual", "B": "old", "M": "maiden", "N": "nickname", "S": "anonymous", "BAD": "old"}


def identifiers(values: Sequence[Value], facility: str) -> tuple[Identifier, ...]:
    """The record numbers among identifiers, each with its assigning authority, else the facility that sent it."""
    found = dict.fromkeys(
        Identifier(_authority(one) or f"{_FACILITY}{facility}", one.part(1))
        for one in values
        if one.part(1) and one.part(5).upper() not in _NOT_OF_THE_RECORD
    )
    return tuple(found)


def _authority(value: Value) -> str:
    authority = value.component(4)
    namespace, universal, kind = (authority.part(number) for number in (1, 2, 3))
    if universal and (kind.upper() == "ISO" or _OID.fullmatch(universal)):
        return f"urn:oid:{universal}"
    if universal and kind.upper() == "UUID":
        return f"urn:uuid:{universal}"
    if universal and kind.upper() == "URI":
        return universal
    found = universal or namespace
    return f"{_AUTHORITY}{found}" if found else ""


def write_identifier(identifier: Identifier) -> str:
    """An identifier as messages write it: `4711^^^HOSP`, or `4711^^^^^HOSP` where only the facility is known.

    It is the id of a patient here, and no id that a FHIR server could have: a number alone may be another person's.
    """
    for system, written in ((_AUTHORITY, "^^^{}"), (_FACILITY, "^^^^^{}"), ("urn:oid:", "^^^&{}&ISO")):
        if identifier.system.startswith(system):
            found = identifier.value + written.format(identifier.system.removeprefix(system))
            if _WRITABLE.fullmatch(found):
                return found
    return f"{hashlib.sha256(f'{identifier.system}|{identifier.value}'.encode()).hexdigest()[:16]}^"


def has_authority(identifier: Identifier) -> bool:
    """Whether an identifier says who assigned it; else only the facility that sent it is known."""
    return not identifier.system.startswith(_FACILITY)


def names(values: Sequence[Value]) -> Iterator[Json]:
    """Names of a person."""
    for one in values:
        given = [part for part in (one.part(2), one.part(3)) if part]
        family = one.component(1).part(1)
        if family or given:
            use = _NAME_USES.get(one.part(7).upper(), "")
            yield _without_blanks({"use": use, "family": family, "given": given})
