"""Conclusions -> one judgement a criterion: status, reason, evidence, and when it could change by itself."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from datetime import datetime

from mscprotocol.attestation import latest_attestation
from mscprotocol.case import MET, NOT_APPLICABLE, NOT_MET, REVIEWABLE, UNKNOWN, Judgement, Request
from mscprotocol.deterioration import SignalResult
from mscprotocol.findings import Findings
from mscprotocol.inference import Conclusions
from mscprotocol.needs import is_bedside
from mscprotocol.protocols import Criterion
from mscprotocol.reasons import Reason, in_precedence
from mscprotocol.rulebook import Rulebook
from mscprotocol.selection import Evidence
from mscprotocol.truth import Truth

# What a named person at the bedside knows although the record does not: plain absence, an unread code, a lacking date.
ANSWERABLE = (Reason.MISSING, Reason.CODE_UNMAPPED, Reason.PARTIAL_DATE)


def judge_criteria(
    book: Rulebook,
    conclusions: Conclusions,
    findings: Findings,
    signals: Sequence[SignalResult],
    request: Request,
    only: Container[str] | None = None,
) -> list[Judgement]:
    """Every computable criterion of the protocol, or `only` some of them, in the protocol's order."""
    judge = _Judge(book, conclusions, findings, signals, request)
    asked = [(name, one) for name, one in book.criteria if one.when is not None and (only is None or name in only)]
    return [judge.judge(name, criterion) for name, criterion in asked]


def _product_data(book: Rulebook) -> frozenset[str]:
    """The names of the data that describe a product lot."""
    return frozenset(name for name, one in book.knowledge.measurements.items() if one.about == "product")


