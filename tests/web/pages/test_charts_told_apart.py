"""A chart of others beside an infusion that is recorded here: a person says what it is, and signs where it counts."""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from mscprotocol.course_amendments import amend
from mscprotocol.course_charts import find_doubts, tell_charted
from mscprotocol.course_deviations import deviate
from mscprotocol.course_forms import Charted, Infusion
from mscprotocol.errors import RequestError
from mscprotocol.knowledge_loader import load_knowledge
from mscprotocol.service import Caller
from mscprotocol.store.subjects import NewEntry
from mscprotocol.store.tables import StoredAssessment
from mscprotocol.verification import Kept, verify
from tests.store.people import COORDINATOR, entry, token
from tests.store.test_course import START, Ward, charted
from tests.web.pages.conftest import PASSWORD
from tests.web.pages.subject_page import Page, sign_shown
from tests.web.pages.test_signed_corrections import path_of, people

REFERENCE = "MedicationAdministration/mar-1"


def in_words(started: datetime) -> NewEntry:
    """The same chart with words only, and only the day."""
    new = charted(started)
    tree: Any = json.loads(new.content)
    given = tree["entry"][-1]["resource"]
    given["medicationCodeableConcept"] = {"text": "mesenchymal stem cells"}
    given["effectiveDateTime"] = started.date().isoformat()
    return NewEntry("bundle", json.dumps(tree).encode(), token())


def doubtful(page: Page, new: NewEntry) -> str:
    ward = page.ward
    ward.give(1)
    ward.observe(1, START)
    ward.prepare(2)
    assert ward.course.view(ward.subject).gate.decision == "go"
    ward.course.subjects.record(ward.subject, new, COORDINATOR)
    gate = ward.course.view(ward.subject).gate
    assert (gate.decision, "SCH-01: unknown" in gate.because) == ("hold", True)
    return path_of(page, "bundle")


def said(what: str, **more: str) -> dict[str, str]:
    fields = {"reference": REFERENCE, "said": what, "infusion": "1", "reason": "seen on the sheet"} | more
    return {f"charted.{name}": value for name, value in fields.items()} | {"token": "t" * 20}


@pytest.mark.parametrize("how", ["in words", "at another hour"])
def test_the_same_infusion_is_said_by_who_signs(page: Page, how: str) -> None:
    new = in_words(START) if how == "in words" else charted(START + timedelta(hours=5))
    path, who = doubtful(page, new), people(page)
    ward: Ward = page.ward
    assert f'value="{REFERENCE}"' in who["coordinator"].get(path).text
    reply = who["coordinator"].post(f"{path}/charted", data=said("same"))
    assert (reply.status_code, "SCH-01: unknown" in reply.text) == (403, True)
    assert ward.course.view(ward.subject).gate.decision == "hold"
    shown = who["clinician"].post(f"{path}/charted", data=said("same")).text
    assert sign_shown(who["clinician"], f"{path}/charted", shown, PASSWORD).status_code == 200
    view = ward.course.view(ward.subject)
    assert (view.gate.decision, view.gate.infusion) == ("go", 2)
    aside = {"why": "it was not", "token": "u" * 20}
    assert who["coordinator"].post(f"{path_of(page, 'charted')}/in-error", data=aside).status_code == 200
    assert ward.course.view(ward.subject).gate.decision == "hold", "the doubt is back"


def test_a_separate_one_opens_nothing(page: Page) -> None:
    path = doubtful(page, charted(START + timedelta(hours=5)))
    ward, who = page.ward, people(page)
    shown = who["clinician"].post(f"{path}/charted", data=said("separate"))
    assert shown.status_code == 403
    assert sign_shown(who["clinician"], f"{path}/charted", shown.text, PASSWORD).status_code == 200
    gate = ward.course.view(ward.subject).gate
    assert (gate.infusion, gate.decision) == (3, "hold"), "it counts"
    assert "volume: unknown" in gate.because


def message(*procedures: str, control: str = "1") -> bytes:
    head = f"MSH|^~\\&|EHR|HOSP|X|Y|202003280900||ADT^A08^ADT_A01|{control}|P|2.5.1"
    return "\r".join((head, "EVN|A08|202003280900", "PID|1||anna^^^HOSP||Sample||19620314|M", *procedures)).encode()


def test_a_procedure_of_a_message_is_told_apart_and_the_rest_of_it_is_read(page: Page) -> None:
    """Before, the whole upload had to be set aside, with every result in it."""
    ward, cells = page.ward, "PR1|{}||CELLS^Stem cells^L|Infusion of mesenchymal stem cells|202003271005"
    first = message("PR1|1||XR^X-ray^L||202003271200", cells.format(2))
    again = message("DG1|1||I26.9^Pulmonary embolism^I10||20200320|F", cells.format(1), control="2")
    for content in (first, again):
        ward.course.subjects.record(ward.subject, NewEntry("bundle", content, token()), COORDINATOR)
    none = {"name": "prior_msc_therapy", "answer": "no", "by": "Dr Example", "at": ward.text(0)}
    record = entry("record", {"patient": {"id": "anna"}, "answers": [none]})
    ward.course.subjects.record(ward.subject, record, COORDINATOR)
    ward.clock.set(START + timedelta(hours=1))
    given = Infusion(1, START, ward.now, volume_ml="100", lot="LOT-7")
    deviate(ward.course, ward.subject, given, "it had begun", token(), COORDINATOR)
    before = ward.course.view(ward.subject).gate.because
    assert {"SCH-01: unknown", "EX-04: met"} <= set(before)
    path, who = path_of(page, "bundle"), people(page)
    (reference,) = re.findall(r'value="(Procedure/[^"]+)"', who["clinician"].get(path).text)
    shown = who["clinician"].post(f"{path}/charted", data=said("same", reference=reference)).text
    assert sign_shown(who["clinician"], f"{path}/charted", shown, PASSWORD).status_code == 200
    gate = ward.course.view(ward.subject).gate
    assert set(before) - set(gate.because) == {"SCH-01: unknown"}
    kept = [one.content for one in ward.course.subjects.chart(ward.subject).of_kind("bundle")]
    assert kept == [first, again], "what came is kept as it came"
    with ward.course.service.database.reading() as session:
        stored = session.execute(select(StoredAssessment)).scalars().all()
    knowledge = ward.course.subjects.knowledge
    assert {verify(Kept(one), knowledge, START).outcome for one in stored} == {"same"}


