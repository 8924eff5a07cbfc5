"""Who may what: every route that there is, for nobody, each role and each scope; a route that no table names fails."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from mscprotocol.service import Service
from mscprotocol.store import clients, users
from tests.web.conftest import CLOSED, NOW, Start
from tests.web.pages.conftest import SAME, LogIn

# Nothing of these is about a patient, or they are how somebody or something proves who it is.
OPEN = {
    "GET /healthz", "GET /readyz", "GET /metrics", "GET /openapi.json", "GET /fhir/metadata",
    "GET /.well-known/smart-configuration", "GET /fhir/.well-known/smart-configuration", "POST /auth/token",
    "GET /static/{name}", "GET /login", "POST /login", "GET /login/provider", "GET /login/back", "POST /logout",
}  # fmt: skip
EVERY_ROLE = frozenset(users.ROLES)
READERS = EVERY_ROLE - {"administrator"}
RECORDERS = frozenset({"coordinator", "clinician"})
PAGES = {
    EVERY_ROLE: ("GET /", "GET /account", "POST /account/password", "GET /session"),
    READERS: (
        "GET /worklist", "GET /worklist.csv", "GET /worklist/sheets", "GET /subjects/{identity}",
        "GET /subjects/{identity}/course", "GET /subjects/{identity}/course.ics",
        "GET /subjects/{identity}/entries/{entry}", "GET /assessments/{identity}",
        "GET /assessments/{identity}/checklist", "GET /assessments/{identity}/checklist.pdf",
    ),
    RECORDERS: (
        "GET /screening", "POST /screening", "POST /screening/result", "POST /screening/save",
        "POST /subjects/{identity}/course", "POST /subjects/{identity}/course/assessment",
        "POST /subjects/{identity}/course/{action}", "POST /subjects/{identity}/entries/{entry}",
        "POST /subjects/{identity}/entries/{entry}/charted", "POST /subjects/{identity}/entries/{entry}/{what}",
    ),
    frozenset({"clinician"}): ("POST /assessments/{identity}/sign-off",),
    frozenset({"auditor", "administrator"}): ("GET /audit",),
}  # fmt: skip
PROGRAMS = {
    "assess": (
        "POST /api/v1/assess", "POST /api/v1/assess/batch", "POST /fhir/PlanDefinition/{identity}/$apply",
        "POST /fhir/PlanDefinition/{identity}/$assess",
    ),
    "read": (
        "GET /api/v1/assessments/{identity}", "GET /api/v1/assessments/{identity}/checklist", "GET /api/v1/protocols",
        "GET /api/v1/protocols/{identity}", "GET /api/v1/rules", "GET /api/v1/rules/{identity}",
        "GET /api/v1/rulebase", "GET /fhir/PlanDefinition/{identity}/$data-requirements", "GET /fhir/Library",
        "GET /fhir/Library/{identity}", "GET /fhir/OperationDefinition", "GET /fhir/OperationDefinition/{identity}",
        "GET /fhir/PlanDefinition", "GET /fhir/PlanDefinition/{identity}", "GET /fhir/Questionnaire",
        "GET /fhir/Questionnaire/{identity}", "GET /cds-feedback",
    ),
}  # fmt: skip
# Their callers are issuers of tokens, which no key of ours opens; and an address that only says how it is to be asked.
ISSUERS = {"GET /cds-services", "POST /cds-services/{identity}", "POST /cds-services/{identity}/feedback"}
EXPLAINED = {"GET /fhir/PlanDefinition/{identity}/$apply"}

OF_PAGES = {route: roles for roles, routes in PAGES.items() for route in routes}
OF_PROGRAMS = {route: scope for scope, routes in PROGRAMS.items() for route in routes}


@pytest.fixture
def nobody(start: Start) -> TestClient:
    """A browser of this service in which nobody is logged in."""
    client = start(**CLOSED)
    client.headers.update(SAME)
    return client


def routes_of(found: Any) -> Iterator[str]:
    for route in found:
        if hasattr(route, "methods"):
            yield from (f"{method} {route.path}" for method in route.methods - {"HEAD"})
        else:
            yield from routes_of(route.original_router.routes)


def ask(client: TestClient, route: str) -> Any:
    """Ask for a route as one who knows its form, with ids that are of nothing."""
    method, path = route.split(" ")
    for name in ("identity", "entry", "action", "what"):
        path = path.replace(f"{{{name}}}", "none")
    if route in OF_PAGES:
        return client.request(method, path, follow_redirects=False)
    fhir = path.startswith("/fhir") or path.endswith("/batch")
    kind = {"accept": "*/*", "content-type": "application/fhir+json" if fhir else "application/json"}
    return client.request(method, path, headers=kind, content=b"{}" if method == "POST" else None)


def test_every_route_is_in_a_table(nobody: TestClient) -> None:
    app: Any = nobody.app
    known = [*OPEN, *OF_PAGES, *OF_PROGRAMS, *ISSUERS, *EXPLAINED]
    assert len(known) == len(set(known))
    assert set(routes_of(app.routes)) == set(known)


def test_nobody_gets_any_further_than_the_login(nobody: TestClient) -> None:
    for route in OF_PAGES:
        reply = ask(nobody, route)
        assert (reply.status_code, reply.headers["location"].partition("?")[0]) == (303, "/login"), route
    for route in (*OF_PROGRAMS, *ISSUERS):
        assert ask(nobody, route).status_code == 401, route
    assert ask(nobody, *EXPLAINED).status_code == 405


@pytest.mark.parametrize("role", users.ROLES)
def test_a_role_gets_to_its_own_pages_and_to_no_program_s_door(as_role: LogIn, role: str) -> None:
    person = as_role(role)
    for route, roles in OF_PAGES.items():
        assert (ask(person, route).status_code == 403) == (role not in roles), route
    assert {ask(person, route).status_code for route in OF_PROGRAMS} == {401}


@pytest.mark.parametrize("scope", clients.SCOPES)
def test_a_key_opens_the_doors_of_its_scope_and_no_page(nobody: TestClient, service: Service, scope: str) -> None:
    with service.database.writing() as session:
        _, key = clients.register(session, NOW, scope, frozenset({scope}))
    nobody.headers["authorization"] = f"Bearer {key}"
    for route, wanted in OF_PROGRAMS.items():
        assert (ask(nobody, route).status_code == 403) == (scope != wanted), route
    assert {ask(nobody, route).status_code for route in OF_PAGES} == {303}
    assert {ask(nobody, route).status_code for route in ISSUERS} == {401}


def test_a_change_that_another_site_sends_is_refused_at_every_page(as_role: LogIn) -> None:
    person = as_role(*users.ROLES)
    person.headers["sec-fetch-site"] = "cross-site"
    changes = [route for route in {*OF_PAGES, "POST /login", "POST /logout"} if route.startswith("POST")]
    assert {person.request(*route.split(" "), follow_redirects=False).status_code for route in changes} == {403}
    assert person.get("/account", follow_redirects=False).status_code == 200
