"""Numbers, dates and times of one place: what has two meanings is read only where the place says which it is."""

from zoneinfo import ZoneInfo

import pytest

from fhir_adapters.local_writing import (
    CLOCK_CHANGE,
    COMMA,
    ORDER,
    OTHER_MARK,
    OTHER_ORDER,
    POINT,
    write_number,
    write_time,
)
from fhir_adapters.quantities import split_quantity

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("text", "mark", "semicolons", "written", "remark"),
    [
        ("180.5", None, False, "180.5", ""),
        ("180.5", None, True, "180.5", ""),
        ("1.234", None, False, "1.234", ""),
        ("1.234", None, True, "not read: 1.234", POINT),
        ("0.234 mg/L", None, True, "0.234 mg/L", ""),
        ("180,5", None, True, "180,5", COMMA),
        ("<0,5 mg/L", None, False, "<0,5 mg/L", COMMA),
        ("180,5", "comma", True, "180.5", ""),
        ("1.234", "comma", True, "1234", ""),
        ("1.234.567,25 /uL", "comma", True, "1234567.25 /uL", ""),
        ("<0,5 mg/L", "comma", True, "<0.5 mg/L", ""),
        ("0,0-0,5", "comma", True, "0.0-0.5", ""),
        ("180.5", "comma", True, "not read: 180.5", OTHER_MARK),
        ("0.500", "comma", True, "not read: 0.500", OTHER_MARK),
        ("1.234", "point", True, "1.234", ""),
        ("1,234", "point", False, "1234", ""),
        ("180,5", "point", False, "180,5", OTHER_MARK),
        ("180", "comma", True, "180", ""),
        ("180 10*9/L", "comma", True, "180 10*9/L", ""),
        ("pending, see 1,2", "comma", True, "pending, see 1,2", ""),
    ],
)
def test_numbers(text, mark, semicolons, written, remark):
    assert write_number(text, mark, is_cut_by_semicolons=semicolons) == (written, remark)


@pytest.mark.parametrize(("text", "mark"), [("180.5", "comma"), ("0.500 mg/L", "comma"), ("180,5", "point")])
def test_a_number_that_is_not_read_is_none_to_anybody(text, mark):
    assert split_quantity(write_number(text, mark).text) is None


@pytest.mark.parametrize(
    ("text", "order", "written", "remark"),
    [
        ("2020-04-06 08:00", None, "2020-04-06T08:00:00+02:00", ""),
        ("2020-04-06T08:00:00+08:00", "dmy", "2020-04-06T08:00:00+08:00", ""),
        ("2020-04-06", "dmy", "2020-04-06", ""),
        ("2020-10-25 02:30", None, "2020-10-25T02:30:00", CLOCK_CHANGE),
        ("2020-03-29 02:30", None, "2020-03-29T02:30:00", CLOCK_CHANGE),
        ("2020-10-25 03:30", None, "2020-10-25T03:30:00+01:00", ""),
        ("06.04.2020 08:00", None, "06.04.2020 08:00", ORDER),
        ("06.04.2020 08:00", "dmy", "2020-04-06T08:00:00+02:00", ""),
        ("6/4/2020", "dmy", "2020-04-06", ""),
        ("6/4/2020", "mdy", "2020-06-04", ""),
        ("4/6/2020 8:05 PM", "mdy", "2020-04-06T20:05:00+02:00", ""),
        ("4/6/2020 12:05 am", "mdy", "2020-04-06T00:05:00+02:00", ""),
        ("4/6/2020 13:05 PM", "mdy", "4/6/2020 13:05 PM", OTHER_ORDER),
        ("2020/04/06 8:00Z", "ymd", "2020-04-06T08:00Z", ""),
        ("2020/04/06", "dmy", "2020/04/06", OTHER_ORDER),
        ("06.04.20", "dmy", "06.04.20", OTHER_ORDER),
        ("13.25.2020", "dmy", "13.25.2020", OTHER_ORDER),
        ("yesterday", "dmy", "yesterday", ""),
        ("20200406", "ymd", "2020-04-06", ""),
        ("202004060805", "ymd", "2020-04-06T08:05:00+02:00", ""),
        ("20200406080501-0400", "ymd", "2020-04-06T08:05:01-04:00", ""),
        ("202004060805Z", "ymd", "2020-04-06T08:05Z", ""),
        ("20200406", None, "20200406", ORDER),
        ("20200406", "dmy", "20200406", OTHER_ORDER),
        ("20201306", "ymd", "20201306", OTHER_ORDER),
        ("2020040608", "ymd", "2020040608", ""),
    ],
)
def test_times(text, order, written, remark):
    assert write_time(text, order, BERLIN) == (written, remark)
