"""Quantities computed from others, point by point, each with the reason why it could not be computed."""

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pytest

from mscprotocol.interval import Interval, between, exactly
from mscprotocol.reasons import Reason
from tests.core.records import AT, ago, findings_of, measured, points


def one(name, *entries, **more):
    """The only point of a derived series."""
    (point,) = points(name, *entries, **more)
    return point


def ratio_of(*entries):
    return one("pf_ratio", *entries)


# -- P/F --


def test_oxygen_over_what_was_inspired():
    point = ratio_of(measured("pao2", 90, 1, "Observation/gas"), measured("fio2", 0.5, 1, "Observation/oxygen"))
    assert point.value == exactly(180)
    assert point.time.earliest == ago(hours=1)
    assert point.reference == "Observation/gas + Observation/oxygen"


@pytest.mark.parametrize(
    ("minutes", "paired"), [(0, True), (15, True), (30, True), (30.1, False), (180, False), (-1, False)]
)
def test_the_inspired_oxygen_in_force(minutes, paired):
    """H30: charted at most 30 minutes before the gas, and never after it."""
    gas, oxygen = measured("pao2", 90, 3), measured("fio2", 0.5, ago(hours=3, minutes=minutes))
    point = ratio_of(gas, oxygen)
    assert (point.value, point.problem) == ((exactly(180), None) if paired else (None, Reason.UNPAIRED))


def test_the_newest_inspired_oxygen_before_the_gas_counts():
    oxygen = [
        measured("fio2", value, ago(hours=3, minutes=minutes)) for value, minutes in ((0.9, 20), (0.5, 5), (0.3, -5))
    ]
    assert ratio_of(measured("pao2", 90, 3), *oxygen).value == exactly(180)


def test_two_inspired_fractions_at_one_instant_are_a_conflict():
    oxygen = [measured("fio2", 0.3, 3, "Observation/a"), measured("fio2", 0.9, 3, "Observation/b")]
    assert ratio_of(measured("pao2", 90, 3), *oxygen).problem is Reason.CONFLICT


def test_a_problem_of_a_part_is_a_problem_of_the_whole():
    gas, oxygen = measured("pao2", 90, 3), measured("fio2", 0.5, 3)
    preliminary = {"problem": Reason.STATUS_EXCLUDED}
    assert ratio_of(measured("pao2", 90, 3, **preliminary), oxygen).problem is Reason.STATUS_EXCLUDED
    assert ratio_of(gas, measured("fio2", None, 3, problem=Reason.UNIT_AMBIGUOUS)).problem is Reason.UNIT_AMBIGUOUS
    assert ratio_of(measured("pao2", 90, 3, **preliminary), oxygen).value is None


def test_a_ratio_beyond_the_hard_limits_is_refused():
    assert ratio_of(measured("pao2", 600, 3), measured("fio2", 0.21, 3)).problem is Reason.IMPLAUSIBLE


def test_a_censored_gas_gives_a_censored_ratio():
    low = Interval(high=Decimal(60), high_open=True)
    assert ratio_of(measured("pao2", low, 3), measured("fio2", 0.5, 3)).value == Interval(
        Decimal(0), Decimal(120), False, True
    )


@pytest.mark.parametrize(
    ("charted", "agrees"),
    [(150, True), (170, True), (176.5, False), (177, False), (180, False), (131, True), (130.4, False), (100, False)],
)
def test_a_charted_ratio_that_differs_by_more_than_15_percent(charted, agrees):
    entries = [measured("pao2", 75, 3), measured("fio2", 0.5, 3), measured("pf_ratio", charted, 3)]
    expected = (exactly(150), None) if agrees else (None, Reason.CONFLICT)
    if charted == 176.5:  # 26.5 apart, 26.475 allowed
        assert Decimal("26.5") > Decimal("176.5") * Decimal("0.15")
    point = ratio_of(*entries)
    assert (point.value, point.problem) == expected


def test_a_charted_ratio_stands_where_no_gas_was_taken():
    found = points("pf_ratio", measured("pao2", 75, 3), measured("fio2", 0.5, 3), measured("pf_ratio", 300, 1))
    assert [point.value for point in found] == [exactly(300), exactly(150)]


def test_two_charted_ratios_at_one_instant_are_a_conflict():
    found = findings_of(measured("pf_ratio", 350, 3), measured("pf_ratio", 150, 3)).select("pf_ratio")
    assert (found.chosen, found.reason) == (None, Reason.CONFLICT)


def test_two_gases_at_one_instant_are_a_conflict():
    entries = [measured("pao2", 75, 3), measured("pao2", 175, 3), measured("fio2", 0.5, 3)]
    assert findings_of(*entries).select("pf_ratio").reason is Reason.CONFLICT


