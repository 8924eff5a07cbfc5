"""What a checklist prints about the course: dose, schedule, the sheet of each infusion, and the legend."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from mscprotocol.answer import (
    Assessment,
    CriterionResult,
    ScheduleRow,
)
from mscprotocol.checklist_parts import (
    MOST_KNOWN,
    Cell,
    Fact,
    InfusionSheet,
    Line,
    Question,
    QuestionGroup,
    Row,
    Table,
    cells,
    graded,
    in_words,
    in_zone_of,
    or_unknown,
    print_instant,
    reasons,
    utc,
)
from mscprotocol.checklist_patient import build_severity, build_status, is_against, is_later
from mscprotocol.fingerprint import short_code
from mscprotocol.knowledge import KnowledgeBase
from mscprotocol.knowledge_forms import ConclusionLeaf
from mscprotocol.plots import TimelineBar
from mscprotocol.protocols import Checklist, ChecklistItem, Practice, Protocol, Schedule, Sourced
from mscprotocol.schedule import CLOSED, TAKEN_PLACE


def build_dose(answer: Assessment) -> Iterator[Fact]:
    """The dose, or why it is withheld."""
    dose = answer.dose
    yield Fact("Status", dose.status, tuple(Line(text) for text in dose.because))
    if dose.weight_kg is not None:
        yield Fact("Weight", f"{dose.weight_kg} kg ({dose.weight_basis or 'basis unknown'})", tuple(_weight(answer)))
    for label, value, unit in _amounts(answer):
        if dose.lines:
            yield Fact(label, f"{value} {unit}".strip() if value is not None else "unknown (the lot does not say)")


def build_proposal(answer: Assessment, protocol: Protocol) -> Line | None:
    """A lower dose that a clinician may sign; never part of the plan by itself."""
    text, number = answer.dose.reduced_proposal, protocol.dose.reduced_proposal
    return None if text is None else Line(text, number.mark if number is not None else "")


def _weight(answer: Assessment) -> Iterator[Line]:
    dose = answer.dose
    yield Line(
        f"{or_unknown(dose.weight_source)}, {print_instant(dose.weight_at and in_zone_of(answer.at, dose.weight_at))}"
    )
    predicted = dose.predicted_weight_kg
    if predicted is None:
        yield Line("predicted weight: unknown (height or sex is missing)")
    else:
        yield Line(f"predicted weight {predicted} kg; actual to predicted {or_unknown(dose.actual_to_predicted)}")


def _amounts(answer: Assessment) -> tuple[tuple[str, str | None, str], ...]:
    dose = answer.dose
    capped = " (capped)" if dose.capped else ""
    return (
        ("Cells an infusion", None if dose.cells is None else cells(dose.cells) + capped, dose.cell_basis or ""),
        ("Volume", dose.volume_ml, "mL"),
        ("Bags", None if dose.bags is None else str(dose.bags), ""),
        ("Rate", dose.rate_ml_h, "mL/h"),
        ("DMSO", dose.dmso_g_per_kg, "g/kg"),
        ("Endotoxin", dose.endotoxin_eu_per_kg, "EU/kg"),
    )


# -- 6 schedule ------------------------------------------------------------------------------------


def build_schedule(answer: Assessment) -> Table:
    """The infusions of the course."""
    head = ("Infusion", "Earliest", "Planned", "Latest", "Day (from 0)", "Day (from 1)", "Status")
    return Table(head, tuple(_schedule_row(row) for row in answer.schedule), build_why_no_infusions(answer))


def _schedule_row(row: ScheduleRow) -> Row:
    moments = (Cell(print_instant(one), (utc(one),)) for one in (row.earliest, row.planned, row.latest))
    days = (Cell(f"Day {row.day_from_0}"), Cell(f"Day {row.day_from_1}"))
    return Row((Cell(str(row.infusion)), *moments, *days, Cell(_schedule_status(row), tuple(_deviation(row)))))


def _deviation(row: ScheduleRow) -> Iterator[Line]:
    """That an infusion was given against the protocol: what the gate said then, and why it was given all the same."""
    if (found := row.deviation) is not None:
        yield Line(f"Protocol deviation. Gate of then: {found.gate} ({'; '.join(found.because)}). Why: {found.reason}")


def _schedule_status(row: ScheduleRow) -> str:
    words = {"given": "infused, as recorded", "stopped": "stopped, as recorded"}
    return words.get(row.status) or in_words(row.status)


def build_why_no_infusions(answer: Assessment) -> str:
    """Why there is no schedule."""
    if answer.schedule:
        return ""
    excluding = ", ".join(one.id for one in answer.criteria if is_against(one))
    if answer.verdict == "ineligible":
        return f"No infusion is scheduled and no boxes are printed: the patient is ineligible ({excluding})."
    return f"No infusion is scheduled and no boxes are printed: {'; '.join(answer.dose.because) or answer.verdict}."


def build_schedule_notes(answer: Assessment, protocol: Protocol, practice: Practice) -> Iterator[Line]:
    """How the schedule was computed."""
    for label, number in _schedule_numbers(protocol.schedule, practice):
        yield _number(label, number)
    if any(row.status == "conditional" for row in answer.schedule):
        yield Line("Conditional: the verdict is open. No infusion follows from this plan until it is settled.")
    if any(row.status == CLOSED for row in answer.schedule):
        yield Line("Closed: as things stand nothing more is to be given, and no boxes are printed for it.")
    if answer.dose.status == "withheld" and answer.schedule:
        yield Line(f"The dose is withheld, so no infusion follows from this plan. {' '.join(answer.dose.because)}")


def _schedule_numbers(plan: Schedule, practice: Practice) -> Iterator[tuple[str, Sourced]]:
    """The numbers of a course; a single infusion has no spacing and never closes."""
    if plan.interval and plan.earliest and plan.latest:
        yield "Reading in use, from start to start", plan.interval
        yield "Most infusions", plan.max_infusions
        yield "Earliest", plan.earliest
        yield "Latest", plan.latest
        yield "Course closes", practice.closes
    else:
        yield "Most infusions", plan.max_infusions
    yield "A release lapses", practice.release_valid


def _number(label: str, number: Sourced) -> Line:
    unit = number.value.unit.strip("{}")
    note = f" ({number.note})" if number.note else ""
    return Line(f"{label}: {number.value.value} {unit}{note} [{number.source}]", number.mark)


def build_timeline(rows: Sequence[ScheduleRow]) -> tuple[TimelineBar, ...]:
    """The schedule as a picture."""
    if not rows:
        return ()
    first = datetime.fromisoformat(rows[0].planned)

    def hours(text: str) -> float:
        return (datetime.fromisoformat(text) - first).total_seconds() / 3600

    return tuple(
        TimelineBar(
            f"Infusion {row.infusion}",
            hours(row.earliest),
            hours(row.planned),
            hours(row.latest),
            _schedule_status(row),
        )
        for row in rows
    )


# -- 7 infusions -----------------------------------------------------------------------------------


def build_infusions(answer: Assessment, checklist: Checklist, knowledge: KnowledgeBase) -> Iterator[InfusionSheet]:
    """The sheet of each infusion that was given or is to come; an end of the course leaves the others without one."""
    blocks = (
        "An answer that is Unknown or left out holds the infusion. Known so far, in italics: (bedside) no record is "
        f"asked, only a person there can say; (not asked yet) belongs to a stage after {answer.stage}."
    )
    later = "To be observed: the record says nothing yet. An answer left out holds the next infusion."
    protocol = knowledge.protocols[answer.protocol.id]
    for row in answer.schedule:
        if row.status == CLOSED:
            continue
        before, during, after = (
            [item for item in items if protocol.asks(item, row.infusion)]
            for items in (_of_protocol(checklist.before, protocol, knowledge), checklist.during, checklist.after)
        )
        groups = [
            QuestionGroup("Before", blocks, tuple(_question(item, answer, knowledge) for item in before)),
            QuestionGroup("During", later, tuple(_later_question(item) for item in during)),
            QuestionGroup("After", later, tuple(_later_question(item) for item in after)),
        ]
        is_past = row.status in TAKEN_PLACE
        yield InfusionSheet(
            f"Infusion {row.infusion}: day {row.day_from_0} (counted from 0), day {row.day_from_1} (counted from 1)",
            tuple(_sheet_lines(row)),
            tuple(groups[2:] if is_past else groups),
        )


def _of_protocol(items: Sequence[ChecklistItem], protocol: Protocol, knowledge: KnowledgeBase) -> list[ChecklistItem]:
    """The lines of a shared checklist less those about a criterion that the protocol does not ask."""
    others = {name for name, one in knowledge.criteria.items() if one.when is not None} - set(protocol.criteria)
    return [item for item in items if item.criterion not in others]


def _sheet_lines(row: ScheduleRow) -> Iterator[Line]:
    label = "started" if row.status in TAKEN_PLACE else "planned"
    yield Line(f"Status: {_schedule_status(row)} · {label} {print_instant(row.planned)} · {utc(row.planned).text}")
    yield from _deviation(row)
    if row.status in TAKEN_PLACE:
        yield Line("The record says that this infusion took place: only the questions after it are printed.")
    elif row.status == "conditional":
        yield Line(f"{in_words(row.status).capitalize()}: hold. No infusion follows from this sheet as it stands.")


def _question(item: ChecklistItem, answer: Assessment, knowledge: KnowledgeBase) -> Question:
    return Question(item.text, item.mark, item.criterion or "", item.entry, _known(item, answer, knowledge))


def _later_question(item: ChecklistItem) -> Question:
    return Question(item.text, item.mark, item.criterion or "", item.entry, "")


def _known(item: ChecklistItem, answer: Assessment, knowledge: KnowledgeBase) -> str:
    """What the record says of a question, or why it is unknown."""
    if item.criterion is None:
        return "unknown (bedside)"
    found = next((one for one in answer.criteria if one.id == item.criterion), None)
    if found is None:
        return "unknown (bedside)"
    if is_later(found, answer):
        return "unknown (not asked yet)"
    values = _concluded(found.id, answer, knowledge) or _known_values(found)
    if found.status == "unknown":
        return f"unknown ({reasons(found)})" + (f"; record says: {values}" if values else "")
    if item.entry != "yes_no":
        return (
            f"record says: {values}"
            if values
            else f"unknown (value not in the answer); record says: {build_status(found)}"
        )
    return f"record says: {_answer_word(found)}" + (f" ({values})" if values else "")


def _concluded(name: str, answer: Assessment, knowledge: KnowledgeBase) -> str:
    """The class, tier or trend that a criterion reads, where it reads one."""
    leaf, protocol = knowledge.criteria[name].when, knowledge.protocols[answer.protocol.id]
    if not isinstance(leaf, ConclusionLeaf):
        return ""
    tier = answer.coagulopathy
    concluded = {
        protocol.severity: f"{build_severity(answer, protocol).value}; values in section 2",
        protocol.tier: f"tier {graded(tier.tier, tier.at_least)}; values in section 3",
        protocol.trend: f"{in_words(answer.timing.trend)}; values in section 4",
    }
    return concluded.get(leaf.conclusion, "")


def _known_values(found: CriterionResult) -> str:
    used = [one for one in found.evidence if one.used and one.value]
    told = [f"{one.datum} {one.value}, {print_instant(one.at)}" for one in used[:MOST_KNOWN]]
    return "; ".join([*told, *([f"and {len(used) - MOST_KNOWN} more in section 2"] if len(used) > MOST_KNOWN else [])])


def _answer_word(found: CriterionResult) -> str:
    return {"met": "Yes", "not_met": "No"}.get(found.status, in_words(found.status))


# -- 8 legend --------------------------------------------------------------------------------------


def build_statements(protocol: Protocol, knowledge: KnowledgeBase) -> Iterator[Line]:
    """What the protocol prints with every answer."""
    for name in protocol.statements:
        criterion = knowledge.criteria[name]
        yield Line(f"{name}: {criterion.text}", criterion.sources[0].mark)


def build_sources(answer: Assessment, protocol: Protocol, knowledge: KnowledgeBase) -> Table:
    """The bibliography of this sheet."""
    names = dict.fromkeys(_used_sources(answer, protocol, knowledge))
    rows = tuple(
        Row((Cell(name), Cell(knowledge.sources[name].citation), Cell(knowledge.sources[name].read)))
        for name in sorted(names)
        if name in knowledge.sources
    )
    return Table(("Source", "Citation", "What of it was read"), rows)


def _used_sources(answer: Assessment, protocol: Protocol, knowledge: KnowledgeBase) -> Iterator[str]:
    numbers = _schedule_numbers(protocol.schedule, knowledge.practices[protocol.practice])
    yield from (source.id for one in answer.criteria for source in one.sources)
    yield from (line.source for line in answer.dose.lines)
    yield from (number.source for _, number in numbers)
    used: Iterable[str] = filter(None, (*answer.scores, protocol.tier, protocol.severity, "deterioration"))
    yield from (source.id for name in used for source in knowledge.definitions[name].sources)
    yield from (source.id for name in protocol.statements for source in knowledge.criteria[name].sources)


def build_hashes(answer: Assessment) -> tuple[Fact, ...]:
    """What the sheet can be checked by, with the choices that the rule base was loaded with."""
    return (
        Fact("Code, for mscprotocol verify", short_code(answer.trace_sha256, answer.input_sha256)),
        Fact("Trace", answer.trace_sha256),
        Fact("Input", answer.input_sha256),
        Fact("Rule base", answer.rulebase.sha256),
        Fact("Rule base version", answer.rulebase.version),
        Fact("Protocol", f"{answer.protocol.id} {answer.protocol.version}"),
        *(Fact(f"Site parameter {name}", option) for name, option in answer.rulebase.parameters.items()),
        *(Fact(f"Rule changed: {path}", value) for path, value in answer.rulebase.edits.items()),
    )
