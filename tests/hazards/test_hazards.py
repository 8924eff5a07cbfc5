"""Every hazard of the risk analysis names its tests, and every trap of the paper that the tables cover its rows."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import pytest

from mscprotocol.case_tables import read_rows
from mscprotocol.places import find_folder
from mscprotocol.yaml_files import read_yaml
from tests.criteria.leaves import CASES

FOLDER = Path(__file__).parent
HAZARDS: dict[str, dict[str, Any]] = read_yaml((FOLDER / "hazards.yaml").read_text(encoding="utf-8"))
TESTS = FOLDER.parent
CRITERIA = TESTS / "criteria"
# Traps of the paper, and a row that would be wrong for whoever fell into them.
TRAPS = {
    "T1": "product.yaml::PRD-02",  # the scan's "ACE2+" is an error: a lot must be negative
    "T2": "severity.yaml::severity_who",  # one scale's word is not another's
    "T4": "conclusions.yaml::gate",  # four infusions have no direct support: a fifth is refused
    "T5": "conclusions.yaml::dose",  # no reduced dose is computed
    "T6": "product.yaml::PRD-04",  # "low passage" has no number in the paper
}


def rows_marked(kind: str, mark: str) -> set[str]:
    """The sections whose rows carry a hazard or trap."""
    return {row.place for row in read_rows(CASES) if mark in getattr(row, kind)}


def test_all_hazards_are_listed() -> None:
    assert list(HAZARDS) == [f"H{number:02}" for number in range(1, 55)]


@pytest.mark.parametrize("hazard", HAZARDS)
def test_the_tests_of_a_hazard_exist(hazard: str) -> None:
    entry = HAZARDS[hazard]
    if "later" in entry:
        assert set(entry) == {"later"}
        assert re.match(r"[B-E]: \w+", entry["later"]), "say which part of the build brings it, and why"
        assert not rows_marked("hazards", hazard), "rows cover it already"
        return
    assert entry["tests"]
    for place in entry["tests"]:
        path, _, name = place.partition("::")
        if not path.endswith(".yaml"):
            assert name in _functions(TESTS / path), place
        elif path == "presence.yaml":
            table = read_yaml((CRITERIA / path).read_text(encoding="utf-8"))
            assert any(row.get("hazard") == hazard for row in table[name]), place
        else:
            assert place in rows_marked("hazards", hazard), place


@pytest.mark.parametrize(("trap", "place"), TRAPS.items())
def test_a_trap_has_its_row(trap: str, place: str) -> None:
    assert place in rows_marked("traps", trap)


def test_t7_and_t8_and_t14_are_kept_in_the_rules() -> None:
    """Facts about the paper and not about a patient: the rule base states them, and no row could."""
    home = find_folder("rules")
    rules = {path.relative_to(home).as_posix(): path.read_text(encoding="utf-8") for path in home.rglob("*.yaml")}
    # T7: the weight that a dose goes by is a property of the protocol.
    assert "weight_basis: actual" in rules["protocols/seed-covid-4x.yaml"]
    # T14: NHC "common" is called moderate, and the scale says by which table.
    nhc = rules["definitions/severity.yaml"].partition("severity_nhc:")[2].partition("severity_nih:")[0]
    assert "name: moderate" in nhc
    assert "Leng 2020, Table 1" in nhc
    # T8: the 40 patients of the paper are those treated; 20 more had placebo.
    assert "40 treated and 20 on placebo" in rules["sources.yaml"].partition("matthay-2019:")[2].partition("\n\n")[0]


def _functions(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
