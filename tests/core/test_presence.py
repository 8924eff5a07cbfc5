"""Whether something is present: an absent record is not an absent disease, and no answer outvotes a record."""

from datetime import date, datetime, timedelta

import pytest

from mscprotocol.codes import CodeSystem, Coding
from mscprotocol.reasons import Reason
from mscprotocol.record import Unmapped
from mscprotocol.timespan import parse_window, whole_days
from mscprotocol.truth import Truth
from tests.core.records import AT, ago, ask, attested, present, provisional, refuted

VTE, DVT, PE = "venous_thromboembolism", "deep_vein_thrombosis", "pulmonary_embolism"
LOOKBACK = parse_window("90 d or 3 mo")
EVER = parse_window("120 a")


def days(number):
    return number * 24


def vte(*entries, at=AT, **more):
    return ask(VTE, *entries, at=at, within=LOOKBACK, **more)


def assert_unknown(found, *reasons):
    assert (found.truth, found.reasons) == (Truth.UNKNOWN, reasons)


def resolved(name, onset_days, ended_days):
    return present(name, days(onset_days), ended=None if ended_days is None else days(ended_days), active=Truth.NOT_MET)


# -- look-back (H22) --


@pytest.mark.parametrize("name", [VTE, DVT, PE])
@pytest.mark.parametrize("ended", [0, 30, 90])
def test_a_resolved_thrombosis_within_the_look_back_is_present(name, ended):
    assert vte(resolved(name, 200, ended)).truth is Truth.MET


def test_an_old_thrombosis_says_nothing_of_the_look_back():
    old = resolved(DVT, 200, 120)
    assert_unknown(vte(old), Reason.MISSING)
    assert vte(old, attested(VTE, "no")).truth is Truth.NOT_MET
    assert ask(VTE, old, within=EVER).truth is Truth.MET, "it counts for the tier"


@pytest.mark.parametrize(
    ("at", "ended", "truth"),
    [
        (datetime(2020, 4, 6, 10), datetime(2020, 1, 6, 10), Truth.MET),  # 3 months are 91 days  # noqa: DTZ001 - naive on purpose
        (datetime(2020, 4, 6, 10), datetime(2020, 1, 6, 9), Truth.UNKNOWN),  # noqa: DTZ001 - naive on purpose
        (datetime(2021, 5, 1, 10), datetime(2021, 1, 31, 10), Truth.MET),  # 90 days are longer than 3 months  # noqa: DTZ001 - naive on purpose
        (datetime(2021, 5, 1, 10), datetime(2021, 1, 31, 9), Truth.UNKNOWN),  # noqa: DTZ001 - naive on purpose
    ],
)
def test_the_longer_of_90_days_and_3_months(at, ended, truth):
    at, ended = at.replace(tzinfo=AT.tzinfo), ended.replace(tzinfo=AT.tzinfo)
    entry = present(DVT, ended - timedelta(days=5), ended=ended, active=Truth.NOT_MET)
    assert vte(entry, at=at).truth is truth


def test_what_is_still_active_is_present_however_old():
    assert vte(present(DVT, days(2000))).truth is Truth.MET
    assert vte(present(DVT)).truth is Truth.MET, "active, of unknown onset"


def test_what_was_never_said_to_be_over_is_not_over():
    assert vte(present(DVT, days(2000), active=Truth.UNKNOWN)).truth is Truth.MET


def test_over_without_any_date_may_have_been_recent():
    assert_unknown(vte(present(DVT, active=Truth.NOT_MET)), Reason.PARTIAL_DATE)
    assert vte(present(DVT, active=Truth.NOT_MET)).reasons[0] is Reason.PARTIAL_DATE


def test_over_since_an_unknown_day_with_an_old_onset_may_have_ended_recently():
    assert vte(resolved(DVT, 200, None)).reasons[0] is Reason.PARTIAL_DATE


def test_a_recent_onset_is_enough():
    assert vte(resolved(DVT, 20, None)).truth is Truth.MET
    assert vte(present(DVT, recorded=days(20), active=Truth.NOT_MET)).truth is Truth.MET, "recorded then"


def test_an_end_known_to_the_month_that_straddles_the_limit():
    january = whole_days(date(2020, 1, 1), date(2020, 1, 31))
    entry = present(DVT, days(400), ended=january, active=Truth.NOT_MET)
    assert vte(entry).reasons[0] is Reason.PARTIAL_DATE


