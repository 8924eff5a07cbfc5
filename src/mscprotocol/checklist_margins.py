"""What a checklist prints about margins: the numbers nearest to their limits, and every one that is fragile."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from mscprotocol.answer import Assessment, MarginItem
from mscprotocol.checklist_parts import Line, in_words
from mscprotocol.knowledge_forms import SYMBOLS
from mscprotocol.plots import MarginStrip, StripPoint

MOST_NEAR = 4
_PLAIN_UNITS = ("1", "{score}", "{INR}", "points")


@dataclass(frozen=True, slots=True)
class PrintedMargin:
    """One number beside its limit: drawn, and in words."""

    title: str
    mark: str
    words: str
    choices: tuple[Line, ...]
    strip: MarginStrip | None
    is_fragile: bool


def build_margins(answer: Assessment) -> tuple[PrintedMargin, ...]:
    """The fragile ones first, then the nearest to their limits; those not printed stand in the answer."""
    fragile = [one for one in answer.margins if one.fragile]
    near = sorted((one for one in answer.margins if one.per_cent is not None and not one.fragile), key=_nearness)
    return tuple(_build(one) for one in (*fragile, *near[:MOST_NEAR]))


def _nearness(margin: MarginItem) -> tuple[bool, Decimal]:
    """Measured numbers before scores, whose points are few and far apart."""
    return margin.unit == "points", abs(Decimal(margin.per_cent or 0))


def _build(margin: MarginItem) -> PrintedMargin:
    limit = _with_unit(margin.threshold, margin.unit)
    return PrintedMargin(
        title=f"{margin.text} {SYMBOLS[margin.operator]} {limit}",
        mark=margin.source.mark,
        words=f"{margin.value or 'unknown'}: {_distance(margin)}, {_answer(margin)} · {', '.join(margin.criteria)}",
        choices=tuple(Line(text) for text in _choices(margin)),
        strip=_strip(margin, limit),
        is_fragile=margin.fragile,
    )


def _distance(margin: MarginItem) -> str:
    if margin.distance is None:
        return "distance unknown"
    if margin.per_cent is None:
        return f"distance between bounds, {margin.distance}"
    if margin.distance == "0":
        return "at the limit"
    side = "below" if margin.distance.startswith("-") else "above"
    return f"{margin.per_cent.lstrip('-')} % {side} the limit"


def _answer(margin: MarginItem) -> str:
    return {"met": "holds", "not_met": "does not hold"}.get(margin.truth, "unknown whether it holds")


def _choices(margin: MarginItem) -> Sequence[str]:
    """What another value would turn; those that would turn nothing are left out."""
    turning = [one for one in margin.choices if one.flips]
    return [
        f"the {one.choice} of {one.among}, {one.value}: "
        + "; ".join(f"{in_words(flip.id)} {in_words(flip.after)}" for flip in one.flips if flip.what != "comparison")
        for one in turning
    ]


def _strip(margin: MarginItem, limit: str) -> MarginStrip | None:
    """The drawing, where the value is one number; positions go by the distance, which is finer than what is printed."""
    if margin.per_cent is None or margin.distance is None or margin.value is None:
        return None
    others = [
        StripPoint(float(one.distance), f"{one.choice} {one.value}")
        for one in margin.choices
        if one.distance is not None and _is_number(one.distance) and one.datum == margin.datum
    ]
    shown = margin.value if margin.unit != "points" else f"{margin.value} points"
    return MarginStrip(
        limit=limit,
        holds_above=margin.operator in ("gt", "gte"),
        value=StripPoint(float(margin.distance), shown),
        others=tuple(others),
    )


def _is_number(text: str) -> bool:
    return text.lstrip("-").replace(".", "", 1).isdecimal()


def _with_unit(number: str, unit: str) -> str:
    return number if unit in _PLAIN_UNITS else f"{number} {unit}"
