"""FHIR R4 as it is written: plain dicts without empty fields, exact numbers, narratives that cannot carry markup."""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from html import escape
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import msgspec

from mscprotocol.answer import PatientItem
from mscprotocol.codes import CodeSystem
from mscprotocol.codes import Coding as Code

# The canonical addresses of what the project itself defines. They are names and need not resolve.
CANONICAL = "https://mscprotocol.example/fhir"
# The identifiers of infusions that a course of ours recorded.
RECORDED_INFUSION = f"{CANONICAL}/NamingSystem/recorded-infusion"
# The identifiers of events that a course of ours recorded and that end it.
RECORDED_EVENT = f"{CANONICAL}/NamingSystem/recorded-event"
# What was against an infusion that was given all the same: the gate's answer, or one of its reasons.
DEVIATION = f"{CANONICAL}/CodeSystem/protocol-deviation"
DATUM = CodeSystem.DATUM.value
CRITERION = f"{CANONICAL}/CodeSystem/criterion"
TERMINOLOGY = "http://terminology.hl7.org/CodeSystem"
SOFTWARE = "mscprotocol"
FHIR_VERSION = "4.0.1"

_XHTML = "http://www.w3.org/1999/xhtml"
_ID = re.compile(r"[A-Za-z0-9.-]{1,64}")
# XML 1.0 has no place for control characters, not even escaped.
_NO_XML = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
# Nor has a string of FHIR one for other white space than this.
_ODD_SPACE = re.compile(r"[^\S \t\r\n]")
_ENCODER = msgspec.json.Encoder(decimal_format="number")

Json = dict[str, Any]


def encode(resource: Json) -> bytes:
    """A resource as JSON; decimals are numbers with all their digits."""
    return _ENCODER.encode(resource)


def resource(kind: str, /, *narrative: str, **fields: Any) -> Json:
    """A resource with its narrative; fields that are empty are left out."""
    text = {"text": {"status": "generated", "div": _div(narrative)}} if narrative else {}
    return {"resourceType": kind, **element(id=fields.pop("id", None)), **text, **element(**fields)}


def element(**fields: Any) -> Json:
    """A data type without its empty fields: FHIR knows no empty string, list or object."""
    return {name: value for name, value in fields.items() if value not in (None, "", [], {}, ())}


def _div(lines: Iterable[str]) -> str:
    paragraphs = "".join(f"<p>{escape(plain_text(line))}</p>" for line in lines if line.strip())
    return f'<div xmlns="{_XHTML}">{paragraphs}</div>'


def plain_text(text: str) -> str:
    """Text without characters that XML or a string of FHIR cannot hold."""
    return _NO_XML.sub("\N{REPLACEMENT CHARACTER}", _ODD_SPACE.sub(" ", text))


def concept(text: str, *codings: Json) -> Json:
    """A concept by its words and its codes."""
    return element(coding=list(codings), text=plain_text(text))


def coding(system: str, code: str, display: str = "") -> Json:
    """One code of one system."""
    return element(system=system, code=code, display=display)


def known_coding(code: Code) -> Json:
    """A code of the knowledge; its system is the one that it was written in."""
    return coding(code.uri if code.system is CodeSystem.LOCAL else code.system.value, code.code, code.display)


def instant(text: str) -> str:
    """An instant as FHIR writes it: offsets have no seconds, though those of old local times do."""
    moment = datetime.fromisoformat(text)
    offset = moment.utcoffset()
    return text if offset is not None and not offset % timedelta(minutes=1) else moment.astimezone(UTC).isoformat()


@lru_cache(maxsize=1)
def software_version() -> str:
    """The version of this software; a checkout that was never installed has none."""
    try:
        return version(SOFTWARE)
    except PackageNotFoundError:
        return "not installed"


def write_device(identity: str) -> Json:
    """This software, as the device that made something."""
    return resource(
        "Device",
        id=identity,
        status="active",
        deviceName=[{"name": SOFTWARE, "type": "model-name"}],
        type=concept("Software for research pre-screening"),
        version=[{"value": software_version()}],
    )


def quantity(value: str | Decimal, unit: str, code: str | None = None) -> Json:
    """A number with its unit, in UCUM."""
    return {"value": Decimal(value), "unit": unit, "system": CodeSystem.UCUM.value, "code": code or unit}


def reference(target: str, display: str = "", kind: str = "") -> Json:
    """A reference by address."""
    return element(reference=target, type=kind, display=plain_text(display))


def named(system: str, value: str, display: str = "", kind: str = "") -> Json:
    """A reference to what has no address of its own, by its identifier."""
    return element(type=kind, identifier={"system": f"{CANONICAL}/sid/{system}", "value": value}, display=display)


def patient_reference(patient: PatientItem, display: str = "") -> Json:
    """The patient, by an address where the id can be one, else by an identifier: the one that the id was made of."""
    if _ID.fullmatch(patient.id):
        return reference(f"Patient/{patient.id}", display)
    stated = [one for one in patient.identifiers if one["system"] and one["value"]]
    if not stated:
        return named("patient", plain_text(patient.id), plain_text(display), "Patient")
    chosen = min(stated, key=lambda one: not patient.id.startswith(f"{one['value']}^"))
    identifier = {name: plain_text(text) for name, text in chosen.items()}
    return element(type="Patient", identifier=identifier, display=plain_text(display))


def rules_version(version: str, sha256: str) -> str:
    """The version of what follows from rules as they are in force: another choice of the site is another version."""
    return f"{version}-{sha256[:12]}"


def canonical(kind: str, name: str, version: str) -> str:
    """The versioned canonical address of something that the project publishes."""
    return f"{CANONICAL}/{kind}/{name}|{version}"


def name_based_id(seed: bytes, kind: str) -> str:
    """The id of what follows from a content: the same content has the same id, on every machine."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{CANONICAL}/{kind}#{hashlib.sha256(seed).hexdigest()}"))


def collection(seed: bytes, at: str, resources: Iterable[Json], trace: str) -> Json:
    """A Bundle of resources, each under the address that the others refer to it by."""
    entries = [{"fullUrl": f"urn:uuid:{one['id']}", "resource": one} for one in resources]
    identifier = {"system": f"{CANONICAL}/sid/trace-sha256", "value": trace}
    head = {"resourceType": "Bundle", "id": name_based_id(seed, "Bundle"), "identifier": identifier}
    return {**head, "type": "collection", "timestamp": at, "entry": entries}


def error_outcome(code: str, text: str, issue: str = "processing") -> Json:
    """An OperationOutcome with one error: the project's own code, and what to do about it."""
    details = {"coding": [{"code": code}], "text": text}
    return {
        "resourceType": "OperationOutcome",
        "issue": [{"severity": "error", "code": issue, "details": details, "diagnostics": text}],
    }
