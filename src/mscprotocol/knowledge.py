"""The whole rule base as one value, with the hash that every answer carries."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from pathlib import Path

from mscprotocol.data_dictionary import Condition, Measurement, SiteLimit
from mscprotocol.definitions import AnyDefinition, Trend
from mscprotocol.knowledge_forms import Operator, Strict
from mscprotocol.parameters import Parameter
from mscprotocol.protocols import (
    Checklist,
    Criterion,
    InformationOnly,
    OrderForm,
    OverrideReason,
    Practice,
    Protocol,
    SignatureMeaning,
)


class Source(Strict):
    """An entry of the bibliography; `read` says what was read of it, `kept_for` why it is here if no rule cites it."""

    citation: str
    read: str
    url: str | None = None
    note: str | None = None
    kept_for: str | None = None


@dataclass(frozen=True, eq=False)
class KnowledgeBase:
    """The whole rule base, resolved, with the hash that every answer carries."""

    version: str
    sha256: str
    sources: dict[str, Source]
    measurements: dict[str, Measurement]
    conditions: dict[str, Condition]
    definitions: dict[str, AnyDefinition]
    criteria: dict[str, Criterion]
    protocols: dict[str, Protocol]
    # Protocols that are shown and never assessed, and what a site does whatever the protocol.
    information: dict[str, InformationOnly]
    practices: dict[str, Practice]
    checklists: dict[str, Checklist]
    override_reasons: dict[str, OverrideReason]
    signature_meanings: dict[str, SignatureMeaning]
    orders: dict[str, OrderForm]
    unit_aliases: dict[str, str]
    site_limits: tuple[SiteLimit, ...] = ()
    folder: Path | None = None  # where the files stand, if not those that ship
    # Site parameters, the option of each that is in force, and edits that were made beside them (path -> value).
    parameters: dict[str, Parameter] = field(default_factory=dict)
    chosen: dict[str, str] = field(default_factory=dict)
    edits: dict[str, str] = field(default_factory=dict)
    # Comparison and threshold of each measurement leaf in canonical unit, by the leaf's identity.
    thresholds: dict[int, tuple[Operator, Decimal]] = field(default_factory=dict)
    lines: dict[str, tuple[str, int]] = field(default_factory=dict)

    @cached_property
    def reported(self) -> dict[str, str]:
        """Where in the answer each definition stands that is concluded for every patient: `severity.nhc` -> its id."""
        return {one.report: name for name, one in self.definitions.items() if one.report is not None}

    @cached_property
    def course(self) -> Trend:
        """The one definition of how signals are read over time."""
        return next(one for one in self.definitions.values() if isinstance(one, Trend))
