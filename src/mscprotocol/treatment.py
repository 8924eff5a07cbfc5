"""The dose and schedule that belong to a verdict: planned, shown on condition, or withheld with the reasons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from zoneinfo import ZoneInfo

from msgspec.structs import replace

from mscprotocol.answer import DoseItem, DoseLine, ScheduleRow
from mscprotocol.case import Case
from mscprotocol.dosing import DosePlan, Product, plan_dose
from mscprotocol.interval import EXACT, Interval, plain
from mscprotocol.needs import valid_until
from mscprotocol.protocols import Sourced
from mscprotocol.record import Infusion, Measurement
from mscprotocol.rulebook import DOSE_STATUS
from mscprotocol.schedule import CLOSED, TAKEN_PLACE, ScheduledInfusion, course_state, plan_schedule
from mscprotocol.wording import describe_quantity

_WITHHELD = {
    "verdict": "The patient is ineligible.",
    "weight": "The weight is not known: {reason}.",
    "tier": "The coagulopathy tier is {tier}.",
    "level": "{level}",
}
_LEVELS = {
    "not_chosen": "Which cohort: {levels}? The dose level must be chosen; none is assumed.",
    "refused": "{wanted} is not a dose level of this protocol: {levels}.",
    "too_high": "At moderate risk of clotting no infusion exceeds {most} (site policy), and this level does.",
}
_WORST = ("product_dmso", "product_endotoxin")
CAUTION = "Starting guide only: the optimised dose has not been formally established."


@dataclass(frozen=True)
class Treatment:
    """Dose and schedule as they are given in the answer."""

    dose: DoseItem
    schedule: list[ScheduleRow]


def plan_treatment(case: Case) -> Treatment:
    """The dose of one infusion and the course of infusions."""
    if case.dose_status == "withheld":
        because = [*_why_withheld(case), *_refused_lot(case)]
        dose = DoseItem(status="withheld", because=because, reduced_proposal=_reduced_proposal(case))
    else:
        dose = _dose(case)
    return Treatment(dose, _schedule(case))


def close_rows(rows: Sequence[ScheduleRow]) -> list[ScheduleRow]:
    """The schedule of a course that the gate ended: what was not given is not to be given."""
    return [row if row.status in TAKEN_PLACE else replace(row, status=CLOSED) for row in rows]


def _why_withheld(case: Case) -> list[str]:
    because = case.conclusions.made[DOSE_STATUS].because
    selection = case.findings.select(case.book.weight_datum)
    reason = "" if selection.reason is None else selection.reason.value.replace("_", " ")
    tier = case.conclusions.of(case.book.protocol.tier)
    words = "unknown, at least " + tier.removeprefix("at_least:") if tier.startswith("at_least:") else tier
    return [_WITHHELD[name].format(reason=reason, tier=words, level=_level_words(case)) for name in because]


def _level_words(case: Case) -> str:
    """Why no dose follows from the level: which there are, and what was asked for."""
    levels, wanted = case.book.protocol.dose.levels, case.request.dose_level
    return _LEVELS.get(case.level_state, "").format(
        levels=list_levels(levels),
        wanted="" if wanted is None else plain(wanted),
        most=describe_quantity(case.book.practice.moderate_at_most.value),
    )


def list_levels(levels: Sequence[Sourced]) -> str:
    """The closed list of a protocol in words."""
    numbers = [plain(one.value.value) for one in levels]
    text = " or ".join(filter(None, (", ".join(numbers[:-1]), numbers[-1])))
    return f"{text} x 10^6 cells" + ("/kg" if levels[0].is_per_kg else "")


def _reduced_proposal(case: Case) -> str | None:
    proposal = case.book.protocol.dose.reduced_proposal
    if proposal is None or case.conclusions.of(case.book.protocol.tier) != "high":
        return None
    if case.verdict == "ineligible" or _refused_lot(case):
        return None
    return (
        f"Lower-dose proposal for signature (site policy): {proposal.value.value} x 10^6 cells/kg, one infusion, then "
        "assess the tier again. No trial has validated a dose reduction for coagulopathy."
    )


def _dose(case: Case) -> DoseItem:
    dose = case.book.protocol.dose
    assert case.level is not None
    weight = case.findings.select(case.book.weight_datum).chosen
    weight_kg = case.findings.exact_number(case.book.weight_datum)
    result = plan_dose(DosePlan(dose, case.book.practice, case.level), weight_kg, find_product(case))
    predicted_kg = _number(case, "predicted_body_weight")
    ratio = _ratio(_number(case, "weight"), predicted_kg)
    blocks = [*result.blocks, *_inexact_label(case), *_refused_lot(case)]
    if blocks:
        return DoseItem(status="withheld", because=blocks)
    return DoseItem(
        status=case.dose_status,
        because=[],
        cells_per_kg=_text(result.cells_per_kg),
        weight_kg=_text(weight_kg),
        weight_basis=dose.weight_basis,
        weight_source=None if weight is None else weight.reference,
        weight_at=None if weight is None else _at(case, weight),
        predicted_weight_kg=_text(predicted_kg, "0.01"),
        actual_to_predicted=_text(ratio, "0.01"),
        cells=plain(result.cells),
        cell_basis=case.book.practice.label_basis,
        capped=result.is_capped,
        volume_ml=_text(result.volume_ml),
        delivered_cells=_text(result.delivered_cells),
        bags=result.bags,
        rate_ml_h=_text(result.rate_ml_h),
        dmso_g_per_kg=_text(result.dmso_g_per_kg, "0.0001"),
        endotoxin_eu_per_kg=_text(result.endotoxin_eu_per_kg, "0.001"),
        lines=[DoseLine(one.label, one.working, one.result, one.mark, one.source) for one in result.lines],
        warnings=[
            CAUTION,
            *result.warnings,
            *_at_worst(case),
            *_unmeasured(case),
            *_start_warnings(case),
            *_basis_warnings(case, ratio),
        ],
    )


def _refused_lot(case: Case) -> list[str]:
    """Why the lot may not be used, by each product criterion that it violates."""
    violated = [one for one in case.judgements if one.criterion.role == "product" and one.is_violated]
    return [f"The lot does not meet {one.id}: {case.book.texts[one.id]}." for one in violated]


def _at(case: Case, weight: Measurement) -> str | None:
    return None if weight.time is None else weight.time.latest.astimezone(case.request.at.tzinfo).isoformat()


def _ratio(actual: Decimal | None, predicted: Decimal | None) -> Decimal | None:
    return None if actual is None or not predicted else EXACT.divide(actual, predicted)


def _unmeasured(case: Case) -> list[str]:
    """That what the dose rests on was not measured: a weight, or the height behind a predicted one."""
    name = "weight" if case.book.weight_datum == "weight" else "height"
    chosen = _chosen(case, name)
    flags = () if chosen is None else chosen.flags
    return [f"The {name} was {flag}, not measured." for flag in ("estimated", "stated") if flag in flags]


def _start_warnings(case: Case) -> list[str]:
    """A planned start that this answer does not cover."""
    start, limit = case.request.start, valid_until(case.judgements)
    if start is None:
        return []
    if start < case.request.at:
        return ["The planned start lies before the time of evaluation."]
    if limit is not None and start > limit[0]:
        return [f"The planned start lies after this answer has expired ({limit[1]} expires first): assess again."]
    return []


def _basis_warnings(case: Case, ratio: Decimal | None) -> list[str]:
    limits = case.book.knowledge.measurements["weight"].parameters
    if ratio is None or limits["basis_ratio_below"] <= ratio <= limits["basis_ratio_above"]:
        return []
    return [
        f"Actual weight is {plain(_round(ratio, '0.01'))} times the predicted weight: the choice of basis changes the "
        "dose by that factor."
    ]


def find_product(case: Case) -> Product:
    """What the record says of the product lot."""
    return Product(
        concentration=_number(case, "product_concentration"),
        label_basis=_answer(case, "product_label_basis"),
        viability=_number(case, "product_viability"),
        bag_volume=_number(case, "product_bag_volume"),
        dmso=_largest(case, "product_dmso"),
        endotoxin=_largest(case, "product_endotoxin"),
    )


def _largest(case: Case, name: str) -> Decimal | None:
    """The largest number that a datum may be: a limit is kept only if it is kept in the worst case."""
    chosen, hard = _chosen(case, name), case.book.knowledge.measurements[name].hard
    if chosen is None or chosen.value is None or hard is None:
        return None
    possible = chosen.value.intersection(Interval(hard.low, hard.high))
    return None if possible is None else possible.high


def _is_inexact(case: Case, name: str) -> bool:
    chosen = _chosen(case, name)
    return chosen is not None and chosen.value is not None and chosen.value.exact is None


def _inexact_label(case: Case) -> list[str]:
    if not _is_inexact(case, "product_concentration"):
        return []
    return ["The label states no exact concentration of cells, so no volume follows from it."]


def _at_worst(case: Case) -> list[str]:
    texts = [case.book.knowledge.measurements[name].text for name in _WORST if _is_inexact(case, name)]
    return [f"{text} is stated as a range and reckoned at its largest value." for text in texts]


def _chosen(case: Case, name: str) -> Measurement | None:
    return case.findings.select(name).chosen


def _number(case: Case, name: str) -> Decimal | None:
    return case.findings.exact_number(name)


def _answer(case: Case, name: str) -> str | None:
    chosen = _chosen(case, name)
    return None if chosen is None else chosen.answer


def _schedule(case: Case) -> list[ScheduleRow]:
    given = case.record.infusion_starts(case.request.at)
    if case.verdict == "ineligible" and not given:
        return []
    status = "proposed" if case.dose_status == "planned" else "conditional"
    start, schedule = case.request.start or case.request.at, case.book.protocol.schedule
    rows = plan_schedule(schedule, start, ZoneInfo(case.request.zone), given, status)
    state = course_state(schedule, case.book.practice.closes, given, case.request.at)
    begun = dict(enumerate(case.record.begun_infusions(case.request.at), 1))
    rows = [_settled(row, begun.get(row.infusion), state, following=len(given) + 1) for row in rows]
    if case.verdict == "ineligible":
        rows = [row for row in rows if row.status in TAKEN_PLACE]
    return [_row(row, begun.get(row.infusion)) for row in rows]


def _settled(row: ScheduledInfusion, given: Infusion | None, state: str, *, following: int) -> ScheduledInfusion:
    """A row with what became of it: an infusion that was stopped, one whose window is over, a course that is closed."""
    if given is not None:
        return replace(row, status="stopped") if given.status == "stopped" else row
    if state == CLOSED:
        return replace(row, status=CLOSED)
    return replace(row, status="missed") if state == "missed" and row.infusion == following else row


def _row(row: ScheduledInfusion, given: Infusion | None) -> ScheduleRow:
    return ScheduleRow(
        infusion=row.infusion,
        earliest=row.earliest.isoformat(),
        planned=row.planned.isoformat(),
        latest=row.latest.isoformat(),
        status=row.status,
        day_from_0=row.day_from_0,
        day_from_1=row.day_from_1,
        deviation=None if given is None else given.deviation,
    )


def _text(number: Decimal | None, step: str | None = None) -> str | None:
    if number is None:
        return None
    return plain(number if step is None else _round(number, step))


def _round(number: Decimal, step: str) -> Decimal:
    return number.quantize(Decimal(step), rounding=ROUND_HALF_EVEN)
