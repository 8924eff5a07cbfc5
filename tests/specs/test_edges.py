"""Numbers of the dictionary that no criterion reads, at their edges: what is noted, warned of, or not believed."""

import pytest

from fhir_adapters.bundle import read_bundle
from fhir_adapters.record_builder import build_record as build_from_bundle
from mscprotocol.assessment import assess
from mscprotocol.case import Request
from mscprotocol.case_records import AT, build_record
from mscprotocol.case_tables import read_rows
from mscprotocol.findings import Findings
from mscprotocol.interval import exactly
from mscprotocol.knowledge_loader import load_knowledge
from mscprotocol.rulebook import compile_rulebook
from tests.adapters.fhir_made import as_bytes, bundle, observation, patient, quantity
from tests.criteria.leaves import CASES

KNOWLEDGE = load_knowledge()
NOTED = [
    ("predicted_body_weight", {"sex": "male", "height": "146.9 cm"}, "short"),
    ("predicted_body_weight", {"sex": "male", "height": "147 cm"}, None),
    ("predicted_body_weight", {"sex": "male", "height": ["175 cm @ 1 h", "172 cm @ 30 h"]}, None),
    ("predicted_body_weight", {"sex": "male", "height": ["175 cm @ 1 h", "171.9 cm @ 30 h"]}, "differs"),
    ("sf_ratio", {"spo2": "79.9 %", "fio2": "50 %"}, "low_saturation"),
    ("sf_ratio", {"spo2": "80 %", "fio2": "50 %"}, None),
]
# The datum, its code and unit, a limit of normal that a report states, and whether it is believed.
LIMITS_OF_NORMAL = [
    *(("pt", "loinc 5902-2", "s", limit, is_read) for limit, is_read in ((7.9, 0), (8, 1), (20, 1), (20.1, 0))),
    *(
        ("d_dimer", "loinc 48065-7", "mg/L{FEU}", limit, is_read)
        for limit, is_read in ((0.049, 0), (0.05, 1), (2, 1), (2.01, 0))
    ),
]
# A man of 152.4 cm is predicted 50 kg.
BASIS = [("39.9 kg", True), ("40 kg", False), ("65 kg", False), ("65.1 kg", True)]


@pytest.mark.parametrize(("name", "given", "flag"), NOTED)
def test_a_value_is_noted(name, given, flag):
    chosen = Findings(build_record(KNOWLEDGE, given), KNOWLEDGE, AT, "screening").select(name).chosen
    assert {one for one in chosen.flags if one in KNOWLEDGE.measurements[name].notes} == ({flag} if flag else set())


@pytest.mark.parametrize(("name", "code", "unit", "limit", "is_read"), LIMITS_OF_NORMAL)
def test_a_limit_of_normal_is_believed_or_not(name, code, unit, limit, is_read):
    sent = observation(code, 14, unit, referenceRange=[{"high": quantity(limit, unit)}])
    record = build_from_bundle(read_bundle(as_bytes(bundle(patient(), sent))), KNOWLEDGE)
    assert record.measurements[name][0].upper_limit == (exactly(str(limit)) if is_read else None)


@pytest.mark.parametrize(("weight", "is_warned"), BASIS)
def test_an_actual_weight_far_from_the_predicted_one(weight, is_warned):
    ready = next(row for row in read_rows(CASES) if row.section == "dose" and len(row.given) > 20)
    record = build_record(KNOWLEDGE, {**ready.given, "height": "152.4 cm", "weight": f"{weight} @ 1 h"})
    found = assess(record, compile_rulebook(KNOWLEDGE, "seed-covid-4x"), Request(AT)).dose
    assert any("times the predicted weight" in text for text in found.warnings) is is_warned
