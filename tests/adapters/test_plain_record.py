"""Our own record says what a bundle says: the same patient gives the same verdict and the same trace hash.

Patients are generated as facts in plain words, and written twice: as FHIR with public codes, and as our record.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import pytest

from fhir_adapters.bundle import read_bundle
from fhir_adapters.plain_record import is_fhir, read_plain
from fhir_adapters.record_builder import build_record
from mscprotocol.assessment import assess
from mscprotocol.case import Request
from mscprotocol.errors import DataError, RequestError
from mscprotocol.knowledge import KnowledgeBase
from mscprotocol.reasons import Reason
from mscprotocol.record import PatientRecord
from mscprotocol.rulebook import compile_rulebook
from mscprotocol.truth import Truth
from tests.patients import LOT, PatientBundle

AT = datetime.fromisoformat("2020-04-06T10:00:00+08:00")
# What both can carry: datum, LOINC code, unit, and values as they are charted.
LABS = {
    "weight": ("29463-7", "kg", ("70", "48.5", "130")),
    "height": ("8302-2", "cm", ("175", "150")),
    "fio2": ("3150-0", "%", ("40", "21", "100")),
    "pao2": ("2703-7", "mm[Hg]", ("76", "104.5", "55", "300")),
    "respiratory_rate": ("9279-1", "/min", ("28", "30", "16")),
    "spo2": ("59408-5", "%", ("91", "93", "98")),
    "crp": ("1988-5", "mg/L", ("118", "5")),
    "platelets": ("777-3", "10*9/L", ("210", "90", "49.9")),
    "inr": ("6301-6", "{INR}", ("1.1", "1.6")),
    "fibrinogen": ("3255-7", "g/L", ("4.8", "0.9")),
    "bilirubin": ("1975-2", "mg/dL", ("0.8", "6.1")),
    "creatinine": ("2160-0", "mg/dL", ("0.9", "5.2")),
    "gcs": ("9269-2", "{score}", ("15", "9")),
}
LIMITED = {
    "d_dimer": ("48065-7", "mg/L", ("0.6", "3.2"), "0.5"),
    "pt": ("5902-2", "s", ("13", "22"), "13.5"),
}
SUPPORT = {"low_flow": ("371907003", "Oxygen by nasal cannula"), "imv": ("40617009", "Ventilation")}
DISEASES = {
    "covid_19": "840539006",
    "pneumonia": "233604007",
    "malignancy": "363346000",
    "pulmonary_embolism": "59282003",
}
STATES = {"active": ("active", "confirmed"), "resolved": ("resolved", "confirmed"), "refuted": ("active", "refuted"),
          "suspected": ("active", "provisional")}  # fmt: skip


class Both:
    """One patient, written twice."""

    def __init__(self) -> None:
        self.fhir = PatientBundle("p", AT.isoformat())
        self.plain: dict[str, Any] = {
            "patient": {"id": "p", "born": "1962-03-14", "sex": "male"},
            "data": [], "conditions": [], "answers": [],
        }  # fmt: skip

    def add(self, kind: str, *fact: Any) -> None:
        getattr(self, f"add_{kind}")(*fact)

    def when(self, ago: float) -> str:
        return (AT - timedelta(hours=ago)).isoformat()

    def add_lab(self, name: str, number: int, ago: float, status: str) -> None:
        code, unit, values = LABS[name]
        value = values[number % len(values)]
        self.fhir.lab(code, value, unit, ago, status=status)
        said = f"{value} {unit}"
        self.plain["data"].append({"name": name, "value": said, "at": self.when(ago), "status": status})

    def add_limited(self, name: str, number: int, ago: float, has_limit: bool) -> None:
        code, unit, values, upper = LIMITED[name]
        self.fhir.lab(code, values[number], unit, ago, upper=upper if has_limit else None)
        datum = {"name": name, "value": f"{values[number]} {unit}", "at": self.when(ago)}
        datum |= {"assay": "FEU"} if name == "d_dimer" else {}
        self.plain["data"].append(datum | ({"upper_limit": f"{upper} {unit}"} if has_limit else {}))

    def add_condition(self, name: str, state: str, ago: float) -> None:
        clinical, verification = STATES[state]
        self.fhir.condition(DISEASES[name], name, ago, clinical=clinical, verification=verification)
        times = {"since": self.when(ago), "recorded": self.when(ago)}
        self.plain["conditions"].append({"name": name, "status": state} | times)

    def add_answer(self, name: str, said: bool, ago: float) -> None:
        self.fhir.attest({name: said}, ago)
        answer = {"name": name, "answer": "yes" if said else "no", "by": "Dr A. Example", "at": self.when(ago)}
        self.plain["answers"].append(answer)

    def add_test(self, said: str, ago: float) -> None:
        self.fhir.coded("94500-6", "260373001" if said == "positive" else "260415000", ago)
        self.plain["data"].append({"name": "sars_cov_2_test", "answer": said, "at": self.when(ago)})

    def records(self, knowledge: KnowledgeBase) -> list[PatientRecord]:
        bundles = (read_bundle(self.fhir.to_json()), read_plain(json.dumps(self.plain).encode(), knowledge))
        return [build_record(bundle, knowledge) for bundle in bundles]


def trace(record: PatientRecord, knowledge: KnowledgeBase) -> tuple[str, str]:
    answer = assess(record, compile_rulebook(knowledge, "seed-covid-4x"), Request(at=AT))
    return answer.verdict, answer.trace_sha256


SINGLE = [("lab", name, 0, 1, "final") for name in LABS] + [("condition", name, "active", 6) for name in DISEASES]


@pytest.mark.parametrize("fact", [*SINGLE, ("limited", "d_dimer", 1, 1, True), ("test", "positive", 1)], ids=str)
def test_both_ways_to_write_a_fact_give_the_same_trace(knowledge: KnowledgeBase, fact: tuple[Any, ...]) -> None:
    both = Both()
    both.add(*fact)
    fhir, plain = both.records(knowledge)
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
