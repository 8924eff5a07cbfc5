"""The few forms that a criterion may be built from, as strict models of the YAML under `rules/`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Tag, model_validator

from mscprotocol.timespan import Window, parse_window
from mscprotocol.truth import Truth, all_of, any_of

_QUANTITY = re.compile(r"(-?\d+(?:\.\d+)?) (\S+)")
Mark = Literal["paper", "read", "recalled", "site"]
Operator = Literal["lt", "lte", "gt", "gte"]
OPERATORS: tuple[Operator, ...] = ("lt", "lte", "gt", "gte")
SYMBOLS: dict[Operator, str] = {"lt": "<", "lte": "≤", "gt": ">", "gte": "≥"}


class Strict(BaseModel):
    """A model that refuses unknown keys and silent conversions."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, arbitrary_types_allowed=True)


class Quantity(Strict):
    """A number with its UCUM unit, exactly as written."""

    value: Decimal
    unit: str

    def __str__(self) -> str:
        return f"{self.value:f} {self.unit}"


def parse_quantity(text: Any) -> Quantity:
    """Read `30 /min`: a plain decimal (no exponent), a space, a UCUM unit."""
    if isinstance(text, Quantity):
        return text
    match = _QUANTITY.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise ValueError(f"not a quantity with a unit: {text!r}; write it like '30 /min', without an exponent")
    return Quantity(value=Decimal(match[1]), unit=match[2])


def _parse_window(text: Any) -> Window:
    return text if isinstance(text, Window) else parse_window(str(text))


def as_tuple(value: Any) -> Any:
    """Let YAML write one name where a list may stand, and lists as tuples."""
    if isinstance(value, str):
        return (value,)
    return tuple(value) if isinstance(value, list) else value


WithUnit = Annotated[Quantity, BeforeValidator(parse_quantity)]
Lookback = Annotated[Window, BeforeValidator(_parse_window)]
Names = Annotated[tuple[str, ...], BeforeValidator(as_tuple)]


class SourceRef(Strict):
    """Where a statement comes from: a source of `sources.yaml`, how far it was checked, and where in it."""

    id: str
    mark: Mark
    section: str | None = None
    quote: str | None = None

    @model_validator(mode="after")
    def _paper_needs_its_words(self) -> SourceRef:
        if self.mark == "paper" and not (self.section and self.quote):
            raise ValueError("a source marked 'paper' needs its section and a quote")
        if self.quote is not None and len(self.quote.split()) > 15:
            raise ValueError("a quote has at most 15 words")
        return self


Sources = Annotated[tuple[SourceRef, ...], BeforeValidator(as_tuple)]


def _refuse_shared(what: str, *several: tuple[str, ...]) -> None:
    """Refuse a name that stands in two lists, of which only the first would be read."""
    named = [name for names in several for name in names]
    if twice := {name for name in named if named.count(name) > 1}:
        raise ValueError(f"{what} says one thing: {', '.join(sorted(twice))} is named twice")


class Leaf(Strict):
    """What the leaves share: a source of their own where it differs from the rule's."""

    source: SourceRef | None = None


class Threshold(Leaf):
    """A leaf that compares with one threshold."""

    lt: WithUnit | None = None
    lte: WithUnit | None = None
    gt: WithUnit | None = None
    gte: WithUnit | None = None

    @property
    def comparison(self) -> tuple[Operator, Quantity] | None:
        for operator in OPERATORS:
            threshold: Quantity | None = getattr(self, operator)
            if threshold is not None:
                return operator, threshold
        return None

    @model_validator(mode="after")
    def _at_most_one_threshold(self) -> Threshold:
        if sum(getattr(self, operator) is not None for operator in OPERATORS) > 1:
            raise ValueError("one threshold a leaf; combine two with all_of")
        return self


class MeasurementLeaf(Threshold):
    """A measurement against a threshold, one of its answers, or merely whether it is known.

    Values that carry a flag of `set_aside` are no evidence for the leaf, nor those taken while the oxygen support that
    `during` names was surely not in force, nor those from before `not_before` began. An answer that shows a disease
    leaves it open once `contradicted_by` was denied, or ended, not before that.
    """

    measurement: str
    answer: Names | None = None
    not_answer: Names | None = None
    known: Literal[True] | None = None
    received_in: Names = ()
    set_aside: Names = ()
    within: Lookback | None = None
    worst: Literal[True] | None = None
    unless: str | None = None
    during: str | None = None
    not_met_needs: str | None = None
    no_record: Literal["not_met"] | None = None
    not_before: str | None = None
    contradicted_by: str | None = None

    @model_validator(mode="after")
    def _asks_one_thing(self) -> MeasurementLeaf:
        asked = (self.comparison is not None) + (self.answer is not None) + (self.known is not None)
        if asked != 1:
            raise ValueError("a measurement leaf asks one thing: a threshold, an answer, or known")
        if self.worst and self.within is None:
            raise ValueError("worst needs the window to look in: within")
        _refuse_shared("an answer", self.answer or (), self.not_answer or ())
        if self.worst and self.not_before is not None:
            raise ValueError("not_before is asked of the latest value, not of the worst")
        if self.contradicted_by is not None and self.answer is None:
            raise ValueError("contradicted_by is for a leaf that asks for an answer")
        return self


