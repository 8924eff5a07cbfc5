"""One result of a message is set aside by itself: by what HL7 names it by, wherever it comes again, and no other."""

from __future__ import annotations

import pytest

from fhir_adapters.hl7v2_patients import read_patient
from fhir_adapters.hl7v2_setting_aside import mark_messages
from fhir_adapters.resources import Procedure
from fhir_adapters.setting_aside import mark_separate, set_aside
from mscprotocol.record import PatientRecord
from tests.adapters.hl7v2.messages import OBR, PID, adt, message, oru, record, result

WHY = "set aside: of another bed (Jörg Ünal, now)"
POTASSIUM = "2823-3^Potassium^LN"


def shown(read: PatientRecord) -> dict[str, str]:
    """The data of a record, by name: the latest as it was received."""
    return {name: entries[-1].as_received for name, entries in read.measurements.items()}


def reference(*contents: bytes, name: str = "creatinine") -> str:
    return record(*contents).measurements[name][-1].reference


def aside(content: bytes, name: str = "creatinine", why: str = WHY) -> bytes:
    marked, found = set_aside(content, {reference(content, name=name): why})
    assert found == {reference(content, name=name)}
    return marked


def why_not(read: PatientRecord) -> list[str]:
    return [one.text for one in read.notes if one.text.startswith("set aside")]


def test_one_result_goes_and_every_other_stays_as_it_was() -> None:
    both = oru(result("98"), result("5.5", code=POTASSIUM, unit="mmol/L", number=2))
    read = record(aside(both))
    assert shown(read) == {name: said for name, said in shown(record(both)).items() if name != "creatinine"}
    assert why_not(read) == [WHY], "who, when and why stand in every answer"
    assert both.rstrip(b"\r") in aside(both), "the segments stand as they came"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (result("98", sub="1"), result("99", sub="2", number=2)),
        (result("98", time="202004060700+0000"), result("99", time="202004060900+0000", number=2)),
        ("\r".join((OBR, result("98"))), "\r".join((OBR.replace("F1", "F2"), result("99", number=2)))),
    ],
    ids=["sub-id", "time", "order"],
)  # fmt: skip
def test_two_results_of_one_code_are_two(one: str, other: str) -> None:
    """By the number of the order, the sub-id, or the time."""
    content = oru(one, other)
    first, second = record(content).measurements["creatinine"]
    for gone, left in ((first, second), (second, first)):
        marked, _ = set_aside(content, {gone.reference: WHY})
        assert record(marked).measurements["creatinine"] == (left,)


def test_it_stays_aside_when_the_message_comes_again() -> None:
    content = oru(result("98"))
    for again in (content, content.replace(b"\r", b"\r\n"), b"\x0b" + content + b"\x1c\r"):
        for files in ((aside(content), again), (again, aside(content))):
            assert shown(record(*files)) == {}
            assert why_not(record(*files)) == [WHY]


def test_it_stays_aside_in_a_later_message_that_says_the_very_same() -> None:
    """A cumulative report repeats a result, under another number of its segment and a later time of sending."""
    later = oru(
        result("5.5", code=POTASSIUM, unit="mmol/L"), result("98", number=2), control="2", sent="202004061200+0000"
    )
    assert set(shown(record(aside(oru(result("98"))), later))) == {"potassium"} & set(shown(record(later)))


def test_what_says_something_else_counts() -> None:
    """A correction by the laboratory, and a value that was never set aside."""
    first = aside(oru(result("98")))
    corrected = oru(result("89", status="C"), control="2", sent="202004061200+0000")
    contending = oru(result("30"), control="3")
    assert shown(record(first, corrected)) == {"creatinine": "89 umol/L"}
    assert shown(record(first, contending)) == {"creatinine": "30 umol/L"}
    earlier = oru(result("30", status="P"), control="4", sent="202004060900+0000")
    assert shown(record(first, earlier)) == {}, "what it replaced does not count again"


def test_a_value_and_its_correction_go_together() -> None:
    corrected = oru(result("98"), result("89", status="C", number=2))
    assert shown(record(aside(corrected))) == {}


def test_a_retraction_of_one_of_two_does_not_come_to_mean_the_other() -> None:
    """With one of the two set aside, the other stays as open as it was."""
    two = (result("98", time="202004060700+0000"), result("99", time="202004060800+0000", number=2))
    content = oru(*two)
    withdrawn = oru(result(status="D", time="202004060730+0000"), control="2", sent="202004061200+0000")
    gone = record(content).measurements["creatinine"][0].reference
    marked, _ = set_aside(content, {gone: WHY})
    (left,) = record(marked, withdrawn).measurements["creatinine"]
    assert (left.as_received, left.problem is None) == ("99 umol/L", False)
    open_ones = {one.reference for one in record(marked, withdrawn).notes if "it is open" in one.text}
    assert open_ones == {left.reference}, "nothing more is asked of what is set aside"


def test_what_is_set_aside_is_another_input() -> None:
    content = oru(result("98"))
    digests = {record(one).source_digests for one in (content, aside(content), aside(content, why="another reason"))}
    assert len(digests) == 3


def test_diagnoses_allergies_and_procedures_are_set_aside_too() -> None:
    content = adt("A08", PID, "DG1|1||I26.9^Pulmonary embolism^I10||20200320|F")
    (embolism,) = record(content).presences["pulmonary_embolism"]
    marked, _ = set_aside(content, {embolism.reference: WHY})
    assert "pulmonary_embolism" not in record(marked).presences
    assert why_not(record(marked)) == [WHY]


@pytest.mark.parametrize("mark", ["ZMP|other|OBX|1|aside|41", "ZMP|mscprotocol|OBX|1|aside|no", "ZMP|mscprotocol|OBX",
    "ZMP|mscprotocol|OBX|x|aside|41", "ZMP|mscprotocol|OBX|1|never|41"])  # fmt: skip
def test_a_segment_of_that_name_that_is_not_ours_marks_nothing(mark: str) -> None:
    assert shown(record(oru(result("98"), mark))) == {"creatinine": "98 umol/L"}


def test_what_cannot_be_marked_comes_back_as_it_is() -> None:
    content = oru(result("98"))
    for wrong in (b"no message", content.replace(PID.encode(), b"")):
        assert set_aside(wrong, {"Observation/x": WHY}) == (wrong, frozenset())
    assert mark_messages(content, {}, None) == (content, frozenset())


def only_procedure(*files: bytes) -> Procedure:
    (item,) = read_patient(files).items
    assert isinstance(item.resource, Procedure)
    return item.resource


def test_an_act_can_be_said_to_be_one_by_itself_and_to_be_wrong() -> None:
    content = message("EVN|A08|20200406", PID, "PR1|1||X1^Infusion of cells^L|Cells|202004061000", kind="ADT^A08")
    (act,) = [one for one in read_patient([content]).items if one.reference.startswith("Procedure/")]
    separate = mark_separate(content, {act.reference: "n-1"})
    assert [one.value for one in only_procedure(separate).identifier] == ["n-1"]
    marked, _ = set_aside(separate, {act.reference: WHY})
    for files in ((marked,), (marked, separate), (separate, marked)):
        act_of = only_procedure(*files)
        assert (act_of.status, len(act_of.identifier)) == ("entered-in-error", 1)
