"""The reasons of a gate in words: what each means, where the rule comes from, and what to do next."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mscprotocol.answer import Assessment, NeededItem
from mscprotocol.gate_reasons import by_weight, gate_of, input_of, is_open
from mscprotocol.knowledge import KnowledgeBase
from mscprotocol.knowledge_forms import SourceRef

_MOST = 4


@dataclass(frozen=True)
class GateLine:
    """One reason as the gate gives it, the words of its rule, the marks of its sources, and what follows.

    `settled_by` are the first of the data that would settle it, `more` is how many others there are.
    """

    reason: str
    text: str
    marks: tuple[str, ...]
    next: str
    is_open: bool = False
    settled_by: tuple[NeededItem, ...] = ()
    more: int = 0


def explain_gate(answer: Assessment, knowledge: KnowledgeBase) -> list[GateLine]:
    """Every reason of the gate of an answer: what ends the course first, then what is known, then what is open."""
    assert answer.gate is not None
    return [_explain(one, answer, knowledge) for one in by_weight(answer.gate.because, knowledge)]


def _explain(reason: str, answer: Assessment, knowledge: KnowledgeBase) -> GateLine:
    name, gate = reason.partition(": ")[0], gate_of(knowledge)
    kind, token = input_of(reason, knowledge)
    words = gate.words.get(kind, {}).get(token)
    rule = knowledge.criteria.get(name) or knowledge.definitions.get(name)
    means, then = ("", "") if words is None else (words.text, words.next)
    text = means if rule is None else f"{rule.text.rstrip('.')}. {means}"
    marks = tuple(_marks(gate.sources if rule is None else rule.sources))
    needed = [one for one in answer.needed if name in one.settles]
    more = max(0, len(needed) - _MOST)
    return GateLine(reason, text, marks, then, is_open(kind, token), tuple(needed[:_MOST]), more)


def _marks(sources: tuple[SourceRef, ...]) -> Iterator[str]:
    yield from dict.fromkeys(f"{one.id}: {one.mark}" for one in sources)
