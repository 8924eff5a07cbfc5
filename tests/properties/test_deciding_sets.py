"""The deciding sets against brute force: every outcome of every set of data, over small rule bases."""

from functools import reduce
from itertools import product
from operator import or_

from hypothesis import Phase, event, given, settings

from mscprotocol.assessment import _conclude_case
from mscprotocol.deciding import find_board, find_deciding, find_parts, set_goals
from mscprotocol.engine import Engine
from mscprotocol.implicants import minimal_sets
from tests.properties.small_rules import REQUEST, small_rules, try_all
from tests.properties.strategies import ENGINE_LAWS

ENGINE = Engine()
ALIVE = []


def minimal(case):
    """All minimal sets, unlisted ones too: what excludes, what allows."""
    board = find_board(case.book)
    goals = set_goals(case, [one for one in case.judgements if one.is_mandatory and one.is_open])
    excluding = minimal_sets(one for goal in goals for one in board.sets(goal.against))
    joint = [board.sets(terms) for _, terms in find_parts(board, goals)]
    allowing = [reduce(or_, one, 0) for one in product(*joint)]
    return [[set(board.ids(one)) for one in sets] for sets in (excluding, allowing)]


def in_order(sets):
    return sorted(map(sorted, sets))


# Not shrunk: an example takes a tenth of a second, and a failure is small as it is.
@settings(ENGINE_LAWS, max_examples=120, phases=(Phase.generate,))
@given(small_rules())
def test_minimal_sets_are_those_of_brute_force(rules):
    ALIVE.append(rules)  # the engine knows a rulebook by its identity
    case = _conclude_case(rules.record, rules.book, REQUEST, ENGINE)
    event(case.verdict)
    found = find_deciding(case)
    if case.verdict != "undetermined":
        assert found is None
        return
    excluding, allowing = try_all(rules, case)
    assert [in_order(sets) for sets in minimal(case)] == [in_order(excluding), in_order(allowing)]
    assert found.complete
    assert in_order(one.data for one in found.exclude) == in_order(excluding)
    assert found.exclude_more == 0
    shortest = min((len(one) for one in allowing), default=0)
    assert in_order(found.allow.smallest) == in_order(one for one in allowing if len(one) == shortest)
    assert set(found.allow.always) == (set.intersection(*allowing) if allowing else set())
