"""Quantities that are computed from others, point by point: age, P/F, S/F, ratios to the upper limit, PBW."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

from mscprotocol.data_dictionary import SiteLimit
from mscprotocol.interval import Interval, between, exactly
from mscprotocol.oxygen import derive_support, support_at
from mscprotocol.product_clocks import PRODUCT_DERIVATIONS
from mscprotocol.reasons import Reason
from mscprotocol.record import Measurement
from mscprotocol.series import PARTIAL, Derivation, Series
from mscprotocol.timespan import TimeSpan, instant, whole_days_around
from mscprotocol.truth import Truth
from mscprotocol.units import is_plausible, to_canonical


def derive_weight(series: Series) -> Iterator[Measurement]:
    """Weights as charted; one that looks like pounds for kilograms, or gives an impossible BMI, is refused."""
    limits = series.knowledge.measurements["weight"].parameters
    entries = sorted(series.charted("weight"), key=_earliest)
    previous: Measurement | None = None
    for entry in entries:
        if _is_slip(entry, previous, limits["slip_low"], limits["slip_high"]) or _has_odd_bmi(series, entry):
            yield replace(entry, value=None, problem=entry.problem or Reason.IMPLAUSIBLE)
            continue
        yield entry
        if entry.problem is None and entry.value is not None:
            previous = entry


def derive_d_dimer(series: Series) -> Iterator[Measurement]:
    """D-dimers as charted; a jump as large as between units of mass is refused."""
    jump = series.knowledge.measurements["d_dimer"].parameters["jump"]
    previous: Measurement | None = None
    for entry in sorted(series.charted("d_dimer"), key=_earliest):
        if previous is not None and previous.assay == entry.assay and _is_slip(entry, previous, jump, None):
            yield replace(entry, value=None, problem=entry.problem or Reason.IMPLAUSIBLE)
            continue
        yield entry
        if entry.problem is None and entry.value is not None:
            previous = entry


def derive_age(series: Series) -> Iterator[Measurement]:
    """Whole years at `at`; a partial birth date leaves a range."""
    patient = series.record.patient
    if patient.born is None:
        return
    earliest, latest = patient.born
    # A birth date has no zone: on which date `at` falls depends on where on earth the patient was born.
    first, last = whole_days_around(series.at)
    years = between(max(_whole_years(latest, first), 0), max(_whole_years(earliest, last), 0))
    received = earliest.isoformat() if earliest == latest else f"{earliest.isoformat()} to {latest.isoformat()}"
    yield Measurement(
        name="age",
        reference=f"Patient/{patient.id}",
        time=instant(series.at),
        as_received=f"born {received}",
        value=years,
        unit="a",
        flags=frozenset() if years.exact is not None else frozenset({PARTIAL}),
    )


def derive_pf_ratio(series: Series) -> Iterator[Measurement]:
    """Arterial oxygen over inspired oxygen in force; a charted ratio stands only where no gas was taken."""
    charted = series.charted("pf_ratio")
    gases = series.charted("pao2")
    for gas in gases:
        made = _over_fio2(series, "pf_ratio", _without_venous_suspicion(series, gas))
        if any(_disagree(series, made, beside) for beside in charted if beside.time == gas.time):
            made = replace(made, value=None, problem=Reason.CONFLICT)
        yield made
    taken = {gas.time for gas in gases}
    yield from (entry for entry in charted if entry.time not in taken)


def derive_sf_ratio(series: Series) -> Iterator[Measurement]:
    """Saturation over inspired oxygen, only where the saturation still says something about it."""
    limit = series.knowledge.measurements["sf_ratio"].parameters["spo2_at_most"]
    for reading in series.charted("spo2"):
        if reading.value is not None and reading.value.lte(limit) is Truth.MET:
            yield _over_fio2(series, "sf_ratio", reading)


def derive_spo2_room_air(series: Series) -> Iterator[Measurement]:
    """Saturations taken while room air was charted."""
    for reading in series.charted("spo2"):
        if reading.time is not None and support_at(series, reading.time, ("room_air",)) is Truth.MET:
            yield replace(reading, name="spo2_room_air")


def derive_d_dimer_ratio(series: Series) -> Iterator[Measurement]:
    """D-dimer over the upper limit of the same report: the one comparison that assay types do not spoil."""
    for entry in _with_site_limits(series, series.points("d_dimer")):
        ratio = None if entry.value is None or entry.upper_limit is None else entry.value.over(entry.upper_limit)
        yield _computed("d_dimer_ratio", (entry,), ratio, _missing_limit(entry))


def derive_pt_prolongation(series: Series) -> Iterator[Measurement]:
    """Seconds of prothrombin time above the upper limit of the same report."""
    for entry in _with_site_limits(series, series.charted("pt")):
        above = None if entry.value is None or entry.upper_limit is None else entry.value - entry.upper_limit
        yield _computed("pt_prolongation", (entry,), above, _missing_limit(entry))


def derive_map(series: Series) -> Iterator[Measurement]:
    """Mean arterial pressure as measured, or from systolic and diastolic of the same instant."""
    measured = series.charted("map")
    yield from measured
    taken = {entry.time for entry in measured}
    systolic_at, diastolic_at = (_by_time(series.charted(name)) for name in ("systolic_bp", "diastolic_bp"))
    for time, readings in systolic_at.items():
        others = diastolic_at.get(time, [])
        if not others or time is None or time in taken:
            continue
        systolic, other = readings[0], others[0]
        contradict = len({one.value for one in readings}) > 1 or len({one.value for one in others}) > 1
        problem = Reason.CONFLICT if contradict else systolic.problem or other.problem
        value = None
        if systolic.value is not None and other.value is not None:
            value = (other.value.times(Decimal(2)) + systolic.value).over(exactly(3))
        yield _computed("map", (systolic, other), value, problem)


def derive_predicted_body_weight(series: Series) -> Iterator[Measurement]:
    """Predicted body weight by height and sex; unknown without either."""
    formula = series.knowledge.measurements["predicted_body_weight"].parameters
    base = formula.get(series.record.patient.sex or "")
    for height in series.charted("height"):
        if base is not None and height.value is not None:
            above = (height.value - exactly(formula["above_cm"])).times(formula["kg_per_cm"])
            yield _computed("predicted_body_weight", (height,), above + exactly(base), height.problem)


DERIVATIONS: dict[str, Derivation] = {
    "weight": derive_weight,
    "d_dimer": derive_d_dimer,
    "age": derive_age,
    "oxygen_support": derive_support,
    "pf_ratio": derive_pf_ratio,
    "sf_ratio": derive_sf_ratio,
    "spo2_room_air": derive_spo2_room_air,
    "d_dimer_ratio": derive_d_dimer_ratio,
    "pt_prolongation": derive_pt_prolongation,
    "map": derive_map,
    "predicted_body_weight": derive_predicted_body_weight,
    **PRODUCT_DERIVATIONS,
}


def _over_fio2(series: Series, name: str, reading: Measurement) -> Measurement:
    """A reading over the inspired oxygen that was in force when it was taken, or `unpaired`."""
    oxygen = _in_force(series, name, reading)
    if oxygen is None or reading.value is None or oxygen.value is None:
        problem = reading.problem or (oxygen.problem if oxygen else None) or Reason.UNPAIRED
        return _computed(name, (reading,) if oxygen is None else (reading, oxygen), None, problem)
    ratio = reading.value.over(oxygen.value)
    plausible = is_plausible(series.knowledge.measurements[name], ratio)
    hindrance = reading.problem or oxygen.problem or (None if plausible else Reason.IMPLAUSIBLE)
    return _computed(name, (reading, oxygen), ratio, hindrance)


def _in_force(series: Series, name: str, reading: Measurement) -> Measurement | None:
    """The newest inspired oxygen charted within the pairing window before a reading."""
    pairing = series.knowledge.measurements[name].pairing
    if pairing is None or reading.time is None or not reading.time.is_instant:
        return None
    end = reading.time.earliest
    start = pairing.start(end)
    fitting = [
        entry
        for entry in series.charted("fio2")
        if entry.time is not None and entry.time.is_instant and start <= entry.time.earliest <= end
    ]
    newest = [entry for entry in fitting if entry.time == max(one.time for one in fitting if one.time is not None)]
    if len({entry.value for entry in newest}) > 1:
        return replace(newest[0], value=None, problem=Reason.CONFLICT)
    return newest[0] if newest else None


def _without_venous_suspicion(series: Series, gas: Measurement) -> Measurement:
    """A gas whose oxygen is too low for the saturation beside it may be venous: it is not read as arterial."""
    limits = series.knowledge.measurements["pao2"].parameters
    if gas.time is None or gas.value is None or gas.value.lt(limits["suspect_below"]) is not Truth.MET:
        return gas
    near = series.knowledge.measurements["oxygen_support"].pairing
    start, end = (gas.time.earliest, gas.time.latest) if near is None else near.around(gas.time)
    for reading in series.charted("spo2"):
        if reading.time is None or reading.value is None or not start <= reading.time.latest <= end:
            continue
        if reading.value.gt(limits["suspect_spo2_above"]) is Truth.MET:
            return replace(gas, value=None, problem=Reason.SPECIMEN_MISMATCH)
    return gas


def _disagree(series: Series, made: Measurement, charted: Measurement) -> bool:
    if made.value is None or charted.value is None:
        return False
    share = series.knowledge.measurements["pf_ratio"].parameters["charted_differs_by"]
    margin = charted.value.times(share)
    difference = made.value - charted.value
    return Truth.MET in ((difference - margin).gt(Decimal(0)), (-difference - margin).gt(Decimal(0)))


def _with_site_limits(series: Series, entries: Iterable[Measurement]) -> Iterator[Measurement]:
    """Entries whose report states no upper limit take the one that the site states for their code, unit and date."""
    for entry in entries:
        limit = None if entry.upper_limit is not None else _site_limit(series, entry)
        if limit is None:
            yield entry
            continue
        definition = series.knowledge.measurements[entry.name]
        upper = exactly(to_canonical(definition, limit.upper.value, limit.upper.unit))
        yield replace(entry, upper_limit=upper, upper_limit_source=f"site: {limit.laboratory}")


def _site_limit(series: Series, entry: Measurement) -> SiteLimit | None:
    if entry.code is None or entry.time is None:
        return None
    day = entry.time.latest.date().isoformat()
    fitting = [
        limit
        for limit in series.knowledge.site_limits
        if limit.code.code == entry.code.code
        and limit.upper.unit == entry.native_unit
        and limit.since <= day <= (limit.until or day)
    ]
    return fitting[0] if len(fitting) == 1 else None


def _missing_limit(entry: Measurement) -> Reason | None:
    return entry.problem or (Reason.QUALIFIER_MISSING if entry.upper_limit is None else None)


def _computed(name: str, parts: Sequence[Measurement], value: Interval | None, problem: Reason | None) -> Measurement:
    """A point made of others: it is as old as its first part and keeps their references."""
    first = parts[0]
    return replace(
        first,
        name=name,
        reference=" + ".join(dict.fromkeys(part.reference for part in parts)),
        as_received=" / ".join(part.as_received for part in parts)
        + (f" (upper limit {first.upper_limit}{_from(first)})" if first.upper_limit is not None else ""),
        value=None if problem is not None else value,
        problem=problem or (Reason.MISSING if value is None else None),
        unit="",
        flags=frozenset().union(*(part.flags for part in parts)),
    )


def _from(entry: Measurement) -> str:
    return f", {entry.upper_limit_source}" if entry.upper_limit_source.startswith("site") else ""


def _whole_years(born: date, today: date) -> int:
    return today.year - born.year - ((today.month, today.day) < (born.month, born.day))


def _is_slip(entry: Measurement, previous: Measurement | None, low: Decimal, high: Decimal | None) -> bool:
    """Whether a value stands to the one before as one unit to another, in either direction."""
    if previous is None or entry.value is None or previous.value is None:
        return False
    ratios = (entry.value.over(previous.value), previous.value.over(entry.value))
    return any(ratio.gte(low) is Truth.MET and (high is None or ratio.lte(high) is Truth.MET) for ratio in ratios)


def _has_odd_bmi(series: Series, entry: Measurement) -> bool:
    limits = series.knowledge.measurements["weight"].parameters
    heights = [one.value for one in series.charted("height") if one.problem is None and one.value is not None]
    if entry.value is None or not heights:
        return False
    metres = [height.times(Decimal("0.01")) for height in heights]
    indices = [entry.value.over(one).over(one) for one in metres]
    return all(Truth.MET in (index.lt(limits["bmi_low"]), index.gt(limits["bmi_high"])) for index in indices)


def _by_time(entries: Iterable[Measurement]) -> dict[TimeSpan | None, list[Measurement]]:
    found: dict[TimeSpan | None, list[Measurement]] = {}
    for entry in entries:
        found.setdefault(entry.time, []).append(entry)
    return found


def _earliest(entry: Measurement) -> tuple[datetime, str]:
    return (entry.time.earliest if entry.time else datetime.min.replace(tzinfo=UTC)), entry.reference
