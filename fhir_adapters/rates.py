"""Vasopressor rates from administrations: per kilogram, with the weight known at the time."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Context, Decimal

from fhir_adapters.bundle import Item
from fhir_adapters.datatypes import CodeableConcept, Number, Quantity, Ratio
from fhir_adapters.dictionary import DRUG_SYSTEMS, codings
from fhir_adapters.draft import Draft
from fhir_adapters.quantities import Reading, find_spelling, read_quantity, write_quantity
from fhir_adapters.resources import Dosage, MedicationAdministration
from fhir_adapters.times import parse_time, period_time
from mscprotocol.codes import Coding
from mscprotocol.data_dictionary import Measurement as Definition
from mscprotocol.knowledge import KnowledgeBase
from mscprotocol.reasons import Reason
from mscprotocol.record import Measurement
from mscprotocol.timespan import TimeSpan
from mscprotocol.units import is_readable

_GIVEN = ("in-progress", "completed", "stopped")
# A rate of the whole body, and the unit in which it stands after division by the weight in kilograms.
_WHOLE_BODY = {unit: unit.replace("/", "/kg/") for unit in ("ug/min", "mg/min", "ng/min", "ug/h", "mg/h")}
# Quotients keep fewer digits than a value may have.
_QUOTIENT = Context(prec=15, rounding=ROUND_HALF_EVEN)


def read_rates(draft: Draft, item: Item, resource: MedicationAdministration, concept: CodeableConcept) -> None:
    """Add the rate that an administration of a vasopressor states; without a rate there is only its presence.

    Weights are looked up among the measurements added so far.
    """
    rate = _rate(resource.dosage)
    if rate is None or resource.status == "on-hold":
        return
    written = resource.effective_date_time
    time = parse_time(written) if written else period_time(resource.effective_period)
    for name, code in _drugs(draft, concept).items():
        definition = draft.knowledge.measurements[name]
        reading = _read_rate(draft, definition, rate, time)
        entry = Measurement(
            name=name,
            reference=item.reference,
            time=time,
            as_received=write_quantity(rate),
            code=code,
            problem=reading.problem if resource.status in _GIVEN else Reason.STATUS_EXCLUDED,
            value=reading.value,
            unit=definition.unit,
            native_unit=reading.native_unit,
        )
        draft.measure(item, entry)


def _read_rate(draft: Draft, definition: Definition, rate: Quantity, time: TimeSpan | None) -> Reading:
    """A rate as it stands, or that of the whole body over the weight."""
    per_kilogram = _per_kilogram(draft.knowledge, definition, rate)
    if per_kilogram is None or rate.value is None or not is_readable(rate.value):
        return read_quantity(draft.knowledge, definition, rate)
    weight = _weight_at(draft, time)
    if isinstance(weight, Reason):
        return Reading(write_quantity(rate), problem=weight)
    value = Number(_QUOTIENT.divide(rate.value, weight))
    return read_quantity(
        draft.knowledge, definition, Quantity(value=value, comparator=rate.comparator, unit=per_kilogram)
    )


def _per_kilogram(knowledge: KnowledgeBase, definition: Definition, rate: Quantity) -> str | None:
    """The unit per kilogram that the rate of a whole body becomes, where the datum asks for one."""
    written = (rate.code or rate.unit or "").strip()
    if find_spelling(knowledge, definition, written) is not None:
        return None
    unit = _WHOLE_BODY.get(knowledge.unit_aliases.get(written, written))
    return find_spelling(knowledge, definition, unit)


def _weight_at(draft: Draft, time: TimeSpan | None) -> Decimal | Reason:
    """The newest exact weight at or before a time."""
    if time is None:
        return Reason.QUALIFIER_MISSING
    earlier = [
        (entry.time.latest, entry.value.exact)
        for entry in draft.measurements
        if entry.name == "weight" and entry.time is not None and entry.time.latest <= time.latest
        if entry.value is not None and entry.value.exact is not None
    ]
    newest = max((taken for taken, _ in earlier), default=None)
    weights = {weight for taken, weight in earlier if taken == newest}
    if len(weights) > 1:
        return Reason.CONFLICT
    return weights.pop() if weights else Reason.QUALIFIER_MISSING


def _drugs(draft: Draft, concept: CodeableConcept) -> dict[str, Coding]:
    return {
        name: code
        for code in reversed(codings(concept))
        if code.system in DRUG_SYSTEMS
        for name, _ in draft.dictionary.data.get((code.system, code.code), ())
    }


def _rate(dosage: Dosage | None) -> Quantity | None:
    if dosage is None:
        return None
    return dosage.rate_quantity or (None if dosage.rate_ratio is None else _quotient(dosage.rate_ratio))


def _quotient(ratio: Ratio) -> Quantity | None:
    """A ratio such as 5 ug per 1 min as one quantity."""
    over, under = ratio.numerator, ratio.denominator
    if (
        over is None
        or under is None
        or over.value is None
        or under.value is None
        or over.comparator
        or under.comparator
    ):
        return None
    units = [(one.code or one.unit or "").strip() for one in (over, under)]
    if not all(units) or not is_readable(over.value) or not is_readable(under.value) or under.value == 0:
        return None
    per = Number(_QUOTIENT.divide(over.value, under.value))
    return Quantity(value=per, unit="/".join((units[0], units[1].removeprefix("1"))))
