"""Rows of lists: no cell that denies or that nobody can read becomes a finding, and what was not read is said."""

import pytest

from fhir_adapters.bundle import assemble
from fhir_adapters.patient_list import read_column_map
from fhir_adapters.patient_rows import RowReader
from fhir_adapters.plain_forms import PlainRecord
from fhir_adapters.plain_record import write_units
from fhir_adapters.record_builder import build_record
from mscprotocol.errors import DataError
from mscprotocol.reasons import Reason
from mscprotocol.truth import Truth

TIDY = "{patient_id: id, deceased: died, name: name, code: code, value: value, unit: unit, status: status, at: at}"


def reader(knowledge, table, cut_by=","):
    columns = read_column_map(f"tables: [{{file: a, patient: id, {table}}}]")
    return RowReader(columns.tables[0], knowledge, None, cut_by)


def record_of(knowledge, table, row, cut_by=","):
    """The record of one row, and its remarks."""
    read = reader(knowledge, table, cut_by).read({"id": "p", **row})
    return build_record(
        assemble(write_units(PlainRecord.model_validate(read.record), knowledge)), knowledge
    ), read.remarks


def presences(knowledge, table, row):
    record, remarks = record_of(knowledge, table, row)
    found = {name: entry for name, entries in record.presences.items() for entry in entries}
    return found, remarks


PE = "wide: [{column: PE, fixed: {name: pulmonary_embolism, status: active}}]"


@pytest.mark.parametrize("cell", ["0", "no", "No", "n", "false"])
@pytest.mark.parametrize("is_tidy", [False, True])
def test_a_cell_that_says_no_denies(knowledge, cell, is_tidy):
    tidy = {"name": "pulmonary_embolism", "value": cell, "status": "active", "at": "2020-04-06"}
    found, _ = presences(knowledge, *((f"tidy: {TIDY}", tidy) if is_tidy else (PE, {"PE": cell})))
    entry = found["pulmonary_embolism"]
    assert (entry.present, entry.problem, entry.time) == (Truth.NOT_MET, None, None)


@pytest.mark.parametrize("cell", ["n/a", "unknown", "NA"])
def test_a_cell_that_knows_nothing_states_nothing(knowledge, cell):
    found, remarks = presences(knowledge, PE, {"PE": cell})
    assert not found
    assert any("nothing is known" in one for one in remarks)


def test_a_cell_may_state_nothing_by_the_map(knowledge):
    table = """wide: [{column: o2, fixed: {name: oxygen_support}, values: {"no": room_air, "yes": ""}}]"""
    assert not record_of(knowledge, table, {"o2": "yes"})[0].measurements
    assert record_of(knowledge, table, {"o2": "no"})[0].measurements["oxygen_support"][0].answer == "room_air"


@pytest.mark.parametrize("cell", ["1", "pending", "2 months ago", "x"])
def test_a_cell_beside_a_status_that_nobody_can_read_needs_review(knowledge, cell):
    found, remarks = presences(knowledge, PE, {"PE": cell})
    assert found["pulmonary_embolism"].problem is Reason.NEEDS_REVIEW
    assert found["pulmonary_embolism"].present is Truth.UNKNOWN
    assert any("map it to yes" in one for one in remarks)


@pytest.mark.parametrize(
    ("table", "cell"),
    [(PE, "yes"), (PE, "Y"), (PE, "active"), (PE.replace("active}}", 'active}, values: {"1": "yes"}}'), "1")],
)
def test_a_cell_that_says_yes_keeps_the_status(knowledge, table, cell):
    entry = presences(knowledge, table, {"PE": cell})[0]["pulmonary_embolism"]
    assert (entry.present, entry.active, entry.problem) == (Truth.MET, Truth.MET, None)


def test_no_beside_refuted_is_for_a_person(knowledge):
    found, _ = presences(knowledge, PE.replace("active", "refuted"), {"PE": "no"})
    assert found["pulmonary_embolism"].problem is Reason.NEEDS_REVIEW


def test_a_drug_that_is_denied_is_not_taken(knowledge):
    table = "wide: [{column: VP, fixed: {name: vasopressor, status: active}}]"
    assert "vasopressor" not in presences(knowledge, table, {"VP": "0"})[0]


@pytest.mark.parametrize(
    ("cell", "count", "is_said"), [("yes", 1, False), ("2020-04-05", 1, False), ("no", 0, False), ("perhaps", 0, True)]
)
def test_an_infusion_is_one_that_was_given(knowledge, cell, count, is_said):
    table = "wide: [{column: given, fixed: {name: infusion}}]"
    record, remarks = record_of(knowledge, table, {"given": cell})
    assert len(record.infusions) == count
    assert bool(remarks) is is_said


