"""Lists of patients as tables: each row as a part of our own JSON record, by its columns or by a map of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatch
from typing import Any
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from fhir_adapters.dictionary import INFUSION, index
from fhir_adapters.plain_forms import PlainRecord
from fhir_adapters.plain_record import describe_errors
from mscprotocol.codes import parse_code
from mscprotocol.errors import DataError
from mscprotocol.knowledge import KnowledgeBase
from mscprotocol.yaml_files import YamlError, read_yaml

Row = Mapping[str, str]
PATIENT = "patient_id"
# The columns of a tidy list: what they say of the patient, and what they say of one datum.
PERSON = {"born": "born", "sex": "sex", "deceased": "deceased", "patient_name": "name"}
DATUM = ("name", "code", "value", "unit", "upper_limit", "assay", "specimen", "status", "by")
TIMES = ("at", "since", "until", "recorded")
KNOWN = (PATIENT, *PERSON, *DATUM, *TIMES)
_SPACED = re.compile(r"(\d{4}-\d\d-\d\d) (\d\d:\d\d.*)")


class Form(BaseModel):
    """What all parts of a map share: a word that is not known is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Wide(Form):
    """A column that holds one datum, condition or answer.

    `fixed` are fields that are the same in every row, `columns` further columns that belong to it, `values` what local
    words stand for; `system` is that of codes which stand without one.
    """

    column: str
    fixed: dict[str, str] = {}
    columns: dict[str, str] = {}
    values: dict[str, str] = {}
    system: str | None = None

    @model_validator(mode="after")
    def _is_named(self) -> Wide:
        unknown = ({*self.fixed} | {*self.columns}) - {*DATUM, *TIMES}
        if unknown:
            raise ValueError(f"not a field of a tidy list: {', '.join(sorted(unknown))}")
        if not {"name", "code"} & ({*self.fixed} | {*self.columns}):
            raise ValueError("fixed: needs a name or a code of the rules")
        return self


class Table(Form):
    """How the files of one name are read: `tidy` gives columns of a tidy list, `wide` the columns of single data."""

    file: str
    patient: str
    tidy: dict[str, str] = {}
    names: dict[str, str] = {}
    values: dict[str, dict[str, str]] = {}
    wide: tuple[Wide, ...] = ()
    system: str | None = None
    zone: str | None = None

    @model_validator(mode="after")
    def _is_known(self) -> Table:
        unknown = {*self.tidy} - {*KNOWN}
        if unknown:
            raise ValueError(f"not a column of a tidy list: {', '.join(sorted(unknown))}")
        if self.zone is not None:
            ZoneInfo(self.zone)
        return self

    def is_telling(self, header: Sequence[str]) -> bool:
        """Whether a header holds a column that says anything but whose row it is."""
        read = {*self.tidy.values(), *(wide.column for wide in self.wide)} - {self.patient}
        return not read.isdisjoint(header)


class ColumnMap(Form):
    """The tables of an export; a file that none of them names is read as a tidy list."""

    tables: tuple[Table, ...] = ()


def read_column_map(text: str) -> ColumnMap:
    """A map of columns from YAML. Raises ValueError that says where it is wrong."""
    try:
        return ColumnMap.model_validate(read_yaml(text))
    except YamlError as error:
        raise ValueError(f"line {error.line}: {error}") from error
    except ValidationError as error:
        raise ValueError(describe_errors(error)) from error


def table_of(columns: ColumnMap, file: str, header: Sequence[str]) -> Table | None:
    """How a file is read: by the map, or by its own header; None for one that names no patients."""
    for table in columns.tables:
        if fnmatch(file, table.file) or fnmatch(file.rpartition("/")[2], table.file):
            return table if table.patient in header else None
    if PATIENT not in header:
        return None
    return Table(file=file, patient=PATIENT, tidy={name: name for name in KNOWN if name in header})


def explain(table: Table | None, header: Sequence[str]) -> Iterator[tuple[str, str]]:
    """What each column of a file is taken for."""
    said: dict[str, list[str]] = {}
    if table is not None:
        said.setdefault(table.patient, []).append("the patient's id")
        for field, column in table.tidy.items():
            if field != PATIENT:
                said.setdefault(column, []).append(field)
        for wide in table.wide:
            named = wide.fixed.get("name") or wide.fixed.get("code") or "what another column names"
            said.setdefault(wide.column, []).append(f"value of {named} {wide.fixed.get('unit', '')}".strip())
            for field, column in wide.columns.items():
                said.setdefault(column, []).append(f"{field} of {wide.column}")
    for column in header:
        yield column, ", ".join(said.get(column, ["not read"]))


