"""assess(record, protocol, at) -> Assessment: the one pure function that every door calls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from mscprotocol import reporting
from mscprotocol.answer import Assessment
from mscprotocol.case import (
    MET,
    Case,
    Judgement,
    Request,
    dose_inputs,
    exact_tier,
    judge_level,
    tally,
    verdict_inputs,
)  # fmt: skip
from mscprotocol.course import conclude_gate
from mscprotocol.criteria import judge_criteria
from mscprotocol.deciding import find_deciding
from mscprotocol.deterioration import SignalResult, find_signals, summarise
from mscprotocol.engine import Engine
from mscprotocol.errors import DataError
from mscprotocol.findings import Findings
from mscprotocol.fingerprint import hash_input, hash_trace
from mscprotocol.history import tell_apart
from mscprotocol.inference import Conclusions, conclude, decide
from mscprotocol.knowledge import KnowledgeBase
from mscprotocol.margins import measure_margins, warn_of_fragility
from mscprotocol.needs import find_needs
from mscprotocol.protocols import Stage
from mscprotocol.record import Infusion, PatientRecord
from mscprotocol.rulebook import DOSE_STATUS, OUTLOOK, VERDICT, Rulebook
from mscprotocol.schedule import length
from mscprotocol.scores import Scores
from mscprotocol.treatment import close_rows, plan_treatment


@lru_cache(maxsize=1)
def shared_engine() -> Engine:
    """The engine of this process: durable-rules compiles rulesets once and never forgets them."""
    return Engine()


def assess(record: PatientRecord, book: Rulebook, request: Request, engine: Engine | None = None) -> Assessment:
    """Assess one record by one protocol at one instant.

    Raises DataError `deceased` for a patient who had died by then. Pure: the same record, rules and request give the
    same answer, whatever was assessed before.
    """
    return assess_all(record, (book,), request, engine)[0]


def assess_all(
    record: PatientRecord,
    books: Sequence[Rulebook],
    request: Request,
    engine: Engine | None = None,
    *,
    brief: bool = False,
) -> list[Assessment]:
    """Assess one record by several protocols of one rule base, in one pass: what it shows is measured once.

    Each answer is what `assess` gives for its protocol; a `brief` one leaves margins and deciding sets out, which
    decide nothing, and has the same verdict and trace hash. Raises DataError `deceased`.
    """
    refuse_deceased(record, request.at)
    measured: dict[tuple[str, tuple[Infusion, ...]], Measured] = {}
    answers = []
    for book in books:
        read = tell_apart(record, book.protocol, book.knowledge)
        # What is measured depends on the site's practice (how long an infusion takes) and on which infusions are of
        # the course, not on the protocol.
        key = book.protocol.practice, read.infusions
        if key not in measured:
            measured[key] = measure(read, book, request)
        case = _conclude_case(read, book, request, engine or shared_engine(), measured[key])
        answers.append(_answer(case, brief=brief))
    return answers


def _answer(case: Case, *, brief: bool = False) -> Assessment:
    record, book, request = case.record, case.book, case.request
    plan = plan_treatment(case)
    gate = None if request.stage != "infusion" else conclude_gate(case, plan.dose.status)
    margins = [] if brief else measure_margins(case)
    return Assessment(
        verdict=case.verdict,
        stage=request.stage,
        outlook=case.outlook,
        patient=reporting.report_patient(record),
        protocol=reporting.report_protocol(book.protocol),
        at=request.at.isoformat(),
        **reporting.report_validity(case),
        criteria=reporting.report_criteria(case),
        severity=reporting.report_severity(case),
        complications=reporting.report_complications(case),
        scores=reporting.report_scores(case),
        coagulopathy=reporting.report_tier(case),
        timing=reporting.report_timing(case),
        dose=plan.dose,
        schedule=close_rows(plan.schedule) if gate is not None and gate.decision == "stop" else plan.schedule,
        gate=gate,
        needed=find_needs(case),
        warnings=[*warn_of_fragility(margins), *reporting.report_warnings(case)],
        data_quality=reporting.report_quality(case),
        trace=reporting.report_trace(case),
        rulebase=reporting.report_rulebase(book.knowledge),
        input_sha256=hash_input(record),
        trace_sha256=hash_trace(case),
        margins=margins,
        deciding=None if brief else find_deciding(case),
        ards=reporting.report_ards(case),
        oxygenation=reporting.report_oxygenation(case),
    )


def refuse_deceased(record: PatientRecord, at: datetime) -> None:
    """Raise the data error `deceased` for a patient who had died by `at`; a later death is not yet known."""
    patient = record.patient
    if patient.died is not None:
        if not patient.died.is_after(at):
            raise DataError("deceased", "the patient had died before the time of the evaluation")
    elif patient.deceased:
        raise DataError("deceased", "the patient is recorded as deceased")


@dataclass(frozen=True)
class Measured:
    """What a record shows at one instant and stage, whatever the protocol."""

    findings: Findings
    scores: Scores
    signals: list[SignalResult]


def measure(record: PatientRecord, book: Rulebook, request: Request) -> Measured:
    """The findings, scores and signals that every protocol of one rule base and practice reads."""
    knowledge = book.knowledge
    ends = request.ends(length(book.practice.duration))
    findings = Findings(record, knowledge, request.at, request.stage, ends)
    scores = Scores(findings)
    signals = find_signals(
        knowledge.course, findings, lambda at: _scores_at(record, knowledge, at, request.stage, scores)
    )
    return Measured(findings, scores, signals)


def _conclude_case(
    record: PatientRecord, book: Rulebook, request: Request, engine: Engine, measured: Measured | None = None
) -> Case:
    measured = measured or measure(record, book, request)
    findings, scores, signals = measured.findings, measured.scores, measured.signals
    conclusions = conclude(book, findings, scores, engine, {book.protocol.trend: summarise(signals)})
    judgements = judge_criteria(book, conclusions, findings, signals, request)
    verdict = decide(conclusions, engine, VERDICT, verdict_inputs(judgements))
    outlook = _conclude_outlook(conclusions, engine, judgements, verdict)
    tier, weight = exact_tier(conclusions), findings.exact_number(book.weight_datum)
    level_state, level = judge_level(book, request.dose_level, tier, weight)
    dose_status = decide(conclusions, engine, DOSE_STATUS, dose_inputs(verdict, tier, weight, level_state, level))
    return Case(
        record,
        book,
        request,
        findings,
        scores,
        signals,
        conclusions,
        judgements,
        verdict,
        outlook,
        dose_status,
        level_state,
        level,
    )


def _scores_at(record: PatientRecord, knowledge: KnowledgeBase, at: datetime, stage: Stage, now: Scores) -> Scores:
    return now if at == now.findings.at else Scores(Findings(record, knowledge, at, stage))


def _conclude_outlook(
    conclusions: Conclusions, engine: Engine, judgements: Sequence[Judgement], verdict: str
) -> str | None:
    still_open = [one for one in judgements if one.is_mandatory and one.is_open]
    stuck = sum(not one.is_closable_at_bedside for one in still_open)
    indication = next((one for one in judgements if one.criterion.role == "inclusion"), None)
    has_evidence = indication is None or not indication.is_open or _is_pointed_to(conclusions, indication)
    outlook = decide(
        conclusions,
        engine,
        OUTLOOK,
        {
            "verdict": verdict,
            "indication": "evidence" if has_evidence else "none",
            "open_not_attestable": tally(stuck),
        },
    )
    return None if outlook == "settled" else outlook


def _is_pointed_to(conclusions: Conclusions, indication: Judgement) -> bool:
    """Whether anything in the record points to an indication that is open: evidence, or a part of it that holds."""
    parts = conclusions.book.tokens_behind(conclusions.book.roots[indication.id])
    return bool(indication.evidence) or any(conclusions.tokens.get(part) == MET for part in parts)
