"""Which charted infusions belong to the course of a protocol, and which are therapy that went before it."""

from __future__ import annotations

from dataclasses import replace

from mscprotocol.codes import CodeSystem, is_same_code
from mscprotocol.knowledge import KnowledgeBase
from mscprotocol.protocols import Protocol
from mscprotocol.reasons import Reason
from mscprotocol.record import Infusion, PatientRecord, Presence
from mscprotocol.truth import Truth


def tell_apart(record: PatientRecord, protocol: Protocol, knowledge: KnowledgeBase) -> PatientRecord:
    """The record as a protocol reads it: an infusion of another product is earlier therapy, an undated one a doubt.

    A record whose infusions are all of the course, each at a known instant, is returned as it is.
    """
    own = tuple(one for one in record.infusions if _is_own(one, protocol))
    past = [_as_therapy(one, Truth.MET) for one in record.infusions if one not in own]
    past += [_as_therapy(one, Truth.UNKNOWN) for one in own if one.time is None or not one.time.is_instant]
    if not past:
        return record
    therapies = [name for name, one in knowledge.conditions.items() if one.kind == "therapy"]
    told = {name: (*record.presences.get(name, ()), *(replace(one, name=name) for one in past)) for name in therapies}
    return replace(record, infusions=own, presences=record.presences | told)


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
