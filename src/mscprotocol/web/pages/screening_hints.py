"""Inline hints while somebody types: what the dictionary says of a value, before any rule reads it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from mscprotocol.data_dictionary import Measurement
from mscprotocol.interval import exactly, plain
from mscprotocol.knowledge import KnowledgeBase
from mscprotocol.reasons import Reason
from mscprotocol.units import UnitError, find_unit, is_plausible, is_unusual, to_canonical
from mscprotocol.web.pages.local_times import OFFSET, offsets_of
from mscprotocol.web.pages.screening_fields import DatumField, ScreeningForm
from mscprotocol.web.pages.screening_record import Typed, read_number
from mscprotocol.web.pages.screening_slips import find_slips


@dataclass(frozen=True)
class Clock:
    """A typed time that the clocks show twice: its field, the offsets to choose from, and the one that was chosen."""

    field: str
    typed: str
    choices: tuple[tuple[str, str], ...]
    chosen: str


def find_hints(
    typed: Typed, form: ScreeningForm, knowledge: KnowledgeBase, known: Mapping[str, Sequence[Decimal]]
) -> dict[str, list[str]]:
    """Hints by field. `known` are values of the same datum that an upload holds, in its canonical unit."""
    found = {name: list(_doubt(typed, name)) for name in _moments(form)}
    for panel in form.panels:
        for field in panel.data:
            measurement = knowledge.measurements[field.name]
            hints = [
                hint
                for row in range(typed.rows(field.name))
                for hint in _row(typed, field, row, panel.id, measurement, known.get(field.name, ()))
            ]
            found[field.name] = list(dict.fromkeys(hints))
    for one in form.conditions:
        found[one.name] = list(_dates(typed, one.name))
    for field in form.lot:
        found[field.name] = list(_of_lot(typed, field, knowledge.measurements[field.name]))
    for slip in find_slips(typed, form):
        found.setdefault(slip.field, []).append(slip.text)
    return found


def find_clocks(typed: Typed, form: ScreeningForm) -> dict[str, list[Clock]]:
    """The times that the clocks show twice, each with the offsets to choose from, by where their hint stands."""
    found: dict[str, list[Clock]] = {}
    times = {field.name for field in (*form.data, *form.lot) if field.kind == "time"}
    for key, text in typed.fields.items():
        place = key.split(".")[1] if key.startswith(("d.", "c.")) else key
        is_time = place in times if key.endswith(".value") else place != key or place in _moments(form)
        choices = offsets_of(text.strip(), typed.zone.key) if is_time else ()
        if choices:
            found.setdefault(place, []).append(Clock(key, text, choices, typed.text(key, OFFSET)))
    return found


def _moments(form: ScreeningForm) -> list[str]:
    """The places of hints that stand for themselves: the times of the question, of each group, and of the lot."""
    return [
        "at",
        "start",
        *(f"at.{panel.id}" for panel in form.panels if panel.data),
        *(["at.lot", "lot"] if form.lot else []),
    ]


def _of_lot(typed: Typed, field: DatumField, measurement: Measurement) -> Iterator[str]:
    value = typed.text("d", field.name, 0, "value")
    for part in ("at", *(["value"] if field.kind == "time" else [])):
        yield from _doubt(typed, "d", field.name, 0, part)
    if value and field.units:
        yield from _number(typed, field, 0, value, measurement, ())


def _doubt(typed: Typed, *parts: object) -> Iterator[str]:
    found = None if parts == ("lot",) else typed.doubt(*parts)
    if found is not None:
        yield f"{found.text} Until then it counts as the day only."


def _dates(typed: Typed, name: str) -> Iterator[str]:
    """What is odd about the dates of a condition."""
    since, until = (typed.text("c", name, part) for part in ("since", "until"))
    for part in ("since", "until", "at"):
        yield from _doubt(typed, "c", name, part)
    if (since or until) and typed.text("c", name, "said") != "yes":
        yield "Dates without a yes: say yes if it was there at any time, or clear the dates. Until then it is open."
    if since and until and until < since:
        yield "It ended before it began: one of the dates is wrong."


def _row(
    typed: Typed, field: DatumField, row: int, panel: str, measurement: Measurement, known: Sequence[Decimal]
) -> Iterator[str]:
    value = typed.text("d", field.name, row, "value")
    own = typed.text("d", field.name, row, "at")
    for part in ("at", "since", *(["value"] if field.kind == "time" else [])):
        yield from _doubt(typed, "d", field.name, row, part)
    if not value or typed.text("d", field.name, row, "said"):
        return
    if not own and not typed.text("at", panel):
        yield "When was it taken? Without a time it cannot be used."
    if field.units:
        yield from _number(typed, field, row, value, measurement, known)


def _number(
    typed: Typed, field: DatumField, row: int, value: str, measurement: Measurement, known: Sequence[Decimal]
) -> Iterator[str]:
    number, unit = read_number(value), typed.text("d", field.name, row, "unit")
    if isinstance(number, str):
        yield number
        return
    if not unit and len(field.units) > 1:
        found = find_unit(measurement, None, number)
        if isinstance(found, Reason):
            yield "Which unit? Without one it is not used."
            return
        yield f"Without a unit {plain(number)} is read {_named(found)}."
        unit = found
    if field.needs_upper_limit and not typed.text("d", field.name, row, "upper"):
        yield "The rules compare it with the laboratory's upper limit of normal: add that."
    try:
        canonical = to_canonical(measurement, number, unit or measurement.unit)
    except UnitError:
        yield "The unit is not accepted for this."
        return
    yield from _judge(measurement, field, number, unit, canonical, known)


def _judge(
    measurement: Measurement,
    field: DatumField,
    number: Decimal,
    unit: str,
    canonical: Decimal,
    known: Sequence[Decimal],
) -> Iterator[str]:
    usual = _usual_units(measurement, field, number, canonical)
    meant = f" It would be usual {' or '.join(usual)}." if usual else ""
    shown = f"{plain(number)} {_named(unit)}"
    if not is_plausible(measurement, exactly(canonical)):
        yield f"{shown} cannot be: it is refused.{meant}"
    elif is_unusual(measurement, exactly(canonical)):
        yield f"{shown} is unusual: check it.{meant}"
    low, high = (measurement.parameters.get(name) for name in ("slip_low", "slip_high"))
    if low is not None and high is not None and any(_slips(canonical, one, low, high) for one in known):
        yield "Another value on record differs from it as pounds do from kilograms: check the unit."


def _usual_units(measurement: Measurement, field: DatumField, number: Decimal, canonical: Decimal) -> list[str]:
    """The other units in which the same number would be neither refused nor unusual."""
    found = []
    for unit in field.units:
        other = to_canonical(measurement, number, unit)
        fits = is_plausible(measurement, exactly(other)) and not is_unusual(measurement, exactly(other))
        if other != canonical and fits:
            found.append(_named(unit))
    return found


def _named(unit: str) -> str:
    """A unit as a sentence goes on with it."""
    return {"1": "as a fraction", "[lb_av]": "in pounds", "": "without a unit"}.get(unit, f"in {unit}")


def _slips(one: Decimal, other: Decimal, low: Decimal, high: Decimal) -> bool:
    if one <= 0 or other <= 0:
        return False
    return low <= max(one, other) / min(one, other) <= high
