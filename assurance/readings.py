"""The second readings of the rules, as tests that can be put to a mutant in process: which of them fails first.

Here are tests that no row of a table could be: of notes, warnings, limits of normal and times of a plan.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # the tests are a package of the checkout

from mutated import load_with_choices

from mscprotocol.knowledge import KnowledgeBase
from mscprotocol.units import is_plausible, is_unusual
from tests.specs import (
    test_decisions,
    test_dictionary,
    test_edges,
    test_parameters,
    test_protocols,
    test_urgency,
)
from tests.specs import test_worst_of_24_hours as test_worst

_Test = tuple[Callable[..., None], tuple[Any, ...]]


def find_failing(knowledge: KnowledgeBase, file: str, owner: str = "") -> str | None:
    """The first test that fails of those that read a file of the rules, or one of its entries."""
    for module in (test_decisions, test_dictionary, test_edges, test_protocols, test_urgency, test_worst):
        vars(module)["KNOWLEDGE"] = knowledge
    vars(test_parameters)["load_knowledge"] = load_with_choices
    of_file = READINGS[next(head for head in READINGS if file.startswith(head))]()
    for test, given in (*of_file, *EDGES.get(owner, ())):
        try:
            test(*given)
        except Exception:  # noqa: BLE001  # a test that ends with an error has failed
            return f"{test.__module__}.{test.__name__}"
    return None


def _of_dictionary() -> list[_Test]:
    reading: Any = test_dictionary
    return [
        (reading.test_limits_lie_where_the_table_has_them, ("hard", lambda *one: not is_plausible(*one))),
        (reading.test_limits_lie_where_the_table_has_them, ("soft", is_unusual)),
        (reading.test_values_age_as_the_table_has_it, ()),
        (reading.test_every_quantity_has_its_resolution, ()),
        (reading.test_what_can_be_settled_at_the_bedside, ()),
        (reading.test_every_answer_of_a_person_ages, ()),
        (reading.test_a_criterion_attested_as_a_whole_holds_as_long_as_the_table_has_it, ()),
        (reading.test_the_indication_is_asked_before_the_first_infusion_only, ()),
        (reading.test_medicines_act_on_as_long_as_the_table_has_it, ()),
        *((reading.test_a_unit_converts_as_worked_by_hand, pair) for pair in reading.UNITS),
        *((reading.test_an_answer_holds_as_long_as_the_table_has_it, (name,)) for name in reading.HOLDS),
    ]


def _of_protocols() -> list[_Test]:
    reading: Any = test_protocols
    return [
        *((reading.test_numbers, (name,)) for name in reading.TABLE["numbers"]),
        *((reading.test_the_list_of_criteria_is_closed, (name,)) for name in reading.TABLE["criteria"]),
        (reading.test_bases_and_bodies_of_weight, ()),
        (reading.test_how_many_cells_a_unit_of_an_order_is, ()),
    ]


def _of_decisions() -> list[_Test]:
    reading: Any = test_decisions
    sentences = (reading.verdict, reading.outlook, reading.dose_status, reading.gate, reading.trend)
    return [(reading.test_every_combination, (one,)) for one in sentences]


def _of_worst_values() -> list[_Test]:
    reading: Any = test_worst
    return [(reading.test_an_earlier_worse_value_counts, given) for given in reading.WORST]


# By the beginning of a file's name.
READINGS: dict[str, Callable[[], list[_Test]]] = {
    "measurements": _of_dictionary,
    "conditions": _of_dictionary,
    "criteria": _of_dictionary,
    "protocols": _of_protocols,
    "practices": _of_protocols,
    "orders": _of_protocols,
    "definitions/conclusions": _of_decisions,
    "definitions/deterioration": _of_decisions,
    "definitions/complications": _of_worst_values,
    "": list,
}

# By the entry that they are about.
EDGES: dict[str, list[_Test]] = {
    "deterioration": [(test_urgency.test_a_step_up_is_urgent_for_24_hours, one) for one in test_urgency.MINUTES],
    "interval_h": [(test_parameters.test_how_three_days_are_read, one) for one in test_parameters.THREE_DAYS],
    "small_cell": [
        (test_parameters.test_the_smallest_number_that_is_told, (least,)) for least in test_parameters.SMALLEST_NUMBERS
    ],
    "weight": [(test_edges.test_an_actual_weight_far_from_the_predicted_one, one) for one in test_edges.BASIS],
    **{
        name: [(test_edges.test_a_value_is_noted, one) for one in test_edges.NOTED if one[0] == name]
        for name in ("predicted_body_weight", "sf_ratio")
    },
    **{
        name: [
            (test_edges.test_a_limit_of_normal_is_believed_or_not, one)
            for one in test_edges.LIMITS_OF_NORMAL
            if one[0] == name
        ]
        for name in ("pt", "d_dimer")
    },
}
