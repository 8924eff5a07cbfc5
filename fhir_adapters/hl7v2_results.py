"""Results of HL7 v2 as Observations: each OBX under its order, by its type of value and its status."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from msgspec import Raw

from fhir_adapters.hl7v2_datatypes import TABLE, Clock, Json, code, concept, number, quantity
from fhir_adapters.hl7v2_facts import CORRECTED, FINAL, PENDING, PRELIMINARY, RETRACTED, Fact, Number, Sent
from fhir_adapters.hl7v2_parsing import Segment, Value, digest

# OBX-11 (HL7 table 0085) as a status of FHIR, and its rank. Only F, C, A, and U with a value, are evidence.
_STATUS = {
    "F": ("final", FINAL), "U": ("final", FINAL), "C": ("corrected", CORRECTED), "A": ("amended", CORRECTED),
    "P": ("preliminary", PRELIMINARY), "S": ("preliminary", PRELIMINARY), "R": ("preliminary", PRELIMINARY),
    "I": ("registered", PENDING), "O": ("registered", PENDING),
    "D": ("entered-in-error", RETRACTED), "W": ("entered-in-error", RETRACTED), "X": ("cancelled", RETRACTED),
}  # fmt: skip
_CODED = ("CE", "CWE", "CNE", "CF", "CD")
_NUMERIC_TEXT = re.compile(r"[<>=]*\s*[+-]?[0-9]+([.,][0-9]+)?\s*%?")
_COMPARATORS = ("<", "<=", ">", ">=")


@dataclass(slots=True)
class _Order:
    """An order with its results; `request` is OBR, absent for results that stand alone."""

    common: Segment | None = None
    request: Segment | None = None
    specimens: list[Segment] = field(default_factory=list)
    results: list[Segment] = field(default_factory=list)
    commented: set[int] = field(default_factory=set)

    def text(self, number_: int, component: int = 1) -> str:
        return "" if self.request is None else self.request.text(number_, component)

    def named_by(self, sender: str) -> Number:
        """The filler's number, else the placer's: what a correction names its result by."""
        places = [(one, field) for field in (3, 2) for one in (self.request, self.common) if one is not None]
        for segment, field_ in places:
            if segment.text(field_):
                found = read_number(segment.value(field_), sender)
                return found if field_ == 3 else found._replace(number=f"placer {found.number}")
        return Number("", "", sender)

    @property
    def context(self) -> list[Segment]:
        return [one for one in (self.request, *self.specimens) if one is not None]


@dataclass(slots=True)
class Notes:
    """What was odd in a message, by place."""

    found: list[tuple[str, str]] = field(default_factory=list)

    def add(self, place: str, text: str) -> None:
        self.found.append((place, text))


def read_number(value: Value, sender: str) -> Number:
    """An entity identifier: its number with the authority that it names, or none."""
    authority = (value.part(2), value.part(3), value.part(4))
    return Number(value.part(1), "^".join(authority) if any(authority) else "", sender)


def read_results(segments: Iterable[Segment], clock: Clock, sent: Sent, sender: str, notes: Notes) -> Iterator[Fact]:
    """The results among the segments of one patient."""
    for order in _orders(segments):
        for result in order.results:
            if result.number in order.commented:
                notes.add(result.place(5), "the result has a comment (NTE) that was not read")
            yield from _read_result(order, result, clock, sent, sender, notes)


def _orders(segments: Iterable[Segment]) -> list[_Order]:
    orders = [_Order()]
    common: Segment | None = None
    for segment in segments:
        order = orders[-1]
        if segment.name == "ORC":
            common = segment
        elif segment.name == "OBR":
            orders.append(_Order(common, segment))
            common = None
        elif segment.name == "SPM":
            order.specimens.append(segment)
        elif segment.name == "OBX":
            order.results.append(segment)
        elif segment.name == "NTE" and order.results:
            order.commented.add(order.results[-1].number)
    return orders


def _read_result(order: _Order, result: Segment, clock: Clock, sent: Sent, sender: str, notes: Notes) -> Iterator[Fact]:
    named = concept(result.value(3))
    if named is None:
        notes.add(result.place(3), "a result without a code was not read")
        return
    status, rank = _status(order, result, notes)
    resource: Json = {"resourceType": "Observation", "status": status, "code": named}
    resource |= _effective(order, result, clock) | _specimen(order) | _judgement(result)
    resource |= _values(result, named, clock, notes)
    if rank in (FINAL, CORRECTED) and order.text(25).upper() == "X":
        notes.add(result.place(11), "its order is cancelled, which contradicts the status of the result")
        resource["status"] = "unknown"
    time = _time(resource)
    # Without an order a result is named by its time alone.
    key = (result.text(3) or result.text(3, 2), result.text(4))
    number_ = order.named_by(sender)
    yield Fact(
        kind="Observation",
        number=number_,
        key=key if number_.number else (*key, time),
        time=time,
        rank=rank,
        sent=sent,
        digest=digest(*order.context, result),
        resource=resource,
        place=(result.name, result.number),
    )


def _status(order: _Order, result: Segment, notes: Notes) -> tuple[str, int]:
    """The status by OBX-11, else by that of the order."""
    letter = result.text(11).upper()
    if not letter:
        letter = order.text(25).upper()
        notes.add(result.place(11), "the result has no status of its own")
    if letter == "U" and not result.values(5):
        notes.add(result.place(11), "made final without its value: what came before stays as it was")
        return "registered", PENDING
    return _STATUS.get(letter, ("unknown", PENDING))


# -- when, in what, and how it was judged ----------------------------------------------------------


def _effective(order: _Order, result: Segment, clock: Clock) -> Json:
    """The time of the result, else of its order, else of the specimen; none is made up."""
    own = clock.read(result.value(14))
    start, end = (None if order.request is None else clock.read(order.request.value(n)) for n in (7, 8))
    if own is None and start and end and start != end:
        return {"effectivePeriod": {"start": start, "end": end}}
    collected = (clock.read(one.value(17).component(1)) for one in order.specimens)
    time = own or start or next((one for one in collected if one), None)
    return {"effectiveDateTime": time} if time else {}


def _time(resource: Json) -> str:
    period = resource.get("effectivePeriod")
    return str(resource.get("effectiveDateTime", "" if period is None else "/".join(period.values())))


def _specimen(order: _Order) -> Json:
    """What was examined, by OBR-15 and SPM-4; of several specimens all are named."""
    source = None if order.request is None else concept(order.request.value(15).component(1))
    found = [one for one in (source, *(concept(each.value(4)) for each in order.specimens)) if one is not None]
    codings = [coding for one in found for coding in one.get("coding", ())]
    if not found:
        return {}
    kind = {"coding": codings} if codings else {"text": found[0]["text"]}
    return {
        "contained": [{"resourceType": "Specimen", "id": "specimen", "type": kind}],
        "specimen": {"reference": "#specimen"},
    }


def _judgement(result: Segment) -> Json:
    made: Json = {}
    flags = [one.part(1) for one in result.values(8)]
    if flags:
        made["interpretation"] = [code(f"{TABLE}0078", flag) for flag in flags]
    limits = result.value(7).text
    if limits:
        made["referenceRange"] = [{"text": limits}]
    return made


# -- values ----------------------------------------------------------------------------------------


def _values(result: Segment, named: Json, clock: Clock, notes: Notes) -> Json:
    """The value, or a component for each where a field of one value repeats."""
    kind = result.text(2).upper()
    values = result.values(5)
    if not values:
        return {}
    if kind in ("TX", "FT", "ST", ""):
        return _text(result, "\n".join(one.text for one in values), notes)
    found = [_value(result, kind, one, clock, notes) for one in values]
    if len(found) == 1:
        return found[0]
    return {"component": [{"code": named, **one, **_judgement(result)} for one in found]}


def _value(result: Segment, kind: str, value: Value, clock: Clock, notes: Notes) -> Json:
    unit = result.value(6)
    match kind:
        case "NM":
            return _number(result, value, unit, notes)
        case "SN":
            return _structured(value, unit) or {"valueString": value.text}
        case "NR":
            return _range(value.part(1), value.part(2), unit) or {"valueString": value.text}
        case "DT" | "TS" | "DTM":
            return {"valueDateTime": clock.read(value)}
        case "TM":
            return {"valueTime": value.text}
        case "DR":
            ends = {"start": clock.read(value.component(1)), "end": clock.read(value.component(2))}
            return {"valuePeriod": {name: end for name, end in ends.items() if end}}
        case "IS" | "ID":
            return {"valueCodeableConcept": {"coding": [{"code": value.text}]}}
        case _ if kind in _CODED:
            return {"valueCodeableConcept": concept(value) or {"text": value.text}}
        case _:
            notes.add(result.place(5), "a value of a type that is not read")
            return {"valueString": f"a value of type {kind[:3]}"}


def _text(result: Segment, text: str, notes: Notes) -> Json:
    if _NUMERIC_TEXT.fullmatch(text.strip()):
        notes.add(result.place(5), "a number was sent as text: it was not read as a number")
    return {"valueString": text}


def _number(result: Segment, value: Value, unit: Value, notes: Notes) -> Json:
    found = number(value.text)
    if found is None:
        notes.add(result.place(5), "the value is stated to be a number and is none")
        return {"valueString": value.text}
    return {"valueQuantity": quantity(found, unit)}


def _structured(value: Value, unit: Value) -> Json | None:
    """A structured numeric: comparator, number, separator, number. None if it is neither value, range nor ratio."""
    comparator, separator = value.part(1), value.part(3)
    first, second = number(value.part(2)), number(value.part(4))
    if comparator == "=":
        comparator = ""
    if first is not None and not separator and not value.part(4) and comparator in ("", *_COMPARATORS):
        return {"valueQuantity": quantity(first, unit, comparator)}
    if comparator or second is None:
        return None
    if separator == "-":
        return _range(value.part(2), value.part(4), unit)
    if separator in (":", "/") and first is not None:
        return {"valueRatio": {"numerator": {"value": first}, "denominator": {"value": second}}}
    return None


def _range(low: str, high: str, unit: Value) -> Json | None:
    ends: dict[str, Raw | None] = {"low": number(low), "high": number(high)}
    if any(end is None and text for end, text in zip(ends.values(), (low, high), strict=True)):
        return None
    found = {name: quantity(end, unit) for name, end in ends.items() if end is not None}
    return {"valueRange": found} if found else None
