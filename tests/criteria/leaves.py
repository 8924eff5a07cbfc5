"""The leaves that the protocols really use, with the section of the tables that has to cover each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mscprotocol.definitions import FindingDefinition, Ladder, Score
from mscprotocol.knowledge import KnowledgeBase
from mscprotocol.knowledge_forms import Expression, Leaf, walk_leaves
from mscprotocol.knowledge_loader import named_definitions
from mscprotocol.protocols import Protocol
from mscprotocol.rulebook import IMPROVED

CASES = Path(__file__).parent / "cases"


@dataclass(frozen=True)
class Used:
    """A leaf with the rule that it stands in; `section` is where its rows are, `rung` the class that it proves."""

    owner: str
    section: str
    rung: str
    leaf: Leaf

    def __str__(self) -> str:
        said = ", ".join(f"{k} {v}" for k, v in self.leaf.model_dump(exclude_defaults=True, exclude={"source"}).items())
        return f"{self.section}{'.' if self.rung else ''}{self.rung} [{said}]"


def find_used(knowledge: KnowledgeBase) -> list[Used]:
    """Every leaf behind the criteria of the protocols and the conclusions that are always drawn."""
    found: list[Used] = []
    waiting = [*computable_criteria(knowledge), *knowledge.reported.values(), IMPROVED]
    waiting += [name for one in assessed(knowledge) for name in (one.severity, one.tier) if name is not None]
    seen: set[str] = set()
    while waiting:
        owner = waiting.pop(0)
        if owner in seen:
            continue
        seen.add(owner)
        for section, rung, expression in _expressions(knowledge, owner):
            for leaf in walk_leaves(expression):
                found.append(Used(owner, section, rung, leaf))
                waiting += named_definitions(leaf)
    return found


def assessed(knowledge: KnowledgeBase) -> list[Protocol]:
    """The protocols that patients are assessed by."""
    return [one for one in knowledge.protocols.values() if one.assessed]


def computable_criteria(knowledge: KnowledgeBase) -> list[str]:
    """The criteria of the protocols that a record can answer."""
    named = dict.fromkeys(name for one in assessed(knowledge) for name in one.criteria)
    return [name for name in named if knowledge.criteria[name].when is not None]


def used_definitions(knowledge: KnowledgeBase) -> list[str]:
    """The definitions that the protocols rest on, except decision lists and the trend."""
    owners = dict.fromkeys(one.owner for one in find_used(knowledge))
    return [name for name in owners if name in knowledge.definitions]


def _expressions(knowledge: KnowledgeBase, owner: str) -> Iterator[tuple[str, str, Expression]]:
    criterion = knowledge.criteria.get(owner)
    if criterion is not None:
        if criterion.when is not None:
            yield owner, "", criterion.when
        return
    match definition := knowledge.definitions[owner]:
        case FindingDefinition():
            yield owner, "", definition.when
        case Ladder():
            yield from ((owner, rung.name, rung.when) for rung in definition.rungs)
        case Score():
            for name, item in definition.items.items():
                yield from ((f"{owner}.{name}", "", row.when) for row in item.rows)
