"""Case tables: rules put to the engine as rows of what is given, what is asked, and what must come out.

Whoever owns the rules writes them as YAML: a folder of tables beside `base.yaml`, the patients that rows start from.
A section is named by what it asks: a criterion (`EX-04`), a definition (`severity_nhc`, `sepsis`, `sofa`), an item of a
score (`sofa.renal`), a chosen value (`value.pf_ratio`), a signal of the trend (`signal.crp`), or an answer as a whole
(`verdict`, `outlook`, `trend`, `dose`, `gate`). It is a list of rows, or a mapping with its rows and what they share.
A row is put to the `protocol` that it names, or else to the first that its criterion belongs to, and to the rules with
the `choices` of site parameters that it makes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from mscprotocol.answer import Assessment
from mscprotocol.assessment import assess_all
from mscprotocol.case import Request
from mscprotocol.case_records import AT, build_record
from mscprotocol.definitions import FindingDefinition, Ladder, Score
from mscprotocol.findings import Findings
from mscprotocol.knowledge import KnowledgeBase
from mscprotocol.knowledge_forms import walk_leaves
from mscprotocol.knowledge_loader import load_knowledge
from mscprotocol.protocols import Stage
from mscprotocol.reasons import in_precedence
from mscprotocol.record import PatientRecord
from mscprotocol.rulebook import Rulebook, compile_rulebook
from mscprotocol.schedule import length
from mscprotocol.scores import Scores
from mscprotocol.yaml_files import read_yaml

DEFAULT_PROTOCOL = "seed-covid-4x"
_BASE = "base"
_SHARED = {"base", "given", "stage", "at", "protocol", "choices"}
_ROW = {*_SHARED, "without", "expect", "reason", "case", "hazard", "trap"}

Bases = dict[str, dict[str, object]]


@dataclass(frozen=True)
class Row:
    """One line of a table: a question and the answer that must come out."""

    table: str
    section: str
    number: int
    given: Mapping[str, object]
    summary: str
    expect: str
    reason: str | None
    stage: Stage | None
    protocol: str | None
    choices: Mapping[str, str]
    at: datetime
    hazards: tuple[str, ...]
    traps: tuple[str, ...]

    @property
    def name(self) -> str:
        return f"{self.section} {self.number}: {self.summary} -> {self.expect}"

    @property
    def place(self) -> str:
        """How the list of hazards names the row."""
        return f"{self.table}.yaml::{self.section}"


@lru_cache(maxsize=16)
def read_rows(folder: Path) -> tuple[Row, ...]:
    """Every row of every table of a folder.

    Raises ValueError for a row that says what no table knows.
    """
    bases = _read_bases(folder)
    tables = sorted(path for path in folder.glob("*.yaml") if path.stem != _BASE)
    return tuple(row for path in tables for row in _rows_of(path, bases))


def _read_bases(folder: Path) -> Bases:
    """The base patients: each is a whole record, from which a row takes or changes a datum."""
    bases: Bases = {"none": {}}
    for name, said in _read(folder / f"{_BASE}.yaml").items():
        below = bases[said.pop("base")] if "base" in said else {}
        bases[name] = {**below, **said}
    return bases


def _read(path: Path) -> dict[str, Any]:
    return read_yaml(path.read_text(encoding="utf-8"))


def _rows_of(path: Path, bases: Bases) -> Iterator[Row]:
    for section, content in _read(path).items():
        shared = {} if isinstance(content, list) else {k: v for k, v in content.items() if k != "rows"}
        _refuse_unknown(shared, _SHARED, section)
        rows = content if isinstance(content, list) else content["rows"]
        for number, row in enumerate(rows, 1):
            _refuse_unknown(row, _ROW, section)
            yield _row(path.stem, section, number, {**shared, "given": None, **row}, (bases, shared.get("given") or {}))


def _row(table: str, section: str, number: int, said: dict[str, Any], below: tuple[Bases, dict[str, object]]) -> Row:
    bases, shared = below
    changed = said.get("given") or {}
    given = {**bases[said.get("base", "none")], **shared, **changed}
    for name in _as_tuple(said.get("without")):
        del given[name]
    at = said.get("at")
    return Row(
        table, section, number, given,
        summary=said.get("case") or _summarise(changed, _as_tuple(said.get("without"))),
        expect=str(said["expect"]),
        reason=said.get("reason"),
        stage=said.get("stage"),
        protocol=said.get("protocol"),
        choices=said.get("choices") or {},
        at=AT if at is None else datetime.fromisoformat(at),
        hazards=_as_tuple(said.get("hazard")),
        traps=_as_tuple(said.get("trap")),
    )  # fmt: skip


def _refuse_unknown(said: Mapping[str, object], known: set[str], section: str) -> None:
    if unknown := set(said) - known:
        raise ValueError(f"{section}: no key named {', '.join(sorted(unknown))}")


def _as_tuple(said: Any) -> tuple[str, ...]:
    return tuple(said) if isinstance(said, list) else () if said is None else (said,)


def _summarise(changed: Mapping[str, object], without: tuple[str, ...]) -> str:
    said = [f"{name} {' then '.join(map(str, v)) if isinstance(v, list) else v}" for name, v in changed.items()]
    return "; ".join([*said, *(f"without {name}" for name in without)]) or "nothing given"


def find_protocol(row: Row, knowledge: KnowledgeBase) -> str:
    """The protocol that a row is put to: the one it names, or the first that its criterion belongs to."""
    if row.protocol is not None:
        return row.protocol
    mine = [one.id for one in knowledge.protocols.values() if row.section in one.criteria]
    return DEFAULT_PROTOCOL if not mine or DEFAULT_PROTOCOL in mine else mine[0]


# -- asking -----------------------------------------------------------------------------------------


class Asked:
    """One row put to the real engine; what it asks is answered by `outcome`."""

    def __init__(self, row: Row, knowledge: KnowledgeBase) -> None:
        self.row = row
        self.knowledge = load_knowledge(knowledge.folder, choices=row.choices) if row.choices else knowledge

    @cached_property
    def book(self) -> Rulebook:
        return compile_rulebook(self.knowledge, find_protocol(self.row, self.knowledge))

    @cached_property
    def record(self) -> PatientRecord:
        return build_record(self.knowledge, self.row.given, self.row.at)

    @property
    def stage(self) -> Stage:
        if self.row.stage is not None:
            return self.row.stage
        criterion = self.knowledge.criteria.get(self.row.section)
        return "screening" if criterion is None else criterion.stage

    @cached_property
    def findings(self) -> Findings:
        ends = self.request.ends(length(self.book.practice.duration))
        return Findings(self.record, self.knowledge, self.row.at, self.stage, ends)

    @property
    def request(self) -> Request:
        return Request(self.row.at, self.stage)

    @cached_property
    def answer(self) -> Assessment:
        return assess_all(self.record, (self.book,), self.request, brief=True)[0]  # no row asks what would settle it

    @property
    def outcome(self) -> tuple[str, str | None]:
        """What came out, and the reason should it be unknown."""
        head, _, tail = self.row.section.partition(".")
        if head in self.knowledge.criteria:
            return self._criterion(head)
        if head == "value":
            return self._value(tail)
        if head == "signal":
            return next(one.state for one in self.answer.timing.signals if one.id == tail), None
        if head in _WHOLE:
            return _WHOLE[head](self.answer), None
        return self._definition(head, tail), None

    def _criterion(self, name: str) -> tuple[str, str | None]:
        """As judged for the protocol; a criterion that no protocol asks of a patient, by its own rule alone."""
        found = next((one for one in self.answer.criteria if one.id == name), None)
        if found is not None:
            return found.status, found.reason
        when = self.knowledge.criteria[name].when
        if when is None:
            raise ValueError(f"{name} is not computed")
        reasons = in_precedence([why for leaf in walk_leaves(when) for why in self.findings.find(leaf).reasons])
        return self.findings.truth_of(when).value, reasons[0].value if reasons else None

    def _value(self, name: str) -> tuple[str, str | None]:
        chosen = self.findings.select(name)
        if chosen.chosen is None:
            return "unknown", None if chosen.reason is None else chosen.reason.value
        value, levels = chosen.chosen.value, self.knowledge.measurements[name].levels
        if levels and value is not None and value.low is not None and value.high is not None:
            return "..".join(dict.fromkeys(levels[int(end)] for end in (value.low, value.high))), None
        if value is None or value.exact is None:
            return str(value), None
        places = self.row.expect.partition(".")[2]
        return str(value.exact.quantize(Decimal(1).scaleb(-len(places)))), None

    def _definition(self, name: str, item: str) -> str:
        definition = self.knowledge.definitions[name]
        match definition:
            case Score():
                score = self.answer.scores[name]
                return _range(score.items[item] if item else score)
            case Ladder():
                return _class(self.answer, name)
            case FindingDefinition() if (definition.report or "").startswith("scores."):
                _, score_name, field = (definition.report or "").split(".")
                return str(getattr(self.answer.scores[score_name], field))
            case FindingDefinition():
                concluded = {one.rule: one.concluded for one in self.answer.trace}
                return concluded.get(name) or Scores(self.findings).truth_of(definition.when).value
            case _:
                raise ValueError(f"no table asks for {name}")


def _range(points: Any) -> str:
    return str(points.low) if points.low == points.high else f"{points.low}..{points.high}"


def _class(answer: Assessment, name: str) -> str:
    if name == "coagulopathy":
        found, at_least = answer.coagulopathy.tier, answer.coagulopathy.at_least
    else:
        one = next(one for one in (*answer.severity.values(), *answer.ards.values()) if one.id == name)
        found, at_least = one.class_, one.at_least
    return f"at least {at_least}" if found == "unknown" and at_least else found


_WHOLE: dict[str, Any] = {
    "verdict": lambda answer: answer.verdict,
    "outlook": lambda answer: str(answer.outlook),
    "trend": lambda answer: answer.timing.trend,
    "dose": lambda answer: answer.dose.status,
    "gate": lambda answer: answer.gate.decision,
}
