"""The screening page in the process: the form of every protocol, verdicts, hints, overrides, saving, and refusals."""

from __future__ import annotations

import html
import io
import json
import re
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import pypdf
import pytest
from sqlalchemy import select
from starlette.testclient import TestClient

from fhir_adapters.requirements import conditions_of, measurements_of
from mscprotocol.knowledge import KnowledgeBase
from mscprotocol.rulebook import compile_rulebook
from mscprotocol.service import Service
from mscprotocol.store import assessments, audit, drafts
from mscprotocol.store.tables import AuditEntry, ScreeningDraft, StoredAssessment, Subject, SubjectEntry
from mscprotocol.web.pages.screening_fields import build_form
from mscprotocol.web.pages.screening_slips import find_unused
from tests.web.conftest import Start
from tests.web.pages.conftest import LogIn

SAMPLES = Path(__file__).resolve().parents[3] / "samples"
ASKED = {"zone": "Asia/Shanghai", "at": "2020-04-06T10:00", "by": "Dr A. Example"}
FIBRINOGEN = {"d.fibrinogen.0.value": "4.2", "d.fibrinogen.0.unit": "g/L", "d.fibrinogen.0.at": "2020-04-06T09:00"}


def sample(name: str) -> bytes:
    return (SAMPLES / name / "input.json").read_bytes()


def upload(client: TestClient, content: bytes, **more: str) -> str:
    return client.post("/screening", data=ASKED | more, files={"upload": ("export.json", content)}).text


def draft_of(page: str) -> str:
    found = re.search('name="draft" value="([^"]+)"', page)
    assert found is not None
    return found[1]


def verdict(page: str) -> str:
    found = re.search('<span class="word">([^<]+)</span>', page)
    return found[1] if found else ""


def text(page: str) -> str:
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page)))


def hints(page: str, name: str) -> str:
    found = re.search(rf'id="hint-{name}"[^>]*>(.*?)</div>', page, re.S)
    assert found is not None
    return text(found[1]).strip()


def typed(client: TestClient, **fields: str) -> str:
    named = {name.replace("__", "."): value for name, value in fields.items()}
    return client.post("/screening/result", data=ASKED | named).text


# -- the form ------------------------------------------------------------------------------------------


def test_every_datum_and_condition_that_a_protocol_reads_can_be_entered(
    demo: TestClient, knowledge: KnowledgeBase
) -> None:
    for name in knowledge.protocols:
        book = compile_rulebook(knowledge, name)
        page = demo.get(f"/screening?protocol={name}").text
        fields = set(re.findall(r'name="[dc]\.([a-z0-9_A-Z-]+)\.(?:0\.)?(?:value|said)"', page))
        assert set(measurements_of(book)) <= fields
        assert set(conditions_of(book)) <= fields
        assert {one for one, criterion in book.criteria if criterion.attestable} <= fields


def test_a_number_offers_the_units_of_the_dictionary(knowledge: KnowledgeBase) -> None:
    form = build_form(compile_rulebook(knowledge, "seed-covid-4x"))
    by_name = {one.name: one for one in form.data}
    assert by_name["weight"].units == ("kg", "g", "[lb_av]")
    assert by_name["d_dimer"].assays == ("DDU", "FEU", "unspecified")
    assert by_name["d_dimer"].default_unit == ""
    assert by_name["d_dimer"].needs_upper_limit
    assert {answer for answer, _ in by_name["sars_cov_2_test"].answers} == {"positive", "negative"}
    for one in form.data:
        measurement = knowledge.measurements[one.name]
        assert all(unit == measurement.unit or unit in measurement.units for unit in one.units)


def test_an_unknown_protocol_is_a_clear_page(demo: TestClient) -> None:
    reply = demo.get("/screening?protocol=../../etc/passwd")
    assert reply.status_code == 404
    assert "no protocol of that name" in reply.text


# -- what follows --------------------------------------------------------------------------------------


def test_an_empty_form_says_nothing(demo: TestClient) -> None:
    assert "Nothing is said yet" in demo.get("/screening").text
    assert "Nothing is said yet" in typed(demo)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("eligible", "Eligible, for clinician review"), ("overt-dic", "Ineligible"), ("one-lab-open", "Undetermined")],
)
def test_an_upload_is_assessed(demo: TestClient, name: str, expected: str) -> None:
    assert verdict(upload(demo, sample(name))) == expected


