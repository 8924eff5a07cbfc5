"""Checklists say what the run says: none is left of an earlier one, and none is written over by another patient's."""

import json

from mscprotocol.screening.stages import checklist_name
from tests.screening.exports import bundles, screen, write_ndjson


def sheets(out):
    return sorted((out / "checklists").iterdir()) if (out / "checklists").exists() else []


def test_a_checklist_goes_with_its_reason_and_no_other_file_does(tmp_path):
    folder = write_ndjson(tmp_path / "in", [bundles()["one-lab-open"]])
    out = tmp_path / "out"
    screen(folder, out, checklists=True)
    assert len(sheets(out)) == 1
    (out / "checklists" / "of-somebody-else.html").write_text("kept")
    path = folder / "Patient.ndjson"
    born = json.loads(path.read_text())["birthDate"]
    path.write_text(path.read_text().replace(born, "2010-03-14"))
    run = screen(folder, out, checklists=True)
    assert [one["verdict"] for one in run.answers.values()] == ["ineligible"]
    assert [one.name for one in sheets(out)] == ["of-somebody-else.html"]


def test_a_checklist_that_holds_stays_until_none_are_asked_for(tmp_path):
    folder = write_ndjson(tmp_path / "in", [bundles()["eligible"]])
    out = tmp_path / "out"
    screen(folder, out, checklists=True)
    assert screen(folder, out, checklists=True).why == {"unchanged": 1}
    assert len(sheets(out)) == 1
    screen(folder, out)
    assert not (out / "checklists").exists()


def test_one_id_of_two_sources_gives_two_checklists(tmp_path):
    said = bundles()["eligible"]
    write_ndjson(tmp_path / "in", [said])
    first = screen(tmp_path / "in", tmp_path / "out", checklists=True)
    (answer,) = first.answers.values()

    id_, protocol = answer["patient"]["id"], answer["protocol"]["id"]
    owners = (f"hl7v2/urn:a|{id_}", f"hl7v2/urn:b|{id_}")
    assert len({checklist_name(owner, id_, protocol) for owner in owners}) == 2
    assert [one.name for one in sheets(tmp_path / "out")] == [checklist_name(f"fhir/{id_}", id_, protocol)]
    assert "/" not in checklist_name("list/../x", "../x", protocol)
