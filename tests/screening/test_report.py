"""The report: its numbers are those of the answers, and the one to share tells of nobody."""

import csv
import json
import re
import shutil
import subprocess
from collections import Counter

import duckdb
import pytest
from typer.testing import CliRunner

from mscprotocol import cli
from mscprotocol.screening.tallies import ProtocolTally
from tests.screening.exports import AT, bundles, left, write_ndjson


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_ndjson(tmp_path_factory.mktemp("export") / "in", bundles().values())


def command(folder, out, *more):
    said = ["screen", str(folder), "--out", str(out), "--at", AT, "--progress", "none", *more]
    return CliRunner().invoke(cli.app, said)


@pytest.fixture(scope="module")
def run(folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("run") / "out"
    result = command(
        folder, out, "--what-if", "EX-04.within=30d", "--what-if", "dimer_cutoff=isth_2025", "--checklists"
    )
    assert result.exit_code == 0, result.output
    return out


def test_the_counts_are_printed(folder, tmp_path):
    (folder / "bad.ndjson").write_text("{\n")
    result = command(folder, tmp_path / "out")
    (folder / "bad.ndjson").unlink()
    assert result.exit_code == 3
    assert "1 quarantined" in result.output
    patients = len(bundles())
    assert f"{patients} patients: {patients} assessed, 0 quarantined" in result.output


def log(run):
    with (run / "screening_log.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_the_log_agrees_with_the_answers(run):
    answers = left(run)["answers"]
    rows = log(run)
    assert {(row["patient"], row["protocol"]): row["verdict"] for row in rows} == {
        key: one["verdict"] for key, one in answers.items()
    }
    assert [row["patient"] for row in rows] == sorted(row["patient"] for row in rows)
    query = "SELECT patient, verdict FROM read_parquet(?) ORDER BY patient"
    table = duckdb.execute(query, [str(run / "screening_log.parquet")]).fetchall()
    assert table == [(row["patient"], row["verdict"]) for row in rows]


def test_the_report_holds_the_verdicts(run):
    text = (run / "report.html").read_text(encoding="utf-8")
    verdicts = Counter(one["verdict"] for one in left(run)["answers"].values())
    assert f"Ineligible: {verdicts['ineligible']}," in text
    assert f"Undetermined: {verdicts['undetermined']}<" in text
    assert f"for clinician review: {verdicts['eligible']}<" in text


def test_the_figures_of_the_run(run):
    figures = json.loads((run / "metrics.json").read_bytes())
    assert figures["balance"]["assessed"] == len(bundles())
    assert sum(one["lines"] for one in figures["files"].values()) == figures["balance"]["lines"]
    assert figures["screened"] == {"new": len(bundles())}
    assert figures["peak_mebibytes"] > 0


def test_the_report_loads_nothing(run):
    for name in ("report.html", "report-shareable.html"):
        text = (run / name).read_text(encoding="utf-8")
        assert not re.search(r"<script|<link|<img|url\(|@import|src=", text)
        assert set(re.findall(r"https?://[^\"<\s]+", text)) <= {"http://www.w3.org/2000/svg"}


def test_what_is_shared_names_nobody(run):
    text = (run / "report-shareable.html").read_text(encoding="utf-8")
    for patient, _ in left(run)["answers"]:
        assert not re.search(rf"\b{re.escape(patient)}\b", re.sub(r"<style>.*?</style>", "", text, flags=re.S)) or (
            patient in ("eligible", "mild", "stable", "improving", "pregnant")  # words of the report itself
        )


def test_checklists_of_those_eligible_or_one_datum_away(run):
    wanted = {row["patient"] for row in log(run) if row["verdict"] == "eligible" or row["one_datum"]}
    names = {re.sub(r"-[0-9a-f]{12}-seed-covid-4x\.html$", "", path.name) for path in (run / "checklists").iterdir()}
    assert names == wanted
    assert {"eligible", "one-lab-open"} <= wanted


def test_what_if_changes_nothing_but_tells(folder, run, tmp_path):
    result = command(folder, tmp_path / "plain")
    assert result.exit_code == 0
    for name in ("assessments.ndjson", "screening_log.csv"):
        assert (tmp_path / "plain" / name).read_bytes() == (run / name).read_bytes()
    text = (run / "report.html").read_text(encoding="utf-8")
    assert "EX-04.within=30d" in text
    assert "all together" in text


def test_a_what_if_that_changes_a_verdict(folder, tmp_path):
    path = "IND-02.when.not_met"
    result = command(folder, tmp_path / "out", "--what-if", "COA-01.nowhere=3")
    assert result.exit_code == 2
    assert path not in result.output
    result = command(folder, tmp_path / "out", "--what-if", "platelets.max_age.screening=1h")
    assert result.exit_code == 0, result.output
    text = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert re.search(r"<td>eligible</td><td>undetermined</td><td class=\"n\">\d", text)
    assert "COA-01: not_met to unknown" in text


@pytest.mark.parametrize(
    "wrong",
    [["--at", "noon"], ["--engine", "abacus"], ["--protocol", "no-such"], ["--zone", "Mars"], ["--progress", "loud"],
     ["--what-if", "nothing"], ["--columns", "no-such.yaml"]],
)  # fmt: skip
def test_a_wrong_option_is_said(folder, tmp_path, wrong):
    result = command(folder, tmp_path / "out", *wrong)
    assert result.exit_code == 2
    assert not (tmp_path / "out").exists()


def test_the_help_names_what_is_to_be_installed():
    said = CliRunner().invoke(cli.app, ["screen", "--help"], env={"COLUMNS": "200", "TERM": "dumb"}).output
    assert "pip install mscprotocol[spark]" in said


def test_columns_are_explained(tmp_path):
    (tmp_path / "list.csv").write_text("patient_id,born,hat\np,1960,9\n")
    result = CliRunner().invoke(cli.app, ["screen", str(tmp_path), "--explain-columns"])
    assert result.exit_code == 0
    assert "born: born" in result.output
    assert "hat: not read" in result.output
    assert "columns.yaml" in result.output


def test_no_space_left_is_said_and_the_run_is_taken_up(folder, tmp_path):
    """A limit on the size of files stands for a disk that is full."""
    import os
    import sys

    script = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000));"
        "from mscprotocol.cli import app; app()"
    )
    out = tmp_path / "out"
    said = ["screen", str(folder), "--out", str(out), "--at", AT, "--progress", "none"]
    run = subprocess.run([sys.executable, "-c", script, *said], capture_output=True, check=False, env=os.environ)
    assert run.returncode == 5, run.stderr.decode()
    assert b"no space left" in run.stderr
    assert b"Traceback" not in run.stderr
    assert command(folder, out, "--resume").exit_code == 0
    assert command(folder, tmp_path / "whole").exit_code == 0
    assert (out / "assessments.ndjson").read_bytes() == (tmp_path / "whole" / "assessments.ndjson").read_bytes()


@pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium, of scripts/test-extras, is not here")
def test_a_browser_shows_and_prints_it(run, tmp_path):
    pdf = tmp_path / "report.pdf"
    flags = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}", f"--print-to-pdf={pdf}"]
    subprocess.run(["chromium", *flags, (run / "report.html").as_uri()], check=True, capture_output=True, timeout=120)
    assert pdf.read_bytes().startswith(b"%PDF")


# -- numbers ---------------------------------------------------------------------------------------


def test_attrition_in_turn_and_alone():
    tally = ProtocolTally(assessed=100)
    tally.combinations.update({("A",): 10, ("A", "B"): 20, ("B", "C"): 5, ("C",): 1})
    assert tally.sole == {"A": 10, "C": 1}
    assert tally.at_all == {"A": 30, "B": 25, "C": 6}
    assert tally.sequential(["D", "A", "B", "C"]) == [("A", 30, 70), ("B", 5, 65), ("C", 1, 64)]
