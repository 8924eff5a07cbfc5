"""The one form of a course page: an error, a conflict or a success of one step loses nothing typed elsewhere."""

from __future__ import annotations

import html
import re
from datetime import datetime, timedelta

import pytest

from fhir_adapters.local_writing import TYPED_COMMA
from mscprotocol.course_forms import ENDS_EARLY, NEEDS_REASON, Consent, Infusion, Lot, read_form
from mscprotocol.web.pages.course import NO_STEP
from mscprotocol.web.pages.course_sections import STILL_TYPED
from mscprotocol.web.pages.local_times import SHOWN_TWICE
from tests.store.people import COORDINATOR, SECOND, token
from tests.store.test_course import START
from tests.web.pages.conftest import LogIn
from tests.web.pages.subject_page import Page, form_of, local

HOUR = timedelta(hours=1)
# Something typed in every section, each text once.
TYPED = {
    "consent.version": "v-typed",
    "plan.start": local(START + 3 * HOUR),
    "lot.lot": "LOT-typed",
    "lot.d.product_viability.0.value": "81.25",
    "dose.cells": "70000001",
    "infusion.stop_reason": "typed reason",
    "infusion.started": local(START - 2 * HOUR),
    "events.note": "typed note",
    "events.q.infusion_reaction": "no",
    "withdrawal.text": "typed words",
}


def post(page: Page, action: str, **fields: str) -> tuple[int, str]:
    place = f"{page.base}/course"
    data = form_of(page.client.get(place).text) | fields
    reply = page.client.post(f"{place}/{action}" if action else place, data=data)
    return reply.status_code, reply.text


def kept(text: str) -> set[str]:
    """The fields of a page that hold something."""
    inputs = [dict(re.findall(r'(\w+)="([^"]*)"', one)) for one in re.findall("<input[^>]*>", text)]
    return {f"{one['name']}={html.unescape(one['value'])}" for one in inputs if one.get("name") and one.get("value")}


ALL = {f"{name}={said}" for name, said in TYPED.items()}


def test_an_error_of_one_step_keeps_what_was_typed_for_every_step(page: Page) -> None:
    page.ward.give(1)
    page.ward.clock.set(START + HOUR)
    status, text = post(page, "consent", **TYPED)
    assert status == 422
    assert kept(text) >= ALL
    assert 'name="events.q.infusion_reaction" value="no" checked' in text
    assert '<a href="#i-consent.given">When the consent was given is needed: a day and a time.</a>' in text
    assert 'aria-invalid="true" aria-describedby="p-consent.given"' in text
    assert text.count('aria-invalid="true"') == 1, "the fields of other steps are not at fault"
    status, text = post(page, "", **TYPED)
    assert (status, NO_STEP in text) == (422, True)
    assert kept(text) >= ALL


def test_what_was_typed_for_other_steps_outlasts_a_step_that_is_recorded(page: Page) -> None:
    given = {"consent.given": local(START - HOUR)}
    data = form_of(page.client.get(f"{page.base}/course").text) | TYPED | given | {"infusion.password": "secret"}
    for _ in range(2):
        reply = page.client.post(f"{page.base}/course/consent", data=data, follow_redirects=False)
        assert (reply.status_code, "Recorded. " + STILL_TYPED in reply.text) == (200, True)
        assert kept(reply.text) >= ALL - {"consent.version=v-typed"} - {
            one for one in ALL if one.startswith("events.")
        }, "no infusion yet: no form of events"
        assert "secret" not in reply.text
    assert len(page.ward.course.subjects.chart(page.ward.subject).of_kind("consent")) == 1, "the page was reloaded"
    only = {"consent.version": "v2", "consent.given_by": "patient", "infusion.status": "completed"}
    data = form_of(reply.text) | only | given | {"infusion.volume_ml": "100", "infusion.lot": "LOT-7"}
    assert page.client.post(f"{page.base}/course/consent", data=data, follow_redirects=False).status_code == 303


def test_what_was_typed_for_one_infusion_is_not_taken_for_the_next(page: Page) -> None:
    ward = page.ward
    ward.prepare(1)
    ward.check(1)
    ward.check(1, who=SECOND)
    data = form_of(page.client.get(f"{page.base}/course").text)
    assert data["following"] == "1"
    ward.course.infuse(ward.subject, Infusion(1, START, status="in-progress", lot="LOT-7"), token(), COORDINATOR)
    consent = {"consent.given": local(START - HOUR), "consent.version": "v9"}
    said = {"dose.cells": "71000000", "withdrawal.text": "typed words"}
    reply = page.client.post(f"{page.base}/course/consent", data=data | consent | said)
    assert "dose.cells=71000000" not in kept(reply.text)
    assert "<dt>dose cells</dt><dd><bdi>71000000</bdi></dd>" in reply.text, "told, not lost"
    assert "withdrawal.text=typed words" in kept(reply.text)


