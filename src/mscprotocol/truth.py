"""Three-valued truth and strong Kleene groups: what is not known is `UNKNOWN`, never false."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import NoReturn


class Truth(Enum):
    """A truth value that refuses to be used as a bool, so that unknown can never pass for false."""

    MET = "met"
    NOT_MET = "not_met"
    UNKNOWN = "unknown"

    def __bool__(self) -> NoReturn:
        raise TypeError("a three-valued truth has no bool: compare it with Truth.MET, NOT_MET or UNKNOWN")

    # Members are single objects, so identity is enough; Enum would hash the name each time.
    __hash__ = object.__hash__

    def __invert__(self) -> Truth:
        return _NEGATION[self]

    def __and__(self, other: Truth) -> Truth:
        return all_of((self, other))

    def __or__(self, other: Truth) -> Truth:
        return any_of((self, other))


_NEGATION = {Truth.MET: Truth.NOT_MET, Truth.NOT_MET: Truth.MET, Truth.UNKNOWN: Truth.UNKNOWN}


def known(answer: bool) -> Truth:
    """The truth of a question that has been answered."""
    return Truth.MET if answer else Truth.NOT_MET


def all_of(members: Iterable[Truth]) -> Truth:
    """Kleene conjunction: one `NOT_MET` settles it; else one `UNKNOWN` leaves it open."""
    found = Truth.MET
    for member in members:
        if member is Truth.NOT_MET:
            return member
        if member is Truth.UNKNOWN:
            found = member
    return found


def any_of(members: Iterable[Truth]) -> Truth:
    """Kleene disjunction: one `MET` settles it; else one `UNKNOWN` leaves it open."""
    found = Truth.NOT_MET
    for member in members:
        if member is Truth.MET:
            return member
        if member is Truth.UNKNOWN:
            found = member
    return found
