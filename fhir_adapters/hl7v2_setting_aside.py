"""HL7 v2 messages with what a person says of single results, diagnoses, allergies and procedures in them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from zoneinfo import ZoneInfo

from fhir_adapters.hl7v2_facts import Fact, Statement
from fhir_adapters.hl7v2_files import split_file
from fhir_adapters.hl7v2_mapping import map_message
from fhir_adapters.hl7v2_marks import Mark, Place, write_marks
from fhir_adapters.hl7v2_parsing import MessageError, parse_message
from fhir_adapters.hl7v2_patients import read_patients
from mscprotocol.errors import DataError


def mark_messages(content: bytes, said: Mapping[str, Mark], zone: ZoneInfo | None) -> tuple[bytes, frozenset[str]]:
    """The messages of a file with marks for the entries of some references, and which of these were found.

    Every segment that states the entry is marked, a correction and what it corrects among them; the segments stay as
    they came. Content in which nothing is found comes back as it is, and so does what is no file of messages.
    """
    try:
        messages = split_file(content)
        patients, _ = read_patients([content], zone)
    except DataError:
        return content, frozenset()
    named: dict[Statement, set[str]] = defaultdict(set)
    for chart in patients:
        for reference, statement in chart.statements():
            named[statement] |= {reference} & said.keys()
    amended, found = [], set[str]()
    for message in messages:
        marks: dict[Place, Mark] = {}
        for fact in _facts(message, zone):
            for reference in named.get(fact.statement, ()):
                found.add(reference)
                marks[fact.place] = said[reference]
        amended.append(write_marks(message, marks))
    return (b"\r".join(amended) if found else content), frozenset(found)


def _facts(message: bytes, zone: ZoneInfo | None) -> Iterable[Fact]:
    """What a message states; nothing where it is one that is not read."""
    try:
        return [fact for part in map_message(parse_message(message), zone) for fact in part.facts]
    except MessageError:
        return []
