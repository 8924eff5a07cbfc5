"""Files of lists: odd beginnings, odd ends and odd quotes cost as little as they can, and nothing is passed over."""

import json

import pytest
from typer.testing import CliRunner

from mscprotocol.cli import app
from mscprotocol.errors import RequestError
from mscprotocol.sample_cases import PROTOCOL
from mscprotocol.screening.inputs import recognise
from tests.screening.exports import AT, screen

HEAD = "patient_id;name;value;unit;at;note\n"
ROW = "{};platelets;180;10*9/L;2020-04-06T08:00:00+08:00;{}\n"


def run_on(tmp_path, content, name="list.csv", **options):
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    run = screen(tmp_path / name, tmp_path / "out", **options)
    assert run.balance.is_even
    return run


def patients(run):
    return sorted(patient for patient, _ in run.answers)


# -- the line of column names --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "empty"),
        (HEAD.replace("\n", "\r") + ROW.format("p", "").replace("\n", "\r"), "CR alone"),
        (HEAD.replace("note", "Größe").encode("cp1252"), "save the table as UTF-8"),
        (HEAD.encode("utf-16"), "save it as UTF-8"),
        (HEAD.replace("patient_id", "Patient_ID"), "'Patient_ID' may be it"),
        (HEAD.replace("patient_id", "who"), "no column of the table is named patient_id"),
        (HEAD.replace("note", "patient_id"), "'patient_id'"),
        (HEAD.replace("note", "value"), "'value'"),
    ],
)
def test_a_table_that_cannot_be_read_says_why_and_costs_itself_only(tmp_path, content, said):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "good.csv").write_text(HEAD + ROW.format("p-9", ""))
    (tmp_path / "in" / "bad.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    run = screen(tmp_path / "in", tmp_path / "out")
    assert [one["file"] for one in run.problems] == ["bad.csv"]
    assert said in run.problems[0]["message"]
    assert patients(run) == ["p-9"]
    assert run.balance.is_even
    assert run.balance.files_quarantined == 1


def test_columns_of_one_name_that_are_not_read_do_no_harm(tmp_path):
    run = run_on(tmp_path, HEAD.replace("note", "x;x") + ROW.format("p", ";"))
    assert patients(run) == ["p"]


def test_explain_columns_tells_of_them(tmp_path):
    (tmp_path / "a.csv").write_text(HEAD.replace("note", "value"))
    (tmp_path / "b.csv").write_text("")
    found = CliRunner().invoke(app, ["screen", str(tmp_path), "--explain-columns"])
    assert found.exit_code == 0
    assert "NOT READ: columns of one name" in found.output
    assert "NOT READ: the table is empty" in found.output


@pytest.mark.parametrize("first", ["sep=;\n", '"sep=;"\r\n', "SEP=;\n"])
def test_a_first_line_may_tell_the_separator(tmp_path, first):
    run = run_on(tmp_path, first + HEAD + ROW.format("p", "a,b,c,d,e,f,g") + ROW.format("", "x"))
    assert patients(run) == ["p"]
    assert [one["line"] for one in run.problems] == [4]


# -- rows ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "lost"),
    [
        ('p-1;platelets;"180;10*9/L;t;x\n' + ROW.format("p-2", "") + ROW.format("p-3", ""), 3),
        (ROW.format("p-1", '"open') + ROW.format("p-2", "") + ROW.format("p-3", 'shut"'), 3),
        ('p-1;platelets;"180;10*9/L;t;x\np-2;platelets;90";10*9/L;t;x\n', 2),
    ],
)
def test_a_quote_that_stays_open_loses_no_count(tmp_path, rows, lost):
    run = run_on(tmp_path, HEAD + ROW.format("p", "") + rows)
    assert patients(run) == ["p"]
    assert run.balance.lines_quarantined == lost
    (problem,) = run.problems
    assert problem["line"] == 3
    assert problem["message"].startswith(f"lines 3 to {2 + lost}:")


