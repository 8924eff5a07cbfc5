"""Reads the QR code off a printed page as a camera would, by the standard and not by the library that drew it."""

from __future__ import annotations

from typing import Any

# ISO/IEC 18004: which module is turned over, by row and column, for each of the eight masks.
_MASKS = (
    lambda r, c: (r + c) % 2 == 0,
    lambda r, c: r % 2 == 0,
    lambda r, c: c % 3 == 0,
    lambda r, c: (r + c) % 3 == 0,
    lambda r, c: (r // 2 + c // 3) % 2 == 0,
    lambda r, c: r * c % 2 + r * c % 3 == 0,
    lambda r, c: (r * c % 2 + r * c % 3) % 2 == 0,
    lambda r, c: ((r + c) % 2 + r * c % 3) % 2 == 0,
)
SIDE = 29  # version 3, which holds a command with a short code in one block


def read_modules(image: Any) -> list[list[bool]]:
    """The dark and light modules of a picture that holds a version 3 code and nothing else that is dark."""
    left, top, right, bottom = image.point(lambda one: 255 if one < 128 else 0).getbbox()
    width, height = (right - left) / SIDE, (bottom - top) / SIDE
    middle = [one + 0.5 for one in range(SIDE)]
    return [[image.getpixel((int(left + c * width), int(top + r * height))) < 128 for c in middle] for r in middle]


def read_text(modules: list[list[bool]]) -> str:
    """The text of a version 3 code of one block in bytes; errors are not corrected, a clean print has none."""
    mask = _MASKS[sum((modules[8][c] ^ bool(0b10101 >> (4 - c) & 1)) << (4 - c) for c in (2, 3, 4)) & 7]
    bits = ""
    for pair, right in enumerate([*range(SIDE - 1, 6, -2), 5, 3, 1]):
        rows = range(SIDE) if pair % 2 else range(SIDE - 1, -1, -1)
        cells = [(r, c) for r in rows for c in (right, right - 1) if not _is_function(r, c)]
        bits += "".join(str(int(modules[r][c] ^ mask(r, c))) for r, c in cells)
    assert bits[:4] == "0100", "not in bytes"
    length = int(bits[4:12], 2)
    return bytes(int(bits[at : at + 8], 2) for at in range(12, 12 + 8 * length, 8)).decode()


def _is_function(row: int, column: int) -> bool:
    """Finders with their formats, timing, and the one alignment pattern of version 3."""
    at_finder = (row < 9 and (column < 9 or column >= SIDE - 8)) or (row >= SIDE - 8 and column < 9)
    return at_finder or row == 6 or column == 6 or (20 <= row <= 24 and 20 <= column <= 24)
