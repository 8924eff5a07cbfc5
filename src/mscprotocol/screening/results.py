"""What screening a patient gave: the answers, a row of the log for each, or why there is none."""

from __future__ import annotations

import msgspec
from msgspec import Raw

from mscprotocol.answer import Assessment, NeededItem
from mscprotocol.case import TRIGGERS, UNKNOWN
from mscprotocol.screening.pieces import Problem

MET, NOT_MET = "met", "not_met"


class LogRow(msgspec.Struct, frozen=True):
    """One patient under one protocol, as a line of the screening log."""

    patient: str
    source: str
    protocol: str
    verdict: str
    outlook: str | None
    at: str
    valid_until: str | None
    expires_first: str | None
    severity: str
    tier: str
    trend: str
    time_critical: bool
    hours_since_signal: str | None
    violated: list[str]
    open: list[str]
    reasons: dict[str, str]
    needed: list[str]
    one_datum: str | None
    dose_status: str
    quality: list[str]
    input_sha256: str
    trace_sha256: str
    rulebase_sha256: str

    @property
    def has_checklist(self) -> bool:
        """Whether its checklist is printed, where checklists are: of those eligible, or one datum away."""
        return self.verdict == "eligible" or self.one_datum is not None


class Change(msgspec.Struct, frozen=True):
    """What would be different under other rules: the verdict, and criteria with their status before and after."""

    scenario: str
    protocol: str
    before: str
    after: str
    criteria: list[tuple[str, str, str]]


class Screened(msgspec.Struct, frozen=True):
    """One patient: from which data, by which rules and for when; until when that holds; the answers or the problem.

    `rules` and `base` are those of `Screen`; `ahead` is the first time that lay after the run began.
    """

    owner: str
    data: str
    rules: str
    at: str | None
    holds_until: str | None
    answers: list[Raw] = []
    rows: list[LogRow] = []
    changes: list[Change] = []
    problem: Problem | None = None
    base: str = ""
    ahead: str | None = None


def row_of(answer: Assessment, source: str) -> LogRow:
    """The row of the log for one answer."""
    mandatory = [one for one in answer.criteria if one.mandatory]
    still_open = [one for one in mandatory if one.status == UNKNOWN]
    own = next(iter(answer.severity.values()), None)
    return LogRow(
        patient=answer.patient.id,
        source=source,
        protocol=answer.protocol.id,
        verdict=answer.verdict,
        outlook=answer.outlook,
        at=answer.at,
        valid_until=answer.valid_until,
        expires_first=answer.expires_first,
        severity="" if own is None else own.class_,
        tier=answer.coagulopathy.tier,
        trend=answer.timing.trend,
        time_critical=answer.timing.time_critical,
        hours_since_signal=answer.timing.hours_since_signal,
        violated=[one.id for one in mandatory if one.status == (MET if one.role in TRIGGERS else NOT_MET)],
        open=[one.id for one in still_open],
        reasons={one.id: one.reason or "" for one in still_open},
        needed=[one.datum for one in answer.needed],
        one_datum=find_one_datum(answer.verdict, [one.id for one in still_open], answer.needed),
        dose_status=answer.dose.status,
        quality=sorted({one.text for one in answer.data_quality}),
        input_sha256=answer.input_sha256,
        trace_sha256=answer.trace_sha256,
        rulebase_sha256=answer.rulebase.sha256,
    )


def find_one_datum(verdict: str, still_open: list[str], needed: list[NeededItem]) -> str | None:
    """The one datum that all open criteria of an undetermined answer wait for."""
    if verdict != "undetermined":
        return None
    return next((one.datum for one in needed if set(still_open) <= set(one.settles)), None)
