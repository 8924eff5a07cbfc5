"""Acknowledgements: the kind that was asked for, well formed by hl7apy, in the sender's delimiters and version."""

from __future__ import annotations

import pytest
from hl7apy.consts import VALIDATION_LEVEL
from hl7apy.parser import parse_message as parse_strictly

from fhir_adapters.hl7v2_acknowledgement import CONDITIONS, Outcome, Problem, acknowledge
from fhir_adapters.hl7v2_parsing import parse_message
from tests.adapters.hl7v2.messages import NOW, PID, message

PROBLEM = Problem("PID^1^3", "101", "no_patient: no identifier | names the record")


def answer(outcome: Outcome, *problems: Problem, **head: str) -> bytes:
    return acknowledge(parse_message(message(PID, **head)).header, outcome, problems, NOW)


def level(content: bytes) -> str:
    return parse_message(content).segments[1].text(1) if content else ""


@pytest.mark.parametrize(
    ("accept", "application", "levels"),
    [  # accepted, error, rejected
        ("", "", "AA AE AR"), ("AL", "", "CA CE CR"), ("AL", "NE", "CA CE CR"), ("AL", "AL", "CA CE CR"),
        ("NE", "AL", "AA AE AR"), ("", "AL", "AA AE AR"), ("NE", "NE", "- - -"), ("NE", "", "- - -"),
        ("ER", "", "- CE CR"), ("ER", "AL", "AA CE CR"), ("SU", "NE", "CA - -"), ("NE", "ER", "- AE AR"),
        ("NE", "SU", "AA - -"), ("always", "", "CA CE CR"),
    ],
)  # fmt: skip
def test_the_kind_that_was_asked_for(accept: str, application: str, levels: str) -> None:
    outcomes: tuple[Outcome, ...] = ("accepted", "error", "rejected")
    found = [level(answer(one, accept=accept, application=application)) or "-" for one in outcomes]
    assert " ".join(found) == levels


@pytest.mark.parametrize("version", ["2.1", "2.2", "2.3", "2.3.1", "2.4", "2.5", "2.5.1", "2.6", "2.7", "2.8", "2.8.2"])
@pytest.mark.parametrize("outcome", ["accepted", "error", "rejected"])
def test_hl7apy_accepts_what_is_sent(version: str, outcome: Outcome) -> None:
    problems = () if outcome == "accepted" else (PROBLEM,)
    text = answer(outcome, *problems, version=version, kind="ADT^A01").decode()
    found = parse_strictly(text, validation_level=VALIDATION_LEVEL.TOLERANT, find_groups=False)
    assert found.version == version
    assert found.msa.msa_2.value == "1"
    assert [one.name for one in found.children] == ["MSH", "MSA", *["ERR"] * len(problems)]


def test_location_code_and_severity_of_an_error() -> None:
    err = parse_message(answer("error", PROBLEM)).segments[2]
    assert [err.text(2, part) for part in (1, 2, 3)] == ["PID", "1", "3"]
    assert [err.text(3, part) for part in (1, 2, 3)] == ["101", "Required field missing", "HL70357"]
    assert (err.text(4), err.text(8)) == ("E", PROBLEM.text)


def test_old_versions_have_one_field_for_all_of_it() -> None:
    err = parse_message(answer("error", PROBLEM, version="2.3")).segments[2]
    assert [err.text(1, part) for part in (1, 2, 3)] == ["PID", "1", "3"]
    assert [err.text(1, 4, part) for part in (1, 2, 3)] == ["101", "Required field missing", "HL70357"]


def test_warnings_go_only_where_a_severity_can_be_said() -> None:
    warning = Problem("OBX^1^5", "0", "odd", "W")
    assert [len(parse_message(answer("accepted", warning, version=one)).segments) for one in ("2.3", "2.5")] == [2, 3]


def test_sender_and_receiver_change_places() -> None:
    header = parse_message(answer("accepted", kind="ADT^A01^ADT_A01", processing="T")).header
    assert [header.text(one) for one in (3, 4, 5, 6)] == ["MSC", "TRIAL", "LAB", "HOSP"]
    assert [header.text(9, one) for one in (1, 2, 3)] == ["ACK", "A01", "ACK"]
    assert (header.text(7), header.text(11), header.text(12)) == ("20200406120000+0000", "T", "2.5.1")
    assert len(header.text(10)) == 20


def test_the_delimiters_of_the_sender() -> None:
    content = b"MSH#*+!%#A#B###20200406##ADT*A01#id!F!7#P#2.5"
    found = parse_message(acknowledge(parse_message(content).header, "error", [PROBLEM], NOW))
    assert found.header.syntax.field == "#"
    assert found.segments[1].text(2) == "id#7"
    assert found.segments[2].text(2, 3) == "3"


def test_a_message_without_a_header_is_answered_all_the_same() -> None:
    found = parse_message(acknowledge(None, "error", [Problem("", "100", "a message starts with MSH")], NOW))
    assert (found.segments[1].text(1), found.segments[1].text(2)) == ("AE", "")


def test_nothing_in_an_answer_can_begin_a_segment_or_a_frame() -> None:
    content = acknowledge(parse_message(message(PID, control="a\x1c\x0b\tb" + "x" * 500)).header, "accepted", [], NOW)
    assert b"\x1c" not in content
    assert b"\x0b" not in content
    assert len(parse_message(content).segments) == 2


@pytest.mark.parametrize(("charset", "encoding"), [("8859/1", "latin-1"), ("UNICODE UTF-8", "utf-8"), ("", "utf-8")])
def test_an_answer_is_in_the_character_set_of_the_message(charset: str, encoding: str) -> None:
    header = parse_message(message(PID, control="Zürich", charset=charset, encoding=encoding)).header
    assert parse_message(acknowledge(header, "accepted", [], NOW)).segments[1].text(2) == "Zürich"


def test_every_condition_has_its_words() -> None:
    assert set(CONDITIONS) == {"0", *map(str, (*range(100, 104), *range(200, 208)))}
