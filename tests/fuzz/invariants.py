"""What must hold of every answer, however damaged the bundle: checked on the JSON, by other code than made it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

WEIGHT_CODES = {"29463-7", "3141-9", "3142-7", "8335-2", "75292-3", "27113001"}
_KG = {"kg": "1", "g": "0.001", "[lb_av]": "0.45359237", "[oz_av]": "0.028349523125", "lb": "0.45359237"}
_ODD_NUMBER = re.compile(r"[<>=~≤≥ ]*[-+]?(\d+(\.\d*)?e[-+]?\d+|s?nan|inf(inity)?)\b", re.IGNORECASE)
# Texts that came with the record, where anything may stand.
_RECEIVED = {"as_received", "identifiers", "name", "id", "reference", "attested_by", "code", "about", "text", "patient"}
_TRIGGERS = ("exclusion", "safety", "warning", "monitoring")


class BrokenPromiseError(AssertionError):
    """An answer that must never be given."""


def check_answer(answer: bytes, source: bytes) -> dict[str, Any]:
    """The decoded answer, if nothing that was promised is broken."""
    decoded: dict[str, Any] = json.loads(answer, parse_float=_refuse, parse_constant=_refuse)
    check_eligible_is_decided(decoded)
    check_dose(decoded, source)
    check_numbers(decoded)
    return decoded


def check_eligible_is_decided(answer: dict[str, Any]) -> None:
    """Eligible: each mandatory criterion was decided, and none of them against the patient."""
    if answer["verdict"] != "eligible":
        return
    for one in answer["criteria"]:
        wanted = "not_met" if one["role"] in _TRIGGERS else "met"
        _promise(not one["mandatory"] or one["status"] == wanted, f"eligible, but {one['id']} is {one['status']}")
    _promise(answer["outlook"] is None, "eligible with an outlook")
    _promise(any(one["mandatory"] for one in answer["criteria"]), "eligible without a mandatory criterion")


def check_dose(answer: dict[str, Any], source: bytes) -> None:
    """Cells are given only with a status that permits it, for a weight that the bundle states."""
    dose = answer["dose"]
    if dose["status"] == "planned":
        _promise(answer["verdict"] == "eligible", f"a planned dose for an {answer['verdict']} patient")
    if answer["verdict"] == "ineligible":
        _promise(dose["status"] == "withheld", "a dose for an ineligible patient")
    if dose["status"] in ("planned", "conditional"):
        _promise(answer["coagulopathy"]["tier"] in ("low", "moderate"), "a dose in a tier that forbids it")
        _promise(dose["cells"] is not None, "a dose without cells")
    if dose["cells"] is None:
        return
    _promise(dose["status"] != "withheld", "cells although the dose is withheld")
    weight = Decimal(dose["weight_kg"])
    stated = list(_stated_weights(json.loads(source, parse_float=Decimal, parse_int=Decimal)))
    _promise(any(abs(weight - one) <= Decimal("0.01") for one in stated), f"a dose for {weight} kg, not in {stated}")
    cells = Decimal(dose["cells"])
    product = weight * Decimal(dose["cells_per_kg"])
    _promise(cells == product or (dose["capped"] and cells < product), f"{cells} cells for {product}")


def _stated_weights(tree: Any) -> Iterator[Decimal]:
    """Each number in a resource or form item that names the weight, in every unit that it may be read in."""
    if isinstance(tree, list):
        for one in tree:
            yield from _stated_weights(one)
    elif isinstance(tree, dict):
        codings = [tree.get("code"), tree]
        if _names_weight(codings):
            yield from _numbers_in_kg(tree)
        for one in tree.values():
            yield from _stated_weights(one)


def _names_weight(nodes: list[Any]) -> bool:
    concept, owner = nodes
    codings = concept.get("coding") if isinstance(concept, dict) else None
    listed = codings if isinstance(codings, list) else []
    codes = {str(one.get("code", "")).strip() for one in listed if isinstance(one, dict)}
    words = json.dumps(concept, default=str).lower()
    return bool(codes & WEIGHT_CODES) or "weight" in words or owner.get("linkId") == "weight"


def _numbers_in_kg(tree: Any) -> Iterator[Decimal]:
    values = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ()
    for one in values:
        if isinstance(one, Decimal) and one.is_finite():
            yield from (one * Decimal(factor) for factor in _KG.values())
        else:
            yield from _numbers_in_kg(one)


def check_numbers(answer: dict[str, Any]) -> None:
    """No number of ours is written with an exponent, as NaN or as infinity."""
    for text in _own_texts(answer):
        _promise(not _ODD_NUMBER.match(text), f"a number is written as {text!r}")


def _own_texts(tree: Any) -> Iterator[str]:
    if isinstance(tree, str):
        yield tree
    elif isinstance(tree, list):
        for one in tree:
            yield from _own_texts(one)
    elif isinstance(tree, dict):
        for key, one in tree.items():
            if key not in _RECEIVED:
                yield from _own_texts(one)


def _promise(kept: bool, broken: str) -> None:
    if not kept:
        raise BrokenPromiseError(broken)


def _refuse(text: str) -> Any:
    raise BrokenPromiseError(f"the JSON holds the bare number {text}")
