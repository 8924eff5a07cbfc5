"""Protocol deviations: an infusion that was given although the gate, the course or the dose check was against it.

What was done is recorded, whatever was against it: a record that leaves it out would be wrong. Beside the infusion
stand the gate's answer of then, the reason of whoever records it, and their signature.
"""

from __future__ import annotations

from msgspec.structs import replace

from mscprotocol import dose_checks
from mscprotocol.answer import Assessment
from mscprotocol.course_actions import Course, Signing, slot_of
from mscprotocol.course_forms import Deviation, Infusion, read_form, write_form
from mscprotocol.errors import RequestError
from mscprotocol.roles import RECORDERS, allow
from mscprotocol.service import Caller
from mscprotocol.store import audit
from mscprotocol.store.subjects import NewEntry
from mscprotocol.subject_chart import Chart, Recorded, check_entry

NOT_AGAINST = "Nothing was against this infusion at its start: record it as an infusion of the protocol."


def deviate(
    course: Course,
    subject_id: str,
    form: Infusion,
    reason: str,
    token: str,
    caller: Caller,
    sign: Signing | None = None,
) -> Recorded:
    """Record an infusion that took place although it would be refused; `sign` signs it in the same transaction.

    Raises RequestError `invalid_request` without a reason, or where nothing is against the infusion, which is then
    recorded like any other; else as recording an infusion does.
    """
    allow(caller, RECORDERS)
    if not reason.strip():
        raise RequestError("invalid_request", "A protocol deviation needs its reason in words.")
    with course.refusals(subject_id, caller), course.subjects.acting(subject_id) as (session, chart):
        repeated = _find_repeated(chart, form, reason, token)
        if repeated is not None:
            return repeated
        course.check(chart, form, NewEntry("infusion", write_form(form), token))
        answer, parts, request = course.subjects.judge(chart, form.started, "infusion", recording=form)
        if course.find_refusal(chart, form, answer) is None:
            raise RequestError("invalid_request", NOT_AGAINST)
        stored = course.subjects.keep(session, chart, answer, parts, request, caller)
        said = replace(form, deviation=_describe(course, chart, form, answer, reason, stored.id))
        new = NewEntry("infusion", write_form(said), token, slot=slot_of(chart, form.infusion))
        check_entry(chart, new)
        done = course.subjects.add(session, chart, new, caller)
        assert done.entry is not None
        detail = {"infusion": form.infusion, "seal": done.entry.sha256}
        audit.append(session, course.service.clock(), caller.name, "deviation", f"Subject/{subject_id}", detail)
        if sign is not None:
            sign(session, f"Subject/{subject_id}", done.entry.sha256.encode())
        return done


def _describe(
    course: Course, chart: Chart, form: Infusion, answer: Assessment, reason: str, assessment: str
) -> Deviation:
    """What was against an infusion at its start."""
    assert answer.gate is not None
    fault = dose_checks.find_fault(chart, answer)
    unchecked = [] if fault is None else [dose_checks.AGAINST[fault]]
    against = [*answer.gate.because, *unchecked, *course.find_misfits(chart, form, answer)]
    return Deviation(answer.gate.decision, against, reason.strip(), assessment)


def _find_repeated(chart: Chart, form: Infusion, reason: str, token: str) -> Recorded | None:
    """The result of a form that was recorded before; the gate's answer of then stands as it was found first."""
    known = next((one for one in chart.entries if one.token == token), None)
    if known is None:
        return None
    if known.kind == "infusion":
        kept = read_form(known.content, Infusion)
        is_same = kept.deviation is not None and kept.deviation.reason == reason.strip()
        if is_same and replace(kept, deviation=None) == form:
            caused = next((one for one in chart.screenings if one.sequence == known.sequence), None)
            return Recorded(chart.subject, known, None if caused is None else caused.assessment_id, is_repeated=True)
    raise RequestError("conflict", "This form was recorded already with other answers: open a new one.")
