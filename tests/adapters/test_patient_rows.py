"""Rows of lists: no cell that denies or that nobody can read becomes a finding, and what was not read is said."""

import pytest

from fhir_adapters.bundle import assemble
from fhir_adapters.patient_list import read_column_map, table_of
from fhir_adapters.patient_rows import RowReader, check_names
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


# -- what each part of a map is good for -----------------------------------------------------------

NAMES = "names: {PLT: platelets, PE: pulmonary_embolism, MSC: infusion, CRP: loinc 1988-5}"


def test_local_names_stand_for_data_conditions_infusions_and_codes(knowledge):
    table = f"tidy: {TIDY}, {NAMES}"
    at = {"at": "2020-04-06T08:00:00Z"}
    assert "platelets" in record_of(knowledge, table, {"name": "PLT", "value": "180", **at})[0].measurements
    assert "crp" in record_of(knowledge, table, {"name": "CRP", "value": "5", "unit": "mg/L", **at})[0].measurements
    assert "pulmonary_embolism" in presences(knowledge, table, {"name": "PE", "status": "active", **at})[0]
    assert len(record_of(knowledge, table, {"name": "MSC", "value": "yes", **at})[0].infusions) == 1
    other = record_of(knowledge, table, {"name": "HB", "value": "9", "unit": "g/dL", **at})[0]
    assert (other.measurements, other.presences) == ({}, {})


def test_an_infusion_began_when_the_row_says(knowledge):
    table = "tidy: {name: name, value: value, at: at, since: since}"
    at, since = "2020-04-05T08:00:00Z", "2020-04-04T08:00:00Z"
    for said, begun in (({"at": at}, at), ({"since": since}, since), ({"at": at, "since": since}, at)):
        (infusion,) = record_of(knowledge, table, {"name": "infusion", "value": "yes", **said})[0].infusions
        assert infusion.time is not None
        assert infusion.time.earliest.isoformat() == begun.replace("Z", "+00:00")


@pytest.mark.parametrize("word", ["dead", "Deceased", "died"])
def test_words_of_death(knowledge, word):
    assert record_of(knowledge, f"tidy: {TIDY}", {"died": word})[0].patient.deceased is True
    assert record_of(knowledge, f"tidy: {TIDY}", {"died": "living"})[0].patient.deceased is False


def test_a_cell_without_a_status_may_hold_one(knowledge):
    table = "wide: [{column: PE, fixed: {name: pulmonary_embolism}}]"
    resolved = presences(knowledge, table, {"PE": "resolved"})[0]["pulmonary_embolism"]
    assert (resolved.present, resolved.active) == (Truth.MET, Truth.NOT_MET)
    assert presences(knowledge, table, {"PE": "yes"})[0]["pulmonary_embolism"].present is Truth.MET
    found, remarks = presences(knowledge, table, {"PE": "maybe"})
    assert found["pulmonary_embolism"].problem is Reason.NEEDS_REVIEW
    assert any("map it to yes" in one for one in remarks)


def test_times_and_numbers_are_read_as_the_map_says_wherever_they_stand(knowledge):
    table = (
        "dates: dmy, decimal: comma, tidy: {born: born, since: since, until: until, name: name, status: status},"
        " wide: [{column: dd, fixed: {name: d_dimer, unit: mg/L, assay: FEU},"
        " columns: {upper_limit: limit, at: taken}}]"
    )
    row = {"born": "14.03.1962", "since": "01.02.2020", "until": "05.02.2020", "name": "pulmonary_embolism"}
    row |= {"status": "resolved", "dd": "1,5", "limit": " 0,5 mg/L ", "taken": "06.04.2020"}
    record, remarks = record_of(knowledge, table, row)
    assert not remarks
    assert str(record.patient.born[0]) == "1962-03-14"
    (entry,) = record.presences["pulmonary_embolism"]
    assert (entry.time.earliest.year, entry.ended.latest.month) == (2020, 2)
    (dimer,) = record.measurements["d_dimer"]
    assert (str(dimer.value.exact), dimer.assay) == ("1.5", "FEU")
    assert dimer.upper_limit is not None
    assert str(dimer.time.earliest)[:10] in ("2020-04-05", "2020-04-06")


def test_a_specimen_and_the_beginning_of_a_period_belong_to_the_value(knowledge):
    table = "tidy: {name: name, value: value, unit: unit, specimen: specimen, since: since, at: at}"
    at = "2020-04-06T08:00:00Z"
    gas = {"name": "pao2", "value": "70", "unit": "mm[Hg]", "at": at}
    venous = record_of(knowledge, table, gas | {"specimen": "BLDV"})[0].measurements["pao2"][0]
    arterial = record_of(knowledge, table, gas | {"specimen": "BLDA"})[0].measurements["pao2"][0]
    assert venous.problem is Reason.SPECIMEN_MISMATCH
    assert arterial.problem is None
    urine = {"name": "urine_volume", "value": "900", "unit": "mL", "since": "2020-04-05T08:00:00Z", "at": at}
    (entry,) = record_of(knowledge, table, urine)[0].measurements["urine_volume"]
    assert entry.began is not None


def test_blanks_around_cells_say_nothing(knowledge):
    row = {"name": " platelets ", "value": " 180 ", "unit": " 10*9/L ", "at": " 2020-04-06T08:00:00Z "}
    (entry,) = record_of(knowledge, f"tidy: {TIDY}", row)[0].measurements["platelets"]
    assert (entry.problem, str(entry.value.exact)) == (None, "180")
    assert not record_of(knowledge, f"tidy: {TIDY}", {"value": "180"})[0].measurements


def test_a_code_of_a_datum_needs_no_unit(knowledge):
    row = {"code": "loinc 94500-6", "value": "positive", "at": "2020-04-06T08:00:00Z"}
    record, _ = record_of(knowledge, f"tidy: {TIDY}", row)
    assert record.measurements["sars_cov_2_test"][0].answer == "positive"
    assert not record.presences


def test_a_code_without_its_system_is_no_condition(knowledge):
    record, _ = record_of(knowledge, f"tidy: {TIDY}", {"code": "I26.9", "value": "yes", "status": "active"})
    assert not record.presences
    coded = "wide: [{column: crp, fixed: {code: 1988-5, unit: mg/L}, system: loinc}]"
    check_names(read_column_map(f"tables: [{{file: a, patient: id, {coded}}}]"), knowledge)
    assert "crp" in record_of(knowledge, coded, {"crp": "5"})[0].measurements


def test_a_row_that_no_record_can_hold_says_where(knowledge):
    with pytest.raises(DataError, match="the row cannot be read"):
        reader(knowledge, f"tidy: {TIDY}").read({"id": "p", "name": "platelets", "value": "x" * 2001})
    with pytest.raises(DataError, match="has no id"):
        reader(knowledge, f"tidy: {TIDY}").read({"id": " ", "name": "platelets"})


def test_a_map_may_name_files_with_their_folder(knowledge):
    columns = read_column_map("tables: [{file: new/a.csv, patient: nr}, {file: a.csv, patient: id}]")
    assert table_of(columns, "new/a.csv", ["nr"]).patient == "nr"
    assert table_of(columns, "old/a.csv", ["id"]).patient == "id"
    with pytest.raises(DataError) as caught:
        table_of(columns, "old/a.csv", ["nr"])
    assert caught.value.code == "no_patient"
