"""What was recorded, entry by entry: completed, corrected with a reason, both shown; a lot filled in by its fields."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from starlette.testclient import TestClient

from mscprotocol.course_forms import FORMS, Events, Infusion, Lot, Plan, Withdrawal, read_form
from mscprotocol.settings import Settings
from mscprotocol.web.app import create_app
from mscprotocol.web.pages.course_fields import field_labels
from tests.store.people import COORDINATOR, SECOND, token
from tests.store.test_course import START, Ward, charted, put_right
from tests.web.conftest import CLOSED
from tests.web.pages.conftest import PASSWORD, SAME, add_user, sign_in
from tests.web.pages.subject_page import Page, local, named, sign_shown


def running(ward: Ward) -> None:
    """An infusion that is recorded while it runs."""
    ward.prepare(1)
    ward.check(1)
    ward.check(1, who=SECOND)
    ward.course.infuse(ward.subject, Infusion(1, START, status="in-progress", lot="LOT-7"), token(), COORDINATOR)
    ward.clock.set(START + timedelta(hours=2))


def test_a_running_infusion_is_completed_and_both_stand(page: Page) -> None:
    running(page.ward)
    course = page.client.get(f"{page.base}/course").text
    assert "still running" in course
    path = page.link_to("infusion")
    assert f'href="{path}">Record how it ended' in course
    assert "2020-03-27T10:00" in page.client.get(path).text
    fields = {"started": local(START), "lot": "LOT-7", "status": "completed", "reason": "the infusion has ended"}
    status, text = page.correct(path, ended=local(START - timedelta(hours=1)), **fields)
    assert (status, "The end lies before the start" in text) == (422, True)
    status, text = page.correct(path, ended=local(START + timedelta(hours=1)), volume_ml="100", **fields)
    assert (status, "Corrected: both stand on record." in text) == (200, True)
    assert "is on record as still running" not in text
    assert "corrected</span>" in text
    view = page.ward.course.view(page.ward.subject)
    assert [(one.status, one.volume_ml) for one in view.infusions] == [("completed", "100")]
    assert [one.sequence for one in view.chart.entries if one.kind == "infusion"] == [7, 8]
    assert view.chart.screenings[-1].sequence == 8, "assessed with the correction"
    again = page.client.get(path).text
    assert "It was corrected by" in again
    assert "Record the correction" not in again


def test_a_correction_needs_a_reason_and_is_made_once(page: Page) -> None:
    page.send("consent", data={"version": "v3", "given": local(START - timedelta(hours=2))})
    path = page.link_to("consent")
    right = {"version": "v4", "given": local(START - timedelta(hours=2)), "given_by": "patient"}
    assert page.correct(path, **right, reason="")[0] == 422
    assert page.correct(path, **right, reason="the newer form was signed")[0] == 200
    reply = page.client.post(path, data=named("consent", right) | {"token": "t" * 20, "reason": "again"})
    assert (reply.status_code, "corrected already" in reply.text) == (409, True)
    shown = page.client.get(page.link_to("consent")).text
    assert "the newer form was signed" in shown
    assert "It corrects" in shown


def test_an_infusion_keeps_its_place_when_its_start_is_corrected(page: Page) -> None:
    ward = page.ward
    ward.give(1)
    ward.observe(1, START)
    second = ward.now
    ward.give(2)
    ward.clock.set(second + timedelta(hours=2))
    path = page.link_to("infusion")
    fields = {"status": "completed", "ended": local(START + timedelta(hours=1)), "reason": "misread"}
    status, text = page.correct(path, started=local(START - timedelta(hours=1)), **fields)
    assert (status, "not be of this number" in text) == (422, True)
    first = page.client.get(f"{page.base}/course").text
    links = re.findall(rf'href="({page.base}/entries/[^"]+)">infusion, entry', first)
    status, text = page.correct(links[1], started=local(START), status="entered-in-error", reason="wrong patient")
    assert (status, "correct that one first" in text) == (409, True)


def test_what_was_seen_is_taken_back_by_a_clinician_only(page: Page) -> None:
    ward = page.ward
    ward.give(1)
    ward.observe(1, START, until=6, infusion_reaction="yes")
    seen = next(one for one in ward.course.subjects.chart(ward.subject).of_kind("events"))
    form = read_form(seen.content, Events)
    undone = Events(form.infusion, form.point, form.observed, form.answers | {"infusion_reaction": "no"}, "wrong bed")
    with pytest.raises(Exception, match="Only a clinician takes back"):
        ward.course.correct(ward.subject, undone, token(), seen.id, "wrong bed", COORDINATOR)
    with pytest.raises(Exception, match="Only a clinician says"):
        improved = Events(form.infusion, form.point, form.observed, form.answers | {"marked_improvement": "yes"})
        ward.course.correct(ward.subject, improved, token(), seen.id, "misread", COORDINATOR)
    assert ward.course.view(ward.subject).gate.decision == "stop"
    put_right(ward, undone, seen.id)
    assert "STP-05: met" not in ward.course.view(ward.subject).gate.because


def test_a_lot_by_its_fields_by_its_text_or_by_its_file(page: Page) -> None:
    by_fields = {"lot": "LOT-7", "at.lot": local(START), "d.product_viability.0.value": "85,5"}
    by_fields |= {"d.product_viability.0.unit": "%", "d.product_viability.0.at": local(START - timedelta(hours=1))}
    assert page.send("lot", data=by_fields)[0] == 200
    kept = page.ward.course.subjects.chart(page.ward.subject).of_kind("lot")[-1]
    assert read_form(kept.content, Lot).product == {
        "lot": "LOT-7",
        "at": START.isoformat(),
        "product_viability": {"value": "85.5 %", "at": (START - timedelta(hours=1)).isoformat()},
    }
    text = "lot: LOT-8\nproduct_bag_volume: 50 mL\n"
    assert page.send("lot", data={"product": text})[0] == 200
    assert page.send("lot", data={}, files={"upload": ("lot.yaml", text.replace("8", "9"))})[0] == 200
    lots = page.ward.course.subjects.chart(page.ward.subject).of_kind("lot")
    assert [read_form(one.content, Lot).product["lot"] for one in lots] == ["LOT-7", "LOT-8", "LOT-9"]
    status, said = page.send("lot", data=by_fields | {"product": text})
    assert (status, "both were given" in said) == (422, True)
    assert page.send("lot", data={})[0] == 422
    assert page.send("lot", data={}, files={"upload": ("lot.bin", b"\xff\xfe\x00")})[0] == 422


def test_times_are_those_of_the_ward_and_of_the_machine(page: Page) -> None:
    running(page.ward)
    course = page.client.get(f"{page.base}/course").text
    assert '<time datetime="2020-03-30T11:00:00+02:00">Mon 30 Mar 2020 11:00 +02:00</time>' in course
    assert not re.search(r">[^<]*\d{4}-\d{2}-\d{2}T\d{2}:\d{2}[^<]*<", course), "no raw time is shown"
    entry = page.client.get(page.link_to("infusion")).text
    assert '<time datetime="2020-03-27T10:00:00+01:00">Fri 27 Mar 2020 10:00 +01:00</time>' in entry
    assert page.client.get(f"{page.base}/entries/none").status_code == 404


def test_an_infusion_that_was_charted_twice_is_told(page: Page) -> None:
    page.ward.give(1)
    page.ward.clock.set(START + timedelta(hours=2))
    page.ward.course.subjects.record(page.ward.subject, charted(START + timedelta(minutes=4)), COORDINATOR)
    course = page.client.get(f"{page.base}/course").text
    assert "taken for the same one, and counted once" in course
    assert "MedicationAdministration/mar-1" in course


def test_a_chart_is_set_aside_and_taken_back_on_its_page(page: Page) -> None:
    ward = page.ward
    ward.prepare(1)
    path = page.link_to("record")
    shown = page.client.get(path).text
    assert "Set it aside as entered in error" in shown
    hidden = {"token": "t" * 20}
    assert page.client.post(f"{path}/in-error", data=hidden | {"why": ""}).status_code == 422
    reply = page.client.post(f"{path}/in-error", data=hidden | {"why": "of <b>another</b> patient"})
    assert (reply.status_code, "It was entered in error, says" in reply.text) == (200, True)
    assert "of &lt;b&gt;another&lt;/b&gt; patient" in reply.text
    for place in (page.base, f"{page.base}/course"):
        assert "entered in error</span>" in page.client.get(place).text
    assert [one.kind for one in ward.course.subjects.chart(ward.subject).standing if one.kind == "record"] == []
    reply = page.client.post(f"{path}/in-error", data={"token": "u" * 20, "why": "again"})
    assert (reply.status_code, "set aside already" in reply.text) == (409, True)
    reply = page.client.post(f"{path}/reinstate", data={"token": "v" * 20, "why": "hers after all"})
    assert (reply.status_code, "gate before infusion 1 says <b>go</b>" in reply.text) == (403, True)
    reply = page.sign(f"{path}/reinstate", reply.text)
    assert "It was set aside and taken back" in reply.text
    assert len(ward.course.subjects.chart(ward.subject).of_kind("record")) == 1
    assert page.client.get(page.link_to("in error")).status_code == 200
    assert page.client.post(f"{path}/elsewhere", data=hidden).status_code == 404


def test_a_withdrawal_is_taken_back_by_a_clinician_with_a_password(page: Page) -> None:
    ward = page.ward
    service = ward.course.service
    ward.prepare(1)
    ward.course.withdraw(ward.subject, Withdrawal(START), token(), COORDINATOR)
    path = page.link_to("withdrawal")
    for name, role in (("carla", "coordinator"), ("dora", "clinician")):
        add_user(service, name, role)
    app = create_app(Settings(**CLOSED, requests_per_minute=0), service)
    path, form = f"{path}/in-error", {"why": "of another patient", "token": "t" * 20}
    for name, password, status in (("carla", PASSWORD, 403), ("dora", "wrong", 401), ("dora", PASSWORD, 200)):
        client = TestClient(app, base_url="https://testserver")
        client.headers.update(SAME)
        assert sign_in(client, name) == 303
        reply = client.post(path, data=form | {"sign.password": password, "seen": "0" * 64 if name == "carla" else ""})
        assert (reply.status_code, "HLD-07: met" in reply.text) == (403, True), "nobody signs what was not shown"
        assert ("Sign and record it" in reply.text) == (name == "dora")
        if name == "dora":
            reply = sign_shown(client, path, reply.text, password)
        assert (reply.status_code, "of another patient" in reply.text) == (status, True), name
    assert ward.course.view(ward.subject).gate.decision == "go"


def test_each_field_of_an_entry_has_words(page: Page) -> None:
    ward = page.ward
    ward.give(1, stop_reason="rash", status="stopped")
    ward.observe(1, START, until=6)
    ward.course.plan(ward.subject, Plan(START), token(), COORDINATOR)
    ward.course.withdraw(ward.subject, Withdrawal(START, "by phone"), token(), COORDINATOR)
    for one in ward.course.subjects.chart(ward.subject).entries:
        shown = page.client.get(f"{page.base}/entries/{one.id}").text.split("</section>")[0]
        names = re.findall("<dt>([^<]*)</dt>", shown)
        assert names or one.kind in ("bundle", "record")
        assert [name for name in names if not name[:1].isupper()] == [], one.kind


def test_every_field_that_is_kept_has_words() -> None:
    """All but the answers, the lot and the deviation, which are shown in words of their own."""
    own = {"answers", "product", "deviation"}
    kept = {f"{kind}.{name}" for kind, form in FORMS.items() for name in form.__struct_fields__ if name not in own}
    assert kept - set(field_labels()) == set()
