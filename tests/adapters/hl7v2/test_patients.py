"""Patients as they accumulate: precedence of statuses in any order of arrival, merges, updates, cancellations."""

from __future__ import annotations

import re
from itertools import permutations

import pytest

from fhir_adapters.hl7v2_mapping import map_message
from fhir_adapters.hl7v2_parsing import MessageError, parse_message
from fhir_adapters.hl7v2_patients import Patients, read_patient
from mscprotocol.errors import DataError
from mscprotocol.interval import exactly
from tests.adapters.hl7v2.messages import OBR, PID, adt, message, oru, record, result

HOUR = "2020040608{minute:02d}00+0000"


def said(status: str, value: str, minute: int, **more: str) -> bytes:
    """A result in one order, sent at a minute."""
    return oru(
        result(value, status=status, unit="umol/L^^UCUM", **more),
        sent=HOUR.format(minute=minute),
        control=f"{status}{minute}",
    )  # type: ignore[arg-type]


def values(*contents: bytes) -> list[object]:
    """The values that count, in umol/L as sent; the reason in place of a value that does not count."""
    return [
        entry.as_received if entry.problem is None else entry.problem.value
        for entry in record(*contents).measurements.get("creatinine", ())
    ]


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        ([("P", "90", 1), ("F", "98", 2)], ["98 umol/L"]),
        ([("F", "98", 1), ("P", "90", 2)], ["98 umol/L"]),  # an old preliminary after the final one
        ([("F", "98", 1), ("F", "99", 2)], ["99 umol/L"]),
        ([("F", "98", 1), ("C", "70", 2)], ["70 umol/L"]),
        ([("C", "70", 1), ("F", "98", 2)], ["70 umol/L"]),  # never a lower status over a higher one
        ([("F", "98", 1), ("C", "70", 2), ("A", "71", 3)], ["71 umol/L"]),
        ([("F", "98", 1), ("D", "98", 2)], []),
        ([("F", "98", 1), ("W", "", 2)], []),
        ([("F", "98", 1), ("X", "", 2)], []),
        ([("X", "", 1), ("X", "97", 1), ("F", "98", 2)], []),  # whichever of them was last
        ([("C", "70", 1), ("D", "", 2), ("F", "98", 3)], []),
        ([("F", "98", 1), ("F", "99", 1)], ["conflict", "conflict"]),  # sent at the same time
        ([("F", "98", 1), ("F", "98", 1)], ["98 umol/L"]),
        ([("F", "98", 1), ("F", "99", 2), ("F", "98", 3)], ["98 umol/L"]),  # said again in the same words
        ([("P", "90", 1), ("U", "", 2)], ["status_excluded"]),
        ([("P", "90", 1), ("I", "", 2)], ["status_excluded"]),
    ],
)  # fmt: skip
def test_what_counts_whatever_the_order_of_arrival(messages: list[tuple[str, str, int]], expected: list[str]) -> None:
    contents = [said(*one) for one in messages]
    for order in permutations(contents):
        assert values(*order) == expected


@pytest.mark.parametrize("time", ["", "202004060900+0000"])
def test_a_retraction_finds_its_value_though_the_time_differs(time: str) -> None:
    contents = (said("F", "98", 1, time="202004060800+0000"), said("D", "", 2, time=time))
    for order in permutations(contents):
        assert values(*order) == []


def test_a_retraction_with_its_time_leaves_the_other_values_of_the_order() -> None:
    contents = [said("F", "98", 1, time=f"20200406{hour}00+0000") for hour in ("07", "08")]
    assert values(*contents, said("D", "", 2, time="202004060700+0000")) == ["98 umol/L"]
    assert len(values(*contents)) == 2


def test_a_correction_of_value_and_time_takes_the_place_of_what_it_corrects() -> None:
    contents = (said("F", "98", 1, time="202004060700+0000"), said("C", "70", 2, time="202004060730+0000"))
    for order in permutations(contents):
        assert values(*order) == ["70 umol/L"]


def corrected_at(time: str, value: str = "200", minute: int = 9, status: str = "C") -> bytes:
    return said(status, value, minute, time=f"20200406{time}00+0000")


FIRST, SECOND = said("F", "40", 1, time="202004060300+0000"), said("F", "190", 2, time="202004060600+0000")

