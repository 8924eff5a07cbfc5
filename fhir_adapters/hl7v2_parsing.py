"""HL7 v2 messages as segments with numbered fields: delimiters, character set and escapes as the message states them.

Positions are kept by a reader of our own; hl7apy gives the definitions (`hl7v2_definitions`). The reason is measured:
docs/decisions/2026-11-22-hl7-v2-reader.md.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TypeVar

import msgspec

from mscprotocol.errors import DataError

T = TypeVar("T")
NULL = '""'
START_BLOCK, END_BLOCK = b"\x0b", b"\x1c"
_SEGMENT = re.compile(r"[A-Z][A-Z0-9]{2}")
_LINES = re.compile(r"\r\n|\r|\n")
_HEX = re.compile(r"(?:[0-9A-Fa-f]{2})+")
_FORMATTING = {".br": "\n", ".sp": "\n", ".in": "", ".ti": "", ".fi": "", ".nf": "", ".ce": "\n", "H": "", "N": ""}
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
# HL7 table 0211, and how senders write its names. UTF-16 and UTF-32 cannot hold the delimiters as single bytes.
_ENCODINGS = {
    "ASCII": "ascii", "ISO IR6": "ascii", "UNICODE UTF-8": "utf-8", "UNICODE": "utf-8", "UTF-8": "utf-8",
    "UTF8": "utf-8", "ISO IR14": "iso2022_jp", "ISO IR87": "iso2022_jp", "ISO IR159": "iso2022_jp_2",
    "GB 18030-2000": "gb18030", "KS X 1001": "euc_kr", "BIG-5": "big5",
    **{f"8859/{part}": f"iso8859-{part}" for part in (1, 2, 3, 4, 5, 6, 7, 8, 9, 15)},
}  # fmt: skip


class MessageError(DataError):
    """A message that is not taken.

    `condition` is a code of HL7 table 0357, `place` a location such as `PID^1^3`; `is_rejected` tells AR from AE.
    """

    def __init__(self, code: str, message: str, condition: str, place: str = "", *, is_rejected: bool = False) -> None:
        super().__init__(code, message)
        self.condition, self.place, self.is_rejected = condition, place, is_rejected


@dataclass(frozen=True, slots=True)
class Syntax:
    """How a message is written: its delimiters (empty where it has none), its encoding, and MSH-18 as sent."""

    field: str = "|"
    component: str = "^"
    repetition: str = "~"
    escape: str = "\\"
    subcomponent: str = "&"
    encoding: str = "ascii"
    charset: str = ""

    @property
    def marks(self) -> str:
        """The encoding characters, as MSH-2 holds them."""
        return f"{self.component}{self.repetition}{self.escape}{self.subcomponent}"

    def unescape(self, text: str) -> str:
        """Text with its escape sequences replaced; one that is not known stays as it was sent."""
        mark = self.escape
        if not mark or mark not in text:
            return text
        pattern = f"{re.escape(mark)}([^{re.escape(mark)}]*){re.escape(mark)}"
        return re.sub(pattern, lambda match: self._meaning(match[1], match[0]), text)

    def _meaning(self, name: str, sent: str) -> str:
        delimiters = {"F": self.field, "S": self.component, "R": self.repetition, "T": self.subcomponent}
        if name in delimiters:
            return delimiters[name]
        if name == "E":
            return self.escape
        if name[:1] == "X" and _HEX.fullmatch(name[1:]):
            return bytes.fromhex(name[1:]).decode(self.encoding, "replace")
        return _FORMATTING.get(name if name in _FORMATTING else name[:3], sent)

    def parts(self, text: str, delimiter: str) -> list[str]:
        return text.split(delimiter) if delimiter else [text]


@dataclass(frozen=True, slots=True)
class Value:
    """One repetition of a field, as sent."""

    sent: str
    syntax: Syntax

    def part(self, component: int = 1, subcomponent: int = 1) -> str:
        """A component, or one of its subcomponents, unescaped; empty if it is absent or null."""
        return self._chosen(self._piece(self.syntax.component, self.sent, component), subcomponent)

    def component(self, number: int) -> Value:
        """A component as a value of its own, whose components are the subcomponents."""
        inner = replace(self.syntax, component=self.syntax.subcomponent, repetition="", subcomponent="")
        return Value(self._piece(self.syntax.component, self.sent, number), inner)

    @property
    def text(self) -> str:
        """The whole value as text, delimiters of components included."""
        found = self.sent.strip()
        return "" if found == NULL else self.syntax.unescape(found)

    def tree(self) -> list[list[str]]:
        """Components and subcomponents, unescaped, without the empty ones at the end."""
        found = []
        for component in self.syntax.parts(self.sent, self.syntax.component):
            parts = self.syntax.parts(component, self.syntax.subcomponent)
            found.append(_trimmed([self.syntax.unescape(part.strip()) for part in parts]))
        return _trimmed(found)

    def _chosen(self, component: str, subcomponent: int) -> str:
        found = self._piece(self.syntax.subcomponent, component, subcomponent).strip()
        return "" if found == NULL else self.syntax.unescape(found)

    def _piece(self, delimiter: str, text: str, number: int) -> str:
        parts = self.syntax.parts(text, delimiter)
        return parts[number - 1] if number <= len(parts) else ""


@dataclass(frozen=True, slots=True)
class Segment:
    """One segment; `fields[3]` is its third field, `fields[0]` its name, `number` its place among those of its name."""

    name: str
    fields: tuple[str, ...]
    syntax: Syntax
    number: int = 1

    def values(self, field: int) -> tuple[Value, ...]:
        """The repetitions of a field that say something."""
        sent = self.fields[field] if field < len(self.fields) else ""
        found = (Value(one, self.syntax) for one in self.syntax.parts(sent, self.syntax.repetition))
        return tuple(one for one in found if one.sent.strip() not in ("", NULL))

    def value(self, field: int) -> Value:
        """The first repetition of a field."""
        found = self.values(field)
        return found[0] if found else Value("", self.syntax)

    def text(self, field: int, component: int = 1, subcomponent: int = 1) -> str:
        """A part of the first repetition of a field; empty if it is absent or null."""
        return self.value(field).part(component, subcomponent)

    def is_null(self, field: int) -> bool:
        """Whether a field is two quotes, which asks to delete what was there."""
        return field < len(self.fields) and self.fields[field].strip() == NULL

    def place(self, field: int) -> str:
        """Where a field stands, as ERR writes it."""
        return f"{self.name}^{self.number}^{field}"

    def tree(self) -> list[object]:
        """The segment independent of its delimiters."""
        fields = []
        for sent in self.fields[1:]:
            repetitions = self.syntax.parts(sent, self.syntax.repetition) if sent else []
            fields.append(_trimmed([Value(one, self.syntax).tree() for one in repetitions]))
        return [self.name, *_trimmed(fields)]


@dataclass(frozen=True, slots=True)
class Message:
    """One message; `digest` is the SHA-256 of its bytes, `oddities` what was odd about its packaging."""

    segments: tuple[Segment, ...]
    digest: str
    oddities: tuple[str, ...] = ()

    @property
    def header(self) -> Segment:
        return self.segments[0]

    @property
    def kind(self) -> str:
        """The type of the message, such as ORU."""
        return self.header.text(9).upper()

    @property
    def event(self) -> str:
        """The trigger event: of MSH-9, else of EVN-1 as in old versions."""
        stated = self.header.text(9, 2)
        return (stated or next((one.text(1) for one in self.named("EVN")), "")).upper()

    @property
    def control_id(self) -> str:
        return self.header.text(10)

    @property
    def version(self) -> str:
        return self.header.text(12)

    def named(self, *names: str) -> Iterator[Segment]:
        """The segments of some names."""
        return (one for one in self.segments if one.name in names)


def parse_message(content: bytes, assumed_encoding: str = "") -> Message:
    """One message, without the bytes that frame it; `assumed_encoding` is read where MSH-18 is empty.

    Raises MessageError: it does not start with MSH, its delimiters contradict each other, its character set is not
    known or is not what it was written in.
    """
    stripped = _bare(content)
    syntax = _read_syntax(stripped)
    text, encoding, oddities = _decode(stripped, syntax, assumed_encoding)
    segments, continued = _segments(text, replace(syntax, encoding=encoding))
    if continued:
        oddities = (*oddities, "a line that is no segment was read as part of the segment before it")
    return Message(segments, hashlib.sha256(stripped).hexdigest(), oddities)


def read_header(content: bytes) -> Message | None:
    """A message as its MSH alone, read as ASCII, for an answer to what cannot be read; None if it has none."""
    stripped = _bare(content)
    try:
        # The answer is in ASCII too, so it does not repeat the name of a character set.
        syntax = replace(_read_syntax(stripped), charset="")
    except MessageError:
        return None
    line = _LINES.split(stripped.decode("ascii", "replace"), maxsplit=1)[0]
    segments, _ = _segments(line, syntax)
    return Message(segments, hashlib.sha256(stripped).hexdigest())


def digest_message(content: bytes) -> str:
    """The digest that `parse_message` gives a message."""
    return hashlib.sha256(_bare(content)).hexdigest()


def _bare(content: bytes) -> bytes:
    """A message without what frames it."""
    return content.strip(b"\x0b\x1c \t\r\n").removeprefix(_BYTE_ORDER_MARK)


def digest(*segments: Segment) -> str:
    """SHA-256 of segments that say something together, whatever delimiters they were sent with."""
    return hashlib.sha256(msgspec.json.encode([segment.tree() for segment in segments])).hexdigest()


# -- delimiters and character sets -----------------------------------------------------------------


def _read_syntax(content: bytes) -> Syntax:
    if not content.startswith(b"MSH"):
        raise MessageError("unreadable", "a message starts with MSH", "100")
    separator = content[3:4].decode("latin-1")
    if not separator or not separator.isascii() or separator.isalnum() or not separator.isprintable():
        raise MessageError("unreadable", "the field separator cannot be one", "102", "MSH^1^1")
    fields = _LINES.split(content.decode("latin-1"), maxsplit=1)[0].split(separator)
    marks = fields[1]
    used = [*separator, *marks[:4]]
    is_usable = all(one.isascii() and one.isprintable() and not one.isalnum() and not one.isspace() for one in marks)
    if not marks or len(marks) > 5 or not is_usable or len(set(used)) < len(used):
        raise MessageError("unreadable", "the encoding characters cannot be used", "102", "MSH^1^2")
    # A sender that needs no escapes or subcomponents may leave their delimiters out.
    repetition, escape, subcomponent = (marks[place : place + 1] for place in (1, 2, 3))
    charset = fields[17] if len(fields) > 17 else ""
    return Syntax(separator, marks[0], repetition, escape, subcomponent, charset=charset)


def _decode(content: bytes, syntax: Syntax, assumed: str) -> tuple[str, str, tuple[str, ...]]:
    names = [name.strip().upper() for name in syntax.parts(syntax.charset, syntax.repetition) if name.strip()]
    encoding = _encoding([name for name in names if name != NULL] or [assumed.upper() or "ASCII"])
    try:
        return content.decode(encoding), encoding, ()
    except UnicodeDecodeError:
        if encoding != "ascii":
            raise _undecodable() from None
    try:
        # Bytes that happen to be UTF-8 are UTF-8: no other set makes its sequences by chance.
        return content.decode("utf-8"), "utf-8", ("it holds UTF-8 text that MSH-18 does not state",)
    except UnicodeDecodeError:
        raise _undecodable() from None


def _encoding(names: list[str]) -> str:
    known = [_ENCODINGS.get(name, "") for name in names]
    if not all(known):
        raise MessageError("unreadable", "MSH-18 names a character set that is not read", "103", "MSH^1^18")
    # Of several, the later ones are switched to: only the Japanese sets are, and they hold the first.
    return known[-1]


def _undecodable() -> MessageError:
    return MessageError("unreadable", "the text is not in the character set of MSH-18", "102", "MSH^1^18")


# -- segments --------------------------------------------------------------------------------------


def _segments(text: str, syntax: Syntax) -> tuple[tuple[Segment, ...], bool]:
    lines, continued = _logical_lines(text, syntax)
    counts: dict[str, int] = {}
    found = []
    for line in lines:
        name = line[:3]
        counts[name] = counts.get(name, 0) + 1
        fields = line.split(syntax.field)
        if name == "MSH":
            fields.insert(1, syntax.field)
        found.append(Segment(name, tuple(fields), syntax, counts[name]))
    return tuple(found), continued


def _logical_lines(text: str, syntax: Syntax) -> tuple[list[str], bool]:
    """One line a segment; a line that is none belongs to the text before it."""
    lines: list[str] = []
    continued = False
    for line in _LINES.split(text):
        if _SEGMENT.fullmatch(line[:3]) and line[3:4] in ("", syntax.field):
            lines.append(line)
        elif line.strip():
            lines[-1] += f"\n{line}"
            continued = True
    return lines, continued


def _trimmed(parts: list[T]) -> list[T]:
    """A list without the empty parts at its end."""
    while parts and not parts[-1]:
        parts.pop()
    return parts
