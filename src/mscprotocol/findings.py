"""record + knowledge + instant -> three-valued findings: the only place where `unknown` is born."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from datetime import datetime
from decimal import Decimal

import msgspec
from msgspec.structs import replace

from mscprotocol.attestation import may_act
from mscprotocol.changes import has_changed, is_far_enough
from mscprotocol.contradiction import find_contradictions
from mscprotocol.data_dictionary import Measurement as Datum
from mscprotocol.definitions import FindingDefinition
from mscprotocol.derived import DERIVATIONS
from mscprotocol.interval import Interval
from mscprotocol.knowledge import KnowledgeBase
from mscprotocol.knowledge_forms import (
    ChangeLeaf,
    ConditionLeaf,
    Expression,
    FindingLeaf,
    Group,
    Leaf,
    MeasurementLeaf,
    UnknownIf,
)
from mscprotocol.oxygen import is_level, support_at, support_in_force
from mscprotocol.oxygenation import MAYBE_CORRECTED
from mscprotocol.presence import find_presence, is_since
from mscprotocol.protocols import Stage
from mscprotocol.reasons import Reason, in_precedence
from mscprotocol.record import Measurement, PatientRecord
from mscprotocol.selection import Evidence, Selection, Taken, doubt_contradicted, find_latest, pair, within_window
from mscprotocol.series import PARTIAL, Series
from mscprotocol.timespan import TimeSpan, Window
from mscprotocol.truth import Truth, any_of, known


class Finding(msgspec.Struct, frozen=True):
    """One answered, or open, question about the patient, with the evidence that was looked at."""

    truth: Truth
    reasons: tuple[Reason, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    expires: datetime | None = None


# Why a value is a range, by the flag that says so; else it came as a bound.
_WIDENED = {PARTIAL: Reason.PARTIAL_DATE, MAYBE_CORRECTED: Reason.QUALIFIER_MISSING}
MISSING = Finding(Truth.UNKNOWN, (Reason.MISSING,))
ABSENT = Finding(Truth.NOT_MET)  # where no record means no


class Findings:
    """Answers leaves for one record at one instant and stage, once each; a lot's clocks run until `planned_end`."""

    def __init__(
        self,
        record: PatientRecord,
        knowledge: KnowledgeBase,
        at: datetime,
        stage: Stage,
        planned_end: datetime | None = None,
    ) -> None:
        self.knowledge, self.at, self.stage = knowledge, at, stage
        self.series = Series(record, knowledge, at, DERIVATIONS, planned_end)
        self._found: dict[int, Finding] = {}
        self._selected: dict[tuple[str, Window | None, str | None], Selection] = {}
        self._during: dict[tuple[str, TimeSpan], Taken] = {}
        self._inside: dict[tuple[str, Window | None], list[Measurement]] = {}

    def find(self, leaf: Leaf) -> Finding:
        """The finding of a measured leaf (measurement, condition or change)."""
        # Leaves belong to the rule base, which outlives every assessment, so their identity is a safe key.
        found = self._found.get(id(leaf))
        if found is None:
            found = self._found[id(leaf)] = self._measure(leaf)
        return found

    def truth_of(self, expression: Expression) -> Truth:
        """The truth of an expression over measured leaves, groups and findings, by Kleene logic."""
        match expression:
            case Group():
                return expression.combine([self.truth_of(member) for member in expression.members])
            case FindingLeaf(finding=name):
                return self.truth_of(self._definition(name).when)
            case UnknownIf(unknown_if=name):
                found = self.truth_of(self._definition(name).when)
                return found if found is Truth.NOT_MET else Truth.UNKNOWN
            case _:
                return self.find(expression).truth

    def defined(self, name: str) -> Truth:
        """The truth of a finding that rests on measured leaves."""
        return self.truth_of(self._definition(name).when)

    def presence(self, name: str) -> Finding:
        """Whether something of the conditions is present now."""
        return self._presence(ConditionLeaf(condition=name))

    def shelf_life(self, name: str) -> Window | None:
        """How old a measurement may be at this stage."""
        ages = self.knowledge.measurements[name].max_age
        return ages.infusion if self.stage == "infusion" else ages.screening

    def select(self, name: str, window: Window | None = None, during: str | None = None) -> Selection:
        """The newest usable value of a measurement; look-alike codes and later values explain an empty one.

        With `during` it is the newest that may have been taken under that oxygen support, if it surely was.
        """
        key = (name, window, during)
        found = self._selected.get(key)
        if found is None:
            selected = self._select(name, window, self._points_during(name, during))
            if during is not None:
                selected = pair(selected, self.series.points(name), lambda point: self._was_during(during, point))
            found = self._selected[key] = selected
        return found

    def exact_number(self, name: str) -> Decimal | None:
        """The chosen value of a measurement where it is exactly known."""
        chosen = self.select(name).chosen
        return None if chosen is None or chosen.value is None else chosen.value.exact

    def _points_during(self, name: str, during: str | None) -> Sequence[Measurement]:
        points = self.series.points(name)
        if during is None:
            return points
        return [point for point in points if self._was_during(during, point)[0] is not Truth.NOT_MET]

    def _was_during(self, during: str | None, point: Measurement) -> Taken:
        """Whether a value was taken under an oxygen support, with the chartings that tell."""
        if during is None:
            return Truth.MET, ()
        when = self._definition(during).when
        assert isinstance(when, MeasurementLeaf)
        if point.time is None or when.answer is None:
            return Truth.UNKNOWN, ()
        found = self._during.get((during, point.time))
        if found is None:
            found = self._during[during, point.time] = support_in_force(self.series, point.time, when.answer)
        return found

    def _select(self, name: str, window: Window | None, points: Sequence[Measurement]) -> Selection:
        found = find_latest(points, window or self.shelf_life(name), self.at)
        if found.chosen is None and found.reason is Reason.MISSING:
            return self._explain_missing(name, found)
        if found.chosen is not None and self._has_newer_unmapped(name, found.chosen):
            return Selection(None, Reason.CODE_UNMAPPED, found.evidence)
        confounder = self.knowledge.measurements[name].confounded_by
        if found.chosen is not None and confounder is not None and may_act(self.series, confounder):
            evidence = tuple(Evidence(item.entry, used=False, why_not=Reason.CONFOUNDED) for item in found.evidence)
            return Selection(None, Reason.CONFOUNDED, evidence)
        return found

    def usable(self, leaf: MeasurementLeaf) -> list[Measurement]:
        """The values that surely lie in the window of a leaf and could answer it, the newest first."""
        window = leaf.within or self.shelf_life(leaf.measurement)
        return [
            point
            for point in self._points_inside(leaf.measurement, window)
            if point.problem is None and point.value is not None and self._counts(leaf, point, window)
        ]

    def find_by(self, leaf: MeasurementLeaf, point: Measurement) -> Finding:
        """What a leaf would say if one value were all there is; a value that it does not read changes nothing."""
        window = leaf.within or self.shelf_life(leaf.measurement)
        if not self._counts(leaf, point, window) or point.time is None:
            return self.find(leaf)
        truth, reason = self._judge(leaf, self.knowledge.measurements[leaf.measurement], point, window)
        if truth is Truth.UNKNOWN:
            return _open(reason or Reason.MISSING, [Evidence(point, used=False)])
        expires = None if window is None else window.expiry(point.time.earliest)
        return Finding(truth, (), (Evidence(point, used=True),), expires)

    def supposing(self, answers: Mapping[int, Finding]) -> Findings:
        """The same findings with some leaves, by their identity, answered otherwise."""
        other = copy(self)
        other._found = {**self._found, **answers}
        return other

    def _counts(self, leaf: MeasurementLeaf, point: Measurement, window: Window | None) -> bool:
        """Whether a value surely lies in the window of a leaf, and is none that the leaf sets aside."""
        if point.time is None or point.flags.intersection(leaf.set_aside):
            return False
        is_inside = within_window(point.time, window, self.at) is Truth.MET
        is_since = self._is_since(leaf, point) is Truth.MET
        return is_inside and is_since and self._was_during(leaf.during, point)[0] is Truth.MET

    def _is_since(self, leaf: MeasurementLeaf, point: Measurement) -> Truth:
        return Truth.MET if leaf.not_before is None else is_since(self.series, leaf.not_before, point)

    def _definition(self, name: str) -> FindingDefinition:
        definition = self.knowledge.definitions[name]
        assert isinstance(definition, FindingDefinition)
        return definition

    def _has_newer_unmapped(self, name: str, chosen: Measurement) -> bool:
        """Whether a code outside the dictionary, which looks like the datum, may be newer than the chosen value."""
        names = {name, *self.knowledge.measurements[name].made_of}
        return any(
            names & set(one.relevant)
            and (one.time is None or chosen.time is None or one.time.latest > chosen.time.latest)
            and not (one.time is not None and one.time.is_after(self.at))
            for one in self.series.record.unmapped
        )

    def _explain_missing(self, name: str, found: Selection) -> Selection:
        if self.series.record.unmapped and any(name in unmapped.relevant for unmapped in self.series.record.unmapped):
            return replace(found, reason=Reason.CODE_UNMAPPED)
        if later := self.series.later(name):
            evidence = tuple(Evidence(entry, used=False, why_not=Reason.AFTER_EVALUATION) for entry in later)
            return Selection(None, Reason.AFTER_EVALUATION, evidence)
        return found

    def _measure(self, leaf: Leaf) -> Finding:
        match leaf:
            case MeasurementLeaf():
                return self._unless_denied(leaf, self._measurement(leaf))
            case ConditionLeaf():
                return self._presence(leaf)
            case ChangeLeaf():
                return self._change(leaf)
            case _:
                raise TypeError(f"not a measured leaf: {type(leaf).__name__}")

    # -- measurements --

    def _unless_denied(self, leaf: MeasurementLeaf, found: Finding) -> Finding:
        """An answer that shows a disease settles nothing once the disease was denied, or ended."""
        contrary = find_contradictions(self.series, leaf, found.evidence, self.at) if found.truth is Truth.MET else ()
        reasons = in_precedence(one.why_not for one in contrary if one.why_not)
        return _open(reasons[0], (*found.evidence, *contrary)) if reasons else found

    def _is_unmentioned(self, name: str) -> bool:
        """Whether nothing on record, of whatever time, is or may be a value of a measurement."""
        record = self.series.record
        return not record.unmapped and name not in record.measurements and not self.series.points(name)

    def _is_hinted_at(self, definition: Datum) -> bool:
        """Whether something is on record from which the datum may be inferred, though it leaves all open."""
        names = (one.measurement for one in definition.inferred)
        return any(name is not None and self.series.charted(name) for name in names)

    def _measurement(self, leaf: MeasurementLeaf) -> Finding:
        definition = self.knowledge.measurements[leaf.measurement]
        if self._is_unmentioned(leaf.measurement):
            return ABSENT if leaf.no_record and not self._is_hinted_at(definition) else MISSING
        if leaf.worst or definition.select == "any":
            return self._any_in_window(leaf, definition)
        selection = self.select(leaf.measurement, leaf.within, leaf.during)
        if leaf.no_record and selection.reason is Reason.MISSING and not self._is_hinted_at(definition):
            return Finding(Truth.NOT_MET, (), selection.evidence)
        if selection.chosen is None:
            return _open(selection.reason or Reason.MISSING, selection.evidence)
        truth, reason = self._answer(leaf, definition, selection.chosen)
        if (since := self._is_since(leaf, selection.chosen)) is not Truth.MET:
            truth, reason = Truth.UNKNOWN, Reason.STALE if since is Truth.NOT_MET else Reason.PARTIAL_DATE
        if truth is Truth.UNKNOWN:
            return _open(reason, selection.evidence)
        return Finding(truth, (), selection.evidence, selection.expires)

    def _any_in_window(self, leaf: MeasurementLeaf, definition: Datum) -> Finding:
        """Any value of the window that meets the leaf settles it; none, only if every value is usable."""
        window = leaf.within or self.shelf_life(leaf.measurement)
        every = self._points_inside(leaf.measurement, window)
        inside = [point for point in every if not point.flags.intersection(leaf.set_aside)]
        if every and not inside:
            return _open(Reason.NEEDS_REVIEW, [Evidence(point, used=False) for point in every])
        if not inside:
            selection = self.select(leaf.measurement, window)
            return _open(selection.reason or Reason.MISSING, selection.evidence)
        singly = [(point, *self._judge_during(leaf, definition, point, window)) for point in inside]
        judged = doubt_contradicted(singly) if leaf.worst else singly
        truth = any_of(truth for _, truth, _ in judged)
        evidence = tuple(
            Evidence(point, used=reason is None and found is not Truth.UNKNOWN, why_not=reason)
            for point, found, reason in judged
        )
        for _, chartings in (self._was_during(leaf.during, point) for point in inside):
            evidence += tuple(Evidence(one, used=truth is not Truth.UNKNOWN) for one in chartings)
        if truth is Truth.UNKNOWN:
            return Finding(truth, in_precedence([r for _, found, r in judged if found is truth and r]), evidence)
        deciding = [p for p, found, _ in judged if found is truth and p.time is not None]
        ends = [window.expiry(p.time.earliest) for p in deciding if window is not None and p.time is not None]
        return Finding(truth, (), evidence, max(ends, default=None))

    def _points_inside(self, name: str, window: Window | None) -> list[Measurement]:
        """The values that may lie in a window."""
        found = self._inside.get((name, window))
        if found is None:
            found = self._inside[name, window] = [
                point
                for point in self.series.points(name)
                if point.time is not None
                and within_window(point.time, window, self.at) is not Truth.NOT_MET
                and point.problem is not Reason.MISSING
            ]
        return found

    def _judge_during(
        self, leaf: MeasurementLeaf, definition: Datum, point: Measurement, window: Window | None
    ) -> tuple[Truth, Reason | None]:
        """What one value says, taken under the oxygen support asked for; one that surely was not says no."""
        taken, _ = self._was_during(leaf.during, point)
        truth, reason = self._judge(leaf, definition, point, window)
        if Truth.NOT_MET in (taken, truth):
            return Truth.NOT_MET, None
        return (truth, reason) if taken is Truth.MET else (Truth.UNKNOWN, reason or Reason.UNPAIRED)

    def _judge(
        self, leaf: MeasurementLeaf, definition: Datum, point: Measurement, window: Window | None
    ) -> tuple[Truth, Reason | None]:
        if point.problem is not None:
            return Truth.UNKNOWN, point.problem
        if definition.confounded_by is not None and may_act(self.series, definition.confounded_by):
            return Truth.UNKNOWN, Reason.CONFOUNDED
        truth, reason = self._answer(leaf, definition, point)
        if point.time is not None and within_window(point.time, window, self.at) is Truth.UNKNOWN:
            return (truth, None) if truth is Truth.NOT_MET else (Truth.UNKNOWN, Reason.PARTIAL_DATE)
        return truth, reason if truth is Truth.UNKNOWN else None

    def _answer(self, leaf: MeasurementLeaf, definition: Datum, point: Measurement) -> tuple[Truth, Reason]:
        """What one usable value says about a leaf, and the reason should it say nothing."""
        if leaf.unless is not None and self.truth_of(self._definition(leaf.unless).when) is Truth.MET:
            return Truth.UNKNOWN, Reason.CONFOUNDED
        if leaf.known:
            return Truth.MET, Reason.MISSING
        if leaf.comparison is None:
            return self._named_answer(leaf, definition, point), Reason.NEEDS_REVIEW
        if point.value is None:
            return Truth.UNKNOWN, Reason.MISSING
        if leaf.received_in and point.native_unit not in leaf.received_in:
            return Truth.NOT_MET, Reason.MISSING
        truth = self._compare(leaf, point.value)
        if truth is Truth.NOT_MET and leaf.not_met_needs is not None and not self._has_qualifier(leaf, point):
            return Truth.UNKNOWN, Reason.QUALIFIER_MISSING
        return truth, next((why for flag, why in _WIDENED.items() if flag in point.flags), Reason.COMPARATOR)

    def _compare(self, leaf: MeasurementLeaf, value: Interval) -> Truth:
        """A value in canonical unit against the threshold of a leaf."""
        operator, threshold = self.knowledge.thresholds[id(leaf)]
        answer: Truth = getattr(value, operator)(threshold)
        return answer

    def _named_answer(self, leaf: MeasurementLeaf, definition: Datum, point: Measurement) -> Truth:
        wanted = leaf.answer or ()
        if definition.kind == "ordinal":
            return is_level(self.series, point, wanted)
        if point.answer in wanted:
            return Truth.MET
        excluded = tuple(definition.answers) if leaf.not_answer is None else leaf.not_answer
        return known(False) if point.answer in excluded else Truth.UNKNOWN

    def _has_qualifier(self, leaf: MeasurementLeaf, point: Measurement) -> bool:
        """Whether the state that a negative answer needs was charted at the time of the value."""
        needed = self._definition(leaf.not_met_needs or "").when
        if not isinstance(needed, MeasurementLeaf) or needed.answer is None or point.time is None:
            return self.truth_of(needed) is Truth.MET
        return support_at(self.series, point.time, needed.answer) is Truth.MET

    # -- conditions and changes --

    def _presence(self, leaf: ConditionLeaf) -> Finding:
        found = find_presence(self.series, leaf, self.at, self.shelf_life)
        return Finding(found.truth, found.reasons, found.evidence, found.expires)

    def _change(self, leaf: ChangeLeaf) -> Finding:
        selection = self.select(leaf.change)
        latest = selection.chosen
        if latest is None or latest.time is None or latest.value is None:
            return _open(selection.reason or Reason.MISSING, selection.evidence)
        earlier = [
            point
            for point in self.series.points(leaf.change)
            if point is not latest
            and point.time is not None
            and point.time.latest < latest.time.earliest
            and within_window(point.time, leaf.over, latest.time.latest) is Truth.MET
            and point.value is not None
            and point.problem is None
            and point.assay == latest.assay
        ]
        truths = [has_changed(leaf, point.value, latest.value) for point in earlier if point.value is not None]
        evidence = (*selection.evidence, *(Evidence(point, used=True) for point in earlier))
        truth = any_of(truths) if truths else Truth.UNKNOWN
        if truth is Truth.NOT_MET and not is_far_enough(leaf, latest, earlier):
            truth = Truth.UNKNOWN
        if truth is Truth.UNKNOWN:
            return _open(Reason.COMPARATOR if Truth.UNKNOWN in truths else Reason.INSUFFICIENT_POINTS, evidence)
        return Finding(truth, (), evidence, selection.expires)


def _open(reason: Reason, evidence: Sequence[Evidence]) -> Finding:
    unused = tuple([Evidence(item.entry, used=False, why_not=item.why_not or reason) for item in evidence])
    return Finding(Truth.UNKNOWN, (reason,), unused)
