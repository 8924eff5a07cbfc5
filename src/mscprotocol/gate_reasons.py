"""The reasons of a gate as the rules know them: of which input each is, and which no signature sets aside."""

from __future__ import annotations

from collections.abc import Iterable

from mscprotocol.course import HOLD_EVENT, STOP_EVENT
from mscprotocol.course_questions import event_findings
from mscprotocol.definitions import Decision
from mscprotocol.knowledge import KnowledgeBase
from mscprotocol.rulebook import GATE

_UNKNOWN = "unknown"


def gate_of(knowledge: KnowledgeBase) -> Decision:
    """The rule that the gate follows."""
    gate = knowledge.definitions[GATE]
    assert isinstance(gate, Decision)
    return gate


def input_of(reason: str, knowledge: KnowledgeBase) -> tuple[str, str]:
    """The input of the gate that a reason is of, and its token; a criterion or an event is one of several."""
    name, said = _parts(reason)
    if name in knowledge.criteria:
        if said == _UNKNOWN:
            return "open", "one"
        return ("excluded" if knowledge.criteria[name].role == "exclusion" else "violated"), "one"
    for event in (STOP_EVENT, HOLD_EVENT):
        if name in event_findings(knowledge, event):
            return event, said
    return name.replace(" ", "_"), said


def is_open(kind: str, token: str) -> bool:
    """Whether an input of the gate with such a token is only not settled."""
    return kind == "open" or token == _UNKNOWN


def by_weight(because: Iterable[str], knowledge: KnowledgeBase) -> list[str]:
    """Reasons as people read them: what ends the course first, then what is known, then what is open."""
    return sorted(because, key=lambda one: _weight(one, knowledge))


def _weight(reason: str, knowledge: KnowledgeBase) -> tuple[bool, bool]:
    """False first: whether a reason does not stop by itself, and whether it is only open."""
    kind, token = input_of(reason, knowledge)
    follows = next((row.conclude for row in gate_of(knowledge).rows if token in row.any.get(kind, ())), "")
    return follows != "stop", is_open(kind, token)


def find_binding(because: Iterable[str], knowledge: KnowledgeBase) -> list[str]:
    """The reasons that no signature sets aside: they are settled by what is recorded, or the course ends."""
    return [one for one in because if _is_binding(one, knowledge)]


def _is_binding(reason: str, knowledge: KnowledgeBase) -> bool:
    binding, (name, _) = gate_of(knowledge).binding, _parts(reason)
    criterion = knowledge.criteria.get(name)
    if name in binding.rules or (criterion is not None and criterion.role in binding.roles):
        return True
    kind, token = input_of(reason, knowledge)
    return token in binding.inputs.get(kind, ())


def _parts(reason: str) -> tuple[str, str]:
    name, _, said = reason.partition(": ")
    return name, said.replace(" ", "_")
