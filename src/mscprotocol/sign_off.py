"""Sign-off of a stored answer: a name, a meaning and a time, bound to its seal; stale once a newer answer exists."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from mscprotocol.errors import RequestError
from mscprotocol.roles import CLINICIANS, allow
from mscprotocol.schedule import length
from mscprotocol.service import Caller
from mscprotocol.store import assessments, signatures, subjects
from mscprotocol.store.signatures import Signer
from mscprotocol.store.tables import Screening, StoredAssessment
from mscprotocol.subject_chart import Chart
from mscprotocol.subjects import Subjects

_OTHER = "This is not the answer that was shown, or it was altered: look at it again before you sign."
_CLOSED = (
    "This is signed only for the newest answer of a subject, by the present rules, whose gate says go, while a release "
    "holds. Assess again, and read the gate."
)


@dataclass(frozen=True)
class SignedOff:
    """One sign-off as it is shown; `is_stale` when a newer answer exists, `is_broken` when it is not of this answer."""

    name: str
    meaning: str
    at: datetime
    proof: str
    assessment: str
    is_stale: bool
    is_broken: bool

    @property
    def words(self) -> str:
        """How far it holds, in words; empty if it does."""
        if self.is_broken:
            return "not of this answer: it, or the signature, was altered"
        return "stale: a newer assessment exists" if self.is_stale else ""


def sign_off(subjects_: Subjects, identity: str, code: str, seen: str, caller: Caller, signer: Signer) -> None:
    """Sign a stored answer in one transaction; the same person's second signature of one meaning adds nothing.

    `seen` is the seal of the answer that was shown. Raises RequestError `forbidden`, `not_found`, `invalid_request` for
    a meaning that the rules do not list, and `conflict` for another answer or a gate that is not open.
    """
    allow(caller, CLINICIANS)
    meaning = subjects_.knowledge.signature_meanings.get(code)
    if meaning is None or meaning.signs != "answer":
        raise RequestError("invalid_request", "There is no such meaning of a signature.")
    with subjects_.service.database.writing() as session:
        stored = assessments.find(session, identity)
        if stored is None:
            raise RequestError("not_found", "There is no assessment of that id.")
        newest = _newest_beside(session, identity, lock=True)
        if seen != stored.seal_sha256 or assessments.seal(stored) != stored.seal_sha256:
            raise RequestError("conflict", _OTHER)
        if meaning.needs_open_gate and not may_release(subjects_, stored, newest, subjects_.service.clock()):
            raise RequestError("conflict", _CLOSED)
        known = signatures.of_subject(session, _name(identity))
        if not any((one.meaning, one.user_id, one.name) == _as_kept(meaning.text, signer) for one in known):
            at, content = subjects_.service.clock(), stored.seal_sha256.encode()
            signatures.sign(session, at, signer, meaning.text, _name(identity), content)


def may_release(subjects_: Subjects, stored: StoredAssessment, newest: str | None, at: datetime) -> bool:
    """Whether an answer opens the gate of the next infusion now: newest of its subject, by present rules, fresh."""
    answer = assessments.read_answer(stored)
    is_current = newest == stored.id and stored.rulebase_sha256 == subjects_.knowledge.sha256
    if not is_current or answer.gate is None or answer.gate.decision != "go":
        return False
    end = datetime.fromisoformat(answer.at) + _release_of(subjects_, stored.protocol_id)
    ends = [end, *([datetime.fromisoformat(answer.valid_until)] if answer.valid_until else [])]
    return at < min(ends)


def list_signed(session: Session, stored: StoredAssessment) -> list[SignedOff]:
    """The sign-offs of one answer, the oldest first."""
    newest = _newest_beside(session, stored.id)
    is_stale, content = newest not in (None, stored.id), stored.seal_sha256.encode()
    is_whole = assessments.seal(stored) == stored.seal_sha256
    return [
        SignedOff(
            name=one.name,
            meaning=one.meaning,
            at=one.at,
            proof=one.proof,
            assessment=stored.id,
            is_stale=is_stale,
            is_broken=not (is_whole and signatures.holds(one, content)),
        )
        for one in signatures.of_subject(session, _name(stored.id))
    ]


def list_signed_of(session: Session, chart: Chart) -> Iterator[SignedOff]:
    """The sign-offs of all answers of a subject, the newest answer first."""
    for line in reversed(chart.screenings):
        stored = assessments.find(session, line.assessment_id)
        if stored is not None:
            yield from list_signed(session, stored)


def is_released(subjects_: Subjects, session: Session, chart: Chart, at: datetime) -> bool:
    """Whether the newest answer of a course was signed as released, and that still holds."""
    stored = None if chart.last is None else assessments.find(session, chart.last.assessment_id)
    if stored is None or not may_release(subjects_, stored, stored.id, at):
        return False
    releases = {one.text for one in subjects_.knowledge.signature_meanings.values() if one.needs_open_gate}
    return any(one.meaning in releases and not one.words for one in list_signed(session, stored))


def _as_kept(meaning: str, signer: Signer) -> tuple[str, str | None, str]:
    return meaning, signer.user_id, signer.printed_name


def _newest_beside(session: Session, identity: str, *, lock: bool = False) -> str | None:
    """The newest answer of the subject that an answer is of; None for an answer of no subject."""
    line = session.execute(select(Screening).where(Screening.assessment_id == identity)).scalar_one_or_none()
    if line is None:
        return None
    subjects.find(session, line.subject_id, lock=lock)
    return subjects.screenings(session, line.subject_id)[-1].assessment_id


def _release_of(subjects_: Subjects, protocol: str) -> timedelta:
    knowledge = subjects_.knowledge
    return length(knowledge.practices[knowledge.protocols[protocol].practice].release_valid)


def _name(identity: str) -> str:
    return f"Assessment/{identity}"
