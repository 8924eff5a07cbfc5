"""Resources that were deleted, or given to another patient: gone if that is known, open if it is not, never silent."""

import json

import pytest

from mscprotocol.sample_cases import PROTOCOL
from tests.patients import RXNORM, SNOMED
from tests.screening.exports import bundles, screen, write_bundles, write_ndjson

BEFORE, FIRST, BETWEEN, SECOND, AFTER = (f"2020-04-06T0{hour}:00:00Z" for hour in (1, 2, 3, 4, 5))
SERVER, OTHER_SERVER = "https://ehr.example/fhir", "https://other.example/fhir"
CLINICAL = "http://terminology.hl7.org/CodeSystem/condition-clinical"
VERIFIED = "http://terminology.hl7.org/CodeSystem/condition-ver-status"
LEFT_OUT, DOUBTED = "left out: its server had deleted it", "cannot be told"
# Status of the exclusion by thrombosis, and its reason.
STANDS, GONE, OPEN = ("met", None), ("unknown", "missing"), ("unknown", "conflict")


def thrombosis(patient="eligible", **further):
    """A thrombosis, which no answer at the bedside denies."""
    return {
        "resourceType": "Condition", "id": "dvt", "subject": {"reference": f"Patient/{patient}"},
        "clinicalStatus": {"coding": [{"system": CLINICAL, "code": "active"}]},
        "verificationStatus": {"coding": [{"system": VERIFIED, "code": "confirmed"}]},
        "code": {"coding": [{"system": SNOMED, "code": "132281000119108"}]},
        "onsetDateTime": "2020-04-05T10:00:00+08:00", **further,
    }  # fmt: skip


def sample(name="eligible", unanswered="venous_thromboembolism"):
    """A sample with one of the answers at the bedside left out: of a thrombosis, if no other."""
    found = [entry["resource"] for entry in json.loads(bundles()[name])["entry"]]
    for one in found:
        if one["resourceType"] == "QuestionnaireResponse":
            one["item"] = [item for item in one["item"] if item["linkId"] != unanswered]
    return json.dumps({"resourceType": "Bundle", "entry": [{"resource": one} for one in found]}).encode()


def drug_and_dose(code):
    drug = {"resourceType": "Medication", "id": "m", "code": {"coding": [{"system": RXNORM, "code": code}]}}
    given = {"resourceType": "MedicationAdministration", "id": "a", "status": "in-progress",
             "subject": {"reference": "Patient/eligible"}, "medicationReference": {"reference": "Medication/m"},
             "effectiveDateTime": "2020-04-06T09:00:00+08:00"}  # fmt: skip
    return drug, given


def lines(path, *trees):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(tree) + "\n" for tree in trees))


def changed(time=None, version=None):
    meta = {"lastUpdated": time, "versionId": version}
    return {"meta": {name: value for name, value in meta.items() if value}} if time or version else {}


def export(folder, time, server=SERVER, **files):
    """The manifest of an export, as far as its time and server are known."""
    lists = {name: [{"type": "Bundle", "url": f"{SERVER}/files/{one}"} for one in ours] for name, ours in files.items()}
    said = {"transactionTime": time, "request": f"{server}/Group/1/$export?_since=2020", "output": [], **lists}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "manifest.json").write_text(json.dumps(said))


def deletion(*urls, **further):
    entries = [{"request": {"method": "DELETE", "url": url}} for url in urls]
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries, **further}


def two_exports(folder, resource, first=FIRST, second=SECOND, server=SERVER, url="Condition/dvt", **bundle):
    """A whole export, and an incremental one that says of a resource of it that it was deleted."""
    write_ndjson(folder / "whole", [sample()])
    lines(folder / "whole" / "more.ndjson", resource)
    lines(folder / "later" / "gone.ndjson", deletion(url, **bundle))
    if first:
        export(folder / "whole", first, output=["more.ndjson"])
    if second:
        export(folder / "later", second, server, deleted=["gone.ndjson"])
    return folder


def found(run, patient="eligible"):
    """The status and reason of the exclusion by thrombosis, and what is said of the thrombosis as data."""
    answer = run.answers[patient, PROTOCOL]
    one = next(one for one in answer["criteria"] if one["id"] == "EX-04")
    remarks = [one["text"] for one in answer["data_quality"] if one["about"].endswith("Condition/dvt")]
    return (one["status"], one.get("reason")), remarks


def reasons(answer):
    return {one["id"]: one.get("reason") for one in answer["criteria"]}


