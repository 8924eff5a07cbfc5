"""Who is who: statements that are put together, and every way in which two people could be taken for one."""

from __future__ import annotations

from typing import Any

import pytest

from fhir_adapters.bundle import PatientBundle, read_bundle
from fhir_adapters.identity import is_same_birth
from fhir_adapters.sources import read_parts
from mscprotocol.errors import DataError
from mscprotocol.knowledge import KnowledgeBase
from tests.adapters.fhir_made import Json, as_bytes, bundle, observation, patient, record_of

NUMBER = {"system": "urn:hospital", "value": "42"}
INSURANCE = {"system": "urn:insurance-of-the-family", "value": "F-7"}
FULL = {
    "identifier": [NUMBER],
    "birthDate": "1962-03-14",
    "gender": "male",
    "name": [{"family": "Example", "given": ["Jan", "Piet"]}],
}
ON = "https://{}.example/fhir/Patient/{}"


def located(resource: Json, server: str) -> bytes:
    made = bundle(resource)
    made["entry"][0]["fullUrl"] = ON.format(server, resource["id"])
    return as_bytes(made)


def together(*people: Json | bytes) -> PatientBundle:
    return read_bundle([one if isinstance(one, bytes) else as_bytes(bundle(one)) for one in people])


def refusal(*people: Json | bytes) -> str:
    with pytest.raises(DataError) as caught:
        together(*people)
    assert caught.value.code == "mixed_patients"
    return str(caught.value)


# -- one person ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("left_out", [*FULL, "all"])
def test_what_one_statement_leaves_out_contradicts_nothing(left_out: str) -> None:
    poorer = {} if left_out == "all" else {name: said for name, said in FULL.items() if name != left_out}
    for people in ((patient(**FULL), patient(**poorer)), (patient(**poorer), patient(**FULL))):
        read = together(*people)
        assert (read.patient.birth_date, read.patient.gender) == ("1962-03-14", "male")
        assert [one.value for one in read.patient.identifier] == ["42"]
        assert [(one.reference, one.text[:12]) for one in read.notes] == [("Patient/p", "put together")]


def test_a_shared_identifier_makes_two_ids_one_person() -> None:
    read = together(patient(**FULL), patient(id="q", identifier=[NUMBER], birthDate="1962"))
    assert (read.reference, read.patient.birth_date) == ("Patient/p", "1962-03-14")
    chain = [{"system": "urn:ward", "value": "w"}, {"system": "urn:state", "value": "s"}]
    tied = (patient(identifier=[NUMBER]), patient(id="z", identifier=[chain[1]]), patient(id="q", identifier=chain))
    assert "more than one patient, 3 in all" in refusal(*tied)
    assert together(*tied, patient(id="r", identifier=[NUMBER, chain[0]])).reference == "Patient/p"


def test_the_order_of_arrival_is_of_no_account() -> None:
    people = [patient(birthDate="1962"), patient(gender="male"), patient(id="q", **FULL), patient(identifier=[NUMBER])]
    first, *others = [together(*order).patient for order in (people, people[::-1], people[2:] + people[:2])]
    assert others == [first] * 2


def test_the_newest_version_counts_as_a_whole() -> None:
    older, newer = (patient(**FULL, meta={"versionId": "1"}), patient(gender="male", meta={"versionId": "2"}))
    read = together(older, newer)
    assert read.patient.birth_date is None, "it may have been taken back"
    assert [one.text for one in read.notes] == ["a version that is no longer current was left out"]


def test_sexes_that_statements_give_in_different_ways_are_a_conflict(knowledge: KnowledgeBase) -> None:
    at_birth = {"url": "http://hl7.org/fhir/us/core/StructureDefinition/us-core-birthsex", "valueCode": "F"}
    record = record_of(patient(gender="male"), patient(extension=[at_birth]))
    assert (record.patient.sex, record.patient.sex_contradicted) == (None, True)


def test_a_death_that_only_one_statement_knows_counts() -> None:
    assert together(patient(), patient(deceasedDateTime="2020-04-05")).patient.deceased_date_time == "2020-04-05"


# -- two people, or who knows --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"birthDate": "1962-03-15"}, "the birth date"),
        ({"birthDate": "1963"}, "the birth date"),
        ({"birthDate": "14.3.1962"}, "the birth date"),
        ({"gender": "female"}, "the sex"),
        ({"gender": "other"}, "the sex"),
        ({"deceasedBoolean": True}, "the death"),
        ({"birthDate": None, "identifier": [NUMBER | {"value": "43"}]}, "the identifiers of one system"),
        ({"birthDate": None, "name": [{"given": ["Klaas"]}]}, "the given names"),
        ({"birthDate": 1962}, "malformed"),
    ],
)
def test_one_id_whose_statements_contradict_each_other_is_refused(change: Json, says: str) -> None:
    said = {name: value for name, value in (FULL | change).items() if value is not None}
    whole = patient(**FULL, deceasedBoolean=False)
    assert says in refusal(whole, patient(**said))
    assert says in refusal(patient(**said), whole)


