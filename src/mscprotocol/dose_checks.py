"""The dose of the next infusion as two people worked it out, each alone: whether both did, and still agree."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

from mscprotocol.answer import Assessment
from mscprotocol.course_forms import DoseCheck, read_form
from mscprotocol.subject_chart import Chart
from mscprotocol.subject_record import next_infusion

Unchecked = Literal["missing", "different", "outdated"]
REFUSED: dict[Unchecked, str] = {
    "missing": "Two people work the dose out before the infusion is recorded.",
    "different": "The dose was worked out with different results: check it again.",
    "outdated": "The dose has changed since it was checked: check it again.",
}
# The same, as it stands beside the gate's reasons where an infusion was given all the same.
AGAINST: dict[Unchecked, str] = {
    "missing": "dose check: not made by two people",
    "different": "dose check: with different results",
    "outdated": "dose check: of another dose",
}


def list_checks(chart: Chart) -> list[tuple[str, DoseCheck]]:
    """Who worked out which dose for the next infusion, since its lot was last recorded."""
    following = next_infusion(chart.standing)
    lots = [one.sequence for one in chart.of_kind("lot")]
    found = [
        (one.actor, read_form(one.content, DoseCheck))
        for one in chart.of_kind("dose_check")
        if one.sequence > max(lots, default=0)
    ]
    return [(actor, form) for actor, form in found if form.infusion == following]


def find_fault(chart: Chart, answer: Assessment) -> Unchecked | None:
    """Why the dose of the next infusion does not count as checked; none if two people have the program's dose."""
    checks = dict(list_checks(chart))  # the last of each person
    if len(checks) < 2:
        return "missing"
    if len({_numbers(form) for form in checks.values()}) > 1:
        return "different"
    return None if all(fits(answer, form) for form in checks.values()) else "outdated"


def fits(answer: Assessment, form: DoseCheck) -> bool:
    """Whether numbers are those of the program; where the dose is withheld, it has none to compare."""
    if answer.dose.cells is None:
        return True
    return is_same_dose(form, DoseCheck(form.infusion, answer.dose.cells, answer.dose.volume_ml))


def is_same_dose(one: DoseCheck, other: DoseCheck) -> bool:
    """Whether two people have the same numbers, however they wrote them."""
    return _numbers(one) == _numbers(other)


def _numbers(form: DoseCheck) -> tuple[Decimal, Decimal | None]:
    return Decimal(form.cells), None if form.volume_ml is None else Decimal(form.volume_ml)
