"""The case tables bring about every outcome that a criterion or definition can have."""

from __future__ import annotations

import pytest

from mscprotocol.authoring import coverage
from mscprotocol.authoring.coverage import Coverage, measure_coverage
from mscprotocol.authoring.entries import RuleFolder, read_folder
from mscprotocol.case_tables import Asked, Row, read_rows
from tests.criteria.leaves import CASES


class AsExpected(Asked):
    """A row that comes out as it expects: that rows do is tested with the tables themselves."""

    @property
    def outcome(self) -> tuple[str, str | None]:
        return self.row.expect, self.row.reason


@pytest.fixture(scope="module")
def rules() -> RuleFolder:
    return read_folder()


@pytest.fixture(autouse=True)
def _as_expected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coverage, "Asked", AsExpected)


def covered(rules: RuleFolder, rows: tuple[Row, ...]) -> dict[str, Coverage]:
    return {one.name: one for one in measure_coverage(rules, rows).items}


def test_every_outcome_is_covered(rules: RuleFolder) -> None:
    report = measure_coverage(rules, read_rows(CASES))
    assert {one.name: one.missing for one in report.items if one.missing} == {}
    assert report.is_complete


def test_a_row_less_is_seen(rules: RuleFolder) -> None:
    rows = tuple(row for row in read_rows(CASES) if row.section != "EX-04" or row.expect != "not_met")
    assert covered(rules, rows)["EX-04"].missing == ("not_met",)
    assert not measure_coverage(rules, rows).is_complete


def test_a_row_that_does_not_come_out_covers_nothing(rules: RuleFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AsExpected, "outcome", ("met", None))
    rows = tuple(row for row in read_rows(CASES) if row.section == "EX-01")
    report = measure_coverage(rules, rows)
    assert len(report.failed) == sum(row.expect != "met" for row in rows)
    assert not report.is_complete


def test_what_cannot_be_is_said_and_not_counted(rules: RuleFolder) -> None:
    found = covered(rules, ())
    assert found["REL-08"].not_counted == {"not_met": "what it asks is known or open, never denied"}
    assert found["REL-08"].wanted == ("met", "unknown")
    assert found["coagulopathy"].not_counted == {"unclassified": "the classes above it cover every case"}
    assert found["EVD-01"].wanted == ()
    assert "not computed" in found["EVD-01"].not_counted["all"]


def test_a_ladder_wants_every_class_and_a_score_every_number_of_points(rules: RuleFolder) -> None:
    found = covered(rules, ())
    assert found["severity_who"].wanted == ("critical", "severe", "moderate", "mild", "asymptomatic", "unknown")
    assert found["sofa.renal"].wanted == ("0", "1", "2", "3", "4", "unknown")
    assert found["gate"].wanted == ("stop", "hold", "go")
