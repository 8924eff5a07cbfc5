"""Why something is unknown, in order of precedence."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum


class Reason(Enum):
    """Why a finding is unknown. Members stand in order of precedence: of several, the first is given.

    What a person must look at comes first, then data that came but cannot be used, then data that is too
    old, and plain absence last: a coordinator acts on the most specific reason.
    """

    CONFLICT = "conflict"
    NEEDS_REVIEW = "needs_review"
    IMPLAUSIBLE = "implausible"
    UNIT_AMBIGUOUS = "unit_ambiguous"
    UNIT_UNKNOWN = "unit_unknown"
    SPECIMEN_MISMATCH = "specimen_mismatch"
    STATUS_EXCLUDED = "status_excluded"
    CODE_UNMAPPED = "code_unmapped"
    CONFOUNDED = "confounded"
    CONFLICTING_SIGNALS = "conflicting_signals"
    QUALIFIER_MISSING = "qualifier_missing"
    UNPAIRED = "unpaired"
    PARTIAL_DATE = "partial_date"
    COMPARATOR = "comparator"
    STALE = "stale"
    INSUFFICIENT_POINTS = "insufficient_points"
    AFTER_EVALUATION = "after_evaluation"
    MISSING = "missing"

    # Members are single objects, so identity is enough; Enum would hash the name each time.
    __hash__ = object.__hash__


_PRECEDENCE = {reason: place for place, reason in enumerate(Reason)}


def in_precedence(reasons: Iterable[Reason]) -> tuple[Reason, ...]:
    """The distinct reasons, the one to give first."""
    found = set(reasons)
    return tuple(found) if len(found) < 2 else tuple(sorted(found, key=_PRECEDENCE.__getitem__))