def test_one_id_on_two_servers_is_two_people() -> None:
    nobody = {"birthDate": "1962-03-14", "gender": "male", "name": FULL["name"]}
    for one, other in (({}, {}), (nobody, nobody), (nobody, nobody | {"birthDate": "1970-01-01"})):
        first, second = located(patient(**one), "north"), located(patient(**other, id="p"), "south")
        assert "more than one patient, 2 in all" in refusal(first, second)
    tied = located(patient(**FULL), "north"), located(patient(**FULL), "south")
    assert together(*tied).patient.birth_date == "1962-03-14"
    assert "the birth date" in refusal(tied[0], located(patient(**(FULL | {"birthDate": "1970"})), "south"))


@pytest.mark.parametrize(
    "other",
    [
        patient(id="q", birthDate="1962-03-14", gender="male", name=FULL["name"]),
        patient(id="q", name=FULL["name"]),
        patient(id="q"),
        patient(id="q", identifier=[{"value": "42"}]),
        patient(id="q", identifier=[{"system": "urn:hospital"}]),
        patient(id="q", identifier=[{"system": "urn:another-hospital", "value": "42"}]),
        {"resourceType": "Patient", "birthDate": "1962-03-14", "gender": "male", "name": FULL["name"]},
        {"resourceType": "Patient"},
    ],
    ids=["alike", "name only", "nothing", "no system", "no value", "another system", "no id", "no id, nothing"],
)
def test_what_nothing_ties_together_is_two_people(other: Json) -> None:
    assert "no identifier ties together" in refusal(patient(**FULL), other)
    with pytest.raises(DataError, match="2 in all"):
        read_bundle(as_bytes(bundle(patient(**FULL), other)))


@pytest.mark.parametrize(
    "twin",
    [
        {"name": [{"family": "Example", "given": ["Klaas"]}]},
        {"name": FULL["name"], "identifier": [INSURANCE, NUMBER | {"value": "43"}]},
    ],
    ids=["another given name", "another number of the hospital"],
)
def test_twins_under_one_insurance_are_not_one(twin: Json) -> None:
    first = patient(**(FULL | {"identifier": [NUMBER, INSURANCE]}))
    second = patient(**({"id": "q", "birthDate": "1962-03-14", "gender": "male", "identifier": [INSURANCE]} | twin))
    refusal(first, second)


def test_two_without_ids_are_one_only_by_an_identifier() -> None:
    nameless = {"resourceType": "Patient"}
    assert "2 in all" in refusal(nameless | {"gender": "male"}, nameless | {"birthDate": "1962-03-14"})
    same = together(nameless | {"gender": "male", "identifier": [NUMBER]}, nameless | {"identifier": [NUMBER]})
    assert same.patient.gender == "male"


# -- whose the rest is ---------------------------------------------------------------------------------


def about(subject: str, **more: Any) -> Json:
    return observation("loinc 777-3", 150, "10*9/L", subject={"reference": subject}, **more)


def test_data_under_either_id_are_of_the_one_person() -> None:
    files = [
        as_bytes(bundle(patient(**FULL), about("Patient/p"))),
        as_bytes(bundle(patient(**(FULL | {"id": "q"})), about("Patient/q", id="o2"))),
    ]
    assert [item.reference for item in read_bundle(files).items] == ["Observation/o", "Observation/o2"]


def test_an_id_of_one_source_is_not_taken_for_that_of_another() -> None:
    """What the second source calls `Patient/p` is somebody else, whatever the first one means by it."""
    second = bundle(patient(**(FULL | {"id": "q"})), about("Patient/p"))
    with pytest.raises(DataError) as caught:
        read_bundle([as_bytes(bundle(patient(**FULL))), as_bytes(second)])
    assert caught.value.code == "foreign_subject"
    first = located(patient(**FULL), "north")
    stray = bundle(patient(**(FULL | {"id": "q"})), about(ON.format("south", "p")))
    stray["entry"][0]["fullUrl"] = ON.format("south", "q")
    with pytest.raises(DataError) as caught:
        read_bundle([first, as_bytes(stray)])
    assert caught.value.code == "foreign_subject"


def test_an_id_of_one_server_is_not_taken_for_that_of_another() -> None:
    made = bundle(patient(**FULL), patient(**(FULL | {"id": "q"})), about(ON.format("north", "q")))
    for place, (server, name) in enumerate((("north", "p"), ("south", "q"))):
        made["entry"][place]["fullUrl"] = ON.format(server, name)
    with pytest.raises(DataError, match="1 of type Observation"):
        read_bundle(as_bytes(made))
    made["entry"][2]["resource"]["subject"]["reference"] = ON.format("south", "q")
    assert len(read_bundle(as_bytes(made)).items) == 1


def test_a_form_completes_an_export_and_may_not_contradict_it(knowledge: KnowledgeBase) -> None:
    export = as_bytes(bundle(patient(birthDate="1962")))

    def with_form(born: str) -> PatientBundle:
        return read_parts([export, as_bytes({"patient": {"id": "p", "born": born}})], knowledge)

    assert with_form("1962-03-14").patient.birth_date == "1962-03-14"
    with pytest.raises(DataError, match="different dates of birth"):
        with_form("1963-03-14")


@pytest.mark.parametrize(
    ("one", "other", "agrees"),
    [
        ("1962", "1962-03-14", True),
        ("1962-03-14", "1962-03", True),
        ("1962-03", "1962-04", False),
        ("1962-03-14", None, True),
        ("unknown", "1962", False),
        ("unknown", "unknown", True),
    ],
)
def test_birth_dates_agree_as_far_as_they_go(one: str, other: str | None, agrees: bool) -> None:
    assert is_same_birth(one, other) is agrees
