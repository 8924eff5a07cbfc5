"""What would settle what is open: each missing datum once, with how to obtain it and which way it could turn."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

import msgspec

from mscprotocol.answer import Assessment, NeededItem
from mscprotocol.case import GATING, MET, NOT_MET, TRIGGERS, Case, Judgement
from mscprotocol.definitions import Score
from mscprotocol.findings import Findings
from mscprotocol.inference import reconsider
from mscprotocol.knowledge import KnowledgeBase
from mscprotocol.knowledge_forms import (
    ChangeLeaf,
    ConditionLeaf,
    Leaf,
    MeasurementLeaf,
    ScoreLeaf,
    walk_leaves,
)
from mscprotocol.protocols import Criterion
from mscprotocol.reasons import Reason, in_precedence
from mscprotocol.rulebook import Rulebook
from mscprotocol.wording import describe_leaf


class Datum(msgspec.Struct, frozen=True):
    """A datum that a person can obtain: how it is called, how it is ordered, and whether the bedside can tell."""

    id: str
    text: str
    codes: tuple[str, ...]
    is_bedside: bool


@dataclass
class _Need:
    datum: Datum
    reasons: set[Reason] = field(default_factory=set)
    settles: dict[str, None] = field(default_factory=dict)
    could: set[str] = field(default_factory=set)


def find_needs(case: Case) -> list[NeededItem]:
    """The data that are open, those first which could exclude, then those which settle most."""
    needs: dict[str, _Need] = {}
    for judgement in case.judgements:
        if judgement.is_open and (judgement.is_mandatory or judgement.criterion.role in GATING):
            _collect(case, judgement, needs)
    by = valid_until(case.judgements)
    order = {one.id: place for place, one in enumerate(case.judgements)}
    ranked = sorted(
        needs.values(),
        key=lambda need: ("exclude" not in need.could, -len(need.settles), order[next(iter(need.settles))]),
    )
    return [
        NeededItem(
            id=need.datum.id,
            datum=need.datum.text,
            codes=list(need.datum.codes),
            reason=in_precedence(need.reasons)[0].value,
            settles=list(need.settles),
            could=sorted(need.could, reverse=True),
            bedside=need.datum.is_bedside,
            by=None if by is None else by[0].astimezone(case.request.at.tzinfo).isoformat(),
        )
        for need in ranked
    ]


def valid_until(judgements: list[Judgement]) -> tuple[datetime, str] | None:
    """The first instant at which a decided mandatory criterion could change without new data, and which one."""
    ends = [(one.expires, one.id) for one in judgements if one.is_mandatory and one.expires is not None]
    return min(ends, default=None)


def has_expired(answer: Assessment, at: datetime) -> bool:
    """Whether something that an answer decided lapsed by an instant, so that it holds no longer."""
    return answer.valid_until is not None and datetime.fromisoformat(answer.valid_until) <= at


def is_bedside(book: Rulebook, findings: Findings, leaf_key: str) -> bool:
    """Whether everything that a leaf lacks can be answered at the bedside."""
    data = data_behind(book, book.leaves[leaf_key], findings)
    return bool(data) and all(datum.is_bedside for datum in data)


def data_behind(book: Rulebook, leaf: Leaf, findings: Findings) -> tuple[Datum, ...]:
    """The data that a person would obtain to answer a leaf."""
    if not isinstance(leaf, ScoreLeaf):
        return book.once(("data", id(leaf)), lambda: tuple(data_of(book.knowledge, leaf)))
    rows = book.once(("rows", id(leaf)), lambda: tuple(_rows_behind(book.knowledge, leaf)))
    return tuple(dict.fromkeys([datum for one, data in rows if findings.find(one).reasons for datum in data]))


def _rows_behind(knowledge: KnowledgeBase, leaf: ScoreLeaf) -> Iterator[tuple[Leaf, tuple[Datum, ...]]]:
    """The measured leaves that a score's items rest on, with the data that answer them."""
    score = knowledge.definitions[leaf.score]
    assert isinstance(score, Score)
    for row in (row for item in leaf.items or score.items for row in score.items[item].rows):
        for one in walk_leaves(row.when):
            if isinstance(one, ScoreLeaf):
                yield from _rows_behind(knowledge, one)
            elif isinstance(one, MeasurementLeaf | ConditionLeaf):
                yield one, tuple(data_of(knowledge, one))


