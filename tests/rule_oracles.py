"""Each rule as it stands in `rules/`, read by the oracle: no part of what the rules are compiled to is used here."""

from __future__ import annotations

import itertools
import math
import random

from mscprotocol.definitions import Decision, FindingDefinition, Ladder
from mscprotocol.knowledge_forms import ConclusionLeaf, FindingLeaf, Group, UnknownIf
from mscprotocol.wording import describe_leaf
from tests import oracle


def patterns(ruleset, fully=20_000, sample=2_000):
    """Every combination of tokens, or of very many a seeded sample in which each row of the rules applies."""
    if math.prod(map(len, ruleset.inputs.values())) <= fully:
        yield from itertools.product(*ruleset.inputs.values())
        return
    chance = random.Random(ruleset.name)
    terms = [term for row in ruleset.rows for term in row.test]
    for term in [*terms, *[{}] * sample]:
        yield tuple(chance.choice(sorted(term.get(key, tokens))) for key, tokens in ruleset.inputs.items())


def applies(row, tokens):
    return any(all(tokens[key] in allowed for key, allowed in term.items()) for term in row.test)


def conclude(book, engine, tokens):
    """Every step of a rulebook but the decision lists, whose inputs are not findings."""
    tokens = dict(tokens)
    for name, ruleset in book.steps.items():
        if not isinstance(book.knowledge.definitions.get(name), Decision):
            tokens[name] = engine.conclude(ruleset, tokens).token
    return tokens


# -- the oracle of each form --


def group_oracle(group):
    kind = next(kind for kind in ("all_of", "any_of", "none_of") if getattr(group, kind))
    return lambda tokens: oracle.group(kind, list(tokens.values()))


def ladder_oracle(ladder):
    names = [rung.name for rung in ladder.rungs]
    return lambda tokens: oracle.ladder(names, ladder.otherwise, list(tokens.values()))


def reading_oracle(leaf, definition):
    classes = graver_first(definition)
    return lambda tokens: oracle.reading(leaf.met, leaf.not_met, tokens[leaf.conclusion], classes)


def graver_first(definition):
    """The classes of a ladder; a trend has no order."""
    return [rung.name for rung in definition.rungs] if isinstance(definition, Ladder) else []


def decision_oracle(decision):
    rows = [(row.all, row.any, row.conclude) for row in decision.rows]
    return lambda tokens: oracle.decision(rows, decision.otherwise, tokens)


def guard_oracle(tokens):
    return oracle.guard(*tokens.values())


def oracles(book):
    """The oracle of each step, read from the rules themselves and not from what they were compiled to."""
    found = {}
    for name, definition in book.knowledge.definitions.items():
        match definition:
            case FindingDefinition():
                _add_expression(book, found, name, definition.when)
            case Ladder():
                found[name] = ladder_oracle(definition)
                for rung in definition.rungs:
                    _add_expression(book, found, f"{name}.{rung.name}", rung.when)
            case Decision():
                found[name] = decision_oracle(definition)
    for name, criterion in book.criteria:
        if criterion.when is not None:
            _add_expression(book, found, name, criterion.when)
    return found


def _add_expression(book, found, owner, expression):
    match expression:
        case Group():
            found[owner] = group_oracle(expression)
            for number, member in enumerate(expression.members, 1):
                _add_expression(book, found, f"{owner}.{number}", member)
        case UnknownIf(unknown_if=name):
            found[f"{name}?"] = guard_oracle
        case ConclusionLeaf():
            found[owner] = reading_oracle(expression, book.knowledge.definitions[expression.conclusion])


# -- whole rules, from leaf to criterion --


def evaluate(book, expression, leaves):
    """The token of an expression by the oracle alone."""
    definitions = book.knowledge.definitions
    match expression:
        case Group():
            kind = next(kind for kind in ("all_of", "any_of", "none_of") if getattr(expression, kind))
            return oracle.group(kind, [evaluate(book, member, leaves) for member in expression.members])
        case FindingLeaf(finding=name):
            return evaluate(book, definitions[name].when, leaves)
        case UnknownIf(unknown_if=name):
            return oracle.guard(evaluate(book, definitions[name].when, leaves))
        case ConclusionLeaf(conclusion=name):
            concluded = leaves[name] if name in leaves else ladder_token(book, name, leaves)
            return oracle.reading(expression.met, expression.not_met, concluded, graver_first(definitions[name]))
        case _:
            return leaves[describe_leaf(book.knowledge, expression)]


def ladder_token(book, name, leaves):
    """The token of a ladder by the oracle alone."""
    ladder = book.knowledge.definitions[name]
    rungs = [evaluate(book, rung.when, leaves) for rung in ladder.rungs]
    return oracle.ladder([rung.name for rung in ladder.rungs], ladder.otherwise, rungs)
