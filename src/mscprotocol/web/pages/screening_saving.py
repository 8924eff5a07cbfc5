"""A screening saved to a subject of the trial: the export and the form as entries, then the stored assessment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from hashlib import sha256

from fhir_adapters.hl7v2_files import is_hl7v2
from fhir_adapters.plain_record import is_fhir
from mscprotocol.errors import RequestError
from mscprotocol.service import Caller, Service
from mscprotocol.store.subjects import NewEntry, find_by_number
from mscprotocol.subjects import NewSubject, Subjects
from mscprotocol.web.pages.screening_state import Screening


def save(service: Service, screening: Screening, fields: Mapping[str, str], caller: Caller) -> str:
    """Record all parts of a screening and give the id of the assessment; a second click gives the first one's.

    Raises RequestError for a screening that cannot be assessed or a number that is none, DataError as reading does.
    """
    if screening.answer is None or screening.request is None:
        raise RequestError("invalid_request", screening.error or "Nothing is said yet: there is nothing to save.")
    if not fields["subject"].strip():
        raise RequestError("invalid_request", "A screening is saved under the subject number of the trial: enter it.")
    subjects = Subjects(service)
    subject_id = _find_or_enrol(subjects, screening, fields, caller)
    request = screening.request
    repeated = {_is_repeated(subjects, subject_id, entry, caller) for entry in _entries(screening, fields)}
    if repeated == {True}:
        kept = subjects.chart(subject_id).screenings
        if kept:
            return kept[-1].assessment_id
    recorded = subjects.assess(subject_id, caller, request.stage, request.at)
    assert recorded.assessment_id is not None
    return recorded.assessment_id


def _find_or_enrol(subjects: Subjects, screening: Screening, fields: Mapping[str, str], caller: Caller) -> str:
    number, protocol = fields["subject"].strip(), screening.book.protocol.id
    with subjects.service.database.reading() as session:
        found = find_by_number(session, protocol, number)
    if found is not None:
        return found.id
    assert screening.request is not None
    new = NewSubject(number, protocol, screening.request.zone, fields["token"], screening.request.dose_level)
    return subjects.enrol(new, caller).subject.id


def _is_repeated(subjects: Subjects, subject_id: str, entry: NewEntry, caller: Caller) -> bool:
    """Record an entry, unless this very form recorded it before.

    The form's own time of evaluation is in its content, so that two clicks differ in it; the token tells them apart.
    """
    if _is_known(subjects, subject_id, entry):
        return True
    try:
        return subjects.record(subject_id, entry, caller, assess=False).is_repeated
    except RequestError:
        if _is_known(subjects, subject_id, entry):  # the other click was faster
            return True
        raise


def _is_known(subjects: Subjects, subject_id: str, entry: NewEntry) -> bool:
    return any(one.token == entry.token for one in subjects.chart(subject_id).entries)


def _entries(screening: Screening, fields: Mapping[str, str]) -> Iterator[NewEntry]:
    """The parts as entries. The token is of the page and of all that was typed: changed answers are another entry."""
    typed = sha256("\n".join(f"{name}={value}" for name, value in sorted(fields.items())).encode()).hexdigest()
    for number, content in enumerate(screening.parts):
        kind = "bundle" if is_hl7v2(content) or is_fhir(content) else "record"
        yield NewEntry(kind, content, f"{typed[:48]}-{number}")
