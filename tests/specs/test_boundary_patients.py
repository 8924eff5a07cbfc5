"""Trap T2: one patient at an edge is severe on one scale and not on another; no scale's word is another's.

The patients are otherwise well: pneumonia on room air, every graver sign denied. Between whole per cents the scales
part as well: a saturation of 93.5 is above the 93 of the NHC and below the 94 of the NIH.
"""

import pytest

from mscprotocol.assessment import assess
from mscprotocol.case import Request
from mscprotocol.case_records import AT, build_record
from mscprotocol.case_tables import read_rows
from mscprotocol.knowledge_loader import load_knowledge
from mscprotocol.rulebook import compile_rulebook
from tests.criteria.leaves import CASES
from tests.specs.grid import read_grid

# The classes of one patient: m for moderate, S for severe, C for critical. Below 300 the ratio scores 2 points of SOFA,
# and with an infection that is sepsis, which the WHO calls critical.
EDGES = """
  patient       | nhc  nih  who
----------------+---------------
  rate 29       |  m    m    m
  rate 30       |  S    m    m
  rate 31       |  S    S    S
  P/F 299       |  S    S    C
  P/F 300       |  S    m    m
  P/F 301       |  m    m    m
  SpO2 94       |  m    m    m
  SpO2 93.5     |  m    S    m
  SpO2 93       |  S    S    m
  SpO2 90       |  S    S    m
  SpO2 89.9     |  S    S    S
  SpO2 89       |  S    S    S
"""
CLASSES = {"m": "moderate", "S": "severe", "C": "critical"}
DATA = {"rate": ("respiratory_rate", "/min"), "P/F": ("pf_ratio", "mm[Hg]"), "SpO2": ("spo2", "%")}


def patient(**changed):
    """The base patient of the tables of severity, with some data changed or, as None, taken away."""
    well = next(row for row in read_rows(CASES) if row.section == "severity_nih").given
    return {name: said for name, said in {**well, **changed}.items() if said is not None}


def answer(given):
    knowledge = load_knowledge()
    record = build_record(knowledge, given, AT)
    return assess(record, compile_rulebook(knowledge, "seed-covid-4x"), Request(AT))


@pytest.mark.parametrize(("edge", "scale", "said"), read_grid(EDGES))
def test_an_edge_on_each_scale(edge, scale, said):
    kind, value = edge.split()
    name, unit = DATA[kind]
    gas = {"pao2": None} if kind == "P/F" else {}
    assert answer(patient(**gas, **{name: f"{value} {unit} @ 1 h"})).severity[scale].class_ == CLASSES[said]


VENTILATED = {
    "oxygen_support": "imv @ 1 h", "fio2": None, "pao2": None, "spo2": None, "peep": "8 cm[H2O] @ 1 h",
    "ards_onset_within_week": "yes", "bilateral_opacities": "yes", "opacities_explained_otherwise": "no",
    "cardiac_failure_explains": "no",
}  # fmt: skip


@pytest.mark.parametrize(("ratio", "grade"), [(250, "mild"), (150, "moderate"), (90, "severe")])
def test_a_grade_of_ards_is_no_class_of_covid_19(ratio, grade):
    """Whatever the grade, who is ventilated is critical on every scale, and only the grade says the other word."""
    found = answer(patient(**VENTILATED, pf_ratio=f"{ratio} mm[Hg] @ 1 h"))
    assert {one.class_ for one in found.severity.values()} == {"critical"}
    assert (found.ards["berlin"].class_, found.ards["global"].class_) == (grade, f"intubated_{grade}")
    assert found.complications["ards"] == "met"


def test_the_definitions_of_ards_differ_where_there_is_no_pressure():
    """On high flow the global definition sees what Berlin does not, and neither moves the severity."""
    changed = {**VENTILATED, "oxygen_support": "hfno @ 1 h", "oxygen_flow": "40 L/min @ 1 h", "peep": None}
    found = answer(patient(**changed, pf_ratio="150 mm[Hg] @ 1 h"))
    assert (found.ards["berlin"].class_, found.ards["global"].class_) == ("none", "non_intubated")
    assert found.severity["nhc"].class_ == "severe"