def test_without_a_look_back_only_the_present_counts():
    assert ask(DVT, resolved(DVT, 200, 30)).truth is Truth.UNKNOWN
    assert ask(DVT, present(DVT, days(2000))).truth is Truth.MET
    assert_unknown(ask(DVT, present(DVT, active=Truth.UNKNOWN)), Reason.QUALIFIER_MISSING)


def test_when_a_look_back_ends_of_itself():
    ended = ago(days=30)
    assert vte(resolved(DVT, 200, 30)).expires == LOOKBACK.expiry(ended)
    assert vte(resolved(DVT, 200, 30), present(PE, days(3))).expires is None, "one of them has no end"
    assert vte(resolved(DVT, 200, 30), resolved(PE, 200, 10)).expires == LOOKBACK.expiry(ago(days=10))


# -- absence --


def test_an_empty_record_says_nothing():
    """H23"""
    assert_unknown(vte(), Reason.MISSING)
    assert_unknown(ask("covid_19"), Reason.MISSING)


def test_a_part_that_is_refuted_leaves_the_other_open():
    assert ask(PE, refuted(PE)).truth is Truth.NOT_MET
    assert ask(DVT, refuted(PE)).truth is Truth.UNKNOWN
    assert_unknown(vte(refuted(PE)), Reason.MISSING)
    assert_unknown(ask(VTE, refuted(PE)), Reason.MISSING)


def test_both_parts_refuted_deny_the_whole():
    assert vte(refuted(PE), refuted(DVT)).truth is Truth.NOT_MET
    assert ask(VTE, refuted(PE), refuted(DVT)).truth is Truth.NOT_MET


def test_the_whole_refuted_denies_the_whole():
    assert ask(VTE, refuted(VTE)).truth is Truth.NOT_MET


def test_a_part_refuted_and_the_other_present():
    assert vte(refuted(PE), present(DVT, 5)).truth is Truth.MET


def test_the_whole_refuted_and_a_part_present_is_a_conflict():
    assert vte(refuted(VTE), present(DVT, 5)).reasons == (Reason.CONFLICT,)


def test_confirmed_and_refuted_is_a_conflict():
    assert_unknown(ask(DVT, refuted(DVT), present(DVT, 5)), Reason.CONFLICT)
    assert Reason.CONFLICT in vte(refuted(DVT), present(DVT, 5)).reasons


def test_a_refutation_does_not_hold_for_ever():
    assert ask(DVT, refuted(DVT, 1)).truth is Truth.NOT_MET
    assert_unknown(ask(DVT, refuted(DVT, days(30))), Reason.STALE)
    assert_unknown(ask(DVT, refuted(DVT, None)), Reason.PARTIAL_DATE)


@pytest.mark.parametrize("age", [10, 89])
def test_a_refutation_within_a_look_back_says_nothing_of_the_time_since(age):
    assert vte(refuted(PE, days(age)), refuted(DVT, days(age))).truth is Truth.UNKNOWN
    assert ask("hit", refuted("hit", days(3000)), within=EVER).truth is Truth.UNKNOWN


# -- attestations --


@pytest.mark.parametrize(("answer", "truth"), [("no", Truth.NOT_MET), ("yes", Truth.MET), ("unknown", Truth.UNKNOWN)])
def test_a_named_person_answers(answer, truth):
    assert vte(attested(VTE, answer)).truth is truth
    assert ask("covid_19", attested("covid_19", answer)).truth is truth


def test_an_attested_no_never_outvotes_a_record():
    assert_unknown(ask(DVT, present(DVT, 5), attested(DVT, "no")), Reason.CONFLICT)
    assert vte(resolved(DVT, 200, 30), attested(VTE, "no")).reasons == (Reason.CONFLICT,)
    assert vte(present(DVT, 5), attested(DVT, "no"), attested(VTE, "no")).truth is Truth.UNKNOWN


def test_an_attested_yes_never_outvotes_a_refutation():
    assert_unknown(ask(DVT, refuted(DVT), attested(DVT, "yes")), Reason.CONFLICT)


