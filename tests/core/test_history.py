"""An infusion that is charted twice: it counts once, or a person is asked; it is never doubled or dropped unsaid."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mscprotocol.history import compare, count_once, tell_apart
from mscprotocol.knowledge_loader import load_knowledge
from mscprotocol.reasons import Reason
from mscprotocol.record import Infusion, Patient, PatientRecord
from mscprotocol.schedule import length
from mscprotocol.timespan import TimeSpan, instant

KNOWLEDGE = load_knowledge()
SEED = KNOWLEDGE.protocols["seed-covid-4x"]
PRACTICE = KNOWLEDGE.practices[SEED.practice]
SAME, APART = length(PRACTICE.one_infusion_within), length(PRACTICE.two_infusions_from)
START = datetime.fromisoformat("2020-03-27T10:00:00+01:00")
STEP = timedelta(minutes=1)


def charted(after: timedelta = timedelta(0), reference: str = "MedicationAdministration/ehr", **more: Any) -> Infusion:
    return Infusion("infusion", reference, instant(START + after), "", **more)


OURS = charted(reference="MedicationAdministration/infusion-0", recorded_as="entry-1")


def told(*infusions: Infusion) -> PatientRecord:
    return tell_apart(PatientRecord(Patient("p"), infusions=infusions), SEED, KNOWLEDGE)


@pytest.mark.parametrize("after", [timedelta(0), SAME, -SAME])
def test_within_the_tolerance_it_counts_once_and_says_so(after: timedelta) -> None:
    other = charted(after)
    record = told(OURS, other)
    assert record.infusions == (OURS,)
    assert [one.reference for one in record.notes] == [other.reference]
    assert "counted once" in record.notes[0].text
    assert not any(record.presences.values())


@pytest.mark.parametrize("after", [SAME + STEP, -SAME - STEP, APART - STEP])
def test_beyond_it_a_person_is_asked(after: timedelta) -> None:
    record = told(OURS, charted(after))
    assert record.infusions == (OURS,)
    assert {one.problem for one in record.presences["prior_msc_therapy"]} == {Reason.CONFLICT}
    assert "until a person says" in record.notes[0].text


def test_a_day_apart_they_are_two() -> None:
    both = (OURS, charted(APART))
    assert told(*both).infusions == both
    assert told(*both).notes == ()


def test_another_lot_at_the_same_time_is_a_question() -> None:
    assert compare(charted(lots=("LOT-7",)), charted(lots=("LOT-8",)), PRACTICE) == "unclear"
    assert compare(charted(lots=("LOT-7",)), charted(lots=("LOT-7", "B-1")), PRACTICE) == "same"
    assert compare(charted(lots=("LOT-7",)), charted(), PRACTICE) == "same"


def test_our_own_ids_decide_whatever_the_times_are() -> None:
    other = charted(STEP, "MedicationAdministration/infusion-1", recorded_as="entry-2")
    assert told(OURS, other).infusions == (OURS, other)
    again = charted(reference="MedicationAdministration/copy", recorded_as="entry-1")
    assert len(told(OURS, again).infusions) == 1
    assert not any(told(OURS, again).presences.values())


@pytest.mark.parametrize("wrong", [{"after": -APART}, {"after": APART * 2}, {"volume": Decimal(100)}])
def test_a_copy_by_our_id_that_says_otherwise_is_a_question(wrong: dict[str, Any]) -> None:
    """It would have taken the place of the start, the volume or the deviation that was recorded here."""
    copy = charted(reference="MedicationAdministration/copy", recorded_as="entry-1", **wrong)
    record = told(OURS, copy)
    assert len(record.infusions) == 1
    assert {one.problem for one in record.presences["prior_msc_therapy"]} == {Reason.CONFLICT}


def test_a_day_without_a_time_is_no_second_infusion() -> None:
    day = Infusion("infusion", "MedicationAdministration/day", TimeSpan(START - timedelta(hours=9), START + SAME), "")
    record = told(OURS, day)
    assert record.infusions == (OURS,)
    assert [one.problem for one in record.presences["prior_msc_therapy"]] == [Reason.CONFLICT]


def test_one_chart_that_says_stopped_is_enough() -> None:
    (kept,) = told(OURS, charted(STEP, status="stopped")).infusions
    assert (kept.status, kept.recorded_as) == ("stopped", "entry-1")


@given(st.lists(st.integers(0, 60 * 48), min_size=1, max_size=4))
def test_the_order_of_the_charts_means_nothing_and_none_goes_unsaid(minutes: list[int]) -> None:
    charts = [charted(timedelta(minutes=one), f"M/{place}") for place, one in enumerate(minutes)]
    found = [count_once(one, PRACTICE) for one in permutations(charts)]
    assert all(one == found[0] for one in found)
    kept = {one.reference for one in found[0].kept}
    assert kept | {one.reference for one in found[0].notes} == {one.reference for one in charts}
    assert {one.reference for one in found[0].unclear}.isdisjoint(kept)
