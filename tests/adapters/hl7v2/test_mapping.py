"""Segments to resources, as tables: PID, OBX by type of value, statuses, codes, units, DG1, AL1, PR1."""

from __future__ import annotations

from typing import Any

import pytest

from fhir_adapters.hl7v2_mapping import EFFECTS, map_message
from fhir_adapters.hl7v2_parsing import MessageError, parse_message
from tests.adapters.hl7v2.messages import OBR, PID, adt, message, only, oru, record, resources, result

LOINC, SNOMED, UCUM = "http://loinc.org", "http://snomed.info/sct", "http://unitsofmeasure.org"
UNIT = {"unit": "umol/L"}


def value_of(made: dict[str, Any]) -> dict[str, Any]:
    return {name: one for name, one in made.items() if name.startswith("value") or name == "component"}


@pytest.mark.parametrize(
    ("kind", "sent", "expected"),
    [
        ("NM", "98", {"valueQuantity": {"value": 98, **UNIT}}),
        ("NM", "+0098.50", {"valueQuantity": {"value": 98.5, **UNIT}}),
        ("NM", ".5", {"valueQuantity": {"value": 0.5, **UNIT}}),
        ("NM", "-3.", {"valueQuantity": {"value": -3, **UNIT}}),
        ("NM", "1,5", {"valueString": "1,5"}),
        ("NM", "<5", {"valueString": "<5"}),
        ("NM", "1e3", {"valueString": "1e3"}),
        ("NM", "hemolysed", {"valueString": "hemolysed"}),
        ("NM", "", {}),
        ("NM", '""', {}),
        ("SN", "^10", {"valueQuantity": {"value": 10, **UNIT}}),
        ("SN", "=^10", {"valueQuantity": {"value": 10, **UNIT}}),
        ("SN", ">^100", {"valueQuantity": {"value": 100, "comparator": ">", **UNIT}}),
        ("SN", "<=^0.5", {"valueQuantity": {"value": 0.5, "comparator": "<=", **UNIT}}),
        ("SN", "^10^-^20", {"valueRange": {"low": {"value": 10, **UNIT}, "high": {"value": 20, **UNIT}}}),
        ("SN", "^1^:^128", {"valueRatio": {"numerator": {"value": 1}, "denominator": {"value": 128}}}),
        ("SN", "^1^/^2", {"valueRatio": {"numerator": {"value": 1}, "denominator": {"value": 2}}}),
        ("SN", "<>^10", {"valueString": "<>^10"}),
        ("SN", "^2^+", {"valueString": "^2^+"}),
        ("SN", ">^1^-^2", {"valueString": ">^1^-^2"}),
        ("SN", "^x", {"valueString": "^x"}),
        ("NR", "10^20", {"valueRange": {"low": {"value": 10, **UNIT}, "high": {"value": 20, **UNIT}}}),
        ("CE", "260373001^Detected^SCT", {"valueCodeableConcept": {
            "coding": [{"system": SNOMED, "code": "260373001", "display": "Detected"}], "text": "Detected"}}),
        ("CWE", "^only words", {"valueCodeableConcept": {"text": "only words"}}),
        ("IS", "POS", {"valueCodeableConcept": {"coding": [{"code": "POS"}]}}),
        ("ST", "98", {"valueString": "98"}),
        ("TX", "one~two", {"valueString": "one\ntwo"}),
        ("FT", r"a\.br\b", {"valueString": "a\nb"}),
        ("", "98", {"valueString": "98"}),
        ("DT", "20200406", {"valueDateTime": "2020-04-06"}),
        ("TM", "0830", {"valueTime": "0830"}),
        ("DR", "20200401^20200406", {"valuePeriod": {"start": "2020-04-01", "end": "2020-04-06"}}),
        ("ED", "^AP^PDF^Base64^AAAA", {"valueString": "a value of type ED"}),
        ("NM", "98~99", {"component": [
            {"code": {"coding": [{"system": LOINC, "code": "2160-0", "display": "Creatinine"}], "text": "Creatinine"},
             "valueQuantity": {"value": number, **UNIT}} for number in (98, 99)]}),
    ],
)  # fmt: skip
def test_a_value_by_its_type(kind: str, sent: str, expected: dict[str, Any]) -> None:
    assert value_of(only(oru(result(sent, kind=kind)))) == expected


