"""Patients who may be one person over several sources: reported, counted, and assessed apart."""

import json

from typer.testing import CliRunner

from mscprotocol import cli
from tests.screening.exports import AT, bundles, screen, write_ndjson
from tests.screening.test_messages import MERGE, oru

OID = "1.2.3.4"


def sources(folder, number="P1", system=f"urn:oid:{OID}", listed=None):
    """A patient of FHIR with one more identifier, one of HL7 v2, and one of a list."""
    write_ndjson(folder, [bundles()["eligible"]])
    path = folder / "Patient.ndjson"
    patient = json.loads(path.read_text())
    patient["identifier"].append({"system": system, "value": "P1"})
    path.write_text(json.dumps(patient) + "\n")
    (folder / "a.hl7").write_text(oru("1", number).replace("^^^HOSP", f"^^^HOSP&{OID}&ISO"), newline="")
    if listed:
        (folder / "list.csv").write_text(f"patient_id,birth_date,sex\n{listed},1962-03-14,male\n")
    return folder


def test_an_identifier_with_its_system_is_one_person_perhaps(tmp_path):
    run = screen(sources(tmp_path / "in"), tmp_path / "out")
    assert run.same_identifier == [["fhir/eligible", f"hl7v2/urn:oid:{OID}|P1"]]
    assert run.balance.same_identifier == 1
    assert run.balance.assessed == 2


def test_a_number_under_another_system_is_another(tmp_path):
    assert screen(sources(tmp_path / "in", system="urn:oid:9.9"), tmp_path / "out").same_identifier == []
    assert screen(sources(tmp_path / "other", number="P2"), tmp_path / "second").same_identifier == []


def test_a_list_has_no_system_and_may_mean_any(tmp_path):
    run = screen(sources(tmp_path / "in", listed="P1"), tmp_path / "out")
    message = f"hl7v2/urn:oid:{OID}|P1"
    assert run.same_identifier == [["fhir/eligible", message], ["fhir/eligible", message, "list/P1"]]
    by_id = screen(sources(tmp_path / "id", number="P2", listed="eligible"), tmp_path / "second")
    assert by_id.same_identifier == [["fhir/eligible", "list/eligible"]]
    assert screen(sources(tmp_path / "no", number="P2", listed="P7"), tmp_path / "third").same_identifier == []


def test_a_number_that_a_merge_put_to_rest_counts(tmp_path):
    folder = sources(tmp_path / "in")
    merge = MERGE.format(kind="ADT^A40", id="3", pid="P0", old="P1").replace("^^^HOSP", f"^^^HOSP&{OID}&ISO")
    (folder / "b.hl7").write_text(merge, newline="")
    assert screen(folder, tmp_path / "out").same_identifier == [["fhir/eligible", f"hl7v2/urn:oid:{OID}|P0"]]


def test_it_stands_in_the_report_the_figures_and_on_the_terminal(tmp_path):
    out = tmp_path / "out"
    said = ["screen", str(sources(tmp_path / "in")), "--out", str(out), "--at", AT, "--progress", "none"]
    result = CliRunner().invoke(cli.app, said)
    assert "1 group shares an identifier" in result.output
    assert json.loads((out / "metrics.json").read_bytes())["balance"]["same_identifier"] == 1
    assert f"fhir/eligible, hl7v2/urn:oid:{OID}|P1" in (out / "report.html").read_text()
    shared = (out / "report-shareable.html").read_text()
    assert "several ids or sources</dt><dd>under 10<" in shared
    assert "hl7v2/" not in shared
