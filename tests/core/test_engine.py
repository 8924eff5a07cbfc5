"""The wall around durable-rules: one patient at a time, nothing kept, no thread of its own, no error swallowed."""

import itertools
import random
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from textwrap import dedent

import pytest

from mscprotocol.engine import Engine
from mscprotocol.errors import EngineError
from mscprotocol.knowledge_forms import FindingLeaf, Group
from mscprotocol.rulesets import TRUTHS, Row, Ruleset, build_group

MEMBERS = ("a", "b", "c")


@pytest.fixture
def engine():
    return Engine()


@pytest.fixture(scope="module")
def rulesets():
    kinds = ("all_of", "any_of", "none_of")
    leaves = [FindingLeaf(finding=name) for name in MEMBERS]
    return [build_group(kind, Group.model_validate({kind: leaves}), MEMBERS) for kind in kinds]


def combinations():
    return [dict(zip(MEMBERS, tokens, strict=True)) for tokens in itertools.product(TRUTHS, repeat=len(MEMBERS))]


def handmade(*rows):
    """A ruleset whose rows were not made disjoint by the compiler."""
    return Ruleset("handmade", dict.fromkeys(MEMBERS, TRUTHS), rows)


def row(conclusion, **allowed):
    return Row(({key: frozenset({token}) for key, token in allowed.items()},), conclusion, frozenset())


def spy(engine, monkeypatch, name):
    calls = []
    real = getattr(engine._host, name)

    def recorded(*args):
        calls.append(args)
        return real(*args)

    monkeypatch.setattr(engine._host, name, recorded)
    return calls


def test_every_run_uses_the_same_sid(engine, rulesets, monkeypatch):
    asserted = spy(engine, monkeypatch, "assert_fact")
    for tokens in combinations():
        engine.conclude(rulesets[0], tokens)
    assert len(asserted) == len(combinations())
    assert len({fact["sid"] for _, fact in asserted}) == 1


def test_only_tokens_enter_working_memory(engine, rulesets, monkeypatch):
    asserted = spy(engine, monkeypatch, "assert_fact")
    engine.conclude(rulesets[0], dict.fromkeys(MEMBERS, "met"))
    ((_, fact),) = asserted
    assert set(fact.values()) - {fact["sid"]} == {"met"}
    assert all(type(value) is str for value in fact.values())


def test_no_state_is_kept_after_a_run(engine, rulesets, monkeypatch):
    asserted = spy(engine, monkeypatch, "assert_fact")
    for ruleset in rulesets:
        engine.conclude(ruleset, dict.fromkeys(MEMBERS, "unknown"))
    for name, fact in asserted:
        with pytest.raises(Exception, match="Could not get state"):
            engine._host.get_state(name, fact["sid"])


def test_no_state_is_kept_after_a_failure(engine, rulesets, monkeypatch):
    deleted = spy(engine, monkeypatch, "delete_state")
    with monkeypatch.context() as broken:
        broken.setattr(engine._host, "get_action", lambda _: _failing_action)
        with pytest.raises(EngineError, match="an action failed"):
            engine.conclude(rulesets[0], dict.fromkeys(MEMBERS, "met"))
    ((name, sid),) = deleted
    with pytest.raises(Exception, match="Could not get state"):
        engine._host.get_state(name, sid)


def test_no_thread_is_started(rulesets):
    before = set(threading.enumerate())
    engine = Engine()
    for tokens in combinations():
        engine.conclude(rulesets[0], tokens)
    assert set(threading.enumerate()) == before


def test_the_error_of_an_action_is_not_swallowed(engine, rulesets, monkeypatch):
    monkeypatch.setattr(engine._host, "get_action", lambda _: _failing_action)
    with pytest.raises(EngineError, match="all_of: an action failed"):
        engine.conclude(rulesets[0], dict.fromkeys(MEMBERS, "met"))


def test_a_failed_run_is_not_remembered(engine, rulesets, monkeypatch):
    tokens = dict.fromkeys(MEMBERS, "met")
    with monkeypatch.context() as broken:
        broken.setattr(engine._host, "assert_fact", _fail)
        with pytest.raises(EngineError, match="the inference failed") as caught:
            engine.conclude(rulesets[0], tokens)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    assert (engine.hits, engine.misses) == (0, 0)


