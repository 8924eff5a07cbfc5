"""Margins hold what they say: a choice turns what an assessment turns in which only the chosen value stands."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mscprotocol.answer import Assessment, MarginItem
from tests.core.margins import HOURS, answer_for, course, patient
from tests.properties.strategies import ENGINE_LAWS

FEWER = settings(ENGINE_LAWS, max_examples=25)  # each example is assessed once for every choice

SIGNS = {"lt": (-1,), "lte": (-1, 0), "gt": (1,), "gte": (0, 1)}
# What is varied, in steps around its limits, and the datum of the record that a value of it is made of.
VARIED: dict[str, tuple[str, list[str]]] = {
    "respiratory_rate": ("/min", ["18", "29.9", "30", "30.1", "31"]),
    "spo2": ("%", ["90", "93", "93.1", "94", "97"]),
    "pao2": ("mmHg", ["40", "62.9", "63", "63.1", "80", "90"]),
    "inr": ("INR", ["1.0", "1.2", "1.3", "1.5"]),
    # Not so low that the DIC score reaches 3: from there on a fall over time counts, which one value alone cannot show.
    "platelets": ("10*9/L", ["99", "100", "149", "150", "210"]),
    "fibrinogen": ("g/L", ["0.9", "1.0", "4.8", "7", "7.1"]),
    "creatinine": ("mg/dL", ["0.9", "1.2", "3.4", "3.5", "5.0"]),
    "gcs": ("score", ["15", "12", "9", "5"]),
}
MADE_OF = {"pf_ratio": "pao2"}


@st.composite
def patients(draw: st.DrawFn) -> dict[str, Any]:
    """A patient with one to five values of some data, the others as they are."""
    varied = draw(st.lists(st.sampled_from(sorted(VARIED)), min_size=1, max_size=3, unique=True))
    said: dict[str, Any] = {"pneumonia": draw(st.sampled_from(["active @ 110 h", "no", None]))}
    for name in varied:
        unit, values = VARIED[name]
        said[name] = course(unit, *draw(st.lists(st.sampled_from(values), min_size=1, max_size=len(HOURS))))
    return patient(**said)


def keep_only(said: dict[str, Any], datum: str, reference: str) -> dict[str, Any]:
    """The record in which of one datum only the chosen value stands."""
    charted = MADE_OF.get(datum, datum)
    entries = said[charted] if isinstance(said[charted], list) else [said[charted]]
    number = next(int(part.split("/")[1]) for part in reference.split(" + ") if part.startswith(f"{charted}/"))
    return {**said, charted: [entries[number]]}


def statuses(answer: Assessment, ids: set[str]) -> dict[str, str]:
    return {one.id: one.status for one in answer.criteria if one.id in ids}


@given(patients())
@FEWER
def test_a_choice_turns_what_the_chosen_value_alone_turns(said: dict[str, Any]) -> None:
    answer = answer_for(said)
    assert answer.timing.trend == "worsening"
    for margin in answer.margins:
        turned = []
        for choice in margin.choices:
            if choice.datum == "d_dimer_ratio":
                turned.append(any(one.what in ("verdict", "dose") for one in choice.flips))
                continue  # two equal values, for the change over time that the tier asks about
            alone = answer_for(keep_only(said, choice.datum, choice.reference))
            flips = {(one.what, one.id): one.after for one in choice.flips}
            found = next(one for one in alone.margins if one.comparison == margin.comparison)
            assert choice.truth == found.truth
            assert flips.get(("verdict", "verdict"), answer.verdict) == alone.verdict
            for name, status in statuses(alone, {"IND-01", "IND-02", "TIM-01", "EX-01", "COA-01"}).items():
                assert flips.get(("criterion", name), statuses(answer, {name})[name]) == status
            is_withheld = {alone.dose.status, answer.dose.status} > {"withheld"}
            turned.append(alone.verdict != answer.verdict or is_withheld)
        assert margin.fragile == any(turned)


@given(patients())
@FEWER
def test_no_choice_that_turns_the_verdict_is_left_out(said: dict[str, Any]) -> None:
    """The newest, lowest and highest value of each datum, each alone: where the verdict turns, a warning says so."""
    answer = answer_for(said)
    warned = {choice.datum for margin in answer.margins if margin.fragile for choice in margin.choices
              if any(one.what == "verdict" for one in choice.flips)}  # fmt: skip
    for name in VARIED:
        entries = said[name] if isinstance(said[name], list) else [said[name]]
        if len(entries) < 2:
            continue
        adverse = min if name in ("spo2", "pao2", "gcs", "platelets") else max
        worst = adverse(entries, key=lambda text: Decimal(text.split()[0]))
        ways = [entries[0], worst] if name != "fibrinogen" else [entries[0], worst, min(entries)]
        if any(answer_for({**said, name: [way]}).verdict != answer.verdict for way in ways):
            assert warned & {name, "pf_ratio" if name == "pao2" else name}


@given(patients())
@ENGINE_LAWS
def test_the_sign_of_a_distance_agrees_with_the_answer(said: dict[str, Any]) -> None:
    for margin in answer_for(said).margins:
        if margin.truth == "unknown" or margin.per_cent is None:
            continue
        sign = _sign(margin)
        assert (sign in SIGNS[margin.operator]) == (margin.truth == "met")


def _sign(margin: MarginItem) -> int:
    assert margin.distance is not None
    distance = Decimal(margin.distance)
    return (distance > 0) - (distance < 0)


@pytest.mark.parametrize("name", sorted(VARIED))
def test_equal_values_turn_nothing(name: str) -> None:
    unit, values = VARIED[name]
    # A gas as low as a venous one is refused beside the saturation of 97 % at 4 h: those before it are not its equals.
    for value in (one for one in values if (name, one) != ("pao2", "40")):
        answer = answer_for(patient(**{name: course(unit, value, value, value)}))
        assert not any(choice.flips for one in answer.margins for choice in one.choices)
