from decimal import Decimal

import pytest

from fhir_adapters.times import parse_time
from mscprotocol.interval import Interval, between, exactly
from mscprotocol.reasons import Reason
from mscprotocol.record import Measurement, PatientRecord
from mscprotocol.timespan import TimeSpan
from tests.adapters.fhir_made import NOON, UCUM, Json, concept, observation, procedure, quantity, record_of

N = Decimal


def only(record: PatientRecord, name: str) -> Measurement:
    (entry,) = record.measurements[name]
    return entry


def read(name: str, code: str | Json, value: object = None, unit: str | None = None, **more: object) -> Measurement:
    return only(record_of(observation(code, value, unit, **more)), name)


# -- numbers and units -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "code", "value", "unit", "expected", "native"),
    [
        ("platelets", "loinc 777-3", 95, "10*9/L", "95", "10*9/L"),
        ("platelets", "loinc 777-3", 95000, "/uL", "95", "/uL"),
        ("platelets", "loinc 777-3", 95, "K/uL", "95", "10*3/uL"),
        ("weight", "loinc 29463-7", 176, "[lb_av]", "79.83225712", "[lb_av]"),
        ("weight", "loinc 29463-7", 176, "lbs", "79.83225712", "[lb_av]"),
        ("height", "loinc 8302-2", 69, "[in_i]", "175.26", "[in_i]"),
        ("temperature", "loinc 8310-5", 98.6, "[degF]", "37", "[degF]"),
        ("pao2", "loinc 2703-7", 8, "kPa", "60.004936", "kPa"),
        ("crp", "loinc 1988-5", 12, "mg/dL", "120", "mg/dL"),
        ("creatinine", "loinc 14682-9", 88.42, "umol/L", "1", "umol/L"),
        ("fio2", "loinc 3150-0", 40, "%", "0.4", "%"),
        ("fio2", "loinc 3150-0", 0.4, "1", "0.4", "1"),
        ("fio2", "loinc 3150-0", 0.4, None, "0.4", "1"),
        ("fio2", "loinc 3150-0", 40, None, "0.4", "%"),
        ("fio2", "loinc 3150-0", 20.9, "%", "0.21", "%"),
        ("fio2", "loinc 3150-0", 0.209, "1", "0.21", "1"),
        ("spo2", "loinc 59408-5", 0.97, "1", "97", "1"),
        ("pao2", "loinc 2703-7", 60.5, "mm[Hg]", "60.5", "mm[Hg]"),
    ],
)
def test_a_quantity_is_converted_exactly(
    name: str, code: str, value: object, unit: str | None, expected: str, native: str
) -> None:
    entry = read(name, code, value, unit)
    assert (entry.value, entry.native_unit, entry.problem) == (exactly(N(expected)), native, None)


@pytest.mark.parametrize(
    ("spelling", "unit"),
    [
        *((one, "10*9/L") for one in (
            "GIGA/L", "Giga/L", "giga/l", "GIGA/l", "x10E9/l", "X10E9/L", "X10E9/l", "Gpt/l", "GPT/L", "/nL", "/nl",
            "1/nL", "1/nl", "10E9/L",
        )),
        *((one, "10*3/uL") for one in (
            "THOU/uL", "THOU/UL", "THOU/ul", "thou/ul", "Thou/ul", "THOU/mcL", "thou/mcL", "Thou/mcL", "THOUSAND/uL",
            "x10E3/uL", "X10E3/uL", "X10E3/UL", "x10E3/ul", "X10E3/ul", "10E3/UL", "10E3/mcL", "x10E3/mcL",
            "10E3/\N{MICRO SIGN}L", "x10E3/\N{MICRO SIGN}L", "10E3/\N{GREEK SMALL LETTER MU}L",
            "x10E3/\N{GREEK SMALL LETTER MU}L", *(
                f"{thousand}/{micro}{litre}" for thousand in ("Tsd", "Tsd.")
                for micro in ("\N{MICRO SIGN}", "\N{GREEK SMALL LETTER MU}", "u") for litre in "lL"
            ), "TSD/\N{MICRO SIGN}l", "TSD/uL", "TSD/ul",
        )),
        *((one, "10*3/mm3") for one in (
            "k/cmm", "K/cmm", "K/CMM", "THOU/cmm", "thou/cmm", "Thou/cmm", "THOU/mm3", "Thou/mm3", "x10E3/mm3",
            "10^3/cmm", "10E3/cmm",
        )),
    ],
)  # fmt: skip
def test_platelets_as_laboratories_write_them(spelling: str, unit: str) -> None:
    entry = read("platelets", "loinc 777-3", 95, spelling)
    assert (entry.value, entry.native_unit) == (exactly(N(95)), unit)


