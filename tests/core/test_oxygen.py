"""The oxygen support from whatever was charted: a flow, a fraction, a device, a procedure."""

from itertools import permutations

import pytest

from mscprotocol.knowledge_forms import MeasurementLeaf, walk_leaves
from mscprotocol.knowledge_loader import load_knowledge
from mscprotocol.oxygen import support_at
from mscprotocol.reasons import Reason
from mscprotocol.timespan import instant
from mscprotocol.truth import Truth
from tests.core.records import LEVELS, ago, findings_of, measured, points, present


def levels(*entries):
    """What the newest state leaves open."""
    newest = points("oxygen_support", *entries)[0]
    return list(LEVELS[int(newest.value.low) : int(newest.value.high) + 1])


def on(level, *entries):
    leaf = MeasurementLeaf(measurement="oxygen_support", answer=(level,))
    return findings_of(*entries).find(leaf)


def flow(litres, hours=1):
    return measured("oxygen_flow", litres, hours)


def fraction(value, hours=1):
    return measured("fio2", value, hours)


def device(level, hours=1, reference=""):
    return measured("oxygen_support", level, hours, reference)


def test_nothing_charted():
    assert points("oxygen_support") == ()
    assert on("room_air").reasons == (Reason.MISSING,)


@pytest.mark.parametrize(
    ("entry", "lowest", "highest"),
    [
        (flow(0), "room_air", "room_air"),
        (flow("0.5"), "low_flow", "non_rebreather"),
        (flow(15), "low_flow", "non_rebreather"),
        (flow("15.1"), "low_flow", "hfno"),
        (flow(60), "low_flow", "hfno"),
        (fraction("0.21"), "room_air", "room_air"),
        (fraction("0.22"), "low_flow", "ecmo"),
        (fraction("0.4"), "low_flow", "ecmo"),
        (fraction("1.0"), "low_flow", "ecmo"),
        (present("invasive_ventilation", 5), "imv", "ecmo"),
        (present("ecmo", 5), "ecmo", "ecmo"),
    ],
)
def test_what_is_charted_leaves_a_range_of_levels(entry, lowest, highest):
    assert levels(entry) == list(LEVELS[LEVELS.index(lowest) : LEVELS.index(highest) + 1])


@pytest.mark.parametrize(
    ("entry", "truth"),
    [
        (flow(0), Truth.MET),
        (flow(6), Truth.NOT_MET),
        (fraction("0.21"), Truth.MET),
        (fraction("0.3"), Truth.NOT_MET),
        (present("invasive_ventilation", 5), Truth.NOT_MET),
        (device("room_air"), Truth.MET),
    ],
)
def test_room_air(entry, truth):
    assert on("room_air", entry).truth is truth


def test_a_flow_does_not_tell_the_device():
    assert on("low_flow", flow(6)).truth is Truth.UNKNOWN
    assert on("hfno", flow(6)).truth is Truth.NOT_MET
    assert on("imv", flow(6)).truth is Truth.NOT_MET
    assert on("imv", fraction("0.6")).truth is Truth.UNKNOWN
    assert on("imv", present("ecmo", 5)).truth is Truth.NOT_MET


def test_what_is_charted_together_is_combined():
    assert levels(flow(40), device("hfno")) == ["hfno"]
    assert levels(flow(6), fraction("0.4")) == ["low_flow", "mask_venturi", "non_rebreather"]
    assert levels(fraction("0.6"), present("invasive_ventilation", 1)) == ["imv", "ecmo"]
    assert levels(flow(6, hours=1), fraction("0.4", hours=1.25)) == ["low_flow", "mask_venturi", "non_rebreather"]


def test_what_is_charted_apart_is_not_combined():
    assert levels(fraction("0.4", hours=1), flow(6, hours=1.3)) == list(LEVELS[1:])


@pytest.mark.parametrize(
    "entries",
    [
        (device("room_air"), flow(6)),
        (flow(0), fraction("0.4")),
        (device("hfno", reference="Observation/a"), device("imv", reference="Observation/b")),
        (flow(6, hours=0), present("invasive_ventilation", 5)),
    ],
)
def test_a_contradiction_at_one_instant_is_a_conflict(entries):
    for order in permutations(entries):
        found = on("room_air", *order)
        assert (found.truth, found.reasons) == (Truth.UNKNOWN, (Reason.CONFLICT,))