UNTIMED = oru(result("", status="W"), sent=HOUR.format(minute=9)).replace(b"202004060800+0000", b"")


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        # Which of two it replaces cannot be told: neither is gone, neither counts.
        ((FIRST, SECOND, corrected_at("0606")), ["status_excluded", "status_excluded", "200 umol/L"]),
        ((FIRST, SECOND, corrected_at("0606", status="W")), ["status_excluded", "status_excluded"]),
        # One of them is told by its time.
        ((FIRST, SECOND, corrected_at("0600")), ["40 umol/L", "200 umol/L"]),
        # What was sent after a correction, or was retracted before, is not what it corrects.
        ((FIRST, corrected_at("0606"), corrected_at("0700", "90", 10, "F")), ["200 umol/L", "90 umol/L"]),
        ((FIRST, said("D", "", 2, time="202004060300+0000"), SECOND, corrected_at("0606")), ["200 umol/L"]),
        # A correction of a correction, which can be one of either.
        ((FIRST, corrected_at("0606"), corrected_at("0607", "210", 10)), ["status_excluded", "210 umol/L"]),
        # What took the place of a value is taken back with it, by either time.
        ((FIRST, corrected_at("0606"), corrected_at("0606", "", 10, "W")), []),
        ((FIRST, corrected_at("0606"), corrected_at("0300", "", 10, "W")), []),
        ((FIRST, SECOND, UNTIMED), []),  # a retraction without a time takes back all
    ],
)  # fmt: skip
def test_a_correction_replaces_only_what_it_surely_means(sent: tuple[bytes, ...], expected: list[str]) -> None:
    for order in permutations(sent):
        assert values(*order) == expected


def test_a_value_that_is_open_says_why() -> None:
    notes = {one.text for one in record(FIRST, SECOND, corrected_at("0606")).notes}
    assert any("a correction or retraction may mean this one or another" in one for one in notes)


def ordered(number: str, value: str, minute: int, *, sender: str = "LAB", status: str = "F", field: int = 3) -> bytes:
    """A result of an order with this number of the filler, else of the placer."""
    order = OBR.replace("|P1|F1|", f"||{number}|" if field == 3 else f"|{number}||")
    found = message(PID, order, result(value, status=status, unit="umol/L^^UCUM"), sent=HOUR.format(minute=minute))
    return found.replace(b"|LAB|HOSP|", f"|{sender}|HOSP|".encode())


@pytest.mark.parametrize("field", [2, 3])
@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        (("1001^LIS1", "LAB"), ("1001^POCT", "LAB"), False),
        (("1001", "LAB"), ("1001", "POCT"), False),
        (("1001^^1.2.3^ISO", "LAB"), ("1001^^1.2.4^ISO", "LAB"), False),
        (("1001^LIS1", "LAB"), ("1001^LIS1", "ENGINE"), True),  # passed on by another application
        (("1001^LIS1", "LAB"), ("1001", "LAB"), True),  # only one of two messages names the authority
        (("1001^LIS1", "LAB"), ("1001", "POCT"), False),
        (("", "LAB"), ("", "POCT"), False),
        (("", "LAB"), ("", "LAB"), True),
    ],
)
def test_an_order_is_its_number_with_authority_or_sender(
    one: tuple[str, str], other: tuple[str, str], is_same: bool, field: int
) -> None:
    first = ordered(one[0], "40", 1, sender=one[1], field=field)
    for status, if_same, if_other in (
        ("F", ["200 umol/L"], ["200 umol/L", "40 umol/L"]),
        ("C", ["200 umol/L"], ["200 umol/L", "40 umol/L"]),
        ("W", [], ["40 umol/L"]),
    ):
        second = ordered(other[0], "200", 2, sender=other[1], status=status, field=field)
        for order in permutations((first, second)):
            assert sorted(map(str, values(*order))) == (if_same if is_same else if_other)


def test_a_bare_number_of_two_authorities_opens_what_it_may_take_back() -> None:
    sent = (ordered("1^LIS1", "40", 1), ordered("1^POCT", "190", 2), ordered("1", "", 3, status="W"))
    for order in permutations(sent):
        assert values(*order) == ["status_excluded", "status_excluded"]


def test_another_order_another_code_or_another_part_is_another_value() -> None:
    other = message(PID, OBR.replace("F1", "F2"), result("70", unit="umol/L^^UCUM"), control="o")
    assert len(values(said("F", "98", 1), other)) == 2
    assert len(values(said("F", "98", 1, sub="1"), said("D", "", 2, sub="2"))) == 1


def test_the_same_message_twice_is_once() -> None:
    assert values(said("F", "98", 1), said("F", "98", 1)) == ["98 umol/L"]


def test_superseded_segments_stay_in_the_hash_of_the_input() -> None:
    first, second = said("P", "90", 1), said("F", "98", 2)
    both = read_patient([first, second]).digests
    assert set(read_patient([second]).digests) < set(both)
    assert both == read_patient([second, first]).digests


