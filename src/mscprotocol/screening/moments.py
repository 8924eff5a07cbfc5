"""When patients are assessed: at one time, each at his last observation, after his encounter began, or as listed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

_AFTER = re.compile(r"encounter-start(?:\+(\d{1,4})\s?(h|d))?")
COLUMN = "column:"
LAST = "last-observation"
FORMS = f"a time like 2020-04-06T10:00:00+08:00, {LAST}, encounter-start+24h or {COLUMN}NAME"


@dataclass(frozen=True)
class Moment:
    """A rule for the time of evaluation, as it was written."""

    text: str
    kind: Literal["time", "last-observation", "encounter-start", "column"]
    at: datetime | None = None
    after: timedelta = timedelta()
    column: str | None = None


def parse_moment(text: str) -> Moment:
    """Read what --at says. Raises ValueError that says what may stand there."""
    if text == LAST:
        return Moment(text, "last-observation")
    if text.startswith(COLUMN) and len(text) > len(COLUMN):
        return Moment(text, "column", column=text.removeprefix(COLUMN))
    if match := _AFTER.fullmatch(text):
        hours = int(match[1] or 0) * (24 if match[2] == "d" else 1)
        return Moment(text, "encounter-start", after=timedelta(hours=hours))
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"not a time of evaluation: {text!r}; it is {FORMS}") from None
    if at.tzinfo is None:
        raise ValueError("a time needs its zone, like 2020-04-06T10:00:00+08:00")
    return Moment(at.isoformat(), "time", at=at)
