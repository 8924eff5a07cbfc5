"""Strict models of the rule base: what `rules/` may say, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from typing import Annotated, Literal

from pydantic import BeforeValidator, model_validator

from mscprotocol.codes import CodeSystem, Coding, parse_code
from mscprotocol.knowledge_forms import (
    Expression,
    Leaf,
    Lookback,
    Mark,
    Names,
    Operator,
    SourceRef,
    Sources,
    Strict,
    WithUnit,
    walk_leaves,
)
from mscprotocol.reasons import Reason

Stage = Literal["screening", "enrolment", "infusion"]
STAGES: tuple[Stage, ...] = ("screening", "enrolment", "infusion")


def _parse_code(text: object) -> object:
    return parse_code(text) if isinstance(text, str) else text


def _parse_decimal(text: object) -> object:
    return Decimal(text) if isinstance(text, str | int) else text


Code = Annotated[Coding, BeforeValidator(_parse_code)]
Number = Annotated[Decimal, BeforeValidator(_parse_decimal)]


class Sourced(Strict):
    """One number of a protocol with its provenance."""

    value: WithUnit
    source: str
    mark: Mark
    note: str = ""


class Source(Strict):
    """An entry of the bibliography; `read` says what was read of it."""

    citation: str
    read: str
    url: str | None = None
    note: str | None = None


# -- the data dictionary ---------------------------------------------------------------------------


class SiteLimit(Strict):
    """An upper limit of normal that a site states for reports that carry none; dates are inclusive."""

    code: Code
    upper: WithUnit
    laboratory: str
    since: str
    until: str | None = None


class Conversion(Strict):
    """From an accepted unit to the canonical one: (value - offset) x numerator / denominator."""

    factor: Number = Decimal(1)
    divisor: Number = Decimal(1)
    offset: Number = Decimal(0)


class CodedDatum(Strict):
    """A code that carries a datum, with what the code itself says about it."""

    code: Code
    flag: str | None = None
    assay: str | None = None


class RefusedCode(Strict):
    """A look-alike code that must not be read as the datum, and the reason that is given instead."""

    code: Code
    reason: Annotated[Reason, BeforeValidator(lambda text: Reason(text) if isinstance(text, str) else text)]


class Limits(Strict):
    """A closed range in the canonical unit; values outside are refused (hard) or noted (soft)."""

    low: Number
    high: Number


class ShelfLife(Strict):
    """How old a value may be at each stage."""

    screening: Lookback | None = None
    infusion: Lookback | None = None


class Inference(Strict):
    """What another datum tells about an ordered state: the lowest and highest level that it leaves open."""

    measurement: str | None = None
    above: WithUnit | None = None
    up_to: WithUnit | None = None
    condition: str | None = None
    lowest: str
    highest: str


class Measurement(Strict):
    """A datum of the dictionary: a quantity, an ordered state, or a set of answers."""

    id: str
    text: str
    kind: Literal["quantity", "ordinal", "coded", "derived"]
    about: Literal["patient", "product"] = "patient"
    unit: str = "1"
    units: dict[str, Conversion] = {}
    codes: tuple[CodedDatum, ...] = ()
    refused: tuple[RefusedCode, ...] = ()
    words: Names = ()
    answers: dict[str, tuple[Code, ...]] = {}
    levels: tuple[str, ...] = ()
    inferred: tuple[Inference, ...] = ()
    made_of: Names = ()
    pairing: Lookback | None = None
    parameters: dict[str, Number] = {}
    hard: Limits | None = None
    soft: Limits | None = None
    resolution: Number = Decimal(1)
    max_age: ShelfLife = ShelfLife()
    select: Literal["latest", "any"] = "latest"
    upper_limit: bool = False
    unitless_ranges: dict[str, Limits] = {}
    confounded_by: str | None = None
    bedside: bool = False
    order: Code | None = None
    mark: Mark = "site"

    @model_validator(mode="before")
    @classmethod
    def _lists_as_tuples(cls, raw: object) -> object:
        return _expand_codes(raw)


class Test(Strict):
    """A measurement whose answers are evidence for or against a condition."""

    measurement: str
    positive: Names
    negative: Names


class Condition(Strict):
    """Something that is present or absent, with the explicit expansion of its value set."""

    text: str
    kind: Literal["condition", "procedure", "medication", "allergy", "event", "consent", "attestation"]
    codes: tuple[CodedDatum, ...] = ()
    icd10: Names = ()
    icd10_except: Names = ()
    suspected: tuple[Code, ...] = ()
    parts: Names = ()
    tests: tuple[Test, ...] = ()
    refuted_by: tuple[Code, ...] = ()
    words: Names = ()
    attested_for: Lookback | None = None
    attestable: bool = True
    mark: Mark = "recalled"

    @model_validator(mode="before")
    @classmethod
    def _lists_as_tuples(cls, raw: object) -> object:
        return _expand_codes(raw)


# -- definitions -----------------------------------------------------------------------------------


class Definition(Strict):
    """What every definition states."""

    id: str
    text: str
    version: str = "1"
    sources: Sources


class FindingDefinition(Definition):
    """A named three-valued finding."""

    kind: Literal["finding"]
    when: Expression


class Rung(Strict):
    """One class of a ladder and what proves it."""

    name: str
    when: Expression


class Ladder(Definition):
    """Ordered classes, the gravest first: a class is exact only when every graver one is excluded."""

    kind: Literal["ladder"]
    rungs: Annotated[tuple[Rung, ...], BeforeValidator(tuple)]
    otherwise: str

    @property
    def classes(self) -> tuple[str, ...]:
        return (*(rung.name for rung in self.rungs), self.otherwise)


class ScoreRow(Strict):
    """Points that an item scores when its condition holds; the first row that holds counts."""

    points: int
    when: Expression


class ScoreItem(Strict):
    """One item of a score, rows from the most points down."""

    text: str
    rows: Annotated[tuple[ScoreRow, ...], BeforeValidator(tuple)]
    otherwise: int = 0


class Score(Definition):
    """A score that is the sum of its items; an item not known spans the points it may have."""

    kind: Literal["score"]
    items: dict[str, ScoreItem]


class DecisionRow(Strict):
    """One row of a decision list over tokens; the first row that applies concludes."""

    all: dict[str, Names] = {}
    any: dict[str, Names] = {}
    conclude: str


class Decision(Definition):
    """A decision list: inputs with their tokens, ordered rows, and what holds when none applies."""

    kind: Literal["decision"]
    inputs: dict[str, Names]
    rows: Annotated[tuple[DecisionRow, ...], BeforeValidator(tuple)]
    otherwise: str

    @property
    def conclusions(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*(row.conclude for row in self.rows), self.otherwise)))


class Signal(Strict):
    """A course over time that may show deterioration, with its minimal meaningful change."""

    text: str
    domain: str
    measurement: str
    form: Literal["slope", "step", "answer", "score"]
    bad: Literal["up", "down"] = "up"
    relative: WithUnit | None = None
    absolute: WithUnit | None = None
    floor: WithUnit | None = None
    above: WithUnit | None = None
    points: int = 2
    span: Lookback
    gap: Lookback | None = None
    latest_within: Lookback
    hourly: bool = False
    not_after: str | None = None
    beside: str | None = None
    worse: Names = ()
    better: Names = ()
    stable: Names = ()


class Trend(Definition):
    """How single signals become one trend."""

    kind: Literal["trend"]
    look_back: Lookback
    agreement: WithUnit
    reversal: Lookback
    urgent_within: Lookback
    support_band: WithUnit
    signals: dict[str, Signal]


AnyDefinition = FindingDefinition | Ladder | Score | Decision | Trend

# -- criteria and protocols ------------------------------------------------------------------------

Role = Literal[
    "inclusion", "exclusion", "product", "dose", "schedule", "route", "safety",
    "monitoring", "derived", "scope", "warning", "provenance",
]  # fmt: skip
Show = Literal["always", "dose", "schedule", "course", "coagulopathy", "thawed_product", "rulebook"]


class Criterion(Strict):
    """One rule of the knowledge: computable when it says `when`, printed where it says `show`."""

    role: Role
    text: str
    sources: Sources
    stage: Stage = "screening"
    when: Expression | None = None
    attestable: bool = False
    attested_for: Lookback | None = None
    baseline_only: bool = False
    show: Show = "rulebook"
    not_computable: str | None = None

    @model_validator(mode="after")
    def _an_attestation_ages(self) -> Criterion:
        if self.attestable and self.attested_for is None:
            raise ValueError("attestable needs attested_for: how long an answer holds")
        return self

    @property
    def decides(self) -> bool:
        """Whether the criterion takes part in the verdict."""
        return self.role in ("inclusion", "exclusion") and self.when is not None

    @property
    def leaves(self) -> list[Leaf]:
        return [] if self.when is None else walk_leaves(self.when)


class Dose(Strict):
    """The dosing limits of a protocol."""

    starting: Sourced
    levels: Annotated[tuple[Sourced, ...], BeforeValidator(tuple)]
    reduced_proposal: Sourced | None = None
    weight_basis: Literal["actual", "predicted"]
    weight_basis_source: SourceRef
    label_basis: Literal["viable", "total"]
    max_cells: Sourced
    ceiling: Sourced
    graduation: Sourced
    delivered_at_least: Sourced
    final_volume: Sourced
    duration: Sourced
    slow_start: Sourced
    dmso_density: Sourced
    dmso_warn: Sourced
    dmso_limit: Sourced
    endotoxin_limit: Sourced
    viability_age: Sourced


class Schedule(Strict):
    """How infusions follow one another; lengths are elapsed time."""

    max_infusions: Sourced
    interval: Sourced
    earliest: Sourced
    latest: Sourced
    closes: Sourced
    release_valid: Sourced


class ChecklistItem(Strict):
    """One line that a person answers; `criterion` names the rule behind it."""

    text: str
    mark: Mark
    criterion: str | None = None
    entry: Literal["yes_no", "value", "time"] = "yes_no"


class Checklist(Strict):
    """What is asked before, during and after an infusion."""

    before: Annotated[tuple[ChecklistItem, ...], BeforeValidator(tuple)]
    during: Annotated[tuple[ChecklistItem, ...], BeforeValidator(tuple)]
    after: Annotated[tuple[ChecklistItem, ...], BeforeValidator(tuple)]


class Protocol(Strict):
    """A protocol of the paper: closed list of criteria, dose and schedule."""

    id: str
    version: str
    title: str
    short_title: str
    assessed: bool = True
    severity: str
    tier: str
    trend: str
    criteria: Names
    statements: Names
    route: str
    product_codes: tuple[Code, ...] = ()
    dose: Dose
    schedule: Schedule
    checklist: str
    sources: Sources

    @model_validator(mode="before")
    @classmethod
    def _lists_as_tuples(cls, raw: object) -> object:
        return _expand_codes(raw)


@dataclass(frozen=True, eq=False)
class KnowledgeBase:
    """The whole rule base, resolved, with the hash that every answer carries."""

    version: str
    sha256: str
    sources: dict[str, Source]
    measurements: dict[str, Measurement]
    conditions: dict[str, Condition]
    definitions: dict[str, AnyDefinition]
    criteria: dict[str, Criterion]
    protocols: dict[str, Protocol]
    checklists: dict[str, Checklist]
    unit_aliases: dict[str, str]
    site_limits: tuple[SiteLimit, ...] = ()
    # Comparison and threshold of each measurement leaf in canonical unit, by the leaf's identity.
    thresholds: dict[int, tuple[Operator, Decimal]] = field(default_factory=dict)
    lines: dict[str, tuple[str, int]] = field(default_factory=dict)

    @cached_property
    def datum_codes(self) -> dict[tuple[CodeSystem, str], list[tuple[str, CodedDatum]]]:
        """Each code of the dictionary with the measurements that it carries."""
        found: dict[tuple[CodeSystem, str], list[tuple[str, CodedDatum]]] = {}
        for name, measurement in self.measurements.items():
            for coded in measurement.codes:
                found.setdefault((coded.code.system, coded.code.code), []).append((name, coded))
        return found


def _expand_codes(raw: object) -> object:
    """Let YAML write `loinc 777-3` where the model has a code with its flags, and lists as tuples."""
    if not isinstance(raw, dict):
        return raw
    full = dict(raw)
    for key in ("codes", "refused"):
        if isinstance(full.get(key), list):
            full[key] = tuple({"code": item} if isinstance(item, str) else item for item in full[key])
    for key in ("suspected", "refuted_by", "levels", "product_codes", "inferred", "tests"):
        if isinstance(full.get(key), list):
            full[key] = tuple(full[key])
    if isinstance(full.get("answers"), dict):
        full["answers"] = {name: tuple(codes) for name, codes in full["answers"].items()}
    return full
