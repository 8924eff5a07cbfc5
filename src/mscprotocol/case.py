"""One assessment while it is being made: what is asked, what was found, what was judged."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from mscprotocol.answer import EvidenceItem
from mscprotocol.deterioration import SignalResult
from mscprotocol.dosing import DosePlan, choose_level
from mscprotocol.findings import Findings
from mscprotocol.inference import Conclusions
from mscprotocol.protocols import STAGES, Criterion, Sourced, Stage
from mscprotocol.reasons import Reason
from mscprotocol.record import PatientRecord
from mscprotocol.rulebook import Rulebook
from mscprotocol.rulesets import AT_LEAST
from mscprotocol.scores import Scores
from mscprotocol.selection import Evidence

MET, NOT_MET, UNKNOWN, NOT_APPLICABLE = "met", "not_met", "unknown", "not_applicable"
# Roles whose criterion is a trigger: `met` means that something speaks against the infusion.
TRIGGERS = ("exclusion", "safety", "warning", "monitoring")
GATING = ("inclusion", "exclusion", "product", "dose", "schedule", "route")
FIRST_YEAR, LAST_YEAR = 1900, 2200
REVIEWABLE = (Reason.NEEDS_REVIEW, Reason.CONFLICTING_SIGNALS)


class Request(msgspec.Struct, frozen=True):
    """What is asked about a record: when, at which stage, and when and where a first infusion would start.

    `dose_level` names the cohort of a protocol with several, in the unit of its levels (10*6/kg or 10*6).
    """

    at: datetime
    stage: Stage = "screening"
    start: datetime | None = None
    zone: str = "UTC"
    dose_level: Decimal | None = None

    def __post_init__(self) -> None:
        if self.at.tzinfo is None or (self.start is not None and self.start.tzinfo is None):
            raise ValueError("a time needs its zone, like 2020-04-06T10:00:00+08:00")
        if not FIRST_YEAR <= self.at.year <= LAST_YEAR:
            raise ValueError(f"a time of evaluation lies between the years {FIRST_YEAR} and {LAST_YEAR}")
        if self.start is not None and not FIRST_YEAR <= self.start.year <= LAST_YEAR:
            raise ValueError(f"a planned start lies between the years {FIRST_YEAR} and {LAST_YEAR}")
        try:
            ZoneInfo(self.zone)
        except (ValueError, OSError, ZoneInfoNotFoundError):
            raise ValueError(f"no time zone named {self.zone!r}; write it like Asia/Shanghai") from None
        if self.stage not in STAGES:
            raise ValueError(f"no stage named {self.stage!r}; it is one of {', '.join(STAGES)}")

    def ends(self, duration: timedelta) -> datetime:
        """When the infusion asked about would end: it starts as planned, but not before now."""
        return max(self.at, self.start or self.at) + duration

    def asks_for(self, criterion: Criterion) -> bool:
        """Whether a criterion belongs to the stage of the request or an earlier one."""
        return STAGES.index(criterion.stage) <= STAGES.index(self.stage)


class Judgement(msgspec.Struct, frozen=True):
    """One criterion as judged for one patient."""

    id: str
    criterion: Criterion
    status: str
    reasons: tuple[Reason, ...]
    evidence: tuple[Evidence, ...]
    deciding: tuple[str, ...]
    open_leaves: tuple[str, ...]
    is_closable_at_bedside: bool
    expires: datetime | None
    attested: bool = False

    @property
    def is_mandatory(self) -> bool:
        """Whether the verdict depends on it, at the stage asked."""
        return self.criterion.decides and self.status != NOT_APPLICABLE

    @property
    def is_open(self) -> bool:
        return self.status == UNKNOWN

    @property
    def is_violated(self) -> bool:
        return self.status == (MET if self.criterion.role in TRIGGERS else NOT_MET)


def tally(count: int) -> str:
    """A number as the saturated token that enters a ruleset."""
    return ("none", "one", "many")[min(count, 2)]


def verdict_inputs(judgements: Sequence[Judgement]) -> dict[str, str]:
    """What the verdict is concluded from: how many mandatory criteria are violated, and how many open."""
    mandatory = [one for one in judgements if one.is_mandatory]
    return {
        "violated": tally(sum(one.is_violated for one in mandatory)),
        "open": tally(sum(one.is_open for one in mandatory)),
    }


def exact_tier(conclusions: Conclusions) -> str:
    """The coagulopathy tier where it is exact, else `unknown`."""
    token = conclusions.of(conclusions.book.protocol.tier)
    return UNKNOWN if token.startswith(AT_LEAST) or token == "unclassified" else token


def judge_level(
    book: Rulebook, wanted: Decimal | None, tier: str, weight: Decimal | None
) -> tuple[str, Sourced | None]:
    """The dose level as the token that enters the ruleset, and the level itself where it is known."""
    state, level = choose_level(book.protocol.dose, wanted)
    if level is None or tier != "moderate":
        return state, level
    plan = DosePlan(book.protocol.dose, book.practice, level)
    # Without a weight, only a level per kg can be compared with what is allowed per kg.
    known = weight or (Decimal(1) if level.is_per_kg else None)
    return ("too_high" if known is None or plan.is_above_moderate(known) else state), level


def dose_inputs(
    verdict: str, tier: str, weight: Decimal | None, level_state: str, level: Sourced | None
) -> dict[str, str]:
    """What the status of the dose is concluded from."""
    is_fixed = level is not None and not level.is_per_kg
    known = "not_needed" if is_fixed else "known" if weight else UNKNOWN
    return {"verdict": verdict, "tier": tier, "weight": known, "level": level_state}


class Case(msgspec.Struct, frozen=True):
    """Everything that was found and concluded for one assessment, before it is put into words."""

    record: PatientRecord
    book: Rulebook
    request: Request
    findings: Findings
    scores: Scores
    signals: list[SignalResult]
    conclusions: Conclusions
    judgements: list[Judgement]
    verdict: str
    outlook: str | None
    dose_status: str
    level_state: str
    level: Sourced | None
    evidence_items: dict[tuple[int, bool, Reason | None], EvidenceItem] = msgspec.field(default_factory=dict)
