"""Strict models of the definitions: findings, ladders of classes, scores, decision lists and the trend."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

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
    """What a score was before the acute illness: as entered, else assumed, unless a condition speaks against it."""

    measurement: str
    assume: WithUnit
    doubted_by: Names


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


class Explained(Strict):
    """What a token of a decision means in words for whoever reads it, and what that person does next."""

    text: str
    next: str


class Binding(Strict):
    """What no signature sets aside: criteria of some roles, rules by name, and tokens of inputs."""

    roles: Names = ()
    rules: Names = ()
    inputs: dict[str, Names] = {}


class Decision(Definition):
    """A decision list: inputs with their tokens, ordered rows, and what holds when none applies.

    `words` explain some tokens of some inputs to people; `binding` are reasons that nobody waives.
    """

    kind: Literal["decision"]
    inputs: dict[str, Names]
    rows: Annotated[tuple[DecisionRow, ...], BeforeValidator(tuple)]
    otherwise: str
    words: dict[str, dict[str, Explained]] = {}
    binding: Binding = Binding()

    @model_validator(mode="after")
    def _explains_what_it_has(self) -> Decision:
        for name, of_tokens in (*self.words.items(), *self.binding.inputs.items()):
            if unknown := set(of_tokens) - set(self.inputs.get(name, ())):
                raise ValueError(f"words or binding for what is no token of {name}: {', '.join(sorted(unknown))}")
        return self

    @property
    def conclusions(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*(row.conclude for row in self.rows), self.otherwise)))


_OF_EVERY_FORM = {"text", "domain", "measurement", "form"}
_GUARDS = {"relative", "absolute", "floor", "above", "gap", "hourly", "not_after", "beside"}
# What a signal of each form has to say, and what it may say besides. A score is made of data that age by themselves.
_OF_FORM: dict[str, tuple[set[str], set[str]]] = {
    "slope": ({"bad", "points", "span", "latest_within"}, _GUARDS),
    "step": ({"points", "span", "latest_within"}, {"not_during"}),
    "answer": ({"worse", "better", "stable", "latest_within"}, set()),
    "score": ({"absolute", "span"}, set()),
}


class Signal(Strict):
    """A course over time that may show deterioration, with its minimal meaningful change.

    What a form does not read may not stand there: a number that nothing rests on would look like one that counts.
    """

    text: str
    domain: str
    measurement: str
    form: Literal["slope", "step", "answer", "score"]
    bad: Literal["up", "down"] = "up"
    relative: WithUnit | None = None
    absolute: WithUnit | None = None
    floor: WithUnit | None = None
    above: WithUnit | None = None
    points: Annotated[int, Field(ge=2)] = 2  # fewer show no course
    span: Lookback | None = None
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
    def _says_what_its_form_reads(self) -> Signal:
        needed, allowed = _OF_FORM[self.form]
        said = self.model_fields_set - _OF_EVERY_FORM
        if lacking := needed - said:
            raise ValueError(f"a signal of form {self.form} needs {', '.join(sorted(lacking))}")
        if unread := said - needed - allowed:
            raise ValueError(f"a signal of form {self.form} does not read {', '.join(sorted(unread))}")
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
