import json
import random

import pytest

from fhir_adapters import unpacking
from fhir_adapters.bundle import PatientBundle, read_bundle
from mscprotocol.errors import DataError
from mscprotocol.reasons import Reason
from tests.adapters.fhir_made import SUBJECT, as_bytes, bundle, condition, observation, patient, record_of


def code_of(content: object) -> str:
    with pytest.raises(DataError) as caught:
        read_bundle(content if isinstance(content, bytes | list) else as_bytes(content))
    return caught.value.code


def references(read: PatientBundle) -> list[str]:
    return [item.reference for item in read.items]


# -- what is no bundle -----------------------------------------------------------------------------


NO_JSON = [b"", b"{", b"[]", b"null", b"3", b'"x"', b"\xff\xfe", b"\x00", b'{"resourceType": NaN}', b"[" * 100_000]
NO_JSON += [b'{"resourceType":"Bundle","type":"collection","entry":[{"resource":{"a":NaN}}]}', b'{"a":' * 100_000]
NO_JSON += [b'{"resourceType":"Bundle","type":"collection"} trailing']


@pytest.mark.parametrize("content", NO_JSON)
def test_what_is_no_json_object_is_unreadable(content: bytes) -> None:
    assert code_of(content) == "unreadable"


@pytest.mark.parametrize(
    "content",
    [
        patient(),
        {},
        {"resourceType": 5},
        {"resourceType": "<script>"},
        bundle(patient(), type="history"),
        bundle(patient(), type="subscription-notification"),
        bundle(patient(), type="nonsense"),
        {"resourceType": "Bundle", "type": "collection", "entry": {"resource": patient()}},
    ],
)
def test_what_is_not_the_current_state_of_a_patient_is_no_bundle(content: object) -> None:
    assert code_of(content) == "not_a_bundle"


@pytest.mark.parametrize(
    "type_",
    ["collection", "searchset", "transaction", "batch", "document", "batch-response", "transaction-response"],
)
def test_other_types_of_bundle_are_read(type_: str) -> None:
    assert read_bundle(as_bytes(bundle(patient(), type=type_))).reference == "Patient/p"


def test_a_byte_order_mark_is_passed_over() -> None:
    assert read_bundle(b"\xef\xbb\xbf" + as_bytes(bundle(patient()))).reference == "Patient/p"


def test_a_file_may_not_be_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    content = as_bytes(bundle(patient()))
    monkeypatch.setattr(unpacking, "MAX_BYTES", len(content))
    read_bundle(content)
    assert code_of(content + b" ") == "too_large"


# -- pages -----------------------------------------------------------------------------------------


def page(*resources: dict[str, object], this: str, following: str | None) -> bytes:
    links = [{"relation": "self", "url": this}]
    links += [{"relation": "next", "url": following}] if following else []
    return as_bytes(bundle(*resources, type="searchset", link=links))


def test_a_page_with_a_next_one_is_incomplete_unless_that_came_too() -> None:
    first, second = (
        page(patient(), this="/1", following="/2"),
        page(observation("loinc 777-3"), this="/2", following=None),
    )
    assert code_of(first) == "incomplete_page"
    assert references(read_bundle([first, second])) == ["Observation/o"]


@pytest.mark.parametrize("severity", ["error", "fatal"])
def test_an_outcome_of_failure_makes_a_page_incomplete(severity: str) -> None:
    outcome = {"resourceType": "OperationOutcome", "issue": [{"severity": "warning"}, {"severity": severity}]}
    assert code_of(bundle(patient(), outcome)) == "incomplete_page"


@pytest.mark.parametrize("code", ["incomplete", "suppressed"])
def test_so_does_a_warning_that_not_all_was_sent(code: str) -> None:
    outcome = {"resourceType": "OperationOutcome", "issue": [{"severity": "warning", "code": code}]}
    assert code_of(bundle(patient(), outcome)) == "incomplete_page"


def test_a_larger_total_than_came_makes_a_bundle_incomplete_unless_it_is_a_later_page() -> None:
    whole = bundle(patient(), type="searchset", total=2)
    assert code_of(whole) == "incomplete_page"
    last = whole | {"link": [{"relation": "previous", "url": "/1"}]}
    assert references(read_bundle(as_bytes(last))) == []
    first = page(patient(), this="/1", following="/2")
    later = bundle(observation("loinc 777-3"), type="searchset", total=2, link=[{"relation": "self", "url": "/2"}])
    assert references(read_bundle([first, as_bytes(later)])) == ["Observation/o"]


