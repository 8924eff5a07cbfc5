"""Strict models of criteria and protocols: a closed list of rules with its dose, schedule and checklist."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import BeforeValidator, model_validator

from mscprotocol.data_dictionary import Code, Number, expand_codes
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

    @property
    def is_per_kg(self) -> bool:
        """Whether the number counts for each kilogram of body weight."""
        return self.value.unit.endswith("/kg")


Role = Literal[
    "inclusion", "exclusion", "product", "dose", "schedule", "route", "safety",
    "monitoring", "derived", "scope", "warning", "provenance",
]  # fmt: skip
Show = Literal["always", "dose", "schedule", "course", "coagulopathy", "thawed_product", "rulebook"]


class Criterion(Strict):
    """One rule of the knowledge: computable when it says `when`, printed where it says `show`.

    `kept_for` says why a rule is here that no protocol names.
    """

    role: Role
    text: str
    sources: Sources
    stage: Stage = "screening"
    when: Expression | None = None
    attestable: bool = False
    attested_for: Lookback | None = None
    baseline_only: bool = False
    show: Show = "rulebook"
    kept_for: str | None = None
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
    """How a protocol doses: a closed list of levels, cells per kg (`10*6/kg`) or a fixed number of cells (`10*6`)."""

    levels: Annotated[tuple[Sourced, ...], BeforeValidator(tuple)]
    reduced_proposal: Sourced | None = None
    weight_basis: Literal["actual", "predicted"] | None = None
    weight_basis_source: SourceRef | None = None
    max_cells: Sourced | None = None

    @model_validator(mode="after")
    def _cells_only(self) -> Dose:
        if not self.levels or any(one.value.unit not in ("10*6/kg", "10*6") for one in self.levels):
            raise ValueError("a level counts cells: 10*6/kg, or 10*6 for a fixed number")
        if any(one.is_per_kg for one in self.levels) and self.weight_basis_source is None:
            raise ValueError("cells per kg need weight_basis and weight_basis_source")
        return self


class Schedule(Strict):
    """How many infusions, and how far apart in elapsed time; a single infusion has no interval."""

    max_infusions: Sourced
    interval: Sourced | None = None
    earliest: Sourced | None = None
    latest: Sourced | None = None

    @model_validator(mode="after")
    def _several_need_an_interval(self) -> Schedule:
        lengths = (self.interval, self.earliest, self.latest)
        if any((one is not None) != (self.count > 1) for one in lengths):
            raise ValueError("several infusions need interval, earliest and latest; a single one has none of them")
        return self

    @property
    def count(self) -> int:
        return int(self.max_infusions.value.value)


class Practice(Strict):
    """What a site does whatever the protocol: its numbers, the criteria and statements that it adds, its checklist."""

    criteria: Names
    statements: Names
    label_basis: Literal["viable", "total"]
    heaviest: Sourced
    ceiling: Sourced
    moderate_at_most: Sourced
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
    closes: Sourced
    one_infusion_within: Sourced
    two_infusions_from: Sourced
    release_valid: Sourced
    event_forms: Annotated[tuple[Sourced, ...], BeforeValidator(tuple)]
    event_form_early_at_most: Sourced
    volume_tolerance: Sourced
    typed_within: Sourced
    small_cell: Sourced
    checklist: str

    @property
    def volume_limits(self) -> tuple[Decimal, Decimal]:
        """The least and the most mL of a completed infusion."""
        planned, percent = self.final_volume.value.value, self.volume_tolerance.value.value
        return planned - planned * percent / 100, planned + planned * percent / 100


class ChecklistItem(Strict):
    """One line that a person answers; `criterion` names the rule behind it.

    `infusion` says at which infusions of a course it is asked; `only` limits it to products that may have been
    frozen, or to protocols with several dose levels.
    """

    text: str
    mark: Mark
    criterion: str | None = None
    entry: Literal["yes_no", "value", "time"] = "yes_no"
    infusion: Literal["each", "first", "later", "not_last"] = "each"
    only: Literal["frozen", "cohorts"] | None = None


class Checklist(Strict):
    """What is asked before, during and after an infusion."""

    before: Annotated[tuple[ChecklistItem, ...], BeforeValidator(tuple)]
    during: Annotated[tuple[ChecklistItem, ...], BeforeValidator(tuple)]
    after: Annotated[tuple[ChecklistItem, ...], BeforeValidator(tuple)]


class OverrideReason(Strict):
    """Why a clinician may set guidance aside; the name is a code and never changes its meaning."""

    text: str
    mark: Mark


class SignatureMeaning(Strict):
    """What a person says by signing an answer or an act; the name is a code and never changes its meaning."""

    text: str
    mark: Mark
    signs: Literal["answer", "act"] = "answer"
    needs_open_gate: bool = False


class CellUnit(Strict):
    """What one unit of an ordered dose is in cells."""

    cells: Number
    per_kg: bool = False


class OrderRoute(Strict):
    """How a route is written: its codes, and its words as regular expressions on the whole lower-case text."""

    codes: Annotated[tuple[Code, ...], BeforeValidator(tuple)]
    words: Names


class OrderForm(Strict):
    """How an order for the product is recognised by its words, and its dose and route read.

    `unsure` are words that leave open whether the product is meant.
    """

    words: Names
    unsure: Names
    units: dict[str, CellUnit]
    routes: dict[str, OrderRoute]
    mark: Mark


class Fact(Strict):
    """One fact about a trial and its product, or that a source which was read does not state it."""

    about: str
    text: str
    sources: Sources
    note: str = ""


class TrialProduct(Strict):
    """What was infused or inhaled; only cells are ever dosed."""

    kind: Literal["cells", "exosomes"]
    state: Literal["fresh", "thawed", "not stated"]


class ProtocolCard(Strict):
    """What is shown of every protocol of the paper."""

    id: str
    version: str
    title: str
    short_title: str
    indication: str
    product: TrialProduct
    route: str
    facts: Annotated[tuple[Fact, ...], BeforeValidator(tuple)]
    statements: Names = ()
    sources: Sources


class InformationOnly(ProtocolCard):
    """A protocol that is shown for information: never assessed, never dosed, never scheduled.

    `criteria` are those of its registration that stand in the rule book; they are shown and never asked.
    """

    assessed: Literal[False]
    criteria: Names = ()


class Protocol(ProtocolCard):
    """A protocol to assess patients by: closed list of criteria, dose and schedule, under a site's practice."""

    assessed: Literal[True]
    severity: str | None = None
    tier: str
    trend: str
    criteria: Names
    product_codes: tuple[Code, ...] = ()
    dose: Dose
    schedule: Schedule
    practice: str

    @model_validator(mode="before")
    @classmethod
    def _lists_as_tuples(cls, raw: object) -> object:
        return expand_codes(raw)

    @model_validator(mode="after")
    def _only_cells_are_dosed(self) -> Protocol:
        if self.product.kind != "cells":
            raise ValueError("only cells are dosed: a protocol of another product is for information, assessed: false")
        return self

    def asks(self, item: ChecklistItem, infusion: int) -> bool:
        """Whether a line belongs to an infusion of this protocol."""
        last = self.schedule.count
        belongs = {"each": True, "first": infusion == 1, "later": infusion > 1, "not_last": infusion < last}
        fits = {"frozen": self.product.state != "fresh", "cohorts": len(self.dose.levels) > 1}
        return belongs[item.infusion] and (item.only is None or fits[item.only])

    def under(self, practice: Practice) -> Protocol:
        """The protocol with the criteria and statements that a site's practice adds."""
        return self.model_copy(
            update={
                "criteria": tuple(dict.fromkeys((*self.criteria, *practice.criteria))),
                "statements": tuple(dict.fromkeys((*self.statements, *practice.statements))),
            }
        )
