"""Quantities as rules write them: a plain decimal, a space, a UCUM unit; never an exponent."""

from decimal import Decimal

import pytest

from mscprotocol.knowledge_forms import parse_quantity


@pytest.mark.parametrize(
    ("text", "value", "unit"),
    [
        ("30 /min", "30", "/min"),
        ("1.0 10*6/kg", "1.0", "10*6/kg"),
        ("-5 cm", "-5", "cm"),
        ("300 mm[Hg]", "300", "mm[Hg]"),
    ],
)
def test_quantities(text, value, unit):
    found = parse_quantity(text)
    assert (found.value, found.unit) == (Decimal(value), unit)
    assert str(found) == text


@pytest.mark.parametrize(
    "text", ["30", "30/min", "1e3 /min", "1E3 /min", ".5 g", "5. g", "1,5 g", "NaN g", "30 / min", "", None, 30]
)
def test_what_is_no_quantity(text):
    with pytest.raises(ValueError, match="not a quantity with a unit"):
        parse_quantity(text)


def test_a_small_quantity_is_printed_without_an_exponent():
    assert str(parse_quantity("0.0000001 g")) == "0.0000001 g"
