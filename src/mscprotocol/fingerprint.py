"""The two hashes of an answer (decision 24): of what came in, and of what was concluded from it.

One patient gives one trace hash through every door, so it covers only what every door can carry: instants cut to the
minute, canonical numbers cut to the dictionary's resolution, statuses, reasons and conclusions.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal

import msgspec

from mscprotocol.case import Case
from mscprotocol.interval import EXACT, Interval, plain
from mscprotocol.knowledge import KnowledgeBase
from mscprotocol.record import Entry, Measurement, PatientRecord

# What the printed code is made of: the beginnings of the two hashes that every sheet states.
CODE_PART, _CODE_GROUP = 8, 4


def hash_input(record: PatientRecord) -> str:
    """SHA-256 of the sorted digests of the patient's source units."""
    return hashlib.sha256("\n".join(sorted(record.source_digests)).encode()).hexdigest()


def hash_trace(case: Case) -> str:
    """SHA-256 of what was concluded, in one fixed order."""
    content = [
        case.book.protocol.id,
        case.book.protocol.version,
        case.request.stage,
        _minute(case.request.at),
        sorted([one.id, one.status, [reason.value for reason in one.reasons]] for one in case.judgements),
        sorted({_datum(case.book.knowledge, entry) for entry in _used_entries(case)}),
        sorted(case.conclusions.tokens.items()),
        sorted([signal.name, signal.state] for signal in case.signals),
    ]
    return hashlib.sha256(msgspec.json.encode(content)).hexdigest()


def short_code(trace_sha256: str, input_sha256: str) -> str:
    """The code that a sheet prints, in groups of four: the same for the same answer from the same input."""
    digits = trace_sha256[:CODE_PART] + input_sha256[:CODE_PART]
    return "-".join(digits[place : place + _CODE_GROUP] for place in range(0, len(digits), _CODE_GROUP)).upper()


def _used_entries(case: Case) -> Iterable[Entry]:
    """The entries that any criterion used, each once."""
    return {id(one.entry): one.entry for each in case.judgements for one in each.evidence if one.used}.values()


def _datum(knowledge: KnowledgeBase, entry: Entry) -> str:
    times = [] if entry.time is None else [_minute(entry.time.earliest), _minute(entry.time.latest)]
    value = canonical_value(knowledge, entry) if isinstance(entry, Measurement) else type(entry).__name__
    return "|".join((entry.name, value, *times))


def canonical_value(knowledge: KnowledgeBase, entry: Measurement) -> str:
    """A value in canonical unit, cut to the resolution of its datum; an answer by its name."""
    if entry.answer is not None:
        return entry.answer
    definition = knowledge.measurements.get(entry.name)
    if entry.value is None or definition is None:
        return ""
    return str(round_interval(entry.value, definition.resolution))


def round_interval(value: Interval, resolution: Decimal) -> Interval:
    """An interval with its ends at the nearest multiple of a resolution."""
    low, high = (None if end is None else _round(end, resolution) for end in (value.low, value.high))
    if low is not None and low == high:
        return Interval(low, high)
    return Interval(low, high, value.low_open, value.high_open)


def _round(value: Decimal, resolution: Decimal) -> Decimal:
    steps = EXACT.divide(value, resolution).to_integral_value(rounding=ROUND_HALF_EVEN)
    return Decimal(plain(EXACT.multiply(steps, resolution)))


def _minute(moment: datetime) -> str:
    return moment.astimezone(UTC).replace(second=0, microsecond=0).isoformat()
