"""A step up of the oxygen support makes the case urgent for a day."""

import pytest

from mscprotocol.assessment import assess
from mscprotocol.case import Request
from mscprotocol.case_records import AT, build_record
from mscprotocol.knowledge_loader import load_knowledge
from mscprotocol.rulebook import compile_rulebook

KNOWLEDGE = load_knowledge()


MINUTES = [(1439, True), (1440, True), (1441, False)]


@pytest.mark.parametrize(("minutes", "is_urgent"), MINUTES)
def test_a_step_up_is_urgent_for_24_hours(minutes, is_urgent):
    step = ["low_flow @ 40 h", f"hfno @ {minutes} min", "hfno @ 1 h"]
    record = build_record(KNOWLEDGE, {"oxygen_support": step})
    timing = assess(record, compile_rulebook(KNOWLEDGE, "seed-covid-4x"), Request(AT)).timing
    assert next(one.state for one in timing.signals if one.id == "oxygen_step") == "worse"
    assert timing.time_critical is is_urgent
