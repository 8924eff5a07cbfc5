"""The pages in a real Chromium over a socket: every way that a coordinator goes, with and without scripts."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pypdf
import pytest

from mscprotocol.knowledge import KnowledgeBase
from mscprotocol.service import Service
from mscprotocol.settings import Settings
from mscprotocol.store import users
from mscprotocol.subjects import Subjects
from mscprotocol.web.app import create_app
from tests.databases import new_database
from tests.patients import severe_and_worsening
from tests.store.people import COORDINATOR, bundle, newcomer
from tests.web.conftest import CLOSED, NOW
from tests.web.pages.browser import (
    NO_BROWSER,
    check_look,
    click,
    find,
    follow,
    has_browser,
    log_in,
    named,
    serve,
    set_time,
    show,
    until,
    violations,
    wait_for_verdict,
)
from tests.web.pages.conftest import add_user
from tests.web.pages.provider import CLIENT, TestProvider

pytestmark = pytest.mark.skipif(not has_browser(), reason=NO_BROWSER)
SAMPLES = Path(__file__).resolve().parents[3] / "samples"
Serve = Callable[..., str]


@pytest.fixture
def service(knowledge: KnowledgeBase, tmp_path: Path) -> Service:
    """A service on a file: a browser asks for several things at once, which a database in memory cannot give."""
    return Service(knowledge, new_database(f"sqlite:///{tmp_path}/pages.sqlite3"), clock=lambda: NOW)


@pytest.fixture
def served(service: Service, browser: Any) -> Iterator[Serve]:
    """Starts the application with some settings; no cookie of an earlier test is left."""
    browser.get("about:blank")
    browser.execute_cdp_cmd("Network.clearBrowserCookies", {})
    show(browser)
    with ExitStack() as stack:

        def start(**settings: Any) -> str:
            common = {"database_url": "sqlite://", "requests_per_minute": 0, "zone": "Asia/Shanghai"}
            return stack.enter_context(serve(create_app(Settings(**common | settings), service)))

        yield start


def load(driver: Any, address: str, sample: str) -> None:
    """Open the screening page as of the sample's day, and load its export."""
    driver.get(f"{address}/screening")
    set_time(driver, "at", "2020-04-06T10:00")
    named(driver, "by").clear()
    named(driver, "by").send_keys("Dr A. Example")
    named(driver, "upload").send_keys(str(SAMPLES / sample / "input.json"))
    follow(driver, named(driver, "load"))


def complaints(driver: Any) -> list[str]:
    """What the browser itself has to say, like a policy that a page breaks; a refusal by status is none."""
    return [one["message"] for one in driver.get_log("browser") if "Failed to load resource" not in one["message"]]


# -- verdicts ------------------------------------------------------------------------------------------


def test_the_form_leads_to_each_verdict_while_it_is_filled_in(served: Serve, browser: Any) -> None:
    load(browser, served(), "one-lab-open")
    wait_for_verdict(browser, "Undetermined")
    assert "Fibrinogen" in find(browser, ".needed").text
    assert "Observation/" in find(browser, "#f-platelets .received").text
    named(browser, "d.fibrinogen.0.value").send_keys("4.2")
    set_time(browser, "d.fibrinogen.0.at", "2020-04-06T09:00")
    wait_for_verdict(browser, "Eligible, for clinician review")
    assert named(browser, "d.fibrinogen.0.value").get_attribute("value") == "4.2"
    click(browser, "input[name='c.prisoner.said'][value=yes]")
    wait_for_verdict(browser, "Ineligible")
    assert find(browser, ".verdict h3").text == "Against"
    click(browser, "input[name='c.prisoner.said'][value=unknown]")
    until(browser, lambda one: find(one, ".verdict .word").text != "Ineligible")
    assert complaints(browser) == []


