"""The answer as every door gives it: the structs of an Assessment, encoded to JSON in one place.

Numbers are decimal text, never floats and never with an exponent; instants are ISO 8601 with their offset.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from mscprotocol.record import Deviation


class EvidenceItem(msgspec.Struct, frozen=True):
    """An entry of the record that was looked at for a criterion."""

    reference: str
    code: str | None
    datum: str
    value: str | None
    as_received: str
    at: str | None
    age_hours: str | None
    used: bool
    why_not: str | None
    assay: str | None = None
    upper_limit: str | None = None
    upper_limit_source: str | None = None
    attested_by: str | None = None
    flags: list[str] = []


class SourceItem(msgspec.Struct, frozen=True):
    """Where a rule comes from and how far that was checked."""

    id: str
    mark: str
    section: str | None = None
    quote: str | None = None


class CriterionResult(msgspec.Struct, frozen=True):
    """One criterion of the protocol at the stage of the assessment."""

    id: str
    role: str
    stage: str
    text: str
    status: str
    reason: str | None
    other_reasons: list[str]
    explanation: str
    because: list[str]
    open_items: list[str]
    evidence: list[EvidenceItem]
    sources: list[SourceItem]
    expires: str | None
    attestable: bool
    mandatory: bool


class ItemRange(msgspec.Struct, frozen=True):
    """The lowest and highest points that an item or a total may have."""

    low: int
    high: int


class ScoreItemResult(msgspec.Struct, frozen=True, omit_defaults=True):
    """A score: its total as far as known, its items, and which of them are not exactly known."""

    low: int
    high: int
    items: dict[str, ItemRange]
    missing: list[str]
    version: str = ""
    baseline: str | None = None
    overt: str | None = None
    as_published: str | None = None
    total_at_least_4: str | None = None


class ClassResult(msgspec.Struct, frozen=True):
    """A class of a named scale; `unknown` with `at_least` when graver classes are not excluded."""

    scale: str
    version: str
    class_: str = msgspec.field(name="class")
    at_least: str | None
    because: list[str]
    id: str = ""


class TierResult(msgspec.Struct, frozen=True):
    """The coagulopathy tier with the panel that it rests on."""

    tier: str
    at_least: str | None
    because: list[str]
    panel: list[EvidenceItem]


class SignalItem(msgspec.Struct, frozen=True):
    """One signal of the trend with its points (instant, value in canonical unit)."""

    id: str
    text: str
    domain: str
    state: str
    unit: str
    points: list[tuple[str, str]]
    projected_change: str | None
    agreement: str | None
    needs: str


class TimingResult(msgspec.Struct, frozen=True):
    """Whether the illness is progressively getting worse."""

    trend: str
    signals: list[SignalItem]
    time_critical: bool
    hours_since_signal: str | None


class DoseLine(msgspec.Struct, frozen=True):
    """One line of the dose calculation."""

    label: str
    working: str
    result: str
    mark: str
    source: str


class DoseItem(msgspec.Struct, frozen=True):
    """The dose of one infusion: planned, shown on condition, or withheld with the reasons."""

    status: str
    because: list[str]
    cells_per_kg: str | None = None
    weight_kg: str | None = None
    weight_basis: str | None = None
    weight_source: str | None = None
    weight_at: str | None = None
    predicted_weight_kg: str | None = None
    actual_to_predicted: str | None = None
    cells: str | None = None
    cell_basis: str | None = None
    capped: bool = False
    volume_ml: str | None = None
    delivered_cells: str | None = None
    bags: int | None = None
    rate_ml_h: str | None = None
    dmso_g_per_kg: str | None = None
    endotoxin_eu_per_kg: str | None = None
    reduced_proposal: str | None = None
    lines: list[DoseLine] = []
    warnings: list[str] = []


class ScheduleRow(msgspec.Struct, frozen=True, omit_defaults=True):
    """One infusion of the course; both day numberings are given."""

    infusion: int
    earliest: str
    planned: str
    latest: str
    status: str
    day_from_0: int
    day_from_1: int
    deviation: Deviation | None = None


class GateResult(msgspec.Struct, frozen=True):
    """The gate before an infusion."""

    infusion: int
    decision: str
    because: list[str]


class NeededItem(msgspec.Struct, frozen=True):
    """A datum that is open: how to obtain it, what it would settle, and which way it could turn the verdict."""

    id: str
    datum: str
    codes: list[str]
    reason: str
    settles: list[str]
    could: list[str]
    bedside: bool
    by: str | None


class DecidingDatum(msgspec.Struct, frozen=True):
    """A datum that the deciding sets name: what it is, how it is ordered, whether the bedside can tell."""

    id: str
    datum: str
    codes: list[str]
    bedside: bool


class ExcludingSet(msgspec.Struct, frozen=True):
    """Data that alone, by some outcome, make the patient ineligible, and by which criteria; no part of them does."""

    data: list[str]
    criteria: list[str]


class Alternatives(msgspec.Struct, frozen=True):
    """One open criterion, and the sets of data each of which alone could close it in favour; `more` are not listed."""

    criterion: str
    any_of: list[list[str]]
    more: int


class AllowingSets(msgspec.Struct, frozen=True):
    """What it takes to make the patient eligible.

    Every criterion of `all_of` must be closed by one of its alternatives. `smallest` are the smallest sets that could
    close all by outcomes that fit together, `smallest_count` of them; no sufficient set goes without `always`. Those
    `blocked` cannot be closed by any of the data that are open now.
    """

    all_of: list[Alternatives]
    always: list[str]
    smallest: list[list[str]]
    smallest_count: int
    blocked: list[str]


class Deadline(msgspec.Struct, frozen=True):
    """When something that the deciding sets count on lapses: a decided criterion, a finding, or a point of a trend."""

    at: str
    kind: str
    lapses: str


class Deciding(msgspec.Struct, frozen=True):
    """The smallest sets of open data that could settle an undetermined verdict, each datum by its id in `data`.

    `exclude_more` sets are not listed. Unless `complete`, the search was cut: every set listed suffices, but smaller
    or other ones may exist.
    """

    exclude: list[ExcludingSet]
    exclude_more: int
    allow: AllowingSets
    data: list[DecidingDatum]
    by: Deadline | None
    complete: bool


class TraceItem(msgspec.Struct, frozen=True):
    """One ruleset that concluded, and because of which inputs."""

    rule: str
    concluded: str
    because: list[str]


class Flip(msgspec.Struct, frozen=True):
    """What would change if another value were taken: a comparison, criterion, class, the verdict, or only the dose."""

    what: str
    id: str
    before: str
    after: str


class MarginChoice(msgspec.Struct, frozen=True):
    """Another value that could have been taken: the latest, worst or median of those in the window."""

    choice: str
    datum: str
    value: str
    distance: str | None
    reference: str
    at: str | None
    instead_of: str
    among: str
    truth: str
    flips: list[Flip]


class MarginItem(msgspec.Struct, frozen=True):
    """One number against its limit: `distance` is the value less the limit, exact, or a range where only that is known.

    `value` is printed at the resolution of the datum, `distance` is not; `per_cent` is of the limit. `fragile` means
    that another choice of value would give another verdict.
    """

    comparison: str
    criteria: list[str]
    datum: str
    text: str
    value: str | None
    unit: str
    operator: Literal["lt", "lte", "gt", "gte"]
    threshold: str
    source: SourceItem
    distance: str | None
    per_cent: str | None
    truth: str
    chosen: str | None
    window: str | None
    values: int
    choices: list[MarginChoice]
    fragile: bool


FRAGILE = "Fragile: with the {} of {} ({}) instead of the {}, {}."
UNMAPPED = "Code {} is not in the dictionary but looks like: {}"


class Note(msgspec.Struct, frozen=True):
    """A warning or a remark on the data, with the rule or resource that it is about."""

    about: str
    text: str
    mark: str | None = None


class PatientItem(msgspec.Struct, frozen=True):
    """Who was assessed."""

    id: str
    identifiers: list[dict[str, str]]
    name: str
    born: str | None
    sex: str | None


class ProtocolItem(msgspec.Struct, frozen=True):
    """By which protocol."""

    id: str
    version: str
    title: str


class RulebaseItem(msgspec.Struct, frozen=True):
    """By which rules, with the option of each site parameter that is in force, and edits made beside them."""

    version: str
    sha256: str
    parameters: dict[str, str] = {}
    edits: dict[str, str] = {}


class Assessment(msgspec.Struct, frozen=True):
    """The whole answer for one patient, one protocol, one stage and one instant.

    `ards` holds the class by each definition of ARDS, never a severity of COVID-19; `oxygenation` the values behind.
    """

    verdict: str
    stage: str
    outlook: str | None
    patient: PatientItem
    protocol: ProtocolItem
    at: str
    valid_until: str | None
    expires_first: str | None
    criteria: list[CriterionResult]
    severity: dict[str, ClassResult]
    complications: dict[str, str]
    scores: dict[str, ScoreItemResult]
    coagulopathy: TierResult
    timing: TimingResult
    dose: DoseItem
    schedule: list[ScheduleRow]
    gate: GateResult | None
    needed: list[NeededItem]
    warnings: list[Note]
    data_quality: list[Note]
    trace: list[TraceItem]
    rulebase: RulebaseItem
    input_sha256: str
    trace_sha256: str
    margins: list[MarginItem] = []
    deciding: Deciding | None = None
    ards: dict[str, ClassResult] = {}
    oxygenation: list[EvidenceItem] = []


def to_json(answer: Assessment) -> bytes:
    """The answer as compact JSON."""
    return msgspec.json.encode(answer)


def to_builtins(answer: Assessment) -> dict[str, Any]:
    """The answer as plain dicts and lists."""
    plain: dict[str, Any] = msgspec.to_builtins(answer)
    return plain
