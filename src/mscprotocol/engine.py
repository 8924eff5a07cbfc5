"""The wall around durable-rules: the only module that imports it.

What was measured of version 2.0.28 shapes every line here. Working memory is found by a 32-bit hash of `sid`, so one
run holds one patient's tokens under a lock, with a fixed sid, and forgets them before it answers. A host's own threads
would take actions away, so they are never started. Errors of actions are only written to the state, so the state is
read after each run. A disjunction fires once for each branch that matches, so actions only record.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from threading import Lock
from typing import Any, NamedTuple, TypeVar

from durable import engine as durable

from mscprotocol.errors import EngineError
from mscprotocol.rulesets import UNKNOWN, Ruleset, to_durable, to_fact

_SID = "one"
MOST_REMEMBERED = 200_000
T = TypeVar("T")


class Conclusion(NamedTuple):
    """What a ruleset concluded, by which of its rows, and because of which inputs."""

    token: str
    row: int
    because: tuple[str, ...]


class _Host(durable.Host):  # type: ignore[misc]  # durable-rules ships no types
    """A host without threads, whose rules record which of them fired."""

    def __init__(self) -> None:
        self.fired: set[int] = set()
        super().__init__()

    def _run(self) -> None:
        """Start no timers: they would run actions in another thread."""

    def get_action(self, action_name: str) -> Any:
        number = int(action_name)
        return lambda _: self.fired.add(number)


class Engine:
    """Concludes from tokens; each ruleset is compiled once, and each pattern of tokens is run once."""

    def __init__(self) -> None:
        self._host = _Host()
        self._lock = Lock()
        self._names: dict[int, tuple[str, Ruleset]] = {}
        self._memo: dict[tuple[int, tuple[str, ...]], Conclusion] = {}
        self._derived: dict[Hashable, Any] = {}
        self._registered = 0
        self.hits = 0
        self.misses = 0

    def conclude(self, ruleset: Ruleset, tokens: Mapping[str, str]) -> Conclusion:
        """The one conclusion of a ruleset for these tokens. Raises EngineError if there is not just one."""
        pattern = tuple([tokens[key] for key in ruleset.inputs])
        key = (id(ruleset), pattern)
        known = self._memo.get(key)
        if known is not None:
            self.hits += 1
            return known
        with self._lock:
            row = self._run(ruleset, pattern)
            self.misses += 1
        concluded = _explain(ruleset, row, pattern)
        _keep(self._memo, key, concluded)
        return concluded

    def remember(self, key: Hashable, compute: Callable[[], T]) -> T:
        """What follows from conclusions alone, computed once for each pattern of tokens."""
        found: T | None = self._derived.get(key)
        if found is None:
            found = compute()
            _keep(self._derived, key, found)
        return found

    def _run(self, ruleset: Ruleset, pattern: Sequence[str]) -> int:
        # A fact that no rule matches leaves no state, and deleting a state that never was can end the process.
        if any(token not in allowed for token, allowed in zip(pattern, ruleset.inputs.values(), strict=True)):
            raise EngineError(f"{ruleset.name}: a token that its input may not carry")
        if not any(row.covers(ruleset, pattern) for row in ruleset.rows):
            raise EngineError(f"{ruleset.name}: no row covers the tokens")
        name = self._register(ruleset)
        self._host.fired.clear()
        try:
            self._host.assert_fact(name, to_fact(ruleset, pattern, _SID))
            state = self._host.get_state(name, _SID)
        except Exception as error:
            # What is left in its working memory is not known, so this copy of the ruleset is never used again.
            del self._names[id(ruleset)]
            raise EngineError(f"{ruleset.name}: the inference failed") from error
        self._forget(name)
        if state.get("exception"):
            raise EngineError(f"{ruleset.name}: an action failed: {state['exception']}")
        if len(self._host.fired) != 1:
            raise EngineError(f"{ruleset.name}: {len(self._host.fired)} rows concluded, not one")
        return next(iter(self._host.fired))

    def _forget(self, name: str) -> None:
        try:
            self._host.delete_state(name, _SID)
        except Exception as error:
            raise EngineError(f"{name}: working memory was not emptied") from error

    def _register(self, ruleset: Ruleset) -> str:
        # The ruleset itself is kept, so that its id stays its own for the life of the engine.
        if id(ruleset) not in self._names:
            name = f"ruleset{self._registered}"
            self._registered += 1
            definition = to_durable(ruleset)[ruleset.name]
            self._host.register_rulesets({name: definition})
            self._names[id(ruleset)] = (name, ruleset)
        return self._names[id(ruleset)][0]


def _keep(memo: dict[Any, Any], key: Hashable, value: object) -> None:
    """Remember a value; a memo that has grown too large starts anew."""
    if len(memo) >= MOST_REMEMBERED:
        memo.clear()
    memo[key] = value


def _explain(ruleset: Ruleset, row: int, pattern: Sequence[str]) -> Conclusion:
    """Join what decided: the inputs whose tokens the row names, or those unknown when it took the rest."""
    found = ruleset.rows[row]
    carried = list(zip(ruleset.inputs, pattern, strict=True))
    because = tuple(key for key, token in carried if (key, token) in found.because)
    if not because:
        because = tuple(key for key, token in carried if token.startswith((UNKNOWN, "at_least")))
    return Conclusion(found.conclusion, row, because or tuple(ruleset.inputs))
