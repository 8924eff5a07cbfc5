"""What a run leaves: answers, the log as CSV and Parquet, what was not assessed, and figures; each appears whole."""

from __future__ import annotations

import csv
import heapq
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from operator import attrgetter
from pathlib import Path
from typing import IO, Any

import duckdb
import msgspec

from mscprotocol.screening.checklists import settle_checklists
from mscprotocol.screening.pieces import Counts, Problem
from mscprotocol.screening.results import LogRow, Screened
from mscprotocol.screening.run import Finished
from mscprotocol.screening.stages import read_results, write_whole
from mscprotocol.screening.standing import DOUBTFUL, FALLEN
from mscprotocol.screening.tallies import Tally

ANSWERS, LOG, PARQUET = "assessments.ndjson", "screening_log.csv", "screening_log.parquet"
QUARANTINE, METRICS = "quarantine.ndjson", "metrics.json"
_encoder = msgspec.json.Encoder()


class Balance(msgspec.Struct, frozen=True):
    """Counts in and counts out; a run whose two sides differ has a defect.

    Of the lines kept, `fallen` do not count: deleted, or newer as another patient's; `in_doubt` may not. In
    `same_identifier` groups patients share an identifier, within a source or over several.
    """

    files: int
    lines: int
    kept: int
    not_read: int
    blank: int
    lines_quarantined: int
    files_quarantined: int
    patients: int
    assessed: int
    patients_quarantined: int
    fallen: int = 0
    in_doubt: int = 0
    same_identifier: int = 0

    @property
    def is_even(self) -> bool:
        """Whether nothing was lost."""
        lines = self.kept + self.not_read + self.blank + self.lines_quarantined
        return self.lines == lines and self.patients == self.assessed + self.patients_quarantined

    @property
    def is_anything_missing(self) -> bool:
        """Whether anything that came in was not assessed."""
        return bool(self.lines_quarantined or self.files_quarantined or self.patients_quarantined)


def results_in_order(finished: Finished) -> Iterator[Screened]:
    """Every result, by patient: the parts are in order each, and are merged."""
    return heapq.merge(*(read_results(path) for path in finished.parts), key=attrgetter("owner"))


def write_outputs(finished: Finished, tally: Tally) -> Balance:
    """Write everything but the report; `tally` is told of every result on the way."""
    folder = finished.folder
    problems = [*finished.staged.problems]
    assessed = 0
    with ExitStack() as stack:
        answers = stack.enter_context(_whole(folder / ANSWERS))
        log = csv.writer(_Lines(stack.enter_context(_whole(folder / LOG))), lineterminator="\n")
        log.writerow(LogRow.__struct_fields__)
        for one in results_in_order(finished):
            tally.add(one)
            if one.problem is not None:
                problems.append(one.problem)
                continue
            assessed += 1
            for answer in one.answers:
                answers.write(bytes(answer) + b"\n")
            for row in one.rows:
                log.writerow(_cells(row))
    write_whole(folder / QUARANTINE, b"".join(_encoder.encode(one) + b"\n" for one in problems))
    settle_checklists(folder, results_in_order(finished), are_wanted=finished.options.checklists)
    _write_parquet(folder)
    return balance(finished, problems, assessed)


def balance(finished: Finished, problems: list[Problem], assessed: int) -> Balance:
    """What came in against what came out."""
    total = Counts()
    for one in finished.staged.counts.values():
        total.add(one)
    levels = [one.level for one in problems]
    fates = finished.staged.fates
    return Balance(
        files=len(finished.sources), lines=total.lines, kept=total.kept, not_read=sum(total.not_read.values()),
        blank=total.blank, lines_quarantined=total.bad, files_quarantined=levels.count("file"),
        patients=finished.staged.patients, assessed=assessed, patients_quarantined=levels.count("patient"),
        same_identifier=len(finished.staged.same_identifier),
        fallen=sum(fates.get(one, 0) for one in FALLEN), in_doubt=sum(fates.get(one, 0) for one in DOUBTFUL),
    )  # fmt: skip


def write_metrics(finished: Finished, balance: Balance, measured: Mapping[str, object]) -> None:
    """Write the figures of a run: what there was by file, why patients were screened, and what was measured."""
    content = {
        "run": finished.options,
        "rules": finished.rules,
        "balance": balance,
        "screened": finished.why,
        "files": finished.staged.counts,
        **measured,
    }
    write_whole(finished.folder / METRICS, msgspec.json.format(_encoder.encode(content)) + b"\n")


def _cells(row: LogRow) -> list[str]:
    return [_cell(getattr(row, name)) for name in LogRow.__struct_fields__]


def _cell(value: Any) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case list():
            return "; ".join(value)
        case dict():
            return "; ".join(f"{name}: {text}" for name, text in value.items())
        case _:
            return str(value)


class _Lines:
    """A file of bytes that takes text."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file

    def write(self, text: str) -> int:
        return self.file.write(text.encode())


@contextmanager
def _whole(path: Path) -> Iterator[IO[bytes]]:
    temporary = path.with_name(path.name + ".tmp")
    with temporary.open("wb") as file:
        yield file
    temporary.replace(path)


def _write_parquet(folder: Path) -> None:
    """The log again, for those who ask it with SQL or data frames."""
    temporary = folder / f"{PARQUET}.tmp"
    with duckdb.connect(config={"threads": "1", "memory_limit": "160MB"}) as connection:
        connection.execute("SET enable_progress_bar = false")
        connection.execute(
            f"COPY (SELECT * FROM read_csv('{_quoted(folder / LOG)}', header=true, all_varchar=true))"  # noqa: S608 - our own path, quoted
            f" TO '{_quoted(temporary)}' (FORMAT parquet, COMPRESSION zstd)"
        )
    temporary.replace(folder / PARQUET)


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")
