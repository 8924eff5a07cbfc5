"""What is asked of a FHIR operation: its parameters, from the query or from a Parameters resource, and its data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from fastapi import Request as HttpRequest
from msgspec import Raw

from fhir_adapters.bundle import PatientBundle
from fhir_adapters.datatypes import Element, Number, Reference
from fhir_adapters.decoding import UNREADABLE, decode
from fhir_adapters.subjects import split_url, without_version
from mscprotocol.case import Request
from mscprotocol.dosing import choose_level
from mscprotocol.errors import DataError, RequestError
from mscprotocol.protocols import STAGES, Dose, Stage
from mscprotocol.treatment import list_levels
from mscprotocol.web.media import Accepted, check_type
from mscprotocol.web.problems import FHIR_JSON, ProblemError

# The parameters of the operations besides `data`: FHIR type and meaning of each.
OWN = {
    "subject": ("string", "The patient; refused if the data are another's."),
    "at": ("dateTime", "The time of the evaluation, with its zone; now if left out."),
    "stage": ("code", "screening, enrolment or infusion; screening if left out."),
    "start": ("dateTime", "When a first infusion would start; the time of the evaluation if left out."),
    "zone": ("string", "The IANA zone in which infusions are planned; the site's if left out."),
    "doseLevel": ("decimal", "The cohort, where a protocol has several dose levels; in the unit of its levels."),
}
# Of the standard operation, but without a meaning here: who asks, and in what setting, changes no verdict.
_WITHOUT_MEANING = frozenset(
    ("encounter", "practitioner", "organization", "userType", "userLanguage", "userTaskContext", "setting",
     "settingContext", "_format", "_pretty")
)  # fmt: skip
_JSON_TYPES = (FHIR_JSON, "application/json")
_EXAMPLE = "2020-04-06T10:00:00+08:00"


class _Parameter(Element, frozen=True):
    name: str
    resource: Raw = Raw(b"")
    value_string: str | None = None
    value_code: str | None = None
    value_date_time: str | None = None
    value_instant: str | None = None
    value_decimal: Number | None = None
    value_reference: Reference | None = None

    @property
    def text(self) -> str:
        reference = self.value_reference.reference if self.value_reference is not None else None
        number = None if self.value_decimal is None else f"{self.value_decimal:f}"
        found = (self.value_string, self.value_code, self.value_date_time, self.value_instant, number, reference)
        return next((one for one in found if one is not None), "")


class _Body(Element, frozen=True):
    resource_type: str | None = None
    parameter: tuple[_Parameter, ...] = ()


@dataclass(frozen=True)
class Asked:
    """The bundles of one patient, and the parameters by name, as text."""

    bundles: list[bytes]
    values: dict[str, str] = field(default_factory=dict)


async def read_body(request: HttpRequest) -> bytes:
    """The body of a request that is FHIR JSON; 415 for another type."""
    check_type(request, _JSON_TYPES)
    return await request.body()


def check_accept(request: HttpRequest) -> None:
    """End the request with 406 if the caller takes no JSON."""
    accepted = Accepted(request)
    is_taken = accepted.takes(FHIR_JSON) or any("json" in one for one in accepted.named)
    if "json" not in request.query_params.get("_format", "json") or not is_taken:
        raise ProblemError(406, "not_acceptable", f"Answers are {FHIR_JSON} only.")


def read_asked(body: bytes, query: Mapping[str, str]) -> Asked:
    """A body that is a Bundle, or Parameters with `data` bundles; other parameters may stand in either place.

    Raises DataError `unreadable` or `no_patient`, and RequestError for parameters that are not known or given twice.
    """
    try:
        read = decode(_Body, body)
    except UNREADABLE:
        raise DataError("unreadable", "the body is no FHIR resource in JSON that can be read") from None
    values = _checked([(name, text) for name, text in query.items()])
    if read.resource_type != "Parameters":
        return Asked([body], values)
    data = [bytes(one.resource) for one in read.parameter if one.name == "data"]
    if not any(data):
        raise DataError("no_patient", "Parameters without `data`: add the patient's record as a Bundle")
    given = [(one.name, one.text) for one in read.parameter if one.name != "data"]
    return Asked(data, _checked([*given, *values.items()]))


def _checked(given: list[tuple[str, str]]) -> dict[str, str]:
    values: dict[str, str] = {}
    for name, text in given:
        if name in _WITHOUT_MEANING:
            continue
        if name not in OWN:
            raise RequestError("invalid_request", f"a parameter is not known; known: data, {', '.join(OWN)}")
        if name in values:
            raise RequestError("invalid_request", f"the parameter {name} is given twice")
        if not text:
            raise RequestError("invalid_request", f"the parameter {name} needs a value of type {OWN[name][0]}")
        values[name] = text
    return values


def read_request(values: Mapping[str, str], dose: Dose, now: datetime, zone: str) -> Request:
    """The question put to the core. Raises RequestError that names the parameter, never what was sent."""
    at, start = (_time(values, name) for name in ("at", "start"))
    try:
        return Request(
            at=at or now,
            stage=_stage(values.get("stage", "screening")),
            start=start,
            zone=_zone(values.get("zone", zone)),
            dose_level=_level(values.get("doseLevel"), dose),
        )
    except ValueError as error:
        raise RequestError("invalid_request", "at and start lie between the years 1900 and 2200") from error


def _time(values: Mapping[str, str], name: str) -> datetime | None:
    if name not in values:
        return None
    try:
        moment = datetime.fromisoformat(values[name])
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise RequestError("invalid_request", f"{name}: a time with its zone, like {_EXAMPLE}")
    return moment


def _stage(text: str) -> Stage:
    for known in STAGES:
        if known == text:
            return known
    raise RequestError("invalid_request", f"stage: one of {', '.join(STAGES)}")


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ValueError, OSError, ZoneInfoNotFoundError):
        raise RequestError("invalid_request", "zone: an IANA time zone, like Asia/Shanghai") from None
    return name


def _level(text: str | None, dose: Dose) -> Decimal | None:
    if text is None:
        return None
    try:
        level = Decimal(text)
    except ArithmeticError:
        level = None
    if level is None or not level.is_finite() or choose_level(dose, level)[0] == "refused":
        raise RequestError("invalid_request", f"doseLevel: a level of the protocol, {list_levels(dose.levels)}")
    return level


def check_subject(subject: str | None, bundle: PatientBundle) -> None:
    """Raise DataError if the data are not those of the subject that was named, or of that and another id."""
    if not subject:
        return
    bundle.check_is_named_once()
    parts = split_url(without_version(subject))
    identity = parts[2] if parts is not None and parts[1] == "Patient" else subject.removeprefix("urn:uuid:")
    if identity not in (bundle.patient.id, bundle.reference):
        raise DataError("foreign_subject", "the data are not those of the subject that was named")