# -- deletions ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("updated", "first", "second", "bundle", "expected"),
    [
        pytest.param(BEFORE, FIRST, SECOND, {}, GONE, id="changed-before"),
        pytest.param(BEFORE, None, SECOND, {}, GONE, id="changed-before-no-manifest-of-its-own"),
        pytest.param(AFTER, FIRST, SECOND, {}, STANDS, id="made-again"),
        pytest.param(AFTER, None, SECOND, {}, STANDS, id="made-again-no-manifest-of-its-own"),
        pytest.param(AFTER, None, None, {"timestamp": SECOND}, STANDS, id="made-again-after-the-list"),
        pytest.param(AFTER, None, None, {"meta": {"lastUpdated": SECOND}}, STANDS, id="made-again-after-its-meta"),
        pytest.param(None, FIRST, SECOND, {}, GONE, id="exported-before"),
        pytest.param(None, SECOND, FIRST, {}, STANDS, id="exported-after"),
        # The list may have been written long after the instant that it speaks of.
        pytest.param(BEFORE, None, None, {"timestamp": SECOND}, OPEN, id="no-manifest"),
        pytest.param(BEFORE, None, None, {}, OPEN, id="nothing-known-of-the-list"),
        pytest.param(None, None, SECOND, {}, OPEN, id="nothing-known-of-the-resource"),
        pytest.param(None, FIRST, FIRST, {}, OPEN, id="one-time"),
        pytest.param(BEFORE, FIRST, FIRST, {}, OPEN, id="one-export-contradicts-itself"),
        pytest.param(BEFORE, SECOND, FIRST, {}, OPEN, id="older-yet-exported-later"),
        pytest.param("2020-04-06T02:00:00", FIRST, SECOND, {}, OPEN, id="a-time-without-zone"),
        pytest.param(BEFORE, FIRST, "2020-04-06", {}, OPEN, id="a-date"),
    ],
)  # fmt: skip
def test_a_deleted_resource_counts_only_if_it_surely_came_back(tmp_path, updated, first, second, bundle, expected):
    folder = two_exports(tmp_path / "in", thrombosis(**changed(updated)), first, second, **bundle)
    run = screen(folder, tmp_path / "out")
    status, remarks = found(run)
    assert status == expected
    words = {GONE: LEFT_OUT, OPEN: DOUBTED}.get(expected)
    assert [words in one for one in remarks] == ([True] if words else [])
    assert (run.balance.fallen, run.balance.in_doubt) == (expected == GONE, expected == OPEN)
    assert run.balance.is_even
    assert not run.problems


def test_what_was_read_before_and_made_again_is_the_new_one(tmp_path):
    folder = two_exports(tmp_path / "in", thrombosis(**changed(BEFORE)))
    lines(folder / "again.ndjson", thrombosis(**changed(AFTER)))
    run = screen(folder, tmp_path / "out")
    assert found(run)[0] == STANDS
    assert (run.balance.fallen, run.balance.in_doubt) == (1, 0)


def test_beside_a_copy_that_surely_stands_others_are_its_versions(tmp_path):
    folder = two_exports(tmp_path / "in", thrombosis(**changed(version="1")), first=None)
    lines(folder / "again.ndjson", thrombosis(**changed(AFTER, "2")))
    run = screen(folder, tmp_path / "out")
    assert found(run)[0] == STANDS
    assert (run.balance.fallen, run.balance.in_doubt) == (0, 0)


def test_the_last_of_several_deletions_counts(tmp_path):
    folder = two_exports(tmp_path / "in", thrombosis(**changed(BETWEEN)), second=FIRST)
    assert found(screen(folder, tmp_path / "one"))[0] == STANDS
    lines(folder / "last" / "gone2.ndjson", deletion("Condition/dvt"))
    export(folder / "last", SECOND, deleted=["gone2.ndjson"])
    assert found(screen(folder, tmp_path / "two"))[0] == GONE


def test_a_denial_does_not_settle_whether_a_resource_was_deleted(tmp_path):
    """Either it is there, and the denial contradicts it, or it is not: both cannot be ruled out."""
    folder = two_exports(tmp_path / "in", thrombosis())
    write_ndjson(folder / "whole", [bundles()["eligible"]])
    assert found(screen(folder, tmp_path / "one"))[0] == ("not_met", None)
    (folder / "later" / "manifest.json").unlink()
    assert found(screen(folder, tmp_path / "two"))[0] == OPEN