@pytest.mark.parametrize("spelling", [None, "", "ratio", "Ratio", "RATIO", "INR", "1"])
def test_an_inr_is_a_ratio_by_definition(spelling: str | None) -> None:
    entry = read("inr", "loinc 6301-6", 2.1, spelling)
    assert (entry.value, entry.problem) == (exactly(N("2.1")), None)


@pytest.mark.parametrize(("name", "code"), [("pt", "loinc 5902-2"), ("platelets", "loinc 777-3")])
@pytest.mark.parametrize("spelling", [None, "ratio"])
def test_a_ratio_is_not_what_has_a_unit(name: str, code: str, spelling: str | None) -> None:
    assert read(name, code, 20, spelling).problem is Reason.UNIT_UNKNOWN


@pytest.mark.parametrize(
    ("name", "code", "given", "reason"),
    [
        ("weight", "loinc 29463-7", quantity(176), Reason.UNIT_UNKNOWN),
        ("weight", "loinc 29463-7", quantity(80, "furlong"), Reason.UNIT_UNKNOWN),
        ("weight", "loinc 29463-7", quantity(8, "kg"), Reason.IMPLAUSIBLE),
        ("weight", "loinc 29463-7", quantity(176, unit="lb", system=UCUM, code="kg"), Reason.UNIT_AMBIGUOUS),
        ("weight", "loinc 29463-7", quantity(80, unit="kg", system=UCUM, code="stone"), Reason.UNIT_UNKNOWN),
        ("fio2", "loinc 3150-0", quantity(4), Reason.UNIT_AMBIGUOUS),
        ("fio2", "loinc 3150-0", quantity(0.4, "%"), Reason.IMPLAUSIBLE),
        ("platelets", "loinc 777-3", quantity(95000, "10*9/L"), Reason.IMPLAUSIBLE),
        ("d_dimer", "loinc 48065-7", quantity(1200, "mg/L"), Reason.IMPLAUSIBLE),
        ("pao2", "loinc 2703-7", quantity(8), Reason.UNIT_UNKNOWN),
        ("pao2", "loinc 2703-7", quantity(80, "mm[Hg]", comparator="ad"), Reason.NEEDS_REVIEW),
        ("crp", "loinc 1988-5", quantity(1e-30, "mg/L"), Reason.IMPLAUSIBLE),
        ("crp", "loinc 1988-5", quantity(10**30, "mg/L"), Reason.IMPLAUSIBLE),
        ("crp", "loinc 1988-5", quantity(None, "mg/L"), Reason.MISSING),
    ],
)
def test_a_number_that_cannot_be_used_says_why(name: str, code: str, given: Json, reason: Reason) -> None:
    entry = read(name, code, valueQuantity=given)
    assert (entry.value, entry.problem) == (None, reason)


def test_a_refused_number_keeps_what_was_received() -> None:
    assert read("platelets", "loinc 777-3", 95000, "10*9/L").as_received == "95000 10*9/L"


@pytest.mark.parametrize(
    ("comparator", "expected"),
    [
        ("<", Interval(None, N(200), high_open=True)),
        ("<=", Interval(None, N(200))),
        (">", Interval(N(200), None, low_open=True)),
        (">=", Interval(N(200), None)),
    ],
)
def test_a_comparator_leaves_an_open_interval(comparator: str, expected: Interval) -> None:
    given = quantity(20, "mg/dL", comparator=comparator)
    entry = read("crp", "loinc 1988-5", valueQuantity=given)
    assert (entry.value, entry.as_received) == (expected, f"{comparator}20 mg/dL")


