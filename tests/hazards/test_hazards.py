"""Every hazard of the risk analysis names its tests."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from mscprotocol.yaml_files import read_yaml
from tests.hazards.places import TESTS, find_functions, rows_marked

FOLDER = Path(__file__).parent
HAZARDS: dict[str, dict[str, Any]] = read_yaml((FOLDER / "hazards.yaml").read_text(encoding="utf-8"))
CRITERIA = TESTS / "criteria"


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
            assert name in find_functions(TESTS / path), place
        elif path == "presence.yaml":
            table = read_yaml((CRITERIA / path).read_text(encoding="utf-8"))
            assert any(row.get("hazard") == hazard for row in table[name]), place
        else:
            assert place in rows_marked("hazards", hazard), place