@pytest.mark.parametrize("unanswered", ["", "vasopressor"])
def test_a_denial_does_not_settle_whether_a_drug_was_deleted(tmp_path, unanswered):
    folder = write_ndjson(tmp_path / "in", [sample(unanswered=unanswered)])
    lines(folder / "drugs.ndjson", *drug_and_dose("7512"))
    lines(folder / "gone.ndjson", deletion("Medication/m"))
    answer = screen(folder, tmp_path / "out").answers["eligible", PROTOCOL]
    assert reasons(answer)["IND-02"] == "conflict"


def test_a_deletion_on_another_server_is_of_another_resource(tmp_path):
    folder = two_exports(tmp_path / "in", thrombosis(**changed(BEFORE)), server=OTHER_SERVER)
    assert found(screen(folder, tmp_path / "out")) == (STANDS, [])


def test_a_confirmation_in_doubt_is_open_too(tmp_path):
    folder = write_ndjson(tmp_path / "in", [bundles()["eligible"]])
    path = folder / "Observation.ndjson"
    platelets = next(one for one in map(json.loads, path.read_text().splitlines()) if "777-3" in json.dumps(one))
    lines(folder / "gone.ndjson", deletion(f"Observation/{platelets['id']}"))
    answer = screen(folder, tmp_path / "out").answers["eligible", PROTOCOL]
    assert answer["verdict"] == "undetermined"
    assert "conflict" in {one.get("reason") for one in answer["criteria"]}


def test_what_refers_to_a_drug_in_doubt_is_open(tmp_path):
    """A warfarin that may have been deleted may still act on the INR."""
    folder = write_ndjson(tmp_path / "in", [sample()])
    without = reasons(screen(folder, tmp_path / "without").answers["eligible", PROTOCOL])
    lines(folder / "drugs.ndjson", *drug_and_dose("11289"))
    there = reasons(screen(folder, tmp_path / "there").answers["eligible", PROTOCOL])
    lines(folder / "gone.ndjson", deletion("Medication/m"))
    run = screen(folder, tmp_path / "out")
    answer = run.answers["eligible", PROTOCOL]
    assert (without["COA-01"], there["COA-01"], reasons(answer)["COA-01"]) == ("missing", "confounded", "confounded")
    assert any(one["about"] == "Medication/m" and DOUBTED in one["text"] for one in answer["data_quality"])
    assert run.balance.in_doubt == 1


@pytest.mark.parametrize(("first", "words"), [(FIRST, LEFT_OUT), (None, DOUBTED)])
def test_a_patient_who_was_or_may_have_been_deleted_is_not_assessed(tmp_path, first, words):
    folder = write_ndjson(tmp_path / "in", [sample(), bundles()["pregnant"]])
    lines(folder / "later" / "gone.ndjson", deletion("Patient/eligible"))
    export(folder / "later", SECOND, deleted=["gone.ndjson"])
    if first:
        export(folder, first, output=["Patient.ndjson"])
    run = screen(folder, tmp_path / "out")
    assert {patient for patient, _ in run.answers} == {"pregnant"}
    assert [(one["level"], one["code"], one["patient"]) for one in run.problems] == [
        ("patient", "no_patient", "eligible")
    ]
    assert words in run.problems[0]["message"]
    assert run.balance.is_even


def test_a_stay_in_doubt_gives_no_time(tmp_path):
    stay = {"resourceType": "Encounter", "id": "stay", "status": "in-progress", "class": {"code": "IMP"},
            "subject": {"reference": "Patient/eligible"}, "period": {"start": "2020-04-05T10:00:00+08:00"}}  # fmt: skip
    folder = write_ndjson(tmp_path / "in", [sample()])
    lines(folder / "stays.ndjson", stay)
    assert screen(folder, tmp_path / "one", at="encounter-start+24h").answers
    lines(folder / "gone.ndjson", deletion("Encounter/stay"))
    run = screen(folder, tmp_path / "two", at="encounter-start+24h")
    assert run.codes == {("patient", "no_time"): 1}


def test_another_deletion_makes_the_data_of_a_patient_new(tmp_path):
    folder = two_exports(tmp_path / "in", thrombosis(**changed(BEFORE)))
    lines(folder / "whole" / "more.ndjson", *(thrombosis(id=name, **changed(BEFORE)) for name in ("dvt", "dvt2")))
    screen(folder, tmp_path / "out")
    lines(folder / "later" / "gone.ndjson", deletion("Condition/dvt2"))
    run = screen(folder, tmp_path / "out")
    assert run.why == {"data changed": 1}
    assert found(run) == (STANDS, [])


