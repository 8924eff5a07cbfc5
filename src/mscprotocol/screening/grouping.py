"""The relational step: pieces of many files to the patients that they are of, on disk, in bounded memory.

An embedded database does what databases do: it looks up who goes by an identifier, joins what others refer to,
parts the patients and sorts; what does not fit into memory it spills beside the output.
"""

from __future__ import annotations

import errno
import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from operator import itemgetter
from pathlib import Path

import duckdb

from mscprotocol.screening.inputs import Source
from mscprotocol.screening.lines import LONGEST_LINE
from mscprotocol.screening.pieces import FHIR, IDENTIFIER, LIST, MESSAGES, Piece, Problem
from mscprotocol.screening.standing import fate_of, judge, read_copy

MEMORY = "192MB"
PER_PART, FEWEST_PARTS, MOST_PARTS = 200, 8, 4096
FIELD, USE = "\x1f", "\x1e"
_LONGEST = 2 * LONGEST_LINE
_COLUMNS = (
    "{owner: 'VARCHAR', kind: 'VARCHAR', block: 'INTEGER', line: 'BIGINT', "
    "name: 'VARCHAR', uses: 'VARCHAR', text: 'VARCHAR'}"
)


def write_spool(pieces: Iterable[Piece | Problem], path: Path) -> list[Problem]:
    """Write the pieces of a block as lines that the database reads at once; the problems among them."""
    problems = []
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for one in pieces:
            if isinstance(one, Problem):
                problems.append(one)
                continue
            uses = USE.join(one.uses)
            file.write(
                FIELD.join((one.owner, one.kind, str(one.block), str(one.line), one.name, uses, one.text)) + "\n"
            )
    return problems


def part_of(owner: str, parts: int) -> int:
    """In which part a patient is screened: the same on every engine."""
    return int(hashlib.md5(owner.encode(), usedforsecurity=False).hexdigest()[:8], 16) % parts


@dataclass(frozen=True)
class Grouped:
    """The patients of all files, in parts; problems are pieces that belong to nobody, `fates` of copies that fell."""

    parts: int
    patients: int
    problems: list[Problem]
    same_identifier: list[list[str]]
    fates: dict[str, int] = field(default_factory=dict)


@contextmanager
def _connected(path: Path, *, read_only: bool = False) -> Iterator[duckdb.DuckDBPyConnection]:
    # One thread: each would sort in memory of its own.
    config: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": MEMORY,
        "threads": "1",
        "preserve_insertion_order": "false",
    }
    if not read_only:
        config["temp_directory"] = str(path.parent / "spill")
    try:
        connection = duckdb.connect(str(path), read_only=read_only, config=config)
        connection.execute("SET enable_progress_bar = false")  # it would write over what the command prints
        try:
            yield connection
        finally:
            connection.close()
    except (duckdb.IOException, duckdb.TransactionException) as error:
        is_full = any(word in str(error) for word in ("No space", "too large"))
        raise OSError(errno.ENOSPC if is_full else errno.EIO, "the database cannot be written", str(path)) from error


def group(spools: list[Path], path: Path, sources: list[Source], parts: int = 0) -> Grouped:
    """Join, part and sort the spooled pieces into one database; `sources` are the files by block.

    `parts` is how many an earlier run made of the same patients, so that each part finds its answers again.
    """
    for left in (path, path.with_name(f"{path.name}.wal")):
        left.unlink(missing_ok=True)
    with _connected(path) as connection:
        _load(connection, spools)
        _join_messages(connection)
        problems = [*_resolve_identifiers(connection, sources)]
        fates = _judge_copies(connection, sources, path.with_suffix(".standing"))
        _leave_unowned(connection)
        _leave_single_versions(connection)
        _join_linked(connection)
        _leave_lone_remarks(connection)
        patients = _number(connection, "SELECT count(DISTINCT owner) FROM pieces WHERE owner <> '' AND kind <> 'alias'")
        parts = parts or choose_parts(patients)
        _sort(connection, parts)
        same = [name_owners(row[0]) for row in connection.execute(_SAME_IDENTIFIER).fetchall()]
        connection.execute("DROP TABLE pieces")
    return Grouped(parts, patients, problems, same, fates)


