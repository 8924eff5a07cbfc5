"""durable-rules against the oracle: every ruleset that ships, whole rules from leaf to verdict, and random rulesets."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mscprotocol.definitions import Decision, FindingDefinition, Ladder
from mscprotocol.engine import Engine
from mscprotocol.knowledge_forms import ConclusionLeaf, FindingLeaf, Group
from mscprotocol.knowledge_loader import load_knowledge
from mscprotocol.rulebook import compile_rulebook
from mscprotocol.rulesets import TRUTHS, build_decision, build_group, build_guard, build_ladder, build_reading
from tests.properties.strategies import ENGINE_LAWS
from tests.rule_oracles import (
    applies,
    conclude,
    decision_oracle,
    evaluate,
    group_oracle,
    guard_oracle,
    ladder_oracle,
    ladder_token,
    oracles,
    patterns,
    reading_oracle,
)

PROTOCOLS = [name for name, protocol in load_knowledge().protocols.items() if protocol.assessed]


@pytest.fixture(scope="module")
def engine():
    return Engine()


@pytest.fixture(scope="module", params=PROTOCOLS)
def book(request):
    return compile_rulebook(load_knowledge(), request.param)


def disagreements(engine, ruleset, expected):
    for pattern in patterns(ruleset):
        tokens = dict(zip(ruleset.inputs, pattern, strict=True))
        found = engine.conclude(ruleset, tokens)
        if found.token != expected(tokens) or not applies(ruleset.rows[found.row], tokens):
            yield tokens, found, expected(tokens)


# -- the rules that ship --


def test_every_step_concludes_once_and_like_the_oracle(engine, book):
    expected = oracles(book)
    assert book.steps.keys() <= expected.keys()
    for name, ruleset in book.steps.items():
        assert not next(disagreements(engine, ruleset, expected[name]), None), name


def test_the_rows_of_every_step_are_disjoint_and_leave_no_gap(book):
    for name, ruleset in book.steps.items():
        used = set()
        for pattern in patterns(ruleset):
            tokens = dict(zip(ruleset.inputs, pattern, strict=True))
            rows = [place for place, row in enumerate(ruleset.rows) if applies(row, tokens)]
            assert len(rows) == 1, (name, tokens, rows)
            used.update(rows)
        assert used == set(range(len(ruleset.rows))), f"{name}: a row that never applies"


def test_whole_rules_from_leaf_to_criterion(engine, book):
    """Each rule read as it stands in rules/, against the chain of rulesets that it was compiled to."""
    chance = random.Random("whole rules")
    trend = book.protocol.trend
    for _ in range(250):
        share = chance.random()
        leaves = {
            key: "unknown" if chance.random() < share else chance.choice(["met", "not_met"]) for key in book.leaves
        } | {trend: chance.choice(book.steps[trend].conclusions)}
        tokens = conclude(book, engine, leaves)
        for name, criterion in book.criteria:
            if criterion.when is not None:
                assert tokens[book.roots[name]] == evaluate(book, criterion.when, leaves), name
        for name, definition in book.knowledge.definitions.items():
            if isinstance(definition, Ladder) and name in tokens:
                assert tokens[name] == ladder_token(book, name, leaves), name


# -- random rules --

names = st.sampled_from(["a", "b", "c", "d"])
vocabularies = st.dictionaries(
    names,
    st.lists(st.sampled_from(["none", "one", "many", "worse", "at_least:low"]), min_size=1, max_size=4, unique=True),
    min_size=1,
    max_size=4,
)


@st.composite
def decisions(draw):
    inputs = draw(vocabularies)
    conditions = st.fixed_dictionaries(
        {},
        optional={
            key: st.lists(st.sampled_from(tokens), min_size=1, max_size=len(tokens), unique=True)
            for key, tokens in inputs.items()
        },
    )
    conclusions = st.sampled_from(["go", "hold", "stop"])
    rows = draw(
        st.lists(st.fixed_dictionaries({"all": conditions, "any": conditions, "conclude": conclusions}), max_size=5)
    )
    return Decision.model_validate(
        {"id": "x", "text": "x", "sources": [], "kind": "decision", "inputs": inputs, "rows": rows, "otherwise": "go"}
    )


@ENGINE_LAWS
@given(decisions())
def test_random_decision_lists(decision):
    engine = Engine()
    ruleset = build_decision("x", decision)
    assert not next(disagreements(engine, ruleset, decision_oracle(decision)), None)


@ENGINE_LAWS
@given(st.sampled_from(["all_of", "any_of", "none_of"]), st.lists(names, min_size=1, max_size=6))
def test_random_groups(kind, members):
    group = Group.model_validate({kind: [FindingLeaf(finding=name) for name in members]})
    assert not next(disagreements(Engine(), build_group("x", group, members), group_oracle(group)), None)


@ENGINE_LAWS
@given(st.lists(names, min_size=1, max_size=4, unique=True))
def test_random_ladders(rungs):
    ladder = Ladder.model_validate(
        {
            "id": "x",
            "text": "x",
            "sources": [],
            "kind": "ladder",
            "rungs": [{"name": f"class {name}", "when": {"finding": name}} for name in rungs],
            "otherwise": "none",
        }
    )
    assert not next(disagreements(Engine(), build_ladder("x", ladder, rungs), ladder_oracle(ladder)), None)


@ENGINE_LAWS
@given(st.sets(st.sampled_from(["hi", "lo", "none", "at_least:hi", "at_least:lo", "unknown"])), st.data())
def test_random_readings(met, data):
    ladder = Ladder.model_validate(
        {
            "id": "x",
            "text": "x",
            "sources": [],
            "kind": "ladder",
            "rungs": [{"name": "hi", "when": {"finding": "a"}}, {"name": "lo", "when": {"finding": "b"}}],
            "otherwise": "none",
        }
    )
    source = build_ladder("ladder", ladder, ["a", "b"])
    rest = sorted(set(source.conclusions) - met)
    not_met = data.draw(st.sets(st.sampled_from(rest))) if rest else set()
    leaf = ConclusionLeaf(
        conclusion="ladder", met=tuple(sorted(met & set(source.conclusions))), not_met=tuple(sorted(not_met))
    )
    assert not next(disagreements(Engine(), build_reading("x", leaf, source), reading_oracle(leaf, ladder)), None)


def test_a_guard_is_never_met():
    ruleset = build_guard("x", "a")
    assert not next(disagreements(Engine(), ruleset, guard_oracle), None)
    assert {Engine().conclude(ruleset, {"a": token}).token for token in TRUTHS} == {"unknown", "not_met"}


# -- what explains a conclusion --


def test_because_names_inputs_that_suffice(engine, book):
    """With what decided held fast and every other input free, the same row's conclusion stands."""
    chance = random.Random("because")
    for name, ruleset in book.steps.items():
        for _ in range(20):
            tokens = {key: chance.choice(vocabulary) for key, vocabulary in ruleset.inputs.items()}
            found = engine.conclude(ruleset, tokens)
            assert found.because
            assert set(found.because) <= set(ruleset.inputs)
            if found.token in ("met", "not_met") and isinstance(
                book.knowledge.definitions.get(name), FindingDefinition
            ):
                free = {
                    key: tokens[key] if key in found.because else chance.choice(vocabulary)
                    for key, vocabulary in ruleset.inputs.items()
                }
                assert engine.conclude(ruleset, free).token == found.token, (name, tokens, free)
