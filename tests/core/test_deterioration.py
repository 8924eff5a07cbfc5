"""Is the patient getting worse? Golden courses, each guard on a case that it alone decides, and the trend."""

import itertools
from decimal import Decimal

import pytest

from mscprotocol.deterioration import Point, SignalResult, find_signals, median, robust_slope, summarise
from mscprotocol.engine import Engine
from mscprotocol.knowledge_forms import parse_quantity
from mscprotocol.knowledge_loader import load_knowledge
from mscprotocol.rulesets import build_decision
from mscprotocol.scores import Scores
from mscprotocol.timespan import parse_window
from mscprotocol.truth import Truth
from tests.core.records import AT, ago, between, course, exactly, findings_of, measured, present
from tests.specs.grid import read_grid

EVERY_12_H = (0, 12, 24, 36, 48)


@pytest.fixture(scope="module")
def trend():
    return load_knowledge().definitions["deterioration"]


def signals(trend, *entries, at=AT):
    found = find_signals(trend, findings_of(*entries, at=at), lambda when: Scores(findings_of(*entries, at=when)))
    return {one.name: one for one in found}


def signal(trend, name, values, hours, extra=(), **more):
    measurement = trend.signals[name].measurement
    if measurement == "d_dimer_ratio":
        more["upper_limit"], measurement = exactly(1), "d_dimer"
    return signals(trend, *course(measurement, values, hours, **more), *extra)[name]


# -- golden courses --

GOLDEN = [
    # what, hours, values, slope an hour, projected over the span, rising less falling pairs of all, state
    ("pf_ratio", EVERY_12_H, (260, 248, 225, 205, 190), "-1.4931", "-71.7", -10, 10, "worse"),
    ("pf_ratio", EVERY_12_H, (240, 252, 235, 247, 238), "-0.125", "-6.0", -2, 10, "stable"),
    ("pf_ratio", EVERY_12_H, (240, 238, 120, 236, 239), "-0.0521", "-2.5", -2, 10, "stable"),
    ("pf_ratio", EVERY_12_H, (280, 200, 190, 230, 268), "0.5", "24.0", 0, 10, "reversing"),
    ("crp", (0, 24, 48), (40, 75, 118), "1.625", "78.0", 3, 3, "worse"),
]


@pytest.mark.parametrize(("name", "hours", "values", "slope", "projected", "agreement", "pairs", "state"), GOLDEN)
def test_golden_courses(trend, name, hours, values, slope, projected, agreement, pairs, state):
    found = signal(trend, name, values, hours)
    assert found.slope.per_hour.quantize(Decimal("0.0001")) == Decimal(slope)
    assert found.slope.projected.quantize(Decimal("0.1")) == Decimal(projected)
    assert (found.slope.agreement, found.slope.pairs) == (agreement, pairs)
    assert found.state == state
    assert [point.value for point in found.points] == list(values)


@pytest.mark.parametrize(("name", "hours", "values", "slope", "projected", "agreement", "pairs", "state"), GOLDEN)
def test_golden_slopes_alone(name, hours, values, slope, projected, agreement, pairs, state):
    found = robust_slope([Point(ago(48 - hour), Decimal(value)) for hour, value in zip(hours, values, strict=True)])
    assert found.per_hour.quantize(Decimal("0.0001")) == Decimal(slope)
    assert found.projected.quantize(Decimal("0.1")) == Decimal(projected)
    assert (found.agreement, found.pairs) == (agreement, pairs)


def test_one_bad_gas_does_not_move_the_trend(trend):
    values = [240, 238, 237, 236, 239]
    for place in range(5):
        spoilt = [*values[:place], 120, *values[place + 1 :]]
        assert signal(trend, "pf_ratio", spoilt, EVERY_12_H).state in ("stable", "reversing") or place == 4
    assert signal(trend, "pf_ratio", [240, 238, 237, 236, 120], EVERY_12_H).state == "stable"


