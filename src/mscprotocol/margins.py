"""How far each number stands from its limit, and whether another value of its window would turn the verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Context, Decimal

from msgspec.structs import replace

from mscprotocol.answer import FRAGILE, Flip, MarginChoice, MarginItem, Note
from mscprotocol.case import GATING, NOT_APPLICABLE, Case
from mscprotocol.choices import DOSE, Choice, Choices, Chosen
from mscprotocol.comparisons import Comparison
from mscprotocol.interval import EXACT, MAX_DIGITS, Interval, exactly, plain
from mscprotocol.knowledge_forms import MeasurementLeaf, ScoreLeaf
from mscprotocol.record import Measurement
from mscprotocol.reporting import report_evidence
from mscprotocol.rulebook import VERDICT
from mscprotocol.scores import Scores
from mscprotocol.selection import Evidence

# What came in has at most MAX_DIGITS digits and is told exactly; a quotient is cut there, which never turns its sign.
_READABLE = Context(prec=MAX_DIGITS, rounding=ROUND_HALF_EVEN)
_ROUGH = Context(prec=3, rounding=ROUND_HALF_EVEN)
_MARK = "site"  # which other values are looked at is a choice of this software
POINTS = "points"


def measure_margins(case: Case) -> list[MarginItem]:
    """Every numeric comparison behind a criterion that was asked, in the order of the rules."""
    choices = Choices(case)
    asked = {one.id for one in case.judgements if one.criterion.role in GATING and one.status != NOT_APPLICABLE}
    return [
        _measure(choices, comparison, criteria)
        for comparison in choices.comparisons.all
        if (criteria := [name for name in comparison.criteria if name in asked])
    ]


def warn_of_fragility(margins: Sequence[MarginItem]) -> list[Note]:
    """One warning for each value that would turn the verdict, about the first criterion that it turns."""
    turning: dict[tuple[str, str, str | None], list[MarginChoice]] = {}
    for margin in margins:
        for choice in margin.choices:
            if _turns_answer(choice.flips):
                turning.setdefault((choice.datum, choice.reference, choice.at), []).append(choice)
    return [_warn(choices) for choices in turning.values()]


def _warn(choices: Sequence[MarginChoice]) -> Note:
    first = choices[0]
    names = " and ".join(dict.fromkeys(one.choice for one in choices))
    turned = [one for one in first.flips if one.what == "criterion"]
    words = [f"{one.id} would be {one.after.replace('_', ' ')}" for one in turned]
    words += [f"the {one.what} {one.after}" for one in first.flips if one.what in (VERDICT, DOSE)]
    text = FRAGILE.format(names, first.among, first.value, first.instead_of, " and ".join(words))
    return Note(turned[0].id if turned else VERDICT, text, _MARK)


# -- one comparison ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Reading:
    """What a comparison was answered from: a measured value, or the points of a score."""

    datum: str
    text: str
    unit: str
    value: Interval | None
    shown: str | None
    chosen: str | None
    window: str | None
    count: int
    choices: list[MarginChoice]


def _measure(choices: Choices, comparison: Comparison, criteria: list[str]) -> MarginItem:
    leaf = comparison.leaf
    read = _read_score(choices, comparison, leaf) if isinstance(leaf, ScoreLeaf) else _read(choices, comparison)
    return MarginItem(
        comparison=comparison.key,
        criteria=criteria,
        datum=read.datum,
        text=read.text,
        value=read.shown,
        unit=read.unit,
        operator=comparison.operator,
        threshold=plain(comparison.limit),
        source=comparison.source,
        distance=_distance(read.value, comparison.limit),
        per_cent=_per_cent(read.value, comparison.limit),
        truth=choices.case.conclusions.tokens[comparison.key],
        chosen=read.chosen,
        window=read.window,
        values=read.count,
        choices=read.choices,
        fragile=any(_turns_answer(one.flips) for one in read.choices),
    )


def _read(choices: Choices, comparison: Comparison) -> _Reading:
    (leaf,) = comparison.parts
    case, chosen = choices.case, choices.of(leaf)
    point = None if chosen.used is None else chosen.used.point
    datum = case.book.knowledge.measurements[leaf.measurement]
    return _Reading(
        datum=leaf.measurement,
        text=datum.text,
        unit=datum.unit,
        value=None if point is None else point.value,
        shown=None if point is None else _show(case, point),
        chosen=None if chosen.used is None else chosen.used.name,
        window=_window(case, leaf),
        count=chosen.count,
        choices=[_report_choice(choices, comparison, leaf, chosen, one) for one in chosen.others],
    )


def _read_score(choices: Choices, comparison: Comparison, leaf: ScoreLeaf) -> _Reading:
    """A score; of the values behind its items only those choices that would turn something."""
    points = _points(choices.case.scores, leaf)
    found = [
        _report_choice(choices, comparison, part, chosen, one)
        for part in comparison.parts
        if not choices.is_single(part.measurement)
        for chosen in (choices.of(part),)
        for one in chosen.others
        if choices.effect(part.measurement, one.point).flips
    ]
    return _Reading(
        datum=leaf.score,
        text=choices.case.book.knowledge.definitions[leaf.score].text,
        unit=POINTS,
        value=points,
        shown=str(points) if points.exact is not None else f"{points.low} to {points.high}",
        chosen="sum",
        window=None,
        count=0,
        choices=list({(one.choice, one.datum, one.reference): one for one in found}.values()),
    )


def _points(scores: Scores, leaf: ScoreLeaf) -> Interval:
    return scores.points(leaf)


# -- one choice --------------------------------------------------------------------------------------


def _report_choice(
    choices: Choices, comparison: Comparison, part: MeasurementLeaf, chosen: Chosen, choice: Choice
) -> MarginChoice:
    case, effect = choices.case, choices.effect(part.measurement, choice.point)
    evidence = report_evidence(case, Evidence(choice.point, used=True))
    before = case.conclusions.tokens[comparison.key]
    after = effect.truths[comparison.key].value if comparison.key in effect.truths else before
    leaf = comparison.leaf
    value = _points(effect.scores, leaf) if isinstance(leaf, ScoreLeaf) else choice.point.value
    own = [Flip("comparison", comparison.key, before, after)] if after != before else []
    return MarginChoice(
        choice=choice.name,
        datum=part.measurement,
        value=evidence.value or "",
        distance=_distance(value, comparison.limit),
        reference=evidence.reference,
        at=evidence.at,
        instead_of=_instead_of(case, chosen),
        among=_among(case, part, chosen),
        truth=after,
        flips=[*own, *effect.flips],
    )


def _instead_of(case: Case, chosen: Chosen) -> str:
    return "" if chosen.used is None else f"{chosen.used.name} ({_show(case, chosen.used.point)})"


def _among(case: Case, leaf: MeasurementLeaf, chosen: Chosen) -> str:
    window = _window(case, leaf)
    text = f"{chosen.count} values of {case.book.knowledge.measurements[leaf.measurement].text}"
    return text if window is None else f"{text} within {window}"


def _window(case: Case, leaf: MeasurementLeaf) -> str | None:
    window = leaf.within or case.findings.shelf_life(leaf.measurement)
    return None if window is None else window.text


def _show(case: Case, point: Measurement) -> str | None:
    return report_evidence(case, Evidence(point, used=True)).value


def _turns_answer(flips: Sequence[Flip]) -> bool:
    """Whether the verdict would be another one, or a dose be withheld that is shown now (or the reverse)."""
    return any(one.what in (VERDICT, DOSE) for one in flips)


# -- distance ----------------------------------------------------------------------------------------


def _distance(value: Interval | None, limit: Decimal) -> str | None:
    """The value less the limit: exact, a range where only a range is known, or nothing."""
    if value is None or value.is_unbounded:
        return None
    if value.exact is not None:
        return plain(_READABLE.plus(EXACT.subtract(value.exact, limit)))
    away = value - exactly(limit)
    return str(replace(away, low=_readable(away.low), high=_readable(away.high)))


def _per_cent(value: Interval | None, limit: Decimal) -> str | None:
    """The distance in per cent of the limit, to three digits; nothing for a range or a limit of zero."""
    if value is None or value.exact is None or not limit:
        return None
    share = EXACT.divide(EXACT.subtract(value.exact, limit), abs(limit))
    return plain(_ROUGH.multiply(share, Decimal(100)))


def _readable(end: Decimal | None) -> Decimal | None:
    return None if end is None else _READABLE.plus(end)
