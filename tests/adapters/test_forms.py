from datetime import date
from decimal import Decimal

import pytest

from mscprotocol.interval import exactly
from mscprotocol.knowledge_loader import load_knowledge
from mscprotocol.reasons import Reason
from mscprotocol.record import Identifier
from mscprotocol.truth import Truth
from tests.adapters.fhir_made import (
    NOON,
    SUBJECT,
    Json,
    answered,
    concept,
    form,
    observation,
    patient,
    quantity,
    record_of,
)

MET, NOT_MET, UNKNOWN = Truth.MET, Truth.NOT_MET, Truth.UNKNOWN


def coding(code: str) -> Json:
    made: Json = concept(code)["coding"][0]
    return made


# -- attestations ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "expected", "reason"),
    [
        ({"valueBoolean": True}, MET, None),
        ({"valueBoolean": False}, NOT_MET, None),
        ({"valueString": "Yes"}, MET, None),
        ({"valueString": "no"}, NOT_MET, None),
        ({"valueString": "unknown"}, UNKNOWN, None),
        ({"valueString": "not really"}, UNKNOWN, Reason.NEEDS_REVIEW),
        ({"valueCoding": {"code": "Y"}}, MET, None),
        ({"valueCoding": {"code": "N"}}, NOT_MET, None),
        ({"valueCoding": coding("snomed 373066001")}, MET, None),
        ({"valueCoding": coding("snomed 373067005")}, NOT_MET, None),
        ({"valueCoding": coding("loinc LA33-6")}, MET, None),
        ({"valueCoding": coding("loinc LA32-8")}, NOT_MET, None),
        ({"valueCoding": {"code": "asked-unknown"}}, UNKNOWN, None),
        ({"valueDate": "2020-04-06"}, UNKNOWN, Reason.NEEDS_REVIEW),
    ],
)
def test_an_answer_of_a_named_person(answer: Json, expected: Truth, reason: Reason | None) -> None:
    record = record_of(form(answered("moribund", **answer)))
    (entry,) = record.attestations["moribund"]
    assert (entry.answer, entry.problem) == (expected, reason)
    assert (entry.attested_by, entry.reference) == ("Dr Example", "QuestionnaireResponse/q")
    assert entry.time is not None


def test_a_criterion_that_is_attestable_can_be_answered_and_no_other() -> None:
    criteria = load_knowledge().criteria
    closable = next(name for name, criterion in sorted(criteria.items()) if criterion.attestable)
    derived = next(name for name, criterion in sorted(criteria.items()) if not criterion.attestable)
    record = record_of(form(answered(closable, valueBoolean=True), answered(derived, valueBoolean=True)))
    assert list(record.attestations) == [closable]
    assert derived in record.notes[0].text


@pytest.mark.parametrize(
    "link", ["severity_nhc", "coagulopathy", "trend", "verdict", "d_dimer_ratio", "age", "nonsense", ""]
)
def test_a_conclusion_or_a_strange_item_is_noted_and_ignored(link: str) -> None:
    record = record_of(form(answered(link, valueBoolean=True, valueString="mild")))
    assert (record.attestations, record.measurements) == ({}, {})
    assert [note.reference for note in record.notes] == ["QuestionnaireResponse/q"]


def test_items_may_stand_in_groups_and_under_answers() -> None:
    under = {"linkId": "g", "answer": [{"valueString": "x", "item": [answered("hit", valueBoolean=False)]}]}
    record = record_of(form({"linkId": "group", "item": [answered("moribund", valueBoolean=False), under]}))
    assert set(record.attestations) == {"moribund", "hit"}


@pytest.mark.parametrize("status", ["in-progress", "entered-in-error", "stopped", None])
def test_a_form_that_is_not_complete_is_left_out(status: str | None) -> None:
    record = record_of(form(answered("moribund", valueBoolean=False), status=status))
    assert record.attestations == {}
    assert len(record.notes) == 1


@pytest.mark.parametrize(
    ("author", "source", "by"),
    [
        ({"reference": "Practitioner/a"}, None, "Practitioner/a"),
        ({"display": "Dr A"}, None, "Dr A"),
        ({"identifier": {"value": "A1"}}, None, "A1"),
        (None, {"reference": "PractitionerRole/b"}, "PractitionerRole/b"),
        ({"reference": "Device/d"}, {"reference": "Practitioner/b"}, "Practitioner/b"),
        (None, None, None),
        ({}, None, None),
        (None, {"reference": "Patient/p", "display": "Jane"}, None),
        (None, {"reference": "urn:uuid:p"}, None),
        (None, {"type": "RelatedPerson", "display": "Joe"}, None),
    ],
)
def test_only_a_named_person_other_than_the_patient_attests(author: object, source: object, by: str | None) -> None:
    record = record_of(form(answered("moribund", valueBoolean=False), author=author, source=source))
    found = [entry.attested_by for entry in record.attestations.get("moribund", ())]
    assert found == ([] if by is None else [by])
    assert (record.notes != ()) == (by is None)


