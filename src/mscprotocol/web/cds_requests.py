"""A call of a CDS Hooks service: what hook, of which patient, with which data, and where the rest can be read."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec
from fastapi import Request
from msgspec import Raw

from fhir_adapters.decoding import UNREADABLE, has_doubled_key
from mscprotocol.web.idempotency import digest_request
from mscprotocol.web.media import check_type
from mscprotocol.web.problems import FHIR_JSON, ProblemError

T = TypeVar("T")
# The hooks of every service, with what each context must hold besides user and patient (CDS Hooks library, 1.0).
HOOKS: dict[str, tuple[str, ...]] = {
    "patient-view": (),
    "encounter-start": ("encounterId",),
    "order-sign": ("draftOrders",),
}
# What a call may be answered with besides 200, always with an OperationOutcome.
ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"description": text, "content": {FHIR_JSON: {"schema": {"type": "object", "required": ["resourceType"]}}}}
    for status, text in (
        (400, "The call cannot be read; the OperationOutcome names the field"),
        (401, "No token, or one that proves nothing"),
        (403, "Without a login: another host name than this machine's"),
        (404, "No such service"),
        (412, "Data that the rules need neither came nor can be fetched"),
        (413, "The body is too large"),
        (415, "Not JSON"),
        (429, "Too many requests"),
        (503, "It took longer than the service allows: `Retry-After` says how long to wait"),
    )
}
_ID = re.compile(r"[A-Za-z0-9.-]{1,64}")
_USER = re.compile(r"(Practitioner|PractitionerRole|Patient|RelatedPerson)/[A-Za-z0-9.-]{1,64}")
_UUID = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
# What makes two calls the same; a token may have been renewed between them, but not what it allows and to whom.
_SAME = ("hook", "hookInstance", "context", "prefetch", "fhirServer")
_SAME_ACCESS = ("scope", "subject", "patient")


@dataclass(frozen=True)
class HookCall:
    """One call. `prefetch` holds each value as it came; a key that is not there was not supplied."""

    hook: str
    instance: str
    patient_id: str
    prefetch: dict[str, Raw]
    draft_orders: Raw | None
    server: str | None
    token: str | None
    sha256: str


async def read_json_body(request: Request) -> bytes:
    """The body of a request that is JSON; 415 for another type."""
    check_type(request, ("application/json",))
    return await request.body()


def read_call(body: bytes) -> HookCall:
    """A call from its body. Raises ProblemError 400 that names the field, never what was sent."""
    refuse_doubled_keys(body)
    fields = _decode(body, dict[str, Raw], "the body is an object")
    hook = _field(fields, "hook", str)
    if hook not in HOOKS:
        raise bad(f"hook is one of {', '.join(HOOKS)}")
    instance = _field(fields, "hookInstance", str)
    if not _UUID.fullmatch(instance):
        raise bad("hookInstance is a UUID")
    context = _field(fields, "context", dict[str, Raw])
    server, token = _access(fields)
    access = _optional(fields, "fhirAuthorization", dict[str, Raw]) or {}
    same = [bytes(found.get(name, b"")) for found, names in ((fields, _SAME), (access, _SAME_ACCESS)) for name in names]
    return HookCall(
        hook=hook,
        instance=instance,
        patient_id=_patient(context, hook),
        prefetch=_optional(fields, "prefetch", dict[str, Raw]) or {},
        draft_orders=context.get("draftOrders") if hook == "order-sign" else None,
        server=server,
        token=token,
        sha256=digest_request(same),
    )


def bad(text: str) -> ProblemError:
    """What is wrong with a request, in words that quote nothing of it."""
    return ProblemError(400, "bad_request", text)


def refuse_doubled_keys(body: bytes) -> None:
    """Raise ProblemError 400 for what is no JSON, or has an object that says two things under one name."""

    try:
        doubled = has_doubled_key(body)
    except UNREADABLE:
        raise bad("the body is no JSON that can be read") from None
    if doubled:
        raise bad("an object has the same key twice")


def _patient(context: dict[str, Raw], hook: str) -> str:
    patient = _field(context, "patientId", str)
    if not _ID.fullmatch(patient):
        raise bad("context.patientId is the id of a Patient, without its type")
    if not _USER.fullmatch(_field(context, "userId", str)):
        raise bad("context.userId is written [Type]/[id], like Practitioner/123")
    for name in HOOKS[hook]:
        if not (_field(context, name, dict[str, Raw]) if name == "draftOrders" else _field(context, name, str)):
            raise bad(f"context.{name} is empty")
    return patient


def _access(fields: dict[str, Raw]) -> tuple[str | None, str | None]:
    """The client's FHIR server and the token for it."""
    server = _optional(fields, "fhirServer", str)
    authorization = _optional(fields, "fhirAuthorization", dict[str, Raw])
    if authorization is None:
        return server, None
    if server is None:
        raise bad("fhirAuthorization needs fhirServer")
    token = _field(authorization, "access_token", str)
    if not token or not token.isascii() or not token.isprintable():
        raise bad("fhirAuthorization.access_token is no bearer token")
    return server, token


def _field(fields: dict[str, Raw], name: str, kind: Callable[..., T]) -> T:
    if name not in fields:
        raise bad(f"{name} is missing")
    decoded: T = _decode(bytes(fields[name]), kind, f"{name} has the wrong type")
    return decoded


def _optional(fields: dict[str, Raw], name: str, kind: Callable[..., T]) -> T | None:
    if name not in fields or bytes(fields[name]) == b"null":
        return None
    return _field(fields, name, kind)


def _decode(content: bytes, kind: Any, text: str) -> Any:
    try:
        return msgspec.json.decode(content, type=kind)
    except UNREADABLE:
        raise bad(text) from None