# -- demographics ----------------------------------------------------------------------------------


def born(*contents: bytes) -> str | None:
    found = record(*contents).patient.born
    return None if found is None else str(found[0])


def test_an_update_replaces_keeps_and_deletes_field_by_field() -> None:
    first = adt("A01", PID, sent=HOUR.format(minute=1))
    change = adt("A08", "PID|1||4711^^^HOSP^MR||Other^Ada||19630314", sent=HOUR.format(minute=2), control="2")
    deletion = adt("A08", 'PID|1||4711^^^HOSP^MR||||""', sent=HOUR.format(minute=3), control="3")
    for order in permutations((first, change)):
        person = record(*order).patient
        assert (person.name, str(person.born and person.born[0]), person.sex) == ("Ada Other", "1963-03-14", "female")
    for order in permutations((first, change, deletion)):
        assert born(*order) is None


def test_administrative_messages_stand_over_the_copies_in_results() -> None:
    early = adt("A01", PID, sent=HOUR.format(minute=1))
    late = message("PID|1||4711^^^HOSP^MR||Exmple^Ada||1962|F", OBR, result(), sent=HOUR.format(minute=9), control="9")
    assert born(early, late) == born(late, early) == "1962-03-14"


@pytest.mark.parametrize("wrong", [PID.replace("19620314", "19620315"), PID[:-1] + "M"])
def test_results_of_somebody_else_under_the_same_number_are_refused(wrong: str) -> None:
    right, other = adt("A01"), message(wrong, OBR, result(), control="2")
    for order in permutations((right, other)):
        with pytest.raises(DataError) as caught:
            read_patient(order)
        assert caught.value.code == "mixed_patients"


def test_a_corrected_birth_date_makes_no_stranger_of_older_results() -> None:
    old = message(PID, OBR, result(), control="2")
    change = adt("A08", PID.replace("19620314", "19630314"), sent="20200406110000+0000", control="3")
    assert born(adt("A01"), old, change) == "1963-03-14"


def test_two_administrative_messages_of_one_time_that_differ_name_two_people() -> None:
    with pytest.raises(DataError) as caught:
        read_patient([adt("A01"), adt("A08", PID.replace("1962", "1963"), control="2")])
    assert caught.value.code == "mixed_patients"


def test_death() -> None:
    dead = adt("A08", PID + "|" * 21 + "202004060700+0000|Y", sent=HOUR.format(minute=2), control="2")
    undone = adt("A08", PID + "|" * 21 + '""|N', sent=HOUR.format(minute=3), control="3")
    assert record(adt("A01", sent=HOUR.format(minute=1)), dead).patient.deceased
    assert not record(adt("A01", sent=HOUR.format(minute=1)), dead, undone).patient.deceased


# -- who is who ------------------------------------------------------------------------------------

OLD = PID.replace("4711", "0815")
MERGE = adt("A40", PID, "MRG|0815^^^HOSP^MR", control="m", sent=HOUR.format(minute=5))


def test_a_merge_moves_the_data_whenever_it_comes() -> None:
    contents = (adt("A01"), message(OLD, OBR, result(), control="2"), MERGE)
    for order in permutations(contents):
        found = record(*order)
        assert len(found.measurements["creatinine"]) == 1
        assert {one.value for one in found.patient.identifiers} == {"4711", "0815"}
        assert found.patient.id == "4711^^^HOSP"


def test_a_merge_of_two_birth_dates_opens_the_age_until_somebody_says() -> None:
    other = OLD.replace("19620314", "19820314")
    sent = (adt("A01", sent=HOUR.format(minute=1)), adt("A01", other, control="2", sent=HOUR.format(minute=2)), MERGE)
    for order in permutations(sent):
        found = record(*order)
        assert (found.patient.born, found.patient.sex) == (None, "female")
        assert any("merged records state different birth dates" in one.text for one in found.notes)
    said_since = adt("A08", PID, control="4", sent=HOUR.format(minute=9))
    assert born(*sent, said_since) == "1962-03-14"
    assert not [one for one in record(*sent, said_since).notes if "merged" in one.text]


def test_the_same_number_of_two_authorities_has_two_ids() -> None:
    ids = {record(adt("A01", PID.replace("^^^HOSP", end))).patient.id for end in ("^^^HOSPA", "^^^HOSPB", "", "^^^a/b")}
    assert len(ids) == 4
    assert {"4711^^^HOSPA", "4711^^^HOSPB", "4711^^^^^HOSP"} < ids
    assert not [one for one in ids if re.fullmatch(r"[A-Za-z0-9.-]{1,64}", one)], "none is an id of a FHIR server"


