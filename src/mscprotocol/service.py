"""What every server door does with a patient's data: read it, assess it, store the answer, write the audit entry."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from sqlalchemy.orm import Session

from fhir_adapters.bundle import PatientBundle, read_bundle
from fhir_adapters.record_builder import build_record
from mscprotocol.answer import Assessment
from mscprotocol.assessment import assess_all
from mscprotocol.case import Request
from mscprotocol.errors import RequestError
from mscprotocol.knowledge import KnowledgeBase
from mscprotocol.rulebook import compile_rulebook
from mscprotocol.store import assessments, audit
from mscprotocol.store.database import Database
from mscprotocol.store.tables import StoredAssessment
from mscprotocol.store.turns import Turns

# Patients that one process assesses at a time: its interpreter works on one, and two at once hinder each other, as
# bench/doors.py shows.
TURNS = 1


def now() -> datetime:
    """The only clock of the server; the core gets its instants as arguments."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class Caller:
    """Who asks, and what that program or person may do."""

    name: str
    scopes: frozenset[str]


@dataclass(frozen=True)
class Order:
    """What is asked about a patient, through which door and by whom.

    `reading` says how its input has to be read, `noted` what else its audit entry holds.
    """

    protocol: str
    request: Request
    door: str
    caller: Caller
    reading: dict[str, str | None] = field(default_factory=dict)
    noted: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Answered:
    """An answer, and the row that it is kept as."""

    answer: Assessment
    stored: StoredAssessment

    @property
    def id(self) -> str:
        """The id under which it is stored."""
        return self.stored.id


class Service:
    """One rule base and one database, shared by all doors."""

    def __init__(
        self,
        knowledge: KnowledgeBase,
        database: Database,
        clock: Callable[[], datetime] = now,
        count: Callable[[StoredAssessment], object] = lambda _: None,
    ) -> None:
        self.knowledge, self.database, self.clock, self.count = knowledge, database, clock, count
        self._turns = Turns(TURNS)

    def assess_bundles(self, contents: Sequence[bytes], order: Order) -> Answered:
        """Assess one patient from the bytes of one or more FHIR bundles.

        Raises DataError as `read_bundle` and `assess` do, and RequestError for a protocol that cannot be assessed.
        """
        return self.assess_patient(read_bundle(list(contents)), contents, order)

    def assess_patient(self, bundle: PatientBundle, inputs: Sequence[bytes], order: Order) -> Answered:
        """Assess resources that were read already; `inputs` are the bytes they came in, kept for replay."""
        return self.assess_by((order.protocol,), bundle, inputs, order)[0]

    def assess_by(
        self, protocols: Sequence[str], bundle: PatientBundle, inputs: Sequence[bytes], order: Order
    ) -> list[Answered]:
        """Assess one patient by several protocols in one pass: all answers are stored, or none is.

        Raises as `judge_by` does.
        """
        answered = self.judge_by(protocols, bundle, inputs, order)
        with self.database.writing() as session:
            self.put(session, answered)
        return answered

    def judge_by(
        self, protocols: Sequence[str], bundle: PatientBundle, inputs: Sequence[bytes], order: Order
    ) -> list[Answered]:
        """The answers of `assess_by`, ready to be `put` into a transaction.

        Raises DataError as `assess_all` does, and RequestError for a protocol that cannot be assessed.
        """
        for protocol in protocols:
            self.check_protocol(protocol)
        books = [compile_rulebook(self.knowledge, protocol) for protocol in protocols]
        with self._turns:
            answers = assess_all(build_record(bundle, self.knowledge), books, order.request)
            return [self._prepare(one, inputs, order) for one in answers]

    def check_protocol(self, protocol: str) -> None:
        """Raise RequestError for a protocol that is not listed, or listed for information only."""
        if protocol in self.knowledge.information:
            raise RequestError("information_only", f"{protocol} is listed for information and cannot be assessed")
        if protocol not in self.knowledge.protocols:
            raise RequestError("unknown_protocol", f"no protocol of that id; known: {', '.join(self.assessable)}")

    @property
    def assessable(self) -> list[str]:
        """The protocols that patients are assessed by."""
        return list(self.knowledge.protocols)

    def put(
        self, session: Session, answered: Iterable[Answered], noted: Mapping[str, Any] = MappingProxyType({})
    ) -> None:
        """Store answers, each with its audit entry, which holds its seal, inside the caller's transaction."""
        for one in answered:
            stored = one.stored
            detail = {"door": stored.door, "protocol": stored.protocol_id, "verdict": stored.verdict}
            seal = {"seal": stored.seal_sha256}
            assessments.add(session, stored)
            audit.append(
                session, self.clock(), stored.actor, "assess", f"Assessment/{stored.id}", {**detail, **seal, **noted}
            )
            self.count(stored)

    def keep(self, session: Session, answer: Assessment, inputs: Sequence[bytes], order: Order) -> StoredAssessment:
        """Store one answer with its audit entry inside the caller's transaction."""
        answered = self._prepare(answer, inputs, order)
        self.put(session, [answered], order.noted)
        return answered.stored

    def _prepare(self, answer: Assessment, inputs: Sequence[bytes], order: Order) -> Answered:
        origin = assessments.Origin(
            self.clock(), order.door, order.caller.name, describe_request(order.request) | order.reading
        )
        return Answered(answer, assessments.make(answer, inputs, origin))

    def read(self, assessment_id: str, caller: Caller, what: str) -> StoredAssessment | None:
        """A stored assessment, with the audit entry that the caller read it; `what` names what of it was read."""
        with self.database.writing() as session:
            stored = assessments.find(session, assessment_id)
            if stored is not None:
                audit.append(session, self.clock(), caller.name, "read", f"Assessment/{stored.id}", {"what": what})
        return stored


def describe_request(request: Request) -> dict[str, Any]:
    """A request as it is stored: enough to ask the same again."""
    return {
        "at": request.at.isoformat(),
        "stage": request.stage,
        "start": None if request.start is None else request.start.isoformat(),
        "zone": request.zone,
        "dose_level": None if request.dose_level is None else str(request.dose_level),
    }
