"""The dose of one infusion, line by line, in exact decimals: nothing is ever rounded up."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_HALF_EVEN, Decimal

from mscprotocol.interval import EXACT, plain
from mscprotocol.protocols import Dose, Practice, Sourced

MILLION = Decimal(1_000_000)
HUNDRED = Decimal(100)
HOUR_MINUTES = Decimal(60)


@dataclass(frozen=True, slots=True)
class Product:
    """What a product lot says of itself, in canonical units; `None` is not known."""

    concentration: Decimal | None = None
    label_basis: str | None = None
    viability: Decimal | None = None
    bag_volume: Decimal | None = None
    dmso: Decimal | None = None
    endotoxin: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the calculation as a person would check it."""

    label: str
    working: str
    result: str
    mark: str
    source: str


@dataclass(frozen=True)
class DoseResult:
    """The dose as far as it can be computed. Cells are viable cells; volumes in mL, rate in mL/h."""

    cells_per_kg: Decimal | None
    weight_kg: Decimal | None
    cells: Decimal
    is_capped: bool = False
    volume_ml: Decimal | None = None
    delivered_cells: Decimal | None = None
    bags: int | None = None
    rate_ml_h: Decimal | None = None
    dmso_g_per_kg: Decimal | None = None
    endotoxin_eu_per_kg: Decimal | None = None
    lines: tuple[Line, ...] = ()
    warnings: tuple[str, ...] = ()
    blocks: tuple[str, ...] = ()


@dataclass
class _Sheet:
    lines: list[Line] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    blocks: list[str] = field(default_factory=list)

    def add(self, label: str, working: str, result: str, number: Sourced) -> None:
        self.lines.append(Line(label, working, result, number.mark, number.source))


@dataclass(frozen=True, slots=True)
class DosePlan:
    """What is asked: the protocol's own dosing, the site's practice, and the level that was chosen."""

    dose: Dose
    practice: Practice
    level: Sourced

    def __post_init__(self) -> None:
        """Refuse a level that is not in the protocol's closed list or above the ceiling (in 10*6/kg)."""
        number, ceiling = self.level.value, self.practice.ceiling.value
        if self.level.is_per_kg and number.value > ceiling.value:
            raise ValueError(f"above the ceiling of {ceiling}")
        allowed = [one.value for one in (*self.dose.levels, self.dose.reduced_proposal) if one is not None]
        if number not in allowed:
            raise ValueError(f"not a dose level of this protocol: {number}")

    def cells_for(self, weight_kg: Decimal) -> Decimal:
        """The level in cells, for a weight."""
        cells = EXACT.multiply(self.level.value.value, MILLION)
        return EXACT.multiply(cells, weight_kg) if self.level.is_per_kg else cells

    def is_above_moderate(self, weight_kg: Decimal) -> bool:
        """Whether the dose exceeds what the site allows at moderate risk of clotting, for a weight."""
        most = EXACT.multiply(EXACT.multiply(self.practice.moderate_at_most.value.value, MILLION), weight_kg)
        return self.cells_for(weight_kg) > most


def choose_level(dose: Dose, wanted: Decimal | None) -> tuple[str, Sourced | None]:
    """The level that was asked for, or the only one there is: `known`, `not_chosen` or `refused`; never a guess."""
    if wanted is None:
        return ("known", dose.levels[0]) if len(dose.levels) == 1 else ("not_chosen", None)
    found = next((one for one in dose.levels if one.value.value == wanted), None)
    return ("refused", None) if found is None else ("known", found)


