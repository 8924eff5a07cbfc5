"""CSV lists, tidy and by a map of columns: the same answers as the same data from elsewhere."""

import csv
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fhir_adapters.patient_list import read_column_map
from fhir_adapters.patient_rows import check_names
from mscprotocol.cli import app
from mscprotocol.places import find_folder
from mscprotocol.sample_cases import PROTOCOL
from tests.one_patient import OnePatient
from tests.screening.exports import AT, screen

TIDY = """patient_id,born,sex,name,value,unit,upper_limit,status,by,at
p-1,1962-03-14,male,,,,,,,
p-1,,,platelets,180,10*9/L,,,,2020-04-06T08:00:00+08:00
p-1,,,d_dimer,0.4,mg/L,0.5 mg/L,,,2020-04-06T08:00:00+08:00
p-1,,,covid_19,,,,active,,2020-04-01
p-1,,,pregnancy,no,,,,Dr A. Example,2020-04-06T09:00:00+08:00
p-2,1990-01-01,female,platelets,"1,2",10*9/L,,,,2020-04-06T08:00:00+08:00
"""
PLAIN = """{"patient": {"id": "p-1", "born": "1962-03-14", "sex": "male"}, "data": [
 {"name": "platelets", "value": "180 10*9/L", "at": "2020-04-06T08:00:00+08:00"},
 {"name": "d_dimer", "value": "0.4 mg/L", "upper_limit": "0.5 mg/L", "at": "2020-04-06T08:00:00+08:00"}],
 "conditions": [{"name": "covid_19", "status": "active", "since": "2020-04-01"}],
 "answers": [{"name": "pregnancy", "answer": "no", "by": "Dr A. Example", "at": "2020-04-06T09:00:00+08:00"}]}"""


def alone(knowledge, content):
    from datetime import datetime

    from fhir_adapters.plain_record import read_plain
    from fhir_adapters.record_builder import build_record
    from mscprotocol.assessment import assess
    from mscprotocol.case import Request
    from mscprotocol.rulebook import compile_rulebook

    record = build_record(read_plain(content.encode(), knowledge), knowledge)
    return assess(record, compile_rulebook(knowledge, PROTOCOL), Request(datetime.fromisoformat(AT)))


def test_a_tidy_list(tmp_path, knowledge):
    (tmp_path / "list.csv").write_text(TIDY)
    run = screen(tmp_path / "list.csv", tmp_path / "out")
    assert run.balance.is_even
    assert run.answers["p-1", PROTOCOL]["trace_sha256"] == alone(knowledge, PLAIN).trace_sha256
    assert set(run.answers) == {("p-1", PROTOCOL), ("p-2", PROTOCOL)}


WIDE = """
tables:
  - file: "wide*.csv"
    patient: mrn
    zone: Asia/Shanghai
    tidy: {born: dob, sex: gender, at: charted}
    values: {gender: {}, sex: {M: male}}
    wide:
      - {column: plt, fixed: {name: platelets, unit: 10*9/L}}
      - {column: dd, fixed: {name: d_dimer, unit: mg/L}, columns: {upper_limit: dd_upper}}
      - {column: icd, fixed: {status: active, since: "2020-04-01"}, columns: {code: icd}, system: icd10}
      - {column: preg, fixed: {name: pregnancy, by: Dr A. Example}, values: {"0": "no"}}
"""


def test_a_wide_list_by_a_map(tmp_path, knowledge):
    (tmp_path / "wide1.csv").write_text(
        "mrn;dob;gender;charted;plt;dd;dd_upper;icd;preg\np-1;1962-03-14;M;2020-04-06 08:00;180;0.4;0.5 mg/L;U07.1;0\n"
    )
    text = WIDE.replace("values: {gender: {}, sex: {M: male}}", "values: {sex: {M: male}}")
    run = screen(tmp_path / "wide1.csv", tmp_path / "out", columns=text)
    answer, one = run.answers["p-1", PROTOCOL], alone(knowledge, PLAIN)
    statuses = {each.id: each.status for each in one.criteria}
    assert {each["id"]: each["status"] for each in answer["criteria"]} == statuses
    assert answer["verdict"] == one.verdict


@pytest.mark.parametrize(
    ("content", "line", "code"),
    [
        ("patient_id,name,value\np-1,platelets\n", 2, "unreadable"),
        ("patient_id,name,value\n,platelets,1\n", 2, "foreign_subject"),
        ('patient_id,name,note\np-1,platelets,"a\nb"\n\x07,platelets,1\n', 4, "unreadable"),
        ("patient_id,name,value\np-1,x,\xe4\n", 2, "unreadable"),
    ],
)
def test_a_bad_row_is_named(tmp_path, content, line, code):
    (tmp_path / "list.csv").write_bytes(content.encode("latin-1") + b"p-9,platelets,180\n")
    run = screen(tmp_path / "list.csv", tmp_path / "out")
    assert [(one["line"], one["code"]) for one in run.problems if one["level"] == "line"] == [(line, code)]
    assert run.problems[0]["message"].startswith("row: ")
    assert ("p-9", PROTOCOL) in run.answers
    assert run.balance.is_even


def test_rows_that_contradict_each_other(tmp_path):
    (tmp_path / "list.csv").write_text("patient_id,born\np-1,1962-03-14\np-1,1963-03-14\n")
    assert screen(tmp_path / "list.csv", tmp_path / "out").codes["patient", "mixed_patients"] == 1