class ConditionLeaf(Leaf):
    """A condition, procedure, medication, event or consent that is present, now or in a look-back window.

    `began_within` asks when it began: met in the window, not_met before it, unknown without an onset on record.
    `answered_within` asks for a newer answer of a person than the dictionary does.
    `held_within` asks whether it was there at any time of a window, whatever is denied of now.
    `charted_within` is how long an entry that says "active" is believed without being charted anew.
    `lasting` is of events that end a course: what a course of ours recorded stands, whatever else denies it, and a yes
    of a person since the first infusion is not undone by a later no, nor what was charted since then by its end.
    """

    condition: str
    within: Lookback | None = None
    began_within: Lookback | None = None
    held_within: Lookback | None = None
    answered_within: Lookback | None = None
    charted_within: Lookback | None = None
    any_clinical_status: Literal[True] | None = None
    by_onset: Literal[True] | None = None
    record_wins: Literal[True] | None = None
    lasting: Literal[True] | None = None
    no_record: Literal["not_met"] | None = None

    @model_validator(mode="after")
    def _lookback_reads_every_status(self) -> ConditionLeaf:
        if self.within is not None and not self.any_clinical_status:
            raise ValueError("a look-back reads resolved entries too: say any_clinical_status: true")
        if sum(one is not None for one in (self.within, self.began_within, self.held_within)) > 1:
            raise ValueError("ask one thing: within (a look-back), held_within (ever in the window) or began_within")
        if self.charted_within is not None and (self.within or self.began_within or self.held_within) is not None:
            raise ValueError("charted_within is about what is present now: it goes with no other window")
        return self


class ChangeLeaf(Leaf):
    """A rise or fall of a measurement between its latest value and any earlier one in a span of time."""

    change: str
    rises_to: WithUnit | None = None
    falls_by: WithUnit | None = None
    at_least_apart: Lookback | None = None
    over: Lookback

    @model_validator(mode="after")
    def _one_direction(self) -> ChangeLeaf:
        if (self.rises_to is None) == (self.falls_by is None):
            raise ValueError("a change either rises_to a multiple or falls_by a share")
        return self


class ScoreLeaf(Threshold):
    """A score, the sum of some of its items, or its rise above the patient's baseline, against a threshold."""

    score: str
    items: Names | None = None
    rise: Literal[True] | None = None


class ConclusionLeaf(Leaf):
    """A class, tier or trend that was concluded before; classes not named leave it unknown."""

    conclusion: str
    met: Names = ()
    not_met: Names = ()
    review: Names = ()

    @model_validator(mode="after")
    def _says_one_thing_of_a_class(self) -> ConclusionLeaf:
        _refuse_shared("a class", self.met, self.not_met, self.review)
        return self


class FindingLeaf(Leaf):
    """A finding defined under `definitions/`."""

    finding: str


class UnknownIf(Leaf):
    """Unknown while the finding is present or unknown: for what a published table does not cover."""

    unknown_if: str


class Group(Strict):
    """Members combined by strong Kleene logic."""

    all_of: tuple[Expression, ...] = ()
    any_of: tuple[Expression, ...] = ()
    none_of: tuple[Expression, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _members_as_tuples(cls, raw: Any) -> Any:
        return {key: as_tuple(value) for key, value in raw.items()} if isinstance(raw, dict) else raw

    @model_validator(mode="after")
    def _is_one_group(self) -> Group:
        if sum(map(bool, (self.all_of, self.any_of, self.none_of))) != 1:
            raise ValueError("a group is one of all_of, any_of, none_of, with at least one member")
        return self

    @property
    def members(self) -> tuple[Expression, ...]:
        return self.all_of or self.any_of or self.none_of

    def combine(self, members: Iterable[Truth]) -> Truth:
        """The truth of the group from those of its members."""
        if self.all_of:
            return all_of(members)
        return ~any_of(members) if self.none_of else any_of(members)


_FORMS = {
    "measurement": "measurement",
    "condition": "condition",
    "change": "change",
    "score": "score",
    "conclusion": "conclusion",
    "finding": "finding",
    "unknown_if": "unknown_if",
    "all_of": "group",
    "any_of": "group",
    "none_of": "group",
}


def _find_form(raw: Any) -> str | None:
    keys = raw if isinstance(raw, dict) else type(raw).model_fields if isinstance(raw, BaseModel) else ()
    return next((form for key, form in _FORMS.items() if key in keys), None)


Expression = Annotated[
    Annotated[MeasurementLeaf, Tag("measurement")]
    | Annotated[ConditionLeaf, Tag("condition")]
    | Annotated[ChangeLeaf, Tag("change")]
    | Annotated[ScoreLeaf, Tag("score")]
    | Annotated[ConclusionLeaf, Tag("conclusion")]
    | Annotated[FindingLeaf, Tag("finding")]
    | Annotated[UnknownIf, Tag("unknown_if")]
    | Annotated[Group, Tag("group")],
    Discriminator(
        _find_form,
        custom_error_type="form",
        custom_error_message=f"not a known form; a leaf or group starts with one of {', '.join(_FORMS)}",
    ),
]
Group.model_rebuild()


def walk_leaves(expression: Expression) -> list[Leaf]:
    """Every leaf of an expression, in order."""
    if isinstance(expression, Group):
        return [leaf for member in expression.members for leaf in walk_leaves(member)]
    return [expression]
