"""The report to share: nothing small is told by it, not by subtraction, by the length of a bar, or by an order."""

import itertools
import re
from collections import defaultdict
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mscprotocol.knowledge_loader import load_knowledge
from mscprotocol.rendering import fill_template
from mscprotocol.rulebook import compile_rulebook
from mscprotocol.sample_cases import PROTOCOL
from mscprotocol.screening.disclosure import Ledger, size_of
from mscprotocol.screening.options import Options
from mscprotocol.screening.outputs import Balance
from mscprotocol.screening.pieces import Problem
from mscprotocol.screening.report import make_page
from mscprotocol.screening.report_numbers import enter_numbers
from mscprotocol.screening.results import Change, LogRow, Screened
from mscprotocol.screening.run import Finished, Staged
from mscprotocol.screening.tallies import Tally

LEAST = 10
BOOK = compile_rulebook(load_knowledge(), PROTOCOL)
WHAT_IF = "EX-04.within=30d"

# -- one ledger, against whoever tries every cohort there could be -----------------------------------


def page_of(cells, groups=(), least=LEAST):
    """What is printed of some cells, of groups of them, and of all."""
    ledger = Ledger(least)
    ledger.enter({**dict(enumerate(cells)), "all": sum(cells)})
    ledger.enter({group: sum(cells[n] for n in group) for group in groups})
    ledger.add_up("all", range(len(cells)))
    for group in groups:
        ledger.add_up(group, group)
        ledger.add_up("all", [group, *(n for n in range(len(cells)) if n not in group)])
    ledger.settle()
    return ledger, {name: (ledger.show(name), ledger.size(name)) for name in ledger.numbers}


@pytest.mark.parametrize(
    ("least", "largest", "groups"),
    [(3, 12, []), (3, 12, [(0, 1)]), (5, 16, []), (5, 16, [(0, 1)]), (10, 24, [(0, 1)]), (10, 24, [(0, 1), (0, 2)])],
)
def test_of_every_small_number_two_values_print_the_same_page(least, largest, groups):
    """Against whoever knows how it is done and tries every cohort: all those of three cells up to a largest one."""
    known = defaultdict(lambda: defaultdict(set))
    for cells in itertools.product(range(largest), repeat=3):
        ledger, page = page_of(cells, groups, least)
        if all(ledger.size(n) < largest - least for n in range(3)):  # others that print it are smaller than the largest
            for name, number in ledger.numbers.items():
                known[str(page)][name].add(number)
    assert len(known) > 50
    told = [(page, name) for page, names in known.items() for name, one in names.items() if len(one) == 1]
    assert not [(page, name) for page, name in told if 0 < next(iter(known[page][name])) < least]


def test_a_total_does_not_tell_the_one_small_part():
    page = {"all": ("90", 90), 0: ("50", 50), 1: ("30", 30), 2: ("under 10", 0)}
    assert page_of([52, 31, 3])[1] == page_of([52, 31, 4])[1] == page
    assert page_of([52, 31, 3], least=0)[1][2] == ("3", 3)


def test_many_small_parts_do_not_tell_each_other_by_being_there():
    """Nine groups of somebody are nine people at least: a total of fewer than ten would tell that it is nine."""
    assert page_of([1] * 9)[1] == page_of([2] + [1] * 8)[1]
    assert page_of([1] * 9)[1]["all"] == ("10", 10)


def test_roundings_at_their_edges_do_not_tell():
    """Four numbers of 14 are rounded down to 10, and 65 up to 70: only 9 could be left of the fifth."""
    assert page_of([14, 14, 14, 14, 9])[1] == page_of([14, 14, 14, 14, 8])[1]


def test_where_one_move_is_not_enough_two_are_made():
    _, page = page_of([1, 2, 1], [(0, 2)], 3)
    assert ("withheld", 0) not in page.values()


def test_where_no_move_helps_nothing_is_told():
    _, page = page_of([1, 2, 1], [(0, 1), (0, 2)], 3)
    assert set(page.values()) == {("withheld", 0)}


@pytest.mark.parametrize(("number", "told"), [(0, 0), (1, 0), (9, 0), (10, 10), (14, 10), (15, 20), (104, 100)])
def test_what_is_told_of_a_number(number, told):
    assert size_of(number, 10) == told
    assert size_of(number, 0) == number


# -- the page ----------------------------------------------------------------------------------------

EXCLUDING = ["EX-01", "EX-04", "EX-07", "IND-01"]
DATA = ["fibrinogen", "d_dimer", "platelets"]


def row(violated=(), outlook=None, needed=(), reasons=(), quality=()):
    """One patient: ineligible by what is violated, undetermined with an outlook, or else eligible."""
    verdict = "ineligible" if violated else "undetermined" if outlook else "eligible"
    return LogRow(
        patient="p", source="fhir", protocol=PROTOCOL, verdict=verdict, outlook=outlook, at="", valid_until=None,
        expires_first=None, severity="", tier="", trend="", time_critical=False, hours_since_signal=None,
        violated=list(violated), open=[name for name, _ in reasons], reasons=dict(reasons), needed=list(needed),
        one_datum=needed[0] if len(needed) == 1 else None, dose_status="", quality=list(quality), input_sha256="",
        trace_sha256="", rulebase_sha256="",
    )  # fmt: skip