@dataclass(frozen=True)
class RowReader:
    """Reads the rows of one table; `zone` is where times without one were written."""

    table: Table
    knowledge: KnowledgeBase
    zone: ZoneInfo | None = None

    def read(self, row: Row) -> tuple[str, dict[str, Any]]:
        """The patient's id and what the row says of him, in the shape of our own JSON record.

        Raises DataError: `foreign_subject` without an id, `unreadable` for what no record can hold.
        """
        patient = row.get(self.table.patient, "").strip()
        if not patient:
            raise DataError("foreign_subject", f"the row has no {self.table.patient}")
        record: dict[str, Any] = {"patient": {"id": patient}}
        tidy = {field: row.get(column, "").strip() for field, column in self.table.tidy.items()}
        self._add(record, _coded(self._translated(tidy), self.table.system))
        for wide in self.table.wide:
            said = row.get(wide.column, "").strip()
            if said:
                beside = {field: row.get(column, "").strip() for field, column in wide.columns.items()}
                given = {**self._times(tidy), **wide.fixed, **beside, "value": wide.values.get(said, said)}
                self._add(record, _coded(given, wide.system))
        try:
            PlainRecord.model_validate(record)
        except ValidationError as error:
            raise DataError("unreadable", f"the row cannot be read: {describe_errors(error)}") from None
        return patient, record

    def _translated(self, tidy: dict[str, str]) -> dict[str, str]:
        """The fields with local words replaced; a local name may stand for a name or a code of the rules."""
        said = {field: self.table.values.get(field, {}).get(text, text) for field, text in tidy.items()}
        if self.table.names and said.get("name"):
            named = self.table.names.get(said.pop("name"), "")
            said["name" if self._is_name(named) else "code"] = named
        return said

    def _is_name(self, text: str) -> bool:
        return text in self.knowledge.measurements or text in self.knowledge.conditions or text == INFUSION

    def _times(self, tidy: Mapping[str, str]) -> dict[str, str]:
        return {field: tidy[field] for field in TIMES if tidy.get(field)}

    def _add(self, record: dict[str, Any], said: Mapping[str, str]) -> None:
        given = {field: self.zoned(text) if field in TIMES else text for field, text in said.items() if text}
        for field, name in PERSON.items():
            if field in given:
                record["patient"][name] = {"true": True, "false": False}.get(given[field].lower(), given[field])
        if not ({"name", "code"} & given.keys()):
            return
        part, entry = self._entry(given)
        record.setdefault(part, []).append({field: text for field, text in entry.items() if text})

    def _entry(self, given: Mapping[str, str]) -> tuple[str, dict[str, Any]]:
        """Which list of a record something belongs to, and how it stands there."""
        named = {"name": given.get("name"), "code": given.get("code")}
        times = {field: given.get(field) for field in ("since", "until", "recorded")}
        if given.get("by"):
            entry = {"name": given.get("name"), "answer": given.get("value"), "by": given["by"], "at": given.get("at")}
            return "answers", entry
        if given.get("name") == INFUSION:
            return "infusions", {"started": given.get("at") or given.get("since"), "status": given.get("status")}
        if not self._is_datum(given):
            state = given.get("status") or given.get("value")
            since = times["since"] or given.get("at")
            return "conditions", {**named, **times, "since": since, "status": state}
        value = " ".join(part for part in (given.get("value"), given.get("unit")) if part)
        own = {field: given.get(field) for field in ("upper_limit", "assay", "specimen", "status", "at", "since")}
        return "data", {**named, **own, "value": value}

    def _is_datum(self, given: Mapping[str, str]) -> bool:
        """Whether a name or code is a datum of the dictionary; a value with a unit is never a condition."""
        if "name" in given:
            return given["name"] in self.knowledge.measurements
        try:
            code = parse_code(given["code"])
        except ValueError:
            return True
        return (code.system, code.code) in index(self.knowledge).data or bool(given.get("unit"))

    def zoned(self, text: str) -> str:
        """A time in FHIR's own writing, with the zone of the table where it states none."""
        text = _SPACED.sub(r"\1T\2", text)
        if self.zone is None or "T" not in text:
            return text
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            return text
        return text if moment.tzinfo is not None else moment.replace(tzinfo=self.zone).isoformat()


def _coded(said: dict[str, str], system: str | None) -> dict[str, str]:
    """Fields whose code names its system."""
    code = said.get("code", "")
    return said | {"code": f"{system} {code}"} if system and code and " " not in code else said
