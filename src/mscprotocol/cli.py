"""The command `mscprotocol`: reads files, calls the one pure function, writes what was asked for."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import msgspec
import typer

from fhir_adapters.outcome import write_bundle
from fhir_adapters.product_lot import ProductLot, read_product_lot
from fhir_adapters.record_builder import build_record
from fhir_adapters.sources import read_files
from fhir_adapters.writing import encode, error_outcome
from mscprotocol.answer import Assessment, to_json
from mscprotocol.assessment import assess_all
from mscprotocol.case import Request
from mscprotocol.clients_cli import clients_app
from mscprotocol.dosing import choose_level
from mscprotocol.errors import DataError
from mscprotocol.knowledge import KnowledgeBase
from mscprotocol.listening import listen_command
from mscprotocol.protocols import STAGES, Stage
from mscprotocol.protocols_cli import protocols_app
from mscprotocol.record import PatientRecord
from mscprotocol.records_cli import records_app, verify_command
from mscprotocol.rulebook import Rulebook, compile_rulebook
from mscprotocol.rules_cli import rules_app
from mscprotocol.schedule import length
from mscprotocol.screen_cli import screen_command
from mscprotocol.serving import serve_command, settings_command
from mscprotocol.terminal import DATA, OK, load_or_exit
from mscprotocol.treatment import list_levels
from mscprotocol.users_cli import users_app

FORMATS = ("text", "json", "fhir", "html", "pdf", "ics")
LINES = ("json", "fhir")  # one answer a line

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Research pre-screening for mesenchymal-stem-cell protocols. It decides nothing for a clinician.",
)
app.add_typer(rules_app, name="rules")
app.add_typer(protocols_app, name="protocols")
app.add_typer(clients_app, name="clients")
app.add_typer(users_app, name="users")
app.add_typer(records_app, name="records")
app.command("verify")(verify_command)
app.command("serve")(serve_command)
app.command("screen")(screen_command)
app.command("settings")(settings_command)
app.command("listen")(listen_command)


@dataclass(frozen=True)
class Failure:
    """An input that cannot be assessed."""

    code: str
    message: str
    file: str


@app.command("assess")
def assess_command(
    files: Annotated[list[Path], typer.Argument(help="FHIR R4 bundles (JSON) or HL7 v2 messages; one patient a file.")],
    protocol: Annotated[str, typer.Option(help="Protocol id, or all.")] = "seed-covid-4x",
    dose_level: Annotated[str | None, typer.Option(help="The cohort, where a protocol has several levels.")] = None,
    stage: Annotated[str, typer.Option(help="screening, enrolment or infusion.")] = "screening",
    at: Annotated[str | None, typer.Option(help="Time of evaluation with its zone; now if left out.")] = None,
    start: Annotated[str | None, typer.Option(help="Planned start of the first infusion; default: --at.")] = None,
    zone: Annotated[str | None, typer.Option(help="IANA zone of the ward: schedule, HL7 v2 times.")] = None,
    site: Annotated[
        Path | None, typer.Option(help="The site's own upper limits of normal and product codes (YAML).")
    ] = None,
    product: Annotated[Path | None, typer.Option(help="Product lot (YAML or JSON: datum -> value).")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="Site parameter: NAME=OPTION; repeatable.")] = None,
    together: Annotated[bool, typer.Option("--together", help="All files are one patient.")] = False,
    format_: Annotated[str | None, typer.Option("--format", help="text, json, fhir, html, pdf or ics.")] = None,
    out: Annotated[Path | None, typer.Option(help="File to write, or a folder for several patients.")] = None,
) -> None:
    """Assess patients by a protocol, or by all; several answers give one JSON a line."""
    knowledge = load_or_exit(site=site, choices=_choices(set_ or []))
    books = _books(knowledge, protocol)
    form = _known_format(format_, files, together)
    request = _request(at, stage, start, zone or "UTC", _known_level(books, dose_level))
    local = None if zone is None else ZoneInfo(zone)
    lot = None if product is None else _read_lot(product, knowledge)

    def judge(record: PatientRecord) -> list[Assessment]:
        return assess_all(record, books, request)

    groups = [files] if together else [[file] for file in files]
    output = _Output(form, out, knowledge, is_alone=len(groups) == len(books) == 1)
    results = [output.write(_assess_files(group, knowledge, judge, lot, local), group[0]) for group in groups]
    raise typer.Exit(OK if all(results) else DATA)


def _assess_files(
    files: Sequence[Path], knowledge: KnowledgeBase, judge: Any, lot: Any, local: ZoneInfo | None
) -> list[Assessment] | Failure:
    try:
        bundle = read_files([read_file(file) for file in files], local)
        answers: list[Assessment] = judge(build_record(bundle if lot is None else lot.added_to(bundle), knowledge))
    except DataError as error:
        return Failure(error.code, str(error), str(files[0]))
    except OSError as error:
        return Failure("unreadable", f"cannot be opened: {error.strerror}", str(files[0]))
    return answers


def read_file(path: Path) -> bytes:
    """The bytes of a file, unpacked when its name says that it is packed."""
    if path.suffix == ".gz":
        import gzip

        try:
            return gzip.decompress(path.read_bytes())
        except (EOFError, gzip.BadGzipFile) as error:
            raise DataError("unreadable", "the packed file is damaged or cut short") from error
    return path.read_bytes()


# -- output ------------------------------------------------------------------------------------------


class _Output:
    """Where answers go: lines of JSON to one place, other formats to a file each."""

    def __init__(self, form: str, out: Path | None, knowledge: KnowledgeBase, *, is_alone: bool) -> None:
        self.form, self.out, self.knowledge, self.is_alone = form, out, knowledge, is_alone
        self.has_begun = False
        if form == "pdf" and out is None:
            raise typer.BadParameter("a PDF needs --out FILE", param_hint="--out")
        if form == "html" and out is None and not is_alone:
            raise typer.BadParameter("several checklists need --out FOLDER", param_hint="--out")

    def write(self, result: list[Assessment] | Failure, source: Path) -> bool:
        """Write the answers for one patient; whether there were any."""
        if isinstance(result, Failure):
            self._emit(_render_failure(result, self.form), self.out if self.form in LINES else None)
            return False
        if self.form == "text" and len(result) > 1:
            self._emit(_render_fits(result, self.knowledge), self._target(source, "all"))
            return True
        for answer in result:
            name = answer.protocol.id if len(result) > 1 else ""
            self._emit(_render(answer, self.form, self.knowledge), self._target(source, name))
        return True

    def _target(self, source: Path, protocol: str) -> Path | None:
        if self.out is None or self.form in LINES or (self.is_alone and not self.out.is_dir()):
            return self.out
        suffix = "txt" if self.form == "text" else self.form
        name = "-".join(filter(None, (source.name.split(".")[0], protocol)))
        # Files of the same name in different folders are different patients.
        return self.out / f"{source.resolve().parent.name}-{name}.{suffix}"

    def _emit(self, content: bytes, target: Path | None) -> None:
        content = content.rstrip(b"\n") + b"\n"
        if target is None:
            sys.stdout.buffer.write(content)
            sys.stdout.buffer.flush()
            return
        is_more = self.form in LINES and self.has_begun
        self.has_begun = True
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("ab" if is_more else "wb") as file:
                file.write(content)
        except OSError as error:
            raise typer.BadParameter(f"cannot write {target}: {error.strerror}", param_hint="--out") from error


def _render_fits(answers: Sequence[Assessment], knowledge: KnowledgeBase) -> bytes:
    from mscprotocol.protocol_cards import render_fits

    return render_fits(answers, knowledge, colour=sys.stdout.isatty()).encode()


def _render_failure(failure: Failure, form: str) -> bytes:
    if form != "fhir":
        return msgspec.json.encode({"error": failure})
    return encode(error_outcome(failure.code, f"{failure.file}: {failure.message}"))


def _render(answer: Assessment, form: str, knowledge: KnowledgeBase) -> bytes:
    if form == "json":
        return to_json(answer)
    if form == "fhir":
        return encode(write_bundle(answer, knowledge))
    if form == "text":
        from mscprotocol.summary import render_text

        return render_text(answer, colour=sys.stdout.isatty()).encode()
    if form == "ics":
        from mscprotocol.course_calendar import write_calendar
        from mscprotocol.fingerprint import short_code

        practice = knowledge.practices[knowledge.protocols[answer.protocol.id].practice]
        code = short_code(answer.trace_sha256, answer.input_sha256)
        return write_calendar(answer, code, length(practice.duration))
    from mscprotocol.rendering import render_html, render_pdf

    html = render_html(answer, knowledge)
    return render_pdf(html) if form == "pdf" else html.encode()


# -- arguments ---------------------------------------------------------------------------------------


def _read_lot(path: Path, knowledge: KnowledgeBase) -> ProductLot:
    try:
        return read_product_lot(path.read_bytes(), path.name, knowledge)
    except (DataError, OSError) as error:
        raise typer.BadParameter(f"the product lot cannot be read: {error}", param_hint="--product") from error


def _choices(said: Sequence[str]) -> dict[str, str]:
    """Options of site parameters by name."""
    pairs = [one.partition("=") for one in said]
    if wrong := [one for one, (name, _, option) in zip(said, pairs, strict=True) if not (name and option)]:
        raise typer.BadParameter(f"not a choice: {wrong[0]!r}; write it like NAME=OPTION", param_hint="--set")
    chosen = {name: option for name, _, option in pairs}
    if len(chosen) < len(said):
        raise typer.BadParameter("a parameter is set once", param_hint="--set")
    return chosen


def _books(knowledge: KnowledgeBase, protocol: str) -> tuple[Rulebook, ...]:
    if protocol in knowledge.information:
        raise typer.BadParameter(f"{protocol} is for information only; see: mscprotocol protocols show {protocol}")
    if protocol != "all" and protocol not in knowledge.protocols:
        raise typer.BadParameter(f"no protocol {protocol!r}; known: all, {', '.join(knowledge.protocols)}")
    names = tuple(knowledge.protocols) if protocol == "all" else (protocol,)
    return tuple(compile_rulebook(knowledge, name) for name in names)


def _known_level(books: Sequence[Rulebook], text: str | None) -> Decimal | None:
    if text is None:
        return None
    if len(books) > 1:
        raise typer.BadParameter("a dose level belongs to one protocol: name it with --protocol")
    dose = books[0].protocol.dose
    try:
        level = Decimal(text)
    except ArithmeticError:
        raise typer.BadParameter(f"not a number: {text!r}; write it like 5") from None
    if choose_level(dose, level)[0] == "refused":
        raise typer.BadParameter(f"{text} is not a dose level of {books[0].protocol.id}: {list_levels(dose.levels)}")
    return level


def _known_format(form: str | None, files: Sequence[Path], together: bool) -> str:
    chosen = form or ("text" if len(files) == 1 or together else "json")
    if chosen not in FORMATS:
        raise typer.BadParameter(f"no format {chosen!r}; it is one of {', '.join(FORMATS)}", param_hint="--format")
    return chosen


def _request(at: str | None, stage: str, start: str | None, zone: str, level: Decimal | None) -> Request:
    try:
        moment = datetime.now(UTC) if at is None else _parse_time(at)
        begin = None if start is None else _parse_time(start)
        return Request(at=moment, stage=_known_stage(stage), start=begin, zone=zone, dose_level=level)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def _parse_time(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"not a time: {text!r}; write it like 2020-04-06T10:00:00+08:00") from None


def _known_stage(stage: str) -> Stage:
    for known in STAGES:
        if known == stage:
            return known
    raise ValueError(f"no stage named {stage!r}; it is one of {', '.join(STAGES)}")


@app.command("demo")
def demo_command(
    out: Annotated[Path, typer.Option(help="Folder for the checklists.")] = Path("demo-checklists"),
) -> None:
    """Assess the sample patients that ship, and write their checklists."""
    from rich.console import Console

    from mscprotocol.demo import run_demo

    width = None if sys.stdout.isatty() else 150
    run_demo(load_or_exit(), out, Console(width=width, highlight=False))


def main() -> None:
    """Entry point of the console script."""
    app()
