"""Which charted infusions belong to the course of a protocol, each once, and which are therapy that went before it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal

from msgspec.structs import replace

from mscprotocol.codes import CodeSystem, is_same_code
from mscprotocol.knowledge import KnowledgeBase
from mscprotocol.protocols import Practice, Protocol
from mscprotocol.reasons import Reason
from mscprotocol.record import Infusion, PatientRecord, Presence, QualityNote
from mscprotocol.schedule import length
from mscprotocol.truth import Truth

_TWICE = "charted within {span} of the start of an infusion that counts: taken for the same one, and counted once"
_UNCLEAR = (
    "an infusion charted within {span} of another one, and not surely the same: it is not counted until a person says "
    "whether it took place beside the other, or corrects its time or lot"
)

# What remarks on charts say that a person has to tell apart: here, and where words alone may mean an infusion.
ABOUT_CHARTS = ("not surely the same", "charted in words that may mean")


def tell_apart(record: PatientRecord, protocol: Protocol, knowledge: KnowledgeBase) -> PatientRecord:
    """The record as a protocol reads it: an infusion of another product is earlier therapy, an undated one a doubt.

    An infusion that was charted twice counts once; where it cannot be told, the history is in conflict. A record whose
    infusions are all of the course, each once at a known instant, is returned as it is.
    """
    own = tuple(one for one in record.infusions if _is_own(one, protocol))
    counted = count_once(own, knowledge.practices[protocol.practice])
    past = [_as_therapy(one, Truth.MET) for one in record.infusions if one not in own]
    undated = (one for one in own if one not in counted.unclear and (one.time is None or not one.time.is_instant))
    past += [_as_therapy(one, Truth.UNKNOWN) for one in undated]
    past += [replace(_as_therapy(one, Truth.UNKNOWN), problem=Reason.CONFLICT) for one in counted.unclear]
    if not past and not counted.notes:
        return record
    therapies = [name for name, one in knowledge.conditions.items() if one.kind == "therapy"]
    told = {name: (*record.presences.get(name, ()), *(replace(one, name=name) for one in past)) for name in therapies}
    kept = tuple(one for one in (counted.of(one) for one in own) if one is not None)
    notes = (*record.notes, *counted.notes)
    return replace(record, infusions=kept, presences=record.presences | told, notes=notes)


@dataclass(slots=True)
class Counted:
    """The infusions that count, those of which nobody can tell, and what is to be said of either."""

    kept: list[Infusion] = field(default_factory=list)
    stopped: list[Infusion] = field(default_factory=list)
    unclear: list[Infusion] = field(default_factory=list)
    notes: list[QualityNote] = field(default_factory=list)

    def of(self, infusion: Infusion) -> Infusion | None:
        """An infusion as it counts, if it does: stopped, if any of its charts says so."""
        if infusion not in self.kept:
            return None
        return replace(infusion, status="stopped") if infusion in self.stopped else infusion


def count_once(infusions: Sequence[Infusion], practice: Practice) -> Counted:
    """Each infusion once: what a course of ours recorded stands, what was charted of it elsewhere goes with it."""
    found, same = Counted(), practice.one_infusion_within
    for one in sorted(infusions, key=_standing):
        relations = {index: compare(kept, one, practice) for index, kept in enumerate(found.kept)}
        twin = next((found.kept[index] for index, said in relations.items() if said == "same"), None)
        if twin is not None:
            found.notes.append(QualityNote(one.reference, _TWICE.format(span=same.value)))
            found.stopped += [twin] if one.status == "stopped" else []
        elif "unclear" in relations.values():
            found.notes.append(QualityNote(one.reference, _UNCLEAR.format(span=practice.two_infusions_from.value)))
            found.unclear.append(one)
        else:
            found.kept.append(one)
    return found


def compare(one: Infusion, other: Infusion, practice: Practice) -> Literal["same", "unclear", "apart"]:
    """Whether two charts are of one infusion: by our own id and what we recorded, else by their starts and lots."""
    if one.recorded_as and other.recorded_as:
        if one.recorded_as != other.recorded_as:
            return "apart"
        # A copy that says otherwise does not take the place of what was recorded here.
        return "same" if _facts(one) == _facts(other) else "unclear"
    if one.time is None or other.time is None:
        return "apart"  # each is a doubt already
    gap = max(one.time.earliest - other.time.latest, other.time.earliest - one.time.latest, timedelta(0))
    if gap >= length(practice.two_infusions_from):
        return "apart"
    is_exact = one.time.is_instant and other.time.is_instant
    is_one_lot = not one.lots or not other.lots or not set(one.lots).isdisjoint(other.lots)
    return "same" if is_exact and is_one_lot and gap <= length(practice.one_infusion_within) else "unclear"


def _facts(one: Infusion) -> tuple[object, ...]:
    return one.time, one.volume, one.deviation


def _standing(one: Infusion) -> tuple[object, ...]:
    """What counts first: what we recorded, what has an instant, what began first."""
    return not one.recorded_as, one.time is None or not one.time.is_instant, _begun(one), one.reference


def _begun(one: Infusion) -> datetime:
    return datetime.max.replace(tzinfo=UTC) if one.time is None else one.time.earliest


def _is_own(infusion: Infusion, protocol: Protocol) -> bool:
    """Whether an infusion is of the protocol's product: by the lot at the bedside, our own code or a listed one."""
    code = infusion.code
    if infusion.of_lot or code is None or code.system is CodeSystem.DATUM:
        return True
    return any(is_same_code(code, product) for product in protocol.product_codes)


def _as_therapy(infusion: Infusion, present: Truth) -> Presence:
    is_known = present is Truth.MET
    return Presence(
        name=infusion.name,
        reference=infusion.reference,
        time=infusion.time,
        as_received=infusion.as_received,
        code=infusion.code,
        problem=None if is_known else Reason.QUALIFIER_MISSING,
        present=present,
        active=Truth.NOT_MET,
        charted=not is_known,
    )
