"""The protocol checklist as printable data: an answer put into sections, tables and questions, with no layout.

What is unknown is always printed as a word with its reason; a cell that is empty is one for a person to write in.
"""

from __future__ import annotations

from dataclasses import dataclass

from mscprotocol.answer import (
    Assessment,
)
from mscprotocol.checklist_course import (
    build_dose,
    build_hashes,
    build_infusions,
    build_proposal,
    build_schedule,
    build_schedule_notes,
    build_sources,
    build_statements,
    build_timeline,
    build_why_no_infusions,
)
from mscprotocol.checklist_deciding import build_deciding
from mscprotocol.checklist_margins import PrintedMargin, build_margins
from mscprotocol.checklist_parts import BANNER, MARKS, VERDICTS, Cell, Fact, InfusionSheet, Line, Row, Table
from mscprotocol.checklist_patient import (
    build_against,
    build_conflicts,
    build_criteria,
    build_identity,
    build_later,
    build_open_items,
    build_panel,
    build_running,
    build_scores,
    build_summary,
    build_tier,
)
from mscprotocol.checklist_trend import build_plot, build_signals
from mscprotocol.knowledge import KnowledgeBase
from mscprotocol.plots import TimelineBar, TrendPlot


@dataclass(frozen=True, slots=True)
class PrintedChecklist:
    """The whole sheet, in the order in which it is printed: what is open comes first."""

    title: str
    protocol: str
    running_identity: str
    running_protocol: str
    running_validity: str
    banner: Line
    identity: tuple[Fact, ...]
    verdict: str
    verdict_note: str
    facts: tuple[Fact, ...]
    deciding: tuple[Fact, ...]
    open_items: Table
    against: Table
    warnings: tuple[Line, ...]
    conflicts: tuple[Line, ...]
    criteria: Table
    margins: tuple[PrintedMargin, ...]
    later: Table
    tier: tuple[Fact, ...]
    panel: Table
    scores: Table
    plots: tuple[TrendPlot, ...]
    signals: Table
    dose: tuple[Fact, ...]
    dose_lines: Table
    dose_notes: tuple[Line, ...]
    has_dose: bool
    proposal: Line | None
    schedule: Table
    schedule_notes: tuple[Line, ...]
    timeline: tuple[TimelineBar, ...]
    infusions: tuple[InfusionSheet, ...]
    no_infusions: str
    marks: tuple[Fact, ...]
    statements: tuple[Line, ...]
    sources: Table
    quality: tuple[Line, ...]
    hashes: tuple[Fact, ...]


def build_checklist(answer: Assessment, knowledge: KnowledgeBase) -> PrintedChecklist:
    """Everything that the printed checklist says about one assessment."""
    protocol = knowledge.protocols[answer.protocol.id]
    practice = knowledge.practices[protocol.practice]
    verdict, verdict_note = VERDICTS[answer.verdict]
    banner = knowledge.criteria[BANNER]
    lines = answer.dose.lines
    return PrintedChecklist(
        title=f"Protocol checklist: {protocol.short_title}",
        protocol=answer.protocol.title,
        **build_running(answer),
        banner=Line(banner.text, banner.sources[0].mark),
        identity=build_identity(answer),
        verdict=verdict,
        verdict_note=verdict_note,
        facts=tuple(build_summary(answer, protocol, knowledge)),
        deciding=build_deciding(answer),
        open_items=build_open_items(answer, knowledge),
        against=build_against(answer),
        warnings=tuple(
            Line(f"{n.about}: {n.text}", n.mark or "") for n in answer.warnings if n.about not in protocol.statements
        ),
        conflicts=tuple(build_conflicts(answer)),
        criteria=build_criteria(answer),
        margins=build_margins(answer),
        later=build_later(answer),
        tier=build_tier(answer),
        panel=build_panel(answer, knowledge),
        scores=build_scores(answer, knowledge),
        plots=tuple(build_plot(signal, answer.at, knowledge) for signal in answer.timing.signals if signal.points),
        signals=build_signals(answer, knowledge),
        dose=tuple(build_dose(answer)),
        dose_lines=Table(
            ("Step", "Working", "Result", "Source"),
            tuple(
                Row((Cell(one.label), Cell(one.working), Cell(one.result), Cell(one.source, mark=one.mark)))
                for one in lines
            ),
        ),
        dose_notes=tuple(Line(text) for text in answer.dose.warnings),
        has_dose=bool(lines),
        proposal=build_proposal(answer, protocol),
        schedule=build_schedule(answer),
        schedule_notes=tuple(build_schedule_notes(answer, protocol, practice)),
        timeline=build_timeline(answer.schedule),
        infusions=tuple(build_infusions(answer, knowledge.checklists[practice.checklist], knowledge)),
        no_infusions=build_why_no_infusions(answer),
        marks=tuple(Fact(mark, words) for mark, words in MARKS.items()),
        statements=tuple(build_statements(protocol, knowledge)),
        sources=build_sources(answer, protocol, knowledge),
        quality=tuple(Line(f"{note.about}: {note.text}") for note in answer.data_quality),
        hashes=build_hashes(answer),
    )
