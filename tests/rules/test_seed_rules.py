"""The 68 rules that stem from the paper, pinned: none may vanish, and each quotes the paper."""

from __future__ import annotations

import pytest

from mscprotocol.knowledge import KnowledgeBase
from mscprotocol.knowledge_loader import load_knowledge

# How many rules of each group stem from the paper: IND-01 to IND-05, SEV-01 to SEV-03, and so on.
LAST = {
    "IND": 5, "SEV": 3, "TIM": 3, "DOS": 5, "SCH": 4, "ROU": 4, "PRD": 15, "COA": 6, "SAF": 5, "MON": 3, "REG": 2,
    "EVD": 13,
}  # fmt: skip
SEED = [f"{group}-{number:02}" for group, last in LAST.items() for number in range(1, last + 1)]


@pytest.fixture(scope="module")
def knowledge() -> KnowledgeBase:
    return load_knowledge()


def test_they_are_68() -> None:
    assert len(SEED) == 68


@pytest.mark.parametrize("name", SEED)
def test_it_is_in_the_rules_and_quotes_the_paper(name: str, knowledge: KnowledgeBase) -> None:
    assert [one.quote for one in knowledge.criteria[name].sources if one.id == "li-2020" and one.mark == "paper"]
