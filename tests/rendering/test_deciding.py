"""Deciding sets on paper and on a terminal: what could exclude comes first, nothing is left out in silence."""

from __future__ import annotations

import msgspec
import pytest

from mscprotocol.answer import AllowingSets, Assessment, Deadline, Deciding, DecidingDatum, ExcludingSet
from mscprotocol.checklist_deciding import MOST_LINES, MOST_NAMES, build_deciding
from mscprotocol.knowledge import KnowledgeBase
from mscprotocol.rendering import render_html
from mscprotocol.summary import render_text


def printed(answer: Assessment, **changes: object) -> dict[str, tuple[str, list[str]]]:
    """The facts that are printed, by their labels."""
    assert answer.deciding is not None
    deciding = msgspec.structs.replace(answer.deciding, **changes)
    facts = build_deciding(msgspec.structs.replace(answer, deciding=deciding))
    return {fact.label: (fact.value, [line.text for line in fact.notes]) for fact in facts}


def allowing(answer: Assessment, **changes: object) -> AllowingSets:
    assert answer.deciding is not None
    return msgspec.structs.replace(answer.deciding.allow, **changes)


def test_what_could_exclude_comes_first_then_what_allowing_takes_then_the_deadline(undetermined: Assessment) -> None:
    assert list(printed(undetermined)) == ["Could exclude", "Needed to allow", "To be settled before"]


def test_single_data_stand_together_by_criterion_and_sets_alone(undetermined: Assessment) -> None:
    assert printed(undetermined)["Could exclude"] == (
        "any of these alone",
        [
            "EX-02: Pregnancy, or Breast-feeding",
            "COA-01: D-dimer with its upper limit of normal (LOINC 48065-7) with Platelets (LOINC 777-3)",
        ],
    )


def test_what_is_needed_in_any_case_and_the_choice_beside_it(undetermined: Assessment) -> None:
    assert printed(undetermined)["Needed to allow"] == (
        "at least 4 of 6 open data",
        [
            "in any case: Pregnancy; Breast-feeding; D-dimer with its upper limit of normal (LOINC 48065-7)",
            "COA-01: INR (LOINC 6301-6), or Prothrombin time (LOINC 5902-2)",
        ],
    )


@pytest.mark.parametrize(
    ("kind", "lapses", "words"),
    [
        ("criterion", "IND-02", "then IND-02 is no longer decided"),
        ("finding", "Platelets is known", "then this is too old: Platelets is known"),
        ("trend", "PaO2/FiO2", "then the values so far no longer count for the trend of: PaO2/FiO2"),
    ],
)
def test_the_deadline_says_what_lapses(kind: str, lapses: str, words: str, undetermined: Assessment) -> None:
    by = Deadline("2020-04-07T00:00:00+08:00", kind, lapses)
    assert printed(undetermined, by=by)["To be settled before"] == ("Tue 7 Apr 2020 00:00 +08:00", [words])


def test_without_a_deadline_it_says_so(undetermined: Assessment) -> None:
    assert printed(undetermined, by=None)["To be settled before"][0].startswith("no limit")


def test_a_search_that_was_cut_says_so(undetermined: Assessment) -> None:
    assert "Search" not in printed(undetermined)
    assert printed(undetermined, complete=False)["Search"][0] == "cut short"


def test_nothing_that_could_exclude(undetermined: Assessment) -> None:
    assert printed(undetermined, exclude=[])["Could exclude"] == ("nothing that is open", [])


def test_what_no_open_datum_can_close(undetermined: Assessment) -> None:
    allow = allowing(undetermined, smallest=[], smallest_count=0, always=[], blocked=["TIM-01"])
    assert printed(undetermined, allow=allow)["Needed to allow"] == (
        "not to be had from the open data",
        ["none of the open data can close TIM-01"],
    )


def test_long_lists_are_counted_never_dropped(undetermined: Assessment) -> None:
    names = [f"n{number}" for number in range(MOST_LINES + 5)]
    data = [DecidingDatum(name, name, [], True) for name in names]
    exclude = [ExcludingSet([name], [f"EX-{name}"]) for name in names]
    allow = AllowingSets([], names, [names], 1, [])
    found = printed(undetermined, data=data, exclude=exclude, exclude_more=2, allow=allow)
    assert found["Could exclude"][1][-1] == "and 7 more sets"
    assert found["Needed to allow"][1] == ["in any case: all of them"]
    few = printed(undetermined, data=data, exclude=exclude, allow=msgspec.structs.replace(allow, always=names[:-2]))
    assert few["Needed to allow"][1] == ["in any case: all but for n13; n14"]
    half = printed(undetermined, data=data, exclude=exclude, allow=msgspec.structs.replace(allow, always=names[:7]))
    assert half["Needed to allow"][1][0].endswith(f"n{MOST_NAMES - 1}; and 1 more")


def test_a_settled_verdict_prints_none(eligible: Assessment, ineligible: Assessment, knowledge: KnowledgeBase) -> None:
    for answer in (eligible, ineligible):
        assert build_deciding(answer) == ()
        assert "What could settle it" not in render_html(answer, knowledge)


def test_the_sheet_prints_them_before_the_open_items(undetermined: Assessment, knowledge: KnowledgeBase) -> None:
    html = render_html(undetermined, knowledge)
    assert html.index("What could settle it") < html.index("Could exclude") < html.index("Needed to allow")
    assert html.index("Needed to allow") < html.index("<h3>Open items</h3>")


def test_the_summary_prints_them(undetermined: Assessment, eligible: Assessment) -> None:
    text = render_text(undetermined, colour=False)
    assert "EX-02: Pregnancy, or Breast-feeding" in text
    assert text.index("Could exclude") < text.index("Needed to allow") < text.index("To be settled before")
    assert "Could exclude" not in render_text(eligible, colour=False)


def test_the_answer_carries_them_for_a_machine(undetermined: Assessment) -> None:
    plain = msgspec.to_builtins(undetermined.deciding)
    assert msgspec.convert(plain, Deciding) == undetermined.deciding
    named = {name for one in plain["exclude"] for name in one["data"]} | {
        name for one in plain["allow"]["smallest"] for name in one
    }
    assert named <= {one["id"] for one in plain["data"]}