def test_an_empty_form_is_filled_by_hand(served: Serve, browser: Any) -> None:
    browser.get(f"{served()}/screening")
    assert "Nothing is said yet" in find(browser, "#result").text
    named(browser, "d.weight.0.value").send_keys("200")
    set_time(browser, "at.panel-1", "2020-04-06T09:00")
    wait_for_verdict(browser, "Undetermined")
    until(browser, lambda one: "usual in pounds" in find(one, "#hint-weight").text)
    named(browser, "by").send_keys("Dr A. Example")
    click(browser, "input[name='c.prisoner.said'][value=yes]")
    wait_for_verdict(browser, "Ineligible")
    assert named(browser, "d.weight.0.value").get_attribute("value") == "200"


def test_an_answer_that_could_not_be_made_anew_says_so(served: Serve, browser: Any) -> None:
    load(browser, served(), "one-lab-open")
    cut = {"offline": True, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0}
    browser.execute_cdp_cmd("Network.enable", {})
    browser.execute_cdp_cmd("Network.emulateNetworkConditions", cut)
    click(browser, "input[name='c.prisoner.said'][value=yes]")
    until(browser, lambda one: "not about what is typed" in find(one, "#stale").text)
    assert find(browser, ".verdict .word").text == "Undetermined"
    opened = cut | {"offline": False, "downloadThroughput": -1, "uploadThroughput": -1}
    browser.execute_cdp_cmd("Network.emulateNetworkConditions", opened)
    click(browser, "input[name='c.hit.said'][value=no]")
    wait_for_verdict(browser, "Ineligible")
    assert find(browser, "#stale").text == ""


def test_an_export_that_is_chosen_and_not_loaded_is_said(served: Serve, browser: Any) -> None:
    browser.get(f"{served()}/screening")
    named(browser, "paste").send_keys("{")
    until(browser, lambda one: "Press Load" in find(one, "#stale").text)
    click(browser, "input[name='c.prisoner.said'][value=yes]")
    until(browser, lambda one: find(one, ".verdict"))
    assert "Press Load" in find(browser, "#stale").text
    named(browser, "paste").clear()
    until(browser, lambda one: find(one, "#stale").text == "")


def test_all_of_it_works_without_scripts(served: Serve, browser: Any, plain_browser: Any) -> None:
    driver = plain_browser
    driver.get(f"{served()}/screening")
    named(driver, "at").send_keys("04062020\ue0041000AM")
    named(driver, "by").send_keys("Dr A. Example")
    named(driver, "upload").send_keys(str(SAMPLES / "one-lab-open" / "input.json"))
    follow(driver, named(driver, "load"))
    assert find(driver, ".verdict .word").text == "Undetermined"
    named(driver, "d.fibrinogen.0.value").send_keys("4.2")
    find(driver, "#f-fibrinogen details.own summary").click()
    named(driver, "d.fibrinogen.0.at").send_keys("04062020\ue0040900AM")
    assert find(driver, ".verdict .word").text == "Undetermined", "no script ran"
    follow(driver, find(driver, "button.primary"))
    assert find(driver, ".verdict .word").text == "Eligible, for clinician review"
    follow(driver, find(driver, "#f-fibrinogen .another"))
    assert named(driver, "d.fibrinogen.0.value").get_attribute("value") == "4.2"
    assert named(driver, "d.fibrinogen.1.value").get_attribute("value") == ""
    named(driver, "subject").send_keys("S-1")
    follow(driver, named(driver, "save"))
    assert "Saved. S-1 is a new subject" in find(driver, ".flash").text
    driver.get(f"{driver.current_url}/checklist")
    assert "Protocol checklist" in find(driver, "h1").text


def test_a_screening_is_saved_and_its_sheet_prints(served: Serve, browser: Any) -> None:
    load(browser, served(), "eligible")
    named(browser, "subject").send_keys("S-17")
    follow(browser, named(browser, "save"))
    assert find(browser, ".verdict .word").text == "Eligible, for clinician review"
    printed = pages_of(browser)
    assert "Verdict at this stage" in printed
    assert "Draft for clinician review - not an order" in printed
    follow(browser, browser.find_element("link text", "Checklist"))
    assert "Protocol checklist" in pages_of(browser)


def pages_of(driver: Any) -> str:
    content = base64.b64decode(driver.print_page())
    return "\n".join(page.extract_text() for page in pypdf.PdfReader(io.BytesIO(content)).pages)


