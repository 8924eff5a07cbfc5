"""The form of a protocol as a Questionnaire: each item by the id of what its answer attests or measures."""

from __future__ import annotations

from collections.abc import Iterator

from fhir_adapters.requirements import conditions_of, measurements_of
from fhir_adapters.writing import (
    CANONICAL,
    DATUM,
    TERMINOLOGY,
    Json,
    coding,
    element,
    known_coding,
    resource,
    rules_version,
)
from mscprotocol.codes import CodeSystem
from mscprotocol.data_dictionary import Condition, Measurement
from mscprotocol.protocols import Criterion
from mscprotocol.rulebook import Rulebook
from mscprotocol.units import is_unitless

_UNIT_OPTION = "http://hl7.org/fhir/StructureDefinition/questionnaire-unitOption"
_ANSWERS = [
    {"valueCoding": coding(f"{TERMINOLOGY}/v2-0532", code, display)}
    for code, display in (("Y", "Yes"), ("N", "No"), ("UNK", "Unknown"))
]
_GROUPS = {
    "criteria": "Answers of a named clinician to whole criteria; yes means that what the criterion describes is there",
    "findings": "What is there and what is not",
    "bedside": "Measured or seen at the bedside",
    "lot": "The product lot, as on its certificate",
}


def write_questionnaire(book: Rulebook) -> Json:
    """The Questionnaire of a protocol.

    A response to it is read as attestations and attested values; an item left out stays open, as one answered unknown.
    """
    protocol = book.protocol
    found = measurements_of(book)
    items = {
        "criteria": [_criterion(name, one) for name, one in book.criteria if one.attestable],
        "findings": [_condition(name, one) for name, one in conditions_of(book).items() if one.attestable],
        "bedside": [_measurement(name, one) for name, one in _bedside(book)],
        "lot": [_measurement(name, one) for name, one in found.items() if one.about == "product"],
    }
    return resource(
        "Questionnaire",
        f"Form for the protocol {protocol.id}: {protocol.title}",
        id=protocol.id,
        url=f"{CANONICAL}/Questionnaire/{protocol.id}",
        version=rules_version(protocol.version, book.knowledge.sha256),
        name=machine_name(protocol.id, "Form"),
        title=f"Answers for the protocol: {protocol.title}",
        status="active",
        subjectType=["Patient"],
        description="Each item is named by the datum or criterion that it answers.",
        item=[
            {"linkId": f"group:{name}", "type": "group", "text": text, "item": items[name]}
            for name, text in _GROUPS.items()
            if items[name]
        ],
    )


def machine_name(protocol: str, suffix: str = "") -> str:
    """The name of a protocol as programs want it: letters and digits, beginning with a capital."""
    name = "".join(part[:1].upper() + part[1:] for part in protocol.replace(".", "-").split("-"))
    return f"{name}{suffix}"


def _bedside(book: Rulebook) -> Iterator[tuple[str, Measurement]]:
    known = book.knowledge.measurements.items()
    return ((name, one) for name, one in known if one.bedside and one.about == "patient" and one.kind != "derived")


def _criterion(name: str, criterion: Criterion) -> Json:
    return {"linkId": name, "prefix": name, "text": criterion.text, "type": "choice", "answerOption": _ANSWERS}


def _condition(name: str, condition: Condition) -> Json:
    return element(
        linkId=name,
        code=[known_coding(one.code) for one in condition.codes],
        text=condition.text,
        type="choice",
        answerOption=_ANSWERS,
    )


def _measurement(name: str, measurement: Measurement) -> Json:
    codes = [known_coding(one.code) for one in measurement.codes]
    if measurement.about == "product":
        codes.append(coding(DATUM, name, measurement.text))
    return element(linkId=name, code=codes, text=measurement.text, **_form(measurement))


def _form(measurement: Measurement) -> Json:
    """How a datum is entered: one of its answers, a time, a pure number, or a number with one of its units."""
    answers = measurement.levels or tuple(measurement.answers)
    if measurement.kind in ("coded", "ordinal"):
        options = [{"valueCoding": coding(DATUM, one, one.replace("_", " "))} for one in answers]
        return {"type": "choice", "answerOption": options}
    if measurement.kind == "time":
        return {"type": "dateTime"}
    if is_unitless(measurement):
        return {"type": "decimal"}
    units = dict.fromkeys((measurement.unit, *measurement.units))
    unit_options = [{"url": _UNIT_OPTION, "valueCoding": coding(CodeSystem.UCUM.value, unit)} for unit in units]
    return {"type": "quantity", "extension": unit_options}
