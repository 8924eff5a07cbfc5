"""To learn more can resolve an unknown and never turns a decided answer round: groups, ladders, and every rule."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mscprotocol.truth import Truth, all_of, any_of
from tests.properties.strategies import LAWS, refined, truths

KNOWN = (Truth.MET, Truth.NOT_MET)


@LAWS
@given(st.data(), st.lists(truths, max_size=6))
def test_refining_never_turns_a_group_round(data, wide):
    narrow = data.draw(refined(wide, Truth.UNKNOWN, KNOWN))
    for combine in (all_of, any_of, lambda these: ~any_of(these)):
        assert combine(wide) in (Truth.UNKNOWN, combine(narrow))


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_group_is_unknown_just_when_it_could_be_either(count):
    for members in itertools.product(Truth, repeat=count):
        worlds = list(itertools.product(*(KNOWN if one is Truth.UNKNOWN else (one,) for one in members)))
        for combine in (all_of, any_of):
            answers = {combine(world) for world in worlds}
            assert combine(members) is (answers.pop() if len(answers) == 1 else Truth.UNKNOWN)
