"""HL7 v2 messages in which a person sets procedures aside: their segments stay where they are, by a name of ours."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from zoneinfo import ZoneInfo

from fhir_adapters.hl7v2_files import split_file
from fhir_adapters.hl7v2_mapping import map_message
from fhir_adapters.hl7v2_parsing import MessageError, digest, parse_message
from fhir_adapters.hl7v2_patients import name_resource
from mscprotocol.errors import DataError

# A retraction of HL7 would say more: it opens other procedures of the same code that it may mean.
_PROCEDURE, _ASIDE = b"PR1", b"ZPR"


def set_procedures_aside(
    content: bytes, references: Collection[str], zone: ZoneInfo | None
) -> tuple[bytes, frozenset[str]]:
    """The messages of a file without the procedures of some references, and which of these were found.

    Content in which nothing is found comes back as it is, and so does what is no file of messages.
    """
    try:
        messages = split_file(content)
    except DataError:
        return content, frozenset()
    amended, found = [], set[str]()
    for message in messages:
        named = {number: one for number, one in _procedures(message, zone) if one in references}
        found.update(named.values())
        amended.append(_renamed(message, named.keys()))
    return (b"\r".join(amended) if found else content), frozenset(found)


def _procedures(content: bytes, zone: ZoneInfo | None) -> Iterator[tuple[int, str]]:
    """The place of each PR1 among those of its message, and the reference of what it states."""
    try:
        message = parse_message(content)
        facts = [fact for part in map_message(message, zone) for fact in part.facts if fact.kind == "Procedure"]
    except MessageError:
        return
    for segment in message.named(_PROCEDURE.decode()):
        stated = next((fact for fact in facts if fact.digest == digest(segment)), None)
        if stated is not None:
            yield segment.number, f"{stated.kind}/{name_resource(stated)}"


def _renamed(message: bytes, numbers: Collection[int]) -> bytes:
    lines, number = [], 0
    for line in message.split(b"\r"):
        is_procedure = line.startswith(_PROCEDURE) and line[3:4] in (b"", message[3:4])
        number += is_procedure
        lines.append(_ASIDE + line[3:] if is_procedure and number in numbers else line)
    return b"\r".join(lines)
