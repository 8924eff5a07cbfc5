"""The screening log of a trial, one line a subject, and the numbers of a CONSORT diagram counted from it."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from mscprotocol.store.tables import SubjectLine
from mscprotocol.subject_record import NOT_ASSESSED

HEAD = (
    "subject", "protocol", "consent_version", "consent_given", "screened_at", "eligible", "outlook", "reasons",
    "open", "by", "valid_until", "time_critical", "infusions", "deviations", "off_study",
)  # fmt: skip
# A table program takes text that begins so for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
_ELIGIBLE = {"eligible": "yes", "ineligible": "no", "undetermined": "open"}


@dataclass(frozen=True)
class LogLine:
    """One subject as the log shows it: the newest assessment, and how far the course has come. No identifier."""

    id: str
    number: str
    protocol: str
    consent_version: str
    consent_given: datetime | None
    screened_at: datetime | None
    verdict: str
    outlook: str | None
    against: tuple[str, ...]
    open_items: tuple[str, ...]
    by: str
    valid_until: datetime | None
    is_time_critical: bool
    infusions: int
    deviations: int
    gate: str | None
    is_stopped: bool
    off_study: str
    latest: str | None

    def has_expired(self, at: datetime) -> bool:
        """Whether the verdict no longer holds."""
        return self.valid_until is not None and self.valid_until <= at


def read_line(kept: SubjectLine) -> LogLine:
    """The line of one subject."""
    return LogLine(
        id=kept.subject_id,
        number=kept.number,
        protocol=kept.protocol_id,
        consent_version=kept.consent_version or "",
        consent_given=kept.consent_given,
        screened_at=kept.screened_at,
        verdict=kept.verdict,
        outlook=kept.outlook,
        against=tuple(kept.reasons["against"]),
        open_items=tuple(kept.reasons["open"]),
        by=kept.actor,
        valid_until=kept.valid_until,
        is_time_critical=kept.time_critical,
        infusions=kept.infusions,
        deviations=kept.deviations,
        gate=kept.gate,
        is_stopped=kept.is_stopped,
        off_study=kept.off_study or "",
        latest=kept.assessment_id,
    )


def write_csv(lines: Sequence[LogLine], zone: ZoneInfo) -> str:
    """The log as CSV, times in a zone: no identifier of a person, no cell that a table program takes for a formula."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(HEAD)
    for one in lines:
        writer.writerow([harmless(cell) for cell in _cells(one, zone)])
    return out.getvalue()


def harmless(text: str) -> str:
    """A cell that is text to every table program."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def _cells(one: LogLine, zone: ZoneInfo) -> tuple[str, ...]:
    return (
        one.number,
        one.protocol,
        one.consent_version,
        _moment(one.consent_given, zone),
        _moment(one.screened_at, zone),
        _ELIGIBLE.get(one.verdict, NOT_ASSESSED),
        one.outlook or "",
        " ".join(one.against),
        " ".join(one.open_items),
        one.by,
        _moment(one.valid_until, zone),
        "yes" if one.is_time_critical else "no",
        str(one.infusions),
        str(one.deviations),
        one.off_study,
    )


def _moment(moment: datetime | None, zone: ZoneInfo) -> str:
    return "" if moment is None else moment.astimezone(zone).isoformat(timespec="minutes")


# -- CONSORT ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Consort:
    """The numbers of a flow diagram. A subject is counted once under each number that is true of it."""

    screened: int
    excluded: int
    excluded_by: tuple[tuple[str, int], ...]
    open: int
    eligible: int
    enrolled: int
    infused: tuple[int, ...]
    stopped: int
    completed: int


def count(lines: Sequence[LogLine], most: int) -> Consort:
    """The numbers of some subjects of one protocol with `most` infusions; whoever was infused is never excluded."""
    begun = [one for one in lines if one.infusions]
    waiting = [one for one in lines if not one.infusions]
    excluded = [one for one in waiting if one.verdict == "ineligible"]
    by = Counter(name for one in excluded for name in one.against)
    return Consort(
        screened=len(lines),
        excluded=len(excluded),
        excluded_by=tuple(sorted(by.items(), key=lambda item: (-item[1], item[0]))),
        open=sum(one.verdict in ("undetermined", NOT_ASSESSED) for one in waiting),
        eligible=len(begun) + sum(one.verdict == "eligible" for one in waiting),
        enrolled=len(begun) + sum(bool(one.consent_version) and one.verdict == "eligible" for one in waiting),
        infused=tuple(sum(one.infusions >= number for one in lines) for number in range(1, most + 1)),
        stopped=sum(one.is_stopped and one.infusions < most for one in begun),
        completed=sum(one.infusions >= most for one in begun),
    )


def consort_boxes(numbers: Consort) -> list[tuple[str, str]]:
    """The boxes of the diagram from top to bottom: what stands in the way, and what branches off beside it."""
    reasons = "; ".join(f"{name} {times}" for name, times in numbers.excluded_by[:6])
    aside = f"Excluded {numbers.excluded}" + (f": {reasons}" if reasons else "")
    boxes = [(f"Screened {numbers.screened}", f"{aside}; still open {numbers.open}")]
    boxes += [(f"Eligible {numbers.eligible}", ""), (f"Enrolled {numbers.enrolled}", "")]
    boxes += [(f"Infusion {number}: {times}", "") for number, times in enumerate(numbers.infused, 1)]
    boxes[-1] = (boxes[-1][0], f"Stopped {numbers.stopped}; completed {numbers.completed}")
    return boxes
