from decimal import Decimal

import pytest

from mscprotocol.interval import exactly
from mscprotocol.knowledge_loader import load_knowledge
from mscprotocol.reasons import Reason
from mscprotocol.record import PatientRecord, Presence
from mscprotocol.timespan import instant
from mscprotocol.truth import Truth
from tests.adapters.fhir_made import (
    NOON,
    SUBJECT,
    Json,
    administration,
    allergy,
    concept,
    condition,
    observation,
    procedure,
    quantity,
    record_of,
)

MET, NOT_MET, UNKNOWN = Truth.MET, Truth.NOT_MET, Truth.UNKNOWN
EMBOLISM = "snomed 59282003"


def only(record: PatientRecord, name: str) -> Presence:
    (entry,) = record.presences[name]
    return entry


def said(record: PatientRecord, name: str) -> tuple[Truth, Truth, Reason | None] | None:
    if name not in record.presences:
        return None
    entry = only(record, name)
    return entry.present, entry.active, entry.problem


# -- conditions ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("verification", "clinical", "expected"),
    [
        ("confirmed", "active", (MET, MET, None)),
        ("confirmed", "recurrence", (MET, MET, None)),
        ("confirmed", "relapse", (MET, MET, None)),
        ("confirmed", "resolved", (MET, NOT_MET, None)),
        ("confirmed", "inactive", (MET, NOT_MET, None)),
        ("confirmed", "remission", (MET, NOT_MET, None)),
        ("confirmed", None, (MET, UNKNOWN, None)),
        ("confirmed", "nonsense", (MET, UNKNOWN, None)),
        ("refuted", "active", (NOT_MET, NOT_MET, None)),
        ("refuted", None, (NOT_MET, NOT_MET, None)),
        ("unconfirmed", "active", (UNKNOWN, MET, Reason.NEEDS_REVIEW)),
        ("provisional", "active", (UNKNOWN, MET, Reason.NEEDS_REVIEW)),
        ("differential", "active", (UNKNOWN, MET, Reason.NEEDS_REVIEW)),
        ("nonsense", "active", (UNKNOWN, MET, Reason.NEEDS_REVIEW)),
        (None, "active", (UNKNOWN, MET, Reason.QUALIFIER_MISSING)),
        ("entered-in-error", "active", None),
    ],
)
def test_what_the_statuses_of_a_diagnosis_say(
    verification: str | None, clinical: str | None, expected: tuple[Truth, Truth, Reason | None] | None
) -> None:
    record = record_of(condition(EMBOLISM, verification, clinical))
    assert said(record, "pulmonary_embolism") == expected
    assert (record.notes != ()) == (expected is None)


@pytest.mark.parametrize(
    ("more", "active", "has_end"),
    [
        ({"abatementDateTime": NOON}, NOT_MET, True),
        ({"abatementPeriod": {"start": NOON, "end": NOON}}, NOT_MET, True),
        ({"abatementString": "last spring"}, NOT_MET, False),
        ({"abatementBoolean": True}, NOT_MET, False),
        ({"abatementBoolean": False}, UNKNOWN, False),
        ({"abatementAge": {"value": 40}}, NOT_MET, False),
        ({"abatementDateTime": "last spring"}, NOT_MET, False),
        ({}, UNKNOWN, False),
    ],
)
def test_an_end_says_that_it_is_over(more: Json, active: Truth, has_end: bool) -> None:
    entry = only(record_of(condition(EMBOLISM, clinical=None, **more)), "pulmonary_embolism")
    assert (entry.active, entry.ended is not None) == (active, has_end)


def test_active_though_it_ended_is_open() -> None:
    assert only(record_of(condition(EMBOLISM, abatementDateTime=NOON)), "pulmonary_embolism").active is UNKNOWN


def test_the_times_of_a_diagnosis() -> None:
    made = condition(
        EMBOLISM, clinical="resolved", onsetDateTime="2020-04-01", abatementDateTime=NOON, recordedDate=NOON
    )
    entry = only(record_of(made), "pulmonary_embolism")
    assert entry.time is not None
    assert not entry.time.is_instant
    assert entry.ended == entry.recorded
    assert entry.ended is not None
    vague = record_of(condition(EMBOLISM, onsetString="as a child"))
    assert only(vague, "pulmonary_embolism").time is None
    assert len(vague.notes) == 1


