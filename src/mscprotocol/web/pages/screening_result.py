"""What follows from a screening, in the order in which it is read: what is against and what is open come first."""

from __future__ import annotations

from mscprotocol.answer import Assessment
from mscprotocol.checklist_deciding import build_deciding
from mscprotocol.checklist_parts import VERDICTS, Fact, Table, in_words
from mscprotocol.checklist_patient import build_against, build_panel, build_summary, build_tier
from mscprotocol.checklist_trend import build_plot
from mscprotocol.knowledge import KnowledgeBase
from mscprotocol.plots import TrendPlot
from mscprotocol.web.pages.screening_fields import ScreeningForm


def places_of(form: ScreeningForm) -> dict[str, str]:
    """Where on the page each needed datum can be entered: its name to the id of its field."""
    fields = {one.name: f"f-{one.name}" for one in form.data} | {one.name: f"f-{one.name}" for one in form.lot}
    found = fields | {one.name: f"f-{one.name}" for one in (*form.conditions, *form.criteria)}
    return found | {f"{name}_change": place for name, place in fields.items()} | {"age": "born"}


class Result:
    """An answer as a page shows it; the parts are those of the printed checklist."""

    def __init__(self, answer: Assessment, knowledge: KnowledgeBase) -> None:
        self.answer = answer
        self.verdict, self.note = VERDICTS[answer.verdict]
        self.against: Table = build_against(answer)
        self.deciding: tuple[Fact, ...] = build_deciding(answer)
        self.facts: tuple[Fact, ...] = tuple(build_summary(answer, knowledge.protocols[answer.protocol.id], knowledge))
        self.tier: tuple[Fact, ...] = build_tier(answer)
        self.panel: Table = build_panel(answer, knowledge)
        self.plots: list[TrendPlot] = [
            build_plot(signal, answer.at, knowledge) for signal in answer.timing.signals if signal.points
        ]
        self.trend = in_words(answer.timing.trend)
