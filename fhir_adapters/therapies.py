"""Cells that were given: infusions of the product, or acts whose words only may mean one and keep the history open."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from decimal import Decimal

from msgspec.structs import replace

from fhir_adapters.dictionary import INFUSION, codings, text_of, words_of
from fhir_adapters.draft import Draft, Given, find_problem
from fhir_adapters.lots import Lot, find_lot
from fhir_adapters.resources import MedicationAdministration, Procedure
from fhir_adapters.values import answers_of
from fhir_adapters.writing import DEVIATION, RECORDED_INFUSION
from mscprotocol.codes import CodeSystem, Coding, is_same_code
from mscprotocol.reasons import Reason
from mscprotocol.record import Deviation, Infusion, Presence
from mscprotocol.truth import Truth

_STARTED = ("completed", "stopped", "in-progress", "active")
_SHORTEST_NUMBER = 3  # of a lot, to be looked for in words


def settle_given(draft: Draft, lots: Sequence[Lot]) -> None:
    """Add an infusion for each act that gave the product, by its code or its lot, and a doubt for what may be one."""
    for given in draft.given:
        code, of_lot = _product_code(draft, given), _is_of(draft, given, lots)
        if (code is not None or of_lot) and given.status in _STARTED:
            draft.infusions.append(replace(_infusion(given, code, of_lot=of_lot), lots=_lot_numbers(draft, given)))
        elif code is not None or of_lot:
            draft.note(given.item, "an infusion of the product whose status does not say that it was given")
            _leave_open(draft, given, draft.dictionary.therapies)
        else:
            _leave_open(draft, given, _named(draft, given, lots))


def _infusion(given: Given, code: Coding | None, *, of_lot: bool) -> Infusion:
    return Infusion(
        name=INFUSION,
        reference=given.item.reference,
        time=given.start,
        as_received=text_of(given.concept),
        code=code,
        problem=find_problem(given.item),
        status=given.status or "completed",
        of_lot=of_lot,
        recorded_as=_our_number(given),
        deviation=_deviation(given),
        volume=_volume(given),
    )


def _lot_numbers(draft: Draft, given: Given) -> tuple[str, ...]:
    """The names of the lots that an act refers to; a reference is no name."""
    linked, resource, holder = draft.bundle.linked, given.item.resource, given.item.reference
    lots = [find_lot(linked, resource, one, holder) for one in given.products]
    return tuple(sorted({name for lot in lots if lot is not None for name in lot.names - {lot.reference}}))


def _our_number(given: Given) -> str:
    """The id under which a course of ours recorded an administration, or a person said that it is one by itself."""
    resource = given.item.resource
    identifiers = resource.identifier if isinstance(resource, MedicationAdministration | Procedure) else ()
    return next((one.value for one in identifiers if one.system == RECORDED_INFUSION and one.value), "")


def _volume(given: Given) -> Decimal | None:
    """The volume that an administration states, in mL."""
    resource = given.item.resource
    dosage = resource.dosage if isinstance(resource, MedicationAdministration) else None
    dose = None if dosage is None else dosage.dose
    if dose is None or dose.comparator is not None or (dose.code or dose.unit) != "mL":
        return None
    return dose.value


def _deviation(given: Given) -> Deviation | None:
    """What was against an administration that a course of ours recorded as a deviation."""
    resource = given.item.resource
    reasons = resource.reason_code if isinstance(resource, MedicationAdministration) else ()
    said = [(code.code, one.text or "") for one in reasons for code in one.coding if code.system == DEVIATION]
    gates = [(gate, text) for gate, text in said if gate]
    if not gates:
        return None
    return Deviation(gates[0][0], tuple(text for gate, text in said if not gate), gates[0][1])


def _product_code(draft: Draft, given: Given) -> Coding | None:
    """The code by which an act gave a product: our own, or one that a protocol or the site lists."""
    listed = [code for protocol in draft.knowledge.protocols.values() for code in protocol.product_codes]
    products = [Coding(CodeSystem.DATUM, INFUSION), *listed]
    fitting = (code for code in codings(given.concept) if any(is_same_code(code, product) for product in products))
    return next(fitting, None)


def _is_of(draft: Draft, given: Given, lots: Sequence[Lot]) -> bool:
    """Whether an act refers to a lot that is known, by whichever resource of it."""
    resource, holder = given.item.resource, given.item.reference
    named = [find_lot(draft.bundle.linked, resource, reference, holder) for reference in given.products]
    return any(one is not None and one.is_same(lot.names) for one in named for lot in lots)


def _named(draft: Draft, given: Given, lots: Sequence[Lot]) -> frozenset[str]:
    """The therapies that an act may have been: by its words, by the kind of product, or by the number of a lot."""
    therapies, texts = draft.dictionary.therapies, words_of(given.concept)
    kind = draft.knowledge.measurements["product_type"]
    if any(answers_of(kind, code) for code in codings(given.concept)) or any(_numbers(texts, lots)):
        return therapies
    found = {name for text in texts for name in draft.dictionary.words(given.source, text)}
    return therapies & found


def _numbers(texts: Sequence[str], lots: Sequence[Lot]) -> Iterator[str]:
    """The numbers of known lots that stand in some words."""
    for number in {name for lot in lots for name in lot.names if len(name) >= _SHORTEST_NUMBER}:
        word = re.compile(rf"(?<!\w){re.escape(number)}(?!\w)", re.IGNORECASE)
        yield from (number for text in texts if word.search(text))


def _leave_open(draft: Draft, given: Given, names: frozenset[str]) -> None:
    """Charted, yet not by a code that says what it was: no denial settles that."""
    for name in sorted(names):
        words = text_of(given.concept)
        presence = Presence(
            name=name,
            reference=given.item.reference,
            time=given.start,
            as_received=words,
            problem=Reason.QUALIFIER_MISSING,
            present=Truth.UNKNOWN,
            ended=given.end,
            charted=True,
        )
        draft.state(given.item, presence)
        draft.note(given.item, f"charted in words that may mean {name}: only a code or a lot can tell what was given")
