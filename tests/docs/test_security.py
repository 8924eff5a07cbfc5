"""The threat model names a test for every control, and each of these tests exists."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
CODE = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
ROWS = re.findall(r"^\| ([STRIDE]) \| .* \| .* \| (.*) \|$", PAGE, re.M)


def test_every_named_test_exists() -> None:
    named, written = set(re.findall(r"test_\w+", PAGE)), set(re.findall(r"^(?:async )?def (test_\w+)", CODE, re.M))
    assert named
    assert named - written == set()


def test_every_kind_of_threat_has_controls_and_each_of_them_a_test() -> None:
    assert {kind for kind, _ in ROWS} == set("STRIDE")
    assert [tests for _, tests in ROWS if not re.fullmatch(r"(test_\w+(, )?)+", tests)] == []