def test_an_outcome_of_warning_does_not() -> None:
    outcome = {"resourceType": "OperationOutcome", "issue": [{"severity": "warning"}]}
    assert references(read_bundle(as_bytes(bundle(patient(), outcome)))) == []


def test_a_failed_part_of_a_batch_makes_it_incomplete() -> None:
    made = bundle(patient(), type="batch-response")
    made["entry"].append({"response": {"status": "404 Not Found"}})
    assert code_of(made) == "incomplete_page"


def test_a_bundle_within_a_bundle_is_opened_once() -> None:
    inner = bundle(observation("loinc 777-3"), bundle(observation("loinc 777-3", id="deep")))
    read = read_bundle(as_bytes(bundle(patient(), inner)))
    assert references(read) == ["Observation/o"]
    assert any("nested" in note.text for note in read.notes)


def test_a_request_to_delete_is_noted_and_not_read() -> None:
    made = bundle(patient())
    made["entry"].append(
        {"resource": observation("loinc 777-3"), "request": {"method": "DELETE", "url": "Observation/o"}}
    )
    read = read_bundle(as_bytes(made))
    assert references(read) == []
    assert [(note.reference, "delete" in note.text) for note in read.notes] == [("Observation/o", True)]


# -- whose it is -----------------------------------------------------------------------------------


def test_without_a_patient_there_is_no_record() -> None:
    assert code_of(bundle(observation("loinc 777-3"))) == "no_patient"


def test_two_patients_are_refused() -> None:
    with pytest.raises(DataError, match="2 in all") as caught:
        read_bundle(as_bytes(bundle(patient(id="q"), patient())))
    assert caught.value.code == "mixed_patients"


def test_files_of_two_patients_do_not_belong_together() -> None:
    assert code_of([as_bytes(bundle(patient())), as_bytes(bundle(patient(id="q")))]) == "mixed_patients"


def test_one_patient_in_two_files_is_one() -> None:
    files = [
        as_bytes(bundle(patient(), observation("loinc 777-3"))),
        as_bytes(bundle(patient(), condition("snomed 1"))),
    ]
    assert references(read_bundle(files)) == ["Condition/c", "Observation/o"]


def test_versions_of_a_patient_that_contradict_each_other_are_an_error() -> None:
    assert code_of(bundle(patient(birthDate="1950"), patient(birthDate="1960"))) == "mixed_patients"
    versions = (patient(birthDate=year, meta={"versionId": number}) for number, year in (("2", "1960"), ("10", "1950")))
    assert read_bundle(as_bytes(bundle(*versions))).patient.birth_date == "1950"


IDENTIFIER = {"system": "urn:mrn", "value": "42"}
UUID = "urn:uuid:9a85b554-684a-486f-ad18-54088acefa1c"
CONTAINED = {"resourceType": "Patient", "id": "inner", "identifier": [IDENTIFIER]}


@pytest.mark.parametrize(
    ("subject", "is_ours"),
    [
        ({"reference": "Patient/p"}, True),
        ({"reference": "Patient/p/_history/2"}, True),
        ({"reference": "http://ehr.example/fhir/Patient/p"}, True),
        ({"reference": "https://ehr.example/fhir/Patient/p/_history/1"}, True),
        ({"reference": UUID}, True),
        ({"reference": "#inner"}, True),
        ({"identifier": IDENTIFIER}, True),
        ({"reference": "Patient?identifier=urn:mrn|42"}, True),
        ({"reference": "Patient/q"}, False),
        ({"reference": "Patient/P"}, False),
        ({"reference": "Group/p"}, False),
        ({"reference": "p"}, False),
        ({"reference": "http://ehr.example/fhir/Patient/pp"}, False),
        ({"reference": "urn:uuid:00000000-0000-0000-0000-000000000000"}, False),
        ({"reference": "#outer"}, False),
        ({"reference": "#other"}, False),
        ({"identifier": {"system": "urn:mrn", "value": "43"}}, False),
        ({"identifier": {"value": "42"}}, False),
        ({"identifier": {"system": "urn:other", "value": "42"}}, False),
        ({"reference": "Patient?identifier=urn:mrn|43"}, False),
        ({"display": "Jane"}, False),
        ({}, False),
        (None, False),
        ("Patient/p", False),
    ],
)
def test_only_references_to_the_patient_are_taken(subject: object, is_ours: bool) -> None:
    stranger = {"resourceType": "Patient", "id": "other", "identifier": [{"system": "urn:mrn", "value": "43"}]}
    made = bundle(
        patient(identifier=[IDENTIFIER, {"value": "42"}]),
        observation("loinc 777-3", subject=subject, contained=[CONTAINED, stranger]),
    )
    made["entry"][0]["fullUrl"] = UUID
    if is_ours:
        assert references(read_bundle(as_bytes(made))) == ["Observation/o"]
    else:
        with pytest.raises(DataError, match="1 of type Observation") as caught:
            read_bundle(as_bytes(made))
        assert caught.value.code == "foreign_subject"


