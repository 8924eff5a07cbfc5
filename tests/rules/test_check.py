"""Each check of the rules finds what it is for, says where and what to do, and finds nothing in the rules that ship."""

from __future__ import annotations

from pathlib import Path

import pytest

from mscprotocol.authoring import check
from mscprotocol.authoring.check_logic import check_logic
from mscprotocol.authoring.check_numbers import check_quotes, quotes_of
from mscprotocol.authoring.check_uses import check_uses
from mscprotocol.authoring.entries import RuleFolder, read_folder
from mscprotocol.yaml_files import read_yaml
from tests.rules.small import BOOK, small_rules, write_rules

BROKEN = read_yaml((Path(__file__).parent / "broken.yaml").read_text(encoding="utf-8"))
CHECKS = {one.__name__: one for one in check.CHECKS}
LADDER = "ladder: {kind: ladder, text: Ladder, otherwise: none, " + BOOK + ", rungs: [%s]}"
FINDING = "finding: {kind: finding, text: Finding, when: %s, " + BOOK + "}"
CRITERION = "TST-01: {role: warning, text: A warning, when: %s, sources: [%s]}"
LOW = "{measurement: platelets, lt: 50 10*9/L}"
QUOTED = "{id: li-2020, mark: paper, section: Abstract, quote: as the paper says}"


@pytest.mark.parametrize("name", BROKEN)
def test_each_check_finds_its_problem(name: str, tmp_path: Path) -> None:
    """The one problem and no other, at a line of the file that was changed."""
    said = BROKEN[name]
    rules = read_folder(write_rules(tmp_path, {f"{said['file']}.yaml": said["text"]}))
    found = list(CHECKS[said["check"]](rules))
    assert [str(one).partition(": ")[2] for one in found] == [said["expect"]]
    assert found[0].file in (f"rules/{said['file']}.yaml", "rules/conditions.yaml")
    assert found[0].line > 0


def test_every_check_has_a_rule_that_it_finds() -> None:
    assert {said["check"] for said in BROKEN.values()} | {"check_uses"} == set(CHECKS)


def test_the_small_rules_are_sound(tmp_path: Path) -> None:
    found = [one for one in check.check_rules(small_rules(tmp_path)) if one.text != "nothing uses it"]
    assert not found


USED = {
    "criterion": ("criteria__made", CRITERION % (LOW, "{id: book, mark: read}")),
    "definition": ("definitions__made", FINDING % LOW),
    "checklist": ("checklists", "list: {before: [], during: [], after: []}"),
    "measurement": ("measurements", "other: {id: O, text: Other, kind: coded}"),
    "condition": ("conditions", "other: {text: Other, kind: attestation}"),
    "source": ("sources", "other: {citation: Another book, read: nothing}"),
}


@pytest.mark.parametrize("kind", USED)
def test_what_nothing_uses_is_found(kind: str, tmp_path: Path) -> None:
    """The small rules are not used either; what is looked for is the entry that was added."""
    file, text = USED[kind]
    added = text.partition(":")[0]
    found = [one for one in check_uses(small_rules(tmp_path, **{file: text})) if one.name == added]
    assert [one.text for one in found] == ["nothing uses it"]


def test_what_says_why_it_is_kept_needs_no_user(tmp_path: Path) -> None:
    rules = small_rules(tmp_path, conditions="other: {text: Other, kind: attestation, kept_for: the checklist}")
    assert not [one for one in check_uses(rules) if one.name == "other"]


def test_what_is_used_is_not_kept_for_something_else(tmp_path: Path) -> None:
    rules = small_rules(
        tmp_path,
        conditions="other: {text: Other, kind: attestation, kept_for: the checklist}",
        definitions__made=FINDING % "{condition: other}",
    )
    found = [one for one in check_uses(rules) if one.name == "other"]
    assert [(one.text, one.remedy) for one in found] == [("is used by definition finding", "remove kept_for")]


def test_a_statement_for_the_rule_book_needs_no_protocol(tmp_path: Path) -> None:
    said = "TST-01: {role: scope, text: A statement, not_computable: none, " + BOOK + "}"
    assert not [one for one in check_uses(small_rules(tmp_path, criteria__made=said)) if one.name == "TST-01"]


def test_what_asks_too_much_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mscprotocol.authoring.logic.MOST_STEPS", 2)
    rules = small_rules(tmp_path, definitions__made=FINDING % LOW)
    assert [one.text for one in check_logic(rules)] == ["asks too many things to try every case"]


OPEN_BY_DESIGN = [
    "{measurement: platelets, known: true}",
    "{measurement: support, answer: [room_air, low_flow], not_answer: []}",
    "{any_of: [{measurement: support, answer: imv}, {measurement: platelets, known: true}]}",
]


@pytest.mark.parametrize("when", OPEN_BY_DESIGN)
def test_what_is_only_open_by_design_is_no_problem(when: str, tmp_path: Path) -> None:
    assert not list(check_logic(small_rules(tmp_path, definitions__made=FINDING % when)))


def test_bands_that_meet_are_no_problem(tmp_path: Path) -> None:
    """200 < x <= 300, 100 < x <= 200, x <= 100: no value falls between."""
    band = "{{name: {0}, when: {{all_of: [{{measurement: crp, gt: {1} mg/L}}, {{measurement: crp, lte: {2} mg/L}}]}}}}"
    rungs = ", ".join([
        "{name: severe, when: {measurement: crp, lte: 100 mg/L}}",
        band.format("moderate", 100, 200),
        band.format("mild", 200, 300),
    ])  # fmt: skip
    assert not list(check_logic(small_rules(tmp_path, definitions__made=LADDER % rungs)))


# -- the paper ------------------------------------------------------------------------------------


def test_a_quote_that_the_paper_does_not_hold_is_found(tmp_path: Path) -> None:
    rules = small_rules(tmp_path, criteria__made=CRITERION % (LOW, QUOTED))
    assert not list(check_quotes(rules, "It is so,\n as the   paper\nsays, and so on."))
    assert [one.text for one in check_quotes(rules, "as the papers say")] == [
        "the paper does not say 'as the paper says'"
    ]


# -- the rules that ship --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shipped() -> RuleFolder:
    return read_folder()


def test_the_rules_that_ship_have_no_problem(shipped: RuleFolder) -> None:
    assert [str(one) for one in check.check_rules(shipped)] == []


def test_a_paper_without_its_words_fails_for_every_quote(shipped: RuleFolder) -> None:
    quotes = list(quotes_of(shipped))
    assert len({source.quote for _, _, source in quotes}) >= 68
    assert len(list(check_quotes(shipped, "another text"))) == len(quotes)