@pytest.mark.parametrize(
    ("given", "expected", "reason"),
    [
        ({"low": quantity(1, "mg/dL"), "high": quantity(20, "mg/L")}, between(10, 20), None),
        ({"low": quantity(10, "mg/L")}, Interval(N(10), None), None),
        ({"low": quantity(20, "mg/L"), "high": quantity(10, "mg/L")}, None, Reason.IMPLAUSIBLE),
        ({"low": quantity(10), "high": quantity(20, "mg/L")}, None, Reason.UNIT_UNKNOWN),
        ({}, None, Reason.MISSING),
    ],
)
def test_a_range_is_an_interval(given: Json, expected: Interval | None, reason: Reason | None) -> None:
    entry = read("crp", "loinc 1988-5", valueRange=given)
    assert (entry.value, entry.problem) == (expected, reason)


@pytest.mark.parametrize(
    ("name", "code", "value", "expected", "reason"),
    [
        ("gcs", "loinc 9269-2", {"valueInteger": 14}, "14", None),
        ("gcs", "loinc 9269-2", {"valueInteger": 2}, None, Reason.IMPLAUSIBLE),
        ("crp", "loinc 1988-5", {"valueInteger": 14}, None, Reason.UNIT_UNKNOWN),
        ("crp", "loinc 1988-5", {"valueString": "<20"}, None, Reason.NEEDS_REVIEW),
        ("crp", "loinc 1988-5", {"valueString": "20 mg/L"}, None, Reason.NEEDS_REVIEW),
        ("crp", "loinc 1988-5", {"valueCodeableConcept": concept(text="high")}, None, Reason.NEEDS_REVIEW),
        ("crp", "loinc 1988-5", {"valueBoolean": True}, None, Reason.NEEDS_REVIEW),
        ("crp", "loinc 1988-5", {"valueRatio": {"numerator": {}}}, None, Reason.NEEDS_REVIEW),
        ("crp", "loinc 1988-5", {"interpretation": [concept(text="high")]}, None, Reason.NEEDS_REVIEW),
        ("crp", "loinc 1988-5", {"dataAbsentReason": concept(text="clotted")}, None, Reason.MISSING),
        ("crp", "loinc 1988-5", {}, None, Reason.MISSING),
    ],
)
def test_other_kinds_of_value(name: str, code: str, value: Json, expected: str | None, reason: Reason | None) -> None:
    entry = read(name, code, **value)
    assert (entry.value, entry.problem) == (None if expected is None else exactly(N(expected)), reason)


def test_a_value_that_is_stated_absent_is_for_a_person() -> None:
    entry = read("crp", "loinc 1988-5", 20, "mg/L", dataAbsentReason=concept(text="error"))
    assert (entry.value, entry.problem) == (None, Reason.NEEDS_REVIEW)


def test_an_unusual_value_is_used_and_noted() -> None:
    record = record_of(observation("loinc 29463-7", 200, "kg"))
    assert only(record, "weight").value == exactly(200)
    assert [note.text for note in record.notes] == ["Body weight: unusual value"]


# -- status and time -------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["final", "amended", "corrected"])
def test_a_usable_status(status: str) -> None:
    assert read("crp", "loinc 1988-5", 20, "mg/L", status=status).problem is None


@pytest.mark.parametrize("status", ["preliminary", "registered", "unknown", "finl", None])
def test_another_status_keeps_the_entry_but_not_its_value(status: str | None) -> None:
    record = record_of(observation("loinc 1988-5", 20, "mg/L", status=status))
    entry = only(record, "crp")
    assert (entry.value, entry.problem, entry.as_received) == (None, Reason.STATUS_EXCLUDED, "20 mg/L")
    assert len(record.notes) == (1 if status in ("finl", None) else 0)


@pytest.mark.parametrize("status", ["cancelled", "entered-in-error"])
def test_a_withdrawn_observation_is_left_out_with_a_note(status: str) -> None:
    record = record_of(observation("loinc 1988-5", 20, "mg/L", status=status))
    assert "crp" not in record.measurements
    assert [note.reference for note in record.notes] == ["Observation/o"]


def test_an_observation_without_time_has_none() -> None:
    assert read("crp", "loinc 1988-5", 20, "mg/L", effectiveDateTime=None).time is None


def test_a_time_that_cannot_be_read_is_noted() -> None:
    record = record_of(observation("loinc 1988-5", 20, "mg/L", effectiveDateTime="yesterday"))
    assert only(record, "crp").time is None
    assert len(record.notes) == 1


