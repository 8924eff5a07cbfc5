"""What is recorded along a course, as it is kept: consent, plan, lot, dose check, infusion, events, override."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any, Literal, TypeVar

import msgspec

from mscprotocol.errors import RequestError

Moment = Annotated[datetime, msgspec.Meta(tz=True)]
Number = Annotated[int, msgspec.Meta(ge=1, le=99)]
Text = Annotated[str, msgspec.Meta(max_length=2000)]
Said = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
Reason = Annotated[str, msgspec.Meta(min_length=1, max_length=2000)]
Amount = Annotated[str, msgspec.Meta(pattern=r"^[0-9]{1,15}(\.[0-9]{1,6})?$")]


ENDS_EARLY = "The end lies before the start: one of them is wrong."
NEEDS_END = "An infusion that is over has an end, and one that is still running has none."
NEEDS_REASON = "An infusion that was stopped has a reason, and no other has one."
_ABOUT = {ENDS_EARLY: "ended", NEEDS_END: "ended", NEEDS_REASON: "stop_reason"}
# What each field takes, in the words of who fills it in; the same where it is missing and where it cannot be read.
_TAKES = {
    "version": "Which version of the consent form was signed is needed, in at most 200 characters.",
    "given": "When the consent was given is needed: a day and a time.",
    "given_by": "Say who gave the consent: the patient or a representative.",
    "start": "When the first infusion is to start is needed: a day and a time.",
    "cells": "The cells are a number in all digits, like 70000000.",
    "volume_ml": "The volume is a number of mL, like 100 or 100.5.",
    "started": "When the infusion started is needed: a day and a time.",
    "status": "Say whether the infusion was completed, stopped, or is still running.",
    "lot": "The lot is text of at most 2000 characters.",
    "stop_reason": "Why it was stopped is text of at most 2000 characters.",
    "observed": "When this was seen is needed: a day and a time.",
    "point": "Choose one of the forms that are offered.",
    "answers": "Each question is answered by yes, no or unknown.",
    "note": "The note is text of at most 2000 characters.",
    "infusion": "The number of the infusion is missing: open the page anew.",
    "code": "Choose one of the reasons that are offered.",
    "text": "The words are needed, in at most 2000 characters.",
    "at": "When this happened is needed: a day and a time.",
    "source": "Where it is known from is needed: who said so, or the document.",
}
_UNREAD = "The form cannot be read: open the page anew."
_FIELD = re.compile(r"`\$\.(\w+)|missing required field `(\w+)`")


class Form(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What all forms share: a field that is not known is refused. Times have their zone, numbers are text."""


class Consent(Form, frozen=True):
    """Informed consent: which version of the form, and when it was given."""

    version: Said
    given: Moment
    given_by: Literal["patient", "representative"] = "patient"


class Plan(Form, frozen=True):
    """When the first infusion is meant to start."""

    start: Moment


class Lot(Form, frozen=True):
    """The product lot for one infusion, in the words of a lot file: `lot`, `at`, and data by name."""

    infusion: Number
    product: dict[str, Any]


class DoseCheck(Form, frozen=True):
    """The numbers of one infusion as one person worked them out."""

    infusion: Number
    cells: Amount
    volume_ml: Amount | None = None


class Deviation(Form, frozen=True):
    """What was against an infusion that was given all the same: the gate's answer of then, kept as `assessment`."""

    gate: Said
    because: list[Text]
    reason: Reason
    assessment: Said


class Infusion(Form, frozen=True):
    """One infusion as it was given; `deviation` if something was against it."""

    infusion: Number
    started: Moment
    ended: Moment | None = None
    status: Literal["in-progress", "completed", "stopped", "entered-in-error"] = "completed"
    volume_ml: Amount | None = None
    lot: Text | None = None
    stop_reason: Text | None = None
    deviation: Deviation | None = None

    def __post_init__(self) -> None:
        if self.ended is not None and self.ended < self.started:
            raise ValueError(ENDS_EARLY)
        if self.status != "entered-in-error" and (self.status == "in-progress") != (self.ended is None):
            raise ValueError(NEEDS_END)
        if (self.status == "stopped") != bool(self.stop_reason):
            raise ValueError(NEEDS_REASON)


class Events(Form, frozen=True):
    """What was seen after an infusion: an answer by the name of each question."""

    infusion: Number
    point: Annotated[str, msgspec.Meta(max_length=16)]
    observed: Moment
    answers: dict[str, Literal["yes", "no", "unknown"]]
    note: Text = ""


class Override(Form, frozen=True):
    """A clinician sets the gate before one infusion aside: why, and which reasons of the gate."""

    infusion: Number
    code: Said
    text: Said
    because: list[str]
    signed: Moment


class Withdrawal(Form, frozen=True):
    """The patient, or who speaks for the patient, withdraws."""

    at: Moment
    text: Text = ""


class Death(Form, frozen=True):
    """The patient has died: when, and where that is known from."""

    at: Moment
    source: Said
    text: Text = ""


class Charted(Form, frozen=True):
    """What a chart of others is beside an infusion that is recorded here: the same one, or a separate one; and why."""

    reference: Said
    said: Literal["same", "separate"]
    infusion: Number
    reason: Reason


class InError(Form, frozen=True):
    """That an entry was made in error, or was not after all, by its id; the reason stands beside it."""

    entry: Said


FORMS: dict[str, type[Form]] = {
    "consent": Consent,
    "plan": Plan,
    "lot": Lot,
    "dose_check": DoseCheck,
    "infusion": Infusion,
    "events": Events,
    "override": Override,
    "withdrawal": Withdrawal,
    "death": Death,
    "charted": Charted,
    "in_error": InError,
    "reinstated": InError,
}
F = TypeVar("F", bound=Form)
# Made here, once: two threads that make the first decoders of a struct at the same time would crash (see decoding).
_DECODERS: dict[type[Form], msgspec.json.Decoder[Any]] = {kind: msgspec.json.Decoder(kind) for kind in FORMS.values()}


def write_form(form: Form) -> bytes:
    """A form as it is kept."""
    return msgspec.json.encode(form)


def read_form(content: bytes, kind: type[F]) -> F:
    """A form from what was kept or sent.

    Raises RequestError `invalid_request`, whose text says what a field takes and repeats nothing of what was sent.
    """
    try:
        form: F = _DECODERS[kind].decode(content)
        return form
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        raise _in_words(str(error)) from None


def _in_words(text: str) -> RequestError:
    """What msgspec found wrong, in the words of who fills a form in."""
    if text in _ABOUT:
        return RequestError("invalid_request", text, _ABOUT[text])
    found = _FIELD.search(text)
    name = "" if found is None else found[1] or found[2]
    return RequestError("invalid_request", _TAKES.get(name, _UNREAD), name)
