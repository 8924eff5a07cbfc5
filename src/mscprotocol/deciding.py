"""The smallest sets of data that could settle an undetermined verdict: what could exclude, and what allowing takes.

A set suffices if some outcome of its data alone gives the verdict, all other data staying as unknown as they are. What
follows from the tokens is searched once for each pattern of them; only texts and the deadline belong to one patient.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import reduce
from itertools import islice, product
from math import prod
from operator import and_, or_

from mscprotocol.answer import AllowingSets, Alternatives, Deadline, Deciding, DecidingDatum, ExcludingSet
from mscprotocol.case import TRIGGERS, Case, Judgement
from mscprotocol.implicants import NEVER, Algebra, Terms, minimal_sets
from mscprotocol.needs import Datum, asked_as, data_of, points_of, review_of, valid_until
from mscprotocol.outcomes import MeasuredLeaf, leaves_behind, leaves_beside
from mscprotocol.prospects import Layout, Prospects, find_layout, is_disputed
from mscprotocol.rulebook import Rulebook
from mscprotocol.rulesets import UNKNOWN
from mscprotocol.truth import Truth
from mscprotocol.wording import describe_leaf

LeavesOf = Callable[[Rulebook, str], tuple[MeasuredLeaf, ...]]
UNDETERMINED = "undetermined"
# How many sets are listed of each kind; the rest is counted.
MOST_LISTED = 24


@dataclass(frozen=True)
class Goal:
    """The terms by which an open criterion would speak against the patient, or be closed in favour."""

    criterion: str
    against: Terms
    in_favour: Terms


@dataclass(frozen=True)
class Board:
    """The data behind the variables of a rulebook, a bit each."""

    layout: Layout
    data: dict[str, Datum]
    bits: tuple[int, ...]

    @property
    def algebra(self) -> Algebra:
        return self.layout.algebra

    def sets(self, terms: Terms) -> list[int]:
        """The minimal sets of data behind some terms."""
        return minimal_sets(self.behind(term.needs) for term in terms.terms)

    def behind(self, variables: int) -> int:
        """The data behind some variables."""
        return reduce(or_, (bits for place, bits in enumerate(self.bits) if variables >> place & 1), 0)

    def ids(self, data: int) -> list[str]:
        """The ids of some data."""
        return [name for place, name in enumerate(self.data) if data >> place & 1]


@dataclass(frozen=True)
class Searched:
    """What follows from the tokens of a case alone, by the ids of the data."""

    exclude: list[ExcludingSet]
    exclude_more: int
    allow: AllowingSets
    used: list[str]
    is_complete: bool


def find_deciding(case: Case) -> Deciding | None:
    """The deciding sets of an undetermined case, with their deadline; None where the verdict is settled."""
    if case.verdict != UNDETERMINED:
        return None
    still_open = [one for one in case.judgements if one.is_mandatory and one.is_open]
    found = case.conclusions.engine.remember(
        ("deciding", *_pattern(case, still_open)), lambda: search(find_board(case.book), set_goals(case, still_open))
    )
    return Deciding(
        exclude=found.exclude,
        exclude_more=found.exclude_more,
        allow=found.allow,
        data=_describe(case, found.used),
        by=_deadline(case, still_open),
        complete=found.is_complete,
    )


# -- goals -----------------------------------------------------------------------------------------


def set_goals(case: Case, still_open: Sequence[Judgement]) -> list[Goal]:
    """What would have to come true of each open criterion; searched once for each pattern of its own."""
    prospects = Prospects(case.book, case.findings, case.scores, case.signals, case.conclusions.engine)
    return [_goal(case, prospects, one) for one in still_open]


def _goal(case: Case, prospects: Prospects, judgement: Judgement) -> Goal:
    key = ("goal", *_pattern(case, [judgement]))
    return case.conclusions.engine.remember(key, lambda: _find_goal(case, prospects, judgement))


def _find_goal(case: Case, prospects: Prospects, judgement: Judgement) -> Goal:
    criterion, concluded = judgement.criterion, case.conclusions.of(judgement.id)
    against = Truth.MET if criterion.role in TRIGGERS else Truth.NOT_MET
    assert criterion.when is not None
    if concluded != UNKNOWN:
        # A person and the findings disagree: only that the person now agrees can settle it.
        agreed = prospects.answer(judgement.id, Truth(concluded))
        return Goal(judgement.id, *((agreed, NEVER) if concluded == against.value else (NEVER, agreed)))
    terms = {wanted: prospects.terms(criterion.when, wanted) for wanted in (against, ~against)}
    if terms[~against].is_never and criterion.attestable:
        # What no datum can close in favour is for a clinician, once the data leave it to one.
        for wanted, found in terms.items():
            review = prospects.terms_of_review(judgement.id, criterion.when, wanted)
            terms[wanted] = prospects.algebra.either([found, review])
    return Goal(judgement.id, terms[against], terms[~against])


def _pattern(case: Case, still_open: Sequence[Judgement]) -> tuple[object, ...]:
    """All that the goals of some criteria depend on."""
    find, of = case.findings.find, case.conclusions.of
    names = tuple([one.id for one in still_open])
    leaves = _leaves(case, names, leaves_beside)
    return (
        case.book.serial,
        names,
        tuple([of(name) for name in names]),
        tuple([find(leaf).truth for leaf in leaves]),
        tuple([id(leaf) for leaf in leaves if is_disputed(case.findings, leaf)]),
        tuple([one.state for one in case.signals]) if _reads_trend(case, names) else (),
    )


def _leaves(case: Case, names: tuple[str, ...], of: LeavesOf) -> tuple[MeasuredLeaf, ...]:
    """The leaves of some criteria, each once."""
    return case.conclusions.engine.remember(
        (of, case.book.serial, names),
        lambda: tuple({id(leaf): leaf for name in names for leaf in of(case.book, name)}.values()),
    )


def _reads_trend(case: Case, names: Iterable[str]) -> bool:
    readings = (case.book.readings.get(name) for name in names)
    return any(one is not None and one.conclusion == case.book.protocol.trend for one in readings)


# -- search ----------------------------------------------------------------------------------------


def search(board: Board, goals: list[Goal]) -> Searched:
    """The minimal sets that could exclude, and those that could allow."""
    against = {goal.criterion: board.sets(goal.against) for goal in goals}
    excluding = minimal_sets(one for sets in against.values() for one in sets)
    parts = list(find_parts(board, goals))
    allow, used = _allowing(board, goals, parts)
    return Searched(
        exclude=[
            ExcludingSet(board.ids(one), [name for name, sets in against.items() if one in sets])
            for one in excluding[:MOST_LISTED]
        ],
        exclude_more=max(len(excluding) - MOST_LISTED, 0),
        allow=allow,
        used=board.ids(reduce(or_, excluding[:MOST_LISTED], used)),
        is_complete=not any(terms.cut for goal in goals for terms in (goal.against, goal.in_favour))
        and not any(terms.cut for _, terms in parts),
    )


def find_parts(board: Board, goals: list[Goal]) -> Iterator[tuple[list[str], Terms]]:
    """Criteria that share data, with the terms that close all of them in favour; no two parts share a datum."""
    told = [board.algebra.variables(goal.in_favour) for goal in goals]
    waiting = []
    for place, goal in enumerate(goals):
        alone = ~reduce(or_, told[:place] + told[place + 1 :], 0)
        terms = board.algebra.regardless(goal.in_favour, alone)
        waiting.append(([goal.criterion], terms, board.behind(told[place])))
    while waiting:
        first = waiting.pop(0)
        sharing = [first, *(one for one in waiting if one[2] & first[2])]
        if len(sharing) == 1:
            yield first[:2]
            continue
        waiting = [one for one in waiting if not one[2] & first[2]]
        together = [name for one in sharing for name in one[0]]
        joint = board.algebra.both([one[1] for one in sharing])
        waiting.append((together, joint, reduce(or_, (one[2] for one in sharing))))


def _allowing(board: Board, goals: list[Goal], parts: list[tuple[list[str], Terms]]) -> tuple[AllowingSets, int]:
    """What allowing takes, and the data that it names."""
    single = {goal.criterion: board.sets(goal.in_favour) for goal in goals}
    joint = [board.sets(terms) for _, terms in parts]
    smallest = [[one for one in some if one.bit_count() == some[0].bit_count()] for some in joint]
    chosen = [reduce(or_, one, 0) for one in islice(product(*smallest), MOST_LISTED)]
    always = reduce(or_, (reduce(and_, some) for some in joint), 0) if all(joint) else 0
    found = AllowingSets(
        all_of=[
            Alternatives(name, [board.ids(one) for one in some[:MOST_LISTED]], max(len(some) - MOST_LISTED, 0))
            for name, some in single.items()
        ],
        always=board.ids(always),
        smallest=[board.ids(one) for one in chosen],
        smallest_count=prod(len(some) for some in smallest),
        blocked=[name for names, terms in parts if terms.is_never for name in names],
    )
    return found, reduce(
        or_, (one for some in single.values() for one in some[:MOST_LISTED]), reduce(or_, chosen, always)
    )


# -- data and deadline -----------------------------------------------------------------------------


def find_board(book: Rulebook) -> Board:
    """The data of a rulebook, found once."""
    return book.once("board", lambda: _make_board(book))


def _make_board(book: Rulebook) -> Board:
    layout = find_layout(book)
    behind = [tuple(_data_behind(book, one.leaves[0])) for one in layout.variables.values()]
    behind += [(points_of(book.knowledge, name),) for name in layout.signals]
    behind += [(review_of(name),) for name in layout.reviews]
    data = {datum.id: datum for some in behind for datum in some}
    bits = {name: 1 << place for place, name in enumerate(data)}
    return Board(layout, data, tuple(reduce(or_, (bits[datum.id] for datum in some)) for some in behind))


def _data_behind(book: Rulebook, leaf: MeasuredLeaf) -> Iterator[Datum]:
    """The data that answer a leaf; when something began is answered to the first criterion that asks it."""
    deciding = [(name, one) for name, one in book.criteria if one.decides]
    owners = [(name, one) for name, one in deciding if leaf in leaves_behind(book, name)] or deciding
    for datum in data_of(book.knowledge, leaf):
        yield asked_as(datum, leaf, *owners[0])


def _describe(case: Case, names: Sequence[str]) -> list[DecidingDatum]:
    board = find_board(case.book)
    texts = {}
    if any(name.startswith("trend:") for name in names):
        lacking = [points_of(case.book.knowledge, one.name, one.needs) for one in case.signals]
        texts = {one.id: one.text for one in lacking}
    data = [board.data[name] for name in names]
    return [DecidingDatum(one.id, texts.get(one.id, one.text), list(one.codes), one.is_bedside) for one in data]


def _deadline(case: Case, still_open: Sequence[Judgement]) -> Deadline | None:
    """The first instant at which something that the sets count on lapses by itself."""
    first = min(_lapses(case, still_open), default=None, key=lambda one: one[:2])
    if first is None:
        return None
    at, kind, what = first
    lapses = describe_leaf(case.book.knowledge, what) if not isinstance(what, str) else what
    return Deadline(at.astimezone(case.request.at.tzinfo).isoformat(), kind, lapses)


def _lapses(case: Case, still_open: Sequence[Judgement]) -> Iterator[tuple[datetime, str, str | MeasuredLeaf]]:
    at = case.request.at
    decided = valid_until(case.judgements)
    if decided is not None:
        yield decided[0], "criterion", decided[1]
    names = tuple([one.id for one in still_open])
    for leaf in _leaves(case, names, leaves_behind):
        expires = case.findings.find(leaf).expires
        if expires is not None and expires >= at:
            yield expires, "finding", leaf
    if _reads_trend(case, names):
        yield from _fading_points(case)


def _fading_points(case: Case) -> Iterator[tuple[datetime, str, str]]:
    """When the first point of a signal leaves the look-back, or the next one would come after too long a gap."""
    look_back = case.book.knowledge.course.look_back
    for one in case.signals:
        if one.points and one.domain == "respiratory":
            gap = one.signal.gap
            ends = [look_back.expiry(one.points[0].at), *([] if gap is None else [gap.expiry(one.points[-1].at)])]
            yield from ((end, "trend", one.text) for end in ends if end >= case.request.at)
