"""The benchmark that `make bench` runs: ratios first, because they mean the same on every machine.

Nothing here asserts a time. Medians of repeats, warm unless said otherwise, the collector of cycles standing still.
"""

from __future__ import annotations

import os
import platform
import resource
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from time import perf_counter

import msgspec
from generator import AT, SEED, make_patient, make_patients
from rich.console import Console
from rich.table import Table
from timing import Times, each, repeat

from fhir_adapters.bundle import read_bundle
from fhir_adapters.datatypes import Bundle, Entry
from fhir_adapters.decoding import decode
from fhir_adapters.record_builder import build_record
from fhir_adapters.resources import CLINICAL, LINKED, Patient
from mscprotocol.answer import Assessment, to_json
from mscprotocol.assessment import assess, shared_engine
from mscprotocol.case import Request
from mscprotocol.knowledge_loader import load_knowledge
from mscprotocol.record import PatientRecord
from mscprotocol.rulebook import compile_rulebook
from mscprotocol.sample_cases import PROTOCOL, find_samples

POPULATION, ONE, VALIDATED, STEPS = 48, 6, 6, (1, 2, 4, 8)
AIM_SECONDS, AIM_SHARE = 0.001, 0.25
KINDS = {"Patient": Patient, **CLINICAL, **LINKED}
REQUEST = Request(datetime.fromisoformat(AT))


@dataclass(frozen=True)
class Figure:
    """One line of the report; the comparison stands in words."""

    name: str
    value: str
    remark: str = ""


class Bench:
    """What all measurements share: the rules, the engine, and the made population."""

    def __init__(self) -> None:
        self.knowledge = load_knowledge()
        self.book = compile_rulebook(self.knowledge, PROTOCOL)
        self.engine = shared_engine()

    def build(self, content: bytes) -> PatientRecord:
        """A record from a bundle's bytes."""
        return build_record(read_bundle(content), self.knowledge)

    def assess(self, record: PatientRecord, request: Request = REQUEST) -> Assessment:
        """The function that is measured."""
        return assess(record, self.book, request, self.engine)

    def whole(self, content: bytes) -> bytes:
        """The way of the data from bytes to bytes."""
        return to_json(self.assess(self.build(content)))

    def forget(self) -> None:
        """Empty the memo; the compiled rulesets stay, because durable-rules never forgets those."""
        self.engine._memo.clear()
        self.engine._derived.clear()


# -- peak memory: first, before anything else has grown the process ----------------------------------


