"""The lines of a file in bounded memory, whatever is in it: packed, cut short, endless, or no text at all."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NamedTuple

from mscprotocol.errors import DataError

LONGEST_LINE = 16 * 1024 * 1024
_GZIP = b"\x1f\x8b"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_WIDE_MARKS = (b"\xff\xfe", b"\xfe\xff")


class Line(NamedTuple):
    """A line without its end; `problem` says why it cannot be used."""

    number: int
    content: bytes
    problem: DataError | None = None


def is_packed(path: Path) -> bool:
    """Whether a file is gzip, by its content."""
    with path.open("rb") as file:
        return file.read(2) == _GZIP


def open_file(path: Path) -> IO[bytes]:
    """A file for reading, unpacked on the way."""
    return gzip.open(path, "rb") if is_packed(path) else path.open("rb")  # type: ignore[return-value]


def read_head(path: Path, size: int) -> bytes:
    """The first bytes of a file's content; what can be read of a packed one."""
    try:
        with open_file(path) as file:
            return file.read(size)
    except (EOFError, zlib.error, gzip.BadGzipFile):
        return b""


def read_lines(path: Path, start: int = 0, end: int | None = None) -> Iterator[Line]:
    """The lines that begin between two places of a file, numbered from 1.

    What cannot be used is a line with its problem. A packed file that is damaged ends with one.
    """
    with open_file(path) as file:
        if start:
            file.seek(start - 1)
            _skip_line(file)
        place, number = file.tell() if start else 0, 0
        while end is None or place < end:
            number += 1
            try:
                content = file.readline(LONGEST_LINE + 1)
                is_long = len(content) > LONGEST_LINE
                place += len(content) + (_skip_line(file) if is_long and not content.endswith(b"\n") else 0)
            except (EOFError, zlib.error, gzip.BadGzipFile):
                yield Line(number, b"", DataError("unreadable", "the packed file is damaged or cut short here"))
                return
            if not content:
                return
            if number == 1 and not start and content.startswith(_WIDE_MARKS):
                yield Line(1, b"", DataError("unreadable", "the file is UTF-16 and was left out: save it as UTF-8"))
                return
            yield Line(number, b"", _too_long()) if is_long else _checked(number, content)


def _skip_line(file: IO[bytes]) -> int:
    """Read past the end of the line; how many bytes that took."""
    skipped = 0
    while part := file.readline(LONGEST_LINE):
        skipped += len(part)
        if part.endswith(b"\n"):
            break
    return skipped


def _too_long() -> DataError:
    return DataError("too_large", f"the line is longer than {LONGEST_LINE // 1024 // 1024} MiB and was left out")


def _checked(number: int, content: bytes) -> Line:
    content = content.rstrip(b"\r\n")
    if number == 1:
        content = content.removeprefix(_BYTE_ORDER_MARK)
    if b"\0" in content:
        return Line(number, content, DataError("unreadable", "the line holds NUL bytes"))
    return Line(number, content)


def check_text(content: bytes) -> str:
    """The text of a line that is needed. Raises DataError for anything but UTF-8."""
    try:
        text = content.decode()
    except UnicodeDecodeError:
        raise DataError("unreadable", "the line is not UTF-8 text: the file mixes encodings") from None
    if "\x1f" in text or "\n" in text or "\r" in text:
        raise DataError("unreadable", "the line holds control characters")
    return text
