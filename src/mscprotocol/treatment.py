"""The dose and schedule that belong to a verdict: planned, shown on condition, or withheld with the reasons."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from zoneinfo import ZoneInfo

from mscprotocol.answer import DoseItem, DoseLine, ScheduleRow
from mscprotocol.case import Case
from mscprotocol.dosing import DoseResult, Product, plan_dose
from mscprotocol.interval import EXACT, plain
from mscprotocol.needs import valid_until
from mscprotocol.record import Measurement
from mscprotocol.rulebook import DOSE_STATUS
from mscprotocol.schedule import ScheduledInfusion, plan_schedule

_WITHHELD = {
    "verdict": "The patient is ineligible.",
    "weight": "The weight is not known: {reason}.",
    "tier": "The coagulopathy tier is {tier}.",
}
_BASES = {"actual": "weight", "predicted": "predicted_body_weight"}
CAUTION = "Starting guide only: the optimised dose has not been formally established."


@dataclass(frozen=True)
class Treatment:
    """Dose and schedule as they are given in the answer."""

    dose: DoseItem
    schedule: list[ScheduleRow]


def plan_treatment(case: Case) -> Treatment:
    """The dose of one infusion and the course of infusions."""
    if case.dose_status == "withheld":
        dose = DoseItem(status="withheld", because=_why_withheld(case), reduced_proposal=_reduced_proposal(case))
    else:
        dose = _dose(case)
    return Treatment(dose, _schedule(case))


def _why_withheld(case: Case) -> list[str]:
    because = case.conclusions.made[DOSE_STATUS].because
    selection = case.findings.select(_BASES[case.book.protocol.dose.weight_basis])
    reason = "" if selection.reason is None else selection.reason.value.replace("_", " ")
    tier = case.conclusions.of(case.book.protocol.tier)
    words = "unknown, at least " + tier.removeprefix("at_least:") if tier.startswith("at_least:") else tier
    return [_WITHHELD[name].format(reason=reason, tier=words) for name in because]


def _reduced_proposal(case: Case) -> str | None:
    proposal = case.book.protocol.dose.reduced_proposal
    if proposal is None or case.conclusions.of(case.book.protocol.tier) != "high" or case.verdict == "ineligible":
        return None
    return (
        f"Lower-dose proposal for signature (site policy): {proposal.value.value} x 10^6 cells/kg, one infusion, then "
        "assess the tier again. No trial has validated a dose reduction for coagulopathy."
    )


def _dose(case: Case) -> DoseItem:
    limits = case.book.protocol.dose
    weight = case.findings.select(_BASES[limits.weight_basis]).chosen
    assert weight is not None and weight.value is not None and weight.value.exact is not None
    result = plan_dose(limits, weight.value.exact, find_product(case))
    predicted = case.findings.select("predicted_body_weight").chosen
    predicted_kg = None if predicted is None or predicted.value is None else predicted.value.exact
    blocks = [*result.blocks, *_refused_lot(case)]
    return DoseItem(
        status="withheld" if blocks else case.dose_status,
        because=blocks,
        cells_per_kg=plain(result.cells_per_kg),
        weight_kg=plain(result.weight_kg),
        weight_basis=limits.weight_basis,
        weight_source=weight.reference,
        weight_at=None if weight.time is None else weight.time.latest.astimezone(case.request.at.tzinfo).isoformat(),
        predicted_weight_kg=None if predicted_kg is None else plain(_round(predicted_kg, "0.01")),
        actual_to_predicted=None
        if not predicted_kg
        else plain(_round(EXACT.divide(result.weight_kg, predicted_kg), "0.01")),
        cells=plain(result.cells),
        cell_basis=limits.label_basis,
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
            *_unmeasured(weight),
            *_start_warnings(case),
            *_basis_warnings(case, result, predicted_kg),
        ],
    )


def _refused_lot(case: Case) -> list[str]:
    """Why the lot may not be used, by each product criterion that it violates."""
    violated = [one for one in case.judgements if one.criterion.role == "product" and one.is_violated]
    return [f"The lot does not meet {one.id}: {case.book.texts[one.id]}." for one in violated]


def _unmeasured(weight: Measurement) -> list[str]:
    return [f"The weight was {flag}, not measured." for flag in ("estimated", "stated") if flag in weight.flags]


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


def _basis_warnings(case: Case, result: DoseResult, predicted_kg: Decimal | None) -> list[str]:
    limits = case.book.knowledge.measurements["weight"].parameters
    if not predicted_kg:
        return []
    ratio = EXACT.divide(result.weight_kg, predicted_kg)
    if limits["basis_ratio_below"] <= ratio <= limits["basis_ratio_above"]:
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
        dmso=_number(case, "product_dmso"),
        endotoxin=_number(case, "product_endotoxin"),
    )


def _chosen(case: Case, name: str) -> Measurement | None:
    return case.findings.select(name).chosen


def _number(case: Case, name: str) -> Decimal | None:
    chosen = _chosen(case, name)
    return None if chosen is None or chosen.value is None else chosen.value.exact


def _answer(case: Case, name: str) -> str | None:
    chosen = _chosen(case, name)
    return None if chosen is None else chosen.answer


def _schedule(case: Case) -> list[ScheduleRow]:
    given = case.record.infusion_starts(case.request.at)
    if case.verdict == "ineligible" and not given:
        return []
    status = "proposed" if case.dose_status == "planned" else "conditional"
    start = case.request.start or case.request.at
    rows = plan_schedule(case.book.protocol.schedule, start, ZoneInfo(case.request.zone), given, status)
    if case.verdict == "ineligible":
        rows = [row for row in rows if row.status == "given"]
    return [_row(row) for row in rows]


def _row(row: ScheduledInfusion) -> ScheduleRow:
    return ScheduleRow(
        infusion=row.infusion,
        earliest=row.earliest.isoformat(),
        planned=row.planned.isoformat(),
        latest=row.latest.isoformat(),
        status=row.status,
        day_from_0=row.day_from_0,
        day_from_1=row.day_from_1,
    )


def _text(number: Decimal | None, step: str | None = None) -> str | None:
    if number is None:
        return None
    return plain(number if step is None else _round(number, step))


def _round(number: Decimal, step: str) -> Decimal:
    return number.quantize(Decimal(step), rounding=ROUND_HALF_EVEN)
