"""What a change of the rules changes: the entries in words, the case rows, the sample patients."""

from __future__ import annotations

import shutil

import pytest

from mscprotocol.authoring.comparison import compare
from mscprotocol.authoring.difference import Difference
from mscprotocol.authoring.entries import read_folder
from mscprotocol.case_tables import read_rows
from mscprotocol.places import find_folder
from mscprotocol.sample_cases import find_samples
from tests.criteria.leaves import CASES


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Difference:
    """The rules that ship against a copy in which only the under-65s may take part."""
    copy = tmp_path_factory.mktemp("new") / "rules"
    shutil.copytree(find_folder("rules"), copy)
    path = copy / "criteria" / "exclusion.yaml"
    text = path.read_text(encoding="utf-8")
    changed = text.replace("when: {measurement: age, lt: 18 a}", "when: {measurement: age, lt: 65 a}")
    assert changed != text
    path.write_text(changed, encoding="utf-8")
    rows = [row for row in read_rows(CASES) if row.section in ("EX-01", "EX-02")]
    samples = [one for one in find_samples() if one.name in ("eligible", "mild")]
    return compare(read_folder(), read_folder(copy), rows, samples)


def test_only_the_changed_criterion_is_named(found: Difference) -> None:
    assert [(one.kind, one.name, one.change) for one in found.entries] == [("criterion", "EX-01", "changed")]
    said = {one.field: (one.old, one.new) for one in found.entries[0].fields}
    assert said == {"when (in words)": ("Age < 18 a", "Age < 65 a"), "when.lt": ("18 a", "65 a")}


def test_the_rows_that_turn_are_named(found: Difference) -> None:
    assert found.rows
    assert all(" EX-01 " in one.asked for one in found.rows)
    assert all(one.new == "met" for one in found.rows)


def test_the_patients_that_turn_are_named(found: Difference) -> None:
    turned = {(one.what, one.old, one.new) for one in found.patients if one.asked == "eligible"
              and one.protocol == "seed-covid-4x"}  # fmt: skip
    assert ("verdict", "eligible", "ineligible") in turned
    assert ("EX-01", "not_met", "met") in turned
    assert any(what == "dose" and new == "withheld" for what, _, new in turned)
    assert {one.what for one in found.patients if one.asked == "mild" and one.protocol == "seed-covid-4x"} == {"EX-01"}


def test_the_hashes_differ(found: Difference) -> None:
    assert found.old_sha256 != found.new_sha256