# -- access --------------------------------------------------------------------------------------------


def test_each_role_is_let_in_and_refused_where_it_should_be(served: Serve, browser: Any, service: Service) -> None:
    for role in users.ROLES:
        add_user(service, role, role)
    address = served(**CLOSED)
    for role in users.ROLES:
        log_in(browser, address, role)
        assert f"Dr {role.title()}" in find(browser, ".who").text
        browser.get(f"{address}/screening")
        heading = find(browser, "h1").text
        assert heading == ("Screening" if role in ("coordinator", "clinician") else "Forbidden")
        if heading == "Forbidden":
            assert "for the role coordinator or clinician" in find(browser, "main").text
        follow(browser, find(browser, ".who button"))
        assert find(browser, "h1").text == "Log in"
    browser.get(f"{address}/screening")
    assert find(browser, "h1").text == "Log in"


def test_who_is_logged_out_loses_nothing_that_was_typed(served: Serve, browser: Any, service: Service) -> None:
    add_user(service, "anna", "coordinator")
    address = served(**CLOSED)
    log_in(browser, address, "anna")
    browser.get(f"{address}/screening")
    named(browser, "subject").send_keys("S-1")
    browser.execute_cdp_cmd("Network.clearBrowserCookies", {})
    click(browser, "input[name='c.prisoner.said'][value=yes]")
    until(browser, lambda one: "You were logged out" in find(one, "#stale").text)
    click(browser, ".actions button.primary")
    until(browser, lambda one: "You were logged out" in find(one, "#stale").text)
    assert named(browser, "subject").get_attribute("value") == "S-1"
    browser.switch_to.new_window("tab")
    log_in(browser, address, "anna")
    browser.close()
    browser.switch_to.window(browser.window_handles[0])
    follow(browser, find(browser, ".actions button.primary"))
    wait_for_verdict(browser, "Ineligible")


def test_failures_lock_with_a_clear_word(served: Serve, browser: Any, service: Service) -> None:
    add_user(service, "anna", "coordinator")
    address = served(lockout_failures=2)
    log_in(browser, address, "anna", "wrong")
    assert "do not belong together" in find(browser, "[role=alert]").text
    log_in(browser, address, "anna", "wrong")
    assert "locked until" in find(browser, "[role=alert]").text
    log_in(browser, address, "anna")
    assert "locked until" in find(browser, "[role=alert]").text


def test_a_person_of_the_provider_logs_in_and_lands_where_they_wanted(served: Serve, browser: Any) -> None:
    provider = TestProvider()
    provider.clock = NOW.timestamp
    with serve(provider.app) as issuer:
        provider.issuer = issuer
        address = served(oidc_issuer=issuer, oidc_client_id=CLIENT, oidc_roles={"msc": "coordinator"})
        browser.get(f"{address}/screening?protocol=ciss-2018")
        assert find(browser, "h1").text == "Log in"
        follow(browser, browser.find_element("link text", "Log in with the site's account"))
        assert "Dr Olga Example" in find(browser, ".who").text
        assert browser.current_url.endswith("/screening?protocol=ciss-2018")


# -- look ----------------------------------------------------------------------------------------------


def test_axe_finds_what_is_wrong(served: Serve, browser: Any) -> None:
    browser.get(f"{served()}/login")
    browser.execute_script(
        "document.querySelector('label').remove(); document.querySelector('h1').style.color = '#ddd'"
    )
    found = " ".join(violations(browser))
    assert "label" in found
    assert "color-contrast" in found