@pytest.mark.parametrize(
    ("code", "verification", "name", "expected"),
    [
        ("icd10 I26.99", "confirmed", "pulmonary_embolism", (MET, MET, None)),
        ("icd10 I26", "refuted", "pulmonary_embolism", (NOT_MET, NOT_MET, None)),
        ("icd10 I26.99", "refuted", "pulmonary_embolism", None),
        ("snomed 706870000", "confirmed", "pulmonary_embolism", (MET, MET, None)),
        ("snomed 706870000", "refuted", "pulmonary_embolism", None),
        ("icd10 C50.1", "confirmed", "malignancy", (MET, MET, None)),
        ("icd10 C50.1", "refuted", "malignancy", None),
        ("icd10 C44.9", "confirmed", "malignancy", None),
        ("icd10 D05", "confirmed", "malignancy", None),
        ("snomed 840544004", "confirmed", "covid_19", (UNKNOWN, MET, Reason.NEEDS_REVIEW)),
        ("icd10 U07.2", "confirmed", "covid_19", (UNKNOWN, MET, Reason.NEEDS_REVIEW)),
        ("snomed 840544004", "refuted", "covid_19", None),
        ("icd10 I50.9", "confirmed", "severe_cardiac_disease", (UNKNOWN, MET, Reason.NEEDS_REVIEW)),
        ("snomed 60001007", "confirmed", "pregnancy", (NOT_MET, NOT_MET, None)),
        ("snomed 60001007", "unconfirmed", "pregnancy", (UNKNOWN, UNKNOWN, Reason.NEEDS_REVIEW)),
        ("snomed 60001007", "refuted", "pregnancy", None),
    ],
)
def test_what_a_code_says_of_a_condition(
    code: str, verification: str, name: str, expected: tuple[Truth, Truth, Reason | None] | None
) -> None:
    record = record_of(condition(code, verification))
    found = said(record, name)
    assert found == expected or (found is not None and expected is not None and found[0] is expected[0] is UNKNOWN)


def test_a_denial_that_is_over_denies_nothing() -> None:
    record = record_of(condition("snomed 60001007", clinical="resolved"))
    assert "pregnancy" not in record.presences
    assert len(record.notes) == 1


def test_a_refuted_narrower_diagnosis_is_noted() -> None:
    record = record_of(condition("snomed 706870000", "refuted"))
    assert "pulmonary_embolism" in record.notes[0].text


@pytest.mark.parametrize(
    "text", ["No pulmonary embolism", "Denies PE", "rule out PE", "Negative for PE", "History of PE"]
)
def test_words_that_deny_leave_a_code_open(text: str) -> None:
    record = record_of(condition(concept(EMBOLISM, text=text)))
    assert said(record, "pulmonary_embolism") == (UNKNOWN, MET, Reason.NEEDS_REVIEW)


@pytest.mark.parametrize("text", ["Non-massive pulmonary embolism", "Norovirus and PE", "Pulmonary embolism"])
def test_words_that_only_look_like_denial_do_not(text: str) -> None:
    assert said(record_of(condition(concept(EMBOLISM, text=text))), "pulmonary_embolism") == (MET, MET, None)


@pytest.mark.parametrize("clinical", ["active", "resolved"])
def test_words_alone_are_reported_and_prove_nothing(clinical: str) -> None:
    record = record_of(condition(concept("local 7", text="Pulmonary embolism"), clinical=clinical))
    assert record.presences == {}
    assert [(one.reference, one.relevant) for one in record.unmapped] == [("Condition/c", ("pulmonary_embolism",))]


@pytest.mark.parametrize("verification", ["refuted", "entered-in-error"])
def test_words_that_were_refuted_are_not_reported(verification: str) -> None:
    assert record_of(condition(concept(text="Pulmonary embolism"), verification)).unmapped == ()