def test_a_note_of_several_lines_is_one_row(tmp_path):
    run = run_on(tmp_path, HEAD + ROW.format("p-1", '"one\ntwo\n\nthree"') + ROW.format("p-2", "") + "p-3;x\n")
    assert patients(run) == ["p-1", "p-2"]
    assert [one["line"] for one in run.problems] == [7]


def test_lines_keep_their_numbers_after_one_of_another_encoding(tmp_path):
    content = (HEAD + ROW.format("p-1", "Müller")).encode("latin-1") + b"p-2;x\n" + ROW.format("p-3", "").encode()
    run = run_on(tmp_path, content)
    assert [one["line"] for one in run.problems] == [2, 3]
    assert patients(run) == ["p-3"]
    assert run.balance.lines == 3


def test_ids_of_lists_are_answered_by(tmp_path):
    run = run_on(tmp_path, HEAD + ROW.format("PAT_0004", "") + ROW.format("x" * 65, ""))
    (answer,) = run.answers.values()
    assert [one["value"] for one in answer["patient"]["identifiers"]] == ["PAT_0004"]
    assert "at most 64" in run.problems[0]["message"]


def test_remarks_stand_in_the_answer(tmp_path):
    run = run_on(tmp_path, HEAD + ROW.format("p", "").replace("180", "180,5"))
    said = run.answers["p", PROTOCOL]["data_quality"]
    assert any(one["about"] == "list.csv line 2" and "`decimal: comma`" in one["text"] for one in said)


def test_an_hour_that_came_twice_is_no_time_of_evaluation(tmp_path):
    content = "patient_id,icu\np-1,2020-10-25 02:30\np-2,2020-10-25 03:30\n"
    run = run_on(tmp_path, content, at="column:icu", zone="Europe/Berlin")
    assert patients(run) == ["p-2"]
    assert run.codes["patient", "no_time"] == 1


# -- files -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("book.xlsx", b"PK\x03\x04", "save each sheet as CSV"),
        ("list.txt", b"patient_id,name\n1,platelets\n", ".csv or .tsv"),
        ("Patient.txt", b'# export\n{"resourceType":"Patient","id":"a"}\n', "no comments"),
        ("patients.txt", b'[{"resourceType":"Patient","id":"a"}]', "one resource a line"),
        ("nothing", b"", "empty"),
    ],
)
def test_a_file_of_no_kind_is_named(tmp_path, name, content, said):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "list.csv").write_text(HEAD + ROW.format("p", ""))
    (tmp_path / "in" / name).write_bytes(content)
    run = screen(tmp_path / "in", tmp_path / "out")
    assert [(one["level"], one["file"]) for one in run.problems] == [("file", name)]
    assert said in run.problems[0]["message"]
    assert run.balance.is_anything_missing
    assert patients(run) == ["p"]


def test_nothing_to_read_is_refused(tmp_path):
    (tmp_path / "in").mkdir()
    with pytest.raises(RequestError, match="no file to read"):
        screen(tmp_path / "in", tmp_path / "out")
    found = CliRunner().invoke(app, ["screen", str(tmp_path / "in"), "--out", str(tmp_path / "out"), "--at", AT])
    assert found.exit_code == 2


def test_a_long_first_line_is_a_line(tmp_path):
    long = json.dumps({"resourceType": "DocumentReference", "id": "d", "data": "A" * 70_000})
    patient = json.dumps({"resourceType": "Patient", "id": "p"})
    for name, content, kind in (
        ("lines", f"{long}\n{patient}\n", "ndjson"),
        ("one", long, "bundle"),
        ("one-and-blank", long + "\n\n", "bundle"),
        ("pretty", json.dumps(json.loads(long), indent=1), "bundle"),
    ):
        (tmp_path / name).write_text(content)
        assert recognise(tmp_path / name) == kind, name
