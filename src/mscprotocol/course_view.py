"""Where a course stands at an instant: the gate, who has checked the dose, what is signed, and what is still due."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from mscprotocol.answer import Assessment, GateResult, ScheduleRow
from mscprotocol.course_forms import DoseCheck, Infusion, Override
from mscprotocol.schedule import TAKEN_PLACE
from mscprotocol.subject_chart import Chart
from mscprotocol.subject_record import DueForm, next_infusion


@dataclass(frozen=True)
class CourseView:
    """Where a course stands at an instant: the answer behind the gate, and what is still to be done."""

    chart: Chart
    answer: Assessment
    gate: GateResult
    infusions: list[Infusion]
    checks: list[tuple[str, DoseCheck]]
    override: Override | None
    is_released: bool
    due: list[DueForm]
    binding: list[str]
    questions: list[str]

    @property
    def following(self) -> int:
        """The number of the infusion to be recorded next; the gate counts those that were charted elsewhere too."""
        return next_infusion(self.chart.standing)

    @property
    def schedule(self) -> list[ScheduleRow]:
        """The schedule; the next infusion is `released` while a clinician's signature for it is in force.

        An open gate alone releases nothing: a person does, who sets a hold aside or signs the answer as released.
        """
        rows = self.answer.schedule
        if self.override is None and not self.is_released:
            return rows
        return [msgspec.structs.replace(one, status="released") if self._is_next(one) else one for one in rows]

    def _is_next(self, row: ScheduleRow) -> bool:
        return row.infusion == self.following and row.status not in TAKEN_PLACE

    @property
    def is_open(self) -> bool:
        """Whether the next infusion may be recorded as far as the gate goes."""
        return self.gate.decision == "go" or self.override is not None
