"""The commands `mscprotocol verify` and `mscprotocol records`: what is kept, replayed, given out or deleted."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from mscprotocol import records
from mscprotocol.clients_cli import OPERATOR, opened_database
from mscprotocol.errors import DataError, MscProtocolError
from mscprotocol.service import now
from mscprotocol.serving import read_settings
from mscprotocol.store import audit
from mscprotocol.store.tables import StoredAssessment
from mscprotocol.terminal import ALTERED, DATA, DIFFERENT, EXPIRED, OK, load_or_exit, print_line, say
from mscprotocol.verification import Verified, find_by_code, is_anchored, read_sealed, verify, write_sealed

Number = Annotated[str, typer.Argument(help="Subject number.")]
InProtocol = Annotated[str | None, typer.Option("--protocol", help="Where protocols share the number.")]

records_app = typer.Typer(no_args_is_help=True, help="What this installation keeps of its subjects.")


def verify_command(what: Annotated[str, typer.Argument(help="Sealed record, code of a printed sheet, or id.")]) -> None:
    """Replay a sealed record and say: same, different (and why), altered, or expired. Nothing is fetched or changed."""
    path = Path(what)
    if path.is_file():
        stored, anchored = _read_file(path), True
    else:
        stored, anchored = _find(what)
    knowledge = load_or_exit(site=read_settings().site_file)
    found = verify(stored, knowledge, now()) if anchored else Verified("altered", ["the audit trail has another seal"])
    _tell(stored, found)


def _tell(stored: StoredAssessment, found: Verified) -> None:
    print_line(found.outcome)
    for why in found.why:
        print_line(f"  {why}")
    if found.outcome != "altered":
        print_line(f"  {stored.protocol_id}, {stored.stage}: {stored.verdict}; made {stored.made_at.isoformat()}")
    if found.has_expired:
        print_line("  no longer valid: the time until which it held has passed, assess again")
    if found.outcome == "same":
        raise typer.Exit(EXPIRED if found.has_expired else OK)
    raise typer.Exit(ALTERED if found.outcome == "altered" else DIFFERENT)


def _read_file(path: Path) -> StoredAssessment:
    try:
        return read_sealed(path.read_bytes())
    except (DataError, OSError) as error:
        say(f"{path}: {error}")
        raise typer.Exit(DATA) from error


def _find(code: str) -> tuple[StoredAssessment, bool]:
    with opened_database() as database, database.reading() as session:
        found = find_by_code(session, code)
        if not found:
            say("No file of that name, and no stored assessment of that code.")
            raise typer.Exit(DATA)
        return found[0], is_anchored(session, found[0])


@records_app.command("audit")
def audit_command() -> None:
    """Check the audit chain and every seal; each fault is one line."""
    with opened_database() as database, database.reading() as session:
        faults = list(records.find_faults(session))
    for fault in faults:
        print_line(fault)
    print_line("nothing is altered or missing" if not faults else f"{len(faults)} faults")
    raise typer.Exit(ALTERED if faults else OK)


@records_app.command("seal")
def seal_command(
    code: Annotated[str, typer.Argument(help="Id or printed code of an assessment.")],
    out: Annotated[Path | None, typer.Option(help="File to write; standard output if left out.")] = None,
) -> None:
    """Give one stored assessment out as a sealed record."""
    stored, _ = _find(code)
    _write(write_sealed(stored), out)


@records_app.command("export")
def export_command(
    number: Number,
    protocol: InProtocol = None,
    out: Annotated[Path | None, typer.Option(help="File to write; standard output if left out.")] = None,
) -> None:
    """Give all data of one subject out as one JSON file."""
    with opened_database() as database, database.writing() as session:
        try:
            subject = records.find_subject(session, number, protocol)
        except MscProtocolError as error:
            raise typer.BadParameter(str(error)) from error
        content = records.export_subject(session, subject)
        audit.append(session, now(), OPERATOR, "export", f"Subject/{subject.id}")
    _write(content, out)


@records_app.command("delete")
def delete_command(
    number: Number,
    protocol: InProtocol = None,
    yes: Annotated[bool, typer.Option("--yes", help="Delete without asking.")] = False,
) -> None:
    """Delete all data of one subject for good; the audit trail keeps that it was done."""
    if not yes:
        typer.confirm("All data of this subject are deleted for good. Go on?", abort=True)
    with opened_database() as database, database.writing() as session:
        try:
            subject = records.find_subject(session, number, protocol)
        except MscProtocolError as error:
            raise typer.BadParameter(str(error)) from error
        count = records.delete_subject(session, subject, now(), OPERATOR)
    say(f"deleted, with {count} assessments")


@records_app.command("backup")
def backup_command(target: Annotated[Path, typer.Argument(help="File to write.")]) -> None:
    """Copy the whole database while it is in use (SQLite); for PostgreSQL, say which command does it."""
    with opened_database() as database:
        try:
            records.back_up(database, target)
        except MscProtocolError as error:
            raise typer.BadParameter(str(error)) from error
    say(f"backed up to {target}")


def _write(content: bytes, out: Path | None) -> None:
    if out is None:
        sys.stdout.buffer.write(content + b"\n")
        sys.stdout.buffer.flush()
    else:
        out.write_bytes(content)
