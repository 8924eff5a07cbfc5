"""Which of several values answers: the newest usable one, and a newer one that cannot be used leaves it open."""

from datetime import date, timedelta
from itertools import permutations

import pytest

from mscprotocol.interval import Interval, between, exactly
from mscprotocol.reasons import Reason, in_precedence
from mscprotocol.timespan import TimeSpan, whole_days
from tests.core.records import AT, ago, findings_of, measured, present


def select(*entries, name="platelets", **more):
    return findings_of(*entries, **more).select(name)


def assert_open(found, reason):
    assert (found.chosen, found.reason, found.expires) == (None, reason, None)
    assert not any(item.used for item in found.evidence)


def platelets(value, hours=0, reference="", **more):
    return measured("platelets", value, hours, reference, **more)


def test_nothing():
    assert_open(select(), Reason.MISSING)
    assert_open(select(measured("crp", 5, 1)), Reason.MISSING)


def test_the_newest_value_counts_whatever_the_order():
    entries = [platelets(90, 30), platelets(80, 20), platelets(70, 10)]
    for order in permutations(entries):
        found = select(*order)
        assert found.chosen.value == exactly(70)
        assert [item.entry.value for item in found.evidence if item.used] == [exactly(70)]


@pytest.mark.parametrize(("hours", "reason"), [(0, None), (48, None), (48.01, Reason.STALE), (1000, Reason.STALE)])
def test_shelf_life_at_screening(hours, reason):
    found = select(platelets(90, hours))
    assert found.reason is reason
    assert (found.chosen is None) is (reason is not None)


@pytest.mark.parametrize(("hours", "reason"), [(24, None), (24.01, Reason.STALE), (25, Reason.STALE)])
def test_shelf_life_before_an_infusion_is_shorter(hours, reason):
    """H05"""
    assert select(platelets(90, hours), stage="infusion").reason is reason


def test_when_a_value_expires():
    assert select(platelets(90, 10)).expires == ago(hours=10) + timedelta(hours=48)


@pytest.mark.parametrize(
    "problem",
    [Reason.STATUS_EXCLUDED, Reason.IMPLAUSIBLE, Reason.UNIT_UNKNOWN, Reason.UNIT_AMBIGUOUS, Reason.SPECIMEN_MISMATCH],
)
def test_a_newer_value_that_cannot_be_used_leaves_the_question_open(problem):
    """Decision 6, H20"""
    found = select(platelets(90, 10), platelets(None, 2, problem=problem))
    assert_open(found, problem)
    assert found.evidence[0].why_not is problem


def test_an_older_value_that_cannot_be_used_does_not_matter():
    assert select(platelets(None, 10, problem=Reason.IMPLAUSIBLE), platelets(90, 2)).chosen.value == exactly(90)


def test_a_value_absent_by_its_own_word_is_passed_over():
    found = select(platelets(90, 10), platelets(None, 2, problem=Reason.MISSING))
    assert found.chosen.value == exactly(90)
    assert_open(select(platelets(None, 2, problem=Reason.MISSING)), Reason.MISSING)


def test_two_values_of_one_instant_that_differ_are_a_conflict():
    assert_open(select(platelets(90, 10), platelets(95, 10)), Reason.CONFLICT)
    assert_open(select(platelets(90, 10), platelets(95, 10), platelets(90, 20)), Reason.CONFLICT)


def test_two_values_of_one_instant_that_agree_are_one():
    found = select(platelets(90, 10, "Observation/a"), platelets(90, 10, "Observation/b"))
    assert found.chosen.value == exactly(90)


def test_an_older_conflict_does_not_matter():
    assert select(platelets(90, 10), platelets(95, 10), platelets(60, 5)).chosen.value == exactly(60)


def test_one_of_one_instant_that_cannot_be_used():
    assert_open(select(platelets(90, 10), platelets(None, 10, problem=Reason.STATUS_EXCLUDED)), Reason.STATUS_EXCLUDED)


def test_a_value_without_a_time_says_nothing_of_now():
    assert_open(select(platelets(90, None)), Reason.PARTIAL_DATE)
    assert_open(select(platelets(90, None), platelets(70, 3)), Reason.PARTIAL_DATE)
    assert select(platelets(70, None), platelets(70, 3)).chosen.value == exactly(70)
    assert_open(select(platelets(None, None, problem=Reason.IMPLAUSIBLE)), Reason.IMPLAUSIBLE)


@pytest.mark.parametrize(
    ("day", "reason"),
    [
        (date(2020, 4, 6), None),
        (date(2020, 4, 5), None),  # begins at the earliest 48 h before
        (date(2020, 4, 4), Reason.PARTIAL_DATE),  # may be older, may be not
        (date(2020, 4, 3), Reason.PARTIAL_DATE),  # 3 April ends in the far west on 4 April at noon UTC
        (date(2020, 4, 2), Reason.STALE),
    ],
)
def test_a_value_of_a_day(day, reason):
    assert select(platelets(90, whole_days(day, day))).reason is reason


def test_values_whose_times_overlap_are_all_possible():
    day = whole_days(date(2020, 4, 5), date(2020, 4, 5))
    found = select(platelets(90, day), platelets(70, 20), platelets(80, 22))
    assert found.chosen.value == between(70, 90)
    assert found.expires == day.earliest + timedelta(hours=48)


def test_a_value_before_an_overlap_is_none_of_it():
    one, other = TimeSpan(ago(hours=10), ago(hours=5)), TimeSpan(ago(hours=8), ago(hours=4))
    found = select(platelets(90, one), platelets(70, other), platelets(20, 11))
    assert found.chosen.value == between(70, 90)


def test_answers_that_overlap_and_differ_are_a_conflict():
    day = whole_days(date(2020, 4, 6), date(2020, 4, 6))
    found = select(
        measured("imaging_change", "worse", day), measured("imaging_change", "better", 1), name="imaging_change"
    )
    assert_open(found, Reason.CONFLICT)


def test_censored_values_are_kept_as_they_are():
    below = Interval(high=exactly(20).high, high_open=True)
    assert select(platelets(below, 1)).chosen.value == below


def test_a_value_after_the_evaluation_is_not_used():
    """H47"""
    later = measured("platelets", 90, AT + timedelta(minutes=6))
    found = select(later)
    assert_open(found, Reason.AFTER_EVALUATION)
    assert [item.entry for item in found.evidence] == [later]
    assert select(later, platelets(70, 3)).chosen.value == exactly(70)
    assert select(measured("platelets", 90, AT + timedelta(minutes=5))).chosen.value == exactly(90)


@pytest.mark.parametrize(
    ("name", "confounder"), [("gcs", "sedated"), ("inr", "anticoagulant_vka_or_doac"), ("il6", "il6_receptor_blocker")]
)
def test_a_confounded_value_is_not_used(name, confounder):
    value = measured(name, 10, 1)
    assert select(value, name=name).reason is None
    assert_open(select(value, present(confounder, 5), name=name), Reason.CONFOUNDED)


def test_the_order_of_reasons():
    assert in_precedence([Reason.MISSING, Reason.STALE, Reason.CONFLICT, Reason.STALE]) == (
        Reason.CONFLICT,
        Reason.STALE,
        Reason.MISSING,
    )
    assert next(iter(Reason)) is Reason.CONFLICT
    assert list(Reason)[-1] is Reason.MISSING