def choose_parts(patients: int) -> int:
    """How many parts: enough parts for several workers, none so large that losing it would hurt."""
    return max(1, min(patients, FEWEST_PARTS), min(MOST_PARTS, -(-patients // PER_PART)))


# Patients go by identifiers with their systems; an id of a list, which has none, may be any of these or an id of FHIR.
_SAME_IDENTIFIER = f"""
    WITH named AS (
        SELECT name[{len(FHIR) + len(IDENTIFIER) + 2}:] AS name, owner FROM pieces
        WHERE kind = 'alias' AND owner LIKE '{FHIR}/%'
        UNION SELECT owner[{len(MESSAGES) + 2}:], owner FROM pieces WHERE kind = 'message'
        UNION SELECT name[{len(MESSAGES) + 2}:], owner FROM joined
    ), bare AS (
        SELECT string_split(name, '|')[-1] AS name, owner FROM named
        UNION SELECT owner[{len(FHIR) + 2}:], owner FROM pieces
        WHERE kind IN ('resource', 'entry') AND owner LIKE '{FHIR}/%'
    ), listed AS (SELECT DISTINCT owner[{len(LIST) + 2}:] AS name, owner FROM pieces WHERE kind = 'row')
    SELECT DISTINCT list_sort(list(DISTINCT owner)) AS owners FROM (
        SELECT name, owner FROM named UNION ALL SELECT name, owner FROM listed
        UNION ALL SELECT name, owner FROM bare WHERE name IN (SELECT name FROM listed)
    ) GROUP BY name HAVING count(DISTINCT owner) > 1 ORDER BY owners
"""  # noqa: S608 - constants


def name_owners(owners: Iterable[str]) -> list[str]:
    """Patients who may be one person: by id where all are of FHIR, else with the kind of source before each id."""
    named = sorted(owners)
    kinds = {one.partition("/")[0] for one in named}
    return [one.partition("/")[2] for one in named] if kinds == {FHIR} else named


def _load(connection: duckdb.DuckDBPyConnection, spools: list[Path]) -> None:
    connection.execute(
        "CREATE TABLE IF NOT EXISTS pieces(owner VARCHAR, kind VARCHAR, block INTEGER, line BIGINT, name VARCHAR,"
        " uses VARCHAR, text VARCHAR)"
    )
    for spool in spools:
        if spool.stat().st_size == 0:
            continue
        largest = max(2 * 1024 * 1024, min(_LONGEST, spool.stat().st_size + 1024))
        connection.execute(
            f"INSERT INTO pieces SELECT * FROM read_csv(?, delim='{FIELD}', quote='', escape='', comment='',"  # noqa: S608 - constants
            f" header=false, auto_detect=false, new_line='\\n', null_padding=false, nullstr='\x1d',"
            f" max_line_size={largest}, columns={_COLUMNS})",
            [str(spool)],
        )


_CONTESTED = """
    SELECT name FROM pieces
    WHERE kind IN ('resource', 'entry', 'version') AND owner <> '' AND name <> ''
        AND (kind = 'resource' OR text LIKE '{"fullUrl": "http%' OR text NOT LIKE '{"fullUrl": %')
    GROUP BY name HAVING min(owner) <> max(owner) AND bool_or(kind <> 'version')
    UNION SELECT name FROM pieces WHERE kind = 'deleted'
"""


def _judge_copies(connection: duckdb.DuckDBPyConnection, sources: list[Source], spool: Path) -> dict[str, int]:
    """Add to the copies of what was deleted, or came for several patients, how they stand; and count that."""
    fates: Counter[str] = Counter()
    connection.execute(f"CREATE TEMP TABLE contested AS {_CONTESTED}")
    cursor = connection.execute(
        "SELECT owner, kind, block, line, name, text FROM pieces"
        " WHERE kind IN ('resource', 'entry', 'version', 'deleted') AND name IN (SELECT name FROM contested)"
        " ORDER BY name, owner, block, line, kind"
    )
    write_spool(_judged(cursor, sources, fates), spool)
    _load(connection, [spool])
    spool.unlink()
    connection.execute("DELETE FROM pieces WHERE kind = 'deleted'")
    return dict(sorted(fates.items()))


def _judged(cursor: duckdb.DuckDBPyConnection, sources: list[Source], fates: Counter[str]) -> Iterator[Piece]:
    rows = (row for some in iter(partial(cursor.fetchmany, 512), []) for row in some)
    for name, same in groupby(rows, key=itemgetter(4)):
        told = (Piece(owner, kind, block, line, name, (), text) for owner, kind, block, line, _, text in same)
        for piece in judge(name, (read_copy(one, sources[one.block]) for one in told)):
            fates[fate_of(piece)] += 1
            yield piece


def _number(connection: duckdb.DuckDBPyConnection, query: str) -> int:
    row = connection.execute(query).fetchone()
    assert row is not None
    return int(row[0])


def join_names(pairs: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Names that are tied together by pairs, each with the first of its group; the first ones are left out."""
    first: dict[str, str] = {}

    def root(name: str) -> str:
        while first.get(name, name) != name:
            name = first[name]
        return name

    for one, other in sorted(pairs):
        low, high = sorted((root(one), root(other)))
        first[high] = low
    return [(name, root(name)) for name in first if root(name) != name]


def _join_messages(connection: duckdb.DuckDBPyConnection) -> None:
    """Messages whose identifiers are tied together by any message are of one patient."""
    pairs = connection.execute(
        f"SELECT DISTINCT owner, name FROM pieces WHERE kind = 'alias' AND owner LIKE '{MESSAGES}/%'"  # noqa: S608 - constants
    ).fetchall()
    moved = join_names(pairs)
    connection.execute("CREATE TEMP TABLE joined(name VARCHAR, owner VARCHAR)")
    if moved:
        connection.executemany("INSERT INTO joined VALUES (?, ?)", moved)
        connection.execute("UPDATE pieces SET owner = joined.owner FROM joined WHERE pieces.owner = joined.name")
    connection.execute(f"DELETE FROM pieces WHERE kind = 'alias' AND owner LIKE '{MESSAGES}/%'")  # noqa: S608 - constants


_STATED = f"pieces.owner LIKE '{FHIR}/{IDENTIFIER}%'"


def _resolve_identifiers(connection: duckdb.DuckDBPyConnection, sources: list[Source]) -> Iterator[Problem]:
    """Give resources that name their patient by an identifier only to the one patient who goes by it."""
    connection.execute(
        "CREATE TEMP TABLE known AS SELECT name, min(owner) AS owner FROM pieces WHERE kind = 'alias'"
        " GROUP BY name HAVING count(DISTINCT owner) = 1"
    )
    connection.execute(
        f"UPDATE pieces SET owner = known.owner FROM known WHERE {_STATED} AND pieces.owner = known.name"  # noqa: S608 - constants
    )
    left = f"SELECT block, line FROM pieces WHERE {_STATED} AND kind NOT IN ('version', 'seen') ORDER BY block, line"  # noqa: S608 - constants
    for block, line in connection.execute(left).fetchall():
        yield unknown_subject(sources[block].name, line)


def _leave_unowned(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute(f"DELETE FROM pieces WHERE {_STATED}")  # noqa: S608 - constants


def _leave_single_versions(connection: duckdb.DuckDBPyConnection) -> None:
    """What is not read is of use only beside another version that is."""
    connection.execute(
        "DELETE FROM pieces WHERE kind = 'version' AND NOT EXISTS (SELECT 1 FROM pieces AS other"
        " WHERE other.kind IN ('resource', 'entry') AND other.owner = pieces.owner AND other.name = pieces.name)"
    )


def unknown_subject(file: str, line: int) -> Problem:
    """A resource whose subject is an identifier that nobody goes by, or several do."""
    text = "the identifier of its subject is that of no patient, or of several"
    return Problem("line", "foreign_subject", text, file, line)


def _join_linked(connection: duckdb.DuckDBPyConnection) -> None:
    """Give each patient what his resources refer to, and what that refers to."""
    connection.execute(
        """
        CREATE TEMP TABLE used AS
        WITH RECURSIVE reached(owner, name) AS (
            SELECT DISTINCT owner, unnest(string_split(uses, chr(30))) FROM pieces WHERE owner <> '' AND uses <> ''
            UNION
            SELECT reached.owner, unnest(string_split(pieces.uses, chr(30)))
            FROM reached JOIN pieces ON pieces.name = reached.name AND pieces.owner = '' AND pieces.uses <> ''
        )
        SELECT * FROM reached
        """
    )
    connection.execute(
        "INSERT INTO pieces SELECT used.owner, kind, block, line, pieces.name, uses, text"
        " FROM pieces JOIN used ON pieces.name = used.name WHERE pieces.owner = ''"
    )


def _sort(connection: duckdb.DuckDBPyConnection, parts: int) -> None:
    connection.execute(
        f"CREATE TABLE patients AS SELECT ('0x' || md5(owner)[1:8])::BIGINT % {parts} AS part, owner, kind, block,"  # noqa: S608 - constants
        " line, name, text FROM pieces WHERE owner <> '' AND kind <> 'alias'"
        " ORDER BY part, owner, block, line, kind, name"
    )


def _leave_lone_remarks(connection: duckdb.DuckDBPyConnection) -> None:
    """When somebody was seen, or what does not stand, is of no use without anything else of him."""
    connection.execute(
        "DELETE FROM pieces WHERE kind IN ('seen', 'standing')"
        " AND owner NOT IN (SELECT owner FROM pieces WHERE kind NOT IN ('seen', 'standing'))"
    )


def spool_name(part: int) -> str:
    """The name of the file of a part, where parts are files."""
    return f"part-{part:04}.spool"


def read_part(path: Path, part: int) -> Iterator[tuple[str, list[Piece]]]:
    """The patients of one part with their pieces, one patient after the other: from the database, or a folder."""
    rows = _spooled(path / spool_name(part)) if path.is_dir() else _stored(path, part)
    for owner, mine in groupby(rows, key=itemgetter(0)):
        yield owner, [Piece(owner, kind, block, line, name, (), text) for _, kind, block, line, name, text in mine]


def _spooled(path: Path) -> Iterator[tuple[str, str, int, int, str, str]]:
    with path.open(encoding="utf-8", newline="\n") as file:
        for row in file:
            owner, kind, block, line, name, _, text = row.removesuffix("\n").split(FIELD)
            yield owner, kind, int(block), int(line), name, text


def _stored(path: Path, part: int) -> Iterator[tuple[str, str, int, int, str, str]]:
    with _connected(path, read_only=True) as connection:
        cursor = connection.execute(
            "SELECT owner, kind, block, line, name, text FROM patients WHERE part = ?"
            " ORDER BY owner, block, line, kind, name",
            [part],
        )
        while rows := cursor.fetchmany(512):
            yield from rows