def test_of_a_period_the_end_counts() -> None:
    period = {"start": "2020-04-05T12:00:00Z", "end": NOON}
    with_period = read("crp", "loinc 1988-5", 20, "mg/L", effectiveDateTime=None, effectivePeriod=period)
    assert with_period.time == read("crp", "loinc 1988-5", 20, "mg/L").time
    assert isinstance(with_period.time, TimeSpan)


# -- codes -----------------------------------------------------------------------------------------


def test_components_share_time_and_status() -> None:
    parts = [
        {"code": concept(f"loinc {code}"), "valueQuantity": quantity(value, "mm[Hg]")} for code, value in PRESSURES
    ]
    record = record_of(observation("loinc 85354-9", component=parts, status="preliminary"))
    for name in ("systolic_bp", "diastolic_bp"):
        entry = only(record, name)
        assert (entry.problem, entry.reference) == (Reason.STATUS_EXCLUDED, "Observation/o")
        assert entry.time is not None
    record = record_of(observation("loinc 85354-9", component=parts))
    assert [only(record, name).value for name in ("systolic_bp", "diastolic_bp")] == [exactly(120), exactly(80)]


PRESSURES = (("8480-6", 120), ("8462-4", 80))


@pytest.mark.parametrize("codes", [("loinc 59408-5", "loinc 2708-6"), ("loinc 2708-6", "loinc 59408-5")])
def test_two_codes_of_one_datum_are_one_entry_by_the_plainer_code(codes: tuple[str, str]) -> None:
    entry = read("spo2", concept(*codes), 97, "%")
    assert (entry.code is not None and entry.code.code, entry.flags) == ("59408-5", frozenset())


def test_a_code_passes_its_flag_on() -> None:
    assert read("spo2", "loinc 2708-6", 97, "%").flags == {"arterial_saturation"}


def test_a_code_means_nothing_without_its_system() -> None:
    assert record_of(observation({"coding": [{"code": "777-3"}]}, 100, "10*9/L")).measurements == {}
    assert record_of(observation("local 777-3", 100, "10*9/L")).measurements == {}


def test_a_look_alike_is_named_only_where_nothing_else_is() -> None:
    venous = observation("loinc 2705-2", 40, "mm[Hg]", id="v")
    entry = only(record_of(venous), "pao2")
    assert (entry.value, entry.problem, entry.reference) == (None, Reason.SPECIMEN_MISMATCH, "Observation/v")
    arterial = observation("loinc 2703-7", 80, "mm[Hg]", effectiveDateTime="2020-04-05T12:00:00Z")
    assert only(record_of(venous, arterial), "pao2").value == exactly(80)


def test_a_look_alike_beside_the_code_spoils_it() -> None:
    entry = read("pao2", concept("loinc 2703-7", "loinc 2705-2"), 40, "mm[Hg]")
    assert (entry.value, entry.problem) == (None, Reason.SPECIMEN_MISMATCH)


@pytest.mark.parametrize(("code", "reason"), [("122555007", Reason.SPECIMEN_MISMATCH), ("122552005", None)])
def test_a_venous_specimen_is_not_arterial(code: str, reason: Reason | None) -> None:
    specimen = {"resourceType": "Specimen", "id": "s", "type": concept(f"snomed {code}")}
    beside = record_of(observation("loinc 2703-7", 80, "mm[Hg]", specimen={"reference": "Specimen/s"}), specimen)
    within = record_of(observation("loinc 2703-7", 80, "mm[Hg]", specimen={"reference": "#s"}, contained=[specimen]))
    assert [only(record, "pao2").problem for record in (beside, within)] == [reason, reason]


def test_a_volume_keeps_the_period_that_it_was_collected_in() -> None:
    period = {"start": "2020-04-06T00:00:00Z", "end": NOON}
    entry = read("urine_volume", "loinc 9187-6", 300, "mL", effectiveDateTime=None, effectivePeriod=period)
    assert (entry.began, entry.time) == (parse_time(period["start"]), parse_time(NOON))
    assert read("crp", "loinc 1988-5", 20, "mg/L", effectiveDateTime=None, effectivePeriod=period).began is None
    assert read("urine_volume", "loinc 9187-6", 300, "mL").began is None


