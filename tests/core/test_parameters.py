"""One mechanism for options and what-if: paths into the rules, the edits they make, and the hash that tells of them."""

import json

import pytest
from typer.testing import CliRunner

from mscprotocol.cli import app
from mscprotocol.errors import ChoiceError, KnowledgeError
from mscprotocol.knowledge_loader import load_knowledge
from mscprotocol.parameters import Option, Parameter, apply_edits, gather_edits, settle_choices

WRITTEN = load_knowledge()
OTHER = [(name, option) for name, one in WRITTEN.parameters.items() for option in one.options if option != one.default]


@pytest.mark.parametrize(("name", "option"), OTHER)
def test_every_option_loads_and_changes_the_hash(name, option):
    chosen = load_knowledge(choices={name: option})
    assert chosen.chosen == {**WRITTEN.chosen, name: option}
    assert chosen.sha256 != WRITTEN.sha256


def test_choosing_the_default_is_choosing_nothing():
    defaults = {name: one.default for name, one in WRITTEN.parameters.items()}
    assert load_knowledge(choices=defaults).sha256 == WRITTEN.sha256


def test_no_two_options_share_a_hash():
    hashes = {load_knowledge(choices={name: option}).sha256 for name, option in OTHER}
    assert len(hashes) == len(OTHER)


def test_an_edit_is_made_before_the_rules_are_checked():
    changed = load_knowledge(edits={"EX-04.within": "30 d"})
    assert changed.criteria["EX-04"].when.within.text == "30 d"
    assert (changed.edits, changed.sha256 != WRITTEN.sha256) == ({"EX-04.within": "30 d"}, True)
    assert WRITTEN.criteria["EX-04"].when.within.text != "30 d", "the rules as written stay as they are"
    with pytest.raises(KnowledgeError, match=r"exclusion\.yaml:\d+: EX-04.*not a length of time"):
        load_knowledge(edits={"EX-04.within": "30d"})


def test_a_value_is_taken_during_a_state_of_the_oxygen_support_only():
    with pytest.raises(KnowledgeError, match=r"IND-10.*during names a finding about the oxygen support"):
        load_knowledge(edits={"IND-10.when.all_of.1.during": "septic_shock"})


@pytest.mark.parametrize(
    ("path", "complaint"),
    [
        ("EX-99.within", "is no entry"),
        ("ards.text", "several files"),
        ("EX-04.nothing", "nothing fits"),
        ("definitions/coagulopathy.within", "several places fit"),
        ("EX-04", "say what to change"),
        ("sources/li-2020.citation", "is no entry"),
    ],
)
def test_a_path_that_leads_nowhere_says_so(path, complaint):
    with pytest.raises(ChoiceError, match=complaint):
        load_knowledge(edits={path: "1"})


@pytest.mark.parametrize("choices", [{"dimer_cutof": "fdp"}, {"dimer_cutoff": "FDP"}])
def test_a_choice_that_does_not_exist_names_those_that_do(choices):
    with pytest.raises(ChoiceError, match=r"dimer_cutoff|isth_2025"):
        load_knowledge(choices=choices)


def parameter(**edits):
    source = [{"id": "site-policy", "mark": "site"}]
    options = {
        "as_written": {"text": "a", "sources": source},
        "other": {"text": "b", "sources": source, "edits": edits},
    }
    return Parameter.model_validate({"text": "t", "default": "as_written", "options": options})


def test_two_choices_may_not_change_the_same_place():
    both = {"one": parameter(**{"x.y": 1}), "two": parameter(**{"x.y": 2})}
    chosen = settle_choices(both, {"one": "other", "two": "other"})
    with pytest.raises(ChoiceError, match=r"changes x\.y"):
        gather_edits(both, chosen)


def test_a_default_edits_nothing():
    source = [{"id": "site-policy", "mark": "site"}]
    with pytest.raises(ValueError, match="edits nothing"):
        Parameter(text="t", default="a", options={"a": Option(text="a", sources=source, edits={"x.y": 1})})


def test_a_step_may_leave_out_levels_and_count_in_lists():
    trees = {"criteria/a.yaml": {"A": {"when": {"any_of": [{"lte": "1 1"}, {"gte": "2 1"}]}}}}
    apply_edits(trees, {"A.lte": "3 1", "A.when.any_of.1.gte": "4 1"})
    assert trees["criteria/a.yaml"]["A"]["when"]["any_of"] == [{"lte": "3 1"}, {"gte": "4 1"}]


# -- on the command line --

SAMPLE = ["assess", "samples/one-lab-open/input.json", "--at", "2020-04-06T10:00:00+08:00", "--format", "json"]


def test_a_choice_is_in_the_answer_and_changes_the_score():
    asked = CliRunner().invoke(app, [*SAMPLE, "--set", "dimer_cutoff=isth_2025", "--set", "sic_strict=yes"])
    answer = json.loads(asked.stdout)
    assert asked.exit_code == 0
    assert {"dimer_cutoff": "isth_2025", "sic_strict": "yes"}.items() <= answer["rulebase"]["parameters"].items()
    assert answer["scores"]["dic_isth"]["version"].startswith("ISTH 2025")


@pytest.mark.parametrize(
    "said", [["sic_strict"], ["sic_strict="], ["sic_strict=perhaps"], ["x=y"], ["sic_strict=no"] * 2]
)
def test_a_choice_that_cannot_be_made_is_a_wrong_option(said):
    asked = CliRunner().invoke(app, [*SAMPLE, *(word for one in said for word in ("--set", one))])
    assert (asked.exit_code, asked.stdout) == (2, "")
