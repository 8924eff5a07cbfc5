"""The protocol checklist as printable data: an answer put into sections, tables and questions, with no layout.

What is unknown is always printed as a word with its reason; a cell that is empty is one for a person to write in.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from mscprotocol.answer import (
    Assessment,
    ClassResult,
    CriterionResult,
    EvidenceItem,
    ItemRange,
    NeededItem,
    ScheduleRow,
    SignalItem,
    SourceItem,
)
from mscprotocol.case import TRIGGERS
from mscprotocol.definitions import Score
from mscprotocol.knowledge import KnowledgeBase
from mscprotocol.knowledge_forms import ConclusionLeaf
from mscprotocol.plots import PlotPoint, TimelineBar, TrendPlot
from mscprotocol.protocols import STAGES, Checklist, ChecklistItem, Protocol, Sourced

BANNER = "EVD-01"
MARKS = {
    "paper": "stands in the paper that the protocol comes from",
    "read": "stands in another named source, which was read",
    "recalled": "not verified against any source: a clinician must confirm it",
    "site": "choice of the site or of this software: no evidence behind the number",
}
REASONS = {
    "missing": "not in the record",
    "stale": "too old for this stage",
    "implausible": "value is implausible",
    "unit_unknown": "no usable unit",
    "unit_ambiguous": "unit can be read in two ways",
    "specimen_mismatch": "wrong specimen",
    "status_excluded": "result is not final",
    "code_unmapped": "code is not in the dictionary",
    "confounded": "distorted by a treatment",
    "conflict": "sources contradict each other",
    "needs_review": "a clinician must look at it",
    "conflicting_signals": "signals point in different directions",
    "qualifier_missing": "a needed detail is missing",
    "unpaired": "no second value close enough in time",
    "partial_date": "date is incomplete",
    "comparator": "only a bound is known (< or >)",
    "insufficient_points": "too few values over time",
    "after_evaluation": "dated after the evaluation",
}
VERDICTS = {
    "eligible": ("Eligible, for clinician review", "No criterion of this stage speaks against it; none is open."),
    "ineligible": ("Ineligible", "At least one criterion definitely speaks against it."),
    "undetermined": ("Undetermined", "Nothing definite speaks against it; the open items below stand in the way."),
}
OUTLOOKS = {
    "possible": "possible: every open item can be answered at the bedside",
    "needs_data": "needs data: at least one open item must be measured or ordered",
    "no_indication": "no indication: the record holds no evidence of the disease",
    None: "settled at this stage",
}
PANEL = ("d_dimer", "d_dimer_ratio", "platelets", "pt", "pt_prolongation", "inr", "fibrinogen")
_SCALES = {"severity_nhc": "nhc", "severity_nih": "nih", "severity_who": "who"}
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_ABBREVIATIONS = {"ards": "ARDS", "sofa": "SOFA", "inr": "INR"}
_LONGEST_NAME = 90
_MOST_UNUSED = 3
_MOST_KNOWN = 3
_MOST_LINES = 8

Entry = Literal["", "boxes", "value", "sign"]
Tone = Literal["", "open", "against"]


@dataclass(frozen=True, slots=True)
class Line:
    """A line of text with the provenance mark of the number or rule that it states."""

    text: str
    mark: str = ""


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell: text, smaller lines under it, and what a person is to write in it."""

    text: str = ""
    notes: tuple[Line, ...] = ()
    mark: str = ""
    entry: Entry = ""


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a table; `tone` repeats for the eye what a cell says in words."""

    cells: tuple[Cell, ...]
    tone: Tone = ""


@dataclass(frozen=True, slots=True)
class Table:
    """A table whose head repeats on each page; `empty` is printed when it has no rows."""

    head: tuple[str, ...]
    rows: tuple[Row, ...]
    empty: str = ""


@dataclass(frozen=True, slots=True)
class Fact:
    """A labelled value."""

    label: str
    value: str
    notes: tuple[Line, ...] = ()


@dataclass(frozen=True, slots=True)
class Question:
    """One line that a person answers; `known` is what the record says of it, or why it says nothing."""

    text: str
    mark: str
    criterion: str
    entry: str
    known: str


@dataclass(frozen=True, slots=True)
class QuestionGroup:
    """The questions before, during or after an infusion."""

    title: str
    rule: str
    questions: tuple[Question, ...]


@dataclass(frozen=True, slots=True)
class InfusionSheet:
    """The questions of one infusion."""

    title: str
    lines: tuple[Line, ...]
    groups: tuple[QuestionGroup, ...]


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
    open_items: Table
    against: Table
    warnings: tuple[Line, ...]
    conflicts: tuple[Line, ...]
    criteria: Table
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
    verdict, verdict_note = VERDICTS[answer.verdict]
    banner = knowledge.criteria[BANNER]
    lines = answer.dose.lines
    return PrintedChecklist(
        title=f"Protocol checklist: {protocol.short_title}",
        protocol=answer.protocol.title,
        **_running(answer),
        banner=Line(banner.text, banner.sources[0].mark),
        identity=_identity(answer),
        verdict=verdict,
        verdict_note=verdict_note,
        facts=tuple(_summary(answer, protocol)),
        open_items=_open_items(answer),
        against=_against(answer),
        warnings=tuple(
            Line(f"{n.about}: {n.text}", n.mark or "") for n in answer.warnings if n.about not in protocol.statements
        ),
        conflicts=tuple(_conflicts(answer)),
        criteria=_criteria(answer),
        later=_later(answer),
        tier=_tier(answer),
        panel=_panel(answer, knowledge),
        scores=_scores(answer, knowledge),
        plots=tuple(_plot(signal, answer.at, knowledge) for signal in answer.timing.signals if signal.points),
        signals=_signals(answer, knowledge),
        dose=tuple(_dose(answer)),
        dose_lines=Table(
            ("Step", "Working", "Result", "Source"),
            tuple(
                Row((Cell(one.label), Cell(one.working), Cell(one.result), Cell(one.source, mark=one.mark)))
                for one in lines
            ),
        ),
        dose_notes=tuple(Line(text) for text in answer.dose.warnings),
        has_dose=bool(lines),
        proposal=_proposal(answer, protocol),
        schedule=_schedule(answer),
        schedule_notes=tuple(_schedule_notes(answer, protocol)),
        timeline=_timeline(answer.schedule),
        infusions=tuple(_infusions(answer, knowledge.checklists[protocol.checklist], knowledge)),
        no_infusions=_why_no_infusions(answer),
        marks=tuple(Fact(mark, words) for mark, words in MARKS.items()),
        statements=tuple(_statements(protocol, knowledge)),
        sources=_sources(answer, protocol, knowledge),
        quality=tuple(Line(f"{note.about}: {note.text}") for note in answer.data_quality),
        hashes=_hashes(answer),
    )


# -- words -----------------------------------------------------------------------------------------


def print_instant(text: str | None) -> str:
    """An ISO instant (or span `a / b`) with weekday and offset; text that is no instant stays as it is."""
    if text is None:
        return "unknown (no time)"
    return " to ".join(_print_one_instant(part) for part in text.split(" / "))


def _print_one_instant(text: str) -> str:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return text
    offset = moment.isoformat()[-6:] if moment.utcoffset() is not None else "unknown zone"
    return f"{_date(moment)} {moment:%H:%M} {offset}"


def _date(moment: datetime) -> str:
    """A date that no reader can take for another: the weekday, and the month as a word, never by locale."""
    return f"{_DAYS[moment.weekday()]} {moment.day} {_MONTHS[moment.month - 1]} {moment.year}"


def _in_zone_of(at: str, text: str) -> str:
    return datetime.fromisoformat(text).astimezone(datetime.fromisoformat(at).tzinfo).isoformat()


def _utc(text: str) -> Line:
    moment = datetime.fromisoformat(text).astimezone(UTC)
    return Line(f"{_date(moment)} {moment:%H:%M} UTC")


def _words(token: str) -> str:
    return _ABBREVIATIONS.get(token, token.replace("_", " "))


def _reasons(criterion: CriterionResult) -> str:
    tokens = [one for one in (criterion.reason, *criterion.other_reasons) if one is not None]
    return "; ".join(REASONS.get(token, _words(token)) for token in tokens) or "no reason stated"


def _graded(found: str, at_least: str | None) -> str:
    if found != "unknown":
        return _words(found)
    return f"unknown (at least {_words(at_least)})" if at_least else "unknown (nothing is proven)"


def _cells(number: str) -> str:
    return f"{int(number):,}".replace(",", "\N{NO-BREAK SPACE}") if number.isdecimal() else number


def _or_unknown(value: str | None) -> str:
    return value or "unknown (not in the record)"


# -- 1 summary -------------------------------------------------------------------------------------


def _running(answer: Assessment) -> dict[str, str]:
    """What stands in the margins of every page: who, by which rules, until when."""
    patient = answer.patient
    name = _or_unknown(patient.name)
    short = name if len(name) <= _LONGEST_NAME else name[:_LONGEST_NAME] + "… (full name on the first page)"
    return {
        "running_identity": f"{short} · id {patient.id} · born {_or_unknown(patient.born)}",
        "running_protocol": f"{answer.protocol.id} {answer.protocol.version} · rules {answer.rulebase.sha256[:12]}",
        "running_validity": f"evaluated {print_instant(answer.at)} · valid until {_valid_until(answer)}",
    }


def _identity(answer: Assessment) -> tuple[Fact, ...]:
    patient = answer.patient
    others = [f"{one.get('value', '')} ({one.get('system') or 'system unknown'})" for one in patient.identifiers]
    return (
        Fact("Name", _or_unknown(patient.name)),
        Fact("Patient id", patient.id, tuple(Line(other) for other in others)),
        Fact("Born", _or_unknown(patient.born)),
        Fact("Sex as recorded", _or_unknown(patient.sex)),
    )


def _summary(answer: Assessment, protocol: Protocol) -> Iterator[Fact]:
    first = () if answer.expires_first is None else (Line(f"first to expire: {answer.expires_first}"),)
    yield Fact("Outlook", OUTLOOKS.get(answer.outlook, _words(answer.outlook or "")))
    yield Fact("Stage", answer.stage)
    yield Fact("Evaluated at", print_instant(answer.at))
    yield Fact("Valid until", _valid_until(answer), first)
    yield _severity(answer, protocol)
    yield Fact("Coagulopathy tier", _graded(answer.coagulopathy.tier, answer.coagulopathy.at_least))
    yield Fact("Trend", _words(answer.timing.trend), tuple(_urgency(answer)))
    states = ", ".join(f"{_words(name)} {_complication(state)}" for name, state in answer.complications.items())
    yield Fact("Complications", states or "unknown (not assessed)")
    dose = answer.dose
    why = (Line(f"{_cells(dose.cells)} {dose.cell_basis or ''} cells an infusion"),) if dose.cells else ()
    yield Fact("Dose", dose.status, (*why, *(Line(text) for text in dose.because)))
    yield _gate(answer)


def _valid_until(answer: Assessment) -> str:
    return "no end (nothing decided lapses)" if answer.valid_until is None else print_instant(answer.valid_until)


def _complication(state: str) -> str:
    return "unknown (data are open)" if state == "unknown" else _words(state)


def _severity(answer: Assessment, protocol: Protocol) -> Fact:
    own = _SCALES.get(protocol.severity, protocol.severity)
    others = tuple(Line(_on_scale(one)) for name, one in answer.severity.items() if name != own)
    if own not in answer.severity:
        return Fact("Severity", "unknown (not assessed)", others)
    result = answer.severity[own]
    scale = Line(f"{result.scale} ({result.version})")
    return Fact("Severity", _graded(result.class_, result.at_least), (scale, *others))


def _on_scale(result: ClassResult) -> str:
    return f"{result.scale}: {_graded(result.class_, result.at_least)}"


def _urgency(answer: Assessment) -> Iterator[Line]:
    if answer.timing.time_critical:
        yield Line(f"time-critical: marked worsening {_or_unknown(answer.timing.hours_since_signal)} h ago")


def _gate(answer: Assessment) -> Fact:
    gate = answer.gate
    if gate is None:
        return Fact("Gate", f"not assessed at the {answer.stage} stage")
    return Fact("Gate", f"{gate.decision}, infusion {gate.infusion}", tuple(Line(text) for text in gate.because))


def _open_items(answer: Assessment) -> Table:
    head = ("Open item, code to order", "Why it is open", "Settles, and could turn", "By", "Answer", "Initials, time")
    return Table(head, tuple(_open_row(one, answer.at) for one in answer.needed), "Nothing is open at this stage.")


def _open_row(item: NeededItem, at: str) -> Row:
    how = "can be answered at the bedside" if item.bedside else "needs a measurement or an order"
    codes = (Line(", ".join(item.codes)),) if item.codes else ()
    could = " or ".join(f"could {_words(one)}" for one in item.could) or "direction unknown (depends on the value)"
    return Row(
        (
            Cell(item.datum, (*codes, Line(how))),
            Cell(f"unknown ({REASONS.get(item.reason, _words(item.reason))})"),
            Cell(", ".join(item.settles), (Line(could),)),
            Cell(
                "no limit: nothing decided lapses first" if item.by is None else print_instant(_in_zone_of(at, item.by))
            ),
            Cell(entry="boxes"),
            Cell(entry="sign"),
        ),
        "open",
    )


def _is_against(criterion: CriterionResult) -> bool:
    return criterion.mandatory and criterion.status == ("met" if criterion.role in TRIGGERS else "not_met")


def _against(answer: Assessment) -> Table:
    rows = tuple(
        Row((Cell(one.id), Cell(one.text, mark=_first_mark(one.sources)), _evidence(one)), "against")
        for one in answer.criteria
        if _is_against(one)
    )
    return Table(("Id", "What speaks against it", "Evidence"), rows, "No definite reason was found.")


def _conflicts(answer: Assessment) -> Iterator[Line]:
    for one in answer.criteria:
        if {"conflict", "conflicting_signals"} & {one.reason, *one.other_reasons}:
            yield Line(f"{one.id}: {_reasons(one)}. {one.text}", _first_mark(one.sources))


# -- 2 criteria ------------------------------------------------------------------------------------


def _criteria(answer: Assessment) -> Table:
    head = ("Id", "Criterion and source", "Status", "Why", "Values, time, age, reference", "Initials")
    return Table(head, tuple(_criterion_row(one) for one in answer.criteria if not _is_later(one, answer)))


def _is_later(one: CriterionResult, answer: Assessment) -> bool:
    return STAGES.index(one.stage) > STAGES.index(answer.stage)


def _later(answer: Assessment) -> Table:
    rows = tuple(
        Row((Cell(one.id), Cell(one.text, _cites(one)), Cell(f"at {one.stage}")))
        for one in answer.criteria
        if _is_later(one, answer)
    )
    return Table(("Id", "Criterion and source", "Asked"), rows, "Every criterion of the protocol was asked.")


def _cites(one: CriterionResult) -> tuple[Line, ...]:
    return tuple(Line(_cite(source), source.mark) for source in one.sources)


def _criterion_row(one: CriterionResult) -> Row:
    tone: Tone = "against" if _is_against(one) else "open" if one.status == "unknown" else ""
    return Row(
        (
            Cell(one.id, (Line(one.role), Line(one.stage))),
            Cell(one.text, _cites(one)),
            Cell(_status(one)),
            _why(one),
            _evidence(one),
            Cell(entry="sign"),
        ),
        tone,
    )


def _status(one: CriterionResult) -> str:
    if one.status in ("unknown", "not_applicable"):
        return _words(one.status).capitalize()
    is_trigger = one.role in TRIGGERS
    words = {"met": "Present", "not_met": "Not present"} if is_trigger else {"met": "Met", "not_met": "Not met"}
    return words[one.status] + (": excludes" if _is_against(one) else "")


def _why(one: CriterionResult) -> Cell:
    first = sorted(one.because, key=lambda text: text.endswith(": not_met"))
    because = _counted([_words(text) for text in first], _MOST_LINES, "more parts of the rule")
    if one.status == "unknown":
        return Cell(f"unknown ({_reasons(one)})", because)
    if one.status == "not_applicable":
        return Cell("not asked for this infusion")
    return Cell("" if because else one.explanation or "decided by the values beside", because)


def _cite(source: SourceItem) -> str:
    return f"{source.id}, {source.section}" if source.section else source.id


def _first_mark(sources: Sequence[SourceItem]) -> str:
    return sources[0].mark if sources else ""


def _evidence(one: CriterionResult) -> Cell:
    used = [item for item in one.evidence if item.used]
    unused = [item for item in one.evidence if not item.used]
    lines = (
        *_counted(_together(used), _MOST_LINES, "more entries were used"),
        *_counted([_unused_line(item) for item in unused], _MOST_UNUSED, "more were not used"),
    )
    if one.status == "not_applicable":
        return Cell("not asked", lines)
    return Cell("" if used else "unknown (no entry was usable)" if unused else f"no entry ({_no_entry(one)})", lines)


def _counted(texts: Sequence[str], most: int, rest: str) -> tuple[Line, ...]:
    """As many lines as fit on a form; those left out are counted, never dropped in silence."""
    more = (f"and {len(texts) - most} {rest}",) if len(texts) > most else ()
    return tuple(Line(text) for text in (*texts[:most], *more))


def _together(items: Sequence[EvidenceItem]) -> list[str]:
    """One line for all that one source said at one time."""
    groups: dict[tuple[str, str], list[str]] = {}
    for item in items:
        groups.setdefault((_aged(item), _origin(item)), []).append(_told(item))
    return [f"{'; '.join(told)} · {aged} · {origin}" for (aged, origin), told in groups.items()]


def _unused_line(item: EvidenceItem) -> str:
    return f"{_told(item)} · {_aged(item)} · {_origin(item)} · not used: {_not_used(item)}"


def _told(item: EvidenceItem) -> str:
    value = item.value if item.value is not None else f"unknown ({_not_used(item)})"
    same = not item.as_received or item.as_received in (item.value, item.datum)
    return f"{item.datum}: {value}" + ("" if same else f" (received as “{item.as_received}”)")


def _origin(item: EvidenceItem) -> str:
    return f"{item.reference}, stated by {item.attested_by}" if item.attested_by else item.reference


def _no_entry(one: CriterionResult) -> str:
    return _reasons(one) if one.status == "unknown" else "concluded in sections 3 and 4"


def _not_used(item: EvidenceItem) -> str:
    if item.why_not is None:
        return "a better entry answers" if item.value is not None else "no readable value"
    return REASONS.get(item.why_not, _words(item.why_not))


def _aged(item: EvidenceItem) -> str:
    age = "age unknown (no time)" if item.age_hours is None else f"{item.age_hours} h old"
    return f"{print_instant(item.at)} · {age}"


# -- 3 coagulopathy --------------------------------------------------------------------------------


def _tier(answer: Assessment) -> tuple[Fact, ...]:
    tier = answer.coagulopathy
    because = tuple(Line(_words(text)) for text in tier.because)
    return (Fact("Tier", _graded(tier.tier, tier.at_least), because or (Line("nothing is proven either way"),)),)


def _panel(answer: Assessment, knowledge: KnowledgeBase) -> Table:
    rows = [row for name in PANEL for row in _panel_rows(answer, knowledge, name)]
    return Table(("Datum", "Value", "Received as", "Time and age", "Source", "Used"), tuple(rows))


def _panel_rows(answer: Assessment, knowledge: KnowledgeBase, name: str) -> Iterator[Row]:
    text = knowledge.measurements[name].text
    found = [item for item in answer.coagulopathy.panel if item.datum == text]
    for item in sorted(found, key=lambda one: not one.used)[: 1 + _MOST_UNUSED]:
        assay = (Line(_assay(item, knowledge)),) if name == "d_dimer" else ()
        value = item.value if item.value is not None else f"unknown ({_not_used(item)})"
        used = "used" if item.used else f"not used: {_not_used(item)}"
        cells = (value, item.as_received or "unknown (not kept)", _aged(item), item.reference, used)
        yield Row((Cell(text, assay), *(Cell(one) for one in cells)), "" if item.used else "open")
    if not found:
        yield Row((Cell(text), Cell("unknown (not in the record)"), *(Cell("none") for _ in range(4))), "open")


def _assay(item: EvidenceItem, knowledge: KnowledgeBase) -> str:
    for coded in knowledge.measurements["d_dimer"].codes:
        if str(coded.code) == item.code and coded.assay in ("FEU", "DDU"):
            return f"type by its code: {coded.assay}"
    return "type (FEU or DDU): unknown (its code does not say)"


def _scores(answer: Assessment, knowledge: KnowledgeBase) -> Table:
    return Table(
        ("Score", "Total, lowest to highest", "Items, lowest to highest", "Not exactly known", "Reading"),
        tuple(_score_row(name, answer, knowledge) for name in answer.scores),
    )


def _score_row(name: str, answer: Assessment, knowledge: KnowledgeBase) -> Row:
    score, definition = answer.scores[name], knowledge.definitions[name]
    texts = {key: item.text for key, item in definition.items.items()} if isinstance(definition, Score) else {}
    readings = {"overt": score.overt, "as published": score.as_published, "total at least 4": score.total_at_least_4}
    items = tuple(Line(f"{texts.get(key, _words(key))}: {_range(one)}") for key, one in score.items.items())
    sources = tuple(Line(source.id, source.mark) for source in definition.sources)
    read = "; ".join(f"{label}: {_words(state)}" for label, state in readings.items() if state is not None)
    missing = ", ".join(_words(one) for one in score.missing)
    return Row(
        (
            Cell(definition.text, sources),
            Cell(_range(ItemRange(score.low, score.high))),
            Cell("", items),
            Cell(f"unknown: {missing}" if missing else "all items are known"),
            Cell(read or "shown only"),
        ),
        "open" if score.missing else "",
    )


def _range(points: ItemRange) -> str:
    return str(points.low) if points.low == points.high else f"{points.low} to {points.high}"


# -- 4 trend ---------------------------------------------------------------------------------------


def _plot(signal: SignalItem, at: str, knowledge: KnowledgeBase) -> TrendPlot:
    now = datetime.fromisoformat(at)
    levels = knowledge.measurements["oxygen_support"].levels if signal.id == "oxygen_step" else ()
    points = tuple(
        PlotPoint((now - datetime.fromisoformat(moment)).total_seconds() / 3600, float(value), _level(value, levels))
        for moment, value in signal.points
    )
    return TrendPlot(signal.text, _words(signal.state), "level" if levels else signal.unit, points)


def _level(value: str, levels: Sequence[str]) -> str:
    return _words(levels[int(value)]) if levels and value.isdecimal() and int(value) < len(levels) else value


def _signals(answer: Assessment, knowledge: KnowledgeBase) -> Table:
    mark = knowledge.definitions["deterioration"].sources[0].mark
    return Table(
        ("Signal", "State", "Points", "Projected change, agreement", "Would need"),
        tuple(_signal_row(signal, mark) for signal in answer.timing.signals),
    )


def _signal_row(signal: SignalItem, mark: str) -> Row:
    is_open = signal.state == "insufficient"
    change = "unknown (insufficient)" if is_open else "not by slope"
    if signal.projected_change is not None:
        change = f"{signal.projected_change} {signal.unit}".strip() + f", {_or_unknown(signal.agreement)}"
    return Row(
        (
            Cell(signal.text, mark=mark),
            Cell("unknown (insufficient)" if is_open else _words(signal.state)),
            Cell(str(len(signal.points))),
            Cell(change),
            Cell(signal.needs or "nothing more"),
        ),
        "open" if is_open else "",
    )


# -- 5 dose ----------------------------------------------------------------------------------------


def _dose(answer: Assessment) -> Iterator[Fact]:
    dose = answer.dose
    yield Fact("Status", dose.status, tuple(Line(text) for text in dose.because))
    if dose.weight_kg is not None:
        yield Fact("Weight", f"{dose.weight_kg} kg ({dose.weight_basis or 'basis unknown'})", tuple(_weight(answer)))
    for label, value, unit in _amounts(answer):
        if dose.lines:
            yield Fact(label, f"{value} {unit}".strip() if value is not None else "unknown (the lot does not say)")


def _proposal(answer: Assessment, protocol: Protocol) -> Line | None:
    """A lower dose that a clinician may sign; never part of the plan by itself."""
    text, number = answer.dose.reduced_proposal, protocol.dose.reduced_proposal
    return None if text is None else Line(text, number.mark if number is not None else "")


def _weight(answer: Assessment) -> Iterator[Line]:
    dose = answer.dose
    yield Line(
        f"{_or_unknown(dose.weight_source)}, {print_instant(dose.weight_at and _in_zone_of(answer.at, dose.weight_at))}"
    )
    predicted = dose.predicted_weight_kg
    if predicted is None:
        yield Line("predicted weight: unknown (height or sex is missing)")
    else:
        yield Line(f"predicted weight {predicted} kg; actual to predicted {_or_unknown(dose.actual_to_predicted)}")


def _amounts(answer: Assessment) -> tuple[tuple[str, str | None, str], ...]:
    dose = answer.dose
    capped = " (capped)" if dose.capped else ""
    return (
        ("Cells an infusion", None if dose.cells is None else _cells(dose.cells) + capped, dose.cell_basis or ""),
        ("Volume", dose.volume_ml, "mL"),
        ("Bags", None if dose.bags is None else str(dose.bags), ""),
        ("Rate", dose.rate_ml_h, "mL/h"),
        ("DMSO", dose.dmso_g_per_kg, "g/kg"),
        ("Endotoxin", dose.endotoxin_eu_per_kg, "EU/kg"),
    )


# -- 6 schedule ------------------------------------------------------------------------------------


def _schedule(answer: Assessment) -> Table:
    head = ("Infusion", "Earliest", "Planned", "Latest", "Day (from 0)", "Day (from 1)", "Status")
    return Table(head, tuple(_schedule_row(row) for row in answer.schedule), _why_no_infusions(answer))


def _schedule_row(row: ScheduleRow) -> Row:
    moments = (Cell(print_instant(one), (_utc(one),)) for one in (row.earliest, row.planned, row.latest))
    days = (Cell(f"Day {row.day_from_0}"), Cell(f"Day {row.day_from_1}"))
    return Row((Cell(str(row.infusion)), *moments, *days, Cell(_schedule_status(row))))


def _schedule_status(row: ScheduleRow) -> str:
    return "infused, as recorded" if row.status == "given" else _words(row.status)


def _why_no_infusions(answer: Assessment) -> str:
    if answer.schedule:
        return ""
    excluding = ", ".join(one.id for one in answer.criteria if _is_against(one))
    if answer.verdict == "ineligible":
        return f"No infusion is scheduled and no boxes are printed: the patient is ineligible ({excluding})."
    return f"No infusion is scheduled and no boxes are printed: {'; '.join(answer.dose.because) or answer.verdict}."


def _schedule_notes(answer: Assessment, protocol: Protocol) -> Iterator[Line]:
    plan = protocol.schedule
    yield _number("Reading in use, from start to start", plan.interval)
    yield _number("Most infusions", plan.max_infusions)
    yield _number("Earliest", plan.earliest)
    yield _number("Latest", plan.latest)
    yield _number("Course closes", plan.closes)
    yield _number("A release lapses", plan.release_valid)
    if any(row.status == "conditional" for row in answer.schedule):
        yield Line("Conditional: the verdict is open. No infusion follows from this plan until it is settled.")
    if any(row.status == "withheld" for row in answer.schedule):
        yield Line(f"The dose is withheld, so no infusion follows from this plan. {' '.join(answer.dose.because)}")


def _number(label: str, number: Sourced) -> Line:
    unit = number.value.unit.strip("{}")
    note = f" ({number.note})" if number.note else ""
    return Line(f"{label}: {number.value.value} {unit}{note} [{number.source}]", number.mark)


def _timeline(rows: Sequence[ScheduleRow]) -> tuple[TimelineBar, ...]:
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


def _infusions(answer: Assessment, checklist: Checklist, knowledge: KnowledgeBase) -> Iterator[InfusionSheet]:
    blocks = (
        "An answer that is Unknown or left out holds the infusion. Known so far, in italics: (bedside) no record is "
        f"asked, only a person there can say; (not asked yet) belongs to a stage after {answer.stage}."
    )
    later = "To be observed: the record says nothing yet. An answer left out holds the next infusion."
    for row in answer.schedule:
        groups = [
            QuestionGroup("Before", blocks, tuple(_question(item, answer, knowledge) for item in checklist.before)),
            QuestionGroup("During", later, tuple(_later_question(item) for item in checklist.during)),
            QuestionGroup("After", later, tuple(_later_question(item) for item in checklist.after)),
        ]
        is_past = row.status == "given"
        yield InfusionSheet(
            f"Infusion {row.infusion}: day {row.day_from_0} (counted from 0), day {row.day_from_1} (counted from 1)",
            tuple(_sheet_lines(row)),
            tuple(groups[2:] if is_past else groups),
        )


def _sheet_lines(row: ScheduleRow) -> Iterator[Line]:
    label = "started" if row.status == "given" else "planned"
    yield Line(f"Status: {_schedule_status(row)} · {label} {print_instant(row.planned)} · {_utc(row.planned).text}")
    if row.status == "given":
        yield Line("The record says that this infusion took place: only the questions after it are printed.")
    elif row.status in ("conditional", "withheld"):
        yield Line(f"{_words(row.status).capitalize()}: hold. No infusion follows from this sheet as it stands.")


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
    if _is_later(found, answer):
        return "unknown (not asked yet)"
    values = _concluded(found.id, answer, knowledge) or _known_values(found)
    if found.status == "unknown":
        return f"unknown ({_reasons(found)})" + (f"; record says: {values}" if values else "")
    if item.entry != "yes_no":
        return (
            f"record says: {values}" if values else f"unknown (value not in the answer); record says: {_status(found)}"
        )
    return f"record says: {_answer_word(found)}" + (f" ({values})" if values else "")


def _concluded(name: str, answer: Assessment, knowledge: KnowledgeBase) -> str:
    """The class, tier or trend that a criterion reads, where it reads one."""
    leaf, protocol = knowledge.criteria[name].when, knowledge.protocols[answer.protocol.id]
    if not isinstance(leaf, ConclusionLeaf):
        return ""
    tier = answer.coagulopathy
    concluded = {
        protocol.severity: f"{_severity(answer, protocol).value}; values in section 2",
        protocol.tier: f"tier {_graded(tier.tier, tier.at_least)}; values in section 3",
        protocol.trend: f"{_words(answer.timing.trend)}; values in section 4",
    }
    return concluded.get(leaf.conclusion, "")


def _known_values(found: CriterionResult) -> str:
    used = [one for one in found.evidence if one.used and one.value]
    told = [f"{one.datum} {one.value}, {print_instant(one.at)}" for one in used[:_MOST_KNOWN]]
    return "; ".join(
        [*told, *([f"and {len(used) - _MOST_KNOWN} more in section 2"] if len(used) > _MOST_KNOWN else [])]
    )


def _answer_word(found: CriterionResult) -> str:
    return {"met": "Yes", "not_met": "No"}.get(found.status, _words(found.status))


# -- 8 legend --------------------------------------------------------------------------------------


def _statements(protocol: Protocol, knowledge: KnowledgeBase) -> Iterator[Line]:
    for name in protocol.statements:
        criterion = knowledge.criteria[name]
        yield Line(f"{name}: {criterion.text}", criterion.sources[0].mark)


def _sources(answer: Assessment, protocol: Protocol, knowledge: KnowledgeBase) -> Table:
    names = dict.fromkeys(_used_sources(answer, protocol, knowledge))
    rows = tuple(
        Row((Cell(name), Cell(knowledge.sources[name].citation), Cell(knowledge.sources[name].read)))
        for name in sorted(names)
        if name in knowledge.sources
    )
    return Table(("Source", "Citation", "What of it was read"), rows)


def _used_sources(answer: Assessment, protocol: Protocol, knowledge: KnowledgeBase) -> Iterator[str]:
    plan = protocol.schedule
    yield from (source.id for one in answer.criteria for source in one.sources)
    yield from (line.source for line in answer.dose.lines)
    yield from (
        number.source for number in (plan.interval, plan.earliest, plan.latest, plan.closes, plan.release_valid)
    )
    used: Iterable[str] = (*answer.scores, protocol.tier, protocol.severity, "deterioration")
    yield from (source.id for name in used for source in knowledge.definitions[name].sources)
    yield from (source.id for name in protocol.statements for source in knowledge.criteria[name].sources)


def _hashes(answer: Assessment) -> tuple[Fact, ...]:
    return (
        Fact("Trace", answer.trace_sha256),
        Fact("Input", answer.input_sha256),
        Fact("Rule base", answer.rulebase.sha256),
        Fact("Rule base version", answer.rulebase.version),
        Fact("Protocol", f"{answer.protocol.id} {answer.protocol.version}"),
    )
