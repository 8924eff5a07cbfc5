"""The deciding sets against brute force: every outcome of every set of data, over small rule bases."""

from functools import reduce
from itertools import product
from operator import or_

import pytest
from hypothesis import Phase, event, given, settings

from mscprotocol.assessment import _conclude_case
from mscprotocol.deciding import find_board, find_deciding, find_parts, set_goals
from mscprotocol.engine import Engine
from mscprotocol.implicants import minimal_sets
from tests.core.records import attested, measured
from tests.properties.small_rules import ASKED, CONDITIONS, REQUEST, SmallRules, small_rules, try_all
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


LOW, HIGH = ASKED["platelets"]
SHOCK, MALIGNANCY, VASOPRESSOR = ({"condition": name} for name in CONDITIONS)
(RATE,) = ASKED["norepinephrine_rate"]
(BREATHS,), (SATURATION,) = ASKED["respiratory_rate"], ASKED["spo2"]
VENTILATED, ROOM_AIR, GUARD = ASKED["oxygen_support"]
(TREND,) = ASKED["trend"]
RISE = {"change": "inr", "rises_to": "2 1", "over": "72 h"}
KNOWS_INR, KNOWS_FIBRINOGEN = ({"measurement": name, "known": True} for name in ("inr", "fibrinogen"))
SIGNALS = ["trend:oxygen_step", "trend:pf_ratio"]


def needs(**criteria):
    """Inclusions and exclusions by their names: `i1`, `e1` …"""
    roles = {"i": "inclusion", "e": "exclusion"}
    return {name: {"role": roles[name[0]], "when": when} for name, when in criteria.items()}


EXAMPLES = {
    "one value answers every limit on it": (needs(i1=LOW, i2=HIGH), (), [["platelets"]], []),
    "limits that one value can meet": (needs(e1=LOW, e2=HIGH), (), [["platelets"]], [["platelets"]]),
    "alternatives": (
        needs(i1={"any_of": [KNOWS_INR, KNOWS_FIBRINOGEN]}, i2=SHOCK),
        (), [["shock"]], [["fibrinogen", "shock"], ["inr", "shock"]],
    ),
    "an alternative that another criterion bars": (
        needs(i1={"any_of": [{"all_of": [LOW, SHOCK]}, HIGH]}, e1=HIGH),
        (), [["platelets"]], [["platelets", "shock"]],
    ),
    "an alternative that the wider of two terms may not hide": (
        needs(i1={"any_of": [{"all_of": [LOW, SHOCK]}, {"all_of": [HIGH, MALIGNANCY]}]}, e1=MALIGNANCY),
        (), [["malignancy"], ["platelets"]], [["malignancy", "platelets", "shock"]],
    ),
    "both sides of an exclusion by two conditions": (
        needs(e1={"all_of": [SHOCK, MALIGNANCY]}),
        (), [["malignancy", "shock"]], [["malignancy"], ["shock"]],
    ),
    "what is known is no part of a set": (
        needs(e1={"all_of": [SHOCK, MALIGNANCY]}), (attested("malignancy", "yes"),), [["shock"]], [["shock"]],
    ),
    "a state that spoils a value": (
        needs(i1={"all_of": [BREATHS, VENTILATED]}), (), [["respiratory_rate"], ["oxygen_support"]], [],
    ),
    "a state that a value needs to deny": (
        needs(e1=SATURATION), (), [["spo2"]], [["oxygen_support", "spo2"]],
    ),
    "a guard is never met": (needs(i1=GUARD), (), [["oxygen_support"]], []),
    "a rate speaks for its vasopressor": (
        needs(e1=VASOPRESSOR, e2=RATE),
        (), [["norepinephrine_rate"], ["vasopressor"]], [["norepinephrine_rate", "vasopressor"]],
    ),
    "a rate and the denial of its vasopressor contradict each other": (
        needs(e1=VASOPRESSOR, i1=RATE), (), [["norepinephrine_rate"], ["vasopressor"]], [],
    ),
    "a change needs its value": (needs(e1=RISE), (), [["inr", "inr_change"]], [["inr", "inr_change"]]),
    "a change of a known value": (needs(e1=RISE), (measured("inr", "1.1"),), [["inr_change"]], [["inr_change"]]),
    "a score by its lowest and highest points": (
        needs(e1={"score": "made", "gte": "2 1"}, i1=MALIGNANCY),
        (), [["malignancy"], ["shock"]], [["malignancy", "shock"]],
    ),
    "each signal could make the trend": (needs(i1=TREND), (), [[one] for one in SIGNALS], [[one] for one in SIGNALS]),
    "two readings of one trend": (needs(i1=TREND, e1=TREND), (), [[one] for one in SIGNALS], []),
}  # fmt: skip


@pytest.mark.parametrize("name", EXAMPLES)
def test_minimal_sets_of_hand_made_rules(name):
    criteria, entries, excluding, allowing = EXAMPLES[name]
    rules = SmallRules(criteria, entries)
    ALIVE.append(rules)
    case = _conclude_case(rules.record, rules.book, REQUEST, ENGINE)
    assert [in_order(sets) for sets in minimal(case)] == [in_order(excluding), in_order(allowing)]


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
