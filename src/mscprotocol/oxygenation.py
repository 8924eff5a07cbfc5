"""How well the lungs take up oxygen: P/F, S/F and what stands for them, point by point.

A measured PaO2/FiO2 always wins over what a saturation stands for. An imputed ratio and an estimated fraction are data
of their own, so that no rule and no trend can mix them with what was measured.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from itertools import pairwise

from msgspec.structs import replace

from mscprotocol.data_dictionary import Measurement as Datum
from mscprotocol.interval import EXACT, Interval, exactly
from mscprotocol.oxygen import support_at
from mscprotocol.reasons import Reason
from mscprotocol.record import Measurement
from mscprotocol.series import Derivation, Series, compute
from mscprotocol.timespan import TimeSpan
from mscprotocol.truth import Truth
from mscprotocol.units import is_plausible

# What a note of the dictionary may be about.
ALTITUDE, IMPUTED, ESTIMATED, LOW_SATURATION = "altitude", "imputed", "estimated", "low_saturation"
MAYBE_CORRECTED = "maybe_corrected"
# A ratio that somebody computed and charted, where no gas was taken.
_CHARTED, _AT_SEA_LEVEL = "charted", "pf_ratio_sea_level"
_CANNULA = ("low_flow",)


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
    yield from (replace(one, flags=one.flags | {_CHARTED}) for one in charted if one.time not in taken)


def derive_peep_at_gas(series: Series) -> Iterator[Measurement]:
    """The end-expiratory pressure in force when each P/F was taken; `unpaired` where none was charted just before."""
    for ratio in series.points("pf_ratio"):
        pressure = _in_force(series, "peep_at_gas", ratio, of="peep")
        if pressure is None:
            yield compute("peep_at_gas", (ratio,), None, ratio.problem or Reason.UNPAIRED)
            continue
        made = compute("peep_at_gas", (ratio, pressure), pressure.value, ratio.problem or pressure.problem)
        yield replace(made, native_unit=pressure.native_unit)


def derive_sf_ratio(series: Series) -> Iterator[Measurement]:
    """Saturation over inspired oxygen, known only where the saturation still says something about it."""
    limits = series.knowledge.measurements["sf_ratio"].parameters
    for reading in series.charted("spo2"):
        if reading.value is None or reading.value.lte(limits["spo2_at_most"]) is not Truth.MET:
            yield compute("sf_ratio", (reading,), None, reading.problem or Reason.COMPARATOR)
            continue
        made = _over_fio2(series, "sf_ratio", reading)
        is_doubtful = reading.value.lt(limits["spo2_doubtful_below"]) is Truth.MET
        yield replace(made, flags=made.flags | {LOW_SATURATION}) if is_doubtful else made


def derive_spo2_room_air(series: Series) -> Iterator[Measurement]:
    """Saturations taken while room air was charted."""
    for reading in series.charted("spo2"):
        if reading.time is not None and support_at(series, reading.time, ("room_air",)) is Truth.MET:
            yield replace(reading, name="spo2_room_air")


def derive_pf_at_sea_level(series: Series) -> Iterator[Measurement]:
    """P/F, corrected where the barometric pressure shows a place above 1000 m."""
    for ratio in series.points("pf_ratio"):
        yield _at_sea_level(series, replace(ratio, name=_AT_SEA_LEVEL))


def derive_pf_imputed(series: Series) -> Iterator[Measurement]:
    """P/F imputed from S/F by Rice's equation, where no gas was measured near."""
    definition = series.knowledge.measurements["pf_imputed"]
    equation = definition.parameters
    for ratio in _without_gas(series, "pf_imputed"):
        value = None if ratio.value is None else ratio.value - exactly(equation["intercept"])
        if value is not None and value.lte(Decimal(0)) is Truth.MET:
            value = exactly(0)  # below what the equation can be read for: refused by the hard limits
        value = None if value is None else value.over(exactly(equation["slope"]))
        plausible = value is None or is_plausible(definition, value)
        made = compute("pf_imputed", (ratio,), value, ratio.problem or (None if plausible else Reason.IMPLAUSIBLE))
        yield replace(made, flags=made.flags | {IMPUTED})


