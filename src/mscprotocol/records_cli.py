"""The commands `mscprotocol verify` and `mscprotocol records`: what is kept, replayed, given out or deleted."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from mscprotocol import records, retention
from mscprotocol.clients_cli import OPERATOR, opened_database
from mscprotocol.errors import DataError, MscProtocolError
from mscprotocol.service import now
from mscprotocol.serving import read_settings
from mscprotocol.settings import PREFIX
from mscprotocol.store import audit
from mscprotocol.store.database import open_database
from mscprotocol.store.tables import StoredAssessment
from mscprotocol.terminal import ALTERED, DATA, DIFFERENT, EXPIRED, OK, REMOVED, load_or_exit, print_line, say
from mscprotocol.verification import (
    Anchor,
    Kept,
    Verified,
    find_anchor,
    find_by_code,
    open_kept,
    read_sealed,
    verify,
    write_sealed,
)

Number = Annotated[str, typer.Argument(help="Subject number.")]
InProtocol = Annotated[str | None, typer.Option("--protocol", help="Where protocols share the number.")]

records_app = typer.Typer(no_args_is_help=True, help="What this installation keeps of its subjects.")


def verify_command(what: Annotated[str, typer.Argument(help="Sealed record, code of a printed sheet, or id.")]) -> None:
    """Replay a sealed record and say: same, different (and why), altered, or expired. Nothing is fetched or changed.

    A file alone cannot show that it was sealed anew; the audit chain can, where the database is at hand: it is asked.
    """
    path = Path(what)
    kept = _read_file(path) if path.is_file() else _find(what)
    anchor = _anchor_of(kept.stored) if path.is_file() else _anchor_here(kept.stored)
    knowledge = load_or_exit(site=read_settings().site_file)
    found = verify(kept, knowledge, now())
    if found.outcome != "altered" and anchor in ("other", "broken"):
        found = Verified("altered", [_ANCHORS[anchor]])
    _tell(kept.stored, found)
    if anchor not in ("other", "broken"):
        print_line(f"  {_ANCHORS[anchor]}")
    _leave(found)


_ANCHORS = {
    "held": "the audit chain of this installation is whole and holds this seal",
    "other": "the audit chain of this installation holds another seal for it: it was sealed anew",
    "broken": "the audit chain of this installation is broken, so it proves nothing: see `mscprotocol records audit`",
    "unknown": (
        "the seal was checked by itself only: whoever can change a record can also seal it anew, and that shows only "
        "where its audit chain is kept; this installation holds none for it"
    ),
}


def _anchor_here(stored: StoredAssessment) -> Anchor:
    database = open_database(read_settings().database_url)  # as it is: verifying changes nothing
    try:
        with database.reading() as session:
            return find_anchor(session, stored)
    finally:
        database.close()


def _anchor_of(stored: StoredAssessment) -> Anchor:
    """What the chain at hand says of a file; where there is no database, or none of ours, none is made."""
    url = make_url(read_settings().database_url)
    is_file = url.get_backend_name() == "sqlite"
    if is_file and (url.database in (None, "", ":memory:") or not Path(url.database or "").is_file()):
        return "unknown"
    try:
        return _anchor_here(stored)
    except SQLAlchemyError:
        say("The database of this installation does not answer: the seal is checked by itself only.")
        return "unknown"


_NEXT = {
    "same": "the record is as it was sealed, and the same answer comes out of it today: nothing is to be done",
    "different": (
        "the record is as it was sealed, and another answer comes out of it today: assess the patient anew before "
        "anybody relies on either"
    ),
    "altered": (
        "the record is not what was sealed: do not rely on it, keep it as it is, compare it with a backup, and tell "
        "whoever answers for the data"
    ),
}


def _tell(stored: StoredAssessment, found: Verified) -> None:
    print_line(found.outcome)
    print_line(f"  {_NEXT[found.outcome]}")
    for why in found.why:
        print_line(f"  {why}")
    if found.outcome != "altered":
        print_line(f"  {stored.protocol_id}, {stored.stage}: {stored.verdict}; made {stored.made_at.isoformat()}")
    if found.has_expired:
        print_line("  no longer valid: the time until which it held has passed, assess again")


def _leave(found: Verified) -> None:
    if found.outcome == "same":
        raise typer.Exit(EXPIRED if found.has_expired else OK)
    raise typer.Exit(ALTERED if found.outcome == "altered" else DIFFERENT)


def _read_file(path: Path) -> Kept:
    try:
        return read_sealed(path.read_bytes())
    except (DataError, OSError) as error:
        say(f"{path}: {error}")
        raise typer.Exit(DATA) from error


def _find(code: str) -> Kept:
    with opened_database() as database, database.reading() as session:
        found = find_by_code(session, code)
        if not found and (expiry := retention.find_expiry(session, code)):
            print_line(str(expiry))
            raise typer.Exit(REMOVED)
        if not found:
            say("No file of that name, and no stored assessment of that code.")
            raise typer.Exit(DATA)
        return open_kept(session, found[0])


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
    _write(write_sealed(_find(code)), out)


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
    with opened_database() as database, database.writing(is_final=True) as session:
        try:
            subject = records.find_subject(session, number, protocol)
        except MscProtocolError as error:
            raise typer.BadParameter(str(error)) from error
        gone = records.delete_subject(session, subject, now(), OPERATOR)
    say(f"deleted, with {gone.assessments} assessments, {gone.signatures} signatures, {gone.drafts} waiting exports")
    if gone.elsewhere:
        say(f"{gone.elsewhere} assessments under the same patient id came through other doors and are still kept")


@records_app.command("expire")
def expire_command(
    older_than: Annotated[int | None, typer.Option(min=1, help="Days; the setting KEEP_DAYS if left out.")] = None,
    count: Annotated[bool, typer.Option("--count", help="Only say how many would go.")] = False,
) -> None:
    """Remove old assessments that programs asked for and no person signed or recorded anything on."""
    days = older_than or read_settings().keep_days
    if days is None:
        say(f"Nothing expires here: set {PREFIX}KEEP_DAYS, or say --older-than DAYS.")
        return
    with opened_database() as database:
        if count:
            with database.reading() as session:
                print_line(f"{retention.count_expired(session, now(), days)} assessments would be removed")
            return
        print_line(f"{retention.expire(database, now(), days, OPERATOR)} assessments removed")


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
