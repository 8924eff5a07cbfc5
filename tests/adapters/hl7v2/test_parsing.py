"""Messages as bytes: delimiters, line ends, character sets, escapes, nulls; hl7apy as the oracle of the fields."""

from __future__ import annotations

import pytest
from hl7apy.consts import VALIDATION_LEVEL
from hl7apy.parser import parse_segment

from fhir_adapters.hl7v2_parsing import MessageError, Segment, Value, digest, parse_message
from tests.adapters.hl7v2.messages import OBR, PID, header, message, oru, result


def segment(text: str, **head: str) -> Segment:
    return parse_message(message(text, **head)).segments[1]


def test_fields_repetitions_components_and_subcomponents_keep_their_numbers() -> None:
    one = segment("PID|1||12^^^A&1.2.3&ISO^MR~34^^^B^MR||Doe^Ada")
    assert [value.part(1) for value in one.values(3)] == ["12", "34"]
    assert one.text(3, 4, 2) == "1.2.3"
    assert one.value(3).component(4).part(3) == "ISO"
    assert (one.text(5, 2), one.text(99), one.text(5, 99)) == ("Ada", "", "")


def test_the_header_counts_its_separator_as_a_field() -> None:
    one = parse_message(message(PID)).header
    assert (one.text(1), one.fields[2], one.text(9), one.text(12)) == ("|", "^~\\&", "ORU", "2.5.1")


@pytest.mark.parametrize("end", ["\r", "\n", "\r\n", "\r\r", "\n\n"])
def test_every_line_end_is_taken(end: str) -> None:
    content = end.join((header(), PID, OBR, result(), "")).encode()
    assert [one.name for one in parse_message(content).segments] == ["MSH", "PID", "OBR", "OBX"]


def test_framing_bytes_and_a_byte_order_mark_are_no_part_of_a_message() -> None:
    plain = message(PID)
    for content in (b"\x0b" + plain + b"\x1c\r", b"\xef\xbb\xbf" + plain, b"\r\n" + plain):
        assert parse_message(content).segments == parse_message(plain).segments


def test_a_line_within_a_text_belongs_to_it() -> None:
    found = parse_message(message(PID, OBR, "OBX|1|TX|x^y^L||first\nsecond line|||||F"))
    assert found.segments[3].text(5) == "first\nsecond line"
    assert found.segments[3].text(11) == ""
    assert found.segments[3].text(10) == "F"
    assert "no segment" in found.oddities[0]


def test_a_sender_chooses_its_delimiters() -> None:
    content = b"MSH#*+!%#A#B###20200406##ORU*R01#1#P#2.5\rPID#1##7*x%1.2%ISO+8##Doe*Ann!S!X"
    one = parse_message(content).segments[1]
    assert [value.part(1) for value in one.values(3)] == ["7", "8"]
    assert one.text(3, 2, 2) == "1.2"
    assert one.text(5, 2) == "Ann*X"


@pytest.mark.parametrize(
    ("sent", "meant"),
    [
        (r"a\F\b", "a|b"), (r"a\S\b", "a^b"), (r"a\T\b", "a&b"), (r"a\R\b", "a~b"), (r"a\E\b", "a\\b"),
        (r"a\.br\b", "a\nb"), (r"\H\bold\N\ ", "bold"), (r"5 \X6D67\ ", "5 mg"), (r"\Zxy\ ", r"\Zxy\ "),
        (r"lone \ stays", r"lone \ stays"), (r"\X6\ ", r"\X6\ "),
    ],
)  # fmt: skip
def test_escapes(sent: str, meant: str) -> None:
    assert segment(f"OBX|1|ST|x||{sent}").text(5) == meant.strip()


def test_two_quotes_are_null_and_nothing_else() -> None:
    one = segment('PID|1||5||""||""^x|"quoted"')
    assert (one.is_null(5), one.is_null(7), one.is_null(6)) == (True, False, False)
    assert (one.text(5), one.text(7), one.text(7, 2), one.text(8)) == ("", "", "x", '"quoted"')


@pytest.mark.parametrize(
    ("charset", "encoding", "name"),
    [
        ("UNICODE UTF-8", "utf-8", "Þórður 張"), ("8859/1", "latin-1", "Müller"), ("8859/2", "iso8859-2", "Łódź"),
        ("8859/15", "iso8859-15", "Œuvre €"), ("GB 18030-2000", "gb18030", "张伟"), ("KS X 1001", "euc_kr", "김철수"),
        ("~ISO IR87", "iso2022_jp", "山田"), ("BIG-5", "big5", "張"),
    ],
)  # fmt: skip
def test_character_sets(charset: str, encoding: str, name: str) -> None:
    content = message(f"PID|1||5||{name}", charset=charset, encoding=encoding)
    assert parse_message(content).segments[1].text(5) == name