ICD = "wide: [{column: icd, fixed: {status: active}, columns: {code: icd}, system: icd10}]"


@pytest.mark.parametrize(
    "cell", ["U07.1,I26.9", "I26.9, U07.1", "U07.1|I26.9", "U07.1 I26.9", "u07.1;I269", "I26.9 U07.1!"]
)
def test_every_code_of_a_cell_counts(knowledge, cell):
    found, remarks = presences(knowledge, ICD, {"icd": cell})
    assert {"covid_19", "pulmonary_embolism"} <= found.keys()
    assert all(found[name].present is Truth.MET for name in ("covid_19", "pulmonary_embolism"))
    assert not remarks


@pytest.mark.parametrize("cell", ["I26.9 G", "U07.1,I26.9,?", "not I26.9", "U07.1|I26.9|unclear"])
def test_what_only_holds_codes_needs_review(knowledge, cell):
    found, remarks = presences(knowledge, ICD, {"icd": cell})
    assert found["pulmonary_embolism"].problem is Reason.NEEDS_REVIEW
    assert remarks


@pytest.mark.parametrize(
    ("text", "is_dead", "is_said"),
    [
        ("no", False, False), ("0", False, False), ("N", False, False), ("alive", False, False), ("n/a", False, False),
        ("yes", True, False), ("TRUE", True, False), ("2020-04-01", True, False), ("soon", False, True),
        ("1", False, True), ("01.04.2020", False, True),
    ],
)  # fmt: skip
def test_only_a_yes_or_a_time_is_a_death(knowledge, text, is_dead, is_said):
    record, remarks = record_of(knowledge, f"tidy: {TIDY}", {"died": text})
    assert record.patient.deceased is is_dead
    assert bool(remarks) is is_said


def test_a_value_without_a_status_of_its_own_is_said(knowledge):
    row = {"name": "platelets", "value": "180", "unit": "10*9/L", "status": "", "at": "2020-04-06T08:00:00Z"}
    record, remarks = record_of(knowledge, f"tidy: {TIDY}", row)
    assert record.measurements["platelets"][0].problem is None
    assert any("no status of its own" in one for one in remarks)
    assert not record_of(knowledge, f"tidy: {TIDY}", row | {"status": "final"})[1]


@pytest.mark.parametrize(
    ("options", "value", "low", "is_said"),
    [
        ("", "1.234", None, True),
        ("decimal: comma, ", "1.234", "1234", False),
        ("decimal: point, ", "1.234", "1.234", False),
    ],
)
def test_what_a_number_means_is_said_by_the_map(knowledge, options, value, low, is_said):
    row = {"name": "d_dimer", "value": value, "unit": "mg/L", "status": "final", "at": "2020-04-06T08:00:00Z"}
    record, remarks = record_of(knowledge, f"{options}tidy: {TIDY}", row, ";")
    entry = record.measurements["d_dimer"][0]
    assert bool(remarks) is is_said
    if low is None:
        assert entry.problem is Reason.NEEDS_REVIEW
    else:
        assert entry.as_received.startswith(low)


@pytest.mark.parametrize("written", ["PAT_0004", "5/1", "123 456", "Å-1", "a-x5F-b"])
def test_ids_that_fhir_does_not_allow_stay_as_they_are_written(knowledge, written):
    record, _ = record_of(knowledge, f"tidy: {TIDY}", {"id": written})
    assert written in {one.value for one in record.patient.identifiers}
    assert record.patient.id != written


def test_no_two_ids_become_one(knowledge):
    written = ["a_b", "a-x5F-b", "a-x5Fb", "a-x2D-x5Fb", "a-_b", "a_-b", "a-b", "_x5F-", "-x5F_", "PAT.1"]
    made = [reader(knowledge, f"tidy: {TIDY}").read({"id": one}).record["patient"]["id"] for one in written]
    assert len(set(made)) == len(written)
    assert made[-1] == "PAT.1"


@pytest.mark.parametrize("written", ["x" * 65, "a\x07b", "_" * 20])
def test_ids_that_cannot_be_kept_say_what_to_do(knowledge, written):
    with pytest.raises(DataError, match="at most 64 letters"):
        reader(knowledge, f"tidy: {TIDY}").read({"id": written})
