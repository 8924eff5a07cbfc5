"""All that is kept of one subject, how far its course has come, and what may be recorded next to it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from mscprotocol.answer import Assessment
from mscprotocol.course_forms import FORMS, Death, read_form
from mscprotocol.errors import RequestError
from mscprotocol.protocols import Stage
from mscprotocol.store.subjects import IN_ERROR, REINSTATED, NewEntry, newest_of, standing
from mscprotocol.store.tables import Screening, Subject, SubjectEntry

ASIDE = "entered in error"
_STATES = {IN_ERROR: ASIDE, REINSTATED: "stands"}


@dataclass(frozen=True)
class Chart:
    """All that is kept of one subject: what stands, what was replaced, and every assessment, oldest first."""

    subject: Subject
    entries: list[SubjectEntry]
    screenings: list[Screening]

    @property
    def standing(self) -> list[SubjectEntry]:
        """The entries that count."""
        return standing(self.entries)

    def state_of(self, entry: SubjectEntry) -> str:
        """What became of an entry: it stands, was corrected by a later one, or was entered in error."""
        newest = newest_of(self.entries, entry)
        return "stands" if newest is entry else _STATES.get(newest.kind, "corrected")

    @property
    def last(self) -> Screening | None:
        """The newest assessment."""
        return self.screenings[-1] if self.screenings else None

    def of_kind(self, kind: str) -> list[SubjectEntry]:
        """The standing entries of one kind, oldest first."""
        return [one for one in self.standing if one.kind == kind]


@dataclass(frozen=True)
class Recorded:
    """What an action left behind; `is_repeated` when the form had been recorded before."""

    subject: Subject
    entry: SubjectEntry | None = None
    assessment_id: str | None = None
    answer: Assessment | None = None
    is_repeated: bool = False


def died_at(chart: Chart) -> datetime | None:
    """When the patient died, if a death stands recorded here."""
    deaths = chart.of_kind("death")
    return read_form(deaths[-1].content, Death).at if deaths else None


def reached_stage(chart: Chart) -> Stage:
    """How far a course has come: a lot or an infusion makes it `infusion`, a consent `enrolment`."""
    kinds = {one.kind for one in chart.standing}
    if kinds & {"lot", "infusion"}:
        return "infusion"
    return "enrolment" if "consent" in kinds else "screening"


def find_repeated(chart: Chart, new: NewEntry) -> Recorded | None:
    """The result of a form that was recorded before: a second click records nothing."""
    for entry in chart.entries:
        if entry.token == new.token:
            if (entry.kind, entry.content) != (new.kind, new.content):
                raise RequestError("conflict", "This form was recorded already with other answers: open a new one.")
            return Recorded(chart.subject, entry, caused_by(chart, entry), is_repeated=True)
    return None


def caused_by(chart: Chart, entry: SubjectEntry) -> str | None:
    """The first assessment that an entry caused, by its id."""
    return next((one.assessment_id for one in chart.screenings if one.sequence == entry.sequence), None)


def check_entry(chart: Chart, new: NewEntry) -> None:
    """Refuse an entry that is malformed, or replaces what is not there or was replaced already."""
    if new.kind in FORMS:
        read_form(new.content, FORMS[new.kind])
    if new.supersedes is None:
        return
    if not new.reason:
        raise RequestError("invalid_request", "A correction needs a reason.")
    replaced = next((one for one in chart.standing if one.id == new.supersedes), None)
    if replaced is None:
        raise RequestError("conflict", "What is to be corrected was corrected already: look at the record again.")
    if replaced.kind != new.kind:
        raise RequestError("invalid_request", "A correction is of the same kind as what it corrects.")
