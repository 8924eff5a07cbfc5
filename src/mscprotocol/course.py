"""The gate before each infusion of a course: go, hold or stop, with every reason."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from mscprotocol.answer import GateResult
from mscprotocol.case import GATING, Case, exact_tier, tally
from mscprotocol.definitions import Decision, FindingDefinition
from mscprotocol.inference import decide
from mscprotocol.knowledge_forms import FindingLeaf, walk_leaves
from mscprotocol.protocols import Practice
from mscprotocol.record import Infusion
from mscprotocol.rulebook import GATE, IMPROVED
from mscprotocol.schedule import course_state
from mscprotocol.truth import Truth

STOP_EVENT, HOLD_EVENT = "stop_event", "hold_event"
_OVER = ("completed", "stopped")
_SHOWN = ("tier", "course", "dose", IMPROVED, "deviation", "last_infusion", "volume")


def conclude_gate(case: Case, dose_status: str) -> GateResult:
    """The gate at the time of the evaluation; an unanswered question is a hold, and so is a dose that is withheld."""
    book, conclusions, findings = case.book, case.conclusions, case.findings
    given, begun = case.record.infusion_starts(case.request.at), case.record.begun_infusions(case.request.at)
    gating = [one for one in case.judgements if one.criterion.role in GATING]
    exclusions = [one for one in gating if one.criterion.role == "exclusion"]
    others = [one for one in gating if one.criterion.role != "exclusion"]
    tokens = {
        "excluded": tally(sum(one.is_violated for one in exclusions)),
        "tier": exact_tier(conclusions),
        "violated": tally(sum(one.is_violated for one in others)),
        "open": tally(sum(one.is_open for one in gating)),
        "course": course_state(book.protocol.schedule, book.practice.closes, given, case.request.at),
        **{name: _since_start(findings.defined(name), has_begun=bool(given)) for name in (STOP_EVENT, HOLD_EVENT)},
        "dose": dose_status,
        # Only a course that has begun can have helped: on room air before it, nobody has improved yet.
        IMPROVED: Truth(conclusions.of(IMPROVED)).value if given else Truth.NOT_MET.value,
        "deviation": "recorded" if any(one.deviation for one in begun) else "none",
        "last_infusion": _last(begun),
        "volume": _volume(begun, book.practice),
    }
    decision = decide(conclusions, conclusions.engine, GATE, tokens)
    because = [f"{one.id}: {one.status.replace('_', ' ')}" for one in gating if one.is_violated or one.is_open]
    because += [f"{name.replace('_', ' ')}: {tokens[name].replace('_', ' ')}" for name in _against(case, tokens)]
    for event in (STOP_EVENT, HOLD_EVENT):
        because += _events(case, event, has_begun=bool(given))
    return GateResult(len(given) + 1, decision, [] if decision == "go" else because)


def _against(case: Case, tokens: Mapping[str, str]) -> Iterator[str]:
    """The inputs that speak against an infusion, also those behind a graver one: what it hides would look settled."""
    gate = case.book.knowledge.definitions[GATE]
    assert isinstance(gate, Decision)
    for name in _SHOWN:
        if any(tokens[name] in one.get(name, ()) for row in gate.rows for one in (row.all, row.any)):
            yield name


def _last(begun: Sequence[Infusion]) -> str:
    """Whether the infusion before the next one was given whole."""
    if not begun:
        return "none"
    return "stopped" if begun[-1].status == "stopped" else "whole"


def _volume(begun: Sequence[Infusion], practice: Practice) -> str:
    """What is known of the volumes of the infusions that were recorded here: charts of others need not tell it."""
    ours = [one for one in begun if one.recorded_as]
    if any(one.volume is None or one.status not in _OVER for one in ours):
        return "unknown"
    most = practice.volume_limits[1]
    return "exceeded" if any(one.volume is not None and one.volume > most for one in ours) else "known"


def _since_start(seen: Truth, *, has_begun: bool) -> str:
    """What was seen always counts; before the first infusion nobody needs to deny it."""
    return Truth.NOT_MET.value if seen is Truth.UNKNOWN and not has_begun else seen.value


def _events(case: Case, event: str, *, has_begun: bool) -> Iterator[str]:
    """Each question behind an event that was answered with yes or, after a first infusion, not at all."""
    definition = case.book.knowledge.definitions[event]
    assert isinstance(definition, FindingDefinition)
    for leaf in walk_leaves(definition.when):
        assert isinstance(leaf, FindingLeaf)
        said = _since_start(case.findings.defined(leaf.finding), has_begun=has_begun)
        if said != Truth.NOT_MET.value:
            yield f"{leaf.finding}: {said}"
