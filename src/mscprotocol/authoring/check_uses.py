"""Checks of what belongs together: every name leads somewhere, and nothing lies about unused without saying why."""

from __future__ import annotations

from collections.abc import Iterator

from mscprotocol.authoring.entries import Entry, RuleFolder
from mscprotocol.authoring.problems import Problem, problem
from mscprotocol.authoring.uses import CONCLUDED, Use, users, uses_of
from mscprotocol.definitions import Trend
from mscprotocol.protocols import Criterion

_REMEDIES = {
    "criterion": "name it in a protocol or practice, or let it show in the rule book only",
    "definition": "let a rule use it, or remove it",
    "measurement": "let a rule use it, or say under kept_for why it is here",
    "condition": "let a rule use it, or say under kept_for why it is here",
    "source": "cite it where it belongs, or say under kept_for why it is here",
    "practice": "name it in a protocol, or remove it",
    "checklist": "name it in a practice, or remove it",
}


def check_names(rules: RuleFolder) -> Iterator[Problem]:
    """Names that lead nowhere."""
    for entry in rules.entries.values():
        for use in uses_of(rules, entry):
            if use.used is None:
                near = [name for name in rules.nearest(use.name) if (use.kind, name) in rules.entries]
                remedy = f"did you mean {' or '.join(near)}?" if near else f"define the {use.kind} or mend the name"
                yield problem(entry, use.place, f"no {use.kind} is named {use.name!r}", remedy)


def check_uses(rules: RuleFolder) -> Iterator[Problem]:
    """Entries that nothing uses, and entries that are used though they say what else they are kept for."""
    for key, by in users(rules).items():
        entry = rules.entries[key]
        kept_for = getattr(entry.value, "kept_for", None)
        others = [use for use in by if use.by is not entry]
        if not others and kept_for is None and entry.kind in _REMEDIES and not _stands_alone(entry):
            yield problem(entry, (), "nothing uses it", _REMEDIES[entry.kind])
        if others and kept_for is not None:
            yield problem(entry, ("kept_for",), f"is used by {_first_user(others)}", "remove kept_for")


def _stands_alone(entry: Entry) -> bool:
    """Whether the engine or the rule book uses an entry of itself."""
    if isinstance(entry.value, Criterion):
        return entry.value.when is None and entry.value.show == "rulebook"
    is_reported = getattr(entry.value, "report", None) is not None
    return is_reported or entry.name in CONCLUDED or isinstance(entry.value, Trend)


def _first_user(uses: list[Use]) -> str:
    return f"{uses[0].by.kind} {uses[0].by.name}"