def plan_dose(plan: DosePlan, weight_kg: Decimal | None, product: Product) -> DoseResult:
    """The dose for a weight, and the volume, bags, rate and excipients when the product lot tells enough.

    Only a fixed number of cells needs no weight. Raises ValueError for cells per kg without one.
    """
    sheet = _Sheet()
    level = plan.level
    if level.is_per_kg and weight_kg is None:
        raise ValueError("cells per kg need a weight")
    wanted = plan.cells_for(weight_kg or Decimal(0))
    each = _count(EXACT.multiply(level.value.value, MILLION))
    sheet.add("Dose level", "closed list of the protocol", f"{each} cells{'/kg' if level.is_per_kg else ''}", level)
    working = "fixed, whatever the weight"
    if level.is_per_kg:
        working = f"{each} cells/kg x {plain(weight_kg or Decimal(0))} kg"
    sheet.add("Target cells", working, f"{_count(wanted)} {plan.practice.label_basis} cells", level)
    cells = _capped(plan, wanted, sheet)
    per_kg = EXACT.multiply(level.value.value, MILLION) if level.is_per_kg else None
    base = DoseResult(per_kg, weight_kg, cells, is_capped=cells < wanted)
    return _with_volume(plan.practice, base, product, sheet)


def _capped(plan: DosePlan, wanted: Decimal, sheet: _Sheet) -> Decimal:
    """At most the protocol's own limit, and at most what the heaviest weight that is dosed would need."""
    caps = [(plan.cells_for(plan.practice.heaviest.value.value), plan.practice.heaviest)]
    if plan.dose.max_cells is not None:
        caps.append((EXACT.multiply(plan.dose.max_cells.value.value, MILLION), plan.dose.max_cells))
    cap, number = min(caps, key=lambda one: one[0])
    if wanted <= cap:
        return wanted
    sheet.warnings.append(f"Target capped at {_count(cap)} cells for one infusion.")
    sheet.add("Cap", f"at most {_count(cap)} cells an infusion", f"{_count(cap)} cells", number)
    return cap


def _with_volume(limits: Practice, base: DoseResult, product: Product, sheet: _Sheet) -> DoseResult:
    viable = _viable_per_ml(product, sheet, limits)
    if viable is None:
        return _finish(base, sheet)
    exact = EXACT.divide(base.cells, viable)
    volume = round_down(exact, limits.graduation.value.value)
    sheet.add(
        "Volume",
        f"{_count(base.cells)} / {_count(viable)} per mL = {plain(exact.quantize(Decimal('0.0001'), ROUND_DOWN))} mL",
        f"{plain(volume)} mL (rounded down to {limits.graduation.value})",
        limits.graduation,
    )
    delivered = EXACT.multiply(volume, viable)
    share = EXACT.divide(EXACT.multiply(delivered, HUNDRED), base.cells)
    sheet.add(
        "Delivered",
        f"{plain(volume)} mL x {_count(viable)} per mL",
        f"{_count(delivered)} cells ({plain(share.quantize(Decimal('0.01'), ROUND_HALF_EVEN))} % of target)",
        limits.delivered_at_least,
    )
    if share < limits.delivered_at_least.value.value:
        sheet.blocks.append(f"Rounding down delivers less than {limits.delivered_at_least.value} of the target.")
    final = limits.final_volume.value.value
    rate = EXACT.divide(EXACT.multiply(final, HOUR_MINUTES), limits.duration.value.value)
    slow = EXACT.divide(EXACT.multiply(rate, limits.slow_start.value.value), HUNDRED)
    sheet.add(
        "Rate",
        f"diluted to {limits.final_volume.value}, over {limits.duration.value}",
        f"{plain(rate)} mL/h; first 10 min at most {plain(slow)} mL/h",
        limits.duration,
    )
    if volume > final:
        sheet.blocks.append(f"The product volume is larger than the final volume of {limits.final_volume.value}.")
    return _finish(
        _replace(
            base,
            volume_ml=volume,
            delivered_cells=delivered,
            bags=_bags(product, volume, sheet, limits),
            rate_ml_h=rate,
            dmso_g_per_kg=_dmso(limits, base, product, volume, sheet),
            endotoxin_eu_per_kg=_endotoxin(limits, base, product, volume, sheet),
        ),
        sheet,
    )


