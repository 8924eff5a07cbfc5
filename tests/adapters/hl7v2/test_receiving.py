"""The receiver: what is gated, what is filed, replays, and what is said where nobody's data may stand."""

from __future__ import annotations

import asyncio
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import structlog

from fhir_adapters.hl7v2_inbox import MemoryInbox, Received
from fhir_adapters.hl7v2_parsing import parse_message
from fhir_adapters.hl7v2_patients import Chart
from fhir_adapters.hl7v2_receiving import MOST_PARTS, Receiver, ReceiverSettings
from tests.adapters.hl7v2.messages import NOW, OBR, PID, adt, message, oru, result


class Door:
    """A receiver, with what it was told."""

    def __init__(self, inbox: Any = None, **settings: Any) -> None:
        self.inbox = inbox or MemoryInbox()
        self.changed: list[Chart] = []
        self.receiver = Receiver(self.inbox, ReceiverSettings(**settings), lambda: NOW, self.changed.append)

    def send(self, content: bytes) -> bytes:
        return asyncio.run(self.receiver.handle(content))

    def says(self, content: bytes) -> tuple[str, str, str]:
        """The level, the condition and the place of an answer."""
        found = parse_message(self.send(content))
        error = next(found.named("ERR"), None)
        place = "" if error is None else "^".join(one for one in error.fields[2].split("^") if one)
        return found.segments[1].text(1), "" if error is None else error.text(3), place


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (oru(result()), ("AA", "", "")),
        (adt("A01"), ("AA", "", "")),
        (message(PID, kind="SIU^S12"), ("AR", "200", "MSH^1^9^1^1")),
        (message(PID, kind=""), ("AR", "200", "MSH^1^9^1^1")),
        (adt("A29"), ("AR", "201", "MSH^1^9^1^2")),
        (oru(result(), processing="T"), ("AR", "202", "MSH^1^11")),
        (oru(result(), processing="D"), ("AR", "202", "MSH^1^11")),
        (oru(result(), processing=""), ("AR", "202", "MSH^1^11")),
        (oru(result(), version="3.0"), ("AR", "203", "MSH^1^12")),
        (oru(result(), version=""), ("AR", "203", "MSH^1^12")),
        (oru(result(), control=""), ("AE", "101", "MSH^1^10")),
        (message(OBR, result()), ("AE", "100", "PID")),
        (message("PID|1", OBR, result()), ("AE", "101", "PID^1^3")),
        (message(PID, PID.replace("4711", "1"), OBR, result()), ("AE", "102", "PID^2^3")),
        (message(PID, charset="KLINGON"), ("AE", "103", "MSH^1^18")),
        (b"hello", ("AE", "100", "")),
        (oru(*["NTE|1"] * (MOST_PARTS - 3)), ("AA", "", "")),
        (oru(*["NTE|1"] * (MOST_PARTS - 2)), ("AR", "207", "")),
        (oru(result("1~" * MOST_PARTS)), ("AR", "207", "")),
    ],
)
def test_answers(content: bytes, expected: tuple[str, str, str]) -> None:
    door = Door()
    assert door.says(content) == expected
    assert len(door.changed) == (expected[0] == "AA")
    assert door.inbox.refused == (expected[0] != "AA")


@pytest.mark.parametrize(
    "content",
    [message(PID, charset="KLINGON"), message(PID.replace("Mustermann", "Müller") + "|Müller", encoding="latin-1")],
)
def test_a_sender_can_match_the_refusal_of_a_message_in_another_character_set(content: bytes) -> None:
    door = Door()
    sent = content.split(b"\r")[0].split(b"|")
    for answer in (door.send(content), door.receiver.refuse(content, "too long")):
        lines = answer.decode("ascii").split("\r")
        assert lines[1].split("|")[2] == sent[9].decode()
        assert lines[0].split("|")[4:6] == [one.decode() for one in sent[2:4]]
        assert "KLINGON" not in answer.decode()


def test_test_messages_are_taken_outside_production() -> None:
    for letter in "PDT":
        assert Door(is_production=False).says(oru(result(), processing=letter))[0] == "AA"
    assert Door(is_production=False).says(oru(result(), processing="X"))[0] == "AR"


def test_a_replay_gets_the_same_answer_and_changes_nothing() -> None:
    door = Door()
    first = door.send(oru(result()))
    assert door.send(oru(result())) == first
    assert len(door.changed) == 1


