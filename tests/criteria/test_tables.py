"""Every row of the tables, put to the real engine."""

from __future__ import annotations

from collections import Counter

import pytest

from mscprotocol.case_tables import Asked, Row, read_rows
from mscprotocol.knowledge import KnowledgeBase
from tests.criteria.leaves import CASES


@pytest.mark.parametrize("row", read_rows(CASES), ids=lambda row: row.name)
def test_row(row: Row, knowledge: KnowledgeBase) -> None:
    found, reason = Asked(row, knowledge).outcome
    assert found == row.expect
    if row.reason is not None:
        assert reason == row.reason


def test_an_unknown_criterion_states_its_reason(knowledge: KnowledgeBase) -> None:
    silent = [
        row.name
        for row in read_rows(CASES)
        if row.expect == "unknown" and row.section in knowledge.criteria and row.reason is None
    ]
    assert not silent


def test_rows_of_a_section_differ() -> None:
    seen = Counter(
        (row.section, repr(row.given), row.at, row.stage, repr(row.choices), row.protocol) for row in read_rows(CASES)
    )
    assert not [key[:2] for key, times in seen.items() if times > 1]