@pytest.mark.parametrize(
    ("reference", "entry", "is_ours"),
    [
        ("http://a.example/fhir/Patient/p", None, True),
        ("https://a.example/fhir/Patient/p", None, True),
        ("http://b.example/fhir/Patient/p", None, False),
        ("Patient/p", "http://a.example/fhir/Observation/o", True),
        ("Patient/p", "http://b.example/fhir/Observation/o", False),
        ("Patient/p", "urn:uuid:1", True),
    ],
)
def test_the_same_id_on_another_server_is_another_patient(reference: str, entry: str | None, is_ours: bool) -> None:
    made = bundle(patient(), observation("loinc 777-3", subject={"reference": reference}))
    made["entry"][0]["fullUrl"] = "http://a.example/fhir/Patient/p"
    if entry:
        made["entry"][1]["fullUrl"] = entry
    if is_ours:
        assert references(read_bundle(as_bytes(made))) == ["Observation/o"]
    else:
        assert code_of(made) == "foreign_subject"


@pytest.mark.parametrize(
    ("kind", "field"),
    [("AllergyIntolerance", "patient"), ("Consent", "patient"), ("ResearchSubject", "individual")]
    + [(kind, "subject") for kind in ("Condition", "Procedure", "MedicationRequest", "QuestionnaireResponse")],
)
def test_every_kind_of_resource_must_be_the_patients(kind: str, field: str) -> None:
    resource = {"resourceType": kind, "id": "r"}
    assert references(read_bundle(as_bytes(bundle(patient(), resource | {field: SUBJECT})))) == [f"{kind}/r"]
    assert code_of(bundle(patient(), resource | {field: {"reference": "Patient/q"}})) == "foreign_subject"
    assert code_of(bundle(patient(), resource)) == "foreign_subject"


def test_resources_that_are_not_read_may_be_of_anybody() -> None:
    other = {"resourceType": "FamilyMemberHistory", "id": "f", "patient": {"reference": "Patient/q"}}
    assert references(read_bundle(as_bytes(bundle(patient(), other)))) == []


def test_an_observation_about_something_else_is_left_out() -> None:
    foetus = observation("loinc 8867-4", 140, "/min", focus=[{"reference": "RelatedPerson/baby"}])
    read = read_bundle(as_bytes(bundle(patient(), foetus)))
    assert references(read) == []
    assert [note.reference for note in read.notes] == ["Observation/o"]


# -- versions --------------------------------------------------------------------------------------


def platelets(value: int, **more: object) -> dict[str, object]:
    return observation("loinc 777-3", value, "10*9/L", **more)


def values(*resources: dict[str, object]) -> list[tuple[str, Reason | None]]:
    return [(entry.as_received, entry.problem) for entry in record_of(*resources).measurements.get("platelets", ())]


def version(number: object, status: str = "final") -> dict[str, object]:
    return {"meta": {"versionId": str(number)}, "status": status}


def changed(time: str, status: str = "final") -> dict[str, object]:
    return {"meta": {"lastUpdated": time}, "status": status}


