"""A chart of others beside an infusion that is recorded here: a person says what it is, and signs where it counts."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import pytest

from mscprotocol.store.subjects import NewEntry
from tests.store.people import COORDINATOR, token
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


def test_what_is_not_there_is_not_told_apart(page: Page) -> None:
    path, who = doubtful(page, in_words(START)), people(page)
    for fields in (said("same", reference="MedicationAdministration/other"), said("same", infusion="2"), said("no")):
        assert who["clinician"].post(f"{path}/charted", data=fields).status_code == 422
    assert who["clinician"].post(f"{path}/charted", data=said("same", reason="")).status_code == 422
