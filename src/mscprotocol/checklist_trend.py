"""What a checklist prints about the trend: the plots of the signals and what they say."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from mscprotocol.answer import (
    Assessment,
    SignalItem,
)
from mscprotocol.checklist_parts import (
    Cell,
    Row,
    Table,
    in_words,
    or_unknown,
)
from mscprotocol.knowledge import KnowledgeBase
from mscprotocol.plots import PlotPoint, TrendPlot


def build_plot(signal: SignalItem, at: str, knowledge: KnowledgeBase) -> TrendPlot:
    """One signal as a plot."""
    now = datetime.fromisoformat(at)
    levels = knowledge.measurements["oxygen_support"].levels if signal.id == "oxygen_step" else ()
    points = tuple(
        PlotPoint((now - datetime.fromisoformat(moment)).total_seconds() / 3600, float(value), _level(value, levels))
        for moment, value in signal.points
    )
    return TrendPlot(signal.text, in_words(signal.state), "level" if levels else signal.unit, points)


def _level(value: str, levels: Sequence[str]) -> str:
    return in_words(levels[int(value)]) if levels and value.isdecimal() and int(value) < len(levels) else value


def build_signals(answer: Assessment, knowledge: KnowledgeBase) -> Table:
    """The signals of the trend in words."""
    mark = knowledge.definitions["deterioration"].sources[0].mark
    return Table(
        ("Signal", "State", "Points", "Projected change, agreement", "Would need"),
        tuple(_signal_row(signal, mark) for signal in answer.timing.signals),
    )


def _signal_row(signal: SignalItem, mark: str) -> Row:
    is_open = signal.state == "insufficient"
    change = "unknown (insufficient)" if is_open else "not by slope"
    if signal.projected_change is not None:
        change = f"{signal.projected_change} {signal.unit}".strip() + f", {or_unknown(signal.agreement)}"
    return Row(
        (
            Cell(signal.text, mark=mark),
            Cell("unknown (insufficient)" if is_open else in_words(signal.state)),
            Cell(str(len(signal.points))),
            Cell(change),
            Cell(signal.needs or "nothing more"),
        ),
        "open" if is_open else "",
    )
