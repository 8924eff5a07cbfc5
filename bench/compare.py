"""Two screenings of the same patients from other files, compared: `python bench/compare.py OUT OTHER`.

Patients are matched by id, or by an identifier that holds the other's id. Printed are the criteria whose status
differs, with how often and why; then how many patients agree in all.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any


def read(folder: Path) -> dict[str, dict[str, Any]]:
    """The answers of a screening by every name of their patient."""
    found = {}
    for line in (folder / "assessments.ndjson").read_bytes().splitlines():
        answer = json.loads(line)
        for name in (answer["patient"]["id"], *(one["value"] for one in answer["patient"]["identifiers"])):
            found[name] = answer
    return found


def statuses(answer: dict[str, Any]) -> dict[str, str]:
    """Each criterion as status and reason."""
    return {one["id"]: " ".join(filter(None, (one["status"], one["reason"]))) for one in answer["criteria"]}


def used(answer: dict[str, Any]) -> set[tuple[str, str]]:
    """The values that the criteria used, each with its datum; of what time, sources may say in different ways."""
    evidence = (one for criterion in answer["criteria"] for one in criterion["evidence"])
    return {(one["datum"], one["value"]) for one in evidence if one["used"] and one["value"]}


def main(one: Path, other: Path) -> None:
    """Print what differs."""
    left, right = read(one), read(other)
    both = sorted({name for name in right if name in left})
    differing: Counter[tuple[str, str, str]] = Counter()
    same = verdicts = 0
    for name in both:
        mine, theirs = statuses(left[name]), statuses(right[name])
        found = [(key, mine[key], theirs[key]) for key in mine if mine[key] != theirs[key]]
        differing.update(found)
        same += not found
        verdicts += left[name]["verdict"] == right[name]["verdict"]
    print(f"{len(both)} patients in both; {verdicts} with the same verdict, {same} the same in every criterion")
    for (criterion, mine, theirs), number in sorted(differing.items()):
        print(f"{criterion}: {mine} | {theirs}: {number}")
    only: tuple[Counter[str], Counter[str]] = Counter(), Counter()
    in_both = 0
    for name in both:
        mine_used, their_used = used(left[name]), used(right[name])
        in_both += len(mine_used & their_used)
        for counted, values in zip(only, (mine_used - their_used, their_used - mine_used), strict=True):
            counted.update(datum for datum, _ in values)
    print(
        f"values that were used: {in_both} in both; only in the first: {dict(only[0])}; in the other: {dict(only[1])}"
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
