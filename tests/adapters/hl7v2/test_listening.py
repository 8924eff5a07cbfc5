"""The commands: `listen` as a process of its own, and `assess` on files of HL7 v2."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from typer.testing import CliRunner

from fhir_adapters.mllp import MllpClient
from mscprotocol.cli import app
from mscprotocol.knowledge_loader import load_knowledge
from mscprotocol.store.assessments import read_inputs, read_json
from mscprotocol.store.database import Database, open_database
from mscprotocol.store.tables import AuditEntry, StoredAssessment
from mscprotocol.verification import open_kept
from tests.adapters.hl7v2.messages import OBR, PID, adt, message, oru, result
from tests.web.live import LISTEN, Process, running

AT = "2020-04-06T12:00:00+00:00"
PLATELETS = result("40", code="777-3^Platelets^LN", unit="10*9/L^^UCUM")


@contextmanager
def listening(out: Path, *options: str, **settings: str) -> Iterator[Process]:
    """A listener on a free port; its output is complete once it has ended."""
    database = f"sqlite:///{out.parent}/store.sqlite3"
    command = ("listen", "--port", "0", "--out", str(out), "--database", database, *options)
    with running(LISTEN, *command, **settings) as process:
        yield process
    assert process.process.returncode in (0, -signal.SIGKILL)


async def send(port: int, *contents: bytes) -> list[bytes]:
    async with MllpClient("127.0.0.1", port) as client:
        return [await client.send(one) for one in contents]


def test_a_patient_is_assessed_anew_when_the_data_change(tmp_path: Path) -> None:
    out = tmp_path / "answers.ndjson"
    with listening(out, "--production") as process:
        answers = asyncio.run(
            send(process.port, adt("A01"), oru(PLATELETS, control="2"), oru(result(), processing="T"))
        )
    assert [b"|AA|" in one for one in answers] == [True, True, False]
    found = [json.loads(line) for line in out.read_text().splitlines()]
    assert 1 <= len(found) <= 2
    assert {one["patient"]["id"] for one in found} == {"4711^^^HOSP"}
    evidence = [each["reference"] for one in found[-1]["criteria"] for each in one["evidence"]]
    assert any(reference.startswith("Observation/777-3") for reference in evidence)
    logs = process.output
    assert "patient assessed" in logs
    assert "message refused" in logs
    assert not [one for one in ("4711", "Example", "1962") if one in logs]


@contextmanager
def opened(folder: Path) -> Iterator[Database]:
    database = open_database(f"sqlite:///{folder}/store.sqlite3")
    yield database
    database.close()


def stored(folder: Path) -> list[StoredAssessment]:
    with opened(folder) as database, database.reading() as session:
        query = select(StoredAssessment).order_by(StoredAssessment.made_at)
        return list(session.execute(query).scalars())


def test_answers_that_rest_on_test_messages_say_so(tmp_path: Path) -> None:
    """As those from files do, if only one of a patient's messages is for tests."""
    out, other = tmp_path / "answers.ndjson", PID.replace("4711", "4712")
    sent = (adt("A01"), adt("A01", other, control="2"), adt("A08", other, control="3", processing="T"))
    with listening(out) as process:
        asyncio.run(send(process.port, *sent))
    found = {one["patient"]["id"]: str(one["data_quality"]) for one in map(json.loads, out.read_text().splitlines())}
    assert {name: "test or as training (MSH-11)" in notes for name, notes in found.items()} == {
        "4711^^^HOSP": False, "4712^^^HOSP": True,
    }  # fmt: skip


def test_messages_and_patients_survive_a_crash(tmp_path: Path) -> None:
    """Killed after an acknowledgement: a replay gets the same bytes, and the patient has all that was ever sent."""
    out = tmp_path / "answers.ndjson"
    with listening(out) as process:
        before = asyncio.run(send(process.port, adt("A01"), oru(result(), control="2")))
        process.kill()
    with listening(out) as process:
        replayed = asyncio.run(send(process.port, adt("A01"), oru(result(), control="2")))
        asyncio.run(send(process.port, oru(PLATELETS, control="3")))
        process.kill()
    assert replayed == before
    with listening(out):
        pass  # whoever waited when the process died is assessed at the next start
    *_, last = stored(tmp_path)
    assert (last.door, last.patient_id) == ("hl7v2", "4711^^^HOSP")
    with opened(tmp_path) as database, database.reading() as session:
        kept = open_kept(session, last)
    assert [one.count(b"|3|P|") for one in kept.messages] == [0, 0, 1]
    assert len(read_inputs(last)) == 3 and max(map(len, read_inputs(last))) < 100  # by reference
    evidence = [each["reference"] for one in json.loads(read_json(last))["criteria"] for each in one["evidence"]]
    assert any(reference.startswith("Observation/777-3") for reference in evidence)


def test_a_restart_without_new_data_makes_no_new_assessment(tmp_path: Path) -> None:
    out = tmp_path / "answers.ndjson"
    for _ in range(2):
        with listening(out) as process:
            asyncio.run(send(process.port, adt("A01")))
    assert len(stored(tmp_path)) == len(out.read_text().splitlines()) == 1


