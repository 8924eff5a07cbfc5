"""The reasons of a gate in words: what each means, where the rule comes from, and what to do next."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mscprotocol.answer import Assessment
from mscprotocol.gate_reasons import gate_of, input_of
from mscprotocol.knowledge import KnowledgeBase
from mscprotocol.knowledge_forms import SourceRef

_MOST = 4


@dataclass(frozen=True)
class GateLine:
    """One reason as the gate gives it, the words of its rule, the marks of its sources, and what follows."""

    reason: str
    text: str
    marks: tuple[str, ...]
    next: str


def explain_gate(answer: Assessment, knowledge: KnowledgeBase) -> list[GateLine]:
    """Every reason of the gate of an answer."""
    assert answer.gate is not None
    return [_explain(one, answer, knowledge) for one in answer.gate.because]


def _explain(reason: str, answer: Assessment, knowledge: KnowledgeBase) -> GateLine:
    name, gate = reason.partition(": ")[0], gate_of(knowledge)
    kind, token = input_of(reason, knowledge)
    words = gate.words.get(kind, {}).get(token)
    rule = knowledge.criteria.get(name) or knowledge.definitions.get(name)
    means, then = ("", "") if words is None else (words.text, words.next)
    text = means if rule is None else f"{rule.text.rstrip('.')}. {means}"
    marks = tuple(_marks(gate.sources if rule is None else rule.sources))
    return GateLine(reason, text, marks, " ".join(filter(None, (then, _needed(name, answer)))))


def _needed(name: str, answer: Assessment) -> str:
    """The data that would settle a criterion."""
    data = [one.datum for one in answer.needed if name in one.settles]
    more = f" and {len(data) - _MOST} more" if len(data) > _MOST else ""
    return f"It is settled by: {', '.join(data[:_MOST])}{more}." if data else ""


def _marks(sources: tuple[SourceRef, ...]) -> Iterator[str]:
    yield from dict.fromkeys(f"{one.id}: {one.mark}" for one in sources)