def test_in_a_file_merges_are_heard_first() -> None:
    both = adt("A08", PID.replace("^MR|", "^MR~0815^^^HOSP^MR|"), control="b", sent=HOUR.format(minute=9))
    for order in permutations((adt("A01"), adt("A01", OLD, control="2"), both, MERGE)):
        assert record(*order).patient.id == "4711^^^HOSP"


def test_a_merge_makes_one_person_of_two_descriptions() -> None:
    other = OLD.replace("19620314", "19620413")
    contents = [adt("A01", PID), message(other, OBR, result(), control="2")]
    patients = Patients()
    for content in (*contents, MERGE):
        mapped = map_message(parse_message(content))
        patients.check(mapped)
        patients.take(mapped)
    (chart,) = patients
    assert chart.bundle().patient.birth_date == "1962-03-14"


def test_a_merge_without_its_former_number_is_refused() -> None:
    with pytest.raises(MessageError) as caught:
        map_message(parse_message(adt("A40", PID)))
    assert caught.value.place == "MRG"


def test_several_merges_in_one_message() -> None:
    third, fourth = OLD.replace("0815", "3"), "MRG|4^^^HOSP^MR"
    mapped = map_message(parse_message(adt("A40", PID, "MRG|0815^^^HOSP^MR", third, fourth)))
    assert [[one.value for one in (*part.identity, *part.former)] for part in mapped] == [["4711", "0815"], ["3", "4"]]


def test_a_message_whose_numbers_belong_to_two_patients_is_refused() -> None:
    patients = Patients()
    for content in (adt("A01", PID), adt("A01", OLD)):
        patients.take(map_message(parse_message(content)))
    both = map_message(parse_message(adt("A08", PID.replace("^MR|", "^MR~0815^^^HOSP^MR|"))))
    with pytest.raises(MessageError, match="A40"):
        patients.check(both)


def test_the_same_number_of_another_authority_is_another_patient() -> None:
    with pytest.raises(DataError) as caught:
        read_patient([adt("A01", PID), adt("A01", PID.replace("HOSP", "OTHER"))])
    assert caught.value.code == "mixed_patients"


# -- stays -----------------------------------------------------------------------------------------

VISIT = "PV1|1|I|||||||||||||||||V1"
CLOT = "DG1|1||I26.99^Pulmonary embolism^I10||20200401|F"


def clot(*contents: bytes) -> list[tuple[str, str | None]]:
    found = record(*contents).presences.get("pulmonary_embolism", ())
    return [(one.present.name, None if one.problem is None else one.problem.value) for one in found]


def test_what_a_cancelled_admission_brought_is_open() -> None:
    admitted = adt("A01", PID, VISIT, CLOT, sent=HOUR.format(minute=1))
    cancelled = adt("A11", PID, VISIT, sent=HOUR.format(minute=2), control="2")
    other = adt("A11", PID, VISIT.replace("V1", "V2"), sent=HOUR.format(minute=2), control="3")
    for order in permutations((admitted, cancelled)):
        assert clot(*order) == [("UNKNOWN", "needs_review")]
    assert clot(admitted, other) == [("MET", None)]
    again = adt("A01", PID, VISIT, CLOT.replace("DG1|1", "DG1|2"), sent=HOUR.format(minute=3), control="4")
    assert clot(admitted, cancelled, again) == [("MET", None)]


def test_a_deleted_diagnosis_is_gone() -> None:
    first = adt("A01", PID, CLOT, sent=HOUR.format(minute=1))
    deletion = adt("A08", PID, CLOT + "|" * 15 + "D", sent=HOUR.format(minute=2), control="2")
    assert (CLOT + "|" * 15 + "D").split("|")[21] == "D"
    for order in permutations((first, deletion)):
        assert clot(*order) == []


def test_two_episodes_of_one_diagnosis_are_two() -> None:
    lines = (CLOT, CLOT.replace("20200401", "20190401"))
    assert len(clot(adt("A01", PID, *lines))) == 2


def test_a_discharge_keeps_what_is_known() -> None:
    contents = (adt("A01", PID, CLOT), adt("A03", PID, control="2", sent=HOUR.format(minute=5)))
    assert clot(*contents) == [("MET", None)]


def test_values_are_exact() -> None:
    (entry,) = record(said("F", "88.40", 1)).measurements["creatinine"]
    assert entry.value is not None
    assert entry.value == exactly(entry.value.exact) if entry.value.exact is not None else False
