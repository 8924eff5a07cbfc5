"""The oxygen support of a patient as an ordered state, from whatever was charted about it.

A flow, an inspired fraction or a running procedure each leaves a range of levels open; charted within the pairing
window of each other, they are combined, and contradict each other if they share no level.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from msgspec.structs import replace

from mscprotocol.data_dictionary import Inference
from mscprotocol.interval import Interval, between
from mscprotocol.reasons import Reason
from mscprotocol.record import Measurement, Presence
from mscprotocol.series import Series
from mscprotocol.timespan import TimeSpan, instant
from mscprotocol.truth import Truth

_NAME = "oxygen_support"


def derive_support(series: Series) -> Iterator[Measurement]:
    """Every charted state of the oxygen support, those of about the same time combined."""
    charted = list(series.charted(_NAME))
    observed = [*charted, *(one for one in _inferred(series) if not any(_says_more(other, one) for other in charted))]
    timed = sorted((one for one in observed if one.time is not None), key=lambda one: (_instant(one), one.reference))
    yield from (entry for entry in observed if entry.time is None)
    for entry in timed:
        yield _combined(entry, [other for other in _near(series, entry.time, timed) if other is not entry])


def support_at(series: Series, time: TimeSpan, wanted: Sequence[str]) -> Truth:
    """Whether the support at a time was one of the wanted levels, as charted within the pairing window."""
    near = _near(series, time, series.points(_NAME))
    if not near:
        return Truth.UNKNOWN
    distances = [abs(_instant(entry) - time.latest) for entry in near]
    closest = [entry for entry, distance in zip(near, distances, strict=True) if distance == min(distances)]
    answers = {is_level(series, entry, wanted) for entry in closest}
    return answers.pop() if len(answers) == 1 else Truth.UNKNOWN


def support_in_force(series: Series, time: TimeSpan, wanted: Sequence[str]) -> tuple[Truth, tuple[Measurement, ...]]:
    """Whether the support in force at a time was one of the wanted levels, with the chartings that tell.

    What was charted within the pairing window tells first. Else a support lasts from one charting to the next that says
    the same, as long as a charting counts, and a procedure from its start to its end; before the first charting, and
    between two that differ, it is not known.
    """
    near = _near(series, time, series.points(_NAME))
    beside = support_at(series, time, wanted)
    if beside is not Truth.UNKNOWN or any(one.problem is not None for one in near) or not time.is_instant:
        return beside, tuple(near)
    telling = [(one, is_level(series, one, wanted)) for one in series.points(_NAME)]
    # What is only inferred and leaves it open (oxygen by whatever device) contradicts nothing; a charted level may.
    charted = {one.reference for one in series.charted(_NAME)}
    telling = [(one, answer) for one, answer in telling if answer is not Truth.UNKNOWN or one.reference in charted]
    around = [
        *_around(series, time, telling),
        *((one, is_level(series, one, wanted)) for one in _going_on(series, time)),
    ]
    answers = {answer for _, answer in around}
    has_begun = any(one.time is not None and one.time.latest <= time.latest for one, _ in around)
    return (answers.pop() if has_begun and len(answers) == 1 else Truth.UNKNOWN), tuple(one for one, _ in around)


def _going_on(series: Series, time: TimeSpan) -> Iterator[Measurement]:
    """The levels of the procedures that had begun before a time and were not over at it."""
    for inference in series.knowledge.measurements[_NAME].inferred:
        for presence in () if inference.condition is None else series.presences(inference.condition):
            has_begun = presence.time is not None and presence.time.latest <= time.earliest
            lasts = presence.active is Truth.MET if presence.ended is None else presence.ended.earliest >= time.latest
            if presence.present is Truth.MET and has_begun and lasts:
                yield _state(series, presence, inference, time)


def _around(
    series: Series, time: TimeSpan, telling: Sequence[tuple[Measurement, Truth]]
) -> list[tuple[Measurement, Truth]]:
    """The last chartings before a time that still counted then, the first after it, and any that may lie between."""
    shelf_life = series.knowledge.measurements[_NAME].max_age.screening
    start = time.latest if shelf_life is None else shelf_life.start(time.latest)
    dated = [(one, answer, one.time) for one, answer in telling if one.time is not None and one.time.is_instant]
    last = max((when for _, _, when in dated if start <= when.latest <= time.latest), default=None)
    first = min((when for _, _, when in dated if when.latest > time.latest), default=None)
    found = [(one, answer) for one, answer, when in dated if when in (last, first)]
    low, high = start if last is None else last.latest, series.at if first is None else first.latest
    vague = [(one, answer) for one, answer in telling if one.time is None or not one.time.is_instant]
    return found + [
        (one, answer)
        for one, answer in vague
        if one.time is None or (one.time.earliest < high and one.time.latest > low)
    ]


def is_level(series: Series, entry: Measurement, wanted: Sequence[str]) -> Truth:
    """Whether an entry's support is one of the wanted levels."""
    levels = series.knowledge.measurements[_NAME].levels
    value = entry.value
    if value is None or value.low is None or value.high is None:
        return Truth.UNKNOWN
    left_open = set(levels[int(value.low) : int(value.high) + 1])
    if left_open <= set(wanted):
        return Truth.MET
    return Truth.UNKNOWN if left_open & set(wanted) else Truth.NOT_MET


