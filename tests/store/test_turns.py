"""Turns among threads: in order, never two where one is allowed, and handed on whatever happens."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import pairwise

import pytest

from mscprotocol.store.turns import Turns

MANY = 40


@contextmanager
def crowd(size: int = MANY) -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(size) as pool:
        yield pool


def queue_up(turns: Turns, count: int, pool: ThreadPoolExecutor, work: object) -> list[Future[object]]:
    """Threads that wait for a turn, each known to stand in the queue before the next one comes."""
    futures = []
    for number in range(count):
        futures.append(pool.submit(work, number))  # type: ignore[arg-type]
        wait_for(turns, number + 1)
    return futures


def wait_for(turns: Turns, count: int) -> None:
    """Until so many wait for their turn; nobody is told when a thread comes to a halt, so it is looked at."""
    for _ in range(20_000):
        if len(turns._waiting) >= count:
            return
        threading.Event().wait(0.001)
    raise AssertionError("they do not wait for a turn")


def test_who_waits_longest_is_next() -> None:
    turns, order = Turns(1), []

    def work(number: int) -> None:
        with turns:
            order.append(number)

    with crowd() as pool:
        with turns:
            waiting = queue_up(turns, MANY, pool, work)
            assert order == [], "nobody comes in while it is somebody's turn"
        for one in waiting:
            one.result(30)
    assert order == list(range(MANY))


def test_who_comes_later_does_not_overtake_whoever_was_handed_the_turn() -> None:
    """Between the end of one turn and the beginning of the next, the turn is nobody else's."""
    turns = Turns(1)
    began, may_end = threading.Event(), threading.Event()

    def work(_: int) -> None:
        with turns:
            began.set()
            may_end.wait(30)

    with crowd(2) as pool:
        turns.__enter__()
        (first,) = queue_up(turns, 1, pool, work)
        turns.__exit__(None, None, None)
        assert turns._free == 0, "handed on, not given back"
        late = pool.submit(work, 1)
        assert began.wait(30)
        wait_for(turns, 1)
        may_end.set()
        first.result(30)
        late.result(30)
    assert (turns._free, len(turns._waiting)) == (1, 0)


@pytest.mark.parametrize("count", [1, 3])
def test_no_more_than_so_many_at_a_time(count: int) -> None:
    turns, lock = Turns(count), threading.Lock()
    inside, most = 0, 0

    def work(_: int) -> None:
        nonlocal inside, most
        for _ in range(50):
            with turns:
                with lock:
                    inside += 1
                    most = max(most, inside)
                with lock:
                    inside -= 1

    with crowd() as pool:
        list(pool.map(work, range(MANY), timeout=60))
    assert (inside, turns._free, len(turns._waiting)) == (0, count, 0)
    assert most <= count


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, GeneratorExit])
def test_a_turn_that_fails_or_is_broken_off_is_handed_on(error: type[BaseException]) -> None:
    turns, order = Turns(1), []

    def work(number: int) -> None:
        with turns:
            order.append(number)
            if number % 2:
                raise ValueError(number)

    with crowd(4) as pool:
        with pytest.raises(error), turns:
            waiting = queue_up(turns, 4, pool, work)
            raise error
        assert [type(one.exception(30)) for one in waiting] == [type(None), ValueError] * 2
    assert order == [0, 1, 2, 3]
    with turns:
        assert turns._free == 0


def test_turns_are_given_one_after_another() -> None:
    """Each begins after the one before has ended, whoever waits."""
    turns, events = Turns(1), []

    def work(number: int) -> None:
        with turns:
            events.append(("begin", number))
            events.append(("end", number))

    with crowd() as pool:
        with turns:
            waiting = queue_up(turns, MANY, pool, work)
        for one in waiting:
            one.result(30)
    pairs = list(pairwise(events))[::2]
    assert all(first == ("begin", number) and second == ("end", number) for number, (first, second) in enumerate(pairs))