# -- attested values -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("link", "answer", "expected", "reason"),
    [
        ("platelets", {"valueQuantity": quantity(95000, "/uL")}, "95", None),
        ("platelets", {"valueDecimal": 95}, None, Reason.UNIT_UNKNOWN),
        ("gcs", {"valueInteger": 14}, "14", None),
        ("gcs", {"valueDecimal": 14.0}, "14", None),
        ("inr", {"valueDecimal": 1.3}, "1.3", None),
        ("fio2", {"valueDecimal": 40}, "0.4", None),
        ("fio2", {"valueDecimal": 4}, None, Reason.UNIT_AMBIGUOUS),
        ("gcs", {"valueDecimal": 1e300}, None, Reason.IMPLAUSIBLE),
        ("gcs", {"valueString": "14"}, None, Reason.NEEDS_REVIEW),
        ("gcs", {"valueDate": "2020"}, None, Reason.MISSING),
    ],
)
def test_an_attested_number(link: str, answer: Json, expected: str | None, reason: Reason | None) -> None:
    (entry,) = record_of(form(answered(link, **answer))).measurements[link]
    assert (entry.value, entry.problem) == (None if expected is None else exactly(Decimal(expected)), reason)
    assert entry.attested_by == "Dr Example"


@pytest.mark.parametrize(
    ("link", "answer", "expected"),
    [
        ("oxygen_support", {"valueString": "room_air"}, ("room_air", exactly(0), None)),
        ("oxygen_support", {"valueCoding": {"code": "imv"}}, ("imv", exactly(6), None)),
        ("oxygen_support", {"valueCoding": coding("snomed 371907003")}, ("low_flow", exactly(1), None)),
        ("oxygen_support", {"valueString": "a mask"}, (None, None, Reason.NEEDS_REVIEW)),
        ("oxygen_support", {"valueCoding": coding("local x")}, (None, None, Reason.CODE_UNMAPPED)),
        ("imaging_change", {"valueString": "worse"}, ("worse", None, None)),
        ("product_gene_modified", {"valueBoolean": False}, ("no", None, None)),
        ("pregnancy_test", {"valueBoolean": False}, (None, None, Reason.NEEDS_REVIEW)),
    ],
)
def test_an_attested_answer(link: str, answer: Json, expected: tuple[object, object, object]) -> None:
    (entry,) = record_of(form(answered(link, **answer))).measurements[link]
    assert (entry.answer, entry.value, entry.problem) == expected


# -- consents and studies --------------------------------------------------------------------------


def consent(status: str, time: str = NOON, scope: str = "research", **more: object) -> Json:
    made: Json = {"resourceType": "Consent", "id": f"k{time}", "status": status, "patient": SUBJECT, "dateTime": time}
    return made | {"scope": {"coding": [{"code": scope}]}} | more


@pytest.mark.parametrize(
    ("resource", "given", "withdrawn"),
    [
        (consent("active"), (MET, MET, None), None),
        (consent("active", provision={"type": "permit"}), (MET, MET, None), None),
        (consent("active", provision={"type": "deny"}), (NOT_MET, NOT_MET, None), None),
        (
            consent("active", provision={"type": "permit", "provision": [{}]}),
            (UNKNOWN, UNKNOWN, Reason.NEEDS_REVIEW),
            None,
        ),
        (consent("rejected"), (NOT_MET, NOT_MET, None), None),
        (consent("inactive"), (NOT_MET, NOT_MET, None), (MET, MET, None)),
        (consent("draft"), None, None),
        (consent("entered-in-error"), None, None),
        (consent("active", scope="patient-privacy"), None, None),
    ],
)
def test_what_a_consent_says(resource: Json, given: object, withdrawn: object) -> None:
    record = record_of(resource)
    for name, expected in (("informed_consent", given), ("consent_withdrawn", withdrawn)):
        found = [(entry.present, entry.active, entry.problem) for entry in record.presences.get(name, ())]
        assert found == ([] if expected is None else [expected])


def test_a_consent_lasts_as_long_as_it_says() -> None:
    record = record_of(consent("active", provision={"period": {"end": "2020-05-01"}}))
    assert record.presences["informed_consent"][0].ended is not None