# -- a gas that may be venous (H09) --


@pytest.mark.parametrize(
    ("oxygen", "saturation", "minutes", "suspect"),
    [
        (44.9, 93, 0, True),
        (40, 96, 15, True),
        (45, 96, 0, False),
        (40, 92, 0, False),
        (40, 96, 16, False),
        (40, 85, 0, False),
    ],
)
def test_a_low_oxygen_beside_a_high_saturation_may_be_venous(oxygen, saturation, minutes, suspect):
    gas, inspired = measured("pao2", oxygen, 3), measured("fio2", 0.5, 3)
    point = ratio_of(gas, inspired, measured("spo2", saturation, ago(hours=3, minutes=minutes)))
    assert (point.problem is Reason.SPECIMEN_MISMATCH) is suspect
    assert (point.value is None) is suspect


# -- S/F --


@pytest.mark.parametrize(
    ("saturation", "inspired", "ratio"), [(92, 0.4, "230"), (97, 0.5, "194"), (88, 1.0, "88"), (93, 0.21, "442.9")]
)
def test_saturation_over_what_was_inspired(saturation, inspired, ratio):
    point = one("sf_ratio", measured("spo2", saturation, 1), measured("fio2", inspired, 1))
    assert point.value.exact.quantize(Decimal(ratio)) == Decimal(ratio)


def test_a_saturation_above_97_says_nothing():
    """H12"""
    for saturation in (98, between(96, 98)):
        point = one("sf_ratio", measured("spo2", saturation, 1), measured("fio2", 0.5, 1))
        assert (point.value, point.problem) == (None, Reason.COMPARATOR)


def test_saturations_on_room_air_only():
    """H10"""
    entries = [
        measured("spo2", 95, 5), measured("oxygen_support", "room_air", 5),
        measured("spo2", 96, 3), measured("oxygen_flow", 6, 3),
        measured("spo2", 97, 1),
    ]  # fmt: skip
    assert [point.value for point in points("spo2_room_air", *entries)] == [exactly(95)]


# -- ratios to the upper limit --


def test_a_d_dimer_counts_in_multiples_of_its_own_limit():
    """H13: fibrinogen equivalents and D-dimer units compare by their own limits only."""
    feu = measured("d_dimer", 0.6, 1, upper_limit=exactly(Decimal("0.5")), assay="FEU")
    ddu = measured("d_dimer", 0.3, 1, upper_limit=exactly(Decimal("0.24")), assay="DDU")
    assert one("d_dimer_ratio", feu).value == exactly(Decimal("1.2"))
    assert one("d_dimer_ratio", ddu).value == exactly(Decimal("1.25"))


def test_without_a_limit_there_is_no_ratio():
    for name, source in (("d_dimer_ratio", "d_dimer"), ("pt_prolongation", "pt")):
        point = one(name, measured(source, 15, 1))
        assert (point.value, point.problem) == (None, Reason.QUALIFIER_MISSING)
    preliminary = measured("d_dimer", 15, 1, problem=Reason.STATUS_EXCLUDED)
    assert one("d_dimer_ratio", preliminary).problem is Reason.STATUS_EXCLUDED


def test_a_censored_d_dimer():
    """H27"""
    above = Interval(low=Decimal(20), low_open=True)
    point = one("d_dimer_ratio", measured("d_dimer", above, 1, upper_limit=exactly(Decimal("0.5"))))
    assert point.value == Interval(low=Decimal(40), low_open=True)
    below = Interval(high=Decimal("0.27"), high_open=True)
    point = one("d_dimer_ratio", measured("d_dimer", below, 1, upper_limit=exactly(Decimal("0.5"))))
    assert point.value == Interval(Decimal(0), Decimal("0.54"), False, True)


def test_seconds_beyond_the_limit():
    assert one("pt_prolongation", measured("pt", 16.5, 1, upper_limit=exactly(Decimal("13.5")))).value == exactly(3)
    assert one("pt_prolongation", measured("pt", 12, 1, upper_limit=exactly(Decimal("13.5")))).value == exactly(
        Decimal("-1.5")
    )


# -- pressure, weight, age --


def test_mean_pressure_from_systolic_and_diastolic_of_one_instant():
    entries = [measured("systolic_bp", 120, 1), measured("diastolic_bp", 60, 1)]
    assert one("map", *entries).value == exactly(80)
    assert points("map", measured("systolic_bp", 120, 1), measured("diastolic_bp", 60, 1.1)) == ()
    assert points("map", measured("systolic_bp", 120, 1)) == ()


def test_a_measured_mean_pressure_stands():
    entries = [measured("systolic_bp", 120, 1), measured("diastolic_bp", 60, 1), measured("map", 75, 1)]
    assert one("map", *entries).value == exactly(75)


