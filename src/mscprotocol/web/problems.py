"""Errors in the caller's own language: OperationOutcome where FHIR is spoken, RFC 9457 problems elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from fhir_adapters.writing import error_outcome
from mscprotocol.errors import DataError, MscProtocolError, RequestError
from mscprotocol.web import metrics
from mscprotocol.web.pages.layout import render_page

PROBLEM_JSON, FHIR_JSON = "application/problem+json", "application/fhir+json"

# How each code of ours is said over HTTP, and as an issue type of FHIR.
_STATUS = {"too_large": 413, "unknown_protocol": 404, "not_found": 404, "unauthorized": 401, "forbidden": 403,
           "too_many_requests": 429, "timeout": 503, "conflict": 409, "unsupported_media_type": 415,
           "bad_request": 400, "precondition_failed": 412, "gate_closed": 409, "dose_unchecked": 409,
           "not_as_checked": 409, "binding": 409, "unsigned": 403}  # fmt: skip
_ISSUE = {400: "invalid", 401: "login", 403: "forbidden", 404: "not-found", 405: "not-supported",
          406: "not-supported", 409: "conflict", 410: "deleted",
          412: "incomplete", 413: "too-long", 415: "not-supported", 422: "processing", 429: "throttled",
          503: "timeout"}  # fmt: skip
UNPROCESSABLE = 422
# What the web framework finds wrong, for people.
_IN_WORDS = {
    404: ("not_found", "There is no page at this address: it was mistyped, or what it led to is not here."),
    405: ("not_possible", "This address takes no such request: open the page that leads here, and use its buttons."),
    413: ("too_large", "What was sent is larger than this service takes."),
}
_PROGRAMS = ("/api/", "/fhir", "/cds-services", "/static/", "/metrics", "/healthz", "/readyz")


class ProblemError(MscProtocolError):
    """A request that ends with an error of its own."""

    def __init__(self, status: int, code: str, text: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(text)
        self.status, self.code, self.text, self.headers = status, code, text, headers


def status_of(error: DataError | RequestError) -> int:
    """The status of an error of ours over HTTP."""
    return _STATUS.get(error.code, UNPROCESSABLE)


def speaks_fhir(request: Request) -> bool:
    """Whether the caller speaks FHIR: by the door, or by what it sent or asks for."""
    if getattr(request.state, "is_fhir", False):
        return True
    named = " ".join((request.headers.get("content-type", ""), request.headers.get("accept", "")))
    return request.url.path.startswith("/fhir") or FHIR_JSON in named


def is_for_reading(request: Request) -> bool:
    """Whether a person asked, in a browser, for a page."""
    is_program = request.url.path.startswith(_PROGRAMS) or speaks_fhir(request)
    return not is_program and "text/html" in request.headers.get("accept", "")


def render(request: Request, status: int, code: str, text: str, headers: Mapping[str, str] | None = None) -> Response:
    """An error as a response. `text` never repeats what was sent."""
    if is_for_reading(request):
        response = render_page(request, "error", status, title=code.replace("_", " ").capitalize(), text=text)
        response.headers.update(headers or {})
        return response
    if speaks_fhir(request) or request.url.path.startswith("/cds-services"):
        return JSONResponse(outcome(status, code, text), status, headers, FHIR_JSON)
    body = {"type": "about:blank", "title": code.replace("_", " "), "status": status, "code": code, "detail": text}
    return JSONResponse(body, status, headers, PROBLEM_JSON)


def outcome(status: int, code: str, text: str) -> dict[str, Any]:
    """An OperationOutcome with one issue."""
    return error_outcome(code, text, _ISSUE.get(status, "exception"))


def install(app: FastAPI) -> None:
    """Turn every error that is raised on purpose into one clear answer; defects of ours are the middleware's."""
    app.add_exception_handler(ProblemError, _problem)
    app.add_exception_handler(DataError, _data_error)
    app.add_exception_handler(RequestError, _data_error)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http_error)


async def _problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, ProblemError)
    return render(request, error.status, error.code, error.text, error.headers)


async def _data_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, DataError | RequestError)
    metrics.count_failure(request.url.path, error.code)
    return render(request, status_of(error), error.code, str(error))


async def _invalid(request: Request, error: Exception) -> Response:
    """Name the fields, never their values."""
    assert isinstance(error, RequestValidationError)
    skipped = 1 if is_for_reading(request) else 0  # where in the request it stands is of use to programs only
    found = "; ".join(f"{'.'.join(map(str, one['loc'][skipped:]))}: {one['msg']}" for one in error.errors()[:5])
    return render(request, UNPROCESSABLE, "invalid_request", found)


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code, text = "http_error", str(error.detail)
    if is_for_reading(request):
        code, text = _IN_WORDS.get(error.status_code, (code, text))
    return render(request, error.status_code, code, text, error.headers)
