"""durable-rules against the oracle over every protocol: each ruleset alone, and whole rules from leaf to criterion.

    python assurance/agreement.py [--whole N]

A ruleset is run by durable-rules itself on every combination of its tokens, or on 100,000 random ones where there are
more. Whole rules get N random patterns of leaves a protocol; there a ruleset that has seen its tokens before answers
from memory, so the counts of runs and of remembered answers are both printed.
"""

from __future__ import annotations

import argparse
import math
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from mscprotocol.definitions import Ladder
from mscprotocol.engine import Engine
from mscprotocol.knowledge_loader import load_knowledge
from mscprotocol.rulebook import Rulebook, compile_rulebook
from mscprotocol.rulesets import Ruleset
from tests.rule_oracles import applies, conclude, evaluate, ladder_token, oracles, patterns

MOST = 100_000


def books() -> list[Rulebook]:
    """The rulebook of every protocol that patients are assessed by."""
    knowledge = load_knowledge()
    return [compile_rulebook(knowledge, one.id) for one in knowledge.protocols.values() if one.assessed]


def check_rulesets(engine: Engine) -> tuple[int, int, int, list[str]]:
    """Every ruleset of every protocol: how many, how many in full, patterns put, and where the two differ."""
    seen: dict[str, Ruleset] = {}
    put, full, wrong = 0, 0, []
    for book in books():
        expected = oracles(book)
        for name, ruleset in book.steps.items():
            if seen.setdefault(repr(ruleset), ruleset) is not ruleset:
                continue  # the same rule in another protocol
            full += math.prod(map(len, ruleset.inputs.values())) <= MOST
            for pattern in patterns(ruleset, MOST, MOST):
                tokens = dict(zip(ruleset.inputs, pattern, strict=True))
                found = engine.conclude(ruleset, tokens)
                put += 1
                if found.token != expected[name](tokens) or not applies(ruleset.rows[found.row], tokens):
                    wrong.append(f"{book.protocol.id} {name} {tokens}: {found.token}, not {expected[name](tokens)}")
    return len(seen), full, put, wrong


def check_whole_rules(engine: Engine, number: int) -> tuple[int, list[str]]:
    """Random patterns of leaves through all rulesets of a protocol, against each rule as it stands in `rules/`."""
    wrong: list[str] = []
    answers = 0
    for book in books():
        for tokens, leaves in random_conclusions(book, engine, number):
            for name, found, expected in _answers(book, tokens, leaves):
                answers += 1
                if found != expected:
                    wrong.append(f"{book.protocol.id} {name}: {found}, not {expected}")
    return answers, wrong


def random_conclusions(book: Rulebook, engine: Engine, number: int) -> Iterator[tuple[dict[str, str], dict[str, str]]]:
    """What the rulebook concludes from random leaves, together with them; the share of unknown ones varies."""
    chance = random.Random(f"whole rules of {book.protocol.id}")
    for _ in range(number):
        share = chance.random()
        leaves = {
            key: "unknown" if chance.random() < share else chance.choice(["met", "not_met"]) for key in book.leaves
        }
        if book.protocol.trend is not None:
            leaves[book.protocol.trend] = chance.choice(book.steps[book.protocol.trend].conclusions)
        yield conclude(book, engine, leaves), leaves


def _answers(book: Rulebook, tokens: dict[str, str], leaves: dict[str, str]) -> Iterator[tuple[str, str, str]]:
    for name, criterion in book.criteria:
        if criterion.when is not None:
            yield name, tokens[book.roots[name]], evaluate(book, criterion.when, leaves)
    for name, definition in book.knowledge.definitions.items():
        if isinstance(definition, Ladder) and name in tokens:
            yield name, tokens[name], ladder_token(book, name, leaves)


def main() -> int:
    """Compare, and print what was compared."""
    parser = argparse.ArgumentParser(description="durable-rules against the oracle")
    parser.add_argument("--whole", type=int, default=2_000, help="random patterns of leaves a protocol")
    number = parser.parse_args().whole
    started, engine = perf_counter(), Engine()
    rulesets, full, put, wrong = check_rulesets(engine)
    print(f"single rules: {rulesets} rulesets ({full} on every combination, the rest on {MOST:,}), {put:,} patterns,")
    print(f"  {engine.misses:,} of them run by durable-rules itself; {len(wrong)} differ from the oracle")
    alone = engine.misses, engine.hits
    answers, more = check_whole_rules(engine, number)
    print(f"whole rules: {number:,} patterns of leaves for each of {len(books())} protocols, {answers:,} answers,")
    print(f"  {engine.misses - alone[0]:,} runs of durable-rules, {engine.hits - alone[1]:,} remembered from before;")
    print(f"  {len(more)} differ; {perf_counter() - started:.0f} s")
    for line in (*wrong, *more)[:20]:
        print(line)
    return int(bool(wrong or more))


if __name__ == "__main__":
    sys.exit(main())
