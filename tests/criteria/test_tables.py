"""Every row of the tables, put to the real engine."""

from __future__ import annotations

from collections import Counter

import pytest

from mscprotocol.knowledge import KnowledgeBase
from mscprotocol.rulebook import Rulebook, compile_rulebook
from tests.criteria.tables import PROTOCOL, Asked, Row, read_rows


@pytest.fixture(scope="module")
def book(knowledge: KnowledgeBase) -> Rulebook:
    return compile_rulebook(knowledge, PROTOCOL)


@pytest.mark.parametrize("row", read_rows(), ids=lambda row: row.name)
def test_row(row: Row, book: Rulebook) -> None:
    found, reason = Asked(row, book).outcome
    assert found == row.expect
    if row.reason is not None:
        assert reason == row.reason


def test_an_unknown_criterion_states_its_reason(book: Rulebook) -> None:
    silent = [
        row.name
        for row in read_rows()
        if row.expect == "unknown" and row.section in book.knowledge.criteria and row.reason is None
    ]
    assert not silent


def test_rows_of_a_section_differ() -> None:
    seen = Counter((row.section, repr(row.given), row.at, row.stage) for row in read_rows())
    assert not [key[:2] for key, times in seen.items() if times > 1]
