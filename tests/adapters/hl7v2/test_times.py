"""Times: partial, with and without zone, around clock changes. No zone is ever made up."""

from __future__ import annotations

import pytest

from tests.adapters.hl7v2.messages import message, only, result

LAB = "PID|1||5^^^A^MR"


def read(time: str, *, sent: str = "20200406100000", zone: str | None = None) -> str | None:
    made = only(message(LAB, result(time=time), sent=sent), zone)
    found = made.get("effectiveDateTime")
    assert found is None or isinstance(found, str)
    return found


@pytest.mark.parametrize(
    ("sent", "meant"),
    [
        ("", None), ("2020", "2020"), ("202004", "2020-04"), ("20200406", "2020-04-06"),
        ("2020040608", "2020-04-06"), ("202004060830", "2020-04-06T08:30:00"),
        ("20200406083015", "2020-04-06T08:30:15"),
        ("20200406083015.1234", "2020-04-06T08:30:15.1234"), ("202004060830+0800", "2020-04-06T08:30:00+08:00"),
        ("202004060830-0330", "2020-04-06T08:30:00-03:30"), ("20200406000000^D", "2020-04-06"),
        ("202004060830^M", "2020-04-06T08:30:00"), ("20200406083000^L", "2020-04"),
        ("yesterday", "yesterday"), ("2020-04-06", "2020-04-06"), ("202013", "2020-13"), ('""', None),
    ],
)  # fmt: skip
def test_as_written(sent: str, meant: str | None) -> None:
    assert read(sent) == meant


@pytest.mark.parametrize(
    ("time", "sent", "zone", "meant"),
    [
        ("202004060830", "20200406100000", None, "2020-04-06T08:30:00"),  # nothing is known: no zone
        ("202004060830", "20200406100000+0200", None, "2020-04-06T08:30:00+02:00"),  # the offset of MSH-7
        ("202001150830", "20200406100000+0200", None, "2020-01-15T08:30:00+02:00"),  # by the standard, also in winter
        ("202004060830", "20200406100000", "Europe/Berlin", "2020-04-06T08:30:00+02:00"),  # the zone of the site
        ("202001150830", "20200406100000", "Europe/Berlin", "2020-01-15T08:30:00+01:00"),
        ("202001150830", "20200406100000+0200", "Europe/Berlin", "2020-01-15T08:30:00+01:00"),  # which explains MSH-7
        ("202004060830", "20200406100000-0500", "Europe/Berlin", "2020-04-06T08:30:00-05:00"),  # or does not
        ("202004060830+0800", "20200406100000+0200", "Europe/Berlin", "2020-04-06T08:30:00+08:00"),
        ("20200406", "20200406100000+0200", "Europe/Berlin", "2020-04-06"),  # a day has no zone
        ("202003290230", "20200406100000", "Europe/Berlin", "2020-03-29T02:30:00"),  # an hour that did not happen
        ("202010250230", "20200406100000", "Europe/Berlin", "2020-10-25T02:30:00"),  # one that happened twice
        ("202010250330", "20200406100000", "Europe/Berlin", "2020-10-25T03:30:00+01:00"),
    ],
)
def test_zones(time: str, sent: str, zone: str | None, meant: str) -> None:
    assert read(time, sent=sent, zone=zone) == meant


ORDER = "OBR|1||F1|p^P^L|||{start}|{end}"
SPECIMEN = "SPM|1|||BLDA^Arterial^HL70487|||||||||||||202004060700+0000^202004060710+0000"


@pytest.mark.parametrize(
    ("start", "end", "own", "expected"),
    [
        ("202004060800+0000", "", "202004060900+0000", {"effectiveDateTime": "2020-04-06T09:00:00+00:00"}),
        ("202004060800+0000", "", "", {"effectiveDateTime": "2020-04-06T08:00:00+00:00"}),
        ("202004060800+0000", "202004060800+0000", "", {"effectiveDateTime": "2020-04-06T08:00:00+00:00"}),
        (
            "202004060800+0000", "202004061000+0000", "",
            {"effectivePeriod": {"start": "2020-04-06T08:00:00+00:00", "end": "2020-04-06T10:00:00+00:00"}},
        ),
        ("", "", "", {"effectiveDateTime": "2020-04-06T07:00:00+00:00"}),
    ],
)  # fmt: skip
def test_the_time_of_a_result(start: str, end: str, own: str, expected: dict[str, object]) -> None:
    made = only(message(LAB, ORDER.format(start=start, end=end), result(time=own), SPECIMEN))
    assert {name: value for name, value in made.items() if name.startswith("effective")} == expected


def test_a_result_without_any_time_has_none() -> None:
    made = only(message(LAB, "OBR|1||F1|p^P^L", result()))
    assert not [name for name in made if name.startswith("effective")]
