"""Runs: several workers, one that was killed, one that is repeated, and data, rules or times that changed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mscprotocol.errors import RequestError
from mscprotocol.sample_cases import PROTOCOL
from mscprotocol.screening import stages
from tests.screening.exports import AT, bundles, screen, write_ndjson

ROOT = Path(__file__).resolve().parents[2]
LASTING = ("assessments.ndjson", "screening_log.csv", "screening_log.parquet", "quarantine.ndjson")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = write_ndjson(tmp_path_factory.mktemp("export") / "in", bundles().values())
    (folder / "broken.ndjson").write_text('{"resourceType": "Observation"\n')
    return folder


@pytest.fixture(scope="module")
def whole(folder, tmp_path_factory):
    """An uninterrupted run."""
    return screen(folder, tmp_path_factory.mktemp("whole") / "out")


@pytest.fixture
def few(tmp_path):
    return write_ndjson(tmp_path / "few", [bundles()[name] for name in ("eligible", "pregnant", "one-lab-open")])


def same(run, other):
    return all(run.bytes[name] == other.bytes[name] for name in LASTING)


def test_several_workers_give_the_same_bytes(folder, whole, tmp_path):
    assert same(screen(folder, tmp_path / "out", workers=2), whole)


def test_where_the_files_stand_does_not_matter(folder, whole, tmp_path):
    (tmp_path / "moved").mkdir()
    for path in folder.iterdir():
        (tmp_path / "moved" / path.name).write_bytes(path.read_bytes())
    assert same(screen(tmp_path / "moved", tmp_path / "out"), whole)


@pytest.mark.parametrize(
    ("module", "name", "number"),
    [
        ("mscprotocol.screening.stages", "write_spool", 2),
        ("mscprotocol.screening.grouping", "_sort", 1),
        ("mscprotocol.screening.run", "write_whole", 1),
        ("mscprotocol.screening.stages", "screen_patient", 1),
        ("mscprotocol.screening.stages", "screen_patient", 9),
        ("mscprotocol.screening.stages", "write_whole", 3),
        ("mscprotocol.screening.outputs", "_cells", 5),
        ("mscprotocol.screening.outputs", "_write_parquet", 1),
    ],
)
def test_a_killed_run_is_taken_up_and_gives_the_same_bytes(folder, whole, tmp_path, module, name, number):
    out = tmp_path / "out"
    script = ROOT / "tests" / "screening" / "killed.py"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}
    run = subprocess.run(
        [sys.executable, script, folder, out, module, name, str(number)],
        check=False, env=environment, capture_output=True,
    )  # fmt: skip
    assert run.returncode == -9, run.stderr.decode()
    with pytest.raises(RequestError, match="cut short"):
        screen(folder, out)
    assert same(screen(folder, out, resume=True), whole)


def test_what_was_finished_is_not_done_again(folder, whole, tmp_path, monkeypatch):
    out = tmp_path / "out"

    class StoppedError(BaseException):
        pass

    real, left = stages.write_results, 3

    def stop(path, results):
        nonlocal left
        left -= 1
        if left < 0:
            raise StoppedError
        return real(path, results)

    monkeypatch.setattr(stages, "write_results", stop)
    with pytest.raises(StoppedError):
        screen(folder, out)
    monkeypatch.undo()
    before = {path: path.stat().st_mtime_ns for path in (out / "work" / "parts").glob("*.gz")}
    assert len(before) == 3
    assert same(screen(folder, out, resume=True), whole)
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_a_run_is_taken_up_only_as_it_was_begun(folder, tmp_path):
    out = tmp_path / "out"
    manifest = begin(folder, out, tmp_path)
    assert manifest["state"] == "begun"
    with pytest.raises(RequestError, match="--protocol"):
        screen(folder, out, resume=True, protocol="ciss-2018")


def begin(folder, out, tmp_path):
    """A finished run that says it is not."""
    screen(folder, out)
    path = out / "work" / "run.json"
    path.write_text(path.read_text().replace('"finished"', '"begun"'))
    return json.loads(path.read_text())


def test_a_folder_that_holds_something_else_is_left_alone(folder, tmp_path):
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(RequestError, match="something else"):
        screen(folder, tmp_path)


def test_a_second_run_over_the_same_changes_nothing(folder, whole, tmp_path):
    out = tmp_path / "out"
    screen(folder, out)
    again = screen(folder, out)
    assert same(again, whole)
    assert set(again.why) == {"unchanged"}


def test_only_patients_whose_data_changed_are_screened_again(tmp_path):
    found = bundles()
    folder, out = write_ndjson(tmp_path / "in", found.values()), tmp_path / "out"
    screen(folder, out)
    path = folder / "Observation.ndjson"
    lines = path.read_bytes().splitlines(keepends=True)
    mine = next(n for n, line in enumerate(lines) if b"Patient/pregnant" in line and b"777-3" in line)
    lines[mine] = lines[mine].replace(b"valueQuantity", b"valueQuantityX")
    path.write_bytes(b"".join(reversed(lines)))
    run = screen(folder, out)
    assert run.why == {"data changed": 1, "unchanged": len(found) - 1}
    assert same(run, screen(folder, tmp_path / "anew"))


@pytest.mark.parametrize(
    "other",
    [{"choices": {"dimer_cutoff": "isth_2025"}}, {"zone": "Asia/Shanghai"}, {"checklists": True},
     {"what_if": ["EX-04.within=30d"]}, {"at": "last-observation"}],
)  # fmt: skip
def test_other_options_are_noticed(few, tmp_path, other):
    out = tmp_path / "out"
    screen(few, out)
    run = screen(few, out, **other)
    assert set(run.why) == {"options changed"}
    assert same(run, screen(few, tmp_path / "anew", **other))


def test_an_answer_at_the_last_observation_does_not_stand_for_a_fixed_time(few, tmp_path):
    screen(few, tmp_path / "out", at="last-observation")
    run = screen(few, tmp_path / "out")
    assert set(run.why) == {"options changed"}
    assert {one["at"] for one in run.answers.values()} == {AT}


def test_other_rules_are_noticed(few, tmp_path, monkeypatch):
    screen(few, tmp_path / "out")
    monkeypatch.setattr("mscprotocol.screening.options.FORMAT", "another program")
    stages.screen_of.cache_clear()
    assert set(screen(few, tmp_path / "out").why) == {"rules changed"}
    monkeypatch.undo()
    stages.screen_of.cache_clear()


def test_an_earlier_time_has_not_passed(few, tmp_path):
    screen(few, tmp_path / "out")
    assert set(screen(few, tmp_path / "out", at="2020-04-06T09:00:00+08:00").why) == {"another time"}
    assert set(screen(few, tmp_path / "out", at="2020-05-06T09:00:00+08:00").why) == {"time has passed"}


def test_a_finished_run_is_taken_up_only_as_it_was_made(few, tmp_path):
    first = screen(few, tmp_path / "out")
    with pytest.raises(RequestError, match=r"finished.*other options \(--set\).*leave --resume out"):
        screen(few, tmp_path / "out", resume=True, choices={"dimer_cutoff": "isth_2025"})
    assert same(screen(few, tmp_path / "out", resume=True), first)


def test_time_alone_may_change_an_answer(tmp_path):
    """Within its validity an answer stands; after it, and for what is open, patients are screened again."""
    folder, out = write_ndjson(tmp_path / "in", bundles().values()), tmp_path / "out"
    first = screen(folder, out)
    soon = screen(folder, out, at="2020-04-06T10:01:00+08:00")
    decided = [one for one in first.answers.values() if one["verdict"] != "undetermined"]
    assert soon.why["unchanged"] <= len(decided)
    assert soon.why["unchanged"] > 0
    assert soon.answers["eligible", PROTOCOL] == first.answers["eligible", PROTOCOL]
    late = screen(folder, out, at="2020-05-06T10:00:00+08:00")
    assert late.answers["eligible", PROTOCOL]["verdict"] != "eligible"
    anew = screen(folder, tmp_path / "anew", at="2020-05-06T10:00:00+08:00")
    assert {key: one["verdict"] for key, one in late.answers.items()} == {
        key: one["verdict"] for key, one in anew.answers.items()
    }


def test_a_new_patient_is_new(tmp_path):
    found = bundles()
    folder, out = write_ndjson(tmp_path / "in", [found["eligible"]]), tmp_path / "out"
    screen(folder, out)
    write_ndjson(tmp_path / "in", [found["eligible"], found["pregnant"]])
    assert screen(folder, out).why == {"new": 1, "unchanged": 1}


@pytest.mark.parametrize("status", ["cancelled", "entered-in-error", "registered"])
@pytest.mark.parametrize("code", ["8867-4", "1-8"])
def test_what_was_not_observed_is_no_last_observation(tmp_path, status, code):
    folder = write_ndjson(tmp_path / "in", [bundles()["eligible"]])
    plain = screen(folder, tmp_path / "plain", at="last-observation").answers["eligible", PROTOCOL]
    odd = {
        "resourceType": "Observation", "id": "odd", "status": status, "subject": {"reference": "Patient/eligible"},
        "code": {"coding": [{"system": "http://loinc.org", "code": code}]},
        "effectiveDateTime": "2021-01-01T00:00:00+08:00",
    }  # fmt: skip
    with (folder / "Observation.ndjson").open("a") as file:
        file.write(json.dumps(odd) + "\n")
    found = screen(folder, tmp_path / "out", at="last-observation").answers["eligible", PROTOCOL]
    assert (found["at"], found["verdict"]) == (plain["at"], plain["verdict"])


def test_each_patient_at_his_last_observation(tmp_path):
    folder = write_ndjson(tmp_path / "in", [bundles()["eligible"]])
    late = {
        "resourceType": "Observation",
        "id": "late",
        "status": "final",
        "subject": {"reference": "Patient/eligible"},
        "code": {"coding": [{"system": "http://loinc.org", "code": "1-8", "display": "something else"}]},
        "effectiveDateTime": "2020-04-06T09:59:59+08:00",
    }
    with (folder / "Observation.ndjson").open("a") as file:
        file.write(json.dumps(late) + "\n")
    run = screen(folder, tmp_path / "out", at="last-observation")
    assert run.answers["eligible", PROTOCOL]["at"] == "2020-04-06T01:59:59+00:00"


def test_a_time_after_the_encounter_began(tmp_path):
    folder = write_ndjson(tmp_path / "in", [bundles()["eligible"], bundles()["pregnant"]])
    stay = {"resourceType": "Encounter", "id": "e", "status": "in-progress", "class": {"code": "IMP"},
            "subject": {"reference": "Patient/eligible"}, "period": {"start": "2020-04-05T10:00:00+08:00"}}  # fmt: skip
    visit = stay | {"id": "v", "class": {"code": "AMB"}, "period": {"start": "2020-04-06T09:00:00+08:00"}}
    (folder / "Encounter.ndjson").write_text(json.dumps(stay) + "\n" + json.dumps(visit) + "\n")
    run = screen(folder, tmp_path / "out", at="encounter-start+24h")
    assert run.answers["eligible", PROTOCOL]["at"] == "2020-04-06T02:00:00+00:00"
    fixed = screen(folder, tmp_path / "fixed", at=AT)
    key = ("eligible", PROTOCOL)
    assert run.answers[key]["trace_sha256"] == fixed.answers[key]["trace_sha256"]
    assert run.codes["patient", "no_time"] == 1


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("stage", ["files read", "patients screened"])
def test_an_interrupted_run_says_how_it_is_taken_up(folder, whole, tmp_path, stage, workers):
    """Ctrl-C goes to every process of the terminal; what runs the tests in the background may ignore it for its own."""
    out = tmp_path / "out"
    said = ["screen", str(folder), "--out", str(out), "--at", AT, "--workers", workers]
    program = tmp_path / "program.py"
    program.write_text(
        "import os, signal\n"
        "from mscprotocol.screening.progress import Reporter\n"
        "from mscprotocol.cli import app\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "follow = Reporter.follow\n"
        "def interrupted(self, name, items, *more):\n"
        "    for item in follow(self, name, items, *more):\n"
        f"        if name == {stage!r}:\n"
        "            os.killpg(0, signal.SIGINT)\n"
        "        yield item\n"
        "Reporter.follow = interrupted\n"
        f"if __name__ == '__main__':\n    app({said!r})\n"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}
    run = subprocess.run(
        [sys.executable, program], capture_output=True, check=False, env=environment, start_new_session=True
    )
    assert run.returncode == 130
    assert "Interrupted: run the same command with --resume" in run.stderr.decode()
    assert "Traceback" not in run.stderr.decode()
    assert same(screen(folder, out, resume=True), whole)


def test_ctrl_c_while_the_program_loads_ends_it_without_a_traceback(tmp_path):
    (tmp_path / "typer.py").write_text("raise KeyboardInterrupt\n")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT / "src"), str(ROOT)])}
    said = [sys.executable, "-m", "mscprotocol", "screen", "--help"]
    run = subprocess.run(said, capture_output=True, check=False, env=environment)
    assert (run.returncode, run.stderr) == (130, b"")


def test_workers_end_with_a_parent_that_is_killed(tmp_path):
    """Each worker holds the end of a pipe: when the last one lets go, none is left to write."""
    program = tmp_path / "program.py"
    program.write_text(
        "import os, signal, sys\n"
        "from mscprotocol.screening.workers import Local\n"
        "def tell(_):\n"
        "    print(os.getpid(), flush=True)\n"
        "    signal.pause()\n"
        "if __name__ == '__main__':\n"
        "    with Local(2).running() as engine:\n"
        "        list(engine.map(tell, [1, 2]))\n"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}
    with subprocess.Popen([sys.executable, program], stdout=subprocess.PIPE, env=environment) as process:
        workers = [process.stdout.readline(), process.stdout.readline()]
        assert all(workers)
        process.kill()
        # The workers hold the same standard output: it ends when they have ended.
        assert process.stdout.read() == b""
