"""Damaged input: each a clear message with its place, the rest assessed, and the counts agree."""

import gzip
import json
import os
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from mscprotocol.sample_cases import PROTOCOL
from tests.screening.exports import bundles, screen, write_bundles, write_ndjson


@pytest.fixture
def folder(tmp_path):
    found = bundles()
    return write_ndjson(tmp_path / "in", [found["eligible"], found["pregnant"]])


def add_line(folder, content, name="Observation.ndjson"):
    path = folder / name
    path.write_bytes(path.read_bytes() + content + b"\n")
    return len(path.read_bytes().splitlines())


def problem(run, level="line"):
    found = [one for one in run.problems if one["level"] == level]
    assert len(found) == 1
    assert run.balance.is_even
    return found[0]


def both_are_assessed(run):
    assert {patient for patient, _ in run.answers} == {"eligible", "pregnant"}
    assert run.answers["eligible", PROTOCOL]["verdict"] == "eligible"


@pytest.mark.parametrize(
    ("content", "code", "words"),
    [
        (b'{"resourceType": "Observation", "id": ', "unreadable", "not JSON"),
        (b"hello", "unreadable", "not JSON"),
        (b'{"id": "x"}', "unreadable", "no resourceType"),
        (b'{"resourceType":"Observation","id":"x","status":"final"}', "foreign_subject", "which patient"),
        (b'{"resourceType":"Observation","id":"\0"}', "unreadable", "NUL"),
        (b'{"resourceType":"Observation","id":"x","status":"entered-in-error","status":"final",'
         b'"subject":{"reference":"Patient/eligible"}}', "unreadable", "the same key twice"),
        (b'{"resourceType":"Observation","id":"x","subject":{"reference":"Patient/eligible"},'
         b'"code":{"text":"D-Dimer \xe4"}}', "unreadable", "encoding"),
    ],
)  # fmt: skip
def test_a_bad_line_is_named_and_the_rest_assessed(tmp_path, folder, content, code, words):
    number = add_line(folder, content)
    run = screen(folder, tmp_path / "out")
    found = problem(run)
    assert (found["file"], found["line"], found["code"]) == ("Observation.ndjson", number, code)
    assert words in found["message"]
    both_are_assessed(run)


def test_an_endless_line_is_left_out_without_being_held(tmp_path, folder):
    number = add_line(folder, b'{"resourceType":"Observation","x":"' + b"x" * 40_000_000 + b'"}')
    add_line(folder, b'{"resourceType":"Basic"}')
    run = screen(folder, tmp_path / "out")
    found = problem(run)
    assert (found["line"], found["code"]) == (number, "too_large")
    both_are_assessed(run)


def test_a_packed_file_cut_short_gives_what_came(tmp_path, folder):
    path = folder / "Observation.ndjson"
    packed = gzip.compress(path.read_bytes())
    path.unlink()
    (folder / "Observation.ndjson.gz").write_bytes(packed[: len(packed) // 2])
    run = screen(folder, tmp_path / "out")
    assert "cut short" in problem(run)["message"]
    assert {patient for patient, _ in run.answers} == {"eligible", "pregnant"}


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("Patient2.ndjson", "{}".encode("utf-16"), "UTF-16"),
        ("broken.json", b'{"resourceType": "Bundle", "type": "collection", "entry": [', "JSON"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path, folder, name, content, words):
    (folder / name).write_bytes(content)
    run = screen(folder, tmp_path / "out")
    assert [one["file"] for one in run.problems] == [name] * len(run.problems)
    assert any(words in one["message"] for one in run.problems)
    both_are_assessed(run)


@pytest.fixture
def place():
    """A folder that everybody may use: those of pytest are closed to others."""
    with TemporaryDirectory() as found:
        Path(found).chmod(0o777)
        yield Path(found)


@contextmanager
def without_the_rights_of_root():
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)


def test_what_may_not_be_read_is_named(place):
    found = bundles()
    folder = write_ndjson(place / "in", [found["eligible"], found["pregnant"]])
    (folder / "closed").mkdir()
    (folder / "closed" / "Condition.ndjson").write_text("{}")
    (folder / "shut.ndjson").write_text("{}")
    for name in ("closed", "shut.ndjson"):
        (folder / name).chmod(0)
    try:
        with without_the_rights_of_root():
            run = screen(folder, place / "out")
    finally:
        (folder / "closed").chmod(0o700)
    assert [(one["file"], "permission" in one["message"]) for one in run.problems] == [
        ("closed", True), ("shut.ndjson", True),
    ]  # fmt: skip
    both_are_assessed(run)


def test_a_folder_that_cannot_be_listed_is_named(tmp_path, folder, monkeypatch):
    (folder / "closed").mkdir()
    opened = os.scandir

    def scandir(path):
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path)

    monkeypatch.setattr("os.scandir", scandir)
    run = screen(folder, tmp_path / "out")
    assert [(one["file"], "permission" in one["message"]) for one in run.problems] == [("closed", True)]
    both_are_assessed(run)


