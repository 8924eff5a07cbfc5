"""Knowledge -> durable-rules definitions, as pure data.

There is one form of ruleset: a decision list over tokens. Its rows are compiled to a disjunctive normal form in
which each row excludes all rows before it and the last row takes the rest, so every combination of tokens
concludes exactly once by construction. Kleene groups, ladders of classes, trend, gate and verdict all are this form.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mscprotocol.definitions import Decision, Ladder
from mscprotocol.knowledge_forms import ConclusionLeaf, Group

MET, NOT_MET, UNKNOWN = "met", "not_met", "unknown"
TRUTHS = (MET, NOT_MET, UNKNOWN)
AT_LEAST = "at_least:"

# A term maps inputs to the tokens that it allows; a test is the disjunction of its terms.
Term = Mapping[str, frozenset[str]]
Test = tuple[Term, ...]
ALWAYS: Test = ({},)


@dataclass(frozen=True)
class Row:
    """One row of a ruleset after compilation: disjoint from every other row."""

    test: Test
    conclusion: str
    because: frozenset[tuple[str, str]]

    def covers(self, ruleset: Ruleset, pattern: Sequence[str]) -> bool:
        """Whether the row holds for a pattern of tokens, in the order of the ruleset's inputs."""
        tokens = dict(zip(ruleset.inputs, pattern, strict=True))
        return any(all(tokens[key] in allowed for key, allowed in term.items()) for term in self.test)


@dataclass(frozen=True)
class Ruleset:
    """Inputs with the tokens each may carry, and disjoint rows that cover every combination of them."""

    name: str
    inputs: Mapping[str, tuple[str, ...]]
    rows: tuple[Row, ...]

    @property
    def conclusions(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(row.conclusion for row in self.rows))


def build_ruleset(
    name: str,
    inputs: Mapping[str, Sequence[str]],
    rows: Iterable[tuple[Test, str]],
    otherwise: str,
    also_because: Mapping[str, frozenset[tuple[str, str]]] | None = None,
) -> Ruleset:
    """A ruleset from ordered rows (first match wins) and the conclusion when none matches.

    A conclusion rests on the inputs that its row names; `also_because` adds those that leave it open.
    """
    vocabulary = {key: tuple(tokens) for key, tokens in inputs.items()}
    compiled: list[Row] = []
    rest: Test = ALWAYS
    for test, conclusion in rows:
        wanted = _and(rest, test)
        rest = _and(rest, _not(test, vocabulary))
        if wanted:
            more = (also_because or {}).get(conclusion, frozenset())
            compiled.append(Row(wanted, conclusion, _mentioned(test) | more))
    if rest:
        compiled.append(Row(rest, otherwise, frozenset((key, UNKNOWN) for key in vocabulary)))
    return Ruleset(name, vocabulary, tuple(compiled))


# -- the forms -------------------------------------------------------------------------------------


def build_group(name: str, group: Group, members: Sequence[str]) -> Ruleset:
    """Strong Kleene logic: one not_met settles all_of, one met settles any_of and none_of; else open or complete."""
    settles, completes = (NOT_MET, MET) if group.all_of else (MET, NOT_MET)
    settled, completed = (completes, settles) if group.none_of else (settles, completes)
    members = list(dict.fromkeys(members))
    rows = [(any_is(members, settles), settled), (all_are(members, completes), completed)]
    return build_ruleset(name, dict.fromkeys(members, TRUTHS), rows, UNKNOWN)


def build_ladder(name: str, ladder: Ladder, rungs: Sequence[str]) -> Ruleset:
    """The gravest proven class; exact only when every graver class is excluded, else `at_least:` it."""
    rows: list[tuple[Test, str]] = []
    open_graver: dict[str, frozenset[tuple[str, str]]] = {}
    for place, rung in enumerate(rungs):
        proven = {rung: frozenset({MET})}
        graver_excluded = {graver: frozenset({NOT_MET}) for graver in rungs[:place]}
        rows += [(({**graver_excluded, **proven},), ladder.rungs[place].name)]
        at_least = AT_LEAST + ladder.rungs[place].name
        rows += [((proven,), at_least)]
        open_graver[at_least] = frozenset((graver, UNKNOWN) for graver in rungs[:place])
    rows.append((all_are(rungs, NOT_MET), ladder.otherwise))
    return build_ruleset(name, dict.fromkeys(rungs, TRUTHS), rows, UNKNOWN, open_graver)


def build_reading(name: str, leaf: ConclusionLeaf, source: Ruleset) -> Ruleset:
    """What an earlier class, tier or trend means for a criterion; a class not named leaves it unknown.

    At least a class is that class or a graver one: it is answered when all of them are answered alike.
    """
    key = leaf.conclusion
    rows = [
        (({key: frozenset(_with_at_least(named, source))},), token)
        for named, token in ((leaf.met, MET), (leaf.not_met, NOT_MET))
        if named
    ]
    return build_ruleset(name, {key: source.conclusions}, rows, UNKNOWN)


