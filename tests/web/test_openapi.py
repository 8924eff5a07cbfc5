"""The OpenAPI description is put to the test: whatever it lets a client send, no reply is a fault of ours."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import content_type_conformance, status_code_conformance

from fhir_adapters.plain_forms import EXAMPLE
from mscprotocol.knowledge import KnowledgeBase
from mscprotocol.service import Service
from mscprotocol.settings import Settings
from mscprotocol.store import clients
from mscprotocol.web.api_description import BUNDLE_EXAMPLE
from mscprotocol.web.app import create_app
from mscprotocol.web.batch import NDJSON
from tests.databases import new_database
from tests.web.cds.calls import SERVICE
from tests.web.conftest import NOW

CHECKS = (not_a_server_error, status_code_conformance, content_type_conformance)
# Lines are opaque to a schema: some that are records, some that are JSON, some that are neither.
_KNOWN = [json.dumps(one).encode() for one in (EXAMPLE, BUNDLE_EXAMPLE, {}, [], None)]
LINES = st.lists(st.sampled_from(_KNOWN) | st.binary(max_size=40), max_size=4).map(b"\n".join)
for kind in NDJSON:
    schemathesis.openapi.media_type(kind, LINES)
# Without a login other names than those of this machine are refused.
LOCAL = {"host": "127.0.0.1"}
SETTINGS = settings(
    max_examples=10,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@dataclass(frozen=True)
class Described:
    """The description of an application, and the key of a client that may do everything."""

    schema: Any
    key: str


@pytest.fixture(scope="module")
def described(knowledge: KnowledgeBase, tmp_path_factory: pytest.TempPathFactory) -> Described:
    # A file, because a database in memory ends with each run of the application.
    url = f"sqlite:///{tmp_path_factory.mktemp('openapi')}/store.sqlite3"
    service = Service(knowledge, new_database(url), clock=lambda: NOW)
    app = create_app(Settings(database_url=url, requests_per_minute=0), service)
    with service.database.writing() as session:
        _, key = clients.register(session, NOW, "tester", frozenset(clients.SCOPES))
    assert key is not None
    return Described(schemathesis.openapi.from_asgi("/openapi.json", app), key)


def test_whatever_the_description_allows_is_no_fault_of_ours(described: Described) -> None:
    """No 5xx, no status and no type of content that is not described.

    Run by hand: the plugin of schemathesis asks for an older pytest.
    """
    answered: Counter[int] = Counter()
    for found in described.schema.get_all_operations():
        operation = found.ok()

        @SETTINGS
        @given(case=operation.as_strategy(), is_known=st.booleans())
        def behaves(case: Any, is_known: bool) -> None:
            if is_known and "identity" in case.path_parameters:
                case.path_parameters["identity"] = SERVICE
            response = case.call(headers=LOCAL | {"authorization": f"Bearer {described.key}"})
            answered[response.status_code] += 1
            case.validate_response(response, checks=CHECKS)

        behaves()
    assert {200, 400, 404, 422} <= set(answered), "some part of the service was never reached"


def test_without_a_key_nothing_is_a_fault_of_ours_either(described: Described) -> None:
    for found in described.schema.get_all_operations():

        @settings(SETTINGS, max_examples=2)
        @given(case=found.ok().as_strategy())
        def behaves(case: Any) -> None:
            case.call_and_validate(checks=CHECKS, headers=LOCAL)

        behaves()
