"""Several versions of one resource: the newer one counts even if the rules cannot read it, as in one bundle."""

import json

import pytest

from mscprotocol.sample_cases import PROTOCOL
from tests.screening.exports import assessed_alone, bundles, screen

OTHER = {"coding": [{"system": "http://loinc.org", "code": "1-8", "display": "something else"}]}
ORDERS = {
    "number": ({"meta": {"versionId": "1"}}, {"meta": {"versionId": "2"}}),
    "time": ({"meta": {"lastUpdated": "2020-04-06T01:00:00Z"}}, {"meta": {"lastUpdated": "2020-04-06T02:00:00Z"}}),
    "retraction": ({}, {"status": "entered-in-error"}),
    "none": ({}, {}),
    "odd id": ({"id": "a_b", "meta": {"versionId": "1"}}, {"id": "a_b", "meta": {"versionId": "2"}}),
}


def entries_of(first, second):
    """The entries of a sample, with another version of its platelets, under a code that the rules do not read."""
    entries = json.loads(bundles()["eligible"])["entry"]
    place = next(place for place, one in enumerate(entries) if "777-3" in json.dumps(one))
    old = entries[place]["resource"]
    entries[place] = {"resource": {**old, **first}}
    return [{"resource": {**old, "code": OTHER, **second}}, *entries]


def bundle_of(entries):
    return json.dumps({"resourceType": "Bundle", "type": "collection", "entry": entries}).encode()


def write_lines(folder, entries, *, by_identifier=False):
    """An export in two files, the one that is not read in a file of its own, before the others."""
    folder.mkdir()
    first, *others = [json.dumps(one["resource"]) + "\n" for one in entries]
    if by_identifier:
        subject = '{"identifier": {"system": "urn:example:mrn", "value": "ELIGIBLE"}}'
        first = first.replace('{"reference": "Patient/eligible"}', subject)
    (folder / "a.ndjson").write_text(first)
    (folder / "b.ndjson").write_text("".join(others))
    return folder


def write_two_bundles(folder, entries):
    folder.mkdir()
    patient = next(one for one in entries if one["resource"]["resourceType"] == "Patient")
    (folder / "a.json").write_bytes(bundle_of([patient, entries[0]]))
    (folder / "b.json").write_bytes(bundle_of(entries[1:]))
    return folder


@pytest.mark.parametrize("write", [write_lines, write_two_bundles])
@pytest.mark.parametrize("order", ORDERS)
def test_a_newer_version_that_is_not_read_supersedes(tmp_path, order, write):
    entries = entries_of(*ORDERS[order])
    alone = assessed_alone(bundle_of(entries))
    run = screen(write(tmp_path / "in", entries), tmp_path / "out")
    found = run.answers["eligible", PROTOCOL]
    assert alone.verdict != "eligible"
    assert (found["verdict"], found["trace_sha256"]) == (alone.verdict, alone.trace_sha256)
    assert run.balance.is_even


def test_an_older_version_that_is_not_read_changes_nothing(tmp_path):
    entries = entries_of(*reversed(ORDERS["number"]))
    found = screen(write_lines(tmp_path / "in", entries), tmp_path / "out").answers["eligible", PROTOCOL]
    assert found["trace_sha256"] == assessed_alone(bundle_of(entries)).trace_sha256
    assert found["verdict"] == "eligible"


def test_a_newer_version_may_name_its_patient_by_an_identifier(tmp_path):
    folder = write_lines(tmp_path / "in", entries_of(*ORDERS["number"]), by_identifier=True)
    assert screen(folder, tmp_path / "out").answers["eligible", PROTOCOL]["verdict"] != "eligible"


