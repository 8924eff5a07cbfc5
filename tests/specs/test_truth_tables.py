"""Strong Kleene logic. T is met, F is not_met, ? is unknown."""

import operator

import pytest

from mscprotocol.engine import Engine
from mscprotocol.knowledge_forms import FindingLeaf, Group
from mscprotocol.rulesets import build_group
from mscprotocol.truth import Truth, all_of, any_of, known
from tests import oracle
from tests.specs.grid import TRUTHS, read_grid

OR = """
  b1 b2  |  T  F  ?
---------+---------
     T   |  T  T  T
     F   |  T  F  ?
     ?   |  T  ?  ?
"""

AND = """
  b1 b2  |  T  F  ?
---------+---------
     T   |  T  F  ?
     F   |  F  F  F
     ?   |  ?  F  ?
"""

NOT = """
    b    | ~b
---------+----
    T    |  F
    F    |  T
    ?    |  ?
"""

GROUPS = """
  members    | all_of  any_of  none_of
-------------+------------------------
  T          |   T       T       F
  F          |   F       F       T
  ?          |   ?       ?       ?
  T T        |   T       T       F
  T F        |   F       T       F
  T ?        |   ?       T       F
  F F        |   F       F       T
  F ?        |   F       ?       ?
  ? ?        |   ?       ?       ?
  T T T      |   T       T       F
  T T F      |   F       T       F
  T T ?      |   ?       T       F
  T F F      |   F       T       F
  T F ?      |   F       T       F
  T ? ?      |   ?       T       F
  F F F      |   F       F       T
  F F ?      |   F       ?       ?
  F ? ?      |   F       ?       ?
  ? ? ?      |   ?       ?       ?
"""


@pytest.mark.parametrize(("left", "right", "result"), read_grid(OR))
def test_or(left, right, result):
    assert TRUTHS[left] | TRUTHS[right] is TRUTHS[result]


@pytest.mark.parametrize(("left", "right", "result"), read_grid(AND))
def test_and(left, right, result):
    assert TRUTHS[left] & TRUTHS[right] is TRUTHS[result]


@pytest.mark.parametrize(("operand", "_", "result"), read_grid(NOT))
def test_not(operand, _, result):
    assert ~TRUTHS[operand] is TRUTHS[result]


@pytest.mark.parametrize(("members", "kind", "result"), read_grid(GROUPS))
def test_groups_of_truths(members, kind, result):
    truths = [TRUTHS[member] for member in members.split()]
    combine = {"all_of": all_of, "any_of": any_of, "none_of": lambda these: ~any_of(these)}[kind]
    assert combine(truths) is TRUTHS[result]
    assert combine(reversed(truths)) is TRUTHS[result]


@pytest.mark.parametrize(("members", "kind", "result"), read_grid(GROUPS))
def test_groups_in_the_oracle(members, kind, result):
    assert oracle.group(kind, [TRUTHS[member].value for member in members.split()]) == TRUTHS[result].value


@pytest.fixture(scope="module")
def engine():
    return Engine()


@pytest.fixture(scope="module")
def rulesets():
    """A ruleset for each kind of group of one to three members."""
    return {
        (kind, count): build_group(kind, _group(kind, count), [f"m{number}" for number in range(count)])
        for kind in ("all_of", "any_of", "none_of")
        for count in (1, 2, 3)
    }


def _group(kind, count):
    return Group.model_validate({kind: [FindingLeaf(finding=f"m{number}") for number in range(count)]})


@pytest.mark.parametrize(("members", "kind", "result"), read_grid(GROUPS))
def test_groups_in_the_engine(engine, rulesets, members, kind, result):
    tokens = [TRUTHS[member].value for member in members.split()]
    ruleset = rulesets[kind, len(tokens)]
    assert engine.conclude(ruleset, dict(zip(ruleset.inputs, tokens, strict=True))).token == TRUTHS[result].value


def test_the_empty_groups():
    assert all_of([]) is Truth.MET
    assert any_of([]) is Truth.NOT_MET


@pytest.mark.parametrize("truth", list(Truth))
def test_a_truth_is_no_bool(truth):
    with pytest.raises(TypeError, match="three-valued"):
        bool(truth)
    with pytest.raises(TypeError):
        assert truth
    with pytest.raises(TypeError):
        operator.not_(truth)


def test_known_answers():
    assert known(True) is Truth.MET
    assert known(False) is Truth.NOT_MET


def test_a_table_with_a_hole_is_refused():
    with pytest.raises(AssertionError, match="a cell is missing"):
        read_grid(AND.replace("F  F  F", "F  F"))