def test_a_pasted_export_and_messages_are_read(demo: TestClient) -> None:
    page = demo.post("/screening", data=ASKED | {"paste": sample("one-lab-open").decode()}).text
    assert verdict(page) == "Undetermined"
    messages = "MSH|^~\\&|A|B|C|D|20200406||ADT^A01|1|P|2.5\rPID|1||p-1^^^H^MR||Doe^Jo||19620314|M\rPV1|1|I"
    page = demo.post("/screening", data=ASKED | {"paste": messages}).text
    assert verdict(page) == "Undetermined"
    assert "p-1" in page


def test_what_is_typed_beside_an_upload_settles_it(demo: TestClient) -> None:
    page = upload(demo, sample("one-lab-open"))
    assert "Fibrinogen" in page
    answer = demo.post("/screening/result", data=ASKED | FIBRINOGEN | {"draft": draft_of(page)}).text
    assert verdict(answer) == "Eligible, for clinician review"


def test_reasons_and_what_is_open_come_before_the_rest(demo: TestClient) -> None:
    page = upload(demo, sample("overt-dic"))
    assert 0 < page.index("<h3>Against</h3>") < page.index("<h3>Coagulopathy</h3>")
    page = upload(demo, sample("one-lab-open"))
    assert 0 < page.index("<h3>Still needed") < page.index("What could settle it") < page.index("<h3>Coagulopathy</h3>")
    assert 'href="#f-fibrinogen"' in page
    assert 'id="f-fibrinogen"' in page
    assert "<svg" in page


def test_nothing_typed_is_lost(demo: TestClient) -> None:
    fields = {
        "d.platelets.0.value": "210", "d.platelets.0.unit": "G/L", "d.platelets.0.said": "", "c.pregnancy.said": "no",
        "c.covid_19.since": "2020-04-01", "d.crp.0.value": "not a number", "at.panel-2": "2020-04-06T08:00",
        "born": "1962-03-14", "sex": "male", "start": "2020-04-06T12:00", "more": "platelets",
    }  # fmt: skip
    page = demo.post("/screening", data=ASKED | fields).text
    for value in ("210", "not a number", "2020-04-01", "2020-04-06T08:00", "1962-03-14", "2020-04-06T12:00"):
        assert f'value="{value}"' in page, value
    assert '<option value="G/L" selected>' in page
    assert 'name="c.pregnancy.said" value="no" checked' in page
    assert 'name="d.platelets.1.value"' in page, "another line"


