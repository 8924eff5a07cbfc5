"""Every kind of source, packed or not, named oddly or not: the same patients, the same answers."""

import json

import pytest
from msgspec import Raw

from fhir_adapters.bulk_export import Left, Picker
from fhir_adapters.bundle import assemble
from fhir_adapters.record_builder import build_record
from fhir_adapters.unpacking import make_unit
from mscprotocol.sample_cases import PROTOCOL
from tests.patients import RXNORM
from tests.screening.exports import AT, assessed_alone, bundles, raw_resources, screen, write_bundles, write_ndjson


@pytest.fixture(scope="module")
def contents():
    found = bundles()
    return {name: found[name] for name in ("eligible", "one-lab-open", "resolved-dvt", "pregnant", "intubated")}


@pytest.fixture(scope="module")
def alone(contents):
    return {name: assessed_alone(content) for name, content in contents.items()}


def agrees(run, alone):
    assert {patient for patient, _ in run.answers} == {one.patient.id for one in alone.values()}
    for one in alone.values():
        found = run.answers[one.patient.id, PROTOCOL]
        assert (found["verdict"], found["trace_sha256"]) == (one.verdict, one.trace_sha256)
    assert run.balance.is_even
    assert not run.balance.is_anything_missing


def test_ndjson(tmp_path, contents, alone):
    agrees(screen(write_ndjson(tmp_path / "in", contents.values()), tmp_path / "out"), alone)


def test_bundles(tmp_path, contents, alone):
    agrees(screen(write_bundles(tmp_path / "in", contents), tmp_path / "out"), alone)


def test_one_bundle_of_many_patients(tmp_path, contents, alone):
    entries = [entry for content in contents.values() for entry in json.loads(content)["entry"]]
    (tmp_path / "all.json").write_text(json.dumps({"resourceType": "Bundle", "type": "collection", "entry": entries}))
    run = screen(tmp_path / "all.json", tmp_path / "out")
    assert {patient for patient, _ in run.answers} == {one.patient.id for one in alone.values()}
    assert [run.answers[one.patient.id, PROTOCOL]["verdict"] for one in alone.values()] == [
        one.verdict for one in alone.values()
    ]


def test_odd_names_sub_folders_and_packed_files(tmp_path, contents, alone):
    folder = write_ndjson(tmp_path / "in", contents.values(), packed=("Observation",))
    (folder / "deep" / "er").mkdir(parents=True)
    (folder / "Patient.ndjson").replace(folder / "deep" / "part-00000")
    (folder / "Observation.ndjson.gz").replace(folder / "deep" / "er" / "labs export (2).txt")
    agrees(screen(folder, tmp_path / "out"), alone)


def test_a_patient_split_over_kinds_of_files_is_one(tmp_path, contents, alone):
    names = list(contents)
    folder = write_bundles(tmp_path / "in", {names[0]: contents[names[0]]})
    write_ndjson(folder / "bulk", contents.values())
    # The first patient comes twice, as a bundle and as lines: what is the same counts once.
    agrees(screen(folder, tmp_path / "out"), alone)


def test_all_protocols(tmp_path, contents):
    run = screen(write_ndjson(tmp_path / "in", [contents["eligible"]]), tmp_path / "out", protocol="all")
    assert len({protocol for _, protocol in run.answers}) == 8
    for (_, protocol), answer in run.answers.items():
        one = assessed_alone(contents["eligible"], AT, protocol)
        assert (answer["verdict"], answer["trace_sha256"]) == (one.verdict, one.trace_sha256)


def test_a_subject_by_identifier_only_is_looked_up(tmp_path, contents):
    folder = write_ndjson(tmp_path / "in", [contents["eligible"]])
    path = folder / "Observation.ndjson"
    lines = [json.loads(line, parse_float=str) for line in path.read_text().splitlines()]
    assert lines[0]["subject"]["reference"].startswith("Patient/")
    text = path.read_text().replace(
        '"reference":"Patient/eligible"', '"identifier":{"system":"urn:example:mrn","value":"ELIGIBLE"}'
    )
    path.write_text(text)
    run = screen(folder, tmp_path / "out")
    assert run.answers["eligible", PROTOCOL]["trace_sha256"] == assessed_alone(contents["eligible"]).trace_sha256
    path.write_text(text.replace('"value":"ELIGIBLE"', '"value":"NOBODY"'))
    run = screen(folder, tmp_path / "out2")
    assert run.codes["line", "foreign_subject"] == len(lines)
    assert run.balance.is_even


def test_a_medication_that_others_refer_to_comes_along(tmp_path):
    patient = {"resourceType": "Patient", "id": "p", "birthDate": "1960-01-01"}
    code = {"system": RXNORM, "code": "7512", "display": "norepinephrine"}
    drug = {"resourceType": "Medication", "id": "m", "code": {"coding": [code]}}
    given = {"resourceType": "MedicationAdministration", "id": "a", "status": "in-progress",
             "subject": {"reference": "Patient/p"}, "medicationReference": {"reference": "Medication/m"},
             "effectiveDateTime": "2020-04-06T09:00:00+08:00"}  # fmt: skip
    bundle = {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [{"resource": one} for one in (patient, drug, given)],
    }
    content = json.dumps(bundle).encode()
    run = screen(write_ndjson(tmp_path / "in", [content]), tmp_path / "out")
    alone = assessed_alone(content)
    assert run.answers["p", PROTOCOL]["trace_sha256"] == alone.trace_sha256
    (tmp_path / "in" / "Medication.ndjson").unlink()
    without = screen(tmp_path / "in", tmp_path / "out2")
    assert without.answers["p", PROTOCOL]["trace_sha256"] != alone.trace_sha256


def test_what_the_rules_cannot_read_is_left(tmp_path, contents, knowledge):
    """The picker leaves nothing out that the record builder would use."""
    picker = Picker(knowledge)
    for content in bundles().values():
        raws = list(raw_resources(content))
        kept = [raw for raw in raws if not isinstance(picker.pick(raw), Left)]
        whole, part = (
            build_record(assemble([make_unit(Raw(raw)) for raw in some]), knowledge) for some in (raws, kept)
        )
        assert (whole.measurements, whole.presences, whole.attestations) == (
            part.measurements, part.presences, part.attestations,
        )  # fmt: skip
        assert whole.unmapped == part.unmapped
