"""What a checklist prints about the patient: summary, open items, criteria, coagulopathy panel and trend."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mscprotocol.answer import (
    UNMAPPED,
    Assessment,
    ClassResult,
    CriterionResult,
    EvidenceItem,
    ItemRange,
    NeededItem,
    SourceItem,
)
from mscprotocol.case import TRIGGERS
from mscprotocol.checklist_parts import (
    LONGEST_NAME,
    MOST_LINES,
    MOST_UNUSED,
    OUTLOOKS,
    REASONS,
    Cell,
    Fact,
    Line,
    Row,
    Table,
    Tone,
    cells,
    graded,
    in_words,
    in_zone_of,
    or_unknown,
    print_instant,
    reasons,
)
from mscprotocol.definitions import Ladder, Score
from mscprotocol.gate_reasons import by_weight
from mscprotocol.knowledge import KnowledgeBase
from mscprotocol.protocols import STAGES, Protocol


def build_running(answer: Assessment) -> dict[str, str]:
    """What stands in the margins of every page: who, by which rules, until when."""
    patient = answer.patient
    name = or_unknown(patient.name)
    short = name if len(name) <= LONGEST_NAME else name[:LONGEST_NAME] + "… (full name on the first page)"
    return {
        "running_identity": f"{short} · id {patient.id} · born {or_unknown(patient.born)}",
        "running_protocol": f"{answer.protocol.id} {answer.protocol.version} · rules {answer.rulebase.sha256[:12]}",
        "running_validity": f"evaluated {print_instant(answer.at)} · valid until {_valid_until(answer)}",
    }


def build_identity(answer: Assessment) -> tuple[Fact, ...]:
    """Who the sheet is about."""
    patient = answer.patient
    others = [f"{one.get('value', '')} ({one.get('system') or 'system unknown'})" for one in patient.identifiers]
    return (
        Fact("Name", or_unknown(patient.name)),
        Fact("Patient id", patient.id, tuple(Line(other) for other in others)),
        Fact("Born", or_unknown(patient.born)),
        Fact("Sex as recorded", or_unknown(patient.sex)),
    )


def build_summary(answer: Assessment, protocol: Protocol, knowledge: KnowledgeBase) -> Iterator[Fact]:
    """The verdict and what stands beside it."""
    first = () if answer.expires_first is None else (Line(f"first to expire: {answer.expires_first}"),)
    yield Fact("Outlook", OUTLOOKS.get(answer.outlook, in_words(answer.outlook or "")))
    yield Fact("Stage", answer.stage)
    yield Fact("Evaluated at", print_instant(answer.at))
    yield Fact("Valid until", _valid_until(answer), first)
    yield build_severity(answer, protocol)
    yield Fact("Coagulopathy tier", graded(answer.coagulopathy.tier, answer.coagulopathy.at_least))
    yield Fact("Trend", in_words(answer.timing.trend), tuple(_urgency(answer)))
    states = ", ".join(f"{in_words(name)} {_complication(state)}" for name, state in answer.complications.items())
    ards = tuple(Line(f"{_on_scale(one)} (no severity of COVID-19)") for one in answer.ards.values())
    yield Fact("Complications", states or "unknown (not assessed)", ards)
    dose = answer.dose
    why = (Line(f"{cells(dose.cells)} {dose.cell_basis or ''} cells an infusion"),) if dose.cells else ()
    yield Fact("Dose", dose.status, (*why, *(Line(text) for text in dose.because)))
    yield _gate(answer, knowledge)


def _valid_until(answer: Assessment) -> str:
    return "no end (nothing decided lapses)" if answer.valid_until is None else print_instant(answer.valid_until)


def _complication(state: str) -> str:
    return "unknown (data are open)" if state == "unknown" else in_words(state)


def build_severity(answer: Assessment, protocol: Protocol) -> Fact:
    """The class on the scale of the protocol, the other scales below it."""
    others = tuple(Line(_on_scale(one)) for one in answer.severity.values() if one.id != protocol.severity)
    result = next((one for one in answer.severity.values() if one.id == protocol.severity), None)
    if result is None:
        return Fact("Severity of COVID-19", "not asked by this protocol", others)
    scale = Line(f"{result.scale} ({result.version})")
    return Fact("Severity", graded(result.class_, result.at_least), (scale, *others))


def _on_scale(result: ClassResult) -> str:
    return f"{result.scale}: {graded(result.class_, result.at_least)}"


def _urgency(answer: Assessment) -> Iterator[Line]:
    if answer.timing.time_critical:
        yield Line(f"time-critical: marked worsening {or_unknown(answer.timing.hours_since_signal)} h ago")


def _gate(answer: Assessment, knowledge: KnowledgeBase) -> Fact:
    gate = answer.gate
    if gate is None:
        return Fact("Gate", f"not assessed at the {answer.stage} stage")
    return Fact(
        "Gate", f"{gate.decision}, infusion {gate.infusion}", tuple(map(Line, by_weight(gate.because, knowledge)))
    )


def build_open_items(answer: Assessment, knowledge: KnowledgeBase) -> Table:
    """What is open, with a place to answer: a yes or no, or a value with its unit and time."""
    head = ("Open item, code to order", "Why it is open", "Settles, and could turn", "By", "Answer", "Initials, time")
    rows = tuple(_open_row(one, answer.at, _answer_to(one, knowledge)) for one in answer.needed)
    return Table(head, rows, "Nothing is open at this stage.")


def _answer_to(item: NeededItem, knowledge: KnowledgeBase) -> Cell:
    """What a person writes down for an open item; a change over time is settled by a value, too."""
    definition = knowledge.measurements.get(item.id.removesuffix("_change"))
    if definition is None:
        return Cell(entry="boxes")
    if definition.kind == "time":
        return Cell(entry="time")
    if definition.kind in ("coded", "ordinal"):
        return Cell(entry="words")
    unit = "" if definition.unit == "1" or definition.unit.startswith("{") else f"as a rule in {definition.unit}"
    return Cell(entry="value", notes=(Line(unit),) if unit else ())


def _open_row(item: NeededItem, at: str, answer: Cell) -> Row:
    how = "can be answered at the bedside" if item.bedside else "needs a measurement or an order"
    codes = (Line(", ".join(item.codes)),) if item.codes else ()
    could = " or ".join(f"could {in_words(one)}" for one in item.could) or "direction unknown (depends on the value)"
    return Row(
        (
            Cell(item.datum, (*codes, Line(how))),
            Cell(f"unknown ({REASONS.get(item.reason, in_words(item.reason))})"),
            Cell(", ".join(item.settles), (Line(could),)),
            Cell(
                "no limit: nothing decided lapses first" if item.by is None else print_instant(in_zone_of(at, item.by))
            ),
            answer,
            Cell(entry="sign"),
        ),
        "open",
    )


def is_against(criterion: CriterionResult) -> bool:
    """Whether a criterion speaks against the patient."""
    return criterion.mandatory and criterion.status == ("met" if criterion.role in TRIGGERS else "not_met")


def build_against(answer: Assessment) -> Table:
    """The definite reasons against."""
    rows = tuple(
        Row((Cell(one.id), Cell(one.text, mark=_first_mark(one.sources)), _evidence(one)), "against")
        for one in answer.criteria
        if is_against(one)
    )
    return Table(("Id", "What speaks against it", "Evidence"), rows, "No definite reason was found.")


def build_conflicts(answer: Assessment) -> Iterator[Line]:
    """What a person should look at first: codes that were not understood, and sources that contradict each other."""
    unmapped = [note for note in answer.data_quality if note.text.startswith(UNMAPPED.split("{}")[0])]
    for note in unmapped:
        yield Line(f"{note.about}: {note.text}", "site")
    for one in answer.criteria:
        if {"conflict", "conflicting_signals"} & {one.reason, *one.other_reasons}:
            yield Line(f"{one.id}: {reasons(one)}. {one.text}", _first_mark(one.sources))


# -- 2 criteria ------------------------------------------------------------------------------------


def build_criteria(answer: Assessment) -> Table:
    """The criteria that the stage asks."""
    head = ("Id", "Criterion and source", "Status", "Why", "Values, time, age, reference", "Initials")
    return Table(head, tuple(_criterion_row(one) for one in answer.criteria if not is_later(one, answer)))


def is_later(one: CriterionResult, answer: Assessment) -> bool:
    """Whether a criterion belongs to a later stage."""
    return STAGES.index(one.stage) > STAGES.index(answer.stage)


def build_later(answer: Assessment) -> Table:
    """The criteria that a later stage asks."""
    rows = tuple(
        Row((Cell(one.id), Cell(one.text, _cites(one)), Cell(f"at {one.stage}")))
        for one in answer.criteria
        if is_later(one, answer)
    )
    return Table(("Id", "Criterion and source", "Asked"), rows, "Every criterion of the protocol was asked.")


def _cites(one: CriterionResult) -> tuple[Line, ...]:
    return tuple(Line(_cite(source), source.mark) for source in one.sources)


def _criterion_row(one: CriterionResult) -> Row:
    tone: Tone = "against" if is_against(one) else "open" if one.status == "unknown" else ""
    return Row(
        (
            Cell(one.id, (Line(one.role), Line(one.stage))),
            Cell(one.text, _cites(one)),
            Cell(build_status(one)),
            _why(one),
            _evidence(one),
            Cell(entry="sign"),
        ),
        tone,
    )


def build_status(one: CriterionResult) -> str:
    """The status of a criterion in words."""
    if one.status in ("unknown", "not_applicable"):
        return in_words(one.status).capitalize()
    is_trigger = one.role in TRIGGERS
    words = {"met": "Present", "not_met": "Not present"} if is_trigger else {"met": "Met", "not_met": "Not met"}
    return words[one.status] + (": excludes" if is_against(one) else "")


def _why(one: CriterionResult) -> Cell:
    first = sorted(one.because, key=lambda text: text.endswith(": not_met"))
    because = _counted([in_words(text) for text in first], MOST_LINES, "more parts of the rule")
    if one.status == "unknown":
        return Cell(f"unknown ({reasons(one)})", because)
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
        *_counted(_together(used), MOST_LINES, "more entries were used"),
        *_counted([_unused_line(item) for item in unused], MOST_UNUSED, "more were not used"),
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
    return reasons(one) if one.status == "unknown" else "concluded in sections 3 and 4"


def _not_used(item: EvidenceItem) -> str:
    if item.why_not is None:
        return "a better entry answers" if item.value is not None else "no readable value"
    return REASONS.get(item.why_not, in_words(item.why_not))


def _aged(item: EvidenceItem) -> str:
    age = "age unknown (no time)" if item.age_hours is None else f"{item.age_hours} h old"
    return f"{print_instant(item.at)} · {age}"


# -- 3 coagulopathy --------------------------------------------------------------------------------


def build_tier(answer: Assessment) -> tuple[Fact, ...]:
    """The coagulopathy tier and why."""
    tier = answer.coagulopathy
    because = tuple(Line(in_words(text)) for text in tier.because)
    return (Fact("Tier", graded(tier.tier, tier.at_least), because or (Line("nothing is proven either way"),)),)


def build_panel(answer: Assessment, knowledge: KnowledgeBase) -> Table:
    """The values behind the tier."""
    tier = knowledge.definitions[knowledge.protocols[answer.protocol.id].tier]
    names = tier.panel if isinstance(tier, Ladder) else ()
    rows = [row for name in names for row in _panel_rows(answer, knowledge, name)]
    return Table(("Datum", "Value", "Received as", "Time and age", "Source", "Used"), tuple(rows))


def _panel_rows(answer: Assessment, knowledge: KnowledgeBase, name: str) -> Iterator[Row]:
    text = knowledge.measurements[name].text
    found = [item for item in answer.coagulopathy.panel if item.datum == text]
    for item in sorted(found, key=lambda one: not one.used)[: 1 + MOST_UNUSED]:
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


def build_scores(answer: Assessment, knowledge: KnowledgeBase) -> Table:
    """The scores with the range of each item."""
    return Table(
        ("Score", "Total, lowest to highest", "Items, lowest to highest", "Not exactly known", "Reading"),
        tuple(_score_row(name, answer, knowledge) for name in answer.scores),
    )


def _score_row(name: str, answer: Assessment, knowledge: KnowledgeBase) -> Row:
    score, definition = answer.scores[name], knowledge.definitions[name]
    texts = {key: item.text for key, item in definition.items.items()} if isinstance(definition, Score) else {}
    readings = {"overt": score.overt, "as published": score.as_published, "total at least 4": score.total_at_least_4}
    readings |= {"baseline": score.baseline}
    items = tuple(Line(f"{texts.get(key, in_words(key))}: {_range(one)}") for key, one in score.items.items())
    sources = tuple(Line(source.id, source.mark) for source in definition.sources)
    read = "; ".join(f"{label}: {in_words(state)}" for label, state in readings.items() if state is not None)
    missing = ", ".join(in_words(one) for one in score.missing)
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