def test_what_is_said_of_a_chart_marks_nothing_that_was_recorded_here(page: Page) -> None:
    """An id of an upload may be one of those that our own data have when they are read."""
    ward = page.ward
    ward.give(1)
    tree: Any = json.loads(charted(START).content)
    tree["entry"][-1]["resource"] |= {"resourceType": "Observation", "id": "data-0"}
    ward.course.subjects.record(ward.subject, NewEntry("bundle", json.dumps(tree).encode(), token()), COORDINATOR)
    before = ward.course.subjects.parts(ward.course.subjects.chart(ward.subject), ward.now)[-1]
    assert json.loads(before)["data"]
    told = Charted("Observation/data-0", "same", 1, "seen on the sheet")
    tell_charted(ward.course, ward.subject, told, token(), COORDINATOR)
    parts = ward.course.subjects.parts(ward.course.subjects.chart(ward.subject), ward.now)
    assert parts[-1] == before
    assert any(b"seen on the sheet" in one for one in parts[:-1])


def test_it_is_told_once_and_by_who_records(page: Page) -> None:
    ward, click = page.ward, token()
    ward.give(1)
    ward.course.subjects.record(ward.subject, charted(START + timedelta(hours=5)), COORDINATOR)
    told = Charted(REFERENCE, "separate", 1, "seen on the sheet")
    with pytest.raises(RequestError, match="This is for"):
        tell_charted(ward.course, ward.subject, told, click, Caller("auditor", frozenset({"auditor"})))
    first, second = (tell_charted(ward.course, ward.subject, told, click, COORDINATOR) for _ in range(2))
    assert (first.is_repeated, second.is_repeated) == (False, True)
    assert len(ward.course.subjects.chart(ward.subject).of_kind("charted")) == 1


def test_what_is_not_there_is_not_told_apart(page: Page) -> None:
    path, who = doubtful(page, in_words(START)), people(page)
    for fields in (said("same", reference="MedicationAdministration/other"), said("same", infusion="2"), said("no")):
        assert who["clinician"].post(f"{path}/charted", data=fields).status_code == 422
    assert who["clinician"].post(f"{path}/charted", data=said("same", reason="")).status_code == 422


@pytest.mark.parametrize("kind", ["a message", "a bundle"])
def test_a_procedure_that_is_a_separate_infusion_counts(page: Page, tmp_path: Path, kind: str) -> None:
    """Before, the choice marked nothing in a message, nor in a Procedure of FHIR."""
    site = tmp_path / "site.yaml"
    site.write_text("product_codes: {seed-covid-4x: [local CELLS]}\n", encoding="utf-8")
    ward = page.ward
    ward.course.service.knowledge = load_knowledge(site=site)
    ward.course.subjects.record(ward.subject, entry("record", {"patient": {"id": "anna"}}), COORDINATOR)
    ward.clock.set(START + timedelta(hours=7))
    given, at = Infusion(1, START, START + timedelta(hours=1), volume_ml="100"), START + timedelta(hours=5)
    deviate(ward.course, ward.subject, given, "it had begun", token(), COORDINATOR)
    upload = message(f"PR1|1||CELLS^Stem cells^L|Infusion of cells|{at:%Y%m%d%H%M%z}")
    if kind == "a bundle":
        tree: Any = json.loads(charted(at).content)
        act = tree["entry"][-1]["resource"] | {"resourceType": "Procedure", "performedDateTime": at.isoformat()}
        act["code"] = {"coding": [{"system": "urn:x-hl7v2:L", "code": "CELLS"}]}
        del act["medicationCodeableConcept"], act["effectiveDateTime"]
        tree["entry"][-1]["resource"] = act
        upload = json.dumps(tree).encode()
    ward.course.subjects.record(ward.subject, NewEntry("bundle", upload, token()), COORDINATOR)
    chart = ward.course.subjects.chart(ward.subject)
    assert ward.course.view(ward.subject).gate.infusion == 2, "nobody can tell whether it is another one"
    (reference,) = find_doubts(ward.course, chart, chart.entries[-1])
    told = Charted(reference, "separate", 1, "seen on the sheet")
    tell_charted(ward.course, ward.subject, told, token(), COORDINATOR)
    view = ward.course.view(ward.subject)
    assert (view.gate.infusion, view.is_open) == (3, False), "it counts"
    (one,) = ward.course.subjects.chart(ward.subject).of_kind("charted")
    amend(ward.course, ward.subject, one.id, "in_error", "it was not", token(), COORDINATOR)
    assert ward.course.view(ward.subject).gate.infusion == 2
