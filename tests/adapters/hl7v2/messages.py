"""HL7 v2 messages for the tests: a builder of segments, and the way from a message to what was understood."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from fhir_adapters.hl7v2_mapping import map_message
from fhir_adapters.hl7v2_parsing import parse_message
from fhir_adapters.hl7v2_patients import read_patient
from fhir_adapters.record_builder import build_record
from mscprotocol.knowledge_loader import load_knowledge
from mscprotocol.record import PatientRecord

NOW = datetime(2020, 4, 6, 12, tzinfo=UTC)
PID = "PID|1||4711^^^HOSP^MR||Example^Ada||19620314|F"
OBR = "OBR|1|P1|F1|panel^Panel^L|||202004060800+0000"


def header(
    kind: str = "ORU^R01^ORU_R01",
    control: str = "1",
    *,
    sent: str = "20200406100000+0000",
    processing: str = "P",
    version: str = "2.5.1",
    accept: str = "",
    application: str = "",
    charset: str = "",
) -> str:
    fields = (
        "MSH", "^~\\&", "LAB", "HOSP", "MSC", "TRIAL", sent, "", kind, control, processing, version, "", "", accept,
        application, "", charset,
    )  # fmt: skip
    return "|".join(fields).rstrip("|")


def message(*segments: str, encoding: str = "utf-8", **head: Any) -> bytes:
    return "\r".join((header(**head), *segments, "")).encode(encoding)


def adt(event: str, *segments: str, **head: Any) -> bytes:
    return message(f"EVN|{event}|20200406", *(segments or (PID,)), kind=f"ADT^{event}", **head)


def result(
    value: str = "98",
    *,
    kind: str = "NM",
    code: str = "2160-0^Creatinine^LN",
    unit: str = "umol/L",
    limits: str = "",
    status: str = "F",
    time: str = "",
    sub: str = "",
    number: int = 1,
) -> str:
    return f"OBX|{number}|{kind}|{code}|{sub}|{value}|{unit}|{limits}||||{status}|||{time}"


def oru(*segments: str, **head: Any) -> bytes:
    """A message of results for the usual patient and order."""
    return message(PID, OBR, *segments, **head)


def resources(content: bytes, zone: str | None = None) -> list[dict[str, Any]]:
    """The resources that one message is mapped to, as plain JSON."""
    (mapped,) = map_message(parse_message(content), None if zone is None else ZoneInfo(zone))
    return [msgspec.json.decode(msgspec.json.encode(fact.resource)) for fact in mapped.facts]


def only(content: bytes, zone: str | None = None) -> dict[str, Any]:
    (found,) = resources(content, zone)
    return found


def record(*contents: bytes, zone: str | None = None) -> PatientRecord:
    """The record of the one patient of some messages."""
    return build_record(read_patient(contents, None if zone is None else ZoneInfo(zone)), load_knowledge())
