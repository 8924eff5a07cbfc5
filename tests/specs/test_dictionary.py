"""The data dictionary against a second reading: conversions, plausible ranges, shelf lives, how long answers hold."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from mscprotocol.case_records import build_record
from mscprotocol.findings import Findings
from mscprotocol.interval import exactly
from mscprotocol.knowledge_forms import ConditionLeaf
from mscprotocol.knowledge_loader import load_knowledge
from mscprotocol.timespan import parse_window
from mscprotocol.units import is_plausible, is_unusual, to_canonical
from mscprotocol.yaml_files import read_yaml

TABLE = read_yaml((Path(__file__).parent / "dictionary.yaml").read_text(encoding="utf-8"))
KNOWLEDGE = load_knowledge()
AT = datetime(2020, 4, 6, 10, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
UNITS = [(name, unit) for name, one in KNOWLEDGE.measurements.items() for unit in one.units if unit != one.unit]


def by_name(title):
    """What the table says of each name; the table groups names by what holds for them."""
    said = TABLE[title]
    found = [(name, value) for value, names in said.items() for name in names]
    assert len(found) == len(dict(found)), "a name stands twice"
    return dict(found)


def limits(text):
    low, high = text.split("..")
    return Decimal(low), Decimal(high)


def a_little(name):
    return Decimal(str(KNOWLEDGE.measurements[name].resolution)) / 1000


@pytest.mark.parametrize(("name", "unit"), UNITS)
def test_a_unit_converts_as_worked_by_hand(name, unit):
    datum = KNOWLEDGE.measurements[name]
    worked = {**TABLE["conversions"].get(datum.unit, {}), **TABLE["conversions"].get(name, {})}[unit]
    for sent, is_ in worked.items():
        assert to_canonical(datum, Decimal(sent), unit) == Decimal(is_)


@pytest.mark.parametrize(("title", "refuses"), [("hard", lambda *one: not is_plausible(*one)), ("soft", is_unusual)])
def test_limits_lie_where_the_table_has_them(title, refuses):
    said = by_name(title)
    assert said.keys() == {name for name, one in KNOWLEDGE.measurements.items() if getattr(one, title) is not None}
    for name, text in said.items():
        datum, (low, high) = KNOWLEDGE.measurements[name], limits(text)
        found = [refuses(datum, exactly(value)) for value in (low - a_little(name), low, high, high + a_little(name))]
        assert found == [True, False, False, True], name


def test_values_age_as_the_table_has_it():
    said = by_name("shelf_life")
    for name in KNOWLEDGE.measurements:
        for stage, place in (("screening", 0), ("enrolment", 0), ("infusion", 1)):
            window = Findings(build_record(KNOWLEDGE, {}), KNOWLEDGE, AT, stage).shelf_life(name)
            expected = parse_window(said[name].split(", ")[place]).start(AT) if name in said else None
            assert (window and window.start(AT)) == expected, (name, stage)


def test_every_quantity_has_its_resolution():
    said = by_name("resolution")
    found = {
        name: one.resolution for name, one in KNOWLEDGE.measurements.items() if one.kind in ("quantity", "derived")
    }
    assert found == {name: Decimal(step) for name, step in said.items()}


def test_what_can_be_settled_at_the_bedside():
    assert {name for name, one in KNOWLEDGE.measurements.items() if one.bedside} == set(TABLE["bedside"])


HOLDS = by_name("holds")


def test_every_answer_of_a_person_ages():
    assert HOLDS.keys() == {name for name, one in KNOWLEDGE.conditions.items() if one.attestable}


@pytest.mark.parametrize("name", [name for name in HOLDS if name in KNOWLEDGE.conditions])
def test_an_answer_holds_as_long_as_the_table_has_it(name):
    """A person's yes counts to the minute, and is not known a minute later; parts and records say nothing here."""
    length = AT - parse_window(HOLDS[name]).start(AT)
    minutes = int(length / MINUTE)

    def ask(age):
        record = build_record(KNOWLEDGE, {name: f"yes @ {age} min"}, AT)
        return Findings(record, KNOWLEDGE, AT, "screening").find(ConditionLeaf(condition=name)).truth.value

    assert (ask(minutes), ask(minutes + 1)) == ("met", "unknown")


def test_medicines_act_on_as_long_as_the_table_has_it():
    said = by_name("acts")
    assert said.keys() == {name for name, one in KNOWLEDGE.conditions.items() if one.acts_for is not None}
    for name, text in said.items():
        minutes = int((AT - parse_window(text).start(AT)) / MINUTE)
        for age, acts in ((minutes - 1, True), (minutes, False)):
            record = build_record(KNOWLEDGE, {name: f"resolved @ 60 d until {age} min"}, AT)
            series = Findings(record, KNOWLEDGE, AT, "screening").series
            assert series.may_run(name) is acts, name


def test_a_criterion_attested_as_a_whole_holds_as_long_as_the_table_has_it():
    said = by_name("attested_criteria")
    assert said == {name: one.attested_for.text for name, one in KNOWLEDGE.criteria.items() if one.attestable}


def test_the_indication_is_asked_before_the_first_infusion_only():
    assert {name for name, one in KNOWLEDGE.criteria.items() if one.baseline_only} == set(TABLE["baseline_only"])
