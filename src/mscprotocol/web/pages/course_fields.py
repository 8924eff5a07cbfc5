"""The fields of the course pages as the forms that are kept, and kept forms as fields again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from mscprotocol.course_forms import Consent, DoseCheck, Events, Form, Infusion, Lot, Plan, Withdrawal, read_form
from mscprotocol.errors import RequestError
from mscprotocol.web.pages.screening_fields import ScreeningForm
from mscprotocol.web.pages.screening_record import Typed, write_lot
from mscprotocol.yaml_files import YamlError, read_yaml

_TIMES = ("given", "start", "started", "ended", "observed", "at")


@dataclass(frozen=True)
class CourseFields:
    """What was typed on a course page; times are read off the clocks of the subject's zone."""

    fields: Mapping[str, str]
    zone: ZoneInfo
    now: datetime
    questions: tuple[str, ...]
    screening_form: ScreeningForm

    def text(self, name: str) -> str:
        """One field; empty if nothing was typed."""
        return self.fields.get(name, "")

    def time(self, name: str) -> datetime | None:
        """A time; None if nothing was typed."""
        return None if not self.text(name) else read_local(self.text(name), self.zone)

    def number(self) -> int:
        """The number of the infusion that the form is about."""
        text = self.text("infusion")
        if not text.isdecimal():
            raise RequestError("invalid_request", "The number of the infusion is missing.")
        return int(text)

    def read(self, kind: str) -> Form:
        """The form of some kind. Raises RequestError that says what is wrong, and repeats nothing."""
        return _READERS[kind](self)


def _made(kind: type[Form], values: dict[str, Any]) -> Form:
    """A form of some kind; what is empty was not said."""
    said = {name: value for name, value in values.items() if value not in ("", None)}
    return read_form(msgspec.json.encode(said), kind)


def read_local(text: str, zone: ZoneInfo) -> datetime:
    """A time as it is typed, in the zone of the subject; one that the clocks skip or show twice needs its offset.

    Raises RequestError `invalid_request`.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise RequestError("invalid_request", "A time is written like 2020-03-27T10:00.") from None
    if moment.tzinfo is not None:
        return moment
    offsets = {moment.replace(tzinfo=zone, fold=fold).utcoffset() for fold in (0, 1)}
    if len(offsets) > 1:
        raise RequestError(
            "invalid_request", "The clocks change at this time: write it with its offset, like 2020-03-29T02:30+01:00."
        )
    return moment.replace(tzinfo=zone)


def _consent(typed: CourseFields) -> Form:
    values = {"version": typed.text("version"), "given": typed.time("given"), "given_by": typed.text("given_by")}
    return _made(Consent, values)


def _plan(typed: CourseFields) -> Form:
    return _made(Plan, {"start": typed.time("start")})


def _lot(typed: CourseFields) -> Form:
    """The lot as it was filled in field by field, or as the text of a lot file; never of both."""
    by_fields = write_lot(Typed(typed.fields, typed.zone, typed.now, ""), typed.screening_form)
    if by_fields and typed.text("product"):
        raise RequestError("invalid_request", "Fill the lot in, or give the text of its file: both were given.")
    return Lot(typed.number(), by_fields or _read_lot_file(typed.text("product")))


def _read_lot_file(text: str) -> dict[str, Any]:
    if not text:
        raise RequestError("invalid_request", "A lot needs its number, or the text of its file.")
    try:
        said = read_yaml(text)
    except YamlError:
        raise RequestError("invalid_request", "A lot is written as lines like: product_viability: 85 %.") from None
    return {str(name): _plain(value) for name, value in said.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _plain(one) for name, one in value.items()}
    return value if isinstance(value, bool) or value is None else str(value)


def _dose(typed: CourseFields) -> Form:
    values = {"infusion": typed.number(), "cells": typed.text("cells"), "volume_ml": typed.text("volume_ml")}
    return _made(DoseCheck, values)


def _infusion(typed: CourseFields) -> Form:
    values: dict[str, Any] = {
        "infusion": typed.number(),
        "started": typed.time("started"),
        "ended": typed.time("ended"),
    }
    values |= {name: typed.text(name) for name in ("status", "volume_ml", "lot", "stop_reason")}
    return _made(Infusion, values)


def _events(typed: CourseFields) -> Form:
    answers = {name: typed.text(f"q.{name}") for name in typed.questions if typed.text(f"q.{name}")}
    values: dict[str, Any] = {"infusion": typed.number(), "observed": typed.time("observed"), "answers": answers}
    return _made(Events, values | {"point": typed.text("point"), "note": typed.text("note")})


def _withdrawal(typed: CourseFields) -> Form:
    return _made(Withdrawal, {"at": typed.time("at"), "text": typed.text("text")})


_READERS: dict[str, Callable[[CourseFields], Form]] = {
    "consent": _consent,
    "plan": _plan,
    "lot": _lot,
    "dose_check": _dose,
    "infusion": _infusion,
    "events": _events,
    "withdrawal": _withdrawal,
}


def fields_of(form: Form, zone: ZoneInfo) -> dict[str, str]:
    """A kept form as the fields that would say it: none becomes another one."""
    said = msgspec.to_builtins(form)
    answers, product, _ = said.pop("answers", {}), said.pop("product", None), said.pop("deviation", None)
    fields = {name: str(value) for name, value in said.items() if value is not None}
    fields |= {name: _write_local(moment, zone) for name, moment in moments_of(form).items()}
    fields |= {f"q.{name}": answer for name, answer in answers.items()}
    return fields if product is None else fields | {"product": write_lot_file(product)}


def moments_of(form: Form) -> dict[str, datetime]:
    """The times of a kept form, by field."""
    said = {name: getattr(form, name, None) for name in _TIMES}
    return {name: moment for name, moment in said.items() if isinstance(moment, datetime)}


def _write_local(moment: datetime, zone: ZoneInfo) -> str:
    """A time as it is typed: without its offset, unless the clocks show it twice."""
    local = moment.astimezone(zone)
    offsets = {local.replace(fold=fold).utcoffset() for fold in (0, 1)}
    step = "minutes" if local.second == 0 else "seconds"
    return (local if len(offsets) > 1 else local.replace(tzinfo=None)).isoformat(timespec=step)


def write_lot_file(product: Mapping[str, Any]) -> str:
    """A lot as the text of its file, which is JSON: the same data come out of it again."""
    return msgspec.json.format(msgspec.json.encode(product), indent=1).decode()
