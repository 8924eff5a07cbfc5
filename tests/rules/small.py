"""Small folders of rules, written for one test: sound, but for what the test breaks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent

from mscprotocol.authoring.entries import RuleFolder, read_folder

SOUND = {
    "sources.yaml": "site-policy: {citation: A choice, read: nothing, kept_for: numbers of the site}\n"
    "book: {citation: A book, read: all of it, kept_for: this test}\n"
    "li-2020: {citation: The paper, read: full text, kept_for: this test}\n",
    "measurements.yaml": """
        platelets: {id: I-PLT, text: Platelets, kind: quantity, unit: 10*9/L, units: {10*9/L: {}, /uL: {divisor: 1000}},
          codes: [loinc 777-3], hard: {low: 1, high: 2000}}
        crp: {id: I-CRP, text: CRP, kind: quantity, unit: mg/L, units: {mg/L: {}, mg/dL: {factor: 10}}}
        support: {id: I-O2, text: Support, kind: ordinal, levels: [room_air, low_flow, imv]}
        """,
    "conditions.yaml": """
        embolism: {text: Embolism, kind: condition, codes: [snomed 59282003]}
        fever: {text: Fever, kind: condition, codes: [snomed 386661006]}
        """,
    "units.yaml": "'/µL': '/uL'\n",
    **dict.fromkeys(("checklists.yaml", "orders.yaml", "override_reasons.yaml", "signature_meanings.yaml"), "{}"),
    **dict.fromkeys(("parameters.yaml", "practices.yaml"), "{}"),
    "definitions/made.yaml": "{}",
    "criteria/made.yaml": "{}",
}
BOOK = "sources: [{id: book, mark: read}]"


def write_rules(home: Path, more: Mapping[str, str]) -> Path:
    """The sound rules with more text in some of their files."""
    folder = home / "rules"
    (folder / "protocols").mkdir(parents=True)
    for name in SOUND.keys() | more.keys():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        said = [dedent(text) for text in (SOUND.get(name, ""), more.get(name, "")) if text]
        said = [text for text in said if text != "{}"] or ["{}"]
        path.write_text("\n".join(said), encoding="utf-8")
    return folder


def small_rules(home: Path, **more: str) -> RuleFolder:
    """A folder with more text in files that are named without their ending, `__` standing for the folder's slash."""
    return read_folder(write_rules(home, {f"{name.replace('__', '/')}.yaml": text for name, text in more.items()}))
