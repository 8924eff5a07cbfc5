"""Numbers that may be shared: small ones are only told to be small, all others are rounded to one step.

Numbers that add up tell each other, from one table to the next and from one report to the next. Rounded ones do not
add up, so nothing is left by subtraction. Where roundings meet at their edges and would still tell a small number, one
of them moves by a step, to what other cohorts print, too: a gap in its place would itself tell what happened.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain

WITHHELD = "withheld"
Range = tuple[float, float]
Sum = tuple[Hashable, tuple[Hashable, ...]]
Sizes = dict[Hashable, int]


@dataclass
class Ledger:
    """Every number that a page prints, by name, and which of them add up to which; with `least` 0 all are told.

    No number from 1 to `least` - 1 is told, nor can it be reckoned from what is, by bounds through all sums. Not
    looked at are sums that were not entered, and what is known from elsewhere.
    """

    least: int
    numbers: dict[Hashable, int] = field(default_factory=dict)
    sums: list[Sum] = field(default_factory=list)
    _rests: set[Hashable] = field(default_factory=set)
    _sizes: Sizes = field(default_factory=dict)

    def enter(self, numbers: Mapping[Hashable, int]) -> None:
        """Add numbers by name."""
        self.numbers.update(numbers)
        self._sizes.update((name, size_of(number, self.least)) for name, number in numbers.items())

    def add_up(self, total: Hashable, parts: Iterable[Hashable]) -> None:
        """Say that a number is the sum of others."""
        self.sums.append((total, tuple(parts)))

    def contain(self, total: Hashable, parts: Iterable[Hashable]) -> None:
        """Say that a number is the sum of others and of a rest that no table names, which may be small, too."""
        told = tuple(parts)
        rest = ("rest", total, told)
        self._rests.add(rest)
        self.numbers[rest] = self.numbers[total] - sum(self.numbers[one] for one in told)
        self.sums.append((total, (*told, rest)))

    def settle(self) -> None:
        """Move roundings that together would tell a small number; if no two moves help, no number is told at all."""
        if self.least and self._find_told(self._sizes):
            once = [*self._moved(self._sizes)]
            twice = (sizes for one in once for sizes in self._moved(one))
            found = next((sizes for sizes in chain(once, twice) if self._find_told(sizes) == set()), None)
            self._sizes = found or {}

    def _moved(self, sizes: Sizes) -> Iterator[Sizes]:
        """What would be shown if one number, wherever it stands, were rounded to the next step; the largest first."""
        for number in sorted({self.numbers[name] for name in sizes} - {0}, reverse=True):
            alike = [name for name in sizes if self.numbers[name] == number]
            for size in (sizes[alike[0]] - self.least, sizes[alike[0]] + self.least):
                if size >= 0:
                    yield {**sizes, **dict.fromkeys(alike, size)}

    def show(self, name: Hashable) -> str:
        """A number as it is printed."""
        if name not in self._sizes:
            return WITHHELD
        size = self._sizes[name]
        return f"under {self.least}" if self.numbers[name] and not size else f"{size:,}"

    def size(self, name: Hashable) -> int:
        """A number as it is drawn: a small one has no size."""
        return self._sizes.get(name, 0)

    def _find_told(self, sizes: Sizes) -> set[Hashable] | None:
        """The small numbers of which only one value agrees with what would be shown; None if nothing does."""
        ranges = narrow(self.sums, {name: self._range(name, sizes) for name in self.numbers})
        if any(low > high for low, high in ranges.values()):
            return None
        return {name for name, (low, high) in ranges.items() if 0 < self.numbers[name] < self.least and low == high}

    def _range(self, name: Hashable, sizes: Sizes) -> Range:
        """What somebody who sees the page knows of a number; that one is there at all is seen by its row."""
        if name in self._rests:
            return 0, math.inf
        if not self.numbers[name]:
            return 0, 0
        if not sizes[name]:
            return 1, self.least - 1
        low = sizes[name] - self.least // 2
        return max(self.least, low), low + self.least - 1


def size_of(number: int, least: int) -> int:
    """What is told of a number: nothing of a small one, of others the nearest multiple of `least`, a half going up."""
    if not least or number < least:
        return 0 if least else number
    return (number + least // 2) // least * least


def narrow(sums: Iterable[Sum], ranges: Mapping[Hashable, Range]) -> dict[Hashable, Range]:
    """What sums leave of ranges: each total within its parts, and each part within what the others leave."""
    sums, known = list(sums), dict(ranges)
    before: dict[Hashable, Range] = {}
    while before != known and all(low <= high for low, high in known.values()):
        before = dict(known)
        for total, parts in sums:
            low, high = known[total] = _within(known[total], _added([known[one] for one in parts]))
            for one in parts:
                least, most = _added([known[other] for other in parts if other != one])
                known[one] = _within(known[one], (low - most, high - least))
    return known


def _added(ranges: Iterable[Range]) -> Range:
    lows, highs = zip((0, 0), *ranges, strict=True)
    return sum(lows), sum(highs)


def _within(one: Range, other: Range) -> Range:
    return max(one[0], other[0]), min(one[1], other[1])