class _Judge:
    def __init__(
        self,
        book: Rulebook,
        conclusions: Conclusions,
        findings: Findings,
        signals: Sequence[SignalResult],
        request: Request,
    ) -> None:
        self.book, self.conclusions, self.findings = book, conclusions, findings
        self.signals, self.request = signals, request
        product = book.once("product data", lambda: _product_data(book))
        self.has_lot = any(name in product for name in findings.series.record.measurements)
        self.has_begun = bool(findings.series.record.infusion_starts(request.at))

    def judge(self, name: str, criterion: Criterion) -> Judgement:
        is_asked = self.request.asks_for(criterion) or (criterion.role == "product" and self.has_lot)
        if not is_asked or (criterion.baseline_only and self._is_past_baseline()):
            return Judgement(
                name, criterion, NOT_APPLICABLE, (), (), (), (), is_closable_at_bedside=False, expires=None
            )
        deciding = self.conclusions.deciding_leaves(name)
        status = self.conclusions.of(name)
        evidence = self._evidence(deciding) or self._trend_evidence(name)
        if status != UNKNOWN and self._is_contradicted(name, criterion, status):
            return Judgement(
                name, criterion, UNKNOWN, (Reason.CONFLICT,), evidence, deciding, (),
                is_closable_at_bedside=False, expires=None,
            )  # fmt: skip
        if status != UNKNOWN:
            return Judgement(
                name, criterion, status, (), evidence, deciding, (),
                is_closable_at_bedside=False, expires=self._expiry(name, deciding),
            )  # fmt: skip
        reasons = self._reasons(name, deciding)
        closed = self._close_by_attestation(name, criterion, reasons)
        if closed is not None:
            status, attested, expires = closed
            return Judgement(
                name, criterion, status, (), (*evidence, attested), deciding, (),
                is_closable_at_bedside=False, expires=expires, attested=True,
            )  # fmt: skip
        open_leaves = self.conclusions.open_leaves(name)
        closable = self._is_closable(criterion, reasons, open_leaves)
        return Judgement(
            name, criterion, status, reasons, evidence, deciding, open_leaves,
            is_closable_at_bedside=closable, expires=None,
        )  # fmt: skip

    def _is_past_baseline(self) -> bool:
        return self.request.stage == "infusion" and self.has_begun

    def _evidence(self, leaves: Iterable[str]) -> tuple[Evidence, ...]:
        found = (one for leaf in leaves for one in self.conclusions.findings[leaf].evidence)
        return tuple({(id(one.entry), one.used): one for one in found}.values())

    def _trend_evidence(self, name: str) -> tuple[Evidence, ...]:
        """The points of the signals, for a criterion that reads the trend."""
        reading = self.book.readings.get(name)
        if reading is None or reading.conclusion != self.book.protocol.trend:
            return ()
        deciding = [one for one in self.signals if one.state in ("worse", "better", "reversing")]
        deciding = deciding or [one for one in self.signals if one.state == "stable"]
        entries = [point.entry for signal in deciding for point in signal.points if point.entry is not None]
        return tuple([Evidence(entry, used=True) for entry in entries])

    def _reading(self, name: str) -> str | None:
        """The class, tier or trend that a criterion reads, if it reads one."""
        reading = self.book.readings.get(name)
        return None if reading is None else self.conclusions.of(reading.conclusion)

    def _reasons(self, name: str, deciding: Sequence[str]) -> tuple[Reason, ...]:
        reading = self.book.readings.get(name)
        if reading is not None and reading.conclusion == self.book.protocol.trend:
            conflicting = self._reading(name) in reading.review
            return (Reason.CONFLICTING_SIGNALS if conflicting else Reason.INSUFFICIENT_POINTS,)
        if reading is not None and self._reading(name) in reading.review:
            return (Reason.NEEDS_REVIEW,)
        found = in_precedence(reason for leaf in deciding for reason in self.conclusions.findings[leaf].reasons)
        return found or (Reason.NEEDS_REVIEW,)

    def _is_contradicted(self, name: str, criterion: Criterion, status: str) -> bool:
        """Whether a named person's answer to the criterion itself says the opposite of what was concluded."""
        if not criterion.attestable or self.book.readings.get(name) is not None:
            return False
        attested = latest_attestation(self.findings.series, name, criterion.attested_for, self.request.at)
        return attested is not None and attested[0] is not Truth.UNKNOWN and attested[0].value != status

    def _close_by_attestation(
        self, name: str, criterion: Criterion, reasons: Sequence[Reason]
    ) -> tuple[str, Evidence, datetime | None] | None:
        """A named person's answer closes a review, and a criterion that nothing in the record speaks about."""
        if not criterion.attestable or reasons[0] not in (*REVIEWABLE, *ANSWERABLE):
            return None
        if self.book.readings.get(name) is not None and reasons[0] not in REVIEWABLE:
            return None
        attested = latest_attestation(self.findings.series, name, criterion.attested_for, self.request.at)
        if attested is None or attested[0] is Truth.UNKNOWN:
            return None
        answer, evidence, expires = attested
        return (MET if answer is Truth.MET else NOT_MET), evidence, expires

    def _is_closable(self, criterion: Criterion, reasons: Sequence[Reason], open_leaves: Sequence[str]) -> bool:
        if criterion.attestable and reasons[0] in REVIEWABLE:
            return True
        return bool(open_leaves) and all(is_bedside(self.book, self.findings, leaf) for leaf in open_leaves)

    def _expiry(self, name: str, deciding: Sequence[str]) -> datetime | None:
        ends = [self.conclusions.findings[leaf].expires for leaf in deciding]
        reading = self.book.readings.get(name)
        if reading is not None and reading.conclusion == self.book.protocol.trend:
            ends += [self._trend_expiry()]
        return min((end for end in ends if end is not None and end >= self.request.at), default=None)

    def _trend_expiry(self) -> datetime | None:
        """The first instant at which a signal would lose a point that it rests on."""
        ends = [signal.expiry(self.book.knowledge.course) for signal in self.signals]
        return min((end for end in ends if end is not None and end >= self.request.at), default=None)
