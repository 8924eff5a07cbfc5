"""When a patient whose data change is assessed: after a pause, not later than that, and once for all that came.

Time is virtual here: whoever would wait for it, jumps to it.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, cast

import msgspec
import pytest
import structlog

from fhir_adapters.bundle import PatientBundle
from fhir_adapters.hl7v2_patients import Chart
from fhir_adapters.hl7v2_receiving import Receiver
from mscprotocol.answer import Assessment
from mscprotocol.errors import DataError
from mscprotocol.listening import MOST_ATTEMPTS, Reassessor

QUIET, LONGEST = 1, 15


class VirtualTime(asyncio.SelectorEventLoop):
    """A loop whose clock goes on only when nothing else is left to do, in threads either."""

    def __init__(self) -> None:
        super().__init__(_Jumping(self))
        self.now, self.in_threads = 0.0, 0

    def time(self) -> float:
        return self.now

    def run_in_executor(self, *arguments: Any) -> asyncio.Future[Any]:
        future = super().run_in_executor(*arguments)
        self.in_threads += 1
        future.add_done_callback(self._returned)
        return future

    def _returned(self, _: object) -> None:
        self.in_threads -= 1


class _Jumping(selectors.DefaultSelector):
    def __init__(self, loop: VirtualTime) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if not timeout or timeout < 0:
            return super().select(timeout)
        ready = super().select(None if self._loop.in_threads else 0)
        self._loop.now += 0 if ready else timeout
        return ready


class Ward:
    """A reassessor whose judge writes down whom it was asked about, and when."""

    def __init__(self) -> None:
        self.loop = VirtualTime()
        self.judged: list[tuple[int, float]] = []
        self.lines: list[bytes] = []
        self.refused: list[tuple[str, str]] = []
        self.merged: set[int] = set()
        self.during: dict[int, Callable[[], None]] = {}
        self.reassessor = Reassessor(self._judge, self.lines.append, self._refuse, quiet=QUIET, longest=LONGEST)

    def note(self, number: int) -> None:
        self.reassessor.note(Chart(number))

    async def notes(self, numbers: Iterable[int], every: float) -> None:
        for number in numbers:
            self.note(number)
            await asyncio.sleep(every)

    async def known_of(self, chart: Chart) -> tuple[PatientBundle, list[str]] | None:
        """As a receiver: the number of the chart stands for the patient."""
        return None if chart.number in self.merged else (cast("PatientBundle", chart.number), [])

    def _judge(self, bundle: PatientBundle, _: list[str]) -> Assessment | None:
        number = cast("int", bundle)
        self.judged.append((number, round(self.loop.time(), 6)))
        if number in self.during:
            self.during.pop(number)()
        return None

    def _refuse(self, patient_id: str, code: str) -> None:
        self.refused.append((patient_id, code))

    def play(self, story: Awaitable[None]) -> list[tuple[int, float]]:
        """Who was judged and when, until everything that the story brings is done."""

        async def play() -> None:
            worker = asyncio.create_task(self.reassessor.run(cast("Receiver", self)))
            await story
            self.reassessor.end()
            await worker

        with asyncio.Runner(loop_factory=lambda: self.loop) as runner:
            runner.run(play())
        return self.judged


def test_it_begins_when_no_message_came_for_a_while() -> None:
    ward = Ward()

    async def story() -> None:
        await ward.notes([1, 2, 1], every=0.4)
        await asyncio.sleep(10)

    assert ward.play(story()) == [(1, 0.8 + QUIET), (2, 0.8 + QUIET)], "each once, after the last of all"


def test_it_begins_in_any_case_after_the_longest_time() -> None:
    ward = Ward()

    async def story() -> None:
        await ward.notes([1] * 40, every=0.5)
        await asyncio.sleep(10)

    judged = ward.play(story())
    assert judged[0] == (1, LONGEST)
    assert judged[1:] == [(1, 19.5 + QUIET)], "and what came after is one answer more"


def test_what_comes_while_a_patient_is_assessed_is_assessed_too() -> None:
    ward = Ward()
    ward.during[1] = lambda: ward.loop.call_soon_threadsafe(ward.note, 1) and None

    async def story() -> None:
        await ward.notes([1], every=20)

    assert ward.play(story()) == [(1, QUIET), (1, 2 * QUIET)]


def test_at_the_end_nobody_waits_any_longer_and_nobody_is_left() -> None:
    ward = Ward()

    async def story() -> None:
        await ward.notes([1, 2, 3], every=0.1)

    assert ward.play(story()) == [(1, 0.3), (2, 0.3), (3, 0.3)]


def test_who_changes_while_it_ends_is_assessed_too() -> None:
    ward = Ward()
    ward.during[1] = lambda: ward.loop.call_soon_threadsafe(ward.note, 2) and None
    assert ward.play(ward.notes([1], every=0)) == [(1, 0), (2, 0)]


def test_without_patients_it_ends_at_once() -> None:
    assert Ward().play(asyncio.sleep(0)) == []


def test_a_chart_that_was_merged_is_nobody() -> None:
    ward = Ward()
    ward.merged = {1}
    with structlog.testing.capture_logs() as logged:
        assert ward.play(ward.notes([1, 2], every=5)) == [(2, 5 + QUIET)]
    assert logged == [], "which is no error"


def failing(ward: Ward, error: Exception, times: int) -> None:
    """Have patient 1 fail so many times."""

    def fail() -> None:
        if times > 1:
            failing(ward, error, times - 1)
        raise error

    ward.during[1] = fail


@pytest.mark.parametrize(
    ("error", "times", "judged", "written"),
    [
        (DataError("deceased", "the patient has died"), 1, [1, 2], ["deceased"]),
        (OSError("full"), 1, [1, 2, 1], []),
        (OSError("full"), MOST_ATTEMPTS, [1, 2, 1, 1], ["internal_error"]),
    ],
)
def test_one_patient_who_cannot_be_assessed_stops_nobody_and_is_tried_a_few_times(
    error: Exception, times: int, judged: list[int], written: list[str]
) -> None:
    ward = Ward()
    failing(ward, error, times)

    async def story() -> None:
        await ward.notes([1, 2], every=0.1)
        await asyncio.sleep(20)

    assert [number for number, _ in ward.play(story())] == judged
    assert [msgspec.json.decode(one)["error"]["code"] for one in ward.lines] == written
    assert [code for _, code in ward.refused] == written


def test_at_the_end_it_is_not_tried_for_ever() -> None:
    ward = Ward()
    failing(ward, OSError("full"), 100)
    assert [number for number, _ in ward.play(ward.notes([1], every=0.1))] == [1] * MOST_ATTEMPTS
