"""Findings -> conclusions: every ruleset of a rulebook, in order, through the engine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from mscprotocol.definitions import Decision
from mscprotocol.engine import Conclusion, Engine
from mscprotocol.findings import Finding, Findings
from mscprotocol.knowledge_forms import ScoreLeaf
from mscprotocol.rulebook import Rulebook
from mscprotocol.rulesets import UNKNOWN, Ruleset
from mscprotocol.scores import Scores
from mscprotocol.truth import Truth


@dataclass
class Conclusions:
    """What was found and concluded, by name; evidence stays with the findings."""

    book: Rulebook
    engine: Engine
    findings: dict[str, Finding]
    tokens: dict[str, str] = field(default_factory=dict)
    made: dict[str, Conclusion] = field(default_factory=dict)

    def of(self, name: str) -> str:
        """The token of a definition or criterion."""
        return self.tokens[self.book.roots.get(name, name)]

    def deciding_leaves(self, name: str) -> tuple[str, ...]:
        """The leaves on which a token rests, followed through what decided each conclusion."""
        root = self.book.roots.get(name, name)
        return self.engine.remember(("deciding", self.pattern(root)), lambda: tuple(dict.fromkeys(self._follow(root))))

    def open_leaves(self, name: str) -> tuple[str, ...]:
        """The unknown leaves among those that decided."""
        return tuple([leaf for leaf in self.deciding_leaves(name) if self.tokens[leaf] == UNKNOWN])

    def pattern(self, root: str) -> tuple[object, ...]:
        """All that a conclusion of this rulebook depends on."""
        tokens = self.tokens
        return (self.book.serial, root, *[tokens[key] for key in self.book.tokens_behind(root)])

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
    result = Conclusions(book, engine, found, {key: finding.truth.value for key, finding in found.items()})
    for name, ruleset, is_decision in book.once("steps", lambda: _steps(book)):
        if is_decision:
            if name in given:
                decide(result, engine, name, given[name])
            continue
        made = result.made[name] = engine.conclude(ruleset, result.tokens)
        result.tokens[name] = made.token
    return result


def _steps(book: Rulebook) -> tuple[tuple[str, Ruleset, bool], ...]:
    """The steps of a rulebook, and which of them are decisions that are made from given tokens."""
    definitions = book.knowledge.definitions
    return tuple((name, one, isinstance(definitions.get(name), Decision)) for name, one in book.steps.items())


def decide(result: Conclusions, engine: Engine, name: str, tokens: Mapping[str, str]) -> str:
    """Conclude a decision list from the tokens given for it."""
    made = result.made[name] = engine.conclude(result.book.steps[name], tokens)
    result.tokens[name] = made.token
    return made.token


def suppose(result: Conclusions, answers: Mapping[str, Finding]) -> Conclusions:
    """What would be concluded if some leaves were answered otherwise; decisions stay as they were made."""
    tokens = result.tokens | {key: finding.truth.value for key, finding in answers.items()}
    made = dict(result.made)
    for name in result.book.steps_after(frozenset(answers)):
        made[name] = result.engine.conclude(result.book.steps[name], tokens)
        tokens[name] = made[name].token
    return Conclusions(result.book, result.engine, {**result.findings, **answers}, tokens, made)


def reconsider(result: Conclusions, root: str, leaf: str, token: str) -> str:
    """What a root would conclude if one leaf had another token."""
    key = ("reconsidered", leaf, token, result.pattern(root))
    return result.engine.remember(key, lambda: suppose(result, {leaf: Finding(Truth(token))}).tokens[root])
