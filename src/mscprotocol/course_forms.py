"""What is recorded along a course, as it is kept: consent, plan, lot, dose check, infusion, events, override."""

from __future__ import annotations

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
            raise ValueError("the end lies before the start")
        if self.status != "entered-in-error" and (self.status == "in-progress") != (self.ended is None):
            raise ValueError("an infusion that is over has an end, one in progress has none")
        if (self.status == "stopped") != bool(self.stop_reason):
            raise ValueError("an infusion that was stopped, and no other, has a reason")


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

    Raises RequestError `invalid_request`, whose text names the field and repeats nothing of what was sent.
    """
    try:
        form: F = _DECODERS[kind].decode(content)
        return form
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        raise RequestError("invalid_request", _without_data(error)) from None


def _without_data(error: Exception) -> str:
    """What is wrong and where, without values: msgspec quotes unknown members of enumerations."""
    text = str(error)
    return "a field has a value that its question does not offer" if "Invalid enum" in text else text