def data_of(knowledge: KnowledgeBase, leaf: Leaf) -> Iterator[Datum]:
    """The data that answer a measured leaf."""
    match leaf:
        case MeasurementLeaf(measurement=name):
            yield from _measured(knowledge, name)
        case ConditionLeaf(condition=name):
            condition = knowledge.conditions[name]
            codes = tuple(str(coded.code) for coded in condition.codes[:3])
            yield Datum(name, condition.text, codes, condition.attestable)
        case ChangeLeaf(change=name):
            datum = next(_measured(knowledge, name))
            yield Datum(f"{name}_change", describe_leaf(knowledge, leaf), datum.codes, is_bedside=False)


def _measured(knowledge: KnowledgeBase, name: str) -> Iterator[Datum]:
    measurement = knowledge.measurements[name]
    if measurement.made_of:
        for part in measurement.made_of:
            yield from _measured(knowledge, part)
        return
    code = measurement.order or (measurement.codes[0].code if measurement.codes else None)
    text = measurement.text + (" with its upper limit of normal" if measurement.upper_limit else "")
    yield Datum(name, text, () if code is None else (str(code),), measurement.bedside)


def _collect(case: Case, judgement: Judgement, needs: dict[str, _Need]) -> None:
    reading = case.book.readings.get(judgement.id)
    if reading is not None and reading.conclusion == case.book.protocol.trend:
        for datum in _trend_data(case):
            _add(needs, datum, judgement, judgement.reasons, {"exclude", "allow"})
        return
    for key in judgement.open_leaves:
        could = _could(case, judgement, key)
        for datum in data_behind(case.book, case.book.leaves[key], case.findings):
            reasons = case.conclusions.findings[key].reasons
            # Whether it is there at all is disputed: when it began comes after.
            is_disputed = Reason.CONFLICT in reasons
            asked = datum if is_disputed else asked_as(datum, case.book.leaves[key], judgement.id, judgement.criterion)
            _add(needs, asked, judgement, reasons, could)
    if not judgement.open_leaves:
        _add(needs, review_of(judgement.id), judgement, judgement.reasons, {"exclude", "allow"})


def review_of(criterion: str) -> Datum:
    """The answer of a named clinician to a criterion itself."""
    return Datum(criterion, f"A named clinician's review of {criterion}", (), is_bedside=True)


def points_of(knowledge: KnowledgeBase, signal: str, needs: str = "") -> Datum:
    """The points that a signal of the trend lacks."""
    definition = knowledge.measurements.get(knowledge.course.signals[signal].measurement)
    code = None if definition is None else definition.order
    codes = () if code is None else (str(code),)
    return Datum(f"trend:{signal}", f"Trend: {needs}", codes, is_bedside=False)


def _trend_data(case: Case) -> Iterator[Datum]:
    for signal in case.signals:
        if signal.state == "insufficient" and signal.domain == "respiratory":
            yield points_of(case.book.knowledge, signal.name, signal.needs)


def asked_as(datum: Datum, leaf: Leaf, name: str, criterion: Criterion) -> Datum:
    """When something began is answered to the criterion that asks: that it is there would be another answer."""
    if not isinstance(leaf, ConditionLeaf) or leaf.began_within is None or not criterion.attestable:
        return datum
    return Datum(name, f"When this began: {datum.text}", datum.codes, is_bedside=True)


def _add(
    needs: dict[str, _Need], datum: Datum, judgement: Judgement, reasons: tuple[Reason, ...], could: set[str]
) -> None:
    need = needs.setdefault(datum.id, _Need(datum))
    need.reasons.update(reasons or (Reason.MISSING,))
    need.settles.setdefault(judgement.id)
    need.could |= could


def _could(case: Case, judgement: Judgement, leaf: str) -> set[str]:
    """Which way an answer to one leaf could turn its criterion, all other leaves as they are."""
    root = case.book.roots[judgement.id]
    against = MET if judgement.criterion.role in TRIGGERS else NOT_MET
    outcomes = {reconsider(case.conclusions, root, leaf, token) for token in (MET, NOT_MET)}
    return {"allow"} | ({"exclude"} if against in outcomes else set())
