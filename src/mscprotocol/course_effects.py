"""What a change of the record does to the gate of the next infusion, and what of it only a clinician does, who signs.

A gate is loosened by whatever takes a reason away, also one of several, and one that was open: the other reasons may
be settled in the ordinary way later. What an infusion that took place was is changed by a clinician in any case.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime

import msgspec

from mscprotocol.answer import Assessment, GateResult
from mscprotocol.course_forms import Death, Events, Form, Infusion
from mscprotocol.errors import DataError, RequestError
from mscprotocol.store.subjects import REINSTATED, NewEntry
from mscprotocol.store.tables import SubjectEntry
from mscprotocol.subject_chart import Chart, reached_stage
from mscprotocol.subjects import Subjects

NOT_ASKED = "the gate could not be asked"
UNSIGNED = "This takes back what the gate holds for, or changes an infusion that took place ({}): a clinician signs it."
_RANK = {"go": 0, "hold": 1, "stop": 2}
_UNKNOWN = "unknown"
_RUNNING = "in-progress"
# Settled by saying how an infusion ended and what it gave, which whoever records does.
_ORDINARY = "volume: unknown"


@dataclass(frozen=True)
class Effect:
    """The answers without and with a new entry (None: none could be given), and what of it asks for a signature."""

    entry: bytes
    before: Assessment | None
    after: Assessment | None
    to_sign: tuple[str, ...]

    @property
    def digest(self) -> str:
        """What a signer has seen: the entry, the gates and what is signed, whatever the minute."""
        said = [self.entry, _gate(self.before), _gate(self.after), self.to_sign]
        return hashlib.sha256(msgspec.json.encode(said)).hexdigest()


class UnsignedError(RequestError):
    """A change that a clinician has to sign; `effect` tells whoever may see the patient's data what it would do."""

    def __init__(self, effect: Effect) -> None:
        super().__init__("unsigned", UNSIGNED.format("; ".join(effect.to_sign)))
        self.effect = effect


def find_effect(subjects: Subjects, before: Chart, after: Chart, at: datetime, changed: Iterable[str]) -> Effect:
    """What follows from the last entry of `after`, which `before` has not; `changed` is signed whatever the gate."""
    old, new = (_judge(subjects, chart, at) for chart in (before, after))
    entry = after.entries[-1]
    loosened = _loosened(_gate(old), _gate(new), is_back=entry.kind == REINSTATED)
    return Effect(entry.content, old, new, tuple(dict.fromkeys([*changed, *loosened])))


def find_taken_away(subjects: Subjects, before: Chart, after: Chart, upload: NewEntry, at: datetime) -> list[str]:
    """What is against the next infusion by an upload as it came, and is not where entries in it are set aside.

    `after` holds it with these set aside, and what was typed instead. Nothing where no course has begun.
    """
    new = _gate(_judge(subjects, after, at)) if reached_stage(after) == "infusion" else None
    if new is None:
        return []
    last, typed = after.entries[-1], after.entries[len(before.entries) + 1 :]
    said = {"kind": upload.kind, "content": upload.content, "sequence": last.sequence, "actor": last.actor}
    came = SubjectEntry(id="", made_at=at, **said)
    alone, beside = (
        _gate(_judge(subjects, replace(before, entries=[*before.entries, came, *more]), at)) for more in ([], typed)
    )
    if alone is None:
        return [NOT_ASKED]
    # What was open may be settled by what was typed; only what is still open beside that is taken away.
    against = [one for one in alone.because if not one.endswith(f": {_UNKNOWN}")]
    against += [] if beside is None else beside.because
    return [one for one in dict.fromkeys(against) if one not in new.because]


def changed_facts(before: Form, after: Form) -> Iterator[str]:
    """What a correction changes that a clinician signs, whether the gate of now asks for it or not."""
    if isinstance(before, Infusion) and isinstance(after, Infusion):
        yield from _of_infusion(before, after)
    elif isinstance(before, Death) and isinstance(after, Death) and before.at != after.at:
        yield "the time of death"
    elif isinstance(before, Events) and isinstance(after, Events):
        said = before.answers.items()
        yield from (f"{name}: was {one}" for name, one in said if one == "yes" and after.answers.get(name) != one)


def _of_infusion(before: Infusion, after: Infusion) -> Iterator[str]:
    """A running infusion is ended by whoever records, with its volume; a volume that nobody gave is given like that."""
    if after.status == "entered-in-error":
        yield f"infusion {before.infusion}: not given"
        return
    if after.started != before.started:
        yield "its start"
    if before.lot and plain_lot(after.lot or "") != plain_lot(before.lot):
        yield "its lot"
    if before.status == _RUNNING:
        return
    if not before.lot and after.lot:
        yield "its lot"
    if before.volume_ml is not None and after.volume_ml != before.volume_ml:
        yield "its volume"
    if after.status not in (before.status, "stopped"):  # to say that one was stopped opens nothing
        yield f"that it was {before.status}"


def plain_lot(lot: str) -> str:
    """The number of a lot, however it is spaced and written."""
    return "".join(lot.split()).casefold()


def _loosened(old: GateResult | None, new: GateResult | None, *, is_back: bool) -> list[str]:
    """The reasons that are gone, unless what was open now speaks against.

    What is taken back again settles what was open like any data that are recorded: that alone is signed only where the
    gate then is more open.
    """
    if new is None:
        return []
    if old is None:
        return [NOT_ASKED]
    known = {one.partition(":")[0] for one in new.because}
    gone = [one for one in old.because if one not in new.because and not _is_settled(one, known, is_back=is_back)]
    return gone or ([f"gate: {old.decision}"] if is_back and _RANK[new.decision] < _RANK[old.decision] else [])


def _is_settled(reason: str, known: set[str], *, is_back: bool) -> bool:
    name, _, said = reason.partition(": ")
    return reason == _ORDINARY or (said == _UNKNOWN and (is_back or name in known))


def _gate(answer: Assessment | None) -> GateResult | None:
    return None if answer is None else answer.gate


def _judge(subjects: Subjects, chart: Chart, at: datetime) -> Assessment | None:
    try:
        return subjects.judge(chart, at, "infusion")[0]
    except DataError:
        return None
