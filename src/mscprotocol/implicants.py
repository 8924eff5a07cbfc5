"""Conjunctions of outcomes that suffice for something, and the alternatives between them, in a bounded form.

A term says which variables must be known (`needs`, a bit each) and which outcomes each variable may have (`allowed`,
a field of bits each, all variables packed into one number). An outcome that is not allowed spoils a term only if its
variable is known. No term is the constant false; a term that needs and forbids nothing is true.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

# How many alternatives are carried on; the shortest are kept, and the answer says that others were dropped.
MOST_TERMS = 400


class Term(NamedTuple):
    """Known variables, and the outcomes allowed to every variable."""

    needs: int
    allowed: int


@dataclass(frozen=True)
class Terms:
    """Alternatives, none of which another one covers; `cut` says that longer ones were dropped."""

    terms: tuple[Term, ...]
    cut: bool = False

    @property
    def is_never(self) -> bool:
        return not self.terms and not self.cut


NEVER = Terms(())


class Algebra:
    """Joins terms over variables with so many outcomes each, packed in the order given."""

    def __init__(self, sizes: Sequence[int]) -> None:
        self.fields: list[int] = []
        place = 0
        for size in sizes:
            self.fields.append(((1 << size) - 1) << place)
            place += size
        self.full = (1 << place) - 1
        self.always = Terms((Term(0, self.full),))

    def outcome(self, variable: int, among: int, *, known: bool = True) -> Terms:
        """The variable has one of some outcomes (a bit each); with `known` false only if it is known at all."""
        field = self.fields[variable]
        allowed = self.full & ~field | among * (field & -field)
        return self._reduced([Term(1 << variable if known else 0, allowed)], cut=False)

    def either(self, parts: Iterable[Terms]) -> Terms:
        """At least one part holds."""
        found = [one for one in parts if one is not NEVER]
        if len(found) < 2:
            return found[0] if found else NEVER
        return self._reduced([term for one in found for term in one.terms], any(one.cut for one in found))

    def both(self, parts: Iterable[Terms]) -> Terms:
        """Every part holds, by the same outcomes."""
        found = sorted((one for one in parts if one is not self.always), key=lambda one: len(one.terms))
        result = found[0] if found else self.always
        for one in found[1:]:
            if not result.terms:
                return result
            joined = (Term(a.needs | b.needs, a.allowed & b.allowed) for a in result.terms for b in one.terms)
            result = self._reduced(joined, result.cut or one.cut)
        return result

    def where_known(self, terms: Terms) -> Terms:
        """The same outcomes, demanded only of variables that are known."""
        return self._reduced((Term(0, one.allowed) for one in terms.terms), terms.cut)

    def regardless(self, terms: Terms, variables: int) -> Terms:
        """The same terms where it is all one which possible outcome some of their known variables have."""
        free = sum(self._fields_of(variables))
        return self._reduced(
            (Term(one.needs, one.allowed | free & sum(self._fields_of(one.needs))) for one in terms.terms), terms.cut
        )

    def variables(self, terms: Terms) -> int:
        """The variables, a bit each, that terms speak of."""
        found = 0
        for needs, allowed in terms.terms:
            found |= needs
            for number, field in enumerate(self.fields):
                if allowed & field != field:
                    found |= 1 << number
        return found

    def _reduced(self, terms: Iterable[Term], cut: bool) -> Terms:
        """Possible terms, without those that others cover; too many are cut to the shortest."""
        possible = {term for term in terms if self._is_possible(term)}
        if len(possible) < 2:
            return Terms(tuple(possible), cut) if possible or cut else NEVER
        kept: list[Term] = []
        for term in sorted(self._merged(possible), key=_length):
            if not _is_covered(term, kept):
                kept.append(term)
                if len(kept) > MOST_TERMS:
                    return Terms(tuple(kept[:MOST_TERMS]), cut=True)
        return Terms(tuple(kept), cut)

    def _merged(self, terms: set[Term]) -> Iterable[Term]:
        """Terms that need the same and differ in one variable only are one term: either outcome will do."""
        alike: dict[int, list[int]] = {}
        for needs, allowed in terms:
            alike.setdefault(needs, []).append(allowed)
        for needs, ways in alike.items():
            yield from (Term(needs, allowed) for allowed in self._joined(ways, needs))

    def _joined(self, ways: list[int], needs: int) -> list[int]:
        for field in self._fields_of(needs) if len(ways) > 1 else ():
            by_rest: dict[int, int] = {}
            for allowed in ways:
                by_rest[allowed & ~field] = by_rest.get(allowed & ~field, 0) | allowed
            ways = list(by_rest.values())
        return ways

    def _fields_of(self, variables: int) -> list[int]:
        return [field for place, field in enumerate(self.fields) if variables >> place & 1]

    def _is_possible(self, term: Term) -> bool:
        needs = term.needs
        while needs:
            lowest = needs & -needs
            if not term.allowed & self.fields[lowest.bit_length() - 1]:
                return False
            needs ^= lowest
        return True


def minimal_sets(sets: Iterable[int]) -> list[int]:
    """The sets, as bits, of which no other one is a part: the smallest first."""
    kept: list[int] = []
    for one in sorted(set(sets), key=lambda bits: (bits.bit_count(), bits)):
        if not any(other & one == other for other in kept):
            kept.append(one)
    return kept


def _length(term: Term) -> tuple[int, int, int, int]:
    # Of terms as long as each other, the more permissive ones come first: they may cover the others.
    return term.needs.bit_count(), -term.allowed.bit_count(), term.needs, term.allowed


def _is_covered(term: Term, others: Iterable[Term]) -> bool:
    """Whether one of the others needs no more and allows no less."""
    needs, allowed = term
    for known, possible in others:  # noqa: SIM110 - most of the time of a search is spent here
        if known & needs == known and allowed & possible == allowed:
            return True
    return False