def test_utf8_that_is_not_announced_is_read_and_named() -> None:
    found = parse_message(message("PID|1||5||Müller"))
    assert found.segments[1].text(5) == "Müller"
    assert "UTF-8" in found.oddities[0]


def test_the_site_may_say_what_an_empty_charset_means() -> None:
    content = message("PID|1||5||Müller", encoding="latin-1")
    assert parse_message(content, "8859/1").segments[1].text(5) == "Müller"


@pytest.mark.parametrize(
    ("content", "condition", "place"),
    [
        (b"", "100", ""), (b"PID|1||5", "100", ""), (b"{}", "100", ""), (b"MSH", "102", "MSH^1^1"),
        (b"MSHx^~\\&x", "102", "MSH^1^1"), (b"MSH|", "102", "MSH^1^2"), (b"MSH|^^~\\&|A", "102", "MSH^1^2"),
        (b"MSH|^~\\\\&|A", "102", "MSH^1^2"), (b"MSH|ABCD|A", "102", "MSH^1^2"),
        (message("PID|1||5||M\xfcller", encoding="latin-1"), "102", "MSH^1^18"),
        (message("PID|1||5||M\xfcller", encoding="latin-1", charset="UNICODE UTF-8"), "102", "MSH^1^18"),
        (message(PID, charset="KLINGON"), "103", "MSH^1^18"),
        (message(PID, charset="UNICODE UTF-16"), "103", "MSH^1^18"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_says_where(content: bytes, condition: str, place: str) -> None:
    with pytest.raises(MessageError) as caught:
        parse_message(content)
    assert (caught.value.code, caught.value.condition, caught.value.place) == ("unreadable", condition, place)


def test_a_digest_does_not_depend_on_how_a_segment_is_written() -> None:
    plain = segment("PID|1||12^^^A~34||Doe^Ada^^||")
    other = parse_message(b"MSH$*+!%$\rPID$1$$12***A+34$$Doe*Ada").segments[1]
    assert digest(plain) == digest(other)
    assert digest(plain) != digest(segment("PID|1||12^^^A~34||Doe^Adam"))


@pytest.mark.parametrize("version", ["2.1", "2.2", "2.3", "2.3.1", "2.4", "2.5", "2.5.1", "2.6", "2.7", "2.8"])
def test_hl7apy_reads_the_same_fields(version: str) -> None:
    """What the version defines, hl7apy reads at the same place.

    It is not asked for what it changes: components beyond the definition move, and numbers lose their leading zeros.
    """
    texts = (
        "PID|1|1|4711^^^HOSP~815^^^LAB||Example^Ada^B||19620314|F|||1 Street^^Town",
        "OBX|2|NM|2160-0^Creatinine^LN|1|98.5|umol/L|49-92|H|||F",
        "OBX|3|CE|94500-6^PCR^LN^x^y^L|1|260373001^Detected^SCT||||||C",
        "OBR|1|P1|F1|24323-8^Panel^LN|||202004060800|202004060900",
    )
    marks = {"FIELD": "|", "COMPONENT": "^", "REPETITION": "~", "ESCAPE": "\\", "SUBCOMPONENT": "&"}
    for ours in parse_message(message(*texts, version=version)).segments[1:]:
        theirs = parse_segment(
            "|".join(ours.fields),
            version=version,
            encoding_chars={**marks, "SEGMENT": "\r", "GROUP": "\r"},
            validation_level=VALIDATION_LEVEL.TOLERANT,
        )
        for number in range(1, len(ours.fields)):
            found = [one.to_er7() for one in getattr(theirs, f"{ours.name}_{number}".lower())]
            assert [one for one in found if one] == [one.sent for one in ours.values(number)], (ours.name, number)


def test_a_component_beyond_the_definition_keeps_its_number() -> None:
    """hl7apy moves it into the first free place, where it means something else."""
    value = segment("OBX|1|CWE|4^x^LN^^^^2.7^^^99^Other^L").value(3)
    assert (value.part(9), value.part(10), value.part(12)) == ("", "99", "L")
    assert isinstance(value, Value)


def test_oru_helper_makes_what_it_says() -> None:
    assert [one.name for one in parse_message(oru(result())).segments] == ["MSH", "PID", "OBR", "OBX"]