OK, CONFLICT = None, Reason.CONFLICT
EARLIER, LATER = "2020-04-06T12:00:00Z", "2020-04-06T12:00:00.5Z"


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (version(9), version(10), [("200 10*9/L", OK)]),
        (version(10), version(9), [("100 10*9/L", OK)]),
        (changed(EARLIER), changed(LATER), [("200 10*9/L", OK)]),
        (changed(LATER), changed(EARLIER), [("100 10*9/L", OK)]),
        (version(1), version(2, "entered-in-error"), []),
        (version(2), version(1, "entered-in-error"), [("100 10*9/L", OK)]),
        ({}, {"status": "entered-in-error"}, []),
        (version("x"), version("y", "entered-in-error"), []),
        ({"status": "preliminary"}, {}, [("200 10*9/L", OK)]),
        ({}, {"status": "corrected"}, [("200 10*9/L", OK)]),
        ({"status": "amended"}, {}, [("100 10*9/L", OK)]),
        ({}, {}, [("100 10*9/L", CONFLICT), ("200 10*9/L", CONFLICT)]),
        (version(1), version(1), [("100 10*9/L", CONFLICT), ("200 10*9/L", CONFLICT)]),
        (version(1), {}, [("100 10*9/L", CONFLICT), ("200 10*9/L", CONFLICT)]),
    ],
)
def test_of_several_versions_the_current_one_counts(
    first: dict[str, object], second: dict[str, object], expected: list[tuple[str, Reason | None]]
) -> None:
    assert values(platelets(100, **first), platelets(200, **second)) == expected
    assert values(platelets(200, **second), platelets(100, **first)) == expected


def test_identical_resources_are_one() -> None:
    assert values(platelets(100), platelets(100)) == [("100 10*9/L", None)]
    assert values(platelets(100, note=[{"text": "a"}]), platelets(100)) == [("100 10*9/L", None)]


def test_the_same_id_on_two_servers_is_two_resources() -> None:
    made = bundle(patient(), platelets(100), platelets(200, effectiveDateTime="2020-04-05T12:00:00Z"))
    made["entry"][1]["fullUrl"] = "http://a.example/Observation/o"
    made["entry"][2]["fullUrl"] = "http://b.example/Observation/o"
    assert references(read_bundle(as_bytes(made))) == ["a.example/Observation/o", "b.example/Observation/o"]


# -- digests and damage ----------------------------------------------------------------------------


def test_neither_order_nor_packaging_changes_the_digests() -> None:
    resources = [patient(), platelets(100), condition("snomed 1")]
    expected = read_bundle(as_bytes(bundle(*resources))).digests
    assert len(expected) == 3
    shuffled = random.Random(1).sample(resources, 3)
    turned = [dict(reversed(resource.items())) for resource in shuffled]
    spaced = json.dumps(bundle(bundle(*turned), type="searchset"), indent=3).encode()
    assert read_bundle(spaced).digests == expected
    assert read_bundle([as_bytes(bundle(*resources)), as_bytes(bundle(*shuffled))]).digests == expected
    assert read_bundle(as_bytes(bundle(patient(), platelets(101), condition("snomed 1")))).digests != expected


@pytest.mark.parametrize(
    ("broken", "path"),
    [
        ({"valueQuantity": {"value": "100", "unit": "10*9/L"}}, "$.valueQuantity.value"),
        ({"valueQuantity": {"value": True}}, "$.valueQuantity.value"),
        ({"valueQuantity": [100]}, "$.valueQuantity"),
        ({"effectiveDateTime": 2020}, "$.effectiveDateTime"),
    ],
)
def test_a_field_that_does_not_fit_is_named_and_leaves_the_value_open(broken: dict[str, object], path: str) -> None:
    record = record_of(platelets(100, **broken))
    (entry,) = record.measurements["platelets"]
    assert (entry.value, entry.problem) == (None, Reason.NEEDS_REVIEW)
    (note,) = [note for note in record.notes if note.reference == "Observation/o"]
    assert path in note.text
    assert "100" not in note.text


def test_a_resource_that_cannot_be_read_is_noted() -> None:
    made = bundle(patient())
    made["entry"] += [{"resource": 5}, None, {"resource": {"id": "x"}}, {"fullUrl": "urn:uuid:1"}]
    read = read_bundle(as_bytes(made))
    assert len(read.notes) == 4


@pytest.mark.parametrize("field", ["tag", "security"])
@pytest.mark.parametrize("code", ["SUBSETTED", "REDACTED", "MASKED"])
def test_a_resource_that_says_that_it_is_not_whole_is_not_used(field: str, code: str) -> None:
    meta = {"meta": {field: [{"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": code}]}}
    record = record_of(observation("loinc 777-3", 95, "10*9/L") | meta)
    (entry,) = record.measurements["platelets"]
    assert (entry.value, entry.problem) == (None, Reason.NEEDS_REVIEW)
    assert any(f"not whole ({code})" in note.text for note in record.notes)


def test_other_tags_change_nothing() -> None:
    meta = {"meta": {"tag": [{"code": "synthetic"}], "security": [{"code": "R"}]}}
    (entry,) = record_of(observation("loinc 777-3", 95, "10*9/L") | meta).measurements["platelets"]
    assert entry.problem is None
