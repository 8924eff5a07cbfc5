"""Lists of patients as tables: what each column means, by its name or by a map of columns."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from fnmatch import fnmatch
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from fhir_adapters.local_writing import DateOrder, DecimalMark
from fhir_adapters.plain_record import describe_errors
from mscprotocol.errors import DataError
from mscprotocol.yaml_files import YamlError, read_yaml

PATIENT = "patient_id"
# The columns of a tidy list: what they say of the patient, and what they say of one datum.
PERSON = {"born": "born", "sex": "sex", "deceased": "deceased", "patient_name": "name"}
DATUM = ("name", "code", "value", "unit", "upper_limit", "assay", "specimen", "status", "by")
TIMES = ("at", "since", "until", "recorded")
KNOWN = (PATIENT, *PERSON, *DATUM, *TIMES)
_SEPARATORS = re.compile(r"[\W_]+")
_LIKELY = frozenset(("patientid", "patient", "patid", "patientnumber", "patientno", "mrn", "pid", "subjectid"))


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
    """How the files of one name are read: `tidy` gives columns of a tidy list, `wide` the columns of single data.

    `decimal` and `dates` say how numbers and dates are written; without them only what has one meaning is read.
    """

    file: str
    patient: str
    tidy: dict[str, str] = {}
    names: dict[str, str] = {}
    values: dict[str, dict[str, str]] = {}
    wide: tuple[Wide, ...] = ()
    system: str | None = None
    zone: str | None = None
    decimal: DecimalMark | None = None
    dates: DateOrder | None = None

    @model_validator(mode="after")
    def _is_known(self) -> Table:
        unknown = {*self.tidy} - {*KNOWN}
        if unknown:
            raise ValueError(f"not a column of a tidy list: {', '.join(sorted(unknown))}")
        unused = ({*self.values} | ({"name"} if self.names else set())) - {*self.tidy}
        if unused:
            raise ValueError(f"names or values of a field that tidy does not name: {', '.join(sorted(unused))}")
        if self.zone is not None:
            ZoneInfo(self.zone)
        return self

    @property
    def said_names(self) -> Iterator[str]:
        """What the map states of names of the rules; one that is no name may be a code."""
        codes = [wide.fixed["code"] for wide in self.wide if "code" in wide.fixed and not wide.system]
        yield from (one for one in (*self.names.values(), *codes) if not self.system)
        yield from (wide.fixed["name"] for wide in self.wide if "name" in wide.fixed)

    def is_telling(self, header: Sequence[str]) -> bool:
        """Whether a header holds a column that says anything but whose row it is."""
        read = {*self.tidy.values(), *(wide.column for wide in self.wide)} - {self.patient}
        return not read.isdisjoint(header)

    @property
    def columns(self) -> frozenset[str]:
        """The columns that are read."""
        wide = (name for one in self.wide for name in (one.column, *one.columns.values()))
        return frozenset((self.patient, *self.tidy.values(), *wide))


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


def table_of(columns: ColumnMap, file: str, header: Sequence[str]) -> Table:
    """How a file is read: by the map, or by its own header. Raises DataError `no_patient` that says what is needed."""
    for table in columns.tables:
        if fnmatch(file, table.file) or fnmatch(file.rpartition("/")[2], table.file):
            if table.patient not in header:
                text = (
                    f"the map of columns names {table.patient!r} for the patient's id, and the table has no such column"
                )
                raise DataError("no_patient", text)
            return table
    if PATIENT not in header:
        raise DataError("no_patient", _why_nobody(header))
    return Table(file=file, patient=PATIENT, tidy={name: name for name in KNOWN if name in header})


def _why_nobody(header: Sequence[str]) -> str:
    text = f"no column of the table is named {PATIENT}: a map of columns has to say which one holds the patient's id"
    likely = [name for name in header if _SEPARATORS.sub("", name).casefold() in _LIKELY]
    if not likely:
        return f"{text} (--columns, --explain-columns)"
    return f"{text}; {likely[0]!r} may be it: --columns with `patient: {likely[0]}` and the other columns under `tidy`"


def check_header(table: Table, header: Sequence[str], *further: str | None) -> None:
    """Raise DataError `unreadable` if a column that is read stands there twice or not at all, or if none is read."""
    if not table.is_telling(header) and not {*further} & {*header}:
        text = "no column but the patient's is known, so that nothing would be read: see --explain-columns"
        raise DataError("unreadable", text)
    absent = sorted(table.columns - {*header})
    if absent:
        # One that tells of a status, or of a death, would take back what the others say.
        names = ", ".join(map(repr, absent))
        raise DataError("unreadable", f"the map of columns names columns that the table does not have: {names}")
    twice = {name for name, number in Counter(header).items() if number > 1}
    read_twice = sorted(twice & {*table.columns, *further})
    if read_twice:
        names = ", ".join(map(repr, read_twice))
        raise DataError("unreadable", f"columns of one name, of which nothing tells which one counts: {names}")


def explain(table: Table, header: Sequence[str]) -> Iterator[tuple[str, str]]:
    """What each column of a file is taken for, and which ones of a map the file does not have."""
    said: dict[str, list[str]] = {table.patient: ["the patient's id"]}
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
    for column in sorted(table.columns - {*header}):
        yield column, f"{', '.join(said[column])}: NOT IN THE FILE"