def test_what_another_protocol_does_not_ask_for_waits_on_the_page(demo: TestClient) -> None:
    filled = {
        "c.concurrent_trial.said": "yes",
        "c.moribund.said": "no",
        "c.EX-04.said": "no",
        "c.malignancy.said": "no",
    }
    page = demo.post("/screening", data=ASKED | filled | {"protocol": "ciss-2018"}).text
    waiting = page.split('id="unused"')[1].split("</section>")[0]
    kept = dict(re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', waiting))
    assert kept == {name: said for name, said in filled.items() if name != "c.malignancy.said"}
    assert "investigational product: yes" in text(waiting)
    assert "EX-04: no" in text(waiting)
    assert 'name="c.malignancy.said" value="no" checked' in page
    back = demo.post("/screening", data=ASKED | filled | kept).text
    assert ('id="unused"' in back, 'name="c.moribund.said" value="no" checked' in back) == (False, True)


def level_of(page: str) -> str:
    """What the page would send as dose level: by its choice, or as what waits."""
    chosen = re.findall(
        r'<option value="([^"]*)" selected>', page.partition('id="dose_level"')[2].partition("</select>")[0]
    )
    waits = re.findall(r'type="hidden" name="dose_level" value="([^"]*)"', page)
    (level,) = chosen + waits
    return level


def test_a_dose_level_waits_for_its_protocol_and_is_kept_by_one_that_has_it(demo: TestClient) -> None:
    level, words = "3", {"he-2018": "3 x 10^6 cells/kg, high", "ciss-2018": "3.0 x 10^6 cells/kg, third cohort"}
    for protocol in ("he-2018", "start-phase1", "seed-covid-4x", "ciss-2018", "he-2018"):
        page = demo.post("/screening", data=ASKED | {"protocol": protocol, "dose_level": level}).text
        assert ("3: not of this protocol" in page) is (protocol == "start-phase1")
        assert ("Dose level: 3" in text(page)) is (protocol == "seed-covid-4x")
        assert words.get(protocol, "") in text(page)
        level = level_of(page)
        assert level in ("3", "3.0"), protocol
    assert "dose_level" not in demo.get("/screening?protocol=seed-covid-4x").text


def test_what_stands_beside_a_field_waits_with_it_only(knowledge: KnowledgeBase) -> None:
    form = build_form(compile_rulebook(knowledge, "ciss-2018"))
    waits = {
        "d.other.0.value": "4",
        "d.other.0.unit": "g/L",
        "d.other.0.at": "2026-10-25T02:30",
        "at.panel-99": "2020-04-06",
    }
    alone = {
        "d.empty.0.unit": "g/L",
        "d.empty.0.value": "",
        "d.platelets.0.value": "210",
        "at": "2020-04-06",
        "lot": "L",
    }
    assert find_unused(waits | alone | {"d.other.0.at.offset": "+01:00"}, form) == waits | {
        "d.other.0.at.offset": "+01:00"
    }


def test_notes_on_the_data_are_counted_under_the_verdict(demo: TestClient) -> None:
    assert 'href="#notes"' not in typed(demo)
    late = {"d__platelets__0__value": "210", "d__platelets__0__at": "2020-04-07T09:00"}
    shown = typed(demo, **late, d__platelets__0__unit="10*9/L")
    assert "1 note on the data : what was left out" in text(shown).split("Still needed")[0]
    assert shown.count('id="notes"') == 1


def test_not_done_and_unknown_are_answers(demo: TestClient) -> None:
    at = {"d__platelets__0__at": "2020-04-06T09:00"}
    page = text(typed(demo, d__platelets__0__said="not_done", **at))
    assert "cancelled and was left out" in page
    assert "Undetermined" in page
    assert "Undetermined" in text(typed(demo, d__platelets__0__said="unknown", **at))
    page = text(typed(demo, c__pregnancy__said="unknown"))
    assert "Pregnancy" in page


def test_an_answer_without_a_name_does_not_count(demo: TestClient) -> None:
    for by, is_open in (("", True), ("Dr A. Example", False)):
        page = typed(demo, by=by, c__prisoner__said="no")
        assert ('href="#f-prisoner"' in page) is is_open


# -- hints ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "name", "says"),
    [
        ({"d__weight__0__value": "200", "d__weight__0__unit": "kg"}, "weight", "check it. It would be usual in pounds"),
        ({"d__fio2__0__value": "40", "d__fio2__0__unit": "1"}, "fio2", "it is refused. It would be usual in %"),
        ({"d__fio2__0__value": "0.4", "d__fio2__0__unit": "%"}, "fio2", "It would be usual as a fraction"),
        ({"d__fio2__0__value": "40", "d__fio2__0__unit": ""}, "fio2", "Without a unit 40 is read in %."),
        ({"d__fio2__0__value": "0.4", "d__fio2__0__unit": ""}, "fio2", "Without a unit 0.4 is read as a fraction."),
        ({"d__fio2__0__value": "5", "d__fio2__0__unit": ""}, "fio2", "Which unit?"),
        ({"d__pao2__0__value": "10", "d__pao2__0__unit": "mm[Hg]"}, "pao2", "kPa"),
        ({"d__platelets__0__value": "many", "d__platelets__0__unit": "10*9/L"}, "platelets", "no number"),
        ({"d__platelets__0__value": "210", "d__platelets__0__unit": ""}, "platelets", "Which unit?"),
        ({"d__d_dimer__0__value": "0.6", "d__d_dimer__0__unit": "mg/L"}, "d_dimer", "upper limit of normal"),
        ({"d__platelets__0__value": "210"}, "platelets", "When was it taken?"),
    ],
)  # fmt: skip
def test_a_hint_stands_beside_the_field(demo: TestClient, fields: dict[str, str], name: str, says: str) -> None:
    at = {} if "When" in says else {f"d__{name}__0__at": "2020-04-06T09:00"}
    assert says in hints(typed(demo, **{f"d__{name}__0__unit": "10*9/L"} | fields | at), name)