def test_mean_pressure_of_a_problem():
    entries = [measured("systolic_bp", 120, 1), measured("diastolic_bp", None, 1, problem=Reason.IMPLAUSIBLE)]
    assert one("map", *entries).problem is Reason.IMPLAUSIBLE


def test_two_diastolic_values_at_one_instant_are_a_conflict():
    entries = [measured("systolic_bp", 90, 1), measured("diastolic_bp", 30, 1), measured("diastolic_bp", 70, 1)]
    assert findings_of(*entries).select("map").reason is Reason.CONFLICT


@pytest.mark.parametrize(
    ("height", "sex", "weight"),
    [
        (175, "male", "70.57"),
        (175, "female", "66.07"),
        (160, "female", "52.42"),
        (152.4, "male", "50.00"),
        (190, "male", "84.22"),
    ],
)
def test_predicted_body_weight(height, sex, weight):
    point = one("predicted_body_weight", measured("height", height, 1), sex=sex)
    assert point.value.exact.quantize(Decimal("0.01")) == Decimal(weight)


@pytest.mark.parametrize("sex", [None, "other", "unknown"])
def test_no_predicted_body_weight_without_sex(sex):
    assert points("predicted_body_weight", measured("height", 175, 1), sex=sex) == ()


def test_no_predicted_body_weight_without_height():
    assert points("predicted_body_weight", sex="male") == ()


def age_at(at, *born):
    born = born if len(born) == 2 else (born[0], born[0])
    return one("age", born=born, at=at).value


@pytest.mark.parametrize(
    ("born", "at", "years"),
    [
        ((date(1962, 3, 14),), datetime(2020, 4, 6, tzinfo=UTC), exactly(58)),
        ((date(2002, 4, 6),), datetime(2020, 4, 6, 12, tzinfo=UTC), exactly(18)),
        ((date(2002, 4, 8),), datetime(2020, 4, 6, 12, tzinfo=UTC), exactly(17)),
        ((date(2008, 1, 1), date(2008, 12, 31)), datetime(2026, 6, 1, tzinfo=UTC), between(17, 18)),
        ((date(1961, 1, 1), date(1961, 12, 31)), datetime(2020, 12, 31, tzinfo=UTC), between(58, 59)),
        ((date(2002, 2, 28),), datetime(2020, 2, 29, tzinfo=UTC), exactly(18)),
        ((date(2004, 2, 29),), datetime(2022, 2, 27, tzinfo=UTC), exactly(17)),
        ((date(2004, 2, 29),), datetime(2022, 3, 1, 12, tzinfo=UTC), exactly(18)),
    ],
)
def test_age(born, at, years):
    """H25: a partial birth date leaves a range."""
    assert age_at(at, *born) == years


@pytest.mark.parametrize("offset", [-10, 0, 14])
def test_around_a_birthday_the_age_is_open_whatever_the_offset_of_the_evaluation(offset):
    """H25: on the eve of a birthday in Hawaii it is the birthday in UTC, and the patient may still be 17."""
    at = datetime(2026, 4, 7, 6, tzinfo=UTC).astimezone(timezone(timedelta(hours=offset)))
    assert age_at(at, date(2008, 4, 7)) == between(17, 18)
    assert age_at(at + timedelta(days=1), date(2008, 4, 7)) == exactly(18)
    assert age_at(at - timedelta(days=2), date(2008, 4, 7)) == exactly(17)


def test_no_birth_date_no_age():
    assert points("age") == ()


# -- slips of unit --


@pytest.mark.parametrize(
    ("kilograms", "refused"),
    [(80, False), (176, True), (159, False), (160, True), (192, True), (193, False), (36, True)],
)
def test_a_weight_that_stands_to_the_one_before_like_pounds_to_kilograms(kilograms, refused):
    """H02"""
    newest, _ = points("weight", measured("weight", 80, 48), measured("weight", kilograms, 1))
    assert (newest.problem is Reason.IMPLAUSIBLE) is refused


@pytest.mark.parametrize(("kilograms", "refused"), [(80, False), (34, True), (37, False), (202, False), (203, True)])
def test_a_weight_that_does_not_go_with_the_height(kilograms, refused):
    point = one("weight", measured("weight", kilograms, 1), measured("height", 170, 1))
    assert (point.problem is Reason.IMPLAUSIBLE) is refused


def test_a_jump_of_the_d_dimer_like_that_between_units():
    """H14"""
    newest, _ = points("d_dimer", measured("d_dimer", "0.4", 20), measured("d_dimer", 400, 1))
    assert newest.problem is Reason.IMPLAUSIBLE
    newest, _ = points("d_dimer", measured("d_dimer", "0.4", 20), measured("d_dimer", 40, 1))
    assert newest.problem is None
    assert newest.time.earliest < AT
