"""What was recorded by mistake is set aside as entered in error, and can be taken back again: nothing is removed.

Later assessments do not read what is set aside; those that were made with it keep what they read. Where that would
take back a reason of the gate, a clinician sets it aside and signs: nobody else opens a gate by removing data.
"""

from __future__ import annotations

from typing import Literal

from mscprotocol.course_actions import Course, Signed
from mscprotocol.course_forms import InError, write_form
from mscprotocol.errors import RequestError
from mscprotocol.roles import RECORDERS, allow
from mscprotocol.service import Caller
from mscprotocol.store.subjects import IN_ERROR, REINSTATED, NewEntry
from mscprotocol.subject_chart import ASIDE, Chart, Recorded, find_repeated

Amendment = Literal["in_error", "reinstated"]
# An infusion is corrected on its own form, with its number; a dose check is done again, and a signature lapses.
RETRACTABLE = ("bundle", "record", "consent", "plan", "lot", "events", "withdrawal", "death", "charted")
_LONGEST_REASON = 2000


def amend(
    course: Course,
    subject_id: str,
    entry_id: str,
    kind: Amendment,
    reason: str,
    token: str,
    caller: Caller,
    signed: Signed | None = None,
) -> Recorded:
    """Say that an entry was made in error, or that it was not after all; the subject is assessed anew.

    Raises RequestError `invalid_request` without a reason or for a kind of entry that is put right in another way,
    `conflict` where it is so already, `forbidden`, and UnsignedError where it has to be signed and is not.
    """
    allow(caller, RECORDERS)
    if not 0 < len(reason.strip()) <= _LONGEST_REASON:
        raise RequestError("invalid_request", "To set something aside, or to take that back, needs a reason.")
    with course.refusals(subject_id, caller), course.subjects.acting(subject_id) as (session, chart):
        new = NewEntry(kind, write_form(InError(entry_id)), token, entry_id, reason.strip())
        repeated = find_repeated(chart, new)
        if repeated is not None:
            return repeated
        _check(chart, entry_id, kind)
        done = course.subjects.add(session, chart, new, caller)
        assert done.entry is not None
        course.settle(session, chart, done.entry, caller, (), signed)
        return done


def _check(chart: Chart, entry_id: str, kind: str) -> None:
    """Refuse an entry that is not set aside like this, or stands otherwise than the page showed."""
    entry = next((one for one in chart.entries if one.id == entry_id), None)
    if entry is None or entry.kind not in RETRACTABLE:
        raise RequestError("invalid_request", "This is not set aside: it is corrected, or done again.")
    if chart.state_of(entry) != {IN_ERROR: "stands", REINSTATED: ASIDE}[kind]:
        raise RequestError("conflict", "It was corrected or set aside already: look at the record again.")