def test_a_usual_value_has_no_hint(demo: TestClient) -> None:
    fields = {"d__weight__0__value": "70,5", "d__weight__0__unit": "kg", "d__weight__0__at": "2020-04-06T09:00"}
    assert hints(typed(demo, **fields), "weight") == ""


def test_a_weight_that_differs_from_the_record_as_pounds_do_is_noticed(demo: TestClient) -> None:
    draft = draft_of(upload(demo, sample("one-lab-open")))
    fields = {"d.weight.0.value": "154", "d.weight.0.unit": "kg", "d.weight.0.at": "2020-04-06T09:00", "draft": draft}
    assert "as pounds do from kilograms" in hints(demo.post("/screening/result", data=ASKED | fields).text, "weight")


def test_a_zone_that_is_none_is_said(demo: TestClient) -> None:
    assert "no time zone of that name" in typed(demo, zone="Mars/Olympus", sex="male")


# -- overrides -----------------------------------------------------------------------------------------


def test_uploaded_values_show_their_source(demo: TestClient) -> None:
    page = text(upload(demo, sample("one-lab-open")))
    assert "210 10*9/L Mon 6 Apr 2020 08:00 +08:00 · Observation/obs34" in page


def test_an_override_needs_a_reason_and_keeps_the_original(demo: TestClient, service: Service) -> None:
    draft = draft_of(upload(demo, sample("eligible")))
    low = {"d.platelets.0.value": "30", "d.platelets.0.unit": "10*9/L", "d.platelets.0.at": "2020-04-06T08:00"}
    both = demo.post("/screening/result", data=ASKED | low | {"draft": draft}).text
    assert "contradict" in text(both), "two values of one moment, and no reason to prefer one"
    chosen = low | {"draft": draft, "aside.platelets": "data-wrong"}
    shown = text(demo.post("/screening/result", data=ASKED | chosen).text)
    assert "contradict" not in shown
    assert "Set aside" in shown
    assert "Platelets : 210 10*9/L Mon 6 Apr 2020 08:00 +08:00" in shown
    assert "Already" not in shown
    assert "The data behind it are wrong or out of date (Dr A. Example)" in shown
    reply = demo.post("/screening/save", data=ASKED | chosen | {"subject": "S-1", "token": "t"}, follow_redirects=False)
    assert reply.status_code == 303
    with service.database.reading() as session:
        kept = b"".join(assessments.read_inputs(session.execute(select(StoredAssessment)).scalar_one()))
    assert b"entered-in-error" in kept
    assert b"set aside: The data behind it are wrong" in kept
    assert b'"value":210' in kept.replace(b" ", b"")


def test_a_condition_of_the_export_can_be_set_aside(demo: TestClient) -> None:
    draft = draft_of(upload(demo, sample("pregnant")))
    fields = {"draft": draft, "aside.pregnancy": "data-wrong", "c.pregnancy.said": "no"}
    assert verdict(demo.post("/screening/result", data=ASKED | {"draft": draft}).text) == "Ineligible"
    assert verdict(demo.post("/screening/result", data=ASKED | fields).text) != "Ineligible"


# -- saving --------------------------------------------------------------------------------------------


def test_saving_enrols_records_assesses_and_shows_the_sheet(demo: TestClient, service: Service) -> None:
    draft = draft_of(upload(demo, sample("one-lab-open")))
    form = ASKED | FIBRINOGEN | {"draft": draft, "subject": "S-017", "token": "once"}
    page = demo.post("/screening/save", data=form)
    assert page.status_code == 200
    assert "Saved. S-017 is a new subject (seed-covid-4x)." in page.text
    assert verdict(page.text) == "Eligible, for clinician review"
    sheet = demo.get(f"{page.url.path}/checklist")
    assert "Protocol checklist" in sheet.text
    assert "default-src 'none'" in sheet.headers["content-security-policy"]
    with service.database.reading() as session:
        assert session.execute(select(Subject.number)).scalar_one() == "S-017"
        assert [one.kind for one in session.execute(select(SubjectEntry)).scalars()] == ["bundle", "record"]
        assert session.execute(select(ScreeningDraft)).first() is None
        actions = [one.action for one in session.execute(select(AuditEntry)).scalars()]
        assert audit.find_fault(session) is None
    assert actions == ["upload", "screen", "enrol", "record", "record", "assess", "read", "read"]