@pytest.mark.parametrize(
    ("kind", "sent", "note"),
    [
        ("ST", "98", "a number was sent as text: it was not read as a number"),
        ("ST", "< 98,5 %", "a number was sent as text: it was not read as a number"),
        ("NM", "pos", "the value is stated to be a number and is none"),
        ("ED", "x", "a value of a type that is not read"),
    ],
)
def test_a_value_that_is_not_read_is_named(kind: str, sent: str, note: str) -> None:
    (mapped,) = map_message(parse_message(oru(result(sent, kind=kind))))
    assert ("OBX^1^5", note) in mapped.notes


def test_a_number_sent_as_text_is_never_evidence() -> None:
    (entry,) = record(oru(result("98", kind="ST"))).measurements["creatinine"]
    assert entry.value is None
    assert entry.problem is not None
    assert entry.problem.value == "needs_review"


@pytest.mark.parametrize(
    ("letter", "status"),
    [
        ("F", "final"), ("C", "corrected"), ("A", "amended"), ("U", "final"), ("P", "preliminary"),
        ("S", "preliminary"), ("R", "preliminary"), ("I", "registered"), ("O", "registered"), ("D", "entered-in-error"),
        ("W", "entered-in-error"), ("X", "cancelled"), ("N", "unknown"), ("B", "unknown"), ("V", "unknown"),
        ("Q", "unknown"), ("", "unknown"), ("f", "final"),
    ],
)  # fmt: skip
def test_statuses(letter: str, status: str) -> None:
    assert only(oru(result(status=letter)))["status"] == status


def test_only_final_corrected_and_amended_values_are_evidence() -> None:
    for letter in "FCAUPSRIODWXNBV":
        found = record(oru(result(status=letter))).measurements.get("creatinine", ())
        assert any(entry.value is not None for entry in found) == (letter in "FCAU"), letter


def test_made_final_without_a_value_is_no_value() -> None:
    assert only(oru(result("", status="U")))["status"] == "registered"


def test_the_status_of_the_order_stands_in_and_may_contradict() -> None:
    order = OBR + "|" * 18 + "F"
    assert order.split("|")[25] == "F"
    assert only(message(PID, order, result(status="")))["status"] == "final"
    assert only(message(PID, order[:-1] + "X", result(status="F")))["status"] == "unknown"


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ("mg/dL", {"unit": "mg/dL"}),
        ("mg/dL^^UCUM", {"unit": "mg/dL", "system": UCUM, "code": "mg/dL"}),
        ("mm[Hg]^mmHg^UCUM", {"unit": "mmHg", "system": UCUM, "code": "mm[Hg]"}),
        ("MMHG^mm Hg^L^mm[Hg]^mmHg^UCUM", {"unit": "mmHg", "system": UCUM, "code": "mm[Hg]"}),
        ("mg/dL^^ISO+", {"unit": "mg/dL"}),
        ("^words", {"unit": "words"}),
        ("", {}),
    ],
)
def test_units(sent: str, expected: dict[str, str]) -> None:
    assert only(oru(result(unit=sent)))["valueQuantity"] == {"value": 98, **expected}


@pytest.mark.parametrize(
    ("name", "system"),
    [
        ("LN", LOINC), ("LOINC", LOINC), ("SCT", SNOMED), ("I10", "http://hl7.org/fhir/sid/icd-10"),
        ("I10C", "http://hl7.org/fhir/sid/icd-10-cm"), ("I10G2020", "http://fhir.de/CodeSystem/bfarm/icd-10-gm"),
        ("2.16.840.1.113883.6.1", "urn:oid:2.16.840.1.113883.6.1"), ("UCUM", UCUM),
        ("HL70487", "http://terminology.hl7.org/CodeSystem/v2-0487"), ("99LAB", "urn:x-hl7v2:99LAB"),
        ("L", "urn:x-hl7v2:L"), ("SNM3", "urn:x-hl7v2:SNM3"), ("ATC", "urn:x-hl7v2:ATC"),
    ],
)  # fmt: skip
def test_coding_systems(name: str, system: str) -> None:
    made = only(oru(result(code=f"1^Words^{name}")))
    assert made["code"]["coding"] == [{"system": system, "code": "1", "display": "Words"}]


def test_alternate_codes_are_codes_too() -> None:
    made = only(oru(result(code="CR^Crea^99LAB^2160-0^Creatinine^LN")))
    assert [one.get("system") for one in made["code"]["coding"]] == ["urn:x-hl7v2:99LAB", LOINC]
    assert record(oru(result(code="CR^Crea^99LAB^2160-0^Creatinine^LN"))).measurements["creatinine"][0].value


