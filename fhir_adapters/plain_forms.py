"""The shape of our own JSON record of a patient: values are text as it is written, read later with their reasons.

Only a wrong shape is refused here; a value that cannot be used becomes an entry that says why.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, WithJsonSchema, field_validator, model_validator

from fhir_adapters.times import parse_time

_LONGEST_LIST = 100_000
Text = Annotated[str, StringConstraints(max_length=2000)]
# A number stays the decimal that was written; 15 and "15" are the same.
Said = Annotated[
    bool | Text | Decimal | int,
    WithJsonSchema({"type": ["string", "number", "boolean"]}),
]
Time = Annotated[Text, Field(description="A FHIR date or dateTime with its zone, like 2020-04-06T10:00:00+08:00.")]
Name = Annotated[Text, Field(description="Its name in the rules, like platelets; GET /api/v1/rules lists them.")]
Code = Annotated[Text, Field(description="A code with its system, like 'loinc 777-3' or 'http://loinc.org|777-3'.")]


class Form(BaseModel):
    """What all parts of a record share: a field that is not known is refused, never dropped."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Named(Form):
    """Something by its name in the rules or by a code."""

    name: Name | None = None
    code: Code | None = None

    @model_validator(mode="after")
    def _has_one(self) -> Self:
        if (self.name is None) == (self.code is None):
            raise ValueError("give either a name or a code")
        return self


class IdentifierForm(Form):
    """A number that the patient goes by, and who gave it."""

    system: Text = ""
    value: Text


class PatientForm(Form):
    """Who it is."""

    id: str = Field(pattern=r"^[A-Za-z0-9\-.]{1,64}$", description="The record's own id of the patient.")
    identifiers: tuple[IdentifierForm, ...] = ()
    name: Text | None = None
    born: Text | None = Field(None, description="Date of birth; a year or a month will do.")
    sex: Text | None = Field(None, description="male or female, as weights are predicted by.")
    deceased: bool | Text | None = Field(None, description="Whether the patient has died, or when.")

    @field_validator("deceased")
    @classmethod
    def _is_a_time(cls, said: bool | str | None) -> bool | str | None:
        if isinstance(said, str) and parse_time(said) is None:
            raise ValueError("give true, false, or when")
        return said


class DatumForm(Named):
    """One value: of a laboratory, a monitor, or charted."""

    value: Said | None = Field(None, description="A number with its unit, a time, or an answer: '91 %', '<0.5 mg/L'.")
    answer: Said | None = Field(None, description="The same as value, for data that have answers: 'positive'.")
    at: Time | None = None
    since: Time | None = Field(None, description="When its period began, for a datum over a period, like urine.")
    upper_limit: Said | None = Field(None, description="The laboratory's upper limit of normal, like '0.5 mg/L'.")
    assay: Text | None = Field(None, description="With a name: what was weighed, where that matters, as FEU or DDU.")
    status: Text = Field("final", description="A status of FHIR observations; only final ones count.")
    specimen: Text | None = Field(None, description="The specimen by its HL7 v2 code (table 0487), like BLDA.")
    note: Text | None = Field(None, description="Why a person set it aside (status entered-in-error), and who.")

    @model_validator(mode="after")
    def _says_it_once(self) -> Self:
        if self.value is not None and self.answer is not None:
            raise ValueError("give either a value or an answer")
        return self


class ConditionForm(Named):
    """Something that is, was, or is not there: a disease, a procedure, a medication, a consent."""

    status: Text | None = Field(
        None, description="active, resolved, refuted or suspected; confirmed if it is not known to hold still."
    )
    since: Time | None = None
    until: Time | None = None
    recorded: Time | None = None
    recorded_as: Text | None = Field(None, description="The id under which a course recorded here holds it as its end.")


class AnswerForm(Form):
    """What a named person answers at the bedside."""

    name: Name
    answer: Said = Field(description="yes, no or unknown.")
    by: Text | None = Field(None, description="Who answered; without a person it does not count.")
    at: Time | None = None


class DeviationForm(Form):
    """What was against an infusion that was given all the same: the gate's answer of then, and why it was given."""

    gate: Text = Field(description="go, hold or stop.")
    because: tuple[Text, ...] = Field((), description="The reasons of the gate.")
    reason: Text = Field(description="Why the infusion was given all the same.")


class InfusionForm(Form):
    """An infusion of the product that was given or begun."""

    started: Time | None = None
    status: Text = Field("completed", description="completed, in-progress or stopped.")
    lot: Text | None = Field(None, description="The number of the lot that was given.")
    volume: Text | None = Field(None, description="The volume that was infused, like '100 mL'.")
    recorded_as: Text | None = Field(None, description="The id under which a course recorded here holds it.")
    deviation: DeviationForm | None = Field(None, description="That it was given against the protocol.")


EXAMPLE: dict[str, Any] = {
    "patient": {"id": "p-17", "born": "1962-03-14", "sex": "male"},
    "data": [
        {"name": "weight", "value": "70 kg", "at": "2020-04-05T04:00:00+08:00"},
        {"name": "oxygen_support", "answer": "mask_venturi", "at": "2020-04-06T09:00:00+08:00"},
        {"name": "fio2", "value": "40 %", "at": "2020-04-06T09:00:00+08:00"},
        {"name": "pao2", "value": "76 mm[Hg]", "at": "2020-04-06T09:00:00+08:00"},
        {
            "name": "d_dimer",
            "value": "0.60 mg/L",
            "assay": "FEU",
            "upper_limit": "0.5 mg/L",
            "at": "2020-04-06T08:00:00+08:00",
        },
    ],
    "conditions": [{"name": "covid_19", "status": "active", "since": "2020-04-01", "recorded": "2020-04-01"}],
    "answers": [{"name": "pregnancy", "answer": "no", "by": "Dr A. Example", "at": "2020-04-06T09:00:00+08:00"}],
}


class PlainRecord(Form):
    """One patient's record."""

    model_config = ConfigDict(extra="forbid", frozen=True, json_schema_extra={"examples": [EXAMPLE]})

    patient: PatientForm
    data: tuple[DatumForm, ...] = Field((), max_length=_LONGEST_LIST)
    conditions: tuple[ConditionForm, ...] = Field((), max_length=_LONGEST_LIST)
    answers: tuple[AnswerForm, ...] = Field((), max_length=_LONGEST_LIST)
    infusions: tuple[InfusionForm, ...] = Field((), max_length=_LONGEST_LIST)
    product: dict[str, Any] | None = Field(
        None, description="The product lot as in its file: lot, at, and data like product_viability: 85 %."
    )
