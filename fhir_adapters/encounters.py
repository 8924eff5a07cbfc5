"""When a patient's encounter began: the latest stay in hospital, else the latest encounter of any kind."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import msgspec
from msgspec import Raw

from fhir_adapters.datatypes import Coding, Element, Period
from fhir_adapters.decoding import decode_tolerantly
from fhir_adapters.times import parse_time

# HL7 v3 ActEncounterCode: inpatient, acute, non-acute, short stay and emergency are stays in hospital.
_STAYS = ("IMP", "ACUTE", "NONAC", "SS", "EMER")
_NOT_BEGUN = ("planned", "cancelled", "entered-in-error")


class _Encounter(Element, frozen=True):
    """What of an encounter says when it began."""

    status: str | None = None
    class_: Coding | None = msgspec.field(default=None, name="class")
    period: Period | None = None


def find_start(contents: Iterable[bytes | Raw]) -> datetime | None:
    """The start of the latest stay among some encounters, if any states one."""
    starts: list[tuple[bool, datetime]] = []
    for content in contents:
        read = decode_tolerantly(_Encounter, content)
        time = parse_time(read[0].period.start) if read is not None and read[0].period is not None else None
        if read is None or time is None or read[0].status in _NOT_BEGUN:
            continue
        code = (read[0].class_.code or "") if read[0].class_ is not None else ""
        starts.append((code.upper() in _STAYS, time.latest))
    return max(starts)[1] if starts else None