def test_what_is_saved_leads_to_its_subject_and_more_data_are_added_there(demo: TestClient, service: Service) -> None:
    form = ASKED | FIBRINOGEN | {"protocol": "he-2018", "dose_level": "2"}
    first = demo.post("/screening/save", data=form | {"subject": "S-1", "token": "1"})
    assert "Saved. S-1 is a new subject (he-2018)." in first.text
    assert "A newer assessment" not in first.text
    place = re.findall('href="(/subjects/[^"/]+)"', first.text)[0]
    assert f'href="{place}/course"' in first.text
    link = re.findall('href="(/screening[^"]*)">Add data', demo.get(place).text)[0]
    page = demo.get(link).text
    assert "The answer on this page is of this form alone" in text(page)
    for name, said in (("subject", "S-1"), ("zone", "Asia/Shanghai")):
        assert re.search(rf'name="{name}"[^>]* value="{said}"', page), name
    assert '<option value="he-2018" selected>' in page
    assert level_of(page) == "2"
    second = demo.post("/screening/save", data=form | {"subject": "S-1", "token": "2", "d.fibrinogen.0.value": "4.3"})
    assert "Saved. S-1 was known here" in second.text
    older = demo.get(first.url.path).text
    assert "A newer assessment of this subject exists" in older
    assert f'href="{second.url.path}"' in older


def test_a_saved_assessment_says_when_it_has_expired(demo: TestClient, service: Service) -> None:
    form = ASKED | {"draft": draft_of(upload(demo, sample("eligible"))), "subject": "S-1", "token": "1"}
    saved = demo.post("/screening/save", data=form).url.path
    for at, has_expired in (("2020-04-06T10:00+08:00", False), ("2020-04-07T10:00+08:00", True)):
        service.clock = partial(datetime.fromisoformat, at)
        assert ("has expired: assess again" in text(demo.get(saved).text)) is has_expired


def with_patient(content: bytes, **changes: object) -> bytes:
    """An export whose Patient says something else; None leaves it out."""
    tree = json.loads(content)
    person = next(one["resource"] for one in tree["entry"] if one["resource"]["resourceType"] == "Patient")
    person |= changes
    for name in [name for name, said in person.items() if said is None]:
        del person[name]
    return json.dumps(tree).encode()


def test_a_second_export_of_a_subject_may_say_less_of_the_patient(demo: TestClient) -> None:
    first, poorer = sample("eligible"), with_patient(sample("eligible"), birthDate=None, gender=None, name=None)
    stranger = with_patient(sample("eligible"), birthDate="1999-01-01")
    says = []
    for number, content in enumerate((first, poorer, stranger)):
        form = ASKED | {"draft": draft_of(upload(demo, content)), "subject": "S-1", "token": str(number)}
        says.append(demo.post("/screening/save", data=form))
    assert [verdict(one.text) for one in says[:2]] == ["Eligible, for clinician review"] * 2
    assert "contradict each other in the birth date" in text(says[2].text)
    assert "correct one, or send the data of one patient" in text(says[2].text)


@pytest.mark.parametrize(("other", "word"), [({"born": "1950-01-01"}, "dates of birth"), ({"sex": "female"}, "sexes")])
def test_two_people_are_never_merged_under_one_number(demo: TestClient, other: dict[str, str], word: str) -> None:
    form = ASKED | FIBRINOGEN | {"subject": "S-1", "born": "1962-03-14", "sex": "male"}
    assert "Saved." in demo.post("/screening/save", data=form | {"token": "1"}).text
    assert "Saved." in demo.post("/screening/save", data=form | {"token": "2", "d.fibrinogen.0.value": "4.3"}).text
    refused = text(demo.post("/screening/save", data=form | other | {"token": "3"}).text)
    assert f"state different {word}: correct one of them" in refused


