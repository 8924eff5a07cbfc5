"""The decision lists once more, as sentences: every combination of what enters them."""

import itertools

import pytest

from mscprotocol.knowledge_loader import load_knowledge
from tests.rule_oracles import decision_oracle

KNOWLEDGE = load_knowledge()
SOME = ("one", "many")


def verdict(said):
    if said["violated"] in SOME:
        return "ineligible"
    return "undetermined" if said["open"] in SOME else "eligible"


def outlook(said):
    if said["verdict"] != "undetermined":
        return "settled"
    if said["indication"] == "none":
        return "no_indication"
    return "needs_data" if said["open_not_attestable"] in SOME else "possible"


def dose_status(said):
    """Withheld unless the patient is not excluded, at a low or moderate tier, with all that the sum needs."""
    if said["verdict"] == "ineligible" or said["tier"] not in ("low", "moderate"):
        return "withheld"
    if said["weight"] == "unknown" or said["level"] != "known":
        return "withheld"
    return "planned" if said["verdict"] == "eligible" else "conditional"


def gate(said):
    """Stop for what ends a course; hold for whatever is open, wrong, at a bad time or better already; else go."""
    if said["excluded"] in SOME or said["tier"] == "contraindicated":
        return "stop"
    if said["stop_event"] == "met" or said["course"] in ("complete", "closed"):
        return "stop"
    is_quiet = said["stop_event"] == said["hold_event"] == said["improved"] == "not_met"
    is_safe = said["tier"] in ("low", "moderate") and is_quiet
    is_complete = said["violated"] == said["open"] == "none" and said["dose"] != "withheld"
    is_kept = said["course"] == "open" and said["deviation"] == "none"
    is_kept = is_kept and said["last_infusion"] != "stopped" and said["volume"] == "known"
    return "go" if is_safe and is_complete and is_kept else "hold"


def trend(said):
    """Decision 14: a step up of the support first, then the lung, then what else got worse."""
    lung, others = said["respiratory"], said["other_worse"]
    if said["oxygen_step"] == "worse" or lung == "worse":
        return "worsening"
    if lung == "worse_and_better" or (lung in ("better", "reversing") and others in SOME):
        return "conflicting"
    if lung == "stable":
        return "worsening" if others == "many" else "stable"
    return {"better": "improving", "reversing": "conflicting"}.get(lung, "insufficient")


@pytest.mark.parametrize("sentence", [verdict, outlook, dose_status, gate, trend], ids=lambda one: one.__name__)
def test_every_combination(sentence):
    decision = KNOWLEDGE.definitions[sentence.__name__]
    listed = decision_oracle(decision)
    for tokens in itertools.product(*decision.inputs.values()):
        said = dict(zip(decision.inputs, tokens, strict=True))
        assert listed(said) == sentence(said), said
