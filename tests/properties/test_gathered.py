"""What CDS Hooks gathers is read as the bundle that is stored of it: else an answer would not replay."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import msgspec
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec import Raw

from fhir_adapters.bundle import PatientBundle, read_bundle
from fhir_adapters.cds_prefetch import gather
from mscprotocol.errors import DataError
from tests.one_patient import OnePatient
from tests.properties.test_same_through_every_door import everywhere, not_in_messages

Json = dict[str, Any]
Found = PatientBundle | tuple[str, str]


def _again(one: Json) -> list[Json]:
    return [one, deepcopy(one)]


def _newer(one: Json) -> list[Json]:
    return [
        one,
        one | {"meta": {"versionId": "2", "lastUpdated": "2020-04-06T01:00:00Z"}, "status": "entered-in-error"},
    ]


def _disputed(one: Json) -> list[Json]:
    return [one, one | {"language": "de"}]


def _foreign(one: Json) -> list[Json]:
    return [one | {"subject": {"reference": "Patient/other"}}]


def _damaged(one: Json) -> list[Json]:
    return [one | {"code": "text", "status": 5}]


def _nameless(one: Json) -> list[Json]:
    return [{name: value for name, value in one.items() if name != "id"}]


def _odd(_: Json) -> list[Json]:
    return [{"resourceType": 5}]


def _other(one: Json) -> list[Json]:
    return [one, {"resourceType": "Patient", "id": "other", "birthDate": "1950"}]


CHANGES = (_again, _newer, _disputed, _foreign, _damaged, _nameless, _odd, _other)
changes = st.lists(st.tuples(st.integers(0, 40), st.sampled_from(CHANGES)), max_size=3)


def read(work: Any, *arguments: Any) -> Found:
    try:
        found: PatientBundle = work(*arguments)
    except DataError as error:
        return error.code, str(error)
    return found


@example(facts=[], changed=[], parts=1, urls=True, server=None)
@settings(max_examples=150)
@given(
    facts=st.lists(st.one_of(everywhere, not_in_messages), max_size=12),
    changed=changes,
    parts=st.integers(1, 4),
    urls=st.booleans(),
    server=st.sampled_from((None, "https://ehr.example.org/fhir/")),
)
def test_what_is_gathered_is_what_its_bundle_holds(
    facts: list[Any], changed: list[tuple[int, Any]], parts: int, urls: bool, server: str | None
) -> None:
    resources = OnePatient(*facts).fhir.resources
    for anywhere, change in changed:
        place = anywhere % len(resources)
        resources = [*resources[:place], *change(resources[place]), *resources[place + 1 :]]
    entries: list[Json] = [{"resource": one} for one in resources]
    if urls:
        entries = [one | {"fullUrl": f"urn:uuid:{n:032x}"} for n, one in enumerate(entries)]
    pieces: dict[str, list[Json]] = {}
    for n, one in enumerate(entries):
        kind = one["resource"]["resourceType"]
        pieces.setdefault(f"{kind if isinstance(kind, str) else 'Patient'}?{n % parts}", []).append(one)
    bundles = {key: {"resourceType": "Bundle", "type": "searchset", "entry": these} for key, these in pieces.items()}
    given_ = {key: Raw(msgspec.json.encode(one)) for key, one in bundles.items()}
    gathered = gather({key: key for key in given_}, "p", given_, None, server)
    assert read(gathered.patient) == read(read_bundle, gathered.bundle)
