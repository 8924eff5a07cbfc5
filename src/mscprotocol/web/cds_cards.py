"""Cards of CDS Hooks from an answer: summary, reasons in Markdown, draft orders for tests that could decide."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import msgspec

from fhir_adapters.care_plan import DISCLAIMER
from fhir_adapters.draft_orders import DraftOrders, ProductOrder
from fhir_adapters.guidance import reasons
from fhir_adapters.writing import CANONICAL, Json, coding, concept, element, known_coding, resource
from mscprotocol.answer import Assessment, NeededItem
from mscprotocol.codes import Coding
from mscprotocol.errors import DataError
from mscprotocol.knowledge import KnowledgeBase
from mscprotocol.protocols import Protocol
from mscprotocol.web.cds_orders import check_order

LONGEST_SUMMARY = 139
MOST_SUGGESTIONS, MOST_ORDERS = 10, 15
# The card about the patient, those about orders, and the one about orders that were not compared.
MOST_CARDS = 1 + MOST_ORDERS + 1
OVERRIDE_REASONS = f"{CANONICAL}/CodeSystem/override-reason"
EXTENSION = "example.mscprotocol.assessment"
# The page that people open, who log in there.
CHECKLIST = "/assessments/{}/checklist"
# What Markdown reads as markup anywhere, as an address, or as a list at the start of a line.
_MARKDOWN = re.compile(r"([\\`*_{}\[\]#!|~@>]|(?<=:)/|(?<=www)\.|^[-+]|(?<=^\d)[.)])", re.IGNORECASE)
_HTML = str.maketrans({"&": "&amp;", "<": "&lt;"})


@dataclass(frozen=True)
class Occasion:
    """What the cards of one call need besides the answer.

    `not_held` are parts that the client's server has not, `oddities` what could not be read of the others.
    """

    knowledge: KnowledgeBase
    protocol: Protocol
    base: str
    orders: DraftOrders = field(default_factory=DraftOrders)
    not_held: tuple[str, ...] = ()
    oddities: tuple[str, ...] = ()


def write_cards(answer: Assessment, identity: str, occasion: Occasion) -> list[Json]:
    """The cards about one patient; none if nothing speaks for the protocol's indication and no product is ordered.

    Where something could not be read, it might have spoken for the indication: there is a card that says so. One card
    tells of all orders that may be for the product and were not compared.

    The first card carries the id of the stored assessment as its uuid, the n-th about an order that id XOR n, so that
    feedback leads back to the rules behind it.
    """
    orders = occasion.orders.products[:MOST_ORDERS]
    about_orders = [_order_card(answer, identity, occasion, one, n) for n, one in enumerate(orders, 1)]
    about_orders += _unchecked_card(identity, occasion)
    if answer.outlook == "no_indication" and not orders and not occasion.oddities:
        return about_orders
    return [_main_card(answer, identity, occasion), *about_orders]


def write_data_error(error: DataError, instance: str, occasion: Occasion) -> Json:
    """The one card for data that no verdict can be given for."""
    seed = f"{CANONICAL}/{instance}/{occasion.protocol.id}/{error.code}"
    title = f"{occasion.protocol.short_title}: not assessed, {error.code.replace('_', ' ')}"
    lines = ["No verdict was reached: the data cannot be used.", str(error), DISCLAIMER]
    return _card(str(uuid.uuid5(uuid.NAMESPACE_URL, seed)), title, "warning", _paragraphs(lines), occasion)


def card_uuid(identity: str, number: int) -> str:
    """The uuid of a card of an assessment."""
    return str(uuid.UUID(int=uuid.UUID(identity).int ^ number))


def suggestion_uuid(card: str, datum: str) -> str:
    """The uuid of the suggestion on a card that would bring a datum."""
    return str(uuid.uuid5(uuid.UUID(card), datum))


# -- the card about the patient ----------------------------------------------------------------------


def _main_card(answer: Assessment, identity: str, occasion: Occasion) -> Json:
    suggestions = [_suggestion(answer, identity, one, code) for one, code in _orderable(answer, occasion)]
    needs_attention = answer.verdict == "eligible" and answer.dose.status != "planned"
    link = {"label": "Checklist to print", "url": occasion.base + CHECKLIST.format(identity), "type": "absolute"}
    return _card(
        card_uuid(identity, 0),
        f"{occasion.protocol.short_title}: {_summary(answer)}",
        "warning" if needs_attention else "info",
        _detail(answer, occasion),
        occasion,
        suggestions=suggestions,
        selectionBehavior="any" if suggestions else None,
        links=[link],
        extension={EXTENSION: _trace(answer, identity)},
    )


def _card(identity: str, summary: str, indicator: str, detail: str, occasion: Occasion, **more: object) -> Json:
    knowledge, protocol = occasion.knowledge, occasion.protocol
    source = element(
        label=f"mscprotocol, protocol {protocol.id} {protocol.version}",
        url=next((url for one in protocol.sources if (url := knowledge.sources[one.id].url)), None),
        topic=coding(f"{CANONICAL}/CodeSystem/protocol", protocol.id, protocol.short_title),
    )
    why = [coding(OVERRIDE_REASONS, name, one.text) for name, one in knowledge.override_reasons.items()]
    return element(
        uuid=identity,
        summary=shorten(summary),
        indicator=indicator,
        detail=detail,
        source=source,
        overrideReasons=why,
        **more,
    )


def _summary(answer: Assessment) -> str:
    if answer.verdict == "eligible":
        return "criteria met, for clinician review"
    if answer.verdict == "ineligible":
        return f"not eligible ({', '.join(one.id for one in reasons(answer))})"
    return f"undetermined, open: {', '.join(one.datum for one in answer.needed)}"


def shorten(text: str) -> str:
    """A summary within its limit, cut visibly."""
    return text if len(text) <= LONGEST_SUMMARY else f"{text[: LONGEST_SUMMARY - 1].rstrip()}\N{HORIZONTAL ELLIPSIS}"


def _trace(answer: Assessment, identity: str) -> Json:
    """What a machine needs to follow the answer up: by its hashes, and rule by rule."""
    return element(
        assessment=identity,
        verdict=answer.verdict,
        outlook=answer.outlook,
        at=answer.at,
        validUntil=answer.valid_until,
        rulebaseSha256=answer.rulebase.sha256,
        inputSha256=answer.input_sha256,
        traceSha256=answer.trace_sha256,
        trace=[element(**one) for one in msgspec.to_builtins(answer.trace)],
    )


# -- detail, in Markdown -----------------------------------------------------------------------------


def escape_markdown(text: str) -> str:
    """Text that Markdown shows as it is: on one line, without markup or HTML."""
    plain = " ".join(text.split())
    escaped = _MARKDOWN.sub(r"\\\1", plain).translate(_HTML)
    return escaped if escaped.isprintable() else "".join(one for one in escaped if one.isprintable())


def _detail(answer: Assessment, occasion: Occasion) -> str:
    valid = f" It holds until {answer.valid_until} ({answer.expires_first})." if answer.valid_until else ""
    parts = [
        _paragraphs([f"Verdict at {answer.at}, stage {answer.stage}: {answer.verdict}.{valid}"]),
        _list(
            "Rests on",
            (f"{one.id}, {one.role}, {_said(one.status, one.reason)}: {one.text}" for one in reasons(answer)),
        ),
        _list("Needed", (_need(one) for one in answer.needed)),
        _list(f"Dose: {answer.dose.status}", _dose(answer)),
        _list("Schedule", (f"infusion {one.infusion}: {one.planned}, {one.status}" for one in answer.schedule)),
        _list("The client's server does not hold", occasion.not_held),
        _list("Not as it should be", occasion.oddities),
        _paragraphs([f"Notes on the quality of the data, on the checklist: {len(answer.data_quality)}", DISCLAIMER]),
    ]
    return "\n\n".join(part for part in parts if part)


def _said(status: str, reason: str | None) -> str:
    return (f"{status} ({reason})" if reason else status).replace("_", " ")


def _need(one: NeededItem) -> str:
    codes = f" ({', '.join(one.codes)})" if one.codes else ""
    return f"{one.datum}{codes}: {one.reason.replace('_', ' ')}; for {', '.join(one.settles)}"


def _dose(answer: Assessment) -> Iterator[str]:
    dose = answer.dose
    if dose.cells is not None:
        per_kg = (
            f" ({dose.cells_per_kg} cells/kg x {dose.weight_kg} kg)" if dose.cells_per_kg and dose.weight_kg else ""
        )
        yield f"{dose.cells} {dose.cell_basis} cells an infusion{per_kg}"
    yield from (*dose.because, *dose.warnings)
    if dose.reduced_proposal:
        yield dose.reduced_proposal


def _list(title: str, items: Iterable[str]) -> str:
    lines = [f"* {escape_markdown(one)}" for one in items]
    return "\n".join([f"**{escape_markdown(title)}**", "", *lines]) if lines else ""


def _paragraphs(lines: Iterable[str]) -> str:
    return "\n\n".join(escape_markdown(line) for line in lines)


# -- suggestions -------------------------------------------------------------------------------------


def _orderable(answer: Assessment, occasion: Occasion) -> list[tuple[NeededItem, Coding]]:
    """Tests that could decide an open verdict and are not being ordered already, each with the code to order it by."""
    if answer.verdict != "undetermined":
        return []
    decisive = {one.id for one in answer.deciding.data} if answer.deciding else {one.id for one in answer.needed}
    found = []
    for need in answer.needed:
        code = _code_of(need, occasion) if need.id in decisive and not need.bedside else None
        if code is not None:
            found.append((need, code))
    return found[:MOST_SUGGESTIONS]


def _code_of(need: NeededItem, occasion: Occasion) -> Coding | None:
    measurement = occasion.knowledge.measurements.get(need.id)
    if measurement is None or measurement.about != "patient":
        return None
    known = [one.code for one in measurement.codes]
    if any((one.system.value, one.code) in occasion.orders.tests for one in known):
        return None
    return measurement.order or (known[0] if known else None)


def _suggestion(answer: Assessment, identity: str, need: NeededItem, code: Coding) -> Json:
    why = f"Open for {', '.join(need.settles)}: {need.reason.replace('_', ' ')}"
    order = resource(
        "ServiceRequest",
        status="draft",
        intent="proposal",
        code=concept(need.datum, known_coding(code)),
        subject={"reference": f"Patient/{answer.patient.id}"},
        reasonCode=[concept(f"{why} ({answer.protocol.title})")],
    )
    label = f"Draft an order: {need.datum}"
    action = {"type": "create", "description": f"{label}. {why}", "resource": order}
    return {"label": label, "uuid": suggestion_uuid(card_uuid(identity, 0), need.id), "actions": [action]}


# -- orders for the product --------------------------------------------------------------------------


def _order_card(answer: Assessment, identity: str, occasion: Occasion, order: ProductOrder, number: int) -> Json:
    found = check_order(order, answer, occasion.knowledge, len(occasion.orders.products))
    count = f"{len(found)} remark{'s' if len(found) > 1 else ''}" if found else "no difference found"
    detail = "\n\n".join(
        (
            _paragraphs([f"{order.reference} was compared with cap, planned dose, schedule, route and subject."]),
            _list("Remarks", found or ["no difference was found; whoever signs decides"]),
            _paragraphs([DISCLAIMER]),
        )
    )
    summary = f"{occasion.protocol.short_title}: order for the product, {count}"
    return _card(card_uuid(identity, number), summary, "warning" if found else "info", detail, occasion)


def _unchecked_card(identity: str, occasion: Occasion) -> list[Json]:
    """One card for all orders that are or may be for the product and were not compared; it warns of those that are."""
    beyond = [f"{one.reference}: more than {MOST_ORDERS} orders for the product are signed together"
              for one in occasion.orders.products[MOST_ORDERS:]]  # fmt: skip
    others = occasion.orders.uncompared
    found = [*beyond, *(one.text for one in sorted(others, key=lambda one: not one.names_product))]
    if not found:
        return []
    more = [f"and {len(found) - MOST_ORDERS} more"] if len(found) > MOST_ORDERS else []
    detail = "\n\n".join(
        (
            _paragraphs(["These are or may be orders for the product. They were not compared with anything."]),
            _list("Not compared", (*found[:MOST_ORDERS], *more)),
            _paragraphs([DISCLAIMER]),
        )
    )
    summary = (
        f"{occasion.protocol.short_title}: {len(found)} possible order{'s' if len(found) > 1 else ''} not compared"
    )
    indicator = "warning" if beyond or any(one.names_product for one in others) else "info"
    return [_card(card_uuid(identity, MOST_CARDS - 1), summary, indicator, detail, occasion)]
