"""The dose of one infusion: golden vectors computed apart from the product, every refusal, and nothing rounded up."""

from decimal import Decimal

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mscprotocol.dosing import DosePlan, Product, choose_level, plan_dose, round_down
from mscprotocol.knowledge_forms import Quantity
from mscprotocol.knowledge_loader import load_knowledge
from tests.properties.strategies import LAWS, decimals


@pytest.fixture(scope="module")
def limits():
    return load_knowledge().protocols["seed-covid-4x"].dose


def practice():
    return load_knowledge().practices["site-default"]


def product(concentration="10", viability="85", bag="10", basis="total", **more):
    numbers = {"concentration": concentration, "viability": viability, "bag_volume": bag, **more}
    return Product(label_basis=basis, **{key: None if text is None else Decimal(text) for key, text in numbers.items()})


def plan(limits, weight, *args, level=None, **more):
    return plan_dose(asked(limits, level), Decimal(str(weight)), product(*args, **more))


def asked(limits, level=None):
    return DosePlan(limits, practice(), level or limits.levels[0])


def with_number(level, number, unit=None):
    return level.model_copy(update={"value": Quantity(value=Decimal(number), unit=unit or level.value.unit)})


@pytest.mark.parametrize(
    ("weight", "lot", "reduced", "cells", "volume", "delivered", "percent", "bags", "capped"),
    [
        ("70", ("10", "85", "10"), False, 70_000_000, "8.2", 69_700_000, "99.57", 1, False),
        ("79.832", ("5", "70", "20"), False, 79_832_000, "22.8", 79_800_000, "99.96", 2, False),
        ("120", ("10", "92", "5"), False, 120_000_000, "13.0", 119_600_000, "99.67", 3, False),
        ("55.5", ("10", "80", "10"), True, 16_650_000, "2.0", 16_000_000, "96.10", 1, False),
        ("200", ("10", "85", "10"), False, 150_000_000, "17.6", 149_600_000, "99.73", 2, True),
    ],
)
def test_golden_vectors(limits, weight, lot, reduced, cells, volume, delivered, percent, bags, capped):
    found = plan(limits, weight, *lot, level=limits.reduced_proposal if reduced else None)
    assert found.cells == cells
    assert found.volume_ml == Decimal(volume)
    assert found.delivered_cells == delivered
    assert found.bags == bags
    assert found.is_capped is capped
    assert found.blocks == ()
    assert (found.delivered_cells / found.cells * 100).quantize(Decimal("0.01")) == Decimal(percent)
    assert found.rate_ml_h == 100


def test_the_working_is_shown(limits):
    lines = {line.label: f"{line.working} = {line.result}" for line in plan(limits, 70).lines}
    assert lines == {
        "Dose level": "closed list of the protocol = 1 000 000 cells/kg",
        "Target cells": "1 000 000 cells/kg x 70 kg = 70 000 000 viable cells",
        "Viable cells per mL": "10 000 000 total per mL x 85 % = 8 500 000 viable per mL",
        "Volume": "70 000 000 / 8 500 000 per mL = 8.2352 mL = 8.2 mL (rounded down to 0.1 mL)",
        "Delivered": "8.2 mL x 8 500 000 per mL = 69 700 000 cells (99.57 % of target)",
        "Rate": "diluted to 100 mL, over 60 min = 100 mL/h; first 10 min at most 50 mL/h",
        "Bags": "8.2 mL / 10 mL a bag = 1",
    }


def test_the_cap_is_said(limits):
    assert [warning for warning in plan(limits, 200).warnings if "capped at 150 000 000" in warning]
    assert plan(limits, 150).warnings == ()
    assert not plan(limits, 150).is_capped
    assert plan(limits, "150.1").is_capped


def test_dmso(limits):
    found = plan(limits, 70, dmso="10")
    assert found.dmso_g_per_kg.quantize(Decimal("0.0001")) == Decimal("0.0129")
    (line,) = [line for line in found.lines if line.label == "DMSO"]
    assert line.result.startswith("0.902 g")
    assert found.warnings == found.blocks == ()


@pytest.mark.parametrize(
    ("concentration", "dmso", "warned", "blocked"),
    [
        ("1", "9", False, False),  # 70 mL x 9 % x 1.1 / 70 kg = 0.099 g/kg
        ("1", "10", True, False),  # 0.11 g/kg
        ("0.7", "20", True, False),  # 100 mL, 0.314 g/kg
        ("0.2", "20", True, True),  # 350 mL: 1.1 g/kg, and more than the final volume
        ("0.22", "20", True, True),  # 318.1 mL: 0.9998 g/kg; only the volume blocks
    ],
)
def test_dmso_limits(limits, concentration, dmso, warned, blocked):
    found = plan(limits, 70, concentration, None, basis="viable", dmso=dmso)
    grams = "DMSO is above 1 g/kg" in "".join(found.blocks)
    assert grams is (found.dmso_g_per_kg > 1)
    assert bool(found.warnings) is (warned and not grams)
    assert bool(found.blocks) is blocked


@pytest.mark.parametrize(("endotoxin", "blocked"), [("5", False), ("5.001", True), ("0", False)])
def test_endotoxin_over_the_whole_volume(limits, endotoxin, blocked):
    found = plan(limits, 70, "1", None, basis="viable", endotoxin=endotoxin)  # 70 mL for 70 kg
    assert found.volume_ml == 70
    assert found.endotoxin_eu_per_kg == Decimal(endotoxin)
    assert bool(found.blocks) is blocked


