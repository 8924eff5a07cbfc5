"""Numbers that may be shared: none that stands for few patients, and none from which such a one could be reckoned.

All tables of a report are sums over the same groups of patients. A small number is told by its neighbours if it is a
linear combination of what is shown, so more is left out until none is (complementary suppression, over all tables at
once and exact; estimates within bounds are not looked at).
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping

# Elimination over a large prime field finds what it finds over the rationals, without growing fractions.
_PRIME = (1 << 61) - 1
Sums = Mapping[Hashable, frozenset[Hashable]]


def find_hidden(cells: Mapping[Hashable, int], sums: Sums, least: int) -> set[Hashable]:
    """The names of sums that must not be shown, so that nothing below `least` patients is told.

    `cells` are how many patients each group has, no patient in two; `sums` name the groups that a number adds up.
    """
    groups = _merge(cells, sums)
    values = {name: sum(cells[cell] for cell in members) for name, members in sums.items()}
    vectors = {name: [int(name in group) for group in groups] for name in sums}
    shown = {name for name in sums if values[name] == 0 or values[name] >= least}
    small = [vectors[name] for name in sums if 0 < values[name] < least]
    # The groups themselves must not be told apart either, though no table may name them.
    sizes = [sum(cells[cell] for cell in members) for members in groups.values()]
    small += [[int(n == place) for n in range(len(sizes))] for place, size in enumerate(sizes) if 0 < size < least]
    ordered = sorted((name for name in shown if values[name]), key=lambda name: (values[name], str(name)))
    while (told := _first_told(small, [vectors[name] for name in ordered])) is not None:
        guilty = _choose(told, ordered, vectors)
        ordered.remove(guilty)
        shown.discard(guilty)
    return set(sums) - shown


def _choose(told: list[int], ordered: list[Hashable], vectors: Mapping[Hashable, list[int]]) -> Hashable:
    """The smallest number without which the small one is not told; else the smallest that adds up its patients."""
    for name in ordered:
        if _first_told([told], [vectors[other] for other in ordered if other != name]) is None:
            return name
    return next(name for name in ordered if any(a and b for a, b in zip(vectors[name], told, strict=True)))


def _merge(cells: Mapping[Hashable, int], sums: Sums) -> dict[frozenset[Hashable], list[Hashable]]:
    """Groups of patients that no sum tells apart; empty ones are known to be empty."""
    found: dict[frozenset[Hashable], list[Hashable]] = {}
    for cell, size in cells.items():
        named = frozenset(name for name, members in sums.items() if cell in members)
        if size and named:
            found.setdefault(named, []).append(cell)
    return found


def _first_told(small: list[list[int]], known: list[list[int]]) -> list[int] | None:
    """The first vector that is a linear combination of the known ones."""
    pivots = _echelon(known)
    return next((vector for vector in small if not any(_reduce(vector, pivots))), None)


def _echelon(rows: list[list[int]]) -> list[tuple[int, list[int]]]:
    pivots: list[tuple[int, list[int]]] = []
    for row in rows:
        left = _reduce(row, pivots)
        lead = next((place for place, value in enumerate(left) if value), None)
        if lead is not None:
            inverse = pow(left[lead], -1, _PRIME)
            pivots.append((lead, [value * inverse % _PRIME for value in left]))
    return pivots


def _reduce(row: list[int], pivots: list[tuple[int, list[int]]]) -> list[int]:
    """What is left of a row when the pivots are taken away."""
    left = row
    for lead, pivot in pivots:
        factor = left[lead]
        if factor:
            left = [(value - factor * other) % _PRIME for value, other in zip(left, pivot, strict=True)]
    return left
