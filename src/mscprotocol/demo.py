"""The main job on the sample patients that ship: a table of verdicts, and a checklist each."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.table import Table

from mscprotocol.answer import Assessment
from mscprotocol.knowledge import KnowledgeBase
from mscprotocol.rendering import render_html
from mscprotocol.sample_cases import assess_sample, find_samples

_STYLES = {"eligible": "green", "ineligible": "red", "undetermined": "yellow"}


def run_demo(knowledge: KnowledgeBase, out: Path, console: Console) -> None:
    """Assess every sample, write its checklist, and print the table of verdicts."""
    out.mkdir(parents=True, exist_ok=True)
    table = Table("patient", "verdict", "severity (NHC)", "tier", "trend", "dose", "what decides or is open", box=None)
    samples = list(find_samples())
    for sample in track(samples, "Assessing", console=console, disable=not console.is_terminal):
        answer = assess_sample(sample, knowledge)
        (out / f"{sample.name}.html").write_text(render_html(answer, knowledge), encoding="utf-8")
        style = _STYLES[answer.verdict]
        table.add_row(
            sample.name,
            f"[{style}]{answer.verdict}[/]" + (f" ({answer.outlook.replace('_', ' ')})" if answer.outlook else ""),
            _or_at_least(answer.severity["nhc"].class_, answer.severity["nhc"].at_least),
            _or_at_least(answer.coagulopathy.tier, answer.coagulopathy.at_least),
            answer.timing.trend,
            answer.dose.status,
            _why(answer),
        )
    console.print(table)
    console.print(f"{len(samples)} checklists to print: {out}/*.html")
    console.print("Research pre-screening only: drafts for clinician review, not orders.")


def _or_at_least(name: str, at_least: str | None) -> str:
    return f">= {at_least}" if name == "unknown" and at_least else name


def _why(answer: Assessment) -> str:
    against = [
        one.id for one in answer.criteria
        if one.mandatory and one.status == ("met" if one.role == "exclusion" else "not_met")
    ]  # fmt: skip
    if against:
        return ", ".join(against)
    missing = [need.datum for need in answer.needed]
    return "; ".join(missing[:2]) + (f"; {len(missing) - 2} more" if len(missing) > 2 else "")
