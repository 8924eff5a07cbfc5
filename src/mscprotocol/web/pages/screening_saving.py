"""A screening saved to a subject of the trial: the export and the form as entries with the assessment, or nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from hashlib import sha256

from fhir_adapters.hl7v2_files import is_hl7v2
from fhir_adapters.plain_record import is_fhir, parse_record
from mscprotocol.course_effects import find_taken_away
from mscprotocol.course_questions import DECISIONS, UNDECIDED
from mscprotocol.errors import RequestError
from mscprotocol.roles import CLINICIANS
from mscprotocol.service import Service
from mscprotocol.store.subjects import NewEntry
from mscprotocol.subject_chart import Chart, Recorded, reached_stage
from mscprotocol.subjects import NewSubject, Subjects
from mscprotocol.timespan import CLOCK_TOLERANCE
from mscprotocol.web.pages.people import Person
from mscprotocol.web.pages.screening_slips import find_slips
from mscprotocol.web.pages.screening_state import Screening, refuse

TAKEN_AWAY = (
    "What is set aside here takes away what is against the next infusion of this course ({}): a clinician saves it."
)
STILL_TO_COME = "The time that was asked for is still to come: what follows then can be looked at, and not be saved."


def save(service: Service, screening: Screening, fields: Mapping[str, str], person: Person) -> Recorded:
    """Record all parts of a screening, and give what that left behind with its assessment; a second click the same.

    Raises RequestError for a screening that cannot be assessed or a number that is none, DataError as reading does.
    """
    if screening.answer is None or screening.request is None:
        text = screening.error or "Nothing is said yet: there is nothing to save."
        raise RequestError("invalid_request", text, screening.at_fault)
    if not fields["subject"].strip():
        raise RequestError("invalid_request", "A screening is saved under the subject number of the trial: enter it.")
    if screening.request.at > service.clock() + CLOCK_TOLERANCE:
        raise RequestError("invalid_request", STILL_TO_COME, "at")
    refuse(find_slips(screening.typed, screening.form))
    request, number, protocol = screening.request, fields["subject"].strip(), screening.book.protocol.id
    # Whoever goes back and saves the same page under another number means another subject.
    token = sha256("\n".join((fields["token"], protocol, number)).encode()).hexdigest()
    new = NewSubject(number, protocol, request.zone, token, request.dose_level)
    entries = list(_entries(screening, fields))
    subjects = Subjects(service)

    def check(before: Chart, after: Chart) -> None:
        """As along the course, nobody but a clinician takes away a reason of the gate, or decides to go on."""
        if CLINICIANS & person.roles:
            return
        if reached_stage(after) == "infusion" and any(map(_decides, screening.parts)):
            raise RequestError("forbidden", UNDECIDED)
        if screening.upload is None or not screening.asides:
            return
        came = NewEntry(_kind_of(screening.upload), screening.upload, "")
        taken = find_taken_away(subjects, before, after, came, service.clock())
        if taken:
            raise RequestError("forbidden", TAKEN_AWAY.format("; ".join(taken)))

    return subjects.screen(new, entries, person.caller, request.stage, request.at, check)


def _entries(screening: Screening, fields: Mapping[str, str]) -> Iterator[NewEntry]:
    """The parts as entries. The token is of the page and of all that was typed: changed answers are another entry.

    The form's own time of evaluation is in its content, so that two clicks differ in it; the token tells them apart.
    """
    typed = sha256("\n".join(f"{name}={value}" for name, value in sorted(fields.items())).encode()).hexdigest()
    for number, content in enumerate(screening.parts):
        yield NewEntry(_kind_of(content), content, f"{typed[:48]}-{number}")


def _decides(content: bytes) -> bool:
    """Whether a record of ours says anything but no or unknown of what is a clinician's to decide."""
    if _kind_of(content) != "record":
        return False
    record = parse_record(content)
    said = [(one.name, str(one.answer)) for one in record.answers]
    said += [(one.name or one.code or "", one.status or "") for one in record.conditions]
    decided = (what for name, what in said if any(one in name for one in DECISIONS))
    return any(what.strip().lower() not in ("no", "unknown", "refuted") for what in decided)


def _kind_of(content: bytes) -> str:
    return "bundle" if is_hl7v2(content) or is_fhir(content) else "record"