def screened(one, after=None):
    changes = [Change(WHAT_IF, PROTOCOL, one.verdict, after, [(one.violated[0], "met", "not_met")])] if after else []
    return Screened("fhir/p", "", "", None, None, rows=[one], changes=changes)


def quarantined(code):
    return Screened("fhir/p", "", "", None, None, problem=Problem("patient", code, "why"))


def cohort(numbers):
    """What a run leaves of patients, each as often as its number says."""
    tally, staged = Tally(), [Problem("line", "unreadable", "why", "a.ndjson", n) for n in range(7)]
    for one, number in numbers:
        for _ in range(number):
            tally.add(one)
    bad = sum(number for one, number in numbers if one.problem)
    balance = Balance(
        files=12, lines=4321, kept=4000, not_read=300, blank=3, lines_quarantined=18, files_quarantined=0,
        patients=tally.patients, assessed=tally.patients - bad, patients_quarantined=bad, fallen=4, in_doubt=16,
    )  # fmt: skip
    finished = Finished(Path(), Options(PROTOCOL, "now", what_if=[WHAT_IF]), [], Staged("", 1, 0, staged, {}, []), "")
    problems = tally.problems + type(tally.problems)({("line", "unreadable"): 7})
    return finished, tally, balance, problems


def html_of(numbers, least=LEAST):
    finished, tally, balance, _ = cohort(numbers)
    return fill_template("screening", page=make_page(finished, tally, balance, [BOOK], least))


patients = st.one_of(
    st.builds(
        lambda ids, after: screened(row(sorted(ids, key=EXCLUDING.index), quality=["a remark"]), after),
        st.sets(st.sampled_from(EXCLUDING), min_size=1), st.sampled_from([None, "eligible", "undetermined"]),
    ),
    st.builds(
        lambda outlook, needed: screened(row((), outlook, sorted(needed), [("COA-01", "missing")])),
        st.sampled_from(["possible", "needs_data"]), st.sets(st.sampled_from(DATA), min_size=1),
    ),
    st.just(screened(row())),
    st.sampled_from(["no_time", "deceased", "mixed_patients"]).map(quarantined),
)  # fmt: skip
cohorts = st.lists(st.tuples(patients, st.integers(1, 40)), min_size=1, max_size=12)


@settings(max_examples=40)
@given(cohorts)
def test_the_sums_that_are_settled_are_those_of_the_page(numbers):
    _, tally, balance, problems = cohort(numbers)
    ledger, _ = enter_numbers(tally, balance, problems, [BOOK], LEAST)
    assert all(number >= 0 for number in ledger.numbers.values())
    for total, parts in ledger.sums:
        assert ledger.numbers[total] == sum(ledger.numbers[one] for one in parts), total


@settings(max_examples=40)
@given(cohorts)
def test_every_number_on_the_page_is_rounded_or_said_to_be_small(numbers):
    text = html_of(numbers)
    tables = re.findall(r'<td class="n">([^<]*)</td>', text)
    facts = re.findall(r"<dt>(?:Files|Lines| )[^<]*</dt><dd>([^<]*)</dd>", text)
    drawn = [said.rpartition(": ")[2] for said in re.findall(r"<text [^>]*>([^<]*)</text>", text)]
    told = [one for said in (*tables, *facts, *drawn) for one in re.split(r" / |, by the first", said)]
    found = [int(one.replace(",", "")) for one in told if re.fullmatch(r"[\d,]+", one)]
    assert found
    assert all(number % LEAST == 0 for number in found)
    assert "under 10" in text


# Two of them are the sole reason as often, and two reasons are as frequent.
OPEN = ("COA-01", "missing")
ALIKE = [
    (screened(row(["EX-01"]), "undetermined"), 21),
    (screened(row(["EX-04"]), "eligible"), 21),
    (screened(row(["EX-01", "EX-07"])), 11),
    (screened(row(["EX-04", "EX-07"])), 2),
    (screened(row((), "possible", DATA[:1], [OPEN])), 17),
    (screened(row((), "needs_data", DATA, [OPEN, ("EX-02", "stale")], ["lab 7 sent grams"])), 3),
    (screened(row((), "possible", DATA[:1], [("EX-02", "conflict")])), 3),
    (screened(row()), 10),
    (quarantined("no_time"), 3),
]


@pytest.mark.parametrize("changed", range(len(ALIKE)))
def test_a_page_does_not_depend_on_what_it_does_not_tell(changed):
    """One patient more, where no rounding is another: the same bytes, the order of lines and the drawings included."""
    other = [(one, number + (place == changed)) for place, (one, number) in enumerate(ALIKE)]
    assert html_of(other, 0) != html_of(ALIKE, 0)
    assert html_of(other) == html_of(ALIKE)


def test_words_on_few_patients_are_left_out():
    assert "lab 7 sent grams" in html_of(ALIKE, 0)
    assert "lab 7 sent grams" not in html_of(ALIKE)
    many = [(screened(row(quality=["lab 7 sent grams"])), 14)]
    assert re.search(r'lab 7 sent grams</bdi></td><td class="n">10<', html_of(many))


def test_what_would_differ_stands_in_a_table_and_a_plot():
    text = html_of(ALIKE, 0)
    assert '<th scope="row">EX-04</th><td>met</td><td>not_met</td><td class="n">21</td>' in text
    assert "EX-04: met to not_met</text>" in text
