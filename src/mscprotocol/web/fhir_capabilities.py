"""What the FHIR door offers, as a CapabilityStatement and OperationDefinitions."""

from __future__ import annotations

from datetime import datetime

from fhir_adapters.writing import CANONICAL, FHIR_VERSION, SOFTWARE, Json, element, resource, software_version
from mscprotocol.settings import Settings
from mscprotocol.web.fhir_requests import OWN
from mscprotocol.web.problems import FHIR_JSON

_STANDARD_APPLY = "http://hl7.org/fhir/OperationDefinition/PlanDefinition-apply"
SEARCHES = {"_id": "token", "url": "uri"}
# Each type with its operations; all can be read and searched.
TYPES: dict[str, tuple[str, ...]] = {
    "Library": (),
    "OperationDefinition": (),
    "PlanDefinition": ("apply", "assess", "data-requirements"),
    "Questionnaire": (),
}
_OPERATIONS = {
    "apply": ("Apply", "CarePlan", "A draft CarePlan: activities for an eligible patient only, else what is missing."),
    "assess": ("Assess", "Bundle", "The whole answer: CarePlan, RiskAssessment, ResearchSubject and Provenance."),
    "data-requirements": ("DataRequirements", "Library", "The data that a protocol reads."),
}


def write_capabilities(settings: Settings, base: str, at: datetime) -> Json:
    """The CapabilityStatement of this server; `base` is the address of its FHIR door."""
    needs = "OAuth 2.0 bearer tokens (SMART backend services) or API keys" if settings.authentication != "off" else ""
    return resource(
        "CapabilityStatement",
        "mscprotocol: protocols and their rules as definitions, and what they say about a patient.",
        id=SOFTWARE,
        status="active",
        date=at.isoformat(),
        kind="instance",
        software={"name": SOFTWARE, "version": software_version()},
        implementation={"description": "Research pre-screening; it decides nothing for a clinician", "url": base},
        fhirVersion=FHIR_VERSION,
        format=[FHIR_JSON, "json"],
        rest=[
            element(
                mode="server",
                documentation="Records of patients are read from the request; they cannot be searched for here.",
                security=element(description=needs),
                resource=[_type(name, operations) for name, operations in TYPES.items()],
            )
        ],
    )


def _type(name: str, operations: tuple[str, ...]) -> Json:
    return element(
        type=name,
        interaction=[{"code": "read"}, {"code": "search-type"}],
        searchParam=[{"name": one, "type": kind} for one, kind in SEARCHES.items()],
        operation=[{"name": one, "definition": _address(f"{name}-{one}")} for one in operations],
    )


def _address(identity: str) -> str:
    return f"{CANONICAL}/OperationDefinition/{identity}"


def write_operations() -> dict[str, Json]:
    """The OperationDefinitions by their ids."""
    made = [_operation(kind, code) for kind, codes in TYPES.items() for code in codes]
    return {one["id"]: one for one in made}


def _operation(kind: str, code: str) -> Json:
    name, answer, text = _OPERATIONS[code]
    takes_data = code != "data-requirements"
    parameters = [_data(), *(_parameter(one) for one in OWN)] if takes_data else []
    back = {"name": "return", "use": "out", "min": 1, "max": "1", "type": answer}
    return resource(
        "OperationDefinition",
        text,
        id=f"{kind}-{code}",
        url=_address(f"{kind}-{code}"),
        version=software_version(),
        name=name,
        status="active",
        kind="operation",
        # An assessment is stored, with an entry in the audit trail.
        affectsState=takes_data,
        description=text,
        code=code,
        base=_STANDARD_APPLY if code == "apply" else None,
        resource=[kind],
        system=False,
        type=False,
        instance=True,
        parameter=[*parameters, back],
    )


def _data() -> Json:
    text = "The patient's record; a Bundle may also be the whole body."
    return {"name": "data", "use": "in", "min": 1, "max": "*", "documentation": text, "type": "Bundle"}


def query_parameters() -> list[Json]:
    """The same parameters as OpenAPI describes those of a query."""
    return [
        {"name": name, "in": "query", "required": False, "description": text, "schema": {"type": "string"}}
        for name, (_, text) in OWN.items()
    ]


def _parameter(name: str) -> Json:
    kind, text = OWN[name]
    return {"name": name, "use": "in", "min": 0, "max": "1", "documentation": text, "type": kind}
