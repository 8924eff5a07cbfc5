"""Acknowledgements of HL7 v2: which kind a sender asked for, MSA, and ERR with location, code and severity."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from fhir_adapters.hl7v2_definitions import FALLBACK_VERSION, VERSIONS, has_error_location
from fhir_adapters.hl7v2_parsing import MessageError, Segment

Outcome = Literal["accepted", "error", "rejected"]
_LETTERS = {"accepted": "A", "error": "E", "rejected": "R"}
# HL7 table 0357, as far as it is used.
CONDITIONS = {
    "0": "Message accepted", "100": "Segment sequence error", "101": "Required field missing", "102": "Data type error",
    "103": "Table value not found", "200": "Unsupported message type", "201": "Unsupported event code",
    "202": "Unsupported processing id", "203": "Unsupported version id", "204": "Unknown key identifier",
    "205": "Duplicate key identifier", "206": "Application record locked", "207": "Application internal error",
}  # fmt: skip
_LONGEST_ID, _MOST_WARNINGS = 199, 10


@dataclass(frozen=True, slots=True)
class Problem:
    """One ERR segment: where, which condition, how severe (E or W), and a text for people."""

    place: str
    condition: str
    text: str
    severity: Literal["E", "W"] = "E"


def problem_of(error: MessageError) -> Problem:
    """What was wrong with a message that was not taken."""
    return Problem(error.place, error.condition, f"{error.code}: {error}")


def warnings_of(notes: Iterable[tuple[str, str]]) -> list[Problem]:
    """What was odd in a message that was taken, the first few of it."""
    return [Problem(place, "0", text, "W") for place, text in list(notes)[:_MOST_WARNINGS]]


def acknowledge(header: Segment | None, outcome: Outcome, problems: Iterable[Problem], now: datetime) -> bytes:
    """The acknowledgement of a message by its MSH (None if it has none that can be read); empty if none was asked for.

    Original mode answers AA, AE or AR. Enhanced mode answers CA, CE or CR where MSH-15 asks for it, else AA, AE or AR
    where MSH-16 does. A message is filed before it is answered, so the accept acknowledgement knows the outcome too.
    """
    level = _level(header, outcome)
    if not level:
        return b""
    reply = _Reply(header)
    lines = [reply.header(now), reply.line("MSA", f"{level}{_LETTERS[outcome]}", reply.control_id)]
    lines += [reply.error(problem) for problem in problems if problem.severity == "E" or reply.is_detailed]
    encoding = "ascii" if header is None else header.syntax.encoding
    return "".join(f"{line}\r" for line in lines).encode(encoding, "replace")


def _level(header: Segment | None, outcome: Outcome) -> str:
    accept, application = ("", "") if header is None else (header.text(15).upper(), header.text(16).upper())
    if not accept and not application:
        return "A"
    if _is_wanted(accept, outcome):
        return "C"
    return "A" if _is_wanted(application, outcome) else ""


def _is_wanted(condition: str, outcome: Outcome) -> bool:
    """By HL7 table 0155; what is not in it is taken as always."""
    match condition:
        case "" | "NE":
            return False
        case "ER":
            return outcome != "accepted"
        case "SU":
            return outcome == "accepted"
        case _:
            return True


class _Reply:
    """How to write to a sender: in the delimiters and the version of the message."""

    def __init__(self, header: Segment | None) -> None:
        self._message = header
        version = "" if header is None else header.text(12)
        self._version = version if version in VERSIONS else FALLBACK_VERSION
        self.is_detailed = has_error_location(self._version)
        self.control_id = self._sent(10)[:_LONGEST_ID]

    def header(self, now: datetime) -> str:
        marks = "^~\\&" if self._message is None else self._message.syntax.marks
        kind = "^".join(part for part in ("ACK", self._sent(9, 2)) if part) + ("^ACK" if self._has_structure else "")
        parts = [
            self._sent_raw(5), self._sent_raw(6), self._sent_raw(3), self._sent_raw(4), now.strftime("%Y%m%d%H%M%S%z"),
            "", self._delimited(kind), secrets.token_hex(10), self._sent_raw(11) or "P", self._version,
            *[""] * 5, "" if self._message is None else self._message.syntax.charset,
        ]  # fmt: skip
        return self._separator.join(("MSH", marks, *parts)).rstrip(self._separator)

    def error(self, problem: Problem) -> str:
        words = f"{problem.condition}^{CONDITIONS[problem.condition]}^HL70357"
        if not self.is_detailed:
            # The first field of old versions: segment, sequence, field, code.
            place = (*problem.place.split("^")[:3], "", "")[:3]
            return self.line("ERR", self._delimited("^".join(place) + "^" + words.replace("^", "&")))
        place_text, coded = self._delimited(problem.place), self._delimited(words)
        return self._separator.join(
            ("ERR", "", place_text, coded, problem.severity, "", "", "", self._escaped(problem.text))
        )

    def line(self, *fields: str) -> str:
        return self._separator.join(fields)

    @property
    def _separator(self) -> str:
        return "|" if self._message is None else self._message.syntax.field

    @property
    def _has_structure(self) -> bool:
        return bool(self._sent(9, 2)) and self.is_detailed

    def _sent(self, field: int, component: int = 1) -> str:
        return "" if self._message is None else self._escaped(self._message.text(field, component))

    def _sent_raw(self, field: int) -> str:
        """A field as it was sent, which needs no escaping: it comes back in the same delimiters."""
        if self._message is None or field >= len(self._message.fields):
            return ""
        return _printable(self._message.fields[field])[:_LONGEST_ID]

    def _delimited(self, text: str) -> str:
        """Text of our own, written with ^ and &, in the sender's delimiters."""
        if self._message is None:
            return text
        syntax = self._message.syntax
        return text.replace("^", "\0").replace("&", syntax.subcomponent or " ").replace("\0", syntax.component)

    def _escaped(self, text: str) -> str:
        text = _printable(text)
        if self._message is None:
            return text.translate(dict.fromkeys(map(ord, "|^~\\&"), " "))
        syntax, mark = self._message.syntax, self._message.syntax.escape
        names = {mark: "E", syntax.field: "F", syntax.component: "S", syntax.repetition: "R", syntax.subcomponent: "T"}
        written = {ord(one): f"{mark}{name}{mark}" if mark else " " for one, name in names.items() if one}
        return text.translate(written)


def _printable(text: str) -> str:
    return "".join(one if one.isprintable() else " " for one in text)
