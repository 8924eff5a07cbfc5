"""A longer run of what must not change an answer: refined findings and values, and any order of what goes in.

    python assurance/invariance.py

The properties are those of `tests/properties/test_invariance.py`, over every protocol, with many more examples.
"""

from __future__ import annotations

import sys
from pathlib import Path
from time import perf_counter

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from mscprotocol.engine import Engine
from mscprotocol.knowledge_loader import load_knowledge
from tests.properties.invariance import (
    all_books,
    changed_by_order,
    turned_by_refined_tokens,
    turned_by_refined_values,
)

TOKENS, VALUES, ORDERS = 2_000, 1_000, 60


def main() -> int:
    """Look for what should not be there, and print what was looked at."""
    started, engine, knowledge = perf_counter(), Engine(), load_knowledge()
    books = all_books(knowledge)
    tokens = [fault for book in books for fault in turned_by_refined_tokens(book, engine, TOKENS)]
    print(f"refined findings: {TOKENS:,} patterns for each of {len(books)} protocols, {len(tokens)} turned round")
    values = list(turned_by_refined_values(knowledge, VALUES))
    print(f"narrowed values: up to {VALUES:,} records over every leaf of every protocol, {len(values)} turned round")
    orders = list(changed_by_order(knowledge, ORDERS))
    print(f"order: {ORDERS} records by {len(books)} protocols, entries and rules shuffled, {len(orders)} changed")
    for fault in (*tokens, *values, *orders)[:20]:
        print(fault)
    print(f"{perf_counter() - started:.0f} s")
    return int(bool(tokens or values or orders))


if __name__ == "__main__":
    sys.exit(main())
