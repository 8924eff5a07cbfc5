"""The figures of the report as inline SVG: a flow chart, bars, and which criteria people fail together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from html import escape

from markupsafe import Markup

_WIDTH = 720
_LINE = 13
_REASON, _LABELLED = 72, 58  # letters that a line of reasons, and the label of a bar, hold


@dataclass(frozen=True)
class Bar:
    """One bar, or two of the same thing, with what is printed at their ends."""

    label: str
    size: int
    text: str
    other: int = 0
    other_text: str = ""


@dataclass(frozen=True)
class Combination:
    """Criteria that patients fail together; without any, all combinations that are not listed."""

    ids: tuple[str, ...]
    size: int
    text: str


@dataclass(frozen=True)
class Flow:
    """The numbers of a flow chart, as they are printed."""

    patients: str
    quarantined: str
    quarantined_by: list[tuple[str, str]]
    assessed: str
    ineligible: str
    ineligible_by: list[tuple[str, str]]
    undetermined: str
    undetermined_by: list[tuple[str, str]]
    eligible: str


_OUTLOOKS = {
    "no_indication": "no evidence of the indication",
    "needs_data": "data are missing",
    "possible": "possible: only bedside questions are open",
}


def draw_flow(flow: Flow) -> Markup:
    """Patients from the files to the verdicts, with those who left at each step and why."""
    rows = [
        (f"Patients in the files: {flow.patients}", f"Not assessed: {flow.quarantined}", flow.quarantined_by),
        (f"Assessed: {flow.assessed}", f"Ineligible: {flow.ineligible}, by the first criterion", flow.ineligible_by),
        ("Nothing speaks against it", f"Undetermined: {flow.undetermined}", _named(flow.undetermined_by)),
    ]
    parts: list[str] = []
    top = 4
    for main, side, reasons in rows:
        height = max(54, 38 + _LINE * len(reasons))
        parts += _box(4, top, 210, 34, [main], is_strong=True)
        lines = [side, *(f"{_cut(text, _REASON)}: {number}" for text, number in reasons)]
        parts += _box(262, top, 454, height - 12, lines)
        parts.append(_arrow(214, top + 17, 262, top + 17))
        parts.append(_arrow(109, top + 34, 109, top + height + 4))
        top += height + 4
    parts += _box(4, top, 210, 46, ["Eligible,", f"for clinician review: {flow.eligible}"], is_strong=True)
    return _svg(top + 52, "Flow of patients", parts)


def _named(outlooks: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    return [(_OUTLOOKS.get(name, name), number) for name, number in outlooks]


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"


def _box(x: int, y: int, width: int, height: int, lines: Sequence[str], *, is_strong: bool = False) -> list[str]:
    weight = "strong" if is_strong else "soft"
    first = f'<rect x="{x}" y="{y}" width="{width}" height="{height}" class="box {weight}"/>'
    texts = [
        _text(x + 8, y + 16 + _LINE * number, line, "head" if is_strong or number == 0 else "")
        for number, line in enumerate(lines)
    ]
    return [first, *texts]


def _arrow(x1: int, y1: int, x2: int, y2: int) -> str:
    tip = (
        f"{x2 - 6},{y2 - 4} {x2},{y2} {x2 - 6},{y2 + 4}"
        if y1 == y2
        else f"{x2 - 4},{y2 - 6} {x2},{y2} {x2 + 4},{y2 - 6}"
    )
    return f'<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}"/><polygon points="{tip}"/>'


# -- bars --------------------------------------------------------------------------------------------

_LABEL, _STEP = 330, 24


def draw_bars(bars: Sequence[Bar], legend: Sequence[str]) -> Markup:
    """Bars from left to right; where there are two of each, the second is an outline around the first."""
    largest = max([1, *(max(one.size, one.other) for one in bars)])
    room = _WIDTH - _LABEL - 110
    parts = [_text(_LABEL, 12, " (filled)  and  ".join(legend) + (" (outline)" if len(legend) > 1 else ""), "small")]
    for number, one in enumerate(bars):
        y = 20 + number * _STEP
        parts.append(_text(_LABEL - 8, y + 12, _cut(one.label, _LABELLED), "right"))
        width = room * one.size / largest
        text = one.text
        if len(legend) > 1:
            wide = room * one.other / largest
            parts.append(f'<rect x="{_LABEL}" y="{y}" width="{wide:.1f}" height="16" class="outline"/>')
            text, width_of_text = f"{one.text} / {one.other_text}", max(wide, width)
        else:
            width_of_text = width
        parts.append(f'<rect x="{_LABEL}" y="{y + 3}" width="{width:.1f}" height="10" class="bar"/>')
        parts.append(_text(round(_LABEL + width_of_text + 5), y + 12, text))
    return _svg(26 + len(bars) * _STEP, "Bars", parts)


# -- combinations ------------------------------------------------------------------------------------

_LEFT, _COLUMN, _ROW, _BARS = 150, 34, 18, 110


def draw_upset(combinations: Sequence[Combination]) -> Markup:
    """How many patients fail which criteria together: a column a combination, a row a criterion."""
    if not combinations:
        return Markup()
    totals: Counter[str] = Counter()
    for one in combinations:
        for name in one.ids:
            totals[name] += one.size
    names = sorted(totals, key=lambda name: (-totals[name], name))
    parts = [*_columns(combinations), *_dots(combinations, names)]
    return _svg(_BARS + 34 + _ROW * len(names), "Combinations of criteria that patients fail", parts)


def _columns(combinations: Sequence[Combination]) -> Iterator[str]:
    largest = max(one.size for one in combinations) or 1
    for number, one in enumerate(combinations):
        x = _LEFT + 10 + number * _COLUMN
        height = (_BARS - 16) * one.size / largest
        kind = "bar" if one.ids else "outline"
        yield f'<rect x="{x}" y="{_BARS - height:.1f}" width="20" height="{height:.1f}" class="{kind}"/>'
        yield _text(x + 10, round(_BARS - height - 4), one.text, "middle")
        if not one.ids:
            yield _text(x + 10, _BARS + 14, "others", "middle small")


def _dots(combinations: Sequence[Combination], names: Sequence[str]) -> Iterator[str]:
    for row, name in enumerate(names):
        y = _BARS + 20 + row * _ROW
        yield _text(_LEFT - 8, y + 4, name, "right")
        for number, one in enumerate(combinations):
            if one.ids:
                kind = "dot" if name in one.ids else "none"
                yield f'<circle cx="{_LEFT + 20 + number * _COLUMN}" cy="{y}" r="5" class="{kind}"/>'
    for number, one in enumerate(combinations):
        rows = [names.index(name) for name in one.ids]
        if len(rows) > 1:
            x = _LEFT + 20 + number * _COLUMN
            low, high = (_BARS + 20 + row * _ROW for row in (min(rows), max(rows)))
            yield f'<line x1="{x}" y1="{low}" x2="{x}" y2="{high}" class="tie"/>'


# -- SVG ---------------------------------------------------------------------------------------------


def _text(x: int, y: int, text: str, kind: str = "") -> str:
    return f'<text x="{x}" y="{y}" class="{kind}">{escape(text)}</text>'


def _svg(height: int, title: str, parts: Iterable[str]) -> Markup:
    return Markup(  # noqa: S704 - every text in it is escaped above
        f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{escape(title)}" xmlns="http://www.w3.org/2000/svg">'
        f"<title>{escape(title)}</title>{''.join(parts)}</svg>"
    )
