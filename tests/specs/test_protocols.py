"""Protocols and practices against a second reading of them: their closed lists of criteria, and every number."""

from pathlib import Path

import pytest

from mscprotocol.knowledge_loader import load_knowledge
from mscprotocol.protocols import Sourced
from mscprotocol.yaml_files import read_yaml

TABLE = read_yaml((Path(__file__).parent / "protocols.yaml").read_text(encoding="utf-8"))
KNOWLEDGE = load_knowledge()


def cards():
    return {**KNOWLEDGE.protocols, **KNOWLEDGE.practices}


def lists():
    """What has a closed list of criteria: protocols, those shown for information, practices."""
    return {**KNOWLEDGE.protocols, **KNOWLEDGE.information, **KNOWLEDGE.practices}


def find_numbers(node, path=""):
    """Every number of a protocol with its place; a list of numbers is one entry."""
    for name, value in node:
        place = f"{path}{name}"
        if isinstance(value, Sourced):
            yield place, str(value.value)
        elif isinstance(value, tuple) and value and isinstance(value[0], Sourced):
            yield place, [str(one.value) for one in value]
        elif hasattr(type(value), "model_fields"):
            yield from find_numbers(value, f"{place}.")


def test_no_protocol_is_missing():
    assert set(TABLE["numbers"]) == set(cards())
    assert set(TABLE["criteria"]) == set(lists())


@pytest.mark.parametrize("name", TABLE["numbers"])
def test_numbers(name):
    found = dict(find_numbers(cards()[name]))
    assert found == TABLE["numbers"][name]


@pytest.mark.parametrize("name", TABLE["criteria"])
def test_the_list_of_criteria_is_closed(name):
    overlay = TABLE["criteria"]["site-default"] if name in KNOWLEDGE.protocols else []
    assert set(lists()[name].criteria) == {*TABLE["criteria"][name], *overlay}


def test_bases_and_bodies_of_weight():
    assert {name: one.dose.weight_basis for name, one in KNOWLEDGE.protocols.items()} == TABLE["weight_basis"]
    assert {name: one.label_basis for name, one in KNOWLEDGE.practices.items()} == TABLE["label_basis"]


def test_how_many_cells_a_unit_of_an_order_is():
    for unit, said in KNOWLEDGE.orders["cells"].units.items():
        is_million = unit.startswith(("10*6", "10^6", "million"))
        assert (int(said.cells), said.per_kg) == (1_000_000 if is_million else 1, unit.endswith("/kg")), unit
