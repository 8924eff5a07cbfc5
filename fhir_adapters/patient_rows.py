"""The rows of a list of patients, each as a part of our own JSON record, with what is to be said of its cells."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from pydantic import ValidationError

from fhir_adapters.attestations import truth_in_words
from fhir_adapters.dictionary import INFUSION, index
from fhir_adapters.local_writing import Written, write_number, write_time
from fhir_adapters.patient_list import PERSON, TIMES, ColumnMap, Table, Wide
from fhir_adapters.plain_forms import PlainRecord
from fhir_adapters.plain_record import STATES, describe_errors
from fhir_adapters.times import parse_time
from mscprotocol.codes import parse_code, split_codes
from mscprotocol.errors import DataError
from mscprotocol.knowledge import KnowledgeBase
from mscprotocol.truth import Truth

Row = Mapping[str, str]
_QUANTITIES = ("value", "upper_limit")
# What cells say besides the words of forms. A bare 1 is not among them: some code books count yes and no as 1 and 2.
_TRUTHS = {
    "true": Truth.MET,
    **dict.fromkeys(("false", "0"), Truth.NOT_MET),
    **dict.fromkeys(("n/a", "na", "not known", "not available"), Truth.UNKNOWN),
}
_DEAD = {"dead": True, "deceased": True, "died": True, "alive": False, "living": False}
# An id of FHIR has few letters; others stand in it by their numbers, so that no two ids become one.
_LOGICAL_ID = re.compile(r"(?!.*-x[0-9A-F]{2,6}-)[A-Za-z0-9\-.]{1,64}")
_NO_LETTER_OF_AN_ID = re.compile(r"[^A-Za-z0-9.]")
_LONGEST_ID = 64


class ReadRow(NamedTuple):
    """The patient's id as the list writes it, what the row says of him, and what is to be said of the row."""

    patient: str
    record: dict[str, Any]
    remarks: tuple[str, ...]


@dataclass(frozen=True)
class RowReader:
    """Reads the rows of one table; `zone` is where times without one were written, `cut_by` stands between cells."""

    table: Table
    knowledge: KnowledgeBase
    zone: ZoneInfo | None = None
    cut_by: str = ","

    def read(self, row: Row) -> ReadRow:
        """What a row says, in the shape of our own JSON record.

        Raises DataError: `foreign_subject` without an id, `unreadable` for what no record can hold.
        """
        patient = row.get(self.table.patient, "").strip()
        if not patient:
            raise DataError("foreign_subject", f"the row has no {self.table.patient}")
        reading = _Reading(self, _person(patient))
        reading.add_row(row)
        try:
            PlainRecord.model_validate(reading.record)
        except ValidationError as error:
            raise DataError("unreadable", f"the row cannot be read: {describe_errors(error)}") from None
        return ReadRow(patient, reading.record, tuple(reading.remarks))

    def time(self, text: str) -> Written:
        """A time of the table in FHIR's own writing."""
        return write_time(text, self.table.dates, self.zone)

    def number(self, text: str) -> Written:
        """A quantity of the table with a decimal point."""
        return write_number(text, self.table.decimal, is_cut_by_semicolons=self.cut_by == ";")


def check_names(columns: ColumnMap, knowledge: KnowledgeBase) -> None:
    """Raise ValueError for names of a map that are neither of the rules nor codes: nothing would be read by them."""
    known = {*knowledge.measurements, *knowledge.conditions, *knowledge.criteria, INFUSION}
    said = {one for table in columns.tables for one in table.said_names}
    strange = sorted(one for one in said - known if "|" not in one and not _has_system(one))
    if strange:
        raise ValueError(f"neither a name of the rules nor a code with its system: {', '.join(strange)}")


def _person(written: str) -> dict[str, Any]:
    """The id, and the one that the list writes where no id of FHIR can be that."""
    made = written
    if not _LOGICAL_ID.fullmatch(written):
        made = _NO_LETTER_OF_AN_ID.sub(lambda one: f"-x{ord(one[0]):02X}-", written)
    if len(made) > _LONGEST_ID or not written.isprintable():
        text = "the patient's id is too long or cannot be printed: give one of at most 64 letters, digits, '-' and '.'"
        raise DataError("unreadable", text)
    return {"id": made} if made == written else {"id": made, "identifiers": [{"value": written}]}


