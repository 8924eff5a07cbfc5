"""Small records for the tests of the core: entries in canonical units, times in hours before the evaluation."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from mscprotocol.findings import Findings
from mscprotocol.interval import Interval, between, exactly
from mscprotocol.knowledge_forms import ConditionLeaf
from mscprotocol.knowledge_loader import load_knowledge
from mscprotocol.record import Attestation, Measurement, Patient, PatientRecord, Presence
from mscprotocol.timespan import TimeSpan, instant
from mscprotocol.truth import Truth

AT = datetime(2020, 4, 6, 10, tzinfo=UTC)
LEVELS = ("room_air", "low_flow", "mask_venturi", "non_rebreather", "hfno", "niv", "imv", "ecmo")


def ago(hours=0, minutes=0, days=0):
    return AT - timedelta(hours=hours, minutes=minutes, days=days)


def span(time):
    """A time span of a datetime, a number of hours ago, a pair of datetimes, or a span."""
    match time:
        case datetime():
            return instant(time)
        case (earliest, latest):
            return TimeSpan(earliest, latest)
        case int() | float():
            return instant(ago(hours=time))
        case _:
            return time


def measured(name, value=None, time=0, reference="", **more):
    """A measurement: `value` is a number, an interval, or the name of a level or an answer."""
    if name == "oxygen_support" and isinstance(value, str):
        value = exactly(LEVELS.index(value))
    if isinstance(value, str) and not value.replace(".", "", 1).isdigit():
        more["answer"], value = value, None
    if value is not None and not isinstance(value, Interval):
        value = exactly(Decimal(str(value)))
    time = span(time)
    reference = (
        reference
        or f"Observation/{name}-{value}-{more.get('answer')}-{None if time is None else time.latest.isoformat()}"
    )
    return Measurement(name=name, reference=reference, time=time, as_received=str(value), value=value, **more)


def course(name, values, hours, **more):
    """Values at hours counted forward; the last of them is at the evaluation."""
    return [measured(name, value, hours[-1] - hour, **more) for value, hour in zip(values, hours, strict=True)]


def present(name, onset=None, *, ended=None, active=Truth.MET, recorded=None, reference="", truth=Truth.MET, **more):
    return Presence(
        name=name,
        reference=reference or f"Condition/{name}",
        time=span(onset),
        as_received=name,
        present=truth,
        active=active,
        ended=span(ended),
        recorded=span(recorded),
        **more,
    )


def refuted(name, recorded=1, reference=""):
    return present(name, recorded=recorded, truth=Truth.NOT_MET, active=Truth.NOT_MET, reference=reference)


def provisional(name, recorded=1):
    return present(name, recorded=recorded, truth=Truth.UNKNOWN)


def attested(name, answer, time=1, by="Dr. Example"):
    return Attestation(
        name=name,
        reference=f"QuestionnaireResponse/{name}-{by}",
        time=span(time),
        as_received=answer,
        attested_by=by,
        answer={"yes": Truth.MET, "no": Truth.NOT_MET, "unknown": Truth.UNKNOWN}[answer],
    )


def a_record(*entries, born=None, sex=None, unmapped=()):
    """A record of entries in any order; a single birth date is a whole one."""
    if isinstance(born, date):
        born = (born, born)
    kinds = {Measurement: {}, Presence: {}, Attestation: {}}
    for entry in entries:
        named = kinds[type(entry)]
        named[entry.name] = (*named.get(entry.name, ()), entry)
    return PatientRecord(
        Patient("p1", born=born, sex=sex),
        measurements=kinds[Measurement],
        presences=kinds[Presence],
        attestations=kinds[Attestation],
        unmapped=tuple(unmapped),
    )


def findings_of(*entries, at=AT, stage="screening", **more):
    return Findings(a_record(*entries, **more), load_knowledge(), at, stage)


def points(name, *entries, at=AT, **more):
    """The points of a series, the newest first."""
    return findings_of(*entries, at=at, **more).series.points(name)


def ask(condition, *entries, at=AT, within=None, no_record=None, **more):
    """The finding of a condition leaf."""
    leaf = ConditionLeaf(
        condition=condition, within=within, any_clinical_status=True if within else None, no_record=no_record
    )
    return findings_of(*entries, at=at, **more).find(leaf)


__all__ = [
    "AT", "LEVELS", "a_record", "ago", "ask", "attested", "between", "course", "exactly", "findings_of", "measured",
    "points", "present", "provisional", "refuted", "span",
]  # fmt: skip
