"""What carries no seal of its own is held against the audit trail: subjects, lines, signatures, who may log in."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from mscprotocol.store import subjects
from mscprotocol.store.assessments import read_answer, seal
from mscprotocol.store.tables import (
    ApiClient,
    AuditEntry,
    Screening,
    Signature,
    StoredAssessment,
    Subject,
    SubjectLine,
    Table,
    UserAccount,
    row_of,
)
from mscprotocol.subject_record import summarise

# Who may log in or call: the table, what they may, when that ended, and how the trail names both acts.
_ACCOUNTS: tuple[tuple[str, type[UserAccount] | type[ApiClient], str, str, str, str], ...] = (
    ("User", UserAccount, "roles", "disabled_at", "add user", "disable user"),
    ("Client", ApiClient, "scopes", "revoked_at", "add client", "revoke client"),
)


def find_loose(session: Session, deleted: set[str]) -> Iterator[str]:
    """Each row that is not what the trail, or the sealed rows that it follows from, say; `deleted` may be missing."""
    yield from _subjects(session, deleted)
    yield from _screenings(session, deleted)
    yield from _lines(session)
    yield from _signatures(session, deleted)
    yield from _accounts(session)


def _trail(session: Session, *actions: str) -> Iterator[AuditEntry]:
    yield from session.execute(
        select(AuditEntry).where(AuditEntry.action.in_(actions)).order_by(AuditEntry.sequence)
    ).scalars()


def _subjects(session: Session, deleted: set[str]) -> Iterator[str]:
    seals = {one.subject: one.detail.get("seal") for one in _trail(session, "enrol")}  # early ones hold no seal
    counts: dict[str, int] = {}
    for one in _trail(session, "record"):
        counts[one.subject] = counts.get(one.subject, 0) + 1
    for subject in session.execute(select(Subject)).scalars():
        name = f"Subject/{subject.id}"
        is_known = name in seals and seals.pop(name) in (None, subjects.seal_subject(subject))
        if not is_known or subject.entries != counts.get(name, 0):
            yield f"{name}: altered"
    yield from (f"{name}: missing" for name in sorted(seals.keys() - deleted))


def _screenings(session: Session, deleted: set[str]) -> Iterator[str]:
    """Lines of the log, each beside its answer and what the trail says whose it is."""
    assessed = {one.subject: one.detail for one in _trail(session, "assess")}
    wanted = {name for name, detail in assessed.items() if "subject" in detail} - deleted
    query = select(Screening, StoredAssessment).join(StoredAssessment, StoredAssessment.id == Screening.assessment_id)
    for line, stored in session.execute(query.execution_options(yield_per=500)):
        name = f"Assessment/{stored.id}"
        wanted.discard(name)
        said = assessed.get(name, {})
        whose = {"subject": f"Subject/{line.subject_id}", "sequence": line.sequence}
        is_held = "subject" not in said or all(said[key] == value for key, value in whose.items())
        if not is_held or not _is_line_of(line, stored):
            yield f"screening log, {name}: altered"
    yield from (f"screening log, {name}: missing" for name in sorted(wanted))


def _is_line_of(line: Screening, stored: StoredAssessment) -> bool:
    try:
        if seal(stored) != stored.seal_sha256:
            return True
        expected = subjects.describe_screening(line.subject_id, line.sequence, stored, read_answer(stored))
    except Exception:  # noqa: BLE001 - an answer that was altered can fail in any way, and is told of by itself
        return True
    return row_of(line) == row_of(expected)


def _lines(session: Session) -> Iterator[str]:
    """Lines of worklists; those that are not there are made when one is read."""
    for subject in session.execute(select(Subject)).scalars():
        line = session.get(SubjectLine, subject.id)
        if line is not None and not _follows(session, line, subject):
            yield f"worklist, Subject/{subject.id}: altered"


def _follows(session: Session, line: SubjectLine, subject: Subject) -> bool:
    entries, log = subjects.entries_of(session, subject.id), subjects.screenings(session, subject.id)
    try:
        expected = summarise(subject, subjects.standing(entries), log[-1] if log else None)
    except Exception:  # noqa: BLE001 - an entry that was altered can fail in any way, and is told of by itself
        return True
    return row_of(line) == row_of(expected)


def _signatures(session: Session, deleted: set[str]) -> Iterator[str]:
    signed = {one.detail["signature"]: one for one in _trail(session, "sign")}
    names = {one.id: one.name for one in session.execute(select(UserAccount)).scalars()}
    for signature in session.execute(select(Signature)).scalars():
        entry = signed.pop(signature.id, None)
        if entry is None or not _is_signed(signature, entry, names):
            yield f"signature on {signature.subject}: altered"
    gone = {one.subject for one in signed.values()} - deleted
    yield from (f"signature on {name}: missing" for name in sorted(gone))


def _is_signed(signature: Signature, entry: AuditEntry, names: dict[str, str]) -> bool:
    said: dict[str, Any] = {
        "signature": signature.id,
        "name": signature.name,
        "meaning": signature.meaning,
        "content": signature.content_sha256,
        "proof": signature.proof,
    }
    is_theirs = signature.user_id is None or names.get(signature.user_id) == entry.actor
    return is_theirs and (said, signature.subject, signature.at) == (entry.detail, entry.subject, entry.at)


def _accounts(session: Session) -> Iterator[str]:
    """Who was added by a command; the roles of people whom a provider vouches for are the provider's to say."""
    for kind, table, may, ended, adding, ending in _ACCOUNTS:
        added = {one.subject: one.detail[may] for one in _trail(session, adding, f"change {may}")}
        over = {one.subject for one in _trail(session, ending)}
        for one in session.execute(select(table)).scalars():
            name = f"{kind}/{row_of(one)['id']}"
            is_known = name in added or _is_vouched(one)
            is_over = getattr(one, ended) is not None
            if not is_known or added.pop(name, getattr(one, may)) != getattr(one, may) or is_over != (name in over):
                yield f"{name}: altered"
        yield from (f"{name}: missing" for name in sorted(added))


def _is_vouched(one: Table) -> bool:
    return isinstance(one, UserAccount) and one.issuer is not None and one.password_hash is None