def test_a_code_without_a_system_is_no_loinc_code() -> None:
    assert "creatinine" not in record(oru(result(code="2160-0^Creatinine"))).measurements


def test_judgement_and_limits() -> None:
    made = only(oru("OBX|1|NM|2160-0^C^LN||98|umol/L|49 - 92|H~A|||F"))
    assert made["referenceRange"] == [{"text": "49 - 92"}]
    assert [one["coding"][0]["code"] for one in made["interpretation"]] == ["H", "A"]


def test_the_upper_limit_of_obx_7_is_that_of_the_report() -> None:
    line = result("0.6", code="48065-7^D-dimer FEU^LN", unit="mg/L^^UCUM", limits="<0.5")
    (entry,) = record(oru(line)).measurements["d_dimer"]
    assert str(entry.upper_limit) == str(entry.upper_limit) != "None"
    assert entry.upper_limit_source == "report"


@pytest.mark.parametrize(
    ("segments", "codes"),
    [
        ([OBR + "||||||||BLDV&Venous&HL70487", result()], ["BLDV"]),
        ([OBR, result(), "SPM|1|||BLDV^Venous^HL70487"], ["BLDV"]),
        ([OBR, result(), "SPM|1|||BLDA^Arterial^HL70487", "SPM|2|||BLDV^Venous^HL70487"], ["BLDA", "BLDV"]),
        ([OBR, result()], []),
    ],
)
def test_specimens(segments: list[str], codes: list[str]) -> None:
    made = only(message(PID, *segments))
    kinds = [one["type"]["coding"] for one in made.get("contained", ())]
    assert [coding["code"] for coding in (kinds[0] if kinds else ())] == codes


def test_a_venous_gas_is_no_arterial_one() -> None:
    gas = result("80", code="2703-7^pO2^LN", unit="mm[Hg]^^UCUM")
    (entry,) = record(message(PID, OBR + "||||||||BLDV&Venous&HL70487", gas)).measurements["pao2"]
    assert entry.problem is not None
    assert entry.problem.value == "specimen_mismatch"
    (entry,) = record(oru(gas)).measurements["pao2"]
    assert entry.problem is None


def test_a_comment_is_never_read_but_named() -> None:
    found = record(oru(result(), "NTE|1||pregnant, DVT, platelets 12"))
    assert set(found.measurements) == {"creatinine"}
    assert not found.presences
    assert any("NTE" in note.text for note in found.notes)


# -- people ----------------------------------------------------------------------------------------


def test_a_person() -> None:
    pid = (
        "PID|1||4711^^^HOSP&1.2.3&ISO^MR~99^^^^AN||Example^Ada^B^^^^L~Old^Name^^^^^M||19620314|F"
        + "|" * 21
        + "20200401|Y"
    )
    person = record(adt("A01", pid)).patient
    assert person.id == "4711^^^&1.2.3&ISO"
    assert [(one.system, one.value) for one in person.identifiers] == [("urn:oid:1.2.3", "4711")]
    assert person.name == "Ada B Example"
    assert (str(person.born[0]) if person.born else None, person.sex, person.deceased) == ("1962-03-14", "female", True)
    assert person.died is not None


@pytest.mark.parametrize(
    ("sent", "first", "last"),
    [
        ("1962", "1962-01-01", "1962-12-31"), ("196203", "1962-03-01", "1962-03-31"),
        ("19620314000000", "1962-03-14", "1962-03-14"), ("19620314000000+0200", "1962-03-14", "1962-03-14"),
    ],
)  # fmt: skip
def test_births_in_part(sent: str, first: str, last: str) -> None:
    born = record(adt("A01", PID.replace("19620314", sent))).patient.born
    assert born is not None
    assert (str(born[0]), str(born[1])) == (first, last)


@pytest.mark.parametrize(
    ("sent", "authority"),
    [
        ("5^^^A", "urn:x-hl7v2:authority:A"), ("5^^^A&1.2.3&ISO", "urn:oid:1.2.3"), ("5^^^&1.2.3", "urn:oid:1.2.3"),
        ("5^^^A&https://a.example&URI", "https://a.example"), ("5", "urn:x-hl7v2:facility:HOSP"),
    ],
)  # fmt: skip
def test_a_number_belongs_to_its_authority(sent: str, authority: str) -> None:
    (one,) = record(adt("A01", f"PID|1||{sent}")).patient.identifiers
    assert (one.system, one.value) == (authority, "5")


