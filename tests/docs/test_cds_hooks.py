"""The table of CDS Hooks requirements: every test that it names exists, and every numbered test stands in it."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TABLE = (ROOT / "docs" / "cds-hooks.md").read_text(encoding="utf-8")
CODE = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests" / "web" / "cds").glob("test_*.py"))
NUMBERS = {
    *(f"D{n}" for n in range(1, 9)), *(f"I{n}" for n in range(1, 9)), *(f"R{n}" for n in range(1, 14)),
    *(f"F{n}" for n in range(1, 5)), *(f"A{n}" for n in range(1, 9)),
}  # fmt: skip


def test_every_named_test_exists() -> None:
    named, written = set(re.findall(r"test_\w+", TABLE)), set(re.findall(r"^def (test_\w+)", CODE, re.M))
    assert named <= written


def test_every_numbered_test_is_named() -> None:
    numbered = {one for one in re.findall(r"^def (test_\w+)", CODE, re.M) if re.match(r"test_[DIRFA]\d", one)}
    assert numbered
    assert numbered <= set(re.findall(r"test_\w+", TABLE))


def test_every_requirement_has_its_row_with_a_test_of_its_number() -> None:
    rows = re.findall(r"^\| ((?:[DIRFA]\d+(?:, )?)+) .*\| (yes|partly|no) \|.*\| (.*) \|$", TABLE, re.M)
    stated = {number: tests for numbers, _, tests in rows for number in numbers.split(", ")}
    assert set(stated) == NUMBERS
    assert all(f"_{number}_" in f"{tests}" for number, tests in stated.items())
