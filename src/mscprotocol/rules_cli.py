"""The commands `mscprotocol rules`: for whoever owns the rules, to look at them, prove them, compare and print them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from msgspec import json

from mscprotocol.authoring.entries import RuleFolder, read_folder
from mscprotocol.case_tables import Row, read_rows
from mscprotocol.errors import KnowledgeError
from mscprotocol.places import find_folder
from mscprotocol.sample_cases import find_samples
from mscprotocol.terminal import RULES, print_line, say

rules_app = typer.Typer(no_args_is_help=True, help="Look at the rules, prove them, compare and print them.")
RulesOption = Annotated[Path | None, typer.Option("--rules", help="Folder of rules; default: those that ship.")]
CasesOption = Annotated[Path | None, typer.Option("--cases", help="Folder of case tables; default: a checkout's own.")]
_CASES = Path("tests") / "criteria" / "cases"


@rules_app.command("list")
def list_command(
    role: Annotated[str | None, typer.Option(help="Only this role: inclusion, exclusion, product, warning …")] = None,
    stage: Annotated[str | None, typer.Option(help="Only this stage: screening, enrolment, infusion.")] = None,
    mark: Annotated[str | None, typer.Option(help="Only with this mark: paper, read, recalled, site.")] = None,
    protocol: Annotated[str | None, typer.Option(help="Only what this protocol names.")] = None,
    rules: RulesOption = None,
) -> None:
    """Every criterion with its role, stage, marks and protocols."""
    from rich.console import Console

    from mscprotocol.authoring.listing import list_criteria, tabulate

    found = list_criteria(_read(rules), role=role, stage=stage, mark=mark, protocol=protocol)
    width = None if sys.stdout.isatty() else 150
    Console(width=width, highlight=False).print(tabulate(found))
    print_line(f"{len(found)} criteria")


@rules_app.command("show")
def show_command(
    name: Annotated[str, typer.Argument(help="Id of anything in the rules; condition/sepsis for one kind only.")],
    rules: RulesOption = None,
    cases: CasesOption = None,
) -> None:
    """One entry: in words, every number with source and mark, who uses it, its case rows, its durable-rules form."""
    from mscprotocol.authoring.show import show_entry

    folder = _read(rules)
    found = folder.find(name)
    if not found:
        near = folder.nearest(name)
        raise typer.BadParameter(f"nothing is named {name!r}" + (f"; near it: {', '.join(near)}" if near else ""))
    rows = _rows(cases, is_needed=False)
    for number, entry in enumerate(found):
        for line in (*([""] if number else []), *show_entry(folder, entry, rows)):
            print_line(line)


@rules_app.command("check")
def check_command(
    paper: Annotated[Path | None, typer.Option(help="The paper's text: every quote must stand in it.")] = None,
    rules: RulesOption = None,
) -> None:
    """Prove the rules: numbers, marks, sources, codes, units, gaps, unreachable rows. Exit code 4 for any problem."""
    from mscprotocol.authoring.check import check_rules, summarise

    folder = _read(rules)
    problems = check_rules(folder, None if paper is None else _read_text(paper))
    for problem in problems:
        print_line(str(problem))
    for line in summarise(folder, with_paper=paper is not None):
        print_line(line)
    if problems:
        say(f"{len(problems)} problems")
        raise typer.Exit(RULES)


@rules_app.command("coverage")
def coverage_command(rules: RulesOption = None, cases: CasesOption = None) -> None:
    """Which outcomes of each criterion and definition the case tables bring about. Exit code 4 below 100 %."""
    from mscprotocol.authoring.coverage import measure_coverage
    from mscprotocol.authoring.listing import coverage_lines

    report = measure_coverage(_read(rules), _rows(cases, is_needed=True))
    for line in coverage_lines(report):
        print_line(line)
    if not report.is_complete:
        raise typer.Exit(RULES)


@rules_app.command("diff")
def diff_command(
    old: Annotated[Path, typer.Argument(help="Folder of the old rules.")],
    new: Annotated[Path, typer.Argument(help="Folder of the new rules.")],
    cases: CasesOption = None,
    samples: Annotated[Path | None, typer.Option(help="Folder of sample patients; default: those that ship.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """What differs between two folders of rules: entries in words, case rows and sample patients that change."""
    from mscprotocol.authoring.comparison import compare
    from mscprotocol.authoring.listing import difference_lines

    patients = list(find_samples(samples))
    found = compare(_read(old), _read(new), _rows(cases, is_needed=False), patients)
    for line in [json.format(json.encode(found)).decode()] if as_json else difference_lines(found):
        print_line(line)


@rules_app.command("book")
def book_command(
    out: Annotated[Path, typer.Option(help="File to write: one HTML page that loads nothing.")],
    rules: RulesOption = None,
    cases: CasesOption = None,
) -> None:
    """The rule book to print and sign: every rule with its numbers, marks, sources and tests."""
    from mscprotocol.authoring.book import build_book
    from mscprotocol.rendering import fill_template

    page = fill_template("rulebook", book=build_book(_read(rules), _rows(cases, is_needed=False)))
    try:
        out.write_text(page, encoding="utf-8")
    except OSError as error:
        raise typer.BadParameter(f"cannot write {out}: {error.strerror}", param_hint="--out") from error


# -- what the commands read -----------------------------------------------------------------------


def _read(folder: Path | None) -> RuleFolder:
    try:
        return read_folder(None if folder is None else folder.resolve())
    except KnowledgeError as error:
        say(f"The rules cannot be used: {error}")
        raise typer.Exit(RULES) from error


def _rows(folder: Path | None, *, is_needed: bool) -> Sequence[Row]:
    """The rows of the case tables; tables are part of a checkout, not of an installation."""
    home = folder or find_folder("rules").parent / _CASES
    if folder is None and not home.is_dir() and not is_needed:
        return ()
    try:
        return read_rows(home)
    except (OSError, ValueError) as error:
        raise typer.BadParameter(f"no case tables can be read in {home}: {error}", param_hint="--cases") from error


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise typer.BadParameter(f"{path} cannot be read: {error}", param_hint="--paper") from error
