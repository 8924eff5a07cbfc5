"""Every trap of the paper names its tests; those about the rules and no patient stand here."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from mscprotocol.case_tables import read_rows
from mscprotocol.definitions import Ladder
from mscprotocol.knowledge import KnowledgeBase
from mscprotocol.knowledge_loader import load_knowledge
from mscprotocol.schedule import length
from mscprotocol.yaml_files import read_yaml
from tests.criteria.leaves import CASES
from tests.hazards.places import TESTS, find_functions, rows_marked

TRAPS: dict[str, dict[str, Any]] = read_yaml((Path(__file__).parent / "traps.yaml").read_text(encoding="utf-8"))
SEED = "seed-covid-4x"


def test_all_traps_are_listed() -> None:
    assert list(TRAPS) == [f"T{number}" for number in range(1, 16)]


@pytest.mark.parametrize("trap", TRAPS)
def test_the_tests_of_a_trap_exist_and_name_it(trap: str) -> None:
    marked = rows_marked("traps", trap)
    assert TRAPS[trap]["tests"]
    for place in TRAPS[trap]["tests"]:
        path, _, name = place.partition("::")
        if path.endswith(".yaml"):
            assert place in marked, place
        else:
            assert re.search(rf"\b{trap}(?!\d)|_{trap}_", find_functions(TESTS / path)[name], re.IGNORECASE), place


def test_every_trap_that_a_row_names_is_one() -> None:
    assert {trap for row in read_rows(CASES) for trap in row.traps} <= set(TRAPS)


# -- about the rules ------------------------------------------------------------------------------


def test_t1_the_title_is_cited_as_it_is_and_the_scan_is_noted(knowledge: KnowledgeBase) -> None:
    source = knowledge.sources["leng-2020"]
    assert "ACE2- Mesenchymal" in source.citation
    assert "ACE2+" in (source.note or "")


def test_t3_the_reading_of_three_days_is_a_parameter_and_is_printed(knowledge: KnowledgeBase) -> None:
    """72 h unless the site reads it otherwise; what is printed changes with the reading, and is never the paper's."""
    for hours, days in (("72", "0, 3, 6 and 9"), ("96", "0, 4, 8")):
        chosen = load_knowledge(choices={"interval_h": hours})
        interval = chosen.protocols[SEED].schedule.interval
        assert length(interval) == timedelta(hours=int(hours))
        assert days in chosen.criteria["SCH-02"].text
        assert "another reading" in interval.note
    assert knowledge.chosen["interval_h"] == "72"
    assert any(one.mark == "site" for one in knowledge.criteria["SCH-02"].sources)


def test_t4_the_schedule_says_that_no_trial_supports_four(knowledge: KnowledgeBase) -> None:
    caution = knowledge.criteria["SCH-03"]
    assert (caution.role, caution.show) == ("warning", "schedule")
    assert "single infusion" in caution.text
    assert "SCH-03" in knowledge.protocols[SEED].statements


def test_t5_the_reduced_dose_is_never_the_papers(knowledge: KnowledgeBase) -> None:
    """At a high tier the dose is withheld, and the proposal beside it says whose number it is."""
    proposal = knowledge.protocols[SEED].dose.reduced_proposal
    assert proposal is not None
    assert (proposal.mark, proposal.source) == ("site", "site-policy")
    assert "no trial has tested" in proposal.note


def test_t6_low_passage_is_a_choice_of_the_site(knowledge: KnowledgeBase) -> None:
    parameter = knowledge.parameters["low_passage_max"]
    assert set(parameter.options) == {"3", "4", "5", "6"}
    assert {source.mark for one in parameter.options.values() for source in one.sources} == {"site", "read"}
    assert all(any(source.mark == "site" for source in one.sources) for one in parameter.options.values())


def test_t8_both_counts_of_start_are_stored(knowledge: KnowledgeBase) -> None:
    assert "40 treated and 20 on placebo" in (knowledge.sources["matthay-2019"].note or "")


def test_t11_the_protein_of_zheng_is_not_simplified(knowledge: KnowledgeBase) -> None:
    said = [fact.text for fact in knowledge.protocols["zheng-2014"].facts if "SP-D" in fact.text]
    assert any("did not differ between the groups" in text and "SP-D was lower" in text for text in said)


def test_t14_common_is_called_moderate(knowledge: KnowledgeBase) -> None:
    scale = knowledge.definitions["severity_nhc"]
    assert isinstance(scale, Ladder)
    assert [rung.name for rung in scale.rungs] == ["critical", "severe", "moderate", "mild", "asymptomatic"]
    assert scale.version == "Leng 2020, Table 1"