def test_an_excepted_code_is_not_reported_by_its_words() -> None:
    made = condition(concept("icd10 C44.9", display="Malignant neoplasm of skin"))
    assert "malignancy" not in {name for one in record_of(made).unmapped for name in one.relevant}


def test_the_family_is_not_the_patient() -> None:
    relative = {
        "resourceType": "FamilyMemberHistory",
        "id": "f",
        "patient": SUBJECT,
        "condition": [{"code": concept(EMBOLISM)}],
    }
    record = record_of(relative)
    assert (record.presences, record.unmapped) == ({}, ())


def test_versions_that_contradict_each_other_leave_it_open() -> None:
    record = record_of(condition(EMBOLISM), condition(EMBOLISM, "refuted"))
    assert {(entry.present, entry.problem) for entry in record.presences["pulmonary_embolism"]} == {
        (UNKNOWN, Reason.CONFLICT)
    }


def test_a_disease_charted_as_an_observation_is_for_a_person() -> None:
    made = observation("snomed 404684003", valueCodeableConcept=concept(EMBOLISM))
    assert said(record_of(made), "pulmonary_embolism") == (UNKNOWN, UNKNOWN, Reason.NEEDS_REVIEW)


# -- allergies -------------------------------------------------------------------------------------


def test_no_known_allergy_denies_what_lists_it() -> None:
    record = record_of(allergy("snomed 716186003"))
    for name in ("dmso_or_protein_hypersensitivity", "anaphylaxis_history"):
        assert said(record, name) == (NOT_MET, NOT_MET, None)


def test_an_allergy_by_its_substance_and_its_reaction() -> None:
    assert said(record_of(allergy("unii YOW8V9698H")), "dmso_or_protein_hypersensitivity") == (MET, MET, None)
    made = allergy("local nuts", reaction=[{"manifestation": [concept("snomed 39579001")]}])
    assert said(record_of(made), "anaphylaxis_history") == (MET, MET, None)


def test_a_severe_reaction_is_reported() -> None:
    record = record_of(allergy("local nuts", reaction=[{"severity": "severe"}]))
    assert [one.relevant for one in record.unmapped] == [("anaphylaxis_history",)]


def test_an_allergy_to_a_drug_is_no_intake_of_it() -> None:
    record = record_of(allergy(concept("rxnorm 5224", text="Heparin")))
    assert (record.presences, record.unmapped) == ({}, ())


def test_an_allergy_by_words_is_reported() -> None:
    record = record_of(allergy(concept(text="Bovine protein")))
    assert [one.relevant for one in record.unmapped] == [("dmso_or_protein_hypersensitivity",)]


# -- procedures and devices ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "performed", "expected"),
    [
        ("in-progress", {"performedPeriod": {"start": NOON}}, (MET, MET, None)),
        ("in-progress", {"performedPeriod": {"start": NOON, "end": NOON}}, (MET, UNKNOWN, None)),
        ("completed", {"performedPeriod": {"start": NOON, "end": NOON}}, (MET, NOT_MET, None)),
        ("completed", {"performedDateTime": NOON}, (MET, NOT_MET, None)),
        ("stopped", {"performedDateTime": NOON}, (MET, NOT_MET, None)),
        ("on-hold", {"performedDateTime": NOON}, (MET, UNKNOWN, None)),
        ("unknown", {"performedDateTime": NOON}, (UNKNOWN, UNKNOWN, Reason.STATUS_EXCLUDED)),
        ("not-done", {"performedDateTime": NOON}, None),
        ("preparation", {"performedDateTime": NOON}, None),
        ("entered-in-error", {"performedDateTime": NOON}, None),
    ],
)
def test_what_the_status_of_a_procedure_says(
    status: str, performed: Json, expected: tuple[Truth, Truth, Reason | None] | None
) -> None:
    record = record_of(procedure("snomed 40617009", status, **performed))
    assert said(record, "invasive_ventilation") == expected
    if expected is not None:
        assert only(record, "invasive_ventilation").time is not None