@pytest.mark.parametrize("said", ["no", "unknown", ""])
def test_dates_without_a_yes_are_never_passed_over(demo: TestClient, said: str) -> None:
    named = {"c.venous_thromboembolism.said": said, "c.venous_thromboembolism.since": "2020-03-20"}
    draft = draft_of(upload(demo, sample("eligible")))
    page = demo.post("/screening/result", data=ASKED | named | {"draft": draft}).text
    assert "Dates without a yes" in hints(page, "venous_thromboembolism")
    assert verdict(page) == "Undetermined"


def test_an_end_before_the_beginning_is_told(demo: TestClient) -> None:
    named = {"said": "yes", "since": "2020-03-20", "until": "2020-03-01"}
    page = typed(demo, **{f"c__venous_thromboembolism__{name}": said for name, said in named.items()})
    assert "ended before it began" in hints(page, "venous_thromboembolism")


def test_a_double_click_saves_once(demo: TestClient, service: Service) -> None:
    form = ASKED | FIBRINOGEN | {"subject": "S-1", "token": "once", "at": ""}
    first = demo.post("/screening/save", data=form)
    service.clock = lambda: datetime.fromisoformat("2020-04-06T10:00:05+00:00")
    again = demo.post("/screening/save", data=form)
    assert first.url == again.url
    with service.database.reading() as session:
        assert len(session.execute(select(StoredAssessment)).all()) == 1
    changed = demo.post("/screening/save", data=form | {"d.fibrinogen.0.value": "4.3"})
    assert changed.url != first.url


def test_who_goes_back_and_saves_under_another_number_means_another_subject(demo: TestClient, service: Service) -> None:
    form = ASKED | FIBRINOGEN | {"token": "one page"}
    saved = [demo.post("/screening/save", data=form | {"subject": number}) for number in ("S-1", "S-2")]
    assert [one.status_code for one in saved] == [200, 200]
    with service.database.reading() as session:
        assert sorted(session.execute(select(Subject.number)).scalars()) == ["S-1", "S-2"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"subject": ""}, "enter it"),
        ({"subject": "<b>"}, "subject number is up to 64"),
        ({"subject": "../../etc"}, "subject number is up to 64"),
        ({"d.fibrinogen.0.value": "", "d.fibrinogen.0.unit": "", "d.fibrinogen.0.at": ""}, "nothing to save"),
    ],
)
def test_what_cannot_be_saved_says_why_and_loses_nothing(demo: TestClient, change: dict[str, str], says: str) -> None:
    form = ASKED | FIBRINOGEN | {"subject": "S-1", "token": "t", "c.hit.said": "no"} | change
    if "nothing" in says:
        del form["c.hit.said"]
    page = demo.post("/screening/save", data=form).text
    assert says in text(page)
    if "nothing" not in says:
        assert 'value="4.2"' in page
        assert 'name="c.hit.said" value="no" checked' in page


def test_the_sheet_comes_as_pdf_and_is_given_its_time(demo: TestClient, start: Start) -> None:
    page = demo.post("/screening/save", data=ASKED | FIBRINOGEN | {"subject": "S-1", "token": "t"})
    hurried = start(request_seconds=0.1)
    reply = hurried.get(f"{page.url.path}/checklist.pdf")
    assert (reply.status_code, reply.headers["content-type"]) == (200, "application/pdf")
    sheet = pypdf.PdfReader(io.BytesIO(reply.content))
    assert "Protocol checklist" in "".join(one.extract_text() for one in sheet.pages)


# -- who may, and what comes from elsewhere ------------------------------------------------------------


@pytest.mark.parametrize(
    ("role", "screen", "read"),
    [("coordinator", 200, 200), ("clinician", 200, 200), ("auditor", 403, 200), ("administrator", 403, 403)],
)
def test_each_role_sees_what_it_may(as_role: LogIn, role: str, screen: int, read: int) -> None:
    coordinator = as_role("coordinator")
    form = ASKED | FIBRINOGEN | {"subject": "S-1", "token": "t"}
    stored = coordinator.post("/screening/save", data=form).url.path
    person = as_role(role)
    assert person.get("/screening").status_code == screen
    for path in ("/screening", "/screening/result", "/screening/save"):
        assert person.post(path, data=form).status_code == screen
    for path in ("", "/checklist"):
        assert person.get(stored + path).status_code == read


