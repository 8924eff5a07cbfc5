"""What a form of a course must keep to before it is recorded: its times, its infusion, its lot and its volume."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from fhir_adapters.times import parse_time
from mscprotocol.answer import Assessment
from mscprotocol.course_effects import plain_lot
from mscprotocol.course_forms import Death, Events, Form, Infusion, Lot, read_form
from mscprotocol.errors import RequestError
from mscprotocol.protocols import Practice
from mscprotocol.schedule import length
from mscprotocol.store.subjects import NewEntry
from mscprotocol.store.tables import SubjectEntry
from mscprotocol.subject_chart import Chart
from mscprotocol.subject_record import CourseRules, next_infusion, read_infusions, recorded_lot
from mscprotocol.timespan import CLOCK_TOLERANCE, TimeSpan, instant

BEFORE = "before"  # the questions asked again at the gate, beside those that are due after an infusion
ENTERED_IN_ERROR = "entered-in-error"
FILED = (
    "This form is on record for this infusion, as entry {}: correct that one, or set it aside as entered in error. "
    "What is seen later goes into the form of a later time, or into “before”."
)
_DONE = ("started", "ended", "observed", "given", "at")
_NOT_AS_CHECKED = (
    "This infusion is not the one that gate and dose check were about ({}): put it right, if it is a slip."
)


class FiledError(RequestError):
    """A second form of a point of an infusion, whose answers could take back those of the first, by its id."""

    def __init__(self, entry: SubjectEntry) -> None:
        super().__init__("conflict", FILED.format(entry.sequence), "point")
        self.entry = entry.id


@dataclass(frozen=True)
class CourseChecks:
    """The checks of one subject's course at the instant of the recording."""

    rules: CourseRules
    practice: Practice
    now: datetime

    def check(self, chart: Chart, form: Form, new: NewEntry) -> None:
        """Refuse what lies outside the time of a course, or is not about the infusion that it could be about."""
        self._check_times(form)
        if isinstance(form, Infusion):
            self._check_volume(form)
        if isinstance(form, Death) and new.supersedes is None and chart.of_kind("death"):
            raise RequestError("conflict", "A death stands recorded: correct that entry, if it is wrong.")
        number = getattr(form, "infusion", None)
        if number is None:
            return
        if isinstance(form, Events):
            self._check_events(chart, form)
            filed = None if new.supersedes is not None else self.rules.find_filed(chart.standing, form)
            if filed is not None:
                raise FiledError(filed)
        if new.supersedes is not None:
            _check_replaced(chart, form, new)
        elif not isinstance(form, Events) and number != next_infusion(chart.standing):
            following = next_infusion(chart.standing)
            raise RequestError("conflict", f"The next infusion is number {following}: look at the record again.")
        if isinstance(form, Infusion):
            _refuse_disorder(chart, form)

    def _check_times(self, form: Form) -> None:
        """What was done lies in the past, and neither it nor a plan before any course could have begun.

        A datum of a lot may have been measured long ago, as cells are frozen for years; what is said of the lot is not.
        """
        latest, first = self.now + CLOCK_TOLERANCE, self.now - length(self.practice.typed_within)
        for one in _times(form):
            if one.is_done and one.time.earliest > latest:
                text = "What was done lies in the past: the time given is still to come."
                raise RequestError("invalid_request", one.about + text, one.field)
            if one.is_of_course and one.time.latest < first:
                text = f"A time lies more than {self.practice.typed_within.value} back: check its year."
                raise RequestError("invalid_request", one.about + text, one.field)

    def _check_volume(self, form: Infusion) -> None:
        """An infusion that gave less than was planned was stopped, and says why."""
        if (
            form.status == "completed"
            and form.volume_ml is not None
            and Decimal(form.volume_ml) < self.practice.volume_limits[0]
        ):
            text = "Less than the planned volume was given: the infusion was stopped. Say so, and why."
            raise RequestError("invalid_request", text, "volume_ml")

    def _check_events(self, chart: Chart, form: Events) -> None:
        """A form is of a point that the rules name, and observed when that point had come."""
        about = next((one for one in read_infusions(chart.standing) if one.infusion == form.infusion), None)
        if about is None:
            raise RequestError("invalid_request", "No infusion of that number was recorded.")
        if form.point != BEFORE and form.point not in self.rules.forms:
            raise RequestError("invalid_request", "There is no event form of that name.", "point")
        if form.observed < self.rules.opens(about, form.point):
            text = "It was seen before the time of this form: choose the form whose time had come, or wait for it."
            raise RequestError("invalid_request", text, "observed")

    def find_misfits(self, chart: Chart, form: Infusion, answer: Assessment) -> Iterator[str]:
        """How an infusion differs from the one that the gate of its start and the dose check were about."""
        assert answer.gate is not None
        if answer.gate.infusion != form.infusion:
            yield "number: the record holds another number of infusions before its start"
        lot = recorded_lot(chart.standing)
        if lot is None:
            yield "lot: none was recorded for this infusion"
        elif not form.lot:
            yield "lot: not said"
        elif plain_lot(form.lot) != plain_lot(lot):
            yield "lot: another one than was recorded for this infusion"
        if form.volume_ml is not None and Decimal(form.volume_ml) > self.practice.volume_limits[1]:
            yield "volume: more than was planned"


@dataclass(frozen=True)
class _Time:
    """A time that a form states: of what was done or is planned, and whether it belongs to the course itself."""

    time: TimeSpan
    field: str = ""
    about: str = ""
    is_done: bool = True
    is_of_course: bool = True


def _times(form: Form) -> Iterator[_Time]:
    """Every time of a form. Those of a lot stand in the words of its file: their errors name them, and no field."""
    for name in (*_DONE, "start"):
        moment = getattr(form, name, None)
        if moment is not None:
            yield _Time(instant(moment), name, is_done=name in _DONE)
    product = form.product if isinstance(form, Lot) else {}
    for name, said in product.items():
        own = said.get("at") if isinstance(said, Mapping) else said if name == "at" else None
        found = None if own is None else parse_time(str(own))
        if found is not None:
            about = "The lot" if name == "at" else name.replace("_", " ").capitalize()
            yield _Time(found, about=f"{about}: ", is_of_course=name == "at")


def refuse_misfits(misfits: list[str]) -> RequestError | None:
    """The refusal of an infusion that is not as it was checked; none if it is."""
    return RequestError("not_as_checked", _NOT_AS_CHECKED.format("; ".join(misfits))) if misfits else None


def _check_replaced(chart: Chart, form: Form, new: NewEntry) -> None:
    replaced = next(one for one in chart.standing if one.id == new.supersedes)
    before = read_form(replaced.content, type(form))
    if getattr(before, "infusion", None) != getattr(form, "infusion", None):
        raise RequestError("invalid_request", "A correction is about the same infusion.")


def _refuse_disorder(chart: Chart, form: Infusion) -> None:
    """Refuse an infusion that would leave a gap in the numbers, or begin before an earlier one."""
    others = [one for one in read_infusions(chart.standing) if one.infusion != form.infusion]
    if form.status == ENTERED_IN_ERROR and any(one.infusion > form.infusion for one in others):
        raise RequestError("conflict", "A later infusion is recorded: correct that one first.")
    if any((one.infusion < form.infusion) != (one.started < form.started) for one in others):
        text = "By its start the infusion would not be of this number any more."
        raise RequestError("invalid_request", text, "started")