@pytest.mark.parametrize("level", ["2", "0.5", "0.1", "1.01", "10", "0", "-1"])
def test_a_level_that_is_not_listed_is_refused(limits, level):
    with pytest.raises(ValueError, match="not a dose level of this protocol"):
        asked(limits, with_number(limits.levels[0], level))
    assert choose_level(limits, Decimal(level)) == ("refused", None)


@pytest.mark.parametrize("level", ["10.1", "100", "1000000"])
def test_a_level_above_the_ceiling_is_refused(limits, level):
    with pytest.raises(ValueError, match="above the ceiling of 10"):
        asked(limits, with_number(limits.levels[0], level))


def test_a_level_of_ten_times_the_dose_gives_no_dose(limits):
    with pytest.raises(ValueError, match="not a dose level"):
        plan(limits, 70, level=with_number(limits.levels[0], "10"))


@pytest.mark.parametrize("level", ["1.0", "1", "0.3"])
def test_the_levels_of_the_protocol(limits, level):
    asked(limits, with_number(limits.levels[0], level))


@pytest.mark.parametrize(
    ("lot", "says"),
    [
        ({"basis": None}, "does not say whether"),
        ({"basis": "cells"}, "does not say whether"),
        ({"viability": None}, "viability is not known"),
    ],
)
def test_cells_that_cannot_be_counted_give_no_volume(limits, lot, says):
    found = plan(limits, 70, **lot)
    assert found.volume_ml is None
    assert found.delivered_cells is None
    assert found.bags is None
    assert [block for block in found.blocks if says in block]
    assert found.cells == 70_000_000


def test_no_concentration_gives_no_volume_and_no_block(limits):
    found = plan(limits, 70, None)
    assert found.volume_ml is None
    assert found.blocks == ()


def test_a_label_of_viable_cells_needs_no_viability(limits):
    assert plan(limits, 70, "10", None, basis="viable").volume_ml == 7
    assert plan(limits, 70, "10", "50", basis="viable").volume_ml == 7, "viability is not applied twice"


@pytest.mark.parametrize(("concentration", "blocked"), [("0.7", False), ("0.69", True)])
def test_a_volume_larger_than_the_final_volume_is_refused(limits, concentration, blocked):
    found = plan(limits, 70, concentration, None, basis="viable")
    assert any("larger than the final volume of 100 mL" in block for block in found.blocks) is blocked


def test_rounding_down_may_not_lose_a_tenth(limits):
    assert plan(limits, 70, "350", None, basis="viable").blocks == ()  # 0.2 mL just fits
    found = plan(limits, 70, "400", None, basis="viable")  # 0.175 mL becomes 0.1 mL
    assert any("less than 90 % of the target" in block for block in found.blocks)


def test_a_lot_without_viable_cells_is_blocked(limits):
    assert plan(limits, 70, viability="0").blocks


def test_every_line_has_its_source_and_mark(limits):
    found = plan(limits, 200, dmso="10", endotoxin="1")
    assert [line.label for line in found.lines] == [
        "Dose level", "Target cells", "Cap", "Viable cells per mL", "Volume", "Delivered", "Rate", "Bags", "DMSO",
        "Endotoxin",
    ]  # fmt: skip
    assert all(line.source and line.mark in ("paper", "read", "recalled", "site") for line in found.lines)
    assert "first 10 min at most 50 mL/h" in found.lines[6].working + found.lines[6].result


@LAWS
@given(decimals(25, 300), decimals(1, 100, places=2), decimals(1, 100, places=1), st.sampled_from(["total", "viable"]))
def test_no_more_than_the_target_is_ever_delivered(weight, concentration, viability, basis):
    limits = load_knowledge().protocols["seed-covid-4x"].dose
    lot = Product(concentration, basis, viability, Decimal(10), Decimal(10), Decimal(1))
    found = plan_dose(asked(limits), weight, lot)
    assert found.cells <= weight * 1_000_000
    assert found.cells <= 150_000_000
    assert found.delivered_cells <= found.cells
    per_ml = concentration * 1_000_000 * (viability / 100 if basis == "total" else 1)
    assert found.cells - found.delivered_cells < Decimal("0.1") * per_ml
    assert found.volume_ml % Decimal("0.1") == 0
    assert (found.bags - 1) * 10 < found.volume_ml <= found.bags * 10
    text = " ".join(f"{line.working} {line.result}" for line in found.lines) + " ".join(found.warnings + found.blocks)
    assert not any(f"{digit}E" in text for digit in range(10))


@LAWS
@given(decimals(0, 1000, places=6), st.sampled_from(["0.1", "0.5", "0.25", "1", "3"]))
def test_rounding_down(value, step):
    step = Decimal(step)
    down = round_down(value, step)
    assert down <= value < down + step
    assert down % step == 0
    assert round_down(down, step) == down


@LAWS
@given(decimals(25, 300), decimals(25, 300))
def test_a_heavier_patient_never_gets_less(one, other):
    limits = load_knowledge().protocols["seed-covid-4x"].dose
    lighter, heavier = sorted((one, other))
    assume(lighter < heavier)
    doses = [plan_dose(asked(limits), weight, product()) for weight in (lighter, heavier)]
    assert doses[0].delivered_cells <= doses[1].delivered_cells