def test_the_time_of_evaluation_may_stand_in_a_column(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "list.csv").write_text("patient_id,icu\np-1, 2020-04-01T08:00:00Z \np-2,\n")
    (tmp_path / "in" / "others.csv").write_text("patient_id,sex\np-1,male\n")
    run = screen(tmp_path / "in", tmp_path / "out", at="column:icu")
    assert run.balance.kept == 3
    assert run.answers["p-1", PROTOCOL]["at"] == "2020-04-01T08:00:00+00:00"
    assert run.codes["patient", "no_time"] == 1


def test_a_table_that_names_no_patient_is_named(tmp_path):
    (tmp_path / "list.csv").write_text("a,b\n1,2\n")
    assert screen(tmp_path / "list.csv", tmp_path / "out").codes["file", "no_patient"] == 1


def test_a_table_of_which_nothing_would_be_read_is_named(tmp_path):
    (tmp_path / "list.csv").write_text("patient_id,plt\np-1,180\n")
    run = screen(tmp_path / "list.csv", tmp_path / "out")
    assert run.codes == {("file", "unreadable"): 1}
    assert not run.answers


def test_the_template_can_be_read():
    assert read_column_map((find_folder("templates") / "columns.yaml").read_text(encoding="utf-8")).tables


@pytest.mark.parametrize(
    "text",
    [
        "tables: [{file: a, patient: b, tidy: {agee: c}}]",
        "tables: [{file: a, patient: b, tidy: {sex: gender}, values: {gender: {M: male}}}]",
        "tables: [{file: a, patient: b, tidy: {value: c}, names: {PLT: platelets}}]",
        "tabels: []",
        "x: [",
        "tables: 1",
    ],
)
def test_a_word_that_is_not_known_is_refused(text):
    with pytest.raises(ValueError, match=r"line|field|known|tabl|not"):
        read_column_map(text)


KEPT = sorted((Path(__file__).parents[2] / "docs" / "column-maps").glob("*.yaml"))


@pytest.mark.parametrize("path", [find_folder("templates") / "columns.yaml", *KEPT], ids=lambda path: path.stem)
def test_maps_that_are_kept_name_what_the_rules_know(knowledge, path):
    columns = read_column_map(path.read_text(encoding="utf-8"))
    check_names(columns, knowledge)
    assert any(True for table in columns.tables for _ in table.said_names) or columns.tables[0].system


@pytest.mark.parametrize(
    "table",
    [
        "tidy: {name: b, value: c}, names: {PLT: platelet}",
        "wide: [{column: c, fixed: {name: plateletz}}]",
        "wide: [{column: c, fixed: {code: 777-3}}]",
    ],
)
def test_a_map_by_whose_names_nothing_would_be_read_is_refused(tmp_path, table):
    (tmp_path / "map.yaml").write_text(f"tables: [{{file: a.csv, patient: p, {table}}}]")
    (tmp_path / "a.csv").write_text("p,b,c\n1,PLT,180\n")
    given = ["--columns", str(tmp_path / "map.yaml"), "--at", AT, "--out", str(tmp_path / "out")]
    found = CliRunner().invoke(app, ["screen", str(tmp_path / "a.csv"), *given])
    assert found.exit_code == 2
    assert "neither a name of the rules" in found.output
    assert not (tmp_path / "out").exists()


def test_a_column_of_the_map_that_is_not_there_costs_the_table(tmp_path):
    """It may be the one that takes a statement back: a status, or a death."""
    (tmp_path / "a.csv").write_text("p,icd\np-1,U07.1\n")
    wide = "{column: icd, fixed: {}, columns: {code: icd, status: verified}, system: icd10}"
    run = screen(tmp_path / "a.csv", tmp_path / "out", columns=f"tables: [{{file: a.csv, patient: p, wide: [{wide}]}}]")
    assert run.codes == {("file", "unreadable"): 1}
    assert "'verified'" in run.problems[0]["message"]


COLUMNS = (
    "patient_id",
    "born",
    "sex",
    "name",
    "value",
    "unit",
    "upper_limit",
    "assay",
    "status",
    "by",
    "at",
    "since",
    "recorded",
)
FACTS = (
    ("lab", "weight", 0, 20, "final"), ("lab", "respiratory_rate", 0, 1, "final"), ("lab", "platelets", 1, 3, "final"),
    ("lab", "pao2", 2, 2, "preliminary"), ("limited", "d_dimer", 1, 3, True), ("limited", "pt", 0, 3, True),
    ("support", "hfno", 2), ("test", "positive", 30), ("condition", "covid_19", "active", 48),
    ("condition", "malignancy", "refuted", 90), ("answer", "pregnancy", False, 5),
)  # fmt: skip


def rows_of(plain):
    """A plain record as rows of a tidy list: one datum, condition or answer a row."""
    patient = {"patient_id": plain["patient"]["id"]}
    yield patient | {"born": plain["patient"]["born"], "sex": plain["patient"]["sex"]}
    for one in (*plain["data"], *plain["conditions"], *plain["answers"]):
        value, _, unit = str(one.get("value", "")).partition(" ")
        row = patient | one | {"value": value or one.get("answer", ""), "unit": unit}
        row.pop("answer", None)
        yield row


def test_h44_rows_of_a_list_are_a_bundle(tmp_path):
    """One patient as a list and as a bundle: the same verdict, for the same reasons."""
    one = OnePatient(*FACTS)
    with (tmp_path / "list.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, COLUMNS)
        table.writeheader()
        table.writerows(rows_of(one.plain))
    (tmp_path / "bundle.json").write_bytes(one.bundle)
    listed, bundled = (
        screen(tmp_path / name, tmp_path / name.partition(".")[0]).answers["p", PROTOCOL]
        for name in ("list.csv", "bundle.json")
    )
    assert listed["verdict"] == bundled["verdict"]
    assert listed["trace_sha256"] == bundled["trace_sha256"]
