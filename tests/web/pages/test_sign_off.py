"""Sign-off of a stored answer: name, meaning and time, bound to its seal, shown where it counts, and stale in time."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from mscprotocol.knowledge_loader import load_knowledge
from mscprotocol.records import delete_subject, export_subject, find_subject
from mscprotocol.store.tables import AuditEntry, Signature, StoredAssessment
from tests.store.people import COORDINATOR, entry
from tests.web.pages.conftest import PASSWORD, sign_in
from tests.web.pages.subject_page import Page
from tests.web.pages.test_signed_corrections import people


def keep(page: Page, client: Any) -> str:
    """The answer of the course as it stands, kept by the button of the course page; the path of its page."""
    reply = client.post(f"{page.base}/course/assessment", follow_redirects=False)
    assert reply.status_code == 303
    return str(reply.headers["location"])


def sign(client: Any, path: str, meaning: str = "released", password: str = PASSWORD, seen: str = "") -> Any:
    shown = client.get(path).text
    seal = re.findall(r'name="seen" value="([0-9a-f]{64})"', shown)
    fields = {"meaning": meaning, "sign.password": password, "seen": seen or seal[0] if seal or seen else ""}
    return client.post(f"{path}/sign-off", data=fields)


def schedule(page: Page) -> list[str]:
    return [row.status for row in page.ward.course.view(page.ward.subject).schedule]


def test_an_open_gate_is_released_by_who_signs_its_answer(page: Page) -> None:
    ward, who = page.ward, people(page)
    ward.prepare(1)
    clinician = who["clinician"]
    path = keep(page, who["coordinator"])
    assert sign(who["coordinator"], path, seen="0" * 64).status_code == 403
    assert sign(clinician, path, password="wrong").status_code == 401
    assert sign(clinician, path, "given").status_code == 422
    assert sign(clinician, path, seen="0" * 64).status_code == 409
    assert schedule(page)[0] == "proposed"
    for _ in range(2):
        reply = sign(clinician, path)
        assert (reply.status_code, "<b>Released for the next infusion</b>, <bdi>Dr Dora</bdi>" in reply.text) == (
            200,
            True,
        )
    assert schedule(page)[0] == "released"
    with ward.course.service.database.reading() as session:
        (kept,) = session.execute(select(Signature)).scalars()
        entries = session.execute(select(AuditEntry).where(AuditEntry.action == "sign")).scalars().all()
        exported = export_subject(session, find_subject(session, "S-001", None))
    assert (kept.subject, kept.meaning) == (
        path[1:].replace("assessments/", "Assessment/"),
        "Released for the next infusion",
    )
    assert [(one.actor, one.detail["meaning"], one.detail["content"]) for one in entries] == [
        ("dora", kept.meaning, kept.content_sha256)
    ]
    assert b"Dr Dora" in exported
    sheet = clinician.get(f"{path}/checklist").text
    assert "Signed electronically" in sheet
    assert "Dr Dora, Fri 27 Mar 2020 09:00 +00:00" in sheet
    with ward.course.service.database.writing() as session:
        delete_subject(session, find_subject(session, "S-001", None), ward.now, "operator")
        assert session.execute(select(Signature)).first() is None


def test_it_is_stale_once_a_newer_answer_exists(page: Page) -> None:
    ward, who = page.ward, people(page)
    ward.prepare(1)
    path = keep(page, who["coordinator"])
    assert sign(who["clinician"], path).status_code == 200
    assert sign(who["clinician"], path, "reviewed").status_code == 200
    assert "stale" not in who["clinician"].get(page.base).text
    ward.course.subjects.assess(ward.subject, COORDINATOR)
    for place in (page.base, path):
        assert who["clinician"].get(place).text.count("stale: a newer assessment exists") == 2
    assert "stale: a newer assessment exists" in who["clinician"].get(f"{path}/checklist").text
    assert schedule(page)[0] == "proposed"
    assert sign(who["clinician"], path).status_code == 409, "nobody releases by an answer that is not the newest"


@pytest.mark.parametrize("what", ["a gate that holds", "time", "other rules"])
def test_nothing_else_is_released(page: Page, what: str, tmp_path: Path) -> None:
    ward, who = page.ward, people(page)
    if what != "a gate that holds":
        ward.prepare(1)
    path = keep(page, who["coordinator"])
    if what == "time":
        ward.clock.set(ward.now + timedelta(hours=6))
        assert sign_in(who["clinician"], "dora") == 303
    if what == "other rules":
        site = tmp_path / "site.yaml"
        site.write_text("product_codes: {seed-covid-4x: [local CELLS]}\n", encoding="utf-8")
        ward.course.service.knowledge = load_knowledge(site=site)
    assert sign(who["clinician"], path).status_code == 409
    with ward.course.service.database.reading() as session:
        assert session.execute(select(Signature)).first() is None


@pytest.mark.parametrize("what", ["another meaning", "of another answer"])
def test_a_signature_that_is_no_release_releases_nothing(page: Page, what: str) -> None:
    ward, who = page.ward, people(page)
    ward.prepare(1)
    path = keep(page, who["coordinator"])
    assert sign(who["clinician"], path, "reviewed" if what == "another meaning" else "released").status_code == 200
    assert (schedule(page)[0] == "released") == (what != "another meaning")
    with ward.course.service.database.writing() as session:
        session.execute(update(Signature).values(content_sha256="0" * 64))
    assert schedule(page)[0] == "proposed"


def test_a_release_does_not_outlast_the_gate(page: Page) -> None:
    """What was recorded since, and not assessed yet, counts at once."""
    ward, who = page.ward, people(page)
    ward.prepare(1)
    assert sign(who["clinician"], keep(page, who["coordinator"])).status_code == 200
    hit = {"name": "hit", "status": "active", "since": ward.text(9)}
    new = entry("record", {"patient": {"id": "anna"}, "conditions": [hit]})
    ward.course.subjects.record(ward.subject, new, COORDINATOR, assess=False)
    view = ward.course.view(ward.subject)
    assert (view.gate.decision == "go", view.is_released, "released" in schedule(page)) == (False, False, False)


def test_what_signs_an_act_is_no_meaning_of_an_answer(page: Page) -> None:
    who = people(page)
    page.ward.prepare(1)
    path = keep(page, who["coordinator"])
    offered = re.findall(r'<option value="([^"]+)"', who["clinician"].get(path).text)
    assert offered == ["reviewed", "released"]
    for act in ("correction", "set-aside", "deviation"):
        assert sign(who["clinician"], path, act).status_code == 422


def test_a_signature_of_an_altered_answer_says_so(page: Page) -> None:
    ward, who = page.ward, people(page)
    ward.prepare(1)
    path = keep(page, who["coordinator"])
    assert sign(who["clinician"], path, "reviewed").status_code == 200
    with ward.course.service.database.writing() as session:
        session.execute(update(Signature).values(content_sha256="0" * 64))
    assert "not of this answer" in who["clinician"].get(path).text
    with ward.course.service.database.writing() as session:
        session.execute(update(StoredAssessment).values(verdict="ineligible"))
        seal = session.execute(
            select(StoredAssessment.seal_sha256).where(StoredAssessment.id == path[13:])
        ).scalar_one()
    assert sign(who["clinician"], path, "reviewed", seen=seal).status_code == 409, "what is under the seal was altered"
    assert "not of this answer" in who["clinician"].get(page.base).text
