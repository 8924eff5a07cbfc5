"""A statement in the documentation that a command could check is checked."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mscprotocol import cli, terminal
from mscprotocol.reasons import Reason
from scripts.write_docs import list_modules, put_session, run_session

ROOT = Path(__file__).resolve().parent.parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", ROOT / "GLOSSARY.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]


def test_every_module_has_its_sentence() -> None:
    assert (ROOT / "docs" / "implementation.md").read_text(encoding="utf-8") == list_modules(), "run: make docs"


def test_the_session_of_the_readme_is_real() -> None:
    assert put_session(README, run_session()) == README, "run: make docs"


def test_the_exit_codes_are_those_of_the_command() -> None:
    stated = {int(code) for code in re.findall(r"^\| (\d) \|", README, re.M)}
    verify = {terminal.DIFFERENT, terminal.ALTERED, terminal.EXPIRED, terminal.REMOVED}
    assert (
        stated
        == {terminal.OK, terminal.LOCKED, terminal.USAGE, terminal.DATA, terminal.RULES, terminal.INCOMPLETE} | verify
    )


def test_the_readme_names_every_option_of_assess() -> None:
    help_text = CliRunner().invoke(cli.app, ["assess", "--help"], env={"COLUMNS": "200", "TERM": "dumb"}).output
    options = set(re.findall(r"--[a-z]+", help_text)) - {"--help"}
    assert options
    assert {option for option in options if option not in README} == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", sorted((ROOT / "docs" / "decisions").glob("*.md")), ids=lambda page: page.name)
def test_decisions_are_dated_and_short(page: Path) -> None:
    assert re.match(r"\d{4}-\d{2}-\d{2}-", page.name)
    assert len(page.read_text(encoding="utf-8").split()) < 300


def test_each_changelog_entry_names_the_impacted_criteria() -> None:
    entries = re.split(r"^- ", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), flags=re.M)[1:]
    assert entries
    assert all("Impacted criteria:" in entry for entry in entries)


def test_the_reasons_are_written_in_the_specification_words() -> None:
    assert {reason.value for reason in Reason} >= {
        "missing", "stale", "implausible", "unit_unknown", "unit_ambiguous", "status_excluded", "specimen_mismatch",
        "unpaired", "conflict", "code_unmapped", "partial_date", "comparator", "needs_review",
        "insufficient_points", "conflicting_signals", "confounded", "qualifier_missing", "after_evaluation",
    }  # fmt: skip


def test_nothing_says_what_only_a_clinician_may_say(
    forbidden: re.Pattern[str] = re.compile(r"\b(approved for|recommended dose|we recommend|give the)\b", re.I),
) -> None:
    for path in [*(ROOT / "rules").rglob("*.yaml"), *(ROOT / "templates").rglob("*.j2")]:
        assert not forbidden.search(path.read_text(encoding="utf-8")), path.name
