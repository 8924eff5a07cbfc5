"""What is typed and may mean two things, or would be passed over: asked for in words, never guessed or dropped."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from starlette.testclient import TestClient

from fhir_adapters.local_writing import TYPED_COMMA, TYPED_MARKS, write_typed
from fhir_adapters.record_builder import build_record
from fhir_adapters.sources import read_parts
from mscprotocol.knowledge import KnowledgeBase
from mscprotocol.web.pages.local_times import NEVER_SHOWN, SHOWN_TWICE, Doubt, offsets_of, read_time, write_local
from mscprotocol.web.pages.screening_state import judge
from tests.web.pages.conftest import LogIn
from tests.web.pages.test_screening import ASKED, hints, text, typed, verdict

BERLIN, NEW_YORK = ZoneInfo("Europe/Berlin"), ZoneInfo("America/New_York")
AT = datetime.fromisoformat("2020-04-06T10:00+08:00")
PLATELETS = {"d.platelets.0.value": "210", "d.platelets.0.unit": "10*9/L", "d.platelets.0.at": "2020-04-06T09:00"}


# -- numbers -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "read", "remark"),
    [
        ("100,5", "100.5", ""), ("0,500", "0.500", ""), ("1500,125", "1500.125", ""), ("<0,5", "<0.5", ""),
        ("-1,5", "-1.5", ""), ("1.250", "1.250", ""), ("12,34", "12.34", ""), ("many", "many", ""),
        ("1,000", "1,000", TYPED_COMMA), ("<1,250", "<1,250", TYPED_COMMA), ("999,999", "999,999", TYPED_COMMA),
        ("70,000,000", "70,000,000", TYPED_MARKS), ("1,000.5", "1,000.5", TYPED_MARKS), ("1,", "1,", TYPED_MARKS),
    ],
)  # fmt: skip
def test_a_comma_is_read_where_it_can_only_be_the_decimal_mark(said: str, read: str, remark: str) -> None:
    assert write_typed(said) == (read, remark)


def test_a_comma_that_may_mark_thousands_is_not_read(demo: TestClient) -> None:
    field = "d__platelets__0__"
    page = typed(demo, **{f"{field}value": "1,000", f"{field}unit": "10*9/L", f"{field}at": "2020-04-06T09:00"})
    assert TYPED_COMMA in hints(page, "platelets")
    assert "Platelets" in text(page), "it is still needed"
    assert 'href="#f-platelets"' in page


@pytest.mark.parametrize("number", ["40", "0.4", "1", "21", "5", "0.2", "100", "1.5"])
def test_the_hint_of_a_bare_number_says_what_is_taken(knowledge: KnowledgeBase, number: str) -> None:
    fields = ASKED | {"d.fio2.0.value": number, "d.fio2.0.unit": "", "d.fio2.0.at": "2020-04-06T09:00"}
    form = judge(knowledge, fields, None, AT, "UTC", "")
    (taken,) = build_record(read_parts(form.parts, knowledge, form.typed.zone), knowledge).measurements["fio2"]
    said = " ".join(form.hints["fio2"])
    if taken.value is None:
        assert "Which unit? Without one it is not used." in said
    else:
        words = "as a fraction" if taken.value.exact == Decimal(number) else "in %"
        assert f"Without a unit {number} is read {words}." in said


# -- times ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("time", "zone", "offsets"),
    [
        ("2021-10-31T02:30", BERLIN, ["+02:00", "+01:00"]),
        ("2021-10-31T02:00", BERLIN, ["+02:00", "+01:00"]),
        ("2020-11-01T01:30", NEW_YORK, ["-04:00", "-05:00"]),
        ("2021-10-31T03:00", BERLIN, []),
        ("2021-10-31T01:59", BERLIN, []),
        ("2021-10-31", BERLIN, []),
        ("", BERLIN, []),
    ],
)
def test_a_repeated_hour_offers_both_of_its_offsets(time: str, zone: ZoneInfo, offsets: list[str]) -> None:
    assert [offset for offset, _ in offsets_of(time, zone.key)] == offsets
    for offset in offsets:
        chosen = read_time(time, offset, zone)
        assert isinstance(chosen, datetime)
        assert chosen.isoformat() == f"{time}:00{offset}"
        assert write_local(chosen, zone) == (time, offset)
    asked = read_time(time, "+09:00", zone)
    assert isinstance(asked, Doubt) is (bool(offsets) or len(time) < 16), "an offset that it never had is none"


def test_a_skipped_hour_names_its_neighbours() -> None:
    assert read_time("2020-03-29T02:30", "", BERLIN) == Doubt(
        NEVER_SHOWN.format("2020-03-29 01:30", "2020-03-29 03:30")
    )
    assert read_time("2020-03-08T02:15", "-05:00", NEW_YORK) == Doubt(
        NEVER_SHOWN.format("2020-03-08 01:15", "2020-03-08 03:15")
    )
    for none in ("soon", "2020-03-29T25:00", "0001-01-01T00:00", "9999-12-31T23:59"):
        assert isinstance(read_time(none, "", BERLIN), Doubt)


TWICE = "2026-10-25T02:30"


def test_a_repeated_hour_is_chosen_beside_its_field(demo: TestClient) -> None:
    zone = {"zone": "Europe/Berlin", "at": "2026-10-25T10:00"}
    fields = zone | {"d.platelets.0.value": "210", "d.platelets.0.unit": "10*9/L", "d.platelets.0.at": TWICE}
    page = demo.post("/screening", data=ASKED | fields).text
    assert SHOWN_TWICE in hints(page, "platelets")
    assert 'name="d.platelets.0.at.offset" value="+01:00">' in page
    page = demo.post("/screening", data=ASKED | fields | {"d.platelets.0.at.offset": "+01:00"}).text
    assert SHOWN_TWICE not in page
    assert 'name="d.platelets.0.at.offset" value="+01:00" checked>' in page
    assert "Sun 25 Oct 2026 02:30 +01:00" in text(page)


@pytest.mark.parametrize(("name", "place"), [("at", "at"), ("start", "start"), ("at.panel-2", "at-panel-2")])
def test_every_time_that_stands_by_itself_offers_the_choice(demo: TestClient, name: str, place: str) -> None:
    fields = {"zone": "Europe/Berlin", "at": "2026-10-25T10:00", name: TWICE} | {
        key: said for key, said in PLATELETS.items() if not key.endswith(".at")
    }
    page = demo.post("/screening/result", data=ASKED | fields).text
    assert f'name="{name}.offset" value="+02:00">' in page
    assert SHOWN_TWICE in hints(page, place)
    if name == "at":
        assert "Cannot be assessed" in page
        assert 'href="#at"' in page
    page = demo.post("/screening/result", data=ASKED | fields | {f"{name}.offset": "+02:00"}).text
    assert SHOWN_TWICE not in page
    assert "Cannot be assessed" not in page


# -- what would be passed over -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "name", "says"),
    [
        (PLATELETS | {"d.platelets.0.said": "not_done"}, "platelets", "A value stands beside “not done”"),
        (PLATELETS | {"d.platelets.0.said": "unknown"}, "platelets", "A value stands beside “unknown”"),
        ({"d.product_viability.0.value": "85", "d.product_viability.0.unit": "%"}, "lot", "add its number"),
        ({"at.lot": "2020-04-06T09:00"}, "lot", "add its number"),
    ],
)
def test_what_contradicts_itself_is_refused_and_stays(
    demo: TestClient, fields: dict[str, str], name: str, says: str
) -> None:
    page = demo.post("/screening", data=ASKED | {"sex": "male"} | fields).text
    assert says in hints(page, name)
    assert "Cannot be assessed" in page
    assert verdict(page) == ""
    assert all(f'value="{said}"' in page for said in fields.values())
    reply = demo.post("/screening/save", data=ASKED | {"sex": "male", "subject": "S-1", "token": "t"} | fields)
    assert reply.status_code == 422


@pytest.mark.parametrize(
    ("fields", "place", "says"),
    [
        ({"at.panel-2": "2020-04-06T09:00"}, "at-panel-2", "no value in this group"),
        ({"d.platelets.0.at": "2020-04-06T09:00"}, "platelets", "A time stands here without a value"),
        ({"d.d_dimer.0.upper": "0.5"}, "d_dimer", "An upper limit stands here without a value"),
        ({"d.product_passage.0.value": "4", "lot": "LOT-7"}, "lot", "Say when this was true of the lot"),
    ],
)
def test_what_is_half_filled_in_is_said_at_once_and_not_saved(
    demo: TestClient, fields: dict[str, str], place: str, says: str
) -> None:
    form = ASKED | {"sex": "male", "subject": "S-1", "token": "t"} | fields
    assert says in hints(demo.post("/screening/result", data=form).text, place)
    reply = demo.post("/screening/save", data=form)
    assert reply.status_code == 422
    assert says[2:] in text(reply.text)
    assert demo.get("/worklist").text.count("S-1") == 0
    rest = {key: said for key, said in form.items() if key not in fields}
    assert demo.post("/screening/save", data=rest).status_code == 200


def test_what_follows_later_is_looked_at_and_not_saved(demo: TestClient) -> None:
    form = ASKED | PLATELETS | {"at": "2031-04-06T10:00", "subject": "S-1", "token": "t"}
    assert "Cannot be assessed" not in demo.post("/screening/result", data=form).text
    reply = demo.post("/screening/save", data=form)
    assert (reply.status_code, "still to come" in reply.text) == (422, True)
    assert demo.get("/worklist").text.count("S-1") == 0


def test_a_failed_save_is_no_success(demo: TestClient) -> None:
    reply = demo.post("/screening/save", data=ASKED | PLATELETS | {"token": "t"})
    assert (reply.status_code, "subject number of the trial" in reply.text) == (422, True)
    assert 'value="210"' in reply.text


def test_who_goes_back_after_a_save_is_led_to_what_was_saved(as_role: LogIn) -> None:
    client = as_role("coordinator")
    assert "The last that you saved" not in client.get("/screening").text
    saved = client.post("/screening/save", data=ASKED | PLATELETS | {"subject": "S-7", "token": "t"})
    page = client.get("/screening").text
    assert "The last that you saved is of" in page
    assert f'href="{saved.url.path}">its assessment</a>' in page
    assert "<bdi>S-7</bdi>" in page
    assert "The last that you saved" not in as_role("clinician").get("/screening").text