def test_median():
    assert median([Decimal(3)]) == 3
    assert median([Decimal(3), Decimal(1), Decimal(2)]) == 2
    assert median([Decimal(4), Decimal(1), Decimal(2), Decimal(3)]) == Decimal("2.5")


# -- the four guards, each alone --


def guards(trend, name, found):
    """Which guards a course towards the bad side passes, reckoned apart from the code."""
    rule = trend.signals[name]
    sign = 1 if rule.bad == "up" else -1
    values = [point.value for point in found.points]
    change = found.slope.projected * sign
    absolute = Decimal(0) if rule.absolute is None else rule.absolute.value
    relative = Decimal(0) if rule.relative is None else rule.relative.value / 100
    ordered = sorted(values)
    middle = (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2
    return {
        "absolute": change >= absolute,
        "relative": change >= relative * (values[0] + values[1]) / 2,
        "agreement": found.slope.agreement * sign >= Decimal("0.7") * found.slope.pairs,
        "latest": (values[-1] - middle) * sign >= 0,
    }


def only(name):
    return {guard: guard != name for guard in ("absolute", "relative", "agreement", "latest")}


def test_no_guard_holds_back_a_steady_course(trend):
    found = signal(trend, "pf_ratio", (260, 248, 225, 205, 190), EVERY_12_H)
    assert guards(trend, "pf_ratio", found) == only(None)
    assert found.state == "worse"


@pytest.mark.parametrize(
    ("guard", "values"),
    [
        ("absolute", (80, 76, 71, 67, 62)),
        ("relative", (300, 290, 280, 270, 255)),
        ("agreement", (300, 310, 200, 212, 205)),
    ],
)
def test_each_guard_of_a_steady_course_decides_alone(trend, guard, values):
    found = signal(trend, "pf_ratio", values, EVERY_12_H)
    assert guards(trend, "pf_ratio", found) == only(guard)
    assert found.state == "stable"


def test_a_latest_value_better_than_the_median_decides_alone(trend):
    hours = tuple(range(0, 48, 6))
    found = signal(trend, "pf_ratio", (300, 280, 260, 240, 230, 225, 222, 245), hours)
    assert guards(trend, "pf_ratio", found) == only("latest")
    assert found.state == "stable"
    falling_on = signal(trend, "pf_ratio", (300, 280, 260, 240, 230, 225, 222, 221), hours)
    assert falling_on.state == "worse"


def test_a_reversal_decides_alone(trend):
    hours, values = tuple(range(0, 42, 6)), (400, 390, 380, 370, 200, 190, 285)
    found = signal(trend, "pf_ratio", values, hours)
    assert guards(trend, "pf_ratio", found) == only(None)
    assert found.state == "reversing"
    # Without the guard (a look at no more than the latest point) the same course would count as worse.
    blind = trend.model_copy(update={"reversal": parse_window("1 h")})
    assert signal(blind, "pf_ratio", values, hours).state == "worse"


def test_a_recovery_smaller_than_the_meaningful_change_is_no_reversal(trend):
    found = signal(trend, "pf_ratio", (400, 390, 380, 370, 200, 190, 265), tuple(range(0, 42, 6)))
    assert found.state == "worse"


def test_agreement_of_just_70_percent_is_enough(trend):
    found = signal(trend, "pf_ratio", (300, 290, 240, 215, 225), EVERY_12_H)  # nine pairs fall, one rises: 80 %
    assert (found.slope.agreement, found.state) == (-8, "worse")
    sixty = signal(trend, "pf_ratio", (300, 290, 215, 240, 220), EVERY_12_H)
    assert (sixty.slope.agreement, sixty.state) == (-6, "stable")
    lenient = trend.model_copy(update={"agreement": parse_quantity("60 %")})
    assert signal(lenient, "pf_ratio", (300, 290, 215, 240, 220), EVERY_12_H).state == "worse"


@pytest.mark.parametrize(
    ("name", "values", "state"),
    [
        # both parts of the minimal meaningful change, at it and just short of it
        ("pf_ratio", (100, 90, 80), "worse"),  # -20 is 21 % of 95, and just -20
        ("pf_ratio", (100, 90, 80.1), "stable"),
        ("pf_ratio", (100, 100, 70), "stable"),  # two of three pairs fall: 67 %
        ("pf_ratio", (200, 180, 162), "worse"),  # -38 of 190: just 20 %
        ("pf_ratio", (200, 180, 162.1), "stable"),
        ("pf_ratio", (162, 180, 200), "better"),
        ("crp", (60, 90), "stable"),  # +30, but 30 of the median of the first two, 75
        ("crp", (40, 70), "worse"),
        ("crp", (10, 28), "stable"),  # +18
        ("il6", (10, 29), "stable"),
        ("lymphocytes", (1.0, 0.7), "worse"),
        ("lymphocytes", (0.7, 0.52), "stable"),
        ("lymphocytes", (0.7, 1.0), "better"),
    ],
)
def test_the_minimal_meaningful_change(trend, name, values, state):
    hours = (0, 12, 24) if len(values) == 3 else (0, 24)
    assert signal(trend, name, values, hours).state == state


@pytest.mark.parametrize(
    ("name", "values", "state"),
    [
        ("lactate", (1.4, 2.0), "stable"),  # above 2 is asked
        ("lactate", (1.4, 2.1), "worse"),
        ("lactate", (2.1, 2.5), "stable"),  # +0.4
        ("lactate", (4.0, 2.1), "better"),
        ("d_dimer", (1.0, 1.9), "stable"),  # below twice the upper limit
        ("d_dimer", (1.0, 2.0), "worse"),
        ("d_dimer", (4.0, 5.0), "stable"),
        ("d_dimer", (6.0, 2.0), "better"),
    ],
)
def test_floors(trend, name, values, state):
    assert signal(trend, name, values, (0, 24)).state == state


# -- which points count --


def test_too_few_points_say_what_is_needed(trend):
    found = signal(trend, "pf_ratio", (260, 190), (0, 24))
    assert (found.state, found.needs) == ("insufficient", "1 more PaO2/FiO2 over at least 12 h")


@pytest.mark.parametrize(
    ("hours", "needs"),
    [
        ((0, 4, 8), "1 more PaO2/FiO2: the values span less than 12 h"),
        ((0, 6, 12), ""),
        ((0, 24, 49), "PaO2/FiO2 without a gap longer than 24 h"),
        ((0, 24, 48), ""),
        ((0, 36, 73), "1 more PaO2/FiO2 over at least 12 h"),  # the first lies before the look-back
    ],
)
def test_span_gap_and_look_back(trend, hours, needs):
    found = signal(trend, "pf_ratio", (260, 220, 180), hours)
    assert found.needs == needs
    assert (found.state == "insufficient") is bool(needs)


@pytest.mark.parametrize(("age", "state"), [(12, "worse"), (12.1, "insufficient")])
def test_the_latest_value_must_be_new(trend, age, state):
    entries = [measured("pf_ratio", value, age + hours) for value, hours in ((260, 24), (220, 12), (180, 0))]
    found = signals(trend, *entries)["pf_ratio"]
    assert found.state == state
    assert ("the latest is older than 12 h" in found.needs) is (state == "insufficient")


def test_duplicates_count_once_and_contradictions_not_at_all(trend):
    entries = course("crp", (26, 24, 22, 18), (0, 6, 12, 24))
    again = measured("crp", 22, 12, "Observation/again")
    other = measured("crp", 30, 12, "Observation/other")
    assert [p.value for p in signals(trend, *entries, again)["crp"].points] == [26, 24, 22, 18]
    assert [p.value for p in signals(trend, *entries, other)["crp"].points] == [26, 24, 18]


def test_values_known_in_part_do_not_count(trend):
    entries = course("crp", (40, 75, 118), (0, 24, 48))
    censored = measured("crp", between(200, 400), 1)
    undated = measured("crp", 1, None)
    unusable = measured("crp", 1, 2, problem="whatever")
    found = signals(trend, *entries, censored, undated, unusable)["crp"]
    assert [point.value for point in found.points] == [40, 75, 118]


def test_values_of_another_assay_do_not_count(trend):
    entries = course("d_dimer", (1, 2, 3), (0, 12, 24), upper_limit=exactly(1), assay="FEU")
    others = [measured("d_dimer", 9, hours, upper_limit=exactly(1), assay="DDU") for hours in (6, 18)]
    found = signals(trend, *entries, *others)["d_dimer"]
    assert [point.value for point in found.points] == [1, 2, 3]


def test_monitor_values_count_as_hourly_medians(trend):
    values = {20.4: 20, 20.3: 60, 20.2: 22, 12.5: 24, 6.5: 26, 1.5: 30, 0.4: 90, 0.3: 31, 0.2: 30}
    entries = [measured("respiratory_rate", value, hours) for hours, value in values.items()]
    found = signals(trend, *entries)["respiratory_rate"]
    assert [point.value for point in found.points] == [22, 24, 26, 30, 31]
    assert found.state == "worse"


def test_il6_is_not_read_while_a_blocker_acts(trend):
    blocker = present("il6_receptor_blocker", 12)
    assert signal(trend, "il6", (20, 90), (0, 24)).state == "worse"
    found = signal(trend, "il6", (20, 90), (0, 24), [blocker])
    assert (found.state, found.needs) == ("insufficient", "not read while il6 receptor blocker acts")


def test_il6_is_not_read_after_a_single_dose_of_a_blocker(trend):
    given = present("il6_receptor_blocker", 12, ended=11, active=Truth.NOT_MET)
    assert signal(trend, "il6", (20, 90), (0, 24), [given]).state == "insufficient"


# -- oxygen support --


def support(*states):
    return [measured("oxygen_support", level, hours) for level, hours in states]


@pytest.mark.parametrize(
    ("states", "state", "needs"),
    [
        ([("low_flow", 20), ("low_flow", 1)], "stable", ""),
        ([("low_flow", 20), ("hfno", 2), ("hfno", 1)], "worse", ""),
        ([("low_flow", 20), ("hfno", 1.9)], "insufficient", "the new support held for 2 h"),
        ([("low_flow", 20), ("hfno", 0.5)], "insufficient", "the new support held for 2 h"),
        ([("hfno", 20), ("imv", 0.5)], "worse", ""),
        ([("hfno", 20), ("imv", 0)], "worse", ""),
        ([("imv", 20), ("ecmo", 0.1)], "worse", ""),
        ([("niv", 20), ("hfno", 0.1)], "better", ""),
        ([("hfno", 30), ("low_flow", 20), ("room_air", 1)], "better", ""),
        ([("low_flow", 60), ("hfno", 30), ("low_flow", 1)], "better", ""),
        ([("hfno", 80), ("low_flow", 1)], "insufficient", "1 more Oxygen support"),  # before the look-back
        ([("low_flow", 30), ("hfno", 12.1)], "insufficient", "the Oxygen support now"),
        ([("low_flow", 30), ("hfno", 12)], "worse", ""),
        ([], "insufficient", "2 more Oxygen support"),
    ],
)
def test_the_oxygen_step(trend, states, state, needs):
    found = signals(trend, *support(*states))["oxygen_step"]
    assert (found.state, found.needs) == (state, needs)


def test_a_step_for_a_planned_procedure_is_none(trend):
    states = support(("low_flow", 20), ("imv", 3))
    found = signals(trend, *states, present("planned_procedure", 4))["oxygen_step"]
    assert (found.state, found.needs) == ("insufficient", "the support changed for a planned procedure")
    over = present("planned_procedure", 40, ended=30, active=Truth.NOT_MET)
    assert signals(trend, *states, over)["oxygen_step"].state == "worse"


def test_a_flow_that_may_be_the_same_support_is_no_step(trend):
    flows = [measured("oxygen_flow", 3, 20), measured("oxygen_flow", 9, 3)]  # both leave nasal to non-rebreather open
    assert signals(trend, *flows)["oxygen_step"].state == "stable"
    off = [measured("oxygen_flow", 0, 20), measured("oxygen_flow", 9, 3)]
    assert signals(trend, *off)["oxygen_step"].state == "worse"


def test_intubation_is_a_step_although_the_ratio_rises(trend):
    """H31: raising support can raise P/F in a sicker patient."""
    entries = [
        *support(("hfno", 48), ("hfno", 12), ("imv", 6), ("imv", 1)),
        *course("pf_ratio", (120, 118, 115, 112, 178, 190), (0, 12, 24, 36, 43, 47)),
    ]
    found = signals(trend, *entries)
    assert found["oxygen_step"].state == "worse"
    assert [point.value for point in found["pf_ratio"].points] == [178, 190]
    assert found["pf_ratio"].state == "insufficient"
    assert conclude(summarise(list(found.values()))) == "worsening"


def test_a_change_of_support_starts_a_new_segment(trend):
    falling = course("pf_ratio", (260, 240, 220, 200, 180), EVERY_12_H)
    steady = support(("hfno", 49), ("hfno", 1))
    changed = support(("low_flow", 49), ("hfno", 30), ("hfno", 1))
    assert len(signals(trend, *falling, *steady)["pf_ratio"].points) == 5
    assert [p.value for p in signals(trend, *falling, *changed)["pf_ratio"].points] == [220, 200, 180]


@pytest.mark.parametrize(("peep", "points"), [(8, 5), (11, 5), (11.1, 2), (4.9, 2), (5, 5)])
def test_a_change_of_pressure_starts_a_new_segment(trend, peep, points):
    falling = course("pf_ratio", (260, 240, 220, 200, 180), EVERY_12_H)
    pressures = [measured("peep", 8, 48.5), measured("peep", peep, 20)]
    found = signals(trend, *falling, *support(("imv", 49), ("imv", 1)), *pressures)["pf_ratio"]
    assert len(found.points) == points


@pytest.mark.parametrize(
    ("name", "measurement", "answer", "state"),
    [
        ("imaging", "imaging_change", "much_worse", "worse"),
        ("imaging", "imaging_change", "worse", "worse"),
        ("imaging", "imaging_change", "same", "stable"),
        ("imaging", "imaging_change", "better", "better"),
        ("symptoms", "symptom_change", "worse", "worse"),
        ("symptoms", "symptom_change", "same", "stable"),
    ],
)
def test_reported_changes(trend, name, measurement, answer, state):
    assert signals(trend, measured(measurement, answer, 5))[name].state == state
    assert signals(trend)[name].state == "insufficient"
    assert signals(trend, measured(measurement, answer, 73))[name].state == "insufficient"


def test_a_score_without_the_same_items_at_both_times_says_nothing(trend):
    found = signals(trend, measured("platelets", 90, 1), measured("gcs", 15, 25))["sofa"]
    assert (found.state, found.needs) == ("insufficient", "a complete SOFA now and 24 h ago")


def test_a_score_is_compared_over_the_items_that_are_known_at_both_times(trend):
    found = signals(trend, measured("platelets", 90, 1), measured("platelets", 200, 25))["sofa"]
    assert (found.state, [point.value for point in found.points]) == ("worse", [0, 2])


def test_every_signal_is_reported_even_of_an_empty_record(trend):
    found = signals(trend)
    assert list(found) == list(trend.signals)
    assert all(one.state == "insufficient" and one.needs for one in found.values())
    assert conclude(summarise(list(found.values()))) == "insufficient"


# -- from signals to the trend --

# The ordered list of decision 14, without a step up of the oxygen support (a step up is always worsening).
TREND = """
  respiratory       |  none          one           many
--------------------+-----------------------------------------
  worse             |  worsening     worsening     worsening
  worse_and_better  |  conflicting   conflicting   conflicting
  better            |  improving     conflicting   conflicting
  reversing         |  conflicting   conflicting   conflicting
  stable            |  stable        stable        worsening
  insufficient      |  insufficient  insufficient  insufficient
"""
ENGINE = Engine()


def conclude(tokens):
    return ENGINE.conclude(_ruleset(), tokens).token


def _ruleset(made=[]):  # noqa: B006 - one ruleset for the life of the engine
    if not made:
        made.append(build_decision("trend", load_knowledge().definitions["trend"]))
    return made[0]


@pytest.mark.parametrize(("respiratory", "other_worse", "expected"), read_grid(TREND))
def test_the_trend(respiratory, other_worse, expected):
    tokens = {"respiratory": respiratory, "other_worse": other_worse}
    assert conclude({**tokens, "oxygen_step": "other"}) == expected
    assert conclude({**tokens, "oxygen_step": "worse"}) == "worsening"


def test_the_table_of_the_trend_is_complete():
    inputs = load_knowledge().definitions["trend"].inputs
    assert len(read_grid(TREND)) * 2 == len(list(itertools.product(*inputs.values())))


RESPIRATORY = ("worse", "better", "reversing", "stable", "insufficient")
STATES = [set(states) for size in range(6) for states in itertools.combinations(RESPIRATORY, size)]


def by_the_ordered_list(step_up, respiratory, domains_worse):
    """Decision 14, as it is written."""
    turned = respiratory & {"better", "reversing"}
    if step_up:
        return "worsening"
    if "worse" in respiratory:
        return "conflicting" if turned else "worsening"
    if turned and domains_worse:
        return "conflicting"
    if "stable" in respiratory and not turned and domains_worse >= 2:
        return "worsening"
    if "better" in respiratory:
        return "improving"
    if "reversing" in respiratory:
        return "conflicting"
    return "stable" if "stable" in respiratory else "insufficient"


def made(name, domain, state):
    signal = load_knowledge().definitions["deterioration"].signals["crp"].model_copy(update={"domain": domain})
    return SignalResult(name, signal, state)


@pytest.mark.parametrize("respiratory", STATES, ids=lambda states: "+".join(sorted(states)) or "none")
def test_signals_are_summed_up_like_the_ordered_list(respiratory):
    breathing = [made(f"r{number}", "respiratory", state) for number, state in enumerate(sorted(respiratory))]
    for step, domains in itertools.product(("worse", "better", "stable", "insufficient", None), range(4)):
        others = [made(f"o{number}", f"domain {number}", "worse") for number in range(domains)]
        steps = [] if step is None else [made("oxygen_step", "respiratory", step)]
        tokens = summarise([*steps, *breathing, *others])
        # An oxygen support that did not change says nothing of the lung: it is no stable signal.
        expected = by_the_ordered_list(step == "worse", respiratory | ({step} - {None, "stable"}), domains)
        assert conclude(tokens) == expected, (step, domains, tokens)


def test_two_signals_of_one_domain_count_once():
    stable = made("pf_ratio", "respiratory", "stable")
    one = [made("crp", "inflammation", "worse"), made("il6", "inflammation", "worse")]
    assert summarise([stable, *one])["other_worse"] == "one"
    assert summarise([stable, *one, made("d_dimer", "coagulation", "worse")])["other_worse"] == "many"
    assert summarise([stable, made("crp", "inflammation", "better")])["other_worse"] == "none"
