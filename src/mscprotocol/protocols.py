"""Strict models of criteria and protocols: a closed list of rules with its dose, schedule and checklist."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, model_validator

from mscprotocol.data_dictionary import Code, expand_codes
from mscprotocol.knowledge_forms import (
    Expression,
    Leaf,
    Lookback,
    Mark,
    Names,
    SourceRef,
    Sources,
    Strict,
    WithUnit,
    walk_leaves,
)

Stage = Literal["screening", "enrolment", "infusion"]
STAGES: tuple[Stage, ...] = ("screening", "enrolment", "infusion")


class Sourced(Strict):
    """One number of a protocol with its provenance."""

    value: WithUnit
    source: str
    mark: Mark
    note: str = ""


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
        return expand_codes(raw)
