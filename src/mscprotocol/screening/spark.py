"""The same stages on a cluster: Spark joins, parts and sorts; blocks are read and parts screened by the same functions.

Input and output must lie where every machine sees them under the same path. Needs the extra `spark`, and Java.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, TypeVar

from mscprotocol.errors import RequestError
from mscprotocol.screening.grouping import (
    FIELD,
    USE,
    Grouped,
    choose_parts,
    join_names,
    name_owners,
    part_of,
    spool_name,
    unknown_subject,
)
from mscprotocol.screening.inputs import Source
from mscprotocol.screening.pieces import FHIR, IDENTIFIER, LIST, MESSAGES, Piece, unwrap
from mscprotocol.screening.standing import COPIES, Copy, Deletion, judge, read_copy

T = TypeVar("T")
R = TypeVar("R")
# owner, kind, block, line, name, uses, text
Row = tuple[str, str, int, int, str, str, str]
_PER_TASK = 32 * 1024 * 1024
_REMARKS = ("seen", "standing")
_STATED = f"{FHIR}/{IDENTIFIER}"


class Spark:
    """A Spark session; `master` as Spark names it, or None for what the environment says."""

    def __init__(self, master: str | None = None) -> None:
        self.master = master
        self._context: Any = None

    @contextmanager
    def running(self) -> Iterator[Spark]:
        """The session, for as long as it is needed. Raises RequestError if Spark or Java is not here."""
        try:
            from pyspark.sql import SparkSession
        except ImportError as error:
            raise RequestError("no_spark", "Spark is not installed: pip install mscprotocol[spark]") from error
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
        path = os.pathsep.join(one for one in sys.path if one)
        builder = SparkSession.builder.appName("mscprotocol screen").config("spark.ui.enabled", "false")
        builder = builder.config("spark.executorEnv.PYTHONPATH", path).config("spark.ui.showConsoleProgress", "false")
        builder = builder.config("spark.log.level", "ERROR").config("spark.sql.shuffle.partitions", "8")
        logging.getLogger("py4j").setLevel(logging.ERROR)
        try:
            session = (builder.master(self.master) if self.master else builder).getOrCreate()
        except Exception as error:  # pyspark raises whatever Java did
            raise RequestError("no_spark", "Spark cannot be started: is Java 17 here?") from error
        self._context = session.sparkContext
        try:
            yield self
        finally:
            session.stop()

    def map(self, function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
        """Run a function on each item, on all machines."""
        listed = list(items)
        if listed:
            yield from self._context.parallelize(listed, len(listed)).map(function).collect()

    def group(self, spools: list[Path], path: Path, sources: list[Source], parts: int = 0) -> Grouped:
        """What `grouping.group` does: join, part and sort the pieces; each part is a file in the folder `path`."""
        path.mkdir(exist_ok=True)
        full = [str(spool) for spool in spools if spool.stat().st_size]
        if not full:
            return Grouped(1, 0, [], [])
        # Few tasks for little data: starting one costs more than a megabyte of rows.
        size = sum(spool.stat().st_size for spool in spools)
        width = max(1, min(4 * self._context.defaultParallelism, size // _PER_TASK + 1))
        rows = self._context.textFile(",".join(full)).coalesce(width).map(_parse).persist()
        aliases = rows.filter(lambda row: row[1] == "alias").map(lambda row: (row[4], row[0])).distinct(width).persist()
        owned = self._joined_messages(rows.filter(lambda row: row[1] != "alias"), aliases)
        given, problems = _resolved(owned, aliases, sources, width)
        judged = _judged(given, sources, width).persist()
        owned = given.union(judged).filter(lambda row: row[1] != "deleted" and not row[0].startswith(_STATED))
        whole = _with_linked(_without_single_versions(owned, width), width)
        patients = whole.filter(lambda row: row[1] not in _REMARKS).map(itemgetter(0)).distinct(width).persist()
        number = patients.count()
        parts = parts or choose_parts(number)
        keyed = whole.map(lambda row: ((part_of(row[0], parts), row[0], row[2], row[3], row[1], row[4]), row[6]))
        folder = str(path)
        keyed.repartitionAndSortWithinPartitions(parts, itemgetter(0)).mapPartitionsWithIndex(
            lambda part, found: [_write_part(folder, part, found)]
        ).collect()
        same = self._same_identifier(whole, aliases, width)
        fates = judged.map(lambda row: json.loads(row[6])[0]).countByValue()
        return Grouped(parts, number, problems, [name_owners(one) for one in same], dict(sorted(fates.items())))

    def _moved(self, aliases: Any) -> list[tuple[str, str]]:
        pairs = aliases.filter(lambda one: one[1].startswith(f"{MESSAGES}/")).collect()
        return join_names((owner, name) for name, owner in pairs)

    def _same_identifier(self, rows: Any, aliases: Any, width: int) -> list[tuple[str, ...]]:
        """What `grouping._SAME_IDENTIFIER` finds."""
        named = aliases.filter(lambda one: one[1].startswith(f"{FHIR}/")).map(_without_prefix(_STATED))
        named = named.union(self._context.parallelize(self._moved(aliases), width).map(_without_prefix(f"{MESSAGES}/")))
        owners = rows.map(lambda row: (row[0], row[1])).distinct(width).persist()
        messages = owners.filter(lambda one: one[1] == "message").map(lambda one: (one[0], one[0]))
        named = named.union(messages.map(_without_prefix(f"{MESSAGES}/"))).distinct(width).persist()
        listed = owners.filter(lambda one: one[1] == "row").map(lambda one: (one[0], one[0]))
        listed = listed.map(_without_prefix(f"{LIST}/"))
        ids = owners.filter(lambda one: one[1] in ("resource", "entry")).map(lambda one: (one[0], one[0]))
        bare = ids.map(_without_prefix(f"{FHIR}/")).union(named.map(lambda one: (one[0].rpartition("|")[2], one[1])))
        beside = bare.join(listed.keys().distinct(width).map(lambda name: (name, None)), width)
        beside = beside.map(lambda one: (one[0], one[1][0]))
        groups = named.union(listed).union(beside).groupByKey(width).map(lambda one: tuple(sorted(set(one[1]))))
        return sorted(set(groups.filter(lambda one: len(one) > 1).collect()))

    def _joined_messages(self, rows: Any, aliases: Any) -> Any:
        moved = self._context.broadcast(dict(self._moved(aliases)))
        return rows.map(lambda row: (moved.value.get(row[0], row[0]), *row[1:]))


def _without_prefix(prefix: str) -> Callable[[tuple[str, str]], tuple[str, str]]:
    """A name without what stands before all of its kind, with its owner."""
    return lambda one: (one[0].removeprefix(prefix), one[1])


def _parse(line: str) -> Row:
    owner, kind, block, number, name, uses, text = line.split(FIELD)
    return owner, kind, int(block), int(number), name, uses, text


def _judged(rows: Any, sources: list[Source], width: int) -> Any:
    """How the copies stand of what was deleted, or came for several patients."""
    copies = rows.filter(lambda row: row[1] in COPIES and row[0] and row[4] and _is_of_server(row))
    holders = copies.map(lambda row: (row[4], (row[0], row[0], row[1] != "version"))).reduceByKey(_joined, width)
    contested = holders.filter(lambda one: one[1][0] != one[1][1] and one[1][2]).map(itemgetter(0))
    deleted = rows.filter(lambda row: row[1] == "deleted").map(itemgetter(4))
    names = contested.union(deleted).distinct(width).map(lambda name: (name, None))
    told = rows.filter(lambda row: row[1] in (*COPIES, "deleted")).map(lambda row: (row[4], row))
    read = told.join(names, width).mapValues(lambda one: _copy(one[0], sources))
    return read.groupByKey(width).flatMap(lambda one: _rows_of(judge(*one)))


def _is_of_server(row: Row) -> bool:
    """Whether the id of a resource counts outside of its bundle."""
    entry = unwrap(row[6]) if row[1] != "resource" else None
    return entry is None or (entry[0] or "").startswith("http")


def _joined(one: tuple[str, str, bool], other: tuple[str, str, bool]) -> tuple[str, str, bool]:
    return min(one[0], other[0]), max(one[1], other[1]), one[2] or other[2]


def _copy(row: Row, sources: list[Source]) -> Copy | Deletion:
    owner, kind, block, line, name, _, text = row
    return read_copy(Piece(owner, kind, block, line, name, (), text), sources[block])


def _rows_of(pieces: Iterable[Piece]) -> Iterator[Row]:
    return ((one.owner, one.kind, one.block, one.line, one.name, "", one.text) for one in pieces)


def _resolved(rows: Any, aliases: Any, sources: list[Source], width: int) -> tuple[Any, list[Any]]:
    """Rows whose owner is stated by identifier, given to the one patient who goes by it; the others as problems."""
    known = aliases.groupByKey(width).mapValues(list).filter(lambda one: len(one[1]) == 1).mapValues(itemgetter(0))
    stated = (
        rows.filter(lambda row: row[0].startswith(_STATED)).map(lambda row: (row[0], row)).leftOuterJoin(known, width)
    )
    found = stated.filter(lambda one: one[1][1] is not None).map(lambda one: (one[1][1], *one[1][0][1:]))
    unknown = stated.filter(lambda one: one[1][1] is None)
    lost = (
        unknown.filter(lambda one: one[1][0][1] not in ("version", "seen"))
        .map(lambda one: (one[1][0][2], one[1][0][3]))
        .collect()
    )
    rest = rows.filter(lambda row: not row[0].startswith(_STATED)).union(unknown.map(lambda one: one[1][0]))
    return rest.union(found), [unknown_subject(sources[block].name, line) for block, line in sorted(lost)]


def _without_single_versions(rows: Any, width: int) -> Any:
    """What is not read is of use only beside another version that is."""
    others = rows.filter(lambda row: row[1] != "version")
    read = others.filter(lambda row: row[1] in ("resource", "entry")).map(lambda row: ((row[0], row[4]), None))
    versions = rows.filter(lambda row: row[1] == "version").map(lambda row: ((row[0], row[4]), row))
    return others.union(versions.join(read.distinct(width), width).map(lambda one: one[1][0]))


def _with_linked(rows: Any, width: int) -> Any:
    """The rows of patients, with what they refer to, and what that refers to."""
    shared = rows.filter(lambda row: not row[0]).map(lambda row: (row[4], row)).persist()
    whole = rows.filter(lambda row: bool(row[0]))
    reached = whole.flatMap(_uses).distinct(width)
    new = reached
    while not new.isEmpty():
        further = new.join(shared, width).map(lambda one: (one[1][0], *one[1][1][1:])).flatMap(_uses).distinct(width)
        new = further.subtract(reached, width).persist()
        reached = reached.union(new).coalesce(width).persist()
    return whole.union(reached.join(shared, width).map(lambda one: (one[1][0], *one[1][1][1:])))


def _uses(row: Row) -> list[tuple[str, str]]:
    return [(use, row[0]) for use in row[5].split(USE) if use]


def _write_part(folder: str, part: int, found: Iterable[tuple[tuple[Any, ...], str]]) -> int:
    """Write the sorted pieces of a part as one file, whole, but for patients of whom there are remarks only."""
    path = Path(folder) / spool_name(part)
    temporary = path.with_suffix(".tmp")
    with temporary.open("w", encoding="utf-8", newline="\n") as file:
        for _, pieces in groupby(found, key=lambda one: one[0][1]):
            mine = list(pieces)
            if any(key[4] not in _REMARKS for key, _ in mine):
                for (_, owner, block, line, kind, name), text in mine:
                    file.write(FIELD.join((owner, kind, str(block), str(line), name, "", text)) + "\n")
    temporary.replace(path)
    return part