def _inferred(series: Series) -> Iterator[Measurement]:
    for inference in series.knowledge.measurements[_NAME].inferred:
        if inference.measurement is not None:
            yield from (
                _state(series, entry, inference)
                for entry in series.charted(inference.measurement)
                if _applies(inference, entry)
            )
        elif inference.condition is not None:
            for presence in series.presences(inference.condition):
                yield from _running(series, presence, inference)


def _says_more(charted: Measurement, inferred: Measurement) -> bool:
    """Whether a resource states the level at the time at which it also lets one infer a range: one point, not two."""
    level, levels = charted.value, inferred.value
    if (charted.reference, charted.time) != (inferred.reference, inferred.time) or level is None or levels is None:
        return False
    return level.intersection(levels) == level


def _applies(inference: Inference, entry: Measurement) -> bool:
    if entry.value is None or entry.problem is not None:
        return False
    above = inference.above is None or entry.value.gt(inference.above.value) is Truth.MET
    return above and (inference.up_to is None or entry.value.lte(inference.up_to.value) is Truth.MET)


def _running(series: Series, presence: Presence, inference: Inference) -> Iterator[Measurement]:
    """A procedure holds its level when it starts, at its end, and now if it has none."""
    if presence.present is not Truth.MET:
        return
    times = [time for time in (presence.time, presence.ended) if time is not None]
    if presence.ended is None and presence.active is Truth.MET:
        times.append(instant(series.at))  # it runs now, whether or not anybody charted its start
    for time in dict.fromkeys(times):
        yield _state(series, presence, inference, time)


def _state(
    series: Series, entry: Measurement | Presence, inference: Inference, time: TimeSpan | None = None
) -> Measurement:
    return Measurement(
        name=_NAME,
        reference=entry.reference,
        time=time or entry.time,
        as_received=entry.as_received,
        code=entry.code,
        value=_range(series, inference),
        attested_by=entry.attested_by,
    )


def _range(series: Series, inference: Inference) -> Interval:
    levels = series.knowledge.measurements[_NAME].levels
    return between(levels.index(inference.lowest), levels.index(inference.highest))


def _combined(entry: Measurement, beside: Sequence[Measurement]) -> Measurement:
    """An entry narrowed by those beside it; a contradiction at the same instant is a conflict, later a change."""
    value = entry.value
    entry = replace(entry, answer=None)  # the level stands in the value, however it was told
    for other in beside:
        if value is None or other.value is None:
            continue
        shared = value.intersection(other.value)
        if shared is None and other.time == entry.time:
            return replace(entry, value=None, problem=Reason.CONFLICT)
        value = shared or value
    return replace(entry, value=value)


def _near(series: Series, time: TimeSpan | None, entries: Sequence[Measurement]) -> list[Measurement]:
    """The entries within the pairing window of a time, before or after it; none is near what is known in part."""
    if time is None or not time.is_instant:
        return []
    pairing = series.knowledge.measurements[_NAME].pairing
    first, last = (time.latest, time.latest) if pairing is None else pairing.around(time)
    return [one for one in entries if one.time is not None and one.time.is_instant and first <= one.time.latest <= last]


def _instant(entry: Measurement) -> datetime:
    assert entry.time is not None
    return entry.time.latest