def test_a_file_that_the_manifest_names_and_that_is_not_there(tmp_path, folder):
    output = [
        {"type": "Observation", "url": "https://x.example/Observation.ndjson"},
        {"type": "Condition", "url": "Cond.ndjson"},
    ]
    (folder / "manifest.json").write_text(json.dumps({"transactionTime": "2020-04-06", "output": output}))
    run = screen(folder, tmp_path / "out")
    found = problem(run, "file")
    assert (found["file"], found["code"]) == ("manifest.json", "incomplete_page")
    assert "Cond.ndjson" in found["message"]
    both_are_assessed(run)


def test_a_file_shorter_than_its_manifest_says(tmp_path, folder):
    output = [{"type": "Patient", "url": "Patient.ndjson", "count": 3}]
    (folder / "manifest.json").write_text(json.dumps({"transactionTime": "2020-04-06", "output": output}))
    assert "3 lines" in problem(screen(folder, tmp_path / "out"), "file")["message"]


def test_a_page_whose_next_one_did_not_come(tmp_path):
    tree = json.loads(bundles()["eligible"])
    tree |= {
        "type": "searchset",
        "link": [{"relation": "self", "url": "https://x/1"}, {"relation": "next", "url": "https://x/2"}],
    }
    folder = write_bundles(tmp_path / "in", {"one": json.dumps(tree).encode(), "other": bundles()["pregnant"]})
    run = screen(folder, tmp_path / "out")
    assert problem(run, "patient") | {"message": ""} == {
        "level": "patient", "code": "incomplete_page", "message": "", "patient": "eligible",
    }  # fmt: skip
    assert set(run.answers) == {("pregnant", PROTOCOL)}


def test_two_persons_under_one_id_are_not_assessed(tmp_path, folder):
    add_line(folder, b'{"resourceType":"Patient","id":"eligible","birthDate":"1999-01-01"}', "Patient.ndjson")
    run = screen(folder, tmp_path / "out")
    assert problem(run, "patient")["code"] == "mixed_patients"
    assert set(run.answers) == {("pregnant", PROTOCOL)}


def test_the_same_line_in_two_files_counts_once(tmp_path, folder):
    (folder / "again.ndjson").write_bytes((folder / "Observation.ndjson").read_bytes())
    run = screen(folder, tmp_path / "out")
    assert not run.problems
    both_are_assessed(run)


def test_data_of_a_patient_who_is_not_in_the_export(tmp_path, folder):
    (folder / "Patient.ndjson").write_text('{"resourceType":"Patient","id":"pregnant","birthDate":"1990-01-01"}\n')
    run = screen(folder, tmp_path / "out")
    assert problem(run, "patient")["code"] == "no_patient"
    assert run.balance.patients == 2


def test_a_deceased_patient_is_no_verdict(tmp_path, folder):
    path = folder / "Patient.ndjson"
    path.write_text(path.read_text().replace('"id":"pregnant"', '"id":"pregnant","deceasedBoolean":true'))
    run = screen(folder, tmp_path / "out")
    assert problem(run, "patient")["code"] == "deceased"
