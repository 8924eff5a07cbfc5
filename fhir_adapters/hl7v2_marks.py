"""What a person says of single segments of an HL7 v2 message, in segments of a name of ours at its end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from fhir_adapters.hl7v2_parsing import Message
from fhir_adapters.writing import SOFTWARE

_NAME = "ZMP"
_FIELDS = 6
# The name of a segment, and its place among those of that name in its message.
Place = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Mark:
    """Why a segment is set aside, and the number of ours under which it is an infusion by itself; empty if it is not.

    A retraction of HL7 would say more than the first: it may mean other values of the same order, and opens them.
    """

    aside: str = ""
    separate: str = ""

    def joined(self, other: Mark) -> Mark:
        """Both marks."""
        return Mark(self.aside or other.aside, self.separate or other.separate)


UNMARKED = Mark()


def read_marks(message: Message) -> dict[Place, Mark]:
    """The marks that a message holds; a segment of that name which is not of our making marks nothing."""
    found: dict[Place, Mark] = {}
    for segment in message.named(_NAME):
        if len(segment.fields) != _FIELDS or segment.fields[1] != SOFTWARE:
            continue
        _, _, name, number, kind, text = segment.fields
        try:
            place, said = (name, int(number)), bytes.fromhex(text).decode()
        except ValueError:
            continue
        if kind in ("aside", "separate"):
            found[place] = replace(found.get(place, UNMARKED), **{kind: said})
    return found


def write_marks(message: bytes, marks: Mapping[Place, Mark]) -> bytes:
    """A message with marks of its segments; what was marked before stays so, unless it is said anew."""
    separator, lines = message[3:4], [message.rstrip(b"\r")]
    for (name, number), mark in marks.items():
        for kind, said in (("aside", mark.aside), ("separate", mark.separate)):
            # Digits are the same in every character set, and no delimiter is one.
            fields = (_NAME, SOFTWARE, name, str(number), kind, said.encode().hex())
            lines += [separator.join(one.encode() for one in fields)] if said else []
    return b"\r".join(lines)
