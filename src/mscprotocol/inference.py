"""Findings -> conclusions: every ruleset of a rulebook, in order, through the engine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from mscprotocol.engine import Conclusion, Engine
from mscprotocol.findings import Finding, Findings
from mscprotocol.knowledge import Decision
from mscprotocol.knowledge_forms import ScoreLeaf
from mscprotocol.rulebook import Rulebook
from mscprotocol.rulesets import UNKNOWN
from mscprotocol.scores import Scores


@dataclass
class Conclusions:
    """What was found and concluded, by name; evidence stays with the findings."""

    book: Rulebook
    findings: dict[str, Finding]
    tokens: dict[str, str] = field(default_factory=dict)
    made: dict[str, Conclusion] = field(default_factory=dict)

    def of(self, name: str) -> str:
        """The token of a definition or criterion."""
        return self.tokens[self.book.roots.get(name, name)]

    def deciding_leaves(self, name: str) -> list[str]:
        """The leaves on which a token rests, followed through what decided each conclusion."""
        found: dict[str, None] = {}
        for leaf in self._follow(self.book.roots.get(name, name)):
            found.setdefault(leaf)
        return list(found)

    def open_leaves(self, name: str) -> list[str]:
        """The unknown leaves among those that decided."""
        return [leaf for leaf in self.deciding_leaves(name) if self.tokens[leaf] == UNKNOWN]

    def _follow(self, name: str) -> Iterator[str]:
        if name in self.findings:
            yield name
        elif name in self.made:
            for key in self.made[name].because:
                yield from self._follow(key)


def conclude(
    book: Rulebook, findings: Findings, scores: Scores, engine: Engine, given: Mapping[str, Mapping[str, str]]
) -> Conclusions:
    """Measure every leaf, then run every ruleset whose inputs are leaves, earlier conclusions or `given` tokens."""
    found = {
        key: scores.find(leaf) if isinstance(leaf, ScoreLeaf) else findings.find(leaf)
        for key, leaf in book.leaves.items()
    }
    result = Conclusions(book, found, {key: finding.truth.value for key, finding in found.items()})
    for name, ruleset in book.steps.items():
        if isinstance(book.knowledge.definitions.get(name), Decision):
            if name in given:
                decide(result, engine, name, given[name])
            continue
        made = result.made[name] = engine.conclude(ruleset, result.tokens)
        result.tokens[name] = made.token
    return result


def decide(result: Conclusions, engine: Engine, name: str, tokens: Mapping[str, str]) -> str:
    """Conclude a decision list from the tokens given for it."""
    made = result.made[name] = engine.conclude(result.book.steps[name], tokens)
    result.tokens[name] = made.token
    return made.token


def reconsider(result: Conclusions, engine: Engine, root: str, changed: Mapping[str, str]) -> str:
    """What a root would conclude if some leaves had other tokens; nothing is stored."""
    tokens: dict[str, str] = {}

    def token(name: str) -> str:
        if name not in tokens:
            tokens[name] = changed.get(name) or _again(name)
        return tokens[name]

    def _again(name: str) -> str:
        steps = result.book.steps
        if name not in steps or isinstance(result.book.knowledge.definitions.get(name), Decision):
            return result.tokens[name]
        return engine.conclude(steps[name], {key: token(key) for key in steps[name].inputs}).token

    return token(root)
