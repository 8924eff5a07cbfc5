"""Tables of patients to pieces: the rows of a file of separated values, each by its own lines of the file."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from fhir_adapters.patient_list import ColumnMap, Table, check_header, table_of
from fhir_adapters.patient_rows import RowReader
from mscprotocol.errors import DataError
from mscprotocol.knowledge import KnowledgeBase
from mscprotocol.screening.inputs import Block
from mscprotocol.screening.lines import read_lines
from mscprotocol.screening.pieces import LIST, ROW, Counts, Piece, Problem

_SEPARATORS = ",;\t|"
# A first line by which spreadsheets tell each other what stands between the cells.
_TOLD = re.compile(r'"?sep=(.)"?', re.IGNORECASE)
_ENCODING = "not UTF-8 text (Windows-1252 or Latin-1, it may be): save the table as UTF-8"


class _Lines:
    """The lines of a table as text: those that came since a row began, and what is wrong with them."""

    def __init__(self, path: Path) -> None:
        self._lines = read_lines(path)
        self.number = 0
        self.begin()

    def begin(self) -> None:
        """Forget the lines of the row before."""
        self.first = self.number + 1
        self.texts: list[str] = []
        self.problem: DataError | None = None

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self.number = line.number
        problem, text = line.problem, ""
        if problem is None:
            try:
                text = line.content.decode()
            except UnicodeDecodeError:
                problem = DataError("unreadable", f"the line is {_ENCODING}")
        self.problem = self.problem or problem
        self.texts.append(text)
        return text + "\n"


class OpenTable:
    """A table whose header was read: `rows` gives the lists of cells, `lines` the lines that they came from."""

    def __init__(self, path: Path) -> None:
        """Open a table. Raises DataError `unreadable` for one whose header cannot be read."""
        self.lines = _Lines(path)
        first = self._header_line()
        told = _TOLD.fullmatch(first)
        if told is not None:
            first = self._header_line()
        self.cut_by = told[1] if told else max(_SEPARATORS, key=first.count)
        self.header = [name.strip() for name in next(csv.reader([first], delimiter=self.cut_by))]
        self.rows = csv.reader(self.lines, delimiter=self.cut_by, strict=True)

    def _header_line(self) -> str:
        self.lines.begin()
        text = next(self.lines, None)
        problem = self.lines.problem
        if text is None:
            raise DataError("unreadable", "the table is empty: it has no line of column names")
        if problem is not None:
            raise DataError(problem.code, f"the line of column names cannot be read: {problem}")
        if "\r" in text:
            raise DataError("unreadable", "its lines end with CR alone: save the table with LF or CR LF at their ends")
        return text.rstrip("\n")


@dataclass(frozen=True)
class TableReader:
    """Reads tables by a map of columns; `at_column` holds the times of evaluation."""

    knowledge: KnowledgeBase
    columns: ColumnMap
    zone: ZoneInfo | None = None
    at_column: str | None = None

    def read(self, block: Block, counts: Counts) -> Iterator[Piece | Problem]:
        """The rows of a file, and why others cannot be read; every line of a row that cannot be read is counted.

        Raises DataError for a table of which nothing can be read.
        """
        opened = OpenTable(Path(block.source.path))
        table = table_of(self.columns, block.source.name, opened.header)
        check_header(table, opened.header, self.at_column)
        zone = ZoneInfo(table.zone) if table.zone else self.zone
        reader = RowReader(table, self.knowledge, zone, opened.cut_by)
        counts.bytes += block.source.size
        while True:
            opened.lines.begin()
            try:
                cells = _next_row(opened)
                if cells is None:
                    return
                if not any(cell.strip() for cell in cells):
                    counts.lines += 1
                    counts.blank += 1
                    continue
                piece = self._row(reader, block, opened, _checked(opened, table, cells))
            except DataError as error:
                number = len(opened.lines.texts)
                counts.lines += number
                counts.bad += number
                where = f"lines {opened.lines.first} to {opened.lines.number}" if number > 1 else "row"
                yield Problem("line", error.code, f"{where}: {error}", block.source.name, opened.lines.first)
                continue
            counts.lines += 1
            counts.kept += 1
            yield piece

    def _row(self, reader: RowReader, block: Block, opened: OpenTable, cells: list[str]) -> Piece:
        row = dict(zip(opened.header, cells, strict=True))
        read = reader.read(row)
        said: dict[str, Any] = {"record": read.record}
        if read.remarks:
            said["remarks"] = read.remarks
        if self.at_column is not None and row.get(self.at_column):
            said["at"] = reader.time(row[self.at_column].strip()).text
        text = json.dumps(said)
        return Piece(f"{LIST}/{read.patient}", ROW, block.number, opened.lines.first, block.source.name, (), text)


def _next_row(opened: OpenTable) -> list[str] | None:
    """The cells of the next row; None at the end. Raises DataError for lines that are no row."""
    try:
        cells = next(opened.rows, None)
    except csv.Error as error:
        raise DataError("unreadable", f"no row of separated values ({error})") from None
    if opened.lines.problem is not None:
        raise opened.lines.problem
    return cells


def _checked(opened: OpenTable, table: Table, cells: list[str]) -> list[str]:
    """The cells of a row, if they surely are of one row."""
    if len(cells) != len(opened.header):
        raise DataError("unreadable", f"{len(cells)} cells under {len(opened.header)} columns")
    if len(opened.lines.texts) > 1:
        is_read = any("\n" in cell for name, cell in zip(opened.header, cells, strict=True) if name in table.columns)
        is_row = any(text.count(opened.cut_by) >= len(cells) - 1 for text in opened.lines.texts[1:])
        if is_read or (is_row and len(cells) > 1):
            raise DataError("unreadable", "a quotation mark that was not closed may have taken further rows in")
    return cells