def test_nobody_gets_anywhere_without_a_login(as_role: LogIn) -> None:
    client = as_role("coordinator")
    client.post("/logout")
    for path in ("/screening", "/assessments/x", "/assessments/x/checklist", "/assessments/x/checklist.pdf"):
        reply = client.get(path, follow_redirects=False)
        assert (reply.status_code, reply.headers["location"][:12]) == (303, "/login?next=")
    for path in ("/screening", "/screening/result", "/screening/save"):
        assert client.post(path, data=ASKED, follow_redirects=False).status_code == 303


def test_an_upload_is_seen_by_who_uploaded_it(as_role: LogIn) -> None:
    draft = draft_of(upload(as_role("coordinator"), sample("eligible")))
    page = as_role("clinician").post("/screening", data=ASKED | {"draft": draft}).text
    assert ("no longer kept" in page, "An export is loaded" in page, verdict(page)) == (True, False, "")


def test_an_upload_that_is_no_longer_kept_takes_nothing_that_was_typed_with_it(
    demo: TestClient, service: Service
) -> None:
    draft = draft_of(upload(demo, sample("eligible")))
    with service.database.writing() as session:
        session.get_one(ScreeningDraft, draft).made_at -= drafts.LIFE + timedelta(minutes=1)
    typed = ASKED | FIBRINOGEN | {"draft": draft, "aside.platelets": "data-wrong", "subject": "S-1", "token": "1"}
    for path, status in (("/screening", 200), ("/screening/save", 422)):
        reply = demo.post(path, data=typed)
        assert (reply.status_code, "exports wait in a form for a day" in reply.text) == (status, True)
        assert verdict(reply.text) == "", "nothing is said of the part that is left"
        for name, said in typed.items():
            assert re.search(
                rf'name="{name}"[^>]*(?:value="{said}"|>(?:[^/]|/[^s])*value="{said}" selected)', reply.text
            )
        assert 'href="#upload"' in reply.text
    swapped = demo.post("/screening/result", data=typed)
    assert (swapped.status_code, "Load it again" in swapped.text) == (200, True), "as the page asks it while one types"
    again = demo.post("/screening", data=typed, files={"upload": ("export.json", sample("eligible"))}).text
    assert "no longer kept" not in again
    assert "Set aside Platelets" in text(again)


def test_an_upload_says_whom_it_is_of_and_what_number_was_typed(demo: TestClient, service: Service) -> None:
    draft = draft_of(upload(demo, sample("eligible")))
    with service.database.reading() as session:
        kept = session.get_one(ScreeningDraft, draft)
    assert kept.patient is not None
    assert (kept.patient[0][:3], kept.subject_number) == ("id ", None)
    demo.post("/screening/result", data={"draft": draft, "subject": "S-7"})
    with service.database.reading() as session:
        assert session.get_one(ScreeningDraft, draft).subject_number == "S-7"


def test_every_view_of_a_patient_is_in_the_trail(demo: TestClient, service: Service) -> None:
    upload(demo, sample("eligible"))
    demo.post("/screening", data=ASKED | FIBRINOGEN)
    with service.database.reading() as session:
        entries = [(one.action, one.subject[:6]) for one in session.execute(select(AuditEntry)).scalars()]
    assert entries == [("upload", "Draft/"), ("screen", "Draft/"), ("screen", "Form")]


SCRIPT = '"><script>alert(1)</script><img src=x onerror=alert(1)>'


def test_nothing_that_is_typed_or_uploaded_is_markup(demo: TestClient, service: Service) -> None:
    content = sample("one-lab-open").decode().replace("Sample", SCRIPT.replace('"', "'")).encode()
    draft = draft_of(page := upload(demo, content))
    pages = [page]
    for name in ("by", "subject", "born", "sex", "start", "d.platelets.0.value", "d.platelets.0.unit", "lot", "token"):
        pages.append(demo.post("/screening", data=ASKED | {name: SCRIPT, "draft": draft}).text)
        pages.append(demo.post("/screening/result", data=ASKED | {name: SCRIPT, "draft": draft}).text)
    form = ASKED | FIBRINOGEN | {"draft": draft, "subject": "S-1", "token": "t", "c.hit.said": "no", "by": SCRIPT}
    saved = demo.post("/screening/save", data=form)
    pages += [saved.text, demo.get(f"{saved.url.path}/checklist").text]
    for page in pages:
        assert "<script>alert" not in page
        assert "<img src=x" not in page


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\x00\xff", b"[]", b'{"patient": 1}', b"MSH|", b'{"resourceType": "Bundle"}']
)
def test_an_upload_that_cannot_be_read_says_so_and_what_was_loaded_stays(demo: TestClient, content: bytes) -> None:
    draft = draft_of(upload(demo, sample("eligible")))
    page = upload(demo, content, draft=draft, **{"c.hit.said": "no"})
    assert "The export was not loaded:" in page
    assert "load it again" in page
    assert draft_of(page) == draft
    assert verdict(page) == "Eligible, for clinician review"
    assert 'name="c.hit.said" value="no" checked' in page


