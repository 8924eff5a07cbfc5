"""Over every protocol: knowing a value better turns nothing round, and no order changes an answer."""

import pytest

from mscprotocol.engine import Engine
from tests.properties.invariance import (
    all_books,
    changed_by_order,
    may_become,
    turned_by_refined_tokens,
    turned_by_refined_values,
)

BOOKS = all_books()


@pytest.fixture(scope="module")
def engine():
    return Engine()


@pytest.mark.parametrize("book", BOOKS, ids=lambda book: book.protocol.id)
def test_refining_findings_never_turns_a_rule_round(book, engine):
    assert list(turned_by_refined_tokens(book, engine, 60)) == []


def test_narrowing_a_value_never_turns_a_finding_round(knowledge):
    assert list(turned_by_refined_values(knowledge, 80)) == []


def test_no_order_changes_an_answer(knowledge):
    assert list(changed_by_order(knowledge, 12)) == []


def test_the_ways_that_are_refused():
    book = next(book for book in BOOKS if book.protocol.id == "seed-covid-4x")
    name = "coagulopathy"
    assert may_become(book, name, "at_least:moderate", "high")
    assert not may_become(book, name, "at_least:moderate", "low")
    assert not may_become(book, name, "at_least:moderate", "at_least:low")
    assert not may_become(book, name, "high", "moderate")
