"""Another implementation's answers against ours: each line of JSON is put to the definition that it is about.

    python assurance/calculators.py FOLDER

The files hold inputs and results of the package clincalc on grids of boundary values; they are not part of this
project. A difference counts as explained only by a reason below, which `docs/calculators.md` puts into words.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

from mscprotocol.case_records import AT, build_record
from mscprotocol.findings import Findings
from mscprotocol.interval import Interval
from mscprotocol.knowledge_loader import load_knowledge
from mscprotocol.scores import Scores

Input = dict[str, Any]
NOT_BUILT = {
    "qsofa": "neither the paper nor a protocol asks for qSOFA",
    "curb65": "neither the paper nor a protocol asks for CURB-65",
    "child_pugh": "liver failure is asked as a finding; the grid has no answer for any encephalopathy but none",
}
_NO_DRUG = {"vasopressor": "no", "other_vasopressor": "no"}
_DRUG: dict[str, object] = {
    "vasopressor": "active @ 3 h",
    "other_vasopressor": "no",
    **{f"{name}_rate": "0 ug/kg/min @ 1 h" for name in ("norepinephrine", "epinephrine", "dopamine", "dobutamine")},
}
_CIRCULATION: dict[str, dict[str, object]] = {
    "map-at-least70": {**_NO_DRUG, "map": "70 mm[Hg]"},
    "map-below70": {**_NO_DRUG, "map": "69 mm[Hg]"},
    "dopamine-low": {**_DRUG, "map": "70 mm[Hg]", "dopamine_rate": "5 ug/kg/min"},
    "moderate-vasopressors": {**_DRUG, "map": "70 mm[Hg]", "norepinephrine_rate": "0.1 ug/kg/min"},
    "high-vasopressors": {**_DRUG, "map": "70 mm[Hg]", "norepinephrine_rate": "0.101 ug/kg/min"},
}


def sofa(said: Input) -> Decimal | None:
    """SOFA of one line, from values and not from points."""
    return _score("sofa", {
        "pf_ratio": f"{said['pao2_fio2']} mm[Hg]",
        "oxygen_support": "imv" if said["respiratory_support"] else "room_air",
        "platelets": f"{said['platelets']} 10*9/L",
        "bilirubin": f"{said['bilirubin']} {said['bilirubin_unit']}",
        "gcs": f"{said['gcs']} {{score}}",
        "creatinine": f"{said['creatinine']} {said['creatinine_unit']}",
        **_CIRCULATION[said["cardiovascular"]],
    })  # fmt: skip


def dic_2025(said: Input) -> Decimal | None:
    """ISTH overt DIC of one line, with the site parameter set to the cut-offs of 2025."""
    upper, pt_upper = Decimal("0.5"), Decimal("13.5")
    return _score("dic_isth", {
        "platelets": f"{said['platelet_count_10_9_l']} 10*9/L",
        "d_dimer": f"{said['d_dimer_multiple_of_uln'] * upper} mg/L @ 1 h upper {upper} assay FEU",
        "pt": f"{pt_upper + said['pt_prolongation_seconds']} s @ 1 h upper {pt_upper}",
        "fibrinogen": f"{said['fibrinogen_g_l']} g/L",
    }, dimer_cutoff="isth_2025")  # fmt: skip


def predicted_weight(said: Input) -> Decimal | None:
    """Predicted body weight of one line, to a tenth of a kilogram."""
    findings = _findings({"height": f"{said['height_cm']} cm", "sex": said["formula_branch"]})
    weight = findings.exact_number("predicted_body_weight")
    return None if weight is None else weight.quantize(Decimal("0.1"))


def _score(name: str, given: dict[str, object], **choices: str) -> Decimal | None:
    found: Interval = Scores(_findings(given, **choices)).result(name).total
    return found.exact


def _findings(given: dict[str, object], **choices: str) -> Findings:
    knowledge = load_knowledge(choices=choices)
    return Findings(build_record(knowledge, given), knowledge, AT, "screening")


BUILT: dict[str, Callable[[Input], Decimal | None]] = {
    "sofa": sofa,
    "isth_overt_dic_2025": dic_2025,
    "ardsnet_pbw": predicted_weight,
}


def explain(kind: str, said: Input, ours: Decimal | None, theirs: Decimal) -> str | None:
    """Why an answer of ours differs, where `docs/calculators.md` says so; None where nothing explains it."""
    if kind == "ardsnet_pbw" and ours is None:
        return "short stature: below a height of the site's choice the formula is not read"
    if kind == "ardsnet_pbw" and ours is not None:
        by_inches = {"male": Decimal(50), "female": Decimal("45.5")}[said["formula_branch"]] + Decimal("2.3") * (
            said["height_cm"] / Decimal("2.54") - 60
        )
        if abs(by_inches - theirs) <= Decimal("0.05"):
            return "kilograms by inch: they add 2.3 kg an inch (0.9055 kg/cm), the printed formula 0.91 kg/cm"
    if kind == "sofa" and said["bilirubin_unit"] == "umol/L":
        by_mass = {**said, "bilirubin_unit": "mg/dL", "creatinine_unit": "mg/dL"}
        by_mass["bilirubin"] = (said["bilirubin"] / Decimal("17.1")).quantize(Decimal("0.0001"))
        by_mass["creatinine"] = (said["creatinine"] / Decimal("88.4")).quantize(Decimal("0.0001"))
        if sofa(by_mass) == theirs:
            return "molar units: they turn umol/L into mg/dL, the published table has rows of its own for umol/L"
    return None


def compare(path: Path) -> Iterator[tuple[str, str]]:
    """What came out for each line of a file: a word, and the reason or the line."""
    kind = next((one for one in (*BUILT, *NOT_BUILT) if path.name.startswith(one)), "")
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line, parse_float=Decimal, parse_int=Decimal)
        if "error" in row:
            yield "no answer of theirs", "their program refused the input"
        elif kind not in BUILT:
            yield "not built", NOT_BUILT.get(kind, "nothing of ours has this name")
        else:
            ours, theirs = BUILT[kind](row["input"]), Decimal(row["result"])
            reason = explain(kind, row["input"], ours, theirs)
            if ours == theirs:
                yield "agree", ""
            else:
                yield ("differ, explained", reason) if reason else ("DIFFER", f"{ours}, not {theirs}: {row['input']}")


def main(arguments: list[str]) -> int:
    """Compare every file of a folder and print what came out; 1 when a difference has no reason."""
    if len(arguments) != 1 or not Path(arguments[0]).is_dir():
        print(__doc__)
        return 2
    unexplained = 0
    for path in sorted(Path(arguments[0]).glob("*.jsonl")):
        found = Counter(compare(path))
        print(f"{path.stem}: {sum(found.values())} rows")
        for (word, reason), number in sorted(found.items())[:40]:
            print(f"  {number:5} {word}{': ' + reason if reason else ''}")
        unexplained += sum(number for (word, _), number in found.items() if word == "DIFFER")
    print(f"{unexplained} differences without a reason")
    return int(unexplained > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
