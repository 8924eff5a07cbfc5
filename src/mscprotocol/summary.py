"""An answer as a short, honest summary on a terminal: what is open comes first."""

from __future__ import annotations

from io import StringIO

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mscprotocol.answer import FRAGILE, Assessment
from mscprotocol.checklist_deciding import build_deciding

_STYLES = {"eligible": "bold green", "ineligible": "bold red", "undetermined": "bold yellow"}
_VERDICTS = {
    "eligible": "ELIGIBLE, for clinician review",
    "ineligible": "INELIGIBLE",
    "undetermined": "UNDETERMINED",
}
_OUTLOOKS = {
    "possible": "possible: only bedside answers are open",
    "needs_data": "data are missing",
    "no_indication": "nothing in the record points to the indication",
}
_TRIGGERS = ("exclusion", "safety", "warning")
WIDTH = 112
MOST_NOTES = 5


def render_text(answer: Assessment, *, colour: bool) -> str:
    """The summary as text, with terminal colours or without."""
    buffer = StringIO()
    console = Console(file=buffer, width=WIDTH, force_terminal=colour, no_color=not colour, highlight=False)
    _head(console, answer)
    _reasons(console, answer)
    _fragile(console, answer)
    _open_items(console, answer)
    _deciding(console, answer)
    _state(console, answer)
    _treatment(console, answer)
    _notes(console, answer)
    console.print("Draft for clinician review - not an order. Research pre-screening only.", style="dim")
    return "\n".join(line.rstrip() for line in buffer.getvalue().splitlines()) + "\n"


def _head(console: Console, answer: Assessment) -> None:
    verdict = _VERDICTS[answer.verdict]
    outlook = f" ({_OUTLOOKS[answer.outlook]})" if answer.outlook else ""
    console.print(f"{verdict}{outlook}", style=_STYLES[answer.verdict])
    console.print(
        escape(
            f"Patient/{answer.patient.id}  {answer.patient.name}  born {answer.patient.born or 'unknown'}\n"
            f"{answer.protocol.id} {answer.protocol.version}  stage {answer.stage}  "
            f"at {answer.at}"
        )
    )
    if answer.valid_until:
        console.print(f"valid until {answer.valid_until} ({answer.expires_first} expires first)")


def _reasons(console: Console, answer: Assessment) -> None:
    for one in answer.criteria:
        violated = one.status == ("met" if one.role in _TRIGGERS else "not_met")
        if one.mandatory and violated:
            used = "; ".join(f"{e.reference} {e.value or e.as_received}" for e in one.evidence if e.used)
            console.print(escape(f"  - {one.id} {one.text.strip()}  [{used or '; '.join(one.because)}]"), style="red")


def _fragile(console: Console, answer: Assessment) -> None:
    """Each value of a window that would turn the verdict."""
    for note in answer.warnings:
        if note.text.startswith(FRAGILE.split("{}")[0]):
            console.print(escape(f"  ! {note.text}"), style="yellow")


def _open_items(console: Console, answer: Assessment) -> None:
    if not answer.needed:
        return
    table = Table("open", "why", "settles", "could", box=None, pad_edge=False, header_style="bold")
    for need in answer.needed:
        code = f" ({', '.join(need.codes)})" if need.codes else ""
        bedside = " *" if need.bedside else ""
        table.add_row(
            escape(f"{need.datum}{code}{bedside}"),
            need.reason.replace("_", " "),
            ", ".join(need.settles),
            " or ".join(need.could),
        )
    console.print(table)
    if any(need.bedside for need in answer.needed):
        console.print("* can be answered at the bedside", style="dim")


def _deciding(console: Console, answer: Assessment) -> None:
    """The smallest sets of data that could settle the verdict."""
    for fact in build_deciding(answer):
        console.print(escape(f"{fact.label}: {fact.value}"), style="bold")
        for line in fact.notes:
            console.print(escape(f"  {line.text}"))


def _state(console: Console, answer: Assessment) -> None:
    parts = []
    for short, one in answer.severity.items():
        least = f" (at least {one.at_least})" if one.class_ == "unknown" and one.at_least else ""
        parts.append(f"{short.upper()} {one.class_}{least}")
    console.print("Severity: " + ", ".join(parts))
    tier = answer.coagulopathy
    least = f" (at least {tier.at_least})" if tier.tier == "unknown" and tier.at_least else ""
    scores = ", ".join(
        f"{name.removesuffix('_isth').replace('_', ' ').upper()} "
        f"{one.low if one.low == one.high else f'{one.low}-{one.high}'}"
        for name, one in answer.scores.items()
    )
    console.print(f"Coagulopathy tier: {tier.tier}{least}.  Scores: {scores}.  Trend: {answer.timing.trend}")


def _notes(console: Console, answer: Assessment) -> None:
    """What was seen in the input and not used: the first lines, and how many more there are."""
    for note in answer.data_quality[:MOST_NOTES]:
        console.print(escape(f"  note: {note.about}: {note.text}"), style="yellow")
    more = len(answer.data_quality) - MOST_NOTES
    if more > 0:
        console.print(f"  and {more} more notes on the data (see --format json)", style="yellow")


def _treatment(console: Console, answer: Assessment) -> None:
    dose = answer.dose
    if dose.cells is None:
        console.print(f"Dose: {dose.status}. " + " ".join(dose.because))
    else:
        volume = f", {dose.volume_ml} mL" if dose.volume_ml else ""
        console.print(
            f"Dose: {dose.status}. {dose.cells_per_kg} cells/kg x {dose.weight_kg} kg ({dose.weight_basis}) = "
            f"{dose.cells} {dose.cell_basis} cells{volume}. " + " ".join((*dose.because, *dose.warnings))
        )
    if answer.gate is not None:
        gate = answer.gate
        console.print(escape(f"Gate before infusion {gate.infusion}: {gate.decision}. " + "; ".join(gate.because)))
    if dose.reduced_proposal:
        console.print(dose.reduced_proposal)
    for row in answer.schedule:
        console.print(
            f"  infusion {row.infusion}  {row.planned}  day {row.day_from_0}"
            f" (day {row.day_from_1} from 1)  {row.status}"
        )