def test_a_second_form_of_a_point_leads_to_the_first(page: Page) -> None:
    ward = page.ward
    ward.give(1)
    ward.observe(1, START, until=6)
    first = ward.course.subjects.chart(ward.subject).of_kind("events")[0]
    fields = {"infusion": "1", "point": "6 h", "observed": local(ward.now), "q.infusion_reaction": "yes"}
    status, text = post(page, "events", **{f"events.{name}": said for name, said in fields.items()})
    link = f'<a href="{page.base}/entries/{first.id}">Open that entry, to correct it</a>'
    assert (status, link in text) == (409, True)
    assert '<a href="#i-events.point">This form is on record' in text
    assert kept(text) >= {"events.q.infusion_reaction=yes"}
    assert "<option selected>before</option>" in page.client.get(f"{page.base}/course").text, "none is due"


@pytest.mark.parametrize("junk", ["", "soon", "<b>", "-1", "9" * 40, "1e3", "é" * 3000])
@pytest.mark.parametrize("action", ["consent", "plan", "lot", "dose", "infusion", "events", "withdrawal"])
def test_what_is_wrong_is_said_in_the_words_of_who_fills_it_in(page: Page, action: str, junk: str) -> None:
    names = {
        "consent": ("version", "given", "given_by"), "plan": ("start",), "lot": ("lot", "at.lot", "product"),
        "dose": ("cells", "volume_ml"), "infusion": ("started", "ended", "status", "volume_ml", "stop_reason", "lot"),
        "events": ("infusion", "observed", "point", "note", "q.infusion_reaction"), "withdrawal": ("at", "text"),
    }  # fmt: skip
    status, text = post(page, action, **{f"{action}.{name}": junk for name in names[action]})
    assert status == 422
    shown = html.unescape(re.sub("<[^>]+>", " ", re.sub("<textarea.*?</textarea>", "", text, flags=re.S)))
    for raw in ("Expected", "`", "$.", "Object", "Invalid", "regex", "Traceback", "enum"):
        assert raw not in shown, raw
    assert 'role="alert"' in text


@pytest.mark.parametrize(
    ("fields", "name", "says"),
    [
        ({"ended": local(START - 3 * HOUR)}, "ended", ENDS_EARLY),
        ({"status": "stopped"}, "stop_reason", NEEDS_REASON),
        ({"volume_ml": "1,000"}, "volume_ml", TYPED_COMMA),
        ({"volume_ml": "a lot"}, "volume_ml", "The volume is a number of mL, like 100 or 100.5."),
        ({"started": local(START + 9 * HOUR), "ended": local(START + 10 * HOUR)}, "started", "still to come"),
        ({"started": local(START - 9000 * HOUR)}, "started", "check its year"),
        ({"volume_ml": "20"}, "volume_ml", "Less than the planned volume"),
    ],
)
def test_an_error_stands_beside_its_field(page: Page, fields: dict[str, str], name: str, says: str) -> None:
    page.ward.clock.set(START + HOUR)
    right = {"started": local(START - 2 * HOUR), "ended": local(START - HOUR), "status": "completed", "lot": "LOT-7"}
    status, text = post(page, "infusion", **{f"infusion.{one}": said for one, said in (right | fields).items()})
    assert status == 422
    found = re.search(f'id="p-infusion.{name}">([^<]*)<', text)
    assert found is not None
    assert says in found[1]


def test_a_decimal_comma_is_read_as_on_the_screening_page(page: Page) -> None:
    ward = page.ward
    ward.prepare(1)
    dose = ward.course.view(ward.subject).answer.dose
    assert dose.cells is not None
    assert dose.volume_ml is not None
    fields = {"dose.cells": dose.cells, "dose.volume_ml": dose.volume_ml.replace(".", ",")}
    assert "," in fields["dose.volume_ml"], "or nothing is tested"
    assert post(page, "dose", **fields)[0] == 200
    status, text = post(page, "dose", **fields | {"dose.cells": "70,000"})
    assert (status, TYPED_COMMA in text) == (422, True)


def test_a_repeated_hour_is_chosen_without_scripts_and_kept_as_it_was(page: Page) -> None:
    page.ward.clock.set(datetime.fromisoformat("2020-10-25T12:00+01:00"))
    fields = {"consent.version": "v3", "consent.given": "2020-10-25T02:30"}
    status, text = post(page, "consent", **fields)
    assert (status, SHOWN_TWICE in text) == (422, True)
    assert 'name="consent.given.offset" value="+02:00">' in text
    assert "consent.given=2020-10-25T02:30" in kept(text)
    assert post(page, "consent", **fields | {"consent.given.offset": "+01:00"})[0] == 200
    (consent,) = page.ward.course.subjects.chart(page.ward.subject).of_kind("consent")
    assert read_form(consent.content, Consent).given == datetime.fromisoformat("2020-10-25T02:30+01:00")
    entry = page.client.get(page.link_to("consent")).text
    assert 'name="consent.given.offset" value="+01:00" checked>' in entry
    assert "Sun 25 Oct 2020 02:30 +01:00" in entry
    status, text = post(page, "consent", **fields | {"consent.given": "2020-03-29T02:30"})
    assert (status, "type 2020-03-29 01:30 or 2020-03-29 03:30" in text) == (422, True)


