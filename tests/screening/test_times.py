"""The time of a patient's last observation: none that lies after what the export says of its own time."""

import json

import pytest

from mscprotocol.sample_cases import PROTOCOL
from tests.screening.exports import bundles, screen, write_bundles, write_ndjson

EXPORTED, FUTURE = "2020-04-07T00:00:00+08:00", "2052-04-06T10:00:00+08:00"
READ, NOT_READ = "8867-4", "1-8"
NEVER = "dated after its export"


def observed(code, at, updated=None):
    return {
        "resourceType": "Observation", "id": "late", "status": "final", "subject": {"reference": "Patient/eligible"},
        "code": {"coding": [{"system": "http://loinc.org", "code": code}]}, "effectiveDateTime": at,
        **({"meta": {"lastUpdated": updated}} if updated else {}),
    }  # fmt: skip


def answer_of(folder, out, *more, exported=None):
    """The answer of a patient at his last observation, with some observations more."""
    write_ndjson(folder, [bundles()["eligible"]])
    with (folder / "Observation.ndjson").open("a") as file:
        file.writelines(json.dumps(one) + "\n" for one in more)
    if exported:
        output = [{"type": path.stem, "url": path.name} for path in sorted(folder.glob("*.ndjson"))]
        (folder / "manifest.json").write_text(json.dumps({"transactionTime": exported, "output": output}))
    return screen(folder, out, at="last-observation").answers["eligible", PROTOCOL]


def remarks(answer):
    return [one["about"] for one in answer["data_quality"] if NEVER in one["text"]]


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    folder = tmp_path_factory.mktemp("plain")
    return answer_of(folder / "in", folder / "out")


@pytest.mark.parametrize("code", [READ, NOT_READ])
@pytest.mark.parametrize(("exported", "updated"), [(EXPORTED, None), (None, EXPORTED), (EXPORTED, FUTURE)])
def test_what_lies_after_the_export_is_no_last_observation(tmp_path, plain, code, exported, updated):
    answer = answer_of(tmp_path / "in", tmp_path / "out", observed(code, FUTURE, updated), exported=exported)
    assert (answer["at"], answer["verdict"]) == (plain["at"], plain["verdict"])
    assert remarks(answer) == (["Observation/late"] if code == READ else [])
    assert not remarks(plain)


@pytest.mark.parametrize("code", [READ, NOT_READ])
def test_what_lies_before_it_is(tmp_path, code):
    """A day that the export is of has begun, and a time without a bound is believed."""
    at = "2020-04-06T15:00:00+00:00"
    assert answer_of(tmp_path / "in", tmp_path / "out", observed(code, at), exported=EXPORTED)["at"] == at
    day = answer_of(
        tmp_path / "day", tmp_path / "day_out", observed(code, "2020-04-07"), exported="2020-04-07T10:00:00Z"
    )
    assert day["at"] > "2020-04-07T10"
    assert not remarks(day)
    assert answer_of(tmp_path / "any", tmp_path / "any_out", observed(code, FUTURE))["at"].startswith("2052")


def test_times_that_were_all_shifted_are_taken_with_a_remark(tmp_path, plain):
    answer = answer_of(tmp_path / "in", tmp_path / "out", exported="2019-01-01T00:00:00Z")
    assert answer["at"] == plain["at"]
    assert len(remarks(answer)) > 5


def test_a_file_of_no_known_export_is_not_bounded_by_that_of_others(tmp_path):
    folder = tmp_path / "in"
    answer_of(folder, tmp_path / "first", exported=EXPORTED)
    later = bundles()["eligible"].replace(b"2020-04-06T", b"2021-04-06T")
    write_bundles(folder, {"later": later})
    answer = screen(folder, tmp_path / "out", at="last-observation").answers["eligible", PROTOCOL]
    assert answer["at"].startswith("2021")
    assert not remarks(answer)
