"""Time by the median of repeats, the collector of cycles standing still, as a busy machine demands."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median, quantiles
from time import perf_counter


@dataclass(frozen=True)
class Times:
    """Seconds that each repeat took."""

    seconds: Sequence[float]

    @property
    def median(self) -> float:
        """The time that half of the repeats stayed below."""
        return median(self.seconds)

    @property
    def best(self) -> float:
        """The time of the least disturbed repeat."""
        return min(self.seconds)

    @property
    def p95(self) -> float:
        """The time that all but one in twenty repeats stayed below."""
        return quantiles(self.seconds, n=20)[-1] if len(self.seconds) > 1 else self.seconds[0]


@contextmanager
def still_collector() -> Iterator[None]:
    """Collect before, not during."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def once(work: Callable[[], object]) -> float:
    """Seconds of one call."""
    start = perf_counter()
    work()
    return perf_counter() - start


def repeat(
    work: Callable[[], object],
    *,
    least: int = 5,
    most: int = 200,
    budget: float = 1.0,
    before: Callable[[], object] = int,
) -> Times:
    """A warm-up, then repeats until the budget of seconds is spent. What must come `before` each is not timed."""
    before()
    work()
    seconds: list[float] = []
    with still_collector():
        while len(seconds) < least or (sum(seconds) < budget and len(seconds) < most):
            before()
            seconds.append(once(work))
    return Times(seconds)


def each(calls: Sequence[Callable[[], object]], *, rounds: int, before: Callable[[], object] = int) -> Times:
    """For each of several calls the median over rounds, so that one disturbance does not count."""
    table: list[list[float]] = [[] for _ in calls]
    with still_collector():
        for _ in range(rounds):
            for row, call in zip(table, calls, strict=True):
                before()
                row.append(once(call))
    return Times([median(row) for row in table])
