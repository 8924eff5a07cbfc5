"""What stands in a screening form and would be passed over: it is refused in words, or kept in sight; never dropped."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from mscprotocol.web.pages.local_times import OFFSET
from mscprotocol.web.pages.screening_fields import DatumField, Panel, ScreeningForm
from mscprotocol.web.pages.screening_record import LOT_UNDATED, NOT_DONE, UNKNOWN, Typed, is_lot_undated

_SAID = {NOT_DONE: "not done", UNKNOWN: "unknown"}
_PARTS = {"at": "A time", "since": "A begin", "upper": "An upper limit", "assay": "An assay"}


@dataclass(frozen=True)
class Slip:
    """What is wrong with a field; `is_grave` if nothing can be assessed until it is put right, else nothing saved."""

    field: str
    about: str
    text: str
    is_grave: bool = False


def find_unused(fields: Mapping[str, str], form: ScreeningForm) -> dict[str, str]:
    """What was typed and has no field in this form: another protocol asks for it, and it waits for that one."""
    found = {name: said for name, said in fields.items() if said and not _has_place(name, form)}
    lines = {name.rpartition(".")[0] for name in found if is_said(name)} | found.keys()
    return {name: said for name, said in found.items() if is_said(name) or name.rpartition(".")[0] in lines}


def is_said(name: str) -> bool:
    """Whether a field is one that somebody fills in, and not what stands beside it by itself."""
    return not name.endswith((".unit", f".{OFFSET}"))


def _has_place(name: str, form: ScreeningForm) -> bool:
    kind, _, rest = name.partition(".")
    about = rest.partition(".")[0]
    data = {one.name for one in (*form.data, *form.lot)}
    findings = {one.name for one in (*form.conditions, *form.criteria)}
    dated = {panel.id for panel in form.panels if panel.data} | ({"lot"} if form.lot else set())
    places = {"d": data, "c": findings, "aside": data | findings, "at": dated, "lot": dated}
    return kind not in places or name == "at" or (about or name) in places[kind]


def find_slips(typed: Typed, form: ScreeningForm) -> list[Slip]:
    """Every slip of a form, in the order of its fields."""
    found = [slip for panel in form.panels for slip in _panel(typed, panel)]
    return [*found, *_lot(typed, form)]


def _panel(typed: Typed, panel: Panel) -> Iterator[Slip]:
    for one in panel.data:
        for row in range(typed.rows(one.name)):
            yield from _line(typed, one, row)
    if typed.text("at", panel.id) and not any(_says(typed, one) for one in panel.data):
        text = "A time stands here, and no value in this group: add the values that were taken then, or clear it."
        yield Slip(f"at.{panel.id}", panel.title, text)


def _says(typed: Typed, one: DatumField) -> bool:
    return any(
        typed.text("d", one.name, row, part) for row in range(typed.rows(one.name)) for part in ("value", "said")
    )


def _line(typed: Typed, one: DatumField, row: int) -> Iterator[Slip]:
    value, said = (typed.text("d", one.name, row, part) for part in ("value", "said"))
    if value and said:
        text = f"A value stands beside “{_SAID.get(said, said)}”: clear the value, or say that it was measured."
        yield Slip(one.name, one.text, text, is_grave=True)
    alone = [words for part, words in _PARTS.items() if typed.text("d", one.name, row, part)]
    if alone and not value and not said:
        yield Slip(one.name, one.text, f"{alone[0]} stands here without a value: add the value, or clear it.")


def _lot(typed: Typed, form: ScreeningForm) -> Iterator[Slip]:
    if typed.text("lot"):
        if is_lot_undated(typed, form):
            yield Slip("lot", "Product lot", LOT_UNDATED)
        return
    if typed.text("at", "lot") or any(_says(typed, one) or typed.text("d", one.name, 0, "at") for one in form.lot):
        text = "Something is said of the product lot, and not which one: add its number, or clear the other fields."
        yield Slip("lot", "Product lot", text, is_grave=True)
