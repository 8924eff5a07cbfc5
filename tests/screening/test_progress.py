"""How far a run is: the same stages as JSON lines, as plain lines, as a bar on a terminal, or not at all."""

import io
import json

import pytest
from rich.console import Console

from mscprotocol.screening import progress
from mscprotocol.screening.progress import EVERY, Reporter


def clock(step):
    """A clock that goes on by the same step each time it is asked."""
    now = 0.0

    def tick():
        nonlocal now
        now += step
        return now

    return tick


def follow(form, step=EVERY, **options):
    """Three items of two patients each, as a run passes them on."""
    reporter = Reporter(form, clock(step))
    reporter.say("taken up")
    assert list(reporter.follow("patients screened", "abc", 6, lambda _: 2, **options)) == ["a", "b", "c"]


def test_json_lines(capsys):
    follow("json")
    out, err = capsys.readouterr()
    assert out == ""
    assert [json.loads(line) for line in err.splitlines()] == [
        {"message": "taken up"},
        {"stage": "patients screened", "done": 2, "of": 6, "per_second": 0.4, "seconds_left": 10},
        {"stage": "patients screened", "done": 4, "of": 6, "per_second": 0.4, "seconds_left": 5},
        {"stage": "patients screened", "done": 6, "of": 6, "per_second": 0.4, "seconds_left": 0},
    ]


def test_fast_stages_tell_their_end_only(capsys):
    follow("json", step=0.5)
    assert [json.loads(line).get("done") for line in capsys.readouterr().err.splitlines()] == [None, 6]


def test_plain_lines(capsys):
    follow("auto")  # standard error is no terminal here
    assert capsys.readouterr().err.splitlines()[-1] == "patients screened: 6 of 6, 0 a second, 0 s left"


def test_the_end_of_a_stage_is_told_once(capsys):
    """The last parts may hold no patients."""
    list(Reporter("json", clock(EVERY)).follow("patients screened", [2, 0, 0], 2, int))
    assert [json.loads(line)["done"] for line in capsys.readouterr().err.splitlines()] == [2]


def test_nothing(capsys):
    follow("none")
    assert capsys.readouterr() == ("", "")


@pytest.fixture
def terminal(monkeypatch):
    """A terminal that keeps what is written to it."""
    console = Console(file=io.StringIO(), force_terminal=True, width=100, record=True)
    monkeypatch.setattr(progress, "Console", lambda **_: console)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    return console


def test_a_bar_on_a_terminal(terminal):
    follow("auto")
    last = terminal.export_text().splitlines()[-1]
    assert last.startswith("patients screened")
    assert "6/6" in last
    assert "/s" in last