def test_a_correction_that_came_second_keeps_what_was_typed(page: Page) -> None:
    fields = {"version": "v3", "given": local(START - HOUR)}
    page.send("consent", fields)
    path = page.link_to("consent")
    hidden = form_of(page.client.get(path).text)
    assert page.correct(path, "the first", **fields | {"version": "v4"})[0] == 200
    mine = {"consent.version": "v5-typed", "consent.given": local(START - 2 * HOUR), "reason": "the second"}
    reply = page.client.post(path, data=hidden | mine)
    assert reply.status_code == 409
    assert "corrected it meanwhile" in reply.text
    assert kept(reply.text) >= {f"{name}={said}" for name, said in mine.items()}
    target = re.findall(r'<form method="post" action="([^"]+)"><input type="hidden" name="token"', reply.text)[0]
    assert target != path
    assert page.client.post(target, data=form_of(reply.text) | mine).status_code == 200
    (standing,) = page.ward.course.subjects.chart(page.ward.subject).of_kind("consent")
    assert read_form(standing.content, Consent).version == "v5-typed"


def test_a_correction_of_what_was_set_aside_shows_what_was_typed(page: Page) -> None:
    page.send("consent", {"version": "v3", "given": local(START - HOUR)})
    path = page.link_to("consent")
    hidden = form_of(page.client.get(path).text)
    page.client.post(f"{path}/in-error", data={"token": "t" * 20, "why": "another patient's"})
    mine = {"consent.version": "v5-typed", "consent.given": local(START - HOUR), "reason": "mine"}
    reply = page.client.post(path, data=hidden | mine)
    assert reply.status_code == 409
    assert "<bdi>v5-typed</bdi>" in reply.text


def test_a_lot_file_of_several_lines_comes_back_as_it_was_typed(page: Page) -> None:
    typed = "lot: LOT-8\nproduct_bag_volume: 50 mL\n<b>"
    status, text = post(page, "lot", **{"lot.product": typed, "lot.lot": "LOT-9"})
    assert (status, "both were given" in text) == (422, True)
    found = re.search('name="lot.product"[^>]*>(.*?)</textarea>', text, re.S)
    assert found is not None
    assert html.unescape(found[1]) == typed
    assert "<b>" not in found[1]


def test_a_lot_is_told_datum_by_datum(page: Page) -> None:
    page.ward.prepare(1)
    text = page.client.get(page.link_to("lot")).text
    assert re.search(r"<dt>Viability</dt><dd class=\"kept\"><bdi>\d+ %, at [A-Z][a-z]{2} \d+ [A-Z]", text)
    assert "product_viability" not in text.split("</dl>")[0]


def test_what_is_nowhere_or_not_for_a_role_says_what_to_do(page: Page, as_role: LogIn) -> None:
    reply = page.client.get("/nowhere")
    assert (reply.status_code, "There is no page at this address" in reply.text) == (404, True)
    reply = as_role("auditor").get("/screening")
    assert (reply.status_code, "yours: auditor. Whoever administers this service" in reply.text) == (403, True)


def test_when_a_lot_was_true_is_asked_and_never_taken_to_be_now(page: Page) -> None:
    said = {"lot": "LOT-7", "d.product_passage.0.value": "4"}
    status, shown = page.send("lot", said)
    assert (status, 'id="p-lot.at.lot"' in shown) == (422, True)
    assert "as on its certificate" in shown
    assert page.send("lot", said | {"at.lot": local(START)})[0] == 200
    assert page.send("lot", {"lot": "LOT-8"})[0] == 200, "a number alone holds at any time"
    kept = page.ward.course.subjects.chart(page.ward.subject).of_kind("lot")[-1]
    assert read_form(kept.content, Lot).product == {"lot": "LOT-8"}


def test_a_gate_that_was_closed_at_the_start_says_why(page: Page) -> None:
    """Who fills the forms in after the infusion saw "hold" beside a gate that says go, and no reason."""
    page.ward.prepare(1)
    for who in (COORDINATOR, SECOND):
        page.ward.check(1, who=who)
    times = {"started": local(START - HOUR), "ended": local(START), "status": "completed", "volume_ml": "100"}
    status, shown = page.send("infusion", times | {"lot": "LOT-7"})
    said = re.findall(r"By what was known at its start: ([^<]*)", shown)
    assert (status, len(said), "REG-01: unknown" in said[0]) == (409, 1, True)
    assert '<span class="word">go</span>' in shown
