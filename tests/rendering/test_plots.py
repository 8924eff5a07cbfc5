"""The plots: well-formed, accessible, true to their points, and without colour."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from mscprotocol.plots import PlotPoint, TimelineBar, TrendPlot, draw_timeline, draw_trend

FALLING = TrendPlot(
    "PaO2/FiO2",
    "worse",
    "mm[Hg]",
    (PlotPoint(60, 260, "260"), PlotPoint(40, 231, "231"), PlotPoint(20, 198, "198"), PlotPoint(3, 171, "171")),
)
COURSE = (
    TimelineBar("Infusion 1", 0, 0, 0, "proposed"),
    TimelineBar("Infusion 2", 66, 72, 120, "proposed"),
    TimelineBar("Infusion 3", 138, 144, 192, "proposed"),
    TimelineBar("Infusion 4", 210, 216, 264, "proposed"),
)


def parse(svg: str) -> ElementTree.Element:
    return ElementTree.fromstring(svg)  # noqa: S314 - our own drawing


def texts(root: ElementTree.Element) -> list[str]:
    return [element.text or "" for element in root.iter("text")]


def circles(root: ElementTree.Element) -> list[tuple[float, float]]:
    return [(float(one.attrib["cx"]), float(one.attrib["cy"])) for one in root.iter("circle")]


def test_a_plot_names_its_signal_state_unit_and_extremes() -> None:
    root = parse(draw_trend(FALLING))
    assert {"PaO2/FiO2", "worse", "mm[Hg]", "260", "171", "hours before evaluation"} <= set(texts(root))
    assert root.findtext("title") == "PaO2/FiO2: worse"
    assert (
        root.findtext("desc")
        == "60 h before: 260 mm[Hg]; 40 h before: 231 mm[Hg]; 20 h before: 198 mm[Hg]; 3 h before: 171 mm[Hg]"
    )
    assert root.attrib["role"] == "img"


def test_points_lie_in_the_frame_older_to_the_left_and_higher_up() -> None:
    root = parse(draw_trend(FALLING))
    width, height = (float(number) for number in root.attrib["viewBox"].split()[2:])
    spots = circles(root)
    assert len(spots) == 4
    assert [x for x, _ in spots] == sorted(x for x, _ in spots)
    assert [y for _, y in spots] == sorted(y for _, y in spots)
    assert all(0 < x < width and 0 < y < height for x, y in spots)


def test_the_latest_point_is_told_by_its_size() -> None:
    radii = [float(one.attrib["r"]) for one in parse(draw_trend(FALLING)).iter("circle")]
    assert radii[-1] > max(radii[:-1])


@pytest.mark.parametrize(
    "points",
    [
        (PlotPoint(0, 1.4, "1.4"),),
        (PlotPoint(5, 2, "2"), PlotPoint(1, 2, "2")),
        (PlotPoint(100, -3, "-3"), PlotPoint(0, 9, "9")),
    ],
)
def test_single_flat_and_long_courses_can_be_drawn(points: tuple[PlotPoint, ...]) -> None:
    root = parse(draw_trend(TrendPlot("x", "stable", "", points)))
    width, height = (float(number) for number in root.attrib["viewBox"].split()[2:])
    assert len(circles(root)) == len(points)
    assert all(0 < x < width and 0 < y < height for x, y in circles(root))
    assert "no unit" in texts(root)


def test_text_in_a_plot_cannot_be_markup() -> None:
    nasty = '</text><script>"&'
    root = parse(draw_trend(TrendPlot(nasty, nasty, nasty, (PlotPoint(1, 1, nasty),))))
    assert not list(root.iter("script"))
    assert nasty in texts(root)
    assert parse(draw_timeline([TimelineBar(nasty, 0, 0, 0, nasty)])).find(".//script") is None


def test_the_timeline_has_a_bar_and_a_diamond_each_and_both_numberings() -> None:
    root = parse(draw_timeline(COURSE))
    assert len(list(root.iter("polygon"))) == 4
    bars = list(root.iter("rect"))
    assert len(bars) == 3  # the first infusion has one instant, no window
    for bar, diamond in zip(bars, list(root.iter("polygon"))[1:], strict=True):
        planned = float(diamond.attrib["points"].split(",")[0])
        start = float(bar.attrib["x"])
        assert start < planned < start + float(bar.attrib["width"])
    assert {"D0", "D9", "D1", "D10", "Infusion 4: proposed"} <= set(texts(root))
    assert "Infusion 2: from 66 h to 120 h, planned at 72 h, proposed" in (root.findtext("desc") or "")


def test_ink_has_no_colour() -> None:
    for svg in (draw_trend(FALLING), draw_timeline(COURSE)):
        inks = set(re.findall(r'(?:fill|stroke)="([^"]+)"', svg))
        assert inks <= {"currentColor", "none"}


def test_long_labels_have_room_beside_the_axis() -> None:
    root = parse(draw_trend(TrendPlot("Oxygen support", "stable", "level", (PlotPoint(9, 3, "non rebreather"),))))
    label = next(one for one in root.iter("text") if one.text == "non rebreather")
    assert float(label.attrib["x"]) > len("non rebreather") * 5