@pytest.mark.parametrize("pid", ["PID|1", "PID|1||", 'PID|1||""', "PID|1||99^^^B^AN~1^^^B^VN", "PID|1||^^^A^MR"])
def test_without_a_record_number_there_is_no_patient(pid: str) -> None:
    with pytest.raises(MessageError) as caught:
        map_message(parse_message(adt("A01", pid)))
    assert (caught.value.code, caught.value.condition) == ("no_patient", "101")


def test_old_versions_name_the_patient_in_the_second_field() -> None:
    assert record(adt("A01", "PID|1|77", version="2.1")).patient.id == "77^^^^^HOSP"


def test_one_message_about_two_patients_is_refused() -> None:
    with pytest.raises(MessageError) as caught:
        map_message(parse_message(message(PID, OBR, result(), PID.replace("4711", "4712"), OBR, result())))
    assert caught.value.code == "mixed_patients"


# -- diagnoses, allergies, procedures --------------------------------------------------------------


@pytest.mark.parametrize(
    ("letter", "status"), [("F", "confirmed"), ("A", "provisional"), ("W", "provisional"), ("", None)]
)
def test_diagnoses(letter: str, status: str | None) -> None:
    made = only(adt("A01", PID, f"DG1|1||I26.99^Pulmonary embolism^I10||20200401|{letter}"))
    assert made["resourceType"] == "Condition"
    assert made["code"] == {
        "coding": [{"system": "http://hl7.org/fhir/sid/icd-10", "code": "I26.99"}], "text": "Pulmonary embolism",
    }  # fmt: skip
    assert made["onsetDateTime"] == "2020-04-01"
    found = made.get("verificationStatus")
    assert (found["coding"][0]["code"] if found else None) == status


def presence(line: str, name: str) -> tuple[str, str | None]:
    (entry,) = record(adt("A01", PID, line)).presences[name]
    return entry.present.name, None if entry.problem is None else entry.problem.value


def test_only_a_final_diagnosis_is_there() -> None:
    line = "DG1|1||I26.99^Pulmonary embolism^I10||20200401|{}"
    assert presence(line.format("F"), "pulmonary_embolism") == ("MET", None)
    assert presence(line.format("W"), "pulmonary_embolism") == ("UNKNOWN", "needs_review")
    assert presence(line.format(""), "pulmonary_embolism") == ("UNKNOWN", "qualifier_missing")


def test_words_that_deny_what_the_code_says_are_heard() -> None:
    line = "DG1|1||I26.99^No pulmonary embolism^I10||20200401|F"
    assert presence(line, "pulmonary_embolism") == ("UNKNOWN", "needs_review")


def test_the_method_names_the_system_of_old_diagnoses() -> None:
    made = only(adt("A01", PID, "DG1|1|I10|I26.99|Pulmonary embolism||F"))
    assert made["code"]["coding"][0]["system"] == "http://hl7.org/fhir/sid/icd-10"


def test_an_allergy_is_active_and_not_verified() -> None:
    made = only(adt("A01", PID, "AL1|1|DA|373270004^Penicillin^SCT|SV|rash|20190101"))
    assert made["clinicalStatus"]["coding"][0]["code"] == "active"
    assert "verificationStatus" not in made
    assert made["reaction"] == [{"manifestation": [{"coding": [{"code": "rash"}]}], "severity": "severe"}]


def test_a_procedure() -> None:
    made = only(adt("A08", PID, "PR1|1||40617009^Ventilation^SCT||202004060800+0000"))
    assert (made["status"], made["performedDateTime"]) == ("completed", "2020-04-06T08:00:00+00:00")


def test_the_events_that_are_taken() -> None:
    assert {event for kind, event in EFFECTS if kind == "ADT"} >= {"A01", "A03", "A04", "A08", "A11", "A40"}
    for event in ("A17", "A23", "A24", "A29", "A37", "A43", "A99"):
        with pytest.raises(MessageError) as caught:
            map_message(parse_message(adt(event)))
        assert (caught.value.condition, caught.value.is_rejected) == ("201", True)


def test_the_event_may_stand_in_evn_only() -> None:
    assert resources(message("EVN|A01", PID, "DG1|1||I26.99^PE^I10", kind="ADT"))


def test_a_required_field_that_is_empty_is_named() -> None:
    (mapped,) = map_message(parse_message(oru(result().replace("|F|", "||"))))
    assert ("OBX^1^11", "a required field is empty") in mapped.notes
