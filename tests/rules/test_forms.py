"""Forms of the rules that say too much, too little, or two things at once are refused, and the message says which."""

from __future__ import annotations

import pytest
from pydantic import BaseModel, ValidationError

from mscprotocol.data_dictionary import Test as ConditionTest
from mscprotocol.definitions import Signal
from mscprotocol.knowledge_forms import ConclusionLeaf, ConditionLeaf, MeasurementLeaf

_SIGNAL = {"text": "A signal", "domain": "respiratory", "measurement": "spo2"}
_SLOPE = {**_SIGNAL, "form": "slope", "bad": "up", "points": 3, "span": "12 h", "latest_within": "12 h"}
_SCORE = {**_SIGNAL, "form": "score", "absolute": "2 1", "span": "24 h"}
_ANSWER = {**_SIGNAL, "form": "answer", "worse": "worse", "better": "better", "stable": "same", "latest_within": "1 d"}
_TEST = {"measurement": "paop", "above": "18 mm[Hg]", "denied_up_to": "18 mm[Hg]"}


@pytest.mark.parametrize(
    ("model", "said", "message"),
    [
        (Signal, {**_SLOPE, "points": 1}, "greater than or equal to 2"),
        (Signal, {**_SLOPE, "stable": "same"}, "of form slope does not read stable"),
        (Signal, {key: one for key, one in _SLOPE.items() if key != "span"}, "of form slope needs span"),
        (Signal, {**_SCORE, "bad": "up"}, "of form score does not read bad"),
        (Signal, {**_SCORE, "latest_within": "1 d"}, "of form score does not read latest_within"),
        (Signal, {key: one for key, one in _SCORE.items() if key != "absolute"}, "of form score needs absolute"),
        (Signal, {**_ANSWER, "points": 2}, "of form answer does not read points"),
        (ConditionTest, {"measurement": "hiv_test", "positive": "positive", "negative": "positive"}, "not both: posi"),
        (ConditionTest, {**_TEST, "denied_up_to": "18.1 mm[Hg]"}, "denied_up_to may not lie higher"),
        (ConditionTest, {**_TEST, "denied_up_to": "2.4 kPa"}, "stated in one unit"),
        (MeasurementLeaf, {"measurement": "hiv_test", "answer": "positive", "not_answer": "positive"}, "named twice"),
        (ConclusionLeaf, {"conclusion": "coagulopathy", "met": ["low"], "review": ["low"]}, "low is named twice"),
        (ConditionLeaf, {"condition": "ards", "began_within": "1 d", "held_within": "1 d"}, "ask one thing"),
    ],
)
def test_a_form_is_refused(model: type[BaseModel], said: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        model.model_validate(said)


@pytest.mark.parametrize(
    ("model", "said"), [(Signal, _SLOPE), (Signal, _SCORE), (Signal, _ANSWER), (ConditionTest, _TEST)]
)
def test_the_same_forms_as_they_should_be_are_read(model: type[BaseModel], said: dict[str, object]) -> None:
    assert model.model_validate(said)
