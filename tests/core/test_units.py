"""From units as received to the canonical one: golden conversions, and refusal of whatever is not in the dictionary."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mscprotocol.interval import Interval, between, exactly
from mscprotocol.knowledge_loader import load_knowledge
from mscprotocol.reasons import Reason
from mscprotocol.units import UnitError, convert, find_unit, is_plausible, is_readable, is_unusual, to_canonical
from tests.properties.strategies import LAWS, decimals


def datum(name):
    return load_knowledge().measurements[name]


# Computed apart from the product; rounded to the places that are given.
GOLDEN = """
    pao2        8.0    kPa       60.0
    pao2        13.3   kPa       99.76
    pf_ratio    27     kPa       202.5
    pf_ratio    40     kPa       300.0
    weight      176    [lb_av]   79.832
    height      69     [in_i]    175.26
    height      1.75   m         175
    creatinine  177    umol/L    2.002
    bilirubin   34.2   umol/L    2.0
    lactate     36     mg/dL     3.996
    crp         12     mg/dL     120
    platelets   95000  /uL       95
    platelets   95     10*3/uL   95
    fibrinogen  150    mg/dL     1.5
    d_dimer     1200   ng/mL     1.2
    d_dimer     300    ng/mL{DDU} 0.3
    fio2        40     %         0.4
    fio2        0.4    1         0.4
    spo2        0.93   1         93
    temperature 98.6   [degF]    37
    temperature 212    [degF]    100
    albumin     35     g/L       3.5
    weight      70     kg        70
    norepinephrine_rate 6 ug/kg/h 0.1
""".strip().splitlines()


@pytest.mark.parametrize("line", [" ".join(line.split()) for line in GOLDEN])
def test_golden_conversions(line):
    name, value, unit, expected = line.split()
    found = to_canonical(datum(name), Decimal(value), unit)
    assert found.quantize(Decimal(expected)) == Decimal(expected)


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("weight", "lb"),
        ("weight", "KG"),
        ("weight", ""),
        ("weight", "stone"),
        ("pao2", "mmHg"),
        ("pao2", "cm[H2O]"),
        ("platelets", "10*12/L"),
        ("platelets", "K/uL"),
        ("crp", "mmol/L"),
        ("creatinine", "mg/L"),
        ("d_dimer", "nmol/L"),
        ("inr", "s"),
        ("fio2", "L/min"),
    ],
)
def test_a_unit_that_is_not_in_the_dictionary_is_refused(name, unit):
    with pytest.raises(UnitError, match="is not accepted"):
        to_canonical(datum(name), Decimal(1), unit)
    assert find_unit(datum(name), unit, Decimal(1)) is Reason.UNIT_UNKNOWN


@pytest.mark.parametrize("name", ["weight", "pao2", "platelets", "crp", "d_dimer", "spo2", "height", "temperature"])
@pytest.mark.parametrize("unit", [None, ""])
def test_no_unit_is_assumed(name, unit):
    assert find_unit(datum(name), unit, Decimal(60)) is Reason.UNIT_UNKNOWN


@pytest.mark.parametrize(("name", "unit"), [("inr", "{INR}"), ("gcs", "{score}")])
def test_what_is_a_pure_number_by_definition_needs_no_unit(name, unit):
    assert find_unit(datum(name), None, Decimal(3)) == find_unit(datum(name), "", Decimal(3)) == unit


@pytest.mark.parametrize(
    ("value", "read_in"),
    [
        ("0.21", "1"),
        ("0.4", "1"),
        ("1", "1"),
        ("1.0", "1"),
        ("21", "%"),
        ("40", "%"),
        ("100", "%"),
        ("4", Reason.UNIT_AMBIGUOUS),
        ("0.2", Reason.UNIT_AMBIGUOUS),
        ("1.01", Reason.UNIT_AMBIGUOUS),
        ("20.9", Reason.UNIT_AMBIGUOUS),
        ("101", Reason.UNIT_AMBIGUOUS),
        ("0", Reason.UNIT_AMBIGUOUS),
    ],
)
def test_inspired_oxygen_without_a_unit(value, read_in):
    assert find_unit(datum("fio2"), None, Decimal(value)) == read_in


@pytest.mark.parametrize(
    ("value", "unit", "plausible"),
    [
        ("0.4", "1", True),
        ("40", "%", True),
        ("0.4", "%", False),
        ("40", "1", False),
        ("0.21", "1", True),
        ("100", "%", True),
    ],
)
def test_inspired_oxygen_with_its_unit(value, unit, plausible):
    assert is_plausible(datum("fio2"), exactly(to_canonical(datum("fio2"), Decimal(value), unit))) is plausible


@pytest.mark.parametrize(
    ("name", "value", "plausible"),
    [
        ("weight", exactly(25), True),
        ("weight", exactly("24.999"), False),
        ("weight", exactly(301), False),
        ("platelets", exactly(95000), False),
        ("platelets", Interval(high=Decimal(20), high_open=True), True),
        ("platelets", Interval(high=Decimal(1), high_open=True), False),
        ("platelets", Interval(low=Decimal(2000), low_open=True), False),
        ("d_dimer", exactly(1200), False),
        ("d_dimer", Interval(low=Decimal(20), low_open=True), True),
        ("oxygen_support", exactly(7), True),
    ],
)
def test_hard_limits(name, value, plausible):
    assert is_plausible(datum(name), value) is plausible


def test_soft_limits():
    assert is_unusual(datum("weight"), exactly(34))
    assert not is_unusual(datum("weight"), exactly(35))
    assert not is_unusual(datum("weight"), between(30, 36))
    assert is_unusual(datum("d_dimer"), exactly(300)), "ng/mL that came as mg/L"
    assert not is_unusual(datum("gcs"), exactly(3)), "a datum without soft limits"


@pytest.mark.parametrize("text", ["7", "0", "-0.5", "1E+20", "1E-20", "12345678901234567890", "0.00000000000000000001"])
def test_numbers_that_are_read(text):
    assert is_readable(Decimal(text))


@pytest.mark.parametrize(
    "text",
    [
        "NaN",
        "sNaN",
        "-NaN",
        "Infinity",
        "-Infinity",
        "1E+21",
        "1E-21",
        "123456789012345678901",
        "1E+999999",
        "1E-999999",
    ],
)
def test_numbers_that_no_instrument_wrote(text):
    assert not is_readable(Decimal(text))


def test_an_interval_keeps_its_ends():
    assert convert(datum("pao2"), Interval(high=Decimal(8), high_open=True), "kPa") == Interval(
        high=Decimal("60.004936"), high_open=True
    )
    assert convert(datum("platelets"), between(95000, 96000), "/uL") == between(95, 96)


UNITS = [(name, unit) for name, one in load_knowledge().measurements.items() for unit in one.units]


@LAWS
@given(st.sampled_from(UNITS), decimals(), decimals())
def test_every_conversion_rises(name_and_unit, one, other):
    name, unit = name_and_unit
    low, high = sorted((one, other))
    converted = to_canonical(datum(name), low, unit), to_canonical(datum(name), high, unit)
    assert converted[0] < converted[1] or low == high


@pytest.mark.parametrize("name", sorted({name for name, _ in UNITS}))
def test_the_canonical_unit_is_accepted_as_it_is(name):
    one = datum(name)
    assert to_canonical(one, Decimal("1.5"), one.unit) == Decimal("1.5")
    assert find_unit(one, one.unit, Decimal(1)) == one.unit