def derive_pf_or_sf(series: Series, name: str) -> Iterator[Measurement]:
    """Measured P/F; where no gas was taken near, the band of P/F for which S/F stands by a definition's own limits.

    Both are corrected for altitude only by a definition that says so: one made of the ratio at sea level.
    """
    definition = series.knowledge.measurements[name]
    corrects = _AT_SEA_LEVEL in definition.made_of
    measured = series.points(_AT_SEA_LEVEL if corrects else "pf_ratio")
    yield from (replace(ratio, name=name) for ratio in measured)
    for ratio in _without_gas(series, name):
        read = _at_sea_level(series, ratio) if corrects else ratio
        band = None if read.value is None else _band(definition, read.value)
        yield compute(name, (read,), band, read.problem)


def derive_fio2_estimated(series: Series) -> Iterator[Measurement]:
    """Inspired oxygen estimated from the flow of a nasal cannula that was charted as such."""
    formula = series.knowledge.measurements["fio2_estimated"].parameters
    for flow in series.charted("oxygen_flow"):
        is_low = flow.value is not None and flow.value.lte(formula["flow_at_most"]) is Truth.MET
        if not is_low or flow.time is None or flow.value is None:
            continue
        if support_at(series, flow.time, _CANNULA) is Truth.MET:
            value = flow.value.times(formula["per_litre"]) + exactly(formula["at_no_flow"])
            made = compute("fio2_estimated", (flow,), value, flow.problem)
            yield replace(made, flags=made.flags | {ESTIMATED})


OXYGENATION: dict[str, Derivation] = {
    "pf_ratio": derive_pf_ratio,
    "pf_ratio_sea_level": derive_pf_at_sea_level,
    "peep_at_gas": derive_peep_at_gas,
    "sf_ratio": derive_sf_ratio,
    "spo2_room_air": derive_spo2_room_air,
    "pf_imputed": derive_pf_imputed,
    "pf_or_sf_ards": lambda series: derive_pf_or_sf(series, "pf_or_sf_ards"),
    "pf_or_sf_cps": lambda series: derive_pf_or_sf(series, "pf_or_sf_cps"),
    "pf_or_sf_sofa": lambda series: derive_pf_or_sf(series, "pf_or_sf_sofa"),
    "fio2_estimated": derive_fio2_estimated,
}


def _without_gas(series: Series, name: str) -> Iterator[Measurement]:
    """S/F at times near which no usable P/F was measured."""
    near = series.knowledge.measurements[name].pairing
    measured = [one.time for one in series.points("pf_ratio") if one.problem is None and one.time is not None]
    for ratio in series.points("sf_ratio"):
        if ratio.time is not None and near is not None:
            start, end = near.around(ratio.time)
            if any(start <= time.latest and time.earliest <= end for time in measured):
                continue
        yield ratio


def _band(definition: Datum, ratio: Interval) -> Interval | None:
    """The P/F that an S/F may stand for: of every band that it may lie in, from the lowest to the highest end."""
    upper_is_in = definition.limit_belongs == "below"
    limits = [(Decimal(given), meant) for given, meant in definition.stands_for.items()]
    edges = [(None, None), *limits, (None, None)]
    found: Interval | None = None
    for (below, low), (above, high) in pairwise(edges):
        left = below is not None and upper_is_in
        right = above is not None and not upper_is_in
        if Interval(below, above, left, right).intersection(ratio) is not None:
            band = Interval(low, high, left, right)
            found = band if found is None else found.hull(band)
    return found