def test_a_pasted_text_that_cannot_be_read_stays_to_be_put_right(demo: TestClient) -> None:
    half = '{"patient": {"id": "p-1"},\n "data": ['
    page = demo.post("/screening", data=ASKED | {"paste": half}).text
    assert "The export was not loaded: the record is not JSON" in page
    (kept,) = re.findall(r"<textarea[^>]*>(.*?)</textarea>", page, re.S)
    assert html.unescape(kept).strip() == half
    page = demo.post("/screening", data=ASKED | {"paste": f"{half}]}}"}).text
    assert "was not loaded" not in page
    assert draft_of(page)
    assert half not in html.unescape(page), "what was loaded is not sent again"


@pytest.mark.parametrize("how", ["upload", "paste"])
def test_an_export_that_was_not_loaded_is_not_passed_over_by_saving(demo: TestClient, how: str) -> None:
    form = ASKED | FIBRINOGEN | {"subject": "S-1", "token": "t"}
    export = sample("one-lab-open")
    pasted, files = ({}, {"upload": ("export.json", export)}) if how == "upload" else ({"paste": export.decode()}, None)
    reply = demo.post("/screening/save", data=form | pasted, files=files)
    assert "Nothing is saved yet." in text(reply.text)
    assert verdict(reply.text) == "Eligible, for clinician review", "it is loaded, and shown with what was typed"
    assert "S-1" not in demo.get("/worklist").text
    saved = demo.post("/screening/save", data=form | {"draft": draft_of(reply.text)})
    assert "Saved" in saved.text
    assert verdict(saved.text) == "Eligible, for clinician review"


def test_two_patients_in_one_export_are_refused(demo: TestClient) -> None:
    both = b'{"resourceType":"Bundle","type":"collection","entry":[' + b",".join(
        b'{"resource":{"resourceType":"Patient","id":"%d","birthDate":"196%d-01-01"}}' % (one, one) for one in (1, 2)
    ) + b"]}"  # fmt: skip
    assert "The export was not loaded" in upload(demo, both)


def test_pages_carry_no_inline_script_or_style(demo: TestClient) -> None:
    for page in (demo.get("/screening").text, upload(demo, sample("one-lab-open"))):
        assert " style=" not in page
        assert "<style" not in page
        assert re.search(r"<script(?! src=)", page) is None
        assert re.search(r"\son[a-z]+=", page) is None


def test_an_uploaded_value_that_is_dated_after_the_evaluation_is_marked_beside_its_field(demo: TestClient) -> None:
    def beside(at: str) -> str:
        page = upload(demo, sample("eligible"), at=at)
        return text(page.split('id="f-platelets"')[1].split("</ul>")[0])

    assert "dated after the evaluation" not in beside("2020-04-06T10:00")
    assert "dated after the evaluation" in beside("2020-04-01T10:00")


def test_what_contradicts_itself_says_what_to_do(demo: TestClient) -> None:
    tree = json.loads(sample("eligible"))
    platelets = next(one for one in tree["entry"] if "777-3" in json.dumps(one["resource"].get("code", {})))
    other = json.loads(json.dumps(platelets))
    other["resource"]["valueQuantity"]["value"] = 21
    for one in (platelets, other):
        one["resource"].pop("meta", None)
    tree["entry"].append(other)
    page = text(upload(demo, json.dumps(tree).encode()))
    assert "Platelets conflict · settles" in page
    assert page.count("the upload that is out of date as entered in error on its page") == 1
    assert "that is out of date" not in text(upload(demo, sample("one-lab-open")))
