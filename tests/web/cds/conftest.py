"""A client of the CDS Hooks door, and a small FHIR server of our own on a real socket."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from tests.web.cds.calls import Json, prefetch_of, resources_of

TOKEN = "a-token-of-the-client"
NOT_HELD = {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "not-found"}]}


@pytest.fixture
def prefetch(client: TestClient) -> Json:
    return prefetch_of(client, "eligible")


@dataclass
class FhirServer:
    """Answers reads and paged searches about one sample; `fault` is what goes wrong on the second page.

    `instead` answers everything.
    """

    address: str = ""
    resources: list[Json] = field(default_factory=lambda: resources_of("eligible"))
    not_held: tuple[str, ...] = ()
    fault: str = ""
    instead: Json | None = None
    asked: list[str] = field(default_factory=list)
    tokens: set[str] = field(default_factory=set)

    def answer(self, request: Request) -> Response:
        self.asked.append(request.path_params["path"])
        self.tokens.add(request.headers.get("authorization", ""))
        kind, _, identity = request.path_params["path"].partition("/")
        found = [one for one in self.resources if one["resourceType"] == kind]
        if self.instead is not None:
            return JSONResponse(self.instead)
        if kind in self.not_held:
            return JSONResponse(NOT_HELD, 404)
        if identity:
            return JSONResponse(found[0]) if found else JSONResponse(NOT_HELD, 404)
        named = request.query_params.get("_id")
        found = found if named is None else [one for one in found if one["id"] in named.split(",")]
        return self._page(request, self._coded(found, request.query_params.get("code")))

    @staticmethod
    def _coded(found: list[Json], codes: str | None) -> list[Json]:
        if codes is None:
            return found
        wanted = set(codes.split(","))
        return [one for one in found if wanted & {f"{c['system']}|{c['code']}" for c in one["code"]["coding"]}]

    def _page(self, request: Request, found: list[Json], size: int = 3) -> Response:
        number = int(request.query_params.get("page", 0))
        if number and self.fault:
            return self._fail()
        page: dict[str, Any] = {"resourceType": "Bundle", "type": "searchset", "total": len(found)}
        page["entry"] = [{"resource": one} for one in found[number * size : (number + 1) * size]]
        if len(found) > (number + 1) * size:
            url = str(request.url.include_query_params(page=number + 1))
            page["link"] = [{"relation": "next", "url": self._misled(url)}]
        return JSONResponse(page)

    def _misled(self, url: str) -> str:
        return {"elsewhere": "http://127.0.0.1:9/fhir/Observation", "circle": url.replace("page=1", "page=0")}.get(
            self.fault, url
        )

    def _fail(self) -> Response:
        if self.fault == "redirect":
            return RedirectResponse("http://127.0.0.1:9/")
        if self.fault == "no FHIR":
            return JSONResponse([])
        return JSONResponse({}, 500)


@pytest.fixture
def fhir() -> Iterator[FhirServer]:
    fake = FhirServer()
    app = Starlette(routes=[Route("/fhir/{path:path}", fake.answer)])
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    fake.address = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/fhir"
    yield fake
    server.should_exit = True
    thread.join()