def peak_mib() -> float:
    """The most memory that this process has held so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure_memory() -> tuple[Bench, list[Figure]]:
    """Peak memory at a start, with the rules, after one patient, and after a population one by one."""
    found = [Figure("imports", f"{peak_mib():.0f} MiB")]
    bench = Bench()
    found.append(Figure("+ rules loaded and compiled", f"{peak_mib():.0f} MiB"))
    bench.whole(make_patient(0))
    first = peak_mib()
    found.append(Figure("+ 1 patient, bytes to answer", f"{first:.0f} MiB"))
    for content in make_patients(POPULATION):
        bench.whole(content)
    growth = peak_mib() - first
    found.append(Figure(f"+ {POPULATION} patients, one by one", f"{peak_mib():.0f} MiB", f"{growth:+.0f} MiB"))
    return bench, found


# -- one assessment ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class AssessTimes:
    """Assessments of a population, and how often the memo knew."""

    hits: Times
    misses: Times
    fresh_rate: float
    fresh_runs: float
    verdicts: Counter[str]


def measure_assess(bench: Bench, records: Sequence[PatientRecord]) -> AssessTimes:
    """Each record with a memo that knows all of its patterns, and with an empty one."""
    bench.forget()
    engine = bench.engine
    engine.hits = engine.misses = 0
    verdicts = Counter(bench.assess(record).verdict for record in records)
    rate = engine.hits / (engine.hits + engine.misses)
    runs = engine.misses / len(records)
    calls = [partial(bench.assess, record) for record in records]
    hits = each(calls, rounds=7)
    misses = each(calls[: len(calls) // 2], rounds=3, before=bench.forget)
    return AssessTimes(hits, misses, rate, runs, verdicts)


# -- bytes to answer against others ---------------------------------------------------------------------


def kinds_of(content: bytes) -> list[type | None]:
    """Which struct each entry fits, found beforehand: the bare decoder is told."""
    return [KINDS.get(entry["resource"]["resourceType"]) for entry in msgspec.json.decode(content)["entry"]]


def bare_decode(content: bytes, kinds: Sequence[type | None]) -> int:
    """The same bytes into the same structs and nothing else: no digest, no owner, no version, no record."""
    decoded = 0
    for raw, kind in zip(decode(Bundle, content).entry, kinds, strict=True):
        if kind is not None:
            decode(kind, decode(Entry, raw).resource)
            decoded += 1
    return decoded


def generic_decode(content: bytes) -> object:
    """The standard of speed that everyone has: msgspec to plain dicts."""
    return msgspec.json.decode(content)


def validate(content: bytes) -> object:
    """What a full FHIR model does with the same bytes."""
    from fhir.resources.R4B.bundle import Bundle as FullBundle

    return FullBundle.model_validate_json(content)


@dataclass(frozen=True)
class Rates:
    """MB/s of each way to treat the same bytes; a full validation is so slow that only a few patients bear it."""

    bare: float
    generic: float
    read: float
    built: float
    whole: float
    whole_of_few: float
    validated: float


def measure_rates(bench: Bench, contents: Sequence[bytes]) -> Rates:
    """The whole way, its parts, and the others: taking turns, so that a busy moment strikes all alike."""
    kinds = {content: kinds_of(content) for content in contents}
    ways: list[Callable[[bytes], object]] = [
        lambda content: bare_decode(content, kinds[content]),
        generic_decode,
        read_bundle,
        bench.build,
        bench.whole,
    ]
    few = sorted(contents, key=len)[:: max(1, len(contents) // VALIDATED)][:VALIDATED]
    return Rates(*rates_of(ways, contents, rounds=5), *rates_of([bench.whole, validate], few, rounds=3))


def rates_of(ways: Sequence[Callable[[bytes], object]], contents: Sequence[bytes], rounds: int) -> list[float]:
    """MB/s of each way over the contents, each content by its median."""
    for way in ways:
        way(contents[0])
    times = each([partial(way, content) for content in contents for way in ways], rounds=rounds)
    size = sum(map(len, contents)) / 1e6
    return [size / sum(times.seconds[number :: len(ways)]) for number in range(len(ways))]


# -- growth ------------------------------------------------------------------------------------------------


def measure_patients(bench: Bench, contents: list[bytes]) -> list[tuple[int, float]]:
    """Seconds a patient for more and more patients, with the same share of large and small ones in each step."""
    counts = [ONE * step for step in STEPS]
    calls = [partial(answer_all, bench, contents[:ONE] * step) for step in STEPS]
    times = each(calls, rounds=5)
    return [(count, seconds / count) for count, seconds in zip(counts, times.seconds, strict=True)]


def answer_all(bench: Bench, contents: Sequence[bytes]) -> None:
    """A batch, one patient after the other."""
    for content in contents:
        bench.whole(content)


def measure_history(bench: Bench) -> list[tuple[int, float, float]]:
    """Bytes, seconds and seconds of the assessment alone, for one patient whose history grows."""
    found = []
    for step in STEPS:
        content = make_patient(2, history=10 * step)
        record = bench.build(content)
        whole = repeat(partial(bench.whole, content), budget=1.5).median
        found.append((len(content), whole, repeat(partial(bench.assess, record), budget=0.7).median))
    return found


def measure_samples(bench: Bench) -> list[tuple[str, Times]]:
    """Each patient who ships: the assessment alone, warm."""
    found = []
    for sample in find_samples():
        record = bench.build((sample.folder / "input.json").read_bytes())
        found.append((sample.name, repeat(partial(bench.assess, record, sample.request), budget=0.5)))
    return found


# -- the report ----------------------------------------------------------------------------------------------


def as_ms(seconds: float) -> str:
    """Seconds as milliseconds."""
    return f"{seconds * 1e3:.2f} ms"


def ratios(
    one: AssessTimes, rates: Rates, patients: list[tuple[int, float]], history: list[tuple[int, float, float]]
) -> list[Figure]:
    """What means the same on every machine."""
    share = rates.whole / rates.bare
    bare, validation = "speed: {} / bare typed decoding", "speed: whole way / fhir.resources R4B validation"
    short, long = history[0], history[-1]
    a_byte = (long[1] / long[0]) / (short[1] / short[0])
    return [
        Figure(bare.format("whole way"), f"{share:.3f}", _aim(share >= AIM_SHARE, "0.25 or more")),
        Figure(bare.format("read_bundle"), f"{rates.read / rates.bare:.3f}"),
        Figure(bare.format("read_bundle + build_record"), f"{rates.built / rates.bare:.3f}"),
        Figure(validation, f"{rates.whole_of_few / rates.validated:.1f}", "above 1: faster than validation"),
        Figure("time: assessment, memo misses / hits", f"{one.misses.median / one.hits.median:.1f}"),
        Figure("memo hit rate, memo empty at first", f"{one.fresh_rate:.1%}", "over the whole population"),
        Figure(f"time a patient: {STEPS[-1]}x patients / 1x", f"{patients[-1][1] / patients[0][1]:.2f}", "1 is linear"),
        Figure("time a byte: longest history / shortest", f"{a_byte:.2f}", "at most 1 is linear"),
    ]


def _aim(met: bool, aim: str) -> str:
    return f"aim: {aim}: {'met' if met else 'NOT met'}"


def one_assessment(one: AssessTimes) -> list[Figure]:
    """The first part of the report."""
    rows = {"memo hits (warm)": one.hits, "memo misses (memo empty)": one.misses}
    return [
        *(
            Figure(name, as_ms(times.median), f"p95 {as_ms(times.p95)}, best {as_ms(times.best)}")
            for name, times in rows.items()
        ),
        Figure("aim", "under 1 ms", _aim(one.hits.median < AIM_SECONDS, "median with memo hits")),
        Figure("Rete runs a patient", f"{one.fresh_runs:.1f}", "while the memo fills"),
        *(Figure(name, str(count), "patients") for name, count in sorted(one.verdicts.items())),
    ]


def throughput(rates: Rates) -> list[Figure]:
    """MB/s, each with its ratio to bare decoding."""
    rows = {
        "bare typed decoding (told each type)": rates.bare,
        "generic msgspec decoding to dicts": rates.generic,
        "read_bundle": rates.read,
        "read_bundle + build_record": rates.built,
        "bytes to JSON answer (decode, build, assess, encode)": rates.whole,
        f"bytes to JSON answer, {VALIDATED} patients": rates.whole_of_few,
        f"fhir.resources R4B validation, the same {VALIDATED}": rates.validated,
    }
    return [Figure(name, f"{value:.2f} MB/s", f"{value / rates.bare:.3f} of bare") for name, value in rows.items()]


def growth(patients: list[tuple[int, float]], history: list[tuple[int, float, float]]) -> list[Figure]:
    """Time against the number of patients, and against the length of one history."""
    rows = [Figure(f"{count} patients", f"{as_ms(seconds)} a patient") for count, seconds in patients]
    rows += [
        Figure(f"one patient of {size / 1e3:.0f} kB", as_ms(whole), f"of which the assessment {as_ms(alone)}")
        for size, whole, alone in history
    ]
    return rows


def show(console: Console, title: str, figures: Sequence[Figure]) -> None:
    """One table."""
    table = Table("", "figure", "remark", title=title, title_justify="left", box=None, pad_edge=False, min_width=100)
    for one in figures:
        table.add_row(one.name, one.value, one.remark)
    console.print(table)
    console.print()


def describe_run(console: Console, contents: Sequence[bytes]) -> None:
    """What ran, where, on what."""
    packages = ", ".join(f"{name} {version(name)}" for name in ("msgspec", "durable-rules", "fhir.resources"))
    load = ", ".join(f"{one:.1f}" for one in os.getloadavg())
    sizes = sorted(len(content) / 1e3 for content in contents)
    console.print(f"command: make bench   {datetime.now(UTC):%Y-%m-%d %H:%M} UTC")
    console.print(f"Python {platform.python_version()}, {packages}")
    console.print(
        f"{os.cpu_count()} CPUs, {platform.machine()}; load average {load} (above the CPUs: figures are too slow)"
    )
    console.print(
        f"population: {len(contents)} made patients, seed {SEED}, {sum(sizes) / 1e3:.1f} MB, "
        f"{sizes[0]:.0f} to {sizes[-1]:.0f} kB each\n"
    )


def main() -> None:
    """Measure, then print."""
    start = perf_counter()
    bench, memory = measure_memory()
    contents = list(make_patients(POPULATION))
    one = measure_assess(bench, [bench.build(content) for content in contents])
    patients = measure_patients(bench, contents)
    history = measure_history(bench)
    samples = measure_samples(bench)
    rates = measure_rates(bench, contents)
    memory.append(Figure("+ fhir.resources validating", f"{peak_mib():.0f} MiB", "not part of the product"))
    console = Console(width=None if sys.stdout.isatty() else 120, highlight=False)
    describe_run(console, contents)
    show(console, "RATIOS (machine-independent)", ratios(one, rates, patients, history))
    show(console, "ONE ASSESSMENT of a parsed record", one_assessment(one))
    show(console, "THROUGHPUT", throughput(rates))
    show(console, "GROWTH", growth(patients, history))
    show(
        console,
        "SAMPLE PATIENTS, the assessment alone, warm",
        [Figure(name, as_ms(times.median), f"best {as_ms(times.best)}") for name, times in samples],
    )
    show(console, "PEAK MEMORY of the process", memory)
    console.print(f"The run took {perf_counter() - start:.0f} s in {Path.cwd().name}/.")


if __name__ == "__main__":
    main()
