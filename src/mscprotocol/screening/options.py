"""What a screening is asked to do, as it is kept beside its output: a run that is taken up again does the same."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec

from fhir_adapters.patient_list import ColumnMap, read_column_map
from mscprotocol.knowledge import KnowledgeBase
from mscprotocol.knowledge_loader import load_knowledge
from mscprotocol.rulebook import Rulebook, compile_rulebook
from mscprotocol.screening.moments import parse_moment
from mscprotocol.screening.patients import Screen
from mscprotocol.screening.reading import Reader

# Grows when the code would give other answers for the same data and rules.
FORMAT = "5"
TOGETHER = "all together"


class Options(msgspec.Struct, frozen=True):
    """The options of a run; every worker makes its own rules and readers from them.

    `begun` is when the run began: what is dated later was not observed. Without it nothing is taken for late by this.
    """

    protocol: str
    at: str
    zone: str | None = None
    site: str | None = None
    choices: dict[str, str] = {}
    columns: str | None = None
    what_if: list[str] = []
    checklists: bool = False
    begun: str = ""

    def knowledge(self) -> KnowledgeBase:
        """The rules that apply."""
        return load_knowledge(site=None if self.site is None else Path(self.site), choices=self.choices)

    def books(self, knowledge: KnowledgeBase) -> tuple[Rulebook, ...]:
        """The rulebooks of the protocols that are asked for."""
        names = tuple(knowledge.protocols) if self.protocol == "all" else (self.protocol,)
        return tuple(compile_rulebook(knowledge, name) for name in names)

    def scenarios(self) -> Iterator[tuple[str, KnowledgeBase]]:
        """The rules of each what-if, and of all of them together. Raises ChoiceError."""
        known = self.knowledge().parameters
        for name in self.scenario_names():
            said = self.what_if if name == TOGETHER else [name]
            pairs = [one.partition("=")[::2] for one in said]
            choices = {key: value for key, value in pairs if key in known}
            edits = {key: with_unit_apart(value) for key, value in pairs if key not in known}
            site = None if self.site is None else Path(self.site)
            yield name, load_knowledge(site=site, choices={**self.choices, **choices}, edits=edits)

    def scenario_names(self) -> list[str]:
        """What each what-if is called: as it was written."""
        return [*self.what_if, *([TOGETHER] if len(self.what_if) > 1 else [])]

    def rules(self, knowledge: KnowledgeBase) -> str:
        """The hash of all that an answer depends on but the data and a fixed time."""
        moment = parse_moment(self.at)
        at = "" if moment.kind == "time" else moment.text
        said = [FORMAT, knowledge.sha256, self.protocol, self.zone or "", self.columns or "", at, *self.what_if]
        return hashlib.sha256("\n".join([*said, str(self.checklists)]).encode()).hexdigest()

    def screen(self) -> Screen:
        """How a patient is screened."""
        knowledge = self.knowledge()
        scenarios = [(name, self.books(rules)) for name, rules in self.scenarios()]
        return Screen(
            books=self.books(knowledge),
            moment=parse_moment(self.at),
            rules=self.rules(knowledge),
            base=f"{FORMAT} {load_knowledge().sha256}",
            zone=None if self.zone is None else ZoneInfo(self.zone),
            scenarios=scenarios,
            begun=self.begun,
        )

    def reader(self) -> Reader:
        """How files are read."""
        moment = parse_moment(self.at)
        return Reader(
            knowledge=self.knowledge(),
            columns=ColumnMap() if self.columns is None else read_column_map(self.columns),
            zone=None if self.zone is None else ZoneInfo(self.zone),
            with_encounters=moment.kind == "encounter-start",
            with_times=moment.kind == "last-observation",
            at_column=moment.column,
            begun=self.begun,
        )


def with_unit_apart(value: str) -> str:
    """A length of time as the rules write it: `30d` means `30 d`."""
    number = value.rstrip("abcdefghijklmnopqrstuvwxyz")
    return f"{number} {value[len(number) :]}" if number.isdigit() and number != value else value


def differences(one: Options, other: Options) -> Sequence[str]:
    """The options that differ, as they are written; when a run began is none of them."""
    chosen = [name for name in Options.__struct_fields__ if name != "begun"]
    names = [name for name in chosen if getattr(one, name) != getattr(other, name)]
    return [f"--{'set' if name == 'choices' else name.replace('_', '-')}" for name in names]
