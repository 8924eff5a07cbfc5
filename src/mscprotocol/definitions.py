"""Strict models of the definitions: findings, ladders of classes, scores, decision lists and the trend."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, model_validator

from mscprotocol.knowledge_forms import Expression, Lookback, Names, Sources, Strict, WithUnit


class Definition(Strict):
    """What every definition states.

    With `report` it is concluded for every patient, whatever the protocol needs, and stands at that place of the
    answer: `severity.nhc`, `scores.sofa`, `scores.dic_isth.overt`.
    """

    id: str
    text: str
    version: str = "1"
    report: str | None = None
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
    """Ordered classes, the gravest first: a class is exact only when every graver one is excluded.

    `panel` names the measurements that are shown with the class.
    """

    kind: Literal["ladder"]
    panel: Names = ()
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


class Baseline(Strict):
    """What a score was before the acute illness: as entered, else assumed, unless a condition makes that doubtful."""

    measurement: str
    assume: WithUnit
    doubted_by: str


class Score(Definition):
    """A score that is the sum of its items; an item not known spans the points it may have."""

    kind: Literal["score"]
    items: dict[str, ScoreItem]
    baseline: Baseline | None = None


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
    latest_within: Lookback | None = None
    hourly: bool = False
    not_after: str | None = None
    not_during: str | None = None
    beside: str | None = None
    worse: Names = ()
    better: Names = ()
    stable: Names = ()

    @model_validator(mode="after")
    def _points_age(self) -> Signal:
        if (self.latest_within is None) != (self.form == "score"):
            raise ValueError("latest_within says how old the latest point may be; a score is made of data that age")
        return self


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
