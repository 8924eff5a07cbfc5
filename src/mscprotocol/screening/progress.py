"""How far a run is: a bar on a terminal, plain lines elsewhere, JSON lines on request, or nothing."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import TypeVar

import msgspec
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

FORMS = ("auto", "plain", "json", "none")
EVERY = 5.0
T = TypeVar("T")
Tell = Callable[[int, int], None]


class Reporter:
    """Tells of the stages of a run on standard error; `clock` counts seconds."""

    def __init__(self, form: str = "auto", clock: Callable[[], float] = monotonic) -> None:
        self.form = ("bar" if sys.stderr.isatty() else "plain") if form == "auto" else form
        self.clock = clock

    def say(self, text: str) -> None:
        """One remark."""
        if self.form == "json":
            _line({"message": text})
        elif self.form != "none":
            sys.stderr.write(text + "\n")

    def follow(self, stage: str, items: Iterable[T], total: int, size: Callable[[T], int] | None = None) -> Iterator[T]:
        """Pass items on and tell how many there were of how many; `size` says how much one of them counts."""
        with self._stage(stage, total) as tell:
            done = 0
            for item in items:
                done += 1 if size is None else size(item)
                tell(done, total)
                yield item

    @contextmanager
    def _stage(self, stage: str, total: int) -> Iterator[Tell]:
        if self.form == "bar":
            with self._bar() as bar:
                task = bar.add_task(stage, total=total)
                yield lambda done, _: bar.update(task, completed=done)
            return
        begun = last = self.clock()
        told = -1

        def tell(done: int, of: int) -> None:
            nonlocal last, told
            now = self.clock()
            if self.form == "none" or done == told or (now - last < EVERY and done < of):
                return
            last, told = now, done
            rate = done / max(now - begun, 0.001)
            self._tell(stage, done, of, rate, (of - done) / rate if rate else 0.0)

        yield tell

    def _tell(self, stage: str, done: int, total: int, rate: float, remaining: float) -> None:
        if self.form == "json":
            _line({"stage": stage, "done": done, "of": total, "per_second": round(rate, 1),
                   "seconds_left": round(remaining)})  # fmt: skip
        else:
            sys.stderr.write(f"{stage}: {done:,} of {total:,}, {rate:,.0f} a second, {remaining:,.0f} s left\n")

    def _bar(self) -> Progress:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Rate(), TimeRemainingColumn())
        return Progress(*columns, console=Console(stderr=True))


class _Rate(ProgressColumn):
    """How many a second."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed or 0:,.0f}/s")


def _line(content: dict[str, object]) -> None:
    sys.stderr.write(msgspec.json.encode(content).decode() + "\n")
    sys.stderr.flush()
