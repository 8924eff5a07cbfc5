"""One patient's record as the engine sees it: every entry keeps its source, its time and what was received."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal

import msgspec

from mscprotocol.codes import Coding
from mscprotocol.interval import Interval
from mscprotocol.reasons import Reason
from mscprotocol.timespan import TimeSpan
from mscprotocol.truth import Truth


class Identifier(msgspec.Struct, frozen=True):
    """A patient identifier: the value means nothing without its system."""

    system: str
    value: str


class Patient(msgspec.Struct, frozen=True):
    """Who the record is about. Birth and death are kept as intervals of dates and instants.

    `sex_contradicted` says that sources disagree about the sex, which is then None.
    """

    id: str
    identifiers: tuple[Identifier, ...] = ()
    name: str = ""
    born: tuple[date, date] | None = None
    sex: str | None = None
    sex_contradicted: bool = False
    deceased: bool = False
    died: TimeSpan | None = None


class Entry(msgspec.Struct, frozen=True):
    """What every entry of a record carries: where it came from, when it held, and how it was written."""

    name: str
    reference: str
    time: TimeSpan | None
    as_received: str
    code: Coding | None = None
    problem: Reason | None = None
    attested_by: str | None = None


class Measurement(Entry, frozen=True):
    """A quantity in its canonical unit, or one of the answers that the dictionary lists.

    `time` is when it was taken; of an amount collected over a period it is the end, and `began` the start.
    """

    value: Interval | None = None
    answer: str | None = None
    unit: str = ""
    native_unit: str = ""
    upper_limit: Interval | None = None
    upper_limit_source: str = ""
    assay: str | None = None
    began: TimeSpan | None = None
    flags: frozenset[str] = frozenset()


class Presence(Entry, frozen=True):
    """Something that is present or absent: a disease, a procedure, a medication, an event, a consent.

    `time` is its onset and `ended` its end; `active` says whether it holds now as far as the source tells.
    `charted` is an act that was done and whose words only may mean it: no denial makes it undone. `recorded_as` is the
    id under which a course of ours recorded an event that ends it.
    """

    present: Truth = Truth.UNKNOWN
    active: Truth = Truth.UNKNOWN
    ended: TimeSpan | None = None
    recorded: TimeSpan | None = None
    charted: bool = False
    recorded_as: str = ""


class Attestation(Entry, frozen=True):
    """A named person's answer about a finding or a criterion."""

    answer: Truth = Truth.UNKNOWN


class Deviation(msgspec.Struct, frozen=True):
    """That an infusion was given although the gate before it did not open, with the gate's answer of then."""

    gate: str
    because: tuple[str, ...]
    reason: str


class Infusion(Entry, frozen=True):
    """An infusion of the product that was started (`completed` or `stopped`), `of_lot` if of a lot that is known.

    `lots` are the names of the lot that it was of, as far as it says; `recorded_as` is the id under which a course of
    ours recorded it, `deviation` what was against it, and `volume` the mL that were infused, if that is said.
    """

    status: str = "completed"
    of_lot: bool = False
    lots: tuple[str, ...] = ()
    recorded_as: str = ""
    deviation: Deviation | None = None
    volume: Decimal | None = None


class Unmapped(msgspec.Struct, frozen=True):
    """A code that looks relevant to a finding but is not in the dictionary; `relevant` names the findings."""

    reference: str
    code: Coding
    relevant: tuple[str, ...]
    time: TimeSpan | None = None


class QualityNote(msgspec.Struct, frozen=True):
    """Something about the input that a person should know; never patient data beyond a reference."""

    reference: str
    text: str


class PatientRecord(msgspec.Struct, frozen=True):
    """All that is known of one patient. Order carries no meaning: the builder sorts."""

    patient: Patient
    measurements: dict[str, tuple[Measurement, ...]] = msgspec.field(default_factory=dict)
    presences: dict[str, tuple[Presence, ...]] = msgspec.field(default_factory=dict)
    attestations: dict[str, tuple[Attestation, ...]] = msgspec.field(default_factory=dict)
    infusions: tuple[Infusion, ...] = ()
    unmapped: tuple[Unmapped, ...] = ()
    notes: tuple[QualityNote, ...] = ()
    source_digests: tuple[str, ...] = ()

    def begun_infusions(self, at: datetime) -> list[Infusion]:
        """The infusions that were started up to `at`, the first one first: their places are their numbers."""
        begun = [(one.time.earliest, one) for one in self.infusions if one.time and not one.time.is_after(at)]
        return [one for _, one in sorted(begun, key=lambda pair: (pair[0], pair[1].status))]

    def infusion_starts(self, at: datetime) -> list[datetime]:
        """When infusions were started, up to `at`, the first one first."""
        return [one.time.earliest for one in self.begun_infusions(at) if one.time is not None]
