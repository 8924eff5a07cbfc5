"""Takes the pictures of the coordinator's pages for docs/: a server of its own with sample patients, and Chromium."""

from __future__ import annotations

import base64
import io
import sys
import tempfile
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]
DOCS = ROOT / "docs" / "pages"
COLOURS = 48


def main() -> None:
    """Write every picture."""
    from mscprotocol.knowledge_loader import load_knowledge
    from mscprotocol.service import Service
    from mscprotocol.settings import Settings
    from mscprotocol.store.database import open_database
    from mscprotocol.web.app import create_app
    from tests.web.conftest import CLOSED
    from tests.web.pages.browser import open_browser, serve

    at = datetime.fromisoformat("2020-04-06T10:00:00+08:00")
    DOCS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        service = Service(load_knowledge(), open_database(f"sqlite:///{folder}/pages.sqlite3"), clock=lambda: at)
        app = create_app(Settings(zone="Asia/Shanghai", requests_per_minute=0), service)
        ward = fill_ward(f"sqlite:///{folder}/ward.sqlite3")
        courses = create_app(Settings(requests_per_minute=0), ward.course.service)
        closed = create_app(Settings(**CLOSED), service)
        with open_browser(Path(folder) / "profile") as driver:
            with serve(app) as address:
                take_screening(driver, address)
            with serve(courses) as address:
                take_courses(driver, address, ward.subject)
            with serve(closed) as address:
                take_doors(driver, address, service)


def fill_ward(url: str) -> Any:
    """Four subjects on one day: held before the second infusion, ready for the first, stopped, and not yet assessed."""
    from mscprotocol.store.database import open_database
    from tests.store.people import COORDINATOR, SECOND, newcomer
    from tests.store.test_course import START, Ward

    database = open_database(url)
    database.migrate()
    ward, stopped = Ward(database, number="S-021"), Ward(database, number="S-022")
    for one in (ward, stopped):
        one.give(1, **({} if one is ward else {"status": "stopped", "stop_reason": "urticaria"}))
        one.observe(1, START, **({} if one is ward else {"infusion_reaction": "yes"}))
    ward.prepare(2, dimer="1.30")
    ready = Ward(database, START + timedelta(hours=71), "S-023")
    ready.prepare(1)
    for who in (COORDINATOR, SECOND):
        ready.check(1, who=who)
    ward.course.subjects.enrol(newcomer("S-024"), COORDINATOR)
    return ward


def take_courses(driver: Any, address: str, subject: str) -> None:
    """Go through the pages of subjects whose courses run."""
    from tests.web.pages.browser import find, follow

    for name, path, height in (
        ("worklist", "/worklist", 800),
        ("subject", f"/subjects/{subject}", 1100),
        ("course", f"/subjects/{subject}/course", 1100),
        ("audit", "/audit", 800),
    ):
        driver.get(address + path)
        take(driver, name, 1180, height)
    take(driver, "audit-narrow", 360, 800)
    driver.get(f"{address}/subjects/{subject}/course")
    take(driver, "course-narrow", 360, 900)
    driver.find_element("name", "infusion.ended").send_keys("03302020\ue0041100AM")
    driver.find_element("name", "infusion.volume_ml").send_keys(",000")
    driver.find_element("name", "events.note").send_keys("typed beside it")
    follow(driver, find(driver, "button[formaction$='/infusion']"))
    take(driver, "course-error", 1180, 1300, dark=True)
    follow(driver, find(driver, "a[href*='/entries/']"))
    take(driver, "entry", 1180, 900)


def take_doors(driver: Any, address: str, service: Any) -> None:
    """The login, and what a page says to somebody whom it is not for."""
    from tests.web.pages.browser import log_in
    from tests.web.pages.conftest import add_user

    driver.get(f"{address}/login")
    take(driver, "login", 700, 480)
    add_user(service, "anna", "auditor")
    log_in(driver, address, "anna")
    driver.get(f"{address}/screening")
    take(driver, "forbidden", 700, 480)
    driver.get(f"{address}/account")
    take(driver, "account", 700, 720)


def take_screening(driver: Any, address: str) -> None:
    """Go through the pages as a coordinator does who screens; each is there before it is scrolled or taken."""
    from tests.web.pages.browser import find, follow

    load(driver, address, "one-lab-open")
    take(driver, "screening", 1180, 1000)
    take(driver, "screening-dark", 1180, 1000, dark=True)
    take(driver, "screening-narrow", 360, 900)
    load(driver, address, "overt-dic")
    take(driver, "screening-against", 1180, 1000)
    driver.get(f"{address}/screening")
    driver.find_element("name", "d.weight.0.value").send_keys("200")
    driver.find_element("name", "d.fio2.0.value").send_keys("40")
    follow(driver, find(driver, "button.primary"))
    driver.execute_script("document.getElementById('f-fio2').scrollIntoView()")
    take(driver, "screening-hints", 1180, 1000)
    load(driver, address, "eligible")
    driver.find_element("name", "subject").send_keys("S-017")
    follow(driver, driver.find_element("name", "save"))
    take(driver, "assessment", 1000, 1000)


def load(driver: Any, address: str, sample: str) -> None:
    """Load the export of a sample patient."""
    from tests.web.pages.browser import follow

    driver.get(f"{address}/screening")
    driver.find_element("name", "by").send_keys("Dr A. Example")
    driver.find_element("name", "upload").send_keys(str(ROOT / "samples" / sample / "input.json"))
    follow(driver, driver.find_element("name", "load"))


def take(driver: Any, name: str, width: int, height: int, *, dark: bool = False) -> None:
    """Write one picture, small: few colours are enough for a page."""
    from PIL import Image

    from tests.web.pages.browser import show

    show(driver, width, dark=dark, height=height)
    shot = base64.b64decode(driver.execute_cdp_cmd("Page.captureScreenshot", {})["data"])
    Image.open(io.BytesIO(shot)).convert("RGB").quantize(COLOURS).save(DOCS / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
