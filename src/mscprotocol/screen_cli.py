"""The command `mscprotocol screen`: whole exports of patients, assessed one by one, and a report of all of them."""

from __future__ import annotations

import errno
import resource
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import typer

from fhir_adapters.patient_list import ColumnMap, check_header, explain, read_column_map, table_of
from fhir_adapters.patient_rows import check_names
from mscprotocol.errors import DataError, KnowledgeError, MscProtocolError
from mscprotocol.places import find_folder
from mscprotocol.screening.inputs import Source, find_sources
from mscprotocol.screening.manifest import close_run, read_manifest
from mscprotocol.screening.moments import parse_moment
from mscprotocol.screening.options import Options
from mscprotocol.screening.outputs import Balance, write_metrics, write_outputs
from mscprotocol.screening.progress import FORMS, Reporter
from mscprotocol.screening.report import write_reports
from mscprotocol.screening.run import Finished, run_screening
from mscprotocol.screening.spark import Spark
from mscprotocol.screening.tables import OpenTable
from mscprotocol.screening.tallies import Tally
from mscprotocol.screening.workers import Local
from mscprotocol.terminal import DATA, INCOMPLETE, OK, load_or_exit, print_line, say

ENGINES = ("local", "spark")
INTERRUPTED = 130  # as a shell says it
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def screen_command(
    inputs: Annotated[list[Path], typer.Argument(help="Files and folders: FHIR NDJSON, bundles, CSV, HL7 v2; mixed.")],
    out: Annotated[
        Path | None, typer.Option(help="Folder for the output; a finished run in it is brought up to date.")
    ] = None,
    protocol: Annotated[str, typer.Option(help="Protocol id, or all.")] = "seed-covid-4x",
    at: Annotated[
        str | None, typer.Option(help="TIME, last-observation, encounter-start+24h or column:NAME; default: now.")
    ] = None,
    workers: Annotated[int, typer.Option(help="Processes on this machine.", min=1, max=256)] = 1,
    engine: Annotated[str, typer.Option(help="local, or spark (needs pip install mscprotocol\\[spark]).")] = "local",
    resume: Annotated[bool, typer.Option("--resume", help="Take up a run that was cut short.")] = False,
    columns: Annotated[Path | None, typer.Option(help="Map of the columns of CSV lists (YAML).")] = None,
    explain_columns: Annotated[
        bool, typer.Option("--explain-columns", help="Say how each column is read, and end.")
    ] = False,
    what_if: Annotated[list[str] | None, typer.Option(help="PARAMETER=OPTION or EX-04.within=30d; repeatable.")] = None,
    checklists: Annotated[
        bool, typer.Option("--checklists", help="Print checklists of those eligible or one datum away.")
    ] = False,
    zone: Annotated[str | None, typer.Option(help="IANA zone of times that state none (CSV, HL7 v2).")] = None,
    site: Annotated[Path | None, typer.Option(help="The site's own upper limits of normal (YAML).")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="Site parameter: NAME=OPTION; repeatable.")] = None,
    progress: Annotated[str, typer.Option(help="auto, plain, json or none.")] = "auto",
) -> None:
    """Screen exported lists of patients: answers, a log, what could not be assessed, and a report."""
    _check(inputs, engine, progress, zone)
    table = _read_text(columns)
    if explain_columns:
        _explain(inputs, table)
        raise typer.Exit(OK)
    if out is None:
        raise typer.BadParameter("name a folder for the output", param_hint="--out")
    options = Options(
        protocol=protocol,
        at=_moment(at, out if resume else None),
        zone=zone,
        site=None if site is None else str(site.resolve()),
        choices=_pairs(set_ or [], "--set"),
        columns=table,
        what_if=[*_checked(what_if or [])],
        checklists=checklists,
        begun=datetime.now(UTC).isoformat(),
    )
    _check_rules(options)
    reporter = Reporter(progress)
    try:
        finished, balance = _run(inputs, out, options, engine, workers, reporter, resume)
    except MscProtocolError as error:
        raise typer.BadParameter(str(error)) from error
    except OSError as error:
        _tell_of_disk(error, out)
        raise typer.Exit(INCOMPLETE) from error
    except KeyboardInterrupt as error:
        say("Interrupted: run the same command with --resume to take it up.")
        raise typer.Exit(INTERRUPTED) from error
    _tell(finished, balance, out)
    raise typer.Exit(DATA if balance.is_anything_missing else OK)


def _run(
    inputs: list[Path], out: Path, options: Options, engine: str, workers: int, reporter: Reporter, resume: bool
) -> tuple[Finished, Balance]:
    begun = monotonic()
    with (Spark() if engine == "spark" else Local(workers)).running() as running:
        finished = run_screening(inputs, out, options, running, reporter, resume=resume)
    tally = Tally()
    balance = write_outputs(finished, tally)
    write_metrics(finished, balance, _measured(begun, engine, workers, balance))
    write_reports(finished, tally, balance, options.books(options.knowledge()))
    close_run(out)
    return finished, balance


def _measured(begun: float, engine: str, workers: int, balance: Balance) -> dict[str, object]:
    """Time and memory of the run; memory is that of the largest of its processes, in MiB."""
    seconds = monotonic() - begun
    used = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return {
        "engine": engine,
        "workers": workers,
        "seconds": round(seconds, 1),
        "patients_per_second": round(balance.assessed / max(seconds, 0.001), 1),
        "peak_mebibytes": used // 1024,
    }


