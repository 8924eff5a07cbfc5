"""Protocols in words on a terminal: which fit a patient, what there are, and every fact of one with its mark."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from io import StringIO

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mscprotocol.answer import Assessment
from mscprotocol.case import TRIGGERS
from mscprotocol.knowledge import KnowledgeBase
from mscprotocol.protocols import InformationOnly, Protocol
from mscprotocol.treatment import list_levels
from mscprotocol.wording import describe_quantity

_STYLES = {"eligible": "bold green", "ineligible": "bold red", "undetermined": "bold yellow"}
WIDTH = 132
INFORMATION = "information only"


def render_fits(answers: Sequence[Assessment], knowledge: KnowledgeBase, *, colour: bool) -> str:
    """Which protocols fit one patient: each with its verdict and the first reason; those for information are listed."""
    first = answers[0]
    table = Table("protocol", "for", "verdict", "dose", "first reason", box=None, pad_edge=False, header_style="bold")
    for answer in answers:
        outlook = f" ({answer.outlook.replace('_', ' ')})" if answer.outlook else ""
        verdict = f"[{_STYLES[answer.verdict]}]{answer.verdict}[/]{outlook}"
        title = knowledge.protocols[answer.protocol.id].short_title
        table.add_row(answer.protocol.id, escape(title), verdict, answer.dose.status, escape(first_reason(answer)))
    for card in knowledge.information.values():
        table.add_row(card.id, escape(card.short_title), INFORMATION, "none", "never assessed, never dosed")
    lines = (
        f"Patient/{first.patient.id}  {first.patient.name}  born {first.patient.born or 'unknown'}",
        f"stage {first.stage}  at {first.at}",
    )
    return _print([escape("\n".join(lines)), table, _FOOT], colour=colour)


_FOOT = "Each verdict stands for itself: none is better than another. Draft for clinician review - not an order."


def first_reason(answer: Assessment) -> str:
    """The first criterion against, else the first thing that is open, else why there is no dose."""
    for one in answer.criteria:
        if one.mandatory and one.status == ("met" if one.role in TRIGGERS else "not_met"):
            return f"{one.id} {one.status.replace('_', ' ')}: {one.text.strip()}"
    if answer.verdict == "undetermined" and answer.needed:
        need, more = answer.needed[0], len(answer.needed) - 1
        return f"open: {need.datum} ({', '.join(need.settles)})" + (f" and {more} more" if more else "")
    return " ".join(answer.dose.because) or "no criterion speaks against it, none is open"


def render_list(knowledge: KnowledgeBase, *, colour: bool) -> str:
    """Every protocol of the paper in a line."""
    table = Table("protocol", "indication", "dose levels", "infusions", "", box=None, pad_edge=False)
    for protocol in knowledge.protocols.values():
        count = protocol.schedule.count
        levels = f"{list_levels(protocol.dose.levels)}{_basis(protocol)}"
        infusions = f"up to {count}" if count > 1 else "1"
        table.add_row(protocol.id, escape(protocol.indication), levels, infusions, "assessed")
    for card in knowledge.information.values():
        table.add_row(card.id, escape(card.indication), f"none ({card.product.kind})", "none", INFORMATION)
    return _print([table], colour=colour)


def _basis(protocol: Protocol) -> str:
    basis = protocol.dose.weight_basis
    return "" if basis is None else f" ({basis} weight)"


def render_card(card: Protocol | InformationOnly, knowledge: KnowledgeBase) -> Iterator[str]:
    """One protocol: what it asks and gives, and each fact with its source and mark."""
    yield f"{card.id} {card.version}: {card.title}"
    yield f"Indication: {card.indication}"
    yield f"Product: {card.product.kind}, state {card.product.state}; route: {card.route}"
    if isinstance(card, Protocol):
        yield from _numbers(card)
        yield f"Criteria: {', '.join(card.criteria)}"
    else:
        yield "For information only: never assessed, never dosed, never scheduled."
        if card.criteria:
            yield f"Criteria of its registration, not asked: {', '.join(card.criteria)}"
    yield "Facts:"
    for fact in card.facts:
        sources = ", ".join(f"{one.id} {one.mark}" for one in fact.sources)
        yield f"  {fact.about}: {fact.text}{f' ({fact.note})' if fact.note else ''} [{sources}]"
    yield "Statements:"
    for name in card.statements:
        yield f"  {name}: {knowledge.criteria[name].text} [{knowledge.criteria[name].sources[0].mark}]"


def _numbers(protocol: Protocol) -> Iterator[str]:
    for level in protocol.dose.levels:
        note = f" ({level.note})" if level.note else ""
        yield f"Dose level: {describe_quantity(level.value)}{note} [{level.source} {level.mark}]"
    plan = protocol.schedule
    for label, number in (("Most infusions", plan.max_infusions), ("Interval", plan.interval)):
        if number is not None:
            note = f" ({number.note})" if number.note else ""
            yield f"{label}: {describe_quantity(number.value)}{note} [{number.source} {number.mark}]"


def _print(parts: Sequence[str | Table], *, colour: bool) -> str:
    buffer = StringIO()
    console = Console(file=buffer, width=WIDTH, force_terminal=colour, no_color=not colour, highlight=False)
    for part in parts:
        console.print(part)
    return "\n".join(line.rstrip() for line in buffer.getvalue().splitlines()) + "\n"
