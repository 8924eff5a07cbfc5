"""Files: by content, several messages, framing, and batches that must be whole."""

from __future__ import annotations

import pytest

from fhir_adapters.hl7v2_files import is_hl7v2, split_file
from fhir_adapters.hl7v2_patients import read_patient, read_patients
from fhir_adapters.sources import read_files
from mscprotocol.errors import DataError
from tests.adapters.hl7v2.messages import PID, adt, message, oru, result

ONE, TWO = oru(result(), control="1"), oru(result(status="P"), control="2")


@pytest.mark.parametrize(
    "content",
    [ONE, b"\x0b" + ONE, b"\xef\xbb\xbf" + ONE, b"\r\n " + ONE, b"FHS|^~\\&|A\r", b"BHS|^~\\&\r", b"MSH$*+!%$A"],
)
def test_hl7v2_is_known_by_its_content(content: bytes) -> None:
    assert is_hl7v2(content)


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"MSH", b"MSHELL", b"MSH is a word", b"[1]", b"PID|1", b"id,name\n1,2"]
)
def test_other_files_are_not(content: bytes) -> None:
    assert not is_hl7v2(content)


@pytest.mark.parametrize("between", [b"", b"\r\n", b"\n\n"])
def test_several_messages_in_a_file(between: bytes) -> None:
    assert len(split_file(between.join((ONE, TWO, ONE)))) == 3


def test_messages_framed_as_on_the_wire() -> None:
    assert len(split_file(b"\x0b" + ONE + b"\x1c\r\x0b" + TWO + b"\x1c\r")) == 2


def batch(*, count: str = "2", end: bool = True, files: str = "1") -> bytes:
    lines = [b"FHS|^~\\&|A", b"BHS|^~\\&|A", ONE.rstrip(), TWO.rstrip(), f"BTS|{count}".encode()]
    return b"\r".join([*lines, f"FTS|{files}".encode()] if end else lines)


def test_a_whole_batch() -> None:
    assert len(split_file(batch())) == 2
    assert len(split_file(batch(count="", files=""))) == 2
    assert len(split_file(b"FHS|^~\\&|A\r" + ONE + b"FTS|1\r")) == 1


@pytest.mark.parametrize("content", [batch(count="3"), batch(end=False), batch(files="2"), b"BHS|^~\\&|A\r" + ONE])
def test_a_batch_that_is_not_whole_is_an_incomplete_page(content: bytes) -> None:
    with pytest.raises(DataError) as caught:
        split_file(content)
    assert caught.value.code == "incomplete_page"


def test_a_file_without_a_message() -> None:
    with pytest.raises(DataError, match="no HL7 v2 message"):
        split_file(b"FHS|^~\\&|A\rFTS|0")


def test_messages_of_two_patients_are_mixed() -> None:
    other = adt("A01", PID.replace("4711", "4712"))
    with pytest.raises(DataError) as caught:
        read_patient([adt("A01") + other])
    assert caught.value.code == "mixed_patients"
    assert len(list(read_patients([adt("A01") + other])[0])) == 2


def test_a_message_of_another_kind_is_named_and_not_read() -> None:
    bundle = read_patient([adt("A01") + message(PID, kind="SIU^S12")])
    assert any("not read" in note.text for note in bundle.notes)


def test_a_file_of_other_messages_only_has_no_patient() -> None:
    with pytest.raises(DataError) as caught:
        read_patient([message(PID, kind="SIU^S12")])
    assert caught.value.code == "no_patient"


def test_a_test_message_in_a_file_is_named() -> None:
    assert any("MSH-11" in note.text for note in read_patient([adt("A01", processing="T")]).notes)


def test_both_formats_are_never_taken_for_one_person() -> None:
    with pytest.raises(DataError, match="same person"):
        read_files([ONE, b"{}"])
    assert read_files([ONE]).patient.id == "4711^^^HOSP"
