"""Workers on this machine: processes that start afresh, or none for a single worker."""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, TypeVar

from mscprotocol.screening.grouping import Grouped, group
from mscprotocol.screening.inputs import Source

T = TypeVar("T")
R = TypeVar("R")
# Tasks that wait for a worker: enough that none stands idle, and no more than fit into memory.
WAITING = 3


class Engine(Protocol):
    """What runs the stages: here, or on many machines."""

    def map(self, function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
        """The results in the order in which they come; the first error ends all."""

    def group(self, spools: list[Path], path: Path, sources: list[Source], parts: int = 0) -> Grouped:
        """The pieces of some spools by patient, in parts that `grouping.read_part` reads; see `grouping.group`."""


class Local:
    """Processes of this machine; with one worker, this process itself."""

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._pool: ProcessPoolExecutor | None = None

    def map(self, function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
        """Run a function on each item."""
        if self._pool is None:
            yield from map(function, items)
            return
        waiting: set[Future[R]] = set()
        for item in items:
            with _uninterrupted():
                waiting.add(self._pool.submit(function, item))
            if len(waiting) >= self.workers * WAITING:
                done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                yield from (one.result() for one in done)
        while waiting:
            done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            yield from (one.result() for one in done)

    def group(self, spools: list[Path], path: Path, sources: list[Source], parts: int = 0) -> Grouped:
        """Group in the embedded database."""
        return group(spools, path, sources, parts)

    @contextmanager
    def running(self) -> Iterator[Local]:
        """The processes, for as long as they are needed."""
        if self.workers > 1:
            # Started afresh: a copy of a process with threads of a database could hang.
            context = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(self.workers, mp_context=context, initializer=end_with_parent)
        try:
            yield self
        finally:
            if self._pool is not None:
                self._pool.shutdown(cancel_futures=True)


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """While workers are started an interrupt is ignored, and by them until they can end in silence."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def end_with_parent() -> None:
    """End this worker when the process that started it ends, however that was killed: it must not go on writing.

    An interrupt from the keyboard reaches every process of the terminal: the worker ends in silence.
    """
    signal.signal(signal.SIGINT, lambda *_: os._exit(1))
    parent = multiprocessing.parent_process()
    assert parent is not None
    sentinel = parent.sentinel

    def watch() -> None:
        multiprocessing.connection.wait([sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
