"""An infusion that others charted beside one recorded here: a person says whether it is the same one or a separate."""

from __future__ import annotations

from mscprotocol.course_actions import Course, Signed
from mscprotocol.course_forms import Charted, write_form
from mscprotocol.errors import DataError, RequestError
from mscprotocol.history import ABOUT_CHARTS
from mscprotocol.roles import RECORDERS, allow
from mscprotocol.service import Caller
from mscprotocol.store.subjects import NewEntry
from mscprotocol.store.tables import SubjectEntry
from mscprotocol.subject_chart import Chart, Recorded, find_repeated
from mscprotocol.subject_record import read_infusions
from mscprotocol.subjects import holds_chart


def tell_charted(
    course: Course, subject_id: str, form: Charted, token: str, caller: Caller, signed: Signed | None = None
) -> Recorded:
    """Record what a chart is; the subject is assessed anew by it.

    A chart of the same infusion is read no more; a separate one counts by itself if its code and time tell what it was,
    and else stays in doubt. Raises RequestError `invalid_request` for a chart or an infusion that is not on record,
    and UnsignedError where a clinician has to sign and does not.
    """
    allow(caller, RECORDERS)
    with course.refusals(subject_id, caller), course.subjects.acting(subject_id) as (session, chart):
        new = NewEntry("charted", write_form(form), token)
        repeated = find_repeated(chart, new)
        if repeated is not None:
            return repeated
        if not any(one.infusion == form.infusion for one in read_infusions(chart.standing)):
            raise RequestError("invalid_request", "No infusion of that number was recorded.")
        if not any(holds_chart(chart, one, form.reference) for one in chart.of_kind("bundle")):
            text = "No upload holds this chart so that it can be marked."
            raise RequestError("invalid_request", text)
        done = course.subjects.add(session, chart, new, caller)
        assert done.entry is not None
        course.settle(session, chart, done.entry, caller, (), signed)
        return done


def find_doubts(course: Course, chart: Chart, entry: SubjectEntry) -> list[str]:
    """The charts of an upload that may be of an infusion, by reference, as the answer of now remarks on them."""
    if entry.kind != "bundle":
        return []
    try:
        remarks = course.view(chart.subject.id).answer.data_quality
    except DataError:
        return []
    named = dict.fromkeys(one.about for one in remarks if any(words in one.text for words in ABOUT_CHARTS))
    return [one for one in named if holds_chart(chart, entry, one)]