def test_another_level_at_another_time_is_a_change():
    for gap in (0.1, 1, 10):
        found = points("oxygen_support", device("low_flow", 2 + gap), device("hfno", 2))
        assert [int(point.value.exact) for point in found] == [LEVELS.index("hfno"), LEVELS.index("low_flow")]


def test_a_procedure_that_goes_on_holds_now():
    found = on("imv", present("invasive_ventilation", 200), device("ecmo", 90))
    assert found.truth is Truth.UNKNOWN, "imv or ecmo"
    assert on("room_air", present("invasive_ventilation", 200), device("room_air", 90)).truth is Truth.NOT_MET


def test_a_procedure_that_is_over_says_nothing_of_now():
    over = present("invasive_ventilation", 200, ended=100, active=Truth.NOT_MET)
    assert on("imv", over).reasons == (Reason.STALE,)
    assert on("low_flow", over, device("low_flow", 2)).truth is Truth.MET


def test_a_procedure_that_ends_later_goes_on():
    assert on("room_air", present("invasive_ventilation", 200, ended=-5, active=Truth.NOT_MET)).truth is Truth.NOT_MET


def test_what_cannot_be_used_tells_nothing():
    assert points("oxygen_support", measured("oxygen_flow", 0, 1, problem=Reason.STATUS_EXCLUDED)) == ()
    assert points("oxygen_support", measured("fio2", None, 1, problem=Reason.UNIT_AMBIGUOUS)) == ()


# -- the support at the time of another reading --


def at(hours, wanted, *entries):
    return support_at(findings_of(*entries).series, instant(ago(hours=hours)), wanted)


@pytest.mark.parametrize(
    ("minutes", "truth"), [(0, Truth.MET), (15, Truth.MET), (-15, Truth.MET), (16, Truth.UNKNOWN), (-16, Truth.UNKNOWN)]
)
def test_the_support_is_that_of_a_quarter_of_an_hour(minutes, truth):
    assert at(5, ("room_air",), measured("oxygen_support", "room_air", ago(hours=5, minutes=minutes))) is truth


def test_the_closest_support_counts():
    entries = [
        measured("oxygen_support", level, ago(hours=5, minutes=minutes))
        for level, minutes in (("room_air", 2), ("hfno", -9))
    ]
    assert at(5, ("room_air",), *entries) is Truth.MET


def test_a_contradiction_at_the_time_leaves_it_open():
    assert at(5, ("room_air",), device("room_air", 5), flow(6, 5)) is Truth.UNKNOWN


def test_two_supports_equally_close_leave_it_open():
    before = measured("oxygen_support", "room_air", ago(hours=5, minutes=10), "Observation/a")
    after = measured("oxygen_support", "hfno", ago(hours=5, minutes=-10), "Observation/b")
    assert at(5, ("room_air",), before, after) is Truth.UNKNOWN


def test_a_saturation_proves_nothing_without_room_air():
    """H10: SpO2 96 on 6 L/min is not 'above 93 on room air'."""
    rungs = load_knowledge().definitions["severity_nhc"].rungs
    (leaf,) = [leaf for rung in rungs for leaf in walk_leaves(rung.when) if getattr(leaf, "measurement", "") == "spo2"]
    assert (str(leaf.lte), leaf.not_met_needs) == ("93 %", "room_air")
    cases = {
        Truth.MET: [measured("spo2", 93, 1)],
        Truth.NOT_MET: [measured("spo2", 94, 1), device("room_air")],
        Truth.UNKNOWN: [measured("spo2", 96, 1), flow(6)],
    }
    for truth, entries in cases.items():
        assert findings_of(*entries).find(leaf).truth is truth
    assert findings_of(measured("spo2", 96, 1)).find(leaf).reasons == (Reason.QUALIFIER_MISSING,)
    assert findings_of(measured("spo2", 92, 1), flow(6)).find(leaf).truth is Truth.MET


def test_a_resource_that_states_level_and_presence_is_one_point():
    """A procedure of ventilation says both; two points of one procedure would look like a trend."""
    level = device("imv", 5, "Procedure/1")
    for reference, expected in (("Procedure/1", 1), ("Procedure/2", 2)):
        presence = present("invasive_ventilation", 5, active=Truth.NOT_MET, reference=reference)
        assert len(points("oxygen_support", presence, level)) == expected
