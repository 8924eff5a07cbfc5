"""A product lot from a small YAML or JSON file: a datum of the dictionary to its value, as on the certificate."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from mscprotocol.data_dictionary import Measurement as Datum
from mscprotocol.errors import DataError
from mscprotocol.interval import Interval, exactly
from mscprotocol.knowledge import KnowledgeBase
from mscprotocol.knowledge_forms import parse_quantity
from mscprotocol.reasons import Reason
from mscprotocol.record import Measurement, PatientRecord, QualityNote
from mscprotocol.timespan import TimeSpan, instant
from mscprotocol.units import convert, find_unit, is_plausible, is_readable
from mscprotocol.yaml_files import YamlError, read_yaml


@dataclass(frozen=True)
class ProductLot:
    """The data of one lot, ready to stand in a record."""

    lot: str
    entries: tuple[Measurement, ...]
    notes: tuple[QualityNote, ...]
    digest: str

    def added_to(self, record: PatientRecord) -> PatientRecord:
        """The record with the lot's data beside the patient's."""
        measurements = dict(record.measurements)
        for entry in self.entries:
            measurements[entry.name] = (*measurements.get(entry.name, ()), entry)
        return replace(
            record,
            measurements=measurements,
            notes=(*record.notes, *self.notes),
            source_digests=(*record.source_digests, self.digest),
        )


def read_product_lot(content: bytes, name: str, knowledge: KnowledgeBase) -> ProductLot:
    """Read a lot file: `lot`, `at` (with zone) and product data like `product_viability: 85 %`.

    Raises DataError `unreadable` for a file that is no such mapping. A value that cannot be read stays in the
    record with its reason.
    """
    try:
        raw = read_yaml(content.decode("utf-8"))
    except (YamlError, UnicodeDecodeError) as error:
        raise DataError("unreadable", f"{name}: not a YAML or JSON mapping") from error
    if "lot" not in raw:
        raise DataError("unreadable", f"{name}: a product lot is a mapping that names its lot")
    lot = str(raw["lot"])
    time = _time(raw.get("at"), name)
    reference = f"Lot/{lot}"
    entries = tuple(_entries(raw, reference, time, knowledge))
    known = {entry.name for entry in entries} | {"lot", "at"}
    notes = tuple(QualityNote(reference, f"not a product datum: {key}") for key in raw if str(key) not in known)
    return ProductLot(lot, entries, notes, hashlib.sha256(content).hexdigest())


def _time(text: Any, name: str) -> TimeSpan | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(str(text))
        if moment.tzinfo is None:
            raise ValueError("no zone")
        return instant(moment)
    except ValueError as error:
        raise DataError("unreadable", f"{name}: `at` is no time with a zone") from error


def _entries(
    raw: dict[Any, Any], reference: str, time: TimeSpan | None, knowledge: KnowledgeBase
) -> Iterator[Measurement]:
    for key, value in raw.items():
        definition = knowledge.measurements.get(str(key))
        if definition is None or definition.about != "product":
            continue
        text = str(value)
        base = Measurement(name=str(key), reference=reference, time=time, as_received=text, unit=definition.unit)
        yield _coded(base, definition, text) if definition.kind == "coded" else _quantity(base, definition, text)


def _coded(base: Measurement, definition: Datum, text: str) -> Measurement:
    if text in definition.answers:
        return replace(base, answer=text)
    return replace(base, problem=Reason.CODE_UNMAPPED)


def _quantity(base: Measurement, definition: Datum, text: str) -> Measurement:
    try:
        quantity = parse_quantity(text if " " in text else f"{text} 1")
    except ValueError:
        return replace(base, problem=Reason.NEEDS_REVIEW)
    if not is_readable(quantity.value):
        return replace(base, problem=Reason.IMPLAUSIBLE)
    unit = find_unit(definition, quantity.unit, quantity.value)
    if isinstance(unit, Reason):
        return replace(base, problem=unit)
    value: Interval = convert(definition, exactly(quantity.value), unit)
    if not is_plausible(definition, value):
        return replace(base, problem=Reason.IMPLAUSIBLE)
    return replace(base, value=value, native_unit=unit)
