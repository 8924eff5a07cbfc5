"""Which elements of a medication order are understood: any other makes it an order that was not wholly read.

What stands in no list here, be it an extension or a later version's element, is unread: a forgotten one cannot pass.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TypeVar

from msgspec import Raw

from fhir_adapters.decoding import UNREADABLE, decode

T = TypeVar("T")
_ORDER = ""
_LINE = "dosageInstruction"
_TIMING = f"{_LINE}.timing"
_CONCEPT = frozenset({"id", "coding", "text"})
_CODING = frozenset({"id", "system", "version", "code", "display", "userSelected"})
# Of a whole order: what says nothing of dose, times, route or subject. FHIR lets an extension that modifies nothing be
# passed over; inside a dosage none is.
_ELSEWHERE = frozenset(
    {
        "id", "meta", "language", "contained", "extension", "authoredOn", "basedOn", "category", "detectedIssue",
        "encounter", "eventHistory", "groupIdentifier", "identifier", "instantiatesCanonical", "instantiatesUri",
        "insurance", "intent", "performer", "performerType", "priorPrescription", "reasonCode", "reasonReference",
        "recorder", "reportedBoolean", "reportedReference", "requester", "statusReason", "supportingInformation",
    }
)  # fmt: skip
# By path: the elements that are read, or that bear on nothing which is compared.
KNOWN: dict[str, frozenset[str]] = {
    _ORDER: _ELSEWHERE | {
        "resourceType", "status", "priority", "text", "doNotPerform", "medicationCodeableConcept",
        "medicationReference", "subject", "dosageInstruction",
    },
    "text": frozenset({"id", "status", "div"}),
    "subject": frozenset({"id", "reference", "type", "display"}),
    _LINE: frozenset({"id", "sequence", "timing", "route", "doseAndRate", "asNeededBoolean"}),
    f"{_LINE}.route": _CONCEPT,
    f"{_LINE}.route.coding": _CODING,
    f"{_LINE}.doseAndRate": frozenset({"id", "doseQuantity"}),
    f"{_LINE}.doseAndRate.doseQuantity": frozenset({"id", "value", "comparator", "unit", "system", "code"}),
    _TIMING: frozenset({"id", "event", "repeat"}),
    f"{_TIMING}.repeat": frozenset({"id", "boundsPeriod", "count", "frequency", "period", "periodUnit"}),
    f"{_TIMING}.repeat.boundsPeriod": frozenset({"id", "start", "end"}),
}  # fmt: skip
# Elements of which only some values are understood, as JSON.
ONLY: dict[str, tuple[bytes, ...]] = {
    "status": (b'"draft"', b'"active"'),
    "priority": (b'"routine"',),
    "doNotPerform": (b"false",),
    "text.status": (b'"generated"', b'"extensions"', b'"empty"'),
    "subject.type": (b'"Patient"',),
    f"{_LINE}.asNeededBoolean": (b"false",),
    f"{_TIMING}.repeat.frequency": (b"1",),
}
_NAME = re.compile(r"_?[A-Za-z]{1,60}")
_UNNAMED = "an element whose name is none of FHIR"


def find_unread(order: Raw) -> tuple[str, ...]:
    """The paths of all elements of a medication order that are not understood, each once."""
    return tuple(dict.fromkeys(_unread(order, _ORDER, "")))


def _unread(content: Raw, path: str, shown: str) -> Iterator[str]:
    """`path` is that of the type, `shown` the same with the places in lists."""
    fields = _decode(content, dict[str, Raw])
    if fields is None:
        yield shown
        return
    for name, value in fields.items():
        if bytes(value) == b"null" or (path == _ORDER and name.removeprefix("_") in _ELSEWHERE):
            continue
        inner = f"{path}.{name}".lstrip(".")
        here = f"{shown}.{name}".lstrip(".") if _NAME.fullmatch(name) else _UNNAMED
        if name not in KNOWN[path] or (inner in ONLY and bytes(value) not in ONLY[inner]):
            yield here
        elif inner in KNOWN:
            yield from _inside(value, inner, here)


def _inside(value: Raw, path: str, shown: str) -> Iterator[str]:
    several = _decode(value, list[Raw])
    if several is None:
        yield from _unread(value, path, shown)
        return
    for number, one in enumerate(several):
        yield from _unread(one, path, f"{shown}[{number}]")


def _decode(content: Raw, kind: type[T]) -> T | None:
    try:
        return decode(kind, content)
    except UNREADABLE:
        return None