def _with_at_least(named: Sequence[str], source: Ruleset) -> list[str]:
    """The classes named, and each `at_least:` that leaves only them open; a ladder concludes the gravest first."""
    exact = [one for one in source.conclusions if not one.startswith(AT_LEAST)]
    found = [*named]
    for token in source.conclusions:
        lowest = token.removeprefix(AT_LEAST)
        if token != lowest and set(exact[: exact.index(lowest) + 1]) <= set(named):
            found.append(token)
    return found


def build_guard(name: str, key: str) -> Ruleset:
    """Unknown while a finding is present or unknown; not_met when it is absent."""
    return build_ruleset(name, {key: TRUTHS}, [(({key: frozenset({NOT_MET})},), NOT_MET)], UNKNOWN)


def build_decision(name: str, decision: Decision) -> Ruleset:
    """A decision list of `definitions/` as it stands."""
    rows = [(_and(_terms_all(row.all), _terms_any(row.any)), row.conclude) for row in decision.rows]
    return build_ruleset(name, decision.inputs, rows, decision.otherwise)


def any_is(inputs: Iterable[str], token: str) -> Test:
    """Holds when at least one input carries the token."""
    return tuple({key: frozenset({token})} for key in inputs)


def all_are(inputs: Iterable[str], token: str) -> Test:
    """Holds when every input carries the token."""
    return ({key: frozenset({token}) for key in inputs},)


def _terms_all(wanted: Mapping[str, Sequence[str]]) -> Test:
    return ({key: frozenset(tokens) for key, tokens in wanted.items()},)


def _terms_any(wanted: Mapping[str, Sequence[str]]) -> Test:
    return tuple({key: frozenset(tokens)} for key, tokens in wanted.items()) or ALWAYS


# -- normal forms ----------------------------------------------------------------------------------


def _and(left: Test, right: Test) -> Test:
    """The conjunction of two tests, without contradictory or redundant terms."""
    merged = [term for one in left for other in right if (term := _merged(one, other)) is not None]
    return _without_redundant(merged)


def _merged(one: Term, other: Term) -> Term | None:
    term = dict(one)
    for key, allowed in other.items():
        term[key] = term[key] & allowed if key in term else allowed
        if not term[key]:
            return None
    return term


def _without_redundant(terms: Iterable[Term]) -> Test:
    kept: list[Term] = []
    for term in terms:
        if not any(_covers(other, term) for other in kept):
            kept = [other for other in kept if not _covers(term, other)] + [term]
    return tuple(kept)


def _covers(wide: Term, narrow: Term) -> bool:
    return all(key in narrow and narrow[key] <= allowed for key, allowed in wide.items())


def _not(test: Test, vocabulary: Mapping[str, tuple[str, ...]]) -> Test:
    """The complement of a test: each term fails by at least one of its inputs."""
    result: Test = ALWAYS
    for term in test:
        failing = tuple({key: rest} for key, allowed in term.items() if (rest := frozenset(vocabulary[key]) - allowed))
        result = _and(result, failing)
    return result


def _mentioned(test: Test) -> frozenset[tuple[str, str]]:
    return frozenset((key, token) for term in test for key, allowed in term.items() for token in allowed)


# -- durable-rules ---------------------------------------------------------------------------------


def to_durable(ruleset: Ruleset) -> dict[str, Any]:
    """The definition that durable-rules compiles: one rule a row, its action named like the row's place.

    Inputs are named by their place (`i0`, `i1` …), since property names are limited in what they may hold.
    """
    places = {key: f"i{place}" for place, key in enumerate(ruleset.inputs)}
    return {
        ruleset.name: {
            f"r{number}": {
                "all": [{"m": _any_expression([_term_expression(term, places, ruleset) for term in row.test])}],
                "run": str(number),
            }
            for number, row in enumerate(ruleset.rows)
        }
    }


def to_fact(ruleset: Ruleset, tokens: Sequence[str], sid: str) -> dict[str, str]:
    """The one fact that a run asserts: a token for each input."""
    return {"sid": sid, **{f"i{place}": token for place, token in enumerate(tokens)}}


def _term_expression(term: Term, places: Mapping[str, str], ruleset: Ruleset) -> dict[str, Any]:
    literals = [
        literal
        for key, allowed in sorted(term.items())
        for literal in _literals(places[key], allowed, ruleset.inputs[key])
    ]
    if not literals:  # a row that always applies still has to match the fact
        first = places[next(iter(ruleset.inputs))]
        literals = [{"$neq": {first: "no such token"}}]
    return literals[0] if len(literals) == 1 else {"$and": literals}


def _literals(place: str, allowed: frozenset[str], vocabulary: Sequence[str]) -> list[dict[str, Any]]:
    # Several allowed tokens are written as exclusions: `$or` inside `$and` multiplies branches.
    if len(allowed) == 1:
        return [{place: next(iter(allowed))}]
    return [{"$neq": {place: token}} for token in vocabulary if token not in allowed]


def _any_expression(expressions: list[dict[str, Any]]) -> dict[str, Any]:
    return expressions[0] if len(expressions) == 1 else {"$or": expressions}
