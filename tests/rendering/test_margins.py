"""Margins on paper and on a terminal: every fragile one, of the others the nearest, and no drawing of a range."""

from __future__ import annotations

from xml.etree import ElementTree

import msgspec
import pytest

from mscprotocol.answer import Assessment, Flip, MarginChoice, MarginItem, Note, SourceItem
from mscprotocol.checklist_margins import MOST_NEAR, build_margins
from mscprotocol.knowledge import KnowledgeBase
from mscprotocol.plots import MarginStrip, StripPoint, draw_margin
from mscprotocol.rendering import render_html
from mscprotocol.summary import render_text

WORST = MarginChoice(
    "worst", "respiratory_rate", "31 /min", "1", "Observation/9", None, "latest (28 /min)",
    "3 values of Respiratory rate within 24 h", "met",
    [Flip("criterion", "IND-02", "not_met", "met"), Flip("verdict", "verdict", "ineligible", "eligible")],
)  # fmt: skip
RATE = MarginItem(
    comparison="Respiratory rate ≥ 30 /min", criteria=["IND-02"], datum="respiratory_rate", text="Respiratory rate",
    value="28 /min", unit="/min", operator="gte", threshold="30", source=SourceItem("leng-2020", "read"),
    distance="-2", per_cent="-6.67", truth="not_met", chosen="latest", window="24 h", values=3, choices=[WORST],
    fragile=True,
)  # fmt: skip
RANGE = msgspec.structs.replace(RATE, value="<28 /min", distance="<-2", per_cent=None, choices=[], fragile=False)


def near(per_cent: str) -> MarginItem:
    return msgspec.structs.replace(RATE, per_cent=per_cent, choices=[], fragile=False, text=f"at {per_cent}")


def with_margins(answer: Assessment, *margins: MarginItem) -> Assessment:
    return msgspec.structs.replace(answer, margins=list(margins))


def test_all_fragile_ones_come_first_then_the_nearest(eligible: Assessment) -> None:
    others = [near(f"{number}.5") for number in (9, 3, 7, 1, 5, 8)]
    printed = build_margins(with_margins(eligible, *others, RATE, RATE))
    assert [one.is_fragile for one in printed] == [True, True, *[False] * MOST_NEAR]
    assert [one.title.split(" ≥")[0] for one in printed[2:]] == ["at 1.5", "at 3.5", "at 5.5", "at 7.5"]


def test_a_margin_in_words(eligible: Assessment) -> None:
    (printed,) = build_margins(with_margins(eligible, RATE))
    assert (printed.title, printed.mark) == ("Respiratory rate ≥ 30 /min", "read")
    assert printed.words == "28 /min: 6.67 % below the limit, does not hold · IND-02"
    assert [line.text for line in printed.choices] == [
        "the worst of 3 values of Respiratory rate within 24 h, 31 /min: IND-02 met; verdict eligible"
    ]


def test_a_range_is_told_and_not_drawn(eligible: Assessment) -> None:
    (printed,) = build_margins(with_margins(eligible, msgspec.structs.replace(RANGE, fragile=True)))
    assert printed.strip is None
    assert printed.words.startswith("<28 /min: distance between bounds, <-2, ")
    assert build_margins(with_margins(eligible, RANGE)) == ()


@pytest.mark.parametrize(("distance", "holds_above"), [(-2.0, True), (1.0, True), (-2.0, False), (0.0, True)])
def test_the_spot_lies_on_its_side_of_the_limit(distance: float, *, holds_above: bool) -> None:
    strip = MarginStrip("30 /min", holds_above, StripPoint(distance, "value"), (StripPoint(3.0, "worst 33 /min"),))
    root = ElementTree.fromstring(draw_margin(strip))  # noqa: S314 - our own drawing
    ring, spot = (float(one.attrib["cx"]) for one in root.iter("circle"))
    middle = float(root.attrib["viewBox"].split()[2]) / 2
    assert (spot > middle) - (spot < middle) == (distance > 0) - (distance < 0)
    assert ring > middle
    (shade,) = root.iter("rect")
    assert (float(shade.attrib["x"]) >= middle) == holds_above
    assert root.findtext("desc") == "value value, limit 30 /min; worst 33 /min"


def test_the_sheet_prints_them_and_none_when_there_are_none(eligible: Assessment, knowledge: KnowledgeBase) -> None:
    page = render_html(with_margins(eligible, RATE), knowledge)
    assert "<strong>Fragile</strong>" in page
    assert "28 /min beside the limit 30 /min" in page
    assert "Nearest to a limit" not in render_html(eligible, knowledge)


def test_text_of_a_margin_cannot_be_markup(eligible: Assessment, knowledge: KnowledgeBase) -> None:
    nasty = msgspec.structs.replace(RATE, value="<b>&", choices=[msgspec.structs.replace(WORST, value="<i>x")])
    page = render_html(with_margins(eligible, nasty), knowledge)
    assert "<b>&" not in page
    assert "<i>x" not in page


def test_the_summary_has_a_line_for_each_fragile_verdict(eligible: Assessment) -> None:
    fragile = Note("IND-02", "Fragile: with the worst of 3 values (31 /min) instead of the latest, x.", "site")
    shown = render_text(msgspec.structs.replace(eligible, warnings=[*eligible.warnings, fragile]), colour=False)
    assert "  ! Fragile: with the worst of 3 values (31 /min) instead of the latest, x." in shown
    assert "Fragile" not in render_text(eligible, colour=False)