def test_a_suspicion_is_for_review_and_a_named_person_closes_it():
    """H21"""
    assert_unknown(ask(DVT, provisional(DVT)), Reason.NEEDS_REVIEW)
    assert vte(provisional(DVT)).reasons[0] is Reason.NEEDS_REVIEW
    assert ask(DVT, provisional(DVT), attested(DVT, "no")).truth is Truth.NOT_MET
    assert vte(provisional(DVT), attested(VTE, "no")).truth is Truth.NOT_MET
    assert ask(DVT, provisional(DVT), attested(DVT, "yes")).truth is Truth.MET


def test_a_suspicion_beside_a_refutation_is_for_review():
    assert ask(DVT, provisional(DVT), refuted(DVT)).reasons == (Reason.NEEDS_REVIEW,)


@pytest.mark.parametrize(
    ("age", "truth"), [(72, Truth.NOT_MET), (72.01, Truth.UNKNOWN), (-0.05, Truth.NOT_MET), (-0.1, Truth.UNKNOWN)]
)
def test_an_answer_holds_for_as_long_as_the_dictionary_says(age, truth):
    assert vte(attested(VTE, "no", age)).truth is truth


def test_when_an_answer_expires():
    assert vte(attested(VTE, "no", 10)).expires == ago(hours=10) + timedelta(hours=72)


def test_the_newest_answer_counts():
    assert vte(attested(VTE, "no", 5), attested(VTE, "yes", 2)).truth is Truth.MET
    assert vte(attested(VTE, "no", 5), attested(VTE, "unknown", 2)).truth is Truth.UNKNOWN
    assert vte(attested(VTE, "yes", 5), attested(VTE, "no", 2)).truth is Truth.NOT_MET


def test_two_answers_at_one_time_that_differ_answer_nothing():
    found = vte(attested(VTE, "no", by="A"), attested(VTE, "yes", by="B"))
    assert found.truth is Truth.UNKNOWN


def test_two_answers_at_one_time_that_differ_are_a_conflict():
    assert vte(attested(VTE, "no", by="A"), attested(VTE, "yes", by="B")).reasons[0] is Reason.CONFLICT


def test_an_answer_without_a_time_does_not_count():
    assert vte(attested(VTE, "no", None)).truth is Truth.UNKNOWN


# -- what is later than the evaluation --


def test_what_began_after_the_evaluation_is_ignored():
    assert_unknown(vte(present(DVT, -1)), Reason.MISSING)
    assert vte(present(DVT, -1), attested(VTE, "no")).truth is Truth.NOT_MET
    assert_unknown(vte(present(DVT, None, recorded=-1)), Reason.MISSING)


def test_what_ended_after_the_evaluation_was_still_active():
    entry = present(DVT, days(200), ended=-24, active=Truth.NOT_MET)
    assert ask(DVT, entry).truth is Truth.MET
    assert vte(entry).truth is Truth.MET
    assert vte(entry).expires is None


# -- codes that look like it (H26) --


def unmapped(*relevant):
    return Unmapped("Condition/local", Coding(CodeSystem.LOCAL, "X1", "deep venous clot"), relevant)


def test_an_unmapped_look_alike_is_not_absence():
    assert_unknown(ask(DVT, unmapped=[unmapped(DVT)]), Reason.CODE_UNMAPPED)
    assert ask(VTE, unmapped=[unmapped(DVT)]).reasons[0] is Reason.CODE_UNMAPPED
    assert_unknown(ask(DVT, unmapped=[unmapped("hit")]), Reason.MISSING)


def test_no_record_is_absence_only_where_the_rule_says_so():
    assert ask("sedated", no_record="not_met").truth is Truth.NOT_MET
    assert_unknown(ask("sedated"), Reason.MISSING)
    assert_unknown(ask("sedated", no_record="not_met", unmapped=[unmapped("sedated")]), Reason.CODE_UNMAPPED)
    assert ask("sedated", present("sedated", 5), no_record="not_met").truth is Truth.MET


# -- tests as evidence --


def test_every_entry_that_was_looked_at_is_evidence():
    entries = [resolved(DVT, 200, 30), refuted(PE), attested(VTE, "no"), resolved(PE, 900, 800)]
    found = vte(*entries)
    assert {item.entry.name for item in found.evidence} == {DVT, PE, VTE}
    assert len(found.evidence) == 4
