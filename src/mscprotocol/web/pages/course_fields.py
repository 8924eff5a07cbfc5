"""The fields of the course pages as the forms that are kept, and kept forms as fields again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from fhir_adapters.local_writing import write_typed
from mscprotocol.course_forms import Consent, Death, DoseCheck, Events, Form, Infusion, Lot, Plan, Withdrawal, read_form
from mscprotocol.errors import RequestError
from mscprotocol.places import find_folder
from mscprotocol.web.pages.local_times import OFFSET, Doubt, read_time, write_local
from mscprotocol.web.pages.screening_fields import ScreeningForm
from mscprotocol.web.pages.screening_record import LOT_UNDATED, Typed, is_lot_undated, read_number, write_lot
from mscprotocol.yaml_files import YamlError, read_yaml

_TIMES = ("given", "start", "started", "ended", "observed", "at")


@lru_cache(maxsize=1)
def field_labels() -> dict[str, str]:
    """What each field is called, by step or kind of entry and field: `consent.given_by`."""
    steps = read_yaml((find_folder("templates") / "pages" / "labels.yaml").read_text(encoding="utf-8"))
    return {f"{step}.{name}": str(text) for step, names in steps.items() for name, text in names.items()}


class MisreadError(RequestError):
    """Fields of a step that cannot be read as they were typed; `problems` says what is wrong with each, by its name."""

    def __init__(self, problems: Mapping[str, str]) -> None:
        super().__init__("invalid_request", " ".join(dict.fromkeys(problems.values())))
        self.problems = dict(problems)


@dataclass(frozen=True)
class CourseFields:
    """What was typed for one step of a course; times are read off the clocks of the subject's zone.

    What is wrong with a field is gathered while the fields are read, so that all of it is told at once.
    """

    fields: Mapping[str, str]
    zone: ZoneInfo
    now: datetime
    questions: tuple[str, ...]
    screening_form: ScreeningForm
    problems: dict[str, str] = field(default_factory=dict)

    def text(self, name: str) -> str:
        """One field; empty if nothing was typed."""
        return self.fields.get(name, "")

    def time(self, name: str) -> datetime | None:
        """A time; None if nothing was typed, or if it is none, which becomes a problem."""
        if not self.text(name):
            return None
        found = read_time(self.text(name), self.text(f"{name}.{OFFSET}"), self.zone)
        if isinstance(found, Doubt):
            self.problems[name] = found.text
            return None
        return found

    def amount(self, name: str) -> str:
        """A number; a comma that may mean two things becomes a problem."""
        written = write_typed(self.text(name))
        if written.remark:
            self.problems[name] = written.remark
        return written.text

    def number(self) -> int:
        """The number of the infusion that the form is about."""
        text = self.text("infusion")
        if not text.isdecimal():
            raise RequestError("invalid_request", "The number of the infusion is missing: open the page anew.")
        return int(text)

    def read(self, kind: str) -> Form:
        """The form of some kind. Raises MisreadError that says what is wrong with each field, and repeats nothing."""
        try:
            form = _READERS[kind](self)
        except RequestError as error:
            if not self.problems and not error.field:
                raise
            raise MisreadError({error.field: str(error)} | self.problems if error.field else self.problems) from None
        if self.problems:
            raise MisreadError(self.problems)
        return form


def _made(kind: type[Form], values: dict[str, Any]) -> Form:
    """A form of some kind; what is empty was not said."""
    said = {name: value for name, value in values.items() if value not in ("", None)}
    return read_form(msgspec.json.encode(said), kind)


def _consent(typed: CourseFields) -> Form:
    values = {"version": typed.text("version"), "given": typed.time("given"), "given_by": typed.text("given_by")}
    return _made(Consent, values)


def _plan(typed: CourseFields) -> Form:
    return _made(Plan, {"start": typed.time("start")})


def _lot(typed: CourseFields) -> Form:
    """The lot as it was filled in field by field, or as the text of a lot file; never of both."""
    by_fields = Typed(typed.fields, typed.zone, typed.now, "")
    said = [name for name in typed.fields if name.startswith("d.") and not name.endswith(".unit") and typed.text(name)]
    if typed.text("no_text"):
        what = "The file is no text, and was not read: a lot file is YAML or JSON."
        raise RequestError("invalid_request", what, "product")
    if typed.text("product"):
        if said or typed.text("lot") or typed.text("at.lot"):
            text = "Fill the lot in, or give the text of its file: both were given."
            raise RequestError("invalid_request", text, "product")
        return Lot(typed.number(), _read_lot_file(typed.text("product")))
    if not typed.text("lot"):
        raise RequestError("invalid_request", "A lot needs its number, or the text of its file.", "lot")
    typed.problems.update(_lot_problems(by_fields, typed.screening_form))
    return Lot(typed.number(), write_lot(by_fields, typed.screening_form))


def _lot_problems(typed: Typed, form: ScreeningForm) -> Iterator[tuple[str, str]]:
    for name in ("at.lot", *(f"d.{one.name}.0.{part}" for one in form.lot for part in ("value", "at"))):
        doubt = typed.doubt(name)
        if doubt is not None:
            yield name, doubt.text
    if is_lot_undated(typed, form):
        yield "at.lot", LOT_UNDATED
    for one in form.lot:
        value, own = (typed.text("d", one.name, 0, part) for part in ("value", "at"))
        if value and one.units and isinstance(number := read_number(value), str):
            yield f"d.{one.name}.0.value", number
        if own and not value:
            yield f"d.{one.name}.0.value", "A time stands here without a value: add the value, or clear the time."


def _read_lot_file(text: str) -> dict[str, Any]:
    try:
        said = read_yaml(text)
    except YamlError:
        what = "A lot is written as lines like: product_viability: 85 %."
        raise RequestError("invalid_request", what, "product") from None
    return {str(name): _plain(value) for name, value in said.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _plain(one) for name, one in value.items()}
    return value if isinstance(value, bool) or value is None else str(value)


def _dose(typed: CourseFields) -> Form:
    values = {"infusion": typed.number(), "cells": typed.amount("cells"), "volume_ml": typed.amount("volume_ml")}
    return _made(DoseCheck, values)


def _infusion(typed: CourseFields) -> Form:
    values: dict[str, Any] = {
        "infusion": typed.number(),
        "started": typed.time("started"),
        "ended": typed.time("ended"),
        "volume_ml": typed.amount("volume_ml"),
    }
    values |= {name: typed.text(name) for name in ("status", "lot", "stop_reason")}
    return _made(Infusion, values)


def _events(typed: CourseFields) -> Form:
    answers = {name: typed.text(f"q.{name}") for name in typed.questions if typed.text(f"q.{name}")}
    values: dict[str, Any] = {"infusion": typed.number(), "observed": typed.time("observed"), "answers": answers}
    return _made(Events, values | {"point": typed.text("point"), "note": typed.text("note")})


def _withdrawal(typed: CourseFields) -> Form:
    return _made(Withdrawal, {"at": typed.time("at"), "text": typed.text("text")})


def _death(typed: CourseFields) -> Form:
    return _made(Death, {"at": typed.time("at"), "source": typed.text("source"), "text": typed.text("text")})


_READERS: dict[str, Callable[[CourseFields], Form]] = {
    "consent": _consent,
    "plan": _plan,
    "lot": _lot,
    "dose_check": _dose,
    "infusion": _infusion,
    "events": _events,
    "withdrawal": _withdrawal,
    "death": _death,
}


def fields_of(form: Form, zone: ZoneInfo) -> dict[str, str]:
    """A kept form as the fields that would say it: none becomes another one."""
    said = msgspec.to_builtins(form)
    answers, product, _ = said.pop("answers", {}), said.pop("product", None), said.pop("deviation", None)
    fields = {name: str(value) for name, value in said.items() if value is not None}
    for name, moment in moments_of(form).items():
        fields[name], offset = write_local(moment, zone)
        fields |= {f"{name}.{OFFSET}": offset} if offset else {}
    fields |= {f"q.{name}": answer for name, answer in answers.items()}
    return fields if product is None else fields | {"product": write_lot_file(product)}


def without_offsets(fields: Mapping[str, str]) -> dict[str, str]:
    """The fields as they are read: a time has its offset with it."""
    return {name: said for name, said in fields.items() if not name.endswith(f".{OFFSET}")}


def moments_of(form: Form) -> dict[str, datetime]:
    """The times of a kept form, by field."""
    said = {name: getattr(form, name, None) for name in _TIMES}
    return {name: moment for name, moment in said.items() if isinstance(moment, datetime)}


def write_lot_file(product: Mapping[str, Any]) -> str:
    """A lot as the text of its file, which is JSON: the same data come out of it again."""
    return msgspec.json.format(msgspec.json.encode(product), indent=1).decode()
