"""Fails when a criterion or a definition of the protocol lacks a row that it needs.

What a row covers is measured and not declared: the record of the row is read with the engine's own selection, so a row
counts as lying at a limit only if its value does.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal

import pytest

from mscprotocol.case_tables import Asked, read_rows
from mscprotocol.definitions import FindingDefinition, Ladder, Score
from mscprotocol.knowledge_forms import ChangeLeaf, ConditionLeaf, Expression, Group, MeasurementLeaf, ScoreLeaf
from mscprotocol.knowledge_loader import load_knowledge
from mscprotocol.reasons import Reason
from mscprotocol.scores import Scores
from mscprotocol.truth import Truth
from mscprotocol.units import to_canonical
from tests.criteria.leaves import CASES, Used, computable_criteria, find_used, used_definitions

KNOWLEDGE = load_knowledge()
USED = find_used(KNOWLEDGE)
MINUTE = timedelta(minutes=1)


@pytest.fixture(scope="module")
def asked() -> dict[str, list[Asked]]:
    """Every row by its section, ready to be looked into."""
    found: dict[str, list[Asked]] = defaultdict(list)
    for row in read_rows(CASES):
        if row.choices:  # another rule base: its leaves are not those that are looked for here
            continue
        found[row.section].append(Asked(row, KNOWLEDGE))
    return found


@pytest.mark.parametrize("name", computable_criteria(KNOWLEDGE))
def test_criterion_has_a_row_for_each_status(name: str, asked: dict[str, list[Asked]]) -> None:
    expected = {one.row.expect for one in asked[name]}
    when = KNOWLEDGE.criteria[name].when
    assert when is not None
    assert expected >= {"met", "unknown"} | ({"not_met"} if _can_be_denied(when) else set())


@pytest.mark.parametrize("name", used_definitions(KNOWLEDGE))
def test_definition_has_a_row_for_each_outcome(name: str, asked: dict[str, list[Asked]]) -> None:
    match definition := KNOWLEDGE.definitions[name]:
        case FindingDefinition():
            assert {one.row.expect for one in asked[name]} >= {"met", "not_met", "unknown"}
        case Ladder():
            expected = {one.row.expect for one in asked[name]}
            assert expected >= {rung.name for rung in definition.rungs} | {"unknown"}
            assert any(outcome.startswith("at least") for outcome in expected)
        case Score():
            for item, rules in definition.items.items():
                points = {rules.otherwise, *(row.points for row in rules.rows)}
                expected = {one.row.expect for one in asked[f"{name}.{item}"]}
                assert expected >= {*map(str, points), f"{min(points)}..{max(points)}"}, item


@pytest.mark.parametrize("used", USED, ids=str)
def test_leaf_has_the_rows_that_it_needs(used: Used, asked: dict[str, list[Asked]]) -> None:
    rows = asked[used.section]
    match used.leaf:
        case MeasurementLeaf() as leaf if leaf.comparison is not None:
            lacking = _truths(used, rows) | set(_lacking_at_threshold(leaf, rows))
        case MeasurementLeaf():
            lacking = _truths(used, rows)
        case ConditionLeaf():
            lacking = set() if used.owner == "sofa" else _truths(used, rows) - {"unknown"}
        case ScoreLeaf() as leaf:
            lacking = set(_lacking_of_score(leaf, rows))
        case ChangeLeaf() as leaf:
            lacking = _truths(used, rows) | set(_lacking_of_change(leaf, rows))
        case _:
            lacking = set()
    assert not lacking


def _can_be_denied(expression: Expression) -> bool:
    """Whether an expression can be not met: whether data are known, and what no answer denies, never is."""
    match expression:
        case Group(any_of=members) if members:
            return all(map(_can_be_denied, members))
        case Group(all_of=members) if members:
            return any(map(_can_be_denied, members))
        case MeasurementLeaf():
            return not expression.known and expression.not_answer != ()
        case _:
            return True


def _truths(used: Used, rows: list[Asked]) -> set[str]:
    """The truths of a leaf that no row of its section brings about."""
    found = {one.findings.find(used.leaf).truth for one in rows}
    wanted = set(Truth) if _can_be_denied(used.leaf) else {Truth.MET, Truth.UNKNOWN}
    return {truth.value for truth in wanted - found}


def _lacking_at_threshold(leaf: MeasurementLeaf, rows: list[Asked]) -> Iterator[str]:
    """Which of limit, either side, other unit, missing, stale and just in time no row shows."""
    _, limit = KNOWLEDGE.thresholds[id(leaf)]
    step = _step(leaf)
    seen: set[str] = set()
    for one in rows:
        window = leaf.within or one.findings.shelf_life(leaf.measurement)
        selection = one.findings.select(leaf.measurement, leaf.within, leaf.during)
        if not one.findings.series.points(leaf.measurement):
            seen.add("missing")
        if window is None:
            seen |= {"stale", "just in time"}
        elif selection.reason is Reason.STALE:
            newest = one.findings.series.points(leaf.measurement)[0].time
            if newest is not None and window.start(one.row.at) - newest.latest <= timedelta(hours=2):
                seen.add("stale")
        chosen = selection.chosen
        if chosen is None or chosen.value is None or chosen.value.exact is None or chosen.time is None:
            continue
        if leaf.received_in and chosen.native_unit not in leaf.received_in:
            continue
        value = chosen.value.exact
        if window is not None and chosen.time.earliest == window.start(one.row.at):
            seen.add("just in time")
        if value == limit:
            seen.add("limit")
        elif limit - step <= value < limit:
            seen.add("one step below")
        elif limit < value <= limit + step:
            seen.add("one step above")
        if chosen.native_unit not in _own_units(leaf.measurement) and abs(value - limit) <= max(step, limit / 200):
            seen.add("other unit")
    yield from _wanted_at_threshold(leaf, limit, step) - seen


def _wanted_at_threshold(leaf: MeasurementLeaf, limit: Decimal, step: Decimal) -> set[str]:
    """What rows can show: nothing beyond what is plausible, no other unit where there is none."""
    datum = KNOWLEDGE.measurements[leaf.measurement]
    wanted = {"limit", "one step below", "one step above", "missing", "stale", "just in time", "other unit"}
    if datum.hard is not None:
        wanted -= {"one step below"} if limit - step < datum.hard.low else set()
        wanted -= {"one step above"} if limit + step > datum.hard.high else set()
    if leaf.received_in or not _has_other_units(leaf.measurement):
        wanted.discard("other unit")
    if leaf.measurement == "age":  # it is reckoned from the birth date and does not age
        wanted -= {"stale", "just in time"}
    return wanted


def _step(leaf: MeasurementLeaf) -> Decimal:
    """The least difference that is reported; ages count in whole years, molar rows in tenths of their unit."""
    datum = KNOWLEDGE.measurements[leaf.measurement]
    if leaf.measurement == "age":
        return Decimal(1)
    if leaf.received_in and datum.unit not in leaf.received_in:
        return to_canonical(datum, Decimal("0.1"), leaf.received_in[0]) * Decimal("1.000001")
    return datum.resolution


def _parts(name: str) -> set[str]:
    return {name, *KNOWLEDGE.measurements[name].made_of}


def _own_units(name: str) -> set[str]:
    return {"", *(KNOWLEDGE.measurements[part].unit for part in _parts(name))}


def _has_other_units(name: str) -> bool:
    return any(set(KNOWLEDGE.measurements[part].units) - _own_units(name) for part in _parts(name))


def _lacking_of_score(leaf: ScoreLeaf, rows: list[Asked]) -> Iterator[str]:
    definition = KNOWLEDGE.definitions[leaf.score]
    assert isinstance(definition, Score)
    assert leaf.comparison is not None
    limit = leaf.comparison[1].value
    names = leaf.items or tuple(definition.items)
    most = sum(max(row.points for row in definition.items[name].rows) for name in names)
    found = [Scores(one.findings) for one in rows]
    sums = [one.result(leaf.score).sum_of(names) for one in found]
    if leaf.rise:
        baselines = [one.baseline(leaf.score) for one in found]
        sums = [one if base is None else one - base.points for one, base in zip(sums, baselines, strict=True)]
    for wanted in (limit - 1, limit, limit + 1):
        if wanted <= most and wanted not in {one.exact for one in sums}:
            yield f"a sum of {wanted}"
    if all(one.exact is not None for one in sums):
        yield "a range"


def _lacking_of_change(leaf: ChangeLeaf, rows: list[Asked]) -> Iterator[str]:
    limit = (
        leaf.rises_to.value if leaf.rises_to is not None else 1 - (leaf.falls_by.value if leaf.falls_by else 0) / 100
    )
    ratios: set[Decimal] = set()
    apart: set[timedelta] = set()
    for one in rows:
        points = [point for point in one.findings.series.points(leaf.change) if point.value and point.time]
        for earlier in points[1:]:
            latest = points[0]
            if (
                latest.value
                and earlier.value
                and latest.time
                and earlier.time
                and latest.value.exact
                and earlier.value.exact
            ):
                ratios.add(latest.value.exact / earlier.value.exact)
                apart.add(latest.time.earliest - earlier.time.latest)
    if limit not in ratios:
        yield "just the change"
    if not any(limit - Decimal("0.01") <= ratio < limit for ratio in ratios):
        yield "a little less"
    if not any(limit < ratio <= limit + Decimal("0.01") for ratio in ratios):
        yield "a little more"
    at = rows[0].row.at
    over = at - leaf.over.start(at)
    lengths = {"just over its span": over, "beyond its span": over + MINUTE}
    if leaf.at_least_apart is not None:
        least = at - leaf.at_least_apart.start(at)
        lengths |= {"just far enough apart": least, "less far apart": least - MINUTE}
    yield from (said for said, length in lengths.items() if length not in apart)


def test_the_trend_has_rows_for_every_signal_and_state(asked: dict[str, list[Asked]]) -> None:
    trend = KNOWLEDGE.definitions["deterioration"]
    for name in trend.signals:  # type: ignore[union-attr]
        assert {one.row.expect for one in asked[f"signal.{name}"]} >= {"worse", "better", "stable", "insufficient"}, (
            name
        )
    assert {one.row.expect for one in asked["trend"]} == {
        "worsening", "stable", "improving", "conflicting", "insufficient",
    }  # fmt: skip


def test_the_collector_sees_a_missing_row(asked: dict[str, list[Asked]]) -> None:
    """Without its row at the limit a threshold is reported."""
    used = next(one for one in USED if one.owner == "EX-01")
    assert isinstance(used.leaf, MeasurementLeaf)
    without = [one for one in asked["EX-01"] if one.row.given.get("born") != "2002-04-05"]
    assert "limit" in set(_lacking_at_threshold(used.leaf, without))
