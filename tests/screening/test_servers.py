"""One id on two servers is two patients; and what came of an export that is not whole says so in each answer."""

import json

import pytest

from mscprotocol.sample_cases import PROTOCOL
from tests.screening.exports import bundles, screen, write_ndjson
from tests.screening.test_standing import OTHER_SERVER, SERVER, export, lines, sample, thrombosis

HERE, THERE = (f"{server}/Patient/eligible" for server in (SERVER, OTHER_SERVER))
INCOMPLETE = "the export did not come whole"


def about(url):
    return thrombosis() | {"subject": {"reference": url}}


def one_export(folder, *more, server=None):
    """A sample as NDJSON, whose references are relative, with more lines in a file of its own."""
    write_ndjson(folder, [sample()])
    lines(folder / "more.ndjson", *more)
    if server:
        export(folder, "2020-04-06T10:00:00Z", server, output=sorted(one.name for one in folder.glob("*.ndjson")))
    return folder


@pytest.mark.parametrize(
    ("url", "server"),
    [pytest.param(THERE, None, id="own server not known"), pytest.param(THERE, SERVER, id="another server")],
)
def test_the_same_id_on_another_server_is_not_merged(tmp_path, url, server):
    run = screen(one_export(tmp_path / "in", about(url), server=server), tmp_path / "out")
    assert run.answers == {}
    assert run.codes == {("patient", "foreign_subject"): 1}
    assert "server" in run.problems[0]["message"]


def test_the_same_server_in_full_is_the_same_patient(tmp_path):
    run = screen(one_export(tmp_path / "in", about(HERE), server=SERVER), tmp_path / "out")
    assert not run.problems
    assert run.answers["eligible", PROTOCOL]["verdict"] == "ineligible"


def test_references_that_all_name_one_server_need_no_manifest(tmp_path):
    folder = write_ndjson(tmp_path / "in", [sample()])
    for path in folder.glob("*.ndjson"):
        path.write_text(path.read_text().replace('"Patient/eligible"', f'"{HERE}"'))
    run = screen(folder, tmp_path / "out")
    assert not run.problems
    assert run.answers["eligible", PROTOCOL]["verdict"] != "ineligible"


def test_exports_of_two_servers_are_not_merged_by_id(tmp_path):
    one_export(tmp_path / "in" / "a", server=SERVER)
    one_export(tmp_path / "in" / "b", server=OTHER_SERVER)
    run = screen(tmp_path / "in", tmp_path / "out")
    assert run.answers == {}
    assert run.codes == {("patient", "foreign_subject"): 1}


def test_a_manifest_that_is_added_later_is_heeded(tmp_path):
    folder = one_export(tmp_path / "in", about(THERE))
    assert screen(folder, tmp_path / "out").answers == {}
    export(folder, "2020-04-06T10:00:00Z", OTHER_SERVER, output=sorted(one.name for one in folder.glob("*.ndjson")))
    again = screen(folder, tmp_path / "out")
    assert again.why == {"data changed": 1}
    assert again.answers["eligible", PROTOCOL]["verdict"] == "ineligible"


# -- exports that are not whole ------------------------------------------------------------------------


def remarks(run, patient):
    return [one["text"] for one in run.answers[patient, PROTOCOL]["data_quality"]]


@pytest.mark.parametrize("wrong", ["missing", "count", "error"])
def test_answers_from_an_export_that_is_not_whole_say_so(tmp_path, wrong):
    folder = write_ndjson(tmp_path / "in" / "whole", [bundles()["eligible"]])
    write_ndjson(tmp_path / "in" / "other", [bundles()["pregnant"]])
    names = sorted(one.name for one in folder.glob("*.ndjson")) + (["Extra.ndjson"] if wrong == "missing" else [])
    output = [{"type": name.partition(".")[0], "url": f"{SERVER}/{name}"} for name in names]
    if wrong == "count":
        output[0]["count"] = 9999
    said = {"transactionTime": "2020-04-06T10:00:00Z", "request": f"{SERVER}/$export", "output": output}
    if wrong == "error":
        said["error"] = [{"type": "OperationOutcome", "url": f"{SERVER}/e.ndjson"}]
    (folder / "manifest.json").write_text(json.dumps(said))
    run = screen(tmp_path / "in", tmp_path / "out")
    assert any(one.startswith(INCOMPLETE) for one in remarks(run, "eligible"))
    assert not any(one.startswith(INCOMPLETE) for one in remarks(run, "pregnant"))


def test_an_export_that_came_whole_is_not_remarked(tmp_path):
    folder = one_export(tmp_path / "in", server=SERVER)
    assert not any(one.startswith(INCOMPLETE) for one in remarks(screen(folder, tmp_path / "out"), "eligible"))
