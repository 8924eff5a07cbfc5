"""Codes belong to systems; ICD-10 value sets name categories, subcategories and ranges of either."""

import pytest

from mscprotocol.codes import CodeSystem, Coding, find_system, icd10_within, is_in_icd10, parse_code, split_codes


@pytest.mark.parametrize(
    ("category", "inside", "outside"),
    [
        ("I26", "I26 I26.0 I26.99 I2699 i26.9", "I27 I27.2 I2 I270 B26 I25.9"),
        ("I82.4", "I82.4 I824 I82.40 I82.401 I82401", "I82 I82.3 I82.5 I825 I82.9 I83.4"),
        ("D75.82", "D75.82 D7582 D75.821 D75821", "D75.8 D75.81 D75.83 D758"),
        ("C00-C97", "C00 C00.0 C34.9 C349 C43.1 C7A.1 C97 c50.9", "B99 D00 C98 D45 C9 Z85.3"),
        (
            "I80.1-I80.3",
            "I80.1 I80.2 I80.20 I80.209 I80.3 I80.39 I801 I802 I80209 I803 I8039",
            "I80 I80.0 I800 I80.4 I804 I80.8 I808 I81 I81.2 I812",
        ),
        ("J09-J18", "J09 J10.1 J12.82 J1282 J18.9 J189", "J08 J19 J20.9 J00"),
        ("N17.8-N18.2", "N17.8 N178 N17.9 N18 N18.0 N18.2 N1829", "N17 N17.7 N18.3 N183 N19"),
    ],
)  # fmt: skip
def test_icd10(category, inside, outside):
    assert [code for code in inside.split() if not is_in_icd10(code, category)] == []
    assert [code for code in outside.split() if is_in_icd10(code, category)] == []


@pytest.mark.parametrize("text", ["", "123", "I", "I8", "840539006", "-", "C 34", "CC4.1"])
@pytest.mark.parametrize("category", ["I26", "I80.1-I80.3", "C00-C97"])
def test_what_is_no_icd10_code_lies_nowhere(text, category):
    assert not is_in_icd10(text, category)


def test_a_range_reads_dotted_and_undotted_alike():
    for category in ("I80.1-I80.3", "C00-C97", "I26", "I82.4"):
        for letter in "CI":
            for number in range(10_000):
                bare = f"{letter}{number:04}"
                dotted = f"{bare[:3]}.{bare[3:]}"
                assert is_in_icd10(bare, category) is is_in_icd10(dotted, category), (bare, category)


@pytest.mark.parametrize(
    ("uri", "system"),
    [
        ("http://loinc.org", "LOINC"),
        ("http://loinc.org|2.72", "LOINC"),
        ("urn:oid:2.16.840.1.113883.6.1", "LOINC"),
        ("http://snomed.info/sct", "SNOMED"),
        ("http://hl7.org/fhir/sid/icd-10", "ICD10"),
        ("http://hl7.org/fhir/sid/icd-10-cm", "ICD10"),
        ("http://fhir.de/CodeSystem/bfarm/icd-10-gm", "ICD10"),
        ("http://hl7.org/fhir/sid/icd-9-cm", "LOCAL"),
        ("https://hospital.example/codes", "LOCAL"),
        ("", "LOCAL"),
        (None, "LOCAL"),
    ],
)
def test_systems(uri, system):
    assert find_system(uri) is CodeSystem[system]


def test_codes_as_rules_write_them():
    assert parse_code("loinc 777-3") == Coding(CodeSystem.LOINC, "777-3")
    assert str(parse_code("icd10 U07.1")) == "ICD10 U07.1"
    for text in ("777-3", "loinc", "loinc ", "loinc777-3", "readcodes XE0"):
        with pytest.raises(ValueError, match="not a code"):
            parse_code(text)


def test_a_local_code_keeps_the_address_of_its_system():
    assert (
        str(Coding(CodeSystem.LOCAL, "PLT", uri="https://hospital.example/codes"))
        == "https://hospital.example/codes PLT"
    )
    assert str(Coding(CodeSystem.LOCAL, "PLT")) == "local PLT"


@pytest.mark.parametrize("text", ["I26.9,U07.1", "I26.9|U07.1", "I26.9 G", "I26.9 no", "I26 (ruled out)", "I26.12345"])
def test_text_that_begins_with_a_code_is_not_that_code(text):
    assert not is_in_icd10(text, "I26")


@pytest.mark.parametrize("text", ["U07.1!", "U07.1+", "I26.-", "U07.1†", " u07.1 "])
def test_marks_of_use_are_no_part_of_a_code(text):
    assert is_in_icd10(text, text.strip().upper()[:3])
    assert not icd10_within(text)


def test_codes_within_a_text():
    assert icd10_within("ruled out: I26.9/U07.1") == ("I26.9", "U07.1")
    assert icd10_within("COVID19 or XI26.9") == ()


def test_several_codes_in_one_place():
    assert split_codes(CodeSystem.ICD10, "U07.1, I26.9|j12") == ("U07.1", "I26.9", "j12")
    assert split_codes(CodeSystem.ICD10, "whatever") == ("whatever",)
    assert split_codes(CodeSystem.ICD10, "U07.1 and I26.9") is None
    assert split_codes(CodeSystem.SNOMED, "59282003;840539006") == ("59282003", "840539006")
