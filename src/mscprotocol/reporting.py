"""A case in words and plain values: each function reports one part of the answer."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal

from mscprotocol.answer import (
    UNMAPPED,
    ClassResult,
    CriterionResult,
    EvidenceItem,
    ItemRange,
    Note,
    PatientItem,
    ProtocolItem,
    RulebaseItem,
    ScoreItemResult,
    SignalItem,
    TierResult,
    TimingResult,
    TraceItem,
)
from mscprotocol.case import MET, NOT_APPLICABLE, Case, Judgement
from mscprotocol.data_dictionary import Measurement as Datum
from mscprotocol.definitions import Ladder
from mscprotocol.deterioration import SignalResult
from mscprotocol.fingerprint import round_interval
from mscprotocol.interval import Interval, plain
from mscprotocol.knowledge import KnowledgeBase
from mscprotocol.needs import valid_until
from mscprotocol.protocols import Protocol
from mscprotocol.record import Attestation, Measurement, PatientRecord, Presence
from mscprotocol.rulesets import AT_LEAST, UNKNOWN
from mscprotocol.selection import Evidence
from mscprotocol.truth import Truth
from mscprotocol.units import write_instant

_OPEN = (UNKNOWN, NOT_APPLICABLE)  # a caution is printed unless the data settle it


def report_patient(record: PatientRecord) -> PatientItem:
    """Who was assessed."""
    patient = record.patient
    born = None
    if patient.born is not None:
        first, last = patient.born
        born = first.isoformat() if first == last else f"{first.isoformat()} to {last.isoformat()}"
    return PatientItem(
        id=patient.id,
        identifiers=[{"system": one.system, "value": one.value} for one in patient.identifiers],
        name=patient.name,
        born=born,
        sex=patient.sex,
    )


def report_protocol(protocol: Protocol) -> ProtocolItem:
    """By which protocol."""
    return ProtocolItem(id=protocol.id, version=protocol.version, title=protocol.title)


def report_rulebase(knowledge: KnowledgeBase) -> RulebaseItem:
    """By which rules."""
    return RulebaseItem(knowledge.version, knowledge.sha256, dict(knowledge.chosen), dict(knowledge.edits))


def report_validity(case: Case) -> dict[str, str | None]:
    """When the first decided mandatory criterion could change without new data, and which one it is."""
    first = valid_until(case.judgements)
    if first is None:
        return {"valid_until": None, "expires_first": None}
    return {"valid_until": _local(first[0], case.request.at), "expires_first": first[1]}


# -- criteria --------------------------------------------------------------------------------------


def report_criteria(case: Case) -> list[CriterionResult]:
    """Every computable criterion of the protocol, in its order."""
    return [_report_criterion(case, judgement) for judgement in case.judgements]


def _report_criterion(case: Case, judgement: Judgement) -> CriterionResult:
    criterion = judgement.criterion
    reasons = [reason.value for reason in judgement.reasons]
    return CriterionResult(
        id=judgement.id,
        role=criterion.role,
        stage=criterion.stage,
        text=criterion.text,
        status=judgement.status,
        reason=reasons[0] if reasons else None,
        other_reasons=reasons[1:],
        explanation=case.book.texts[judgement.id],
        because=[f"{leaf}: {case.conclusions.tokens[leaf]}" for leaf in judgement.deciding],
        open_items=list(judgement.open_leaves),
        evidence=[report_evidence(case, one) for one in judgement.evidence],
        sources=case.book.source_items[judgement.id],
        expires=None if judgement.expires is None else _local(judgement.expires, case.request.at),
        attestable=criterion.attestable,
        mandatory=judgement.is_mandatory,
    )


def report_evidence(case: Case, evidence: Evidence) -> EvidenceItem:
    """An entry as a person would look it up; made once, however many criteria looked at it."""
    key = (id(evidence.entry), evidence.used, evidence.why_not)
    found = case.evidence_items.get(key)
    if found is None:
        found = case.evidence_items[key] = _report_entry(case, evidence)
    return found


def _report_entry(case: Case, evidence: Evidence) -> EvidenceItem:
    entry = evidence.entry
    time = entry.time or (entry.recorded if isinstance(entry, Presence) else None)
    return EvidenceItem(
        reference=entry.reference,
        code=None if entry.code is None else str(entry.code),
        datum=_datum_text(case.book.knowledge, entry.name),
        value=_value_text(case.book.knowledge, entry),
        as_received=entry.as_received,
        at=None if time is None else _span(time.earliest, time.latest, case.request.at),
        age_hours=None if time is None else _hours(case.request.at - time.earliest),
        used=evidence.used,
        why_not=None if evidence.why_not is None else evidence.why_not.value,
        attested_by=entry.attested_by,
        flags=sorted(entry.flags) if isinstance(entry, Measurement) else [],
        **(_limits(case.book.knowledge, entry) if isinstance(entry, Measurement) else {}),
    )


def _limits(knowledge: KnowledgeBase, entry: Measurement) -> dict[str, str | None]:
    """The assay of a value and its upper limit of normal, with who stated it."""
    if entry.upper_limit is None or not knowledge.measurements[entry.name].upper_limit:
        return {"assay": entry.assay}
    limit = _with_unit(knowledge, entry.name, entry.upper_limit)
    return {"assay": entry.assay, "upper_limit": limit, "upper_limit_source": entry.upper_limit_source or None}


def _datum_text(knowledge: KnowledgeBase, name: str) -> str:
    if name in knowledge.measurements:
        return knowledge.measurements[name].text
    return knowledge.conditions[name].text if name in knowledge.conditions else name


def _value_text(knowledge: KnowledgeBase, entry: object) -> str | None:
    match entry:
        case Measurement(answer=str() as answer):
            return answer.replace("_", " ")
        case Measurement(value=Interval() as value, name=name):
            return _with_unit(knowledge, name, value)
        case Presence():
            return _presence_text(entry)
        case Attestation():
            return {Truth.MET: "yes", Truth.NOT_MET: "no"}.get(entry.answer, "unknown")
    return None


def _with_unit(knowledge: KnowledgeBase, name: str, value: Interval) -> str:
    definition = knowledge.measurements[name]
    if definition.kind == "time":
        return write_instant(value)
    if definition.levels:
        low, high = value.low, value.high
        if low is None or high is None:
            return UNKNOWN
        names = [definition.levels[int(end)].replace("_", " ") for end in (low, high)]
        return names[0] if low == high else f"{names[0]} to {names[1]}"
    number = str(round_interval(value, definition.resolution))
    return number if definition.unit in ("1", "{score}", "{INR}") else f"{number} {definition.unit}"


def _presence_text(entry: Presence) -> str:
    if entry.present is not Truth.MET:
        return "refuted" if entry.present is Truth.NOT_MET else "not confirmed"
    return {Truth.MET: "present, active", Truth.NOT_MET: "present, ended"}.get(entry.active, "present")


# -- classes, scores, tier, trend --------------------------------------------------------------------


def report_severity(case: Case) -> dict[str, ClassResult]:
    """The class on each named scale; no scale is mapped onto another."""
    return {short: _report_class(case, name) for short, name in _reported(case, "severity")}


def report_ards(case: Case) -> dict[str, ClassResult]:
    """The class by each definition of ARDS; none of them is a severity of COVID-19."""
    return {short: _report_class(case, name) for short, name in _reported(case, "ards")}


def report_oxygenation(case: Case) -> list[EvidenceItem]:
    """The values behind the definitions of ARDS."""
    return [item for _, name in _reported(case, "ards") for item in _report_panel(case, name)]


def report_complications(case: Case) -> dict[str, str]:
    """The complications that the paper names, each present, absent or unknown for itself."""
    return {short: case.conclusions.of(name) for short, name in _reported(case, "complications")}


def _reported(case: Case, section: str) -> list[tuple[str, str]]:
    """The definitions that stand in a section of the answer, as (name there, id)."""
    places = case.book.knowledge.reported.items()
    return [(place.partition(".")[2], name) for place, name in places if place.partition(".")[0] == section]


def _report_panel(case: Case, name: str) -> list[EvidenceItem]:
    ladder = case.book.knowledge.definitions[name]
    assert isinstance(ladder, Ladder)
    return [report_evidence(case, one) for datum in ladder.panel for one in case.findings.select(datum).evidence]


def _report_class(case: Case, name: str) -> ClassResult:
    ladder = case.book.knowledge.definitions[name]
    token, at_least = split_class(case.conclusions.of(name))
    return ClassResult(
        scale=ladder.text,
        version=ladder.version,
        class_=token,
        at_least=at_least,
        because=_because(case, name),
        id=name,
    )


def split_class(token: str) -> tuple[str, str | None]:
    """A concluded class as (class, at_least): exact, or unknown with the gravest class proven."""
    if token.startswith(AT_LEAST):
        return UNKNOWN, token.removeprefix(AT_LEAST)
    return token, None if token == UNKNOWN else token


def _because(case: Case, name: str) -> list[str]:
    """The leaves that speak for a class: those that hold, or else those that are open."""
    leaves = case.conclusions.deciding_leaves(name)
    holding = [leaf for leaf in leaves if case.conclusions.tokens[leaf] == MET]
    still_open = [leaf for leaf in leaves if case.conclusions.tokens[leaf] == UNKNOWN]
    return [*holding, *(f"open: {leaf}" for leaf in still_open)]


def report_scores(case: Case) -> dict[str, ScoreItemResult]:
    """The scores with their ranges; an item that is not known spans the points it may have."""
    found = dict(_reported(case, "scores"))
    return {short: _report_score(case, name, found) for short, name in found.items() if "." not in short}


def _report_score(case: Case, name: str, reported: dict[str, str]) -> ScoreItemResult:
    """A score with the conclusions that are reported beside it, like `dic_isth.overt`."""
    result, baseline = case.scores.result(name), case.scores.baseline(name)
    low, high = _ends(result.total)
    beside = [(place.partition("."), one) for place, one in reported.items()]
    return ScoreItemResult(
        low=low,
        high=high,
        items={key: ItemRange(*_ends(item.points)) for key, item in result.items.items()},
        missing=list(result.missing),
        version=case.book.knowledge.definitions[name].version,
        baseline=None if baseline is None else baseline.text,
        **{place[2]: case.conclusions.of(one) for place, one in beside if place[0] == name and place[2]},
    )


def _ends(points: Interval) -> tuple[int, int]:
    assert points.low is not None and points.high is not None
    return int(points.low), int(points.high)


def report_tier(case: Case) -> TierResult:
    """The coagulopathy tier with the panel behind it."""
    name = case.book.protocol.tier
    tier, at_least = split_class(case.conclusions.of(name))
    return TierResult(tier=tier, at_least=at_least, because=_because(case, name), panel=_report_panel(case, name))


def report_timing(case: Case) -> TimingResult:
    """The trend, its signals with their points, and how long ago a hard signal arose."""
    since = _latest_hard_signal(case)
    return TimingResult(
        trend=case.conclusions.of(case.book.protocol.trend),
        signals=[_report_signal(case, signal) for signal in case.signals],
        time_critical=since is not None,
        hours_since_signal=None if since is None else _hours(case.request.at - since),
    )


def _latest_hard_signal(case: Case) -> datetime | None:
    trend = case.book.knowledge.course
    start = trend.urgent_within.start(case.request.at)
    hard = [s.since or s.points[-1].at for s in case.signals if s.state == "worse" and _is_hard(s) and s.points]
    return max((moment for moment in hard if moment >= start), default=None)


def _is_hard(signal: SignalResult) -> bool:
    return signal.name in ("oxygen_step", "sofa")


def _report_signal(case: Case, signal: SignalResult) -> SignalItem:
    definition = case.book.knowledge.measurements.get(signal.measurement)
    slope = signal.slope
    return SignalItem(
        id=signal.name,
        text=signal.text,
        domain=signal.domain,
        state=signal.state,
        unit="" if definition is None or definition.unit == "1" else definition.unit,
        points=[(_local(point.at, case.request.at), plain(_rounded(point.value))) for point in signal.points],
        projected_change=None if slope is None else plain(_rounded(slope.projected)),
        agreement=None if slope is None else f"{slope.agreement:+d} of {slope.pairs} pairs",
        needs=signal.needs,
    )


# -- warnings, quality, trace ------------------------------------------------------------------------


def report_warnings(case: Case) -> list[Note]:
    """Criteria that warn, then the statements that the protocol prints."""
    criteria = case.book.knowledge.criteria
    judged = {one.id: one.status for one in case.judgements}
    triggered = [
        Note(one.id, one.criterion.text, one.criterion.sources[0].mark)
        for one in case.judgements
        if one.criterion.role in ("warning", "safety") and one.status == MET
    ]
    shown = ("always", "dose", "schedule", "coagulopathy", "thawed_product", "course")
    printed = [
        Note(name, criteria[name].text, criteria[name].sources[0].mark)
        for name in case.book.protocol.statements
        if criteria[name].show in shown and (criteria[name].when is None or judged.get(name) in _OPEN)
    ]
    return [*triggered, *printed]


def report_quality(case: Case) -> list[Note]:
    """What a person should know of the input: unmapped codes, remarks of the reader, data later than `at`."""
    notes = [Note(one.reference, UNMAPPED.format(one.code, ", ".join(one.relevant))) for one in case.record.unmapped]
    notes += [Note(note.reference, note.text) for note in case.record.notes]
    return [*notes, *_noted_values(case), *_later(case)]


def _noted_values(case: Case) -> Iterator[Note]:
    """What the dictionary says of a value that carries one of its flags: corrected, imputed, estimated."""
    noted = case.book.once("noted", lambda: _with_notes(case.book.knowledge))
    for name, datum in noted:
        chosen = case.findings.select(name).chosen
        for flag, text in datum.notes.items():
            if chosen is not None and flag in chosen.flags:
                yield Note(chosen.reference, text, datum.mark)


def _with_notes(knowledge: KnowledgeBase) -> tuple[tuple[str, Datum], ...]:
    return tuple((name, datum) for name, datum in knowledge.measurements.items() if datum.notes)


def _later(case: Case) -> Iterator[Note]:
    for name in case.record.measurements:
        for entry in case.findings.series.later(name):
            yield Note(entry.reference, "Later than the time of the evaluation: not used")
    for entries in case.record.presences.values():
        for presence in entries:
            if presence.time is not None and presence.time.is_after(case.request.at):
                yield Note(presence.reference, "Began after the time of the evaluation: not used")


def report_trace(case: Case) -> list[TraceItem]:
    """Every ruleset that concluded, in the order of inference."""
    return [TraceItem(name, made.token, list(made.because)) for name, made in case.conclusions.made.items()]


# -- text --------------------------------------------------------------------------------------------


def _local(moment: datetime, at: datetime) -> str:
    return moment.astimezone(at.tzinfo).isoformat()


def _span(earliest: datetime, latest: datetime, at: datetime) -> str:
    first = _local(earliest, at)
    return first if earliest == latest else f"{first} / {_local(latest, at)}"


def _hours(length: timedelta) -> str:
    return plain((Decimal(int(length.total_seconds())) / Decimal(3600)).quantize(Decimal("0.1"), ROUND_HALF_EVEN))


def _rounded(value: Decimal) -> Decimal:
    return value.quantize(Decimal("0.001"), ROUND_HALF_EVEN)