def test_deletions_in_a_bundle_file_are_followed(tmp_path):
    folder = two_exports(tmp_path / "in", thrombosis(**changed(BEFORE)))
    (folder / "later" / "gone.ndjson").unlink()
    (folder / "later" / "gone.json").write_text(
        json.dumps(deletion("Condition/dvt", "Condition?patient=eligible"), indent=1)
    )
    export(folder / "later", SECOND, deleted=["gone.json"])
    run = screen(folder, tmp_path / "out")
    assert found(run)[0] == GONE
    assert [(one["file"], one["line"], one["code"]) for one in run.problems] == [("later/gone.json", 2, "not_a_bundle")]
    assert run.balance.is_even


@pytest.mark.parametrize(
    "bundle",
    [
        {"entry": [{"request": {"method": "PUT", "url": "Condition/dvt"}}]},
        {"entry": [{"request": {"method": "DELETE", "url": "Condition?patient=eligible"}}]},
        {"entry": {"request": 1}},
    ],
)
def test_a_bundle_in_a_line_that_holds_anything_else_is_set_aside(tmp_path, bundle):
    folder = write_ndjson(tmp_path / "in", [sample()])
    lines(folder / "gone.ndjson", {"resourceType": "Bundle", **bundle})
    run = screen(folder, tmp_path / "out")
    assert [(one["level"], one["code"]) for one in run.problems] == [("line", "not_a_bundle")]


def test_a_list_of_deletions_that_did_not_come_is_missed(tmp_path):
    folder = write_ndjson(tmp_path / "in", [sample()])
    export(folder, SECOND, deleted=["gone.ndjson"])
    (problem,) = screen(folder, tmp_path / "out").problems
    assert (problem["code"], "gone.ndjson" in problem["message"]) == ("incomplete_page", True)


def test_files_of_one_name_in_several_exports_are_told_apart(tmp_path):
    """Each manifest counts its own; a list of deletions may be named like the file of resources."""
    write_ndjson(tmp_path / "in" / "one", [sample()])
    lines(tmp_path / "in" / "one" / "Condition.ndjson", thrombosis(**changed(BEFORE)))
    lines(tmp_path / "in" / "two" / "deleted" / "Condition.ndjson", deletion("Condition/dvt"))
    lines(tmp_path / "in" / "two" / "Condition.ndjson", thrombosis(**changed(AFTER)), thrombosis(id="x"))
    for name, time, number in (("one", FIRST, 1), ("two", SECOND, 2)):
        export(tmp_path / "in" / name, time, deleted=["deleted/Condition.ndjson"] if name == "two" else [])
        path = tmp_path / "in" / name / "manifest.json"
        said = json.loads(path.read_text()) | {"output": [{"url": f"{SERVER}/Condition.ndjson", "count": number}]}
        path.write_text(json.dumps(said))
    run = screen(tmp_path / "in", tmp_path / "out")
    assert not run.problems
    assert (run.balance.fallen, run.balance.in_doubt) == (1, 0)


# -- versions of another patient ---------------------------------------------------------------------


def two_patients(folder, first, second):
    """A thrombosis that came for a patient who is otherwise eligible, and under the same id for another."""
    write_ndjson(folder, [sample(), sample("pregnant")])
    lines(folder / "first.ndjson", first)
    lines(folder / "second.ndjson", second)
    return folder


@pytest.mark.parametrize(
    ("old", "new", "ours", "theirs"),
    [
        pytest.param({"version": "1"}, {"version": "2"}, GONE, STANDS, id="newer-by-number"),
        pytest.param({"version": "2"}, {"version": "1"}, STANDS, GONE, id="older-by-number"),
        pytest.param({"time": FIRST}, {"time": SECOND}, GONE, STANDS, id="newer-by-time"),
        pytest.param(
            {"version": "1", "time": FIRST}, {"version": "1", "time": SECOND}, GONE, STANDS, id="by-time-next"
        ),
        pytest.param({"version": "1"}, {}, OPEN, OPEN, id="one-without-version"),
        pytest.param({"time": "2020-04"}, {"time": SECOND}, OPEN, OPEN, id="by-no-instant"),
        pytest.param({}, {}, OPEN, OPEN, id="nothing-known"),
    ],
)  # fmt: skip
def test_a_resource_is_of_the_patient_whom_its_newest_version_names(tmp_path, old, new, ours, theirs):
    folder = two_patients(tmp_path / "in", thrombosis(**changed(**old)), thrombosis("pregnant", **changed(**new)))
    run = screen(folder, tmp_path / "out")
    assert (found(run)[0], found(run, "pregnant")[0]) == (ours, theirs)
    for patient, status in (("eligible", ours), ("pregnant", theirs)):
        said = found(run, patient)[1]
        assert len(said) == (status != STANDS), "a remark for each that does not surely stand"
    assert run.balance.is_even
    assert not run.problems