def test_a_device_in_use_is_a_level_of_support() -> None:
    device = {"resourceType": "Device", "id": "d", "type": concept("snomed 371907003")}
    use = {"resourceType": "DeviceUseStatement", "id": "u", "status": "active", "subject": SUBJECT}
    use |= {"device": {"reference": "Device/d"}, "timingDateTime": NOON}
    (entry,) = record_of(device, use).measurements["oxygen_support"]
    assert (entry.answer, entry.reference) == ("low_flow", "DeviceUseStatement/u")


# -- medications -----------------------------------------------------------------------------------


def request(code: str | Json, status: str = "active", **more: object) -> Json:
    made = administration(code, status) | {"resourceType": "MedicationRequest", "intent": "order", "authoredOn": NOON}
    return made | more


@pytest.mark.parametrize(
    ("resource", "expected"),
    [
        (administration("rxnorm 5224"), (MET, MET, None)),
        (administration("rxnorm 5224", "completed"), (MET, NOT_MET, None)),
        (administration("rxnorm 5224", "on-hold"), (MET, UNKNOWN, None)),
        (administration("rxnorm 5224", "not-done"), None),
        (administration("rxnorm 5224", "entered-in-error"), None),
        (administration("atc B01AB05"), (MET, MET, None)),
        (administration("atc b01ab05"), (MET, MET, None)),
        (administration("atc B01"), None),
        (administration("atc B01AC06"), None),
        (request("rxnorm 5224"), (MET, MET, None)),
        (request("rxnorm 5224", "stopped"), (MET, NOT_MET, None)),
        (request("rxnorm 5224", "draft"), None),
        (request("rxnorm 5224", "cancelled"), None),
        (request("rxnorm 5224", intent="plan"), None),
        (request("rxnorm 5224", intent="proposal"), None),
        (request("rxnorm 5224", doNotPerform=True), None),
        (request("rxnorm 5224") | {"resourceType": "MedicationStatement"}, (MET, MET, None)),
        (request("rxnorm 5224", "intended") | {"resourceType": "MedicationStatement"}, None),
        (request("rxnorm 5224", "not-taken") | {"resourceType": "MedicationStatement"}, None),
        (
            request("rxnorm 5224", "unknown") | {"resourceType": "MedicationStatement"},
            (UNKNOWN, UNKNOWN, Reason.STATUS_EXCLUDED),
        ),
    ],
)
def test_what_a_medication_says(resource: Json, expected: tuple[Truth, Truth, Reason | None] | None) -> None:
    assert said(record_of(resource), "anticoagulant") == expected


@pytest.mark.parametrize(
    "reference", ["Medication/h", "#h", "http://a.example/Medication/h", "Medication/h/_history/3"]
)
def test_a_medication_may_be_referred_to(reference: str) -> None:
    medication = {
        "resourceType": "Medication",
        "id": "h",
        "ingredient": [{"itemCodeableConcept": concept("rxnorm 5224")}],
    }
    made = administration("rxnorm 1", medicationReference={"reference": reference}, contained=[medication])
    del made["medicationCodeableConcept"]
    assert said(record_of(made, medication), "anticoagulant") == (MET, MET, None)


def test_a_medication_that_cannot_be_found_is_noted_or_reported_by_its_words() -> None:
    made = administration("rxnorm 1", medicationReference={"reference": "Medication/none"})
    del made["medicationCodeableConcept"]
    assert [note.reference for note in record_of(made).notes] == ["MedicationAdministration/m"]
    made["medicationReference"]["display"] = "Heparin"
    assert [one.relevant for one in record_of(made).unmapped] == [("anticoagulant",)]


RATE = {"weight": ("loinc 29463-7", 80, "kg")}


def weight(kilograms: float, time: str, id_: str) -> Json:
    return observation("loinc 29463-7", kilograms, "kg", effectiveDateTime=time, id=id_)