def _at_sea_level(series: Series, ratio: Measurement) -> Measurement:
    """A ratio times barometric pressure over that at sea level, if the place lies above 1000 m.

    A ratio that was charted may have been corrected by who charted it: both readings stay possible.
    """
    rule = series.knowledge.measurements[_AT_SEA_LEVEL]
    pressure = _pressure_near(series, ratio)
    if pressure is None or ratio.value is None:
        return ratio
    is_high = Truth.UNKNOWN if pressure.value is None else pressure.value.lt(rule.parameters["corrected_below"])
    if pressure.problem is not None or pressure.value is None or is_high is Truth.UNKNOWN:
        return replace(ratio, value=None, problem=ratio.problem or pressure.problem or Reason.COMPARATOR)
    if is_high is Truth.NOT_MET:
        return ratio
    corrected = _times(ratio.value.over(exactly(rule.parameters["sea_level"])), pressure.value)
    is_charted = _CHARTED in ratio.flags
    return replace(
        ratio,
        value=ratio.value.hull(corrected) if is_charted else corrected,
        reference=f"{ratio.reference} + {pressure.reference}",
        as_received=f"{ratio.as_received} x {pressure.as_received} / 760 (altitude)",
        flags=ratio.flags | {MAYBE_CORRECTED if is_charted else ALTITUDE},
    )


def _times(value: Interval, factor: Interval) -> Interval:
    """The product of two quantities that cannot be negative."""
    ends = [
        None if one is None or other is None else EXACT.multiply(one, other)
        for one, other in ((value.low, factor.low), (value.high, factor.high))
    ]
    return Interval(ends[0], ends[1], value.low_open or factor.low_open, value.high_open or factor.high_open)


def _pressure_near(series: Series, ratio: Measurement) -> Measurement | None:
    """The barometric pressure charted nearest to a ratio within the pairing window; several as near must agree."""
    near = series.knowledge.measurements[_AT_SEA_LEVEL].pairing
    if near is None or ratio.time is None:
        return None
    start, end = near.around(ratio.time)
    distances = [
        (_distance(ratio.time, one.time), one)
        for one in series.points("barometric_pressure")
        if one.time is not None and start <= one.time.latest and one.time.earliest <= end
    ]
    least = min((distance for distance, _ in distances), default=None)
    nearest = [one for distance, one in distances if distance == least]
    if not nearest:
        return None
    unusable = next((one for one in nearest if one.problem is not None), None)
    if len({one.value for one in nearest}) > 1:
        return unusable or replace(nearest[0], value=None, problem=Reason.CONFLICT)
    return unusable or nearest[0]


def _distance(one: TimeSpan, other: TimeSpan) -> timedelta:
    """How far apart two times lie at least."""
    return max(one.earliest - other.latest, other.earliest - one.latest, timedelta(0))


def _over_fio2(series: Series, name: str, reading: Measurement) -> Measurement:
    """A reading over the inspired oxygen that was in force when it was taken, or `unpaired`."""
    oxygen = _in_force(series, name, reading, of="fio2")
    if oxygen is None or reading.value is None or oxygen.value is None:
        problem = reading.problem or (oxygen.problem if oxygen else None) or Reason.UNPAIRED
        return compute(name, (reading,) if oxygen is None else (reading, oxygen), None, problem)
    ratio = reading.value.over(oxygen.value)
    plausible = is_plausible(series.knowledge.measurements[name], ratio)
    hindrance = reading.problem or oxygen.problem or (None if plausible else Reason.IMPLAUSIBLE)
    return compute(name, (reading, oxygen), ratio, hindrance)


def _in_force(series: Series, name: str, reading: Measurement, of: str) -> Measurement | None:
    """The newest setting charted within the pairing window before a reading."""
    pairing = series.knowledge.measurements[name].pairing
    if pairing is None or reading.time is None or not reading.time.is_instant:
        return None
    end = reading.time.earliest
    start = pairing.start(end)
    fitting = [
        entry
        for entry in series.charted(of)
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