def _viable_per_ml(product: Product, sheet: _Sheet, limits: Practice) -> Decimal | None:
    """Viable cells in a mL. A label that does not say total or viable is refused."""
    if product.concentration is None:
        return None
    per_ml = EXACT.multiply(product.concentration, MILLION)
    if product.label_basis == "viable" and per_ml > 0:
        return per_ml
    if product.label_basis != "total":
        sheet.blocks.append("The label does not say whether the concentration counts total or viable cells.")
        return None
    if product.viability is None:
        sheet.blocks.append("The viability is not known, so viable cells cannot be counted.")
        return None
    viable = EXACT.divide(EXACT.multiply(per_ml, product.viability), HUNDRED)
    if viable <= 0:
        sheet.blocks.append("The lot holds no viable cells.")
        return None
    sheet.add(
        "Viable cells per mL",
        f"{_count(per_ml)} total per mL x {plain(product.viability)} %",
        f"{_count(viable)} viable per mL",
        limits.viability_age,
    )
    return viable


def _bags(product: Product, volume: Decimal, sheet: _Sheet, limits: Practice) -> int | None:
    if product.bag_volume is None:
        return None
    bags = int(EXACT.divide(volume, product.bag_volume).to_integral_value(rounding=ROUND_CEILING))
    sheet.add("Bags", f"{plain(volume)} mL / {plain(product.bag_volume)} mL a bag", f"{bags}", limits.graduation)
    return bags


def _dmso(limits: Practice, base: DoseResult, product: Product, volume: Decimal, sheet: _Sheet) -> Decimal | None:
    if product.dmso is None or base.weight_kg is None:
        return None
    grams = EXACT.multiply(EXACT.divide(EXACT.multiply(volume, product.dmso), HUNDRED), limits.dmso_density.value.value)
    per_kg = EXACT.divide(grams, base.weight_kg)
    sheet.add(
        "DMSO",
        f"{plain(volume)} mL x {plain(product.dmso)} % v/v x {limits.dmso_density.value}",
        f"{plain(grams)} g = {plain(per_kg.quantize(Decimal('0.0001'), ROUND_DOWN))} g/kg",
        limits.dmso_limit,
    )
    if per_kg > limits.dmso_limit.value.value:
        sheet.blocks.append(f"DMSO is above {limits.dmso_limit.value} in a day.")
    elif per_kg > limits.dmso_warn.value.value:
        sheet.warnings.append(f"DMSO is above {limits.dmso_warn.value}.")
    return per_kg


def _endotoxin(limits: Practice, base: DoseResult, product: Product, volume: Decimal, sheet: _Sheet) -> Decimal | None:
    if product.endotoxin is None or base.weight_kg is None:
        return None
    per_kg = EXACT.divide(EXACT.multiply(product.endotoxin, volume), base.weight_kg)
    sheet.add(
        "Endotoxin",
        f"{plain(product.endotoxin)} EU/mL x {plain(volume)} mL / {plain(base.weight_kg)} kg",
        f"{plain(per_kg.quantize(Decimal('0.001'), ROUND_CEILING))} EU/kg",
        limits.endotoxin_limit,
    )
    if per_kg > limits.endotoxin_limit.value.value:
        sheet.blocks.append(f"Endotoxin is above {limits.endotoxin_limit.value}.")
    return per_kg


def round_down(value: Decimal, step: Decimal) -> Decimal:
    """The largest multiple of a step that is not above the value."""
    return EXACT.multiply(EXACT.divide(value, step).to_integral_value(rounding=ROUND_DOWN), step)


def _finish(result: DoseResult, sheet: _Sheet) -> DoseResult:
    return _replace(result, lines=tuple(sheet.lines), warnings=tuple(sheet.warnings), blocks=tuple(sheet.blocks))


def _replace(result: DoseResult, **changes: object) -> DoseResult:
    return DoseResult(**{**result.__dict__, **changes})


def _count(cells: Decimal) -> str:
    """A number of cells with thin groups of three, as a person reads it back."""
    return f"{cells.normalize():,f}".replace(",", " ")
