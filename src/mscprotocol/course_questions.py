"""What is asked after an infusion: the conditions and findings behind an event, as the rules put them together."""

from __future__ import annotations

from collections.abc import Iterator

from mscprotocol.definitions import FindingDefinition
from mscprotocol.knowledge import KnowledgeBase
from mscprotocol.knowledge_forms import ConditionLeaf, FindingLeaf, walk_leaves

# Only a clinician decides these; anybody who records may answer the other questions.
DECISIONS = ("continue_despite_improvement", "marked_improvement")
UNDECIDED = "Only a clinician says that the patient has improved, or goes on."
FORM_COMPLETE = "adverse_event_form_complete"  # what the filed forms say themselves, and nobody is asked


def event_names(knowledge: KnowledgeBase, finding: str) -> Iterator[str]:
    """The conditions that a finding asks for, through the findings that it is made of."""
    definition = knowledge.definitions[finding]
    if not isinstance(definition, FindingDefinition):
        return
    for leaf in walk_leaves(definition.when):
        if isinstance(leaf, ConditionLeaf):
            yield leaf.condition
        elif isinstance(leaf, FindingLeaf):
            yield from event_names(knowledge, leaf.finding)


def event_findings(knowledge: KnowledgeBase, finding: str) -> frozenset[str]:
    """The findings that an event is made of."""
    definition = knowledge.definitions[finding]
    assert isinstance(definition, FindingDefinition)
    return frozenset(one.finding for one in walk_leaves(definition.when) if isinstance(one, FindingLeaf))
