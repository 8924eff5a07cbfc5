"""Trend plots and the schedule timeline as inline SVG: ink only, every state also in words.

Pixels are the only floats of the project: labels are the decimal text of the answer, never a rounded position.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

_WIDTH, _HEIGHT = 236, 122
_RIGHT, _TOP, _BOTTOM = 12, 30, 34
_LETTER = 5.1  # width of a letter of the labels beside the axis
_BAR_LEFT, _BAR_WIDTH, _BAR_STEP, _BAR_TOP = 128, 540, 27, 22
_FLOW_WIDTH, _FLOW_BOX, _FLOW_HEIGHT, _FLOW_STEP = 680, 150, 30, 46
_MARGIN_HOURS = 9.0
_STRIP_WIDTH, _STRIP_HEIGHT, _STRIP_LINE, _STRIP_REACH = 236, 46, 24, 92
_DAY = 24


@dataclass(frozen=True, slots=True)
class PlotPoint:
    """One value of a signal; `text` is the value as it is printed."""

    hours_before: float
    value: float
    text: str


@dataclass(frozen=True, slots=True)
class TrendPlot:
    """One signal with its points, oldest first."""

    title: str
    state: str
    unit: str
    points: tuple[PlotPoint, ...]


@dataclass(frozen=True, slots=True)
class TimelineBar:
    """One infusion; hours are counted from the start of the first."""

    label: str
    earliest: float
    planned: float
    latest: float
    status: str


@dataclass(frozen=True, slots=True)
class StripPoint:
    """A value by its distance from the limit; `text` is the value as it is printed."""

    distance: float
    text: str


@dataclass(frozen=True, slots=True)
class MarginStrip:
    """A value beside the limit of a comparison, with the other values that could have been taken."""

    limit: str
    holds_above: bool
    value: StripPoint
    others: tuple[StripPoint, ...]


def draw_trend(plot: TrendPlot) -> str:
    """A small plot: line with points over the hours before the evaluation, lowest and highest value labelled."""
    span, left = _span_hours(plot), _left(plot)
    low, high = _ends(plot)
    spots = [
        (_trend_x(point.hours_before, span, left), _trend_y(point, low.value, high.value)) for point in plot.points
    ]
    unit = f" {plot.unit}" if plot.unit else ""
    told = "; ".join(f"{_hours(point)} h before: {point.text}{unit}" for point in plot.points)
    parts = [
        _text(0, 11, plot.title, weight="bold"),
        _text(_WIDTH, 11, plot.state, anchor="end"),
        _text(0, 23, plot.unit or "no unit", size=7.5),
        *_frame(low, high, left),
        *_hour_ticks(span, left),
        _polyline(spots),
        *(_dot(x, y, is_last=(x, y) == spots[-1]) for x, y in spots),
    ]
    return _svg(_WIDTH, _HEIGHT, f"{plot.title}: {plot.state}", told, parts)


def draw_timeline(bars: Sequence[TimelineBar]) -> str:
    """The course: one bar an infusion from earliest to latest, a diamond where it is planned."""
    height = _BAR_TOP + _BAR_STEP * len(bars) + 22
    end = max(bar.latest for bar in bars) + _MARGIN_HOURS
    told = "; ".join(
        f"{bar.label}: from {bar.earliest:g} h to {bar.latest:g} h, planned at {bar.planned:g} h, {bar.status}"
        for bar in bars
    )
    parts = [*_day_lines(end, height)]
    for place, bar in enumerate(bars):
        parts.extend(_bar(bar, _BAR_TOP + _BAR_STEP * place, end))
    width = _BAR_LEFT + _BAR_WIDTH
    return _svg(width, height, "Course of infusions, in days from the start of the first", told, parts)


def draw_consort(boxes: Sequence[tuple[str, str]]) -> str:
    """A flow diagram: one box under the other, each with what branches off beside it."""
    parts = []
    for place, (words, aside) in enumerate(boxes):
        top = 4 + place * _FLOW_STEP
        parts += [_outline(4, top, _FLOW_BOX, _FLOW_HEIGHT), _text(14, top + 19, words, weight="bold")]
        if place:
            parts.append(_line(4 + _FLOW_BOX / 2, top - (_FLOW_STEP - _FLOW_HEIGHT), 4 + _FLOW_BOX / 2, top))
        if aside:
            middle = top + _FLOW_HEIGHT / 2
            parts += [_line(4 + _FLOW_BOX, middle, 24 + _FLOW_BOX, middle), _text(30 + _FLOW_BOX, middle + 4, aside)]
    told = "; ".join(f"{words}{f' ({aside})' if aside else ''}" for words, aside in boxes)
    return _svg(_FLOW_WIDTH, 8 + len(boxes) * _FLOW_STEP, "Flow of subjects", told, parts)


def _outline(x: float, y: float, width: float, height: float) -> str:
    return (
        f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" fill="none" stroke="currentColor" '
        'stroke-width="1"/>'
    )


def draw_margin(strip: MarginStrip) -> str:
    """A line with the limit in its middle: the side where the comparison holds is shaded, the value is the spot."""
    middle, half = _STRIP_WIDTH / 2, _STRIP_WIDTH / 2 - 1
    reach = max(abs(point.distance) for point in (strip.value, *strip.others)) or 1.0
    told = f"value {strip.value.text}, limit {strip.limit}"
    told += "".join(f"; {point.text}" for point in strip.others)
    x = middle + strip.value.distance / reach * _STRIP_REACH
    parts = [
        _rect(middle if strip.holds_above else 1, _STRIP_LINE - 6, half, 12),
        _text(_STRIP_WIDTH - 2 if strip.holds_above else 3, _STRIP_LINE + 18, "holds", size=7.5,
              anchor="end" if strip.holds_above else "start"),
        _line(1, _STRIP_LINE, _STRIP_WIDTH - 1, _STRIP_LINE),
        _line(middle, _STRIP_LINE - 10, middle, _STRIP_LINE + 10),
        _text(middle, _STRIP_LINE + 19, strip.limit, size=8, anchor="middle"),
        *(_ring(middle + point.distance / reach * _STRIP_REACH, _STRIP_LINE) for point in strip.others),
        _dot(x, _STRIP_LINE, is_last=True),
        _text(min(max(x, 30), _STRIP_WIDTH - 30), 10, strip.value.text, size=8, anchor="middle", weight="bold"),
    ]  # fmt: skip
    return _svg(_STRIP_WIDTH, _STRIP_HEIGHT, f"{strip.value.text} beside the limit {strip.limit}", told, parts)


# -- trend -----------------------------------------------------------------------------------------


def _ends(plot: TrendPlot) -> tuple[PlotPoint, PlotPoint]:
    by_value = sorted(plot.points, key=lambda point: point.value)
    return by_value[0], by_value[-1]


def _span_hours(plot: TrendPlot) -> int:
    """Whole days that hold every point, at least one."""
    oldest = max(point.hours_before for point in plot.points)
    return max(_DAY, -int(-oldest // _DAY) * _DAY)


def _left(plot: TrendPlot) -> float:
    """Room for the longest of the two labels beside the axis."""
    return 12 + _LETTER * max(len(point.text) for point in _ends(plot))


def _trend_x(hours: float, span: int, left: float) -> float:
    return left + (1 - hours / span) * (_WIDTH - left - _RIGHT)


def _trend_y(point: PlotPoint, low: float, high: float) -> float:
    share = 0.5 if high == low else (point.value - low) / (high - low)
    return _HEIGHT - _BOTTOM - 5 - share * (_HEIGHT - _TOP - _BOTTOM - 10)


def _frame(low: PlotPoint, high: PlotPoint, left: float) -> Iterator[str]:
    base = _HEIGHT - _BOTTOM
    yield _line(left, _TOP - 4, left, base)
    yield _line(left, base, _WIDTH - _RIGHT, base)
    ends = (high,) if low.value == high.value else (high, low)
    for point in ends:
        y = _trend_y(point, low.value, high.value)
        yield _line(left - 3, y, left, y)
        yield _text(left - 5, y + 3, point.text, size=8, anchor="end")


def _hour_ticks(span: int, left: float) -> Iterator[str]:
    step = _DAY if span > _DAY else 6
    for hours in range(0, span + 1, step):
        x = _trend_x(hours, span, left)
        yield _line(x, _HEIGHT - _BOTTOM, x, _HEIGHT - _BOTTOM + 3)
        yield _text(x, _HEIGHT - _BOTTOM + 12, str(hours), size=8, anchor="middle")
    yield _text(_trend_x(span / 2, span, left), _HEIGHT - 4, "hours before evaluation", size=7.5, anchor="middle")


def _polyline(spots: Sequence[tuple[float, float]]) -> str:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in spots)
    return f'<polyline points="{path}" fill="none" stroke="currentColor" stroke-width="1.1"/>'


def _dot(x: float, y: float, *, is_last: bool) -> str:
    """A ring; the latest value is a larger filled spot, so that it is found without colour."""
    if is_last:
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.4" fill="currentColor"/>'
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="1.9" fill="currentColor"/>'


def _hours(point: PlotPoint) -> str:
    return f"{point.hours_before:.1f}".removesuffix(".0")


# -- timeline --------------------------------------------------------------------------------------


def _bar_x(hours: float, end: float) -> float:
    return _BAR_LEFT + (hours + _MARGIN_HOURS) / (end + _MARGIN_HOURS) * (_BAR_WIDTH - 6)


def _day_lines(end: float, height: float) -> Iterator[str]:
    for day in range(int(end // _DAY) + 1):
        x = _bar_x(day * _DAY, end)
        yield _line(x, _BAR_TOP - 8, x, height - 20, dash="1 3")
        yield _text(x, 10, f"D{day}", size=8, anchor="middle")
        yield _text(x, height - 8, f"D{day + 1}", size=8, anchor="middle")
    yield _text(0, 10, "counted from day 0", size=8)
    yield _text(0, height - 8, "counted from day 1", size=8)


def _bar(bar: TimelineBar, top: float, end: float) -> Iterator[str]:
    first, planned, last = (_bar_x(hours, end) for hours in (bar.earliest, bar.planned, bar.latest))
    middle = top + 9
    yield _text(0, middle + 3, f"{bar.label}: {bar.status}", size=9)
    if last > first:
        yield (
            f'<rect x="{first:.1f}" y="{top + 4:.1f}" width="{last - first:.1f}" height="10" fill="currentColor" '
            'fill-opacity="0.14" stroke="currentColor" stroke-width="0.9"/>'
        )
    corners = (
        f"{planned:.1f},{middle - 7} {planned + 6:.1f},{middle} {planned:.1f},{middle + 7} {planned - 6:.1f},{middle}"
    )
    yield f'<polygon points="{corners}" fill="currentColor"/>'


# -- ink -------------------------------------------------------------------------------------------


def _svg(width: float, height: float, title: str, told: str, parts: Sequence[str]) -> str:
    return (
        f'<svg role="img" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'font-family="DejaVu Sans, Arial, sans-serif">'
        f"<title>{escape(title)}</title><desc>{escape(told)}</desc>{''.join(parts)}</svg>"
    )


def _line(x1: float, y1: float, x2: float, y2: float, dash: str = "") -> str:
    dashed = f' stroke-dasharray="{dash}"' if dash else ""
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="currentColor" '
        f'stroke-width="0.8"{dashed}/>'
    )


def _rect(x: float, y: float, width: float, height: float) -> str:
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="currentColor" '
        'fill-opacity="0.12"/>'
    )


def _ring(x: float, y: float) -> str:
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="none" stroke="currentColor" stroke-width="1.1"/>'


def _text(x: float, y: float, words: str, *, size: float = 9.5, anchor: str = "start", weight: str = "normal") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" font-weight="{weight}" '
        f'fill="currentColor">{escape(words)}</text>'
    )