@pytest.mark.parametrize(
    ("dosage", "expected", "reason"),
    [
        ({"rateQuantity": quantity(0.1, "ug/kg/min")}, "0.1", None),
        ({"rateQuantity": quantity(0.1, "mcg/kg/min")}, "0.1", None),
        ({"rateQuantity": quantity(6, "ug/kg/h")}, "0.1", None),
        ({"rateQuantity": quantity(8, "ug/min")}, "0.1", None),
        ({"rateQuantity": quantity(8, "mcg/min")}, "0.1", None),
        ({"rateQuantity": quantity(0.48, "mg/h")}, "0.1", None),
        ({"rateRatio": {"numerator": quantity(16, "ug"), "denominator": quantity(2, "min")}}, "0.1", None),
        ({"rateRatio": {"numerator": quantity(0.1, "ug/kg"), "denominator": quantity(1, "min")}}, "0.1", None),
        ({"rateQuantity": quantity(600, "ug/min")}, None, Reason.IMPLAUSIBLE),
        ({"rateQuantity": quantity(8, "mL/h")}, None, Reason.UNIT_UNKNOWN),
        ({"rateQuantity": quantity(8)}, None, Reason.UNIT_UNKNOWN),
    ],
)
def test_a_rate_is_taken_per_kilogram(dosage: Json, expected: str | None, reason: Reason | None) -> None:
    # The newest weight at or before the rate counts: neither the older nor the later one.
    weights = [
        weight(60, "2020-04-01T12:00:00Z", "w1"),
        weight(80, NOON, "w2"),
        weight(100, "2020-04-07T12:00:00Z", "w3"),
    ]
    (entry,) = record_of(administration("rxnorm 7512", dosage=dosage), *weights).measurements["norepinephrine_rate"]
    assert (entry.value, entry.problem) == (None if expected is None else exactly(Decimal(expected)), reason)


def test_an_unusual_rate_is_used_and_noted() -> None:
    """Micrograms a minute that were written as if per kilogram."""
    record = record_of(administration("rxnorm 7512", dosage={"rateQuantity": quantity(4, "ug/kg/min")}))
    assert record.measurements["norepinephrine_rate"][0].value == exactly(Decimal(4))
    assert any(note.text == "Norepinephrine rate: unusual value" for note in record.notes)


def test_a_rate_of_the_whole_body_needs_a_weight() -> None:
    made = administration("rxnorm 7512", dosage={"rateQuantity": quantity(8, "ug/min")})
    (entry,) = record_of(made, weight(80, "2020-04-07T12:00:00Z", "w")).measurements["norepinephrine_rate"]
    assert (entry.value, entry.problem) == (None, Reason.QUALIFIER_MISSING)
    assert said(record_of(made), "vasopressor") == (MET, MET, None)


def test_without_a_rate_there_is_only_the_presence() -> None:
    record = record_of(administration("rxnorm 7512"))
    assert (record.measurements, list(record.presences)) == ({}, ["vasopressor"])


@pytest.mark.parametrize("status", ["completed", "stopped", "in-progress", "on-hold", "not-done"])
def test_infusions_of_the_product_are_those_that_were_started(status: str) -> None:
    from dataclasses import replace

    from fhir_adapters.bundle import read_bundle
    from fhir_adapters.record_builder import build_record
    from mscprotocol.codes import parse_code
    from tests.adapters.fhir_made import as_bytes, bundle, patient

    knowledge = load_knowledge()
    protocols = {
        name: protocol.model_copy(update={"product_codes": (parse_code("snomed 1234567"), parse_code("local MSC"))})
        for name, protocol in knowledge.protocols.items()
    }
    given = administration(
        "local MSC", status, effectiveDateTime=None, effectivePeriod={"start": NOON, "end": "2020-04-07"}
    )
    del given["effectiveDateTime"]
    content = as_bytes(bundle(patient(), given, administration("local other", id="n")))
    record = build_record(read_bundle(content), replace(knowledge, protocols=protocols))
    if status in ("completed", "stopped", "in-progress"):
        (infusion,) = record.infusions
        assert (infusion.status, infusion.reference) == (status, "MedicationAdministration/m")
        assert infusion.time is not None
        assert infusion.time == instant(infusion.time.earliest)
    else:
        assert record.infusions == ()
        assert record.notes != ()