def test_every_page_can_be_used_by_everybody(served: Serve, browser: Any, service: Service) -> None:
    address = served()
    for path in ("/login", "/screening", "/nowhere"):
        browser.get(address + path)
        check_look(browser, path)
    load(browser, address, "one-lab-open")
    for details in browser.find_elements("css selector", "details"):
        browser.execute_script("arguments[0].open = true", details)
    check_look(browser, "loaded")
    load(browser, address, "overt-dic")
    check_look(browser, "against")
    named(browser, "subject").send_keys("S-2")
    follow(browser, named(browser, "save"))
    check_look(browser, "assessment")
    add_user(service, "anna", "auditor")
    log_in(browser, address, "anna", "wrong")
    check_look(browser, "refused")
    log_in(browser, address, "anna")
    check_look(browser, "no page for this role")
    follow(browser, find(browser, ".who a"))
    check_look(browser, "account")
    for name, said in (
        ("current", "wrong"),
        ("new", "another sentence for tests"),
        ("again", "and one more for tests"),
    ):
        named(browser, name).send_keys(said)
    follow(browser, find(browser, "form[action='/account/password'] button"))
    assert "type the same one in both fields" in find(browser, "#p-again").text
    check_look(browser, "account, refused")


def test_what_is_printed_and_audited_can_be_used_by_everybody(served: Serve, browser: Any, service: Service) -> None:
    people = Subjects(service)
    subject = people.enrol(newcomer(), COORDINATOR).subject.id
    people.record(subject, bundle(severe_and_worsening("anna", NOW.isoformat())), COORDINATOR)
    assessment = people.chart(subject).screenings[-1].assessment_id
    address = served()
    for path, title in (
        ("/audit", "Audit trail"),
        (f"/assessments/{assessment}/checklist", "Protocol checklist"),
        ("/worklist/sheets", "Protocol checklist"),
    ):
        browser.get(address + path)
        assert title in find(browser, "h1").text
        check_look(browser, path)


def test_a_keyboard_alone_reaches_the_page_and_is_seen(served: Serve, browser: Any) -> None:
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    browser.get(f"{served()}/screening")
    ActionChains(browser).send_keys(Keys.TAB).perform()
    assert browser.switch_to.active_element.text == "Skip to the page"
    ActionChains(browser).send_keys(Keys.ENTER).send_keys(Keys.TAB).perform()
    focused = browser.switch_to.active_element
    assert focused.get_attribute("name") == "protocol"
    assert browser.execute_script("return getComputedStyle(arguments[0]).outlineWidth", focused) == "3px"


def press(driver: Any, key: str) -> Any:
    """Press a key; gives what has the focus then."""
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    ActionChains(driver).send_keys(getattr(Keys, key)).perform()
    return driver.switch_to.active_element


def test_a_keyboard_goes_from_section_to_section_in_two_keys(served: Serve, browser: Any) -> None:
    browser.get(f"{served()}/screening")
    wanted = [one.get_attribute("href").split("#")[1] for one in browser.find_elements("css selector", ".sections a")]
    titles = [one.text for one in browser.find_elements("css selector", ".sections a")]
    assert wanted[0] == "who"
    assert wanted[-1] == "save-head"
    browser.execute_script("location.hash = 'who'")
    for following, title in list(zip(wanted, titles, strict=True))[1:]:
        link = press(browser, "TAB")
        assert link.text == f"Skip to the next section: {title}"
        assert link.is_displayed()
        press(browser, "ENTER")
        assert browser.execute_script("return document.activeElement.id") == following
    assert press(browser, "TAB").get_attribute("name") == "subject"


def test_a_line_of_the_form_has_few_stops(served: Serve, browser: Any) -> None:
    browser.get(f"{served()}/screening")
    browser.execute_script("document.querySelector('#panel-2').focus()")
    press(browser, "TAB")
    stops: list[str] = []
    while not stops or stops[-1] != "Skip to the next section: Circulation and organs":
        one = press(browser, "TAB")
        stops.append(one.text if one.tag_name == "a" else one.get_attribute("name") or one.tag_name)
        assert len(stops) < 80, stops
    lines = browser.find_elements("css selector", "section[aria-labelledby=panel-2] > .datum")
    assert len(lines) > 3
    assert len(stops) <= 7 * len(lines) + 12, stops
    browser.execute_script("document.querySelector('#panel-7').focus()")
    press(browser, "TAB")
    radio = press(browser, "TAB")
    assert radio.get_attribute("type") == "radio"
    name = radio.get_attribute("name")
    assert press(browser, "ARROW_LEFT").get_attribute("name") == name, "the arrows choose within a question"
    assert press(browser, "TAB").get_attribute("name") != name, "a question is one stop"
