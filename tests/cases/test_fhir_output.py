"""`assess --format fhir`: a bundle a line, and an OperationOutcome where there is no answer."""

import json
from pathlib import Path
from typing import Any

from fhir.resources.R4B.bundle import Bundle
from fhir.resources.R4B.operationoutcome import OperationOutcome
from typer.testing import CliRunner

from fhir_adapters.outcome import write_bundle
from fhir_adapters.writing import encode
from mscprotocol.cli import app
from mscprotocol.knowledge import KnowledgeBase
from mscprotocol.sample_cases import assess_sample, find_samples

SAMPLES = {one.name: one for one in find_samples()}
QUESTION = ["--at", "2020-04-06T10:00:00+08:00", "--zone", "Asia/Shanghai", "--format", "fhir"]


def file_of(sample: str) -> str:
    return str(SAMPLES[sample].folder / "input.json")


def assess(*arguments: str) -> tuple[int, list[dict[str, Any]]]:
    result = CliRunner().invoke(app, ["assess", *arguments, *QUESTION])
    return result.exit_code, [json.loads(line) for line in result.stdout.splitlines()]


def test_one_patient_is_one_bundle(knowledge: KnowledgeBase) -> None:
    code, (bundle,) = assess(file_of("eligible"))
    assert code == 0
    assert bundle == json.loads(encode(write_bundle(assess_sample(SAMPLES["eligible"], knowledge), knowledge)))


def test_every_protocol_and_every_patient_is_a_line(knowledge: KnowledgeBase) -> None:
    code, bundles = assess(file_of("eligible"), file_of("pregnant"), "--protocol", "all")
    assert code == 0
    assert len(bundles) == 2 * len(knowledge.protocols)
    for bundle in bundles:
        Bundle.model_validate(bundle)


def test_lines_are_collected_in_one_file(tmp_path: Path) -> None:
    out = tmp_path / "answers.ndjson"
    code, printed = assess(file_of("eligible"), file_of("pregnant"), "--out", str(out))
    assert (code, printed) == (0, [])
    assert [json.loads(line)["resourceType"] for line in out.read_text().splitlines()] == ["Bundle"] * 2


def test_a_file_without_an_answer_is_an_operation_outcome(tmp_path: Path) -> None:
    bad = tmp_path / "bad.json"
    bad.write_text("{}")
    code, (outcome, bundle) = assess(str(bad), file_of("eligible"))
    OperationOutcome.model_validate(outcome)
    assert code != 0
    assert outcome["issue"][0]["details"]["coding"][0]["code"] == "not_a_bundle"
    assert bundle["resourceType"] == "Bundle"
