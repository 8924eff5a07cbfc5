"""Malformed resources at every JSON door: an answer with reasons or a clear refusal, never a fault of ours.

The forms are those that suites of FHIR parsers collect: primitives of the wrong type, instants that are none, numbers
too long to be meant, shapes where others belong, doubled keys, broken text.
"""

from __future__ import annotations

import json

import pytest
from starlette.testclient import TestClient

from tests.web.cds.calls import SERVICE, URL, call, entry_of

PATIENT = b'{"resourceType":"Patient","id":"p","birthDate":"1962-03-14"}'
PLATELETS = (
    b'{"resourceType":"Observation","id":"o","status":"final","subject":{"reference":"Patient/p"},'
    b'"effectiveDateTime":"2020-04-06T09:00:00Z","code":{"coding":[{"system":"http://loinc.org","code":"777-3"}]},'
    b'"valueQuantity":{"value":40,"unit":"10*9/L"}}'
)
READ = b'"value":40'
# What stands in place of a part of the observation.
CHANGES: dict[str, tuple[bytes, bytes]] = {
    "number as text": (READ, b'"value":"40"'),
    "number with a sign of its own": (READ, b'"value":"+40"'),
    "truth for a number": (READ, b'"value":true'),
    "number of many digits": (READ, b'"value":' + b"4" * 5000),
    "number of great size": (READ, b'"value":1e400'),
    "list for a number": (READ, b'"value":[40]'),
    "two values": (READ, b'"value":40,"value":400'),
    "a day that does not exist": (b"2020-04-06T09", b"2020-02-30T09"),
    "an hour that does not exist": (b"T09:00", b"T24:30"),
    "a zone that does not exist": (b"00Z", b"00+99:99"),
    "year 0": (b"2020-04-06T09", b"0000-04-06T09"),
    "year 9999": (b"2020-04-06T09:00:00Z", b"9999-12-31T23:59:59-14:00"),
    "a number for a time": (b'"2020-04-06T09:00:00Z"', b"20200406"),
    "nothing for a code": (b'{"coding":[{"system":"http://loinc.org","code":"777-3"}]}', b"null"),
    "nothing in a list": (b'[{"system":"http://loinc.org","code":"777-3"}]', b"[null]"),
    "an object for a list": (b'[{"system"', b'{"0":[{"system"'),
    "an unknown status": (b'"final"', b'"done"'),
    "a control character": (b"10*9/L", b"10*9/L\x00"),
    "bytes that are no text": (b"10*9/L", b"10*9/L\xff\xfe"),
    "half a surrogate": (b"10*9/L", b"10*9/L\\ud800"),
    "a type that is none": (b'"Observation"', b'"Observation\\u0000"'),
    "no type": (b'"resourceType":"Observation"', b'"resource_type":"Observation"'),
    "deep nesting": (READ, b'"value":40,"extension":' + b"[" * 2000 + b"]" * 2000),
}
EMPTY = (b"", b"{", b"null", b"[]", b'""', b"{}", b"\xef\xbb\xbf{}", b'{"resourceType":null}', b'{"resourceType":[]}')


def bundle(observation: bytes) -> bytes:
    entries = b",".join(b'{"resource":' + one + b"}" for one in (PATIENT, observation))
    return b'{"resourceType":"Bundle","type":"collection","entry":[' + entries + b"]}"


def statuses(client: TestClient, content: bytes) -> list[int]:
    """What the REST, FHIR and batch doors make of some bytes."""
    replies = [
        client.post("/api/v1/assess", content=content, headers={"content-type": "application/json"}),
        client.post("/api/v1/assess/batch", content=content, headers={"content-type": "application/x-ndjson"}),
    ]
    for name in ("$apply", "$assess"):
        address = f"/fhir/PlanDefinition/{SERVICE}/{name}"
        replies.append(client.post(address, content=content, headers={"content-type": "application/fhir+json"}))
    return [one.status_code for one in replies]


def test_the_observation_as_it_should_be_is_read(client: TestClient) -> None:
    """What is changed below is read without the change."""
    answer = client.post("/api/v1/assess", content=bundle(PLATELETS), headers={"content-type": "application/json"})
    assert any(one["as_received"] == "40 10*9/L" for each in answer.json()["criteria"] for one in each["evidence"])


@pytest.mark.parametrize("name", CHANGES)
def test_a_malformed_resource_is_answered_or_refused(client: TestClient, name: str) -> None:
    old, new = CHANGES[name]
    changed = PLATELETS.replace(old, new)
    assert changed != PLATELETS
    assert set(statuses(client, bundle(changed))) <= {200, 422}
    prefetch = dict.fromkeys(entry_of(client)["prefetch"])
    body = json.dumps(
        call(prefetch | {"patient": "PATIENT", "observation1": "OBSERVATION"}, context={"patientId": "p"})
    )
    written = body.encode().replace(b'"PATIENT"', PATIENT).replace(b'"OBSERVATION"', changed)
    reply = client.post(URL, content=written, headers={"content-type": "application/json"})
    assert reply.status_code in {200, 400, 412}


@pytest.mark.parametrize("content", EMPTY, ids=repr)
def test_what_is_no_record_is_refused(client: TestClient, content: bytes) -> None:
    rest, batch, *fhir = statuses(client, content)
    assert {rest, *fhir} == {422}
    assert batch == 200  # the line says what is wrong with it
