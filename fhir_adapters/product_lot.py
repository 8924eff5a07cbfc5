"""A product lot from a small YAML or JSON file, as the observations that a bundle would hold of it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from fhir_adapters.bundle import Item, PatientBundle
from fhir_adapters.datatypes import CodeableConcept, Coding, Number, Quantity
from fhir_adapters.lots import Lot
from fhir_adapters.quantities import split_quantity, unit_of_bare
from fhir_adapters.resources import Observation
from fhir_adapters.times import parse_time
from mscprotocol.codes import CodeSystem
from mscprotocol.data_dictionary import Measurement as Datum
from mscprotocol.errors import DataError
from mscprotocol.knowledge import KnowledgeBase
from mscprotocol.yaml_files import YamlError, read_yaml


@dataclass(frozen=True)
class ProductLot:
    """One lot as a file states it."""

    lot: Lot
    items: tuple[Item, ...]
    digest: str

    def added_to(self, bundle: PatientBundle) -> PatientBundle:
        """The patient's resources with what the file says of the lot beside them."""
        return replace(bundle, items=(*bundle.items, *self.items), digests=(*bundle.digests, self.digest))


def read_product_lot(content: bytes, name: str, knowledge: KnowledgeBase) -> ProductLot:
    """Read a lot file: `lot`, `at` (a time with zone), and data like `product_viability: {value: 85 %, at: ...}`.

    `at` is when a datum held; a datum that ages needs its own. Raises DataError `unreadable` for a file that is no such
    mapping; a value that cannot be read becomes an entry with its reason.
    """
    try:
        raw = read_yaml(content.decode("utf-8"))
    except (YamlError, UnicodeDecodeError) as error:
        raise DataError("unreadable", f"{name}: not a YAML or JSON mapping") from error
    if raw.get("lot") in (None, ""):
        raise DataError("unreadable", f"{name}: a product lot is a mapping that names its lot")
    number = str(raw.pop("lot")).strip()
    at = _time(raw.pop("at", None), name)
    lot = Lot(f"Lot/{number}", frozenset((number,)), is_from_file=True)
    items = tuple(Item(lot.reference, one, lot=lot) for one in _observations(raw, at, knowledge))
    return ProductLot(lot, items, hashlib.sha256(content).hexdigest())


def _time(text: Any, name: str) -> str | None:
    if text is None:
        return None
    time = parse_time(str(text))
    if time is None or not time.is_instant:
        raise DataError("unreadable", f"{name}: `at` is no time with a zone")
    return str(text)


def _observations(raw: dict[Any, Any], at: str | None, knowledge: KnowledgeBase) -> Iterator[Observation]:
    for key, said in raw.items():
        definition = knowledge.measurements.get(str(key))
        value, own = (said.get("value"), said.get("at")) if isinstance(said, dict) else (said, None)
        ages = definition is not None and definition.max_age.infusion is not None
        yield Observation(
            status="final",
            code=_own(str(key)),
            effective_date_time=str(own) if own is not None else None if ages else at,
            **({} if definition is None else _value(definition, value)),
        )


def _own(code: str) -> CodeableConcept:
    return CodeableConcept(coding=(Coding(system=CodeSystem.DATUM.value, code=code),))


def _value(definition: Datum, said: Any) -> dict[str, Any]:
    """A value of the file in the FHIR form that its datum demands; other text is left for a person to read."""
    if isinstance(said, bool):
        return {"value_boolean": said}
    text = "" if said is None else str(said)
    if definition.kind == "time":
        return {"value_date_time": text or None}
    if definition.kind == "coded":
        return {"value_codeable_concept": _own(text)} if text else {}
    parts = split_quantity(text)
    if parts is None:
        return {"value_string": text or None}
    comparator, number, unit = parts
    unit = unit or unit_of_bare(definition)
    return {"value_quantity": Quantity(value=Number(number), comparator=comparator, unit=unit)}
