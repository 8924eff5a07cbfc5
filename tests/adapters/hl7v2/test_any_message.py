"""Seeded damage to messages: always an answer or a refusal, never a crash, and never a value that was not sent."""

from __future__ import annotations

import asyncio
from random import Random

import pytest

from fhir_adapters.hl7v2_inbox import MemoryInbox
from fhir_adapters.hl7v2_parsing import parse_message
from fhir_adapters.hl7v2_patients import read_patient
from fhir_adapters.hl7v2_receiving import Receiver, ReceiverSettings
from fhir_adapters.record_builder import build_record
from mscprotocol.errors import DataError
from mscprotocol.knowledge_loader import load_knowledge
from tests.adapters.hl7v2.messages import NOW, OBR, PID, adt, message, oru, result

SEEDS = range(8)
MESSAGES = (
    oru(result(), result("^1^:^2", kind="SN", number=2), result("260373001^Detected^SCT", kind="CWE", number=3)),
    message(PID, OBR, result(), "NTE|1||words", "SPM|1|||BLDA^A^HL70487", charset="UNICODE UTF-8"),
    adt("A01", PID, "PV1|1|I", "DG1|1||I26.99^PE^I10||20200401|F", "AL1|1|DA|^Penicillin", "PR1|1||1^x^L||20200401"),
    adt("A40", PID, "MRG|0815^^^HOSP^MR"),
)
PIECES = (
    b"|", b"^", b"~", b"\\", b"&", b"\r", b"\n", b'""', b"\x00", b"\xff", b"\x0b", b"\x1c", b"\\X", b"\\X4", b"PID|",
    b"MSH|^~\\&|", b"OBX|", b"9" * 500, b"1e999", b"NaN", b"-", b"+9999", b"00000000", b"99999999999999", b"A40",
    b"\\.br\\", "é💉".encode(), b"|" * 300, b"^" * 300, b"OBX|1|NM|2160-0^C^LN||1e400|", b"20201301", b"2.1",
    b"<", b"[]", b"{}",
)  # fmt: skip


def damaged(random: Random) -> bytes:
    content = random.choice(MESSAGES)
    for _ in range(random.randint(1, 6)):
        place = random.randrange(len(content) + 1)
        length = random.choice((0, 0, 1, 1, 3, 20, 200))
        middle = random.choice(
            (b"", random.choice(PIECES), content[place : place + 40], bytes([random.randrange(256)]))
        )
        content = content[:place] + middle + content[place + length :]
    return content


@pytest.mark.parametrize("seed", SEEDS)
def test_there_is_always_an_answer(seed: int) -> None:
    random, receiver = Random(seed), Receiver(MemoryInbox(), ReceiverSettings(is_production=False), lambda: NOW)
    levels = set()
    for _ in range(150):
        content = damaged(random)
        answer = asyncio.run(receiver.handle(content))
        if not answer:  # damage may ask for none
            continue
        found = parse_message(answer)
        levels.add(found.segments[1].text(1))
        errors = [one.text(3) or one.text(1, 4) for one in found.named("ERR")]
        assert "207" not in errors, content
    assert {"AA", "AE"} <= levels
    knowledge = load_knowledge()
    for chart in receiver.patients:
        try:
            build_record(chart.bundle(), knowledge)
        except DataError as error:
            assert error.code == "mixed_patients"


@pytest.mark.parametrize("seed", SEEDS)
def test_a_damaged_file_gives_a_patient_or_a_reason(seed: int) -> None:
    random = Random(seed + 100)
    for _ in range(60):
        contents = [damaged(random) for _ in range(random.randint(1, 3))]
        try:
            read_patient(contents)
        except DataError as error:
            assert error.code in {"unreadable", "no_patient", "mixed_patients", "incomplete_page"}


def test_a_broken_tail_never_makes_another_number() -> None:
    """Cut anywhere, a message gives the value that was sent, a value cut short with its status lost, or none."""
    knowledge = load_knowledge()
    content = oru(result("98.75"))
    for end in range(len(content)):
        try:
            record = build_record(read_patient([content[:end]]), knowledge)
        except DataError:
            continue
        for entry in record.measurements.get("creatinine", ()):
            assert entry.value is None or entry.as_received == "98.75 umol/L"
