"""The time of a patient's last observation: none that lies after what the export says of its own time."""

import json

import pytest

from mscprotocol.sample_cases import PROTOCOL
from tests.screening.exports import bundles, screen, write_bundles, write_ndjson
from tests.screening.test_messages import oru

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


# -- what no manifest bounds -------------------------------------------------------------------------

BEGUN = "2021-01-01T00:00:00+00:00"
LIST = "patient_id,name,value,unit,at\np,platelets,180,10*9/L,2020-04-06T08:00:00Z\np,platelets,20,10*9/L,{}\n"


def answers_of(content, tmp_path, name, begun=BEGUN):
    (tmp_path / name).write_text(content, newline="")
    run = screen(tmp_path / name, tmp_path / f"{name}.out", at="last-observation", begun=begun)
    return next(iter(run.answers.values()))


@pytest.mark.parametrize("ahead", ["2052-04-06T10:00:00Z", "2021-01-01T00:00:01Z"])
def test_nothing_was_observed_after_the_screening_began(tmp_path, ahead):
    answer = answers_of(LIST.format(ahead), tmp_path, "a.csv")
    assert answer["at"].startswith("2020-04-06T08")
    assert remarks(answer) == ["Observation/a-csv-3-data-0"]
    assert answers_of(LIST.format(BEGUN), tmp_path, "b.csv")["at"] == BEGUN


@pytest.mark.parametrize("code", [READ, NOT_READ])
def test_nor_in_an_export_without_a_manifest(tmp_path, plain, code):
    write_ndjson(tmp_path / "in", [bundles()["eligible"]])
    with (tmp_path / "in" / "Observation.ndjson").open("a") as file:
        file.write(json.dumps(observed(code, FUTURE)) + "\n")
    answer = screen(tmp_path / "in", tmp_path / "out", at="last-observation", begun=BEGUN).answers["eligible", PROTOCOL]
    assert (answer["at"], answer["verdict"]) == (plain["at"], plain["verdict"])


@pytest.mark.parametrize("zone", ["", "+0800"])
def test_nothing_was_observed_after_the_last_message_about_the_patient(tmp_path, zone):
    first, second = oru("1", "P1").replace("+0800", zone), oru("2", "P1", "20").replace("+0800", zone)
    late = second.replace("20200406070000", "20220406070000")
    answer = answers_of(first + late, tmp_path, "a.hl7", begun="")
    assert answer["at"].startswith("2020-04-0")
    assert len(remarks(answer)) == 1
    newer = late.replace("20200406080000", "20220406080000")
    assert answers_of(first + newer, tmp_path, "b.hl7", begun="")["at"].startswith("2022")
    silent = oru("3", "P1").replace(f"20200406080000{zone}", "")
    assert answers_of(first + late + silent, tmp_path, "c.hl7", begun="")["at"].startswith("2022")


def test_once_it_has_come_the_patient_is_screened_again(tmp_path):
    (tmp_path / "a.csv").write_text(LIST.format("2021-06-01T00:00:00Z"))

    def again(begun):
        return screen(tmp_path / "a.csv", tmp_path / "out", at="last-observation", begun=begun)

    assert again(BEGUN).why == {"new": 1}
    assert again("2021-05-01T00:00:00+00:00").why == {"unchanged": 1}
    assert again("").why == {"unchanged": 1}, "a run that does not say when it began"
    run = again("2021-06-02T00:00:00+00:00")
    assert run.why == {"time has passed": 1}
    assert run.answers["p", PROTOCOL]["at"].startswith("2021-06-01")
    assert again("2022-06-02T00:00:00+00:00").why == {"unchanged": 1}
