"""Our own record says what a bundle says: the same patient gives the same verdict and the same trace hash.

Patients are generated as facts in plain words, and written twice: as FHIR with public codes, and as our record.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from fhir_adapters.bundle import read_bundle
from fhir_adapters.plain_record import is_fhir, parse_record, read_plain
from fhir_adapters.record_builder import build_record
from mscprotocol.assessment import assess
from mscprotocol.case import Request
from mscprotocol.errors import DataError, RequestError
from mscprotocol.knowledge import KnowledgeBase
from mscprotocol.reasons import Reason
from mscprotocol.record import PatientRecord
from mscprotocol.rulebook import compile_rulebook
from mscprotocol.truth import Truth
from tests.one_patient import AT, DISEASES, LABS, OnePatient
from tests.patients import LOT


def trace(record: PatientRecord, knowledge: KnowledgeBase) -> tuple[str, str]:
    answer = assess(record, compile_rulebook(knowledge, "seed-covid-4x"), Request(at=AT))
    return answer.verdict, answer.trace_sha256


SINGLE = [("lab", name, 0, 1, "final") for name in LABS] + [("condition", name, "active", 6) for name in DISEASES]


@pytest.mark.parametrize("fact", [*SINGLE, ("limited", "d_dimer", 1, 1, True), ("test", "positive", 1)], ids=str)
def test_both_ways_to_write_a_fact_give_the_same_trace(knowledge: KnowledgeBase, fact: tuple[Any, ...]) -> None:
    one = OnePatient(fact)
    fhir = build_record(read_bundle(one.bundle), knowledge)
    plain = build_record(read_plain(one.record, knowledge), knowledge)
    assert trace(plain, knowledge) == trace(fhir, knowledge)
    assert (plain.unmapped, plain.notes) == ((), ())


# -- what a record says beyond a bundle --------------------------------------------------------------


def record_of(knowledge: KnowledgeBase, **parts: Any) -> PatientRecord:
    content = json.dumps({"patient": {"id": "p", "born": "1962", "sex": "female"}} | parts).encode()
    return build_record(read_plain(content, knowledge), knowledge)


def datum(knowledge: KnowledgeBase, **said: Any) -> Any:
    (found,) = record_of(knowledge, data=[said]).measurements.values()
    return found[0]


def test_names_that_the_rules_do_not_have_are_said(knowledge: KnowledgeBase) -> None:
    record = record_of(
        knowledge,
        data=[{"name": "platlets", "value": "90 10*9/L"}, {"code": "platelets", "value": "90 10*9/L"}],
        conditions=[{"name": "flu", "status": "active"}],
        answers=[{"name": "pregnat", "answer": "no", "by": "Dr A"}],
    )
    said = " ".join(note.text for note in record.notes)
    assert all(name in said for name in ("platlets", "flu", "pregnat"))
    assert [one.as_received for one in record.measurements["platelets"]] == ["90 10*9/L"]


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ({"name": "platelets", "value": "90"}, "unit_unknown"),
        ({"name": "platelets", "value": 90}, "unit_unknown"),
        ({"name": "platelets", "value": "90 furlongs"}, "unit_unknown"),
        ({"name": "platelets", "value": "90,5 10*9/L"}, "needs_review"),
        ({"name": "platelets", "value": "low"}, "needs_review"),
        ({"name": "platelets", "value": 1e300}, "unit_unknown"),
        ({"name": "platelets"}, "missing"),
        ({"name": "platelets", "value": "90 10*9/L", "status": "preliminary"}, "status_excluded"),
        ({"name": "d_dimer", "value": "1 mg/L", "assay": "XYZ"}, "needs_review"),
        ({"name": "sars_cov_2_test", "answer": "perhaps"}, "code_unmapped"),
        ({"name": "product_viability", "value": "90 %"}, "qualifier_missing"),
    ],
)
def test_values_that_cannot_be_used_say_why(knowledge: KnowledgeBase, said: dict[str, Any], problem: str) -> None:
    found = datum(knowledge, **said)
    assert (found.problem, found.value) == (Reason(problem), None)


def test_values_are_read_as_they_are_written(knowledge: KnowledgeBase) -> None:
    assert str(datum(knowledge, name="platelets", value="<90 10*9/L").value.high) == "90"
    assert str(datum(knowledge, name="platelets", value="90 10*9/L").value.exact) == "90"
    assert str(datum(knowledge, name="spo2", value="91%").value.exact) == str(
        datum(knowledge, name="spo2", value="91 %").value.exact
    )
    assert str(datum(knowledge, name="gcs", value=15).value.exact) == "15"
    assert datum(knowledge, name="d_dimer", value="1 mg/L", assay="FEU").assay == "FEU"
    assert datum(knowledge, code="loinc 48065-7", value="1 mg/L").assay == "FEU"
    assert datum(knowledge, code="http://loinc.org|777-3", value="90 10*9/L").name == "platelets"
    assert datum(knowledge, name="oxygen_support", answer="imv").answer == "imv"


def test_the_rest_of_a_record_is_read(knowledge: KnowledgeBase) -> None:
    lot = {name: said for name, said in LOT.items() if isinstance(said, str)}
    record = record_of(
        knowledge,
        conditions=[{"name": "vasopressor", "status": "active", "since": "2020-04-06T09:00:00+08:00"},
                    {"code": "snomed 59282003", "status": "unclear"}],
        infusions=[{"started": "2020-04-05T10:00:00+08:00"}, {"status": "stopped"}],
        product={"lot": "LOT-7", "at": "2020-04-06T09:30:00+08:00"} | lot,
    )  # fmt: skip
    assert record.presences["vasopressor"][0].active is Truth.MET
    assert record.presences["pulmonary_embolism"][0].problem is Reason.NEEDS_REVIEW
    assert {one.status for one in record.infusions} == {"completed", "stopped"}
    assert record.measurements["product_passage"][0].reference == "Lot/LOT-7"


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"1", b"\xff", b"null", b"[" * 10_000])
def test_what_is_no_object_is_unreadable(knowledge: KnowledgeBase, content: bytes) -> None:
    assert not is_fhir(content)
    with pytest.raises(DataError) as raised:
        read_plain(content, knowledge)
    assert raised.value.code == "unreadable"


@pytest.mark.parametrize(
    "part", [{"data": [{"value": 1}]}, {"data": [{"name": "a", "code": "b"}]}, {"data": {}}, {"nothing": 1},
             {"data": [{"name": "a", "value": "b", "answer": "c"}]}, {"patient": {"id": "a b"}}]
)  # fmt: skip
def test_a_wrong_shape_is_refused(knowledge: KnowledgeBase, part: dict[str, Any]) -> None:
    with pytest.raises(RequestError):
        record_of(knowledge, **part)


@pytest.mark.parametrize("said", ["no", "0", "alive", "2020-04-06 10:00"])
def test_a_death_is_a_time_or_a_yes(said: str) -> None:
    with pytest.raises(RequestError, match="give true, false, or when"):
        parse_record(msgspec.json.encode({"patient": {"id": "p", "deceased": said}}))