def test_a_second_listener_of_a_database_ends_with_a_line(tmp_path: Path) -> None:
    """Each would answer from half of the messages."""
    url = f"sqlite:///{tmp_path}/store.sqlite3"
    with listening(tmp_path / "answers.ndjson"):
        second = CliRunner().invoke(app, ["listen", "--port", "0", "--database", url])
    assert second.exit_code == 1
    assert "send all messages to its port" in second.stderr
    assert len(second.stderr.splitlines()) == 1


def test_zone_and_site_file_of_the_installation_hold_where_they_are_set(tmp_path: Path) -> None:
    """A zone that nobody set is none: its default shows times, and reads none."""
    site = tmp_path / "site.yaml"
    site.write_text("main-lab: {code: loinc 48065-7, upper: 0.5 mg/L, laboratory: Main, since: '2020-01-01'}\n")
    local = message(PID, OBR.replace("+0000", ""), PLATELETS, sent="202004061000")
    times, rules = [], []
    for name, settings in (("plain", {}), ("set", {"zone": "Europe/Berlin", "site_file": str(site)})):
        out = tmp_path / name / "answers.ndjson"
        out.parent.mkdir()
        with listening(out, **settings) as process:
            asyncio.run(send(process.port, local))
        (found,) = [json.loads(line) for line in out.read_text().splitlines()]
        evidence = [each for one in found["criteria"] for each in one["evidence"]]
        times.append(next(each["at"] for each in evidence if each["reference"].startswith("Observation/777-3")))
        rules.append(found["rulebase"]["sha256"])
    assert times[0] != times[1]
    assert "+02:00" in str(times[1]) or "T06:00" in str(times[1])
    assert rules[0] != rules[1] == load_knowledge(None, site).sha256


def test_another_kind_of_database_ends_the_command(tmp_path: Path) -> None:
    found = CliRunner().invoke(app, ["listen", "--database", "mysql://x/y"], env={"COLUMNS": "400", "TERM": "dumb"})
    assert found.exit_code == 2
    assert "postgresql+psycopg" in found.output


def test_a_patient_who_cannot_be_assessed_is_an_error_line(tmp_path: Path) -> None:
    out = tmp_path / "answers.ndjson"
    with listening(out) as process:
        asyncio.run(send(process.port, adt("A08", PID + "|" * 22 + "Y")))
    (line,) = out.read_text().splitlines()
    said = json.loads(line)
    assert (said["error"]["code"], said["patient"]) == ("deceased", {"id": "4711^^^HOSP"})
    with opened(tmp_path) as database, database.reading() as session:
        entries = session.execute(select(AuditEntry)).scalars().all()
    assert [(one.action, one.subject) for one in entries] == [("refuse", "Patient/4711^^^HOSP")]


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        (["--host", "0.0.0.0"], "--tls-client-ca"),  # noqa: S104 - it is refused
        (["--host", "hospital.example", "--tls-cert", "c.pem"], "--tls-key"),
        (["--tls-cert", "no.pem", "--tls-key", "no.pem"], "PEM"),
        (["--zone", "Nowhere/Land"], "Europe/Berlin"),
        (["--protocol", "none"], "seed-covid-4x"),
    ],
)
def test_what_is_refused_says_what_to_do(options: list[str], hint: str) -> None:
    result_ = CliRunner().invoke(app, ["listen", *options], env={"COLUMNS": "400", "TERM": "dumb"})
    assert result_.exit_code == 2
    assert hint in result_.output


def assessed(tmp_path: Path, content: bytes, *options: str) -> dict[str, Any]:
    file = tmp_path / "messages.hl7"
    file.write_bytes(content)
    outcome = CliRunner().invoke(app, ["assess", str(file), "--at", AT, "--format", "json", *options])
    found: dict[str, Any] = json.loads(outcome.output)
    return found


def test_assess_takes_a_file_of_messages(tmp_path: Path) -> None:
    found = assessed(tmp_path, adt("A01") + oru(PLATELETS, control="2"))
    assert found["verdict"] == "undetermined"
    assert found["patient"]["id"] == "4711^^^HOSP"


def test_assess_says_why_it_cannot(tmp_path: Path) -> None:
    other = message(PID.replace("4711", "4712"), OBR, PLATELETS, control="2")
    for content, code in (
        (adt("A01") + other, "mixed_patients"),
        (b"MSH|^~\\&|A", "no_patient"),
        (b"MSH|^^|A", "unreadable"),
    ):
        assert assessed(tmp_path, content)["error"]["code"] == code  # type: ignore[index]


def test_the_zone_reads_times_without_one(tmp_path: Path) -> None:
    content = message(PID, OBR.replace("+0000", ""), PLATELETS, sent="202004061000")
    times = []
    for options in ([], ["--zone", "Europe/Berlin"], ["--zone", "Asia/Tokyo"]):
        found = assessed(tmp_path, content, *options)
        evidence = [each for one in found["criteria"] for each in one["evidence"]]  # type: ignore[attr-defined]
        times.append(next(each["at"] for each in evidence if each["reference"].startswith("Observation/777-3")))
    assert len(set(map(str, times))) == 3