def test_the_parts_of_the_coma_score_come_as_components() -> None:
    parts = [("9267-6", 4), ("9270-0", 5), ("9268-4", 6)]
    component = [{"code": concept(f"loinc {code}"), "valueInteger": points} for code, points in parts]
    record = record_of(observation("loinc 9269-2", component=component))
    assert [only(record, name).value for name in ("gcs_eye", "gcs_verbal", "gcs_motor")] == [
        exactly(points) for _, points in parts
    ]


def test_a_code_that_is_not_listed_is_reported_by_its_words() -> None:
    record = record_of(observation(concept("local PLT", display="Platelet count"), 100, "10*9/L"))
    (found,) = record.unmapped
    assert (found.reference, found.code.code, found.relevant) == ("Observation/o", "PLT", ("platelets",))
    assert record.measurements == {}


@pytest.mark.parametrize("more", [{"status": "preliminary"}, {"status": "entered-in-error"}])
def test_only_usable_observations_are_reported(more: Json) -> None:
    assert record_of(observation(concept("local PLT", display="Platelet count"), 100, "10*9/L", **more)).unmapped == ()


def test_words_that_mean_nothing_here_are_not_reported() -> None:
    assert record_of(observation(concept("local X", display="Mean platelet volume"), 9, "fL")).unmapped == ()


# -- D-dimer and upper limits ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "unit", "assay", "reason"),
    [
        ("48065-7", "mg/L", "FEU", None),
        ("48066-5", "ng/mL", "DDU", None),
        ("48065-7", "mg/L{FEU}", "FEU", None),
        ("48065-7", "ug/mL FEU", "FEU", None),
        ("7799-0", "mg/L", "unspecified", None),
        ("7799-0", "mg/L{DDU}", "DDU", None),
        ("48066-5", "mg/L{FEU}", None, Reason.CONFLICT),
        ("48065-7", "mg/L DDU", None, Reason.CONFLICT),
    ],
)
def test_what_a_d_dimer_weighs(code: str, unit: str, assay: str | None, reason: Reason | None) -> None:
    entry = read("d_dimer", f"loinc {code}", 1, unit)
    assert (entry.assay, entry.problem) == (assay, reason)


@pytest.mark.parametrize(
    ("ranges", "limit"),
    [
        ([{"high": quantity(0.5, "mg/L")}], "0.5"),
        ([{"high": quantity(500, "ng/mL")}], "0.5"),
        ([{"high": {"value": 0.5}}], "0.5"),
        ([{"low": quantity(0, "mg/L"), "high": quantity(0.5, "mg/L")}], "0.5"),
        ([{"text": "0-0.5"}], "0.5"),
        ([{"text": "0.1 - 0.5 mg/L"}], "0.5"),
        ([{"text": "<0.5"}], "0.5"),
        ([{"text": "<= 0.50"}], "0.50"),
        ([{"text": "≤0.5"}], "0.5"),
        ([{"text": "<500 ng/mL"}], "0.5"),
        ([{"text": "<0.5 mg/L FEU"}], "0.5"),
        ([{"text": "<0.5"}, {"high": quantity(500, "ng/mL")}], "0.5"),
        ([{"text": "<0.5"}, {"high": {"value": 9}, "type": {"coding": [{"code": "therapeutic"}]}}], "0.5"),
        ([{"text": "<0.5"}, {"text": "<0.6"}], None),
        ([{"text": "<0,5"}], None),
        ([{"text": ">0.5"}], None),
        ([{"text": "<0.5 furlong"}], None),
        ([{"text": "<0.5 mg/L DDU"}], None),
        ([{"text": "up to 0.5"}], None),
        ([{"text": "0.5"}], None),
        ([{"text": "1-2-3"}], None),
        ([{"low": quantity(0.1, "mg/L")}], None),
        ([{"high": quantity(0, "mg/L")}], None),
        ([{"high": quantity(0.5, "furlong")}], None),
        ([], None),
    ],
)
def test_the_upper_limit_of_the_report(ranges: list[Json], limit: str | None) -> None:
    record = record_of(observation("loinc 48065-7", 1, "mg/L{FEU}", referenceRange=ranges))
    entry = only(record, "d_dimer")
    assert entry.upper_limit == (None if limit is None else exactly(N(limit)))
    assert entry.upper_limit_source == ("" if limit is None else "report")
    assert len(record.notes) == (1 if ranges and limit is None else 0)