class _Reading:
    """One row while it is read: the record so far, and the remarks, each once."""

    def __init__(self, reader: RowReader, person: dict[str, Any]) -> None:
        self.reader, self.table, self.knowledge = reader, reader.table, reader.knowledge
        self.record: dict[str, Any] = {"patient": person}
        self.remarks: dict[str, None] = {}

    def add_row(self, row: Row) -> None:
        """Add everything that a row says."""
        written = {field: row.get(column, "").strip() for field, column in self.table.tidy.items()}
        tidy = self._named({field: self._cell(field, text) for field, text in written.items()})
        self._add_person(tidy)
        self._add(_coded(tidy, self.table.system))
        times = {field: tidy[field] for field in TIMES if tidy.get(field)}
        for wide in self.table.wide:
            self._add_wide(wide, row, times)

    def _add_wide(self, wide: Wide, row: Row, times: Mapping[str, str]) -> None:
        said = row.get(wide.column, "").strip()
        if not said:
            return
        beside = {field: self._rewritten(field, row.get(column, "").strip()) for field, column in wide.columns.items()}
        value = wide.values[said] if said in wide.values else self._rewritten("value", said)
        if not value:
            return  # the map says that the cell states nothing
        self._add(_coded({**times, **wide.fixed, **beside, "value": value}, wide.system))

    # -- cells -------------------------------------------------------------------------------------

    def _cell(self, field: str, text: str) -> str:
        """A cell of a tidy list: what the map says it stands for, else as it is written here."""
        local = self.table.values.get(field, {})
        return local[text] if text in local else self._rewritten(field, text)

    def _rewritten(self, field: str, text: str) -> str:
        if field in TIMES or field in ("born", "deceased"):
            return self._noted(self.reader.time(text))
        return self._noted(self.reader.number(text)) if field in _QUANTITIES else text

    def _noted(self, written: Written) -> str:
        self._remark(written.remark)
        return written.text

    def _remark(self, text: str) -> None:
        if text:
            self.remarks[text] = None

    def _named(self, said: dict[str, str]) -> dict[str, str]:
        """The fields with a local name replaced; it may stand for a name or a code of the rules."""
        if self.table.names and said.get("name"):
            named = self.table.names.get(said.pop("name"), "")
            said["name" if self._is_name(named) else "code"] = named
        return said

    def _is_name(self, text: str) -> bool:
        return text in self.knowledge.measurements or text in self.knowledge.conditions or text == INFUSION

    # -- the patient ---------------------------------------------------------------------------------

    def _add_person(self, tidy: Mapping[str, str]) -> None:
        person = self.record["patient"]
        for field, name in PERSON.items():
            text = tidy.get(field, "")
            if text:
                said = self._death(text) if field == "deceased" else text
                person |= {} if said is None else {name: said}

    def _death(self, text: str) -> bool | str | None:
        """Whether or when somebody died; what is neither is no death, and no life either."""
        truth = _truth(text)
        if truth in (Truth.MET, Truth.NOT_MET):
            return truth is Truth.MET
        known = _DEAD.get(text.lower())
        if known is not None:
            return known
        if parse_time(text) is not None:
            return text
        if truth is None:
            self._remark("what the list says of the patient's death cannot be read: a person has to look")
        return None

    # -- what is said of the patient -----------------------------------------------------------------

    def _add(self, said: Mapping[str, str]) -> None:
        given = {field: text for field, text in said.items() if text}
        if not {"name", "code"} & given.keys():
            return
        if given.get("by"):
            entry = {"name": given.get("name"), "answer": given.get("value"), "by": given["by"], "at": given.get("at")}
            self._keep("answers", entry)
        elif given.get("name") == INFUSION:
            self._keep("infusions", self._infusion(given))
        elif self._is_datum(given):
            if said.get("status") == "":
                self._remark("a value has no status of its own, and counts as final")
            self._keep("data", self._datum(given))
        else:
            for entry in self._conditions(given):
                self._keep("conditions", entry)

    def _keep(self, part: str, entry: Mapping[str, Any]) -> None:
        self.record.setdefault(part, []).append({field: text for field, text in entry.items() if text})

    def _is_datum(self, given: Mapping[str, str]) -> bool:
        """Whether a name or code is a datum of the dictionary; a value with a unit is never a condition."""
        if "name" in given:
            return given["name"] in self.knowledge.measurements
        try:
            code = parse_code(given["code"])
        except ValueError:
            return True
        return (code.system, code.code) in index(self.knowledge).data or bool(given.get("unit"))

    def _datum(self, given: Mapping[str, str]) -> dict[str, Any]:
        value = " ".join(part for part in (given.get("value"), given.get("unit")) if part)
        definition = self.knowledge.measurements.get(given.get("name", ""))
        if definition is not None and definition.kind == "time":
            value = self._noted(self.reader.time(value))
        own = ("name", "code", "upper_limit", "assay", "specimen", "status", "at", "since")
        return {**{field: given.get(field) for field in own}, "value": value}

    def _infusion(self, given: Mapping[str, str]) -> dict[str, Any]:
        """An infusion; a cell that does not say that it was given is none."""
        value, status = given.get("value", ""), given.get("status")
        truth = _truth(value)
        if truth is Truth.NOT_MET:
            status = "not-done"
        elif value and truth is not Truth.MET and parse_time(self.reader.time(value).text) is None:
            self._remark("a cell beside an infusion does not say whether it was given: map it to yes or no")
            status = "unknown"
        return {"started": given.get("at") or given.get("since"), "status": status}

    def _conditions(self, given: Mapping[str, str]) -> Iterator[dict[str, Any]]:
        """What the row says of a condition, once for each code of its cell."""
        standing = self._standing(given)
        if standing is not None:
            for code in self._codes(given.get("code")):
                yield {"name": given.get("name"), "code": code, **standing}

    def _standing(self, given: Mapping[str, str]) -> dict[str, Any] | None:
        """How a condition stands by its status and by the value beside it; None if nothing is known of it."""
        value, status = given.get("value", ""), given.get("status", "")
        times: dict[str, Any] = {field: given.get(field) for field in ("since", "until", "recorded")}
        began = times | {"since": times["since"] or given.get("at")}
        if not value or value == status or _is_own(value, given.get("code", "")):
            return began | {"status": status}
        match _truth(value):
            case Truth.MET:
                return began | {"status": status or "confirmed"}
            case Truth.NOT_MET if status in ("", "active", "suspected", "confirmed"):
                return {"recorded": times["recorded"] or given.get("at"), "status": "refuted"}
            case Truth.UNKNOWN:
                self._remark("a cell says that nothing is known of what it would state")
                return None
        if not status and value in STATES:
            return began | {"status": value}
        self._remark("a cell beside a condition does not say whether it is there: map it to yes, no or unknown")
        return began | {"status": f"{value} beside {status or 'no status'}"}

    def _codes(self, text: str | None) -> Iterator[str | None]:
        """The codes of a cell, each with its system; text that holds more than codes stays whole, for a person."""
        try:
            code = parse_code(text or "")
        except ValueError:
            yield text
            return
        parts = split_codes(code.system, code.code)
        if parts is None:
            self._remark("a cell of codes holds more than codes, and was not read: a person has to look")
            parts = (code.code.replace("|", ","),)
        yield from (f"{code.system.name} {part}" for part in parts)


def _truth(text: str) -> Truth | None:
    """Whether a cell says yes, no or unknown."""
    found = truth_in_words(text)
    return _TRUTHS.get(text.strip().lower()) if found is None else found


def _is_own(value: str, code: str) -> bool:
    """Whether a value is the code itself, as where one column holds both."""
    return bool(code) and (value == code or code.endswith(f" {value}"))


def _coded(said: dict[str, str], system: str | None) -> dict[str, str]:
    """Fields whose code names its system, in the cell or by the map."""
    code = said.get("code", "")
    return said | {"code": f"{system} {code}"} if system and code and not _has_system(code) else said


def _has_system(code: str) -> bool:
    try:
        parse_code(code)
    except ValueError:
        return False
    return True
