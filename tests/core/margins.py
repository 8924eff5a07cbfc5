"""Patients for the tests of margins: on room air and decided in everything, until a step up in support 2.5 h ago.

The step alone makes the course one that gets worse, so no vital sign or laboratory value is needed for the trend, and
a record that keeps one value of a datum has the same trend as the whole.
"""

from functools import cache

from mscprotocol.answer import Assessment, MarginItem
from mscprotocol.assessment import assess
from mscprotocol.case import Request
from mscprotocol.case_records import AT, build_record
from mscprotocol.knowledge_loader import load_knowledge
from mscprotocol.rulebook import compile_rulebook
from mscprotocol.yaml_files import read_yaml
from tests.criteria.leaves import CASES

HOURS = (4, 7, 11, 16, 22)


@cache
def _bases() -> dict[str, dict[str, object]]:
    return read_yaml((CASES / "base.yaml").read_text(encoding="utf-8"))


def patient(**changed: object) -> dict[str, object]:
    """The entries of a patient in the words of the case tables; `None` takes a datum away."""
    base = {**_bases()["complete"], **_bases()["room_air"]}
    stepped = {
        "oxygen_support": [*(f"room_air @ {hours} h" for hours in HOURS), "low_flow @ 2 h 30 min", "low_flow @ 1 h"],
        "fio2": [f"21 % @ {hours} h 6 min" for hours in HOURS],
        "pao2": "92 mmHg @ 4 h",
        "spo2": "97 % @ 4 h",
        "respiratory_rate": "18 /min @ 4 h",
        "crp": None,
        "d_dimer": ["0.6 mg/L @ 2 h upper 0.5 assay FEU", "0.6 mg/L @ 26 h upper 0.5 assay FEU"],
    }
    said = {**base, **stepped, **changed}
    return {name: value for name, value in said.items() if value is not None and name != "base"}


def course(unit: str, *values: object) -> list[str]:
    """Values of one datum, the newest first, while room air was charted."""
    return [f"{value} {unit} @ {hours} h" for value, hours in zip(values, HOURS, strict=False)]


def answer_for(said: dict[str, object], stage: str = "screening") -> Assessment:
    knowledge = load_knowledge()
    record = build_record(knowledge, said)
    return assess(record, compile_rulebook(knowledge, "seed-covid-4x"), Request(AT, stage))


def margin(answer: Assessment, start: str) -> MarginItem:
    """The one comparison whose words start like this."""
    (found,) = [one for one in answer.margins if one.comparison.startswith(start)]
    return found