def test_the_later_export_tells_where_versions_do_not(tmp_path):
    folder = two_patients(tmp_path / "in", thrombosis(), thrombosis("pregnant"))
    for name, time in (("first", FIRST), ("second", SECOND)):
        (folder / name).mkdir()
        (folder / f"{name}.ndjson").rename(folder / name / f"{name}.ndjson")
        export(folder / name, time, output=[f"{name}.ndjson"])
    run = screen(folder, tmp_path / "out")
    assert (found(run)[0], found(run, "pregnant")[0]) == (GONE, STANDS)


@pytest.mark.parametrize(
    "subject",
    [
        {"identifier": {"system": "urn:example:mrn", "value": "NOBODY"}},
        {"reference": "Group/several"},
        {"reference": "Patient/who-did-not-come"},
    ],
)
@pytest.mark.parametrize("is_read", [True, False])
def test_a_newer_version_of_nobody_here_supersedes_as_well(tmp_path, subject, is_read):
    newer = thrombosis(**changed(version="2")) | {"subject": subject}
    if not is_read:
        newer["code"] = {"coding": [{"system": SNOMED, "code": "1", "display": "something else"}]}
    run = screen(two_patients(tmp_path / "in", thrombosis(**changed(version="1")), newer), tmp_path / "out")
    assert found(run)[0] == GONE
    assert run.balance.is_even
    assert {patient for patient, _ in run.answers} == {"eligible", "pregnant"}


def test_what_was_deleted_at_another_patient_is_no_newer_version(tmp_path):
    """Made again for the other one, the resource counts its versions from 1."""
    folder = two_exports(tmp_path / "in", thrombosis("pregnant", **changed(BEFORE, "5")))
    lines(folder / "ours.ndjson", thrombosis(**changed(AFTER, "1")))
    write_ndjson(folder / "whole", [sample(), sample("pregnant")])
    run = screen(folder, tmp_path / "one")
    assert (found(run), found(run, "pregnant")[0]) == ((STANDS, []), GONE)
    (folder / "later" / "manifest.json").unlink()
    run = screen(folder, tmp_path / "two")
    assert (found(run)[0], found(run, "pregnant")[0]) == (OPEN, OPEN)


def test_exports_of_two_servers_may_use_one_id(tmp_path):
    folder = two_patients(
        tmp_path / "in", thrombosis(**changed(version="1")), thrombosis("pregnant", **changed(version="2"))
    )
    for name, server in (("first", SERVER), ("second", OTHER_SERVER)):
        (folder / name).mkdir()
        (folder / f"{name}.ndjson").rename(folder / name / f"{name}.ndjson")
        export(folder / name, FIRST, server, output=[f"{name}.ndjson"])
    run = screen(folder, tmp_path / "out")
    assert (found(run), found(run, "pregnant")) == ((STANDS, []), (STANDS, []))


@pytest.mark.parametrize(("meta", "ours"), [({}, STANDS), ({"version": True}, GONE)])
def test_ids_of_bundles_count_outside_of_them_if_they_are_a_servers(tmp_path, meta, ours):
    """Ids that were made up for a bundle come without versions; those of a server are compared."""
    made = {}
    for number, name in enumerate(("eligible", "pregnant"), 1):
        more = changed(version=str(number)) if meta else {}
        entry = {"fullUrl": f"{SERVER}/Condition/dvt", "resource": thrombosis(name, **more)}
        made[name] = json.dumps(
            {"resourceType": "Bundle", "type": "collection", "entry": [*json.loads(sample(name))["entry"], entry]}
        ).encode()
    run = screen(write_bundles(tmp_path / "in", made), tmp_path / "out")
    assert (found(run)[0], found(run, "pregnant")[0]) == (ours, STANDS)


def test_when_somebody_unknown_was_last_seen_is_no_problem(tmp_path):
    folder = write_ndjson(tmp_path / "in", [sample()])
    other = {"resourceType": "Observation", "id": "o", "status": "final", "effectiveDateTime": AFTER,
             "subject": {"identifier": {"system": "urn:x", "value": "NOBODY"}},
             "code": {"coding": [{"system": "http://loinc.org", "code": "1-8", "display": "x"}]}}  # fmt: skip
    lines(folder / "other.ndjson", other)
    run = screen(folder, tmp_path / "out", at="last-observation")
    assert not run.problems
    assert run.balance.is_even