def test_what_is_not_read_and_of_nobody_is_no_problem(tmp_path):
    """Only other versions of what is read are looked at again."""
    entries = entries_of({}, {"id": "another", "subject": {"identifier": {"system": "urn:x", "value": "NOBODY"}}})
    run = screen(write_lines(tmp_path / "in", entries), tmp_path / "out")
    assert run.answers["eligible", PROTOCOL]["verdict"] == "eligible"
    assert not run.problems
    assert run.balance.is_even


def test_patients_of_one_identifier_are_reported(tmp_path):
    """Two ids that share an identifier may be one person who was registered twice."""
    entries = json.loads(bundles()["eligible"])["entry"]
    text = json.dumps([one["resource"] for one in entries]).replace("Patient/eligible", "Patient/again")
    again = json.loads(text.replace('"id": "eligible"', '"id": "again"'))
    other = json.loads(bundles()["pregnant"])["entry"]
    (tmp_path / "in").mkdir()
    for name, mine in (("one", entries), ("other", other), ("again", [{"resource": one} for one in again])):
        (tmp_path / "in" / f"{name}.json").write_bytes(bundle_of(mine))
    run = screen(tmp_path / "in", tmp_path / "out")
    assert {patient for patient, _ in run.answers} == {"again", "eligible", "pregnant"}
    assert run.same_identifier == [["again", "eligible"]]


# -- ids that were counted anew ------------------------------------------------------------------------

BOTH = {"coding": [{"system": "http://loinc.org", "code": "777-3"}, *OTHER["coding"]]}
SPO2 = {"coding": [{"system": "http://loinc.org", "code": "59408-5"}]}


@pytest.mark.parametrize("codes", [BOTH, None], ids=["one code in common", "no code"])
@pytest.mark.parametrize("is_first", [True, False])
def test_one_thing_that_is_coded_otherwise_is_replaced_and_retracted(tmp_path, codes, is_first):
    """A code beside the one they share, or none at all, makes no second thing of it."""
    entries = entries_of({}, {"code": codes, "status": "entered-in-error"})
    if codes is None:
        del entries[0]["resource"]["code"]
    if not is_first:
        entries = [*entries[1:], entries[0]]
    answer = screen(write_lines(tmp_path / "in", entries), tmp_path / "out").answers["eligible", PROTOCOL]
    evidence = [one for criterion in answer["criteria"] for one in criterion["evidence"]]
    assert not any(one["why_not"] == "conflict" for one in evidence if one["datum"] == "Platelets")
    assert not any("cannot be ordered" in one["text"] for one in answer["data_quality"])


@pytest.mark.parametrize(
    "second",
    [
        {"valueQuantity": {"value": 20, "unit": "10*9/L", "system": "http://unitsofmeasure.org", "code": "10*9/L"}},
        {"code": SPO2, "status": "corrected", "valueQuantity": {"value": 91, "unit": "%"}},
        {"code": SPO2, "status": "entered-in-error", "valueQuantity": {"value": 91, "unit": "%"}},
        {"code": OTHER, "status": "corrected"},
        {"code": OTHER, "status": "entered-in-error"},
    ],
)
@pytest.mark.parametrize("is_first", [True, False])
def test_one_id_for_two_things_is_in_doubt_and_says_what_to_do(tmp_path, second, is_first):
    """Without a version or a time nobody knows which is the newer, or whether they are two: neither counts."""
    entries = entries_of({}, second)
    if not is_first:
        entries = [*entries[1:], entries[0]]
    answer = screen(write_lines(tmp_path / "in", entries), tmp_path / "out").answers["eligible", PROTOCOL]
    evidence = [one for criterion in answer["criteria"] for one in criterion["evidence"]]
    assert any(one["why_not"] == "conflict" for one in evidence if one["datum"] == "Platelets")
    assert answer["verdict"] != "eligible"
    said = [one["text"] for one in answer["data_quality"] if "cannot be ordered" in one["text"]]
    assert len(said) == 1
    assert "meta.lastUpdated" in said[0]
    assert "an id of its own" in said[0]
    assert "set aside as entered in error" in said[0]