def test_a_control_id_used_again_for_another_message_is_another_message() -> None:
    door = Door()
    first, second = door.send(oru(result("98"))), door.send(oru(result("99", status="C")))
    assert first != second
    assert len(door.changed) == 2


def test_a_refused_message_is_judged_anew_when_it_comes_again() -> None:
    door = Door()
    door.send(adt("A01"))
    corrected = PID.replace("19620314", "19630314")
    late = message(corrected, OBR, result(), control="2")
    assert door.says(late) == ("AE", "204", "PID^1^7")
    assert door.says(adt("A08", corrected, control="3", sent="20200406110000+0000"))[0] == "AA"
    assert door.says(late)[0] == "AA"


def test_patients_are_known_again_after_a_restart() -> None:
    first = Door()
    first.send(adt("A01"))
    answer = first.send(oru(result(), control="2"))
    second = Door(first.inbox)
    assert [len(chart.messages) for chart in second.receiver.patients] == [2]
    assert second.send(oru(result(), control="2")) == answer


class _Full(MemoryInbox):
    def add(self, received: Received) -> None:
        raise OSError("disk full of 4711")


def test_what_cannot_be_filed_is_not_taken() -> None:
    door = Door(_Full())
    assert door.says(oru(result())) == ("AR", "207", "")
    assert not list(door.receiver.patients)
    assert not door.changed


def test_what_is_odd_is_a_warning_to_the_sender() -> None:
    found = parse_message(Door().send(oru(result(kind="ST"))))
    warning = found.segments[2]
    assert (found.segments[1].text(1), warning.text(4), warning.text(2, 1)) == ("AA", "W", "OBX")
    assert "98" not in warning.text(8)


@pytest.mark.parametrize(
    ("second", "is_said"),
    [
        (PID.replace("^^^HOSP", ""), True),  # a number that only the sending facility knows
        (PID.replace("^^^HOSP", "^^^CLINIC"), False),  # two authorities may both give out one number
        (PID.replace("4711^^^HOSP", "4712"), False),
        (PID, False),
        (PID.replace("4711^^^HOSP^MR", "4711^^^HOSP^MR~4711"), False),  # both, of one person
    ],
)
def test_a_number_without_its_authority_beside_one_with_it_is_said(second: str, is_said: bool) -> None:
    """They stay two charts, of which each holds half of the record if it is one person."""
    door = Door()
    door.send(adt("A01"))
    answer = door.send(adt("A08", second, control="2"))
    assert b"|AA|" in answer
    assert (b"another chart has this number" in answer) is is_said
    assert b"4711" not in answer


def test_the_zone_of_the_site_is_used() -> None:
    door = Door(zone=ZoneInfo("Europe/Berlin"))
    door.send(message(PID, OBR.replace("+0000", ""), result(), sent="202004061000"))
    (chart,) = door.receiver.patients
    (observation,) = [item.resource for item in chart.bundle().items]
    assert observation.effective_date_time == "2020-04-06T08:00:00+02:00"  # type: ignore[union-attr]


def test_a_merged_chart_has_nothing_left_to_assess() -> None:
    door = Door()
    old = PID.replace("4711", "0815")
    for content in (adt("A01"), adt("A01", old, control="2"), adt("A40", PID, "MRG|0815^^^HOSP^MR", control="3")):
        door.send(content)
    assert [len(chart.messages) for chart in door.receiver.patients] == [3]
    bundles = [asyncio.run(door.receiver.known_of(chart)) for chart in (door.changed[1], door.changed[2])]
    assert [one is None for one in bundles] == [True, False]


def test_nothing_about_a_patient_is_in_logs_or_answers() -> None:
    secrets = ("4711", "Example", "19620314", "1962", "987.654")
    contents = (
        oru(result("987.654", kind="ST")), oru(result("987.654"), processing="T"), oru(result("987.654"))[:200],
        message(PID, PID.replace("4711", "47112"), OBR, result("987.654")), message(PID, charset="KLINGON"),
        message(PID.replace("19620314", "19620315"), OBR, result("987.654"), control="5"),
    )  # fmt: skip
    with structlog.testing.capture_logs() as logs:
        door = Door()
        answers = [door.send(one) for one in (adt("A01", control="7"), *contents)]
        answers.append(door.receiver.refuse(contents[0], "too long"))
    for secret in secrets:
        assert not any(secret in answer.decode() for answer in answers), secret
        assert secret not in str(logs)
    assert logs
