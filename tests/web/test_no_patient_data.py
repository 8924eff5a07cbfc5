"""A patient marked with unmistakable words goes through every door, errors included: no output may hold a mark.

Searched are all that the processes wrote, the metrics, headers of replies, the bodies of refusals, and the audit trail.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2

from fhir_adapters.mllp import MllpClient
from tests.adapters.hl7v2.messages import header, message
from tests.web.cds.calls import URL, call, entry_of, fill_prefetch
from tests.web.live import LISTEN, SERVE, running

# One word in each place where something about a patient can stand, and a number and a day that nobody else has.
WORDS = ("Zebraname", "Zebraid", "Zebratext", "Zebracode", "Zebranote", "Zebrafield", "Zebraquery", "Zebrapath",
         "Zebratoken", "Zebrakey", "Zebracomment")  # fmt: skip
NUMBER, DAY = "41.73731", "1931-03-17"
MARKS = ("zebra", NUMBER, DAY, DAY.replace("-", ""))
JSON, FHIR = {"content-type": "application/json"}, {"content-type": "application/fhir+json"}
ASSESS, APPLY = "/api/v1/assess", "/fhir/PlanDefinition/seed-covid-4x/$apply"


def resources(patient: str = "Zebraid") -> list[dict[str, Any]]:
    person = {
        "resourceType": "Patient", "id": patient, "birthDate": DAY, "gender": "female",
        "name": [{"family": "Zebraname"}], "identifier": [{"system": "urn:zebra", "value": "Zebraid"}],
    }  # fmt: skip
    return [
        person,
        {
            "resourceType": "Observation", "id": "Zebraid-o", "status": "final",
            "subject": {"reference": f"Patient/{patient}"}, "effectiveDateTime": "2020-04-06T01:00:00Z",
            "code": {"coding": [{"system": "http://loinc.org", "code": "777-3", "display": "Zebratext"}]},
            "valueQuantity": {"value": float(NUMBER), "unit": "Zebracode"}, "note": [{"text": "Zebranote"}],
        },
        {
            "resourceType": "Condition", "id": "Zebraid-c", "subject": {"reference": f"Patient/{patient}"},
            "code": {"text": "Zebratext pneumonia"}, "onsetDateTime": DAY,
        },
    ]  # fmt: skip


def bundle(*more: dict[str, Any]) -> bytes:
    entries = [{"resource": one} for one in (*resources(), *more)]
    return json.dumps({"resourceType": "Bundle", "type": "collection", "entry": entries}).encode()


RECORD: dict[str, Any] = {
    "patient": {"id": "Zebraid", "born": DAY, "name": "Zebraname"},
    "data": [{"name": "platelets", "value": f"{NUMBER} Zebracode", "at": "2020-04-06T01:00:00Z"}],
    "conditions": [{"name": "Zebracode", "status": "Zebratext"}],
    "answers": [{"name": "pregnancy", "answer": "Zebratext", "by": "Zebraname"}],
}
OTHER = {"resourceType": "Patient", "id": "Zebraother", "name": [{"family": "Zebraname"}]}
WRONG_RECORDS = (
    RECORD | {"Zebrafield": 1},
    RECORD | {"patient": {"id": "Zebra id", "born": DAY}},
    RECORD | {"data": [{"name": "platelets", "code": "Zebracode", "value": NUMBER}]},
    RECORD | {"data": "Zebratext"},
    RECORD | {"product": {"lot": "Zebratext", "Zebrafield": "Zebratext"}},
)


def requests(client: httpx2.Client) -> Iterator[httpx2.Response]:
    """Every door, with what is right and with what is wrong in each of its parts."""
    yield client.post(ASSESS, content=bundle(), headers=JSON)
    yield client.post(ASSESS, content=json.dumps(RECORD), headers=JSON)
    yield client.post(
        ASSESS, content=bundle(), headers=JSON | {"idempotency-key": "Zebrakey", "accept": FHIR["content-type"]}
    )
    for wrong in WRONG_RECORDS:
        yield client.post(ASSESS, content=json.dumps(wrong), headers=JSON)
    for content in (
        bundle(OTHER),
        bundle({"resourceType": "Zebratype", "id": "Zebraid"}),
        b'{"Zebrafield": Zebratext',
        b'"Zebratext"',
        bundle()[:-9],
    ):
        yield client.post(ASSESS, content=content, headers=JSON)
        yield client.post(APPLY, content=content, headers=FHIR)
        yield client.post(
            "/api/v1/assess/batch", content=content + b"\n" + bundle(), headers={"content-type": "application/x-ndjson"}
        )
    for query in (
        {"at": "Zebraquery"},
        {"Zebraquery": "1"},
        {"protocol": "Zebraquery"},
        {"stage": "Zebraquery"},
        {"zone": "Zebra/Query"},
        {"dose_level": "Zebraquery"},
    ):
        yield client.post(ASSESS, content=bundle(), headers=JSON, params=query)
        yield client.post(APPLY, content=bundle(), headers=FHIR, params=query | {"subject": "Patient/Zebraquery"})
    yield client.post(ASSESS, content=bundle(), headers={"content-type": "text/zebratext"})
    yield client.post(ASSESS, content=bundle(), headers=JSON | {"authorization": "Bearer Zebratoken"})
    yield client.post(ASSESS, content=b"Zebratext" * 300_000, headers=JSON)
    yield client.get("/api/v1/assessments/Zebrapath", params={"Zebraquery": "Zebraquery"})
    yield client.get("/Zebrapath")
    yield client.request("ZEBRATEXT", ASSESS)
    yield client.post(APPLY, content=bundle(), headers=FHIR)
    yield client.get("/fhir/PlanDefinition/Zebrapath", params={"_id": "Zebraquery"})
    yield from hooks(client)
    yield client.get("/metrics")
    yield client.get("/readyz")


def hooks(client: httpx2.Client) -> Iterator[httpx2.Response]:
    filled = fill_prefetch(entry_of(client)["prefetch"], resources())  # type: ignore[arg-type]
    context = {"patientId": "Zebraid", "userId": "Practitioner/Zebraid"}
    yield client.post(URL, json=call(filled, context=context))
    yield client.post(URL, json=call(filled, context=context | {"patientId": "Zebraother"}))
    yield client.post(URL, json=call(filled, context=context | {"userId": "Zebraname"}))
    yield client.post(URL, json=call(filled | {"patient": "Zebratext"}, context=context))
    yield client.post(URL, json=call({}, context=context, fhirServer="http://zebra.invalid/fhir"))
    yield client.post(
        URL, json=call(filled, "order-sign", context=context | {"draftOrders": {"resourceType": "Zebratype"}})
    )
    yield client.post(URL, content=b'{"Zebrafield": Zebratext}', headers=JSON)
    item = {"card": "Zebraid", "outcome": "overridden", "outcomeTimestamp": "2020-04-06T10:00:00Z"}
    reason = {"overrideReason": {"userComment": "Zebracomment"}}
    yield client.post(f"{URL}/feedback", json={"feedback": [item | reason]})
    yield client.post(f"{URL}/feedback", json={"feedback": [item | {"outcome": "Zebratext", "Zebrafield": 1}]})


PID = f"PID|1||Zebraid^^^HOSP^MR||Zebraname^Ada||{DAY.replace('-', '')}|F"
OBX = f"OBX|1|NM|777-3^Zebratext^LN||{NUMBER}|Zebracode||||F|||20200406010000+0000"
MESSAGES = (
    message(PID, "OBR|1|P1|F1|panel^Zebratext^L", OBX, "NTE|1||Zebranote"),
    message(PID.replace("Zebraid", "Zebraother"), "OBR|1", OBX.replace(NUMBER, "Zebratext"), control="2"),
    message(PID, control="3", kind="ADT^A01"),
    message("PID|1||||Zebraname", control="4", kind="ADT^A01"),
    message(PID.replace("|F", "|M").replace("1931", "1932"), "OBR|1", OBX, control="5"),
    message(PID, control="6", kind="ADT^Z99"),
    message(PID + "|" * 22 + "Y", control="7", kind="ADT^A08"),
    message(PID, "DG1|1||Zebracode^Zebratext^ZZ||Zebratext|F", control="8", kind="ADT^A01"),
    message(PID, control="9", kind="ADT^A01", processing="T"),
    message(PID, control="10", charset="ZEBRATEXT"),
    (header(control="11") + "\rZebratext|Zebratext\r" + PID).encode(),
    b"Zebratext no message",
)


async def send_all(port: int) -> list[bytes]:
    async with MllpClient("127.0.0.1", port) as client:
        return [await client.send(one) for one in MESSAGES]


def marks_in(text: str) -> list[str]:
    return [text[max(0, at - 80) : at + 40] for mark in MARKS if (at := text.lower().find(mark)) >= 0]


def audit_of(database: Path) -> str:
    with sqlite3.connect(database) as connection:
        rows = connection.execute("SELECT actor, action, detail FROM audit_entry").fetchall()
    assert rows
    return json.dumps(rows)


def test_the_marks_are_found_where_they_are(tmp_path: Path) -> None:
    """The search itself can fail: the answer to whom it concerns does hold the patient."""
    assert len(marks_in(bundle().decode())) == 3
    assert marks_in(MESSAGES[0].decode())


def test_no_output_of_the_server_holds_anything_of_a_patient(tmp_path: Path) -> None:
    database = tmp_path / "store.sqlite3"
    settings = {
        "database_url": f"sqlite:///{database}",
        "port": "0",
        "max_body_bytes": "2000000",
        "cds_issuers": "{}",
        "requests_per_minute": "0",
    }
    found: dict[str, list[str]] = {}
    answered = set()
    with running(SERVE, "serve", **settings) as server, httpx2.Client(base_url=server.address, timeout=60) as client:
        for number, reply in enumerate(requests(client)):
            answered.add(reply.status_code)
            what = f"{number} {reply.request.method} {reply.status_code}"
            found[f"{what} headers"] = marks_in(str(reply.headers))
            if reply.status_code != 200 or "metrics" in str(reply.request.url):
                found[what] = marks_in(reply.text)
    found["log"] = marks_in(server.output)
    found["audit trail"] = marks_in(audit_of(database))
    assert {what: where for what, where in found.items() if where} == {}
    assert {200, 400, 401, 404, 412, 413, 415, 422} <= answered
    assert not {status for status in answered if status >= 500}
    assert server.output.count('"event": "request"') > 50


def test_no_output_of_the_listener_holds_anything_of_a_patient(tmp_path: Path) -> None:
    out = tmp_path / "answers.ndjson"
    database = tmp_path / "store.sqlite3"
    options = ("--port", "0", "--production", "--out", str(out), "--database", f"sqlite:///{database}")
    with running(LISTEN, "listen", *options) as server:
        acknowledgements = asyncio.run(send_all(server.port))
    assert {kind for kind in (b"|AA|", b"|AE|", b"|AR|") if any(kind in one for one in acknowledgements)} == {
        b"|AA|",
        b"|AE|",
        b"|AR|",
    }
    assert [marks_in(one.decode()) for one in acknowledgements if marks_in(one.decode())] == []
    assert marks_in(server.output) == []
    assert marks_in(audit_of(database)) == []
    assert "patient assessed" in server.output
    assert "message refused" in server.output
    refusals = [line for line in out.read_text().splitlines() if '"error"' in line]
    assert refusals
    # Whose answer ended is said where answers say whose they are; the text of the error names nobody.
    assert {*json.loads(refusals[0])["patient"]} == {"id"}
    assert [marks_in(json.dumps(json.loads(line)["error"])) for line in refusals if marks_in(line)] == [[]]
