"""The commands `mscprotocol rules`, as whoever owns the rules calls them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from mscprotocol.cli import app
from mscprotocol.terminal import OK, RULES, USAGE
from tests.rules.small import write_rules

WIDE = {"COLUMNS": "200", "TERM": "dumb"}
FINDING = "made: {{kind: finding, text: A finding, when: {{{when}}}, sources: [{{id: book, mark: read}}]}}\n"


def call(*words: str) -> Result:
    return CliRunner().invoke(app, ["rules", *words], env=WIDE)


# -- list -----------------------------------------------------------------------------------------


def ids(result: Result) -> set[str]:
    assert result.exit_code == OK, result.output
    return {line.split()[0] for line in result.output.splitlines() if line[:3].isupper() and "-" in line[:6]}


def test_the_list_holds_every_criterion() -> None:
    assert {"IND-01", "EX-25", "REL-08", "EVD-15"} <= ids(call("list"))


def test_filters_narrow_the_list() -> None:
    by_role = ids(call("list", "--role", "exclusion"))
    assert {"EX-01", "COA-01", "SCH-01"} <= by_role
    assert "IND-01" not in by_role
    assert "COA-01" not in ids(call("list", "--role", "exclusion", "--stage", "enrolment"))
    assert "EX-01" not in ids(call("list", "--mark", "paper"))
    assert "EX-14" in ids(call("list", "--mark", "recalled"))
    assert "SCH-01" in ids(call("list", "--protocol", "seed-covid-4x"))
    assert "EX-25" not in ids(call("list", "--protocol", "seed-covid-4x"))


# -- show -----------------------------------------------------------------------------------------


def shown(name: str) -> str:
    result = call("show", name)
    assert result.exit_code == OK, result.output
    return result.output


def test_a_criterion_is_shown_whole() -> None:
    said = shown("PRD-07")
    for part in (
        "PRD-07 (criterion, product, infusion) rules/criteria/product.yaml:",
        "CD105 ≥ 95%  [read] isct-2006",
        '"decrease of CD105 and CD90 for 5 days"',
        "protocol seed-covid-4x (rules/protocols/seed-covid-4x.yaml:",
        "checklist cell-infusion (rules/checklists.yaml:",
        "product.yaml PRD-07 1:",
        "inputs in order: CD105 ≥ 95%; CD90 ≥ 95%; CD73 ≥ 95%",
        '"$neq": {',
    ):
        assert part in said, part


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("severity_nhc", ["(definition, ladder, ", "severe: (Respiratory rate ≥ 30 /min", "criterion IND-02"]),
        ("sofa", ["  4: PaO2/FiO2 < 100 mm[Hg]", "exactly 12.0 scores 4"]),
        ("gate", ["stop: (excluded is one or many", "otherwise"]),
        ("platelets", ["accepted 10*9/L", "LOINC 777-3", "hard low 1  [site]", "definition sic"]),
        ("predicted_body_weight", ["parameters male 50.0  [read] ardsnet-pbw"]),
        ("condition/covid_19", ["SNOMED 840539006", "ICD-10 U07.1", "criterion IND-01"]),
        ("isct-2006", ["read: ", "criterion PRD-07"]),
        ("seed-covid-4x", ["criteria: IND-01", "levels 1.0 10*6/kg  [paper] li-2020"]),
        ("site-default", ["(practice)", "protocol leng-2020"]),
        ("dimer_cutoff", ["uln_2_4 (as written)"]),
    ],
)
def test_anything_with_a_name_is_shown(name: str, parts: list[str]) -> None:
    said = shown(name)
    assert [part for part in parts if part not in said] == []


def test_a_name_of_two_kinds_shows_both() -> None:
    assert [line for line in shown("pregnancy").splitlines() if line.startswith("pregnancy (")] == [
        line for kind in ("definition", "condition") for line in shown(f"{kind}/pregnancy").splitlines()[:1]
    ]


def test_an_unknown_name_brings_the_nearest() -> None:
    result = call("show", "platlets")
    assert result.exit_code == USAGE
    assert "platelets" in result.output


# -- check ----------------------------------------------------------------------------------------


def test_check_ends_well_on_the_rules_that_ship() -> None:
    result = call("check")
    assert result.exit_code == OK, result.output
    assert "sha256 " in result.output


def test_check_ends_with_the_code_of_unusable_rules(tmp_path: Path) -> None:
    folder = write_rules(tmp_path, {"units.yaml": "'parsec': 'pc'\n"})
    result = call("check", "--rules", str(folder))
    assert result.exit_code == RULES
    assert "rules/units.yaml:3: parsec: stands for 'pc', which no datum accepts; mend or remove it" in result.output


def test_check_says_where_rules_cannot_even_be_read(tmp_path: Path) -> None:
    long = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen"
    text = (
        "TST-01:\n  role: scope\n  text: A statement\n"
        f"  sources: [{{id: book, mark: paper, section: here, quote: {long}}}]\n"
    )
    result = call("check", "--rules", str(write_rules(tmp_path, {"criteria/made.yaml": text})))
    assert result.exit_code == RULES
    assert "a quote has at most 15 words" in result.output
    assert "rules/criteria/made.yaml:4" in result.output


def test_check_with_another_paper_fails(tmp_path: Path) -> None:
    paper = tmp_path / "paper.md"
    paper.write_text("Another text.", encoding="utf-8")
    result = call("check", "--paper", str(paper))
    assert result.exit_code == RULES
    assert "the paper does not say 'suitable option for management of patients with COVID-19'" in result.output


# -- coverage -------------------------------------------------------------------------------------


@pytest.fixture
def small_cases(tmp_path: Path) -> tuple[str, str]:
    """A folder of rules with one finding, and a folder of tables."""
    when = "measurement: platelets, lt: 50 10*9/L"
    rules = write_rules(tmp_path, {"definitions/made.yaml": FINDING.format(when=when)})
    cases = tmp_path / "cases"
    cases.mkdir()
    (cases / "base.yaml").write_text("nobody: {born: 1962-03-14}\n", encoding="utf-8")
    return str(rules), str(cases)


def test_no_coverage_of_an_outcome_ends_with_a_code(small_cases: tuple[str, str]) -> None:
    """The tables of this test never ask; without a protocol nothing could be."""
    rules, cases = small_cases
    result = call("coverage", "--rules", rules, "--cases", cases)
    assert result.exit_code == RULES
    assert "MISSING met, not_met, unknown" in result.output
    assert "0 of 3 outcomes, 0 %" in result.output


# -- diff -----------------------------------------------------------------------------------------


def test_the_difference_of_the_same_rules_is_none(small_cases: tuple[str, str], tmp_path: Path) -> None:
    rules, cases = small_cases
    (tmp_path / "no-samples").mkdir()
    result = call("diff", rules, rules, "--cases", cases, "--samples", str(tmp_path / "no-samples"))
    assert "0 entries, 0 case rows, 0 sample patients change" in result.output


def test_the_difference_is_said_in_words_and_as_json(small_cases: tuple[str, str], tmp_path: Path) -> None:
    old, cases = small_cases
    when = "measurement: platelets, lt: 40 10*9/L"
    new = str(write_rules(tmp_path / "new", {"definitions/made.yaml": FINDING.format(when=when)}))
    words = (old, new, "--cases", cases, "--samples", cases)
    said = call("diff", *words).output
    assert "changed definition made rules/definitions/made.yaml:1" in said
    assert "when (in words): Platelets < 50 10*9/L -> Platelets < 40 10*9/L" in said
    found = json.loads(call("diff", *words, "--json").output)
    assert [(one["kind"], one["name"], one["change"]) for one in found["entries"]] == [
        ("definition", "made", "changed")
    ]
    assert {"field": "when.lt", "old": "50 10*9/L", "new": "40 10*9/L"} in found["entries"][0]["fields"]