def test_a_limit_takes_the_unit_of_its_value() -> None:
    entry = read("d_dimer", "loinc 48065-7", 1000, "ng/mL", referenceRange=[{"text": "<500"}])
    assert (entry.value, entry.upper_limit) == (exactly(1), exactly(N("0.5")))


def test_data_that_need_no_limit_have_none() -> None:
    assert read("crp", "loinc 1988-5", 20, "mg/L", referenceRange=[{"high": quantity(5, "mg/L")}]).upper_limit is None


# -- answers and states ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "answer", "reason"),
    [
        (concept("snomed 260373001"), "positive", None),
        (concept("snomed 260415000"), "negative", None),
        (concept("local POS", "snomed 10828004"), "positive", None),
        (concept("snomed 260373001", "snomed 260415000"), None, Reason.CONFLICT),
        (concept("snomed 419984006"), None, Reason.CODE_UNMAPPED),
        (concept("local POS", text="Positive"), None, Reason.CODE_UNMAPPED),
        (concept(text="Negative"), None, Reason.NEEDS_REVIEW),
    ],
)
def test_a_coded_answer(value: Json, answer: str | None, reason: Reason | None) -> None:
    entry = read("sars_cov_2_test", "loinc 94500-6", valueCodeableConcept=value)
    assert (entry.answer, entry.problem) == (answer, reason)


@pytest.mark.parametrize(
    "value", [{"valueString": "Negative"}, {"valueBoolean": False}, {"valueQuantity": quantity(30)}]
)
def test_a_test_that_was_not_answered_by_code_is_for_a_person(value: Json) -> None:
    entry = read("sars_cov_2_test", "loinc 94500-6", **value)
    assert (entry.answer, entry.problem) == (None, Reason.NEEDS_REVIEW)


LEVELS = {
    "371907003": ("low_flow", 1),
    "429253002": ("mask_venturi", 2),
    "47545007": ("niv", 5),
    "233573008": ("ecmo", 7),
}


@pytest.mark.parametrize("code", LEVELS)
def test_a_procedure_that_is_a_level_of_support(code: str) -> None:
    record = record_of(procedure(f"snomed {code}", performedPeriod={"start": NOON, "end": "2020-04-07"}))
    entry = only(record, "oxygen_support")
    assert (entry.answer, entry.value) == (LEVELS[code][0], exactly(LEVELS[code][1]))
    assert entry.time is not None
    assert entry.time.is_instant
    assert record.unmapped == ()


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({}, None),
        ({"valueBoolean": True}, None),
        ({"valueQuantity": quantity(2, "L/min")}, None),
        ({"valueBoolean": False}, Reason.NEEDS_REVIEW),
        ({"valueQuantity": quantity(0, "L/min")}, Reason.NEEDS_REVIEW),
        ({"dataAbsentReason": concept(text="unknown")}, Reason.MISSING),
    ],
)
def test_a_level_of_support_charted_as_a_finding(value: Json, reason: Reason | None) -> None:
    entry = read("oxygen_support", "snomed 371907003", **value)
    assert (entry.answer, entry.problem) == ("low_flow" if reason is None else None, reason)


def test_a_procedure_that_did_not_happen_is_no_support() -> None:
    record = record_of(procedure("snomed 40617009", "not-done", performedDateTime=NOON))
    assert (record.measurements, record.presences) == ({}, {})
    assert len(record.notes) == 1


# -- one order -------------------------------------------------------------------------------------


def test_values_that_say_the_same_are_one_with_the_smallest_reference() -> None:
    record = record_of(
        *(observation("loinc 1988-5", value, "mg/L", id=name) for name, value in (("b", 20), ("a", 20.0)))
    )
    assert only(record, "crp").reference == "Observation/a"


def test_the_order_of_resources_does_not_matter() -> None:
    resources = [observation("loinc 1988-5", 20 + n, "mg/L", id=f"o{n}") for n in range(4)]
    resources += [observation(concept("local X", display="Platelet count"), n, id=f"x{n}") for n in range(3)]
    forth, back = record_of(*resources), record_of(*reversed(resources))
    assert forth == back
    assert len(forth.measurements["crp"]) == 4
    assert [entry.reference for entry in forth.measurements["crp"]] == [f"Observation/o{n}" for n in range(4)]