def _fail(*_):
    raise ZeroDivisionError("broken on purpose")


def _failing_action(_):
    raise ZeroDivisionError("broken on purpose")


def test_rows_that_overlap_are_refused(engine):
    ruleset = handmade(row("yes", a="met"), row("no", b="met"), row("yes", a="not_met", b="not_met"))
    assert engine.conclude(ruleset, {"a": "met", "b": "unknown", "c": "met"}).token == "yes"
    with pytest.raises(EngineError, match="2 rows concluded, not one"):
        engine.conclude(ruleset, {"a": "met", "b": "met", "c": "met"})


@pytest.mark.parametrize("token", ["unknown", "no such token"])
def test_what_no_row_covers_is_refused_and_does_not_end_the_process(token):
    """In a process of its own: durable-rules 2.0.28 ends the process when it deletes a state that never was."""
    code = f"""
        from mscprotocol.engine import Engine
        from mscprotocol.errors import EngineError
        from mscprotocol.rulesets import TRUTHS, Ruleset
        from tests.core.test_engine import row

        refused = 0
        for number in range(20):
            try:
                ruleset = Ruleset(f"gap {{number}}", {{"a": TRUTHS}}, (row("yes", a="met"),))
                Engine().conclude(ruleset, {{"a": {token!r}}})
            except EngineError:
                refused += 1
        print(refused)
    """
    home = Path(__file__).parents[2]
    run = subprocess.run([sys.executable, "-c", dedent(code)], capture_output=True, text=True, cwd=home, check=False)
    assert (run.returncode, run.stdout.strip()) == (0, "20"), run.stderr


def test_a_row_that_holds_by_several_of_its_terms_concludes_once(engine, rulesets):
    any_of = rulesets[1]
    found = engine.conclude(any_of, dict.fromkeys(MEMBERS, "met"))
    assert found.token == "met"
    assert found.because == MEMBERS


def test_an_input_without_a_token_is_our_own_mistake(engine, rulesets):
    with pytest.raises(KeyError):
        engine.conclude(rulesets[0], {"a": "met"})


def test_eight_threads_conclude_like_one(rulesets):
    chance = random.Random("threads")
    work = [(chance.choice(rulesets), chance.choice(combinations())) for _ in range(1600)]
    alone = Engine()
    serial = [alone.conclude(*one) for one in work]
    shared = Engine()
    with ThreadPoolExecutor(8) as pool:
        shares = pool.map(
            lambda part: [shared.conclude(*one) for one in part], [work[n : n + 200] for n in range(0, 1600, 200)]
        )
        together = [one for part in shares for one in part]
    assert together == serial
    assert shared.misses >= alone.misses


def test_eight_threads_that_never_hit_the_memo(rulesets):
    class Forgetful(dict):
        def get(self, _key, _default=None):
            return None

    chance = random.Random("no memo")
    work = [(chance.choice(rulesets), chance.choice(combinations())) for _ in range(1600)]
    alone, shared = Engine(), Engine()
    shared._memo = Forgetful()
    serial = [alone.conclude(*one) for one in work]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda one: shared.conclude(*one), work))
    assert together == serial
    assert shared.misses == len(work)


def test_each_pattern_is_run_once(engine, rulesets, monkeypatch):
    runs = spy(engine, monkeypatch, "assert_fact")
    for _ in range(3):
        for tokens in combinations():
            engine.conclude(rulesets[2], tokens)
    assert len(runs) == engine.misses == 27
    assert engine.hits == 2 * 27


def test_rulesets_do_not_share_what_they_remember(engine, rulesets):
    tokens = {"a": "met", "b": "not_met", "c": "unknown"}
    found = {ruleset.name: engine.conclude(ruleset, tokens).token for ruleset in rulesets}
    assert found == {"all_of": "not_met", "any_of": "met", "none_of": "not_met"}
    assert engine.misses == 3


def test_inputs_besides_those_of_the_ruleset_do_not_matter(engine, rulesets):
    tokens = dict.fromkeys(MEMBERS, "met")
    engine.conclude(rulesets[0], tokens)
    engine.conclude(rulesets[0], {**tokens, "another": "unknown"})
    assert (engine.hits, engine.misses) == (1, 1)