# -- arguments ---------------------------------------------------------------------------------------


def _check(inputs: list[Path], engine: str, progress: str, zone: str | None) -> None:
    for path in inputs:
        if not path.exists():
            raise typer.BadParameter(f"there is no {path}")
    if engine not in ENGINES:
        raise typer.BadParameter(f"no engine {engine!r}; it is one of {', '.join(ENGINES)}", param_hint="--engine")
    if progress not in FORMS:
        raise typer.BadParameter(f"no form {progress!r}; it is one of {', '.join(FORMS)}", param_hint="--progress")
    try:
        ZoneInfo(zone or "UTC")
    except (ValueError, OSError, ZoneInfoNotFoundError):
        raise typer.BadParameter(f"no time zone named {zone!r}; write it like Asia/Shanghai") from None


def _moment(at: str | None, taken_up: Path | None) -> str:
    """The time of evaluation; a run that is taken up keeps its own."""
    if at is None and taken_up is not None and (known := read_manifest(taken_up / "work")) is not None:
        return known.options.at
    try:
        return parse_moment(datetime.now(UTC).isoformat() if at is None else at).text
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--at") from error


def _read_text(columns: Path | None) -> str | None:
    if columns is None:
        return None
    try:
        text = columns.read_text(encoding="utf-8")
        read_column_map(text)
    except (OSError, ValueError) as error:
        raise typer.BadParameter(f"{columns}: {error}", param_hint="--columns") from error
    return text


def _pairs(said: list[str], option: str) -> dict[str, str]:
    pairs = [one.partition("=") for one in said]
    if any(not (name and value) for name, _, value in pairs):
        raise typer.BadParameter("write it like NAME=VALUE", param_hint=option)
    return {name: value for name, _, value in pairs}


def _checked(said: list[str]) -> list[str]:
    _pairs(said, "--what-if")
    return said


def _check_rules(options: Options) -> None:
    knowledge = load_or_exit(site=None if options.site is None else Path(options.site), choices=options.choices)
    if options.protocol != "all" and options.protocol not in knowledge.protocols:
        known = ", ".join(("all", *knowledge.protocols))
        raise typer.BadParameter(f"no protocol {options.protocol!r} to assess by; known: {known}")
    try:
        check_names(ColumnMap() if options.columns is None else read_column_map(options.columns), knowledge)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--columns") from error
    try:
        list(options.scenarios())
    except KnowledgeError as error:
        raise typer.BadParameter(str(error), param_hint="--what-if") from error


# -- what is said ------------------------------------------------------------------------------------


def _explain(inputs: list[Path], table: str | None) -> None:
    """How each column of each list would be read."""
    columns = ColumnMap() if table is None else read_column_map(table)
    for source in find_sources(inputs):
        if source.kind == "csv":
            print_line(source.name)
            for line in _columns(columns, source):
                print_line(f"  {line}")
    print_line(f"A template of a map of columns: {find_folder('templates') / 'columns.yaml'}")


def _columns(columns: ColumnMap, source: Source) -> Iterator[str]:
    """How each column of one list would be read, and why none would."""
    try:
        header = OpenTable(Path(source.path)).header
        table = table_of(columns, source.name, header)
        yield from (f"{column}: {meaning}" for column, meaning in explain(table, header))
        check_header(table, header)
    except DataError as error:
        yield f"NOT READ: {error}"


def _tell_of_disk(error: OSError, out: Path) -> None:
    if error.errno in _FULL:
        say(f"There is no space left for {out}: free some, then run the same command with --resume.")
    else:
        say(f"{out} cannot be written ({error.strerror}): then run the same command with --resume.")


def _tell(finished: Finished, balance: Balance, out: Path) -> None:
    """The balance of the run: nothing is lost."""
    print_line(
        f"{balance.files} files, {balance.lines:,} lines: {balance.kept:,} read, {balance.not_read:,} not needed,"
        f" {balance.blank:,} blank, {balance.lines_quarantined:,} quarantined"
    )
    print_line(
        f"{balance.patients:,} patients: {balance.assessed:,} assessed, {balance.patients_quarantined:,} quarantined"
    )
    if balance.fallen or balance.in_doubt:
        print_line(
            f"of the resources read: {balance.fallen:,} left out (deleted, or newer as another patient's),"
            f" {balance.in_doubt:,} in doubt"
        )
    if balance.same_identifier:
        number = "1 group shares" if balance.same_identifier == 1 else f"{balance.same_identifier:,} groups share"
        print_line(f"{number} an identifier, perhaps one person each, and assessed apart: see report.html")
    if balance.files_quarantined:
        print_line(
            "files that are damaged, of no kind that is read, missing, closed or unlike their manifest:"
            f" {balance.files_quarantined}; answers may lack data: see quarantine.ndjson"
        )
    if finished.why.keys() - {"new"}:
        print_line("screened: " + ", ".join(f"{number:,} {reason}" for reason, number in finished.why.items()))
    if not balance.is_even:
        print_line("COUNTS DO NOT AGREE: this is a defect of the program; do not use the output")
    print_line(f"output: {out}")
