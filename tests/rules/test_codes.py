"""Check digits and shapes of codes, and the grammar of units."""

from __future__ import annotations

import pytest

from mscprotocol.authoring.codes import find_category_fault, find_fault, is_verhoeff, loinc_digit
from mscprotocol.authoring.ucum import is_unit
from mscprotocol.codes import parse_code

GOOD = [
    "loinc 777-3", "loinc 3150-0", "loinc 94558-4", "loinc LA6576-8", "snomed 59282003", "snomed 132281000119108",
    "atc B01AB", "atc C01CA03", "rxnorm 7512", "unii YOW8V9698H", "icd10 U07.1", "icd10 D75.82",
]  # fmt: skip
BAD = [
    "loinc 777-4", "loinc 3150-6", "loinc 94558-5", "loinc 7773", "snomed 59282004", "snomed 59228003", "snomed 2363",
    "atc B1AB", "atc b01", "rxnorm 07512", "unii YOW8V9698", "icd10 I2", "icd10 i26",
]  # fmt: skip


@pytest.mark.parametrize("code", GOOD)
def test_a_code_that_can_exist(code: str) -> None:
    assert find_fault(parse_code(code)) is None


@pytest.mark.parametrize("code", BAD)
def test_a_code_that_cannot_exist(code: str) -> None:
    assert find_fault(parse_code(code)) is not None


def test_verhoeff_sees_every_wrong_digit_and_every_swap_of_neighbours() -> None:
    """What the scheme promises, on a code whose display was read; its own example in print is 236 with 3."""
    code = "840539006"
    assert is_verhoeff(code)
    assert is_verhoeff("2363")
    for place, digit in enumerate(code):
        wrong = [code[:place] + other + code[place + 1 :] for other in "0123456789" if other != digit]
        assert not any(map(is_verhoeff, wrong))
        swapped = code[:place] + code[place : place + 2][::-1] + code[place + 2 :]
        assert swapped == code or not is_verhoeff(swapped)


def test_the_digit_of_loinc() -> None:
    assert [loinc_digit(number) for number in ("777", "59408", "48065")] == [3, 5, 7]


@pytest.mark.parametrize("category", ["I26", "I82.4", "C00-C97", "O00-O9A"])
def test_a_category_of_icd10(category: str) -> None:
    assert find_category_fault(category) is None


UNITS = [
    "%", "1", "10*9/L", "mm[Hg]", "ug/kg/min", "ug/(kg.min)", "{INR}", "mg/L{FEU}", "mg{DDU}/L", "[lb_av]", "cm[H2O]",
    "{breaths}/min", "mL/(24.h)", "[degF]", "/min", "10*6/kg", "[EU]/mL", "G/L", "m[IU]/min",
]  # fmt: skip
NO_UNITS = ["", "mmHg ", "furlong", "per minute", "mg//L", "10*9 /L", "kg/", "{", "mm Hg", "xg"]


@pytest.mark.parametrize("unit", UNITS)
def test_a_unit(unit: str) -> None:
    assert is_unit(unit)


@pytest.mark.parametrize("unit", NO_UNITS)
def test_no_unit(unit: str) -> None:
    assert not is_unit(unit)
