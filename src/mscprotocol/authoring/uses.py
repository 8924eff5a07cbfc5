"""What an entry of the rules rests on, and who uses it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pydantic import BaseModel

from mscprotocol.authoring.entries import Entry, Place, RuleFolder, walk
from mscprotocol.definitions import Decision
from mscprotocol.knowledge_forms import SourceRef
from mscprotocol.rulebook import DOSE_STATUS, GATE, IMPROVED, OUTLOOK, VERDICT

# A field that names entries, with the kinds among which its names are looked up.
_NAMES: dict[str, tuple[str, ...]] = {
    "measurement": ("measurement", "definition"),
    **dict.fromkeys(("change", "beside", "made_of", "panel"), ("measurement",)),
    **dict.fromkeys(("condition", "parts", "denied_by", "requires", "doubted_by", "confounded_by"), ("condition",)),
    **dict.fromkeys(("not_after", "not_during", "not_before", "contradicted_by"), ("condition",)),
    **dict.fromkeys(
        ("unless", "during", "not_met_needs", "score", "conclusion", "finding", "unknown_if"), ("definition",)
    ),
    **dict.fromkeys(("severity", "tier", "trend"), ("definition",)),
    **dict.fromkeys(("criteria", "statements", "criterion"), ("criterion",)),
    "practice": ("practice",),
    "checklist": ("checklist",),
    "source": ("source",),
}
# What the engine concludes for every patient, whether or not a rule asks; so it does what says where it is reported.
CONCLUDED = {VERDICT, OUTLOOK, DOSE_STATUS, GATE, IMPROVED}


@dataclass(frozen=True)
class Use:
    """One place in an entry that names another one; `used` is None for a name that does not resolve."""

    by: Entry
    place: Place
    kind: str
    name: str
    used: Entry | None


def uses_of(rules: RuleFolder, entry: Entry) -> Iterator[Use]:
    """Every other entry that an entry names, where it names it."""
    for place, value in walk(entry.value):
        if isinstance(value, SourceRef):
            yield _use(rules, entry, place, ("source",), value.id)
        if isinstance(value, Decision):
            yield from _inputs(rules, entry, value)
        for field, inner in _fields(value, place):
            for name in _as_names(inner) if field in _NAMES else ():
                yield _use(rules, entry, (*place, field), _NAMES[field], name)


def _inputs(rules: RuleFolder, entry: Entry, decision: Decision) -> Iterator[Use]:
    """The definitions among the inputs of a decision; the others are tallies and states that the engine hands over."""
    for name in decision.inputs:
        if ("definition", name) in rules.entries:
            yield _use(rules, entry, ("inputs", name), ("definition",), name)


def users(rules: RuleFolder) -> dict[tuple[str, str], list[Use]]:
    """Every entry with the places that name it."""
    found: dict[tuple[str, str], list[Use]] = {key: [] for key in rules.entries}
    for entry in rules.entries.values():
        for use in uses_of(rules, entry):
            if use.used is not None:
                found[use.used.kind, use.used.name].append(use)
    return found


def _use(rules: RuleFolder, by: Entry, place: Place, kinds: tuple[str, ...], name: str) -> Use:
    used = next((one for kind in kinds if (one := rules.entries.get((kind, name)))), None)
    return Use(by, place, kinds[0], name, used)


def _fields(value: object, place: Place) -> Iterator[tuple[str, object]]:
    """The fields of a model; of the edits of a parameter, which are raw, each with the last step of its path."""
    if isinstance(value, BaseModel):
        yield from ((field, getattr(value, field)) for field in type(value).model_fields)
    elif isinstance(value, dict) and "edits" in place:
        yield from ((str(path).rpartition(".")[2], inner) for path, inner in value.items())


def _as_names(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    return tuple(one for one in value if isinstance(one, str)) if isinstance(value, tuple | list) else ()
