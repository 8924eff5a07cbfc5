"""To learn more can resolve an unknown and never turns a decided answer round: groups, ladders, and every rule."""

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mscprotocol.definitions import Ladder
from mscprotocol.engine import Engine
from mscprotocol.knowledge_loader import load_knowledge
from mscprotocol.rulebook import compile_rulebook
from mscprotocol.truth import Truth, all_of, any_of
from tests.properties.strategies import LAWS, refined, truths
from tests.rule_oracles import conclude

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


# -- every rule that ships --


@pytest.fixture(scope="module", params=[one.id for one in load_knowledge().protocols.values() if one.assessed])
def book(request):
    return compile_rulebook(load_knowledge(), request.param)


def test_refining_findings_never_turns_a_rule_round(book):
    chance = random.Random("refinement")
    engine = Engine()
    trend = book.steps[book.protocol.trend].conclusions
    for _ in range(400):
        leaves = {key: chance.choice(["met", "not_met", "unknown", "unknown"]) for key in book.leaves}
        share = chance.random()
        finer = {
            key: chance.choice(["met", "not_met"]) if token == "unknown" and chance.random() < share else token
            for key, token in leaves.items()
        }
        course = {book.protocol.trend: chance.choice(trend)}
        before, after = (conclude(book, engine, {**tokens, **course}) for tokens in (leaves, finer))
        for name in before:
            assert _may_become(book, name, before[name], after[name]), (name, before[name], after[name])


def _may_become(book, name, before, after):
    definition = book.knowledge.definitions.get(name)
    if not isinstance(definition, Ladder):
        return before in ("unknown", after)
    if before.startswith("at_least:"):
        order = [rung.name for rung in definition.rungs]
        return order.index(after.removeprefix("at_least:")) <= order.index(before.removeprefix("at_least:"))
    return before in ("unknown", after)


def test_the_ways_that_are_refused(book):
    name = "coagulopathy"
    assert _may_become(book, name, "at_least:moderate", "high")
    assert not _may_become(book, name, "at_least:moderate", "low")
    assert not _may_become(book, name, "at_least:moderate", "at_least:low")
    assert not _may_become(book, name, "high", "moderate")
