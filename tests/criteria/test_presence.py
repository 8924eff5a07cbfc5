"""Every condition leaf of the protocol, put to the same questions about records, answers and times."""

from __future__ import annotations

from pathlib import Path

import pytest

from mscprotocol.case_records import AT, build_record
from mscprotocol.findings import Findings
from mscprotocol.knowledge import KnowledgeBase
from mscprotocol.knowledge_forms import ConditionLeaf
from mscprotocol.knowledge_loader import load_knowledge
from mscprotocol.yaml_files import read_yaml
from tests.criteria.leaves import Used, find_used

TABLE = read_yaml((Path(__file__).parent / "presence.yaml").read_text(encoding="utf-8"))
# A test or a part of the condition also speaks of these, so plain absence is asked of the whole record elsewhere.
TRUTHS = {"met", "not_met", "unknown"}


def find_leaves() -> dict[str, list[Used]]:
    """The condition leaves of the protocol under the names of the table; score rows share one name."""
    found: dict[str, list[Used]] = {}
    for used in find_used(load_knowledge()):
        # When something began, or whether it was ever there in a window, are other questions: rows of TIM-04, TIM-05
        # and TIM-06, of sofa.cardiovascular, other_vasopressor_running and renal_replacement.
        if isinstance(used.leaf, ConditionLeaf) and not (used.leaf.began_within or used.leaf.held_within):
            found.setdefault(f"{used.owner} {used.leaf.condition}", []).append(used)
    named: dict[str, list[Used]] = {}
    for name, several in found.items():
        if len({str(used.leaf) for used in several}) == 1:
            named[name] = several
        else:
            named |= {f"{name} (tier {used.rung})": [used] for used in several}
    return named


LEAVES = find_leaves()


def _said(row: dict, about: dict) -> list[str]:
    said = row["given"] if isinstance(row["given"], list) else [row["given"]]
    return [text.replace("$back", about.get("back", "")).replace("$holds", about["holds"]) for text in said]


def _is_won(row: dict) -> bool:
    return row["case"].startswith("record against") or row["case"] == "resolved without a date"


def _ends_before_anyone_lived(row: dict, about: dict) -> bool:
    """Nothing ends before the 120 years that stand for "ever"."""
    return any(text.startswith("resolved @ 43830 d 5 d") for text in _said(row, about))


def questions() -> list:
    found = []
    for name, about in TABLE["leaves"].items():
        kind = about.get("by") or ("back" if "back" in about else "now")
        for row in (*TABLE[kind], *TABLE["always"]):
            if _ends_before_anyone_lived(row, about):
                continue
            found.append(pytest.param(name, about, row, id=f"{name}: {row['case']}"))
    return found


@pytest.mark.parametrize(("name", "about", "row"), questions())
def test_condition(name: str, about: dict, row: dict, knowledge: KnowledgeBase) -> None:
    said = _said(row, about)
    for used in LEAVES[name]:
        assert isinstance(used.leaf, ConditionLeaf)
        record = build_record(knowledge, {used.leaf.condition: said})
        found = Findings(record, knowledge, AT, "screening").find(used.leaf)
        # A rule may say that no record at all means absent; then only absence comes out differently.
        absent = about.get("absent") if "absent" in row else None
        # Where a record wins, neither a denial nor a refutation makes it a conflict.
        won = "met" if used.leaf.record_wins and _is_won(row) else None
        assert found.truth.value == (absent or won or row["expect"])
        if row["expect"] == "unknown" and absent is None and won is None:
            assert found.reasons[0].value == row["reason"]


def test_every_condition_of_the_protocol_is_asked() -> None:
    assert set(TABLE["leaves"]) == set(LEAVES)
