"""How a value compares with an earlier one of the same assay: risen to a multiple, or fallen by a part."""

from __future__ import annotations

from collections.abc import Sequence

from mscprotocol.interval import Interval
from mscprotocol.knowledge_forms import ChangeLeaf
from mscprotocol.record import Measurement
from mscprotocol.truth import Truth


def has_changed(leaf: ChangeLeaf, earlier: Interval, latest: Interval) -> Truth:
    """Whether a value is the asked multiple of an earlier one, or has fallen by the asked part of it."""
    ratio = latest.over(earlier)
    if leaf.rises_to is not None:
        return ratio.gte(leaf.rises_to.value)
    assert leaf.falls_by is not None
    return ratio.lte(1 - leaf.falls_by.value / 100)


def is_far_enough(leaf: ChangeLeaf, latest: Measurement, earlier: Sequence[Measurement]) -> bool:
    """Whether some earlier value lies far enough back to say that nothing changed."""
    if leaf.at_least_apart is None or latest.time is None:
        return bool(earlier)
    limit = leaf.at_least_apart.start(latest.time.earliest)
    return any(point.time is not None and point.time.latest <= limit for point in earlier)
