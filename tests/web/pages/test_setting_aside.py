"""A single value of an HL7 v2 upload is set aside on the screening page, as one of FHIR is."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from sqlalchemy import select
from starlette.testclient import TestClient

from mscprotocol.service import Service
from mscprotocol.store.subjects import NewEntry
from mscprotocol.store.tables import StoredAssessment, SubjectEntry
from mscprotocol.verification import Kept, verify
from tests.adapters.hl7v2.messages import NOW, adt, oru, result
from tests.patients import severe_and_worsening
from tests.store.people import COORDINATOR, token
from tests.store.test_course import START
from tests.web.pages.subject_page import Page
from tests.web.pages.test_screening import ASKED, draft_of, text, upload, verdict
from tests.web.pages.test_signed_corrections import people

LOW = result("21", code="777-3^Platelets^LN", unit="10*9/L")
OTHER = result("98", number=2)
AGAIN = {"d.platelets.0.value": "210", "d.platelets.0.unit": "10*9/L", "d.platelets.0.at": "2020-04-06T16:00"}


def answer(client: TestClient, draft: str, **more: str) -> str:
    return text(client.post("/screening/result", data=ASKED | {"draft": draft} | more).text)


def save(client: TestClient, token: str, draft: str, **more: str) -> str:
    asked = ASKED | {"at": "2020-04-06T18:00", "draft": draft, "subject": "S-1", "token": token} | more
    return text(client.post("/screening/save", data=asked).text)


def test_a_result_of_a_message_is_set_aside_alone(demo: TestClient, service: Service) -> None:
    content = oru(LOW, OTHER)
    page = upload(demo, content, at="2020-04-06T18:00")
    draft = draft_of(page)
    at = {"at": "2020-04-06T18:00"}
    assert "Set the latest aside because" in text(page)
    assert "Set aside Platelets" not in answer(demo, draft, **at)
    shown = answer(demo, draft, **at, **AGAIN, **{"aside.platelets": "data-wrong"})
    assert "Set aside Platelets : 21 10*9/L" in shown
    assert "The data behind it are wrong or out of date (Dr A. Example)" in shown
    assert "stays: it cannot be marked" not in shown
    assert "Set aside Platelets" not in answer(demo, draft, **at, **AGAIN), "it stands again where no reason is chosen"

    first = save(demo, "a", draft, **AGAIN, **{"aside.platelets": "data-wrong"})
    why = "set aside: The data behind it are wrong or out of date (Dr A. Example, 2020-04-06T18:00+08:00)"
    assert why in first
    assert why in save(demo, "b", draft_of(upload(demo, content, **at))), "also where the message came again as it was"
    with service.database.reading() as session:
        kept = [one.content for one in session.execute(select(SubjectEntry)).scalars() if one.kind == "bundle"]
        stored = session.execute(select(StoredAssessment)).scalars().all()
        assert {verify(Kept(one), service.knowledge, NOW).outcome for one in stored} == {"same"}
    assert LOW.encode() in kept[0], "it stands where it came"
    assert kept[1] == content


def test_what_goes_with_a_value_is_told(demo: TestClient) -> None:
    """Two results that HL7 does not tell apart are one for it: both go, and both are shown."""
    draft = draft_of(upload(demo, oru(LOW, LOW.replace("|21|", "|210|").replace("OBX|1", "OBX|2"))))
    shown = answer(demo, draft, at="2020-04-06T18:00", **{"aside.platelets": "data-wrong"})
    aside = shown[shown.index("Set aside Platelets") : shown.index("Coagulopathy")]
    assert len(re.findall(r"21 10\*9/L|210 10\*9/L", aside)) == 2


def test_a_diagnosis_of_a_message_is_set_aside_alone(demo: TestClient) -> None:
    content = adt(
        "A08", "PID|1||4711^^^HOSP^MR||Example^Ada||19620314|F", "DG1|1||I26.9^Pulmonary embolism^I10||20200401|F"
    )
    page = upload(demo, content, at="2020-04-06T18:30")
    (name,) = re.findall(r'name="(aside\.[a-z_]+)"', page)
    fields = {"draft": draft_of(page), "at": "2020-04-06T18:30"}
    assert verdict(demo.post("/screening/result", data=ASKED | fields).text) == "Ineligible"
    fields |= {name: "data-wrong"}
    assert verdict(demo.post("/screening/result", data=ASKED | fields).text) != "Ineligible"


@pytest.mark.parametrize("who", ["coordinator", "clinician"])
def test_nobody_but_a_clinician_takes_away_a_reason_of_the_gate(page: Page, who: str) -> None:
    """An export with an exclusion, in which it is set aside, opened the gate of a running course unsigned."""
    ward, client = page.ward, people(page)[who]
    ward.prepare(1)
    tree = json.loads(severe_and_worsening("anna", START.isoformat()).to_json())
    code = {"coding": [{"system": "http://snomed.info/sct", "code": "59282003"}]}
    embolism: dict[str, Any] = {
        "resourceType": "Condition",
        "id": "pe",
        "subject": {"reference": "Patient/anna"},
        "code": code,
    }
    system = "http://terminology.hl7.org/CodeSystem/condition-"
    for name, value in (("verificationStatus", "confirmed"), ("clinicalStatus", "active")):
        what = "ver-status" if value == "confirmed" else "clinical"
        embolism[name] = {"coding": [{"system": f"{system}{what}", "code": value}]}
    tree["entry"].append({"resource": embolism | {"onsetDateTime": "2020-03-20"}})
    content = json.dumps(tree).encode()
    ward.course.subjects.record(ward.subject, NewEntry("bundle", content, token()), COORDINATOR)
    assert "EX-04: unknown" in ward.course.view(ward.subject).gate.because, "a named person has denied it"
    form = ASKED | {"zone": "Europe/Berlin", "at": "", "subject": "S-001", "token": "t"}
    form["draft"] = draft_of(client.post("/screening", data=form, files={"upload": ("export.json", content)}).text)
    reply = client.post("/screening/save", data=form | {"aside.venous_thromboembolism": "data-wrong"})
    is_taken = "EX-04: unknown" not in ward.course.view(ward.subject).gate.because
    assert is_taken == (who == "clinician")
    refusal = re.findall(r"takes away what is against .*?: a clinician saves it", text(reply.text))
    assert ["EX-04: unknown" in one for one in refusal] == ([True] if who == "coordinator" else [])


@pytest.mark.parametrize("who", ["coordinator", "clinician"])
def test_nobody_but_a_clinician_decides_to_go_on(page: Page, who: str) -> None:
    """The event form refused it, the screening form of the same subject took it."""
    ward, client = page.ward, people(page)[who]
    ward.prepare(1)
    form = ASKED | {"zone": "Europe/Berlin", "at": "", "subject": "S-001", "token": "t"}
    for name in ("continue_despite_improvement", "marked_improvement"):
        reply = client.post("/screening/save", data=form | {f"c.{name}.said": "yes"})
        assert ("Only a clinician says that the patient has improved" in text(reply.text)) == (who == "coordinator")
    dated = {"c.continue_despite_improvement.said": "yes", "c.continue_despite_improvement.since": "2020-03-26"}
    reply = client.post("/screening/save", data=form | dated)
    assert ("Only a clinician says that the patient has improved" in text(reply.text)) == (who == "coordinator")
    before = len(ward.course.subjects.chart(ward.subject).entries)
    client.post("/screening/save", data=form | {"c.marked_improvement.said": "no"})
    assert len(ward.course.subjects.chart(ward.subject).entries) == before + 1
    elsewhere = client.post("/screening/save", data=form | {"subject": "S-2", "c.marked_improvement.said": "yes"})
    assert "Only a clinician" not in text(elsewhere.text), "before a course there is nothing to go on with"
