"""Quantities that are computed from others, point by point: age, ratios to the upper limit, PBW, daily sums."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

from msgspec.structs import replace

from mscprotocol.data_dictionary import SiteLimit
from mscprotocol.interval import Interval, between, exactly, total
from mscprotocol.oxygen import derive_support
from mscprotocol.oxygenation import OXYGENATION
from mscprotocol.product_clocks import PRODUCT_DERIVATIONS
from mscprotocol.reasons import Reason
from mscprotocol.record import Measurement
from mscprotocol.series import PARTIAL, Derivation, Series, compute
from mscprotocol.since_infusion import CHANGES_SINCE_INFUSION
from mscprotocol.timespan import TimeSpan, instant, whole_days_around
from mscprotocol.truth import Truth
from mscprotocol.units import is_plausible, to_canonical

# A body shorter than the formula was made for.
SHORT = "short"
DIFFERS = "differs"  # from another height on record


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
    """Whole years at `at`; a partial birth date leaves a range, one that nobody can have, like the future, no age."""
    patient = series.record.patient
    if patient.born is None:
        return
    earliest, latest = patient.born
    # A birth date has no zone: on which date `at` falls depends on where on earth the patient was born.
    first, last = whole_days_around(series.at)
    youngest, oldest = _whole_years(latest, first), _whole_years(earliest, last)
    years = between(max(youngest, 0), max(oldest, 0))
    is_possible = oldest >= 0 and is_plausible(series.knowledge.measurements["age"], years)
    received = earliest.isoformat() if earliest == latest else f"{earliest.isoformat()} to {latest.isoformat()}"
    yield Measurement(
        name="age",
        reference=f"Patient/{patient.id}",
        time=instant(series.at),
        as_received=f"born {received}",
        value=years if is_possible else None,
        problem=None if is_possible else Reason.IMPLAUSIBLE,
        unit="a",
        flags=frozenset() if years.exact is not None else frozenset({PARTIAL}),
    )


def derive_d_dimer_ratio(series: Series) -> Iterator[Measurement]:
    """D-dimer over the upper limit of the same report: the one comparison that assay types do not spoil."""
    for entry in _with_site_limits(series, series.points("d_dimer")):
        ratio = None if entry.value is None or entry.upper_limit is None else entry.value.over(entry.upper_limit)
        yield compute("d_dimer_ratio", (entry,), ratio, _missing_limit(entry))


def derive_pt_prolongation(series: Series) -> Iterator[Measurement]:
    """Seconds of prothrombin time above the upper limit of the same report."""
    for entry in _with_site_limits(series, series.charted("pt")):
        above = None if entry.value is None or entry.upper_limit is None else entry.value - entry.upper_limit
        yield compute("pt_prolongation", (entry,), above, _missing_limit(entry))


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
        yield compute("map", (systolic, other), value, problem)


def derive_predicted_body_weight(series: Series) -> Iterator[Measurement]:
    """Predicted body weight by height and sex; unknown without either, or where sources contradict each other."""
    formula = series.knowledge.measurements["predicted_body_weight"].parameters
    base = formula.get(series.record.patient.sex or "")
    for height in series.charted("height"):
        if height.value is None:
            continue
        if base is None:
            if series.record.patient.sex_contradicted:
                yield compute("predicted_body_weight", (height,), None, Reason.CONFLICT)
            continue
        above = (height.value - exactly(formula["above_cm"])).times(formula["kg_per_cm"])
        made = compute("predicted_body_weight", (height,), above + exactly(base), _height_problem(series, height))
        yield replace(made, flags=made.flags | set(_height_flags(series, height)))


def _height_problem(series: Series, height: Measurement) -> Reason | None:
    """Why no weight follows from a height: its own problem, a body below the formula, or another height."""
    formula = series.knowledge.measurements["predicted_body_weight"].parameters
    if height.problem is not None or height.value is None:
        return height.problem
    if height.value.gte(formula["refused_below_cm"]) is not Truth.MET:
        return Reason.IMPLAUSIBLE
    return Reason.CONFLICT if _differs(series, height, formula["contradicts_cm"]) else None


def _height_flags(series: Series, height: Measurement) -> Iterator[str]:
    formula = series.knowledge.measurements["predicted_body_weight"].parameters
    if height.value is not None and height.value.lt(formula["short_below_cm"]) is Truth.MET:
        yield SHORT
    if _differs(series, height, formula["differs_cm"]):
        yield DIFFERS


def _differs(series: Series, height: Measurement, limit: Decimal) -> bool:
    """Whether another height of the same years, that was not merely estimated, lies further away than a limit."""
    days = series.knowledge.measurements["predicted_body_weight"].parameters["compared_days"]
    others = [
        one.value
        for one in series.charted("height")
        if one.problem is None and one.value is not None and "estimated" not in one.flags
        and _apart(one, height) <= timedelta(days=int(days))
    ]  # fmt: skip
    return height.value is not None and any(
        Truth.MET in ((height.value - other).gt(limit), (other - height.value).gt(limit)) for other in others
    )


def _apart(one: Measurement, other: Measurement) -> timedelta:
    if one.time is None or other.time is None:
        return timedelta(0)
    return abs(one.time.latest - other.time.latest)


def derive_gcs(series: Series) -> Iterator[Measurement]:
    """Totals as charted; where there is none, the sum of eye, verbal and motor answers of the same instant."""
    made = {one.time: one for one in _sums_of_parts(series, "gcs", ("gcs_eye", "gcs_verbal", "gcs_motor"))}
    for charted in series.charted("gcs"):
        beside = made.pop(charted.time, None)
        differs = beside is not None and None not in (beside.value, charted.value) and beside.value != charted.value
        yield replace(charted, value=None, problem=Reason.CONFLICT) if differs else charted
    yield from made.values()


def _sums_of_parts(series: Series, name: str, names: Sequence[str]) -> Iterator[Measurement]:
    """The sums of parts that were charted at the same instant, each once; a part charted twice must agree."""
    by_time = [_by_time(series.charted(part)) for part in names]
    for time in by_time[0]:
        found = [one.get(time, []) for one in by_time]
        if time is None or not all(found):
            continue
        parts = [readings[0] for readings in found]
        contradict = any(len({one.value for one in readings}) > 1 for readings in found)
        problem = Reason.CONFLICT if contradict else next((one.problem for one in parts if one.problem), None)
        values = [one.value for one in parts if one.value is not None]
        yield compute(name, parts, total(values) if len(values) == len(parts) else None, problem)


def derive_urine_output(series: Series) -> Iterator[Measurement]:
    """Daily output as charted, and what the volumes of the day before the newest one add up to.

    Volumes that leave a gap in the day prove only that it was at least their sum; one whose period is not stated says
    nothing of a day.
    """
    yield from series.charted("urine_output")
    volumes = [one for one in series.charted("urine_volume") if one.time is not None and one.time.is_instant]
    timed = [one for one in volumes if one.began is not None and one.began.is_instant]
    yield from (
        replace(one, name="urine_output", value=None, problem=Reason.MISSING) for one in volumes if not one.began
    )
    if timed:
        yield _day_of_urine(series, sorted(timed, key=_earliest))


def _day_of_urine(series: Series, volumes: Sequence[Measurement]) -> Measurement:
    newest = volumes[-1]
    assert newest.time is not None
    end = newest.time.latest
    start = end - timedelta(hours=int(series.knowledge.measurements["urine_output"].parameters["hours"]))
    spans = [
        (one.began.earliest, one.time.latest, one) for one in volumes if one.began is not None and one.time is not None
    ]
    inside = sorted(((begun, ended, one) for begun, ended, one in spans if ended > start), key=lambda span: span[:2])
    problem = next((one.problem for _, _, one in inside if one.problem is not None), None)
    if any(later[0] < earlier[1] for earlier, later in pairwise(inside)):
        problem = problem or Reason.CONFLICT  # two volumes of the same time: which one counts is not known
    is_covered = inside[0][0] <= start and all(earlier[1] == later[0] for earlier, later in pairwise(inside))
    low = total(one.value for begun, _, one in inside if begun >= start and one.value is not None).low
    high = total(one.value for _, _, one in inside if one.value is not None).high if is_covered else None
    return compute("urine_output", [one for _, _, one in inside[::-1]], Interval(low, high), problem)


DERIVATIONS: dict[str, Derivation] = {
    "weight": derive_weight,
    "d_dimer": derive_d_dimer,
    "age": derive_age,
    "oxygen_support": derive_support,
    **OXYGENATION,
    "d_dimer_ratio": derive_d_dimer_ratio,
    "pt_prolongation": derive_pt_prolongation,
    "map": derive_map,
    "gcs": derive_gcs,
    "urine_output": derive_urine_output,
    "predicted_body_weight": derive_predicted_body_weight,
    **PRODUCT_DERIVATIONS,
    **CHANGES_SINCE_INFUSION,
}


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