def test_a_consent_that_was_replaced_is_not_withdrawn() -> None:
    record = record_of(consent("inactive"), consent("active", "2020-04-07T12:00:00Z"))
    assert [entry.present for entry in record.presences["informed_consent"]] == [MET]
    assert "consent_withdrawn" not in record.presences
    later = record_of(consent("inactive", "2020-04-08T12:00:00Z"), consent("active", "2020-04-07T12:00:00Z"))
    assert "consent_withdrawn" in later.presences


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("on-study", (MET, MET, None)),
        ("on-study-intervention", (MET, MET, None)),
        ("follow-up", (UNKNOWN, UNKNOWN, Reason.NEEDS_REVIEW)),
        ("withdrawn", (MET, NOT_MET, None)),
        ("candidate", None),
        ("screening", None),
    ],
)
def test_another_study(status: str, expected: object) -> None:
    record = record_of({"resourceType": "ResearchSubject", "id": "s", "status": status, "individual": SUBJECT})
    found = [(entry.present, entry.active, entry.problem) for entry in record.presences.get("concurrent_trial", ())]
    assert found == ([] if expected is None else [expected])


# -- the person ------------------------------------------------------------------------------------

URL = "http://hl7.org/fhir/StructureDefinition/patient-sexParameterForClinicalUse"

US_CORE = "http://hl7.org/fhir/us/core/StructureDefinition"


def clinical_use(code: str) -> Json:
    value = {"url": "value", "valueCodeableConcept": {"coding": [{"code": code}]}}
    return {"extension": [{"url": URL, "extension": [value]}]}


def birth_sex(code: str) -> Json:
    return {"extension": [{"url": f"{US_CORE}/us-core-birthsex", "valueCode": code}]}


def assigned(code: str) -> Json:
    return observation("loinc 76689-9", valueCodeableConcept={"coding": [{"code": code}]})


@pytest.mark.parametrize(
    ("who", "others", "sex", "is_noted"),
    [
        (patient(gender="male"), [], "male", True),
        (patient(gender="other"), [], None, False),
        (patient(), [], None, False),
        (patient(gender="female"), [assigned("LA3-6")], "female", False),
        (patient(gender="male"), [assigned("LA3-6")], None, True),
        (patient(gender="other"), [assigned("LA3-6")], "female", False),
        (patient(gender="male") | birth_sex("F"), [], None, True),
        (patient(gender="male") | birth_sex("M"), [], "male", False),
        (patient(gender="male") | birth_sex("UNK"), [], "male", True),
        (patient(gender="male") | birth_sex("OTH"), [], None, True),
        (patient() | birth_sex("F"), [], "female", False),
        (patient() | birth_sex("F"), [assigned("male")], None, True),
        (patient(gender="male"), [assigned("nonsense")], None, True),
        (patient(gender="male"), [assigned("female"), assigned("male") | {"id": "o2"}], None, True),
        (patient(gender="male") | clinical_use("female-typical"), [assigned("male")], "female", False),
        (patient(gender="male") | clinical_use("complex"), [assigned("male")], None, False),
    ],
)
def test_the_sex_that_a_weight_is_predicted_by(who: Json, others: list[Json], sex: str | None, is_noted: bool) -> None:
    record = record_of(*others, who=who)
    assert record.patient.sex == sex
    assert any("gender" in note.text for note in record.notes) == is_noted


def test_who_the_patient_is() -> None:
    names = [
        {"use": "old", "family": "Gone"},
        {"given": ["Jane", None], "family": "Doe"},
        {"use": "official", "family": "Roe"},
    ]
    identifiers = [{"system": "b", "value": "2"}, {"system": "a", "value": "1"}, {"system": "c"}]
    record = record_of(who=patient(name=names, identifier=identifiers, birthDate="1961-02"))
    assert record.patient.name == "Roe"
    assert record.patient.identifiers == (Identifier("a", "1"), Identifier("b", "2"))
    assert record.patient.born == (date(1961, 2, 1), date(1961, 2, 28))
    assert record_of(who=patient(name=names[:2])).patient.name == "Jane Doe"


@pytest.mark.parametrize(
    ("more", "deceased", "has_date"),
    [
        ({}, False, False),
        ({"deceasedBoolean": False}, False, False),
        ({"deceasedBoolean": True}, True, False),
        ({"deceasedDateTime": NOON}, True, True),
        ({"deceasedDateTime": "some day"}, True, False),
    ],
)
def test_death(more: Json, deceased: bool, has_date: bool) -> None:
    person = record_of(who=patient(**more)).patient
    assert (person.deceased, person.died is not None) == (deceased, has_date)


def test_a_birth_date_that_cannot_be_read_is_noted() -> None:
    record = record_of(who=patient(birthDate="61"))
    assert record.patient.born is None
    assert [note.reference for note in record.notes] == ["Patient/p"]
